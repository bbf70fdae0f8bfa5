"""Each opening of facts is written down before it happens, signed, and after the one before."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from counterfoil_consent import (
    Active,
    Purpose,
    fetch_erasure_receipt,
    send_withdrawal,
    withdraw,
)
from counterfoil_consent.access_log import (
    AccessChain,
    AccessEvent,
    AccessEvents,
    MemoryAccessEvents,
    head_of,
    read_chain,
)
from counterfoil_consent.anchoring import Anchoring, MemoryAnchor, MemorySalts
from counterfoil_consent.artefacts import Lease
from counterfoil_consent.spec import ERASURE_TYP
from counterfoil_consent.sql_access_log import SqlAccessEvents
from counterfoil_consent.usage import UsageRequest
from counterfoil_consent.wire import GrantId, digest_of, read_artefact
from counterfoil_credentials.errors import Refused, Unavailable
from counterfoil_credentials.keys import MemorySigner

from tests.consent.street import BENEFITS, CANARIES, CUSTODIAN, FRAME, PRODUCT, Street
from tests.postgres import made_on


@pytest.fixture
def street(street_in_memory: Street) -> Street:
    """Give the parties on one kind of store: the log has its own."""
    return street_in_memory


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.once)])
def events(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AccessEvents]:
    """Give each kind of store."""
    if request.param == "memory":
        yield MemoryAccessEvents()
        return
    is_file = request.param == "sqlite"
    where = tmp_path / "accesses.sqlite3" if is_file else request.getfixturevalue("fresh_database")
    store = SqlAccessEvents(where)
    yield store
    store.close()


@pytest.fixture
def fresh_database(postgres: str, request: pytest.FixtureRequest) -> str:
    """Give the URL of a new database on the server."""
    name = sha256(request.node.nodeid.encode()).hexdigest()[:20]
    return made_on(postgres, f"accesses_{name}")


@pytest.fixture
def active(street: Street) -> Active:
    """Give a grant in force."""
    return street.granted()[0]


def lease(active: Active, street: Street, read: int) -> Lease:
    return Lease(
        grant_id=active.agreement.grant_id,
        request_id=f"lease-{read}",
        purpose=BENEFITS,
        read=read,
        issued_at=street.clock(),
        expires_at=street.clock() + timedelta(minutes=1),
        share=bytes(80),
    )


def written(street: Street, active: Active, events: AccessEvents, count: int) -> AccessChain:
    chain = AccessChain(events, signer=street.receiver_signer)
    for read in range(1, count + 1):
        chain.append(
            active.agreement, lease(active, street, read), role="fitting", now=street.clock()
        )
        street.clock.advance(timedelta(minutes=2))
    return chain


def test_a_chain_tells_when_what_for_which_claims_and_who(
    street: Street, active: Active, events: AccessEvents
) -> None:
    began = street.clock()
    chain = written(street, active, events, 2)
    grant_id = active.agreement.grant_id

    read = read_chain(
        chain.of_grant(grant_id), receiver=active.agreement.terms.receiver.did, grant_id=grant_id
    )

    assert [(event.number, event.read, event.lease) for event in read] == [
        (1, 1, "lease-1"),
        (2, 2, "lease-2"),
    ]
    assert {event.purpose for event in read} == {Purpose.PERSONALISED_BENEFITS}
    assert {event.role for event in read} == {"fitting"}
    assert set(read[0].claims) == {FRAME, PRODUCT}
    assert [event.at for event in read] == [began, began + timedelta(minutes=2)]
    assert chain.head(grant_id) == digest_of(chain.of_grant(grant_id)[-1])
    assert events.last(grant_id) == (2, chain.of_grant(grant_id)[-1])
    assert not [text for text in CANARIES for token in events.of_grant(grant_id) if text in token]


def test_an_event_left_out_put_elsewhere_or_signed_by_another_breaks_the_chain(
    street: Street, active: Active, events: AccessEvents
) -> None:
    chain = written(street, active, events, 3)
    agreement = active.agreement
    receiver, grant_id = agreement.terms.receiver.did, agreement.grant_id
    one, two, three = chain.of_grant(grant_id)

    for tokens in ([one, three], [two, one, three], [two, three], [one, one, two, three]):
        with pytest.raises(Refused) as refusal:
            read_chain(tokens, receiver=receiver, grant_id=grant_id)
        assert refusal.value.codes == ["access-log-broken"]

    event = AccessEvent.read_token(two, receiver=receiver, grant_id=grant_id)
    forged = event.sign(MemorySigner.generate())
    with pytest.raises(Refused) as refusal:
        read_chain([one, forged, three], receiver=receiver, grant_id=grant_id)
    assert refusal.value.codes == ["signed-by-another"]

    # Whoever holds the key can write the whole tail anew: then its head is another one.
    kinder = replace(event, role="fraud-desk").sign(street.receiver_signer)
    assert head_of(grant_id, [one, kinder]) != head_of(grant_id, [one, two])
    with pytest.raises(Refused):
        read_chain([one, kinder, three], receiver=receiver, grant_id=grant_id)


def test_a_closed_chain_takes_nothing_more_and_keeps_its_head(
    street: Street, active: Active, events: AccessEvents
) -> None:
    chain = written(street, active, events, 1)
    agreement = active.agreement

    head = chain.close(agreement.grant_id)

    assert chain.close(agreement.grant_id) == head
    with pytest.raises(Refused) as refusal:
        chain.append(agreement, lease(active, street, 2), role="fitting", now=street.clock())
    assert refusal.value.codes == ["grant-ended"]
    assert chain.head(agreement.grant_id) == head


def test_a_chain_that_was_never_written_can_be_closed(
    street: Street, active: Active, events: AccessEvents
) -> None:
    chain = AccessChain(events, signer=street.receiver_signer)
    grant_id = active.agreement.grant_id
    assert chain.close(grant_id) == digest_of(grant_id)
    assert events.of_grant(grant_id) == []


def test_those_who_read_at_the_same_moment_make_one_chain(
    street: Street, active: Active, events: AccessEvents
) -> None:
    chain = AccessChain(events, signer=street.receiver_signer)
    agreement = active.agreement

    def read(number: int) -> str:
        return chain.append(
            agreement, lease(active, street, number), role="fitting", now=street.clock()
        )

    with ThreadPoolExecutor(8) as threads:
        tokens = list(threads.map(read, range(1, 25)))

    kept = chain.of_grant(agreement.grant_id)
    assert sorted(kept) == sorted(tokens)
    read_back = read_chain(kept, receiver=agreement.terms.receiver.did, grant_id=agreement.grant_id)
    assert sorted(event.read for event in read_back) == list(range(1, 25))


def test_a_receiver_writes_a_read_down_before_it_gives_the_facts(
    street: Street, events: AccessEvents
) -> None:
    street.access_events = events
    street.start()
    active, signer = street.granted()
    agreement = active.agreement

    with street.receiver.read(agreement.grant_id, BENEFITS, role="fitting") as facts:
        (token,) = events.of_grant(agreement.grant_id)
        assert facts.one(FRAME)

    event = AccessEvent.read_token(
        token, receiver=agreement.terms.receiver.did, grant_id=agreement.grant_id
    )
    assert (event.role, event.read, event.purpose) == ("fitting", 1, BENEFITS)
    asked = UsageRequest(
        grant_id=agreement.grant_id, holder=agreement.holder, asked_at=street.clock()
    )
    client_id = agreement.terms.receiver.client_id
    path = f"/consent/grants/{agreement.grant_id}/end/access-events"
    answer = street.brand.post(path, content=asked.sign(signer, audience=client_id))
    assert answer.json() == {"access_events": [token]}
    # Nobody else learns it, and another party's request is not good here.
    for stranger in (
        asked.sign(signer, audience=CUSTODIAN),
        asked.sign(MemorySigner.generate(), audience=client_id),
    ):
        assert street.brand.post(path, content=stranger).status_code == 400


def test_no_fact_is_given_when_the_log_cannot_be_written(street: Street) -> None:
    class FullDisk(MemoryAccessEvents):
        def append(self, grant_id: GrantId, number: int, token: str) -> bool:
            raise Unavailable("expected room on the disk, found none")

    street.access_events = FullDisk()
    street.start()
    active, _ = street.granted()

    with pytest.raises(Unavailable), street.receiver.read(active.agreement.grant_id, BENEFITS):
        pytest.fail("the facts were given")


def test_the_erasure_receipt_states_the_head_of_the_closed_log(
    street: Street, events: AccessEvents
) -> None:
    street.access_events = events
    street.start()
    active, signer = street.granted()
    agreement = active.agreement
    with street.receiver.read(agreement.grant_id, BENEFITS):
        pass

    withdrawal = withdraw(active, signer=signer, now=street.clock(), random=street.random)
    send_withdrawal(withdrawal, fetcher=street.fetcher)

    proof = fetch_erasure_receipt(agreement, fetcher=street.fetcher, now=street.clock())
    claims = read_artefact(
        proof.receipt, typ=ERASURE_TYP, by=agreement.terms.receiver.did, where="receipt"
    )
    assert claims["access_log_head"] == digest_of(events.of_grant(agreement.grant_id)[-1])
    assert events.has_ended(agreement.grant_id)


def test_the_salts_of_a_log_live_as_long_as_its_grant(street: Street, events: AccessEvents) -> None:
    salts = MemorySalts()
    street.access_events = events
    street.anchoring = Anchoring(MemoryAnchor(), salts, clock=street.clock, random=street.random)
    street.start()
    active, signer = street.granted()
    grant_id = active.agreement.grant_id
    with street.receiver.read(grant_id, BENEFITS):
        pass
    street.clock.advance(timedelta(hours=1))
    street.anchoring.publish_due()
    (ticket,) = salts.find(grant_id)
    assert ticket.digest == digest_of(events.of_grant(grant_id)[-1])
    assert street.anchoring.number_of(ticket) == ticket.number

    withdrawal = withdraw(active, signer=signer, now=street.clock(), random=street.random)
    send_withdrawal(withdrawal, fetcher=street.fetcher)

    assert salts.find(grant_id) == []
