"""How the shop learns the result: it looks, waits, streams, or is told by a signed webhook.

And what surrounds that: who may ask, what the logs and the metrics say, and what waits.
"""

import json
import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from counterfoil_credentials.encoding import compact_json
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.jws import read_jws
from counterfoil_credentials.qr_frames import Assembler, frames
from counterfoil_credentials.request_links import (
    ByValue,
    parse_request_link,
    read_request_link,
)
from counterfoil_credentials.requests import read_request, response_form
from counterfoil_service.logs import JsonFormatter
from counterfoil_service.webhook_signatures import verify_webhook
from counterfoil_verifier import watching
from counterfoil_verifier.operating import operated_app
from counterfoil_verifier.sql_store import EVENT, SqlSessionStore

from tests.conftest import Clock
from tests.verifier.certificates import HASH, papers
from tests.verifier.scene import INDEX, Scene
from tests.verifier.tills import FORM, KEY, PATIENCE_S, Till, next_look, serving, stream

pytestmark = pytest.mark.loopback
SECRET = bytes(range(32))
HOOK = "https://shop.example/hooks"
PAGE = "https://shop.example/thanks"


class Receiver:
    """The shop's own system, which checks what it is told."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.secrets: list[str] = []
        self.bodies: list[bytes] = []
        self.told: list[dict[str, Any]] = []
        self.network = MemoryFetcher()
        self.network.serve("https://shop.example", self._take)
        self._heard = threading.Condition()

    def _take(self, method: str, _: str, headers: Mapping[str, str], body: bytes) -> Response:
        assert method == "POST"
        event = verify_webhook(headers, body, secrets=self.secrets, now=self.clock())
        with self._heard:
            self.bodies.append(body)
            self.told.append(dict(event))
            self._heard.notify_all()
        return Response(204, "", b"")

    def wait_for(self, count: int) -> list[dict[str, Any]]:
        with self._heard:
            assert self._heard.wait_for(lambda: len(self.told) >= count, PATIENCE_S)
            return self.told


@dataclass(frozen=True)
class Desk:
    """The service with everything around it."""

    till: Till
    receiver: Receiver
    store: SqlSessionStore


@pytest.fixture
def desk(
    clock: Clock, random_bytes: Callable[[int], bytes], tmp_path: Path
) -> Generator[Desk, None, None]:
    store = SqlSessionStore(tmp_path / "counter.sqlite3")
    scene, receiver = Scene(clock, random_bytes, store), Receiver(clock)
    scene.shop = replace(scene.shop, return_to=PAGE)
    scene.counter = scene.open_counter()
    app = operated_app(
        scene.counter,
        store.database,
        secret=SECRET,
        counter_key=KEY,
        fetcher=receiver.network,
        trust=scene.trust,
        data=tmp_path,
        clock=clock,
    )
    with serving(scene, app) as till:
        yield Desk(till, receiver, store)
    store.close()


def path_of(asked: dict[str, str], more: str = "") -> str:
    return f"/counter/requests/{asked['id']}{more}"


def later(act: Callable[[], object], after_s: float = 0.4) -> threading.Timer:
    timer = threading.Timer(after_s, act)
    timer.start()
    return timer


# Poll.


def test_a_look_may_wait_for_the_answer(desk: Desk) -> None:
    asked = desk.till.ask()
    url, form = desk.till.answer(asked)
    timer = later(lambda: desk.till.post(url, form))

    status, look = desk.till.counter("GET", path_of(asked, "?wait=20"))

    timer.join()
    assert (status, look["state"], look["facts"]["item.serial"]) == (200, "accepted", "A1-0001")


def test_a_look_waits_no_longer_than_it_was_told(desk: Desk) -> None:
    asked = desk.till.ask()

    assert desk.till.counter("GET", path_of(asked, "?wait=0.3"))[1]["state"] == "waiting"
    for wrong in ("-1", "31", "inf", "x"):
        assert desk.till.counter("GET", path_of(asked, f"?wait={wrong}"))[0] == 400


# Server-sent events.


def test_the_result_comes_as_an_event_and_the_stream_ends(desk: Desk) -> None:
    asked = desk.till.ask()
    with stream(desk.till, asked) as response:
        assert response.headers.get_content_type() == "text/event-stream"
        assert next_look(response)["state"] == "waiting"

        desk.till.post(*desk.till.answer(asked))

        look = next_look(response)
        assert (look["state"], look["light"]) == ("accepted", "green")
        assert look["facts"]["item.serial"] == "A1-0001"
        assert response.read() == b""


def test_a_till_that_waits_is_told_and_need_not_look(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "LOOK_EVERY_S", 3_600.0)
    by_stream, by_look = desk.till.ask(), desk.till.ask()
    with stream(desk.till, by_stream) as response:
        assert next_look(response)["state"] == "waiting"
        desk.till.post(*desk.till.answer(by_stream))
        assert next_look(response)["light"] == "green"

    url, form = desk.till.answer(by_look)
    timer = later(lambda: desk.till.post(url, form))
    assert desk.till.counter("GET", path_of(by_look, "?wait=9"))[1]["light"] == "green"
    timer.join()


def test_a_stream_shows_that_a_code_is_awaited(desk: Desk) -> None:
    asked = desk.till.ask(handback="match-code")
    with stream(desk.till, asked) as response:
        assert next_look(response)["state"] == "waiting"

        _, heard = desk.till.post(*desk.till.answer(asked))
        awaited = next_look(response)
        assert (awaited["state"], awaited["light"], awaited["facts"]) == ("awaited", None, None)
        code = heard["match_code"]
        assert desk.till.counter("GET", path_of(asked, f"?code={code}"))[1]["light"] == "green"

        assert next_look(response)["light"] == "green"
        assert response.read() == b""


def test_streams_are_for_the_key_and_for_sessions_that_are_there(desk: Desk) -> None:
    asked = desk.till.ask(till="3")

    assert desk.till.counter("GET", "/counter/requests/unknown/events")[0] == 404
    assert desk.till.counter("GET", path_of(asked, "/events?till=4"))[0] == 404
    assert desk.till.send("GET", path_of(asked, "/events?till=3"))[0] == 401


def test_there_is_room_for_so_many_who_wait(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MAX_WATCHERS", 2)
    asked = desk.till.ask()
    with ExitStack() as stack:
        responses = [stack.enter_context(stream(desk.till, asked)) for _ in range(2)]
        for response in responses:
            next_look(response)

        assert desk.till.counter("GET", path_of(asked, "/events"))[0] == 503
        assert desk.till.counter("GET", path_of(asked, "?wait=1"))[0] == 503
        # Whoever only looks is not kept out.
        assert desk.till.counter("GET", path_of(asked))[0] == 200
        # And what may be looked at once is not spent on whoever finds no room.
        answered = desk.till.ask()
        desk.till.post(*desk.till.answer(answered))
        assert desk.till.counter("GET", path_of(answered, "/events"))[0] == 503
        assert desk.till.counter("GET", path_of(answered))[1]["facts"]

    desk.till.post(*desk.till.answer(asked))
    ends_at = time.monotonic() + PATIENCE_S
    while desk.till.counter("GET", path_of(asked, "?wait=1"))[0] == 503:
        assert time.monotonic() < ends_at
    assert desk.till.counter("GET", path_of(asked, "?wait=1"))[1]["light"] == "green"


# Signed webhooks.


def listen(desk: Desk) -> str:
    status, made = desk.till.counter("POST", "/counter/webhooks", {"url": HOOK})
    assert status == 201
    desk.receiver.secrets.append(made["secret"])
    return str(made["webhook_id"])


def test_a_verdict_is_told_to_whoever_listens_and_holds_no_fact(desk: Desk) -> None:
    listen(desk)
    good, bad = desk.till.ask(till="3"), desk.till.ask()
    desk.till.post(*desk.till.answer(good))
    desk.till.post(*desk.till.answer(bad, audience="x509_san_dns:other.example"))

    told = desk.receiver.wait_for(2)

    assert [event["type"] for event in told] == [EVENT, EVENT]
    first, second = (event["data"] for event in told)
    assert first == {
        "id": good["id"].partition(".")[0],
        "preset": "warranty",
        "kind": "asked",
        "outcome": "accepted",
        "codes": [],
        "checked_at": first["checked_at"],
        "till": "3",
    }
    assert (second["id"], second["outcome"]) == (bad["id"].partition(".")[0], "refused")
    assert second["codes"] == ["audience-mismatch"]
    assert b"A1-0001" not in b"".join(desk.receiver.bodies)


def test_a_verdict_is_told_once_its_code_has_come_back(desk: Desk) -> None:
    listen(desk)
    stolen, asked = (desk.till.ask(handback="match-code") for _ in range(2))
    desk.till.post(*desk.till.answer(stolen))
    _, heard = desk.till.post(*desk.till.answer(asked))
    desk.till.counter("GET", path_of(asked, f"?code={heard['match_code']}"))

    ids = [event["data"]["id"] for event in desk.receiver.wait_for(1)]
    assert ids == [asked["id"].partition(".")[0]]


def test_endpoints_are_the_shop_s_to_make_and_to_end(desk: Desk) -> None:
    webhook = listen(desk)
    one = f"/counter/webhooks/{webhook}"
    assert desk.till.counter("GET", "/counter/webhooks")[1]["webhooks"][0]["url"] == HOOK

    assert desk.till.counter("POST", f"{one}/pause") == (
        200,
        {"webhook_id": webhook, "secret": None},
    )
    assert desk.till.counter("GET", "/counter/webhooks")[1]["webhooks"][0]["active"] is False
    assert desk.till.counter("POST", f"{one}/resume")[0] == 200
    assert desk.till.counter("POST", f"{one}/rotate-secret")[1]["secret"].startswith("whsec_")
    assert desk.till.counter("DELETE", one)[0] == 200
    assert desk.till.counter("GET", "/counter/webhooks") == (200, {"webhooks": []})
    assert desk.till.counter("DELETE", one)[0] == 400
    for url in ("http://shop.example/x", "ftp://shop.example", "x"):
        assert desk.till.counter("POST", "/counter/webhooks", {"url": url})[0] == 400
    assert desk.till.send("GET", "/counter/webhooks")[0] == 401


# Health, metrics, logs.


def test_health_is_for_everybody_and_metrics_for_the_key(desk: Desk) -> None:
    status, found, _ = desk.till.send("GET", "/health/ready")
    assert (status, set(found["checks"])) == (200, {"database", "clock", "signing_key", "disk"})
    assert desk.till.send("GET", "/health/live")[0] == 200
    assert desk.till.send("GET", "/metrics")[0] == 401


def test_metrics_count_answers_and_reasons_without_names(desk: Desk) -> None:
    asked = desk.till.ask()
    url, form = desk.till.answer(asked)
    desk.till.post(url, form)
    desk.till.post(url, form)
    desk.till.scene.brand.listed[INDEX] = 1
    desk.till.post(*desk.till.answer(desk.till.ask(), audience="x509_hash:other"))

    status, text = desk.till.counter("GET", "/metrics")

    assert status == 200
    for line in (
        'counterfoil_answers_total{outcome="accepted"} 1.0',
        'counterfoil_answers_total{outcome="refused"} 1.0',
        'counterfoil_answers_total{outcome="not-taken"} 1.0',
        'counterfoil_answer_reasons_total{code="audience-mismatch"} 1.0',
        'counterfoil_answer_reasons_total{code="already-answered"} 1.0',
        'route="/responses/{request_id}"',
        "counterfoil_trust_ends_in_seconds +Inf",
    ):
        assert line in text, line
    for secret in (asked["id"], url.rsplit("/", 1)[1], "A1-0001", "audio.example"):
        assert secret not in text


def test_a_certificate_that_ends_is_counted_down_and_then_fails(
    clock: Clock, random_bytes: Callable[[int], bytes], tmp_path: Path
) -> None:
    certificate = papers()
    store = SqlSessionStore(tmp_path / "counter.sqlite3")
    scene = Scene(clock, random_bytes, store)
    identity = certificate.identity(HASH)
    scene.shop = replace(scene.shop, signer=certificate.signer, identity=identity)
    scene.counter = scene.open_counter()
    app = operated_app(
        scene.counter,
        store.database,
        secret=SECRET,
        counter_key=KEY,
        fetcher=MemoryFetcher(),
        trust=scene.trust,
        clock=clock,
    )
    with serving(scene, app) as till:
        assert "ends_in_seconds 86400.0" in till.counter("GET", "/metrics")[1]
        clock.advance(timedelta(days=1))
        assert "ends_in_seconds 0.0" in till.counter("GET", "/metrics")[1]
        status, found, _ = till.send("GET", "/health/ready")
    store.close()

    assert (status, found["checks"]["certificate"]) == (503, "failed")


def test_logs_say_codes_and_hold_no_value(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    asked = desk.till.ask()
    url, form = desk.till.answer(asked, audience="x509_hash:other")
    desk.till.post(url, form)
    desk.till.post(url, {**form, "state": "Li Na"})
    desk.till.post(*desk.till.answer(desk.till.ask()))

    lines = [JsonFormatter().format(record) for record in caplog.records]

    answers = [line for line in map(json.loads, lines) if line["event"] == "answer"]
    assert [(line["outcome"], line["codes"]) for line in answers] == [
        ("refused", "audience-mismatch"),
        ("not-taken", "already-answered"),
        ("accepted", ""),
    ]
    shown = "\n".join(lines)
    assert '"route":"/responses/{request_id}"' in shown
    for value in ("A1-0001", "Auricle One", "Li Na", asked["id"], url.rsplit("/", 1)[1]):
        assert value not in shown


# The wallet's side.


def test_a_wallet_posts_its_nonce_and_gets_it_back_signed(desk: Desk) -> None:
    link = parse_request_link(desk.till.ask(way="post")["link"])
    form = {"wallet_nonce": "n-1", "wallet_metadata": '{"vp_formats_supported":{}}', "more": "x"}

    status, signed, headers = desk.till.send(
        "POST", link.request_uri, urlencode(form).encode(), Content_Type=FORM
    )

    assert (status, headers["content-type"]) == (200, "application/oauth-authz-req+jwt")
    read_request(signed, client_id=link.client_id, now=desk.till.scene.clock(), wallet_nonce="n-1")


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"wallet_nonce=", FORM, 400),
        (b"wallet_nonce=" + b"n" * 513, FORM, 400),
        (b"wallet_metadata=%5B%5D", FORM, 400),
        (b"wallet_metadata=x", FORM, 400),
        (b"wallet_nonce=a&wallet_nonce=b", FORM, 400),
        (b'{"wallet_nonce":"n"}', "application/json", 400),
        (b"wallet_metadata=" + b"x" * 600_000, FORM, 413),
    ],
    ids=["empty", "long", "a list", "no JSON", "twice", "no form", "too large"],
)
def test_a_bad_form_of_a_wallet_is_its_fault(
    desk: Desk, body: bytes, kind: str, status: int
) -> None:
    link = parse_request_link(desk.till.ask(way="post")["link"])

    found = desk.till.send("POST", link.request_uri, body, Content_Type=kind)

    assert (found[0], found[1]["error"]) == (status, "invalid_request")


def test_the_digits_are_shown_on_a_page_without_scripts(desk: Desk) -> None:
    asked = desk.till.ask(handback="match-code")
    _, heard = desk.till.post(*desk.till.answer(asked))
    assert heard["redirect_uri"] == f"https://till.example/match/{heard['match_code']}"

    status, page, headers = desk.till.send("GET", heard["redirect_uri"])

    assert status == 200
    assert f"<b>{heard['match_code']}</b>" in page
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "no-store" in headers["cache-control"]
    assert re.search(r"<script|https?://| on[a-z]+=", page) is None
    for other in ("12345", "123", "12a4", "<b>1", "١٢٣٤"):
        assert desk.till.send("GET", f"/match/{quote(other)}")[0] == 404


def test_the_wallet_s_browser_comes_back_with_a_code(desk: Desk) -> None:
    asked = desk.till.ask(handback="response-code")

    _, heard = desk.till.post(*desk.till.answer(asked))

    assert heard.keys() == {"redirect_uri", "receipt"}
    code = heard["redirect_uri"].removeprefix(f"{PAGE}?response_code=")
    assert desk.till.counter("GET", path_of(asked))[1]["state"] == "awaited"
    look = desk.till.counter("GET", path_of(asked, f"?code={code}"))[1]
    assert (look["light"], look["facts"]["item.serial"]) == ("green", "A1-0001")


def test_a_question_that_does_not_fit_is_the_asker_s_fault(desk: Desk) -> None:
    desk.till.scene.shop = replace(desk.till.scene.shop, return_to=None)
    bodies: list[dict[str, object]] = [
        {"handback": "another"},
        {"way": "fax"},
        {"till": ""},
        {"transactions": [{"type": "t", "members": {"credential_ids": ["x"]}}]},
        {"transactions": [{"type": "t"}, {"type": "t"}]},
        {"transactions": [{"type": "t", "members": {"n": "x" * 9_000}}]},
        {"transactions": [{"type": f"t{i}"} for i in range(11)]},
    ]
    for body in bodies:
        status, found = desk.till.counter(
            "POST", "/counter/requests", {"preset": "warranty", **body}
        )
        assert status == 400, body
        assert "x" * 20 not in json.dumps(found)


def test_what_was_to_be_signed_along_is_asked_of_the_wallet(desk: Desk) -> None:
    asked = desk.till.ask(transactions=[{"type": "handover", "members": {"parcel": "17"}}])
    link = parse_request_link(asked["link"])
    signed = desk.till.send("GET", link.request_uri)[1]

    request = read_request(signed, client_id=link.client_id, now=desk.till.scene.clock())

    assert len(request.transaction_data) == 1
    url, form = desk.till.answer(asked)
    assert desk.till.post(url, form)[1]["error"] == "access_denied"
    look = desk.till.counter("GET", path_of(asked))[1]
    assert [reason["code"] for reason in look["reasons"]] == ["transaction-data-mismatch"]


# Bounds.


def half_a_body(stack: ExitStack, till: Till, path: str) -> socket.socket:
    line = stack.enter_context(socket.create_connection(("127.0.0.1", till.port), PATIENCE_S))
    head = f"POST {path} HTTP/1.1\r\nHost: till\r\nContent-Type: {FORM}\r\n"
    line.sendall(f"{head}Content-Length: 1000\r\n\r\nv".encode())
    return line


def test_slow_and_aborted_answers_keep_nobody_waiting(desk: Desk) -> None:
    asked = desk.till.ask()
    url, form = desk.till.answer(asked)
    path = f"/responses/{url.rsplit('/', 1)[1]}"
    with ExitStack() as stack:
        lines = [half_a_body(stack, desk.till, path) for _ in range(100)]
        for line in lines[::2]:
            line.close()

        assert desk.till.post(url, form)[0] == 200

        # What the others began is still theirs to end, and is then refused for what it is.
        lines[1].sendall(b"x" * 999)
        assert lines[1].recv(65_536).startswith(b"HTTP/1.1 400")
    assert desk.till.counter("GET", path_of(asked))[1]["light"] == "green"


def test_the_document_tells_of_every_path(desk: Desk) -> None:
    status, document, _ = desk.till.send("GET", "/openapi.json")

    assert status == 200
    assert {
        "/requests/{request_id}",
        "/responses/{request_id}",
        "/counter/requests",
        "/counter/requests/{session_id}",
        "/counter/requests/{session_id}/events",
        "/counter/check",
        "/counter/summary",
        "/counter/webhooks",
    } <= document["paths"].keys()
    assert compact_json(document)


# What goes by QR code alone, and what the customer keeps.


def test_the_customer_gets_a_receipt_that_names_what_was_shown(desk: Desk) -> None:
    asked = desk.till.ask()

    _, heard = desk.till.post(*desk.till.answer(asked))

    receipt = read_jws(
        heard["receipt"], typ="counterfoil-presentation-receipt+jwt", where="receipt"
    )
    receipt.verify(desk.till.scene.shop.signer.public)
    assert "A1-0001" not in str(receipt.unverified_claims)
    look = desk.till.counter("GET", path_of(asked))[1]
    assert look["receipt"] == heard["receipt"]
    assert look["as_of"]["en"].startswith("Valid as of 2026-11-02")


def test_a_request_and_its_answer_go_as_qr_codes(desk: Desk) -> None:
    asked = desk.till.ask(till="3")
    path = path_of(asked, "/codes")
    assert desk.till.counter("GET", path)[0] == 404
    status, shown = desk.till.counter("GET", f"{path}?till=3")
    assert status == 200
    assembler = Assembler()
    link = [assembler.add(code) for code in shown["codes"]][-1]
    assert link is not None
    named = read_request_link(link)
    assert isinstance(named, ByValue)
    scene = desk.till.scene
    request = read_request(named.token, client_id=named.client_id, now=scene.clock())
    form = response_form(scene.present(scene.warranty(), request), request.state)
    codes = frames(urlencode(form))

    for number, code in enumerate(codes[:-1], 1):
        status, read = desk.till.counter("POST", path, {"code": code, "till": "3"})
        assert (status, read["read"], read["look"]) == (200, number, None)
    assert desk.till.counter("POST", path, {"code": codes[-1]})[0] == 404
    assert desk.till.counter("POST", path, {"code": "CFQ1:x", "till": "3"})[0] == 400
    last = desk.till.counter("POST", path, {"code": codes[-1], "till": "3"})[1]

    assert last["look"]["light"] == "green"
    assert last["look"]["facts"]["item.serial"] == "A1-0001"
