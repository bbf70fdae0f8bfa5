"""Who is to have points, as a text that fits a QR code: ERC-681, and a name that a brand signed.

    ethereum:<points>@<chain>/transfer?address=<receiver>&uint256=<base units>#<name credential>

The receiver makes it. Both accounts carry their checksum (ERC-55), so that a letter that was
misread is caught. A checksum says nothing of whose account it is: that does the name
credential, an SD-JWT VC of the brand with these claims, which everybody may be shown.

    {"points_name": {"account": "0x…", "name": "Anna L."}}
"""

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from counterfoil_credentials.encoding import JsonObject, object_at, text_at
from counterfoil_credentials.errors import Malformed, Reason, Refused
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.key_discovery import IssuerPolicy, find_issuer_key
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.sdjwt_vc import read_credential, time_reasons

from counterfoil_loyalty.accounts import Account, account_from
from counterfoil_loyalty.points import MAX_UNITS

_WHERE: Final = "payment code"
_CLAIM: Final = "points_name"
_MAX_CODE: Final = 2_900
"""What the largest QR code takes, in bytes, with a few to spare (ISO/IEC 18004)."""
_MAX_NAME: Final = 100
_CODE: Final = re.compile(
    r"ethereum:(?:pay-)?(?P<token>0x[0-9A-Fa-f]{40})@(?P<chain>[1-9][0-9]{0,17})/transfer"
    r"\?address=(?P<to>0x[0-9A-Fa-f]{40})(?:&uint256=(?P<units>[1-9][0-9]{0,38}))?"
    r"(?:#(?P<name>[A-Za-z0-9._~-]+))?\Z",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentCode:
    """What a code says. `units` None leaves the amount to the giver; nothing is proved yet."""

    token: Account
    chain_id: int
    receiver: Account
    units: int | None = None
    name_credential: str | None = field(default=None, repr=False)

    def to_text(self) -> str:
        """Give the text of the code; `Malformed` for one that fits no QR code."""
        amount = "" if self.units is None else f"&uint256={self.units}"
        name = "" if self.name_credential is None else f"#{self.name_credential}"
        called = f"{self.token}@{self.chain_id}/transfer?address={self.receiver}"
        text = f"ethereum:{called}{amount}{name}"
        if len(text) > _MAX_CODE:
            expected = f"a code of at most {_MAX_CODE} characters"
            raise Malformed(expected, f"{len(text)} with this name credential", _WHERE)
        return text


def read_payment_code(text: str) -> PaymentCode:
    """Give what a code says; `Malformed` for another text, and for accounts that were misread."""
    found = _CODE.match(text) if len(text) <= _MAX_CODE else None
    if found is None:
        raise Malformed("a code for points", "another text", _WHERE)
    units = None if found["units"] is None else int(found["units"])
    if units is not None and units > MAX_UNITS:
        raise Malformed("an amount of points", "a larger one", f"{_WHERE}.uint256")
    return PaymentCode(
        token=_checked(found["token"], "token"),
        chain_id=int(found["chain"]),
        receiver=_checked(found["to"], "address"),
        units=units,
        name_credential=found["name"],
    )


def name_claims(name: str, receiver: Account) -> JsonObject:
    """Give the claims by which a brand says whose account one is, for `issue_credential`."""
    _require_name(name)
    return {_CLAIM: {"account": receiver, "name": name}}


def proved_name(
    credential: str, receiver: Account, *, brand: str, fetcher: Fetcher, now: datetime
) -> str:
    """Give the name that `brand` signed for exactly this account.

    Raises `Refused` for another account, issuer or time, `Unavailable` when the brand's keys
    cannot be had, and `Malformed`. One with a status is refused: nobody would look it up here,
    so a brand lets a name end soon instead.
    """
    unverified = read_credential(SdJwt.parse(credential, _WHERE))
    vct = unverified.unverified_vct
    key = find_issuer_key(
        unverified.header,
        unverified.unverified_issuer,
        vct,
        policy=IssuerPolicy(by_metadata={brand: frozenset({vct})}),
        fetcher=fetcher,
        now=now,
    )
    proved = unverified.verify(key.key, issuer=brand)
    reasons = time_reasons(proved, now)
    if proved.status is not None:
        reasons.append(Reason("name-with-status", "a name that ends by itself", "a status", _WHERE))
    said = object_at(proved.claims, _CLAIM, "credential")
    if _checked(text_at(said, "account", "credential"), "account") != receiver:
        reasons.append(Reason("name-of-another", "the account of the code", "another", _WHERE))
    if reasons:
        raise Refused(*reasons)
    return _require_name(text_at(said, "name", "credential"))


def _checked(text: str, part: str) -> Account:
    """Give an account with its checksum: one in small letters alone has none to catch a slip."""
    account = account_from(text, f"{_WHERE}.{part}")
    if account != text:
        raise Malformed("an account with its checksum", "one without", f"{_WHERE}.{part}")
    return account


def _require_name(name: str) -> str:
    if not (0 < len(name) <= _MAX_NAME and name.isprintable() and name == name.strip()):
        raise Malformed(f"1 to {_MAX_NAME} printable characters", "others", f"{_CLAIM}.name")
    return name
