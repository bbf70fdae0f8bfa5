"""`kill -9` under load: no acknowledged credential is lost, no status index is given twice.

A tenth of the long count runs always; `scripts/soak` runs the whole.
"""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.issuer.kills import kill_under_load

KILLS = 100
SEED = int(os.environ.get("COUNTERFOIL_SOAK_SEED", "0")) or random.SystemRandom().randrange(2**32)

pytestmark = pytest.mark.loopback


def test_ten_kills_lose_nothing_that_a_wallet_has(tmp_path: Path) -> None:
    assert kill_under_load(tmp_path / "brand", KILLS // 10, seed=1) > 0


@pytest.mark.soak
def test_a_hundred_kills_lose_nothing_that_a_wallet_has(
    tmp_path: Path, soak_count: Callable[[int], int]
) -> None:
    assert kill_under_load(tmp_path / "brand", soak_count(KILLS), SEED) > 0
