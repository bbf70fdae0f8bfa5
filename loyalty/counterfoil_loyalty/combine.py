"""Callers who come together are served together: one of them does the work of all who wait.

    checks = Combiner(ledger.check_all)
    checks.do(action)                  # alone: a list of one; among others: one list for all

Nobody waits for company. Whoever comes while work is going on waits for it to
end, and then all who have gathered go next.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event, Lock
from typing import Generic, TypeVar

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")

MOST = 200
"""Items of one piece of work: what one request to a node may hold."""


class Combiner(Generic[_Item, _Answer]):
    """`work` gives, for each item, an answer or the exception to raise. Safe for threads."""

    def __init__(self, work: Callable[[Sequence[_Item]], Sequence[_Answer | Exception]]) -> None:
        self._work = work
        self._lock = Lock()
        self._waiting: list[_Place[_Item, _Answer]] = []
        self._is_working = False

    def do(self, item: _Item) -> _Answer:
        """Give the item's answer, or raise what became of it."""
        place: _Place[_Item, _Answer] = _Place(item, Event())
        with self._lock:
            self._waiting.append(place)
            leads = not self._is_working
            self._is_working = True
        if not leads:
            place.woken.wait()
        if not place.is_served:
            self._serve()
        if isinstance(place.answer, Exception):
            raise place.answer
        answer: _Answer = place.answer  # type: ignore[assignment]  # it is served
        return answer

    def _serve(self) -> None:
        """Do the work of all who wait, one's own included, and wake who leads next."""
        with self._lock:
            places, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        try:
            answers = self._work([place.item for place in places])
        except Exception as error:  # noqa: BLE001  # everybody who waits is told
            answers = [error] * len(places)
        for place, answer in zip(places, answers, strict=True):
            place.answer, place.is_served = answer, True
        with self._lock:
            self._is_working = bool(self._waiting)
            woken = [*self._waiting[:1], *places]
        for place in woken:
            place.woken.set()


@dataclass(slots=True, eq=False)
class _Place(Generic[_Item, _Answer]):
    item: _Item
    woken: Event
    answer: _Answer | Exception | None = None
    is_served: bool = False
