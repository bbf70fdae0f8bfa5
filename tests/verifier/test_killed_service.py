"""`kill -9` under load: no session is answered twice, no verdict is lost that was shown.

A few kills on each database run always; `scripts/soak` runs a hundred.
"""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.verifier.kills import Survived, kill_under_load, serving_brand, shop_at

FEW = 2
MANY = 100
SEED = int(os.environ.get("COUNTERFOIL_SOAK_SEED", "0")) or random.SystemRandom().randrange(2**32)

pytestmark = pytest.mark.loopback


def survived(folder: Path, where: Path | str, kills: int, seed: int) -> Survived:
    with serving_brand() as (brand, url):
        shop_at(folder, url, where)
        return kill_under_load(folder, brand, url, kills, seed)


def test_a_few_kills_lose_no_verdict_and_double_none(tmp_path: Path, where: Path | str) -> None:
    assert survived(tmp_path / "shop", where, FEW, seed=1).answered > 0


@pytest.mark.soak
def test_a_hundred_kills_lose_no_verdict_and_double_none(
    tmp_path: Path, where: Path | str, soak_count: Callable[[int], int]
) -> None:
    found = survived(tmp_path / "shop", where, soak_count(MANY), SEED)

    print(f"{found}, seed {SEED}")  # noqa: T201  # `scripts/soak -rP` shows it
    assert found.shown > 0
