"""A wallet and its issuer as the OpenID Foundation's suite emulates them: nothing of ours.

Keys, signatures and encryption are jwcrypto's. A `Variant` is what a misbehaving wallet
does otherwise; without one every step is right.
"""

import base64
import hashlib
import json
import re
import secrets
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from httpx2 import Client, Response

from tests.issuer.conformance.emulated_wallet import (
    JWE,
    JWK,
    JWS,
    Json,
    Key,
    new_key,
    public,
    signed,
    with_another_signature,
)

ISSUER: Final = "https://suite.example"
TYPE: Final = f"{ISSUER}/types/warranty"
LIST: Final = f"{ISSUER}/status-lists/1"
INDEX: Final = 7
SHOWN: Final = {"item": {"name": "Auricle One", "serial": "A1-0001"}, "valid_until": "2099-12-31"}
CONCEALED: Final = {"valid_until": "2099-12-31", "owner": "Li Na"}


@dataclass(frozen=True)
class Variant:
    """What a wallet does otherwise. Times are seconds from now."""

    audience: str | None = None
    nonce: str | None = None
    sd_hash: str | None = None
    iat_s: int = 0
    breaks_binding: bool = False
    leaves_binding_out: bool = False
    breaks_credential: bool = False
    cnf: Json = field(default_factory=dict[str, Any])


GOOD: Final = Variant()


class EmulatedIssuer:
    """Issues one warranty at a time, and says in a status list that all are in force."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.key = new_key()
        self.clock = clock
        self.chain: list[str] = []
        self.list_chain: list[str] = []

    def now(self) -> int:
        return int(self.clock().timestamp())

    def fetch(self, url: str) -> str:
        """Be the source of the status list."""
        assert url == LIST
        packed = base64.urlsafe_b64encode(zlib.compress(bytes(16))).decode().rstrip("=")
        claims = {
            "sub": LIST,
            "iat": self.now(),
            "ttl": 60,
            "status_list": {"bits": 1, "lst": packed},
        }
        return signed(_header("statuslist+jwt", self.list_chain), claims, self.key)

    def credential(self, holder: Key, cnf: Json) -> tuple[str, list[str]]:
        """Give a credential and its disclosures."""
        disclosures = {
            name: _text(json.dumps([secrets.token_urlsafe(16), name, value]).encode())
            for name, value in CONCEALED.items()
        }
        claims = {
            "iss": ISSUER,
            "vct": TYPE,
            "iat": self.now() - 60,
            "exp": self.now() + 86_400,
            "item": SHOWN["item"],
            "_sd": sorted(_digest(text) for text in disclosures.values()),
            "_sd_alg": "sha-256",
            "cnf": {"jwk": {**public(holder), **cnf}},
            "status": {"status_list": {"uri": LIST, "idx": INDEX}},
        }
        token = signed(_header("dc+sd-jwt", self.chain), claims, self.key)
        return token, [disclosures["valid_until"]]


@dataclass
class EmulatedWallet:
    """Follows a link, checks the request as the suite does, and answers."""

    http: Client
    issuer: EmulatedIssuer
    holder: Key = field(default_factory=new_key)
    encryption: str = "A256GCM"

    def request(self, link: str, *, fetches: int = 1) -> Json:
        """Give the request behind a link, checked."""
        parts = urlsplit(link)
        assert parts.scheme == "openid4vp"
        given = dict(parse_qsl(parts.query))
        if "request_uri" not in given:
            assert given["client_id"] == f"redirect_uri:{given['response_uri']}"
            objects = ("dcql_query", "client_metadata")
            return _checked({**given, **{name: json.loads(given[name]) for name in objects}})
        found = [self._fetched(given) for _ in range(fetches)]
        first = found[0]
        assert all(each == first for each in found)
        assert first["client_id"] == given["client_id"]
        assert first["aud"] == "https://self-issued.me/v2"
        assert first["iat"] <= self.issuer.now() < first["exp"]
        return _checked(first)

    def answer(self, request: Json, variant: Variant = GOOD) -> Response:
        """Present, and give what the verifier says."""
        [query] = request["dcql_query"]["credentials"]
        vp_token = {query["id"]: [self.presentation(request, variant)]}
        return self.send(request, {"vp_token": vp_token, "state": request["state"]})

    def presentation(self, request: Json, variant: Variant = GOOD) -> str:
        """Give a presentation for a request."""
        credential, disclosures = self.issuer.credential(self.holder, variant.cnf)
        if variant.breaks_credential:
            credential = with_another_signature(credential)
        shown = "~".join([credential, *disclosures, ""])
        if variant.leaves_binding_out:
            return shown
        binding = {
            "iat": self.issuer.now() + variant.iat_s,
            "aud": variant.audience or request["client_id"],
            "nonce": variant.nonce or request["nonce"],
            "sd_hash": variant.sd_hash or _digest(shown),
        }
        token = signed({"alg": "ES256", "typ": "kb+jwt"}, binding, self.holder)
        return shown + (with_another_signature(token) if variant.breaks_binding else token)

    def send(self, request: Json, answer: Json) -> Response:
        """Send an answer in the request's mode."""
        if request["response_mode"] == "direct_post":
            form = {
                name: value if isinstance(value, str) else json.dumps(value)
                for name, value in answer.items()
            }
        else:
            form = {"response": self._encrypted(request["client_metadata"], answer)}
        return self.http.post(_path(request["response_uri"]), data=form)

    def _encrypted(self, metadata: Json, answer: Json) -> str:
        # HAIP 1.0, section 5: a wallet that knows both takes A256GCM.
        assert set(metadata["encrypted_response_enc_values_supported"]) == {"A128GCM", "A256GCM"}
        [key] = metadata["jwks"]["keys"]
        assert (key["alg"], key["use"], key["crv"]) == ("ECDH-ES", "enc", "P-256")
        assert "d" not in key
        header = {"alg": "ECDH-ES", "enc": self.encryption, "kid": key["kid"]}
        jwe = JWE(json.dumps(answer).encode(), json.dumps(header))
        jwe.add_recipient(JWK(**key))
        return str(jwe.serialize(compact=True))

    def _fetched(self, given: Json) -> Json:
        path = _path(given["request_uri"])
        accept = {"Accept": "application/oauth-authz-req+jwt"}
        if given.get("request_uri_method", "get") == "get":
            return _proved(self.http.get(path, headers=accept), given["client_id"])
        nonce = secrets.token_urlsafe(16)
        metadata = json.dumps({"vp_formats_supported": {"dc+sd-jwt": {}}})
        form = {"wallet_nonce": nonce, "wallet_metadata": metadata}
        request = _proved(self.http.post(path, data=form, headers=accept), given["client_id"])
        assert request.pop("wallet_nonce") == nonce
        return request


def _header(typ: str, chain: list[str]) -> Json:
    return {"alg": "ES256", "typ": typ, **({"x5c": chain} if chain else {})}


def _proved(answer: Response, client_id: str) -> Json:
    """Give the claims of a request object whose signature is by the client id's key."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].partition(";")[0] == "application/oauth-authz-req+jwt"
    token = answer.text
    header: Json = json.loads(_bytes(token.partition(".")[0]))
    assert (header["typ"], header["alg"]) == ("oauth-authz-req+jwt", "ES256")
    prefix, _, name = client_id.partition(":")
    if prefix == "decentralized_identifier":
        key: Json = json.loads(_bytes(name.removeprefix("did:jwk:")))
        assert header["kid"] == f"{name}#0"
    else:
        der = base64.b64decode(header["x5c"][0])
        leaf = x509.load_der_x509_certificate(der)
        if prefix == "x509_hash":
            assert name == _text(hashlib.sha256(der).digest())
        else:
            names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            assert name in names.get_values_for_type(x509.DNSName)
        certified = leaf.public_key()
        assert isinstance(certified, ec.EllipticCurvePublicKey)
        numbers = certified.public_numbers()
        point = {"x": numbers.x, "y": numbers.y}
        key = {"kty": "EC", "crv": "P-256"}
        key |= {axis: _text(number.to_bytes(32)) for axis, number in point.items()}
    jws = JWS()
    jws.deserialize(token, JWK(**key))
    claims: Json = json.loads(jws.payload)
    return claims


def _checked(request: Json) -> Json:
    assert request["response_type"] == "vp_token"
    assert request["response_mode"] in ("direct_post", "direct_post.jwt")
    assert not {"redirect_uri", "scope", "presentation_definition"} & request.keys()
    for name in ("nonce", "state"):
        # 128 bits at least, in characters that are safe in a URL (section 5.2).
        assert re.fullmatch(r"[A-Za-z0-9._~-]{22,}", request[name]), name
    formats = request["client_metadata"]["vp_formats_supported"]["dc+sd-jwt"]
    assert formats == {"sd-jwt_alg_values": ["ES256"], "kb-jwt_alg_values": ["ES256"]}
    [query] = request["dcql_query"]["credentials"]
    assert (query["format"], query["meta"]["vct_values"]) == ("dc+sd-jwt", [TYPE])
    return request


def _digest(text: str) -> str:
    return _text(hashlib.sha256(text.encode()).digest())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _path(url: str) -> str:
    return urlsplit(url).path


def response_code(answer: Response) -> str:
    """Give the code in the address where the browser goes on."""
    address: str = answer.json()["redirect_uri"]
    [code] = parse_qs(urlsplit(address).query)["response_code"]
    return code
