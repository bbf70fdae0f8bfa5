"""The presentation request: who asks, what for, and where the answer goes.

OpenID4VP 1.0, section 5: a signed request object by reference, a client id that
is a DID (section 5.9.3), and an answer by `direct_post` (section 8.2).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias
from urllib.parse import parse_qs, quote, urlsplit

from counterfoil_credentials.dcql import DcqlQuery, parse_dcql
from counterfoil_credentials.dids import Did, key_id_of, key_of
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_text,
    compact_json,
    list_at,
    object_at,
    optional_text_at,
    parse_object,
    text_at,
    texts_at,
)
from counterfoil_credentials.errors import Malformed, Reason, Refused
from counterfoil_credentials.jws import read_jws, sign_jws
from counterfoil_credentials.keys import Signer
from counterfoil_credentials.sdjwt_vc import time_at
from counterfoil_credentials.spec import (
    DID_PREFIX,
    REQUEST_SCHEME,
    REQUEST_TYP,
    SD_JWT_VC_FORMAT,
    SELF_ISSUED_AUDIENCE,
)

VpToken: TypeAlias = Mapping[str, tuple[str, ...]]

_WHERE: Final = "request"
_SKEW: Final = timedelta(seconds=60)
_MAX_TEXT: Final = 2_000
_MAX_TRANSACTION_DATA: Final = 10
_MAX_PRESENTATIONS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentationRequest:
    """What a verifier asks for. `client_id` is the full one, with its prefix."""

    client_id: str
    response_uri: str
    nonce: str
    state: str | None
    query: DcqlQuery
    issued_at: datetime
    expires_at: datetime
    client_name: str | None = None
    purpose: str | None = None
    # As sent: base64url texts, hashed undecoded (section 8.4).
    transaction_data: tuple[str, ...] = ()

    def to_claims(self) -> JsonObject:
        """Give the request object's claims."""
        formats: JsonObject = {
            SD_JWT_VC_FORMAT: {"sd-jwt_alg_values": ["ES256"], "kb-jwt_alg_values": ["ES256"]}
        }
        metadata: JsonObject = {"vp_formats_supported": formats}
        if self.client_name is not None:
            metadata["client_name"] = self.client_name
        claims: JsonObject = {
            "aud": SELF_ISSUED_AUDIENCE,
            "client_id": self.client_id,
            "response_type": "vp_token",
            "response_mode": "direct_post",
            "response_uri": self.response_uri,
            "nonce": self.nonce,
            "dcql_query": self.query.to_json(),
            "client_metadata": metadata,
            "iat": int(self.issued_at.timestamp()),
            "exp": int(self.expires_at.timestamp()),
        }
        if self.state is not None:
            claims["state"] = self.state
        if self.purpose is not None:
            claims["purpose"] = self.purpose
        if self.transaction_data:
            claims["transaction_data"] = [*self.transaction_data]
        return claims


@dataclass(frozen=True, slots=True)
class RequestLink:
    """What a QR code says: who asks, and where the signed request is."""

    client_id: str
    request_uri: str


def client_id_of(did: Did) -> str:
    """Give the full client id of a verifier that is known by its DID."""
    return f"{DID_PREFIX}{did}"


def sign_request(request: PresentationRequest, signer: Signer) -> str:
    """Give the signed request object of a verifier whose client id is a DID."""
    did = Did(request.client_id.removeprefix(DID_PREFIX))
    return sign_jws(
        request.to_claims(), typ=REQUEST_TYP, signer=signer, header={"kid": key_id_of(did)}
    )


def request_link(client_id: str, request_uri: str) -> str:
    """Give the link (or QR content) that opens a wallet with a request by reference."""
    return (
        f"{REQUEST_SCHEME}://?client_id={quote(client_id, safe='')}"
        f"&request_uri={quote(request_uri, safe='')}"
    )


def parse_request_link(link: str) -> RequestLink:
    """Give the two halves of a request link, or raise `Malformed`."""
    if len(link) > 8_192:
        raise Malformed("at most 8192 characters", f"{len(link)}", "request_link")
    if not link.isascii():
        raise Malformed("a link in ASCII", "another character", "request_link")
    try:
        parts = urlsplit(link)
    except ValueError:  # It quotes the link, which may be an offer with its code.
        raise Malformed("a link", "another text", "request_link") from None
    if parts.scheme != REQUEST_SCHEME:
        raise Malformed(f"a link with the scheme {REQUEST_SCHEME}", "another", "request_link")
    try:
        found = parse_qs(parts.query, strict_parsing=True, max_num_fields=10, errors="strict")
    except ValueError:
        raise Malformed("a query", "another text", "request_link") from None
    if any(len(values) != 1 for values in found.values()):
        raise Malformed("each parameter once", "one twice", "request_link")
    given: JsonObject = {name: values[0] for name, values in found.items()}
    return RequestLink(
        text_at(given, "client_id", "request_link"), text_at(given, "request_uri", "request_link")
    )


def read_request(token: str, *, client_id: str, now: datetime) -> PresentationRequest:
    """Give the verified request object.

    Checked: the signature by the key that the client id names, a `did:jwk` or a
    `did:key`; inner client id equal to the outer; the audience; the time; that the
    answer goes out by `direct_post`; every member's shape. `Refused` codes:
    `signature-invalid`, `algorithm-not-allowed`, `key-type-unsupported`,
    `client-id-mismatch`, `audience-mismatch`, `request-expired`,
    `request-from-the-future`, `client-id-prefix-unknown`.
    """
    if not client_id.startswith(DID_PREFIX):
        raise _refused("client-id-prefix-unknown", DID_PREFIX, "another prefix", "client_id")
    did = client_id.removeprefix(DID_PREFIX)
    unverified = read_jws(token, typ=REQUEST_TYP, where=_WHERE)
    if unverified.header.get("kid") != key_id_of(Did(did)):
        raise _refused("client-id-mismatch", "a key of the client id", "another", f"{_WHERE}.kid")
    claims = unverified.verify(key_of(did, "client_id"))
    request = _request(claims)
    reasons: list[Reason] = []
    if request.client_id != client_id:
        reasons.append(
            Reason(
                "client-id-mismatch", "the client id of the link", "another", f"{_WHERE}.client_id"
            )
        )
    if claims.get("aud") != SELF_ISSUED_AUDIENCE:
        reasons.append(Reason("audience-mismatch", "a wallet", "another", f"{_WHERE}.aud"))
    if now >= request.expires_at:
        reasons.append(Reason("request-expired", "a live request", "an old one", f"{_WHERE}.exp"))
    if request.issued_at > now + _SKEW:
        reasons.append(
            Reason(
                "request-from-the-future", "a request made by now", "a later one", f"{_WHERE}.iat"
            )
        )
    if reasons:
        raise Refused(*reasons)
    return request


def response_form(vp_token: Mapping[str, Sequence[str]], state: str | None) -> dict[str, str]:
    """Give the form fields of an answer (section 8.2); the values are presentations."""
    token: JsonObject = {name: [*presentations] for name, presentations in vp_token.items()}
    form = {"vp_token": compact_json(token).decode("utf-8")}
    return form if state is None else {**form, "state": state}


def parse_response_form(form: Mapping[str, str]) -> VpToken:
    """Give the presentations of an answer, by query id (section 8.1).

    Raises `Malformed`; a text where a list belongs is a common mistake and is one.
    """
    if "vp_token" not in form:
        raise Malformed("a vp_token", "nothing", "vp_token")
    answers = parse_object(form["vp_token"], "vp_token", max_bytes=1024 * 1024, max_depth=4)
    presented: dict[str, tuple[str, ...]] = {}
    for name in answers:
        values = list_at(answers, name, "vp_token")
        if not 1 <= len(values) <= _MAX_PRESENTATIONS:
            raise Malformed(
                f"1 to {_MAX_PRESENTATIONS} presentations", f"{len(values)}", "vp_token"
            )
        presented[name] = tuple(as_text(value, "vp_token") for value in values)
    return presented


def _request(claims: JsonObject) -> PresentationRequest:
    for name, only in (("response_type", "vp_token"), ("response_mode", "direct_post")):
        if text_at(claims, name, _WHERE) != only:
            raise Malformed(only, "another value", f"{_WHERE}.{name}")
    if "redirect_uri" in claims:
        raise Malformed("no redirect_uri beside direct_post", "one", _WHERE)
    metadata = object_at(claims, "client_metadata", _WHERE) if "client_metadata" in claims else {}
    transaction_data: list[str] = []
    if "transaction_data" in claims:
        transaction_data = texts_at(claims, "transaction_data", _WHERE)
        if not 1 <= len(transaction_data) <= _MAX_TRANSACTION_DATA:
            raise Malformed(
                f"1 to {_MAX_TRANSACTION_DATA} elements",
                f"{len(transaction_data)}",
                f"{_WHERE}.transaction_data",
            )
    return PresentationRequest(
        client_id=text_at(claims, "client_id", _WHERE),
        response_uri=text_at(claims, "response_uri", _WHERE),
        nonce=_nonce(claims),
        state=optional_text_at(claims, "state", _WHERE),
        query=parse_dcql(object_at(claims, "dcql_query", _WHERE)),
        issued_at=_instant(claims, "iat"),
        expires_at=_instant(claims, "exp"),
        client_name=_short(metadata, "client_name"),
        purpose=_short(claims, "purpose"),
        transaction_data=tuple(transaction_data),
    )


def _nonce(claims: JsonObject) -> str:
    nonce = text_at(claims, "nonce", _WHERE)
    if not nonce:
        raise Malformed("a nonce", "an empty one", f"{_WHERE}.nonce")
    return nonce


def _instant(claims: JsonObject, name: str) -> datetime:
    instant = time_at(claims, name, _WHERE)
    if instant is None:
        raise Malformed("a time", "nothing", f"{_WHERE}.{name}")
    return instant


def _short(obj: Mapping[str, Json], name: str) -> str | None:
    text = optional_text_at(obj, name, _WHERE)
    if text is not None and len(text) > _MAX_TEXT:
        raise Malformed(f"at most {_MAX_TEXT} characters", f"{len(text)}", f"{_WHERE}.{name}")
    return text


def _refused(code: str, expected: str, found: str, where: str) -> Refused:
    return Refused(Reason(code, expected, found, where))
