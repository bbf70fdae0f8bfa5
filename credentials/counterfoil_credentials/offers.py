"""The credential offer: what a brand hands over for the wallet to accept.

OpenID4VCI 1.0, section 4.1. An offer is untrusted input: it only says where to
ask, and everything it claims is checked against the issuer itself.
"""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit

from counterfoil_credentials.encoding import (
    JsonObject,
    compact_json,
    object_at,
    optional_int_at,
    optional_text_at,
    parse_object,
    text_at,
    texts_at,
)
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.spec import OFFER_SCHEME, PRE_AUTHORIZED_GRANT

_WHERE: Final = "credential_offer"
_MAX_LINK: Final = 16_384
_MAX_CONFIGURATIONS: Final = 20
_MAX_DESCRIPTION: Final = 300


@dataclass(frozen=True, slots=True)
class TxCode:
    """What the customer must type in: the description of a code, not the code."""

    length: int | None
    numeric: bool
    description: str | None


@dataclass(frozen=True, slots=True)
class CredentialOffer:
    """An offer with a pre-authorized code."""

    issuer: str
    configuration_ids: tuple[str, ...]
    pre_authorized_code: str = field(repr=False)
    tx_code: TxCode | None
    authorization_server: str | None = None

    def to_json(self) -> JsonObject:
        """Give the offer's JSON object (section 4.1.1)."""
        grant: JsonObject = {"pre-authorized_code": self.pre_authorized_code}
        if self.authorization_server is not None:
            grant["authorization_server"] = self.authorization_server
        if self.tx_code is not None:
            described: JsonObject = {"input_mode": "numeric" if self.tx_code.numeric else "text"}
            if self.tx_code.length is not None:
                described["length"] = self.tx_code.length
            if self.tx_code.description is not None:
                described["description"] = self.tx_code.description
            grant["tx_code"] = described
        return {
            "credential_issuer": self.issuer,
            "credential_configuration_ids": [*self.configuration_ids],
            "grants": {PRE_AUTHORIZED_GRANT: grant},
        }

    def to_link(self) -> str:
        """Give the link (or QR content) that opens a wallet (section 4.1.2)."""
        return f"{OFFER_SCHEME}://?credential_offer={quote(compact_json(self.to_json()), safe='')}"


def parse_offer(link: str) -> CredentialOffer:
    """Give the offer that a link carries by value.

    Raises `Malformed` for another scheme, several offers, or a missing grant.
    """
    if len(link) > _MAX_LINK:
        raise Malformed(f"at most {_MAX_LINK} characters", f"{len(link)}", _WHERE)
    if not link.isascii():
        raise Malformed("a link in ASCII", "another character", _WHERE)
    try:
        parts = urlsplit(link)
    except ValueError:  # It quotes the link, and a code in it must not reach a traceback.
        raise Malformed("a link", "another text", _WHERE) from None
    if parts.scheme != OFFER_SCHEME:
        raise Malformed(f"a link with the scheme {OFFER_SCHEME}", "another scheme", _WHERE)
    try:
        parameters = parse_qs(parts.query, strict_parsing=True, max_num_fields=5, errors="strict")
    except ValueError:
        raise Malformed("a query with one offer", "another query", _WHERE) from None
    carried = parameters.get("credential_offer", [])
    if len(carried) != 1 or len(parameters) != 1:
        raise Malformed("one credential_offer by value", "other parameters", _WHERE)
    return _offer(parse_object(carried[0], _WHERE, max_bytes=_MAX_LINK, max_depth=8))


def _offer(obj: JsonObject) -> CredentialOffer:
    configurations = texts_at(obj, "credential_configuration_ids", _WHERE)
    if not 1 <= len(set(configurations)) == len(configurations) <= _MAX_CONFIGURATIONS:
        raise Malformed(
            f"1 to {_MAX_CONFIGURATIONS} distinct configurations", f"{len(configurations)}", _WHERE
        )
    where = f"{_WHERE}.grants"
    grant = object_at(object_at(obj, "grants", _WHERE), PRE_AUTHORIZED_GRANT, where)
    code = text_at(grant, "pre-authorized_code", where)
    if not code:
        raise Malformed("a pre-authorized code", "an empty one", where)
    return CredentialOffer(
        issuer=text_at(obj, "credential_issuer", _WHERE),
        configuration_ids=tuple(configurations),
        pre_authorized_code=code,
        tx_code=_tx_code(object_at(grant, "tx_code", where)) if "tx_code" in grant else None,
        authorization_server=optional_text_at(grant, "authorization_server", where),
    )


def _tx_code(obj: JsonObject) -> TxCode:
    where = f"{_WHERE}.tx_code"
    mode = optional_text_at(obj, "input_mode", where) or "numeric"
    if mode not in ("numeric", "text"):
        raise Malformed("numeric or text", "another mode", f"{where}.input_mode")
    length = optional_int_at(obj, "length", where)
    if length is not None and not 1 <= length <= 100:
        raise Malformed("a length from 1 to 100", "another", f"{where}.length")
    description = optional_text_at(obj, "description", where)
    if description is not None and len(description) > _MAX_DESCRIPTION:
        raise Malformed(
            f"at most {_MAX_DESCRIPTION} characters", f"{len(description)}", f"{where}.description"
        )
    return TxCode(length, mode == "numeric", description)
