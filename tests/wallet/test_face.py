"""The face: threads, imports, the command line, and the example of the shop window."""

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path

import counterfoil_wallet
import pytest
from counterfoil_credentials.errors import Misuse
from counterfoil_credentials.fetch import MemoryFetcher
from counterfoil_wallet import Accepted, MemoryStore, Wallet
from counterfoil_wallet.cli import PASSPHRASE_VARIABLE, main
from counterfoil_wallet.wallet import utc_now

from tests.wallet.conftest import PASSPHRASE
from tests.wallet.strangers import StrangeIssuer, StrangeShop
from tests.wallet.town import Town


def test_one_offer_accepted_by_eight_threads_is_accepted_once(town: Town) -> None:
    wallet, offer = town.wallet(MemoryStore()), town.offer()

    def accept(_: int) -> Accepted:
        return wallet.accept(offer.link, tx_code=offer.tx_code)

    with ThreadPoolExecutor(8) as pool:
        accepted = list(pool.map(accept, range(8)))

    assert all(one == accepted[0] for one in accepted)
    assert len(wallet.credentials()) == 2
    assert town.in_force() == 2


def test_a_secret_asked_for_by_eight_threads_is_one_secret() -> None:
    wallet = Wallet.in_memory(fetcher=MemoryFetcher())

    with ThreadPoolExecutor(8) as pool:
        secrets = set(pool.map(wallet.secret, ["points"] * 64))

    assert len(secrets) == 1


def test_the_example_of_the_shop_window_runs(
    tmp_path: Path,
    random_bytes: Callable[[int], bytes],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    network = MemoryFetcher()
    issuer, shop = StrangeIssuer(network, utc_now, random_bytes), StrangeShop(network, utc_now)
    monkeypatch.chdir(tmp_path)
    # The example reaches the network; here that is a brand and a shop in memory.
    monkeypatch.setattr("counterfoil_wallet.wallet.GuardedFetcher", lambda: network)
    example = (counterfoil_wallet.__doc__ or "").split("\n\n")[1]
    names: dict[str, object] = {
        "Wallet": Wallet,
        "passphrase": PASSPHRASE,
        "offer_link": issuer.link,
        "request_link": shop.link,
    }

    exec("\n".join(line[4:] for line in example.splitlines()), names)  # noqa: S102

    assert "a key, not a verified name" in capsys.readouterr().out
    assert len(shop.forms) == 1


def test_importing_the_wallet_loads_no_database_and_no_service() -> None:
    code = "import sys, counterfoil_wallet; print(*sorted(sys.modules))"

    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()

    heavy = {"apsw", "fastapi", "pydantic", "sqlalchemy", "web3", "pyld", "counterfoil_service"}
    assert not heavy & set(loaded)


def test_points_are_a_port_that_the_app_fills() -> None:
    class NoPoints:
        def balances(self) -> dict[str, object]:
            return {}

        def history(self) -> list[object]:
            return []

    wallet = Wallet.in_memory(fetcher=MemoryFetcher())
    with pytest.raises(Misuse):
        _ = wallet.points
    wallet.points = NoPoints()

    assert wallet.points.balances() == {}


def test_the_command_line_makes_a_wallet_and_tells_what_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(PASSPHRASE_VARIABLE, PASSPHRASE)
    folder = str(tmp_path / "wallet")

    assert main(["create", folder, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"created": folder}
    for command, empty in (
        ("credentials", '{"credentials": [], "damaged": []}'),
        ("history", '{"history": []}'),
        ("resume", '{"acceptances": [], "grants": [], "stuck": []}'),
    ):
        assert main([command, folder, "--json"]) == 0
        assert capsys.readouterr().out.strip() == empty


def test_the_command_line_says_why_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(PASSPHRASE_VARIABLE, PASSPHRASE)

    assert main(["credentials", str(tmp_path), "--json"]) == 1

    said = capsys.readouterr()
    assert json.loads(said.out)["reasons"][0]["code"] == "wallet-missing"
    assert PASSPHRASE not in said.out + said.err


def test_the_command_line_accepts_and_presents_after_a_yes(
    tmp_path: Path,
    random_bytes: Callable[[int], bytes],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    network = MemoryFetcher()
    issuer, shop = StrangeIssuer(network, utc_now, random_bytes), StrangeShop(network, utc_now)
    monkeypatch.setenv(PASSPHRASE_VARIABLE, PASSPHRASE)

    def fetcher(**_: object) -> MemoryFetcher:
        return network

    monkeypatch.setattr("counterfoil_wallet.cli.GuardedFetcher", fetcher)
    folder = str(tmp_path / "wallet")
    main(["create", folder])

    assert main(["accept", folder, issuer.link]) == 0
    for answer, sent in (("n", 0), ("y", 1)):
        shop.nonce = f"the nonce of a request for {answer}"
        monkeypatch.setattr("sys.stdin", StringIO(f"{answer}\n"))
        capsys.readouterr()
        assert main(["present", folder, shop.link, "--json"]) == 0
        said = capsys.readouterr()
        assert json.loads(said.out)["presented"] == bool(sent)
        assert "item.serial" in said.err
        assert "Mira Sample" not in said.err
        assert len([form for form in shop.forms if "vp_token" in form]) == sent
