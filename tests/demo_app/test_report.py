"""What the demo prints fits the terminal that it prints to."""

import string

import pytest
from counterfoil_demo.report import columns_of, wrapped
from counterfoil_demo.words import LANGUAGES, SENTENCES

LONG = "One tap: 商品名称、付款时间（nonce-mismatch）。 " * 6


@pytest.mark.parametrize("width", [40, 75, 95])
@pytest.mark.parametrize("text", [LONG, *(s["zh"] for s in SENTENCES.values())])
def test_wraps_to_the_terminal_and_loses_nothing(text: str, width: int) -> None:
    lines = wrapped(text, width)

    # A sign that closes stays with what it closes, and may stand one column out.
    assert all(columns_of(line.rstrip()) <= width + 2 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_leaves_a_text_whole_where_there_is_no_terminal() -> None:
    assert wrapped(LONG, None) == [LONG]


@pytest.mark.parametrize("key", SENTENCES)
def test_every_sentence_is_there_in_every_language_with_the_same_facts(key: str) -> None:

    facts = [
        {name for _, name, _, _ in string.Formatter().parse(SENTENCES[key][language]) if name}
        for language in LANGUAGES
    ]

    assert all(SENTENCES[key][language] for language in LANGUAGES)
    assert facts[0] == facts[1]
