"""The map of law names what is there: every test in it exists, every duty once."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

TESTS = Path(__file__).parent.parent
DOCS = TESTS.parent / "docs"
LEFT = "left to you"


class Row(NamedTuple):
    """One duty: its article, and the test that shows what is done about it."""

    law: str
    article: str
    asked: str
    here: str
    shown: str


def rows() -> list[Row]:
    found: list[Row] = []
    law = ""
    for line in (DOCS / "law.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            law = line.removeprefix("## ")
        elif line.startswith("| ") and not line.startswith(("| article", "|---")):
            found.append(Row(law, *(cell.strip() for cell in line.strip("|").split("|"))))
    return found


def test_both_laws_are_mapped_and_each_article_stands_once() -> None:
    articles = [(row.law, row.article) for row in rows()]

    assert {law for law, _ in articles} == {"GDPR", "PIPL"}
    assert len(set(articles)) == len(articles) > 35


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.law} {row.article}")
def test_each_duty_is_shown_by_a_test_or_left_to_the_operator_openly(row: Row) -> None:
    assert row.asked
    assert row.here
    if not row.shown:
        assert row.here.startswith(LEFT)
        return
    path, _, name = row.shown.strip("`").partition("::")
    source = (TESTS / path).read_text(encoding="utf-8")
    assert not name or re.search(rf"^def {name}\(", source, re.MULTILINE)


def test_the_template_asks_for_what_both_laws_want_in_an_assessment() -> None:
    text = (DOCS / "dpia.md").read_text(encoding="utf-8")

    for article in ("35(7)(a)", "35(7)(b)", "35(7)(c), (d)", "56(1)", "56(2), (3)", "35(9)"):
        assert article in text
    # Every section has something that only the receiver knows.
    assert all("`[" in section for section in text.split("\n## ")[1:])
