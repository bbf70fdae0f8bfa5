"""What every exchange shares: URLs that may be called, answers told apart, refusals.

What a stranger names is bounded when it comes in: everything that is kept can
be read again, for the bounds of the records follow from the ones here.
"""

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final, TypeAlias, TypeVar
from urllib.parse import urlsplit

from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    list_at,
    optional_text_at,
    parse_object,
    texts_at,
)
from counterfoil_credentials.errors import CounterfoilError, Malformed, Reason, Refused, Unavailable
from counterfoil_credentials.fetch import Response
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.sdjwt_vc import time_at
from counterfoil_credentials.spec import JSON_MEDIA_TYPE, TOKEN_MEDIA_TYPE

from counterfoil_wallet.printable import shortened
from counterfoil_wallet.spec import ERROR

_Found = TypeVar("_Found")
Random: TypeAlias = Callable[[int], bytes]
Clock: TypeAlias = Callable[[], datetime]

MAX_ANSWER_BYTES: Final = 262_144
MAX_URL: Final = 2_048
MAX_IDENTIFIER: Final = 1_024
_MAX_REASONS: Final = 20
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_ERROR_CODE: Final = re.compile(r"[a-z_]{1,64}\Z")
_TRY_LATER: Final = frozenset({408, 425, 429})
_OWN_MEDIA_TYPES: Final = frozenset({"", JSON_MEDIA_TYPE, TOKEN_MEDIA_TYPE})


def refuse(code: str, expected: str, found: str, where: str) -> Refused:
    """Give the refusal with this one reason."""
    return Refused(Reason(code, expected, found, where))


def https_url(url: str, where: str) -> str:
    """Give `url` if it is https and of bounded length; http is for loopback addresses alone.

    Whether a loopback address is reached at all is the fetcher's decision.
    """
    bounded(url, where, MAX_URL)
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError as cause:
        raise Malformed("a URL", "another text", where) from cause
    if parts.scheme != "https" and not (parts.scheme == "http" and host in _LOOPBACK):
        raise refuse("url-not-https", "an https URL", "another", where)
    if not host or parts.fragment:
        raise Malformed("a URL of host and path", "another text", where)
    return url


def bounded(text: str, where: str, longest: int = MAX_IDENTIFIER) -> str:
    """Give `text` if it has at most `longest` characters."""
    if len(text) > longest:
        raise Malformed(f"at most {longest} characters", f"{len(text)}", where)
    return text


def require_known(response: Response, where: str) -> None:
    """Return only if the peer gave an answer, yes or no; a peer in trouble is `Unavailable`."""
    if response.status >= 500 or response.status in _TRY_LATER:
        raise Unavailable(f"expected an answer of the {where}, found HTTP status {response.status}")


def require_own(response: Response, where: str) -> None:
    """Return only if the issuer or its server itself gave an answer, yes or no.

    A redirect, a page, a 404 that names no error: a proxy, a portal or a server that is being
    changed says that, and nobody's credential ends for it. It is `Unavailable`.
    """
    require_known(response, where)
    is_yes = response.status < 300 and response.media_type in _OWN_MEDIA_TYPES
    is_no = response.status >= 400 and (
        _error_code(response, where) is not None or _turns_token_away(response)
    )
    if not (is_yes or is_no):
        raise Unavailable(f"expected an answer of the {where}, found HTTP status {response.status}")


def refusal_in(response: Response, where: str) -> Refused:
    """Give the refusal that the peer spoke: its error code if it gave a plain one."""
    found = _error_code(response, where) or f"HTTP status {response.status}"
    return refuse("peer-refused", f"success of the {where}", found, where)


def is_error_code(text: str) -> bool:
    """Say whether a peer's word is one of the plain ones, which may be shown."""
    return _ERROR_CODE.match(text) is not None


def peer_code(refusal: Refused) -> str:
    """Give the error code that `refusal_in` found."""
    return refusal.reasons[0].found


def body_of(response: Response, where: str) -> JsonObject:
    """Give the JSON object in an answer."""
    return parse_object(response.body, where, max_bytes=MAX_ANSWER_BYTES)


def own_answer(response: Response, where: str) -> JsonObject:
    """Give what `json_answer` does, where the answer is one (`require_own`)."""
    require_own(response, where)
    return json_answer(response, where)


def json_answer(response: Response, where: str) -> JsonObject:
    """Give the JSON object of an answer with status 200; else `Unavailable` or `Refused`."""
    require_known(response, where)
    if response.status != 200:
        raise refusal_in(response, where)
    if response.media_type not in ("", JSON_MEDIA_TYPE):
        raise Malformed(JSON_MEDIA_TYPE, "another media type", where)
    return body_of(response, where)


def _error_code(response: Response, where: str) -> str | None:
    try:
        code = optional_text_at(body_of(response, where), ERROR, where)
    except Malformed:
        return None
    return code if code is not None and is_error_code(code) else None


def _turns_token_away(response: Response) -> bool:
    """Say whether a token is asked for in our ways (RFC 6750, section 3; RFC 9449, section 7.1)."""
    asked = response.headers.get("www-authenticate", "").lower()
    return response.status in (401, 403) and asked.startswith(("bearer", "dpop"))


def or_unavailable(ask: Callable[[], _Found]) -> _Found:
    """Give the document that `ask` fetches; one that is none is `Unavailable`.

    For what the issuer publishes and is asked for again while something is under way: a
    page of a proxy in its place must not end that.
    """
    try:
        return ask()
    except Malformed as cause:
        raise Unavailable(str(cause)) from cause
    except Refused as cause:
        if cause.codes != ["media-type-not-accepted"]:
            raise
        raise Unavailable(str(cause)) from cause


def fresh_signer(random: Random) -> MemorySigner:
    """Give a signer with a fresh P-256 key out of `random`."""
    while True:
        secret = random(32)
        # All but one in 2**32 draws lie within the curve's order.
        if 0 < int.from_bytes(secret) < _P256_ORDER:
            return MemorySigner.from_private_bytes(secret)


_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def reasons_of(error: CounterfoilError) -> tuple[Reason, ...]:
    """Give an error's reasons as data, short enough to keep; a `Malformed` becomes one."""
    match error:
        case Refused():
            reasons = error.reasons[:_MAX_REASONS]
        case Malformed():
            reasons = (Reason("malformed", error.expected, error.found, error.where),)
        case _:
            reasons = (Reason("failed", "success", str(error), "wallet"),)
    return tuple(
        Reason(r.code, shortened(r.expected), shortened(r.found), shortened(r.where))
        for r in reasons
    )


def required_time_at(body: JsonObject, name: str, where: str) -> datetime:
    """Give the instant that a record must hold under `name`."""
    instant = time_at(body, name, where)
    if instant is None:
        raise Malformed("a time", "nothing", f"{where}.{name}")
    return instant


def reasons_json(reasons: Iterable[Reason]) -> list[Json]:
    """Give reasons for storage."""
    return [[r.code, r.expected, r.found, r.where] for r in reasons]


def reasons_at(obj: JsonObject, name: str, where: str) -> tuple[Reason, ...]:
    """Read stored reasons."""
    reasons: list[Reason] = []
    for listed in list_at(obj, name, where):
        texts = texts_at({name: listed}, name, where)
        if len(texts) != 4:
            raise Malformed("a reason of four texts", f"{len(texts)}", f"{where}.{name}")
        reasons.append(Reason(*texts))
    return tuple(reasons)
