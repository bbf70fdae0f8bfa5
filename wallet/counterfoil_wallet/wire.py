"""What every exchange shares: URLs that may be called, answers told apart, refusals."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from counterfoil_credentials.encoding import JsonObject, optional_text_at, parse_object
from counterfoil_credentials.errors import CounterfoilError, Malformed, Reason, Refused, Unavailable
from counterfoil_credentials.fetch import Response
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.spec import JSON_MEDIA_TYPE

from counterfoil_wallet.spec import ERROR

Random: TypeAlias = Callable[[int], bytes]
Clock: TypeAlias = Callable[[], datetime]

MAX_ANSWER_BYTES: Final = 262_144
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_ERROR_CODE: Final = re.compile(r"[a-z_]{1,64}\Z")
_TRY_LATER: Final = frozenset({408, 425, 429})


def refuse(code: str, expected: str, found: str, where: str) -> Refused:
    """Give the refusal with this one reason."""
    return Refused(Reason(code, expected, found, where))


def https_url(url: str, where: str) -> str:
    """Give `url` if it is https; http is for loopback addresses alone.

    Whether a loopback address is reached at all is the fetcher's decision.
    """
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


def require_known(response: Response, where: str) -> None:
    """Return only if the peer gave an answer, yes or no; a peer in trouble is `Unavailable`."""
    if response.status >= 500 or response.status in _TRY_LATER:
        raise Unavailable(f"expected an answer of the {where}, found HTTP status {response.status}")


def refusal_in(response: Response, where: str) -> Refused:
    """Give the refusal that the peer spoke: its error code if it gave a plain one."""
    found = f"HTTP status {response.status}"
    try:
        code = optional_text_at(body_of(response, where), ERROR, where)
    except Malformed:
        code = None
    if code is not None and _ERROR_CODE.match(code):
        found = code
    return refuse("peer-refused", f"success of the {where}", found, where)


def peer_code(refusal: Refused) -> str:
    """Give the error code that `refusal_in` found."""
    return refusal.reasons[0].found


def body_of(response: Response, where: str) -> JsonObject:
    """Give the JSON object in an answer."""
    return parse_object(response.body, where, max_bytes=MAX_ANSWER_BYTES)


def json_answer(response: Response, where: str) -> JsonObject:
    """Give the JSON object of an answer with status 200; else `Unavailable` or `Refused`."""
    require_known(response, where)
    if response.status != 200:
        raise refusal_in(response, where)
    if response.media_type not in ("", JSON_MEDIA_TYPE):
        raise Malformed(JSON_MEDIA_TYPE, "another media type", where)
    return body_of(response, where)


def fresh_signer(random: Random) -> MemorySigner:
    """Give a signer with a fresh P-256 key out of `random`."""
    while True:
        secret = random(32)
        # All but one in 2**32 draws lie within the curve's order.
        if 0 < int.from_bytes(secret) < _P256_ORDER:
            return MemorySigner.from_private_bytes(secret)


_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def reasons_of(error: CounterfoilError) -> tuple[Reason, ...]:
    """Give an error's reasons as data; a `Malformed` becomes one."""
    match error:
        case Refused():
            return error.reasons
        case Malformed():
            return (Reason("malformed", error.expected, error.found, error.where),)
        case _:
            return (Reason("failed", "success", str(error), "wallet"),)
