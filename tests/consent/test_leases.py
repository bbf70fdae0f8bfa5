"""One read is one counted lease, for one purpose, by one receiver, until the end."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier

import pytest
from counterfoil_consent import Active, Facts, Purpose, Trigger, deliver
from counterfoil_consent.artefacts import (
    MAX_LEASE,
    KeyDestruction,
    Lease,
    LeaseRequest,
    Receipt,
)
from counterfoil_consent.sealing import OpeningKey
from counterfoil_consent.usage import Custodial, Usage
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_credentials.keys import MemorySigner

from tests.consent.street import BENEFITS, CUSTODIAN, FRAME, FRAME_VALUE, Street


def lease_request(street: Street, active: Active) -> LeaseRequest:
    return LeaseRequest(
        grant_id=active.agreement.grant_id,
        request_id=b64url(street.random(16)),
        purpose=BENEFITS,
        reader=OpeningKey.generate(street.random).public,
        asked_at=street.clock(),
    )


def lease(street: Street, asked: LeaseRequest, signer: MemorySigner | None = None) -> Lease:
    token = asked.sign(signer or street.receiver_signer, audience=CUSTODIAN)
    answer = street.custodian.lease(asked.grant_id, token)
    party = street.custodian.party
    return Lease.of_token(answer, custodian=party.did, asked=asked, now=street.clock())


def test_counts_each_lease_and_lets_it_last_a_minute(street: Street) -> None:
    active, _ = street.granted()

    first = lease(street, lease_request(street, active))
    second = lease(street, lease_request(street, active))

    assert (first.read, second.read) == (1, 2)
    assert first.expires_at - first.issued_at == timedelta(seconds=60)


def test_a_lease_does_not_outlast_its_grant(street: Street) -> None:
    active, _ = street.granted()
    ends_at = active.agreement.terms.valid_until
    street.clock.advance(timedelta(days=30, seconds=-10))

    assert lease(street, lease_request(street, active)).expires_at == ends_at


def test_refuses_a_lease_for_another_purpose(street: Street) -> None:
    active, _ = street.granted()
    asked = replace(lease_request(street, active), purpose=Purpose.DIRECT_MARKETING)

    with pytest.raises(Refused) as refusal:
        lease(street, asked)

    assert refusal.value.codes == ["purpose-differs"]


@pytest.mark.parametrize("seconds", [-361, 361])
def test_refuses_a_lease_request_of_another_time(street: Street, seconds: int) -> None:
    active, _ = street.granted()
    asked = lease_request(street, active)

    with pytest.raises(Refused) as refusal:
        lease(street, replace(asked, asked_at=asked.asked_at + timedelta(seconds=seconds)))

    assert refusal.value.codes == ["lease-request-not-fresh"]


@pytest.mark.parametrize("minutes", [-5, 5])
def test_a_lease_lasts_as_long_as_the_custodian_says_where_the_clocks_differ(
    street: Street, minutes: int
) -> None:
    active, _ = street.granted()
    wrong = street.clock() + timedelta(minutes=minutes)
    asked = replace(lease_request(street, active), asked_at=wrong)
    answer = street.custodian.lease(
        asked.grant_id, asked.sign(street.receiver_signer, audience=CUSTODIAN)
    )
    custodian = street.custodian.party.did

    almost = wrong + timedelta(seconds=59)
    held = Lease.of_token(answer, custodian=custodian, asked=asked, now=almost)
    assert held.expires_at == wrong + timedelta(seconds=60)
    with pytest.raises(Refused) as refusal:
        Lease.of_token(answer, custodian=custodian, asked=asked, now=held.expires_at)
    assert refusal.value.codes == ["lease-expired"]


def test_refuses_a_lease_to_another_key(street: Street) -> None:
    active, holder = street.granted()

    for signer in (MemorySigner.generate(), holder):
        with pytest.raises(Refused) as refusal:
            lease(street, lease_request(street, active), signer)
        assert refusal.value.codes == ["signed-by-another"]


def test_refuses_a_lease_request_meant_for_another_custodian(street: Street) -> None:
    active, _ = street.granted()
    asked = lease_request(street, active)
    token = asked.sign(street.receiver_signer, audience="https://other.example")

    with pytest.raises(Refused) as refusal:
        street.custodian.lease(asked.grant_id, token)

    assert refusal.value.codes == ["audience-mismatch"]


def test_refuses_a_lease_request_that_was_answered_before(street: Street) -> None:
    active, _ = street.granted()
    asked = lease_request(street, active)
    lease(street, asked)

    with pytest.raises(Refused) as refusal:
        lease(street, asked)

    assert refusal.value.codes == ["lease-request-replayed"]
    assert lease(street, lease_request(street, active)).read == 2


def test_refuses_a_lease_for_one_grant_under_the_path_of_another(street: Street) -> None:
    first, _ = street.granted()
    second, _ = street.granted()
    asked = lease_request(street, first)
    token = asked.sign(street.receiver_signer, audience=CUSTODIAN)

    with pytest.raises(Refused) as refusal:
        street.custodian.lease(second.agreement.grant_id, token)

    assert refusal.value.codes == ["grant-mismatch"]


def test_refuses_the_read_after_the_last(street: Street) -> None:
    active, _ = street.granted(max_reads=2)
    grant_id = active.agreement.grant_id
    for _ in range(2):
        with street.receiver.read(grant_id, BENEFITS) as facts:
            assert facts.one(FRAME) == FRAME_VALUE

    with pytest.raises(Refused) as refusal, street.receiver.read(grant_id, BENEFITS):
        pass

    assert refusal.value.codes == ["reads-used-up"]


def test_refuses_a_lease_after_the_end_by_its_own_clock(street: Street) -> None:
    active, _ = street.granted()
    street.clock.advance(timedelta(days=30))

    with pytest.raises(Refused) as refusal:
        lease(street, lease_request(street, active))

    assert refusal.value.codes == ["grant-ended"]
    assert street.custodian_keys.find(active.agreement.grant_id) is None


def test_withholds_the_share_until_the_receipt_is_in(street: Street) -> None:
    package, _ = street.packed()
    street.custodian.register(package.registration)
    asked = replace(
        lease_request(street, package.granted.acknowledge("")), grant_id=package.grant_id
    )

    with pytest.raises(Refused) as refusal:
        lease(street, asked)
    assert refusal.value.codes == ["receipt-missing"]

    deliver(package, fetcher=street.fetcher)
    assert lease(street, asked).read == 1


def test_fifty_at_once_get_five_leases(street: Street) -> None:
    active, _ = street.granted(max_reads=5)
    start = Barrier(50)

    def ask(asked: LeaseRequest) -> str:
        token = asked.sign(street.receiver_signer, audience=CUSTODIAN)
        start.wait()
        try:
            street.custodian.lease(asked.grant_id, token)
        except Refused as refusal:
            return refusal.codes[0]
        return "lease"

    requests = [lease_request(street, active) for _ in range(50)]
    with ThreadPoolExecutor(50) as pool:
        answers = Counter(pool.map(ask, requests))

    assert answers == {"lease": 5, "reads-used-up": 45}


def test_a_lease_from_a_minute_ago_is_worth_nothing(street: Street) -> None:
    active, _ = street.granted()
    asked = lease_request(street, active)
    token = asked.sign(street.receiver_signer, audience=CUSTODIAN)
    answer = street.custodian.lease(asked.grant_id, token)
    street.clock.advance(timedelta(seconds=60))

    with pytest.raises(Refused) as refusal:
        Lease.of_token(
            answer, custodian=street.custodian.party.did, asked=asked, now=street.clock()
        )

    assert refusal.value.codes == ["lease-expired"]


def answered_by(street: Street, active: Active, change: Callable[[Lease], Lease]) -> Facts:
    """Read while the custodian's own key signs something else than the custodian does."""
    lend = street.custodian.lease

    def lends(grant_id: str, token: str) -> str:
        answer = lend(grant_id, token)
        party, signer = street.custodian.party, street.receiver_signer
        asked = LeaseRequest.read(token, audience=CUSTODIAN, receiver=did_jwk(signer.public))
        lease = Lease.of_token(answer, custodian=party.did, asked=asked, now=street.clock())
        return change(lease).sign(street.custodian_signer)

    street.custodian.lease = lends  # type: ignore[method-assign]  # a custodian that went astray
    with street.receiver.read(active.agreement.grant_id, BENEFITS) as facts:
        return facts


def test_a_receiver_does_not_believe_a_lease_beyond_the_readers_limit(street: Street) -> None:
    active, _ = street.granted(max_reads=5)

    answered_by(street, active, lambda lease: replace(lease, read=5))
    with pytest.raises(Refused) as refusal:
        answered_by(street, active, lambda lease: replace(lease, read=6))

    assert refusal.value.codes == ["reads-used-up"]


@pytest.mark.parametrize("read", [0, -1, 10**30])
def test_a_lease_counts_from_one(street: Street, read: int) -> None:
    active, _ = street.granted()

    with pytest.raises(Malformed):
        answered_by(street, active, lambda lease: replace(lease, read=read))


@pytest.mark.parametrize("lasts", [MAX_LEASE + timedelta(seconds=1), timedelta(days=365 * 7_900)])
def test_a_receiver_does_not_believe_a_lease_without_an_end(
    street: Street, lasts: timedelta
) -> None:
    active, _ = street.granted()

    def lasting(length: timedelta) -> Callable[[Lease], Lease]:
        return lambda lease: replace(lease, expires_at=lease.issued_at + length)

    answered_by(street, active, lasting(MAX_LEASE))
    with pytest.raises(Refused) as refusal:
        answered_by(street, active, lasting(lasts))

    assert refusal.value.codes == ["lease-too-long"]


@pytest.mark.parametrize("number", [-1, 10**9, 10**30])
def test_a_paper_with_a_number_out_of_bounds_is_malformed(street: Street, number: int) -> None:
    active, _ = street.granted()
    agreement, grant_id, now = active.agreement, active.agreement.grant_id, street.clock()
    digests = {"grant_digest": agreement.grant_digest, "bundle_digest": agreement.bundle_digest}
    receipt = Receipt(grant_id=grant_id, received_at=now, erase_within_s=number, **digests)
    usage = Usage(
        grant_id=grant_id, state=Custodial.ACTIVE, reads=number, last_read_at=None, at=now
    )
    statement = KeyDestruction(
        grant_id=grant_id,
        grant_digest=agreement.grant_digest,
        trigger=Trigger.WITHDRAWN,
        ended_at=now,
        destroyed_at=now,
        leases=number,
    )
    custodian, signed = street.custodian.party.did, street.custodian_signer

    with pytest.raises(Malformed):
        Receipt.read(
            receipt.sign(street.receiver_signer),
            receiver=street.receiver.party.did,
            grant_id=grant_id,
            grant_digest=agreement.grant_digest,
        )
    with pytest.raises(Malformed):
        Usage.read(usage.sign(signed), custodian=custodian, grant_id=grant_id)
    with pytest.raises(Malformed):
        KeyDestruction.read(statement.sign(signed), custodian=custodian, grant_id=grant_id)


def test_no_custodian_no_read(street: Street) -> None:
    active, _ = street.granted()
    street.fetcher.disconnect(CUSTODIAN)

    with pytest.raises(Unavailable), street.receiver.read(active.agreement.grant_id, BENEFITS):
        pass


@pytest.mark.parametrize("grant_id", ["../../etc", "", "a" * 23, "A" * 21 + "B"])
def test_a_grant_id_is_128_bits_and_nothing_else(street: Street, grant_id: str) -> None:
    with pytest.raises(Malformed):
        street.custodian.lease(grant_id, "a.b.c")
