"""An issuer with the orders in it, and a customer."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from counterfoil_credentials.keys import MemorySigner
from counterfoil_issuer.issuer import Issuer
from counterfoil_issuer.offering import OpenOffer
from counterfoil_issuer.sql_store import SqlStore
from counterfoil_issuer.store import Store

from tests.conftest import Clock
from tests.issuer.brand import ORDERS, Customer, issuer_on


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Give an empty store."""
    on_disk = SqlStore(tmp_path / "issuer.sqlite3")
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
