"""What a receiver gives a recipient that the terms name: a signed word, and sealed facts.

The word says whose grant it is, for what, until when, and who may end it, so that the
recipient can tell a true end from a forged one. The facts are sealed to a key that the
recipient made for this grant alone. Nothing in the word is a claim value.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_object,
    canonical_json,
    list_at,
    object_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.keys import Signer

from counterfoil_consent.events import Parties
from counterfoil_consent.facts import Facts
from counterfoil_consent.parties import did_at
from counterfoil_consent.retention import NO_LEASE
from counterfoil_consent.sealing import OpeningKey, Role, SealingKey, open_share, seal_share
from counterfoil_consent.spec import HANDOVER_TYP
from counterfoil_consent.states import Agreement
from counterfoil_consent.terms import ClaimName, Purpose, claim_name_of
from counterfoil_consent.wire import (
    Clock,
    GrantId,
    grant_id_of,
    instant_at,
    read_artefact,
    refuse,
    require_members,
    seconds,
    sign_artefact,
)

MAX_SEALED_BYTES: Final = 786_432
_WHERE: Final = "handover"
_MOST_CLAIMS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """The receiver's word about what it hands over: `claims` of one grant, to one recipient."""

    grant_id: GrantId
    receiver: Did
    recipient: Did
    holder: Did
    completer: Did
    authority: Did | None
    purpose: Purpose
    claims: tuple[ClaimName, ...]
    valid_until: datetime

    @property
    def parties(self) -> Parties:
        """Who may end the grant."""
        return Parties(
            holder=self.holder,
            receiver=self.receiver,
            completer=self.completer,
            authority=self.authority,
        )

    @staticmethod
    def of(agreement: Agreement, recipient: Did, claims: tuple[ClaimName, ...]) -> "Handover":
        """Give the word for `claims` of a grant."""
        terms = agreement.terms
        return Handover(
            grant_id=agreement.grant_id,
            receiver=terms.receiver.did,
            recipient=recipient,
            holder=agreement.holder,
            completer=terms.completer,
            authority=None if terms.authority is None else terms.authority.did,
            purpose=terms.purpose,
            claims=claims,
            valid_until=terms.valid_until,
        )

    def sign(self, signer: Signer, now: datetime) -> str:
        """Sign with the receiver's key."""
        claims: JsonObject = {
            "aud": self.recipient,
            "iat": seconds(now),
            "grant": {"id": self.grant_id},
            "holder": self.holder,
            "completer": self.completer,
            "purpose": self.purpose.value,
            "claims": [name.to_json() for name in self.claims],
            "valid_until": seconds(self.valid_until),
        }
        if self.authority is not None:
            claims["authority"] = self.authority
        return sign_artefact(claims, typ=HANDOVER_TYP, signer=signer)

    @staticmethod
    def read(token: str, *, recipient: Did) -> "Handover":
        """Read what the receiver that names itself signed for `recipient`."""
        claims = read_artefact(token, typ=HANDOVER_TYP, by=None, where=_WHERE)
        required = ("iss", "aud", "iat", "grant", "holder", "completer", "purpose", "claims")
        require_members(claims, (*required, "valid_until"), _WHERE, optional=("authority",))
        if text_at(claims, "aud", _WHERE) != recipient:
            raise refuse("audience-mismatch", "this recipient", "another", f"{_WHERE}.aud")
        grant = object_at(claims, "grant", _WHERE)
        require_members(grant, ("id",), f"{_WHERE}.grant")
        try:
            purpose = Purpose(text_at(claims, "purpose", _WHERE))
        except ValueError as cause:
            raise Malformed("a known purpose", "another", f"{_WHERE}.purpose") from cause
        return Handover(
            grant_id=grant_id_of(text_at(grant, "id", f"{_WHERE}.grant"), f"{_WHERE}.grant.id"),
            receiver=did_at(claims, "iss", _WHERE),
            recipient=recipient,
            holder=did_at(claims, "holder", _WHERE),
            completer=did_at(claims, "completer", _WHERE),
            authority=did_at(claims, "authority", _WHERE) if "authority" in claims else None,
            purpose=purpose,
            claims=_claims(claims),
            valid_until=instant_at(claims, "valid_until", _WHERE),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOver:
    """What travels to the recipient: the signed word, and the facts sealed to its key."""

    token: str = field(repr=False)
    sealed: bytes = field(repr=False)


def seal_handover(facts: Facts, handover: Handover, to: SealingKey) -> bytes:
    """Seal the claims of `handover`, and no others, to the recipient's key for this grant."""
    listed: list[Json] = [{**name.to_json(), "values": facts.all(name)} for name in handover.claims]
    plain = canonical_json({"handed": listed})
    return seal_share(plain, to, handover.grant_id, Role.RECIPIENT, handover.recipient)


def open_handover(sealed: bytes, handover: Handover, key: OpeningKey, clock: Clock) -> Facts:
    """Give what was handed over, until the end of the term.

    `Refused` with `share-does-not-open` for another's, `claims-differ` for other claims.
    """
    if len(sealed) > MAX_SEALED_BYTES:
        raise Malformed(f"at most {MAX_SEALED_BYTES} bytes", f"{len(sealed)} bytes", _WHERE)
    plain = open_share(sealed, key, handover.grant_id, Role.RECIPIENT, handover.recipient)
    values: dict[ClaimName, list[Json]] = {}
    for value in list_at(parse_object(plain, _WHERE, max_bytes=MAX_SEALED_BYTES), "handed", _WHERE):
        item = as_object(value, _WHERE)
        name = {part: content for part, content in item.items() if part != "values"}
        values[claim_name_of(name, _WHERE)] = list_at(item, "values", _WHERE)
    if set(values) != set(handover.claims):
        raise refuse("claims-differ", "the claims that the word names", "others", _WHERE)
    over = handover.valid_until
    return Facts(values, NO_LEASE, handover.grant_id, is_over=lambda: clock() >= over)


def _claims(claims: JsonObject) -> tuple[ClaimName, ...]:
    where = f"{_WHERE}.claims"
    listed = list_at(claims, "claims", _WHERE)
    if not 1 <= len(listed) <= _MOST_CLAIMS:
        raise Malformed(f"1 to {_MOST_CLAIMS} claims", f"{len(listed)}", where)
    return tuple(claim_name_of(as_object(value, where), where) for value in listed)
