"""The custodian: keeps one of two shares, lends it read by read, destroys it at the end.

    issue_key ─► register ─► acknowledge ─► lease, lease, … ─► end

It sees digests, pairwise keys, a purpose and two limits: never data, never who
the customer is. Its own clock ends grants, so that nobody's silence prolongs one.
Every refusal fails closed; only `end` is accepted at any time, and it is final.
"""

from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.dids import Did, did_jwk
from counterfoil_credentials.errors import Refused
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
from counterfoil_consent.events import read_end
from counterfoil_consent.key_folder import KeyFolder
from counterfoil_consent.sealing import Role, open_share, seal_share
from counterfoil_consent.states import Trigger
from counterfoil_consent.store import CustodianStore, Custody, Ended, Kept, Reserved
from counterfoil_consent.terms import CustodianParty
from counterfoil_consent.wire import (
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
_ENDED_AT_ONCE: Final = 100


class Custodian:
    """One custodian: its public origin, its signing key, its rows and its key folder."""

    def __init__(
        self,
        *,
        origin: str,
        signer: Signer,
        store: CustodianStore,
        keys: KeyFolder,
        clock: Clock,
        random: Random,
        lease_length: timedelta = LEASE_LENGTH,
    ) -> None:
        self.party = CustodianParty(origin=origin, did=did_jwk(signer.public))
        self._signer = signer
        self._store = store
        self._keys = keys
        self._clock = clock
        self._random = random
        self._lease_length = lease_length

    def issue_key(self, grant_id: str, token: str) -> str:
        """Give the signed one-time key for a grant to come (`CustodianKey`).

        The first holder to ask owns the id; asked again, it gets the same key.
        """
        asked = KeyRequest.read(token, audience=self.party.origin)
        self._require_path(asked.grant_id, grant_id)
        now = self._clock()
        _require_recent(asked.asked_at, now, "key_request")
        row = self._store.reserve(
            Reserved(grant_id=asked.grant_id, holder=asked.holder, reserved_at=now)
        )
        if isinstance(row, Ended):
            raise _ended_refusal()
        _require_holder(row, asked.holder)
        key = self._keys.create(asked.grant_id, self._random)
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
        `reads-used-up`, `lease-request-replayed`.
        """
        kept = self._require_kept(grant_id)
        rules = kept.registration
        asked = LeaseRequest.read(token, audience=self.party.origin, receiver=rules.receiver)
        self._require_path(asked.grant_id, grant_id)
        now = self._clock()
        _require_recent(asked.asked_at, now, "lease_request")
        if asked.purpose is not rules.purpose:
            raise refuse("purpose-differs", "the purpose granted", "another", "purpose")
        key = self._keys.find(rules.grant_id)
        if key is None:
            # A database from before the end, restored: the key is gone, and that is the truth.
            self._finish(self._store.end(rules.grant_id, Trigger.WITHDRAWN, now))
            raise _ended_refusal()
        read = self._store.count_read(rules.grant_id, asked.request_id, now)
        if read is None:
            raise self._why_not(rules.grant_id)
        part = open_share(rules.share, key, rules.grant_id, Role.CUSTODIAN)
        context = f"{asked.request_id} {asked.purpose.value}"
        return Lease(
            grant_id=rules.grant_id,
            request_id=asked.request_id,
            purpose=asked.purpose,
            read=read,
            issued_at=now,
            expires_at=min(now + self._lease_length, rules.valid_until),
            share=seal_share(part, asked.reader, rules.grant_id, Role.READER, context),
        ).sign(self._signer)

    def end(self, grant_id: str, token: str) -> str:
        """End a grant for ever and give the signed `KeyDestruction`.

        The holder withdraws or the receiver completes; asked again, by whichever
        of them and for whichever reason, the first statement is the answer.
        """
        named = grant_id_of(grant_id, "grant_id")
        row = self._store.find(named)
        if row is None:
            raise refuse("grant-unknown", "a grant registered here", "none", "grant_id")
        now = self._clock()
        event = read_end(
            token,
            grant_id=named,
            holder=row.holder,
            receiver=_receiver_of(row),
            audience=self.party.origin,
            now=now,
        )
        if isinstance(row, Kept) and now >= row.registration.valid_until:
            ended = self._expire(row)
        else:
            ended = self._store.end(named, event.trigger, whole_second(now))
        return self._finish(ended)

    def end_due(self) -> int:
        """End what is past its time and finish ends that a crash interrupted; give how many.

        Called at start and every few seconds.
        """
        now = self._clock()
        due = self._store.due(now, now - RESERVATION_LENGTH, _ENDED_AT_ONCE)
        for grant_id in due:
            match self._store.find(grant_id):
                case Kept() as kept:
                    self._finish(self._expire(kept))
                case Reserved():
                    self._finish(self._store.end(grant_id, Trigger.EXPIRED, whole_second(now)))
                case row:
                    self._finish(row)
        return len(due)

    def _finish(self, row: Custody | None) -> str:
        if not isinstance(row, Ended):
            raise refuse("grant-unknown", "a grant registered here", "none", "grant_id")
        if row.statement is not None:
            return row.statement
        # Marked as ended first, destroyed second, stated third: a crash anywhere
        # between is finished by the next call, and no lease passes meanwhile.
        self._keys.destroy(row.grant_id)
        statement = KeyDestruction(
            grant_id=row.grant_id,
            grant_digest=row.grant_digest,
            trigger=row.trigger,
            ended_at=row.ended_at,
            destroyed_at=self._clock(),
            leases=row.reads,
        ).sign(self._signer)
        # The first statement is inscribed beside the keys, outside the database: two
        # that finish at once, or a database restored from before, give the same one.
        statement = self._keys.inscribe(row.grant_id, statement)
        self._store.state_destruction(row.grant_id, statement)
        return statement

    def _expire(self, kept: Kept) -> Custody | None:
        return self._store.end(kept.grant_id, Trigger.EXPIRED, kept.registration.valid_until)

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
        if isinstance(row, Kept) and now >= row.registration.valid_until:
            self._finish(self._expire(row))
            raise _ended_refusal()
        if isinstance(row, Ended) or self._keys.is_destroyed(row.grant_id):
            raise _ended_refusal()

    def _require_opens(self, registration: Registration) -> None:
        key = self._keys.find(registration.grant_id)
        if key is None:
            raise _ended_refusal()
        # A share that cannot be lent is refused now, not at the first read.
        open_share(registration.share, key, registration.grant_id, Role.CUSTODIAN)

    def _why_not(self, grant_id: GrantId) -> Refused:
        row = self._store.find(grant_id)
        match row:
            case Kept() if not row.is_receipted:
                return refuse("receipt-missing", "the receiver's receipt first", "none", "grant")
            case Kept() if row.reads >= row.registration.max_reads:
                return refuse("reads-used-up", "a read left", "none", "max_reads")
            case Kept() if self._clock() < row.registration.valid_until:
                return refuse("lease-request-replayed", "a new request", "an old one", "jti")
            case _:
                return _ended_refusal()

    def _require_path(self, found: GrantId, in_path: str) -> None:
        if found != in_path:
            raise refuse("grant-mismatch", "the grant in the path", "another", "grant_id")


def _receiver_of(row: Custody) -> Did | None:
    match row:
        case Kept():
            return row.registration.receiver
        case Ended():
            return row.receiver
        case Reserved():
            return None


def _require_holder(row: Custody, holder: Did) -> None:
    if row.holder != holder:
        raise refuse("signed-by-another", "the holder of this grant", "another", "iss")


def _require_recent(at: datetime, now: datetime, where: str) -> None:
    if not now - MAX_REQUEST_AGE <= at <= now + SKEW:
        code = f"{where.replace('_', '-')}-not-fresh"
        raise refuse(code, f"a request within {MAX_REQUEST_AGE}", "another time", f"{where}.iat")


def _ended_refusal() -> Refused:
    return refuse("grant-ended", "a grant in force", "one that has ended", "grant_id")
