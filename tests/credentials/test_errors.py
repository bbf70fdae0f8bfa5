"""The text of an error: one bounded line, whatever a stranger put into a name."""

import pytest
from counterfoil_credentials.errors import CounterfoilError, Malformed, Reason, Refused

SPELLED = {
    "a\nb": r"a\nb",
    "a\x1b[2Jb": r"a\x1b[2Jb",
    "a\0b": r"a\x00b",
    "a\u202eb": r"a\u202eb",
    "a\u2028b": r"a\u2028b",
    "a\ud800b": r"a\ud800b",
    "a\U000e0001b": r"a\U000e0001b",
}


def errors(name: str) -> list[CounterfoilError]:
    return [
        Malformed("another", name, "here"),
        Malformed("another", "this", name),
        Refused(Reason("a-code", "another", name, "here")),
        Refused(Reason("a-code", "another", "this", name)),
    ]


@pytest.mark.parametrize(("name", "spelled"), SPELLED.items(), ids=ascii)
def test_what_does_not_print_is_spelled_out(name: str, spelled: str) -> None:
    for error in errors(name):
        assert str(error).isprintable()
        assert spelled in str(error)


@pytest.mark.parametrize("name", ["item.serial", "地址", "naïve name", r"a\nb", "\U0001f600"])
def test_what_prints_is_told_as_it_came(name: str) -> None:
    for error in errors(name):
        assert name in str(error)


@pytest.mark.parametrize("character", ["x", "\n", "\U000e0001"], ids=ascii)
def test_a_long_text_is_cut_after_it_was_spelled_out(character: str) -> None:
    for error in errors(character * 1_000_000):
        assert len(str(error)) < 160
        assert "…" in str(error)


def test_the_longest_quote_is_told_whole() -> None:
    for error in errors("x" * 120):
        assert "x" * 120 in str(error)
    for error in errors("x" * 121):
        assert "x" * 119 + "…" in str(error)


def test_the_parts_of_a_malformed_are_as_safe_as_its_text() -> None:
    error = Malformed("another", "\n", "\u202e")

    assert (error.found, error.where) == (r"\n", r"\u202e")
