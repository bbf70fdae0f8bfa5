"""The commands that keep a wallet from being lost: backup, restore, recovery, export, import."""

import getpass
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict

from counterfoil_credentials.encoding import Json

from counterfoil_wallet.cli_forms import Told
from counterfoil_wallet.history import EventId
from counterfoil_wallet.wallet import Wallet

_MAX_SHARES = 16


def backup(wallet: Wallet, given: Namespace) -> Told:
    """Write one encrypted file from which the whole wallet comes back."""
    wallet.backup(given.file, given.passphrase)
    return {"backup": given.file}, [f"The backup is in {given.file}."]


def restore(given: Namespace) -> Told:
    """Make a wallet from a backup; with --shares, from what contacts keep."""
    wallet = Wallet.restore(given.file, given.folder, given.passphrase, shares=_shares(given))
    with wallet:
        count = len(wallet.credentials())
    said = f"Cards restored: {count}. Go on with: counterfoil wallet resume {given.folder}"
    return {"restored": given.folder, "credentials": count}, [said]


def check(wallet: Wallet, _: Namespace) -> Told:
    """Read the whole file; damage is named."""
    wallet.check()
    return {"intact": True}, ["The file is intact."]


def salvage(given: Namespace) -> Told:
    """Make a new wallet of what is intact in a damaged one, which stays as it is."""
    saved = Wallet.salvage(given.folder, given.passphrase, given.into)
    lost: list[Json] = [asdict(one) for one in saved.lost]
    counts = {"cards": saved.cards, "copies": saved.copies, "records": saved.records}
    lines = [f"Saved: cards {saved.cards}, their copies {saved.copies}, records {saved.records}."]
    lines += [
        f"Lost: {one.table}, rows {one.first} to {one.last} {one.vct} {one.issuer}".rstrip()
        for one in saved.lost
    ]
    return {"salvaged": given.into, **counts, "lost": lost}, lines


def split(wallet: Wallet, given: Namespace) -> Told:
    """Split a key to later backups among contacts. Their words are shown this once."""
    shares = wallet.split_recovery_key(given.contact, given.threshold)
    listed: list[Json] = [{"contact": one.contact, "words": one.words} for one in shares]
    lines = [f"{one.contact}: {one.words}" for one in shares]
    last = (
        f"Any {given.threshold} of them open the backups that you make from now on. "
        "Nobody can show these words again."
    )
    return {"threshold": given.threshold, "shares": listed}, [*lines, last]


def recovery(wallet: Wallet, _: Namespace) -> Told:
    """Say who keeps shares of the recovery key."""
    known = wallet.recovery()
    if known is None:
        return {"recovery": None}, ["Nobody keeps a share."]
    return {
        "recovery": {
            "threshold": known.threshold,
            "contacts": [*known.contacts],
            "split_at": known.split_at.isoformat(),
        }
    }, [f"Any {known.threshold} of {', '.join(known.contacts)}, since {known.split_at:%Y-%m-%d}"]


def export(wallet: Wallet, given: Namespace) -> Told:
    """Write everything into a new folder, in open formats; the keys sealed."""
    wallet.export(given.to, given.passphrase)
    return {"export": given.to}, [f"Everything is in {given.to}."]


def receipt(wallet: Wallet, given: Namespace) -> Told:
    """Write one shop's receipt into a file, for whoever is to check it."""
    wallet.export_receipt(EventId(given.id), given.to)
    return {"receipt": given.to}, [f"The receipt is in {given.to}, with the key to check it."]


def import_from(wallet: Wallet, given: Namespace) -> Told:
    """Bring in what an export or a backup holds and this wallet does not."""
    done = wallet.import_from(given.source, given.passphrase, shares=_shares(given))
    counts = {"added": done.added, "known": done.known, "differing": done.differing}
    said = (
        f"Brought in: {done.added} cards and records. Here already: {done.known}. "
        f"Different here, and left as they are: {done.differing}."
    )
    return {**counts}, [said]


def _shares(given: Namespace) -> Sequence[str]:
    """Ask for the words, a line for each share: an argument would stand in every process list."""
    if not given.shares:
        return ()
    shares: list[str] = []
    while len(shares) < _MAX_SHARES:
        if sys.stdin.isatty():
            words = getpass.getpass(f"Words of share {len(shares) + 1} (empty when done): ")
        else:
            words = sys.stdin.readline()
        if not words.strip():
            break
        shares.append(words.strip())
    return shares
