"""What all tests share: a fixed clock, seeded randomness, closed sockets, and an honest summary.

A test marked `loopback` may open sockets on this machine; every other test finds
sockets closed. A test that cannot run here (no Node, no published vectors) is
skipped with its reason and named at the end. With COUNTERFOIL_NO_SKIPS=1, as
in `.ci/run`, a skip counts as a failure unless `MAY_BE_SKIPPED` says otherwise.
COUNTERFOIL_HALF leaves one half of the modules of the slow folders out, so that `.ci/run`
tries each module on the first Python and on one of the two others: `first`, `second`, or
`rest`, which is the second without what each half holds.
"""

import ipaddress
import os
import random
import sys
import zlib
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, settings

from tests.hsm import Hsm, soft_hsm

pytest_plugins = ["tests.postgres"]

MAY_BE_SKIPPED: dict[str, tuple[tuple[int, int], ...]] = {
    # The list of terms is here; the vocabulary that it was taken from need not be.
    "tests/consent/test_export.py::test_the_list_of_terms_is_that_of_the_vocabulary": (
        (3, 11),
        (3, 12),
        (3, 13),
    ),
}
"""Tests that `.ci/run` lets be skipped: start of the test's id, and on which Pythons."""

ON_EVERY_PYTHON = frozenset({"credentials", "service", "hostile", "fuzz"})
"""Folders of tests that are quick for what they try: no half is taken of them."""

# A machine that does other work too is slow, and nothing is wrong with that.
settings.register_profile("anywhere", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("anywhere")

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


class Clock:
    """A clock that moves only when it is told to. Call it for the time."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> datetime:
        """Move the clock and give the new time."""
        self.now += by
        return self.now


@pytest.fixture
def now() -> datetime:
    """Give the one moment at which tests happen."""
    return NOON


@pytest.fixture
def clock(now: datetime) -> Clock:
    """Give a clock that starts at `now`."""
    return Clock(now)


@pytest.fixture
def random_bytes(request: pytest.FixtureRequest) -> Callable[[int], bytes]:
    """Give randomness that repeats: each test has its own seed, its id."""
    return random.Random(request.node.nodeid).randbytes


@pytest.fixture
def vectors() -> Callable[[str], Path]:
    """Give the folder of published test vectors of one standard, or skip the test by name."""

    def folder(name: str) -> Path:
        root = os.environ.get("COUNTERFOIL_VECTORS")
        if not root:
            pytest.skip(f"no COUNTERFOIL_VECTORS: the published vectors {name} are not here")
        path = Path(root) / name
        if not path.is_dir():
            pytest.skip(f"COUNTERFOIL_VECTORS holds no folder {name}")
        return path

    return folder


@pytest.fixture
def soak_count() -> Callable[[int], int]:
    """Give the part of a long count that was asked for: COUNTERFOIL_SOAK_SHARE=10 means a tenth."""
    share = int(os.environ.get("COUNTERFOIL_SOAK_SHARE", "1"))
    return lambda whole: max(1, whole // share)


class SocketsAreClosed(RuntimeError):
    """A test reached for the network. Not an OSError: code that expects those must not hide it."""


class _Door:
    """Which addresses the running test may reach."""

    def __init__(self) -> None:
        self.guarding = False
        self.loopback = False

    def audit(self, name: str, arguments: tuple[object, ...]) -> None:
        if not self.guarding or not name.startswith("socket."):
            return
        if name in {"socket.connect", "socket.bind", "socket.sendto"}:
            address = arguments[1]
            # A path is a local socket: asyncio and multiprocessing talk to themselves so.
            if not isinstance(address, tuple):
                return
            host: object = cast("tuple[object, ...]", address)[0]
            if not (self.loopback and _is_loopback(host)):
                raise SocketsAreClosed(f"expected closed sockets, found {name} to {host}")
        elif name == "socket.getaddrinfo":
            host = arguments[0]
            if not _is_number(host) and not (self.loopback and _is_loopback(host)):
                raise SocketsAreClosed(f"expected closed sockets, found a look-up of {host!r}")


def _is_number(host: object) -> bool:
    try:
        ipaddress.ip_address(str(host))
    except ValueError:
        return False
    return True


def _is_loopback(host: object) -> bool:
    return host == "localhost" or (_is_number(host) and ipaddress.ip_address(str(host)).is_loopback)


_door = _Door()


def pytest_configure() -> None:
    """Put the guard at the door; an audit hook sees every socket of the process."""
    sys.addaudithook(_door.audit)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the other half out where one half was asked for."""
    half = os.environ.get("COUNTERFOIL_HALF")
    if not half:
        return
    out = [item for item in items if not _in_half(item.nodeid, half)]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if _in_half(item.nodeid, half)]


def _in_half(test: str, half: str) -> bool:
    module = test.partition("::")[0]
    folder = module.removeprefix("tests/").partition("/")[0]
    if folder in ON_EVERY_PYTHON:
        return half != "rest"
    return (zlib.crc32(module.encode()) % 2 == 0) is (half == "first")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Open the door for the length of a test that is marked so."""
    _door.guarding = True
    _door.loopback = item.get_closest_marker("loopback") is not None
    try:
        return (yield)
    finally:
        _door.guarding = False


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let no test be skipped in silence where all should run."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and _must_run(report.nodeid):
        report.outcome = "failed"
        report.longrepr = f"expected to run, found it skipped: {_why(report)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Treat a whole module that skips itself likewise."""
    report = yield
    if report.skipped and _must_run(report.nodeid):
        report.outcome = "failed"
        report.longrepr = f"expected to run, found it skipped: {_why(report)}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name every test that could not run here, under its reason."""
    reasons: defaultdict[str, list[str]] = defaultdict(list)
    for report in terminalreporter.stats.get("skipped", []):
        reasons[_why(report)].append(report.nodeid)
    if not reasons:
        return
    terminalreporter.section("could not run here")
    for reason, tests in sorted(reasons.items()):
        terminalreporter.write_line(f"{reason}:")
        for test in sorted(tests):
            terminalreporter.write_line(f"    {test}")


def _must_run(test: str) -> bool:
    if os.environ.get("COUNTERFOIL_NO_SKIPS") != "1":
        return False
    return not any(
        test.startswith(start) and sys.version_info[:2] in pythons
        for start, pythons in MAY_BE_SKIPPED.items()
    )


def _why(report: pytest.TestReport | pytest.CollectReport) -> str:
    # pytest keeps (file, line, text) of a skip.
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return reason.removeprefix("Skipped: ")


@pytest.fixture(scope="session")
def the_hsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hsm]:
    with soft_hsm(tmp_path_factory.mktemp("softhsm"), "brand", "twin", "twin", "wallet") as hsm:
        yield hsm
