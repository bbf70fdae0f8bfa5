"""Accounts: who holds points, and the keys that spend them.

An account is a text that callers pass on and never take apart. A customer has
one account per brand, all from one secret. Two brands cannot tell from points
that were only earned and redeemed that they know the same person. The first
exchange between them ends that: its event names the account that gave and the
account that received, for everybody who reads the chain, and for ever.

    accounts = PointsAccounts(secret)            # 32 private bytes, kept in the wallet
    accounts.of("https://audio.example").account
"""

import hashlib
import hmac
from typing import NewType, Protocol

from coincurve import PrivateKey, PublicKey
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused

from counterfoil_loyalty.keccak import keccak256

Account = NewType("Account", str)
"""A secp256k1 account or a contract, as EIP-55 writes it."""

NOBODY = Account("0x" + "0" * 40)
"""Where points come from when they are minted, and go when they are burned."""

_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class Signer(Protocol):
    """Something that signs for one account: a key in memory, in a file, in hardware."""

    @property
    def account(self) -> Account: ...

    def sign(self, digest: bytes) -> bytes:
        """Give the 65 bytes r, s, v (27 or 28) over a 32-byte digest."""
        ...


class PointsSigner:
    """A `Signer` over 32 private bytes in memory."""

    def __init__(self, private_bytes: bytes) -> None:
        if len(private_bytes) != 32 or not 0 < int.from_bytes(private_bytes, "big") < _ORDER:
            text = f"expected 32 bytes of a secp256k1 key, found {len(private_bytes)} other bytes"
            raise Misuse(text)
        self._key = PrivateKey(private_bytes)
        self.account = _account_of(self._key.public_key)

    def sign(self, digest: bytes) -> bytes:
        """Give r, s, v; s is in the lower half, as Ethereum demands (EIP-2)."""
        signature = self._key.sign_recoverable(  # pyright: ignore[reportUnknownMemberType]  # nonce type is open
            _whole(digest), hasher=None
        )
        return signature[:64] + bytes([signature[64] + 27])

    def __repr__(self) -> str:
        """Show the account, never the key."""
        return f"PointsSigner({self.account})"


class PointsAccounts:
    """One customer's accounts: a separate key for each brand, all from one secret."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 32:
            text = f"expected at least 32 secret bytes, found {len(secret)}"
            raise Misuse(text)
        self._secret = secret

    def of(self, brand: str) -> PointsSigner:
        """Give the signer for the account with `brand` (its public name), the same each time."""
        attempt = 0
        while True:
            label = b"counterfoil points account %d " % attempt
            candidate = hmac.digest(self._secret, label + brand.encode(), hashlib.sha256)
            if 0 < int.from_bytes(candidate, "big") < _ORDER:
                return PointsSigner(candidate)
            attempt += 1  # Once in 2**128 secrets.


def account_from(text: str, where: str) -> Account:
    """Give the account that `text` writes, or raise `Malformed`.

    Small or capital hex digits pass; a mixture must carry the EIP-55 checksum,
    which catches a digit that was mistyped.
    """
    digits = text[2:]
    hexadecimal = all(letter in "0123456789abcdefABCDEF" for letter in digits)
    if not (text.startswith("0x") and len(digits) == 40 and hexadecimal):
        raise Malformed("an account (0x and 40 hex digits)", f"{len(text)} characters", where)
    account = _checksummed(bytes.fromhex(digits))
    if digits not in (digits.lower(), digits.upper()) and account != text:
        raise Malformed("an account with its checksum", "a mistyped account", where)
    return account


def contract_account(creator: Account, sequence: int) -> Account:
    """Give the account of the contract that `creator`'s transaction `sequence` makes.

    Yellow Paper, section 7: the last 20 bytes of keccak(rlp([creator, sequence])).
    """
    number = sequence.to_bytes((sequence.bit_length() + 7) // 8, "big")
    tail = number if len(number) == 1 and number[0] < 0x80 else bytes([0x80 + len(number)]) + number
    payload = b"\x94" + bytes.fromhex(creator[2:]) + tail
    return _checksummed(keccak256(bytes([0xC0 + len(payload)]) + payload)[-20:])


def created_account(creator: Account, salt: bytes, code: bytes) -> Account:
    """Give the account of the contract that `creator` makes from `code` under a 32-byte salt.

    EIP-1014: the last 20 bytes of keccak(0xff, creator, salt, keccak(code)).
    """
    parts = b"\xff" + bytes.fromhex(creator[2:]) + salt + keccak256(code)
    return _checksummed(keccak256(parts)[-20:])


def require_signature(signer: Account, digest: bytes, signature: bytes, where: str) -> None:
    """Return only if `signature` (r, s, v) over `digest` is by `signer`; else raise `Refused`."""
    if _signed_by(digest, signature) != signer:
        raise Refused(
            Reason("signature-invalid", "a signature by the named account", "another", where)
        )


def _signed_by(digest: bytes, signature: bytes) -> Account | None:
    if len(signature) != 65 or signature[64] not in (27, 28):
        return None
    if int.from_bytes(signature[32:64], "big") > _ORDER // 2:
        return None  # The other s signs the same: two spellings of one signature (EIP-2).
    recoverable = signature[:64] + bytes([signature[64] - 27])
    try:
        key = PublicKey.from_signature_and_message(recoverable, _whole(digest), hasher=None)
    except Exception:  # noqa: BLE001  # coincurve raises bare Exception and ValueError
        return None
    return _account_of(key)


def _account_of(key: PublicKey) -> Account:
    return _checksummed(keccak256(key.format(compressed=False)[1:])[-20:])


def _checksummed(raw: bytes) -> Account:
    digits = raw.hex()
    marks = keccak256(digits.encode()).hex()
    letters = (
        digit.upper() if int(mark, 16) >= 8 else digit
        for digit, mark in zip(digits, marks, strict=False)
    )
    return Account("0x" + "".join(letters))


def _whole(digest: bytes) -> bytes:
    if len(digest) != 32:
        text = f"expected a digest of 32 bytes, found {len(digest)}"
        raise Misuse(text)
    return digest
