"""The relayer: it pays for everybody's transactions and loses none.

    stored in the outbox ─► sent ─► in a block ─► taken in by the index ─► answered ─► final

An action is signed as a transaction and stored before it is sent. After a
crash everything without an outcome is sent again: it carries the same sequence
number, so the ledger takes it once. Asking twice under one key gives the one
entry; asking for something else under that key is refused.

Where others make the blocks, the relayer tends what waits: it sends it again,
offers more for what is stuck, and at last gives it up by a transaction that does
nothing. What the chain takes back waits again. Each action happens once all the
same: the contracts consume its `ref`, its intent or its version.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Condition, Event, Thread

from counterfoil_credentials.errors import Reason, Refused, Unavailable

from counterfoil_loyalty.actions import OPENING, Action, customer_of
from counterfoil_loyalty.combine import Combiner
from counterfoil_loyalty.customer_limit import CustomerLimit
from counterfoil_loyalty.indexer import Indexer
from counterfoil_loyalty.ledger import BlockMaker, Ledger, Outcome, SignedTransaction
from counterfoil_loyalty.store import Order, Placed, PointsStore

KEY_CONFLICT = "key-conflict"
"""The code of a refusal: this key belongs to another request."""

_OPENING = frozenset(opening.key for opening in OPENING)
_PAUSE_S = 0.02
_TENDED = 200
"""Entries that one turn sends again: those behind them cannot be in a block before them."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """When a transaction counts as stuck, and how often its fee is raised before it is given up."""

    stuck_after_s: int = 45
    raises: int = 6


class Relayer:
    """Takes actions in, sees them through. Safe for several threads."""

    def __init__(
        self,
        ledger: Ledger,
        store: PointsStore,
        *,
        patience: Patience | None = None,
        limit: CustomerLimit | None = None,
    ) -> None:
        self.ledger = ledger
        self._store = store
        self._patience = patience or Patience()
        self._limit = limit
        self._maker = ledger if isinstance(ledger, BlockMaker) else None
        self._indexer = Indexer(ledger, store)
        self._placing = Combiner(self._place_all)
        self._turned = Condition()
        self._floor = 0
        self._oldest: tuple[str | None, int] = (None, 0)
        self._stuck_since: dict[str, tuple[int, int]] = {}
        self._looked_at = 0
        self.work = Event()

    @property
    def follows(self) -> bool:
        """Tell whether others make the blocks, so that there is always something to follow."""
        return self._maker is None

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
        if self.ledger.makes_exchange:
            # Each contract stands where the relayer's transaction of that number puts it.
            for opening in OPENING[max(0, self._floor - self.ledger.opens_at) :]:
                if self._store.placed(opening.key) is None:
                    self._placing.do(opening)
        waiting = [entry.transaction for entry in self._waiting()]
        if waiting:
            self._send(waiting)
            self.work.set()

    def accept(self, action: Action) -> Placed:
        """Give the action's entry in the outbox, stored and sent when it is new.

        Raises `Refused` when the action would fail now, or when its key belongs
        to a request for something else.
        """
        entry = self._store.placed(action.key)
        if entry is None or entry.was_cancelled:
            customer = customer_of(action)
            if customer is not None and self._limit is not None:
                self._limit.take(customer)
            try:
                entry = self._placing.do(action)
            except Refused:
                # Its twin, sent at the same moment, may have come first.
                entry = self._store.placed(action.key)
                if entry is None:
                    raise
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

        Where others make the blocks: take in theirs, and tend what waits. Gives
        False when there was nothing to do, or this second has its block.
        """
        if now > self._looked_at:
            self.waited_s(now)
        if self._maker is not None and not self._maker.make_block(now):
            return False
        self.ledger.look()
        self._indexer.catch_up()
        self._settle()
        if self._maker is None:
            self._tend(now)
        with self._turned:
            self._turned.notify_all()
        return True

    def waited_s(self, now: int) -> int:
        """Give for how long the oldest entry without an outcome has been seen; 0 when idle.

        `now` in unix seconds. Each turn looks, so a turn that fails is noticed too.
        """
        waiting = self._waiting()
        oldest = waiting[0].key if waiting else None
        with self._turned:
            key, since = self._oldest
            if oldest is None or oldest != key or now < since:
                self._oldest = (oldest, now)
            self._looked_at = now
            return now - self._oldest[1]

    def is_idle(self) -> bool:
        """Tell whether every entry has its outcome."""
        return not self._waiting()

    def _place_all(self, actions: Sequence[Action]) -> Sequence[Placed | Exception]:
        """Check, sign, store and send what came together; what fails its check leaves no trace."""
        venue = self.ledger.identity.venue
        refused = self.ledger.check_all(actions)
        orders = [
            Order(
                action.key,
                action.fingerprint(venue),
                lambda sequence, action=action: self.ledger.sign(action, sequence),  # type: ignore[misc]  # bound now
            )
            for action, refusal in zip(actions, refused, strict=True)
            if refusal is None
        ]
        if not orders:
            return [refusal for refusal in refused if refusal is not None]
        placed = iter(self._store.place(orders, relayer=self.ledger.relayer, floor=self._floor))
        found = [next(placed) if refusal is None else refusal for refusal in refused]
        entries = [it for it in found if isinstance(it, Placed) and it.outcome is None]
        self._send([entry.transaction for entry in entries])
        self.work.set()
        return found

    def _send(self, transactions: Sequence[SignedTransaction]) -> None:
        try:
            self.ledger.send_all(transactions)
        except Unavailable:
            # The outbox has them: the next turn sends them again.
            _log.warning("%d transactions wait for a node that takes them", len(transactions))

    def _settle(self) -> None:
        waiting = self._waiting()[:_TENDED] if self._maker is None else self._waiting()
        attempts = [(entry.key, it) for entry in waiting for it in entry.attempts]
        found = self.ledger.outcomes([transaction for _, transaction in attempts])
        outcomes: dict[str, tuple[SignedTransaction, Outcome]] = {}
        for (key, transaction), outcome in zip(attempts, found, strict=True):
            if outcome is not None:
                outcomes[key] = (transaction, outcome)
        if outcomes:
            self._store.close(outcomes)

    def _tend(self, now: int) -> None:
        waiting = self._waiting()[:_TENDED]
        used = self.ledger.final_sequence() if waiting else 0
        sending: list[SignedTransaction] = []
        stuck: dict[str, tuple[int, int]] = {}
        for entry in waiting:
            attempts, since = self._stuck_since.get(entry.key, (0, now))
            if attempts != len(entry.attempts) or now < since:
                since = now
            stuck[entry.key] = (len(entry.attempts), since)
            if entry.transaction.sequence < used:
                # Somebody else's transaction has the number, for good.
                self._renumber(entry)
            elif now - since >= self._patience.stuck_after_s:
                sending.append(self._outbid(entry))
            else:
                sending.append(entry.transaction)
        self._stuck_since = stuck
        if sending:
            self._send(sending)

    def _outbid(self, entry: Placed) -> SignedTransaction:
        """Give what is to be sent for an entry that is stuck, and keep it first."""
        transaction = entry.transaction
        tried = len(entry.attempts)
        raised = None if tried > self._patience.raises else self.ledger.raised(transaction)
        if raised is None:
            # A contract's place is its number: that one is never given up.
            if tried > self._patience.raises + 1 or entry.key in _OPENING:
                return transaction
            raised = self.ledger.cancelled(transaction)
        self._store.attempt(entry.key, raised)
        return raised

    def _renumber(self, entry: Placed) -> None:
        # The outcome may have come between our two questions.
        if any(self.ledger.outcomes(entry.attempts)) or entry.key in _OPENING:
            return
        original = entry.attempts[0]
        self._store.renumber(
            entry.key,
            lambda sequence: self.ledger.renumbered(original, sequence),
            relayer=self.ledger.relayer,
            floor=self.ledger.sequence(),
        )

    def _waiting(self) -> Sequence[Placed]:
        return self._store.waiting(self.ledger.relayer)

    def _is_closed(self, key: str) -> bool:
        entry = self._store.placed(key)
        return entry is None or entry.outcome is not None


class Ticker:
    """A thread that gives the relayer its turns: a block as soon as work and the clock allow.

    A chain whose blocks others make is looked at every `pace_s`, work or none.
    """

    def __init__(self, relayer: Relayer, clock: Callable[[], int], *, pace_s: float = 1.0) -> None:
        self._relayer = relayer
        self._clock = clock
        self._pace_s = pace_s
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
            self._relayer.work.wait(self._pace_s if self._relayer.follows else None)
            self._relayer.work.clear()
            try:
                if self._relayer.follows:
                    self._relayer.turn(self._clock())
                    self._stopping.wait(_PAUSE_S)
                    continue
                while not self._stopping.is_set() and not self._relayer.is_idle():
                    if not self._relayer.turn(self._clock()):
                        self._stopping.wait(_PAUSE_S)
            except Exception:  # noqa: BLE001  # one block must not end the thread
                # Nothing is lost: the outbox has it.
                _log.exception("a turn of the points ledger failed")
                self._stopping.wait(1)
                self._relayer.work.set()
