"""A yes waits for what comes back from the customer's device; a stranger's device has nothing.

Each attack here shows somebody else a copy of the shop's code (OpenID4VP 1.0, section 14.2).
"""

from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from counterfoil_credentials.errors import Misuse, Refused
from counterfoil_verifier import Answered, Asked, Light, Look, MemoryStore, NotOpen, SessionStore
from counterfoil_verifier.looks import Received
from counterfoil_verifier.requesting import (
    BACK_WITHIN,
    MOST_WRONG_CODES,
    Handback,
    Standing,
)
from counterfoil_verifier.sql_store import SqlSessionStore

from tests.conftest import Clock
from tests.verifier.scene import INDEX, Scene

PAGE = "https://shop.example/thanks"


@pytest.fixture(params=["memory", "sql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[SessionStore, None, None]:
    if request.param == "memory":
        yield MemoryStore()
        return
    sql = SqlSessionStore(tmp_path / "counter.sqlite3")
    yield sql
    sql.close()


@pytest.fixture
def scene(clock: Clock, random_bytes: Callable[[int], bytes], store: SessionStore) -> Scene:
    scene = Scene(clock, random_bytes, store)
    scene.shop = replace(scene.shop, return_to=PAGE)
    scene.counter = scene.open_counter()
    return scene


def present(scene: Scene, asked: Asked) -> Received:
    return scene.counter.receive(*scene.answer(asked))


def code_of(received: Received) -> str:
    """Give the code in the address where the browser goes on."""
    assert received.redirect_uri is not None
    parts = urlsplit(received.redirect_uri)
    if received.match_code is not None:
        assert parts.path == f"/match/{received.match_code}"
        return received.match_code
    assert received.redirect_uri.startswith(PAGE)
    [code] = parse_qs(parts.query)["response_code"]
    return code


def codes(look: Look) -> list[str]:
    return [code for code, _ in look.words]


@pytest.mark.parametrize("handback", Handback)
def test_a_yes_counts_when_its_code_has_come_back(scene: Scene, handback: Handback) -> None:
    asked = scene.counter.ask("warranty", handback=handback)

    received = present(scene, asked)

    before = scene.counter.look(asked.session_id)
    assert (before.light, before.held, before.standing) == (None, None, Standing.AWAITED)
    back = scene.counter.look(asked.session_id, code=code_of(received))
    assert back.light is Light.GREEN
    assert back.held is not None
    assert back.held.facts["item.serial"] == "A1-0001"
    # From then on it needs no code, and shows its facts no more.
    assert scene.counter.look(asked.session_id).light is Light.GREEN
    assert scene.counter.look(asked.session_id).held is None


def test_without_a_handback_the_wallet_is_sent_nowhere(scene: Scene) -> None:
    received = present(scene, scene.counter.ask("warranty"))

    assert (received.redirect_uri, received.match_code) == (None, None)


def test_a_lured_customer_s_code_does_not_open_the_thief_s_session(scene: Scene) -> None:
    """Session fixation: the thief's browser asked, the victim's wallet answered."""
    of_the_thief = scene.counter.ask("warranty", handback=Handback.RESPONSE_CODE)
    of_the_victim = scene.counter.ask("warranty", handback=Handback.RESPONSE_CODE)

    present(scene, of_the_thief)
    of_another = code_of(present(scene, of_the_victim))

    assert scene.counter.look(of_the_thief.session_id).light is None
    assert scene.counter.look(of_the_thief.session_id, code=of_another).light is None
    assert scene.counter.look(of_the_victim.session_id, code=of_another).light is Light.GREEN


def test_digits_are_not_guessed(scene: Scene) -> None:
    asked = scene.counter.ask("warranty", handback=Handback.MATCH_CODE)
    right = code_of(present(scene, asked))
    wrong = f"{(int(right) + 1) % 10_000:04}"

    for _ in range(MOST_WRONG_CODES - 1):
        assert scene.counter.look(asked.session_id, code=wrong).light is None
    last = scene.counter.look(asked.session_id, code=wrong)

    assert (last.light, codes(last), last.held) == (Light.RED, ["code-wrong"], None)
    too_late = scene.counter.look(asked.session_id, code=right)
    assert (too_late.light, codes(too_late)) == (Light.RED, ["code-wrong"])


def test_the_right_digits_count_after_fewer_wrong_ones(scene: Scene) -> None:
    asked = scene.counter.ask("warranty", handback=Handback.MATCH_CODE)
    right = code_of(present(scene, asked))
    for wrong in ("", "x" * 500)[: MOST_WRONG_CODES - 1]:
        scene.counter.look(asked.session_id, code=wrong)

    look = scene.counter.look(asked.session_id, code=right)

    assert look.light is Light.GREEN
    assert isinstance(look.session, Answered)
    assert look.session.wrong_codes == MOST_WRONG_CODES - 1


def test_a_code_comes_back_soon_or_never(scene: Scene, clock: Clock) -> None:
    early, late = (scene.counter.ask("warranty", handback=Handback.MATCH_CODE) for _ in range(2))
    in_time, out_of_time = (code_of(present(scene, asked)) for asked in (early, late))

    clock.advance(BACK_WITHIN - timedelta(microseconds=1))
    assert scene.counter.look(early.session_id, code=in_time).light is Light.GREEN
    clock.advance(timedelta(microseconds=1))
    look = scene.counter.look(late.session_id, code=out_of_time)

    assert (look.light, codes(look)) == (Light.RED, ["request-expired"])
    assert scene.counter.look(early.session_id).light is Light.GREEN


def test_a_code_before_the_answer_opens_nothing(scene: Scene) -> None:
    asked = scene.counter.ask("warranty", handback=Handback.MATCH_CODE)

    assert scene.counter.look(asked.session_id, code="0000").light is None

    assert scene.counter.look(asked.session_id, code=code_of(present(scene, asked))).light


def test_a_no_needs_no_code(scene: Scene) -> None:
    scene.brand.listed[INDEX] = 1
    asked = scene.counter.ask("warranty", handback=Handback.MATCH_CODE)

    with pytest.raises(Refused):
        present(scene, asked)

    assert scene.counter.look(asked.session_id).light is Light.RED


def test_a_customer_who_declines_comes_back_to_the_page_too(scene: Scene) -> None:
    asked = scene.counter.ask("warranty", handback=Handback.RESPONSE_CODE)
    request_id, request = scene.fetch_request(asked)

    received = scene.counter.receive(
        request_id, {"error": "access_denied", "state": request.state or ""}
    )

    look = scene.counter.look(asked.session_id, code=code_of(received))
    assert (look.light, codes(look)) == (Light.RED, ["declined"])


def test_what_the_customer_hands_over_needs_no_code(scene: Scene) -> None:
    asked = scene.counter.ask("warranty", handback=Handback.MATCH_CODE)
    _, request = scene.fetch_request(asked)
    [presentation] = scene.present(scene.warranty(), request)["warranty"]

    assert scene.counter.check(asked.session_id, presentation).light is Light.GREEN


def test_codes_are_fresh_and_only_their_digest_is_kept(scene: Scene, store: SessionStore) -> None:
    found: list[str] = []
    for _ in range(5):
        asked = scene.counter.ask("warranty", handback=Handback.RESPONSE_CODE)
        found.append(code_of(present(scene, asked)))
        assert found[-1] not in repr(store.by_session(asked.session_id))

    assert len(set(found)) == 5
    assert all(len(code) == 43 for code in found)


def test_a_result_is_for_the_till_that_asked(scene: Scene) -> None:
    asked = scene.counter.ask("warranty", till="till 3")
    present(scene, asked)

    for other in ("till 4", None, ""):
        with pytest.raises(NotOpen) as refused:
            scene.counter.look(asked.session_id, till=other)
        assert refused.value.codes == ["request-unknown"]
        with pytest.raises(NotOpen):
            scene.counter.check(asked.session_id, "x", till=other)
    assert scene.counter.look(asked.session_id, till="till 3").light is Light.GREEN


def test_there_must_be_a_page_to_come_back_to(
    clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    scene = Scene(clock, random_bytes)

    with pytest.raises(Misuse):
        scene.counter.ask("warranty", handback=Handback.RESPONSE_CODE)


def test_a_page_with_a_query_keeps_it(scene: Scene) -> None:
    scene.shop = replace(scene.shop, return_to=f"{PAGE}?cart=7")
    scene.counter = scene.open_counter()
    asked = scene.counter.ask("warranty", handback=Handback.RESPONSE_CODE)

    received = present(scene, asked)

    assert received.redirect_uri is not None
    assert received.redirect_uri.startswith(f"{PAGE}?cart=7&response_code=")
    assert scene.counter.look(asked.session_id, code=code_of(received)).light is Light.GREEN
