"""What stands between brands now: who paused what, what waits, which number comes next.

    standing = standing_of(store.standing())
    standing.paused_by((audio, bicycle))

It is a fold over the few events by which brands change their prices, corridors and
policies, in their order; what customers do is not among them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from counterfoil_loyalty.accounts import Account
from counterfoil_loyalty.intents import Terms
from counterfoil_loyalty.issuing import Policy
from counterfoil_loyalty.ledger import Event
from counterfoil_loyalty.rates import Limits, Rate

STANDING_EVENTS = frozenset(
    {"PriceAnnounced", "PriceSet", "TermsAnnounced", "Agreed", "Tightened", "Paused", "Governed"}
)
"""The events that change what stands."""

Pair = tuple[Account, Account]


@dataclass(frozen=True, slots=True)
class AnnouncedPrice:
    """A price that may come into force from `not_before` (unix seconds)."""

    price: int
    version: int
    not_before: int


@dataclass(frozen=True, slots=True)
class BrandStanding:
    """One brand. `sequence` is the number of its next pause or tightening.

    `price_version` is the highest that was used. `policy` is None while the key that
    registered the brand is admin and issuer.
    """

    is_paused: bool = False
    sequence: int = 0
    price_version: int = 0
    announced: AnnouncedPrice | None = None
    policy: Policy | None = None
    awards_paused: bool = False


@dataclass(frozen=True, slots=True)
class CorridorStanding:
    """One corridor in force: its limits, its end (unix seconds) and the brands that paused it."""

    version: int
    limits: Limits
    ends_at: int
    paused_by: frozenset[Account] = frozenset()


@dataclass(frozen=True, slots=True)
class AnnouncedTerms:
    """Terms that both brands signed. `waits` until they are in force, or forgotten."""

    terms: Terms
    not_before: int
    waits: bool = True


@dataclass(frozen=True, slots=True)
class Standing:
    """All brands and corridors; a brand that never changed anything is not in it."""

    brands: Mapping[Account, BrandStanding]
    corridors: Mapping[Pair, CorridorStanding]
    announced: Mapping[Pair, AnnouncedTerms]

    def brand(self, token: Account) -> BrandStanding:
        return self.brands.get(token, BrandStanding())

    def paused_by(self, pair: Pair) -> frozenset[Account]:
        """Give the brands, by their points, that keep a corridor closed for now."""
        corridor = self.corridors.get(pair)
        own = frozenset[Account]() if corridor is None else corridor.paused_by
        return own | {token for token in pair if self.brand(token).is_paused}


def standing_of(events: Iterable[Event]) -> Standing:
    """Give what `events` (each of `STANDING_EVENTS`, in their order) add up to."""
    brands: dict[Account, BrandStanding] = {}
    corridors: dict[Pair, CorridorStanding] = {}
    announced: dict[Pair, AnnouncedTerms] = {}
    for event in events:
        match event.name:
            case "PriceAnnounced" | "PriceSet" | "Paused" | "Governed":
                token = Account(str(event.values.get("token", event.contract)))
                brands[token] = _brand_after(brands.get(token, BrandStanding()), event)
            case "TermsAnnounced":
                announced[_pair(event)] = AnnouncedTerms(_terms(event), _int(event, "notBefore"))
            case "Agreed":
                pair = _pair(event)
                before = corridors.get(pair)
                paused_by = frozenset[Account]() if before is None else before.paused_by
                corridors[pair] = CorridorStanding(
                    _int(event, "version"), _limits(event), _int(event, "endsAt"), paused_by
                )
                _forget(announced, pair)
            case "Tightened":
                pair, by = _pair(event), Account(str(event.values["by"]))
                corridors[pair] = _tightened(corridors[pair], by, event)
                _forget(announced, pair)
                brand = brands.get(by, BrandStanding())
                brands[by] = replace(brand, sequence=brand.sequence + 1)
            case _:
                continue
    return Standing(brands, corridors, announced)


def _brand_after(brand: BrandStanding, event: Event) -> BrandStanding:
    match event.name:
        case "PriceAnnounced":
            version = _int(event, "version")
            price = AnnouncedPrice(_int(event, "price"), version, _int(event, "notBefore"))
            return replace(brand, price_version=version, announced=price)
        case "PriceSet":
            return replace(brand, price_version=_int(event, "version"), announced=None)
        case "Governed":
            policy = _policy(event)
            return replace(brand, policy=policy, awards_paused=policy.is_paused)
        case "Paused" if "token" in event.values:
            is_paused = bool(_int(event, "paused"))
            return replace(brand, is_paused=is_paused, sequence=brand.sequence + 1)
        case _:
            # The same word, said by the points themselves: their awards wait.
            return replace(brand, awards_paused=True)


def _tightened(corridor: CorridorStanding, by: Account, event: Event) -> CorridorStanding:
    limits = replace(
        corridor.limits,
        quota=_int(event, "quota"),
        customer_quota=_int(event, "customerQuota"),
        credit=_int(event, "credit"),
    )
    mine = frozenset({by})
    paused = bool(_int(event, "paused"))
    paused_by = corridor.paused_by | mine if paused else corridor.paused_by - mine
    return replace(corridor, limits=limits, ends_at=_int(event, "endsAt"), paused_by=paused_by)


def _forget(announced: dict[Pair, AnnouncedTerms], pair: Pair) -> None:
    if pair in announced:
        announced[pair] = replace(announced[pair], waits=False)


def _policy(event: Event) -> Policy:
    values = event.values
    return Policy(
        token=event.contract,
        admin=Account(str(values["admin"])),
        issuer=Account(str(values["issuer"])),
        version=_int(event, "version"),
        earn_roots=Account(str(values["earnRoots"])),
        capacity=_int(event, "capacity"),
        refill_s=_int(event, "refill"),
        inactivity_s=_int(event, "inactivity"),
        is_paused=bool(_int(event, "paused")),
    )


def _terms(event: Event) -> Terms:
    token_in, token_out = _pair(event)
    return Terms(
        token_in=token_in,
        token_out=token_out,
        rate=Rate(_int(event, "numerator"), _int(event, "denominator")),
        price_in=_int(event, "priceFrom"),
        price_out=_int(event, "priceTo"),
        version=_int(event, "version"),
        ends_at=_int(event, "endsAt"),
        limits=_limits(event),
    )


def _limits(event: Event) -> Limits:
    return Limits(
        quota=_int(event, "quota"),
        customer_quota=_int(event, "customerQuota"),
        epoch_s=_int(event, "epoch"),
        notice_s=_int(event, "notice"),
        credit=_int(event, "credit"),
    )


def _pair(event: Event) -> Pair:
    return Account(str(event.values["from"])), Account(str(event.values["to"]))


def _int(event: Event, name: str) -> int:
    return int(event.values[name])
