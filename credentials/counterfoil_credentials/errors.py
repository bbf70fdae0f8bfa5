"""The four ways things go wrong, told apart by what the caller can do.

    CounterfoilError
    ├── Malformed      the bytes are not what they claim     the sender must change
    ├── Refused        well formed, not acceptable           show the reasons
    ├── Unavailable    could not find out                    try later; never counts as yes
    └── Misuse         our own caller broke the contract     fix the program

No message holds a claim value, a key, a salt, a token or a personal datum: the
texts describe kinds and places, and quote only what both sides know anyway.
"""

from dataclasses import dataclass

_LONGEST_QUOTE = 120


class CounterfoilError(Exception):
    """Every error that this project raises on purpose."""


class Malformed(CounterfoilError):
    """The bytes are not what they claim to be: the sender must change."""

    def __init__(self, expected: str, found: str, where: str) -> None:
        """Say what was expected, what was found, and where (a path such as `kb_jwt.aud`)."""
        self.expected = expected
        self.found = _short(found)
        self.where = _short(where)
        super().__init__(f"expected {expected}, found {self.found} ({self.where})")


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason for a refusal: a stable `code` for programs, the rest for people."""

    code: str
    expected: str
    found: str
    where: str

    def __str__(self) -> str:
        """Give the sentence that a person reads."""
        return f"expected {self.expected}, found {_short(self.found)} ({_short(self.where)})"


class Refused(CounterfoilError):
    """Well formed, and not acceptable. `reasons` holds every one that was found."""

    def __init__(self, *reasons: Reason) -> None:
        """Refuse for at least one reason."""
        if not reasons:
            raise Misuse("expected at least one reason for a refusal, found none")
        self.reasons = reasons
        super().__init__("; ".join(str(reason) for reason in reasons))

    @property
    def codes(self) -> list[str]:
        """Give the reasons' codes, in the order in which they were found."""
        return [reason.code for reason in self.reasons]


class Unavailable(CounterfoilError):
    """Could not find out. Never a yes, and never a no."""

    def __init__(self, what: str) -> None:
        """Say `what` could not be found out."""
        self.what = what
        super().__init__(what)


class Misuse(CounterfoilError):
    """Our own caller broke the contract: fix the program."""


def _short(text: str) -> str:
    # One line, whatever was sent: a line end, a terminal's escape or a change of
    # direction would let a stranger write into the log, so it is shown spelled out.
    quote = text[: _LONGEST_QUOTE + 1]
    if not quote.isprintable():
        quote = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in quote)
    return quote if len(quote) <= _LONGEST_QUOTE else quote[: _LONGEST_QUOTE - 1] + "…"
