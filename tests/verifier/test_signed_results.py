"""The shop's signed word on how a check ended: what it keeps, and nothing that was shown."""

from datetime import timedelta

import pytest
from counterfoil_credentials.errors import CounterfoilError, Misuse, Refused
from counterfoil_credentials.jws import read_jws
from counterfoil_credentials.keys import MemorySigner
from counterfoil_verifier import Outcome, SessionId
from counterfoil_verifier.identity import Unproved
from counterfoil_verifier.requesting import Handback
from counterfoil_verifier.signed_results import read_result

from tests.conftest import Clock
from tests.verifier.scene import INDEX, NOON, Scene


def answered(scene: Scene) -> SessionId:
    asked = scene.counter.ask("warranty", till="3")
    try:
        scene.counter.receive(*scene.answer(asked))
    except CounterfoilError:
        assert scene.brand.listed[INDEX] == 1
    return asked.session_id


@pytest.mark.parametrize("revoked", [False, True])
def test_a_result_says_how_it_ended_and_who_says_so(scene: Scene, *, revoked: bool) -> None:
    scene.brand.listed[INDEX] = 1 if revoked else 0
    session_id = answered(scene)

    token = scene.counter.signed_result(session_id, till="3")

    shop = scene.shop
    found = read_result(token, signed_by=shop.signer.public, client_id=shop.client_id)
    assert (found.session_id, found.preset, found.till) == (session_id, "warranty", "3")
    assert found.verdict.outcome is (Outcome.REFUSED if revoked else Outcome.ACCEPTED)
    assert found.verdict.codes == (("revoked",) if revoked else ())
    assert (found.verdict.checked_at, found.verdict.status_as_of) == (NOON, NOON)
    look = scene.counter.look(session_id, till="3")
    assert look.held is not None, "what is held for the till stays where it is"
    said = read_jws(token, typ="counterfoil-verification-result+jwt", where="x").unverified_claims
    for value in look.held.facts.values():
        assert str(value) not in str(said)


def test_a_result_is_the_word_of_one_shop(scene: Scene) -> None:
    token = scene.counter.signed_result(answered(scene), till="3")
    shop, other = scene.shop, MemorySigner.generate()

    with pytest.raises(Refused) as refused:
        read_result(token, signed_by=other.public, client_id=shop.client_id)
    assert refused.value.codes == ["signature-invalid"]
    with pytest.raises(Refused) as refused:
        read_result(token, signed_by=shop.signer.public, client_id="x509_hash:another")
    assert refused.value.codes == ["result-of-another"]


def require_none(scene: Scene, code: str, name: SessionId, till: str | None = None) -> None:
    with pytest.raises(Refused) as refused:
        scene.counter.signed_result(name, till=till)
    assert refused.value.codes == [code]


def test_there_is_none_before_a_verdict_counts_nor_for_another_till(scene: Scene) -> None:
    asked = scene.counter.ask("warranty", handback=Handback.MATCH_CODE)
    require_none(scene, "request-unknown", SessionId("nobody"))
    require_none(scene, "not-answered-yet", asked.session_id)
    received = scene.counter.receive(*scene.answer(asked))
    require_none(scene, "not-answered-yet", asked.session_id)

    scene.counter.look(asked.session_id, code=received.match_code)
    assert scene.counter.signed_result(asked.session_id)
    require_none(scene, "request-unknown", asked.session_id, "another till")


def test_a_shop_that_nobody_can_know_signs_nothing(scene: Scene) -> None:
    session_id = answered(scene)
    scene.counter = scene.open_counter(
        shop=type(scene.shop)(
            name="Corner Shop",
            origin=scene.shop.origin,
            signer=scene.shop.signer,
            identity=Unproved(),
        )
    )

    with pytest.raises(Misuse):
        scene.counter.signed_result(session_id, till="3")


def test_a_result_can_be_had_for_as_long_as_the_verdict_is_kept(scene: Scene, clock: Clock) -> None:
    session_id = answered(scene)
    clock.advance(timedelta(days=30, seconds=1))

    assert scene.counter.signed_result(session_id, till="3")
    scene.counter.tidy()
    require_none(scene, "request-unknown", session_id, "3")
