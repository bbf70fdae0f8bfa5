"""A wallet killed anywhere resumes with the same grant, and nothing is doubled."""

from collections.abc import Mapping

import pytest
from counterfoil_consent import (
    Active,
    Asked,
    Decided,
    Erased,
    Granted,
    GrantPackage,
    Level,
    State,
    Withdrawal,
    deliver,
    fetch_custodian_key,
    send_withdrawal,
    state_from_json,
    state_to_json,
    withdraw,
)
from counterfoil_consent.app import create_app
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.encoding import JsonObject, compact_json, parse_object
from counterfoil_credentials.errors import Malformed, Misuse, Refused, Unavailable
from counterfoil_credentials.fetch import Handler, Response
from counterfoil_credentials.keys import MemorySigner
from fastapi.testclient import TestClient

from tests.consent.street import (
    BENEFITS,
    CANARIES,
    CUSTODIAN,
    FRAME,
    FRAME_VALUE,
    VELO,
    Street,
    handler_of,
)


def stored(value: JsonObject) -> JsonObject:
    """Put a value on disk and take it back."""
    return parse_object(compact_json(value), "stored", max_bytes=2**20)


def test_every_step_survives_being_stored(street: Street) -> None:
    signer = MemorySigner.generate()
    asked = Asked.from_json(stored(street.asked(street.ask()).to_json()))
    decided = asked.decide(
        asked.terms.claim_names,
        holder=did_jwk(signer.public),
        random=street.random,
    )
    assert Decided.from_json(stored(decided.to_json())) == decided
    package = street.package(Decided.from_json(stored(decided.to_json())), signer)
    assert GrantPackage.from_json(stored(package.to_json())) == package
    active = deliver(GrantPackage.from_json(stored(package.to_json())), fetcher=street.fetcher)
    assert active.agreement.grant_id == decided.grant_id
    assert state_from_json(stored(state_to_json(active))) == active
    withdrawal = withdraw(active, signer=signer, now=street.clock(), random=street.random)
    assert Withdrawal.from_json(stored(withdrawal.to_json())) == withdrawal
    assert send_withdrawal(withdrawal, fetcher=street.fetcher).stopped_at == street.clock()


def test_no_stored_step_holds_a_key_or_a_value(street: Street) -> None:
    package, signer = street.packed()
    private = signer.private_bytes()
    text = compact_json(package.to_json())

    assert private not in text
    assert private.hex().encode() not in text
    for canary in CANARIES:
        assert canary.encode() not in text
        assert canary not in repr(package)
    assert package.presentation not in repr(package)


def test_the_custodians_key_is_the_same_when_asked_again(street: Street) -> None:
    signer = MemorySigner.generate()
    decided = street.decide(street.ask(), signer)

    keys = {
        fetch_custodian_key(decided, signer=signer, fetcher=street.fetcher, now=street.clock())
        for _ in range(3)
    }

    assert len(keys) == 1


def test_delivering_twice_gives_the_same_grant(street: Street) -> None:
    package, _ = street.packed()

    assert deliver(package, fetcher=street.fetcher) == deliver(package, fetcher=street.fetcher)

    with street.receiver.read(package.grant_id, BENEFITS) as facts:
        assert facts.one(FRAME) == FRAME_VALUE


class Lossy:
    """Counts exchanges, and loses the answer, or the question, of one of them."""

    def __init__(self, handler: Handler, lost: int, *, before: bool, counter: list[int]) -> None:
        self._handler, self._lost, self._before, self._counter = handler, lost, before, counter

    def __call__(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        self._counter[0] += 1
        is_lost = self._counter[0] == self._lost
        if is_lost and self._before:
            raise Unavailable("expected an answer, found a dead line")
        answer = self._handler(method, path, headers, body)
        if is_lost:
            raise Unavailable("expected an answer, found a dead line")
        return answer


@pytest.mark.parametrize("before", [True, False], ids=["question", "answer"])
@pytest.mark.parametrize("lost", [1, 2, 3, 4])
def test_delivery_resumes_wherever_the_line_broke(
    street: Street, lost: int, *, before: bool
) -> None:
    package, _ = street.packed()
    counter = [0]
    custodian = TestClient(create_app(street.custodian), base_url=CUSTODIAN)
    for origin, client in ((CUSTODIAN, custodian), (VELO, street.brand)):
        lossy = Lossy(handler_of(client), lost, before=before, counter=counter)
        street.fetcher.serve(origin, lossy)

    with pytest.raises(Unavailable):
        deliver(package, fetcher=street.fetcher)
    assert counter == [lost]

    active = deliver(GrantPackage.from_json(stored(package.to_json())), fetcher=street.fetcher)
    assert active.agreement.grant_id == package.grant_id
    with street.receiver.read(package.grant_id, BENEFITS) as facts:
        assert facts.one(FRAME) == FRAME_VALUE


def test_services_that_restart_between_the_steps_lose_nothing(street: Street) -> None:
    package, signer = street.packed()
    street.start()
    active = deliver(package, fetcher=street.fetcher)
    street.start()
    with street.receiver.read(package.grant_id, BENEFITS) as facts:
        assert facts.one(FRAME) == FRAME_VALUE
    withdrawal = withdraw(active, signer=signer, now=street.clock(), random=street.random)
    street.custodian.end(package.grant_id, withdrawal.token)
    street.start()

    with pytest.raises(Refused) as refusal, street.receiver.read(package.grant_id, BENEFITS):
        pass

    assert refusal.value.codes == ["grant-ended"]


def test_another_signer_than_the_grants_own_is_misuse(street: Street) -> None:
    package, signer = street.packed()
    decided = street.decide(street.ask(), signer)
    stranger = MemorySigner.generate()

    with pytest.raises(Misuse):
        street.package(decided, stranger)
    with pytest.raises(Misuse):
        withdraw(package.granted, signer=stranger, now=street.clock(), random=street.random)


def test_a_state_has_no_way_back(street: Street) -> None:
    active, signer = street.granted()
    withdrawn = withdraw(active, signer=signer, now=street.clock(), random=street.random).withdrawn
    erased = withdrawn.erase(street.clock(), Level.E2)

    states: list[State] = [withdrawn, erased]
    for state in states:
        for way_back in ("acknowledge", "grant", "withdraw", "complete", "expire"):
            assert not hasattr(state, way_back)
        assert state_from_json(stored(state_to_json(state))) == state
    assert not isinstance(erased, Granted | Active)
    assert isinstance(erased, Erased)


@pytest.mark.parametrize("change", ["state", "extra"])
def test_a_stored_state_that_was_changed_does_not_load(street: Street, change: str) -> None:
    active, _ = street.granted()
    obj = state_to_json(active)
    if change == "state":
        obj["state"] = "free-for-all"
    else:
        obj["more"] = 1

    with pytest.raises(Malformed):
        state_from_json(obj)
