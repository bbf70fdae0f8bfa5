"""The custodian: keeps one of two shares, lends it read by read, destroys it at the end.

    issue_key ─► register ─► acknowledge ─► lease, lease, … ─► end

It sees digests, pairwise keys, a purpose and two limits: never data, never who
the customer is. Its own clock ends grants, so that nobody's silence prolongs one.
Every refusal fails closed; only `end` is accepted at any time, and it is final.

The rows may come back from yesterday's backup, the key folder and the journal never
do: what must not be forgotten (the holder, the count) stands beside the keys, and each
end in the journal, before anybody is told of it.
"""

import logging
import sys
import threading
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.dids import Did, did_jwk
from counterfoil_credentials.errors import CounterfoilError, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.keys import Signer

from counterfoil_consent.artefacts import (
    CustodianKey,
    KeyDestruction,
    KeyRequest,
    Lease,
    LeaseRequest,
    Receipt,
    Registration,
)
from counterfoil_consent.confirmation import Confirmation
from counterfoil_consent.events import Parties, Pause, read_end, read_pause
from counterfoil_consent.key_folder import KeyFolder, KeyNote
from counterfoil_consent.parties import CustodianParty
from counterfoil_consent.replaying import replay
from counterfoil_consent.sealing import OpeningKey, Role, open_share, seal_share
from counterfoil_consent.set_poll import PollDesk
from counterfoil_consent.set_push import Pusher, hear, letter_to
from counterfoil_consent.states import Trigger
from counterfoil_consent.store import (
    CustodianStore,
    Custody,
    Ended,
    Kept,
    Reserved,
    is_due,
)
from counterfoil_consent.tombstone_journal import Tombstone, TombstoneJournal
from counterfoil_consent.usage import Custodial, Usage, UsageRequest
from counterfoil_consent.wire import (
    BETWEEN_SERVICES,
    SKEW,
    Clock,
    GrantId,
    Random,
    grant_id_of,
    refuse,
    whole_second,
)

LEASE_LENGTH: Final = timedelta(seconds=60)
MAX_REQUEST_AGE: Final = timedelta(minutes=2)
MAX_VALIDITY: Final = timedelta(days=3_660)
RESERVATION_LENGTH: Final = timedelta(hours=24)
MAX_RESERVATIONS: Final = 10_000
"""How many keys may wait for their registration. Each waits a day at most."""

_ENDED_AT_ONCE: Final = 100
_NO_LIMIT: Final = sys.maxsize
_LOG: Final = logging.getLogger("counterfoil.consent")


class Custodian:
    """One custodian: its public origin, its signing key, its rows and its key folder."""

    def __init__(
        self,
        *,
        origin: str,
        signer: Signer,
        store: CustodianStore,
        keys: KeyFolder,
        journal: TombstoneJournal,
        clock: Clock,
        random: Random,
        lease_length: timedelta = LEASE_LENGTH,
        max_reservations: int = MAX_RESERVATIONS,
        loopback_origins_unsafely: AbstractSet[str] = frozenset(),
    ) -> None:
        """Start over what is stored.

        Receivers may be pushed to at the origins named here, on this machine: for development.
        Raises `Unavailable` when there are rows and the key folder is not the one
        that was in use: without it nobody may say which keys are destroyed. Without
        the journal that was in use, no grant is lent before its holder confirms it.
        """
        self.party = CustodianParty(origin=origin, did=did_jwk(signer.public))
        self._signer = signer
        self._store = store
        self._keys = keys
        self._journal = journal
        self._journaling = threading.Lock()
        self._clock = clock
        self._random = random
        self._lease_length = lease_length
        self._max_reservations = max_reservations
        self.desk = PollDesk(
            store.outbox,
            audience=origin,
            clock=clock,
            loopback_origins_unsafely=loopback_origins_unsafely,
        )
        self._keys.begin(is_new=store.is_empty())
        replay(journal, store, keys, custodian=self.party.did, random=random)
        self._destroy_left_over()

    @property
    def journal_name(self) -> str:
        """The name of the journal's last part, whichever process began it.

        Raises `Unavailable` for another journal than the one in use, and for none.
        """
        name = self._journal.name()
        if name is None:
            raise Unavailable("expected the journal that was in use, found none")
        return name

    def issue_key(self, grant_id: str, token: str) -> str:
        """Give the signed one-time key for a grant to come (`CustodianKey`).

        The first holder to ask owns the id; asked again, it gets the same key.
        """
        asked = KeyRequest.read(token, audience=self.party.origin)
        self._require_path(asked.grant_id, grant_id)
        now = self._clock()
        _require_recent(asked.asked_at, now, "key_request")
        # Before the row: whoever takes an id that a restored database forgot
        # would stand in its true holder's way.
        self._require_free(asked.grant_id, asked.holder)
        row = self._store.reserve(
            Reserved(grant_id=asked.grant_id, holder=asked.holder, reserved_at=now),
            self._max_reservations,
        )
        if row is None:
            raise Unavailable("expected room for one more key, found none")
        if isinstance(row, Ended):
            raise _ended_refusal()
        _require_holder(row, asked.holder)
        if isinstance(row, Kept):
            key = self._key(asked.grant_id)
        else:
            key = self._keys.create(asked.grant_id, self._random, KeyNote(holder=asked.holder))
        return CustodianKey(grant_id=asked.grant_id, key=key.public).sign(self._signer, now=now)

    def register(self, token: str) -> None:
        """Keep a share, sealed to the key that `issue_key` gave. Sent again, nothing changes."""
        registration = Registration.read(token, audience=self.party.origin)
        now = self._clock()
        if registration.valid_until > now + MAX_VALIDITY:
            raise refuse("end-too-far", f"an end within {MAX_VALIDITY.days} days", "later", "exp")
        grant_id = registration.grant_id
        row = self._store.find(grant_id)
        if row is None:
            raise refuse("key-not-issued", "a key asked for before", "none", "grant_id")
        self._require_not_ended(row, now)
        _require_holder(row, registration.holder)
        if isinstance(row, Reserved):
            if now >= registration.valid_until:
                raise refuse("grant-ended", "an end to come", "one gone by", "valid_until")
            self._require_opens(registration)
            self._keys.annotate(
                grant_id,
                _note_of_registration(registration),
            )
            row = self._store.keep(registration)
        match row:
            case Kept() if row.registration == registration:
                return
            case Ended():
                raise _ended_refusal()
            case _:
                raise refuse("already-registered", "the same registration", "another", "grant_id")

    def acknowledge(self, grant_id: str, token: str) -> None:
        """Let reads begin: `token` is the receiver's receipt for the grant registered here."""
        kept = self._require_kept(grant_id)
        rules = kept.registration
        Receipt.read(
            token,
            receiver=rules.receiver,
            grant_id=rules.grant_id,
            grant_digest=rules.grant_digest,
        )
        self._store.receipt(rules.grant_id)

    def lease(self, grant_id: str, token: str) -> str:
        """Count one read and give its signed `Lease`.

        `Refused` codes: `grant-unknown`, `grant-ended`, `signed-by-another`,
        `purpose-differs`, `lease-request-not-fresh`, `receipt-missing`,
        `confirmation-missing`, `grant-suspended`, `reads-used-up`, `lease-request-replayed`.
        """
        kept = self._require_kept(grant_id)
        rules = kept.registration
        asked = LeaseRequest.read(token, audience=self.party.origin, receiver=rules.receiver)
        self._require_path(asked.grant_id, grant_id)
        now = self._clock()
        # It counts once whenever it comes: this bounds what a hoarded one is good for.
        _require_recent(
            asked.asked_at, now, "lease_request", age=BETWEEN_SERVICES, ahead=BETWEEN_SERVICES
        )
        if asked.purpose is not rules.purpose:
            raise refuse("purpose-differs", "the purpose granted", "another", "purpose")
        if not kept.is_confirmed:
            raise _confirmation_missing()
        self._require_running(rules.grant_id)
        key = self._key(rules.grant_id)
        counted = self._keys.reads(rules.grant_id)
        read = self._store.count_read(rules.grant_id, asked.request_id, now, counted)
        if read is None:
            raise self._why_not(rules.grant_id)
        # Beside the keys too, before the lease is given: a restored row counts on from there.
        self._keys.count_read(rules.grant_id)
        # Once more: whoever was told "suspended" meanwhile sees no lease given after it.
        self._require_running(rules.grant_id)
        part = open_share(rules.share, key, rules.grant_id, Role.CUSTODIAN)
        context = f"{asked.request_id} {asked.purpose.value}"
        lease = Lease(
            grant_id=rules.grant_id,
            request_id=asked.request_id,
            purpose=asked.purpose,
            read=read,
            issued_at=now,
            expires_at=min(now + self._lease_length, rules.valid_until),
            share=seal_share(part, asked.reader, rules.grant_id, Role.READER, context),
        ).sign(self._signer)
        if rules.is_single_use:
            self._finish(self._complete(kept, now))
        return lease

    def pause(self, grant_id: str, token: str) -> Pause:
        """Suspend or resume a grant by its holder's word; give the pause that holds now.

        An older one than the last changes nothing: its sequence is lower. Kept beside
        the keys, for a restored database must not resume anything.
        """
        kept = self._require_kept(grant_id)
        pause = read_pause(
            token, grant_id=kept.grant_id, holder=kept.holder, audience=self.party.origin
        )
        found = self._keys.pause(kept.grant_id)
        if found is not None and found >= pause:
            return found
        # Before it holds: whatever happens between the two, the receiver is told.
        receiver = kept.registration.receiver
        self._store.outbox.put([letter_to(receiver, token, pause=pause)])
        return self._keys.add_pause(kept.grant_id, pause)

    def confirm(self, grant_id: str, token: str) -> None:
        """Lend a grant again that its holder says is in force, after the journal was lost.

        `Refused` codes: `grant-unknown`, `grant-ended`, `signed-by-another`,
        `audience-mismatch`, `grant-mismatch`, `confirmation-not-fresh`, `journal-differs`.
        """
        kept = self._require_kept(grant_id)
        said = Confirmation.read(
            token, audience=self.party.origin, holder=kept.holder, grant_id=kept.grant_id
        )
        _require_recent(said.confirmed_at, self._clock(), "confirmation")
        if said.journal != self.journal_name:
            raise refuse("journal-differs", "the journal in use", "another", "journal")
        if said.grant_digest != kept.registration.grant_digest:
            raise refuse("grant-mismatch", "the grant registered here", "another", "grant_digest")
        self._store.confirm(kept.grant_id)

    def usage(self, grant_id: str, token: str) -> str:
        """Say how often a grant was read, to its holder alone; gives the signed `Usage`.

        `Refused` codes: `grant-unknown`, `grant-ended`, `signed-by-another`,
        `audience-mismatch`, `grant-mismatch`, `usage-request-not-fresh`.
        """
        named = grant_id_of(grant_id, "grant_id")
        row = self._store.find(named)
        note = self._note(named, row)
        if note is None:
            raise refuse("grant-unknown", "a grant registered here", "none", "grant_id")
        asked = UsageRequest.read(token, audience=self.party.origin, holder=note.holder)
        self._require_path(asked.grant_id, grant_id)
        now = self._clock()
        _require_recent(asked.asked_at, now, "usage_request")
        if isinstance(row, Kept) and is_due(row, now):
            row = self._end_due(row, now)
        if not isinstance(row, Ended) and self._keys.is_destroyed(named):
            # A restored database does not know how it ended; that it has ended is known.
            raise _ended_refusal()
        pause = self._keys.pause(named)
        state = _standing(row, is_suspended=pause is not None and pause.is_suspended)
        counted = row if isinstance(row, Kept | Ended) else None
        return Usage(
            grant_id=named,
            state=state,
            reads=max(0 if counted is None else counted.reads, self._keys.reads(named)),
            last_read_at=None if counted is None else counted.last_read_at,
            at=now,
            ended_by=row.trigger if isinstance(row, Ended) else None,
            ended_at=row.ended_at if isinstance(row, Ended) else None,
        ).sign(self._signer)

    def end(self, grant_id: str, token: str) -> str:
        """End a grant for ever and give the signed `KeyDestruction`.

        The holder withdraws, the receiver or another whom the terms name completes or
        terminates; asked again, by whichever of them and for whichever reason, the
        first statement is the answer.
        """
        named = grant_id_of(grant_id, "grant_id")
        row = self._store.find(named)
        note = self._note(named, row)
        if note is None:
            raise refuse("grant-unknown", "a grant registered here", "none", "grant_id")
        now = self._clock()
        event = read_end(
            token,
            grant_id=named,
            parties=_parties_of(note),
            audience=self.party.origin,
            now=now,
        )
        if isinstance(row, Kept) and is_due(row, now):
            return self._finish(self._end_due(row, now))
        letters = [] if note.receiver is None else [letter_to(note.receiver, token)]
        if row is None:
            # A restored database has forgotten the grant; what stands beside the key has not.
            forgotten = Reserved(grant_id=named, holder=note.holder, reserved_at=now)
            self._store.reserve(forgotten, _NO_LIMIT)
        at = whole_second(now)
        return self._finish(self._store.end(named, event.trigger, at, letters))

    def hear(self, token: str) -> None:
        """Take an event that somebody passes on; see `set_push.hear`."""
        hear(token, audience=self.party.origin, end=self.end, pause=self.pause)

    def pusher(self, fetcher: Fetcher) -> Pusher:
        """Give what tells receivers of the events that reached us."""
        return Pusher(self._store.outbox, fetcher, clock=self._clock, random=self._random)

    def end_due(self) -> int:
        """End what is past its time and finish ends that a crash interrupted; give how many.

        Called at start and every few seconds. One that cannot be ended now is
        logged and tried again the next time; it stops no other.
        """
        now = self._clock()
        due = self._store.due(now, now - RESERVATION_LENGTH, _ENDED_AT_ONCE)
        ended = 0
        for grant_id in due:
            try:
                self._end_one(grant_id, now)
            except Exception as trouble:  # noqa: BLE001  # whatever it is, the others must end
                _LOG.warning("a grant could not be ended now: %s", type(trouble).__name__)
            else:
                ended += 1
        return ended

    def _end_one(self, grant_id: GrantId, now: datetime) -> None:
        match self._store.find(grant_id):
            case Kept() as kept:
                self._finish(self._end_due(kept, now))
            case Reserved():
                self._finish(self._store.end(grant_id, Trigger.EXPIRED, whole_second(now)))
            case row:
                self._finish(row)

    def _destroy_left_over(self) -> None:
        """Destroy each key that no row in force needs: forgotten, ended, or brought back."""
        for grant_id in self._keys.names():
            try:
                row = self._store.find(grant_id)
                if row is None or isinstance(row, Ended) or self._keys.is_destroyed(grant_id):
                    self._keys.destroy(grant_id)
            except CounterfoilError as trouble:
                _LOG.warning("a key could not be destroyed now: %s", type(trouble).__name__)

    def _note(self, grant_id: GrantId, row: Custody | None) -> KeyNote | None:
        try:
            return self._keys.note(grant_id) or _note_of(row)
        except Unavailable:
            # Without the folder a grant can still be ended; that it is destroyed is said later.
            if row is None:
                raise
            return _note_of(row)

    def _finish(self, row: Custody | None) -> str:
        if not isinstance(row, Ended):
            raise refuse("grant-unknown", "a grant registered here", "none", "grant_id")
        # Marked as ended first, destroyed second, stated third: a crash anywhere
        # between is finished by the next call, and no lease passes meanwhile.
        note = self._keys.note(row.grant_id)
        # The row of a restored database may be from before the registration.
        digest = row.grant_digest or (None if note is None else note.grant_digest)
        if digest is None or row.statement is not None:
            self._keys.forbid(row.grant_id)
        else:
            self._keys.destroy(row.grant_id)
        if row.statement is not None:
            return row.statement
        statement = KeyDestruction(
            grant_id=row.grant_id,
            grant_digest=digest,
            trigger=row.trigger,
            ended_at=row.ended_at,
            destroyed_at=self._clock(),
            leases=max(row.reads, self._keys.reads(row.grant_id)),
        ).sign(self._signer)
        # The first statement is inscribed beside the keys, outside the database: two
        # that finish at once, or a database restored from before, give the same one.
        statement = self._keys.inscribe(row.grant_id, statement)
        # Nobody is told of an end that the journal, outside every backup, does not say.
        with self._journaling:
            # In one step, so that the rows never go back to an earlier place.
            mark = self._journal.append(Tombstone(row.grant_id, statement))
            self._store.set_journal_mark(mark)
        self._store.state_destruction(row.grant_id, statement)
        return statement

    def _end_due(self, kept: Kept, now: datetime) -> Custody | None:
        ends = kept.registration.valid_until
        if now >= ends:
            return self._store.end(kept.grant_id, Trigger.EXPIRED, ends)
        return self._complete(kept, now)

    def _complete(self, kept: Kept, now: datetime) -> Custody | None:
        return self._store.end(kept.grant_id, Trigger.COMPLETED, whole_second(now))

    def _require_running(self, grant_id: GrantId) -> None:
        pause = self._keys.pause(grant_id)
        if pause is not None and pause.is_suspended:
            raise refuse("grant-suspended", "a grant that runs", "one that is paused", "grant_id")

    def _require_kept(self, grant_id: str) -> Kept:
        row = self._store.find(grant_id_of(grant_id, "grant_id"))
        if row is None:
            raise refuse("grant-unknown", "a grant registered here", "none", "grant_id")
        self._require_not_ended(row, self._clock())
        if isinstance(row, Reserved):
            raise refuse("grant-unknown", "a grant registered here", "a key alone", "grant_id")
        if isinstance(row, Ended):  # pragma: no cover - refused two lines above
            raise _ended_refusal()
        return row

    def _require_not_ended(self, row: Custody, now: datetime) -> None:
        if isinstance(row, Kept) and is_due(row, now):
            self._finish(self._end_due(row, now))
            raise _ended_refusal()
        if isinstance(row, Ended) or self._keys.is_destroyed(row.grant_id):
            raise _ended_refusal()

    def _require_opens(self, registration: Registration) -> None:
        # A share that cannot be lent is refused now, not at the first read.
        key = self._key(registration.grant_id)
        open_share(registration.share, key, registration.grant_id, Role.CUSTODIAN)

    def _require_free(self, grant_id: GrantId, holder: Did) -> None:
        if self._keys.is_destroyed(grant_id):
            raise _ended_refusal()
        note = self._keys.note(grant_id)
        if note is not None and note.holder != holder:
            raise refuse("signed-by-another", "the holder of this grant", "another", "iss")

    def _key(self, grant_id: GrantId) -> OpeningKey:
        key = self._keys.find(grant_id)
        if key is not None:
            return key
        if self._keys.is_destroyed(grant_id):
            raise _ended_refusal()
        # Not found is not destroyed: the key may come back with its disk.
        raise Unavailable("expected the grant's one-time key, found neither key nor tombstone")

    def _why_not(self, grant_id: GrantId) -> Refused:
        row = self._store.find(grant_id)
        match row:
            case Kept() if not row.is_receipted:
                return refuse("receipt-missing", "the receiver's receipt first", "none", "grant")
            case Kept() if not row.is_confirmed:
                return _confirmation_missing()
            case Kept() if max(row.reads, self._keys.reads(grant_id)) >= row.registration.max_reads:
                return refuse("reads-used-up", "a read left", "none", "max_reads")
            case Kept() if self._clock() < row.registration.valid_until:
                return refuse("lease-request-replayed", "a new request", "an old one", "jti")
            case _:
                return _ended_refusal()

    def _require_path(self, found: GrantId, in_path: str) -> None:
        if found != in_path:
            raise refuse("grant-mismatch", "the grant in the path", "another", "grant_id")


def _note_of(row: Custody | None) -> KeyNote | None:
    match row:
        case Kept():
            return _note_of_registration(row.registration)
        case Ended():
            return KeyNote(holder=row.holder, receiver=row.receiver, grant_digest=row.grant_digest)
        case Reserved():
            return KeyNote(holder=row.holder)
        case None:
            return None


def _note_of_registration(rules: Registration) -> KeyNote:
    return KeyNote(
        holder=rules.holder,
        receiver=rules.receiver,
        grant_digest=rules.grant_digest,
        completer=rules.completer,
        authority=rules.authority,
    )


def _parties_of(note: KeyNote) -> Parties:
    return Parties(
        holder=note.holder,
        receiver=note.receiver,
        completer=note.receiver if note.completer is None else note.completer,
        authority=note.authority,
    )


def _standing(row: Custody | None, *, is_suspended: bool) -> Custodial:
    match row:
        case Ended():
            return Custodial.ENDED
        case Kept() if row.is_receipted and not row.is_confirmed:
            return Custodial.UNCONFIRMED
        case Kept() if row.is_receipted:
            return Custodial.SUSPENDED if is_suspended else Custodial.ACTIVE
        case _:
            return Custodial.REGISTERED


def _require_holder(row: Custody, holder: Did) -> None:
    if row.holder != holder:
        raise refuse("signed-by-another", "the holder of this grant", "another", "iss")


def _require_recent(
    at: datetime,
    now: datetime,
    where: str,
    *,
    age: timedelta = MAX_REQUEST_AGE,
    ahead: timedelta = SKEW,
) -> None:
    if not now - age <= at <= now + ahead:
        code = f"{where.replace('_', '-')}-not-fresh"
        raise refuse(code, f"a request within {age}", "another time", f"{where}.iat")


def _confirmation_missing() -> Refused:
    expected = "the holder's confirmation, since the journal was lost"
    return refuse("confirmation-missing", expected, "none", "grant_id")


def _ended_refusal() -> Refused:
    return refuse("grant-ended", "a grant in force", "one that has ended", "grant_id")
