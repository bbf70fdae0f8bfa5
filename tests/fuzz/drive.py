"""One target under atheris: `python -m tests.fuzz.drive NAME`, then libFuzzer's arguments.

Runs in the environment of `scripts/fuzz`, the only one that holds atheris.
"""

import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Protocol, cast


class _Atheris(Protocol):
    """The part of the package that we call; it is not there where types are checked."""

    def instrument_imports(self, include: Sequence[str]) -> AbstractContextManager[object]: ...

    def Setup(self, argv: Sequence[str], target: Callable[[bytes], None]) -> object: ...  # noqa: N802

    def Fuzz(self) -> None: ...  # noqa: N802


def main(name: str, arguments: Sequence[str]) -> None:
    """Fuzz the target `name` until libFuzzer ends; a foreign exception ends it with status 77."""
    atheris = cast("_Atheris", import_module("atheris"))
    with atheris.instrument_imports(include=["counterfoil_credentials", "counterfoil_wallet"]):
        targets = import_module("tests.fuzz.targets")
    # To merge, libFuzzer starts itself again: its first argument and the others, in a shell.
    itself = shlex.join([sys.executable, "-m", "tests.fuzz.drive", name])
    atheris.Setup([itself, *arguments], targets.TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
