"""From a passphrase to the key of the wallet's file.

argon2id (RFC 9106) over the passphrase gives a root; HKDF makes two values of
it: the file's key, and a check value that tells a wrong passphrase from a
damaged file. Whoever guesses pays argon2id for each guess either way.
"""

import hmac
import unicodedata
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from counterfoil_credentials.encoding import (
    JsonObject,
    b64url,
    from_b64url,
    int_at,
    object_at,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

KEY_BYTES: Final = 32
SALT_BYTES: Final = 16
_CHECK_BYTES: Final = 16
_ARGON2ID: Final = "argon2id"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one guess costs. The default is RFC 9106, section 4, second recommendation."""

    memory_kib: int = 65_536
    iterations: int = 3
    lanes: int = 4


# Sixty-four times what one of ours costs: who wrote the file must not stop the machine.
_MAX_WORK: Final = 64 * Cost().memory_kib * Cost().iterations


@dataclass(frozen=True, slots=True)
class KeyRecipe:
    """How the key follows from the passphrase: public, kept beside the file."""

    salt: bytes
    cost: Cost
    check: bytes

    @staticmethod
    def fresh(passphrase: str, *, salt: bytes, cost: Cost) -> "tuple[KeyRecipe, FileKey]":
        """Give the recipe for a new wallet, and the key that it leads to.

        Raises `Misuse` for an empty passphrase, `Malformed` for one that is no text.
        """
        if not passphrase:
            raise Misuse("expected a passphrase, found an empty one")
        with _root(passphrase, salt, cost) as root:
            return KeyRecipe(salt, cost, _check(root)), _file_key(root)

    def key(self, passphrase: str) -> "FileKey":
        """Give the file's key; `Refused` with `passphrase-wrong` for another passphrase."""
        with _root(passphrase, self.salt, self.cost) as root:
            if not hmac.compare_digest(_check(root), self.check):
                raise Refused(
                    Reason("passphrase-wrong", "this wallet's passphrase", "another", "passphrase")
                )
            return _file_key(root)

    def to_json(self) -> JsonObject:
        """Give the recipe as the wallet's header file holds it."""
        return {
            "kdf": _ARGON2ID,
            "memory_kib": self.cost.memory_kib,
            "iterations": self.cost.iterations,
            "lanes": self.cost.lanes,
            "salt": b64url(self.salt),
            "check": b64url(self.check),
        }

    @staticmethod
    def from_json(obj: JsonObject, where: str) -> "KeyRecipe":
        """Parse a recipe; costs are bounded, for the file may have been changed."""
        if text_at(obj, "kdf", where) != _ARGON2ID:
            raise Malformed(_ARGON2ID, "another derivation", f"{where}.kdf")
        cost = Cost(
            memory_kib=_bounded(obj, "memory_kib", 32, 1_048_576, where),
            iterations=_bounded(obj, "iterations", 1, 100, where),
            lanes=_bounded(obj, "lanes", 1, 4, where),
        )
        if cost.memory_kib * cost.iterations > _MAX_WORK:
            raise Malformed("a derivation of bounded cost", "a costlier one", where)
        salt, check = (
            from_b64url(text_at(obj, name, where), f"{where}.{name}") for name in ("salt", "check")
        )
        if len(salt) != SALT_BYTES or len(check) != _CHECK_BYTES:
            raise Malformed("a salt and a check value of 16 bytes", "other sizes", where)
        return KeyRecipe(salt, cost, check)


@dataclass(frozen=True, slots=True)
class FileKey:
    """The key of the encrypted file: exactly 32 bytes, never shown.

    An app may keep it in the keychain of its platform, and open the wallet without
    the passphrase and without what deriving it costs.
    """

    raw: bytearray = field(repr=False)

    def __post_init__(self) -> None:
        """Insist on the length: the cipher takes a wrong one for a passphrase, in silence."""
        if len(self.raw) != KEY_BYTES:
            raise Misuse(f"expected a key of {KEY_BYTES} bytes, found {len(self.raw)}")

    def forget(self) -> None:
        """Overwrite the key. What Python or SQLite copied of it is out of reach."""
        self.raw[:] = bytes(KEY_BYTES)

    def check(self) -> bytes:
        """Give what tells this key from another, and nothing else about it."""
        return _expansion(b"key check", _CHECK_BYTES).derive(self.raw)


def recipe_at(obj: JsonObject, name: str, where: str) -> KeyRecipe:
    """Give the recipe under `name`."""
    return KeyRecipe.from_json(object_at(obj, name, where), f"{where}.{name}")


@contextmanager
def _root(passphrase: str, salt: bytes, cost: Cost) -> Generator[bytearray, None, None]:
    # Looked for beforehand: the encoder's own error would carry the whole passphrase.
    if any("\ud800" <= character <= "\udfff" for character in passphrase):
        raise Malformed("whole characters", "half a surrogate pair", "passphrase")
    # NFC: the same passphrase typed on another keyboard is the same passphrase.
    secret = unicodedata.normalize("NFC", passphrase).encode("utf-8")
    root = bytearray(KEY_BYTES)
    try:
        Argon2id(
            salt=salt,
            length=KEY_BYTES,
            iterations=cost.iterations,
            lanes=cost.lanes,
            memory_cost=cost.memory_kib,
        ).derive_into(secret, root)
        yield root
    finally:
        root[:] = bytes(KEY_BYTES)


def _file_key(root: bytearray) -> FileKey:
    raw = bytearray(KEY_BYTES)
    _expansion(b"file", KEY_BYTES).derive_into(root, raw)
    return FileKey(raw)


def _check(root: bytearray) -> bytes:
    return _expansion(b"check", _CHECK_BYTES).derive(root)


def _expansion(use: bytes, size_bytes: int) -> HKDFExpand:
    return HKDFExpand(SHA256(), size_bytes, b"counterfoil-wallet 1 " + use)


def _bounded(obj: JsonObject, name: str, lowest: int, highest: int, where: str) -> int:
    value = int_at(obj, name, where)
    if not lowest <= value <= highest:
        raise Malformed(f"{lowest} to {highest}", "another number", f"{where}.{name}")
    return value
