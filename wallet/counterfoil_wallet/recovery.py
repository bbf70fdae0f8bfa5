"""Recovery by contacts: the backup's second key, split so that some of them bring it back.

    split ─► a share for each contact, words to write down ─► … ─► combine ─► the key

SLIP-39, through `shamir-mnemonic`: fewer shares than the threshold tell nothing. The
wallet keeps the key's public half alone, to seal later backups to; after `split` the key
is nowhere but in the shares. The library draws the shares' own randomness from the
operating system, and does not run in constant time: split and combine on a device of
your own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import ModuleType
from typing import Any, Final, cast

from counterfoil_credentials.encoding import (
    JsonObject,
    compact_json,
    int_at,
    numeric_date,
    object_at,
    parse_object,
    texts_at,
)
from counterfoil_credentials.errors import Malformed, Misuse
from counterfoil_credentials.keys import PublicKey

from counterfoil_wallet.envelope import recovery_public
from counterfoil_wallet.store import Kind, Record
from counterfoil_wallet.wire import Random, fresh_signer, refuse, required_time_at

MAX_SHARES: Final = 16  # SLIP-39: four bits count them
_MAX_NAME: Final = 200
_MAX_SHARE: Final = 1_000
RECORD: Final = "contacts"
_WHERE: Final = "recovery"


@dataclass(frozen=True, slots=True)
class RecoveryShare:
    """What one contact keeps: `words` (SLIP-39), to be written down. Show them once."""

    contact: str
    words: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Recovery:
    """Who holds the shares: `threshold` of `contacts` bring the key of later backups back."""

    threshold: int
    contacts: tuple[str, ...]
    split_at: datetime
    public: PublicKey = field(repr=False)

    def to_record(self) -> Record:
        """Give the record to store."""
        body: JsonObject = {
            "threshold": self.threshold,
            "contacts": [*self.contacts],
            "split_at": numeric_date(self.split_at),
            "key": self.public.jwk(),
        }
        return Record(Kind.RECOVERY, RECORD, "", compact_json(body))

    @staticmethod
    def from_record(record: Record) -> "Recovery":
        """Read the stored record."""
        body = parse_object(record.body, _WHERE)
        return Recovery(
            int_at(body, "threshold", _WHERE),
            tuple(texts_at(body, "contacts", _WHERE)),
            required_time_at(body, "split_at", _WHERE),
            PublicKey.from_jwk(object_at(body, "key", _WHERE), _WHERE),
        )


def split(
    contacts: Sequence[str], threshold: int, *, random: Random, at: datetime
) -> tuple[Recovery, tuple[RecoveryShare, ...]]:
    """Make a recovery key and give its shares, one for each contact; the key is forgotten.

    Raises `Misuse` unless 2 ≤ threshold ≤ contacts ≤ 16, each named, no two alike.
    """
    names = tuple(contacts)
    if not 2 <= threshold <= len(names) <= MAX_SHARES:
        raise Misuse(f"expected 2 <= threshold <= contacts <= {MAX_SHARES}, found otherwise")
    if len(set(names)) != len(names) or not all(0 < len(name) <= _MAX_NAME for name in names):
        raise Misuse("expected contacts with short names, no two alike, found otherwise")
    secret = fresh_signer(random).private_bytes()
    # The secret is 256 bits of randomness: there is no passphrase whose guessing to slow down.
    (shares,) = _slip39().generate_mnemonics(
        1, [(threshold, len(names))], secret, iteration_exponent=0
    )
    recovery = Recovery(threshold, names, at.replace(microsecond=0), recovery_public(secret))
    return recovery, tuple(map(RecoveryShare, names, shares))


def combine(shares: Sequence[str]) -> bytes:
    """Give the recovery key, 32 bytes, out of enough shares in any order.

    Raises `Malformed` naming the share that was mistyped, and `Refused` with
    `shares-too-few` or `shares-do-not-match`.
    """
    if not 1 <= len(shares) <= MAX_SHARES:
        raise Malformed(f"1 to {MAX_SHARES} shares", f"{len(shares)}", "shares")
    slip39 = _slip39()
    parsed: list[Any] = []
    for i, words in enumerate(shares):
        where = f"shares[{i}]"
        if len(words) > _MAX_SHARE:
            raise Malformed(f"at most {_MAX_SHARE} characters", f"{len(words)}", where)
        try:
            share = slip39.Share.from_mnemonic(" ".join(words.lower().split()))
        except (slip39.MnemonicError, ValueError):
            # The library's own error quotes the words.
            raise Malformed("the words of a share", "a mistyped or missing one", where) from None
        if share not in parsed:
            parsed.append(share)
    needed = parsed[0].member_threshold
    # Shares of ours have one group, and no passphrase whose guessing a long derivation slows.
    if {share.group_parameters() for share in parsed} != {parsed[0].group_parameters()} or (
        (parsed[0].group_count, parsed[0].iteration_exponent) != (1, 0)
    ):
        raise refuse("shares-do-not-match", "shares of one split", "others", "shares")
    if len(parsed) < needed:
        raise refuse("shares-too-few", f"{needed} shares", f"{len(parsed)}", "shares")
    try:
        return bytes(slip39.combine_mnemonics([share.mnemonic() for share in parsed[:needed]]))
    except (slip39.MnemonicError, ValueError):
        raise refuse("shares-do-not-match", "shares of one split", "others", "shares") from None


def _slip39() -> ModuleType:
    # Loaded by whoever splits or combines: a backup needs only the key's public half.
    try:
        import shamir_mnemonic  # type: ignore[import-untyped]  # noqa: PLC0415  # it ships no mark
    except ModuleNotFoundError as cause:
        expected = "expected shamir-mnemonic for the shares of a recovery key"
        raise Misuse(
            f'{expected}, found it missing: pip install "counterfoil[recovery]"'
        ) from cause
    return cast("ModuleType", shamir_mnemonic)
