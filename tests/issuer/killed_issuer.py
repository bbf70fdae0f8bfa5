"""A program that walks an offer to its end, and kills itself where it was told to.

What its customer receives stands in a file beside the database, as in a wallet.

    python -m tests.issuer.killed_issuer DATABASE CALL

CALL counts the draws of randomness: every step of the walk draws some, so every
place between two of them is reached by some number.
"""

import itertools
import json
import os
import secrets
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from counterfoil_credentials.keys import MemorySigner
from counterfoil_issuer.issuer import utc_now
from counterfoil_issuer.issuing import Issued
from counterfoil_issuer.records import IssuanceId
from counterfoil_issuer.sql_store import SqlStore

from tests.issuer.brand import ORDERS, Customer, issuer_on

BRAND_KEY = bytes(31) + b"\x01"
HOLDER_KEY = bytes(31) + b"\x02"


class Survivor(Customer):
    """A customer whose wallet is a file: what it received outlives the program."""

    wallet: Path

    def keep(self, issued: Issued) -> None:
        """Write it down, on disk, before the issuer hears of it."""
        super().keep(issued)
        line = {"credentials": issued.credentials, "notification_id": issued.notification_id}
        with self.wallet.open("a") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())


def wallet_beside(database: Path) -> Path:
    """Give the file of the customer's wallet."""
    return database.with_suffix(".wallet")


def received_before(database: Path) -> list[Issued]:
    """Give what the customer of a killed program had received."""
    wallet = wallet_beside(database)
    lines = wallet.read_text().splitlines() if wallet.exists() else []
    return [
        Issued(tuple(one["credentials"]), IssuanceId(one["notification_id"]))
        for one in map(json.loads, lines)
    ]


def randomness_until(fatal_call: int, end: Callable[[], None]) -> Callable[[int], bytes]:
    """Give randomness that calls `end` instead of answering the call of that number."""
    calls = itertools.count(1)

    def random(size: int) -> bytes:
        if next(calls) == fatal_call:
            end()
        return secrets.token_bytes(size)

    return random


def main() -> None:
    database, fatal_call = Path(sys.argv[1]), int(sys.argv[2])
    random = randomness_until(fatal_call, lambda: os.kill(os.getpid(), signal.SIGKILL))
    signer = MemorySigner.from_private_bytes(BRAND_KEY)
    issuer = issuer_on(SqlStore(database), utc_now, random, signer=signer)
    issuer.import_orders(ORDERS)
    customer = Survivor(issuer, utc_now, MemorySigner.from_private_bytes(HOLDER_KEY))
    customer.wallet = wallet_beside(database)
    for offer in issuer.offer("#1002").offers:
        customer.accept(offer)


if __name__ == "__main__":
    main()
