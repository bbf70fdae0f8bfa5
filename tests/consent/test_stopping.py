"""The customer is answered first: whoever hangs or is away holds up neither her nor the others."""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

import pytest
from counterfoil_consent import Active, Operation, RecipientParty
from counterfoil_consent.artefacts import StopNotice
from counterfoil_consent.states import Erased, Withdrawn
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.errors import Unavailable
from counterfoil_credentials.fetch import Response
from counterfoil_credentials.keys import MemorySigner

from tests.consent.street import CUSTODIAN, Street
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
