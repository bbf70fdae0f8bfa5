"""`kill -9` of custodian and receiver: no read too many, no end undone, no share lost.

A few kills run always; `scripts/soak` runs many.
"""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.consent.kills import Survived, kill_under_load

FEW = 3
MANY = 30
SEED = int(os.environ.get("COUNTERFOIL_SOAK_SEED", "0")) or random.SystemRandom().randrange(2**32)

pytestmark = [pytest.mark.loopback, pytest.mark.once]


def survived(request: pytest.FixtureRequest, folder: Path, kills: int, seed: int) -> Survived:
    where = request.node.callspec.params["database"]
    servers = request.getfixturevalue("servers") if where == "postgres" else None
    return kill_under_load(folder, servers, kills=kills, seed=seed)


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_a_few_kills_undo_no_end_and_lose_no_share(
    request: pytest.FixtureRequest, tmp_path: Path, database: str
) -> None:
    assert survived(request, tmp_path / database, FEW, seed=1).kills == FEW


@pytest.mark.soak
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_many_kills_undo_no_end_and_lose_no_share(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    database: str,
    soak_count: Callable[[int], int],
) -> None:
    started = time.monotonic()
    found = survived(request, tmp_path / database, soak_count(MANY), SEED)

    took_s = round(time.monotonic() - started)
    print(f"{found}, seed {SEED}, {took_s} s")  # noqa: T201  # `scripts/soak -rP` shows it
    assert found.cut_off > 0
    assert found.ends_heard > 0
