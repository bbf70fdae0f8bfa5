"""The phone shows first: once at each till, within the preset's window, and the verdict says so."""

from collections.abc import Generator
from dataclasses import replace

import pytest
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_credentials.key_binding import bind
from counterfoil_credentials.qr_frames import frames
from counterfoil_credentials.recall_selector import RecallSelector
from counterfoil_credentials.sdjwt import disclose
from counterfoil_verifier import Answered, Counter, Light, Look, MemoryStore
from counterfoil_verifier.app import create_app
from counterfoil_verifier.flags import Flag, FlagKind, MemoryFlags
from counterfoil_verifier.looks import Scanning
from counterfoil_verifier.statuses import RETRY_AFTER
from counterfoil_verifier.store import MemoryNames
from fastapi.testclient import TestClient

from tests.conftest import Clock
from tests.verifier.scene import ASKED, DAY, NOON, SECOND, Scene

KEY = "a key that staff carry"


@pytest.fixture
def counter(scene: Scene) -> Counter:
    return scene.open_counter(names=MemoryNames())


def shown(scene: Scene, *, audience: str = "warranty", nonce: str = "nonce-1") -> str:
    """Give what a good phone shows now."""
    return bind(
        disclose(scene.warranty(), ASKED),
        signer=scene.holder,
        audience=audience,
        nonce=nonce,
        now=scene.clock(),
    )


def take(counter: Counter, text: str, *, till: str | None = None) -> Look:
    *parts, last = [counter.take_shown("warranty", code, till=till) for code in frames(text)]
    assert all(isinstance(part, Scanning) for part in parts)
    assert isinstance(last, Look)
    return last


def codes(look: Look) -> list[str]:
    return [code for code, _ in look.words]


def test_what_a_holder_shows_is_a_verdict_of_its_own_kind(scene: Scene, counter: Counter) -> None:
    look = take(counter, shown(scene))

    assert look.light is Light.GREEN
    assert isinstance(look.session, Answered)
    assert look.session.verdict.kind == "holder-shown"
    assert look.how is not None
    assert look.how.en == "Shown by the customer; this till did not ask."
    assert look.held is not None
    assert look.held.facts["item.serial"] == "A1-0001"
    later = counter.look(look.session.session_id)
    assert (later.light, later.held) == (Light.GREEN, None)
    assert isinstance(scene.store, MemoryStore)
    assert scene.store.unsent(9) == [look.session]


def test_it_is_taken_once_at_each_till(scene: Scene, counter: Counter) -> None:
    text = shown(scene)
    assert take(counter, text, till="1").light is Light.GREEN

    again = take(counter, text, till="1")

    assert (again.light, codes(again)) == (Light.RED, ["already-shown"])
    assert take(counter, text, till="2").light is Light.GREEN


@pytest.mark.parametrize("late_by", [-1, 0, 1])
def test_a_photograph_is_worth_nothing_after_the_presets_window(
    scene: Scene, counter: Counter, clock: Clock, late_by: int
) -> None:
    text = shown(scene)
    assert scene.preset.shown_within is not None
    clock.advance(scene.preset.shown_within + late_by * SECOND)

    look = take(counter, text)

    assert codes(look) == (["key-binding-too-old"] if late_by > 0 else [])
    assert look.light is (Light.RED if late_by > 0 else Light.GREEN)


def test_names_are_forgotten_once_their_codes_are_too_old(
    scene: Scene, counter: Counter, clock: Clock
) -> None:
    names = MemoryNames()
    counter = scene.open_counter(names=names)
    take(counter, shown(scene))
    clock.advance(DAY)

    counter.tidy()

    assert names.forget_names(clock()) == 0


def test_only_a_preset_that_says_so_takes_it(scene: Scene) -> None:
    scene.preset = replace(scene.preset, shown_within=None)
    counter = scene.open_counter(names=MemoryNames())

    assert codes(take(counter, shown(scene))) == ["holder-shown-not-accepted"]


def test_what_was_made_for_another_preset_or_list_is_refused_and_spends_nothing(
    scene: Scene, counter: Counter, clock: Clock
) -> None:
    scene.brand.is_reachable = False
    open_question = take(counter, shown(scene))
    assert (open_question.light, codes(open_question)) == (Light.AMBER, ["status-unreachable"])
    scene.brand.is_reachable = True
    clock.advance(RETRY_AFTER)
    assert codes(take(counter, shown(scene, audience="member"))) == ["audience-mismatch"]

    assert take(counter, shown(scene)).light is Light.GREEN


def test_a_flag_overrides_it(scene: Scene) -> None:
    flags = MemoryFlags(as_of=NOON)
    flags.put(Flag(FlagKind.RECALLED, RecallSelector(gtin="04006381333931")), as_of=NOON)
    counter = scene.open_counter(names=MemoryNames(), flags=flags)

    look = take(counter, shown(scene))

    assert (look.light, codes(look)) == (Light.RED, ["recalled"])
    assert look.as_of is not None


def test_what_cannot_be_taken_is_said_at_once(scene: Scene, counter: Counter) -> None:
    with pytest.raises(Refused) as refusal:
        counter.take_shown("nothing", "x")
    assert refusal.value.codes == ["preset-unknown"]
    with pytest.raises(Malformed):
        counter.take_shown("warranty", "CFQ1:broken")
    with pytest.raises(Misuse):
        scene.open_counter().take_shown("warranty", "x")
    look = counter.take_shown("warranty", "no presentation at all")
    assert isinstance(look, Look)
    assert (look.light, codes(look)) == (Light.RED, ["malformed"])


def test_an_answer_to_a_question_is_not_holder_shown(scene: Scene, counter: Counter) -> None:
    asked = counter.ask("warranty")
    scene.counter = counter
    request_id, form = scene.answer(asked)
    counter.receive(request_id, form)

    assert counter.look(asked.session_id).how is None


@pytest.fixture
def till(counter: Counter) -> Generator[TestClient, None, None]:
    app = create_app(counter, counter_key=KEY)
    headers = {"Authorization": f"Bearer {KEY}"}
    with TestClient(app, base_url="https://till.example", headers=headers) as client:
        yield client


def test_it_comes_by_http_too(scene: Scene, till: TestClient) -> None:
    *parts, last = [
        till.post("/counter/shown", json={"preset": "warranty", "code": code, "till": "3"}).json()
        for code in frames(shown(scene))
    ]

    assert parts == [
        {"read": n + 1, "count": len(parts) + 1, "look": None} for n in range(len(parts))
    ]
    look = last["look"]
    assert (look["light"], look["kind"], look["till"]) == ("green", "holder-shown", "3")
    assert look["how"]["zh"] == "由顾客主动出示，本机未发出请求。"
    wrong = {"preset": "warranty", "code": "CFQ1:broken"}
    assert till.post("/counter/shown", json=wrong).status_code == 400
    unknown = till.post("/counter/shown", json={"preset": "nothing", "code": "x"})
    assert unknown.status_code == 400
    keyless = till.post("/counter/shown", json=wrong, headers={"Authorization": "Bearer no"})
    assert keyless.status_code == 401
