"""Awards by a root at the points service: published once, claimed once, and by proof alone."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Refused
from counterfoil_loyalty import Points, PointsSigner
from counterfoil_loyalty.accounts import Account
from counterfoil_loyalty.brand_desk import BrandDesk
from counterfoil_loyalty.earn_client import (
    award_by_roots,
    claim_earned,
    claimable,
    publish_totals,
)
from counterfoil_loyalty.earn_lists import EarnList
from counterfoil_loyalty.ledger import EmbeddedLedger
from counterfoil_loyalty.memory_ledger import MemoryLedger
from counterfoil_loyalty.sql_earn_lists import SqlEarnLists
from counterfoil_loyalty.sql_store import open_store

from tests.loyalty.programme import AUDIO, NOW, Clock, seeded
from tests.loyalty.test_service import Street, street_on

pytestmark = pytest.mark.once

BEN = PointsSigner(b"\x07" * 32).account


@pytest.fixture
def street(clock: Clock) -> Iterator[Street]:
    for street in street_on(MemoryLedger(now=NOW, random=seeded("earn service")), clock):
        award_by_roots(desk_of(street))
        yield street


@pytest.fixture
def on_either(ledger: EmbeddedLedger, clock: Clock) -> Iterator[Street]:
    """Give the same on each kind of ledger."""
    for street in street_on(ledger, clock):
        award_by_roots(desk_of(street))
        yield street


def desk_of(street: Street) -> BrandDesk:
    return BrandDesk(street.client, AUDIO, street.audio)


def anna(street: Street) -> Account:
    return street.accounts.of(AUDIO).account


def publish(street: Street, units: int, *, epoch: int = 1) -> None:
    publish_totals(desk_of(street), {anna(street): units, BEN: 100}, epoch=epoch)


def test_a_customer_claims_what_a_root_awards_and_then_only_the_growth(on_either: Street) -> None:
    street = on_either
    assert claimable(street.client, street.accounts, AUDIO) == Points(AUDIO, 0)
    publish(street, 250)
    assert claimable(street.client, street.accounts, AUDIO) == Points(AUDIO, 250)
    assert street.held()[0] == 0

    assert claim_earned(street.client, street.accounts, AUDIO) == Points(AUDIO, 250)
    assert claim_earned(street.client, street.accounts, AUDIO) == Points(AUDIO, 0)
    assert street.held()[0] == 250

    publish(street, 400, epoch=2)
    assert claim_earned(street.client, street.accounts, AUDIO) == Points(AUDIO, 150)
    assert street.held()[0] == 400


def test_the_same_claim_sent_again_mints_nothing_more(street: Street) -> None:
    publish(street, 250)
    claim_earned(street.client, street.accounts, AUDIO)

    again = street.http.post("/earn-claims", json=street.last_body())

    assert (again.status_code, street.held()[0]) == (200, 250)


def test_a_claim_of_more_than_the_root_says_is_refused(street: Street) -> None:
    publish(street, 250)
    claim_earned(street.client, street.accounts, AUDIO)
    body = {**street.last_body(), "total": 251}

    answer = street.http.post("/earn-claims", json=body)

    assert (answer.status_code, answer.json()["reasons"][0]["code"]) == (400, "not-in-root")
    assert street.held()[0] == 250


def test_a_list_that_is_not_the_roots_is_kept_from_everybody(street: Street) -> None:
    publish(street, 250)
    body = street.last_body()
    other = {**body, "totals": {**body["totals"], BEN: 99}}
    also = {**body, "totals": {**body["totals"], BEN: 350, anna(street): 0 + 1}}

    for it in (other, also):
        answer = street.http.post("/earn-roots", json=it)
        assert answer.json()["reasons"][0]["code"] == "list-not-of-root"
    assert claimable(street.client, street.accounts, AUDIO).units == 250


def test_nobody_else_publishes_for_a_brand(street: Street) -> None:
    with pytest.raises(Refused) as refusal:
        publish_totals(replace(desk_of(street), signer=street.bicycle), {BEN: 1}, epoch=1)

    assert refusal.value.codes == ["signature-invalid"]


def test_an_older_list_does_not_come_back(street: Street) -> None:
    publish(street, 250, epoch=2)

    with pytest.raises(Refused) as refusal:
        publish(street, 250, epoch=1)

    assert refusal.value.codes == ["old-root"]
    assert claimable(street.client, street.accounts, AUDIO).units == 250


def test_a_list_may_be_long_and_other_bodies_stay_short(street: Street) -> None:
    many = {
        PointsSigner(bytes([1, it // 200, it % 200 + 1]).ljust(32, b"\1")).account: 1
        for it in range(400)
    }
    publish_totals(desk_of(street), {**many, anna(street): 9}, epoch=1)

    assert len(street.sent[-1][1]) > 16_384
    assert claim_earned(street.client, street.accounts, AUDIO).units == 9
    assert street.http.post("/earn-claims", content=b" " * 16_385).status_code == 413
    assert street.http.post("/earn-roots", content=b" " * 1_048_577).status_code == 413


def test_a_kept_list_outlives_the_process_and_only_a_newer_one_takes_its_place(
    tmp_path: Path,
) -> None:
    token = Account("0x" + "11" * 20)
    newer = EarnList(epoch=2, totals={BEN: 5})
    database = open_store(tmp_path / "points.sqlite3")
    SqlEarnLists(database).keep(token, EarnList(epoch=1, totals={BEN: 3}))
    SqlEarnLists(database).keep(token, newer)
    SqlEarnLists(database).keep(token, EarnList(epoch=1, totals={BEN: 3}))
    database.close()

    again = open_store(tmp_path / "points.sqlite3")
    assert SqlEarnLists(again).latest(token) == newer
    assert SqlEarnLists(again).latest(BEN) is None
    again.close()
