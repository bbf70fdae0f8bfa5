"""What is demanded of every answer to a stranger's bytes.

A parser gives a value or raises `Malformed`, `Refused` or `Unavailable`. `Misuse`
would blame our own caller for what a stranger sent, so it counts as a crash, and
so does any other exception. The text says what was expected, what was found and
where, fits a log line, and repeats nothing that the input says about a person:
the seeds carry `MARKER` as a claim value and as a salt, and it must not come back.
"""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Final, cast

from counterfoil_credentials.errors import CounterfoilError, Malformed, Refused, Unavailable

MARKER: Final = "Zq7xMarkerZq7x"
_LONGEST_REASON: Final = 1_000


def _spellings(marker: bytes) -> Generator[str]:
    """Give the marker as it is and in base64url, wherever in a text it may stand."""
    yield marker.decode()
    for before in range(3):
        encoded = urlsafe_b64encode(bytes(before) + marker).decode()
        # The first and the last character may carry bits of a neighbour.
        yield encoded[-(-before * 8 // 6) : (before + len(marker)) * 8 // 6]


_MARKERS: Final = tuple(_spellings(MARKER.encode()))


@contextmanager
def judged(*given: bytes | str) -> Generator[None]:
    """Run the block on the stranger's texts `given`; our errors end it, all others pass through."""
    try:
        yield
    except CounterfoilError as error:
        require_good(error, given)


def require_good(error: CounterfoilError, given: Iterable[bytes | str]) -> None:
    """Raise `AssertionError` when the error is not one that we may show and log."""
    match error:
        case Malformed():
            parts = [(error.expected, error.found, error.where)]
        case Refused():
            parts = [(reason.expected, reason.found, reason.where) for reason in error.reasons]
            assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code) for code in error.codes)
        case Unavailable():
            parts = []
            assert re.match("expected .+, found .+", str(error)), "expected what was found"
        case _:
            raise AssertionError("expected an error about the input") from error
    for expected, found, where in parts:
        assert expected, "expected to say what was expected"
        assert found, "expected to say what was found"
        assert where, "expected to say where"
    text = str(error)
    assert text.startswith("expected ")
    assert len(text) <= _LONGEST_REASON * max(1, len(parts)), "expected a short text"
    text.encode("utf-8")  # Half a surrogate pair would break the log that it is written to.
    assert text.isprintable(), "expected one printable line"
    for said in _chain(error):
        if any(marker in said for marker in _MARKERS) and not _is_a_name(given):
            raise AssertionError("expected no value of the input in an error") from error


def _chain(error: BaseException | None) -> Generator[str]:
    """Give what a traceback of `error` says: a context that `from None` hides is not in it."""
    while error is not None:
        yield str(error)
        context = None if error.__suppress_context__ else error.__context__
        error = error.__cause__ or context


def _is_a_name(given: Iterable[bytes | str]) -> bool:
    """Whether a mutation made the marker a claim's name: names may be said, they are places."""
    names: list[str] = []

    def note(pairs: list[tuple[str, object]]) -> dict[str, object]:
        names.extend(name for name, _ in pairs)
        return dict(pairs)

    for text in given:
        raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        for piece in re.split(rb"[\n.~#&=:]", raw):
            for candidate in (raw, piece, _decoded(piece)):
                try:
                    value = cast("object", json.loads(candidate, object_pairs_hook=note))
                except (ValueError, RecursionError):
                    continue
                if isinstance(value, list):
                    names.extend(str(element) for element in cast("list[object]", value)[1:2])
    return any(MARKER in name for name in names)


def _decoded(text: bytes) -> bytes:
    try:
        return urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except ValueError:
        return b""
