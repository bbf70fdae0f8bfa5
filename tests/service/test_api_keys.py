"""Keys with names and roles, and what their holders may do."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import pytest
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_service import api_keys as keys
from counterfoil_service.access import Access, Caller, Role, owner
from counterfoil_service.api_keys import api_keys, find_caller, listed_keys, make_key, revoke_key
from counterfoil_service.errors import install_error_handlers
from counterfoil_service.sql import Database
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import MetaData, select

METADATA = MetaData()
keys.add_tables(METADATA)
NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
OWNER = "the-key-in-the-owner-s-file"


@pytest.fixture
def database(where: Path | str) -> Iterator[Database]:
    database = Database.open(where, METADATA)
    yield database
    database.close()


@pytest.fixture
def shop(database: Database, random_bytes: Callable[[int], bytes]) -> str:
    with database.transaction() as connection:
        return make_key(
            connection, name="shop-2026", roles={Role.ISSUER}, now=NOON, random=random_bytes
        ).text


def test_a_key_names_its_caller(database: Database, shop: str) -> None:
    with database.reading() as connection:
        caller = find_caller(connection, shop, NOON)

    assert caller == Caller("shop-2026", frozenset({Role.ISSUER}))


def test_another_text_names_nobody(database: Database, shop: str) -> None:
    with database.reading() as connection:
        for other in (shop[:-1], shop + "A", shop.lower(), shop[4:], ""):
            assert find_caller(connection, other, NOON) is None


def test_a_revoked_key_names_nobody_and_stays_listed(database: Database, shop: str) -> None:
    with database.transaction() as connection:
        assert revoke_key(connection, "shop-2026", NOON + timedelta(days=1))
        assert not revoke_key(connection, "shop-2026", NOON + timedelta(days=2))
        assert not revoke_key(connection, "shop-2025", NOON)
        assert find_caller(connection, shop, NOON) is None
        (listed,) = listed_keys(connection)

    assert listed.last_four == shop[-4:]
    assert listed.revoked_at == NOON + timedelta(days=1)
    assert shop not in repr(listed)


@pytest.mark.parametrize(("later", "known"), [(3_599, True), (3_600, False)])
def test_a_key_ends_when_it_was_said_to(
    database: Database, random_bytes: Callable[[int], bytes], later: int, *, known: bool
) -> None:
    with database.transaction() as connection:
        made = make_key(
            connection,
            name="a",
            roles={Role.AUDITOR},
            now=NOON,
            random=random_bytes,
            lasts=timedelta(hours=1),
        )
        caller = find_caller(connection, made.text, NOON + timedelta(seconds=later))

    assert (caller is not None) is known


def test_a_name_is_never_given_twice(
    database: Database, shop: str, random_bytes: Callable[[int], bytes]
) -> None:
    with database.transaction() as connection:
        revoke_key(connection, "shop-2026", NOON)
    with pytest.raises(Refused) as refusal, database.transaction() as connection:
        make_key(connection, name="shop-2026", roles={Role.ISSUER}, now=NOON, random=random_bytes)

    assert refusal.value.codes == ["key-name-taken"]


@pytest.mark.parametrize(
    "name", ["", "owner", "wallet", "Li Mei", "oidc:7", "a" * 65, "a@b.example"]
)
def test_refuses_a_name_that_would_say_something_else_in_the_log(
    database: Database, random_bytes: Callable[[int], bytes], name: str
) -> None:
    with pytest.raises(Malformed), database.transaction() as connection:
        make_key(connection, name=name, roles={Role.ISSUER}, now=NOON, random=random_bytes)


def test_refuses_a_key_for_nothing(
    database: Database, random_bytes: Callable[[int], bytes]
) -> None:
    with pytest.raises(Malformed), database.transaction() as connection:
        make_key(connection, name="a", roles=set(), now=NOON, random=random_bytes)


def test_the_table_holds_no_key(database: Database, shop: str) -> None:
    with database.reading() as connection:
        kept = repr(connection.rows(select(keys.KEYS)))

    assert "shop-2026" in kept
    assert shop[4:20] not in kept


@pytest.fixture
def client(database: Database) -> TestClient:
    access = Access(
        [owner(OWNER), api_keys(database, lambda: NOON)],
        may={"credential.revoke": {Role.ISSUER, Role.RECALL}},
    )
    app = FastAPI()
    install_error_handlers(app)

    @app.get("/log")
    def log(caller: Annotated[Caller, Depends(access.require(Role.AUDITOR))]) -> str:
        return caller.name

    @app.post("/revoke")
    async def revoke(caller: Annotated[Caller, Depends(access.to("credential.revoke"))]) -> str:
        return caller.name

    return TestClient(app)


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def test_a_caller_does_what_the_policy_lets_its_role_do(client: TestClient, shop: str) -> None:
    revoked = client.post("/revoke", headers=bearer(shop))
    read = client.get("/log", headers=bearer(shop))

    assert (revoked.status_code, revoked.json()) == (200, "shop-2026")
    assert (read.status_code, read.json()["error"]) == (403, "forbidden")
    assert "auditor" in read.json()["error_description"]


def test_the_owner_s_key_does_everything(client: TestClient) -> None:
    assert client.post("/revoke", headers=bearer(OWNER)).json() == "owner"
    assert client.get("/log", headers=bearer(OWNER)).json() == "owner"


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic {}", "Bearer {}x", "{}"])
def test_whoever_has_no_key_is_told_nothing(client: TestClient, shop: str, header: str) -> None:
    answer = client.post("/revoke", headers={"Authorization": header.format(shop)})

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert shop not in answer.text


def test_a_revoked_key_is_refused_at_the_next_request(
    client: TestClient, database: Database, shop: str
) -> None:
    assert client.post("/revoke", headers=bearer(shop)).status_code == 200
    with database.transaction() as connection:
        revoke_key(connection, "shop-2026", NOON)
    assert client.post("/revoke", headers=bearer(shop)).status_code == 401


def test_an_act_without_a_policy_is_nobody_s() -> None:
    access = Access([owner(OWNER)], may={"credential.revoke": set()})

    for act in ("credential.revoke", "credential.reinstate"):
        with pytest.raises(Misuse):
            access.to(act)
    with pytest.raises(Misuse):
        access.require()
    with pytest.raises(Misuse):
        Access([])
    with pytest.raises(Misuse):
        owner("")
