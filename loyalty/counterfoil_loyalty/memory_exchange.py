"""The rules of `PointsExchange` in memory: prices, corridors, quotas.

Each method is one function of the contract, its checks in the contract's order.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from counterfoil_credentials.errors import Refused

from counterfoil_loyalty.accounts import Account
from counterfoil_loyalty.actions import (
    AcceptMoney,
    AcknowledgePayment,
    AgreeTerms,
    ChangePrice,
    DrawCollateral,
    EnactPrice,
    EnactTerms,
    ExchangeAction,
    NetClaims,
    PauseExchange,
    SwapPoints,
    TightenCorridor,
    WithdrawCollateral,
)
from counterfoil_loyalty.intents import Terms, Venue
from counterfoil_loyalty.memory_clearing import MemoryClearing
from counterfoil_loyalty.memory_points import Log, require, require_signed
from counterfoil_loyalty.rates import PART, PERIOD_S, Limits, Rate, makes_value
from counterfoil_loyalty.refusals import refusal

Pair = tuple[Account, Account]
Supply = Callable[[Account], int]


@dataclass
class _Listing:
    issuer: Account
    price: int
    version: int = 0
    paused: bool = False
    changed_at: int = 0
    announced: tuple[int, int] | None = None  # price, not before
    announced_version: int = 0


@dataclass
class _Corridor:
    rate: Rate
    version: int
    ends_at: int
    limits: Limits
    paused_by: set[Account] = field(default_factory=set[Account])
    used: int = 0
    epoch: int = 0


class MemoryExchange:
    """What the exchange stores, and what it allows."""

    def __init__(self) -> None:
        self.listings: dict[Account, _Listing] = {}
        self.corridors: dict[Pair, _Corridor] = {}
        self.announced: dict[Pair, tuple[Terms, int]] = {}
        self.announced_versions: defaultdict[Pair, int] = defaultdict(int)
        self.sequences: defaultdict[Account, int] = defaultdict(int)
        self.usage: dict[tuple[Account, Account, Account], tuple[int, int]] = {}
        self.clearing = MemoryClearing()

    def add_points(self, token: Account, issuer: Account, price: int) -> None:
        self.listings[token] = _Listing(issuer, price)

    def issuer_of(self, token: Account) -> Account:
        return self._listing(token).issuer

    def apply(self, action: ExchangeAction, venue: Venue, now: int, supply: Supply) -> list[Log]:
        """Give the events of what a brand does; `supply` tells how many points of a token exist."""
        match action:
            case ChangePrice(change=it):
                return self.set_price(action, venue, supply(it.token), now)
            case EnactPrice(token=token):
                return self.enact_price(action, venue, supply(token), now)
            case AgreeTerms():
                return self.agree(action, venue, now)
            case EnactTerms():
                return self.enact(action, venue, now)
            case TightenCorridor():
                return self.tighten(action, venue, now)
            case PauseExchange():
                return self.pause(action, venue)
            case AcknowledgePayment(paid=paid):
                issuer = self.issuer_of(paid.creditor)
                return self.clearing.acknowledge(action, issuer, venue)
            case NetClaims():
                return self.clearing.net(action, venue)
            case AcceptMoney() | WithdrawCollateral() | DrawCollateral():
                raise Refused(refusal("MoneyElsewhere"))

    def set_price(self, action: ChangePrice, venue: Venue, supply: int, now: int) -> list[Log]:
        change = action.change
        listing = self._listing(change.token)
        self._require_brand(change.token, change.digest(venue), action.signature)
        require(change.version > listing.version, "OldVersion")
        require(change.version > listing.announced_version, "OldVersion")
        near = abs(change.price - listing.price) * PART <= listing.price
        require(change.price > 0 and near, "PriceTooFar")
        if change.price > listing.price:
            listing.announced = (change.price, now + PERIOD_S)
            listing.announced_version = change.version
            values: dict[str, str | int] = {
                "token": change.token,
                "version": change.version,
                "price": change.price,
                "notBefore": now + PERIOD_S,
            }
            return [Log(venue.exchange, "PriceAnnounced", values)]
        waited = now >= listing.changed_at + PERIOD_S
        require(change.price == listing.price or waited, "TooSoon")
        listing.announced_version = change.version
        return [self._put_price(change.token, change.price, venue, supply, now)]

    def enact_price(self, action: EnactPrice, venue: Venue, supply: int, now: int) -> list[Log]:
        listing = self.listings.get(action.token)
        if listing is None or listing.announced is None:
            raise Refused(refusal("NothingAnnounced"))
        price, not_before = listing.announced
        require(now >= not_before, "TooSoon")
        return [self._put_price(action.token, price, venue, supply, now)]

    def agree(self, action: AgreeTerms, venue: Venue, now: int) -> list[Log]:
        terms, digest = action.terms, action.terms.digest(venue)
        pair = (terms.token_in, terms.token_out)
        self._require_brand(terms.token_in, digest, action.signature_in)
        self._require_brand(terms.token_out, digest, action.signature_out)
        self._require_sound(terms, now)
        require(terms.version > self.announced_versions[pair], "OldVersion")
        self.announced_versions[pair] = terms.version
        if not self._waits(terms, now):
            return self._put_terms(terms, venue)
        self.announced[pair] = (terms, now + PERIOD_S)
        values: dict[str, str | int] = {
            **_terms_values(terms),
            "priceFrom": terms.price_in,
            "priceTo": terms.price_out,
            "notBefore": now + PERIOD_S,
        }
        return [Log(venue.exchange, "TermsAnnounced", values)]

    def enact(self, action: EnactTerms, venue: Venue, now: int) -> list[Log]:
        terms = action.terms
        announced, not_before = self.announced.get((terms.token_in, terms.token_out), (None, 0))
        require(announced == terms, "NothingAnnounced")
        require(now >= not_before, "TooSoon")
        self._require_sound(terms, now)
        return self._put_terms(terms, venue)

    def tighten(self, action: TightenCorridor, venue: Venue, now: int) -> list[Log]:
        it = action.tightening
        pair = (it.token_in, it.token_out)
        require(it.by in pair, "NotAParty")
        corridor = self.corridors.get(pair)
        if corridor is None:
            raise Refused(refusal("NoCorridor"))
        self._require_brand(it.by, it.digest(venue), action.signature)
        self._require_next(it.by, it.sequence)
        old = corridor.limits
        if it.ends_at < corridor.ends_at:
            require(it.ends_at >= now + old.notice_s, "TooSoon")
            corridor.ends_at = it.ends_at
        corridor.limits = replace(
            old,
            quota=min(old.quota, it.quota),
            customer_quota=min(old.customer_quota, it.customer_quota),
            credit=min(old.credit, it.credit),
        )
        (corridor.paused_by.add if it.paused else corridor.paused_by.discard)(it.by)
        logs = self.clearing.set_credit(pair, corridor.limits.credit, venue)
        self.announced.pop(pair, None)
        values: dict[str, str | int] = {
            "from": it.token_in,
            "to": it.token_out,
            "by": it.by,
            "quota": corridor.limits.quota,
            "customerQuota": corridor.limits.customer_quota,
            "credit": corridor.limits.credit,
            "endsAt": corridor.ends_at,
            "paused": it.paused,
        }
        return [*logs, Log(venue.exchange, "Tightened", values)]

    def pause(self, action: PauseExchange, venue: Venue) -> list[Log]:
        it = action.pause
        self._require_brand(it.token, it.digest(venue), action.signature)
        self._require_next(it.token, it.sequence)
        self.listings[it.token].paused = it.paused
        values: dict[str, str | int] = {"token": it.token, "paused": it.paused}
        return [Log(venue.exchange, "Paused", values)]

    def use(self, action: SwapPoints, now: int) -> tuple[int, int]:
        """Give what an exchange gives and its value, its quotas used up."""
        swap = action.swap
        pair = (swap.token_in, swap.token_out)
        corridor = self.corridors.get(pair)
        if corridor is None or now >= corridor.ends_at:
            raise Refused(refusal("NoCorridor"))
        require(not corridor.paused_by, "CorridorPaused")
        require(swap.version == corridor.version, "TermsChanged")
        gives, gets = (self.listings[token] for token in pair)
        require(not (gives.paused or gets.paused), "CorridorPaused")
        out = corridor.rate.of(swap.amount_in)
        require(out > 0, "NothingOut")
        require(not makes_value(swap.amount_in, gives.price, out, gets.price), "ValueCreated")
        require(out >= swap.least_out, "BelowMinimum")
        limits, epoch = corridor.limits, now // corridor.limits.epoch_s
        used = corridor.used if corridor.epoch == epoch else 0
        require(swap.amount_in <= max(0, limits.quota - used), "QuotaExceeded")
        corridor.used, corridor.epoch = used + swap.amount_in, epoch
        if limits.customer_quota < limits.quota:
            account = (*pair, swap.holder)
            own, own_epoch = self.usage.get(account, (0, epoch))
            own = own if own_epoch == epoch else 0
            rest = max(0, limits.customer_quota - own)
            require(swap.amount_in <= rest, "CustomerQuotaExceeded")
            self.usage[account] = (own + swap.amount_in, epoch)
        return out, out * gets.price

    def _require_sound(self, terms: Terms, now: int) -> None:
        pair = (terms.token_in, terms.token_out)
        require(terms.token_in != terms.token_out, "SamePoints")
        for token in pair:
            self._listing(token)
        known = self.corridors.get(pair)
        if known is None:
            return
        require(terms.version > known.version, "OldVersion")
        new, old = terms.rate, known.rate
        near = new.numerator * old.denominator * PART >= (
            old.numerator * new.denominator * (PART - 1)
        )
        require(now >= known.ends_at or near, "RateTooFar")

    def _waits(self, terms: Terms, now: int) -> bool:
        known = self.corridors.get((terms.token_in, terms.token_out))
        if known is None or now >= known.ends_at:
            return False
        new, old = terms.limits, known.limits
        lower = (
            terms.rate.numerator * known.rate.denominator
            < known.rate.numerator * terms.rate.denominator
        )
        return (
            lower
            or new.quota > old.quota
            or new.customer_quota > old.customer_quota
            or new.epoch_s != old.epoch_s
            or new.notice_s < old.notice_s
            or new.credit > old.credit
        )

    def _put_terms(self, terms: Terms, venue: Venue) -> list[Log]:
        pair = (terms.token_in, terms.token_out)
        prices = tuple(self.listings[token].price for token in pair)
        require((terms.price_in, terms.price_out) == prices, "PriceMismatch")
        require(terms.rate.is_fair(terms.price_in, terms.price_out), "UnfairRate")
        old = self.corridors.get(pair)
        new = _Corridor(terms.rate, terms.version, terms.ends_at, terms.limits)
        if old is not None:
            new.paused_by = old.paused_by
            if old.limits.epoch_s == terms.limits.epoch_s:
                new.used, new.epoch = old.used, old.epoch
        self.corridors[pair] = new
        self.announced.pop(pair, None)
        logs = self.clearing.set_credit(pair, terms.limits.credit, venue)
        return [*logs, Log(venue.exchange, "Agreed", _terms_values(terms))]

    def _put_price(self, token: Account, price: int, venue: Venue, supply: int, now: int) -> Log:
        listing = self.listings[token]
        old, listing.price = listing.price, price
        listing.version, listing.announced = listing.announced_version, None
        if price != old:
            listing.changed_at = now
        values: dict[str, str | int] = {
            "token": token,
            "version": listing.version,
            "oldPrice": old,
            "price": price,
            "supply": supply,
            "liabilityChange": supply * (price - old),
        }
        return Log(venue.exchange, "PriceSet", values)

    def _listing(self, token: Account) -> _Listing:
        require(token in self.listings, "UnknownPoints")
        return self.listings[token]

    def _require_brand(self, token: Account, digest: bytes, signature: bytes) -> None:
        require_signed(self.issuer_of(token), digest, signature, "InvalidBrandSignature")

    def _require_next(self, token: Account, sequence: int) -> None:
        require(sequence == self.sequences[token], "WrongSequence")
        self.sequences[token] += 1


def _terms_values(terms: Terms) -> dict[str, str | int]:
    return {
        "from": terms.token_in,
        "to": terms.token_out,
        "numerator": terms.rate.numerator,
        "denominator": terms.rate.denominator,
        "version": terms.version,
        "endsAt": terms.ends_at,
        "notice": terms.limits.notice_s,
        "quota": terms.limits.quota,
        "customerQuota": terms.limits.customer_quota,
        "epoch": terms.limits.epoch_s,
        "credit": terms.limits.credit,
    }
