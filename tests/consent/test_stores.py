"""What every kind of custodian store promises by itself, whoever calls them."""

import sqlite3
from datetime import datetime, timedelta

import pytest
from counterfoil_consent import Active, Trigger
from counterfoil_consent.sql_custodian_store import SqlCustodianStore
from counterfoil_consent.store import Ended, Kept, Reserved
from counterfoil_credentials.encoding import b64url

from tests.consent.street import Street


def kept(street: Street) -> tuple[Active, Kept]:
    active, _ = street.granted()
    row = street.custodian_store.find(active.agreement.grant_id)
    assert isinstance(row, Kept)
    return active, row


def test_counts_to_the_limit_and_not_past_the_end(street: Street, now: datetime) -> None:
    _, row = kept(street)
    store, grant_id, ends_at = street.custodian_store, row.grant_id, row.registration.valid_until

    assert store.count_read(grant_id, "a", ends_at, 0) is None
    assert store.count_read(grant_id, "a", ends_at - timedelta(microseconds=1), 0) == 1
    assert store.count_read(grant_id, "a", now, 0) is None
    assert [store.count_read(grant_id, name, now, 0) for name in "bcdef"] == [2, 3, 4, 5, None]


def test_an_end_drops_the_share_and_stays_as_it_was_first_said(
    street: Street, now: datetime
) -> None:
    _, row = kept(street)
    store, grant_id = street.custodian_store, row.grant_id

    first = store.end(grant_id, Trigger.EXPIRED, now)
    again = store.end(grant_id, Trigger.WITHDRAWN, now + timedelta(days=1))

    assert first == again
    assert isinstance(again, Ended)
    assert (again.trigger, again.ended_at) == (Trigger.EXPIRED, now)
    assert store.count_read(grant_id, "a", now, 0) is None
    assert store.keep(row.registration) == again
    reserved = Reserved(grant_id=grant_id, holder=row.holder, reserved_at=now)
    assert store.reserve(reserved, 1) == again
    store.receipt(grant_id)
    assert store.find(grant_id) == again
    stated = store.state_destruction(grant_id, "one")
    assert store.state_destruction(grant_id, "two") == stated


def test_the_share_is_gone_from_the_table(street_on_disk: Street, now: datetime) -> None:
    street = street_on_disk
    assert street.folder is not None
    _, row = kept(street)
    path = street.folder / "custodian" / "db.sqlite3"

    def shares() -> list[str | None]:
        with sqlite3.connect(path) as connection:
            found = [share for (share,) in connection.execute("SELECT share FROM custodian_grants")]
        connection.close()
        return found

    share = b64url(row.registration.share)
    assert shares() == [share]
    assert share.encode() in path.with_name("db.sqlite3-wal").read_bytes()
    street.custodian_store.end(row.grant_id, Trigger.WITHDRAWN, now)

    assert shares() == [None]
    street.close()
    # SQLite overwrites what is deleted, and closing folds the log into the file.
    assert share[:-2].encode() not in path.read_bytes()


def test_two_stores_over_one_database_count_together(street_stored: Street, now: datetime) -> None:
    street = street_stored
    _, row = kept(street)
    other = SqlCustodianStore(street.place("custodian"))

    counted = [
        store.count_read(row.grant_id, f"{i}", now, 0)
        for i, store in enumerate([other, street.custodian_store] * 3)
    ]
    other.close()

    assert counted == [1, 2, 3, 4, 5, None]


@pytest.mark.parametrize("state", ["reserved", "kept", "ended"])
def test_what_is_due(street: Street, now: datetime, state: str) -> None:
    store = street.custodian_store
    day = timedelta(days=1)
    if state == "reserved":
        package, _ = street.packed()
        grant_id, due_at, before = package.grant_id, now + day, now + timedelta(seconds=1)
    else:
        _, row = kept(street)
        grant_id, due_at, before = row.grant_id, row.registration.valid_until, now - day
        if state == "ended":
            store.end(grant_id, Trigger.WITHDRAWN, now)
            due_at = now

    assert store.due(due_at, before, 10) == [grant_id]
    if state == "kept":
        assert store.due(due_at - timedelta(seconds=1), before, 10) == []
    if state == "reserved":
        assert store.due(due_at, now, 10) == []


def test_names_every_grant_once_page_by_page(street: Street) -> None:
    granted = {street.granted()[0].agreement.grant_id for _ in range(5)}

    for store in (street.custodian_store, street.receiver_store):
        first = store.grant_ids(None, 2)
        rest = store.grant_ids(first[-1], 100)
        assert len(first) == 2
        assert set(first) | set(rest) == granted
        assert len(rest) == 3
        assert store.grant_ids(rest[-1], 100) == []
