"""What every run shares: the clock, the keys, and tokens of ours to hold a mutation against.

Keys come from fixed bytes and the signatures are made anew, so that a payload of
the fuzzer's passes the issuer's signature and reaches the code behind it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256, sha384
from pathlib import Path
from typing import Final

from counterfoil_credentials.claims import ClaimPath
from counterfoil_credentials.encoding import JsonObject, b64url, compact_json
from counterfoil_credentials.jose import DecryptionKey
from counterfoil_credentials.keys import Curve, MemorySigner, Signer
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.sdjwt_vc import StatusReference, issue_credential
from counterfoil_credentials.x509 import TrustAnchors

from tests.fuzz.judge import MARKER

NOW: Final = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
SECONDS: Final = int(NOW.timestamp())
ISSUER: Final = "https://brand.example"
VCT: Final = f"{ISSUER}/warranty"
LIST_URL: Final = f"{ISSUER}/status/1"
AUDIENCE: Final = "https://shop.example"
NONCE: Final = "n-0S6_WzA2Mj"

ISSUER_SIGNER: Final = MemorySigner.from_private_bytes(sha256(b"issuer").digest())
HOLDER_SIGNER: Final = MemorySigner.from_private_bytes(sha256(b"holder").digest())
READER: Final = DecryptionKey.from_private_bytes(sha256(b"reader").digest(), "r")
SIGNERS: Final[dict[str, Signer]] = {
    "ES384": MemorySigner.from_private_bytes(sha384(b"issuer").digest(), Curve.P384),
    "ES256K": MemorySigner.from_private_bytes(sha256(b"issuer").digest(), Curve.SECP256K1),
    "Ed25519": MemorySigner.from_private_bytes(sha256(b"issuer").digest(), Curve.ED25519),
    "EdDSA": MemorySigner.from_private_bytes(sha256(b"issuer").digest(), Curve.ED25519),
}
ANCHORS: Final = TrustAnchors.from_pem((Path(__file__).parent / "anchor.pem").read_bytes())

CLAIMS: Final[JsonObject] = {
    "order": MARKER,
    "buyer": {"name": MARKER, "email": "lin@example.com"},
    "lines": [{"name": "Headphones", "price": "199.00"}, {"name": "Case", "price": "19.00"}],
    "years": 2,
    "extended": True,
}
FRAME: Final[tuple[ClaimPath, ...]] = (
    ("order",),
    ("buyer",),
    ("buyer", "name"),
    ("lines", None),
    ("lines", None, "price"),
)


def signed(header: bytes, payload: bytes, signer: Signer) -> str:
    """Give a JWS whose signature holds over any header and payload, JSON or not."""
    text = f"{b64url(header)}.{b64url(payload)}"
    return f"{text}.{b64url(signer.sign(text.encode('ascii')))}"


def typed(typ: str, payload: bytes, signer: Signer, **header: str) -> str:
    """Give a JWS of one type with the header that the signer's own tokens carry."""
    head: JsonObject = {"alg": signer.public.algorithm.value, "typ": typ, **header}
    return signed(compact_json(head), payload, signer)


def repeatable(length: int) -> bytes:
    """Give salts that hold the marker; a counter keeps them apart."""
    _salts.append(len(_salts))
    return (MARKER.encode() + _salts[-1].to_bytes(2)).ljust(length, b".")[:length]


def warranty() -> SdJwt:
    """Give a credential with structured, recursive and array disclosures."""
    return issue_credential(
        CLAIMS,
        vct=VCT,
        issuer=ISSUER,
        signer=ISSUER_SIGNER,
        holder=HOLDER_SIGNER.public,
        issued_at=NOW,
        expires_at=None,
        status=StatusReference(LIST_URL, 7),
        concealed=FRAME,
        random=repeatable,
    )


def lines(data: bytes, count: int) -> Sequence[bytes]:
    """Give the first `count` lines; the last one keeps its line ends, absent ones are empty."""
    found = data.split(b"\n", count - 1)
    return [*found, *[b""] * (count - len(found))]


def text_of(data: bytes) -> str:
    """Give text; bytes that are no UTF-8 become half surrogates, as on a command line."""
    return data.decode("utf-8", "surrogateescape")


_salts: list[int] = []
WARRANTY: Final = warranty()
