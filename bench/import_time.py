"""Importing counterfoil_credentials costs at most 2.5 times cryptography's EC module.

Each sample is a fresh interpreter; the candidates take turns. "import" is the CPU time
that the new process itself takes for the one statement, so nothing is subtracted: the
interpreter's own start is not in it. "whole process" is the CPU time of the process from
start to exit, start included, nothing subtracted. Byte code is cached in both.
"""

import resource
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

from bench.measure import Operation, Other, Sampler

_OURS: Final = "import counterfoil_credentials"
_EC: Final = "import cryptography.hazmat.primitives.asymmetric.ec"
_AT_MOST: Final = 2.5
_TIMED: Final = "import time; began = time.process_time(); {}; print(time.process_time() - began)"


def operations(*, quick: bool) -> Iterator[Operation]:
    """Compare the import with the EC module's, by itself and as a whole process."""
    del quick  # an import has no smaller input
    yield Operation(
        name="import",
        ours=_statement(_OURS),
        others=[Other(name="cryptography's EC module", sampler=_statement(_EC), floor=_AT_MOST)],
        at_most=True,
    )
    yield Operation(
        name="whole process with that import",
        ours=_process(_OURS),
        others=[
            Other(name="cryptography's EC module", sampler=_process(_EC)),
            Other(name="an empty program", sampler=_process("pass")),
        ],
        at_most=True,
    )


def _statement(statement: str) -> Sampler:
    return lambda: float(_run(_TIMED.format(statement)))


def _process(program: str) -> Sampler:
    def sample() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        _run(program)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return sample


def _run(program: str) -> str:
    # The program is one of ours, above.
    return subprocess.run(  # noqa: S603
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout
