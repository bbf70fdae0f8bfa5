"""A street on every kind of store."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from counterfoil_consent import sql_custodian_store, sql_receiver_store
from counterfoil_consent.sql_custodian_store import SqlCustodianStore
from counterfoil_consent.sql_receiver_store import SqlReceiverStore

from tests.conftest import Clock
from tests.consent.street import Street
from tests.postgres import made_on, without_rows

_TABLES = {
    "custodian": sql_custodian_store.MIGRATIONS.tables.tables,
    "receiver": sql_receiver_store.MIGRATIONS.tables.tables,
}


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.once)])
def street(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    clock: Clock,
    random_bytes: Callable[[int], bytes],
) -> Iterator[Street]:
    """Give the three parties: each test that asks runs on every kind of store."""
    folder = None if request.param == "memory" else tmp_path / "street"
    servers = request.getfixturevalue("servers") if request.param == "postgres" else None
    street = Street(clock, random_bytes, folder, servers=servers)
    yield street
    street.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.once)])
def street_stored(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    clock: Clock,
    random_bytes: Callable[[int], bytes],
) -> Iterator[Street]:
    """Give the three parties on either database, for tests that restore or kill them."""
    servers = request.getfixturevalue("servers") if request.param == "postgres" else None
    street = Street(clock, random_bytes, tmp_path / "street", servers=servers)
    yield street
    street.close()


@pytest.fixture
def street_on_disk(
    tmp_path: Path, clock: Clock, random_bytes: Callable[[int], bytes]
) -> Iterator[Street]:
    """Give the three parties with files, for tests that look into them."""
    street = Street(clock, random_bytes, tmp_path / "street")
    yield street
    street.close()


@pytest.fixture
def street_in_memory(clock: Clock, random_bytes: Callable[[int], bytes]) -> Street:
    """Give the three parties without files, for tests that no store can change."""
    return Street(clock, random_bytes, None)


@pytest.fixture
def servers(postgres: str, _servers: Mapping[str, str]) -> Mapping[str, str]:
    """Give two PostgreSQL databases with their tables and no row."""
    for party, url in _servers.items():
        without_rows(postgres, url, _TABLES[party])
    return _servers


@pytest.fixture(scope="session")
def _servers(postgres: str) -> Mapping[str, str]:
    urls = {party: made_on(postgres, f"consent_{party}") for party in _TABLES}
    SqlCustodianStore(urls["custodian"]).close()
    SqlReceiverStore(urls["receiver"]).close()
    return urls
