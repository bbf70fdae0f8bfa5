"""The search behind the closing table must find what is there, however it lies there."""

import secrets
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from counterfoil_demo.holdings import facts_found

FACTS = {"name": ["Lin Xia"], "product": ["Auricle One, black"]}


LAYS: dict[str, Callable[[str], bytes]] = {
    "plain": lambda text: text.encode(),
    "utf-16": lambda text: text.encode("utf-16-le"),
    "base64": lambda text: b64encode(text.encode()),
    "base64url": lambda text: urlsafe_b64encode(text.encode()).rstrip(b"="),
}


@pytest.mark.parametrize("before", ["", "1", "12", "123"])
@pytest.mark.parametrize("lay", LAYS)
def test_finds_a_fact_however_it_lies_in_a_file(tmp_path: Path, lay: str, before: str) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "log").write_bytes(
        b"\x00\xff" + LAYS[lay](f'{before}["s","Lin Xia"]') + b"\x00"
    )

    assert facts_found(tmp_path, FACTS) == ["name"]


def test_finds_a_fact_that_lies_across_a_boundary(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * (1024 * 1024 - 3) + b"Lin Xia")

    assert facts_found(tmp_path, FACTS) == ["name"]


def test_finds_nothing_in_noise_and_no_empty_fact(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(secrets.token_bytes(300_000))

    assert facts_found(tmp_path, {**FACTS, "email": [""], "order": []}) == []
