"""Killed in the middle: whatever had happened stays, nothing else did, and the walk goes on."""

import signal
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from counterfoil_credentials.encoding import compact_json
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.sdjwt_vc import VerifiedCredential
from counterfoil_credentials.token_status_list import INVALID, VALID
from counterfoil_issuer.issuer import Issuer, utc_now
from counterfoil_issuer.records import TypeCounts
from counterfoil_issuer.sql_store import SqlStore
from counterfoil_issuer.store import Store

from tests.conftest import Clock
from tests.issuer.brand import ORDERS, Customer, issuer_on, status_of
from tests.issuer.killed_issuer import (
    BRAND_KEY,
    HOLDER_KEY,
    randomness_until,
    received_before,
)

ROOT = Path(__file__).parent.parent.parent


class PowerCut(BaseException):
    """Ends the walk where it stands; nothing catches it."""


def power_cut() -> None:
    raise PowerCut


def require_whole(customer: Customer, *orders: str) -> None:
    """Compare what the customer holds with what the issuer knows of these orders.

    Everything that came is known, as it came; what is in force says one thing
    once; and the issuer believes nothing to be stored that never came.
    """
    known = {
        record.issuance_id: record
        for order in orders
        for record in customer.issuer.credentials_of(order)
    }
    held = {issued.notification_id: customer.verified(issued) for issued in customer.received}
    assert len(held) == len(customer.received)
    for issued in customer.received:
        record, credential = known[issued.notification_id], held[issued.notification_id]
        jwt = SdJwt.parse(issued.credentials[0]).issuer_jwt
        (kept,) = record.credentials
        assert kept.digest == sha256(jwt.encode()).hexdigest()
        assert status_of(credential).url.endswith(f"/{kept.list_number}")
        assert status_of(credential).index == kept.index
        assert customer.status(issued) == (VALID if record.in_force else INVALID)
    places = [status_of(credential) for credential in held.values()]
    assert len({(place.url, place.index) for place in places}) == len(places)
    said = [subject(held[name]) for name in held if known[name].in_force]
    assert len(set(said)) == len(said)
    stored = {name for name, record in known.items() if record.acknowledged_at is not None}
    assert stored <= held.keys()


def subject(credential: VerifiedCredential) -> str:
    """Give what a credential is about, in its own words: an order, or one item."""
    return compact_json(credential.claims.get("item") or credential.claims["order"]).decode()


def walk_on(issuer: Issuer, customer: Customer, order: str) -> None:
    """Do what a demo does when it starts again over the same data."""
    issuer.import_orders(ORDERS)
    for offer in issuer.offer(order).offers:
        customer.accept(offer)


def test_an_issuer_that_restarts_goes_on_where_it_was(
    tmp_path: Path, clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    path, signer = tmp_path / "issuer.sqlite3", MemorySigner.generate()

    def restarted(before: SqlStore | None) -> tuple[SqlStore, Issuer]:
        if before is not None:
            before.close()
        store = SqlStore(path)
        return store, issuer_on(store, clock, random_bytes, signer=signer)

    store, issuer = restarted(None)
    issuer.import_orders(ORDERS)
    (offer,) = issuer.offer("#1001").offers
    store, issuer = restarted(store)
    customer = Customer(issuer, clock, MemorySigner.generate())
    token = customer.token(offer)
    nonce = issuer.nonce()
    store, customer.issuer = restarted(store)
    issued = customer.asked(token, customer.request(proof=customer.proof(nonce)))
    store, customer.issuer = restarted(store)
    assert customer.issued(token) == issued
    customer.store(token, issued)
    store, customer.issuer = restarted(store)

    assert customer.status(issued) == 0
    assert [one.notification_id for one in customer.received] == [issued.notification_id]
    require_whole(customer, "#1001")
    store.close()


def test_a_power_cut_at_any_draw_of_randomness_leaves_nothing_half_done(
    store: Store, clock: Clock
) -> None:
    cuts = 0
    while True:
        order = f"#{5000 + cuts}"
        random = randomness_until(cuts + 1, power_cut)
        issuer = issuer_on(store, clock, random, signer=MemorySigner.from_private_bytes(BRAND_KEY))
        issuer.import_orders(ORDERS.replace(b"#1001", order.encode()))
        customer = Customer(issuer, clock, MemorySigner.generate())
        try:
            walk_on(issuer, customer, order)
        except PowerCut:
            cuts += 1
        else:
            break
        require_whole(customer, order)
        again = issuer_on(
            store,
            clock,
            randomness_until(0, power_cut),
            signer=MemorySigner.from_private_bytes(BRAND_KEY),
        )
        customer.issuer = again
        walk_on(again, customer, order)
        require_whole(customer, order)
        records = again.credentials_of(order)
        assert [(r.type_name, r.in_force) for r in records] == [
            ("receipt", True),
            ("warranty", True),
        ]
    assert cuts > 12, "the walk draws randomness at every step"


@pytest.mark.parametrize("fatal_call", [5, 12, 19, 26])
def test_killed_for_real_it_resumes_without_doubling_anything(
    tmp_path: Path, fatal_call: int
) -> None:
    path = tmp_path / "issuer.sqlite3"
    program = [sys.executable, "-m", "tests.issuer.killed_issuer", str(path), str(fatal_call)]
    killed = subprocess.run(program, cwd=ROOT, check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL

    store = SqlStore(path)
    issuer = issuer_on(
        store,
        utc_now,
        randomness_until(0, power_cut),
        signer=MemorySigner.from_private_bytes(BRAND_KEY),
    )
    customer = Customer(issuer, utc_now, MemorySigner.from_private_bytes(HOLDER_KEY))
    customer.received = received_before(path)
    require_whole(customer, "#1001", "#1002")
    walk_on(issuer, customer, "#1002")
    walk_on(issuer, customer, "#1001")

    summary = issuer.summary()
    assert summary.credentials == {
        "receipt": TypeCounts(in_force=2),
        "warranty": TypeCounts(in_force=3),
    }
    assert (summary.orders, summary.status_indices_used) == (2, 5)
    assert len(customer.received) == 5
    require_whole(customer, "#1001", "#1002")
    store.close()
