"""QR phishing, relay and session fixation at the counter, and a front end that reads for others.

In each a thief shows somebody else a copy of the shop's code (OpenID4VP 1.0, sections 14.2
and 14.3; research on attacks: the customer's own device must come back).
"""

from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from counterfoil_credentials.request_links import parse_request_link
from counterfoil_credentials.requests import read_request, response_form
from counterfoil_service.sealing import Seal
from counterfoil_verifier.app import create_app
from counterfoil_verifier.requesting import REQUEST_LIFE
from counterfoil_verifier.sql_store import SqlSessionStore

from tests.conftest import Clock
from tests.verifier.scene import Scene, answer_form
from tests.verifier.tills import FORM, KEY, Till, serving

pytestmark = pytest.mark.loopback


@pytest.fixture
def till(
    clock: Clock, random_bytes: Callable[[int], bytes], tmp_path: Path
) -> Generator[Till, None, None]:
    store = SqlSessionStore(tmp_path / "counter.sqlite3")
    scene = Scene(clock, random_bytes, store)
    scene.shop = replace(scene.shop, return_to="https://shop.example/thanks")
    scene.counter = scene.open_counter()
    with serving(scene, create_app(scene.counter, counter_key=KEY)) as till:
        yield till
    store.close()


def look(till: Till, asked: dict[str, str], more: str = "") -> dict[str, Any]:
    status, found = till.counter("GET", f"/counter/requests/{asked['id']}{more}")
    assert status == 200
    return dict(found)


def test_a_code_relayed_to_somebody_far_away(till: Till) -> None:
    """The thief stands at the counter, the victim answers at home: only she sees the digits."""
    asked = till.ask(handback="match-code", till="till 3")
    url, form = till.answer(asked)
    _, heard = till.post(url, form)
    digits = heard["match_code"]

    for guess in (f"{(int(digits) + step) % 10_000:04}" for step in (1, 2, 3)):
        assert look(till, asked, f"?till=till%203&code={guess}")["light"] != "green"

    found = look(till, asked, f"?till=till%203&code={digits}")
    assert (found["light"], found["facts"]) == ("red", None)
    assert [reason["code"] for reason in found["reasons"]] == ["code-wrong"]


def test_a_code_relayed_later(till: Till, clock: Clock) -> None:
    asked = till.ask()
    url, form = till.answer(asked)
    clock.advance(REQUEST_LIFE)

    assert till.send("GET", parse_request_link(asked["link"]).request_uri)[0] == 404
    assert till.post(url, form)[1]["error"] == "invalid_request"
    assert look(till, asked)["state"] == "expired"


def test_a_session_that_a_thief_began_in_his_own_browser(till: Till) -> None:
    """His session has no code, and the one in the victim's browser opens no session of his."""
    of_the_thief = till.ask(handback="response-code")
    _, heard = till.post(*till.answer(of_the_thief))
    assert heard["redirect_uri"].startswith("https://shop.example/thanks?response_code=")
    own = till.ask(handback="response-code")
    _, heard_by_the_thief = till.post(*till.answer(own))
    his_code = heard_by_the_thief["redirect_uri"].rpartition("=")[2]

    for more in ("", f"?code={his_code}"):
        found = look(till, of_the_thief, more)
        assert (found["state"], found["light"], found["facts"]) == ("awaited", None, None)


def test_a_front_end_that_asks_for_another_session_s_result(till: Till) -> None:
    """What stands in the code, and what the wallet is told, name no session of the counter's."""
    asked = till.ask(till="till 3")
    url, form = till.answer(asked)
    till.post(url, form)
    public = {
        url.rsplit("/", 1)[1],
        form["state"],
        urlsplit(asked["link"]).query[:128],
        asked["id"].partition(".")[0][:-1],
    }

    for name in public:
        for more in ("", "?till=till%203", "/events?till=till%203"):
            assert till.counter("GET", f"/counter/requests/{name[:128]}{more}")[0] == 404
    for more in ("", "?till=till%204"):
        assert till.counter("GET", f"/counter/requests/{asked['id']}{more}")[0] == 404
    assert till.send("GET", f"/counter/requests/{asked['id']}?till=till%203")[0] == 401
    assert look(till, asked, "?till=till%203")["light"] == "green"


def test_a_stranger_who_burns_a_question_that_he_photographed(till: Till) -> None:
    """The code names the address of the answer; without the request nobody ends it there."""
    asked = till.ask()
    request_id = parse_request_link(asked["link"]).request_uri.rsplit("/", 1)[1]
    for body in (b"", b"error=access_denied", b"state=x&error=access_denied", b"response=a.b.c"):
        found = till.send("POST", f"/responses/{request_id}", body, Content_Type=FORM)
        assert (found[0], found[1]["error"]) == (400, "invalid_request")

    assert till.post(*till.answer(asked))[0] == 200


def test_a_client_id_without_its_prefix_or_under_another(till: Till) -> None:
    """Section 14.7: an answer for another prefix of the same name is for somebody else."""
    asked = till.ask()
    link = parse_request_link(asked["link"])
    name = link.client_id.partition(":")[2]
    for audience in (name, f"x509_hash:{name}", f"x509_hash:{link.client_id}"):
        again = till.ask()
        assert till.post(*till.answer(again, audience=audience))[1]["error"] == "access_denied"
        reasons = look(till, again)["reasons"]
        assert [reason["code"] for reason in reasons] == ["audience-mismatch"]


def test_an_answer_in_the_open_where_it_must_be_encrypted(
    clock: Clock, random_bytes: Callable[[int], bytes], tmp_path: Path
) -> None:
    """Who reads along, or sends what was read, changes no question that wants encryption."""
    store = SqlSessionStore(tmp_path / "counter.sqlite3")
    scene = Scene(clock, random_bytes, store)
    scene.shop = replace(scene.shop, seal=Seal(bytes(range(32)), "response keys"))
    scene.counter = scene.open_counter()
    with serving(scene, create_app(scene.counter, counter_key=KEY)) as till:
        asked = till.ask()
        link = parse_request_link(asked["link"])
        signed = till.send("GET", link.request_uri)[1]
        request = read_request(signed, client_id=link.client_id, now=clock())
        vp_token = scene.present(scene.warranty(), request)
        open_form = response_form(vp_token, request.state)

        assert till.post(request.response_uri, open_form)[1]["error"] == "invalid_request"

        assert look(till, asked)["state"] == "waiting"
        assert till.post(request.response_uri, answer_form(vp_token, request))[0] == 200
        assert look(till, asked)["light"] == "green"
    store.close()
