"""The relayer: it pays for everybody's transactions and loses none.

    stored in the outbox ─► sent ─► in a block ─► taken in by the index ─► answered

An action is signed as a transaction and stored before it is sent. After a
crash everything without an outcome is sent again: it carries the same sequence
number, so the ledger takes it once. Asking twice under one key gives the one
entry; asking for something else under that key is refused.
"""

import logging
from collections.abc import Callable
from threading import Condition, Event, Thread

from counterfoil_credentials.errors import Reason, Refused

from counterfoil_loyalty.actions import Action, OpenExchange
from counterfoil_loyalty.indexer import Indexer
from counterfoil_loyalty.ledger import EmbeddedLedger, Outcome
from counterfoil_loyalty.store import Placed, PointsStore

KEY_CONFLICT = "key-conflict"
"""The code of a refusal: this key belongs to another request."""

_PAUSE_S = 0.02
_log = logging.getLogger(__name__)


class Relayer:
    """Takes actions in, sees them through. Safe for several threads."""

    def __init__(self, ledger: EmbeddedLedger, store: PointsStore) -> None:
        self.ledger = ledger
        self._store = store
        self._indexer = Indexer(ledger, store)
        self._turned = Condition()
        self._floor = 0
        self._oldest: tuple[str | None, int] = (None, 0)
        self._looked_at = 0
        self.work = Event()

    def start(self) -> None:
        """Take up where the last run stopped.

        Raises `Misuse` when the outbox was made for another chain, or has seen
        more of this one than is there.
        """
        self._store.bind(self.ledger.identity)
        self._indexer.require_known_past()
        self._floor = self.ledger.sequence()
        self._indexer.catch_up()
        self._settle()
        if self._floor == 0:
            # The exchange stands where the relayer's first transaction puts it.
            self._place(OpenExchange())
        for entry in self._store.waiting():
            self.ledger.send(entry.transaction)
            self.work.set()

    def accept(self, action: Action) -> Placed:
        """Give the action's entry in the outbox, stored and sent when it is new.

        Raises `Refused` when the action would fail now, or when its key belongs
        to a request for something else.
        """
        known = self._store.placed(action.key)
        if known is None:
            try:
                self.ledger.check(action)
            except Refused:
                # Its twin, sent at the same moment, may have come first.
                known = self._store.placed(action.key)
                if known is None:
                    raise
        entry = known or self._place(action)
        if entry.fingerprint != action.fingerprint(self.ledger.identity.venue):
            raise Refused(
                Reason(KEY_CONFLICT, "the request first sent with this key", "another", "key")
            )
        return entry

    def wait_for(self, key: str, timeout_s: float) -> Placed | None:
        """Give the entry as soon as it has an outcome, or as it stands after `timeout_s`."""
        with self._turned:
            self._turned.wait_for(lambda: self._is_closed(key), timeout_s)
        return self._store.placed(key)

    def turn(self, now: int) -> bool:
        """Make a block of what waits, take it in and record the outcomes. `now` in unix seconds.

        Gives False when there was nothing to do, or this second has its block.
        """
        if now > self._looked_at:
            self.waited_s(now)
        if not self.ledger.make_block(now):
            return False
        self._indexer.catch_up()
        self._settle()
        with self._turned:
            self._turned.notify_all()
        return True

    def waited_s(self, now: int) -> int:
        """Give for how long the oldest entry without an outcome has been seen; 0 when idle.

        `now` in unix seconds. Each turn looks, so a turn that fails is noticed too.
        """
        waiting = self._store.waiting()
        oldest = waiting[0].key if waiting else None
        with self._turned:
            key, since = self._oldest
            if oldest is None or oldest != key or now < since:
                self._oldest = (oldest, now)
            self._looked_at = now
            return now - self._oldest[1]

    def is_idle(self) -> bool:
        """Tell whether every entry has its outcome."""
        return not self._store.waiting()

    def _place(self, action: Action) -> Placed:
        entry = self._store.place(
            action.key,
            action.fingerprint(self.ledger.identity.venue),
            lambda sequence: self.ledger.sign(action, sequence),
            floor=self._floor,
        )
        if entry.outcome is None:
            self.ledger.send(entry.transaction)
            self.work.set()
        return entry

    def _settle(self) -> None:
        outcomes: dict[str, Outcome] = {}
        for entry in self._store.waiting():
            outcome = self.ledger.outcome(entry.transaction)
            if outcome is not None:
                outcomes[entry.key] = outcome
        if outcomes:
            self._store.close(outcomes)

    def _is_closed(self, key: str) -> bool:
        entry = self._store.placed(key)
        return entry is None or entry.outcome is not None


class Ticker:
    """A thread that gives the relayer its turns: a block as soon as work and the clock allow."""

    def __init__(self, relayer: Relayer, clock: Callable[[], int]) -> None:
        self._relayer = relayer
        self._clock = clock
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="points-ticker", daemon=True)

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._relayer.work.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._relayer.work.wait()
            self._relayer.work.clear()
            try:
                while not self._stopping.is_set() and not self._relayer.is_idle():
                    if not self._relayer.turn(self._clock()):
                        self._stopping.wait(_PAUSE_S)
            except Exception:  # noqa: BLE001  # one block must not end the thread
                # Nothing is lost: the outbox has it.
                _log.exception("a turn of the points ledger failed")
                self._stopping.wait(1)
                self._relayer.work.set()
