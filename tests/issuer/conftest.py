"""An issuer with the orders in it, and a customer."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from counterfoil_credentials.keys import MemorySigner
from counterfoil_issuer.issuer import Issuer
from counterfoil_issuer.offering import OpenOffer
from counterfoil_issuer.sql_store import SqlStore
from counterfoil_issuer.store import Store
from counterfoil_issuer.tables import METADATA

from tests.conftest import Clock
from tests.issuer.brand import ORDERS, Customer, issuer_on
from tests.postgres import made_on, without_rows

ON_BOTH_DATABASES = {
    f"test_{name}.py"
    for name in (
        "back_office",
        "deferred",
        "grants",
        "issuer_keys",
        "issuing",
        "jobs",
        "lifecycle",
        "offering",
        "statuses",
        "tidying",
    )
}
"""Where most statements are run: each test there that has a store has it twice."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let the store be a SQLite file, and where it matters a PostgreSQL database too."""
    if "store" in metafunc.fixturenames:
        both = metafunc.definition.path.name in ON_BOTH_DATABASES
        databases = ["sqlite", "postgres"] if both else ["sqlite"]
        metafunc.parametrize("store", databases, indirect=True)


@pytest.fixture(scope="session")
def issuer_url(postgres: str) -> str:
    """Give the URL of a database that keeps its tables from test to test."""
    url = made_on(postgres, "issuer")
    SqlStore(url).close()
    return url


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Give an empty store."""
    if request.param == "postgres":
        where = request.getfixturevalue("issuer_url")
        without_rows(request.getfixturevalue("postgres"), where, METADATA.tables)
    else:
        where = tmp_path / "issuer.sqlite3"
    on_disk = SqlStore(where)
    yield on_disk
    on_disk.close()


@pytest.fixture
def issuer(store: Store, clock: Clock, random_bytes: Callable[[int], bytes]) -> Issuer:
    """Give the audio brand's issuer; it has taken in two orders."""
    issuer = issuer_on(store, clock, random_bytes)
    assert not issuer.import_orders(ORDERS).errors
    return issuer


@pytest.fixture
def customer(issuer: Issuer, clock: Clock) -> Customer:
    """Give a customer with a key."""
    return Customer(issuer, clock, MemorySigner.generate())


@pytest.fixture
def offer(issuer: Issuer) -> OpenOffer:
    """Give the one offer of order #1001: its receipt and a warranty."""
    (offer,) = issuer.offer("#1001").offers
    return offer
