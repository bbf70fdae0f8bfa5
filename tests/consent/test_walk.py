"""From the request to the erasure receipt, all by HTTP."""

from datetime import timedelta

import pytest
from counterfoil_consent import (
    Level,
    Trigger,
    fetch_custodian,
    fetch_erasure_receipt,
    send_withdrawal,
    verify_erasure_receipt,
    withdraw,
)
from counterfoil_credentials.errors import Refused

from tests.consent.street import (
    BENEFITS,
    CUSTODIAN,
    FRAME,
    FRAME_VALUE,
    PRODUCT,
    PRODUCT_VALUE,
    Street,
)


def test_walks_from_request_to_erasure_receipt(street: Street) -> None:
    active, signer = street.granted()
    agreement = active.agreement
    with street.receiver.read(agreement.grant_id, BENEFITS) as facts:
        assert facts.names == {FRAME, PRODUCT}
        assert facts.one(FRAME) == FRAME_VALUE
        assert facts.one(PRODUCT) == PRODUCT_VALUE

    street.clock.advance(timedelta(days=3))
    now = street.clock()
    withdrawal = withdraw(active, signer=signer, now=now, random=street.random)
    ending = send_withdrawal(withdrawal, fetcher=street.fetcher)

    assert ending.stopped_at == ending.key_destroyed_at == now
    with pytest.raises(Refused) as refusal, street.receiver.read(agreement.grant_id, BENEFITS):
        pass
    assert refusal.value.codes == ["grant-ended"]
    proof = fetch_erasure_receipt(agreement, fetcher=street.fetcher, now=now)
    assert proof.erased.level is Level.E2
    assert proof.erased.trigger is Trigger.WITHDRAWN
    assert verify_erasure_receipt(proof.receipt, agreement=agreement, now=now) == proof.erased


def test_ends_by_itself_when_its_time_is_over(street: Street) -> None:
    active, _ = street.granted()
    street.clock.advance(timedelta(days=30))

    with (
        pytest.raises(Refused) as refusal,
        street.receiver.read(active.agreement.grant_id, BENEFITS),
    ):
        pass
    assert refusal.value.codes == ["grant-ended"]
    assert street.receiver.end_due() == 1

    proof = fetch_erasure_receipt(active.agreement, fetcher=street.fetcher, now=street.clock())
    assert (proof.erased.trigger, proof.erased.level) == (Trigger.EXPIRED, Level.E2)
    assert street.receiver.end_due() == 0


def test_a_receiver_does_not_even_ask_for_a_read_after_the_end(street: Street) -> None:
    active, _ = street.granted()
    street.clock.advance(timedelta(days=30))
    street.fetcher.disconnect(CUSTODIAN)

    with (
        pytest.raises(Refused) as refusal,
        street.receiver.read(active.agreement.grant_id, BENEFITS),
    ):
        pass

    assert refusal.value.codes == ["grant-ended"]


def test_a_receiver_completes_what_it_no_longer_needs(street: Street) -> None:
    active, _ = street.granted()

    street.receiver.complete(active.agreement.grant_id)

    proof = fetch_erasure_receipt(active.agreement, fetcher=street.fetcher, now=street.clock())
    assert (proof.erased.trigger, proof.erased.level) == (Trigger.COMPLETED, Level.E2)


def test_the_second_before_its_end_a_grant_still_reads(street: Street) -> None:
    active, _ = street.granted()
    street.clock.advance(timedelta(days=30, seconds=-1))

    with street.receiver.read(active.agreement.grant_id, BENEFITS) as facts:
        assert facts.one(FRAME) == FRAME_VALUE


def test_a_withdrawal_reaches_the_receiver_while_the_custodian_is_away(street: Street) -> None:
    active, signer = street.granted()
    agreement = active.agreement
    street.fetcher.disconnect(CUSTODIAN)

    withdrawal = withdraw(active, signer=signer, now=street.clock(), random=street.random)
    ending = send_withdrawal(withdrawal, fetcher=street.fetcher)

    assert ending.stopped_at == street.clock()
    assert ending.key_destroyed_at is None
    proof = fetch_erasure_receipt(agreement, fetcher=street.fetcher, now=street.clock())
    assert proof.erased.level is Level.E1

    # The custodian comes back: the receiver asks again, and the proof rises.
    street.connect()
    assert street.receiver.end_due() == 1
    proof = fetch_erasure_receipt(agreement, fetcher=street.fetcher, now=street.clock())
    assert proof.erased.level is Level.E2


def test_names_the_custodian_at_its_origin(street: Street) -> None:
    assert fetch_custodian(street.fetcher, CUSTODIAN) == street.custodian.party
