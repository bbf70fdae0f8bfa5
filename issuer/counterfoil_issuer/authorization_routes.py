"""The authorization server's pages and endpoints, for a wallet and for its customer's browser.

    wallet   POST /par   POST /challenge
    browser  GET  /authorize   GET /login/callback   POST /authorize/answer
             GET  /login/sample (development)   GET /login/style.css

    desk = AuthorizationDesk(issuer=issuer, clients=policy, login=login, grants_of=grants_of)
    app = create_app(
        issuer, ..., clients=desk.clients, grants={AUTHORIZATION_CODE_GRANT: desk.redeem},
        routers=[authorization_router(desk)], working=[repeating(desk.tidy, 60)],
    )

The browser's secret is in a cookie of its own, and everything that it does is bound to
that: the answer of the login, the page it saw, the button it pressed. Errors go back to
the wallet only when its address is known to be its own.

RFC 6749, section 4.1; RFC 9126; RFC 9207; OpenID4VCI 1.0, sections 5 and 13.
"""

import hmac
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Final
from urllib.parse import parse_qsl, urlsplit

from counterfoil_credentials.encoding import JsonObject, b64url, compact_json
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_credentials.spec import FORM_MEDIA_TYPE, JSON_MEDIA_TYPE
from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from counterfoil_issuer.authorization_pages import (
    AGREE,
    ANSWER,
    TICKET,
    Confirmation,
    Line,
    confirmation_page,
    language_of,
    sample_customers_page,
    stopped_page,
    stylesheet,
)
from counterfoil_issuer.authorization_request import (
    AuthorizationRequest,
    answer_url,
    needs_pushing,
    read_authorization_request,
    read_return_address,
)
from counterfoil_issuer.authorizing import (
    VISIT_OVER,
    Issuable,
    agree,
    decline,
    issuable,
    log_in,
    open_visit,
    redeem_authorization_code,
    visit_of,
)
from counterfoil_issuer.clients import ClientPolicy, Demand, Sender, fresh_nonces, identify
from counterfoil_issuer.credential_type import CredentialType
from counterfoil_issuer.dev_login import PAGE, DevLogin
from counterfoil_issuer.grants import Grants, Visit
from counterfoil_issuer.issuer import Issuer
from counterfoil_issuer.login import Login, LoginAttempt, attempt_of
from counterfoil_issuer.nonces import NonceUse, make_nonce
from counterfoil_issuer.pushing import push, take_pushed
from counterfoil_issuer.spec import (
    ATTESTATION_CHALLENGE,
    CLIENT_ID,
    CODE,
    EXPIRES_IN,
    REQUEST_URI,
    STATE,
    ErrorCode,
    refusal,
)
from counterfoil_issuer.store import Held
from counterfoil_issuer.tokens import AccessToken, spend_once

MAX_BODY_BYTES: Final = 65_536
_MAX_FIELDS: Final = 50
_LONGEST_QUERY: Final = 16_384
_LONGEST_DESCRIPTION: Final = 300
_COOKIE: Final = "counterfoil-visit"
_NO_STORE: Final = {"Cache-Control": "no-store"}
_RESOURCE: Final = "resource"  # RFC 8707, section 2: may be repeated
_TEMPORARILY_UNAVAILABLE: Final = "temporarily_unavailable"  # RFC 6749, section 4.1.2.1


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationDesk:
    """One brand's authorization: its issuer, whom it lets in how, and how customers log in."""

    issuer: Issuer
    clients: ClientPolicy
    login: Login
    grants_of: Callable[[Held], Grants]

    @property
    def url(self) -> str:
        """The issuer's identifier, below which everything is served."""
        return self.issuer.url

    @property
    def configurations(self) -> Mapping[str, CredentialType]:
        """The configurations by id, each of which is its scope too."""
        return self.issuer.catalogue.types

    def brand(self, language: str) -> str:
        """Give the brand's name."""
        return self.issuer.catalogue.assortment.brand.names[language]

    async def redeem(self, form: Mapping[str, str], sender: Sender) -> AccessToken:
        """Turn an authorization code into a token, for the token endpoint."""
        issuer = self.issuer
        return await redeem_authorization_code(
            issuer.store,
            self.grants_of,
            form,
            sender,
            lasts=issuer.options.token_lasts,
            now=issuer.clock(),
            random=issuer.random,
        )

    def tidy(self) -> None:
        """Forget who came and went; call it every minute or so."""
        # A busy database waits for the next round.
        with suppress(Unavailable), self.issuer.store.transaction() as held:
            self.grants_of(held).forget(self.issuer.clock())

    @property
    def is_https(self) -> bool:
        """Whether browsers may be told to send the cookie over TLS alone."""
        return urlsplit(self.url).scheme == "https"

    @property
    def cookie(self) -> str:
        """The cookie's name: this brand's own, of the brands that one host may serve.

        The prefix makes browsers refuse one that another host set.
        """
        name = f"{_COOKIE}-{sha256(self.url.encode()).hexdigest()[:8]}"
        return f"__Host-{name}" if self.is_https else name

    def attempt(self, secret: str, language: str) -> LoginAttempt:
        """Give the login that belongs to a browser's secret."""
        callback = f"{self.url}/login/callback"
        return attempt_of(self.issuer.secret, secret, callback=callback, language=language)

    def ticket(self, secret: str, wanted: Issuable) -> str:
        """Give the text that only this browser's page for exactly these credentials holds."""
        ids = "\x00".join(sorted(each.dataset_id for each in wanted.datasets))
        message = f"ticket\x00{secret}\x00{ids}"
        return b64url(hmac.digest(self.issuer.secret, message.encode(), "sha256"))


async def _body(request: Request) -> bytes:
    return await request.body()


def authorization_router(desk: AuthorizationDesk) -> APIRouter:
    """Give the routes, for the path below which `desk.url` is served."""
    router = APIRouter()
    _add_wallet_routes(router, desk)
    _add_browser_routes(router, desk)
    return router


def _add_wallet_routes(router: APIRouter, desk: AuthorizationDesk) -> None:
    @router.post("/par", response_class=Response, status_code=201)
    def pushed_authorization_request(
        request: Request, body: Annotated[bytes, Depends(_body)]
    ) -> Response:
        try:
            form = read_form(request, body)
            if REQUEST_URI in form:
                raise refusal(ErrorCode.INVALID_REQUEST, "no request_uri", "one", REQUEST_URI)
            now = desk.issuer.clock()
            sender = identify(
                request.headers.getlist,
                form.get(CLIENT_ID),
                url=f"{desk.url}/par",
                policy=desk.clients,
                issuer=desk.url,
                key=desk.issuer.secret,
                now=now,
            )
            address = read_return_address(form, desk.clients, sender)
            asked = read_authorization_request(
                form,
                *address,
                scopes={name: name for name in desk.configurations},
                configurations=frozenset(desk.configurations),
                sender=sender,
            )
            with desk.issuer.store.transaction() as held:
                spend_once(held, sender.once)
                answer = push(desk.grants_of(held), asked, now=now, random=desk.issuer.random)
        except (Malformed, Refused) as error:
            return _refused(desk, error)
        return _json(
            201, {REQUEST_URI: answer.request_uri, EXPIRES_IN: answer.expires_in_s}, _fresh(desk)
        )

    if desk.clients.attestation is Demand.OFF:
        return

    @router.post("/challenge", response_class=Response)
    def attestation_challenge() -> Response:
        nonce = make_nonce(
            desk.issuer.secret,
            NonceUse.ATTESTATION,
            now=desk.issuer.clock(),
            random=desk.issuer.random,
        )
        return _json(200, {ATTESTATION_CHALLENGE: nonce}, {})


def _add_browser_routes(router: APIRouter, desk: AuthorizationDesk) -> None:
    @router.get("/authorize", response_class=Response)
    def authorize(request: Request) -> Response:
        language = language_of(
            request.query_params.get("ui_locales") or request.headers.get("accept-language")
        )
        try:
            return _begin(desk, _query(request), language)
        except (Malformed, Refused) as error:
            return _stopped(desk, error, language)

    @router.get("/login/callback", response_class=Response)
    def login_callback(request: Request) -> Response:
        return _visited(desk, request, lambda secret, visit: _arrived(desk, request, secret, visit))

    @router.post("/authorize/answer", response_class=Response)
    def answer(request: Request, body: Annotated[bytes, Depends(_body)]) -> Response:
        return _visited(
            desk,
            request,
            lambda secret, visit: _answered(desk, read_form(request, body), secret, visit),
        )

    @router.get("/login/style.css", response_class=Response)
    def style() -> Response:
        headers = {"Cache-Control": "max-age=3600", "X-Content-Type-Options": "nosniff"}
        return Response(stylesheet(), media_type="text/css", headers=headers)

    login = desk.login
    if isinstance(login, DevLogin):

        @router.get(PAGE, response_class=HTMLResponse)
        def sample_customers(request: Request) -> Response:
            language = language_of(request.headers.get("accept-language"))
            page = sample_customers_page(
                login.customers,
                brand=desk.brand(language),
                action=f"{desk.url}/login/callback",
                state=request.query_params.get(STATE, "")[:100],
                language=language,
                css=f"{desk.url}/login/style.css",
            )
            return _page(200, page)


def _begin(desk: AuthorizationDesk, query: Mapping[str, str], language: str) -> Response:
    now = desk.issuer.clock()
    if REQUEST_URI in query:
        with desk.issuer.store.transaction() as held:
            grants = desk.grants_of(held)
            asked = take_pushed(grants, query[REQUEST_URI], query.get(CLIENT_ID), now=now)
    else:
        # Until these two are known to belong together, an error goes nowhere.
        client_id, redirect_uri = read_return_address(query, desk.clients)
        try:
            if needs_pushing(desk.clients):
                raise refusal(ErrorCode.INVALID_REQUEST, "a pushed request", "none", REQUEST_URI)
            asked = read_authorization_request(
                query,
                client_id,
                redirect_uri,
                scopes={name: name for name in desk.configurations},
                configurations=frozenset(desk.configurations),
            )
        except Refused as error:
            state = query.get(STATE, "")[:_LONGEST_QUERY] or None
            return _back(desk, redirect_uri, state, _error(error))
    try:
        with desk.issuer.store.transaction() as held:
            secret = open_visit(
                desk.grants_of(held), asked, language=language, now=now, random=desk.issuer.random
            )
        answer = _redirect(desk.login.begin(desk.attempt(secret, language), now=now))
    except (Malformed, Unavailable) as error:
        return _back(desk, asked.redirect_uri, asked.state, _error(error))
    # Lax: the answer of the login arrives from another site, by a link alone.
    answer.set_cookie(
        desk.cookie, secret, secure=desk.is_https, httponly=True, samesite="lax", path="/"
    )
    return answer


def _visited(
    desk: AuthorizationDesk, request: Request, go_on: Callable[[str, Visit], Response]
) -> Response:
    """Find the browser's visit, go on with it, and answer every error in a place that is safe."""
    secret = request.cookies.get(desk.cookie)
    language = language_of(request.headers.get("accept-language"))
    try:
        with desk.issuer.store.reading() as held:
            visit = visit_of(desk.grants_of(held), secret, desk.issuer.clock())
        return go_on(secret or "", visit)
    except (Malformed, Refused) as error:
        return _stopped(desk, error, language)


def _arrived(desk: AuthorizationDesk, request: Request, secret: str, visit: Visit) -> Response:
    query, now = _query(request), desk.issuer.clock()
    attempt = desk.attempt(secret, visit.language)
    if not hmac.compare_digest(query.get(STATE, "").encode(), attempt.state.encode()):
        raise refusal(ErrorCode.INVALID_REQUEST, "this browser's own login", "another", STATE)
    asked, subject = visit.request, visit.subject
    try:
        # A page that is loaded again shows the same: the login's code works once.
        if subject is None:
            subject = desk.login.finish(attempt, query, now=now)
            with desk.issuer.store.transaction() as held:
                log_in(desk.grants_of(held), visit, subject)
        with desk.issuer.store.reading() as held:
            known = visit_of(desk.grants_of(held), secret, now)
            wanted = issuable(held, asked, subject, now)
    except (Malformed, Refused, Unavailable) as error:
        with desk.issuer.store.transaction() as held:
            desk.grants_of(held).end_visit(visit.visit_hash)
        return _back(desk, asked.redirect_uri, asked.state, _error(error))
    return _confirmation(desk, secret, known, wanted)


def _answered(
    desk: AuthorizationDesk, form: Mapping[str, str], secret: str, visit: Visit
) -> Response:
    asked, now = visit.request, desk.issuer.clock()
    if visit.subject is None:
        raise refusal(ErrorCode.INVALID_REQUEST, "a customer who has logged in", "nobody", "cookie")
    try:
        with desk.issuer.store.transaction() as held:
            grants = desk.grants_of(held)
            wanted = issuable(held, asked, visit.subject, now)
            # Another page, or other credentials than were shown: look again.
            presented = form.get(TICKET, "").encode()
            if not hmac.compare_digest(presented, desk.ticket(secret, wanted).encode()):
                return _confirmation(desk, secret, visit, wanted)
            if form.get(ANSWER) == AGREE:
                answer = {CODE: agree(held, grants, visit, now=now, random=desk.issuer.random)}
            else:
                answer = _error(decline(grants, visit))
    except Refused as error:
        if error.codes == [VISIT_OVER]:
            raise
        with desk.issuer.store.transaction() as held:
            desk.grants_of(held).end_visit(visit.visit_hash)
        answer = _error(error)
    return _back(desk, asked.redirect_uri, asked.state, answer)


def _confirmation(desk: AuthorizationDesk, secret: str, visit: Visit, wanted: Issuable) -> Response:
    asked, language = visit.request, visit.language
    shown = Confirmation(
        brand=desk.brand(language),
        wallet=_wallet_name(asked),
        attested=asked.instance_jkt is not None,
        redirect_uri=asked.redirect_uri,
        customer="" if visit.subject is None else visit.subject.label,
        lines=[
            Line(desk.configurations[each.type_name].names[language], each.serial)
            for each in wanted.datasets
        ],
        action=f"{desk.url}/authorize/answer",
        ticket=desk.ticket(secret, wanted),
    )
    page = confirmation_page(shown, language, f"{desk.url}/login/style.css")
    return _page(200, page, leads_to=asked.redirect_uri)


def _wallet_name(asked: AuthorizationRequest) -> str:
    name = asked.wallet_name
    return asked.client_id if name is None else f"{name[:100]} ({asked.client_id})"


def _back(
    desk: AuthorizationDesk, redirect_uri: str, state: str | None, answer: Mapping[str, str]
) -> Response:
    response = _redirect(answer_url(redirect_uri, state, desk.url, answer))
    response.delete_cookie(desk.cookie, path="/", secure=desk.is_https, httponly=True)
    return response


def _redirect(url: str) -> RedirectResponse:
    # 303: whatever the browser sent here, it does not send there (RFC 9700, section 4.12).
    return RedirectResponse(url, 303, headers={**_NO_STORE, "Referrer-Policy": "no-referrer"})


def _error(error: Malformed | Refused | Unavailable) -> dict[str, str]:
    """Give what a wallet is told by redirection (RFC 6749, section 4.1.2.1)."""
    match error:
        case Unavailable():
            code = _TEMPORARILY_UNAVAILABLE
        case Malformed():
            code = ErrorCode.INVALID_REQUEST.value
        case Refused():
            known = error.codes[0] in {each.value for each in ErrorCode}
            code = error.codes[0] if known else ErrorCode.ACCESS_DENIED.value
    return {"error": code, "error_description": _plain(str(error))}


def _refused(desk: AuthorizationDesk, error: Malformed | Refused) -> Response:
    code = error.codes[0] if isinstance(error, Refused) else ErrorCode.INVALID_REQUEST.value
    return _json(400, {"error": code, "error_description": _plain(str(error))}, _fresh(desk))


def _fresh(desk: AuthorizationDesk) -> Mapping[str, str]:
    return fresh_nonces(
        desk.clients, key=desk.issuer.secret, now=desk.issuer.clock(), random=desk.issuer.random
    )


def _stopped(desk: AuthorizationDesk, error: Malformed | Refused, language: str) -> Response:
    page = stopped_page(
        str(error),
        brand=desk.brand(language),
        language=language,
        css=f"{desk.url}/login/style.css",
    )
    return _page(400, page)


def _page(status: int, text: str, *, leads_to: str | None = None) -> Response:
    """Give a page that loads nothing from elsewhere, runs nothing and cannot be framed.

    Browsers hold a form to `form-action` also where its answer redirects, so the
    wallet's address is named there.
    """
    target = ""
    if leads_to is not None:
        parts = urlsplit(leads_to)
        is_web = parts.scheme in ("http", "https")
        target = f" {parts.scheme}://{parts.netloc}" if is_web else f" {parts.scheme}:"
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


def _json(status: int, body: JsonObject, headers: Mapping[str, str]) -> Response:
    return Response(
        compact_json(body), status, media_type=JSON_MEDIA_TYPE, headers={**_NO_STORE, **headers}
    )


def read_form(request: Request, body: bytes) -> dict[str, str]:
    """Give a posted form, each name once (RFC 6749, section 3.2). Raises `Malformed`."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != FORM_MEDIA_TYPE:
        raise Malformed(FORM_MEDIA_TYPE, "another media type", "content-type")
    if len(body) > MAX_BODY_BYTES:
        raise Malformed(f"at most {MAX_BODY_BYTES} bytes", f"{len(body)}", "body")
    try:
        return _once(body.decode("ascii"))
    except UnicodeDecodeError as cause:
        raise Malformed("a form in ASCII", "another character", "body") from cause


def _query(request: Request) -> dict[str, str]:
    query = request.url.query
    if len(query) > _LONGEST_QUERY:
        raise Malformed(f"at most {_LONGEST_QUERY} characters", f"{len(query)}", "query")
    return _once(query)


def _once(text: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError:  # It quotes the text.
        raise Malformed(f"at most {_MAX_FIELDS} fields in UTF-8", "others", "form") from None
    form: dict[str, str] = {}
    for name, value in pairs:
        if name in form and name != _RESOURCE:
            raise Malformed("each parameter once", "one twice", name)
        # PostgreSQL's text ends at U+0000, and nothing that we are sent has one.
        if "\x00" in value:
            raise Malformed("text without U+0000", "one with it", name)
        # A parameter without a value is as if it were not there (RFC 6749, section 3.1).
        if value:
            form[name] = value
    return form


def _plain(text: str) -> str:
    """Keep what RFC 6749, section 5.2 allows, and no more than fits an address."""
    kept = text.replace('"', "'").replace("\\", "/")[:_LONGEST_DESCRIPTION]
    return "".join(letter if " " <= letter <= "~" else "?" for letter in kept)
