"""Kill a serving issuer under load, serve again, and compare with what its customers hold."""

import base64
import http.client
import json
import queue
import random
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.issuer.crowd import Wallet, connected
from tests.issuer.running import init, serving

AT_ONCE = 8
OFFERS_A_ROUND = 20


def kill_under_load(folder: Path, rounds: int, seed: int) -> int:
    """Kill so often; give how many credentials had been acknowledged just before a kill.

    A credential is acknowledged when its answer came whole. After each kill every wallet of
    the round asks again, with its token and its key: it must get what it already has.
    """
    chance = random.Random(seed)
    places: set[tuple[str, int]] = set()
    acknowledged = 0
    init(folder)
    with serving(folder) as issuer:
        port, url = issuer.port, issuer.url
        offers = issuer.offers(rounds * OFFERS_A_ROUND)
    wallets: list[Wallet] = []
    for number in range(rounds + 1):
        with serving(folder, "--port", str(port)) as issuer:
            assert issuer.url == url, "expected the port of before, found it taken"
            fresh = _require_kept(issuer.listens, wallets, f"round {number} of seed {seed}")
            assert not fresh & places, f"a status index was given again: {number} of {seed}"
            places |= fresh
            first = number * OFFERS_A_ROUND
            wallets = [Wallet(url, one.link) for one in offers[first : first + OFFERS_A_ROUND]]
            with _load(issuer.listens, wallets):
                time.sleep(chance.uniform(0.02, 0.4))
                issuer.kill()
        acknowledged += sum(wallet.credential is not None for wallet in wallets)
    return acknowledged


def _require_kept(address: str, wallets: list[Wallet], told: str) -> set[tuple[str, int]]:
    """Let the wallets go on after a kill; give the status places of what they hold, all new."""

    def go_on(wallet: Wallet) -> None:
        with connected(address) as line:
            if wallet.token is None:
                # The code may be spent, and then so is the offer: nobody was told a token.
                wallet.redeem(line)
            if wallet.token is not None:
                before = wallet.credential
                wallet.walk(line)
                assert before in (None, wallet.credential), f"a credential was lost: {told}"

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(go_on, wallets))
    credentials = [wallet.credential for wallet in wallets if wallet.credential]
    places = {place_of(credential) for credential in credentials}
    assert len(places) == len(credentials), f"a status index was given twice: {told}"
    return places


def place_of(credential: str) -> tuple[str, int]:
    """Give a credential's place in a status list."""
    payload = credential.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    listed = claims["status"]["status_list"]
    return listed["uri"], listed["idx"]


@contextmanager
def _load(address: str, wallets: list[Wallet]) -> Generator[None, None, None]:
    """Walk the wallets on several threads until all are done or the issuer is gone."""
    waiting = queue.SimpleQueue[Wallet]()
    for wallet in wallets:
        waiting.put(wallet)

    def run() -> None:
        # The kill cuts connections; whatever else goes wrong fails the test.
        endings = suppress(OSError, http.client.HTTPException, queue.Empty)
        with endings, connected(address) as connection:
            while True:
                waiting.get_nowait().walk(connection)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs = [pool.submit(run) for _ in range(AT_ONCE)]
        yield
        for done in runs:
            done.result()
