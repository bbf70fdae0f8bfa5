"""A verifier as the OpenID Foundation's suite plays one: requests by hand, answers judged by hand.

Nothing here is the project's own code but the network and the issuer's key: a mistake that both
sides of ours make alike would be no mistake here.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from typing import Any, Final, cast
from urllib.parse import parse_qsl, urlencode

from counterfoil_credentials.fetch import MemoryFetcher, Response
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding

from tests.credentials.authority import Party, authority, names, usage

JWE: Any = import_module("jwcrypto.jwe").JWE  # it ships no types
JWK: Any = import_module("jwcrypto.jwk").JWK
HOST: Final = "verifier.example"
ORIGIN: Final = f"https://{HOST}"
RESPONSE_URI: Final = f"{ORIGIN}/responses/1"
REQUEST_URI: Final = f"{ORIGIN}/requests/1"
REQUEST_TYPE: Final = "application/oauth-authz-req+jwt"
QUERY_ID: Final = "asked"

Json = dict[str, Any]
Bend = Callable[[Json], Json]


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def text_of(value: object) -> str:
    return b64(json.dumps(value).encode())


@dataclass(frozen=True)
class Variant:
    """One of the suite's variants."""

    prefix: str = "x509_san_dns"
    method: str = "request_uri_signed"
    mode: str = "direct_post.jwt"

    def __str__(self) -> str:
        return f"{self.prefix}-{self.method}-{self.mode}"


@dataclass
class EmulatedVerifier:
    """One request, and what came back. `bend` changes the request object's claims."""

    network: MemoryFetcher
    clock: Callable[[], datetime]
    variant: Variant = field(default_factory=Variant)
    vct: str = ""
    bend: Bend = lambda claims: claims
    bend_link: Bend = lambda parameters: parameters
    break_signature: bool = False
    redirect_uri: str | None = None
    wallet_nonce: str | None = None
    fetched: list[tuple[str, Json]] = field(default_factory=list[tuple[str, Json]])
    answers: list[Json] = field(default_factory=list[Json])

    def __post_init__(self) -> None:
        self.root = Party("root", extensions=authority())
        self.key = ec.generate_private_key(ec.SECP256R1())
        host = names(x509.DNSName(HOST))
        self.party = Party("v", by=self.root, key=self.key, extensions=(usage(signs=True), host))
        self.encryption_key = JWK.generate(kty="EC", crv="P-256", kid="enc-1")
        self.network.serve(ORIGIN, self.handle)

    @property
    def jwk(self) -> Json:
        numbers = self.key.public_key().public_numbers()
        x, y = (b64(n.to_bytes(32)) for n in (numbers.x, numbers.y))
        return {"crv": "P-256", "kty": "EC", "x": x, "y": y}

    @property
    def client_id(self) -> str:
        leaf = self.party.certificate.public_bytes(Encoding.DER)
        return {
            "x509_san_dns": f"x509_san_dns:{HOST}",
            "x509_hash": f"x509_hash:{b64(hashlib.sha256(leaf).digest())}",
            "redirect_uri": f"redirect_uri:{RESPONSE_URI}",
            "decentralized_identifier": f"decentralized_identifier:did:jwk:{text_of(self.jwk)}",
        }[self.variant.prefix]

    @property
    def encryption_jwk(self) -> Json:
        public: Json = json.loads(self.encryption_key.export_public())
        return {**public, "use": "enc", "alg": "ECDH-ES"}

    def claims(self) -> Json:
        """Give the request's parameters, as the variant has them."""
        metadata: Json = {
            "vp_formats_supported": {
                "dc+sd-jwt": {"sd-jwt_alg_values": ["ES256"], "kb-jwt_alg_values": ["ES256"]}
            }
        }
        if self.variant.mode.endswith(".jwt"):
            metadata["jwks"] = {"keys": [self.encryption_jwk]}
            metadata["encrypted_response_enc_values_supported"] = ["A256GCM"]
        return self.bend(
            {
                "client_id": self.client_id,
                "response_type": "vp_token",
                "response_mode": self.variant.mode,
                "response_uri": RESPONSE_URI,
                "aud": "https://self-issued.me/v2",
                "nonce": "n-0123456789abcdef",
                "dcql_query": {
                    "credentials": [
                        {
                            "id": QUERY_ID,
                            "format": "dc+sd-jwt",
                            "meta": {"vct_values": [self.vct]},
                            "claims": [{"path": ["item", "serial"]}],
                        }
                    ]
                },
                "client_metadata": metadata,
            }
        )

    def link(self) -> str:
        """Give what the wallet is opened with."""
        if self.variant.method == "url_query":
            parameters: Json = {
                name: value if isinstance(value, str) else json.dumps(value)
                for name, value in self.claims().items()
            }
        else:
            parameters = {"client_id": self.client_id, "request_uri": REQUEST_URI}
        return f"openid4vp://?{urlencode(self.bend_link(parameters))}"

    def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        form = dict(parse_qsl(body.decode()))
        if path == "/requests/1":
            self.fetched.append((method, form))
            self.wallet_nonce = form.get("wallet_nonce")
            return Response(200, REQUEST_TYPE, self.request_object().encode())
        assert (method, path) == ("POST", "/responses/1")
        self.answers.append(form)
        said = {} if self.redirect_uri is None else {"redirect_uri": self.redirect_uri}
        return Response(200, "application/json", json.dumps(said).encode())

    def request_object(self) -> str:
        claims = self.claims()
        if self.wallet_nonce is not None:
            claims["wallet_nonce"] = self.wallet_nonce
        header: Json = {"typ": "oauth-authz-req+jwt", "alg": "ES256"}
        if self.variant.method == "request_uri_unsigned":
            return f"{text_of({**header, 'alg': 'none'})}.{text_of(claims)}."
        if self.variant.prefix == "decentralized_identifier":
            header["kid"] = f"{self.client_id.partition(':')[2]}#0"
        else:
            header["x5c"] = [self.party.x5c]
        signed = f"{text_of(header)}.{text_of(claims)}"
        r, s = decode_dss_signature(self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        signature = bytearray(r.to_bytes(32) + s.to_bytes(32))
        if self.break_signature:
            signature[-1] ^= 0x5A
        return f"{signed}.{b64(bytes(signature))}"

    def answer(self) -> Json:
        """Give the parameters of the one answer, decrypted where the mode demands it."""
        (form,) = self.answers
        if not self.variant.mode.endswith(".jwt"):
            return {name: as_json(value) for name, value in form.items()}
        assert set(form) == {"response"}
        jwe = JWE()
        jwe.deserialize(form["response"], self.encryption_key)
        assert (jwe.jose_header["alg"], jwe.jose_header["kid"]) == ("ECDH-ES", "enc-1")
        assert jwe.jose_header["enc"] == self.content_encryption
        return dict(json.loads(jwe.payload))

    @property
    def content_encryption(self) -> str:
        listed = self.claims()["client_metadata"].get("encrypted_response_enc_values_supported")
        return str(listed[0]) if listed else "A128GCM"


def as_json(text: str) -> Any:  # noqa: ANN401  # as json gives it
    """Give what a form's value says: vp_token is JSON, the others are texts."""
    return json.loads(text) if text.startswith("{") else text


def judged(presentation: str, *, issuer: ec.EllipticCurvePublicKey, request: Json) -> Json:
    """Give the claims of a presentation that is good in every way the suite looks at."""
    issued, *disclosures, bound = presentation.split("~")
    header, claims = verified(issued, issuer)
    assert header["typ"] == "dc+sd-jwt"
    jwk = claims["cnf"]["jwk"]
    point = ec.EllipticCurvePublicNumbers(
        int.from_bytes(unb64(jwk["x"])), int.from_bytes(unb64(jwk["y"])), ec.SECP256R1()
    )
    kb_header, kb = verified(bound, point.public_key())
    assert kb_header["typ"] == "kb+jwt"
    assert (kb["aud"], kb["nonce"]) == (request["client_id"], request["nonce"])
    shown = presentation[: len(presentation) - len(bound)]
    assert kb["sd_hash"] == b64(hashlib.sha256(shown.encode()).digest())
    by_digest = {
        b64(hashlib.sha256(d.encode()).digest()): json.loads(unb64(d)) for d in disclosures
    }
    revealed = _revealed(claims, by_digest)
    assert not by_digest, "a disclosure that nothing refers to"
    return cast("Json", revealed)


def verified(token: str, key: ec.EllipticCurvePublicKey) -> tuple[Json, Json]:
    """Give header and claims of an ES256 JWT."""
    head, body, signature = token.split(".")
    raw = unb64(signature)
    der = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    key.verify(der, f"{head}.{body}".encode(), ec.ECDSA(hashes.SHA256()))
    header = json.loads(unb64(head))
    assert header["alg"] == "ES256"
    return header, json.loads(unb64(body))


def _revealed(value: object, by_digest: dict[str, list[object]]) -> object:
    if isinstance(value, dict):
        obj = cast("Json", value)
        members = {
            n: _revealed(v, by_digest) for n, v in obj.items() if n not in ("_sd", "_sd_alg")
        }
        for digest in obj.get("_sd", []):
            if digest in by_digest:
                _, name, hidden = by_digest.pop(digest)
                members[str(name)] = _revealed(hidden, by_digest)
        return members
    if isinstance(value, list):
        shown: list[object] = []
        for element in cast("list[object]", value):
            digest = _digest_in(element)
            if digest is None:
                shown.append(_revealed(element, by_digest))
            elif digest in by_digest:
                shown.append(_revealed(by_digest.pop(digest)[1], by_digest))
        return shown
    return value


def _digest_in(element: object) -> str | None:
    """Give the digest in the place of a withheld element, or None for an element."""
    return cast("Json", element).get("...") if isinstance(element, dict) else None


def is_base64url(text: str) -> bool:
    """Say whether `text` is unpadded base64url of at least 128 bits."""
    try:
        return len(unb64(text)) >= 16 and "=" not in text
    except binascii.Error:
        return False
