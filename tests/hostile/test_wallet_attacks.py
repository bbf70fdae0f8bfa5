"""What a hostile wallet, or a hostile brand with it, may try on a till: to crash it."""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from counterfoil_credentials.encoding import b64url, compact_json, from_b64url
from counterfoil_credentials.errors import Malformed, Misuse, Refused, Unavailable
from counterfoil_credentials.jws import sign_jws
from counterfoil_credentials.key_binding import bind
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.requests import response_form
from counterfoil_credentials.sdjwt import SdJwt, digest, disclose
from counterfoil_verifier import Answered, Light, Outcome

from tests.conftest import Clock
from tests.hostile.test_verifier_attacks import ODD, mutated
from tests.verifier.scene import ASKED, NOON, Scene


@pytest.fixture
def scene(clock: Clock, random_bytes: Callable[[int], bytes]) -> Scene:
    return Scene(clock, random_bytes)


PARTS = ["the credential", "its header", "a disclosure", "the proof", "the proof's header"]
ROUNDS = 120


def signed(claims: Any, header: dict[str, Any], signer: MemorySigner) -> str:  # noqa: ANN401  # as json gives it
    others = {name: value for name, value in header.items() if name not in ("typ", "alg")}
    return sign_jws(claims, typ=str(header.get("typ")), signer=signer, header=others)


def read(token: str) -> tuple[Any, Any]:
    header, payload, _ = token.split(".")
    return json.loads(from_b64url(header, "")), json.loads(from_b64url(payload, ""))


def bent(scene: Scene, audience: str, nonce: str, part: str, chance: random.Random) -> str:
    """Give a presentation with one thing in one part changed, and all signatures good."""
    shown = disclose(scene.warranty(), ASKED)
    header, claims = read(shown.issuer_jwt)
    disclosures = [*shown.disclosures]
    match part:
        case "the credential":
            claims = mutated(claims, chance)
        case "its header":
            header = mutated(header, chance)
        case "a disclosure":
            content = mutated(["salt", "price", {"is": [1, {"deep": 2}]}], chance)
            disclosures.append(b64url(compact_json(content)))
            claims["_sd"].append(digest(disclosures[-1]))
        case _:
            pass
    token = signed(claims, header, scene.brand.signer)
    good = bind(
        SdJwt(token, tuple(disclosures)),
        signer=scene.holder,
        audience=audience,
        nonce=nonce,
        now=NOON,
    )
    if not part.startswith("the proof"):
        return good
    front, _, proof = good.rpartition("~")
    header, claims = read(proof)
    if part == "the proof":
        claims = mutated(claims, chance)
    else:
        header = mutated(header, chance)
    return f"{front}~{signed(claims, header, scene.holder)}"


@pytest.mark.parametrize("part", PARTS)
def test_no_part_of_a_presentation_crashes_a_till_and_each_has_its_verdict(
    scene: Scene, part: str
) -> None:
    chance = random.Random(part)
    outcomes: set[Outcome] = set()
    for _ in range(ROUNDS):
        asked = scene.counter.ask("warranty")
        request_id, request = scene.fetch_request(asked)
        try:
            text = bent(scene, request.client_id, request.nonce, part, chance)
        except Misuse:
            # What nobody can sign, nobody can send.
            continue
        form = response_form({"warranty": [text]}, request.state)
        light = Light.GREEN
        try:
            scene.counter.receive(request_id, form)
        except Refused:
            light = Light.RED
        except Unavailable:
            light = Light.AMBER

        look = scene.counter.look(asked.session_id)
        assert isinstance(look.session, Answered)
        assert look.light is light
        outcomes.add(look.session.verdict.outcome)

    assert Outcome.REFUSED in outcomes


@pytest.mark.parametrize("wraps", [0, 1, 2])
def test_no_form_crashes_a_till_and_what_is_no_answer_leaves_the_question_open(
    scene: Scene, wraps: int
) -> None:
    asked = scene.counter.ask("warranty")
    request_id, request = scene.fetch_request(asked)
    # The others are answers, if bad ones.
    never = [odd for odd in ODD if odd not in ({}, ["x"]) and not (wraps and isinstance(odd, str))]
    for odd in never:
        token = [odd, {"warranty": odd}, {"warranty": [odd]}][wraps]
        text = json.dumps(token)
        for form in (
            {"vp_token": text, "state": request.state or ""},
            {"vp_token": text},
            {"response": text},
            {"error": text, "state": "another"},
        ):
            with pytest.raises((Malformed, Refused)):
                scene.counter.receive(request_id, form)

    answered, good = scene.answer(asked)
    scene.counter.receive(answered, good)
    assert scene.counter.look(asked.session_id).light is Light.GREEN
