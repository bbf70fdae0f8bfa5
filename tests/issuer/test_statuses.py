"""Revoking, and the status list that says so."""

import zlib
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from counterfoil_credentials.encoding import int_at, texts_at
from counterfoil_credentials.errors import Misuse, Refused
from counterfoil_credentials.issuer_keys import parse_issuer_keys
from counterfoil_credentials.jws import read_jws
from counterfoil_credentials.keys import MemorySigner, PublicKey
from counterfoil_credentials.status_entries import SEGMENT_BYTES
from counterfoil_credentials.token_status_list import (
    INVALID,
    VALID,
    SignedStatusList,
    read_status_list,
)
from counterfoil_issuer.issuer import Issuer, IssuerOptions
from counterfoil_issuer.key_ring import keys_of
from counterfoil_issuer.offering import OpenOffer
from counterfoil_issuer.records import IssuanceId, ListState, RevocationReason
from counterfoil_issuer.sql_store import SqlStore
from counterfoil_issuer.statuses import StatusLists
from counterfoil_issuer.store import Store

from tests.conftest import Clock
from tests.issuer.brand import (
    ORDER_1001,
    Customer,
    issuer_on,
    orders_file,
    status_indices,
    status_of,
)

MINUTE = timedelta(minutes=1)
RETURNED = RevocationReason.GOODS_RETURNED


def many_orders(count: int) -> bytes:
    return orders_file(*(ORDER_1001[0].replace("#1001", f"#{n}") for n in range(count)))


def test_a_revoked_credential_is_invalid_at_once_and_its_neighbours_are_not(
    customer: Customer, offer: OpenOffer
) -> None:
    receipt, warranty = customer.accept(offer)
    assert [customer.status(one) for one in (receipt, warranty)] == [VALID, VALID]

    customer.issuer.revoke(warranty.notification_id, RETURNED)

    assert [customer.status(one) for one in (receipt, warranty)] == [VALID, INVALID]


def test_revoking_again_changes_neither_time_nor_reason(
    customer: Customer, offer: OpenOffer, clock: Clock
) -> None:
    _, warranty = customer.accept(offer)
    first = customer.issuer.revoke(warranty.notification_id, RETURNED)
    clock.advance(MINUTE)

    assert customer.issuer.revoke(warranty.notification_id, RevocationReason.FRAUD) == first
    assert first.revocation_reason is RETURNED


def test_revoking_an_unknown_credential_is_refused(issuer: Issuer) -> None:
    with pytest.raises(Refused) as refusal:
        issuer.revoke("another", RETURNED)

    assert refusal.value.codes == ["credential-unknown"]


def test_a_credential_revoked_on_its_way_is_not_handed_out_again(
    customer: Customer, offer: OpenOffer
) -> None:
    token = customer.token(offer)
    warranty = customer.issued(token)
    customer.issuer.revoke(warranty.notification_id, RETURNED)

    with pytest.raises(Refused) as refusal:
        customer.issued(token)
    assert refusal.value.codes == ["credential_request_denied"]
    customer.store(token, warranty)
    assert customer.status(warranty) == INVALID


def test_there_is_no_list_before_the_first_credential(customer: Customer) -> None:
    assert customer.issuer.status_list(1) is None
    customer.accept(customer.issuer.offer("#1001").offers[0])

    assert customer.issuer.status_list(1)
    assert [customer.issuer.status_list(number) for number in (-1, 0, 2, 10**30)] == [None] * 4


def test_an_unchanged_list_is_signed_every_half_hour(
    customer: Customer, offer: OpenOffer, clock: Clock
) -> None:
    customer.accept(offer)
    first = customer.issuer.status_list(1)
    clock.advance(30 * MINUTE - timedelta(seconds=1))
    assert customer.issuer.status_list(1) == first
    clock.advance(timedelta(seconds=1))

    assert customer.issuer.status_list(1) != first


def test_a_list_that_lasts_less_than_an_hour_is_signed_at_half_its_time(
    store: Store, clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    short = IssuerOptions(status_list_size=64, status_list_lasts=10 * MINUTE)
    issuer = issuer_on(store, clock, random_bytes, options=short)
    revocable(issuer, clock, 1)
    first = issuer.status_list(1)
    clock.advance(5 * MINUTE - timedelta(seconds=1))
    assert issuer.status_list(1) == first
    clock.advance(timedelta(seconds=1))

    assert issuer.status_list(1) != first


def test_a_list_outlasts_what_shops_allow_and_asks_to_be_fetched_long_before(
    customer: Customer, offer: OpenOffer
) -> None:
    customer.accept(offer)
    token = customer.issuer.status_list(1)
    assert token is not None
    claims = read_jws(token, typ="statuslist+jwt", where="list").unverified_claims

    lasts_s = int_at(claims, "exp", "list") - int_at(claims, "iat", "list")
    assert timedelta(seconds=lasts_s) == timedelta(days=7)
    assert int_at(claims, "ttl", "list") == 300


def listed_at(token: str | None) -> int:
    """Give the time of a signed list."""
    assert token is not None
    return int_at(read_jws(token, typ="statuslist+jwt", where="list").unverified_claims, "iat", "x")


def test_two_workers_never_give_an_older_list_after_a_newer_one(
    store: Store, clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    signer = MemorySigner.generate()
    one, other = (issuer_on(store, clock, random_bytes, signer=signer) for _ in range(2))
    one.import_orders(many_orders(3))
    customer = Customer(one, clock, MemorySigner.generate())
    issued = [customer.accept(one.offer(f"#{number}").offers[0])[0] for number in range(3)]
    given = [listed_at(one.status_list(1))]
    for minutes, worker in ((10, other), (6, one), (10, other), (3, one), (1, other), (9, one)):
        clock.advance(minutes * MINUTE)
        if minutes in {3, 6, 9}:
            worker.revoke(issued[minutes // 3 - 1].notification_id, RETURNED)
            revoked_at = int(clock().timestamp())
            assert listed_at(worker.status_list(1)) == revoked_at
        given.append(listed_at(worker.status_list(1)))

    assert given == sorted(given)
    assert len(set(given)) > 3


def revocable(issuer: Issuer, clock: Clock, count: int) -> list[str]:
    """Issue so many credentials, and give their ids."""
    issuer.import_orders(many_orders(count))
    customer = Customer(issuer, clock, MemorySigner.generate())
    return [
        customer.accept(issuer.offer(f"#{number}").offers[0])[0].notification_id
        for number in range(count)
    ]


def test_no_two_lists_of_one_time_say_different_things_whoever_is_asked(
    store: Store, clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    signer = MemorySigner.generate()

    def worker() -> Issuer:
        return issuer_on(store, clock, random_bytes, signer=signer)

    one, other = worker(), worker()
    issued = revocable(one, clock, 4)
    began = listed_at(one.status_list(1))
    given: list[int] = []
    for publishing, credential_id in zip((one, other, worker(), one), issued, strict=True):
        one.revoke(credential_id, RETURNED)
        given.append(listed_at(publishing.status_list(1)))
        assert listed_at(other.status_list(1)) == listed_at(worker().status_list(1)) == given[-1]

    assert given == [began + n for n in (1, 2, 3, 4)]
    clock.advance(MINUTE)
    assert listed_at(worker().status_list(1)) == began + 4, "nothing has changed since"


def read_list(issuer: Issuer) -> SignedStatusList:
    token = issuer.status_list(1)
    assert token is not None
    (key,) = parse_issuer_keys(issuer.keys_document(), issuer.url).values()
    now = datetime.fromtimestamp(listed_at(token), UTC)
    return read_status_list(token, url=f"{issuer.url}/status-lists/1", issuer_key=key, now=now)


def test_a_change_compresses_one_segment_of_a_long_list(
    store: Store,
    clock: Clock,
    random_bytes: Callable[[int], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = IssuerOptions(status_list_size=16 * SEGMENT_BYTES * 4)
    issuer = issuer_on(store, clock, random_bytes, options=options)
    issued = revocable(issuer, clock, 3)
    compress, calls = zlib.compressobj, 0

    def counted(*args: Any, **kwargs: Any) -> object:  # noqa: ANN401  # as zlib has it
        nonlocal calls
        calls += 1
        return compress(*args, **kwargs)

    monkeypatch.setattr(zlib, "compressobj", counted)
    issuer.status_list(1)
    tries = calls // 16
    assert calls == 16 * tries > 0
    for credential_id in issued:
        calls = 0
        issuer.revoke(credential_id, RETURNED)
        issuer.status_list(1)
        assert calls == tries
    calls = 0
    clock.advance(60 * MINUTE)
    issuer.status_list(1)
    assert calls == 0, "a new time alone compresses nothing"


def test_another_workers_changes_are_seen_whatever_its_clock_said(
    store: Store, clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    signer = MemorySigner.generate()
    one, other = (issuer_on(store, clock, random_bytes, signer=signer) for _ in range(2))
    issued = revocable(one, clock, 6)
    places = {
        r.issuance_id: r.credentials[0].index for n in range(6) for r in one.credentials_of(f"#{n}")
    }
    ended: set[int] = set()
    for n, (step, credential_id) in enumerate(zip((0, 1, 0, -10, -10, 30), issued, strict=True)):
        clock.advance(timedelta(seconds=step))
        (one if n % 2 else other).revoke(credential_id, RETURNED)
        ended.add(places[IssuanceId(credential_id)])
        for worker in (one, other):
            listed = read_list(worker)
            found = {i for i in range(len(listed.entries) * 4) if listed.status_at(i) == INVALID}
            assert found == ended


class KilledSigning(Exception):
    """Stands for the end of the process."""


def test_a_list_whose_signing_was_killed_keeps_its_time(
    store: Store, clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    signer = SlowToSign()
    issuer = issuer_on(store, clock, random_bytes, signer=signer)
    first, second = revocable(issuer, clock, 2)
    issuer.status_list(1)
    began = int(clock().timestamp())

    def die() -> None:
        raise KilledSigning

    issuer.revoke(first, RETURNED)
    signer.meanwhile = [die]
    with pytest.raises(KilledSigning):
        issuer.status_list(1)
    again = issuer_on(store, clock, random_bytes, signer=signer)
    assert listed_at(again.status_list(1)) == began + 1
    again.revoke(second, RETURNED)
    assert listed_at(again.status_list(1)) == began + 2


def test_changes_that_outrun_the_clock_wait_for_it(
    store: Store, clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    """Verifiers refuse a list from more than a minute ahead."""
    options = IssuerOptions(status_list_size=1024)
    issuer = issuer_on(store, clock, random_bytes, options=options)
    issued = revocable(issuer, clock, 32)
    began = listed_at(issuer.status_list(1))
    given: list[int] = []
    for credential_id in issued:
        issuer.revoke(credential_id, RETURNED)
        given.append(listed_at(issuer.status_list(1)) - began)
    assert given == [*range(1, 31), 30, 30]

    clock.advance(timedelta(seconds=1))
    assert listed_at(issuer.status_list(1)) == began + 31


class SlowToSign:
    """A key whose first signature takes so long that something else happens meanwhile."""

    def __init__(self) -> None:
        self._signer = MemorySigner.generate()
        self.meanwhile: list[Callable[[], object]] = []

    @property
    def public(self) -> PublicKey:
        return self._signer.public

    def sign(self, message: bytes) -> bytes:
        while self.meanwhile:
            self.meanwhile.pop()()
        return self._signer.sign(message)


def test_a_slow_signature_does_not_bring_back_an_older_list(
    store: Store, clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    signer = SlowToSign()
    issuer = issuer_on(store, clock, random_bytes, signer=signer)
    issuer.import_orders(many_orders(1))
    customer = Customer(issuer, clock, MemorySigner.generate())
    receipt, _ = customer.accept(issuer.offer("#0").offers[0])
    newer: list[str | None] = []

    def revoke_and_publish() -> None:
        clock.advance(MINUTE)
        issuer.revoke(receipt.notification_id, RETURNED)
        newer.append(issuer.status_list(1))

    signer.meanwhile = [revoke_and_publish]
    issuer.status_list(1)
    clock.advance(MINUTE)

    assert listed_at(issuer.status_list(1)) >= listed_at(newer[0])
    assert customer.status(receipt) == INVALID


def test_a_clock_that_was_set_back_makes_no_list_from_the_future(
    customer: Customer, offer: OpenOffer, clock: Clock
) -> None:
    receipt, _ = customer.accept(offer)
    customer.issuer.revoke(receipt.notification_id, RETURNED)
    clock.advance(-10 * MINUTE)

    assert listed_at(customer.issuer.status_list(1)) == int(clock().timestamp())
    assert customer.status(receipt) == INVALID


def test_indices_are_unpredictable_and_never_used_twice(
    store: Store, clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    issuer = issuer_on(store, clock, random_bytes, options=IssuerOptions(status_list_size=64))
    issuer.import_orders(many_orders(40))
    customer = Customer(issuer, clock, MemorySigner.generate())
    issued = [
        credential
        for number in range(40)
        for offer in issuer.offer(f"#{number}").offers
        for credential in customer.accept(offer)
    ]

    references = [status_of(customer.verified(one)) for one in issued]
    assert len({(one.url, one.index) for one in references}) == 80
    first_list = status_indices(customer, issued[:48])
    assert first_list != sorted(first_list)
    assert {one.url[-2:] for one in references[:48]} == {"/1"}
    assert {one.url[-2:] for one in references[48:]} == {"/2"}, "three quarters full: the next"
    assert issuer.summary().status_indices_used == 80


def test_of_two_workers_one_begins_the_next_list_and_the_other_follows(
    store: Store, random_bytes: Callable[[int], bytes]
) -> None:
    one, other = lists_of(64), lists_of(64)
    with store.transaction() as held:
        allotted = [one.allot(held, 1, random_bytes)[0] for _ in range(50)]
        followed = other.allot(held, 1, random_bytes)[0]
        assert one.allot(held, 1, random_bytes)[0] == 2

    assert allotted == [1] * 48 + [2] * 2
    assert followed == 2
    with store.reading() as held:
        assert held.last_list() == ListState(number=2, used=4, changes=0, listing=None)


def test_a_list_whose_beginning_was_undone_is_begun_again(
    store: Store, random_bytes: Callable[[int], bytes]
) -> None:
    lists = lists_of(64)
    with store.transaction() as held:
        for _ in range(48):
            lists.allot(held, 1, random_bytes)
    with suppress(ZeroDivisionError), store.transaction() as held:
        assert lists.allot(held, 1, random_bytes)[0] == 2
        raise ZeroDivisionError

    with store.transaction() as held:
        number, indices = lists.allot(held, 10, random_bytes)

    assert number == 2
    assert len(set(indices)) == 10
    with store.reading() as held:
        assert held.last_list() == ListState(number=2, used=10, changes=0, listing=None)


def lists_of(size: int) -> StatusLists:
    return StatusLists(
        issuer="https://audio.example",
        keys=keys_of(MemorySigner.generate()),
        size=size,
        lasts=timedelta(hours=1),
        ttl=MINUTE,
    )


class Grown:
    """A store whose newest status list has a number far beyond what a test can fill."""

    def __init__(self, last: int) -> None:
        self._last = last

    @contextmanager
    def reading(self) -> Generator["Grown", None, None]:
        yield self

    def last_list(self) -> ListState | None:
        return ListState(number=self._last, used=0, changes=0, listing=None) if self._last else None


@pytest.mark.parametrize(("last", "listed"), [(0, 0), (1, 1), (1000, 1000), (1500, 1000)])
def test_the_newest_thousand_lists_are_found_in_the_aggregation(last: int, listed: int) -> None:
    statuses = lists_of(64)

    urls = texts_at(statuses.aggregation(cast("Store", Grown(last))), "status_lists", "document")

    assert len(urls) == listed
    assert urls[-1:] == [f"https://audio.example/status-lists/{last}"][:listed]


def test_randomness_that_repeats_itself_stops_the_issuer_instead_of_reusing_an_index(
    store: Store, clock: Clock
) -> None:
    issuer = issuer_on(store, clock, bytes)
    issuer.import_orders(many_orders(1))
    customer = Customer(issuer, clock, MemorySigner.generate())
    token = customer.token(issuer.offer("#0").offers[0])
    customer.issued(token, "receipt")

    with pytest.raises((Misuse, Refused)):
        customer.asked(token, customer.request("warranty"))
    assert issuer.summary().status_indices_used == 1


def test_a_list_that_is_asked_for_again_is_not_looked_up_until_something_changed(
    tmp_path: Path, clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    signer = MemorySigner.generate()
    stores = [SqlStore(tmp_path / "issuer.sqlite3") for _ in range(2)]
    one, other = (issuer_on(store, clock, random_bytes, signer=signer) for store in stores)
    first, second = revocable(one, clock, 2)
    one.status_list(1)
    before = one.status_list(1)
    other.revoke(first, RETURNED)
    assert one.status_list(1) == before, "another process's change within a second"
    clock.advance(timedelta(seconds=1))
    between = one.status_list(1)
    assert between != before

    one.revoke(second, RETURNED)
    assert one.status_list(1) != between, "its own at once"
    for store in stores:
        store.close()
