"""Keys of bbs-2023: points of BLS12-381's second group, which sign many messages at once.

No JWS is made with them, so they are no `PublicKey`: what takes both says `VerificationKey`.
Data Integrity BBS Cryptosuites 1.0, section 2.1; draft-irtf-cfrg-bbs-signatures, section 4.2.4.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, runtime_checkable

from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused
from counterfoil_credentials.keys import PublicKey, Signer

BLS12_381_G2: Final = "BLS12-381 G2"
BBS_KEY_BYTES: Final = 96
_PRIME: Final = int(
    "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f624"
    "1eabfffeb153ffffb9feffffffffaaab",
    16,
)
# The first bits of a compressed point: that it is one, that it is infinity, and its sign.
_COMPRESSED: Final = 0x80
_INFINITY: Final = 0x40


@dataclass(frozen=True, slots=True)
class BbsPublicKey:
    """A key that verifies BBS signatures: the 96 bytes of its compressed point.

    That they are a point of the group is found out where it is used, which needs `[bbs]`.
    """

    data: bytes

    @staticmethod
    def from_point(data: bytes, where: str) -> "BbsPublicKey":
        """Take a compressed point; `Malformed` for another size, infinity, and a second spelling.

        Coordinates beyond the prime would spell the same point again.
        """
        if len(data) != BBS_KEY_BYTES:
            raise Malformed(f"{BBS_KEY_BYTES} bytes", f"{len(data)} bytes", where)
        halves = bytes([data[0] & 0x1F]) + data[1:48], data[48:]
        is_point = data[0] & _COMPRESSED and not data[0] & _INFINITY
        if not is_point or any(int.from_bytes(half) >= _PRIME for half in halves):
            raise Malformed(f"a point on {BLS12_381_G2}", "another", where)
        return BbsPublicKey(data)

    @property
    def curve(self) -> str:
        """Give the group's name, as `PublicKey` gives its curve's."""
        return BLS12_381_G2

    @property
    def point(self) -> bytes:
        """Give the compressed point, as `PublicKey` does."""
        return self.data


@runtime_checkable
class BbsSigner(Protocol):
    """Something that holds a private key of BLS12-381 and signs with it."""

    @property
    def public(self) -> BbsPublicKey:
        """The key that verifies what this signs."""
        ...

    def sign_messages(self, header: bytes, messages: Sequence[bytes]) -> bytes:
        """Give the 80 bytes of one signature over all messages and the header."""
        ...


VerificationKey: TypeAlias = PublicKey | BbsPublicKey
"""A key of any kind that a DID document may name."""

ProofSigner: TypeAlias = Signer | BbsSigner
"""What signs: one message at a time, or many at once."""


def single(key: VerificationKey, where: str) -> PublicKey:
    """Give `key` if it verifies one message at a time; `Refused` with `key-type-unsupported`."""
    if isinstance(key, BbsPublicKey):
        raise Refused(
            Reason("key-type-unsupported", "a key for one message", f"one of {key.curve}", where)
        )
    return key


def single_signer(signer: ProofSigner) -> Signer:
    """Give `signer` if it signs one message at a time; `Misuse` for one that signs many."""
    if isinstance(signer, BbsSigner):
        raise Misuse(f"expected a key for one message, found one of {signer.public.curve}")
    return signer
