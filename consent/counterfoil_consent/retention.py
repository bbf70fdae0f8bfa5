"""What a law makes the receiver keep after the end: sealed under a key of its own, until a date.

    with receiver.read(grant_id, purpose) as facts:
        receiver.keep(facts, Duty(law="DE AO §147", kind=ClaimKind.PURCHASE, claims=(PRICE,),
                                  event_at=sold_at))
    ...
    with receiver.read_kept(grant_id, "DE AO §147", Purpose.LEGAL_COMPLIANCE) as facts:

Only what the law speaks of, no longer than it asks for, for `dpv:LegalCompliance` and
nothing else. The key lies in a folder of its own beside the sealing keys, out of every
backup, and is destroyed at the date: then a second receipt says so.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_object,
    b64url,
    canonical_json,
    from_b64url,
    list_at,
    object_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import Misuse, Reason, Refused

from counterfoil_consent.facts import Facts, LeaseCount
from counterfoil_consent.laws import LAWS, ClaimKind
from counterfoil_consent.sealing import OpeningKey, Role, open_share, seal_share
from counterfoil_consent.states import Agreement, Retained
from counterfoil_consent.terms import ClaimName, Purpose, claim_name_of
from counterfoil_consent.wire import (
    Clock,
    GrantId,
    grant_id_of,
    refuse,
    require_members,
    whole_second,
)

MOST_KEPT: Final = 20
# Nobody lends what a law makes somebody keep: no custodian counts it.
NO_LEASE: Final = LeaseCount(0, 0)
_WHERE: Final = "kept"
_SKEW: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """One duty: the law's name, what kind of claims it is about, which, since which event.

    `event_at` is what the law counts from: the sale, the entry in the register.
    """

    law: str
    kind: ClaimKind
    claims: tuple[ClaimName, ...]
    event_at: datetime

    def item(self, agreement: Agreement, now: datetime) -> Retained:
        """Give what receipts will say, with its end.

        Raises `Refused`: `law-unknown`, `law-elsewhere`, `kind-not-kept`,
        `claims-unknown`, `event-to-come` or `duty-over`.
        """
        where = f"{_WHERE}.law"
        law = LAWS.get(self.law)
        if law is None:
            raise refuse("law-unknown", "a law of the table", "another", where)
        until = whole_second(law.latest_end(self.event_at))
        jurisdiction = agreement.terms.jurisdiction
        reasons: list[Reason] = []
        if not law.holds_in(jurisdiction):
            reasons.append(Reason("law-elsewhere", jurisdiction, law.place, where))
        if self.kind not in law.kinds:
            kinds = ", ".join(sorted(law.kinds))
            reasons.append(Reason("kind-not-kept", kinds, self.kind, f"{_WHERE}.kind"))
        if not self.claims or not set(self.claims) <= agreement.terms.claim_names:
            where = f"{_WHERE}.claims"
            reasons.append(Reason("claims-unknown", "claims granted", "none or others", where))
        if self.event_at > now + _SKEW:
            where = f"{_WHERE}.event_at"
            reasons.append(Reason("event-to-come", "an event by now", "a later one", where))
        if until <= now:
            reasons.append(Reason("duty-over", "an end to come", "one gone by", f"{_WHERE}.until"))
        if reasons:
            raise Refused(*reasons)
        claims = tuple(sorted(set(self.claims), key=str))
        return Retained(claims=claims, kind=self.kind, law=self.law, until=until)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSubset:
    """What is kept under one law, as stored: ciphertext, and the name of the key that opens it."""

    item: Retained
    key_id: GrantId
    sealed: bytes = field(repr=False)

    def to_json(self) -> JsonObject:
        """Give the subset for storage."""
        sealed = b64url(self.sealed)
        return {"item": self.item.to_json(), "key_id": self.key_id, "sealed": sealed}

    @staticmethod
    def from_json(obj: JsonObject, where: str) -> "KeptSubset":
        """Read a stored subset."""
        require_members(obj, ("item", "key_id", "sealed"), where)
        return KeptSubset(
            item=Retained.from_json(object_at(obj, "item", where), f"{where}.item"),
            key_id=grant_id_of(text_at(obj, "key_id", where), f"{where}.key_id"),
            sealed=from_b64url(text_at(obj, "sealed", where), f"{where}.sealed"),
        )


def seal_kept(facts: Facts, item: Retained, *, key_id: GrantId, key: OpeningKey) -> KeptSubset:
    """Seal the claims of `item`, and no others, to `key`; `Misuse` outside the facts' block."""
    listed: list[Json] = [{**name.to_json(), "values": facts.all(name)} for name in item.claims]
    plain = canonical_json({"kept": listed})
    sealed = seal_share(plain, key.public, facts.grant_id, Role.KEPT, f"{key_id} {item.law}")
    return KeptSubset(item=item, key_id=key_id, sealed=sealed)


def open_kept(
    kept: KeptSubset, grant_id: GrantId, purpose: Purpose, *, key: OpeningKey, clock: Clock
) -> Facts:
    """Give what is kept, for legal compliance and until its date.

    Raises `Refused` with `purpose-differs`, `duty-over` or `share-does-not-open`.
    """
    if purpose is not Purpose.LEGAL_COMPLIANCE:
        raise refuse("purpose-differs", Purpose.LEGAL_COMPLIANCE, "another", "purpose")
    if clock() >= kept.item.until:
        raise refuse("duty-over", "an end to come", "one gone by", f"{_WHERE}.until")
    plain = open_share(kept.sealed, key, grant_id, Role.KEPT, f"{kept.key_id} {kept.item.law}")
    values: dict[ClaimName, list[Json]] = {}
    for value in list_at(parse_object(plain, _WHERE), "kept", _WHERE):
        item = as_object(value, _WHERE)
        given = list_at(item, "values", _WHERE)
        name = {part: content for part, content in item.items() if part != "values"}
        values[claim_name_of(name, _WHERE)] = given
    return Facts(values, NO_LEASE, grant_id, is_over=lambda: clock() >= kept.item.until)


def require_room(kept: tuple[KeptSubset, ...], law: str) -> None:
    """Return only if a grant has room for one more, and nothing under this law yet."""
    if len(kept) >= MOST_KEPT or any(each.item.law == law for each in kept):
        raise Misuse(f"expected at most {MOST_KEPT} duties, each law once, found more")
