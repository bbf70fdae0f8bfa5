"""The shop's receipt for what it was shown: checked against what was shown, kept with the visit.

    Visit          what the wallet remembers of its answer, to check a receipt with, also later
    VisitReceipt   what the shop gave, until when it keeps something, and what is wrong with it

A receipt is the shop's word alone. One that is wrong, forged or missing undoes nothing:
what was shown was shown. It is said, and the history keeps it. Names are compared by their
whole paths, as `shown_names` lists them.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final

from counterfoil_credentials.claims import ClaimPath, parse_path, path_text
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_list,
    as_text,
    b64url,
    compact_json,
    list_at,
    numeric_date,
    object_at,
    optional_text_at,
    parse_json,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Reason, Refused
from counterfoil_credentials.jws import read_jws
from counterfoil_credentials.keys import PublicKey
from counterfoil_credentials.presentation_receipt import (
    RECEIPT_TYP,
    PresentationReceipt,
    read_presentation_receipt,
    shown_names,
)
from counterfoil_credentials.sdjwt_vc import time_at

from counterfoil_wallet.printable import printable
from counterfoil_wallet.wire import reasons_at, reasons_json, reasons_of, refuse

_WHERE: Final = "receipt"
_LONGEST_NAME: Final = 100
_MOST_TOLD: Final = 5


class ReceiptStanding(StrEnum):
    """What a shop's receipt is worth."""

    GOOD = "good"
    DIFFERS = "differs"
    WORTHLESS = "worthless"


@dataclass(frozen=True, slots=True)
class ShownCard:
    """One credential that was shown: its type, and the names of the facts in it.

    A name is its path as JSON; a long one, or a long type, is its SHA-256 instead.
    """

    vct: str
    names: frozenset[str]

    @staticmethod
    def of(vct: str, paths: Iterable[ClaimPath]) -> "ShownCard":
        """Give it with the names that a receipt lists for facts at these paths."""
        names = (_bounded(compact_json([*path])) for path in shown_names(paths))
        return ShownCard(_bounded(vct.encode()), frozenset(names))


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What was answered: the key that signed the request, its purpose, and what was shown.

    `signed_by` is None where nobody signed: no receipt can be that party's then.
    """

    signed_by: PublicKey | None = field(default=None, repr=False)
    purpose: str | None = None
    shown: tuple[ShownCard, ...] = ()

    def to_json(self) -> JsonObject:
        """Give it for storage."""
        shown: list[Json] = [[card.vct, [*sorted(card.names)]] for card in self.shown]
        members: JsonObject = {"shown": shown}
        if self.purpose is not None:
            members["purpose"] = self.purpose
        if self.signed_by is not None:
            members["signed_by"] = self.signed_by.jwk()
        return members

    @staticmethod
    def from_json(obj: JsonObject, where: str) -> "Visit":
        """Read a stored one."""
        has_key = "signed_by" in obj
        return Visit(
            signed_by=PublicKey.from_jwk(object_at(obj, "signed_by", where), where)
            if has_key
            else None,
            purpose=optional_text_at(obj, "purpose", where),
            shown=tuple(_card_in(each, where) for each in list_at(obj, "shown", where)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitReceipt:
    """What the shop gave. `token` is its signed word; None where it is not, and nothing is kept.

    `kept_until` is when the last of what the shop says that it keeps is gone; None beside a
    `token` says: it keeps nothing. `reasons` say what is wrong with it.
    """

    token: str | None = field(default=None, repr=False)
    kept_until: datetime | None = None
    reasons: tuple[Reason, ...] = ()

    @property
    def standing(self) -> ReceiptStanding:
        """Give what it is worth."""
        if self.token is None:
            return ReceiptStanding.WORTHLESS
        return ReceiptStanding.DIFFERS if self.reasons else ReceiptStanding.GOOD

    def to_json(self) -> JsonObject:
        """Give it for storage."""
        members: JsonObject = {"reasons": reasons_json(self.reasons)}
        if self.token is not None:
            members["token"] = self.token
        if self.kept_until is not None:
            members["kept_until"] = numeric_date(self.kept_until)
        return members

    @staticmethod
    def from_json(obj: JsonObject, where: str) -> "VisitReceipt":
        """Read a stored one."""
        return VisitReceipt(
            token=optional_text_at(obj, "token", where),
            kept_until=time_at(obj, "kept_until", where),
            reasons=reasons_at(obj, "reasons", where),
        )


def check_receipt(
    given: Json, visit: Visit, *, client_id: str, nonce: str, now: datetime
) -> VisitReceipt:
    """Give what `given` is worth as the receipt for the answer to this request; never raises.

    Its reasons are those of `read_presentation_receipt`, `receipt-unprovable`, and, signed by
    whoever asked: `receipt-says-more`, `receipt-says-less`, `receipt-says-other` (the same
    names, of other cards) and `receipt-for-another-purpose`.
    """
    try:
        token = as_text(given, _WHERE)
        if visit.signed_by is None:
            raise refuse("receipt-unprovable", "one who signed the request", "nobody", _WHERE)
        receipt = read_presentation_receipt(
            token, signed_by=visit.signed_by, client_id=client_id, nonce=nonce, now=now
        )
    except (Malformed, Refused) as error:
        return VisitReceipt(reasons=reasons_of(error))
    reasons = reasons_of(Refused(*differences)) if (differences := _differs(receipt, visit)) else ()
    return VisitReceipt(token=token, kept_until=receipt.kept_until, reasons=reasons)


def unverified_visit(token: str) -> tuple[str, str]:
    """Give for which client id and nonce a receipt says that it is; nothing of it is proved.

    Raises `Malformed`, and `Refused` with `token-type-mismatch`.
    """
    claims = read_jws(token, typ=RECEIPT_TYP, where=_WHERE).unverified_claims
    return text_at(claims, "iss", _WHERE), text_at(claims, "nonce", _WHERE)


def _differs(receipt: PresentationReceipt, visit: Visit) -> list[Reason]:
    said = [ShownCard.of(one.vct, one.claims) for one in receipt.shown]
    more, less = _names(said) - _names(visit.shown), _names(visit.shown) - _names(said)
    where = f"{_WHERE}.shown"
    reasons: list[Reason] = []
    if more:
        found = f"besides it {_told(more)}"
        reasons.append(Reason("receipt-says-more", "what was shown", found, where))
    if less:
        found = f"it without {_told(less)}"
        reasons.append(Reason("receipt-says-less", "what was shown", found, where))
    if not reasons and Counter(said) != Counter(visit.shown):
        found = "the same of other cards"
        reasons.append(Reason("receipt-says-other", "what was shown", found, where))
    if receipt.purpose != visit.purpose:
        expected, where = "the purpose of the request", f"{_WHERE}.purpose"
        reasons.append(Reason("receipt-for-another-purpose", expected, "another", where))
    return reasons


def _names(cards: Iterable[ShownCard]) -> set[tuple[str, str]]:
    """Give each type by itself, and each name with its type."""
    return {(card.vct, name) for card in cards for name in ("", *card.names)}


def _told(names: Collection[tuple[str, str]]) -> str:
    """Give names as people read them: paths and types, which are no values."""
    texts = sorted({_readable(name) if name else vct for vct, name in names})
    rest = len(texts) - _MOST_TOLD
    return printable(", ".join(texts[:_MOST_TOLD]) + (f" and {rest} more" if rest > 0 else ""))


def _readable(name: str) -> str:
    try:
        return path_text(parse_path(parse_json(name, _WHERE), _WHERE))
    except Malformed:  # a digest
        return name


def _bounded(text: bytes) -> str:
    if len(text) <= _LONGEST_NAME:
        return text.decode()
    return f"sha-256 {b64url(sha256(text).digest())}"


def _card_in(listed: Json, where: str) -> ShownCard:
    match as_list(listed, where):
        case [str() as vct, list() as names]:
            return ShownCard(vct, frozenset(as_text(name, where) for name in names))
        case _:
            raise Malformed("a type and names", "another", f"{where}.shown")
