"""Back a wallet up into one encrypted file, and read that file again.

    store ─► Contents ─► JSON lines ─► Envelope ─► a file, whole or not at all
    file  ─► Envelope ─► passphrase, or shares of contacts ─► Contents

Nothing is written anywhere before the whole backup is read and understood.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from counterfoil_wallet.contents import Contents
from counterfoil_wallet.envelope import (
    MAX_HEADER_BYTES,
    MAX_SEALED_BYTES,
    Envelope,
    begins_as_envelope,
    seal,
)
from counterfoil_wallet.passphrase import Cost
from counterfoil_wallet.recovery import RECORD, Recovery, combine
from counterfoil_wallet.store import Kind, Store
from counterfoil_wallet.whole_files import read_start, read_whole, telling, write_whole
from counterfoil_wallet.wire import Random, refuse

_HEADER: Final = "wallet.json"


def sealed_contents(
    store: Store, passphrase: str, *, at: datetime, random: Random, cost: Cost | None = None
) -> bytes:
    """Give the envelope of all that `store` holds at this moment."""
    recovery = recovery_of(store)
    return seal(
        Contents.of(store).to_lines(at),
        passphrase=passphrase,
        recovery=None if recovery is None else recovery.public,
        random=random,
        cost=cost,
    )


def recovery_of(store: Store) -> Recovery | None:
    """Give who holds shares of the recovery key, or None while nobody does."""
    record = store.get(Kind.RECOVERY, RECORD)
    return None if record is None else Recovery.from_record(record)


def write_backup(
    store: Store,
    path: Path,
    passphrase: str,
    *,
    at: datetime,
    random: Random,
    cost: Cost | None = None,
) -> None:
    """Write all that `store` holds into the file `path`; a backup there is replaced at the end.

    Raises `Misuse` for an empty passphrase, `Unavailable` when the disk does not take
    it, `Refused` with `not-a-backup` where something else is and in a wallet's own
    folder, or `backup-too-large`.
    """
    # One wrong path must not cost the customer another file, or the wallet itself: its lock is
    # empty, and SQLite takes for its journal whatever has that name.
    with telling(path):
        if (path.parent / _HEADER).exists():
            raise refuse("not-a-backup", "a place of its own", "a wallet's folder", path.name)
    before = read_start(path, MAX_HEADER_BYTES)
    if before and not begins_as_envelope(before):
        raise refuse("not-a-backup", "no file yet, or a backup", "another file", path.name)
    write_whole(path, sealed_contents(store, passphrase, at=at, random=random, cost=cost))


def read_backup(path: Path, passphrase: str, shares: Sequence[str] = ()) -> Contents:
    """Give what the backup `path` holds: by its passphrase, or by `shares` of contacts.

    Raises `Refused` (`file-missing`, `passphrase-wrong`, `shares-too-few`,
    `shares-do-not-match`, `shares-of-another-key`, `no-recovery`, `backup-too-new`),
    and `Malformed` for other files and for damaged ones.
    """
    envelope = Envelope.parse(read_whole(path, MAX_SEALED_BYTES))
    opened = envelope.recover(combine(shares)) if shares else envelope.open(passphrase)
    return Contents.from_lines(opened)
