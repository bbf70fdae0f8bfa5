"""The port through which a brand says who the customer is.

    url = login.begin(attempt, now=now)       # where the browser goes
    subject = login.finish(attempt, query, now=now)    # what it came back with

An attempt's secrets follow from the browser's own secret (its cookie), so nothing
about an attempt is written down, and an answer in another browser proves nothing.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.errors import Reason, Refused

LOGIN_FAILED: Final = "login-failed"
_MOST_CHARACTERS: Final = 255


@dataclass(frozen=True, slots=True)
class Subject:
    """A customer who has logged in.

    `names` are those under which a dataset may be fetched: the brand's own customer
    id, and a verified e-mail address in lower case. `label` is shown to them alone.
    """

    names: tuple[str, ...] = field(repr=False)
    label: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginAttempt:
    """One login of one browser. The texts are 43 characters of base64url each."""

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    code_verifier: str = field(repr=False)
    callback: str
    language: str


class Login(Protocol):
    """How customers of a brand log in."""

    def begin(self, attempt: LoginAttempt, *, now: datetime) -> str:
        """Give the URL of the page where the customer logs in.

        It leads back to `attempt.callback` with `state`. Raises `Unavailable` when the
        brand's login cannot be reached.
        """
        ...

    def finish(self, attempt: LoginAttempt, query: Mapping[str, str], *, now: datetime) -> Subject:
        """Give the customer that the query of the callback proves.

        Raises `Refused` with `login-failed`, `Malformed` for no such answer, and
        `Unavailable`. The caller has compared `state`.
        """
        ...


def attempt_of(key: bytes, visit: str, *, callback: str, language: str) -> LoginAttempt:
    """Give the attempt that belongs to a browser's secret `visit`."""

    def text(label: bytes) -> str:
        return b64url(hmac.digest(key, label + b"\x00" + visit.encode(), "sha256"))

    return LoginAttempt(
        state=text(b"login-state"),
        nonce=text(b"login-nonce"),
        code_verifier=text(b"login-verifier"),
        callback=callback,
        language=language,
    )


def subject_named(customer_id: str, *, verified_email: str | None, label: str) -> Subject:
    """Give the customer of that id. A text that is no name for anybody gives no name.

    An id that reads as an e-mail address counts only where the address is verified:
    nobody gets another's data by choosing an id.
    """
    email = None if verified_email is None else verified_email.strip().lower()
    names = {
        name: None
        for name in (customer_id, email)
        if name and len(name) <= _MOST_CHARACTERS and ("@" not in name or name == email)
    }
    return Subject(tuple(names), label[:_MOST_CHARACTERS])


def login_failed(expected: str, found: str, where: str) -> Refused:
    """Give the refusal of an answer that proves nobody."""
    return Refused(Reason(LOGIN_FAILED, expected, found, where))
