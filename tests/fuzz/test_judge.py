"""The judge lets no foreign exception, no blame and no leak through: what it is for."""

import pytest
from counterfoil_credentials.errors import (
    CounterfoilError,
    Malformed,
    Misuse,
    Reason,
    Refused,
    Unavailable,
)

from tests.fuzz.judge import MARKER, judged, require_good

CLAIMS = b'{"order":"%s"}' % MARKER.encode()


@pytest.mark.parametrize(
    "error",
    [
        Malformed("a text", "a number", "credential.order"),
        Refused(Reason("audience-mismatch", "this shop", "another", "kb_jwt.aud")),
        Unavailable("expected a status list, found HTTP status 500"),
    ],
)
def test_takes_an_error_about_the_input(error: CounterfoilError) -> None:
    with judged(CLAIMS):
        raise error


@pytest.mark.parametrize(
    "error",
    [
        ValueError("expected a text, found a number"),
        RecursionError(),
        Misuse("expected a key, found none"),
        Malformed("a text", "", "credential.order"),
        Malformed("a text", "a number", ""),
        Malformed("a text\nexpected nothing", "a number", "credential.order"),
        Malformed("a text\ud800", "a number", "credential.order"),
        Malformed("x" * 5_000, "a number", "credential.order"),
        Malformed("a text", MARKER, "credential.order"),
        Malformed("a text", "a number", f"credential: {MARKER}"),
        Refused(Reason("Audience mismatch", "this shop", "another", "kb_jwt.aud")),
        Refused(Reason("audience-mismatch", "this shop", MARKER, "kb_jwt.aud")),
        Unavailable("the list is away"),
    ],
)
def test_takes_nothing_else(error: Exception) -> None:
    with pytest.raises((AssertionError, ValueError, RecursionError)), judged(CLAIMS):
        raise error


def test_finds_a_value_in_the_cause_of_an_error() -> None:
    error = Malformed("a query", "another text", "offer")
    error.__cause__ = ValueError(f"bad query field: {MARKER!r}")

    with pytest.raises(AssertionError, match="no value"):
        require_good(error, [CLAIMS])


def test_finds_a_value_in_a_context_unless_no_traceback_tells_it() -> None:
    error = Malformed("a query", "another text", "offer")
    error.__context__ = ValueError(f"bad query field: {MARKER!r}")

    with pytest.raises(AssertionError, match="no value"):
        require_good(error, [CLAIMS])
    error.__cause__ = None  # As `from None` does.
    require_good(error, [CLAIMS])


@pytest.mark.parametrize("before", ["", "a", "ab"])
def test_finds_a_value_in_base64url_wherever_it_stands(before: str) -> None:
    from counterfoil_credentials.encoding import b64url

    found = b64url(f'{before}["salt","{MARKER}"]'.encode())

    with pytest.raises(AssertionError, match="no value"):
        require_good(Malformed("a disclosure", found, "sd_jwt"), [CLAIMS])


def test_lets_an_error_say_a_name_that_a_mutation_made_of_the_marker() -> None:
    with judged(b'{"%s":7}' % MARKER.encode()):
        raise Malformed("a text", "a number", f"credential.{MARKER}")
