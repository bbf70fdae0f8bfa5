"""A card as a page shows it: what it is, one fact, its number, and whether it still holds.

Each function decides from what the wallet holds; nothing here asks anybody.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from hashlib import sha256
from typing import Final

from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_wallet import CardStatus, HeldCredential, Status, printable

from counterfoil_demo.pages.words import Words
from counterfoil_demo.phone.brands import Brand, brand_of

_RECEIPT: Final = "receipt"
_WARRANTY: Final = "warranty"


class Standing(StrEnum):
    """Whether a card holds, as far as is known."""

    IN_FORCE = "in-force"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    ENDED = "ended"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One ticket. `number` is this wallet's own for it, in groups."""

    credential_id: str
    brand: Brand
    title: str
    fact: str
    number: str
    standing: Standing
    is_receipt: bool
    accepted_at: datetime


def card_of(held: HeldCredential, status: CardStatus | None, words: Words, now: datetime) -> Card:
    """Give the ticket of a held credential."""
    title, fact = _title_and_fact(held, words)
    return Card(
        credential_id=held.credential_id,
        brand=brand_of(held.issuer, words.language),
        title=title,
        fact=fact,
        number=number_of(held.credential_id),
        standing=standing_of(held, status, now),
        is_receipt=is_receipt(held),
        accepted_at=held.accepted_at,
    )


def is_receipt(held: HeldCredential) -> bool:
    """Tell whether it is a receipt."""
    return kind_of(held) == _RECEIPT


def kind_of(held: HeldCredential) -> str:
    """Give the last word of its type, which is what brands of ours call it."""
    return held.vct.rpartition("/")[2]


def number_of(credential_id: str) -> str:
    """Give the number that stands on a card: ten digits that its id picks."""
    digits = f"{int.from_bytes(sha256(credential_id.encode()).digest()) % 10**10:010}"
    return f"{digits[:4]} {digits[4:8]} {digits[8:]}"


def standing_of(held: HeldCredential, status: CardStatus | None, now: datetime) -> Standing:
    """Give whether a card holds: what its issuer took back counts before what time ended."""
    match None if status is None else status.status:
        case Status.REVOKED:
            return Standing.REVOKED
        case Status.SUSPENDED | Status.OTHER:
            return Standing.SUSPENDED
        case _:
            pass
    ends = ends_on(held)
    if (held.expires_at is not None and held.expires_at <= now) or (
        ends is not None and ends < now.astimezone().date()
    ):
        return Standing.ENDED
    if status is None or status.status is Status.UNKNOWN:
        return Standing.UNKNOWN
    return Standing.IN_FORCE


def ends_on(held: HeldCredential) -> date | None:
    """Give the last day that the card itself promises, or None."""
    return day_in(held.claims.get("valid_until"))


def text_in(claims: JsonObject, *path: str) -> str:
    """Give the text at `path`, safe to show, or "" where there is none."""
    found: Json = claims
    for step in path:
        found = found.get(step) if isinstance(found, dict) else None
    return printable(found) if isinstance(found, str) else ""


def amount_in(value: Json) -> Decimal | None:
    """Give an amount that a brand wrote as a decimal text, or None."""
    if not isinstance(value, str) or len(value) > 30:
        return None
    try:
        amount = Decimal(value)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


def day_in(value: Json) -> date | None:
    """Give a day that a brand wrote (ISO 8601), or None."""
    if not isinstance(value, str):
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


def instant_in(value: Json) -> datetime | None:
    """Give an instant that a brand wrote (RFC 3339), or None."""
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def lines_of(held: HeldCredential) -> Sequence[JsonObject]:
    """Give the lines of a receipt."""
    lines = held.claims.get("lines")
    return [line for line in lines if isinstance(line, dict)] if isinstance(lines, list) else []


def _title_and_fact(held: HeldCredential, words: Words) -> tuple[str, str]:
    claims = held.claims
    kind = kind_of(held)
    if kind == _RECEIPT:
        count = len(lines_of(held))
        title = words.ngettext("Receipt, %(num)s item", "Receipt, %(num)s items", count) % {
            "num": count
        }
        return title, receipt_fact(held, words)
    if kind == _WARRANTY:
        product = text_in(claims, "item", "name") or words.gettext("Warranty")
        ends = ends_on(held)
        fact = (
            words.gettext("Warranty")
            if ends is None
            else words.gettext("Covered until %(day)s") % {"day": words.day(ends)}
        )
        return product, fact
    fact = words.gettext("Since %(day)s") % {"day": words.day(held.accepted_at)}
    return printable(kind.replace("-", " ").replace("_", " ").capitalize()), fact


def receipt_fact(held: HeldCredential, words: Words) -> str:
    """Give the amount and the day of a receipt, as far as it says them."""
    total = amount_in(held.claims.get("total"))
    paid_at = instant_in(held.claims.get("paid_at"))
    amount = "" if total is None else words.money(total, text_in(held.claims, "currency") or "XXX")
    if paid_at is None:
        return amount
    if not amount:
        return words.day(paid_at)
    return words.gettext("%(amount)s on %(day)s") % {"amount": amount, "day": words.day(paid_at)}
