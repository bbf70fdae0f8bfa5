"""Both devices offline, by command line alone: what one prints, the other is given."""

import json
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from counterfoil_credentials.fetch import MemoryFetcher
from counterfoil_verifier import cli as verifier
from counterfoil_wallet import cli as wallet

from tests.issuer.brand import AUDIO
from tests.wallet.conftest import CHEAP, PASSPHRASE
from tests.wallet.town import TILL, Town, Wire

Said: TypeAlias = dict[str, Any]
Types: TypeAlias = Callable[..., Said]


class Now:
    """This machine's clock, which the commands read too."""

    def __call__(self) -> datetime:
        return datetime.now(UTC)

    def advance(self, by: timedelta) -> datetime:
        raise NotImplementedError(by)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(Now(), secrets.token_bytes, tmp_path / "brand")
    yield town
    town.issuer_store.close()


@pytest.fixture
def reach(monkeypatch: pytest.MonkeyPatch) -> Callable[[Wire], None]:
    """Give how the commands of both come to a network, or to none."""
    for module in ("sqlite_store", "envelope"):
        monkeypatch.setattr(f"counterfoil_wallet.{module}.Cost", lambda: CHEAP)
    monkeypatch.setenv(wallet.PASSPHRASE_VARIABLE, PASSPHRASE)

    def reach(network: Wire) -> None:
        def fetcher(**_: object) -> Wire:
            return network

        monkeypatch.setattr(verifier, "GuardedFetcher", fetcher)
        monkeypatch.setattr(wallet, "GuardedFetcher", fetcher)

    return reach


@pytest.fixture
def shop(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Types:
    return typed(verifier.main, tmp_path / "shop", capsys)


@pytest.fixture
def phone(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Types:
    return typed(wallet.main, tmp_path / "wallet", capsys)


@pytest.fixture
def another_phone(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Types:
    return typed(wallet.main, tmp_path / "another wallet", capsys)


def typed(
    main: Callable[[list[str]], int], folder: Path, capsys: pytest.CaptureFixture[str]
) -> Types:
    """Give how a command is typed, and what it says, after its exit status."""

    def types(command: str, *arguments: str, status: int = 0) -> Said:
        assert main([command, str(folder), *arguments, "--json"]) == status
        said: Said = json.loads(capsys.readouterr().out)
        return said

    return types


def test_a_warranty_is_proved_and_its_receipt_taken_home_with_both_devices_offline(
    town: Town, reach: Callable[[Wire], None], shop: Types, phone: Types, another_phone: Types
) -> None:
    reach(Wire(town.network))
    offer = town.offer()
    phone("create")
    another_phone("create")
    phone("accept", offer.link, "--tx-code", offer.tx_code or "")
    shop("init", "--trust", AUDIO, "--public-url", TILL, "--name", "Corner Shop")
    shop("preload")
    offline = Wire(MemoryFetcher())
    reach(offline)

    asked = shop("request", "warranty", "--codes")
    shown = phone("present", " ".join(asked["codes"]), "--codes", "--yes")
    assert not offline.sent
    light = shop("scan", asked["id"], *shown["codes"])
    tried = [url for _, url, _ in offline.sent]
    visit = phone("take-receipt", " ".join(light["receipt"]))["visit"]

    assert light["verdict"] == "accepted"
    assert visit["receipt"]["standing"] == "good"
    assert all(url.startswith(AUDIO) for url in tried), "the shop looks for news of the brand"
    assert len(offline.sent) == len(tried), "the phone asks nobody"
    last = phone("history")["history"][-1]
    assert (last["act"], last["outcome"]) == ("shown", "done")
    (seen,) = phone("access")["access"]
    assert (seen["visits"], seen["kept_until"]) == (1, visit["receipt"]["kept_until"])
    *some, _ = light["receipt"]
    assert phone("take-receipt", " ".join(some), status=1)["error"] == "malformed"
    told = another_phone("take-receipt", " ".join(light["receipt"]), status=1)
    assert [reason["code"] for reason in told["reasons"]] == ["receipt-of-no-visit"]
