"""The credential offer: what a brand hands over for the wallet to accept.

OpenID4VCI 1.0, section 4.1. An offer is untrusted input: it only says where to
ask, and everything it claims is checked against the issuer itself.
"""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit

from counterfoil_credentials.encoding import (
    Json,
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
from counterfoil_credentials.spec import (
    AUTHORIZATION_CODE_GRANT,
    OFFER_SCHEME,
    PRE_AUTHORIZED_GRANT,
)

_WHERE: Final = "credential_offer"
_GRANTS: Final = f"{_WHERE}.grants"
_MAX_LINK: Final = 16_384
_MAX_CONFIGURATIONS: Final = 20
_MAX_DESCRIPTION: Final = 300
_MAX_SECRET: Final = 4_096
_BY_VALUE: Final = "credential_offer"
_BY_REFERENCE: Final = "credential_offer_uri"


@dataclass(frozen=True, slots=True)
class TxCode:
    """What the customer must type in: the description of a code, not the code."""

    length: int | None
    numeric: bool
    description: str | None


@dataclass(frozen=True, slots=True)
class ByLogin:
    """The other way to accept an offer: the customer logs in at the brand (section 5)."""

    issuer_state: str | None = field(repr=False)
    authorization_server: str | None = None

    def to_json(self) -> JsonObject:
        """Give the grant `authorization_code` as an offer names it."""
        members = (
            ("issuer_state", self.issuer_state),
            ("authorization_server", self.authorization_server),
        )
        return {name: value for name, value in members if value is not None}


@dataclass(frozen=True, slots=True)
class CredentialOffer:
    """An offer with a pre-authorized `code`, or by login, or for the customer to choose."""

    issuer: str
    configuration_ids: tuple[str, ...]
    code: str | None = field(repr=False)
    tx_code: TxCode | None
    authorization_server: str | None = None
    by_login: ByLogin | None = None

    @property
    def pre_authorized_code(self) -> str:
        """The code; `Malformed` for an offer that has none and needs a login."""
        if self.code is None:
            raise Malformed("a pre-authorized_code", "none", _GRANTS)
        return self.code

    def to_json(self) -> JsonObject:
        """Give the offer's JSON object (section 4.1.1)."""
        grants: dict[str, Json] = {}
        if self.by_login is not None:
            grants[AUTHORIZATION_CODE_GRANT] = self.by_login.to_json()
        if self.code is not None:
            grants[PRE_AUTHORIZED_GRANT] = self._pre_authorized(self.code)
        return {
            "credential_issuer": self.issuer,
            "credential_configuration_ids": [*self.configuration_ids],
            "grants": grants,
        }

    def _pre_authorized(self, code: str) -> JsonObject:
        grant: JsonObject = {"pre-authorized_code": code}
        if self.authorization_server is not None:
            grant["authorization_server"] = self.authorization_server
        if self.tx_code is not None:
            described: JsonObject = {"input_mode": "numeric" if self.tx_code.numeric else "text"}
            if self.tx_code.length is not None:
                described["length"] = self.tx_code.length
            if self.tx_code.description is not None:
                described["description"] = self.tx_code.description
            grant["tx_code"] = described
        return grant

    def to_link(self) -> str:
        """Give the link (or QR content) that opens a wallet (section 4.1.2)."""
        return f"{OFFER_SCHEME}://?credential_offer={quote(compact_json(self.to_json()), safe='')}"


def parse_offer(link: str) -> CredentialOffer:
    """Give the offer that a link carries by value.

    Raises `Malformed` for another scheme, several offers, or no grant that we know.
    """
    name, value = _carried(link)
    if name != _BY_VALUE:
        raise Malformed(f"one {_BY_VALUE}", "a reference to one", _WHERE)
    return parse_offer_object(parse_object(value, _WHERE, max_bytes=_MAX_LINK, max_depth=8))


def offer_url(link: str) -> str | None:
    """Give where the offer is to be fetched, or None when the link carries it by value.

    `Malformed` as from `parse_offer`. Section 4.1.3.
    """
    name, value = _carried(link)
    return value if name == _BY_REFERENCE else None


def parse_offer_object(obj: JsonObject) -> CredentialOffer:
    """Give the offer in its JSON object (section 4.1.1).

    Without grants the customer logs in: an issuer that takes a code would say which.
    """
    configurations = texts_at(obj, "credential_configuration_ids", _WHERE)
    if not 1 <= len(set(configurations)) == len(configurations) <= _MAX_CONFIGURATIONS:
        raise Malformed(
            f"1 to {_MAX_CONFIGURATIONS} distinct configurations", f"{len(configurations)}", _WHERE
        )
    where = _GRANTS
    grants = object_at(obj, "grants", _WHERE) if "grants" in obj else {}
    by_login = None
    if AUTHORIZATION_CODE_GRANT in grants or not grants:
        by_login = _by_login(_grant(grants, AUTHORIZATION_CODE_GRANT))
    elif PRE_AUTHORIZED_GRANT not in grants:
        raise Malformed("a grant that we know, such as pre-authorized_code", "others", where)
    grant = _grant(grants, PRE_AUTHORIZED_GRANT)
    code = text_at(grant, "pre-authorized_code", where) if PRE_AUTHORIZED_GRANT in grants else None
    if code is not None and not 1 <= len(code) <= _MAX_SECRET:
        raise Malformed("a pre-authorized code", "an empty or a very long one", where)
    return CredentialOffer(
        issuer=text_at(obj, "credential_issuer", _WHERE),
        configuration_ids=tuple(configurations),
        code=code,
        tx_code=_tx_code(object_at(grant, "tx_code", where)) if "tx_code" in grant else None,
        authorization_server=optional_text_at(grant, "authorization_server", where),
        by_login=by_login,
    )


def _carried(link: str) -> tuple[str, str]:
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
    carried = [(name, value) for name, values in parameters.items() for value in values]
    if len(carried) != 1 or carried[0][0] not in (_BY_VALUE, _BY_REFERENCE):
        raise Malformed(f"one {_BY_VALUE} or {_BY_REFERENCE}", "other parameters", _WHERE)
    return carried[0]


def _grant(grants: JsonObject, name: str) -> JsonObject:
    return object_at(grants, name, _GRANTS) if name in grants else {}


def _by_login(grant: JsonObject) -> ByLogin:
    state = optional_text_at(grant, "issuer_state", _GRANTS)
    if state is not None and len(state) > _MAX_SECRET:
        raise Malformed(f"at most {_MAX_SECRET} characters", f"{len(state)}", _GRANTS)
    return ByLogin(state, optional_text_at(grant, "authorization_server", _GRANTS))


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
