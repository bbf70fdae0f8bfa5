"""A voucher: a credential that a counter takes once, and what the counter keeps of it.

    {"voucher": {"reference": "7Q4M9KX2PA5T3WBD", "use": "discount", "good_for": "EUR 10 off"}}

These are claims of an SD-JWT VC that is bound to its holder and has an end (`exp`). The
brand issues it for points that were redeemed; any counter that trusts the brand takes it,
also one that hears from no other. What the counter keeps is the presentation, which its
holder signed for this counter and this question: where two counters took one voucher, it
proves who gave it twice.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from counterfoil_credentials.encoding import JsonObject, int_at, numeric_date, object_at, text_at
from counterfoil_credentials.errors import Malformed

_WHERE: Final = "credential.voucher"
_REFERENCE: Final = re.compile(r"[A-Za-z0-9_-]{8,64}\Z", re.ASCII)
_MAX_WORDS: Final = 200
_MAX_PRESENTATION: Final = 20_000
_LATEST: Final = 253_402_300_799  # the last second of the year 9999


@dataclass(frozen=True, slots=True, kw_only=True)
class Voucher:
    """What a voucher is good for. `use` is a word for programs, `good_for` one for people."""

    reference: str = field(repr=False)
    use: str
    good_for: str

    def __post_init__(self) -> None:
        """Refuse what a counter could not show or could not know again."""
        if not _REFERENCE.match(self.reference):
            expected = "8 to 64 letters, digits, _ and -"
            raise Malformed(expected, "another reference", f"{_WHERE}.reference")
        for name, text in (("use", self.use), ("good_for", self.good_for)):
            if not (0 < len(text) <= _MAX_WORDS and text.isprintable()):
                expected = f"1 to {_MAX_WORDS} printable characters"
                raise Malformed(expected, "others", f"{_WHERE}.{name}")

    def to_claims(self) -> JsonObject:
        """Give the claims of the credential."""
        return {
            "voucher": {"reference": self.reference, "use": self.use, "good_for": self.good_for}
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenVoucher:
    """What a counter keeps: the presentation, and the question (`shop`, `nonce`) it answered.

    `shop` is the client id that the holder saw and signed for. `taken_at` has whole seconds.
    """

    presentation: str = field(repr=False)
    shop: str
    nonce: str = field(repr=False)
    taken_at: datetime

    def to_json(self) -> JsonObject:
        """Give it as the counter hands it to the brand."""
        return {
            "presentation": self.presentation,
            "shop": self.shop,
            "nonce": self.nonce,
            "taken_at": numeric_date(self.taken_at),
        }


def voucher_in(claims: JsonObject) -> Voucher:
    """Give the voucher that a credential's claims hold; `Malformed` where they hold none."""
    obj = object_at(claims, "voucher", "credential")
    return Voucher(
        reference=text_at(obj, "reference", _WHERE),
        use=text_at(obj, "use", _WHERE),
        good_for=text_at(obj, "good_for", _WHERE),
    )


def parse_taken_voucher(obj: JsonObject, where: str = "taken_voucher") -> TakenVoucher:
    """Give what a counter handed over. Nothing of it is proved yet."""
    presentation = text_at(obj, "presentation", where)
    if len(presentation) > _MAX_PRESENTATION:
        expected = f"at most {_MAX_PRESENTATION} characters"
        raise Malformed(expected, f"{len(presentation)}", f"{where}.presentation")
    taken_at = int_at(obj, "taken_at", where)
    if not 0 <= taken_at <= _LATEST:
        raise Malformed("seconds since 1970", "another number", f"{where}.taken_at")
    shop, nonce = text_at(obj, "shop", where), text_at(obj, "nonce", where)
    if not shop or not nonce:
        raise Malformed("a shop and a nonce", "an empty one", where)
    return TakenVoucher(
        presentation=presentation,
        shop=shop,
        nonce=nonce,
        taken_at=datetime.fromtimestamp(taken_at, UTC),
    )
