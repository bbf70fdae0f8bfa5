"""Two brands in one PostgreSQL database, each in a schema of its own, see nothing of each other."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from counterfoil_credentials.errors import Misuse
from counterfoil_issuer.brand_folder import ORDERS, BrandFolder
from counterfoil_issuer.brand_service import open_brand, service_app
from counterfoil_issuer.cli import main
from counterfoil_issuer.settings import DATABASE, FILE_NAME
from counterfoil_service.postgres_session import connected
from fastapi.testclient import TestClient
from httpx2 import Client

from tests.conftest import Clock
from tests.issuer.conformance.emulated_wallet import EmulatedWallet

HERE = "http://127.0.0.1"
LISTS = (
    "audit",
    "audit/check",
    "credentials",
    "proposals",
    "jobs",
    "keys",
    "webhooks",
    "summary",
)

House = Callable[..., dict[str, BrandFolder]]


@pytest.fixture
def house(tmp_path: Path, clock: Clock, postgres_url: str) -> House:
    """Make the brands that are named, each on the search path that is given."""
    with connected(postgres_url) as connection:
        for schema in ("audio", "chairs"):
            connection.execute(f"CREATE SCHEMA {schema}")

    def make(**paths: str | None) -> dict[str, BrandFolder]:
        folders = {name: BrandFolder(tmp_path / "house" / "brands" / name) for name in paths}
        for name, path in paths.items():
            folders[name].make(clock)
            settings = folders[name].path / FILE_NAME
            url = postgres_url if path is None else on_path(postgres_url, path)
            settings.write_text(json.dumps(json.loads(settings.read_text()) | {DATABASE: url}))
        return folders

    return make


def on_path(url: str, schemas: str) -> str:
    return f"{url}&options=-csearch_path%3D{schemas.replace(',', '%2C')}"


class Brand(NamedTuple):
    """A brand of the service, as its staff and its customers reach it."""

    http: Client
    folder: BrandFolder
    url: str

    def ask(self, method: str, path: str, key: str | None = None, **more: Any) -> Any:  # noqa: ANN401  # JSON
        staff = {"Authorization": f"Bearer {key or self.folder.back_office_key()}"}
        headers = {**staff, **more.pop("headers", {})}
        return self.http.request(method, f"{self.url}/back-office/{path}", headers=headers, **more)

    def shows(self) -> dict[str, Any]:
        """Give everything that its back office lists."""
        answers = {path: self.ask("GET", path) for path in LISTS}
        assert {answer.status_code for answer in answers.values()} == {200}
        return {path: answer.json() for path, answer in answers.items()}

    def offers(self, serial: str) -> str:
        """Offer a sample warranty; give the link."""
        wanted = {"type": "warranty", "serial": serial, "tx_code": False}
        return str(self.ask("POST", "offers", json=wanted).json()["link"])

    def wallet(self) -> EmulatedWallet:
        return EmulatedWallet(self.http, self.url, clock=lambda: datetime.now(UTC))

    def works(self) -> str:
        """Do something of everything; give the credential that is issued meanwhile."""
        orders = (self.folder.path / ORDERS).read_bytes()
        csv = {"Content-Type": "text/csv"}
        assert self.ask("POST", "orders", content=orders, headers=csv).json()["imported"] > 0
        for path, body in {
            "keys": {"name": "till", "roles": ["service"]},
            "webhooks": {"url": "https://shop.example/events", "types": ["credential.revoked"]},
        }.items():
            assert self.ask("POST", path, json=body).status_code == 201
        wallet = self.wallet()
        token = wallet.redeem(self.offers("S0")).json()
        answer = wallet.ask(token, wallet.request("warranty", token))
        assert answer.status_code == 200, answer.text
        (issued,) = self.ask("GET", "credentials").json()["credentials"]
        wanted = {"act": "revoke", "reason": "fraud", "credentials": [issued["credential_id"]]}
        assert self.ask("POST", "proposals", json=wanted).status_code == 201
        return str(issued["credential_id"])


@pytest.fixture
def brands(house: House) -> Iterator[dict[str, Brand]]:
    with ExitStack() as stack:
        folders = house(audio="audio", chairs="chairs")
        opened = {
            name: stack.enter_context(open_brand(folder, f"{HERE}/{name}"))
            for name, folder in folders.items()
        }
        http = stack.enter_context(TestClient(service_app(opened), base_url=HERE))
        yield {name: Brand(http, folders[name], f"{HERE}/{name}") for name in opened}


def test_what_one_brand_does_changes_nothing_of_the_others(brands: dict[str, Brand]) -> None:
    audio, chairs = brands["audio"], brands["chairs"]
    empty = chairs.shows()

    credential = audio.works()

    shown = audio.shows()
    assert [path for path in LISTS if shown[path] == empty[path]] == []
    assert chairs.shows() == empty
    assert chairs.ask("GET", f"credentials/{credential}").status_code == 404
    assert audio.ask("GET", f"credentials/{credential}").status_code == 200
    other = chairs.works()
    assert other != credential
    assert audio.shows() == shown


def test_what_opens_one_brand_opens_nothing_of_the_other(brands: dict[str, Brand]) -> None:
    audio, chairs = brands["audio"], brands["chairs"]
    ours, theirs = audio.wallet(), chairs.wallet()
    token, their_token = (
        wallet.redeem(brand.offers("S1")).json()
        for wallet, brand in ((ours, audio), (theirs, chairs))
    )

    refused = theirs.ask(token, theirs.request("warranty", their_token))
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_token")
    link = audio.offers("S2")
    refused = theirs.redeem(link)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert chairs.ask("GET", "credentials", audio.folder.back_office_key()).status_code == 401

    assert ours.redeem(link).status_code == 200
    for wallet, own in ((ours, token), (theirs, their_token)):
        assert wallet.ask(own, wallet.request("warranty", own)).status_code == 200


def test_each_brand_keeps_to_its_own_schema(brands: dict[str, Brand], postgres_url: str) -> None:
    for brand in brands.values():
        brand.works()

    with connected(postgres_url) as connection:
        tables = "SELECT schemaname, tablename FROM pg_tables WHERE schemaname !~ '^(pg_|inf)'"
        found = [(str(schema), str(table)) for schema, table in connection.execute(tables)]
        issued = connection.execute(
            "SELECT (SELECT count(*) FROM audio.credentials),"
            " (SELECT count(*) FROM chairs.credentials)"
        ).fetchone()
    audio, chairs = (
        {table for schema, table in found if schema == name} for name in ("audio", "chairs")
    )
    assert audio == chairs
    assert len(found) == len(audio) + len(chairs)
    assert issued == (1, 1)


@pytest.mark.parametrize(
    ("first", "second"), [("audio", "audio"), ("audio", "chairs,audio"), (None, None)]
)
def test_a_schema_of_another_brand_is_refused(
    house: House, first: str | None, second: str | None
) -> None:
    folders = house(audio=first, chairs=second)
    with open_brand(folders["audio"], f"{HERE}/audio") as brand:
        before = brand.staff.check_log()

        with (
            pytest.raises(Misuse, match="database or schema of this issuer's own"),
            open_brand(folders["chairs"], f"{HERE}/chairs"),
        ):
            pytest.fail("opened another's schema")

        assert brand.staff.check_log() == before
    with open_brand(folders["audio"], f"{HERE}/audio"):
        pass


@pytest.mark.loopback
def test_the_command_names_the_brand_whose_schema_is_anothers(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = house(audio="audio", chairs="audio")
    place = folders["audio"].path.parent.parent

    assert main(["serve", str(place), "--port", "0"]) == 2

    told = capsys.readouterr().err
    assert "expected a database or schema of this issuer's own, found another's" in told
    assert str(folders["chairs"].path) in told
    assert str(folders["audio"].path) not in told
    assert "postgresql:" not in told
