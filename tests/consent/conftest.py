"""A street on either kind of store."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Clock
from tests.consent.street import Street


@pytest.fixture(params=["memory", "sqlite"])
def street(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    clock: Clock,
    random_bytes: Callable[[int], bytes],
) -> Iterator[Street]:
    """Give the three parties: each test that asks runs on both kinds of store."""
    folder = tmp_path / "street" if request.param == "sqlite" else None
    street = Street(clock, random_bytes, folder)
    yield street
    street.close()


@pytest.fixture
def street_on_disk(
    tmp_path: Path, clock: Clock, random_bytes: Callable[[int], bytes]
) -> Iterator[Street]:
    """Give the three parties with files, for tests that steal or restore them."""
    street = Street(clock, random_bytes, tmp_path / "street")
    yield street
    street.close()


@pytest.fixture
def street_in_memory(clock: Clock, random_bytes: Callable[[int], bytes]) -> Street:
    """Give the three parties without files, for tests that no store can change."""
    return Street(clock, random_bytes, None)
