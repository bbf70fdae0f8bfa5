"""The bearer key and the file it lives in."""

from pathlib import Path

import pytest
from counterfoil_credentials.errors import Malformed, Misuse
from counterfoil_service.access import BearerKey, load_or_create_key
from counterfoil_service.errors import install_error_handlers
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient

KEY = "correct-horse-battery-staple"


@pytest.fixture
def client() -> TestClient:
    app = FastAPI()
    install_error_handlers(app)

    @app.get("/orders", dependencies=[Depends(BearerKey(KEY))])
    def orders() -> list[str]:
        return ["1001"]

    return TestClient(app)


def test_lets_the_holder_of_the_key_pass(client: TestClient) -> None:
    answer = client.get("/orders", headers={"Authorization": f"Bearer {KEY}"})

    assert (answer.status_code, answer.json()) == (200, ["1001"])


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        KEY,
        "Bearer",
        "Bearer ",
        f"Basic {KEY}",
        f"Bearer {KEY[:-1]}",
        f"Bearer {KEY}e",
        f"Bearer {KEY.upper()}",
        f"Bearer {KEY} {KEY}",
        "Bearer ÿþ",
    ],
)
def test_refuses_whoever_has_not_exactly_the_key(client: TestClient, header: str | None) -> None:
    headers = {} if header is None else {b"Authorization": header.encode()}

    answer = client.get("/orders", headers=headers)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"] == "invalid_token"
    assert KEY not in answer.text


def test_refuses_to_guard_with_an_empty_key() -> None:
    with pytest.raises(Misuse):
        BearerKey("")


def test_makes_a_key_that_only_its_owner_reads_and_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "data" / "back-office.key"

    first = load_or_create_key(path)

    assert load_or_create_key(path) == first
    assert len(first) == 43
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["back-office.key"]


def test_makes_another_key_for_another_service(tmp_path: Path) -> None:
    assert load_or_create_key(tmp_path / "a.key") != load_or_create_key(tmp_path / "b.key")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_refuses_a_key_file_that_others_may_read(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "back-office.key"
    load_or_create_key(path)
    path.chmod(mode)

    with pytest.raises(Misuse, match="expected mode 0600"):
        load_or_create_key(path)


def test_refuses_an_empty_key_file(tmp_path: Path) -> None:
    path = tmp_path / "back-office.key"
    path.touch(mode=0o600)

    with pytest.raises(Malformed):
        load_or_create_key(path)
