"""`counterfoil verifier`, and the settings it reads."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.issuer_keys import issuer_keys_document
from counterfoil_credentials.key_file import load_or_create_signer
from counterfoil_credentials.requests import sign_request
from counterfoil_service import sql
from counterfoil_verifier import Shop, cli
from counterfoil_verifier.shop_file import parse_shop_file, read_shop_file
from counterfoil_verifier.sql_store import MIGRATIONS

from tests.verifier.scene import ISSUER, WARRANTY_TYPE, Scene

SETTINGS = {"name": "Corner Shop", "trusts": {ISSUER: {"warranty": [WARRANTY_TYPE]}}}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop.json").write_text(json.dumps(SETTINGS))
    return tmp_path


@pytest.fixture
def saved(shop: Path, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a file with a good answer, while the brand is reachable in memory."""
    signer = load_or_create_signer(shop / "shop-key.pem")
    scene.shop = Shop(name="Corner Shop", origin="https://till.example", signer=signer)
    request = scene.request()
    answer = {
        "request": sign_request(request, signer),
        "vp_token": scene.present(scene.warranty(), request),
    }
    (shop / "answer.json").write_text(json.dumps(answer))

    def audio(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        if path.startswith("/.well-known/"):
            document = issuer_keys_document(ISSUER, [scene.brand.signer.public])
            return Response(200, "application/json", json.dumps(document).encode())
        listed = scene.brand.fetch(ISSUER + path)
        return Response(200, "application/statuslist+jwt", listed.encode())

    fetcher = MemoryFetcher()
    fetcher.serve(ISSUER, audio)

    def reach_in_memory(**_: object) -> MemoryFetcher:
        return fetcher

    monkeypatch.setattr(cli, "GuardedFetcher", reach_in_memory)
    return shop / "answer.json"


def verify(saved: Path, at: datetime, *more: str) -> int:
    return cli.main(["verify", str(saved), "--shop", str(saved.parent), "--at", str(at), *more])


def test_verify_accepts_a_saved_answer(
    saved: Path, now: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(saved, now) == 0
    assert capsys.readouterr().out.startswith("accepted (status as of 2026-11-02T12:00:00+00:00)")

    assert verify(saved, now, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"verdict": "accepted", "reasons": []}


def test_verify_explains_a_refusal(
    saved: Path, scene: Scene, now: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.brand.listed = [1] * 16

    assert verify(saved, now) == 1
    assert "revoked: The brand has cancelled this" in capsys.readouterr().out

    assert verify(saved, now + timedelta(hours=1), "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == "refused"
    assert [reason["code"] for reason in told["reasons"]] == ["request-expired"]


def test_verify_says_when_it_could_not_find_out(
    saved: Path, scene: Scene, now: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.brand.is_reachable = False

    assert verify(saved, now) == 3
    assert "status-unreachable" in capsys.readouterr().out


def test_verify_of_what_is_no_answer_names_the_place(
    shop: Path, now: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    (shop / "answer.json").write_text("{}")

    assert verify(shop / "answer.json", now) == 1
    assert "answer.json.vp_token" in capsys.readouterr().err


def only_line(capsys: pytest.CaptureFixture[str]) -> str:
    """Give the one line of trouble; nothing is called accepted or refused."""
    told = capsys.readouterr()
    assert told.out == ""
    (line,) = told.err.splitlines()
    return line


def test_a_file_that_is_not_there_is_said_in_one_line(
    shop: Path, now: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(shop / "nothing.json", now) == 1
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
    settings = {**SETTINGS, "loopback_routes_unsafely": {ISSUER: route}}
    (saved.parent / "shop.json").write_text(json.dumps(settings))

    assert verify(saved, now) == 1
    assert "expected" in only_line(capsys)
    assert verify(saved, now, "--json") == 1
    assert "expected" in only_line(capsys)


@pytest.mark.loopback
def test_a_database_that_another_program_holds_is_said_in_one_line(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sql, "BUSY_TIMEOUT_MS", 1)
    with sql.changing_schema(shop / "counter.sqlite3") as connection:
        MIGRATIONS.upgrade(connection)
        assert cli.main(["serve", str(shop)]) == 3

    assert "database" in only_line(capsys)


def test_settings_say_who_is_trusted_for_which_preset(shop: Path) -> None:
    settings = read_shop_file(shop)

    assert settings.vcts_by_issuer() == {ISSUER: frozenset({WARRANTY_TYPE})}
    assert [(preset.name, preset.vcts) for preset in settings.presets()] == [
        ("warranty", (WARRANTY_TYPE,))
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": 1},
        {"trusts": []},
        {"trusts": {ISSUER: []}},
        {"trusts": {ISSUER: {"anything": []}}},
        {"trusts": {ISSUER: {"warranty": WARRANTY_TYPE}}},
        {"trust": {}},
        {"loopback_routes_unsafely": []},
    ],
    ids=str,
)
def test_wrong_settings_are_named(changes: dict[str, object]) -> None:
    with pytest.raises(Malformed) as malformed:
        parse_shop_file(json.dumps({**SETTINGS, **changes}).encode())

    assert malformed.value.where.startswith("shop.json")


def test_a_folder_without_settings_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(Malformed):
        read_shop_file(tmp_path)
