"""`kill -9` under load: no acknowledged credential is lost, no status index is given twice.

A few kills on each database run always; `scripts/soak` runs a hundred.
"""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.issuer.kills import kill_under_load
from tests.issuer.running import init

FEW = 3
MANY = 100
SEED = int(os.environ.get("COUNTERFOIL_SOAK_SEED", "0")) or random.SystemRandom().randrange(2**32)

pytestmark = [pytest.mark.loopback, pytest.mark.once]


@pytest.fixture
def folder(tmp_path: Path, where: Path | str) -> Path:
    folder = tmp_path / "brand"
    init(folder, where)
    return folder


def test_a_few_kills_lose_nothing_that_a_wallet_has(folder: Path) -> None:
    assert kill_under_load(folder, FEW, seed=1).acknowledged > 0


@pytest.mark.soak
def test_a_hundred_kills_lose_nothing_that_a_wallet_has(
    folder: Path, soak_count: Callable[[int], int]
) -> None:
    survived = kill_under_load(folder, soak_count(MANY), SEED)

    print(f"{survived}, seed {SEED}")  # noqa: T201  # `scripts/soak -rP` shows it
    assert survived.acknowledged > 0
