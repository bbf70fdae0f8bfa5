"""What a proof of ecdsa-sd-2023 is made of: the issuer's to the holder, and the holder's to all.

Data Integrity ECDSA Cryptosuites 1.0, sections 3.5.2 to 3.5.8.
"""

from typing import Final, NamedTuple, TypeGuard, cast

from counterfoil_credentials.cryptosuites import ProofValue
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.n_quads import MAX_QUADS
from counterfoil_credentials.proof_cbor import (
    is_ascending,
    is_texts,
    listed,
    packed,
    unpacked_base64url,
)

HMAC_BYTES: Final = 32
_BASE: Final = bytes.fromhex("d95d00")
_DERIVED: Final = bytes.fromhex("d95d01")
_SIGNATURE: Final = 64
# A Multikey of P-256: two bytes say so, 33 are the compressed point.
_KEY: Final = 35


class BaseValue(NamedTuple):
    """What the issuer gives to the holder alone (section 3.5.2)."""

    signature: bytes
    public_key: bytes
    hmac_key: bytes
    signatures: list[bytes]
    mandatory: list[str]

    def text(self) -> str:
        """Give the proof's value, in multibase."""
        signature, public_key, hmac_key, signatures, mandatory = self
        return packed(_BASE, [signature, public_key, hmac_key, [*signatures], [*mandatory]])

    @staticmethod
    def parse(value: ProofValue) -> "BaseValue":
        """Read a base proof's value (section 3.5.3); `Malformed` for every other one."""
        match unpacked_base64url(_BASE, value):
            case [bytes(signature), bytes(public_key), bytes(hmac_key), signatures, mandatory] if (
                len(hmac_key) == HMAC_BYTES
                and _is_bytes(signatures, _SIGNATURE)
                and is_texts(mandatory)
            ):
                base = BaseValue(signature, public_key, hmac_key, signatures, mandatory)
                _require_sizes(base.signature, base.public_key, value.where)
                return base
            case _:
                pass
        raise Malformed("the five parts of a base proof", "others", value.where)


class DerivedValue(NamedTuple):
    """What the holder shows (section 3.5.7): `labels` from number to the issuer's label."""

    signature: bytes
    public_key: bytes
    signatures: list[bytes]
    labels: dict[int, bytes]
    mandatory: list[int]

    def text(self) -> str:
        """Give the proof's value, in multibase."""
        signature, public_key, signatures, labels, mandatory = self
        return packed(_DERIVED, [signature, public_key, [*signatures], labels, [*mandatory]])

    @staticmethod
    def parse(value: ProofValue) -> "DerivedValue":
        """Read a derived proof's value (section 3.5.8); `Malformed` for every other one.

        Beyond the section, two nodes with one label are refused: together they would say
        what was said of one.
        """
        match unpacked_base64url(_DERIVED, value):
            case [bytes(signature), bytes(public_key), signatures, labels, mandatory] if (
                _is_bytes(signatures, _SIGNATURE) and _is_labels(labels) and is_ascending(mandatory)
            ):
                _require_sizes(signature, public_key, value.where)
                return DerivedValue(signature, public_key, signatures, labels, mandatory)
            case _:
                pass
        raise Malformed("the five parts of a derived proof", "others", value.where)


def _require_sizes(signature: bytes, public_key: bytes, where: str) -> None:
    if len(signature) != _SIGNATURE or len(public_key) != _KEY:
        raise Malformed("a signature and a key of P-256", "others", where)


def _is_bytes(value: object, size: int) -> TypeGuard[list[bytes]]:
    items = listed(value)
    return (
        items is not None
        and len(items) <= MAX_QUADS
        and all(isinstance(each, bytes) and len(each) == size for each in items)
    )


def _is_labels(value: object) -> TypeGuard[dict[int, bytes]]:
    if not isinstance(value, dict):
        return False
    labels = cast("dict[object, object]", value)
    given = [*labels.values()]
    numbers = all(type(number) is int and number >= 0 for number in labels)
    return numbers and _is_bytes(given, HMAC_BYTES) and len(set(given)) == len(given)
