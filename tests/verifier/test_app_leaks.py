"""What was shown is nowhere: not in the database, its log, temporary files, logs or tracebacks."""

import io
import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from counterfoil_credentials.encoding import Json, JsonObject, b64url, compact_json
from counterfoil_credentials.fetch import MemoryFetcher
from counterfoil_credentials.jose import encrypt_jwe
from counterfoil_service.logs import JsonFormatter
from counterfoil_service.sealing import Seal
from counterfoil_verifier import deciding
from counterfoil_verifier.operating import operated_app
from counterfoil_verifier.sql_store import SqlSessionStore
from fastapi.testclient import TestClient

from tests.conftest import Clock
from tests.verifier.scene import INDEX, Scene, warranty_claims
from tests.verifier.tills import KEY

ROUNDS: Final = 40
PLANTED: Final = "PLANTED-SERIAL-7Q"
NAME: Final = "Planted Möbius 商"


def spelled(value: str) -> list[bytes]:
    """Give the ways in which a value would lie about: plain, escaped, and in base64."""
    plain = value.encode()
    escaped = value.encode("unicode_escape")
    # A claim lies at any offset of a base64 text: three shifts, without their ragged ends.
    shifts = [b64url(b"x" * n + plain)[4:-3].encode() for n in range(3)]
    return [plain, escaped, *shifts]


def scan(folder: Path) -> list[str]:
    wanted = [each for value in (PLANTED, NAME) for each in spelled(value)]
    return [
        f"{file.name}: {each!r}"
        for file in folder.rglob("*")
        if file.is_file()
        for each in wanted
        if each in file.read_bytes()
    ]


def test_a_scan_finds_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text(f"a~{b64url(compact_json(['salt', 'serial', PLANTED]))}~b")

    assert scan(tmp_path) != []


@pytest.fixture(params=["encrypted", "in the open"])
def scene(
    request: pytest.FixtureRequest,
    clock: Clock,
    random_bytes: Callable[[int], bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Generator[Scene, None, None]:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    store = SqlSessionStore(tmp_path / "counter.sqlite3")
    scene = Scene(clock, random_bytes, store)
    if request.param == "encrypted":
        scene.shop = replace(scene.shop, seal=Seal(bytes(range(32)), "response keys"))
        scene.counter = scene.open_counter()
    yield scene
    store.close()
    assert scan(tmp_path) == []


def test_after_some_verifications_nothing_of_them_is_left(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify_and_scan(scene, tmp_path, monkeypatch, ROUNDS)


@pytest.mark.soak
def test_after_a_thousand_verifications_nothing_of_them_is_left(
    scene: Scene,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    soak_count: Callable[[int], int],
) -> None:
    verify_and_scan(scene, tmp_path, monkeypatch, soak_count(1_000))


def verify_and_scan(
    scene: Scene, folder: Path, monkeypatch: pytest.MonkeyPatch, rounds: int
) -> None:
    assert isinstance(scene.store, SqlSessionStore)
    app = operated_app(
        scene.counter,
        scene.store.database,
        secret=bytes(32),
        counter_key=KEY,
        fetcher=MemoryFetcher(),
        trust=scene.trust,
        clock=scene.clock,
    )
    with logged() as lines, TestClient(app) as http:
        statuses = [answer(scene, http, number) for number in range(rounds)]
        monkeypatch.setattr(deciding, "_facts", crash)
        with pytest.raises(RuntimeError) as crashed:
            answer(scene, http, 0)
        # As the server logs what nobody foresaw.
        logging.getLogger("uvicorn.error").error("Exception", exc_info=crashed.value)
        files = scan(folder)
        said = lines.getvalue()

    assert {*statuses} == {200, 400}
    assert files == []
    assert '"event":"answer"' in said
    assert '"error":"RuntimeError"' in said
    for value in (PLANTED, NAME):
        assert value not in said
        assert not any(each.decode("latin-1") in said for each in spelled(value))


@contextmanager
def logged() -> Generator[io.StringIO, None, None]:
    """Write all that is logged, at every level, as the service writes it."""
    lines, root = io.StringIO(), logging.getLogger()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(JsonFormatter())
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


def crash(claims: JsonObject, _: object) -> dict[str, Json]:
    raise RuntimeError(f"what nobody foresaw about {claims}")


def answer(scene: Scene, http: TestClient, number: int) -> int:
    """Present a warranty with the planted values: a good one, a revoked, a changed, another's."""
    item: JsonObject = {"name": NAME, "gtin": "4006381333931", "serial": PLANTED}
    credential = scene.warranty(claims=warranty_claims(item=item, buyer={"name": NAME}))
    scene.brand.listed[INDEX] = 1 if number % 4 == 1 else 0
    asked = scene.counter.ask("warranty")
    request_id, request = scene.fetch_request(asked)
    audience = "x509_hash:other" if number % 4 == 2 else request.client_id
    [text] = scene.present(credential, request, audience=audience)["warranty"]
    if number % 4 == 3:
        text = text.replace(".", "A.", 1)
    vp_token: JsonObject = {"warranty": [text]}
    form = {"vp_token": compact_json(vp_token).decode(), "state": request.state or ""}
    if request.encryption is not None:
        plain: JsonObject = {"vp_token": vp_token, "state": request.state}
        form = {"response": encrypt_jwe(compact_json(plain), key=request.encryption.key)}
    status = http.post(f"/responses/{request_id}", data=form).status_code
    key = {"Authorization": f"Bearer {KEY}"}
    look = http.get(f"/counter/requests/{asked.session_id}", headers=key).json()
    # The till sees it, once.
    assert (status == 200) == (look["facts"] is not None)
    return status
