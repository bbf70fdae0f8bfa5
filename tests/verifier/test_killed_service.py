"""`kill -9` under load: no session is answered twice, no verdict is lost that was shown.

One process over a file, and two over a PostgreSQL server, of which now one is killed and
now both. A few kills run always; `scripts/soak` runs a hundred.
"""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.verifier.kills import (
    Survived,
    freeze_under_load,
    kill_under_load,
    serving_brand,
    shop_at,
)

FEW = 3
MANY = 100
SEED = int(os.environ.get("COUNTERFOIL_SOAK_SEED", "0")) or random.SystemRandom().randrange(2**32)

pytestmark = [pytest.mark.loopback, pytest.mark.once]


def survived(folder: Path, where: Path | str, kills: int, seed: int) -> Survived:
    with serving_brand() as (brand, url):
        shop_at(folder, url, where)
        workers = 2 if isinstance(where, str) else 1
        return kill_under_load(folder, brand, url, kills=kills, seed=seed, workers=workers)


def test_a_few_kills_lose_no_verdict_and_double_none(tmp_path: Path, where: Path | str) -> None:
    assert survived(tmp_path / "shop", where, FEW, seed=1).shown > 0


def test_a_worker_that_stands_still_stops_nobody(tmp_path: Path, postgres_url: str) -> None:
    with serving_brand() as (brand, url):
        shop_at(tmp_path / "shop", url, postgres_url)
        freeze_under_load(tmp_path / "shop", brand, url, times=2, seed=1)


@pytest.mark.soak
def test_a_hundred_kills_lose_no_verdict_and_double_none(
    tmp_path: Path, where: Path | str, soak_count: Callable[[int], int]
) -> None:
    started = time.monotonic()
    found = survived(tmp_path / "shop", where, soak_count(MANY), SEED)

    took_s = round(time.monotonic() - started)
    print(f"{found}, seed {SEED}, {took_s} s")  # noqa: T201  # `scripts/soak -rP` shows it
    assert found.shown > 0
    assert found.cut_off > 0
