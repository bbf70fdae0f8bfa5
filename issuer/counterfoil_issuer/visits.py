"""A browser on its way from a wallet's request to an answer: its cookie holds all of it.

    visit = open_visit(request, language=language, now=now, random=random)
    cookie = to_cookie(visit, seal, random)
    visit = visit_in(cookie, seal, now)                  the browser again
    visit = logged_in(visit, subject)                    the brand says who came

Whoever opens the authorization endpoint is a stranger, and strangers come without end:
nothing about them is kept here. The cookie is sealed, so the browser neither reads nor
changes it, and it is over after ten minutes. What counts once, the answer to the wallet,
is written down when it is given (`authorizing.py`).
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from counterfoil_credentials.encoding import (
    b64url,
    compact_json,
    int_at,
    object_at,
    optional_text_at,
    parse_object,
    text_at,
    texts_at,
)
from counterfoil_credentials.errors import Malformed, Reason, Refused

from counterfoil_issuer.authorization_request import AuthorizationRequest
from counterfoil_issuer.login import Subject, login_failed
from counterfoil_issuer.records import SECRET_BYTES, Random, SecretHash, secret_hash

VISIT_LASTS: Final = timedelta(minutes=10)
VISIT_OVER: Final = "visit-over"
SEAL_NONCE_BYTES: Final = 12
# Browsers keep 4,096 bytes of a cookie: its name, its value and what is said of it.
_LONGEST_COOKIE: Final = 4_000
_PLACE: Final = "visit"


class Sealing(Protocol):
    """Shuts what strangers carry: nobody else opens, changes or moves it."""

    def shut(self, value: bytes, *, place: str, nonce: bytes) -> str:
        """Give the sealed text of `value` in base64url; `nonce` is 12 new random bytes."""
        ...

    def open(self, sealed: str, *, place: str) -> bytes:
        """Give the value again; `Malformed` for any other text, and in another `place`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A browser's way to one answer; `subject` is there after the login.

    `secret` is what its login and its page are bound to. `answer_hash` is spent with
    the answer; visits that began with one pushed request share it.
    """

    secret: str = field(repr=False)
    answer_hash: SecretHash = field(repr=False)
    request: AuthorizationRequest
    language: str
    subject: Subject | None = None
    expires_at: datetime

    @property
    def visit_id(self) -> str:
        """The visit's name in the audit log: the hash of what the browser alone has."""
        return f"visit:{secret_hash(self.secret)}"


def open_visit(
    request: AuthorizationRequest,
    *,
    language: str,
    now: datetime,
    random: Random,
    answer_hash: SecretHash | None = None,
) -> Visit:
    """Give a new visit; `answer_hash` is that of the pushed request it began with, if any."""
    secret = b64url(random(SECRET_BYTES))
    return Visit(
        secret=secret,
        answer_hash=answer_hash or secret_hash(secret),
        request=request,
        language=language,
        expires_at=now + VISIT_LASTS,
    )


def logged_in(visit: Visit, subject: Subject) -> Visit:
    """Give the visit of a customer who has logged in."""
    return replace(visit, subject=subject)


def to_cookie(visit: Visit, seal: Sealing, random: Random) -> str:
    """Give the visit as its cookie. Raises `Refused` when a customer's names do not fit."""
    subject = visit.subject
    value = compact_json(
        {
            "secret": visit.secret,
            "answer_hash": visit.answer_hash,
            "request": visit.request.to_json(),
            "language": visit.language,
            "expires_at": int(visit.expires_at.timestamp()),
            **({} if subject is None else {"names": [*subject.names], "label": subject.label}),
        }
    )
    cookie = seal.shut(value, place=_PLACE, nonce=random(SEAL_NONCE_BYTES))
    if len(cookie) > _LONGEST_COOKIE:
        raise login_failed("a customer whose names fit a cookie", "longer ones", "subject")
    return cookie


def visit_in(cookie: str | None, seal: Sealing, now: datetime) -> Visit:
    """Give the visit that a browser is on. Raises `Refused` with `visit-over`."""
    visit = None if cookie is None else _opened(cookie, seal)
    if visit is None or now >= visit.expires_at:
        found = "none" if cookie is None else "one that is over"
        raise visit_over("a visit under way in this browser", found)
    return visit


def visit_over(expected: str, found: str) -> Refused:
    """Give the refusal of a browser whose visit does not go on."""
    return Refused(Reason(VISIT_OVER, expected, found, "cookie"))


def _opened(cookie: str, seal: Sealing) -> Visit | None:
    try:
        obj = parse_object(seal.open(cookie[: _LONGEST_COOKIE + 1], place=_PLACE), _PLACE)
    except Malformed:
        return None
    label = optional_text_at(obj, "label", _PLACE)
    return Visit(
        secret=text_at(obj, "secret", _PLACE),
        answer_hash=SecretHash(text_at(obj, "answer_hash", _PLACE)),
        request=AuthorizationRequest.from_json(object_at(obj, "request", _PLACE)),
        language=text_at(obj, "language", _PLACE),
        subject=None if label is None else Subject(tuple(texts_at(obj, "names", _PLACE)), label),
        expires_at=datetime.fromtimestamp(int_at(obj, "expires_at", _PLACE), UTC),
    )
