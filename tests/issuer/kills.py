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
from typing import NamedTuple

from counterfoil_issuer.brand_folder import BrandFolder
from counterfoil_issuer.brand_service import open_brand
from counterfoil_issuer.issuer import utc_now

from tests.issuer.crowd import Wallet, connected
from tests.issuer.running import Offer, serving

AT_ONCE = 8
OFFERS_A_KILL = 20
OFFERS_AT_ONCE = 200


class Survived(NamedTuple):
    """What was counted, and lost nothing: credentials that came before a kill, indices in all."""

    acknowledged: int
    indices: int


def kill_under_load(folder: Path, kills: int, seed: int) -> Survived:
    """Serve the brand in `folder` and kill it so often; give what came through.

    A credential is acknowledged when its answer came whole. After each kill the wallets of
    before ask again, each with its token and its key: it must get what it already has. In
    the end the database knows the status indices that the wallets hold, and no other.
    """
    chance = random.Random(seed)
    places: set[tuple[str, int]] = set()
    acknowledged = 0
    url: list[str] = []
    offers: list[Offer] = []
    wallets: list[Wallet] = []
    for left in range(kills, -1, -1):
        with serving(folder, *url) as issuer:
            url = ["--public-url", issuer.url]
            told = f"{left} kills before the end of seed {seed}"
            fresh = _require_kept(issuer.listens, wallets, told)
            assert not fresh & places, f"a status index was given again: {told}"
            places |= fresh
            if left and not offers:
                offers = issuer.offers(min(left * OFFERS_A_KILL, OFFERS_AT_ONCE))
            wallets = [Wallet(issuer.url, one.link) for one in offers[:OFFERS_A_KILL]]
            del offers[:OFFERS_A_KILL]
            with _load(issuer.listens, wallets):
                time.sleep(chance.uniform(0.02, 0.4))
                issuer.kill()
        acknowledged += sum(wallet.credential is not None for wallet in wallets)
    assert _indices_used(folder) == len(places), f"nobody has an index that was used: seed {seed}"
    return Survived(acknowledged, len(places))


def _indices_used(folder: Path) -> int:
    """Count them in the database, whose audit log is whole too."""
    brand_folder = BrandFolder(folder)
    with open_brand(brand_folder, brand_folder.identifier()) as brand:
        brand.staff.check_log()
        with brand.store.reading() as held:
            return held.summary(utc_now()).status_indices_used


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
