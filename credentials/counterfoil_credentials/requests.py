"""The presentation request: who asks, what for, and where the answer goes.

OpenID4VP 1.0, section 5: a request object, signed or, under `redirect_uri`, unsigned
(`client_ids.py` proves who asks), and an answer by `direct_post` (section 8.2) or
encrypted by `direct_post.jwt` (section 8.3.1).

    token ─► prove_request ─► ProvedRequest ─► read ─► PresentationRequest

`read_request` is both steps; between them stands who may be told what is wrong with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from counterfoil_credentials.client_ids import (
    Client,
    ClientTrust,
    Prefix,
    parse_client_id,
    signing_client,
    unsigned_client,
)
from counterfoil_credentials.dcql import DcqlQuery, parse_dcql
from counterfoil_credentials.dids import Did, key_id_of
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
from counterfoil_credentials.jose import ContentEncryption, EncryptionKey, encryption_key
from counterfoil_credentials.jws import Header, read_jws, sign_jws
from counterfoil_credentials.keys import Signer
from counterfoil_credentials.sdjwt_vc import time_at
from counterfoil_credentials.spec import (
    DID_PREFIX,
    REQUEST_TYP,
    SD_JWT_VC_FORMAT,
    SELF_ISSUED_AUDIENCE,
)

VpToken: TypeAlias = Mapping[str, tuple[str, ...]]

REQUEST_LIFE: Final = timedelta(minutes=5)
"""How long a request is good that does not say it, from when it is read."""

_WHERE: Final = "request"
_SKEW: Final = timedelta(seconds=60)
_DIRECT_POST: Final = "direct_post"
_DIRECT_POST_JWT: Final = "direct_post.jwt"
_MAX_TEXT: Final = 2_000
_MAX_STATE: Final = 2_048
_MAX_TRANSACTION_DATA: Final = 10
_MAX_PRESENTATIONS: Final = 20


@dataclass(frozen=True, slots=True)
class ResponseEncryption:
    """To whom an answer is encrypted, and how: the verifier's preference first."""

    key: EncryptionKey
    encryptions: tuple[ContentEncryption, ...] = (ContentEncryption.A128GCM,)


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentationRequest:
    """What a verifier asks for. `client_id` is the full one, with its prefix.

    With `encryption` the answer goes by `direct_post.jwt`. `purpose` and `retention` are
    what the verifier says of why it asks and what it keeps: two parameters of ours,
    which other wallets ignore (section 5).
    """

    client_id: str
    response_uri: str
    nonce: str
    state: str | None
    query: DcqlQuery
    issued_at: datetime
    expires_at: datetime
    client_name: str | None = None
    purpose: str | None = None
    retention: str | None = None
    encryption: ResponseEncryption | None = None
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
        if self.encryption is not None:
            metadata |= _encryption_json(self.encryption)
        claims: JsonObject = {
            "aud": SELF_ISSUED_AUDIENCE,
            "client_id": self.client_id,
            "response_type": "vp_token",
            "response_mode": _DIRECT_POST if self.encryption is None else _DIRECT_POST_JWT,
            "response_uri": self.response_uri,
            "nonce": self.nonce,
            "dcql_query": self.query.to_json(),
            "client_metadata": metadata,
            "iat": int(self.issued_at.timestamp()),
            "exp": int(self.expires_at.timestamp()),
        }
        for name, text in (
            ("state", self.state),
            ("purpose", self.purpose),
            ("retention", self.retention),
        ):
            if text is not None:
                claims[name] = text
        if self.transaction_data:
            claims["transaction_data"] = [*self.transaction_data]
        return claims


def client_id_of(did: Did) -> str:
    """Give the full client id of a verifier that is known by its DID."""
    return f"{DID_PREFIX}{did}"


def sign_request(
    request: PresentationRequest,
    signer: Signer,
    *,
    chain: Sequence[str] = (),
    key_id: str | None = None,
    wallet_nonce: str | None = None,
) -> str:
    """Give the signed request object.

    The header names the key of the client id's DID (`key_id`, where the DID has several),
    or holds `chain`, the certificates of `signer`'s key as in `x5c`. `wallet_nonce` is the
    one that the wallet posted, if it did (section 5.10).
    """
    header: Header
    if chain:
        header = {"x5c": [*chain]}
    elif key_id is not None:
        header = {"kid": key_id}
    else:
        header = {"kid": key_id_of(Did(request.client_id.removeprefix(DID_PREFIX)))}
    claims = request.to_claims()
    if wallet_nonce is not None:
        claims["wallet_nonce"] = wallet_nonce
    return sign_jws(claims, typ=REQUEST_TYP, signer=signer, header=header)


@dataclass(frozen=True, slots=True)
class ProvedRequest:
    """A request of which it is proved who asks, and not yet whether it makes sense."""

    client: Client
    claims: JsonObject = field(repr=False)
    token: str = field(repr=False)
    is_signed: bool = True

    @property
    def answers_go_to(self) -> str | None:
        """The response URI, if there is one at which this client may be answered."""
        url = self.claims.get("response_uri", _address_of(self.client))
        if not isinstance(url, str) or not self.client.may_be_answered_at(url):
            return None
        return url

    @property
    def state(self) -> str | None:
        """The state that goes with every answer, if there is one of at most 2,048 characters.

        It is sent back also where the rest is refused: to an address and in words that
        whoever wrote the request chose.
        """
        state = self.claims.get("state")
        return state if isinstance(state, str) and len(state) <= _MAX_STATE else None

    def require_for(self, *, client_id: str, wallet_nonce: str | None) -> None:
        """Return only if the request is for whoever followed the link to it.

        `Refused`: `client-id-mismatch`, `audience-mismatch`, `wallet-nonce-mismatch`.
        """
        reasons: list[Reason] = []
        if self.claims.get("client_id") != client_id:
            expected = "the client id of the link"
            reasons.append(_reason("client-id-mismatch", expected, "another", "client_id"))
        # What nobody signed was made for nobody, and need not say for whom.
        has_audience = self.is_signed or "aud" in self.claims
        if has_audience and self.claims.get("aud") != SELF_ISSUED_AUDIENCE:
            reasons.append(_reason("audience-mismatch", "a wallet", "another", "aud"))
        if wallet_nonce is not None and self.claims.get("wallet_nonce") != wallet_nonce:
            expected = "the nonce that this wallet sent"
            reasons.append(_reason("wallet-nonce-mismatch", expected, "another", "wallet_nonce"))
        if reasons:
            raise Refused(*reasons)

    def read(self, now: datetime) -> PresentationRequest:
        """Give the request's parameters, checked.

        `Malformed` for another response type or mode and for every member out of shape.
        `Refused`: `request-expired`, `request-from-the-future`, `response-uri-mismatch`,
        `no-usable-key` (nothing the answer could be encrypted with).
        """
        request = _request(self.claims, self.client, now)
        reasons: list[Reason] = []
        if now >= request.expires_at:
            reasons.append(_reason("request-expired", "a live request", "an old one", "exp"))
        if request.issued_at > now + _SKEW:
            expected = "a request made by now"
            reasons.append(_reason("request-from-the-future", expected, "a later one", "iat"))
        if not self.client.may_be_answered_at(request.response_uri):
            expected = "an address of the client id"
            reasons.append(_reason("response-uri-mismatch", expected, "another", "response_uri"))
        if reasons:
            raise Refused(*reasons)
        return request


def prove_request(
    token: str, *, client_id: str, now: datetime, trust: ClientTrust | None = None
) -> ProvedRequest:
    """Give a request object whose signature is by the key that `client_id` stands for.

    Under `redirect_uri` it must have none (`alg` is `none`). `Refused` codes:
    `signature-invalid`, `algorithm-not-allowed`, `client-id-prefix-unknown` and those of
    `signing_client`.
    """
    trust = ClientTrust() if trust is None else trust
    named = parse_client_id(client_id)
    unverified = read_jws(token, typ=REQUEST_TYP, where=_WHERE)
    if unverified.header.get("alg") == "none" and token.endswith("."):
        client = unsigned_client(named, trust)
        return ProvedRequest(client, unverified.unverified_claims, token, is_signed=False)
    client, key = signing_client(named, unverified.header, trust, now=now)
    return ProvedRequest(client, unverified.verify(key), token)


def read_request(
    token: str,
    *,
    client_id: str,
    now: datetime,
    trust: ClientTrust | None = None,
    wallet_nonce: str | None = None,
) -> PresentationRequest:
    """Give the request object, proved and checked.

    Raises as `prove_request`, `ProvedRequest.require_for` and `ProvedRequest.read` do.
    """
    proved = prove_request(token, client_id=client_id, now=now, trust=trust)
    proved.require_for(client_id=client_id, wallet_nonce=wallet_nonce)
    return proved.read(now)


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
    return vp_token_of(
        parse_object(form["vp_token"], "vp_token", max_bytes=1024 * 1024, max_depth=4)
    )


def vp_token_of(answers: JsonObject) -> VpToken:
    """Give the presentations in a `vp_token`, by query id; raises `Malformed`."""
    presented: dict[str, tuple[str, ...]] = {}
    for name in answers:
        values = list_at(answers, name, "vp_token")
        if not 1 <= len(values) <= _MAX_PRESENTATIONS:
            raise Malformed(
                f"1 to {_MAX_PRESENTATIONS} presentations", f"{len(values)}", "vp_token"
            )
        presented[name] = tuple(as_text(value, "vp_token") for value in values)
    return presented


def _request(claims: JsonObject, client: Client, now: datetime) -> PresentationRequest:
    if text_at(claims, "response_type", _WHERE) != "vp_token":
        raise Malformed("vp_token", "another value", f"{_WHERE}.response_type")
    mode = text_at(claims, "response_mode", _WHERE)
    if mode not in (_DIRECT_POST, _DIRECT_POST_JWT):
        expected = f"{_DIRECT_POST} or {_DIRECT_POST_JWT}"
        raise Malformed(expected, "another value", f"{_WHERE}.response_mode")
    if "redirect_uri" in claims:
        raise Malformed("no redirect_uri beside direct_post", "one", f"{_WHERE}.redirect_uri")
    if "scope" in claims and "dcql_query" in claims:
        raise Malformed("dcql_query alone", "a scope beside it", f"{_WHERE}.scope")
    metadata = object_at(claims, "client_metadata", _WHERE) if "client_metadata" in claims else {}
    return PresentationRequest(
        client_id=client.client_id.text,
        response_uri=_response_uri(claims, client),
        nonce=_nonce(claims),
        state=_short(claims, "state", _MAX_STATE),
        query=parse_dcql(object_at(claims, "dcql_query", _WHERE)),
        issued_at=time_at(claims, "iat", _WHERE) or now,
        expires_at=time_at(claims, "exp", _WHERE) or now + REQUEST_LIFE,
        client_name=_short(metadata, "client_name"),
        purpose=_short(claims, "purpose"),
        retention=_short(claims, "retention"),
        encryption=_encryption(metadata) if mode == _DIRECT_POST_JWT else None,
        transaction_data=_transaction_data(claims),
    )


def _response_uri(claims: JsonObject, client: Client) -> str:
    # Under `redirect_uri` the client id is the address already (section 5.9.3).
    address = _address_of(client)
    if address is not None and "response_uri" not in claims:
        return address
    return text_at(claims, "response_uri", _WHERE)


def _address_of(client: Client) -> str | None:
    client_id = client.client_id
    return client_id.name if client_id.prefix is Prefix.REDIRECT_URI else None


def _transaction_data(claims: JsonObject) -> tuple[str, ...]:
    if "transaction_data" not in claims:
        return ()
    texts = texts_at(claims, "transaction_data", _WHERE)
    if not 1 <= len(texts) <= _MAX_TRANSACTION_DATA:
        expected, where = f"1 to {_MAX_TRANSACTION_DATA} elements", f"{_WHERE}.transaction_data"
        raise Malformed(expected, f"{len(texts)}", where)
    return tuple(texts)


def _encryption(metadata: JsonObject) -> ResponseEncryption:
    where = f"{_WHERE}.client_metadata"
    key = encryption_key(object_at(metadata, "jwks", where), f"{where}.jwks")
    name = "encrypted_response_enc_values_supported"
    if name not in metadata:
        return ResponseEncryption(key)
    known = tuple(ContentEncryption)
    listed = tuple(dict.fromkeys(texts_at(metadata, name, where)))
    usable = tuple(ContentEncryption(text) for text in listed if text in known)
    if not usable:
        expected = " or ".join(known)
        raise Refused(Reason("no-usable-key", expected, "others", f"{where}.{name}"))
    return ResponseEncryption(key, usable)


def _encryption_json(encryption: ResponseEncryption) -> JsonObject:
    key = encryption.key
    jwk: JsonObject = {**key.point.jwk(), "use": "enc", "alg": "ECDH-ES"}
    if key.key_id is not None:
        jwk["kid"] = key.key_id
    values: list[Json] = [value.value for value in encryption.encryptions]
    return {"jwks": {"keys": [jwk]}, "encrypted_response_enc_values_supported": values}


def _nonce(claims: JsonObject) -> str:
    nonce = text_at(claims, "nonce", _WHERE)
    if not nonce:
        raise Malformed("a nonce", "an empty one", f"{_WHERE}.nonce")
    return nonce


def _short(obj: Mapping[str, Json], name: str, longest: int = _MAX_TEXT) -> str | None:
    text = optional_text_at(obj, name, _WHERE)
    if text is not None and len(text) > longest:
        raise Malformed(f"at most {longest} characters", f"{len(text)}", f"{_WHERE}.{name}")
    return text


def _reason(code: str, expected: str, found: str, name: str) -> Reason:
    return Reason(code, expected, found, f"{_WHERE}.{name}")
