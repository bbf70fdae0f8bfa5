"""Importing counterfoil_credentials costs at most 2.5 times cryptography's EC module.

Each sample is a fresh interpreter; the candidates take turns. "import" is the CPU time
that the new process itself takes for the one statement, so nothing is subtracted: the
interpreter's own start is not in it. "whole process" is the CPU time of the process from
start to exit, start included, nothing subtracted. Byte code lies in a folder of this
run's own, written by the sample that warms up: a tree that was just edited, or an
environment that forbids byte code, would otherwise be compiled again in each sample.
"""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from tempfile import TemporaryDirectory
from typing import Final

from bench.measure import Operation, Other

_OURS: Final = "import counterfoil_credentials"
_EVERYTHING: Final = "from counterfoil_credentials import *"
_EC: Final = "import cryptography.hazmat.primitives.asymmetric.ec"
_AT_MOST: Final = 2.5
_TIMED: Final = "import time; began = time.process_time(); {}; print(time.process_time() - began)"


def operations(*, quick: bool) -> Iterator[Operation]:
    """Compare the import with the EC module's, by itself and as a whole process."""
    del quick  # an import has no smaller input
    with TemporaryDirectory() as folder:
        import_of = partial(_Import, folder)
        yield Operation(
            name="import",
            ours=import_of(_OURS).statement,
            others=[
                Other(
                    name="cryptography's EC module",
                    sampler=import_of(_EC).statement,
                    floor=_AT_MOST,
                )
            ],
            at_most=True,
        )
        yield Operation(
            name="import of every name that it shows",
            ours=import_of(_EVERYTHING).statement,
            others=[Other(name="cryptography's EC module", sampler=import_of(_EC).statement)],
            at_most=True,
        )
        yield Operation(
            name="whole process with that import",
            ours=import_of(_OURS).process,
            others=[
                Other(name="cryptography's EC module", sampler=import_of(_EC).process),
                Other(name="an empty program", sampler=import_of("pass").process),
            ],
            at_most=True,
        )


@dataclass(frozen=True, slots=True)
class _Import:
    """A program for fresh interpreters, which keep their byte code in `folder`."""

    folder: str
    program: str

    def statement(self) -> float:
        return float(self._run(_TIMED.format(self.program)))

    def process(self) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self._run(self.program)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def _run(self, program: str) -> str:
        settings = {**os.environ, "PYTHONPYCACHEPREFIX": self.folder}
        settings.pop("PYTHONDONTWRITEBYTECODE", None)
        return subprocess.run(  # noqa: S603  # our own program, above
            [sys.executable, "-c", program],
            check=True,
            capture_output=True,
            text=True,
            env=settings,
        ).stdout
