"""What a proof of bbs-2023 is made of: the issuer's to the holder, and the holder's to all.

Data Integrity BBS Cryptosuites 1.0, sections 3.3.1 to 3.3.7. The features beside the baseline
(blind signatures, pseudonyms) begin with other bytes, and are refused.
"""

from typing import Final, NamedTuple, TypeGuard, cast

from counterfoil_credentials.bbs_keys import BBS_KEY_BYTES
from counterfoil_credentials.cryptosuites import ProofValue
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.proof_cbor import (
    is_ascending,
    is_texts,
    packed,
    unpacked_base64url,
)
from counterfoil_credentials.sd_proof_values import HMAC_BYTES

HEADER_BYTES: Final = 64
MAX_PRESENTATION_HEADER: Final = 1_024
_BASE: Final = bytes.fromhex("d95d02")
_DERIVED: Final = bytes.fromhex("d95d03")
_SIGNATURE: Final = 80


class BbsBaseValue(NamedTuple):
    """What the issuer gives to the holder alone (section 3.3.1)."""

    signature: bytes
    header: bytes
    public_key: bytes
    hmac_key: bytes
    mandatory: list[str]

    def text(self) -> str:
        """Give the proof's value, in multibase."""
        signature, header, public_key, hmac_key, mandatory = self
        return packed(_BASE, [signature, header, public_key, hmac_key, [*mandatory]])

    @staticmethod
    def parse(value: ProofValue) -> "BbsBaseValue":
        """Read a base proof's value (section 3.3.2); `Malformed` for every other one."""
        match unpacked_base64url(_BASE, value):
            case [bytes(signature), bytes(header), bytes(key), bytes(hmac_key), mandatory] if (
                len(signature) == _SIGNATURE
                and len(header) == HEADER_BYTES
                and len(key) == BBS_KEY_BYTES
                and len(hmac_key) == HMAC_BYTES
                and is_texts(mandatory)
            ):
                return BbsBaseValue(signature, header, key, hmac_key, mandatory)
            case _:
                pass
        raise Malformed("the five parts of a base proof", "others", value.where)


class BbsDerivedValue(NamedTuple):
    """What the holder shows (section 3.3.6): `labels` from number to the issuer's number."""

    proof: bytes
    labels: dict[int, int]
    mandatory: list[int]
    chosen: list[int]
    presentation_header: bytes

    def text(self) -> str:
        """Give the proof's value, in multibase."""
        proof, labels, mandatory, chosen, presentation_header = self
        return packed(_DERIVED, [proof, labels, [*mandatory], [*chosen], presentation_header])

    @staticmethod
    def parse(value: ProofValue) -> "BbsDerivedValue":
        """Read a derived proof's value (section 3.3.7); `Malformed` for every other one.

        Beyond the section, two nodes with one label are refused: together they would say
        what was said of one.
        """
        match unpacked_base64url(_DERIVED, value):
            case [bytes(proof), labels, mandatory, chosen, bytes(presentation_header)] if (
                _is_labels(labels)
                and is_ascending(mandatory)
                and is_ascending(chosen)
                and len(presentation_header) <= MAX_PRESENTATION_HEADER
            ):
                return BbsDerivedValue(proof, labels, mandatory, chosen, presentation_header)
            case _:
                pass
        raise Malformed("the five parts of a derived proof", "others", value.where)


def _is_labels(value: object) -> TypeGuard[dict[int, int]]:
    if not isinstance(value, dict):
        return False
    labels = cast("dict[object, object]", value)
    numbers = [*labels, *labels.values()]
    are_numbers = all(type(number) is int and number >= 0 for number in numbers)
    return are_numbers and len(set(labels.values())) == len(labels)
