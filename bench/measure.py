"""Measure side by side: every candidate in every round, in one process, and compare medians.

A machine that slows down half-way slows all candidates down, so the ratio of two
medians means something where their absolute values do not.
"""

import gc
import importlib.util
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final, TypeAlias

Sampler: TypeAlias = Callable[[], float]
"""Gives one figure: the cost of one call this time, or a size."""

# The usual folder for temporary files may be in memory; this one outlives a restart.
DISK: Final = Path("/var/tmp")  # noqa: S108  # each run has a folder of its own in it
ROUNDS: Final = 21
QUICK_ROUNDS: Final = 2
_SHORTEST_SAMPLE_S: Final = 0.02
_TOO_SHORT_S: Final = 0.000_1


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """What our figure is compared with: the raw call, a baseline or a peer.

    `floor` must hold, `goal` is reported. `sampler` is None where the peer is not
    installed; it is then named as missing, and its floor is not judged.
    """

    name: str
    sampler: Sampler | None
    floor: float | None = None
    goal: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One promise: our candidate and the others, measured in turns.

    The ratio says how many times as fast we are (theirs / ours, at least the floor).
    With `at_most` it says how many times as much we take (ours / theirs, at most the
    floor): the natural way round for sizes. `unit` is "s" or "B".
    """

    name: str
    ours: Sampler
    others: Sequence[Other]
    unit: str = "s"
    at_most: bool = False
    rounds: int = ROUNDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One line of the report. Without another candidate there is no ratio to judge."""

    operation: str
    unit: str
    ours: float
    other: str | None
    theirs: float | None
    ratio: float | None
    at_most: bool
    floor: float | None
    goal: float | None

    @property
    def missing(self) -> bool:
        """Whether the other candidate is not installed."""
        return self.other is not None and self.theirs is None

    @property
    def holds(self) -> bool | None:
        """Whether the floor holds; None where there is nothing to judge."""
        return self._within(self.floor)

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None where there is nothing to judge."""
        return self._within(self.goal)

    def _within(self, bound: float | None) -> bool | None:
        if bound is None or self.ratio is None:
            return None
        return self.ratio <= bound if self.at_most else self.ratio >= bound


def cpu(call: Callable[[], object], *, batch: int | None = None) -> Sampler:
    """Sample the CPU seconds of this process (all its threads) that one `call` takes.

    A sample is a batch of calls of at least 20 ms together; `batch` fixes their
    number. The first sample warms up and finds it.
    """
    return _timed(call, time.process_time, batch)


def wall(call: Callable[[], object], *, batch: int | None = None) -> Sampler:
    """Sample the seconds on the wall that one `call` takes: for several threads or processes."""
    return _timed(call, time.perf_counter, batch)


def fixed(figure: float) -> Sampler:
    """Sample a figure that does not change from round to round, such as a size."""
    return lambda: figure


def if_installed(package: str, make: Callable[[], Sampler]) -> Sampler | None:
    """Give the peer's sampler, or None where `package` is not installed."""
    return make() if importlib.util.find_spec(package) is not None else None


def measure(operation: Operation, *, rounds: int | None = None) -> list[Result]:
    """Sample all candidates in turns and give one result for each of the others."""
    samplers = [
        operation.ours,
        *(other.sampler for other in operation.others if other.sampler is not None),
    ]
    figures: dict[Sampler, list[float]] = {sampler: [] for sampler in samplers}
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for sampler in figures:
            sampler()
        for turn in range(rounds or operation.rounds):
            # The start moves on, so that nobody always runs on another's warm cache.
            first = turn % len(samplers)
            for sampler in samplers[first:] + samplers[:first]:
                figures[sampler].append(sampler())
    finally:
        if was_enabled:
            gc.enable()
    ours = median(figures[operation.ours])
    if not operation.others:
        return [_result(operation, ours, Other(name="", sampler=None), None)]
    return [
        _result(operation, ours, other, median(figures[other.sampler]) if other.sampler else None)
        for other in operation.others
    ]


def _result(operation: Operation, ours: float, other: Other, theirs: float | None) -> Result:
    ratio = None
    if theirs is not None:
        ratio = ours / theirs if operation.at_most else theirs / ours
    return Result(
        operation=operation.name,
        unit=operation.unit,
        ours=ours,
        other=other.name or None,
        theirs=theirs,
        ratio=ratio,
        at_most=operation.at_most,
        floor=other.floor,
        goal=other.goal,
    )


def _timed(call: Callable[[], object], clock: Sampler, batch: int | None) -> Sampler:
    calls = batch

    def sample() -> float:
        nonlocal calls
        if calls is None:
            calls = _batch(call, clock)
        began = clock()
        for _ in range(calls):
            call()
        return (clock() - began) / calls

    return sample


def _batch(call: Callable[[], object], clock: Sampler) -> int:
    calls = 1
    while True:
        began = clock()
        for _ in range(calls):
            call()
        taken = clock() - began
        if taken >= _SHORTEST_SAMPLE_S:
            return calls
        calls *= 2 if taken > _TOO_SHORT_S else 10
