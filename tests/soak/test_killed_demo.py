"""Kill -9 any of the demo's processes at any moment: the next run over its folder succeeds.

The long count is 20; `COUNTERFOIL_SOAK_SHARE=10` takes a tenth of it.
"""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.demo_runs import COMMAND, kill, none_left, processes_over, run_demo

KILLS = 20
SHARE = int(os.environ.get("COUNTERFOIL_SOAK_SHARE", "1"))
SEED = int(os.environ.get("COUNTERFOIL_SOAK_SEED", "0")) or random.SystemRandom().randrange(2**32)

pytestmark = [
    pytest.mark.soak,
    pytest.mark.loopback,
    pytest.mark.skipif(sys.platform != "linux", reason="no /proc: cannot find the processes"),
]


@pytest.mark.parametrize("number", range(-(-KILLS // SHARE)))
def test_a_killed_demo_resumes_and_doubles_nothing(number: int, tmp_path: Path) -> None:
    chance = random.Random(f"{SEED} {number}")
    data = tmp_path / "data"
    # Killed twice over the same folder: once while everything is new, once while it resumes.
    victims = [_killed_run(data, chance), _killed_run(data, chance)]
    told = f"COUNTERFOIL_SOAK_SEED={SEED}, kill {number}, killed {victims}"

    run = run_demo(data, "--json")

    assert run.status == 0, (told, run.out, run.err)
    assert run.steps["a"]["credentials_issued"] == 3, told
    assert run.steps["a"]["datasets_issued_twice"] == 0, told
    earned = run.steps["e"]["awarded_units"]
    gave = run.steps["e"]["exchanged"]["gave"]
    assert run.steps["e"]["balances"]["https://auricle.example"] == earned - gave, told
    received = run.steps["e"]["exchanged"]["received"]
    redeemed = max(received // 2, 1)
    assert run.steps["e"]["balances"]["https://velorum.example"] == received - redeemed, told
    assert none_left(data), (told, processes_over(data))


def _killed_run(data: Path, chance: random.Random) -> str:
    """Start a run, kill one of its processes at a random moment, and give which and when."""
    demo = subprocess.Popen(
        [*COMMAND, "--data", str(data), "--json"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    moment = chance.uniform(0.1, 14)
    time.sleep(moment)
    alive = sorted(processes_over(data).items(), key=lambda found: found[1])
    victim = "nobody, it had ended"
    if alive:
        process, victim = chance.choice(alive)
        kill(process)
    demo.wait(timeout=200)
    assert none_left(data), processes_over(data)
    return f"{victim} after {moment:.1f} s"
