"""`python -m tests.consent.make_databases`: a custodian's and a receiver's database of today.

Run it when a revision of a schema is released; each file in databases/ is named for its
revision, and is never made again.
"""

import random
import shutil
import sqlite3
import tempfile
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from counterfoil_consent import Trigger, fetch_custodian_key, send_withdrawal, withdraw
from counterfoil_consent.sql_accesses import SqlAccesses
from counterfoil_consent.sql_receiver_store import SqlReceiverStore
from counterfoil_credentials.keys import MemorySigner

from tests.conftest import NOON, Clock
from tests.consent.street import BENEFITS, VELO
from tests.consent.test_store_migrations import DATABASES, KINDS
from tests.consent.town import Town


def fill(folder: Path) -> None:
    """Let a custodian and a receiver live: something of everything, in each of its states."""
    street = Town(Clock(NOON), random.Random(8).randbytes, folder)
    assert isinstance(street.receiver_store, SqlReceiverStore)
    street.accesses = SqlAccesses(street.receiver_store.database)
    street.receiver = street.make_receiver(VELO, street.receiver_signer)
    street.connect()
    for _ in range(9):
        street.ask()
    for _ in range(3):
        # She decided, asked the custodian for a key, and went no further.
        signer = MemorySigner.generate()
        decided = street.decide(street.ask(), signer)
        fetch_custodian_key(decided, signer=signer, fetcher=street.fetcher, now=street.clock())
    given = [street.granted(max_reads=5) for _ in range(9)]
    for number, (active, signer) in enumerate(given):
        street.clock.advance(timedelta(minutes=1))
        for _ in range(number % 4):
            with street.receiver.read(active.agreement.grant_id, BENEFITS):
                pass
        if number % 3 == 0:
            end = withdraw(active, signer=signer, now=street.clock(), random=street.random)
            send_withdrawal(end, fetcher=street.fetcher)
    # One end that a crash interrupted before its statement was signed.
    package, _ = street.packed()
    street.custodian.register(package.registration)
    street.custodian_store.end(package.grant_id, Trigger.TERMINATED, street.clock())
    street.close()


def main() -> None:
    """Make the files that are not there yet."""
    with tempfile.TemporaryDirectory() as scratch:
        fill(Path(scratch))
        for kind in KINDS:
            target = kind.file(kind.migrations.head)
            if target.exists():
                continue
            made = Path(scratch) / kind.name / "db.sqlite3"
            with closing(sqlite3.connect(made)) as connection:
                connection.execute("PRAGMA journal_mode = DELETE")
                connection.execute("PRAGMA page_size = 1024")
                connection.execute("VACUUM")
            shutil.copyfile(made, target)


if __name__ == "__main__":
    assert DATABASES.is_dir()
    main()
