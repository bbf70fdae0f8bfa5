"""A service's settings, from its folder and its environment."""

from pathlib import Path
from typing import Literal

import pytest
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_service.settings import Settings, read_settings
from pydantic import Field, field_validator

PREFIX = "COUNTERFOIL_SHOP_"


class Login(Settings):
    issuer: str
    audience: str = "back-office"


class Shop(Settings):
    public_url: str
    port: int = Field(default=4711, ge=1, le=65_535)
    is_open: bool = True
    database: Literal["sqlite", "postgresql"] = "sqlite"
    brands: tuple[str, ...] = ()
    login: Login | None = None

    @field_validator("public_url")
    @classmethod
    def _https(cls, url: str) -> str:
        if not url.startswith("https://"):
            text = "expected an https URL"
            raise ValueError(text)
        return url


def write(folder: Path, text: str) -> None:
    (folder / "shop.json").write_text(text, encoding="utf-8")


def read(folder: Path, **environment: str) -> Shop:
    given = {f"{PREFIX}{name}": value for name, value in environment.items()}
    return read_settings(
        Shop, folder / "shop.json", environment={"HOME": "/", **given}, prefix=PREFIX
    )


def reasons(folder: Path, **environment: str) -> list[tuple[str, str]]:
    with pytest.raises(Refused) as refusal:
        read(folder, **environment)
    assert set(refusal.value.codes) == {"setting-wrong"}
    return [(reason.where, reason.found) for reason in refusal.value.reasons]


def test_reads_the_file(tmp_path: Path) -> None:
    write(
        tmp_path,
        """{
            "public_url": "https://shop.example",
            "port": 80,
            "brands": ["a", "b"],
            "login": {"issuer": "https://login.example"}
        }""",
    )

    assert read(tmp_path) == Shop(
        public_url="https://shop.example",
        port=80,
        brands=("a", "b"),
        login=Login(issuer="https://login.example"),
    )


def test_the_environment_alone_is_enough_and_wins(tmp_path: Path) -> None:
    alone = read(
        tmp_path,
        PUBLIC_URL="https://shop.example",
        PORT="80",
        IS_OPEN="false",
        BRANDS='["a"]',
        LOGIN__ISSUER="https://login.example",
        LOGIN__AUDIENCE="shop",
    )
    assert (alone.port, alone.is_open, alone.brands) == (80, False, ("a",))
    assert alone.login == Login(issuer="https://login.example", audience="shop")

    write(tmp_path, '{"public_url":"https://old.example","port":1,"login":{"issuer":"https://o"}}')
    both = read(tmp_path, PUBLIC_URL="https://new.example", LOGIN__AUDIENCE="shop")
    assert (both.public_url, both.port) == ("https://new.example", 1)
    assert both.login == Login(issuer="https://o", audience="shop")


def test_names_every_wrong_setting_where_it_stands(tmp_path: Path) -> None:
    write(tmp_path, '{"public_url": "http://shop.example", "prot": 80, "database": "oracle"}')

    found = reasons(tmp_path, PORT="0", IS_OPEN="perhaps", BRAND="a", LOGIN__AUDIENCE="x")

    assert sorted(found) == [
        ("COUNTERFOIL_SHOP_BRAND", "another name"),
        ("COUNTERFOIL_SHOP_IS_OPEN", "another value"),
        ("COUNTERFOIL_SHOP_PORT", "another value"),
        ("shop.json: database", "another value"),
        ("shop.json: login.issuer", "none"),
        ("shop.json: prot", "another name"),
        ("shop.json: public_url", "another value"),
    ]


def test_names_a_setting_that_is_missing(tmp_path: Path) -> None:
    assert reasons(tmp_path) == [("shop.json: public_url", "none")]


@pytest.mark.parametrize("port", ["0", "65536", "80.5", "eighty", ""])
def test_a_number_out_of_its_bounds_is_refused(tmp_path: Path, port: str) -> None:
    found = reasons(tmp_path, PUBLIC_URL="https://shop.example", PORT=port)

    assert found == [("COUNTERFOIL_SHOP_PORT", "another value")]


def test_no_value_is_repeated(tmp_path: Path) -> None:
    write(tmp_path, '{"public_url": "hunter2", "port": "hunter2", "database": "hunter2"}')

    with pytest.raises(Refused) as refusal:
        read(tmp_path)

    assert len(refusal.value.reasons) == 3
    assert "hunter2" not in str(refusal.value)
    assert refusal.value.__cause__ is None


@pytest.mark.parametrize(
    "text", ['{"port": hunter2}', "", "[]", '"hunter2"', '{"a": 1, "a": 2}', '{"a": "hunter2']
)
def test_a_file_that_is_no_object_is_named_and_not_quoted(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)

    with pytest.raises(Malformed, match=r"shop\.json") as malformed:
        read(tmp_path)

    assert "hunter2" not in str(malformed.value)


def test_a_file_of_other_bytes_or_too_many_is_refused(tmp_path: Path) -> None:
    for data in (b"\xff\xfe", b'{"public_url": "https://' + b"a" * 262_144 + b'"}'):
        (tmp_path / "shop.json").write_bytes(data)
        with pytest.raises(Malformed):
            read(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"), [("BRANDS", "[1"), ("BRANDS", '{"a":1,"a":2}'), ("PUBLIC_URL__X", "1")]
)
def test_a_variable_that_cannot_be_read_is_named(tmp_path: Path, name: str, value: str) -> None:
    write(tmp_path, '{"public_url": "https://shop.example"}')

    with pytest.raises(Malformed, match=f"COUNTERFOIL_SHOP_{name}"):
        read(tmp_path, **{name: value})


def test_a_folder_in_the_file_s_place_is_misuse(tmp_path: Path) -> None:
    (tmp_path / "shop.json").mkdir()

    with pytest.raises(Misuse):
        read(tmp_path)
    with pytest.raises(Misuse):
        read_settings(Shop, tmp_path / "none.json", environment={}, prefix="SHOP")
