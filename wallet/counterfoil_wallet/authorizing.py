"""The customer logs in at the brand, in a browser; the wallet takes what comes back.

    state = begin_login(sender, offer, discovered, ...)   pushed where the server takes that
    open state.url in a browser; it ends at state.redirect_uri with an answer
    answer = read_callback(url)                           which login is this?
    code = code_in(answer, state, now)                    ours, from the server that we asked

The answer travels through the browser, so anybody may have written it: `state` says to which
login it belongs, `iss` from whom it is (RFC 9207), and the code is of use only together with
the verifier that never left the wallet (RFC 7636).

RFC 6749, section 4.1; RFC 9126; RFC 9207; RFC 9449, section 10; OpenID4VCI 1.0, section 5.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit

from counterfoil_credentials.encoding import JsonObject, b64url, compact_json, text_at
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused
from counterfoil_credentials.offers import CredentialOffer

from counterfoil_wallet import spec
from counterfoil_wallet.acceptance import AcceptanceId, Authorizing, login_id_of
from counterfoil_wallet.configurations import Configuration
from counterfoil_wallet.discovering import Discovered, Endpoints
from counterfoil_wallet.sending import Identity, Sender
from counterfoil_wallet.wire import (
    MAX_URL,
    Random,
    body_of,
    bounded,
    is_error_code,
    refusal_in,
    refuse,
    require_known,
)

_PUSHED: Final = "pushed authorization request endpoint"
_CALLBACK: Final = "authorization response"
_LASTS: Final = timedelta(hours=1)
_SECRET_BYTES: Final = 32
_MAX_CALLBACK: Final = 16_384
_MAX_CODE: Final = 4_096
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_UNSAFE: Final = frozenset({"javascript", "data", "vbscript", "blob", "file", "about"})


@dataclass(frozen=True, slots=True)
class Callback:
    """What a browser came back with; nobody has checked where it is from."""

    address: str
    state: str = field(repr=False)
    unverified_issuer: str | None
    code: str | None = field(repr=False)
    error: str | None


def begin_login(
    sender: Sender,
    offer: CredentialOffer,
    discovered: Discovered,
    *,
    redirect_uri: str,
    copies: int,
    now: datetime,
    random: Random,
) -> Authorizing:
    """Give the login to store, whose URL is then opened in a browser.

    Raises `Refused`: `login-not-offered` for an issuer without a login, or without PKCE
    and S256; `login-not-described` for one that says neither scopes nor takes details;
    `client-id-needed`, `wallet-attestation-needed`; `peer-refused` with the server's word;
    `Unavailable`, `Malformed`; `Misuse` for an address that no browser should come back to.
    """
    _require_return_address(redirect_uri)
    endpoints = discovered.endpoints
    if endpoints.authorization is None:
        raise refuse("login-not-offered", "a login with PKCE and S256", "none", endpoints.server)
    identity = sender.identity(endpoints, must_name_itself=True)
    state, verifier = b64url(random(_SECRET_BYTES)), b64url(random(_SECRET_BYTES))
    form = {
        spec.RESPONSE_TYPE: spec.CODE,
        spec.REDIRECT_URI: redirect_uri,
        spec.STATE: state,
        spec.CODE_CHALLENGE: b64url(sha256(verifier.encode()).digest()),
        spec.CODE_CHALLENGE_METHOD: spec.S256,
        **_asked(offer.issuer, discovered),
    }
    if offer.by_login is not None and offer.by_login.issuer_state is not None:
        form[spec.ISSUER_STATE] = offer.by_login.issuer_state
    if identity.dpop is not None:
        form[spec.DPOP_JKT] = identity.dpop.public.thumbprint()
    return Authorizing(
        acceptance_id=login_id_of(state),
        issuer=offer.issuer,
        endpoints=endpoints,
        identity=identity,
        configurations=discovered.configurations,
        skipped=discovered.skipped,
        copies=copies,
        url=_login_url(sender, endpoints, identity, endpoints.authorization, form),
        redirect_uri=redirect_uri,
        verifier=verifier,
        ends_at=now + _LASTS,
    )


def read_callback(url: str) -> Callback:
    """Give what the address that a browser came back to says."""
    if len(url) > _MAX_CALLBACK or not url.isascii():
        raise Malformed(f"at most {_MAX_CALLBACK} characters of ASCII", "others", _CALLBACK)
    # Some servers end their answer with a fragment (`#_=_`): no part of the last parameter.
    address, _, query = url.partition("#")[0].partition("?")
    try:
        named = parse_qs(query, strict_parsing=True, max_num_fields=20, errors="strict")
    except ValueError:  # It quotes the query, and there is a code in it.
        raise Malformed("an answer in a query", "another text", _CALLBACK) from None

    def one(name: str, longest: int) -> str | None:
        values = named.get(name, [])
        if len(values) > 1:
            raise Malformed(f"one {name}", f"{len(values)}", _CALLBACK)
        return bounded(values[0], f"{_CALLBACK}.{name}", longest) if values else None

    state = one(spec.STATE, _MAX_CODE)
    if state is None:
        raise Malformed("a state", "none", _CALLBACK)
    return Callback(
        address=address,
        state=state,
        unverified_issuer=one(spec.ISS, MAX_URL),
        code=one(spec.CODE, _MAX_CODE),
        error=one(spec.ERROR, _MAX_CODE),
    )


def login_of(url: str) -> AcceptanceId:
    """Give the acceptance whose login ended at `url`."""
    return login_id_of(read_callback(url).state)


def code_in(callback: Callback, state: Authorizing, now: datetime) -> str:
    """Give the code that `callback` brings for this login.

    Raises `Refused`: `callback-elsewhere`, `issuer-mismatch` for an answer of another
    server, or of nobody where ours says who it is, `login-over`, and `login-refused`
    with the server's word, such as `access_denied`; `Malformed` without a code.
    """
    reasons: list[Reason] = []
    if callback.address != state.redirect_uri.partition("?")[0]:
        reasons.append(
            Reason("callback-elsewhere", "the address of this login", "another", _CALLBACK)
        )
    issuer = callback.unverified_issuer
    if issuer is None and state.endpoints.names_itself:
        reasons.append(Reason("issuer-mismatch", "the server's name", "none", f"{_CALLBACK}.iss"))
    elif issuer is not None and issuer != state.endpoints.server:
        found = "another server's"
        reasons.append(Reason("issuer-mismatch", "the name of our server", found, _CALLBACK))
    if now >= state.ends_at:
        reasons.append(over())
    if reasons:
        raise Refused(*reasons)
    if callback.error is not None:
        found = callback.error if is_error_code(callback.error) else "another word"
        raise refuse("login-refused", "the customer's login and consent", found, _CALLBACK)
    if not callback.code:
        raise Malformed("a code", "none", _CALLBACK)
    return callback.code


def over() -> Reason:
    """Give the reason why a login is given up."""
    hours = _LASTS // timedelta(hours=1)
    return Reason("login-over", f"an answer within {hours} hour", "none by now", _CALLBACK)


def _login_url(
    sender: Sender, endpoints: Endpoints, identity: Identity, url: str, form: dict[str, str]
) -> str:
    query = {spec.CLIENT_ID: identity.client_id or "", **form}
    if endpoints.pushed is not None:
        response = sender.to_server(endpoints.pushed, form, endpoints=endpoints, identity=identity)
        require_known(response, _PUSHED)
        if response.status not in (200, 201):
            raise refusal_in(response, _PUSHED)
        pushed = bounded(text_at(body_of(response, _PUSHED), spec.REQUEST_URI, _PUSHED), _PUSHED)
        query = {spec.CLIENT_ID: query[spec.CLIENT_ID], spec.REQUEST_URI: pushed}
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"


def _asked(issuer: str, discovered: Discovered) -> dict[str, str]:
    """Say what is wanted: in details where the server takes them, else by scopes (section 5.1)."""
    wanted = discovered.configurations
    if discovered.endpoints.takes_details:
        details = [_detail(each, issuer, located=discovered.lists_servers) for each in wanted]
        return {spec.AUTHORIZATION_DETAILS: compact_json([*details]).decode()}
    scopes = [each.scope for each in wanted if each.scope is not None]
    if len(scopes) != len(wanted):
        raise refuse("login-not-described", "a scope for each credential", "none", issuer)
    resource = {spec.RESOURCE: issuer} if discovered.lists_servers else {}
    return {spec.SCOPE: " ".join(dict.fromkeys(scopes)), **resource}


def _detail(wanted: Configuration, issuer: str, *, located: bool) -> JsonObject:
    detail: JsonObject = {
        "type": spec.CREDENTIAL_DETAILS_TYPE,
        spec.CONFIGURATION_ID: wanted.configuration_id,
    }
    if located:
        detail[spec.LOCATIONS] = [issuer]
    return detail


def _require_return_address(url: str) -> None:
    """Take https, an app's own scheme, or http on loopback (RFC 8252, section 7)."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        parts, host = urlsplit(""), None
    is_web = parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)
    is_app = parts.scheme not in {"", "http", "https"} | _UNSAFE
    if len(url) > MAX_URL or "#" in url or not ((is_web and host) or is_app):
        raise Misuse("expected the app's own https address or scheme to come back to")
