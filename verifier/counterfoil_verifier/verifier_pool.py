"""Many presentations at once, verified in processes of their own.

    with VerifierPool(make_verifier) as pool:
        outcomes = pool.verify_each(pairs, now=now)

Half of a verification is Python's, and Python's threads take turns at that: two of them
were slower than one (`bench/verifying.py`). Each process makes a `Verifier` of its own,
so each fetches the issuers' keys and status lists once. A program that makes a pool
guards its start by `if __name__ == "__main__"`, as whatever starts processes must.
"""

import gc
import multiprocessing
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import datetime
from functools import cache
from types import TracebackType
from typing import Self

from counterfoil_credentials.errors import Misuse, Unavailable
from counterfoil_credentials.requests import PresentationRequest, VpToken

from counterfoil_verifier.outcomes import Decision
from counterfoil_verifier.verifier import Verifier


class VerifierPool:
    """Processes that verify. What is shown goes through pipes, and to no file."""

    def __init__(self, make: Callable[[], Verifier], *, processes: int | None = None) -> None:
        """Begin with `processes`, this one among them; one for each core unless given.

        `make` is called in each of them, so it is a function of a module, or a `partial`
        of one with values that pickle.
        """
        self._count = processes or os.cpu_count() or 1
        if self._count < 1:
            raise Misuse(f"expected at least one process, found {self._count}")
        self._make = make
        self._own: Verifier | None = None
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def verify_each(
        self, pairs: Iterable[tuple[VpToken, PresentationRequest]], *, now: datetime
    ) -> list[Decision]:
        """Give the outcome of each presentation, in order, as `Verifier.verify_each` does.

        Raises `Unavailable` when a process ended over it; the next call has new ones.
        """
        each = [*pairs]
        share = -(-len(each) // self._count) or 1
        try:
            # This process does its own share: it has nothing to hand over for that.
            others = [
                self._started().submit(_verified, each[i : i + share], now)
                for i in range(share, len(each), share)
            ]
            outcomes = self._here().verify_each(each[:share], now=now)
            return [*outcomes, *(one for other in others for one in other.result())]
        except BrokenProcessPool as cause:
            self.close()
            raise Unavailable("expected processes that verify, found one that ended") from cause

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def _here(self) -> Verifier:
        if self._own is None:
            self._own = self._make()
        return self._own

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # Not by fork: a thread of this process may hold a lock that the copy never gets.
            self._pool = ProcessPoolExecutor(
                self._count - 1,
                multiprocessing.get_context("spawn"),
                initializer=_begin,
                initargs=(self._make,),
            )
        return self._pool


_makers: list[Callable[[], Verifier]] = []


def _begin(make: Callable[[], Verifier]) -> None:
    _makers.append(make)


@cache
def _own() -> Verifier:
    # Made with the first work, so that what is wrong with it reaches who asked.
    verifier = _makers[0]()
    gc.collect()
    gc.freeze()
    return verifier


def _verified(pairs: list[tuple[VpToken, PresentationRequest]], now: datetime) -> list[Decision]:
    return _own().verify_each(pairs, now=now)
