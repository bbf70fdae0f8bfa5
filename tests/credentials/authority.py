"""A small certificate authority for tests: each certificate good, but for what is asked."""

import base64
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.x509 import TrustAnchors
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
Key: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
Extension: TypeAlias = tuple[x509.ExtensionType, bool]

_SEED = random.Random("authority")


def p256() -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(_SEED.getrandbits(255), ec.SECP256R1())


def usage(*, signs: bool = False, certifies: bool = False) -> Extension:
    value = x509.KeyUsage(
        digital_signature=signs,
        content_commitment=False,
        key_encipherment=not (signs or certifies),
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certifies,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    return value, True


def authority(path_length: int | None = None) -> tuple[Extension, ...]:
    return (
        (x509.BasicConstraints(ca=True, path_length=path_length), True),
        usage(certifies=True),
    )


def purposes(*dotted: str, critical: bool = False) -> Extension:
    return x509.ExtendedKeyUsage([x509.ObjectIdentifier(one) for one in dotted]), critical


def names(*values: x509.GeneralName) -> Extension:
    return x509.SubjectAlternativeName(values), False


def key_id(value: bytes) -> Extension:
    return x509.SubjectKeyIdentifier(value), False


def named_by(value: bytes) -> Extension:
    return x509.AuthorityKeyIdentifier(value, None, None), False


SIGNS = (usage(signs=True), names(x509.DNSName("audio.example")))


class Party:
    """A subject with a key, and the certificate that `by` gave it (its own, without one)."""

    def __init__(
        self,
        name: str,
        *,
        by: "Party | None" = None,
        key: Key | None = None,
        extensions: Sequence[Extension] = SIGNS,
        starts_at: datetime = NOON - DAY,
        ends_at: datetime = NOON + DAY,
    ) -> None:
        self.key = key or p256()
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        issuer = by or self
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(issuer.name)
            .public_key(self.key.public_key())
            .serial_number(_SEED.getrandbits(100) + 1)
            .not_valid_before(starts_at)
            .not_valid_after(ends_at)
        )
        for value, critical in extensions:
            builder = builder.add_extension(value, critical)
        is_edwards = isinstance(issuer.key, ed25519.Ed25519PrivateKey)
        self.certificate = builder.sign(issuer.key, None if is_edwards else hashes.SHA256())

    @property
    def x5c(self) -> str:
        return base64.b64encode(self.certificate.public_bytes(Encoding.DER)).decode()


def anchors(*parties: Party) -> TrustAnchors:
    return TrustAnchors(tuple(party.certificate for party in parties))


def header(*chain: Party) -> JsonObject:
    listed: list[Json] = [party.x5c for party in chain]
    return {"alg": "ES256", "x5c": listed}
