"""The shop's service over real HTTP: what a wallet hears, what the counter hears."""

import json
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Malformed
from counterfoil_verifier.app import MAX_BODY_BYTES, create_app, parse_form
from counterfoil_verifier.sql_store import SqlSessionStore

from tests.conftest import Clock
from tests.verifier.scene import INDEX, Scene
from tests.verifier.tills import FORM, KEY, Till, serving

pytestmark = pytest.mark.loopback


@pytest.fixture
def till(
    clock: Clock, random_bytes: Callable[[int], bytes], tmp_path: Path
) -> Generator[Till, None, None]:
    store = SqlSessionStore(tmp_path / "counter.sqlite3")
    scene = Scene(clock, random_bytes, store)
    with serving(scene, create_app(scene.counter, counter_key=KEY)) as till:
        yield till
    store.close()


def test_from_question_to_green_light(till: Till) -> None:
    asked = till.ask()
    path = f"/counter/requests/{asked['id']}"
    assert till.counter("GET", path)[1]["state"] == "waiting"

    assert till.post(*till.answer(asked))[0] == 200

    status, look = till.counter("GET", path)
    assert status == 200
    assert (look["state"], look["light"], look["reasons"]) == ("accepted", "green", [])
    assert look["facts"] == {
        "item.name": "Auricle One",
        "item.serial": "A1-0001",
        "valid_until": "2028-11-02",
    }
    assert look["took_ms"] >= 0
    assert till.counter("GET", path)[1]["facts"] is None


def test_a_refusal_tells_the_wallet_nothing_and_the_counter_everything(till: Till) -> None:
    till.scene.brand.listed[INDEX] = 1
    asked = till.ask()

    status, heard = till.post(*till.answer(asked))

    assert (status, heard["error"]) == (400, "access_denied")
    assert "revoked" not in json.dumps(heard)
    _, look = till.counter("GET", f"/counter/requests/{asked['id']}")
    assert (look["state"], look["light"], look["facts"]) == ("refused", "red", None)
    [reason] = look["reasons"]
    assert reason["code"] == "revoked"
    assert reason["en"]
    assert reason["zh"]
    assert reason["where"] == "warranty: credential.status"


def test_a_replayed_a_tampered_and_a_misdirected_answer(till: Till) -> None:
    """The three that the demo shows, through the public door."""
    replayed = till.ask()
    url, form = till.answer(replayed)
    assert till.post(url, form)[0] == 200
    assert till.post(url, form)[1]["error"] == "invalid_request"

    tampered = till.ask()
    url, form = till.answer(tampered)
    token = json.loads(form["vp_token"])
    issuer_jwt, *rest = token["warranty"][0].split("~")
    head, payload, signature = issuer_jwt.split(".")
    token["warranty"] = ["~".join([f"{head}.{payload}.{signature[::-1][:85]}A", *rest])]
    assert till.post(url, {**form, "vp_token": json.dumps(token)})[1]["error"] == "access_denied"

    misdirected = till.ask()
    assert (
        till.post(*till.answer(misdirected, audience="x509_san_dns:other.example"))[1]["error"]
        == "access_denied"
    )

    looks = [
        till.counter("GET", f"/counter/requests/{asked['id']}")[1]
        for asked in (replayed, tampered, misdirected)
    ]
    assert [look["state"] for look in looks] == ["accepted", "refused", "refused"]
    assert looks[0]["later_answers"] == 1
    assert [reason["code"] for reason in looks[1]["reasons"]] == ["signature-invalid"]
    assert [reason["code"] for reason in looks[2]["reasons"]] == ["audience-mismatch"]


def test_what_could_not_be_checked_is_503_and_amber(till: Till) -> None:
    till.scene.brand.is_reachable = False
    asked = till.ask()

    assert till.post(*till.answer(asked))[0] == 503

    _, look = till.counter("GET", f"/counter/requests/{asked['id']}")
    assert (look["state"], look["light"]) == ("unavailable", "amber")


def test_fifty_copies_over_http_are_one_answer(till: Till) -> None:
    asked = till.ask()
    url, form = till.answer(asked)

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(till.post, [url] * 50, [form] * 50))

    assert sorted(status for status, _ in answers) == [200] + [400] * 49


def test_the_counters_side_opens_to_its_key_alone(till: Till) -> None:
    asked = till.ask()
    for path, method, body in (
        ("/counter/requests", "POST", b'{"preset": "warranty"}'),
        (f"/counter/requests/{asked['id']}", "GET", None),
        ("/counter/check", "POST", b'{"id": "x", "presentation": "x"}'),
        ("/counter/summary", "GET", None),
    ):
        for key in ("", "Bearer ", f"Bearer {KEY}x", f"Basic {KEY}", f"Bearer {KEY[:-1]}"):
            status, found, _ = till.send(
                method, path, body, Authorization=key, Content_Type="application/json"
            )
            assert (status, found["error"]) == (401, "invalid_token")


def test_the_operator_counts_verdicts_and_open_questions(till: Till) -> None:
    till.post(*till.answer(till.ask()))
    till.ask()

    assert till.counter("GET", "/counter/summary") == (200, {"verdicts": 1, "waiting": 1})


def test_a_pasted_presentation_is_checked_at_the_counter(till: Till) -> None:
    asked = till.ask()
    _, form = till.answer(asked)
    [presentation] = json.loads(form["vp_token"])["warranty"]

    status, look = till.counter(
        "POST", "/counter/check", {"id": asked["id"], "presentation": presentation}
    )

    assert (status, look["light"]) == (200, "green")
    assert look["facts"]["item.serial"] == "A1-0001"


def test_the_counter_is_told_whether_a_question_is_unknown_or_over(till: Till) -> None:
    asked = till.ask()
    till.post(*till.answer(asked))

    def ended(name: str) -> list[tuple[int, list[str]]]:
        path = f"/counter/requests/{name}/codes"
        tries = (
            till.counter("GET", path),
            till.counter("POST", path, {"code": "x"}),
            till.counter("POST", "/counter/check", {"id": name, "presentation": "x"}),
        )
        return [
            (status, [one["code"] for one in told.get("reasons", [])]) for status, told in tries
        ]

    assert ended("unknown") == [(404, [])] * 3
    assert ended(asked["id"]) == [(400, ["already-answered"])] * 3


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", FORM, 400),
        (b"vp_token=%7B%7D", FORM, 400),
        (b"vp_token=%ff&state=x", FORM, 400),
        (b"state=a&state=b", FORM, 400),
        (b"\xff", FORM, 400),
        (b"&".join(b"a%d=1" % i for i in range(21)), FORM, 400),
        (b'{"vp_token": {}}', "application/json", 400),
        (b"a=" + b"x" * MAX_BODY_BYTES, FORM, 413),
    ],
    ids=["empty", "no state", "no UTF-8", "twice", "no ASCII", "too many", "JSON", "too large"],
)
def test_a_bad_body_is_the_senders_fault(
    till: Till, body: bytes, content_type: str, status: int
) -> None:
    asked = till.ask()
    url, form = till.answer(asked)

    found_status, found, _ = till.send("POST", url, body, Content_Type=content_type)

    assert (found_status, found["error"]) == (status, "invalid_request")
    assert till.post(url, form)[0] == 200


def test_bad_requests_of_the_counter_are_400_and_unknown_sessions_404(till: Till) -> None:
    bodies: list[object] = [{}, {"preset": 1}, {"preset": "warranty", "language": "de"}, []]
    for body in bodies:
        assert till.counter("POST", "/counter/requests", body)[0] == 400
    status, found = till.counter("POST", "/counter/requests", {"preset": "anything"})
    assert (status, found["error"]) == (400, "refused")
    assert till.counter("GET", "/counter/requests/unknown")[0] == 404
    assert till.send("GET", "/requests/unknown")[0] == 404
    assert till.send("GET", "/requests/unknown/")[0] == 404
    assert till.send("POST", "/responses/unknown", b"state=x", Content_Type=FORM)[0] == 400


def test_a_form_is_read_once_and_strictly() -> None:
    assert parse_form(b"a=%E5%95%86&b=") == {"a": "商", "b": ""}
    for body in (b"a=1&a=1", b"a=%ff", b"a", b"\xe5=1"):
        with pytest.raises(Malformed):
            parse_form(body)
