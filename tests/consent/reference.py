"""What may become of one grant, said a second time and as plainly as possible: for test_model.py.

Each side is a `row`, which a restored database forgets, and what stands beside its
keys and in the journal, which nothing forgets. Every method says whether the party says yes.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from counterfoil_consent import Pause, Trigger

SKEW = timedelta(seconds=60)
BETWEEN_SERVICES = timedelta(minutes=6)
GRANT_AGE = timedelta(minutes=30)
RESERVATION = timedelta(hours=24)
REQUEST_KEPT = timedelta(hours=1)
NEVER_PAUSED = Pause(0, is_suspended=False)
Told = Pause | tuple[Trigger, str]
"""What the custodian still has to tell the receiver: a pause, or an end and who made it."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What was agreed. `completer` is a party's name."""

    limit: int
    ends_at: datetime
    is_single_use: bool
    completer: str


@dataclass(frozen=True, kw_only=True)
class CustodianRow:
    """One row of the custodian's database; `answered` are the lease requests answered."""

    state: str
    reserved_at: datetime
    is_receipted: bool = False
    reads: int = 0
    answered: frozenset[str] = frozenset()


@dataclass(kw_only=True)
class CustodianSide:
    """The custodian and one grant."""

    rules: Rules
    row: CustodianRow | None
    is_destroyed: bool = False
    is_journaled: bool = False
    is_registered: bool = False
    reads: int = 0
    pause: Pause = NEVER_PAUSED
    queue: tuple[Told, ...] = ()

    def register(self, now: datetime) -> bool:
        if self.row is None or not self._is_in_force(now):
            return False
        if self.row.state == "reserved":
            if now >= self.rules.ends_at:
                return False
            self.row = replace(self.row, state="kept")
            self.is_registered = True
        return True

    def acknowledge(self, now: datetime) -> bool:
        row = self._kept(now)
        if row is None:
            return False
        self.row = replace(row, is_receipted=True)
        return True

    def lease(self, request_id: str, asked_at: datetime, now: datetime) -> bool:
        row = self._kept(now)
        if row is None or self.pause.is_suspended or not row.is_receipted:
            return False
        if not now - BETWEEN_SERVICES <= asked_at <= now + BETWEEN_SERVICES:
            return False
        read = max(row.reads, self.reads) + 1
        if read > self.rules.limit or request_id in row.answered:
            return False
        self.row = replace(row, reads=read, answered=row.answered | {request_id})
        self.reads += 1
        if self.rules.is_single_use:
            self._end()
        return True

    def pause_by(self, word: Pause, by: str, now: datetime) -> bool:
        if self._kept(now) is None or by != "holder":
            return False
        if word >= self.pause:
            self.pause = word
            self.queue = (*(told for told in self.queue if not isinstance(told, Pause)), word)
        return True

    def end(self, trigger: Trigger, by: str, now: datetime) -> bool:
        if by not in self._may(trigger):
            return False
        is_forgotten = self.row is None
        if is_forgotten or (self._is_before_its_end(now) and self.is_registered):
            self.queue = (*self.queue, (trigger, by))
        if is_forgotten:
            # What stands beside the key knows the grant, so its end has a row again.
            self.row = CustodianRow(state="reserved", reserved_at=now)
        self._end()
        return True

    def sweep(self, now: datetime) -> None:
        if self.row is None:
            return
        is_stale = self.row.state == "reserved" and self.row.reserved_at < now - RESERVATION
        if is_stale or self.row.state == "ended":
            self._end()
        self._kept(now)

    def start(self) -> None:
        if self.row is not None and self.is_journaled:
            self.row = replace(self.row, state="ended")
        if self.row is None or self.row.state == "ended":
            self.is_destroyed = True

    @property
    def count(self) -> int:
        return max(self.reads, 0 if self.row is None else self.row.reads)

    def _may(self, trigger: Trigger) -> set[str]:
        if trigger is Trigger.WITHDRAWN:
            return {"holder"}
        if not self.is_registered:
            return set()
        return {self.rules.completer} if trigger is Trigger.COMPLETED else {"receiver", "authority"}

    def _kept(self, now: datetime) -> CustodianRow | None:
        if not self._is_in_force(now) or self.row is None:
            return None
        return self.row if self.row.state == "kept" else None

    def _is_before_its_end(self, now: datetime) -> bool:
        assert self.row is not None
        is_used_up = self.rules.is_single_use and self.row.reads > 0
        is_over = self.row.state == "kept" and (now >= self.rules.ends_at or is_used_up)
        return self.row.state != "ended" and not is_over

    def _is_in_force(self, now: datetime) -> bool:
        if self.row is None:
            return False
        if not self._is_before_its_end(now):
            self._end()
        return self.row.state != "ended" and not self.is_destroyed

    def _end(self) -> None:
        self.is_destroyed = self.is_journaled = True
        if self.row is not None:
            self.row = replace(self.row, state="ended")


@dataclass(frozen=True, kw_only=True)
class ReceiverRow:
    """The rows of one request and its grant in the receiver's database.

    `state` is "asked" until the grant is there; `ending` is what is said to the custodian.
    """

    state: str
    paused: int = 0
    ending: tuple[Trigger, str] | None = None
    has_statement: bool = False
    tries: int = 0
    next_try: datetime | None = None

    def later(self, now: datetime) -> "ReceiverRow":
        """Ask again: at once after the first time, then after ever longer, an hour at most."""
        waits = 0 if self.tries == 0 else min(5 * 2 ** (self.tries - 1), 3_600)
        next_try = now.replace(microsecond=0) + timedelta(seconds=waits)
        return replace(self, tries=self.tries + 1, next_try=next_try)


LIVE = frozenset({"granted", "active", "suspended"})


@dataclass(kw_only=True)
class ReceiverSide:
    """The receiver and one grant; `row` is None once the request is forgotten."""

    rules: Rules
    custodian: CustodianSide
    asked_until: datetime
    made_at: datetime
    row: ReceiverRow | None = field(default_factory=lambda: ReceiverRow(state="asked"))
    is_destroyed: bool = False

    @property
    def state(self) -> str:
        return "forgotten" if self.row is None else self.row.state

    def receive(self, now: datetime) -> bool:
        if self.row is None:
            return False
        if self.row.state == "asked":
            is_fresh = self.made_at - SKEW <= now <= self.made_at + GRANT_AGE
            if not is_fresh or now >= min(self.asked_until, self.rules.ends_at):
                return False
            if self.is_destroyed:
                return False
            self.row = replace(self.row, state="granted")
        return self.row.state in LIVE

    def accept_bundle(self) -> bool:
        if self.row is None or self.is_destroyed:
            return False
        if self.row.state == "granted":
            self.row = replace(self.row, state="active")
        return self.row.state in LIVE

    def may_ask_for_a_lease(self, now: datetime) -> bool:
        return self.is_readable(now) and not self.is_destroyed

    def is_readable(self, now: datetime) -> bool:
        """Whether nothing that the receiver knows is against a read."""
        return self.state == "active" and now < self.rules.ends_at

    def pause_by(self, word: Pause, by: str) -> bool:
        if self.row is None or by != "holder" or self.row.state not in ("active", "suspended"):
            return False
        if word.sequence > self.row.paused:
            state = "suspended" if word.is_suspended else "active"
            self.row = replace(self.row, state=state, paused=word.sequence)
        return True

    def hear(self, told: Told, now: datetime) -> None:
        """Take what the custodian had to tell."""
        if isinstance(told, Pause):
            self.pause_by(told, "holder")
        else:
            self.end(*told, now, is_custodian_there=True)

    def end(self, trigger: Trigger, by: str, now: datetime, *, is_custodian_there: bool) -> bool:
        may = {
            Trigger.WITHDRAWN: {"holder"},
            Trigger.COMPLETED: {self.rules.completer},
            Trigger.TERMINATED: {"receiver", "authority"},
        }[trigger]
        if self.row is None or self.row.state == "asked" or by not in may:
            return False
        if self.row.state in LIVE:
            self.row = replace(self.row, state="ended", ending=(trigger, by))
        self._finish(now, is_custodian_there=is_custodian_there)
        return True

    def sweep(self, now: datetime, *, is_custodian_there: bool) -> None:
        if self.row is None:
            return
        if self.row.state == "asked":
            if now >= self.asked_until + REQUEST_KEPT:
                self.row, self.is_destroyed = None, True
            return
        if self.row.state in LIVE:
            if now < self.rules.ends_at:
                return
            self._stop()
        elif self.row.next_try is not None and now < self.row.next_try:
            return
        self._finish(now, is_custodian_there=is_custodian_there)

    def be_told_that_it_has_ended(self, now: datetime) -> None:
        """Stop what nobody may read any more: the custodian has refused a lease."""
        if self.state in LIVE:
            self._stop()
            self._finish(now, is_custodian_there=True)

    def start(self) -> None:
        if self.row is None or self.row.state == "ended":
            self.is_destroyed = True
        elif self.row.state in LIVE and self.is_destroyed:
            self._stop()

    def _stop(self) -> None:
        # The receiver cannot sign for the clock or for others: it says that it stops.
        assert self.row is not None
        self.row = replace(self.row, state="ended", ending=(Trigger.TERMINATED, "receiver"))

    def _finish(self, now: datetime, *, is_custodian_there: bool) -> None:
        assert self.row is not None
        self.is_destroyed = True
        if self.row.has_statement:
            return
        assert self.row.ending is not None
        trigger, by = self.row.ending
        if not is_custodian_there:
            self.row = self.row.later(now)
            return
        # A statement that names no digest, of a grant never registered, is none.
        is_stated = self.custodian.end(trigger, by, now) and self.custodian.is_registered
        self.row = replace(self.row, has_statement=True) if is_stated else self.row.later(now)
