"""What a terminal shows: a bar where there is one, and a code that a camera reads."""

import io

import segno
from counterfoil_service.terminal import Bar, qr_code

LINK = "openid-credential-offer://?credential_offer_uri=https%3A%2F%2Faudio.example%2Foffers%2Fx"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_code_shows_every_module_of_the_link() -> None:
    upper = {"█": False, "▀": False, "▄": True, " ": True}
    lower = {"█": False, "▀": True, "▄": False, " ": True}
    drawn: list[list[bool]] = []
    for line in qr_code(LINK).splitlines():
        drawn += [[upper[block] for block in line], [lower[block] for block in line]]

    expected = [
        [bool(dot) for dot in row] for row in segno.make(LINK, error="l").matrix_iter(border=2)
    ]
    assert drawn[: len(expected)] == expected
    assert not any(any(row) for row in drawn[len(expected) :])


def test_a_bar_fills_up_on_a_terminal() -> None:
    terminal = Terminal()
    bar = Bar("orders", 10_000, terminal)
    for done in (0, 5_000, 10_000):
        bar.show(done)
    bar.end()
    first, half, whole = terminal.getvalue().split("\r")[1:]

    assert (first.count("█"), half.count("█"), whole.count("█")) == (0, 20, 40)
    assert "5,000 of 10,000" in half
    assert whole.endswith("10,000 of 10,000\n")


def test_a_file_gets_no_bar() -> None:
    file = io.StringIO()
    bar = Bar("orders", 10, file)
    bar.show(5)
    bar.end()

    assert file.getvalue() == ""
