"""Who logged in and what they agreed to: in the audit log, and nothing about them."""

from dataclasses import replace
from datetime import datetime

import pytest
from counterfoil_issuer.issuer import Issuer
from counterfoil_issuer.login import Subject
from counterfoil_issuer.records import DatasetId
from counterfoil_issuer.sql_authorization import note_in
from counterfoil_issuer.sql_store import SqlStore
from counterfoil_service.audit import AuditLog, Entry

from tests.issuer.brand import SECRET
from tests.issuer.provider import Provider
from tests.issuer.visitor import Visitor, answer_in, asked, desk_of

LOG = AuditLog(SECRET)


@pytest.fixture
def visitor(issuer: Issuer, now: datetime) -> Visitor:
    provider = Provider(now)
    desk = desk_of(issuer, provider.login())
    return Visitor(replace(desk, note=note_in(LOG, issuer.clock)), provider)


def lines(store: SqlStore) -> list[Entry]:
    with store.reading() as held:
        LOG.check(held.connection)
        return LOG.entries(held.connection)


def test_a_login_and_a_yes_are_written_down_by_ids_alone(visitor: Visitor, store: SqlStore) -> None:
    visitor.code()

    came, agreed = lines(store)
    assert (came.action, agreed.action) == ("customer.logged-in", "customer.agreed")
    assert came.actor == agreed.actor
    assert came.actor.startswith("customer:")
    assert came.subject.startswith("visit:")
    kind, _, dataset_id = agreed.subject.partition(":")
    with store.reading() as held:
        dataset = held.dataset(DatasetId(dataset_id))
    assert (kind, dataset and dataset.type_name) == ("dataset", "receipt")
    for personal in ("customer-7", "mira", "wallet.example"):
        assert personal not in repr((came, agreed)).lower()


def test_a_no_is_written_down_and_no_yes(visitor: Visitor, store: SqlStore) -> None:
    assert "error" in answer_in(visitor.say(visitor.page(), "decline"))

    came, declined = lines(store)
    assert declined.action == "customer.declined"
    assert (declined.actor, declined.subject) == (came.actor, came.subject)


def test_whoever_only_looks_leaves_no_line_and_a_page_seen_twice_leaves_one(
    visitor: Visitor, store: SqlStore
) -> None:
    callback = visitor.callback(asked())
    assert lines(store) == []

    for _ in range(2):
        assert visitor.client.get(callback).status_code == 200
    assert [each.action for each in lines(store)] == ["customer.logged-in"]


def test_one_customer_has_one_name_and_another_another(visitor: Visitor) -> None:
    desk = visitor.desk
    mira, other = (Subject((name,), "") for name in ("customer-7", "customer-8"))

    assert desk.actor(mira) == desk.actor(replace(mira, label="Mira"))
    assert desk.actor(mira) != desk.actor(other)
