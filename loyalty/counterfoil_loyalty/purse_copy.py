"""What a customer's device remembers of her points with one brand: the offline copy.

    copy = blank_copy(programme, account, ledger)
    copy = renewed(copy, entries, seen_at=now)          # all that came after `copy.settled`
    copy.units, by_day(copy, zone)

A balance is the sum of its movements, here as on the chain. Movements that are final stay;
what may still be undone is asked for again. The newest `MOST_MOVEMENTS` are kept, and of
those before them how much they were and how many.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta, tzinfo

from counterfoil_credentials.encoding import (
    JsonObject,
    as_object,
    int_at,
    list_at,
    optional_int_at,
    optional_text_at,
    text_at,
)
from counterfoil_credentials.errors import Malformed

from counterfoil_loyalty.accounts import Account, account_from
from counterfoil_loyalty.client import Entry, Programme, Waiting, waiting_from
from counterfoil_loyalty.points import MAX_UNITS, Points

TRADED = "traded"
"""The kind of a movement to or from the contract where two customers trade."""

MOST_MOVEMENTS = 2_000
MOST_DAYS = 3_660
_WHERE = "points copy"
_LATEST = 253_402_128_000  # some time on the last day but one of the year 9999
_LONGEST = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class BrandCopy:
    """One brand's points as last seen at `seen_at` (unix seconds), the oldest movement first.

    `ledger` says on which ledger, so that another one's movements are never added to them.
    `seen_at` 0 is never. Points expire after `inactivity_s` seconds without use, 0 never.
    `carried` base units came in `dropped` movements before the first; `waiting` is in no
    balance yet.
    """

    brand: str
    name: str
    symbol: str
    price: int
    ledger: str
    account: Account
    inactivity_s: int = 0
    seen_at: int = 0
    carried: int = 0
    dropped: int = 0
    entries: tuple[Entry, ...] = field(default=(), repr=False)
    waiting: tuple[Waiting, ...] = field(default=(), repr=False)

    @property
    def units(self) -> int:
        """Give the balance in base units."""
        return self.carried + sum(entry.units for entry in self.entries)

    @property
    def settled(self) -> int:
        """Give the newest block whose movements are kept for good; -1 for none."""
        return max((entry.block for entry in self.entries if entry.is_final), default=-1)

    def to_json(self) -> JsonObject:
        """Give it as it is kept."""
        return {
            "brand": self.brand,
            "name": self.name,
            "symbol": self.symbol,
            "price": self.price,
            "ledger": self.ledger,
            "account": self.account,
            "inactivity": self.inactivity_s,
            "seen_at": self.seen_at,
            "carried": self.carried,
            "dropped": self.dropped,
            "movements": [_entry_json(entry) for entry in self.entries],
            "waiting": [_waiting_json(award) for award in self.waiting],
        }


def blank_copy(programme: Programme, account: Account, ledger: str) -> BrandCopy:
    """Give a copy that has seen nothing yet."""
    return BrandCopy(
        brand=programme.brand,
        name=programme.name,
        symbol=programme.symbol,
        price=programme.price,
        ledger=ledger,
        account=account,
        inactivity_s=programme.inactivity_s,
    )


def renewed(
    copy: BrandCopy, fresh: Sequence[Entry], *, seen_at: int, waiting: Sequence[Waiting] = ()
) -> BrandCopy:
    """Give the copy with what came after its settled movements, in the chain's order.

    Raises `Malformed` for a history in which a balance falls below zero: nobody's can.
    """
    kept = [entry for entry in copy.entries if entry.block <= copy.settled]
    listed = [*kept, *(entry for entry in fresh if entry.brand == copy.brand)]
    held = copy.carried
    for entry in listed:
        _require_possible(entry)
        held += entry.units
        if not 0 <= held <= MAX_UNITS:
            raise Malformed("movements that were possible", "more spent than held", "history")
    # What may still be undone stays, and one before it, to know where to go on.
    settled = sum(entry.is_final for entry in listed)
    excess = max(0, min(len(listed) - MOST_MOVEMENTS, settled - 1))
    return replace(
        copy,
        seen_at=seen_at,
        carried=copy.carried + sum(entry.units for entry in listed[:excess]),
        dropped=copy.dropped + excess,
        entries=tuple(listed[excess:]),
        waiting=tuple(_possible(award) for award in waiting if award.brand == copy.brand),
    )


def by_day(copy: BrandCopy, zone: tzinfo) -> list[tuple[date, Points]]:
    """Give what was held at the end of each day, from the first movement to `seen_at`.

    Days are those of `zone`; at most the last `MOST_DAYS`. For a chart, and for the table
    that says the same.
    """
    if not copy.entries:
        return []
    ends: dict[date, int] = {}
    held = copy.carried
    for entry in copy.entries:
        held += entry.units
        ends[_day(entry.at, zone)] = held
    last = max(_day(copy.seen_at, zone), *ends)
    day = max(min(ends), last - timedelta(days=MOST_DAYS - 1))
    before = [units for at, units in ends.items() if at < day]
    held = before[-1] if before else copy.carried
    found: list[tuple[date, Points]] = []
    while day <= last:
        held = ends.get(day, held)
        found.append((day, Points(copy.brand, held)))
        day += timedelta(days=1)
    return found


def copy_from(obj: JsonObject) -> BrandCopy:
    """Read a copy that was kept; `Malformed` for another thing."""
    account = account_from(text_at(obj, "account", _WHERE), f"{_WHERE}.account")
    brand = text_at(obj, "brand", _WHERE)
    listed = [as_object(it, _WHERE) for it in list_at(obj, "movements", _WHERE)]
    waiting = list_at(obj, "waiting", _WHERE)
    return BrandCopy(
        brand=brand,
        name=text_at(obj, "name", _WHERE),
        symbol=text_at(obj, "symbol", _WHERE),
        price=int_at(obj, "price", _WHERE),
        ledger=text_at(obj, "ledger", _WHERE),
        account=account,
        inactivity_s=int_at(obj, "inactivity", _WHERE),
        seen_at=int_at(obj, "seen_at", _WHERE),
        carried=int_at(obj, "carried", _WHERE),
        dropped=int_at(obj, "dropped", _WHERE),
        entries=tuple(_entry(it, brand, account) for it in listed),
        waiting=tuple(waiting_from(as_object(it, _WHERE), _WHERE) for it in waiting),
    )


def _require_possible(entry: Entry) -> None:
    texts = (entry.kind, entry.reference, entry.transaction, entry.other_brand or "")
    if not 0 <= entry.at <= _LATEST or max(map(len, texts)) > _LONGEST:
        raise Malformed("a movement with its time and names", "others", "history[]")


def _possible(award: Waiting) -> Waiting:
    times = (award.at, award.available_at)
    is_possible = all(0 <= at <= _LATEST for at in times) and 0 <= award.units <= MAX_UNITS
    if not is_possible or len(award.reference) > _LONGEST:
        raise Malformed("an award with its times and names", "others", "pending[]")
    return award


def _waiting_json(award: Waiting) -> JsonObject:
    return {
        "brand": award.brand,
        "units": award.units,
        "reference": award.reference,
        "at": award.at,
        "available_at": award.available_at,
        "state": award.state.value,
    }


def _entry_json(entry: Entry) -> JsonObject:
    other: JsonObject = {
        "other_brand": entry.other_brand,
        "other_units": entry.other_units,
        "other_account": entry.other_account,
    }
    return {
        "units": entry.units,
        "kind": entry.kind,
        "reference": entry.reference,
        "at": entry.at,
        "block": entry.block,
        "transaction": entry.transaction,
        "final": int(entry.is_final),
        **{name: value for name, value in other.items() if value is not None},
    }


def _entry(obj: JsonObject, brand: str, account: Account) -> Entry:
    other = optional_text_at(obj, "other_account", _WHERE)
    return Entry(
        brand=brand,
        account=account,
        units=int_at(obj, "units", _WHERE),
        kind=text_at(obj, "kind", _WHERE),
        reference=text_at(obj, "reference", _WHERE),
        at=int_at(obj, "at", _WHERE),
        block=int_at(obj, "block", _WHERE),
        transaction=text_at(obj, "transaction", _WHERE),
        other_brand=optional_text_at(obj, "other_brand", _WHERE),
        other_units=optional_int_at(obj, "other_units", _WHERE),
        other_account=None if other is None else account_from(other, f"{_WHERE}.other_account"),
        is_final=int_at(obj, "final", _WHERE) == 1,
    )


def _day(at: int, zone: tzinfo) -> date:
    return datetime.fromtimestamp(at, UTC).astimezone(zone).date()
