"""Fixtures: a brand that lets everybody in, and two that ask for more.

from tests.issuer.conformance.stages import *  # noqa: F403  # in a conftest.py
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Clock
from tests.issuer.conformance.stage import Stage, stage

__all__ = ["attesting", "key_attesting", "plain"]


@pytest.fixture
def plain(tmp_path: Path, clock: Clock, random_bytes: Callable[[int], bytes]) -> Iterator[Stage]:
    """Give a brand that lets every wallet in."""
    with stage(tmp_path, clock, random_bytes) as found:
        yield found


@pytest.fixture
def attesting(
    tmp_path: Path, clock: Clock, random_bytes: Callable[[int], bytes]
) -> Iterator[Stage]:
    """Give a brand that lets in only wallets whose maker vouches for them."""
    with stage(tmp_path, clock, random_bytes, attested_wallets=True) as found:
        yield found


@pytest.fixture
def key_attesting(
    tmp_path: Path, clock: Clock, random_bytes: Callable[[int], bytes]
) -> Iterator[Stage]:
    """Give a brand that binds only keys whose keeper vouches for them."""
    with stage(tmp_path, clock, random_bytes, attested_keys=True) as found:
        yield found
