"""A shop's key with a certificate, by an authority or by itself."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from counterfoil_credentials.client_ids import Prefix
from counterfoil_credentials.keys import MemorySigner
from counterfoil_verifier.identity import CertificatePrefix, Certified, certified
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from tests.credentials.authority import DAY, NOON, Party, authority, names, usage

HOST: Final = "till.example"
DNS: Final = Prefix.X509_SAN_DNS
HASH: Final = Prefix.X509_HASH


@dataclass(frozen=True)
class Papers:
    """A signer, its certificate in PEM, and who signed that."""

    signer: MemorySigner
    pem: bytes
    root: Party

    def identity(self, prefix: CertificatePrefix, host: str = HOST) -> Certified:
        return certified(prefix, self.pem, host=host)


def papers(
    *hosts: str,
    self_signed: bool = False,
    with_root: bool = False,
    at: datetime = NOON,
    signer: MemorySigner | None = None,
) -> Papers:
    """Give a certified key whose certificate names `hosts` and is good for a day around `at`."""
    start, end = at - DAY, at + DAY
    root = Party("root", extensions=authority(), starts_at=start, ends_at=end)
    signer = signer or MemorySigner.generate()
    key = ec.derive_private_key(int.from_bytes(signer.private_bytes()), ec.SECP256R1())
    leaf = Party(
        "shop",
        by=None if self_signed else root,
        key=key,
        extensions=(
            usage(signs=True),
            names(*(x509.DNSName(host) for host in hosts or (HOST,))),
        ),
        starts_at=start,
        ends_at=end,
    )
    chain = [leaf, root] if with_root else [leaf]
    pem = b"".join(each.certificate.public_bytes(Encoding.PEM) for each in chain)
    return Papers(signer, pem, root)
