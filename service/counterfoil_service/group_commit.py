"""Many writes, one commit: a thread runs what has arrived meanwhile in one transaction.

    answer = await group.write(lambda connection: take(connection, digest))

A work's exception is its caller's alone and takes no other work with it: when one
fails that had written something, all of its group are undone and run once more, each
from a savepoint of its own. So a work changes nothing but the database. Everybody is
answered after the commit that contains them, so nothing is reported that a `kill -9`
could undo, and 50 writers share one sync.

The thread waits for the lock and for the disk. Where statements do not wait for another
machine, the works themselves run in their callers' loop: two threads that take the
interpreter from each other at every statement cost more than the statements.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from counterfoil_credentials.errors import CounterfoilError, Unavailable

from counterfoil_service.sessions import Session
from counterfoil_service.statements import Connection

T = TypeVar("T")

MAX_WAITING: Final = 1_000
"""How many works may wait. A thousand that wait are seconds of work: better say so than keep on."""

MAX_GROUP: Final = 100
"""How many works share a commit. All other processes wait for the whole group."""


QUIET_TURNS: Final = 3
"""After so many turns of the loop without another write, nobody is on the way: a request that
has been read takes two to come to its write."""

GATHERED_S: Final = 0.005
"""How long a write waits for others at most, where they never cease to come."""

CLOSING_S: Final = 1.0
"""How long closing waits for loops to hand over what they gathered."""

PATIENCE_S: Final = 0.02
"""How long the loop has to begin with works that it may run itself."""


@dataclass(slots=True, eq=False)
class _Waiting:
    work: Callable[[Connection], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    answer: Any = None
    error: BaseException | None = None

    def deliver(self) -> None:
        # Who was cancelled meanwhile does not wait any more.
        if self.future.done():
            return
        match self.error:
            case None:
                self.future.set_result(self.answer)
            case StopIteration():
                # A future takes any exception but this one.
                error = RuntimeError("expected a work to end with an answer or an error of its own")
                error.__cause__ = self.error
                self.future.set_exception(error)
            case error:
                self.future.set_exception(error)


_Run: TypeAlias = Callable[[Session, Sequence[_Waiting]], bool]


class _Turn:
    """Something that is done once: by the loop that it is offered to, or by who waits for it."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act
        self._claim = threading.Lock()
        self._done = threading.Event()
        self._error: BaseException | None = None

    def take(self) -> None:
        """Do it, unless somebody has begun."""
        if not self._claim.acquire(blocking=False):
            return
        try:
            self._act()
        except BaseException as error:
            self._error = error
            # Who waits raises it; an interrupt is for who was interrupted, too.
            if not isinstance(error, Exception):
                raise
        finally:
            self._done.set()

    def wait(self) -> None:
        """Return when it is done; do it here when the loop does not come to it.

        The loop may have ended, or wait for the very lock that is held meanwhile.
        """
        if not self._done.wait(PATIENCE_S):
            self.take()
            self._done.wait()
        if self._error is not None:
            raise self._error


class GroupCommit:
    """Runs works in groups on a session that `connect` gives; a thread of its own commits."""

    def __init__(self, connect: Callable[[], Session]) -> None:
        self._connect = connect
        self._session: Session | None = None
        self._arriving: dict[asyncio.AbstractEventLoop, list[_Waiting]] = {}
        self._queue: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._ended = False
        self._gathering = 0
        self._thread: threading.Thread | None = None
        self._at_work: int | None = None
        self.commits = 0

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in the next group and give its answer after the commit.

        `work` may run in another thread, and twice, and does nothing but decide and write.
        Raises what `work` raises, having undone it; `Unavailable` when the commit
        could not be had (it may have happened: ask again), or too many wait.
        """
        loop = asyncio.get_running_loop()
        if self._closed:
            raise Unavailable("expected an open database, found it closed")
        arrived = self._arriving.get(loop)
        if arrived is None:
            # All who are on their way go over together: handed over one by one, the first
            # would have a commit of its own, and the others wait for it.
            arrived = self._arriving[loop] = self._begin_gathering()
            loop.call_soon(self._gather, loop, loop.time() + GATHERED_S, 0, 0)
        if len(self._queue) + len(arrived) >= MAX_WAITING:
            raise Unavailable(f"expected fewer than {MAX_WAITING} waiting writes")
        future: asyncio.Future[T] = loop.create_future()
        arrived.append(_Waiting(work, loop, future))
        return await future

    @property
    def is_here(self) -> bool:
        """Whether the caller is a work of this group."""
        return threading.get_ident() == self._at_work

    @property
    def waiting(self) -> int:
        """How many works wait for the thread, or for others to go over with."""
        return len(self._queue) + sum(map(len, [*self._arriving.values()]))

    def close(self) -> None:
        """Take no more works, finish those that wait, and end the thread."""
        with self._changed:
            self._closed = True
            # A loop that has ended, or that waits for this call, hands nothing over any more.
            self._changed.wait_for(lambda: not self._gathering, CLOSING_S)
            self._ended = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _begin_gathering(self) -> list[_Waiting]:
        with self._changed:
            if self._closed:
                raise Unavailable("expected an open database, found it closed")
            self._gathering += 1
        return []

    def _gather(
        self, loop: asyncio.AbstractEventLoop, until: float, count: int, quiet: int
    ) -> None:
        """Hand over once nobody has come for some turns; there were `count` when one last came."""
        now_count = len(self._arriving[loop])
        quiet = quiet + 1 if now_count == count else 0
        if quiet < QUIET_TURNS and now_count < MAX_GROUP and loop.time() < until:
            loop.call_soon(self._gather, loop, until, now_count, quiet)
        else:
            self._hand_over(loop)

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        arrived = self._arriving.pop(loop)
        with self._changed:
            self._gathering -= 1
            if not self._ended:
                self._queue.extend(arrived)
                if self._thread is None:
                    thread = threading.Thread(target=self._run, name="writer", daemon=True)
                    thread.start()
                    self._thread = thread
                self._changed.notify_all()
                return
            self._changed.notify_all()
        for waiting in arrived:
            waiting.error = Unavailable("expected an open database, found it closed")
            waiting.deliver()

    def _run(self) -> None:
        while group := self._next_group():
            try:
                self._commit(group)
            except BaseException as error:  # noqa: BLE001  # whatever it was, nobody has a commit
                self._discard()
                for waiting in group:
                    waiting.answer = None
                    waiting.error = Unavailable("expected the commit to succeed, found it failed")
                    waiting.error.__cause__ = error
            _answer(group)
        self._discard()

    def _next_group(self) -> list[_Waiting]:
        with self._changed:
            while not self._queue and not self._ended:
                self._changed.wait()
            size = min(len(self._queue), MAX_GROUP)
            return [self._queue.popleft() for _ in range(size)]

    def _commit(self, group: list[_Waiting]) -> None:
        session = self._session
        if session is None or not session.usable:
            self._discard()
            session = self._session = self._connect()
        works = [waiting for waiting in group if not waiting.future.cancelled()]
        session.begin()
        if not self._run_works(session, works, _all_together):
            session.roll_back()
            session.begin()
            self._run_works(session, works, _one_by_one)
        session.commit()
        # Before anybody is answered: who has an answer sees that something changed.
        self.commits += 1

    def _run_works(self, session: Session, works: Sequence[_Waiting], run: _Run) -> bool:
        """Run the works here, or in their loop when they wait for nothing; say what `run` says."""
        may_stay = False

        def act() -> None:
            nonlocal may_stay
            self._at_work = threading.get_ident()
            try:
                may_stay = run(session, works)
            finally:
                self._at_work = None

        loops = {waiting.loop for waiting in works}
        if session.is_remote or len(loops) != 1:
            act()
            return may_stay
        # The lock is waited for here: the loop has others to serve.
        session.start()
        turn = _Turn(act)
        with suppress(RuntimeError):  # the loop has ended
            loops.pop().call_soon_threadsafe(turn.take)
        turn.wait()
        return may_stay

    def _discard(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None


def _all_together(session: Session, works: Sequence[_Waiting]) -> bool:
    """Run the works without marks; say whether all that they wrote may stay."""
    for waiting in works:
        written = session.wrote
        try:
            waiting.answer = waiting.work(session)
        except BaseException as error:  # noqa: BLE001  # its caller raises it
            waiting.error = error
            if session.wrote != written:
                return False
        if session.failed:
            return False
    try:
        session.require_whole()
    except CounterfoilError:
        return False
    _require_transaction(session)
    return True


def _one_by_one(session: Session, works: Sequence[_Waiting]) -> bool:
    """Run the works again, each from a mark of its own; what a failing one wrote is undone."""
    for waiting in works:
        if waiting.error is not None and not isinstance(waiting.error, Exception):
            # An interrupt came once, and is not swallowed by doing it again.
            continue
        waiting.answer = waiting.error = None
        session.mark()
        try:
            waiting.answer = waiting.work(session)
            session.require_whole()
        except BaseException as error:  # noqa: BLE001  # its caller raises it
            waiting.answer, waiting.error = None, error
            if not session.lost:
                session.undo()
        _require_transaction(session)
    return True


def _require_transaction(session: Session) -> None:
    # Without its transaction the whole group has come to nothing.
    if session.lost:
        raise Unavailable("expected the transaction to go on, found it rolled back")


def _answer(group: list[_Waiting]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[_Waiting]] = {}
    for waiting in group:
        by_loop.setdefault(waiting.loop, []).append(waiting)
    for loop, theirs in by_loop.items():

        def deliver(theirs: list[_Waiting] = theirs) -> None:
            for waiting in theirs:
                waiting.deliver()

        try:
            loop.call_soon_threadsafe(deliver)
        except RuntimeError:
            # The loop has ended, and with it everybody who waited in it.
            continue
