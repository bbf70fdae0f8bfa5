"""`python -m tests.issuer.make_database`: a database as this version's issuer writes it.

Run it before a release that brings a new revision of the schema; the file in
databases/ is named for the revision, and is never made again.
"""

import random
import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from counterfoil_credentials.keys import MemorySigner
from counterfoil_issuer.catalogue import parse_catalogue
from counterfoil_issuer.migrations import HEAD
from counterfoil_issuer.offering import Grant
from counterfoil_issuer.records import RevocationReason
from counterfoil_issuer.sql_store import SqlStore
from counterfoil_issuer.tokens import Presented
from counterfoil_service.access import Role
from counterfoil_service.api_keys import make_key
from counterfoil_service.outbox import Webhooks

from tests.conftest import NOON, Clock
from tests.issuer.brand import CATALOGUE, ORDERS, SECRET, Customer, issuer_on, wait
from tests.issuer.office import desk_of, office_of, sitting

DATABASES = Path(__file__).parent / "databases"


def make(path: Path) -> None:
    """Fill an empty database: something of everything, in each of its states."""
    clock, chance = Clock(NOON), random.Random(2)
    store = SqlStore(path)
    catalogue = parse_catalogue(CATALOGUE)
    tier = replace(catalogue.types["tier"], deferred=True)
    issuer = issuer_on(
        store,
        clock,
        chance.randbytes,
        signer=MemorySigner.from_private_bytes(b"\x01".rjust(32, b"\0")),
        catalogue=replace(catalogue, types={**catalogue.types, "tier": tier}),
    )
    customer = Customer(issuer, clock, MemorySigner.from_private_bytes(b"\x02".rjust(32, b"\0")))
    issuer.import_orders(ORDERS)

    (offer,) = issuer.offer("#1001").offers
    receipt, warranty = customer.accept(offer)
    issuer.revoke(receipt.notification_id, RevocationReason.ISSUED_IN_ERROR)
    again = issuer.reissue(warranty.notification_id)
    (warranty,) = customer.accept(again)
    issuer.transfer(warranty.notification_id)
    clock.advance(timedelta(minutes=1))
    first, second = issuer.offer("#1002").offers
    token = customer.token(first)
    for dataset in first.datasets:
        customer.issued(token, dataset.type_name)
    (of_second,) = customer.accept(second)
    issuer.suspend(of_second.notification_id)

    member = issuer.add_dataset("membership", catalogue.types["membership"].sample, subject="m-1")
    issuer.offer_datasets([member], grants=[Grant.AUTHORIZATION_CODE])
    waiting = issuer.add_dataset("tier", tier.sample)
    token = customer.token(issuer.offer_datasets([waiting]))
    wait(issuer.issue(Presented(token), customer.request("tier")))
    assert issuer.status_list(1)

    desk, office = desk_of(issuer, store), office_of(issuer)
    batch = desk.batch("orders", ORDERS + b"\n#1003,,,,,,,,,")
    for _ in desk.run(batch, by="mei"):
        pass
    with store.transaction() as held:
        at_desk = sitting(held, clock)
        office.note(at_desk, "credential.search", "search:1")
        office.tell(at_desk, "credential.suspended", {"credential": of_second.notification_id})
        make_key(
            held.connection,
            name="till",
            roles={Role("service")},
            now=clock(),
            random=chance.randbytes,
        )
        Webhooks(SECRET, clock=clock, random=chance.randbytes).add(
            held.connection, "https://shop.example/hook"
        )
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA page_size = 1024")
        connection.execute("VACUUM")
    connection.close()


if __name__ == "__main__":
    make(DATABASES / f"{HEAD}.sqlite3")
