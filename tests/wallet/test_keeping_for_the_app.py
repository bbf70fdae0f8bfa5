"""What an app keeps in the wallet: encrypted with the rest, bounded, and whole after a stop."""

from pathlib import Path

import pytest
from counterfoil_credentials.errors import Misuse
from counterfoil_credentials.fetch import MemoryFetcher
from counterfoil_wallet import Wallet
from counterfoil_wallet.wallet import MOST_KEPT_BYTES, MOST_KEPT_NAMES

PASSPHRASE = "correct horse battery staple"


def test_what_was_kept_is_there_when_the_wallet_is_opened_again(tmp_path: Path) -> None:
    with Wallet.create(tmp_path / "wallet", PASSPHRASE, fetcher=MemoryFetcher()) as wallet:
        wallet.keep("points", b"one")
        wallet.keep("points", b"a thousand and one")
        wallet.keep("gone", b"one")
        wallet.keep("gone", b"")
        wallet.backup(tmp_path / "file", PASSPHRASE)

    files = [file for file in (tmp_path / "wallet").rglob("*") if file.is_file()]
    assert not any(b"a thousand and one" in file.read_bytes() for file in files)
    with Wallet.open(tmp_path / "wallet", PASSPHRASE, fetcher=MemoryFetcher()) as wallet:
        assert (wallet.kept("points"), wallet.kept("gone")) == (b"a thousand and one", None)
    with Wallet.restore(
        tmp_path / "file", tmp_path / "new", PASSPHRASE, fetcher=MemoryFetcher()
    ) as wallet:
        assert wallet.kept("points") == b"a thousand and one"


def test_an_app_keeps_no_more_than_its_share() -> None:
    wallet = Wallet.in_memory(fetcher=MemoryFetcher())
    wallet.keep("whole", bytes(MOST_KEPT_BYTES))
    with pytest.raises(Misuse):
        wallet.keep("whole", bytes(MOST_KEPT_BYTES + 1))
    for number in range(MOST_KEPT_NAMES - 1):
        wallet.keep(f"name {number}", b"x")
    with pytest.raises(Misuse):
        wallet.keep("one more", b"x")
    wallet.keep("name 0", b"y")  # In place of what was there.

    assert len(wallet.kept("whole") or b"") == MOST_KEPT_BYTES
    assert (wallet.kept("name 0"), wallet.kept("one more")) == (b"y", None)
