"""kill -9 in the middle of awards: the next run has each of them exactly once."""

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from counterfoil_credentials.errors import CounterfoilError
from counterfoil_credentials.fetch import GuardedFetcher
from counterfoil_loyalty import Points, PointsAccounts, PointsClient, PointsSigner
from counterfoil_loyalty.cli import OPERATOR_KEY, main
from counterfoil_loyalty.points_folder import VOUCHER_KEY
from counterfoil_service.access import load_or_create_key

from tests.loyalty.programme import AUDIO, SECRET

pytestmark = pytest.mark.once

ORIGIN = "https://points.example"
BRAND = PointsSigner(b"\x01" * 32)
CUSTOMER = PointsAccounts(b"customer" * 4)
ACCOUNT = CUSTOMER.of(AUDIO).account


@contextmanager
def service(folder: Path) -> Generator[tuple[PointsClient, subprocess.Popen[str]]]:
    """Run the points service in a process of its own, as its command does."""
    code = "import sys; from counterfoil_loyalty.cli import main; sys.exit(main(sys.argv[1:]))"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "serve", str(folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().split()[-1]
        fetcher = GuardedFetcher(timeout_s=30, loopback_routes_unsafely={ORIGIN: address})
        yield PointsClient(fetcher, ORIGIN), process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def award(client: PointsClient, order: int) -> None:
    client.award(BRAND, Points(AUDIO, 100), ACCOUNT, order=str(order), secret=SECRET)


@pytest.mark.loopback
@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.soak)])
def test_awards_cut_by_kill_9_are_each_minted_exactly_once(tmp_path: Path, kills: int) -> None:
    orders = iter(range(10_000))
    begun: list[int] = []
    for _ in range(kills):
        with service(tmp_path) as (client, process):
            registration = client.sign_registration(
                BRAND, brand=AUDIO, name="Auricle", symbol="AUR", price=100
            )
            key = load_or_create_key(tmp_path / OPERATOR_KEY)
            client.register(registration, operator_key=key)

            def buy(client: PointsClient = client) -> None:
                while True:
                    order = next(orders)
                    begun.append(order)
                    try:
                        award(client, order)
                    except CounterfoilError:
                        return

            buyers = [threading.Thread(target=buy) for _ in range(3)]
            for buyer in buyers:
                buyer.start()
            time.sleep(0.5 + secrets.randbelow(1_500) / 1_000)
            os.kill(process.pid, signal.SIGKILL)
            for buyer in buyers:
                buyer.join()

    with service(tmp_path) as (client, _):
        for order in begun:  # every one again, whether it was answered or not
            award(client, order)
        minted = [event for event in client.events() if event["name"] == "Awarded"]
        assert len(minted) == len(begun)
        assert client.supply().units == {AUDIO: 100 * len(begun)}
        history = client.history(CUSTOMER)
        assert len({entry.reference for entry in history}) == len(history) == len(begun)
        assert len([event for event in client.events() if event["name"] == "PointsCreated"]) == 1
        now = datetime.now(UTC)  # these services run by the real clock
        voucher = client.redeem(Points(AUDIO, 100), CUSTOMER, b"r" * 32, now=now)

    assert (tmp_path / VOUCHER_KEY).stat().st_mode & 0o777 == 0o600
    with service(tmp_path) as (client, _):  # the last one was killed, too
        assert client.redeem(Points(AUDIO, 100), CUSTOMER, b"r" * 32, now=now) == voucher


@pytest.mark.loopback
def test_a_second_service_on_the_same_folder_is_turned_away(tmp_path: Path) -> None:
    with service(tmp_path) as (client, _):
        assert main(["serve", str(tmp_path)]) == 1
        assert client.programmes() == []
