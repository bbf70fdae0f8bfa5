"""The walk: six steps over running houses, in order, each on real parts.

    a  a purchase becomes credentials          issuer/ → wallet/
    b  the counter asks, the wallet shows      verifier/ → wallet/ → verifier/
    c  returned, replayed, tampered, misdirected
    d  granted, read, withdrawn, erased        consent/
    e  points earned, exchanged, redeemed      loyalty/
    f  what happened, and who holds what now

Run again over the same folder it repeats everything that can be repeated and
does nothing twice that happens once.
"""

from pathlib import Path

from counterfoil_credentials.errors import Unavailable

from counterfoil_demo.closing import take_stock
from counterfoil_demo.report import NotAsItMustBe, Report
from counterfoil_demo.scene import Scene, open_scene
from counterfoil_demo.supervisor import Supervisor
from counterfoil_demo.walk_consent import lend_and_take_back
from counterfoil_demo.walk_credentials import buy, cheat, show
from counterfoil_demo.walk_points import earn_exchange_redeem


def walk(data: Path, supervisor: Supervisor, report: Report, orders: Path | None) -> None:
    """Take the six steps over the running houses of `data`.

    Raises `NotAsItMustBe` after telling which step it was.
    """
    try:
        with open_scene(data, supervisor, report) as scene:
            _six_steps(scene, report, orders)
    except (NotAsItMustBe, Unavailable):
        # A house that stopped by itself explains whatever went wrong after that.
        supervisor.require_all_alive()
        raise


def _six_steps(scene: Scene, report: Report, orders: Path | None) -> None:
    with report.step("a") as step:
        purchase = buy(scene, step, orders)
    with report.step("b") as step:
        show(scene, step, purchase)
    with report.step("c") as step:
        cheat(scene, step, purchase)
    with report.step("d") as step:
        lend_and_take_back(scene, step, purchase)
    with report.step("e") as step:
        if scene.has_points():
            earn_exchange_redeem(scene, step, purchase)
        else:
            step.say("points-off")
            step.note("points", "off")
    with report.step("f") as step:
        take_stock(scene, step, purchase)
