"""What was shown is nowhere: not in the database, its log, temporary files, logs or tracebacks.

A real service is shown planted values, well and badly, logs at every level, crashes over
them and is killed; then everything that is left is looked through, for each spelling.
"""

import json
import threading
import time
import zipfile
from collections import Counter as Tally
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import psycopg
import pytest
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.key_binding import bind
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.qr_frames import frames
from counterfoil_credentials.requests import PresentationRequest
from counterfoil_credentials.sdjwt import SdJwt, disclose
from counterfoil_verifier import cli
from counterfoil_verifier.shop_folder import ShopFolder

from tests.verifier.kills import (
    ServingBrand,
    connected,
    fetched,
    sent,
    serving_brand,
    shop_at,
    warranty_of,
)
from tests.verifier.leaks import as_it_is_written, files_of, scan, spelled
from tests.verifier.running import Worker, forking
from tests.verifier.scene import ASKED, INDEX, answer_form

ROUNDS: Final = 100
MANY: Final = 1_000
NAME: Final = "Planted Möbius 商 \N{WATCH}"
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
_HERE: Final = "tests.verifier.leaks"

pytestmark = [pytest.mark.loopback, pytest.mark.once]


def test_a_value_is_found_in_every_spelling(tmp_path: Path) -> None:
    for number, spelling in enumerate(spelled(NAME)):
        (tmp_path / f"{number}.log").write_bytes(b"before" + spelling + b"after")

    found = {line.split(": ")[0] for line in scan([tmp_path], spelled(NAME))}

    assert len(found) == len(spelled(NAME)) > 30


def test_a_value_is_found_in_what_is_packed(tmp_path: Path) -> None:
    *several, last = frames(f"{NAME} {' '.join(spelled(NAME)[0].hex() for _ in range(20))}")
    assert several == []
    assert last.startswith("CFQ1:")
    (tmp_path / "log").write_text(f"a line with {last} in it")
    with zipfile.ZipFile(tmp_path / "kept.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("list", NAME * 20)

    found = {Path(line.split(": ")[0]).name for line in scan([tmp_path], spelled(NAME))}

    assert found == {"log", "kept.zip"}


@pytest.mark.parametrize("size", [40, 9_000])
def test_a_value_is_found_in_the_files_of_a_server(postgres_url: str, size: int) -> None:
    planted = f"PLANTED AND ERASED {size} "
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (what text)")
        as_it_is_written(postgres_url)
        connection.execute("INSERT INTO kept VALUES (%s)", (planted.ljust(size, "x"),))
        connection.execute("DELETE FROM kept")

    found = {line.split(": ")[0] for line in scan(files_of(postgres_url), [planted.encode()])}

    # In the table's file, or that of its long values, and in the write-ahead log.
    assert {Path(file).parent.name for file in found} >= {"pg_wal"}
    assert any("/base/" in file for file in found)


@dataclass
class Shown:
    """A customer with planted values, who shows them in every way that there is."""

    brand: ServingBrand
    url: str
    key: str
    serial: str
    holder: MemorySigner = field(default_factory=MemorySigner.generate)
    carriers: list[str] = field(default_factory=list[str])
    """The texts that carried the values, in which no scan would find them."""
    ends: Tally[str] = field(default_factory=Tally[str])

    def __post_init__(self) -> None:
        item: JsonObject = {"name": NAME, "gtin": "4006381333931", "serial": self.serial}
        made = [
            warranty_of(self.brand, self.url, self.holder, index, item=item, buyer={"name": NAME})
            for index in (INDEX, INDEX + 1)
        ]
        self.good, self.revoked = made
        self.brand.listed[INDEX + 1] = 1

    def present(self, credential: SdJwt, audience: str, nonce: str) -> str:
        return bind(
            disclose(credential, ASKED),
            signer=self.holder,
            audience=audience,
            nonce=nonce,
            now=datetime.now(UTC),
        )

    def wanted(self) -> list[bytes]:
        """Give what to look for."""
        spellings = [each for value in (self.serial, NAME) for each in spelled(value)]
        # A part of each token and code, from its middle: the ends may be cut off.
        carried = {text[len(text) // 2 :][:48].encode() for text in self.carriers}
        disclosed = {part.encode() for part in str(self.good).split("~")[1:] if part}
        return [*spellings, *carried, *disclosed]

    def round(self, line: HTTPConnection, number: int) -> None:
        """Show the values once, in one of ten ways."""
        asked = sent(line, "POST", "/counter/requests", self.key, {"preset": "warranty"})
        request = fetched(line, asked["link"])
        way = number % 10
        credential = self.revoked if way == 2 else self.good
        audience = "decentralized_identifier:did:web:other.example" if way == 4 else None
        text = self.present(credential, audience or request.client_id, request.nonce)
        if number < 20:
            self.carriers.append(text)
        match way:
            case 3:
                self.answer(line, request, text.replace(".", "A.", 1))
            case 5:
                shown = urlencode(answer_form({"warranty": (text,)}, request))
                self.scan(line, f"/counter/requests/{asked['id']}/codes", shown)
            case 6:
                text = self.present(credential, "warranty", f"nonce of {asked['id']}")
                self.scan(line, "/counter/shown", text, preset="warranty")
            case 7:
                body = {"id": asked["id"], "presentation": text}
                self.note(sent(line, "POST", "/counter/check", self.key, body))
            case 8 if number % 50 == 8:
                self.misplace(line, request, text)
            case 9:
                said = {"error": NAME, "error_description": self.serial, "state": request.state}
                self.post(line, request.response_uri, {**said, "x": text})
            case _:
                self.answer(line, request, text)
        # Some are never looked at: what is held of them waits for the broom.
        if way not in (1, 5, 6, 7):
            self.note(sent(line, "GET", f"/counter/requests/{asked['id']}", self.key))

    def answer(self, line: HTTPConnection, request: PresentationRequest, text: str) -> None:
        self.post(line, request.response_uri, answer_form({"warranty": (text,)}, request))

    def post(self, line: HTTPConnection, url: str, form: Mapping[str, str | None]) -> int:
        fields = urlencode({name: value for name, value in form.items() if value is not None})
        line.request("POST", urlsplit(url).path, fields, _FORM)
        response = line.getresponse()
        response.read()
        self.ends[f"HTTP {response.status}"] += 1
        return response.status

    def scan(self, line: HTTPConnection, path: str, text: str, **more: str) -> None:
        codes = frames(text)
        self.carriers += codes
        found = [sent(line, "POST", path, self.key, {**more, "code": code}) for code in codes]
        self.note(found[-1]["look"])

    def misplace(self, line: HTTPConnection, request: PresentationRequest, text: str) -> None:
        """Send the values where they do not belong."""
        path, state = urlsplit(request.response_uri).path, request.state or ""
        place = quote(f"{self.serial} {NAME}")
        as_json = {**_FORM, "Content-Type": "application/json"}
        key = {"Authorization": f"Bearer {self.key}"}
        vp_token = json.dumps({self.serial: [text, NAME]})
        forms: list[Mapping[str, str]] = [
            {"vp_token": vp_token, "state": state},
            {"vp_token": NAME, "state": self.serial},
            {"response": f"{self.serial}.{text}", "state": NAME},
            {self.serial: NAME},
        ]
        for form in forms:
            self.post(line, request.response_uri, form)
        self.post(
            line, request.response_uri.replace("/responses/", "/requests/"), {"wallet_nonce": NAME}
        )
        wrong: list[tuple[str, str, str | None, dict[str, str]]] = [
            ("GET", f"/requests/{place}", None, {}),
            ("GET", f"{path}?{place}={place}", None, {"X-Name": self.serial, "Cookie": place}),
            ("POST", f"/responses/{place}", place, _FORM),
            ("POST", path, vp_token, as_json),
            ("POST", path, f"state={self.serial}&state={place}", _FORM),
            ("POST", path, f"vp_token={place * 9_000}", _FORM),
            ("POST", f"/requests/{place}", f"wallet_metadata={place}", _FORM),
            (self.serial[:7], "/", None, {}),
            ("GET", f"/counter/requests/{place}?code={place}", None, key),
            ("POST", "/counter/check", vp_token, {**key, **as_json}),
            ("POST", "/counter/requests", json.dumps({"preset": NAME}), {**key, **as_json}),
            ("POST", "/counter/results", vp_token, {**key, **as_json}),
            ("POST", "/counter/webhooks", json.dumps({"url": NAME}), {**key, **as_json}),
        ]
        for method, where, body, headers in wrong:
            # A server that refuses a body unread hangs up.
            with connected(line.port) as fresh:
                fresh.request(method, where, body, headers)
                response = fresh.getresponse()
                said = response.read()
            assert 400 <= response.status < 500, (method, response.status)
            # The shop's own systems hear which member of theirs is unknown.
            is_ours = "Authorization" in headers
            assert is_ours or not any(each in said for each in spelled(self.serial))

    def note(self, look: Mapping[str, Any]) -> None:
        self.ends[str(look["light"])] += 1
        if look["light"] == "green":
            # The till sees it, once.
            assert look["facts"]["item.serial"] == self.serial


def test_after_some_verifications_nothing_of_them_is_left(
    tmp_path: Path, where: Path | str, random_bytes: Callable[[int], bytes]
) -> None:
    verify_and_scan(tmp_path, where, ROUNDS, random_bytes(8).hex())


@pytest.mark.soak
def test_after_a_thousand_verifications_nothing_of_them_is_left(
    tmp_path: Path,
    where: Path | str,
    random_bytes: Callable[[int], bytes],
    soak_count: Callable[[int], int],
) -> None:
    verify_and_scan(tmp_path, where, soak_count(MANY), random_bytes(8).hex())


def verify_and_scan(folder: Path, where: Path | str, rounds: int, mark: str) -> None:
    """Show and scan; where a server shares the sessions, answers are encrypted too."""
    with serving_brand() as (brand, url):
        hooks: JsonObject = {"loopback_webhooks_for_development_only": [url]}
        shop_at(folder / "shop", url, where, encrypted_answers=isinstance(where, str), **hooks)
        key = ShopFolder(folder / "shop").counter_key()
        shown = Shown(brand, url, key, f"PLANTED-{mark}-SERIAL")
        (folder / "temporary").mkdir()
        with forking(
            folder / "shop", folder / "log", TMPDIR=str(folder / "temporary"), PYTHONDEVMODE="1"
        ) as serving:
            worker = serving.start(f"{_HERE}:say_everything")
            if isinstance(where, str):
                as_it_is_written(where)
            with connected(worker.port) as line:
                sent(line, "POST", "/counter/webhooks", key, {"url": f"{url}/hook"})
                for number in range(rounds):
                    shown.round(line, number)
            assert cli.main(["preload", str(folder / "shop"), "--json"]) == 0
            crashing = serving.start(f"{_HERE}:crash")
            with connected(crashing.port) as line:
                asked = sent(line, "POST", "/counter/requests", key, {"preset": "warranty"})
                request = fetched(line, asked["link"])
                text = shown.present(shown.good, request.client_id, request.nonce)
                shown.answer(line, request, text)
            heard_of_all(brand, shown)
            cut_off(shown, worker, lambda: serving.kill(worker, crashing))
            left = look_through(folder, where, shown)
            # Who comes after the kill finds, and leaves, no more.
            again = serving.start(f"{_HERE}:say_everything")
            with connected(again.port) as line:
                shown.round(line, 0)
                line.request("GET", "/metrics", headers={"Authorization": f"Bearer {key}"})
                (folder / "metrics").write_bytes(line.getresponse().read())
    (folder / "told").write_bytes(b"\n".join(brand.told))
    look_through(folder, where, shown)

    assert shown.ends["green"] > rounds / 3
    assert shown.ends["red"] > rounds / 5
    assert shown.ends["HTTP 500"] == 1
    if not isinstance(where, str):
        assert any(name.endswith("-wal") for name in left), left
    logged = (folder / "log").read_text()
    for event in ('"level":"debug"', '"error":"RuntimeError"', '"event":"answer"', "malformed"):
        assert event in logged, event
    assert "counterfoil_answers" in (folder / "metrics").read_text()


def heard_of_all(brand: ServingBrand, shown: Shown) -> None:
    """Wait until webhooks have told of as many verdicts as were seen."""
    until = time.monotonic() + 60
    while len(brand.told) < shown.ends["green"] + shown.ends["red"]:
        assert time.monotonic() < until
        time.sleep(0.05)


def cut_off(shown: Shown, worker: Worker, kill: Callable[[], None]) -> None:
    """Kill while answers are under way."""
    stopped: list[Exception] = []

    def go_on() -> None:
        try:
            with connected(worker.port) as line:
                for number in range(10_000):
                    shown.round(line, 10 * number)
        except (ConnectionError, HTTPException) as error:
            stopped.append(error)

    thread = threading.Thread(target=go_on)
    thread.start()
    time.sleep(0.1)
    kill()
    thread.join()
    assert stopped


def look_through(folder: Path, where: Path | str, shown: Shown) -> list[str]:
    """Find nothing in what is left; give the names of the shop's files."""
    folders = [folder, *(files_of(where) if isinstance(where, str) else [])]
    assert scan(folders, shown.wanted()) == []
    return [file.name for file in (folder / "shop").rglob("*")]
