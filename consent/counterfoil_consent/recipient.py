"""A recipient: whom a receiver hands facts to, as the terms allow, and who erases at the end.

    key ─► accept ─► read, read, … ─► end ─► the recipient's own erasure receipt

It needs no custodian. What it was handed lies sealed to a key of its own, one for each
grant, in a key folder outside every backup; it can be opened for the purpose granted
until the term is over, and after the end by nobody. Its word is its own signature: a
recipient that copies on purpose cannot be stopped by a library.
"""

import logging
import threading
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Protocol

from counterfoil_credentials.dids import Did, did_jwk
from counterfoil_credentials.errors import Refused, Unavailable
from counterfoil_credentials.keys import Signer

from counterfoil_consent.erased_system import ErasedSystem, Method, System
from counterfoil_consent.events import Parties, read_end
from counterfoil_consent.facts import Facts
from counterfoil_consent.handover import Handover, open_handover
from counterfoil_consent.key_folder import KeyFolder
from counterfoil_consent.recipient_receipt import RecipientReceipt
from counterfoil_consent.sealing import SealingKey
from counterfoil_consent.spec import EVENT_TYP
from counterfoil_consent.systems import (
    RegisteredSystem,
    erase_in,
    require_distinct,
    require_nothing_held,
)
from counterfoil_consent.terms import Purpose
from counterfoil_consent.wire import (
    Clock,
    GrantId,
    Random,
    grant_id_of,
    read_artefact,
    refuse,
    whole_second,
)

MOST_NOTHINGS: Final = 10_000
"""How many ends of grants that it never heard of a recipient answers between two starts."""
_AT_ONCE: Final = 100
_LOG: Final = logging.getLogger("counterfoil.consent")
_OWN: Final = (
    ErasedSystem(system=System.LIVE_DATABASE, method=Method.DELETED),
    ErasedSystem(system=System.SEALING_KEY, method=Method.KEY_DESTROYED),
    ErasedSystem(system=System.BACKUPS, method=Method.KEY_DESTROYED),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A grant of which something was handed over. `sealed` is None once it has ended.

    `token` is the receiver's word, `receipt` our answer, once everything is erased.
    """

    grant_id: GrantId
    token: str = field(repr=False)
    sealed: bytes | None = field(repr=False)
    valid_until: datetime
    stopped_at: datetime | None = None
    systems: tuple[ErasedSystem, ...] = ()
    receipt: str | None = field(default=None, repr=False)


class RecipientStore(Protocol):
    """Where a recipient's rows live. Every method is one transaction."""

    def is_empty(self) -> bool:
        """Say whether there is no row."""
        ...

    def add(self, held: Held) -> Held:
        """Add a row unless the grant has one; give the row that stands there."""
        ...

    def find(self, grant_id: GrantId) -> Held | None:
        """Give a grant's row."""
        ...

    def advance(self, before: Held, after: Held) -> bool:
        """Replace `before` by `after`; False when it is not there any more."""
        ...

    def due(self, now: datetime, limit: int) -> list[GrantId]:
        """Give grants past their term, and ended ones without a receipt."""
        ...

    def scrub(self) -> None:
        """Leave nothing on disk of what was deleted before; `Unavailable` if it cannot be now."""
        ...


class MemoryRecipientStore:
    """The in-memory twin."""

    def __init__(self) -> None:
        self._rows: dict[GrantId, Held] = {}
        self._lock = threading.Lock()

    def is_empty(self) -> bool:
        with self._lock:
            return not self._rows

    def add(self, held: Held) -> Held:
        with self._lock:
            return self._rows.setdefault(held.grant_id, held)

    def find(self, grant_id: GrantId) -> Held | None:
        with self._lock:
            return self._rows.get(grant_id)

    def advance(self, before: Held, after: Held) -> bool:
        with self._lock:
            if self._rows.get(before.grant_id) != before:
                return False
            self._rows[before.grant_id] = after
            return True

    def due(self, now: datetime, limit: int) -> list[GrantId]:
        with self._lock:
            rows = [*self._rows.values()]
        due = [row for row in rows if row.stopped_at is None and now >= row.valid_until]
        due += [row for row in rows if row.stopped_at is not None and row.receipt is None]
        return [row.grant_id for row in due[:limit]]

    def scrub(self) -> None:
        """Nothing is on disk."""


class Recipient:
    """One recipient: its key, the receivers it works for, its rows and its systems."""

    def __init__(
        self,
        *,
        signer: Signer,
        receivers: Collection[Did],
        store: RecipientStore,
        keys: KeyFolder,
        clock: Clock,
        random: Random,
        systems: Sequence[RegisteredSystem] = (),
    ) -> None:
        """Start over what is stored; `Unavailable` when the key folder is not the one in use."""
        require_distinct(systems)
        self.did = did_jwk(signer.public)
        self._signer = signer
        self._receivers = frozenset(receivers)
        self._store = store
        self._keys = keys
        self._clock = clock
        self._random = random
        self._systems = tuple(systems)
        self._nothings = 0
        self._keys.begin(is_new=store.is_empty())

    def key(self, grant_id: str) -> SealingKey:
        """Give the key that facts of this grant are sealed to, made on first use.

        Raises `Refused` with `grant-ended` once it is destroyed.
        """
        name = grant_id_of(grant_id, "grant_id")
        return self._keys.create(name, self._random).public

    def accept(self, token: str, sealed: bytes) -> Handover:
        """Keep what a receiver hands over. Sent again, nothing changes.

        Raises `Refused`: `receiver-not-known`, `audience-mismatch`, `grant-ended`,
        `share-does-not-open`, `claims-differ`, or `already-handed-over` for another.
        """
        handover = Handover.read(token, recipient=self.did)
        if handover.receiver not in self._receivers:
            raise refuse("receiver-not-known", "a receiver known here", "another", "handover.iss")
        key = self._keys.find(handover.grant_id)
        if key is None or self._clock() >= handover.valid_until:
            raise _ended()
        # What cannot be opened is refused now, not at the first read.
        open_handover(sealed, handover, key, self._clock).close()
        held = Held(
            grant_id=handover.grant_id,
            token=token,
            sealed=sealed,
            valid_until=handover.valid_until,
        )
        found = self._store.add(held)
        if found.stopped_at is not None:
            raise _ended()
        if found != held:
            raise refuse("already-handed-over", "what was handed over first", "another", "handover")
        return handover

    @contextmanager
    def read(self, grant_id: str, purpose: Purpose) -> Generator[Facts, None, None]:
        """Open what was handed over, for the purpose granted, for the length of the block."""
        held = self._held(grant_id)
        handover = Handover.read(held.token, recipient=self.did)
        if held.sealed is None or self._clock() >= held.valid_until:
            raise _ended()
        if purpose is not handover.purpose:
            raise refuse("purpose-differs", "the purpose granted", "another", "purpose")
        key = self._keys.find(held.grant_id)
        if key is None:
            if self._keys.is_destroyed(held.grant_id):
                raise _ended()
            raise Unavailable("expected the grant's key, found neither key nor tombstone")
        facts = open_handover(held.sealed, handover, key, self._clock)
        try:
            yield facts
        finally:
            facts.close()

    def end(self, grant_id: str, event: str) -> str | None:
        """Stop and erase on a verified event; give our signed erasure receipt.

        None while a system of ours has not answered: ask again. A recipient that was
        never handed anything of the grant says just that.
        """
        name = grant_id_of(grant_id, "grant_id")
        held = self._store.find(name)
        if held is None:
            return self._nothing(name, event)
        handover = Handover.read(held.token, recipient=self.did)
        read_end(
            event,
            grant_id=name,
            parties=handover.parties,
            audience=self.did,
            now=self._clock(),
        )
        return self._finish(name)

    def end_due(self) -> int:
        """End what is past its term and finish what a system kept waiting; give how many."""
        ended = 0
        for grant_id in self._store.due(self._clock(), _AT_ONCE):
            try:
                ended += self._finish(grant_id) is not None
            except Exception as trouble:  # noqa: BLE001  # whatever it is, the others must end
                _LOG.warning("a grant could not be ended now: %s", type(trouble).__name__)
        return ended

    def _finish(self, grant_id: GrantId) -> str | None:
        """Stop first, destroy second, say third: a crash anywhere between is finished later."""
        held = self._stopped(grant_id)
        if held.receipt is not None:
            return held.receipt
        self._keys.destroy(grant_id)
        answered = [system.name for system in held.systems if system.name is not None]
        systems = (*held.systems, *erase_in(self._systems, grant_id, answered))
        names = {system.name for system in systems}
        if not all(system.place.name in names for system in self._systems):
            self._store.advance(held, replace(held, systems=systems))
            return None
        self._store.scrub()
        stopped_at = held.stopped_at or whole_second(self._clock())
        receipt = RecipientReceipt(
            grant_id=grant_id,
            stopped_at=stopped_at,
            erased_at=max(stopped_at, whole_second(self._clock())),
            claims=Handover.read(held.token, recipient=self.did).claims,
            systems=(*_OWN, *systems),
        ).sign(self._signer)
        self._store.advance(held, replace(held, systems=systems, receipt=receipt))
        # Two that finish at once sign twice, and give the one that was first.
        return self._held(grant_id).receipt

    def _stopped(self, grant_id: GrantId) -> Held:
        while True:
            held = self._held(grant_id)
            if held.stopped_at is not None:
                return held
            stopped = replace(held, sealed=None, stopped_at=whole_second(self._clock()))
            if self._store.advance(held, stopped):
                return stopped

    def _nothing(self, grant_id: GrantId, event: str) -> str:
        # Whoever asks must at least have an event that its own signer made out to us.
        claims = read_artefact(event, typ=EVENT_TYP, by=None, where="event")
        by = Did(str(claims["iss"]))
        anyone = Parties(holder=by, receiver=by, completer=by, authority=by)
        now = whole_second(self._clock())
        read_end(event, grant_id=grant_id, parties=anyone, audience=self.did, now=now)
        # A backup may have lost the row, and what was handed over still lie in a system: who
        # may end it is not known then, and that nothing is here is not said.
        require_nothing_held(self._systems, grant_id)
        # Nothing may be handed over any more either. Anybody may ask, so there is an end to it.
        if self._nothings >= MOST_NOTHINGS:
            raise Unavailable("expected room for one more tombstone, found none")
        self._nothings += not self._keys.is_destroyed(grant_id)
        self._keys.forbid(grant_id)
        return RecipientReceipt(
            grant_id=grant_id, stopped_at=now, erased_at=now, claims=(), systems=()
        ).sign(self._signer)

    def _held(self, grant_id: str) -> Held:
        found = self._store.find(grant_id_of(grant_id, "grant_id"))
        if found is None:
            raise refuse("grant-unknown", "a grant handed over here", "none", "grant_id")
        return found


def _ended() -> Refused:
    return refuse("grant-ended", "a grant in force", "one that has ended", "grant_id")
