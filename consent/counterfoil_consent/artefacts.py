"""The signed papers between wallet, receiver and custodian, in the order of their use.

    KeyRequest         wallet    ─► custodian   give me the one-time key for this grant
    CustodianKey       custodian ─► wallet      the key that the share is sealed to
    Registration       wallet    ─► custodian   the share, and the rules it is kept under
    Receipt            receiver  ─► wallet ─► custodian    I hold the grant to these terms
    LeaseRequest       receiver  ─► custodian   one read, for this purpose, to this one-time key
    Lease              custodian ─► receiver    the share, counted and short-lived
    Withdrawal, Completion                      see events.py
    StopNotice         receiver  ─► wallet      I stopped at this moment
    KeyDestruction     custodian ─► everybody   the share's key is gone for good

Each is a compact JWS with a type of its own, signed by the key of the did:jwk in
`iss`; `aud` names the custodian's origin where it is sent there. None holds a
claim value. Reading checks the signature and the shape; whether the paper fits
the grant at hand is for the caller.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import (
    JsonObject,
    b64url,
    from_b64url,
    object_at,
    optional_text_at,
    text_at,
)
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.keys import Signer

from counterfoil_consent.parties import did_at
from counterfoil_consent.sealing import SealingKey, share_of
from counterfoil_consent.spec import (
    CUSTODIAN_KEY_TYP,
    DESTRUCTION_TYP,
    KEY_REQUEST_TYP,
    LEASE_REQUEST_TYP,
    LEASE_TYP,
    RECEIPT_TYP,
    REGISTRATION_TYP,
    STOP_TYP,
)
from counterfoil_consent.states import Trigger
from counterfoil_consent.terms import MAX_READS, Purpose
from counterfoil_consent.wire import (
    LONGEST_ID,
    Digest,
    GrantId,
    count_at,
    grant_id_of,
    instant_at,
    read_artefact,
    refuse,
    require_members,
    seconds,
    short_text_at,
    sign_artefact,
)

MAX_LEASE: Final = timedelta(minutes=15)
"""What a receiver believes of a lease's length, whatever the custodian says."""

_YEAR_S: Final = 366 * 24 * 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRequest:
    """The holder asks the custodian for the one-time key of a grant to come."""

    grant_id: GrantId
    holder: Did
    asked_at: datetime

    def sign(self, signer: Signer, *, audience: str) -> str:
        """Sign with the pairwise key."""
        claims: JsonObject = {
            "aud": audience,
            "iat": seconds(self.asked_at),
            "grant_id": self.grant_id,
        }
        return sign_artefact(claims, typ=KEY_REQUEST_TYP, signer=signer)

    @staticmethod
    def read(token: str, *, audience: str) -> "KeyRequest":
        """Read what the key that it names signed."""
        where = "key_request"
        claims = read_artefact(token, typ=KEY_REQUEST_TYP, by=None, where=where)
        require_members(claims, ("iss", "aud", "iat", "grant_id"), where)
        _require_audience(claims, audience, where)
        return KeyRequest(
            grant_id=_grant_id(claims, where),
            holder=Did(text_at(claims, "iss", where)),
            asked_at=instant_at(claims, "iat", where),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodianKey:
    """The custodian's one-time key: a share sealed to it dies with its file."""

    grant_id: GrantId
    key: SealingKey

    def sign(self, signer: Signer, *, now: datetime) -> str:
        """Sign with the custodian's key, so that nobody between can put another in its place."""
        claims: JsonObject = {
            "iat": seconds(now),
            "grant_id": self.grant_id,
            "key": self.key.jwk(),
        }
        return sign_artefact(claims, typ=CUSTODIAN_KEY_TYP, signer=signer)

    @staticmethod
    def read(token: str, *, custodian: Did, grant_id: GrantId) -> "CustodianKey":
        """Read what `custodian` signed for `grant_id`."""
        where = "custodian_key"
        claims = read_artefact(token, typ=CUSTODIAN_KEY_TYP, by=custodian, where=where)
        require_members(claims, ("iss", "iat", "grant_id", "key"), where)
        require_grant(_grant_id(claims, where), grant_id, where)
        return CustodianKey(
            grant_id=grant_id,
            key=SealingKey.from_jwk(object_at(claims, "key", where), f"{where}.key"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """The share, and all that the custodian learns: digests, keys, one purpose, two limits.

    `completer` and `authority` may end the grant beside its holder and its receiver;
    without a completer the receiver completes.
    """

    grant_id: GrantId
    holder: Did
    receiver: Did
    grant_digest: Digest
    purpose: Purpose
    valid_until: datetime
    max_reads: int
    share: bytes = field(repr=False)
    completer: Did | None = None
    authority: Did | None = None
    is_single_use: bool = False

    def sign(self, signer: Signer, *, audience: str, now: datetime) -> str:
        """Sign with the pairwise key."""
        claims: JsonObject = {
            "aud": audience,
            "iat": seconds(now),
            "grant_id": self.grant_id,
            "receiver": self.receiver,
            "grant_digest": self.grant_digest,
            "purpose": self.purpose.value,
            "valid_until": seconds(self.valid_until),
            "max_reads": self.max_reads,
            "share": b64url(self.share),
        }
        if self.completer is not None:
            claims["completer"] = self.completer
        if self.authority is not None:
            claims["authority"] = self.authority
        if self.is_single_use:
            claims["single_use"] = True
        return sign_artefact(claims, typ=REGISTRATION_TYP, signer=signer)

    @staticmethod
    def read(token: str, *, audience: str) -> "Registration":
        """Read what the key that it names signed."""
        where = "registration"
        claims = read_artefact(token, typ=REGISTRATION_TYP, by=None, where=where)
        members = (
            *("iss", "aud", "iat", "grant_id", "receiver", "grant_digest"),
            *("purpose", "valid_until", "max_reads", "share"),
        )
        others = ("completer", "authority", "single_use")
        require_members(claims, members, where, optional=others)
        _require_audience(claims, audience, where)
        reads = count_at(claims, "max_reads", where, least=1, most=MAX_READS)
        is_single_use = claims.get("single_use", False)
        if not isinstance(is_single_use, bool) or (is_single_use and reads != 1):
            raise Malformed("true, with one read", "another", f"{where}.single_use")
        share = from_b64url(text_at(claims, "share", where), f"{where}.share")
        return Registration(
            grant_id=_grant_id(claims, where),
            holder=Did(text_at(claims, "iss", where)),
            receiver=did_at(claims, "receiver", where),
            grant_digest=_digest(claims, "grant_digest", where),
            purpose=_purpose(claims, where),
            valid_until=instant_at(claims, "valid_until", where),
            max_reads=reads,
            share=share_of(share, f"{where}.share"),
            completer=_optional_did(claims, "completer", where),
            authority=_optional_did(claims, "authority", where),
            is_single_use=is_single_use,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The receiver's word: it holds this grant and bundle, and erases in time after the end."""

    grant_id: GrantId
    grant_digest: Digest
    bundle_digest: Digest
    received_at: datetime
    erase_within_s: int

    def sign(self, signer: Signer) -> str:
        """Sign with the receiver's key."""
        claims: JsonObject = {
            "iat": seconds(self.received_at),
            "grant_id": self.grant_id,
            "grant_digest": self.grant_digest,
            "bundle_digest": self.bundle_digest,
            "erase_within_s": self.erase_within_s,
        }
        return sign_artefact(claims, typ=RECEIPT_TYP, signer=signer)

    @staticmethod
    def read(token: str, *, receiver: Did, grant_id: GrantId, grant_digest: Digest) -> "Receipt":
        """Read what `receiver` signed about this grant."""
        where = "receipt"
        claims = read_artefact(token, typ=RECEIPT_TYP, by=receiver, where=where)
        require_members(
            claims,
            ("iss", "iat", "grant_id", "grant_digest", "bundle_digest", "erase_within_s"),
            where,
        )
        require_grant(_grant_id(claims, where), grant_id, where)
        if text_at(claims, "grant_digest", where) != grant_digest:
            raise refuse("grant-mismatch", "this grant", "another", f"{where}.grant_digest")
        return Receipt(
            grant_id=grant_id,
            grant_digest=grant_digest,
            bundle_digest=_digest(claims, "bundle_digest", where),
            received_at=instant_at(claims, "iat", where),
            erase_within_s=count_at(claims, "erase_within_s", where, most=_YEAR_S),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRequest:
    """The receiver asks for one read. `reader` is a key that lives for this read alone."""

    grant_id: GrantId
    request_id: str
    purpose: Purpose
    reader: SealingKey
    asked_at: datetime

    def sign(self, signer: Signer, *, audience: str) -> str:
        """Sign with the receiver's key."""
        claims: JsonObject = {
            "aud": audience,
            "iat": seconds(self.asked_at),
            "jti": self.request_id,
            "grant_id": self.grant_id,
            "purpose": self.purpose.value,
            "reader": self.reader.jwk(),
        }
        return sign_artefact(claims, typ=LEASE_REQUEST_TYP, signer=signer)

    @staticmethod
    def read(token: str, *, audience: str, receiver: Did) -> "LeaseRequest":
        """Read what `receiver` signed."""
        where = "lease_request"
        claims = read_artefact(token, typ=LEASE_REQUEST_TYP, by=receiver, where=where)
        require_members(
            claims, ("iss", "aud", "iat", "jti", "grant_id", "purpose", "reader"), where
        )
        _require_audience(claims, audience, where)
        return LeaseRequest(
            grant_id=_grant_id(claims, where),
            request_id=short_text_at(claims, "jti", where, most=LONGEST_ID),
            purpose=_purpose(claims, where),
            reader=SealingKey.from_jwk(object_at(claims, "reader", where), f"{where}.reader"),
            asked_at=instant_at(claims, "iat", where),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """One read: the custodian's share, sealed to the one-time reader key. `read` counts from 1.

    Its times are by the clock of who has it. A lease that was read began when its reader
    asked, and lasts as long as the custodian said: two clocks that differ make none longer.
    """

    grant_id: GrantId
    request_id: str
    purpose: Purpose
    read: int
    issued_at: datetime
    expires_at: datetime
    share: bytes = field(repr=False)

    def sign(self, signer: Signer) -> str:
        """Sign with the custodian's key."""
        claims: JsonObject = {
            "iat": seconds(self.issued_at),
            "exp": seconds(self.expires_at),
            "jti": self.request_id,
            "grant_id": self.grant_id,
            "purpose": self.purpose.value,
            "read": self.read,
            "share": b64url(self.share),
        }
        return sign_artefact(claims, typ=LEASE_TYP, signer=signer)

    @staticmethod
    def of_token(token: str, *, custodian: Did, asked: LeaseRequest, now: datetime) -> "Lease":
        """Read what `custodian` signed in answer to `asked`, and only while it lasts."""
        where = "lease"
        claims = read_artefact(token, typ=LEASE_TYP, by=custodian, where=where)
        require_members(
            claims,
            ("iss", "iat", "exp", "jti", "grant_id", "purpose", "read", "share"),
            where,
        )
        require_grant(_grant_id(claims, where), asked.grant_id, where)
        if text_at(claims, "jti", where) != asked.request_id:
            raise refuse("lease-mismatch", "this request's lease", "another", f"{where}.jti")
        if _purpose(claims, where) is not asked.purpose:
            raise refuse("purpose-mismatch", asked.purpose, "another", f"{where}.purpose")
        lasts = instant_at(claims, "exp", where) - instant_at(claims, "iat", where)
        if lasts > MAX_LEASE:
            most = f"a lease of {MAX_LEASE} at most"
            raise refuse("lease-too-long", most, "a longer one", f"{where}.exp")
        expires_at = asked.asked_at + lasts
        if now >= expires_at:
            raise refuse("lease-expired", "a lease in force", "an old one", f"{where}.exp")
        share = from_b64url(text_at(claims, "share", where), f"{where}.share")
        return Lease(
            grant_id=asked.grant_id,
            request_id=asked.request_id,
            purpose=asked.purpose,
            read=count_at(claims, "read", where, least=1, most=MAX_READS),
            issued_at=asked.asked_at,
            expires_at=expires_at,
            share=share_of(share, f"{where}.share"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StopNotice:
    """The receiver acknowledges an end: processing stopped at `stopped_at`."""

    grant_id: GrantId
    event_id: str
    trigger: Trigger
    stopped_at: datetime

    def sign(self, signer: Signer) -> str:
        """Sign with the receiver's key."""
        claims: JsonObject = {
            "grant_id": self.grant_id,
            "event": self.event_id,
            "trigger": self.trigger.value,
            "stopped_at": seconds(self.stopped_at),
        }
        return sign_artefact(claims, typ=STOP_TYP, signer=signer)

    @staticmethod
    def read(token: str, *, receiver: Did, grant_id: GrantId) -> "StopNotice":
        """Read what `receiver` signed about this grant."""
        where = "stop"
        claims = read_artefact(token, typ=STOP_TYP, by=receiver, where=where)
        require_members(claims, ("iss", "grant_id", "event", "trigger", "stopped_at"), where)
        require_grant(_grant_id(claims, where), grant_id, where)
        return StopNotice(
            grant_id=grant_id,
            event_id=short_text_at(claims, "event", where, most=LONGEST_ID),
            trigger=trigger_at(claims, where),
            stopped_at=instant_at(claims, "stopped_at", where),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDestruction:
    """The custodian's statement: the share's key is destroyed, the grant is a tombstone.

    `leases` counts the reads ever allowed. `grant_digest` is None for a grant
    that ended before it was registered.
    """

    grant_id: GrantId
    grant_digest: Digest | None
    trigger: Trigger
    ended_at: datetime
    destroyed_at: datetime
    leases: int

    def sign(self, signer: Signer) -> str:
        """Sign with the custodian's key."""
        claims: JsonObject = {
            "iat": seconds(self.destroyed_at),
            "grant_id": self.grant_id,
            "trigger": self.trigger.value,
            "ended_at": seconds(self.ended_at),
            "leases": self.leases,
            "tombstone": True,
        }
        if self.grant_digest is not None:
            claims["grant_digest"] = self.grant_digest
        return sign_artefact(claims, typ=DESTRUCTION_TYP, signer=signer)

    @staticmethod
    def read(token: str, *, custodian: Did, grant_id: GrantId) -> "KeyDestruction":
        """Read what `custodian` signed about this grant."""
        where = "key_destruction"
        claims = read_artefact(token, typ=DESTRUCTION_TYP, by=custodian, where=where)
        require_members(
            claims,
            ("iss", "iat", "grant_id", "trigger", "ended_at", "leases", "tombstone"),
            where,
            optional=("grant_digest",),
        )
        require_grant(_grant_id(claims, where), grant_id, where)
        if claims["tombstone"] is not True:
            raise Malformed("true", "another value", f"{where}.tombstone")
        digest = optional_text_at(claims, "grant_digest", where)
        return KeyDestruction(
            grant_id=grant_id,
            grant_digest=None if digest is None else Digest(digest),
            trigger=trigger_at(claims, where),
            ended_at=instant_at(claims, "ended_at", where),
            destroyed_at=instant_at(claims, "iat", where),
            leases=count_at(claims, "leases", where, most=MAX_READS),
        )


def require_grant(found: GrantId, expected: GrantId, where: str) -> None:
    """Return only if a paper is about the grant at hand."""
    if found != expected:
        raise refuse("grant-mismatch", "this grant", "another", f"{where}.grant_id")


def trigger_at(claims: JsonObject, where: str) -> Trigger:
    """Give the trigger in a paper."""
    try:
        return Trigger(text_at(claims, "trigger", where))
    except ValueError as cause:
        raise Malformed("a known trigger", "another", f"{where}.trigger") from cause


def _optional_did(claims: JsonObject, name: str, where: str) -> Did | None:
    return did_at(claims, name, where) if name in claims else None


def _grant_id(claims: JsonObject, where: str) -> GrantId:
    return grant_id_of(text_at(claims, "grant_id", where), f"{where}.grant_id")


def _digest(claims: JsonObject, name: str, where: str) -> Digest:
    text = text_at(claims, name, where)
    if len(from_b64url(text, f"{where}.{name}")) != 32:
        raise Malformed("a SHA-256 in base64url", "another size", f"{where}.{name}")
    return Digest(text)


def _purpose(claims: JsonObject, where: str) -> Purpose:
    try:
        return Purpose(text_at(claims, "purpose", where))
    except ValueError as cause:
        raise Malformed("a known purpose", "another", f"{where}.purpose") from cause


def _require_audience(claims: JsonObject, audience: str, where: str) -> None:
    if text_at(claims, "aud", where) != audience:
        raise refuse("audience-mismatch", "this custodian", "another", f"{where}.aud")
