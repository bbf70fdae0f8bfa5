"""`counterfoil verifier` at a till without a network: codes out, codes in, results later."""

import json
import random
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

import pytest
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.qr_frames import Assembler, frames
from counterfoil_credentials.request_links import ByValue, read_request_link
from counterfoil_credentials.requests import read_request
from counterfoil_verifier.receipts import receipt_codes
from counterfoil_verifier.results import parse_results

from tests.verifier import test_commands
from tests.verifier.scene import Scene, answer_form
from tests.verifier.test_commands import Desk

# The fixtures of the other commands' tests.
desk, empty, fetcher = test_commands.desk, test_commands.empty, test_commands.fetcher
CENTRAL = "https://central.example"


def asked(desk: Desk, capsys: pytest.CaptureFixture[str]) -> tuple[str, list[str]]:
    """Ask by codes, and give the id with the codes of a good wallet's answer."""
    assert desk.runs("request", "warranty", "--codes", "--json", "--till", "3") == 0
    said = json.loads(capsys.readouterr().out)
    assembler = Assembler()
    link = [assembler.add(code) for code in said["codes"]][-1]
    assert link is not None
    found = read_request_link(link)
    assert isinstance(found, ByValue)
    request = read_request(found.token, client_id=found.client_id, now=desk.clock())
    vp_token = desk.scene.present(desk.scene.warranty(), request)
    return said["id"], frames(urlencode(answer_form(vp_token, request)))


def test_a_request_and_its_answer_go_by_codes(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    session_id, codes = asked(desk, capsys)

    assert desk.runs("scan", session_id, *codes[:-1]) == 1
    assert f"expected {len(codes)} codes, found {len(codes) - 1}" in capsys.readouterr().err
    assert desk.runs("scan", session_id, *reversed(codes)) == 0
    light, title, *receipt = capsys.readouterr().out.splitlines()
    assert light == "accepted. Valid as of 2026-11-02 12:00 UTC."
    assert title == "  The customer's receipt, as QR codes:"
    assert all(code.startswith("CFQ1:") for code in receipt)
    assert desk.runs("scan", session_id, *codes, "--json") == 1
    assert "answered" in capsys.readouterr().err
    assert desk.runs("result", session_id, "--json") == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "accepted"


def test_codes_are_told_to_people_line_by_line(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert desk.runs("request", "warranty", "--codes") == 0

    *codes, last = capsys.readouterr().out.splitlines()
    assert all(code.startswith("CFQ1:") for code in codes)
    assert last.startswith("id: ")


def test_a_receipt_that_would_be_too_many_codes_is_not_shown() -> None:
    chance = random.Random(5)

    def codes(characters: int) -> tuple[str, ...]:
        return receipt_codes("".join(chance.choices("0123456789abcdef", k=characters)))

    assert len(codes(40_000)) > 30
    assert codes(65_536) == ()


def test_a_revoked_card_is_red_with_the_lists_date(
    desk: Desk, scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.brand.listed[5] = 1
    session_id, codes = asked(desk, capsys)

    assert desk.runs("scan", session_id, *codes) == 1

    told = capsys.readouterr().out
    assert told.splitlines()[0] == "refused. The brand's list is of 2026-11-02 12:00 UTC."
    assert "receipt" not in told


def test_results_are_sent_once(
    desk: Desk, fetcher: MemoryFetcher, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session_id, codes = asked(desk, capsys)
    assert desk.runs("scan", session_id, *codes) == 0
    key = tmp_path / "central.key"
    key.write_text("a key that tills carry\n")
    arguments = ("sync", "--to", CENTRAL, "--key-file", str(key), "--json")
    assert desk.runs(*arguments) == 3, "nobody there"
    had: list[bytes] = []

    def central(_: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        assert path == "/counter/results"
        assert headers["authorization"] == "Bearer a key that tills carry"
        had.append(body)
        return Response(200, "application/json", b'{"kept": 1}')

    fetcher.serve(CENTRAL, central)
    capsys.readouterr()

    assert desk.runs(*arguments) == 0
    assert json.loads(capsys.readouterr().out) == {"sent": 1}
    assert desk.runs(*arguments) == 0
    assert json.loads(capsys.readouterr().out) == {"sent": 0}
    (message,) = had
    (result,) = parse_results(message)
    assert (result.session_id, result.till) == (session_id, "3")
