"""`counterfoil verifier`, as a shop's engineer runs it."""

import json
import socket
import subprocess
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.issuer_keys import issuer_keys_document
from counterfoil_credentials.jws import sign_jws
from counterfoil_credentials.key_file import replace_private
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.recall_selector import RecallSelector
from counterfoil_credentials.request_links import parse_request_link
from counterfoil_credentials.requests import read_request, sign_request
from counterfoil_service import sql
from counterfoil_verifier import RequestId, Shop, cli
from counterfoil_verifier.flag_feed import flags_json
from counterfoil_verifier.flags import Flag, FlagKind
from counterfoil_verifier.requesting import REQUEST_LIFE
from counterfoil_verifier.shop_folder import ShopFolder
from counterfoil_verifier.shop_service import open_shop
from counterfoil_verifier.signed_results import read_result
from counterfoil_verifier.sql_store import MIGRATIONS, SqlSessionStore
from counterfoil_verifier.verifier import CouldNotCheck, NotAccepted
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.conftest import Clock
from tests.verifier.certificates import papers
from tests.verifier.running import COMMAND, Served
from tests.verifier.scene import ISSUER, LIST_URL, RECEIPT_TYPE, WARRANTY_TYPE, Scene, answer_form

HERE = "http://127.0.0.1:8004"
RECALLED = Flag(FlagKind.RECALLED, RecallSelector(gtin="04006381333931"))
AGGREGATION = {
    "/.well-known/oauth-authorization-server": {
        "status_list_aggregation_endpoint": f"{ISSUER}/status-lists"
    },
    "/status-lists": {"status_lists": [LIST_URL]},
}


class Desk:
    """Somebody at a keyboard, a brand in memory, and a customer's wallet."""

    def __init__(self, folder: Path, scene: Scene, clock: Clock, fetcher: MemoryFetcher) -> None:
        self.folder = ShopFolder(folder)
        self.scene = scene
        self.clock = clock
        self.fetcher = fetcher

    def runs(self, command: str, *arguments: str) -> int:
        return cli.main([command, str(self.folder.path), *arguments], clock=self.clock)

    def answers(self, link: str) -> None:
        """Answer a request through the service's own door, as a good wallet does."""
        request_id = RequestId(parse_request_link(link).request_uri.rsplit("/", 1)[1])
        client_id = parse_request_link(link).client_id
        with open_shop(
            self.folder, self.folder.url(), fetcher=self.fetcher, clock=self.clock
        ) as shop:
            signed = shop.counter.request_object(request_id)
            request = read_request(signed, client_id=client_id, now=self.clock())
            vp_token = self.scene.present(self.scene.warranty(), request)
            form = answer_form(vp_token, request)
            # What is wrong with it, the verdict says.
            with suppress(NotAccepted, CouldNotCheck):
                shop.counter.receive(request_id, form)


@pytest.fixture
def fetcher(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> MemoryFetcher:
    """Give a network in which the brand answers, to the commands too."""

    def audio(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        if path == "/.well-known/openid-credential-issuer":
            types = {
                name: {"format": "dc+sd-jwt", "vct": vct}
                for name, vct in {"warranty": WARRANTY_TYPE, "receipt": RECEIPT_TYPE}.items()
            }
            document: Any = {
                "credential_issuer": ISSUER,
                "credential_configurations_supported": types,
            }
            return Response(200, "application/json", json.dumps(document).encode())
        if path in AGGREGATION:
            return Response(200, "application/json", json.dumps(AGGREGATION[path]).encode())
        if path.startswith("/.well-known/jwt-vc-issuer"):
            document = issuer_keys_document(ISSUER, [scene.brand.signer.public])
            return Response(200, "application/json", json.dumps(document).encode())
        listed = scene.brand.fetch(ISSUER + path)
        return Response(200, "application/statuslist+jwt", listed.encode())

    fetcher = MemoryFetcher()
    fetcher.serve(ISSUER, audio)

    def reach_in_memory(**_: object) -> MemoryFetcher:
        return fetcher

    monkeypatch.setattr(cli, "GuardedFetcher", reach_in_memory)
    return fetcher


@pytest.fixture
def empty(tmp_path: Path, scene: Scene, clock: Clock, fetcher: MemoryFetcher) -> Desk:
    return Desk(tmp_path / "shop", scene, clock, fetcher)


@pytest.fixture
def desk(empty: Desk, capsys: pytest.CaptureFixture[str]) -> Desk:
    """Give a desk whose folder was made, trusts the brand, and was served once."""
    assert empty.runs("init", "--trust", ISSUER) == 0
    empty.folder.record_address(HERE)
    capsys.readouterr()
    return empty


Said = Callable[[], Any]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """Give the one JSON object that was printed since the last look."""
    return lambda: json.loads(capsys.readouterr().out)


def only_line(capsys: pytest.CaptureFixture[str]) -> str:
    """Give the one line of trouble; nothing is called accepted or refused."""
    told = capsys.readouterr()
    assert told.out == ""
    (line,) = told.err.splitlines()
    return line


# init


def test_init_asks_the_issuer_what_it_offers_and_trusts_it_for_that(
    empty: Desk, said: Said
) -> None:
    assert empty.runs("init", "--trust", ISSUER, "--json") == 0

    assert said() == {"folder": str(empty.folder.path), "trusts": [ISSUER]}
    assert empty.folder.settings().trusts == {
        ISSUER: {"warranty": (WARRANTY_TYPE,), "return": (RECEIPT_TYPE,)}
    }


def test_init_without_an_issuer_says_how_to_name_one(
    empty: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert empty.runs("init") == 0

    assert "trust" in capsys.readouterr().out
    assert empty.folder.settings().trusts == {}


@pytest.mark.parametrize(
    ("issuer", "status"),
    [
        ("https://nobody.example", 3),
        ("http://audio.example", 1),
        ("ftp://audio.example", 1),
        ("audio", 1),
    ],
)
def test_init_makes_no_folder_that_trusts_nobody_by_mistake(
    empty: Desk, issuer: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert empty.runs("init", "--trust", issuer) == status

    assert "expected" in only_line(capsys)
    assert not empty.folder.path.exists()


def test_init_for_customers_needs_https_issuers(
    empty: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--public-url", "https://till.example", "--trust", HERE)
    assert empty.runs("init", *options) == 1

    assert "https URLs" in only_line(capsys)
    assert not empty.folder.path.exists()


def test_init_can_be_told_where_an_https_name_is_on_this_machine(empty: Desk) -> None:
    route = f"{ISSUER}=http://127.0.0.1:8003"
    assert empty.runs("init", "--trust", ISSUER, "--loopback-unsafely", route) == 0

    assert empty.folder.settings().routes() == {ISSUER: "http://127.0.0.1:8003"}
    assert empty.runs("init", "--trust", ISSUER, "--loopback-unsafely", "here") == 1


# request and result


def test_a_request_is_a_link_and_an_id_and_nothing_else(desk: Desk, said: Said) -> None:
    assert desk.runs("request", "warranty", "--json") == 0

    asked = said()
    assert set(asked) == {"request", "id"}
    assert asked["request"].startswith("openid4vp://?")
    link = parse_request_link(asked["request"])
    assert link.request_uri.startswith(f"{HERE}/requests/")
    assert asked["id"] not in asked["request"]


def test_a_request_is_shown_as_a_code_for_the_camera(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert desk.runs("request", "warranty", "--language", "zh", "--till", "Till 2") == 0

    shown = capsys.readouterr().out
    assert shown.count("█") > 500
    assert "openid4vp://" in shown
    assert "id: " in shown


def test_before_the_first_start_nobody_knows_where_to_answer(
    empty: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    empty.runs("init", "--trust", ISSUER)
    capsys.readouterr()

    assert empty.runs("request", "warranty", "--json") == 2
    assert "counterfoil verifier serve" in only_line(capsys)


@pytest.mark.parametrize("preset", ["member", "anything"])
def test_what_nobody_trusted_answers_is_not_asked(
    desk: Desk, preset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert desk.runs("request", preset) == 1

    line = only_line(capsys)
    assert "expected one of return, warranty" in line
    assert "Next: `counterfoil verifier presets DIR`" in line


def asked(desk: Desk, said: Said, *options: str) -> tuple[str, str]:
    assert desk.runs("request", "warranty", "--json", *options) == 0
    found = said()
    return found["request"], found["id"]


def test_the_result_of_a_good_answer_is_accepted(desk: Desk, said: Said) -> None:
    link, name = asked(desk, said)
    desk.answers(link)

    assert desk.runs("result", name, "--json") == 0
    assert said() == {"verdict": "accepted", "reasons": []}
    # As often as somebody asks.
    assert desk.runs("result", name, "--wait", "5", "--json") == 0


def test_a_result_can_be_shown_to_others_signed(
    desk: Desk, said: Said, capsys: pytest.CaptureFixture[str]
) -> None:
    link, name = asked(desk, said)
    assert desk.runs("result", name, "--signed", "--json") == 3
    assert set(said()) == {"verdict", "reasons"}
    desk.answers(link)

    assert desk.runs("result", name, "--signed", "--json") == 0
    token = said()["signed"]
    with open_shop(desk.folder, desk.folder.url(), fetcher=desk.fetcher, clock=desk.clock) as shop:
        client_id = shop.counter.shop.client_id
    key = desk.folder.signer().public
    assert read_result(token, signed_by=key, client_id=client_id).session_id == name
    assert desk.runs("result", name, "--signed") == 0
    assert capsys.readouterr().out.splitlines()[-1].count(".") == 2


def test_the_result_of_a_bad_answer_says_why(desk: Desk, said: Said) -> None:
    desk.scene.brand.listed = [1] * 16
    link, name = asked(desk, said)
    desk.answers(link)

    assert desk.runs("result", name, "--json") == 1
    found = said()
    assert found["verdict"] == "refused"
    assert [(one["code"], one["text"][:23]) for one in found["reasons"]] == [
        ("revoked", "The brand has cancelled")
    ]


def test_what_could_not_be_found_out_is_no_yes(desk: Desk, said: Said) -> None:
    desk.scene.brand.is_reachable = False
    link, name = asked(desk, said)
    desk.answers(link)

    assert desk.runs("result", name, "--json") == 3
    found = said()
    assert found["verdict"] == "unavailable"
    assert [one["code"] for one in found["reasons"]] == ["status-unreachable"]


def test_before_an_answer_and_after_its_time_there_is_no_verdict(desk: Desk, said: Said) -> None:
    _, name = asked(desk, said)
    for code in ("not-answered-yet", "request-expired"):
        assert desk.runs("result", name, "--json") == 3
        found = said()
        assert (found["verdict"], found["reasons"][0]["code"]) == ("unavailable", code)
        desk.clock.advance(REQUEST_LIFE)


def test_waiting_ends_with_the_answer(desk: Desk, said: Said) -> None:
    link, name = asked(desk, said)
    answering = threading.Timer(0.3, desk.answers, [link])
    answering.start()
    try:
        assert desk.runs("result", name, "--wait", "60", "--json") == 0
    finally:
        answering.join()
    assert said()["verdict"] == "accepted"


def test_a_till_is_no_obstacle_for_who_has_the_folder(desk: Desk, said: Said) -> None:
    link, name = asked(desk, said, "--till", "Till 2")
    desk.answers(link)

    assert desk.runs("result", name, "--json") == 0


def test_a_yes_waits_for_the_customers_digits(
    desk: Desk, said: Said, capsys: pytest.CaptureFixture[str]
) -> None:
    link, name = asked(desk, said, "--match-code")
    desk.answers(link)

    assert desk.runs("result", name, "--json") == 3
    assert [one["code"] for one in said()["reasons"]] == ["code-not-told-yet"]
    assert desk.runs("result", name) == 3
    assert "  `result --code` takes what the customer tells" in capsys.readouterr().out
    # Three wrong ones are a no: the right one comes too late.
    assert desk.runs("result", name, "--code", "none") == 3
    assert "  that was not it; `result --code`" in capsys.readouterr().out
    for _ in range(2):
        desk.runs("result", name, "--code", "none", "--wait", "5", "--json")
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (found["verdict"], found["reasons"][0]["code"]) == ("refused", "code-wrong")


@pytest.mark.parametrize("wait", ["-1", "3601", "nan"])
def test_waiting_is_bounded(desk: Desk, wait: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert desk.runs("result", "some-session", "--wait", wait) == 2
    assert "--wait" in only_line(capsys)


def test_an_unknown_session_is_said_in_one_line(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert desk.runs("result", "some-session", "--json") == 1
    assert "expected a session" in only_line(capsys)


@pytest.mark.parametrize(
    "command", ["serve", "request warranty", "result x", "trust", "presets", "verify"]
)
def test_a_folder_that_init_did_not_make_is_named(
    empty: Desk, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name, *more = command.split()
    empty.folder.path.mkdir()
    if name == "verify":
        (empty.folder.path / "answer.json").write_text("{}")
        status = cli.main(["verify", str(empty.folder.path / "answer.json")])
    else:
        status = empty.runs(name, *more)

    assert status == 2
    assert "counterfoil verifier init" in only_line(capsys)


# verify


@pytest.fixture
def saved(desk: Desk) -> Path:
    """Give a file with a good answer."""
    scene = desk.scene
    signer = desk.folder.signer()
    scene.shop = Shop(name="Corner Shop", origin="https://till.example", signer=signer)
    request = scene.request()
    answer = {
        "request": sign_request(request, signer),
        "vp_token": scene.present(scene.warranty(), request),
    }
    file = desk.folder.path / "answer.json"
    file.write_text(json.dumps(answer))
    return file


def verify(saved: Path, at: datetime, *more: str) -> int:
    return cli.main(["verify", str(saved), "--at", str(at), *more])


def test_verify_accepts_a_saved_answer(saved: Path, now: datetime, said: Said) -> None:
    assert verify(saved, now, "--json") == 0

    found = said()
    assert (found["verdict"], found["reasons"]) == ("accepted", [])
    assert {one["state"] for one in found["checks"]} == {"passed"}
    assert all(one["en"] and one["zh"] for one in found["checks"])


def test_verify_tells_check_by_check(
    saved: Path, now: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(saved, now) == 0

    first, *checks = capsys.readouterr().out.splitlines()
    assert first == "accepted (status as of 2026-11-02T12:00:00+00:00)"
    assert len(checks) >= 10
    assert all(line.startswith("  yes  ") for line in checks)


def test_verify_explains_a_refusal(
    saved: Path, desk: Desk, now: datetime, capsys: pytest.CaptureFixture[str], said: Said
) -> None:
    desk.scene.brand.listed = [1] * 16

    assert verify(saved, now) == 1
    told = capsys.readouterr().out
    assert "   NO  Its brand has not cancelled it." in told
    assert "revoked: The brand has cancelled this" in told

    assert "         expected a credential in force, found" in told
    assert verify(saved, now + timedelta(hours=1)) == 1
    assert "--at judges a saved answer as of another time" in capsys.readouterr().out
    assert verify(saved, now + timedelta(hours=1), "--json") == 1
    found = said()
    assert found["verdict"] == "refused"
    assert [reason["code"] for reason in found["reasons"]] == ["request-expired"]
    assert [(one["check"], one["state"]) for one in found["checks"][:2]] == [
        ("request", "failed"),
        ("answer", "not-reached"),
    ]


def test_verify_says_when_it_could_not_find_out(
    saved: Path, desk: Desk, now: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.scene.brand.is_reachable = False

    assert verify(saved, now) == 3
    told = capsys.readouterr().out
    assert "    ?  Its brand has not cancelled it." in told
    assert "status-unreachable" in told


def test_verify_looks_at_the_flags_as_the_counter_does(
    saved: Path, desk: Desk, now: datetime, capsys: pytest.CaptureFixture[str], said: Said
) -> None:
    change(desk, flags={"file": "flags.json"})
    assert verify(saved, now, "--json") == 3
    found = said()
    assert [one["code"] for one in found["reasons"]] == ["flags-unreachable"]
    assert (found["checks"][-1]["check"], found["checks"][-1]["state"]) == ("item", "unknown")

    feed = desk.folder.path / "flags.json"
    feed.write_text(json.dumps(flags_json([RECALLED], at=now)))
    assert verify(saved, now) == 1
    told = capsys.readouterr().out
    assert "   NO  Nothing is said against the item" in told
    assert "recalled: This item is recalled." in told
    feed.write_text(json.dumps(flags_json([], at=now)))
    assert verify(saved, now) == 0
    assert "  yes  Nothing is said against the item" in capsys.readouterr().out
    # All is looked at, whatever else speaks against it.
    desk.scene.brand.listed = [1] * 16
    feed.write_text(json.dumps(flags_json([RECALLED], at=now)))
    assert verify(saved, now) == 1
    told = capsys.readouterr().out
    assert "   NO  Its brand has not cancelled it" in told
    assert "   NO  Nothing is said against the item" in told


def test_verify_finds_the_shop_by_the_file_or_by_its_name(
    saved: Path, tmp_path: Path, now: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = tmp_path / "answer.json"
    saved.rename(elsewhere)

    assert verify(elsewhere, now) == 2
    assert "--shop DIR" in only_line(capsys)
    assert verify(elsewhere, now, "--shop", str(saved.parent)) == 0


@pytest.mark.parametrize("at", ["yesterday", "2026-03-01T12:00:00"])
def test_verify_says_what_a_time_looks_like(
    saved: Path, at: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["verify", str(saved), "--at", at])

    assert ended.value.code == 2
    assert "expected a time with its zone" in capsys.readouterr().err


def test_verify_of_what_is_no_answer_names_the_place(
    saved: Path, now: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    saved.write_text("{}")

    assert verify(saved, now) == 1
    assert "answer.json.vp_token" in only_line(capsys)


def test_a_file_that_is_not_there_is_said_in_one_line(
    saved: Path, now: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(saved.parent / "nothing.json", now) == 1
    assert "nothing.json" in only_line(capsys)


@pytest.mark.parametrize("route", ["http://10.0.0.1:80", "https://", "here"])
def test_a_bad_route_in_the_settings_is_the_shops_trouble_and_no_refusal(
    saved: Path,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    route: str,
) -> None:
    monkeypatch.undo()
    settings = json.loads((saved.parent / "shop.json").read_text())
    settings["loopback_routes_unsafely"] = {ISSUER: route}
    (saved.parent / "shop.json").write_text(json.dumps(settings))

    for more in ((), ("--json",)):
        assert verify(saved, now, *more) in {1, 2}
        assert "expected" in only_line(capsys)


# preload


def test_what_was_taken_along_answers_where_the_network_does_not(
    desk: Desk, saved: Path, now: datetime, said: Said
) -> None:
    assert desk.runs("preload", "--json") == 0
    taken = said()
    assert taken["made_at"] == "2026-11-02T12:00:00Z"
    assert LIST_URL in taken["documents"]
    assert taken["failures"] == []
    link, name = asked(desk, said)
    desk.fetcher.disconnect(ISSUER)

    desk.answers(link)

    assert desk.runs("result", name, "--json") == 0
    said()
    assert verify(saved, now, "--json") == 0
    said()
    # Until the list that was taken along is older than the preset allows.
    desk.clock.advance(timedelta(days=1, seconds=1))
    link, name = asked(desk, said)
    desk.answers(link)
    assert desk.runs("result", name, "--json") == 3
    assert said()["reasons"][0]["code"].startswith("status-")


def test_a_preload_without_a_network_keeps_what_there_was(desk: Desk, said: Said) -> None:
    assert desk.runs("preload", "--json") == 0
    before = said()
    desk.fetcher.disconnect(ISSUER)
    desk.clock.advance(timedelta(hours=1))

    assert desk.runs("preload", "--json") == 3
    after = said()
    assert after["documents"] == before["documents"]
    assert [one["url"] for one in after["failures"]] == [ISSUER]


def test_a_carried_file_is_taken_if_it_is_this_shops_and_no_older(
    desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = desk.folder.path / "preload.zip"
    assert desk.runs("preload") == 0
    older = tmp_path / "older.zip"
    older.write_bytes(kept.read_bytes())
    desk.clock.advance(timedelta(hours=1))
    assert desk.runs("preload", "--take", str(older)) == 0
    assert desk.runs("preload") == 0
    newest = kept.read_bytes()
    capsys.readouterr()

    changed = tmp_path / "changed.zip"
    changed.write_bytes(newest[:-200] + b"x" + newest[-199:])
    strange = tmp_path / "strange.zip"
    strange.write_bytes(b"not a zip")
    for file in (older, changed, strange, tmp_path / "none.zip"):
        assert desk.runs("preload", "--take", str(file)) == 1
        assert "expected" in only_line(capsys)
    assert kept.read_bytes() == newest
    assert kept.stat().st_mode & 0o777 == 0o600


# trust and presets


def test_trust_says_who_may_answer_what(
    desk: Desk, said: Said, capsys: pytest.CaptureFixture[str]
) -> None:
    assert desk.runs("trust", "--json") == 0
    presets = {"warranty": [WARRANTY_TYPE], "return": [RECEIPT_TYPE]}
    trusts = [{"issuer": ISSUER, "presets": presets}]
    assert said() == {"trusts": trusts, "ends": [], "flags": None, "warnings": []}

    assert desk.runs("trust") == 0
    assert f"  warranty: {WARRANTY_TYPE}" in capsys.readouterr().out.splitlines()


def test_trust_is_given_and_taken_away(
    desk: Desk, said: Said, capsys: pytest.CaptureFixture[str]
) -> None:
    did = "did:web:chairs.example"
    assert desk.runs("trust", "--add", did, "--type", "member=urn:chairs:member", "--json") == 0
    assert [one["issuer"] for one in said()["trusts"]] == [ISSUER, did]
    assert desk.runs("trust", "--remove", ISSUER, "--json") == 0
    assert [one["issuer"] for one in said()["trusts"]] == [did]
    assert desk.runs("trust", "--add", ISSUER, "--json") == 0
    assert [one["issuer"] for one in said()["trusts"]] == [did, ISSUER]

    assert desk.runs("trust", "--remove", "https://nobody.example") == 2
    assert "--remove" in only_line(capsys)
    assert desk.runs("trust", "--add", did) == 2
    assert "--type" in only_line(capsys)
    assert desk.runs("trust", "--add", did, "--type", "member") == 1
    assert desk.runs("trust", "--add", did, "--type", "hire=urn:x") == 1


def change(desk: Desk, **changes: object) -> None:
    file = desk.folder.path / "shop.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_trust_tells_how_old_the_feed_of_flags_is(
    desk: Desk, said: Said, capsys: pytest.CaptureFixture[str]
) -> None:
    change(desk, flags={"file": "flags.json"})
    assert desk.runs("trust", "--json") == 3
    assert [one["code"] for one in said()["warnings"]] == ["flags-unreachable"]

    feed = flags_json([RECALLED], at=desk.clock())
    (desk.folder.path / "flags.json").write_text(json.dumps(feed))
    desk.clock.advance(timedelta(hours=25))
    assert desk.runs("trust", "--json") == 0
    found = said()
    assert found["flags"] == {"as_of": "2026-11-02T12:00:00Z", "age_s": 90_000, "count": 1}
    assert [one["code"] for one in found["warnings"]] == ["flags-too-old"]
    assert desk.runs("trust") == 0
    shown = capsys.readouterr().out
    assert "flags of items: 1, as of 2026-11-02T12:00:00Z (1 days old)" in shown
    assert "too old to say that an item is in order" in shown


def test_trust_reads_the_signed_lists_to_know_when_they_end(
    desk: Desk, said: Said, capsys: pytest.CaptureFixture[str]
) -> None:
    trade = MemorySigner.generate()
    at, lasts = desk.clock(), timedelta(days=7)

    def listed(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        ends_at = at + lasts
        claims: JsonObject = {
            "name": "Trade",
            "iat": int(at.timestamp()),
            "exp": int(ends_at.timestamp()),
        }
        token = sign_jws(claims, typ="counterfoil-trust-list+jwt", signer=trade, header={})
        return Response(200, "application/jwt", token.encode())

    answered = {"warranty": [WARRANTY_TYPE]}
    url = "https://trade.example/list"
    change(desk, trust_lists=[{"url": url, "jwk": trade.public.jwk(), "presets": answered}])
    assert desk.runs("trust", "--json") == 3
    assert [one["code"] for one in said()["warnings"]] == ["not-done"]

    desk.fetcher.serve("https://trade.example", listed)
    assert desk.runs("trust", "--json") == 0
    found = said()
    assert found["ends"] == [{"what": "the trust list Trade", "at": "2026-11-09T12:00:00Z"}]
    assert found["warnings"] == []
    desk.clock.advance(timedelta(days=5, seconds=1))
    assert desk.runs("trust") == 0
    told = capsys.readouterr().out
    assert "renew, it runs out: the trust list Trade (2026-11-09T12:00:00Z)" in told
    assert f"whom this list names: {url}" in told


def test_trust_tells_when_the_shops_own_certificate_ends(desk: Desk, said: Said) -> None:
    certified = papers(at=desk.clock())
    scalar = int.from_bytes(certified.signer.private_bytes())
    key = ec.derive_private_key(scalar, ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    replace_private(desk.folder.path / "shop-key.pem", pem)
    (desk.folder.path / "till.pem").write_bytes(certified.pem)
    change(desk, client_id="x509_hash", certificates="till.pem")

    assert desk.runs("trust", "--json") == 0
    found = said()
    assert [one["what"] for one in found["ends"]] == ["this shop's certificate"]
    assert [one["code"] for one in found["warnings"]] == ["runs-out"]


def test_presets_are_listed_with_what_is_too_much(
    desk: Desk, said: Said, capsys: pytest.CaptureFixture[str]
) -> None:
    assert desk.runs("presets", "--json") == 0
    found = {one["preset"]: one for one in said()["presets"]}
    assert set(found) == {"member", "return", "voucher", "warranty"}
    assert (found["warranty"]["answered"], found["member"]["answered"]) == (True, False)
    assert (found["warranty"]["holder_shown"], found["return"]["holder_shown"]) == (True, False)

    place = desk.folder.path / "presets" / "warranty.json"
    preset = json.loads(place.read_text())
    preset["claims"].append({"path": ["buyer", "name"]})
    place.write_text(json.dumps(preset))
    assert desk.runs("presets") == 1
    assert "identity-claim-without-reason" in capsys.readouterr().out


# serve


@pytest.mark.loopback
def test_a_database_that_another_program_holds_is_said_in_one_line(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sql, "BUSY_TIMEOUT_MS", 1)
    with sql.changing_schema(desk.folder.path / "counter.sqlite3") as connection:
        MIGRATIONS.upgrade(connection)
        assert desk.runs("serve") == 3

    assert "database" in only_line(capsys)


@pytest.mark.parametrize("url", ["https://till.example", "http://till.example"])
def test_a_development_shop_is_served_for_this_machine_alone(
    desk: Desk, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert desk.runs("serve", "--public-url", url) == 2
    assert "allow_plain_http_on_loopback_for_development_only" in only_line(capsys)


@pytest.fixture
def serving() -> Generator[Callable[..., Served], None, None]:
    started: list[Served] = []

    def start(folder: Path, *options: str) -> Served:
        started.append(Served(folder, *options))
        return started[-1]

    yield start
    for served in started:
        served.kill()


@pytest.mark.loopback
def test_a_folder_remembers_where_it_is_served(
    empty: Desk, serving: Callable[..., Served], said: Said
) -> None:
    empty.runs("init", "--trust", ISSUER, "--json")
    said()
    first = serving(empty.folder.path)
    assert first.said == {"verifier": first.said["listens"], "listens": first.said["listens"]}
    # Another shell asks, and the process answers the wallet; both have the machine's clock.
    assert cli.main(["request", str(empty.folder.path), "warranty", "--json"]) == 0
    link = parse_request_link(said()["request"])
    assert link.request_uri.startswith(f"{first.said['listens']}/requests/")
    assert first.answers("/health/ready") == 200
    assert first.answers(link.request_uri.removeprefix(first.said["listens"])) == 200
    first.ends()

    second = serving(empty.folder.path)
    assert second.said == first.said
    assert "in use" not in second.ends()


@pytest.mark.loopback
def test_a_port_that_is_taken_is_said_and_one_that_was_asked_for_is_not_moved(
    empty: Desk, serving: Callable[..., Served]
) -> None:
    empty.runs("init", "--trust", ISSUER)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        empty.folder.record_port(port)
        moved = serving(empty.folder.path)
        assert moved.port != port
        assert f"port {port} is in use" in moved.ends()

        exactly = subprocess.run(
            [*COMMAND, "serve", str(empty.folder.path), "--port", str(port)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert exactly.returncode == 1
    assert "expected a free port" in exactly.stderr
    assert empty.folder.last_port() == moved.port


@pytest.mark.loopback
def test_a_preset_that_asks_too_much_is_told_to_who_serves_it(
    empty: Desk, serving: Callable[..., Served]
) -> None:
    empty.runs("init", "--trust", ISSUER)
    (empty.folder.path / "registration.json").write_text(
        '{"purposes": {"warranty": [["item"], ["valid_until"]]}}'
    )

    trouble = serving(empty.folder.path).ends()

    assert "purpose-not-registered: expected a purpose that the shop registered" in trouble
    assert "(return)" in trouble
    assert "(warranty)" not in trouble


@pytest.mark.loopback
def test_the_database_is_another_by_url(
    empty: Desk, serving: Callable[..., Served], postgres_url: str, said: Said
) -> None:
    empty.runs("init", "--trust", ISSUER, "--json")
    said()
    served = serving(empty.folder.path, "--database", postgres_url)
    empty.runs("request", "warranty", "--json", "--database", postgres_url)
    name = said()["id"]
    served.ends()

    store = SqlSessionStore(postgres_url)
    session = store.by_session(name)
    assert session is not None
    assert session.preset == "warranty"
    store.close()
    assert not (empty.folder.path / "counter.sqlite3").exists()
