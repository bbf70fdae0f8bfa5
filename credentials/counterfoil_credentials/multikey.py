"""Public keys as one short text: Multikey, over multicodec, over multibase.

Controlled Identifiers 1.0, sections 2.2.2 (Multikey) and 2.4 (multibase). The key
types and their lengths are those of CID and of the did:key method.
"""

from typing import Final, NamedTuple

from counterfoil_credentials.bbs_keys import BbsPublicKey, VerificationKey
from counterfoil_credentials.encoding import b64url, from_b64url
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused
from counterfoil_credentials.keys import Curve, PublicKey

# Base58 takes time with the square of its length. The longest key that did:key
# knows, RSA with 4096 bits, has 720 characters.
MAX_BASE58: Final = 1_024
_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGITS: Final = {character: digit for digit, character in enumerate(_ALPHABET)}

_CODES: Final = {
    Curve.ED25519: 0xED,
    Curve.SECP256K1: 0xE7,
    Curve.P256: 0x1200,
    Curve.P384: 0x1201,
}
_CURVES: Final = {code: curve for curve, code in _CODES.items()}
X25519: Final = 0xEC
_BLS12_381_G2: Final = 0xEB
# The whole length of a public key, in bytes, where its kind has one; also of kinds
# that verify nothing here: X25519, the groups of BLS12-381, P-521 and SM2.
_SIZES: Final = {
    0xE7: 33,
    X25519: 32,
    0xED: 32,
    0x1200: 33,
    0x1201: 49,
    0xEA: 48,
    _BLS12_381_G2: 96,
    0xEE: 144,
    0x1202: 67,
    0x1206: 33,
}
# Private keys: Ed25519, secp256k1, X25519, RSA, P-256, P-384, P-521, BLS12-381, SM2.
_SECRETS: Final = frozenset(
    {0x1300, 0x1301, 0x1302, 0x1305, 0x1306, 0x1307, 0x1308, 0x1309, 0x130A, 0x130B, 0x1310}
)


class Multikey(NamedTuple):
    """A public key of any kind: its multicodec `code` and its bytes."""

    code: int
    data: bytes

    @staticmethod
    def of(key: VerificationKey) -> "Multikey":
        """Give the Multikey of `key`: a compressed point, or the 32 bytes of Ed25519."""
        code = _BLS12_381_G2 if isinstance(key, BbsPublicKey) else _CODES[key.curve]
        return Multikey(code, key.point)

    @staticmethod
    def parse(text: str, where: str) -> "Multikey":
        """Read `publicKeyMultibase`, or what follows `did:key:`.

        Raises `Malformed` unless it is base58btc with its `z`, a multicodec in the
        one shortest spelling, and no private key.
        """
        if not text.startswith("z"):
            raise Malformed("base58btc with its prefix z", "another text", where)
        code, data = _split_varint(from_multibase(text, where), where)
        if code in _SECRETS:
            raise Malformed("a public key", "a private key", where)
        return Multikey(code, data)

    def __str__(self) -> str:
        """Give the text that `parse` reads."""
        return multibase(_varint(self.code) + self.data)

    @property
    def has_its_length(self) -> bool:
        """Say whether the bytes are as many as this kind of key has."""
        return len(self.data) == _SIZES.get(self.code, len(self.data))

    def public_key(self, where: str) -> PublicKey:
        """Give the key that verifies.

        Raises `Malformed` for another length and for what is no point of the
        curve, `Refused` with `key-type-unsupported` for a kind that we do not use.
        """
        if not self.has_its_length:
            raise Malformed(f"{_SIZES[self.code]} bytes", f"{len(self.data)} bytes", where)
        curve = _CURVES.get(self.code)
        if curve is None:
            raise Refused(
                Reason("key-type-unsupported", " or ".join(_CURVES.values()), "another", where)
            )
        return PublicKey.from_point(curve, self.data, where)

    def verification_key(self, where: str) -> VerificationKey:
        """Give the key that verifies, also one of bbs-2023; raises as `public_key` does."""
        if self.code == _BLS12_381_G2:
            return BbsPublicKey.from_point(self.data, where)
        return self.public_key(where)


def multibase(data: bytes, base: str = "z") -> str:
    """Give `data` in base58btc (`z`) or in unpadded base64url (`u`), after its prefix.

    Raises `Misuse` for more than `MAX_BASE58` bytes in base58btc: keys are short.
    """
    return base + (b64url(data) if base == "u" else _base58(data))


def from_multibase(text: str, where: str) -> bytes:
    """Give the bytes behind base58btc (`z`) or unpadded base64url (`u`).

    Raises `Malformed` for every other base, foreign characters, and base58 of more
    than `MAX_BASE58` characters.
    """
    match text[:1]:
        case "z":
            return _from_base58(text[1:], where)
        case "u":
            return from_b64url(text[1:], where)
        case _:
            raise Malformed("a multibase prefix z or u", "another text", where)


def _base58(data: bytes) -> str:
    if len(data) > MAX_BASE58:
        raise Misuse(f"expected at most {MAX_BASE58} bytes for base58btc, found {len(data)}")
    number, digits = int.from_bytes(data), ""
    while number:
        number, digit = divmod(number, 58)
        digits = _ALPHABET[digit] + digits
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + digits


def _from_base58(text: str, where: str) -> bytes:
    if len(text) > MAX_BASE58:
        raise Malformed(f"at most {MAX_BASE58} characters", f"{len(text)}", where)
    number = 0
    for character in text:
        digit = _DIGITS.get(character)
        if digit is None:
            raise Malformed("base58btc", "another character", where)
        number = number * 58 + digit
    zeroes = len(text) - len(text.lstrip("1"))
    return bytes(zeroes) + number.to_bytes((number.bit_length() + 7) // 8)


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def _split_varint(data: bytes, where: str) -> tuple[int, bytes]:
    # Multiformats: unsigned LEB128, at most nine bytes, none of them superfluous.
    number = 0
    for i, byte in enumerate(data[:9]):
        number |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            if byte == 0 and i > 0:
                raise Malformed("the shortest varint", "a longer one", where)
            return number, data[i + 1 :]
    raise Malformed("a multicodec of at most nine bytes", "none", where)
