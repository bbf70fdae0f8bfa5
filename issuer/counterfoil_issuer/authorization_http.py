"""Queries as strangers send them, and answers as browsers and wallets may be given them."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from counterfoil_credentials.encoding import JsonObject, compact_json
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_credentials.spec import JSON_MEDIA_TYPE
from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from counterfoil_issuer.forms import read_fields
from counterfoil_issuer.spec import ErrorCode

_LONGEST_QUERY: Final = 16_384
_LONGEST_DESCRIPTION: Final = 300
_NO_STORE: Final = {"Cache-Control": "no-store"}
_TEMPORARILY_UNAVAILABLE: Final = "temporarily_unavailable"  # RFC 6749, section 4.1.2.1
_CODES: Final = frozenset(each.value for each in ErrorCode)

_ERROR: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["error", "error_description"],
    "properties": {"error": {"type": "string"}, "error_description": {"type": "string"}},
}


def _told(text: str, media_type: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {media_type: {"schema": schema}}}


_UNAVAILABLE: Final = _told("The database cannot be had now", JSON_MEDIA_TYPE, _ERROR)
_TOO_LARGE: Final = _told("The body is too large", JSON_MEDIA_TYPE, _ERROR)
WALLET_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    400: _told("The request is not as it must be", JSON_MEDIA_TYPE, _ERROR),
    413: _TOO_LARGE,
    503: _UNAVAILABLE,
}
"""For the OpenAPI document: what a wallet is answered besides what it asked for."""

BROWSER_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: _told("A page", "text/html", {"type": "string"}),
    303: {"description": "On to the login, or back to the wallet"},
    400: _told("A page that says what went wrong", "text/html", {"type": "string"}),
    413: _TOO_LARGE,
    503: _told("A page that says to come back later", "text/html", {"type": "string"}),
}
"""For the OpenAPI document: what a browser is answered."""


def read_query(request: Request) -> dict[str, str]:
    """Give the query of an address, each name once. Raises `Malformed`."""
    query = request.url.query
    if len(query) > _LONGEST_QUERY:
        raise Malformed(f"at most {_LONGEST_QUERY} characters", f"{len(query)}", "query")
    return read_fields(query)


def told(error: Malformed | Refused | Unavailable) -> dict[str, str]:
    """Give what a wallet is told of `error` (RFC 6749, sections 4.1.2.1 and 5.2)."""
    match error:
        case Unavailable():
            code = _TEMPORARILY_UNAVAILABLE
        case Malformed():
            code = ErrorCode.INVALID_REQUEST.value
        case Refused():
            known = error.codes[0] in _CODES
            code = error.codes[0] if known else ErrorCode.ACCESS_DENIED.value
    return {"error": code, "error_description": _plain(str(error))}


def json_answer(status: int, body: JsonObject, headers: Mapping[str, str]) -> Response:
    """Give a JSON answer that nobody keeps."""
    return Response(
        compact_json(body), status, media_type=JSON_MEDIA_TYPE, headers={**_NO_STORE, **headers}
    )


def redirect(url: str) -> RedirectResponse:
    """Send the browser to `url`, with nothing of where it comes from."""
    # 303: whatever the browser sent here, it does not send there (RFC 9700, section 4.12).
    return RedirectResponse(url, 303, headers={**_NO_STORE, "Referrer-Policy": "no-referrer"})


def page_answer(status: int, text: str, *, leads_to: str | None = None) -> Response:
    """Give a page that loads nothing from elsewhere, runs nothing and cannot be framed.

    Some browsers hold a form to `form-action` at each step to which its answer leads, and
    then do nothing at all. So the scheme of the wallet's address is allowed: a wallet may
    lead on to another host of its own, and an IPv6 address has no spelling there.
    """
    target = "" if leads_to is None else f" {urlsplit(leads_to).scheme}:"
    policy = (
        "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action 'self'{target}"
    )
    headers = {
        **_NO_STORE,
        "Content-Security-Policy": policy,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
    return HTMLResponse(text, status, headers=headers)


def _plain(text: str) -> str:
    """Keep what RFC 6749, section 5.2 allows, and no more than fits an address."""
    kept = text.replace('"', "'").replace("\\", "/")[:_LONGEST_DESCRIPTION]
    return "".join(letter if " " <= letter <= "~" else "?" for letter in kept)
