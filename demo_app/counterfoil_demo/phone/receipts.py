"""W8: the receipts found by text, brand, day and amount, and what they come to.

A receipt is read once while the wallet is in hand: a thousand of them are searched in the time
of one look.
"""

import csv
import io
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from counterfoil_wallet import HeldCredential, Wallet

from counterfoil_demo.phone.cards import (
    amount_in,
    day_in,
    instant_in,
    is_receipt,
    lines_of,
    number_of,
    text_in,
)
from counterfoil_demo.phone.pocket import Pocket

_MOST_FOUND: Final = 100_000
_MOST_KEPT: Final = 20_000
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One receipt in a list. `day` is the reader's day of the payment."""

    credential_id: str
    issuer: str
    number: str
    order: str
    first_item: str
    items: int
    total: Decimal | None
    currency: str
    day: date
    paid_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """What is looked for; what is empty or None does not narrow."""

    text: str = ""
    issuer: str = ""
    first_day: date | None = None
    last_day: date | None = None
    least: Decimal | None = None
    most: Decimal | None = None

    @staticmethod
    def of(query: Mapping[str, str]) -> "Sought":
        """Give what a form asks for; what cannot be read does not narrow."""
        return Sought(
            text=query.get("q", "").strip()[:200],
            issuer=query.get("brand", "")[:500],
            first_day=day_in(query.get("from", "")),
            last_day=day_in(query.get("to", "")),
            least=amount_in(query.get("least", "").replace(",", ".")),
            most=amount_in(query.get("most", "").replace(",", ".")),
        )

    @property
    def narrows(self) -> bool:
        """Whether anything but the text is looked for."""
        return bool(self.issuer) or any(
            each is not None for each in (self.first_day, self.last_day, self.least, self.most)
        )

    def fits(self, receipt: Receipt) -> bool:
        """Tell whether a receipt is one of those, its text apart."""
        if self.issuer and receipt.issuer != self.issuer:
            return False
        if self.first_day is not None and receipt.day < self.first_day:
            return False
        if self.last_day is not None and receipt.day > self.last_day:
            return False
        if self.least is None and self.most is None:
            return True
        if receipt.total is None:
            return False
        return not (
            (self.least is not None and receipt.total < self.least)
            or (self.most is not None and receipt.total > self.most)
        )


class Receipts:
    """Reads receipts, and remembers what it read. Safe from several threads."""

    def __init__(self, pocket: Pocket) -> None:
        self._read: dict[str, Receipt] = {}
        self._lock = threading.Lock()
        pocket.when_locked(self._read.clear)

    @property
    def remembers_any(self) -> bool:
        """Whether anything that was read is kept in memory."""
        return bool(self._read)

    def find(self, wallet: Wallet, sought: Sought) -> list[Receipt]:
        """Give the receipts that fit, the latest payment first."""
        held = (
            wallet.search(sought.text, limit=_MOST_FOUND) if sought.text else wallet.credentials()
        )
        found = [self._receipt(one) for one in held if is_receipt(one)]
        fitting = [one for one in found if sought.fits(one)]
        return sorted(fitting, key=lambda one: (one.day, one.number), reverse=True)

    def issuers(self, wallet: Wallet) -> list[str]:
        """Give who issued receipts, each once."""
        return sorted({one.issuer for one in wallet.credentials() if is_receipt(one)})

    def _receipt(self, held: HeldCredential) -> Receipt:
        known = self._read.get(held.credential_id)
        if known is None:
            known = read_receipt(held)
            with self._lock:
                if len(self._read) < _MOST_KEPT:
                    self._read[held.credential_id] = known
        return known


def read_receipt(held: HeldCredential) -> Receipt:
    """Give a receipt as a list shows it."""
    lines = lines_of(held)
    paid_at = instant_in(held.claims.get("paid_at"))
    return Receipt(
        credential_id=held.credential_id,
        issuer=held.issuer,
        number=number_of(held.credential_id),
        order=text_in(held.claims, "order"),
        first_item=text_in(lines[0], "name") if lines else "",
        items=len(lines),
        total=amount_in(held.claims.get("total")),
        currency=text_in(held.claims, "currency") or "XXX",
        day=(paid_at or held.accepted_at).astimezone().date(),
        paid_at=paid_at,
    )


def totals_of(receipts: Sequence[Receipt]) -> list[tuple[str, Decimal]]:
    """Give what receipts come to, for each currency; one without a total adds nothing."""
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for receipt in receipts:
        if receipt.total is not None:
            sums[receipt.currency] += receipt.total
    return sorted(sums.items())


def as_csv(receipts: Sequence[Receipt]) -> str:
    """Give receipts as RFC 4180, with a byte order mark so that a spreadsheet reads Chinese."""
    written = io.StringIO()
    rows = csv.writer(written)
    rows.writerow(["number", "brand", "order", "paid", "first_item", "items", "total", "currency"])
    for one in receipts:
        row = [
            one.number,
            one.issuer,
            one.order,
            one.day.isoformat(),
            one.first_item,
            str(one.items),
            "" if one.total is None else str(one.total),
            one.currency,
        ]
        rows.writerow([_no_formula(cell) for cell in row])
    return "\ufeff" + written.getvalue()


def _no_formula(cell: str) -> str:
    # A spreadsheet would run what a stranger named so.
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
