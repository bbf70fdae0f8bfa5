"""Several brands in one service: the path says whose a request is, and nothing crosses."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Malformed, Misuse
from counterfoil_issuer.brands import brand_folders, brands_app
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient


def echo(name: str, lives: list[str]) -> Starlette:
    async def tell(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"{name} {request.url.path}")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None, None]:
        lives.append(f"{name} begins")
        yield
        lives.append(f"{name} ends")

    return Starlette(routes=[Route("/{rest:path}", tell)], lifespan=lifespan)


@pytest.mark.parametrize(
    ("path", "brand"),
    [
        ("/audio", "audio"),
        ("/audio/token", "audio"),
        ("/chairs/back-office/orders", "chairs"),
        ("/.well-known/openid-credential-issuer/audio", "audio"),
        ("/.well-known/jwt-vc-issuer/chairs", "chairs"),
    ],
)
def test_the_path_says_which_brand_answers(path: str, brand: str) -> None:
    apps = {f"/{name}": echo(name, []) for name in ("audio", "chairs")}
    with TestClient(brands_app(apps)) as client:
        assert client.get(path).text == f"{brand} {path}"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/token",
        "/audiophile/token",
        "/audi",
        "/AUDIO/token",
        "/.well-known/openid-credential-issuer",
        "/.well-known/openid-credential-issuer/audiophile",
        "/.well-known/a/.well-known/b/audio",
        "//audio",
    ],
)
def test_a_path_that_names_no_brand_is_nobodys(path: str) -> None:
    with TestClient(brands_app({"/audio": echo("audio", [])})) as client:
        assert client.get(path).status_code == 404


def test_each_brand_begins_and_ends_with_the_service() -> None:
    lives: list[str] = []
    apps = {f"/{name}": echo(name, lives) for name in ("audio", "chairs")}
    with TestClient(brands_app(apps)):
        assert lives == ["audio begins", "chairs begins"]
    assert lives[2:] == ["chairs ends", "audio ends"]


@pytest.mark.parametrize("path", ["/audio/black", "", "/", "audio", "/audio/"])
def test_brands_stand_side_by_side(path: str) -> None:
    with pytest.raises(Misuse):
        brands_app({"/audio": echo("audio", []), path: echo("other", [])})


def test_the_folders_below_brands_are_the_brands(tmp_path: Path) -> None:
    assert brand_folders(tmp_path) == {}
    for name in ("chairs", "audio"):
        (tmp_path / "brands" / name).mkdir(parents=True)
    (tmp_path / "brands" / "note.txt").write_text("not a brand")

    assert [*brand_folders(tmp_path)] == ["audio", "chairs"]
    (tmp_path / "brands" / "Ünlaut").mkdir()
    with pytest.raises(Malformed, match="brands"):
        brand_folders(tmp_path)
