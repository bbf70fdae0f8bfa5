"""What a customer is shown of her points: balances, movements with their source, receivers.

    balance.points, balance.age(now), line.source, line.contact, line.note

Each is made of the offline copy (`purse_copy.py`) and of what she noted beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from counterfoil_loyalty.accounts import Account
from counterfoil_loyalty.client import Entry
from counterfoil_loyalty.pending_awards import AwardState
from counterfoil_loyalty.points import Points
from counterfoil_loyalty.purse_copy import TRADED, BrandCopy


class Source(StrEnum):
    """What moved points."""

    EARNED = "earned"
    EXCHANGED = "exchanged"
    REDEEMED = "redeemed"
    REFUNDED = "refunded"
    EXPIRED = "expired"
    RECEIVED = "received"
    GIVEN = "given"
    TRADED = "traded"
    MOVED = "moved"
    OTHER = "other"


_SOURCES = {
    "awarded": Source.EARNED,
    "exchanged": Source.EXCHANGED,
    "redeemed": Source.REDEEMED,
    "refunded": Source.REFUNDED,
    "expired": Source.EXPIRED,
    TRADED: Source.TRADED,
    "moved": Source.MOVED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What is held with one brand. `value` is in millionths of a unit of the settlement currency.

    `seen_at` None is never. `is_fresh` only in what `check` gives, for what was asked just
    now; otherwise `failed` says why not, and this is the copy.
    """

    points: Points
    name: str
    symbol: str
    value: int
    seen_at: datetime | None
    is_fresh: bool
    failed: str | None

    def age(self, now: datetime) -> timedelta | None:
        """Give how long ago this was seen; None for never."""
        return None if self.seen_at is None else now - self.seen_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One movement. `units` of `brand` are below zero for points that left.

    `other` is the other side of an exchange. `contact` is who gave or got them, by her own
    contact book; `note` what she kept of it: the order, or the voucher's reference. One that
    is not final may still be undone.
    """

    brand: str
    brand_name: str
    units: int
    at: datetime
    source: Source
    other: Points | None
    contact: str | None
    note: str | None
    reference: str
    is_final: bool
    place: tuple[int, str, int] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """Points that were awarded and wait until the return window closes, or did.

    In no balance before they are released, from `available_at` on; until then the brand may
    cancel them. `note` as in `Line`.
    """

    points: Points
    brand_name: str
    at: datetime
    available_at: datetime
    state: AwardState
    note: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Payee:
    """Who is to have points of which brand. What was given is the receiver's: nothing undoes it.

    `proved_name` is the name that the brand signed for this receiver, `contact` the one of
    her own contact book; with neither, nobody has said who this is. `asked` is the amount that
    the code asks for.
    """

    brand: str
    brand_name: str
    asked: Points | None
    proved_name: str | None
    contact: str | None
    receiver: Account = field(repr=False)


def balance_of(copy: BrandCopy, *, is_fresh: bool = False, failed: str | None = None) -> Balance:
    """Give what a copy says is held."""
    return Balance(
        points=Points(copy.brand, copy.units),
        name=copy.name,
        symbol=copy.symbol,
        value=copy.units * copy.price,
        seen_at=datetime.fromtimestamp(copy.seen_at, UTC) if copy.seen_at else None,
        is_fresh=is_fresh,
        failed=failed,
    )


def lines_of(
    copy: BrandCopy, *, notes: Mapping[str, str], contacts: Mapping[str, str]
) -> list[Line]:
    """Give each movement of a copy with its source, the oldest first."""
    return [
        Line(
            brand=copy.brand,
            brand_name=copy.name,
            units=entry.units,
            at=datetime.fromtimestamp(entry.at, UTC),
            source=_source(entry),
            other=_other_side(entry),
            contact=contacts.get(entry.other_account or ""),
            note=notes.get(entry.reference),
            reference=entry.reference,
            is_final=entry.is_final,
            place=(entry.block, copy.brand, place),
        )
        for place, entry in enumerate(copy.entries, copy.dropped)
    ]


def promises_of(copy: BrandCopy, *, notes: Mapping[str, str]) -> list[Promise]:
    """Give each award of a copy that waits or did, the newest first."""
    return [
        Promise(
            points=Points(copy.brand, award.units),
            brand_name=copy.name,
            at=datetime.fromtimestamp(award.at, UTC),
            available_at=datetime.fromtimestamp(award.available_at, UTC),
            state=award.state,
            note=notes.get(award.reference),
        )
        for award in copy.waiting
    ]


def _source(entry: Entry) -> Source:
    if entry.kind == "transferred":
        return Source.RECEIVED if entry.units > 0 else Source.GIVEN
    return _SOURCES.get(entry.kind, Source.OTHER)


def _other_side(entry: Entry) -> Points | None:
    if entry.other_brand is None or entry.other_units is None:
        return None
    return Points(entry.other_brand, abs(entry.other_units))
