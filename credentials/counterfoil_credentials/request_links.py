"""The link, or QR code, that opens a wallet with a request, in each of its three forms.

    ByReference   who asks, and where the request object is       request_uri
    ByValue       who asks, and the request object itself         request
    InTheOpen     the parameters themselves, which nobody signed  response_type, nonce, …

OpenID4VP 1.0, sections 5.1 and 5.7; RFC 9101, section 5.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from counterfoil_credentials.client_ids import ClientTrust, parse_client_id, unsigned_client
from counterfoil_credentials.encoding import (
    JsonObject,
    compact_json,
    optional_text_at,
    parse_json,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Reason, Refused
from counterfoil_credentials.requests import PresentationRequest, ProvedRequest
from counterfoil_credentials.spec import REQUEST_SCHEME, REQUEST_SCHEMES

MAX_LINK: Final = 98_304
_WHERE: Final = "request_link"
_MAX_FIELDS: Final = 50
# Where an object is wanted, a link holds its JSON (section 5.1).
_OBJECTS: Final = ("dcql_query", "client_metadata", "transaction_data")
_TIMES: Final = ("iat", "exp")
_SIGNED_ONLY: Final = frozenset({"aud", *_TIMES})


class UriMethod(StrEnum):
    """How a request object is fetched (section 5.1, `request_uri_method`)."""

    GET = "get"
    POST = "post"


@dataclass(frozen=True, slots=True)
class ByReference:
    """The request object is at `request_uri`."""

    client_id: str
    request_uri: str
    method: UriMethod = UriMethod.GET


@dataclass(frozen=True, slots=True)
class ByValue:
    """The request object travels in the link."""

    client_id: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class InTheOpen:
    """The parameters travel in the link, and nobody signed them."""

    client_id: str
    parameters: JsonObject = field(repr=False)

    def prove(self, trust: ClientTrust) -> ProvedRequest:
        """Give the request of an unsigned client; `Refused` with `request-not-signed`."""
        client = unsigned_client(parse_client_id(self.client_id), trust)
        return ProvedRequest(client, self.parameters, "", is_signed=False)


AskingLink: TypeAlias = ByReference | ByValue | InTheOpen


def request_link(client_id: str, request_uri: str, method: UriMethod = UriMethod.GET) -> str:
    """Give the link (or QR content) that opens a wallet with a request by reference."""
    link = (
        f"{REQUEST_SCHEME}://?client_id={quote(client_id, safe='')}"
        f"&request_uri={quote(request_uri, safe='')}"
    )
    return link if method is UriMethod.GET else f"{link}&request_uri_method={method}"


def link_by_value(client_id: str, token: str) -> str:
    """Give the link that holds the request object `token` itself."""
    return f"{REQUEST_SCHEME}://?{_query({'client_id': client_id, 'request': token})}"


def link_in_the_open(request: PresentationRequest) -> str:
    """Give the link that holds the parameters of a request that nobody signs (section 5.9.3).

    Times and audience stay out: where there is no signature they would prove nothing.
    """
    claims = request.to_claims()
    parameters = {
        name: value if isinstance(value, str) else compact_json(value).decode()
        for name, value in claims.items()
        if name not in _SIGNED_ONLY
    }
    return f"{REQUEST_SCHEME}://?{_query(parameters)}"


def read_request_link(link: str) -> AskingLink:
    """Give what a link says, or raise `Malformed`.

    `Refused` with `request-uri-method-unknown` for a method that is neither `get` nor
    `post`.
    """
    given = _parameters(link)
    client_id = text_at(given, "client_id", _WHERE)
    if "request_uri" in given:
        if "request" in given:
            raise Malformed("a request by reference or by value", "both", _WHERE)
        uri = text_at(given, "request_uri", _WHERE)
        return ByReference(client_id, uri, _method(given))
    if "request_uri_method" in given:
        raise Malformed("request_uri beside request_uri_method", "none", _WHERE)
    if "request" in given:
        return ByValue(client_id, text_at(given, "request", _WHERE))
    if "response_type" not in given:
        raise Malformed("a request", "none", _WHERE)
    return InTheOpen(client_id, _decoded(given))


def parse_request_link(link: str) -> ByReference:
    """Give a link by reference; every other one is `Malformed` here."""
    found = read_request_link(link)
    if not isinstance(found, ByReference):
        raise Malformed("a request by reference", "another form", _WHERE)
    return found


def _parameters(link: str) -> JsonObject:
    if len(link) > MAX_LINK:
        raise Malformed(f"at most {MAX_LINK} characters", f"{len(link)}", _WHERE)
    if not link.isascii():
        raise Malformed("a link in ASCII", "another character", _WHERE)
    try:
        parts = urlsplit(link)
    except ValueError:  # It quotes the link, which may be an offer with its code.
        raise Malformed("a link", "another text", _WHERE) from None
    if parts.scheme not in REQUEST_SCHEMES:
        raise Malformed(f"a link with the scheme {REQUEST_SCHEME}", "another", _WHERE)
    try:
        fields = parse_qsl(
            parts.query,
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError:
        raise Malformed("a query", "another text", _WHERE) from None
    given: JsonObject = dict(fields)
    if len(given) != len(fields):
        raise Malformed("each parameter once", "one twice", _WHERE)
    return given


def _query(parameters: dict[str, str]) -> str:
    return urlencode(parameters, quote_via=quote, safe="")


def _method(given: JsonObject) -> UriMethod:
    text = optional_text_at(given, "request_uri_method", _WHERE) or UriMethod.GET.value
    if text not in tuple(UriMethod):
        where = f"{_WHERE}.request_uri_method"
        raise Refused(Reason("request-uri-method-unknown", "get or post", "another", where))
    return UriMethod(text)


def _decoded(given: JsonObject) -> JsonObject:
    claims = dict(given)
    # A time in a link is a text that nobody signed: it proves nothing, so it is left out.
    for name in _TIMES:
        claims.pop(name, None)
    for name in _OBJECTS:
        if name in given:
            claims[name] = parse_json(text_at(given, name, _WHERE), f"{_WHERE}.{name}")
    return claims
