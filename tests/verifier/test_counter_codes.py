"""What the counter gives and takes beside the network: codes, flags, receipts."""

from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_credentials.presentation_receipt import ShownNames, read_presentation_receipt
from counterfoil_credentials.qr_frames import Assembler, frames
from counterfoil_credentials.recall_selector import RecallSelector
from counterfoil_verifier import Counter, Light, Look
from counterfoil_verifier.answering import NoAnswer
from counterfoil_verifier.flags import Flag, FlagKind, MemoryFlags
from counterfoil_verifier.identity import Unproved
from counterfoil_verifier.requesting import Answered, SessionId, Waiting

from tests.conftest import Clock
from tests.verifier.scene import NOON, SECOND, WARRANTY_TYPE, Scene

ALL_OF_IT = RecallSelector(gtin="04006381333931")


def answer_codes(scene: Scene, counter: Counter) -> tuple[SessionId, list[str]]:
    """Ask, and give the session with the codes of a good wallet's answer."""
    scene.counter = counter
    asked = counter.ask("warranty")
    _, form = scene.answer(asked)
    return asked.session_id, frames(urlencode(form))


def test_the_codes_of_a_request_hold_the_request_itself(scene: Scene) -> None:
    asked = scene.counter.ask("warranty")

    assembler = Assembler()
    *_, link = [assembler.add(code) for code in scene.counter.codes(asked.session_id)]

    assert link is not None
    assert "request=" in link
    assert "request_uri" not in link


def test_an_accepted_answer_has_a_receipt_that_names_all_that_was_shown(scene: Scene) -> None:
    asked = scene.counter.ask("warranty")
    request_id, form = scene.answer(asked)
    _, request = scene.fetch_request(asked)

    received = scene.counter.receive(request_id, form)

    assert received.receipt is not None
    receipt = read_presentation_receipt(
        received.receipt,
        signed_by=scene.shop.signer.public,
        client_id=scene.shop.client_id,
        nonce=request.nonce,
        now=NOON,
    )
    shown = (("item", "name"), ("item", "gtin"), ("item", "serial"), ("valid_until",))
    assert receipt.shown == (ShownNames(WARRANTY_TYPE, shown),)
    assert "A1-0001" not in received.receipt
    assert receipt.kept_until is not None
    assert receipt.kept_until - NOON == timedelta(days=30, hours=1)


def test_nothing_is_kept_longer_than_the_receipt_says(scene: Scene, clock: Clock) -> None:
    asked = scene.counter.ask("warranty")
    scene.counter.receive(*scene.answer(asked))
    clock.advance(timedelta(days=30))
    scene.counter.tidy()
    assert scene.store.by_session(asked.session_id) is not None

    # Tidied within the hour, whenever that hour began.
    clock.advance(timedelta(hours=1))
    scene.counter.tidy()

    assert scene.store.by_session(asked.session_id) is None


def test_a_shop_that_nobody_can_prove_gives_no_receipt(scene: Scene) -> None:
    scene.shop = replace(scene.shop, identity=Unproved())
    counter = scene.open_counter()
    asked = counter.ask("warranty")
    session_id = asked.session_id
    waiting = scene.store.by_session(session_id)
    assert isinstance(waiting, Waiting)
    request = scene.shop.request(waiting, scene.preset)
    vp_token = scene.present(scene.warranty(), request)

    look = counter.check(session_id, vp_token["warranty"][0])

    assert look.light is Light.GREEN
    assert look.held is not None
    assert look.held.receipt is None


@pytest.mark.parametrize(
    ("kind", "error", "light"),
    [
        (FlagKind.REPORTED_STOLEN, Refused, Light.RED),
        (FlagKind.RECALLED, Refused, Light.RED),
        (FlagKind.CLONED_TAG_SUSPECT, Unavailable, Light.AMBER),
    ],
)
def test_a_flag_overrides_a_yes_that_came_by_the_network(
    scene: Scene, kind: FlagKind, error: type[Exception], light: Light
) -> None:
    flags = MemoryFlags(as_of=NOON)
    flags.put(Flag(kind, ALL_OF_IT), as_of=NOON)
    scene.counter = scene.open_counter(flags=flags)
    asked = scene.counter.ask("warranty")
    request_id, form = scene.answer(asked)

    with pytest.raises(error):
        scene.counter.receive(request_id, form)

    look = scene.counter.look(asked.session_id)
    assert look.light is light
    assert isinstance(look.session, Answered)
    assert look.session.verdict.codes == (kind,)
    assert look.session.verdict.status_as_of == NOON


def test_what_is_known_of_an_item_is_red_also_where_its_list_cannot_be_had(scene: Scene) -> None:
    """Who brings a stolen item makes sure that the till has no network."""
    flags = MemoryFlags(as_of=NOON)
    flags.put(Flag(FlagKind.REPORTED_STOLEN, ALL_OF_IT), as_of=NOON)
    scene.brand.is_reachable = False
    session_id, codes = answer_codes(scene, scene.open_counter(flags=flags))

    *_, look = [scene.counter.scan(session_id, code) for code in codes]

    assert isinstance(look, Look)
    assert (look.light, [code for code, _ in look.words]) == (Light.RED, ["reported-stolen"])


def test_all_that_could_not_be_found_out_is_told(scene: Scene) -> None:
    flags = MemoryFlags(as_of=NOON)
    flags.is_reachable = scene.brand.is_reachable = False
    session_id, codes = answer_codes(scene, scene.open_counter(flags=flags))

    *_, look = [scene.counter.scan(session_id, code) for code in codes]

    assert isinstance(look, Look)
    assert look.light is Light.AMBER
    assert [code for code, _ in look.words] == ["status-unreachable", "flags-unreachable"]


def test_a_no_stays_a_no_whatever_is_said_of_the_item(scene: Scene, clock: Clock) -> None:
    scene.brand.listed[5] = 1
    flags = MemoryFlags(as_of=NOON)
    flags.is_reachable = False
    counter = scene.open_counter(flags=flags)
    session_id, codes = answer_codes(scene, counter)

    *_, look = [counter.scan(session_id, code) for code in codes]

    assert isinstance(look, Look)
    assert (look.light, [code for code, _ in look.words]) == (Light.RED, ["revoked"])
    assert look.as_of is not None
    assert look.as_of.en == "The brand's list is of 2026-11-02 12:00 UTC."
    assert clock() == NOON


def test_what_is_no_answer_leaves_the_question_open(scene: Scene) -> None:
    session_id, codes = answer_codes(scene, scene.counter)
    for wrong in ("https://id.example/01/4006381333931", "state=x&state=y", "", "CFQ1:broken"):
        with pytest.raises((Malformed, NoAnswer, Refused)):
            scene.counter.scan(session_id, wrong)

    *_, look = [scene.counter.scan(session_id, code) for code in codes]

    assert isinstance(look, Look)
    assert look.light is Light.GREEN


def test_a_camera_that_looks_on_brings_no_later_answer(scene: Scene) -> None:
    session_id, codes = answer_codes(scene, scene.counter)
    for code in codes:
        scene.counter.scan(session_id, code)

    for code in codes:
        with pytest.raises(Refused) as refusal:
            scene.counter.scan(session_id, code)
        assert refusal.value.codes == ["already-answered"]

    session = scene.counter.look(session_id).session
    assert isinstance(session, Answered)
    assert session.later_answers == 0


def test_a_question_of_another_till_is_not_this_tills(scene: Scene) -> None:
    asked = scene.counter.ask("warranty", till="3")

    for till in (None, "2"):
        with pytest.raises(Refused) as refusal:
            scene.counter.codes(asked.session_id, till=till)
        assert refusal.value.codes == ["request-unknown"]
        with pytest.raises(Refused) as refusal:
            scene.counter.scan(asked.session_id, "x=y", till=till)
        assert refusal.value.codes == ["request-unknown"]
    assert scene.counter.codes(asked.session_id, till="3")


def test_before_an_answer_and_without_a_list_nothing_is_said_of_a_time(
    scene: Scene, clock: Clock
) -> None:
    asked = scene.counter.ask("warranty")
    assert scene.counter.look(asked.session_id).as_of is None

    _, form = scene.answer(asked)
    scene.trust = scene.trust.__class__([])
    counter = scene.open_counter()
    clock.advance(SECOND)
    *_, look = [counter.scan(asked.session_id, code) for code in frames(urlencode(form))]
    assert isinstance(look, Look)
    assert (look.light, look.as_of) == (Light.RED, None)
