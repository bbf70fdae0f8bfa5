"""W14: what she has with each brand and together, when it expires, and what moved it.

Made of what was last seen; only `plug_in`'s points ask anybody, when a page says so.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final

from counterfoil_credentials.errors import Misuse
from counterfoil_loyalty import CustomerPoints, Points
from counterfoil_loyalty.purse_views import Balance, Line, Promise, Source
from counterfoil_wallet import Wallet, printable

from counterfoil_demo.houses import POINTS
from counterfoil_demo.pages.words import Words, marked
from counterfoil_demo.phone.brands import brand_of
from counterfoil_demo.phone.pocket import Pocket
from counterfoil_demo.programmes import CURRENCY, PROGRAMMES

_MILLION: Final = 1_000_000
_STALE: Final = timedelta(minutes=5)
_SAID: Final[Mapping[Source, tuple[str, str]]] = {
    Source.EARNED: ("plus", marked("Earned")),
    Source.EXCHANGED: ("swap", marked("Exchanged")),
    Source.REDEEMED: ("receipt", marked("Redeemed")),
    Source.REFUNDED: ("back", marked("Refunded")),
    Source.EXPIRED: ("clock", marked("Expired")),
    Source.RECEIVED: ("plus", marked("Received")),
    Source.GIVEN: ("next", marked("Given")),
    Source.TRADED: ("swap", marked("Traded with a customer")),
    Source.MOVED: ("swap", marked("Moved")),
    Source.OTHER: ("points", marked("Changed")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What is held with one brand. `age` says since when it is known, "" never."""

    brand: str
    brand_name: str
    stock: str
    name: str
    amount: str
    worth: str
    age: str
    is_stale: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """One movement; `detail` is the order, the voucher, the other side or the contact."""

    icon: str
    text: str
    detail: str
    amount: str
    at: datetime
    is_final: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """Points that go on a day when she does nothing; `days` until then."""

    amount: str
    name: str
    day: date
    days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What was held at each day's end; whole numbers for the chart, texts for the table."""

    name: str
    rows: Sequence[tuple[date, str, int]]
    low: str
    high: str
    now: str


def plug_in(pocket: Pocket) -> Callable[[Wallet], None]:
    """Give what fills a wallet's points, of this phone's points service."""

    def fill(wallet: Wallet) -> None:
        wallet.points = CustomerPoints(wallet, pocket.fetcher, POINTS.origin, clock=pocket.clock)

    return fill


def points_of(wallet: Wallet) -> CustomerPoints:
    """Give a wallet's points, which this phone filled."""
    points = wallet.points
    if not isinstance(points, CustomerPoints):
        raise Misuse("expected the points that this phone filled, found others")
    return points


def held_of(balance: Balance, words: Words, now: datetime) -> Held:
    """Give what is held with one brand."""
    brand, age = brand_of(balance.points.brand, words.language), balance.age(now)
    return Held(
        brand=balance.points.brand,
        brand_name=brand.name,
        stock=brand.stock,
        name=printable(balance.name),
        amount=amount_text(balance.points.units, words),
        worth=words.money(_worth([balance]), CURRENCY),
        age="" if balance.seen_at is None else words.since(balance.seen_at, now),
        is_stale=age is None or age > _STALE,
    )


def together(balances: Sequence[Balance], words: Words) -> str:
    """Give what all are worth by the prices that the brands state."""
    return words.money(_worth(balances), CURRENCY)


def amount_text(units: int, words: Words) -> str:
    """Give an amount of points, whole where it is."""
    value = Decimal(units) / 100
    return words.number(value.to_integral_value() if units % 100 == 0 else value)


def moved_of(line: Line, words: Words) -> Moved:
    """Give one movement with its source."""
    icon, said = _SAID[line.source]
    sign = "+" if line.units > 0 else "−"  # a minus as it is typeset
    return Moved(
        icon=icon,
        text=words.gettext(said),
        detail=_detail(line, words),
        amount=f"{sign}{amount_text(abs(line.units), words)}",
        at=line.at,
        is_final=line.is_final,
    )


def promised_of(promise: Promise, words: Words) -> Moved:
    """Give an award that waits until the goods cannot be returned any more."""
    until = words.gettext("yours from %(day)s") % {"day": words.day(promise.available_at)}
    return Moved(
        icon="clock",
        text=printable(promise.note) if promise.note else words.gettext("Awarded"),
        detail=until,
        amount=f"+{amount_text(promise.points.units, words)}",
        at=promise.at,
        is_final=False,
    )


def expiries_of(points: CustomerPoints, words: Words, now: datetime) -> Sequence[Expiry]:
    """Give the calendar: what expires by a brand's rule, the nearest first."""
    names = {brand: printable(it.name) for brand, it in points.balances().items()}
    return [
        Expiry(
            amount=amount_text(one.points.units, words),
            name=names.get(one.points.brand, ""),
            day=(at := datetime.fromtimestamp(one.at, UTC)).astimezone().date(),
            days=max((at - now).days, 0),
        )
        for one in points.expiring()
    ]


def course_of(points: CustomerPoints, brand: str, words: Words, now: datetime) -> Course | None:
    """Give what was held day by day; None while nothing was ever seen."""
    days: Sequence[tuple[date, Points]] = points.chart(brand, now.astimezone().tzinfo or UTC)
    if not days:
        return None
    units = [held.units for _, held in days]
    return Course(
        name=printable(points.balances()[brand].name),
        rows=[(day, amount_text(held.units, words), held.units) for day, held in days],
        low=amount_text(min(units), words),
        high=amount_text(max(units), words),
        now=amount_text(units[-1], words),
    )


def joinable(points: CustomerPoints, words: Words) -> Sequence[tuple[str, str]]:
    """Give the brands that this phone knows and that she does not collect with yet."""
    joined = points.balances()
    return [
        (one.house.origin, brand_of(one.house.origin, words.language).name)
        for one in PROGRAMMES.values()
        if one.house.origin not in joined
    ]


def _worth(balances: Sequence[Balance]) -> Decimal:
    return Decimal(sum(balance.value for balance in balances)) / _MILLION


def _detail(line: Line, words: Words) -> str:
    parts = [printable(each) for each in (line.contact, line.note) if each]
    if line.other is not None:
        other = words.gettext("for %(amount)s of %(name)s")
        brand = brand_of(line.other.brand, words.language).name
        parts.append(other % {"amount": amount_text(line.other.units, words), "name": brand})
    return " · ".join(parts)
