"""What the product's rows promise of the issuer, by the rows' names, with the real command."""

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import counterfoil_issuer
import pytest
from counterfoil_credentials import ClaimPath, SdJwt, disclose
from counterfoil_credentials.issuer_keys import parse_issuer_keys
from counterfoil_credentials.sdjwt_vc import read_credential
from httpx2 import Client

from tests.issuer.brand import SECRET
from tests.issuer.conformance.emulated_wallet import EmulatedWallet, public, well_known
from tests.issuer.running import COMMAND, RunningIssuer, init, serving, told, told_json

pytestmark = pytest.mark.loopback

RELEASED = sorted((Path(__file__).parent.parent / "issuer" / "databases").glob("*.sqlite3"))


@pytest.fixture
def http() -> Iterator[Client]:
    with Client(timeout=30) as client:
        yield client


def staff(issuer: RunningIssuer) -> dict[str, str]:
    """Give the header that opens the back office."""
    return {"Authorization": f"Bearer {(issuer.folder / 'back-office.key').read_text().strip()}"}


def wallet_of(http: Client, issuer: RunningIssuer) -> EmulatedWallet:
    return EmulatedWallet(http, issuer.url, clock=lambda: datetime.now(UTC))


def received(wallet: EmulatedWallet, link: str, tx_code: str | None, kind: str) -> str:
    """Walk an offer to its end, and give the credential."""
    token = wallet.redeem(link, tx_code).json()
    answer = wallet.ask(token, wallet.request(kind, token))
    assert answer.status_code == 200, answer.text
    said = {"notification_id": answer.json()["notification_id"], "event": "credential_accepted"}
    assert wallet.post_json("notification_endpoint", token, said).status_code == 204
    return str(answer.json()["credentials"][0]["credential"])


def shown(http: Client, issuer: RunningIssuer, text: str, *paths: ClaimPath) -> dict[str, Any]:
    """Give what a shop reads, verified, when the holder discloses these claims and no more."""
    document = http.get(well_known(issuer.url, "jwt-vc-issuer")).json()
    keys = parse_issuer_keys(document, issuer.url)
    credential = read_credential(disclose(SdJwt.parse(text), paths))
    return dict(credential.verify(keys[credential.key_id or ""]).claims)


def test_row_C1_a_purchase_becomes_a_receipt_that_its_holder_shows_in_parts(  # noqa: N802
    tmp_path: Path, http: Client
) -> None:
    folder = tmp_path / "brand"
    init(folder)
    told("import", str(folder), str(folder / "orders.csv"))
    with serving(folder) as issuer:
        url = f"{issuer.url}/back-office/orders/{quote('#1001')}/offers"
        answer: dict[str, Any] = http.post(url, json={}, headers=staff(issuer)).json()
        made: dict[str, str] = answer["offers"][0]
        wallet = wallet_of(http, issuer)
        receipt = received(wallet, made["link"], made["tx_code"], "receipt")

        one = shown(http, issuer, receipt, ("lines", 1, "name"), ("total",))
        prices: list[ClaimPath] = [("lines", 0, "price"), ("lines", 1, "price")]
        sums = shown(http, issuer, receipt, *prices, ("total",))

    assert one["cnf"]["jwk"] == public(wallet.key)
    assert [set(line) for line in one["lines"]] == [{"name", "gtin", "quantity"}]
    assert {"order", "paid_at", "tax"}.isdisjoint(one)
    assert one["buyer"] == {}
    lines: list[dict[str, Any]] = sums["lines"]
    total = sum(line["quantity"] * Decimal(line["price"]) for line in lines)
    assert Decimal(sums["total"]) == total == Decimal(one["total"])


@pytest.mark.parametrize("database", RELEASED, ids=lambda path: path.stem)
def test_row_J2_a_service_goes_on_with_the_database_of_a_released_version(  # noqa: N802
    tmp_path: Path, http: Client, database: Path
) -> None:
    with sqlite3.connect(database) as before:
        (orders,) = before.execute("SELECT count(*) FROM orders").fetchone()
    before.close()
    assert orders > 0
    folder = tmp_path / "brand"
    init(folder)
    # The secret and the database of one issuer belong together: its audit log is keyed.
    (folder / "secret.key").write_bytes(SECRET)
    shutil.copy(database, folder / "issuer.sqlite3")

    with serving(folder) as issuer:
        summary = http.get(f"{issuer.url}/back-office/summary", headers=staff(issuer)).json()
        offer = issuer.offer()
        warranty = received(wallet_of(http, issuer), offer.link, None, "warranty")

        assert summary["orders"] == orders
        assert shown(http, issuer, warranty)["vct"] == f"{issuer.url}/types/warranty"


def test_row_J3_an_engineer_has_a_working_issuer_in_five_seconds(  # noqa: N802
    tmp_path: Path, http: Client
) -> None:
    """Seconds of the processor: what a busy machine adds to them is not ours."""
    before = os.times()
    init(tmp_path / "brand")
    with serving(tmp_path / "brand") as issuer:
        metadata = http.get(well_known(issuer.url, "openid-credential-issuer")).json()
        document: dict[str, Any] = http.get(f"{issuer.url}/openapi.json").json()
    after = os.times()

    spent_s = after.children_user + after.children_system
    assert spent_s - before.children_user - before.children_system < 5
    assert {"warranty", "receipt"} <= set(metadata["credential_configurations_supported"])
    described: dict[str, dict[str, dict[str, Any]]] = document["paths"]
    assert "/credential" in described
    unsaid = [
        path
        for path, operations in described.items()
        for operation in operations.values()
        if path.startswith("/back-office/") and "description" not in operation
    ]
    assert not unsaid
    assert (Path(counterfoil_issuer.__file__).parent / "py.typed").exists()


def test_row_A13_one_touched_row_of_the_log_is_named_and_counted(  # noqa: N802
    tmp_path: Path, http: Client
) -> None:
    folder = tmp_path / "brand"
    init(folder)
    with serving(folder) as issuer:
        issuer.offers(3)
        measures = http.get(f"{issuer.url}/metrics", headers=staff(issuer)).text
        assert "counterfoil_audit_intact 1.0" in measures
        assert http.get(f"{issuer.url}/metrics").status_code == 401
    assert told_json("verify-log", str(folder))["whole"] is True

    with sqlite3.connect(folder / "issuer.sqlite3") as database:
        changed = database.execute("UPDATE audit_log SET actor = 'nobody' WHERE sequence = 2")
        assert changed.rowcount == 1
    database.close()

    command = [*COMMAND, "verify-log", str(folder), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    said = json.loads(done.stdout)
    assert said["whole"] is False
    assert "2" in said["wrong"]["where"]
    with serving(folder) as issuer:
        measures = http.get(f"{issuer.url}/metrics", headers=staff(issuer)).text
        check = http.get(f"{issuer.url}/back-office/audit/check", headers=staff(issuer)).json()
    assert "counterfoil_audit_intact 0.0" in measures
    assert check["wrong"]["where"] == said["wrong"]["where"]
