"""The customer is answered first: whoever hangs or is away holds up neither her nor the others."""

import threading
import time
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

import pytest
from counterfoil_consent import Active, Operation, RecipientParty
from counterfoil_consent.app import receiver_routes
from counterfoil_consent.artefacts import StopNotice
from counterfoil_consent.states import Erased, Withdrawn
from counterfoil_consent.wire import GrantId
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.errors import Refused, Unavailable
from counterfoil_credentials.fetch import Response
from counterfoil_credentials.keys import MemorySigner
from counterfoil_service.errors import install_error_handlers
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.consent.street import CUSTODIAN, KEY, VELO, Street
from tests.consent.test_ending import withdrawal_of

SHARING = (Operation.USE, Operation.STORE, Operation.SHARE)
WORKSHOP = "https://workshop.example"


class Away:
    """A recipient that cannot be reached, and how often somebody tried."""

    def __init__(self) -> None:
        self.party = RecipientParty(
            did=did_jwk(MemorySigner.generate().public),
            name="Workshop",
            endpoint=f"{WORKSHOP}/grants/{{grant_id}}/end",
        )
        self.asked: Counter[str] = Counter()

    def __call__(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        self.asked[path] += 1
        raise Unavailable("expected an answer, found none")


@pytest.fixture
def away(street: Street) -> Away:
    found = Away()
    street.fetcher.serve(WORKSHOP, found)
    return found


def granted(street: Street, away: Away) -> tuple[Active, MemorySigner]:
    return street.granted(recipients=(away.party,), operations=SHARING)


def told_of(street: Street, grant_id: GrantId) -> list[str]:
    try:
        street.receiver.erasure_receipt(grant_id)
    except Refused as refusal:
        return refusal.codes
    return []


def test_a_stop_is_acknowledged_before_anybody_else_is_asked(street: Street, away: Away) -> None:
    active, signer = granted(street, away)
    grant_id = active.agreement.grant_id
    street.fetcher.disconnect(CUSTODIAN)

    notice = street.receiver.stop(grant_id, withdrawal_of(street, active, signer))

    read = StopNotice.read(notice, receiver=street.receiver.party.did, grant_id=grant_id)
    assert read.stopped_at == street.clock()
    found = street.receiver_store.find_grant(grant_id)
    assert found is not None
    assert type(found.state) is Withdrawn
    assert street.receiver_store.find_bundle(grant_id) is None
    assert not away.asked


def test_a_recipient_that_hangs_does_not_hold_up_the_customers_answer(
    street: Street, away: Away
) -> None:
    active, signer = granted(street, away)
    grant_id = active.agreement.grant_id
    answered, hung = threading.Event(), threading.Event()

    def hang(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        hung.set()
        assert answered.wait(60)
        raise Unavailable("expected an answer in time, found none")

    street.fetcher.serve(WORKSHOP, hang)
    app = FastAPI()
    install_error_handlers(app)
    app.include_router(receiver_routes(street.receiver, KEY, finished_within_s=0.01))
    client = TestClient(app, base_url=VELO)

    told = client.post(
        f"/consent/grants/{grant_id}/end", content=withdrawal_of(street, active, signer)
    )

    assert hung.wait(60)
    answered.set()
    # What was begun goes on after the answer.
    while "not-erased" in told_of(street, grant_id):
        time.sleep(0.01)
    read = StopNotice.read(
        told.json()["stop_notice"], receiver=street.receiver.party.did, grant_id=grant_id
    )
    assert read.stopped_at == street.clock()


def test_a_stop_without_its_finish_is_finished_by_the_next_sweep(street: Street) -> None:
    active, signer = street.granted()
    grant_id = active.agreement.grant_id
    street.receiver.stop(grant_id, withdrawal_of(street, active, signer))

    street.receiver.end_due()

    found = street.receiver_store.find_grant(grant_id)
    assert found is not None
    assert isinstance(found.state, Erased)
    assert street.receiver_keys.is_destroyed(found.request_id)


def test_a_recipient_that_is_away_is_asked_once_a_sweep(street: Street, away: Away) -> None:
    for _ in range(3):
        active, signer = granted(street, away)
        street.receiver.stop(active.agreement.grant_id, withdrawal_of(street, active, signer))

    street.receiver.end_due()

    assert away.asked.total() == 1


def test_what_has_expired_is_stopped_however_many_wait_for_others(
    street: Street, away: Away
) -> None:
    late, signer = granted(street, away)
    expiring, _ = street.granted(valid_for=timedelta(hours=1))
    street.receiver.stop(late.agreement.grant_id, withdrawal_of(street, late, signer))
    street.clock.advance(timedelta(hours=2))

    def hang(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        # Whoever is asked finds that everything which waits for nobody is done.
        found = street.receiver_store.find_grant(expiring.agreement.grant_id)
        assert found is not None
        assert found.ending is not None
        street.clock.advance(timedelta(minutes=1))
        raise Unavailable("expected an answer in time, found none")

    street.fetcher.serve(WORKSHOP, hang)
    street.receiver.end_due()

    assert street.receiver_store.find_bundle(expiring.agreement.grant_id) is None
