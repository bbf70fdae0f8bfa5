"""Threads of which one runs at a time, and whose every turn is chosen: for test_interleavings.py.

Each call of a watched object is a scheduling point. With the same choices the same
things happen in the same order.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Choose = Callable[[list[str]], str]


@dataclass
class Told:
    """What a task gave or raised, and the turns at which it last moved and was done."""

    answer: object = None
    trouble: BaseException | None = None
    last_turn: int = 0
    done_at: int = 0


@dataclass
class Scheduler:
    """Gives the turn to one thread after the other, as `choose` says."""

    turns: int = 0
    _here: threading.local = field(default_factory=threading.local)
    _back: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def point(self) -> None:
        """Hand the turn back, and wait for the next one. Outside a task: nothing."""
        go: threading.Semaphore | None = getattr(self._here, "go", None)
        if go is not None:
            self._back.release()
            go.acquire()

    def run(self, tasks: Mapping[str, Callable[[], object]], choose: Choose) -> dict[str, Told]:
        """Run the tasks to their ends, one step of one of them at a time."""
        told = {name: Told() for name in tasks}
        gates = {name: threading.Semaphore(0) for name in tasks}
        threads = {
            name: threading.Thread(target=self._work, args=(task, gates[name], told[name]))
            for name, task in tasks.items()
        }
        for thread in threads.values():
            thread.start()
        waiting = sorted(tasks)
        while waiting:
            name = choose(waiting)
            self.turns += 1
            told[name].last_turn = self.turns
            gates[name].release()
            self._back.acquire()
            if told[name].done_at:
                threads[name].join()
                waiting.remove(name)
        return told

    def _work(self, task: Callable[[], object], go: threading.Semaphore, told: Told) -> None:
        self._here.go = go
        go.acquire()
        try:
            told.answer = task()
        except BaseException as trouble:  # noqa: BLE001  # the one who asked judges it
            told.trouble = trouble
        told.done_at = self.turns
        self._back.release()


class Watched:
    """An object each of whose calls waits for its turn."""

    def __init__(self, inner: object, scheduler: Scheduler) -> None:
        self._inner = inner
        self._scheduler = scheduler

    def __getattr__(self, name: str) -> object:
        method = getattr(self._inner, name)
        if not callable(method):
            # A part, such as a store's outbox: its calls wait too.
            return Watched(method, self._scheduler)

        def call(*arguments: object, **named: object) -> object:
            self._scheduler.point()
            return method(*arguments, **named)

        return call


def every_order(run: Callable[[Choose], None]) -> int:
    """Call `run` once for each order that its choices can give; give how many there are."""
    prefix: list[int] | None = []
    orders = 0
    while prefix is not None:
        prefix = _next(_ran(run, prefix))
        orders += 1
    return orders


def _ran(run: Callable[[Choose], None], prefix: list[int]) -> list[tuple[int, int]]:
    """Run with these choices first, and give all: which was taken, of how many."""
    taken: list[tuple[int, int]] = []

    def choose(waiting: list[str]) -> str:
        pick = prefix[len(taken)] if len(taken) < len(prefix) else 0
        taken.append((pick, len(waiting)))
        return waiting[pick]

    run(choose)
    return taken


def _next(taken: list[tuple[int, int]]) -> list[int] | None:
    while taken and taken[-1][0] + 1 == taken[-1][1]:
        taken.pop()
    if not taken:
        return None
    *before, (last, _) = taken
    return [*(pick for pick, _ in before), last + 1]
