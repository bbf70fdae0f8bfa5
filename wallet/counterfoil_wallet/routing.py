"""What a scanned or pasted text is, told without asking anybody.

    offer       openid-credential-offer://…, or a web link that carries one
    request     openid4vp://…, likewise; whether it asks to see or for a grant is inside
    product     a GS1 Digital Link
    transfer    ethereum:…/transfer?…, who is to have points (ERC-681)
    receipt     a shop's signed receipt for what it was shown, off its screen

Everything else is refused with what it looks like. A text may hold a code or a
password, so none of it is quoted. Each of these links is only a claim of whoever
printed it: nothing is reached, and nothing is proved, by recognising it.
"""

import re
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from urllib.parse import SplitResult, parse_qsl, urlsplit

from counterfoil_credentials.digital_link import DigitalLink, parse_digital_link, require_gtin
from counterfoil_credentials.encoding import from_b64url, parse_object
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.presentation_receipt import RECEIPT_TYP
from counterfoil_credentials.spec import OFFER_SCHEME, REQUEST_SCHEME

from counterfoil_wallet import spec
from counterfoil_wallet.wire import refuse

MAX_TEXT: Final = 65_536
"""How many characters are looked at: a request by value with a chain of certificates fits."""

_WHERE: Final = "scanned text"
_EXPECTED: Final = "an offer, a request, a product's link, a transfer or a shop's receipt"
_MAX_PARAMETERS: Final = 50
_MAX_POINTS: Final = 2**256
_OFFER_PARAMETERS: Final = frozenset({spec.OFFER_BY_VALUE, spec.OFFER_BY_REFERENCE})
_REQUEST_PARAMETERS: Final = frozenset({spec.REQUEST_BY_VALUE, spec.REQUEST_BY_REFERENCE})
_TRANSFER: Final = re.compile(
    r"(?:pay-)?(?P<token>0x[0-9A-Fa-f]{40})@(?P<chain>[0-9]{1,18})/transfer\Z"
)
_ADDRESS: Final = re.compile(r"0x[0-9A-Fa-f]{40}\Z")
_AMOUNT: Final = re.compile(
    r"(?P<whole>[0-9]{1,78})(?:\.(?P<part>[0-9]{1,78}))?(?:e(?P<ten>[0-9]{1,2}))?\Z"
)
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+(?P<more>~?)")

_SCHEMES: Final = {
    "mdoc": "a request for a mobile document (ISO 18013-5)",
    "mdoc-openid4vp": "a request for a mobile document (ISO 18013-5)",
    "openid": "a request of an older draft",
    "openid-vc": "a request of an older draft",
    "openid-initiate-issuance": "an offer of an older draft",
    "didcomm": "a DIDComm message",
    "wc": "a WalletConnect session",
    "bitcoin": "a payment",
    "lightning": "a payment",
    "ethereum": "a payment, or a call of another kind",
    "otpauth": "a secret for one-time passwords: keep it to yourself",
    "wifi": "access to a Wi-Fi network",
    "mailto": "an e-mail address",
    "matmsg": "an e-mail",
    "tel": "a telephone number",
    "sms": "a text message",
    "smsto": "a text message",
    "geo": "a place",
    "mecard": "a contact",
    "did": "an identifier (DID), and nothing that it asks or offers",
    "fido": "a sign-in with a passkey",
    "javascript": "a program: do not open it",
    "data": "a document",
}


@dataclass(frozen=True, slots=True)
class Offer:
    """A link for `Wallet.accept`."""

    link: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Request:
    """A link for `Wallet.matches`, or for `Wallet.asked_terms`: `Wallet.read` finds out which."""

    link: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Who is to have points, for the app's points client to check and to show.

    `token` and `recipient` are addresses as written: their checksum (ERC-55) is the
    points client's to verify. `amount` counts base units; None leaves it to the sender.
    """

    token: str
    chain_id: int
    recipient: str
    amount: int | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """A shop's signed word on what it was shown, for `Wallet.take_receipt`."""

    token: str = field(repr=False)


Recognised: TypeAlias = Offer | Request | DigitalLink | Transfer | Receipt


def recognise(text: str) -> Recognised:
    """Give what `text` is, by its form alone.

    Raises `Refused` with `not-for-this-wallet`; `found` says what it looks like.
    """
    if len(text) > MAX_TEXT:
        raise _unlike(f"more than {MAX_TEXT} characters")
    text = text.strip()
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError:
        raise _unlike("a broken link") from None
    if not text.isascii() or not text.isprintable():
        raise _unlike(_look(text, parts))
    match parts.scheme:
        case scheme if scheme in spec.OFFER_SCHEMES:
            return Offer(f"{OFFER_SCHEME}://?{parts.query}")
        case scheme if scheme in spec.REQUEST_SCHEMES:
            return Request(f"{REQUEST_SCHEME}://?{parts.query}")
        case "https" | "http" if host:
            return _of_the_web(text, parts)
        case "ethereum":
            return _transfer(parts)
        case "" if _is_receipt(text):
            return Receipt(text)
        case _:
            raise _unlike(_look(text, parts))


def _of_the_web(text: str, parts: SplitResult) -> Recognised:
    # A wallet of the web, or an app behind a verified link, is called by https.
    names = set(_parameters(parts))
    if names & _OFFER_PARAMETERS and parts.scheme == "https":
        return Offer(f"{OFFER_SCHEME}://?{parts.query}")
    if names & _REQUEST_PARAMETERS and parts.scheme == "https":
        return Request(f"{REQUEST_SCHEME}://?{parts.query}")
    try:
        return parse_digital_link(text)
    except Malformed:
        raise _unlike("a web page") from None


def _is_receipt(text: str) -> bool:
    if (found := _TOKEN.fullmatch(text)) is None or found["more"]:
        return False
    try:
        header = parse_object(from_b64url(text.partition(".")[0], _WHERE), _WHERE)
    except Malformed:
        return False
    return header.get("typ") == RECEIPT_TYP


def _transfer(parts: SplitResult) -> Transfer:
    called = _TRANSFER.match(parts.path)
    given = _parameters(parts)
    if called is None or not given.keys() <= {"address", "uint256"} or "address" not in given:
        raise _unlike(_SCHEMES["ethereum"])
    if not _ADDRESS.match(given["address"]):
        raise _unlike("a transfer to something that is no address")
    return Transfer(
        token=called["token"],
        chain_id=int(called["chain"]),
        recipient=given["address"],
        amount=_amount(given["uint256"]) if "uint256" in given else None,
    )


def _amount(text: str) -> int:
    """Give whole base units; `2.5e3` is 2500, and half a unit is none."""
    found = _AMOUNT.match(text)
    if found is not None:
        part = (found["part"] or "").rstrip("0")
        ten = int(found["ten"] or "0") - len(part)
        units = int(found["whole"] + part + "0" * ten)
        if ten >= 0 and units < _MAX_POINTS:
            return units
    raise _unlike("a transfer of something that is no whole number")


def _parameters(parts: SplitResult) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            parts.query, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS, errors="strict"
        )
    except ValueError:
        raise _unlike("a broken link") from None
    given = dict(pairs)
    if len(given) != len(pairs):
        raise _unlike("a link that says one thing twice")
    return given


def _look(text: str, parts: SplitResult) -> str:
    """Say in a few words of ours what a text that is not for us looks like."""
    if not text:
        return "nothing"
    if parts.scheme in _SCHEMES:
        return _SCHEMES[parts.scheme]
    if text.upper().startswith("BEGIN:"):
        return "a contact or a calendar's date"
    if found := _TOKEN.match(text):
        return "a credential itself, and no offer of it" if found["more"] else "a signed token"
    if text.startswith(("{", "[")):
        return "a document"
    try:
        require_gtin(text, _WHERE)
    except Malformed:
        return "a link of another kind" if parts.scheme and "://" in text else "text"
    return "a product's bar code, which names no item"


def _unlike(found: str) -> Refused:
    return refuse("not-for-this-wallet", _EXPECTED, found, _WHERE)
