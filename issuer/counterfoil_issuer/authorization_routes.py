"""The authorization server's pages and endpoints, for a wallet and for its customer's browser.

    wallet   POST /par   POST /challenge
    browser  GET  /authorize   GET /login/callback   POST /authorize/answer
             GET  /login/sample (development)   GET /login/style.css

    desk = AuthorizationDesk(
        issuer=issuer, clients=policy, login=login, grants_of=grants_of, seal=seal
    )
    app = create_app(
        issuer, ..., clients=desk.clients, grants={AUTHORIZATION_CODE_GRANT: desk.redeem},
        routers=[authorization_router(desk)], working=[repeating(desk.tidy, 60)],
    )

The browser's visit is in a cookie of its own (`visits.py`), and everything that it does is
bound to that: the answer of the login, the page it saw, the button it pressed. Errors go
back to the wallet only when its address is known to be its own.

RFC 6749, section 4.1; RFC 9126; RFC 9207; OpenID4VCI 1.0, sections 5 and 13.
"""

import hmac
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Annotated

from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from counterfoil_issuer.authorization_desk import AuthorizationDesk
from counterfoil_issuer.authorization_http import (
    BROWSER_ANSWERS,
    WALLET_ANSWERS,
    json_answer,
    page_answer,
    read_query,
    redirect,
    told,
)
from counterfoil_issuer.authorization_pages import (
    AGREE,
    ANSWER,
    TICKET,
    Confirmation,
    Line,
    confirmation_page,
    sample_customers_page,
    stopped_page,
    stylesheet,
)
from counterfoil_issuer.authorization_request import (
    answer_url,
    needs_pushing,
    read_authorization_request,
    read_return_address,
)
from counterfoil_issuer.authorization_words import language_of, stop_of
from counterfoil_issuer.authorizing import Issuable, agree, decline, issuable
from counterfoil_issuer.clients import Demand, identify
from counterfoil_issuer.dev_login import PAGE, DevLogin
from counterfoil_issuer.forms import read_form
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
from counterfoil_issuer.tokens import spend_once
from counterfoil_issuer.visits import VISIT_OVER, Visit, logged_in, open_visit

__all__ = ["AuthorizationDesk", "authorization_router"]


async def _body(request: Request) -> bytes:
    return await request.body()


def authorization_router(desk: AuthorizationDesk) -> APIRouter:
    """Give the routes, for the path below which `desk.url` is served."""
    router = APIRouter()
    _add_wallet_routes(router, desk)
    _add_browser_routes(router, desk)
    return router


def _add_wallet_routes(router: APIRouter, desk: AuthorizationDesk) -> None:
    @router.post("/par", response_class=Response, status_code=201, responses=WALLET_ANSWERS)
    def pushed_authorization_request(
        request: Request, body: Annotated[bytes, Depends(_body)]
    ) -> Response:
        try:
            form = read_form(request.headers.get("content-type", ""), body)
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
                issuer=desk.url,
                scopes={name: name for name in desk.configurations},
                configurations=frozenset(desk.configurations),
                sender=sender,
            )
            if sender.once:
                with desk.issuer.store.transaction() as held:
                    spend_once(held, sender.once)
            answer = push(asked, desk.seal, now=now, random=desk.issuer.random)
        except (Malformed, Refused) as error:
            return _refused(desk, error)
        return json_answer(
            201, {REQUEST_URI: answer.request_uri, EXPIRES_IN: answer.expires_in_s}, desk.nonces()
        )

    if desk.clients.attestation is Demand.OFF:
        return

    @router.post("/challenge", response_class=Response, responses=WALLET_ANSWERS)
    def attestation_challenge() -> Response:
        nonce = make_nonce(
            desk.issuer.secret,
            NonceUse.ATTESTATION,
            now=desk.issuer.clock(),
            random=desk.issuer.random,
        )
        return json_answer(200, {ATTESTATION_CHALLENGE: nonce}, {})


def _add_browser_routes(router: APIRouter, desk: AuthorizationDesk) -> None:
    @router.get("/authorize", response_class=Response, responses=BROWSER_ANSWERS)
    def authorize(request: Request) -> Response:
        language = language_of(
            request.query_params.get("ui_locales") or request.headers.get("accept-language")
        )
        try:
            return _begin(desk, read_query(request), language)
        except (Malformed, Refused, Unavailable) as error:
            return _stopped(desk, error, language)

    @router.get("/login/callback", response_class=Response, responses=BROWSER_ANSWERS)
    def login_callback(request: Request) -> Response:
        return _visited(desk, request, lambda visit: _arrived(desk, request, visit))

    @router.post("/authorize/answer", response_class=Response, responses=BROWSER_ANSWERS)
    def answer(request: Request, body: Annotated[bytes, Depends(_body)]) -> Response:
        return _visited(
            desk,
            request,
            lambda visit: _answered(
                desk, read_form(request.headers.get("content-type", ""), body), visit
            ),
        )

    @router.get("/login/style.css", response_class=Response)
    def style() -> Response:
        headers = {"Cache-Control": "max-age=3600", "X-Content-Type-Options": "nosniff"}
        return Response(stylesheet(), media_type="text/css", headers=headers)

    login = desk.login
    if isinstance(login, DevLogin):

        @router.get(PAGE, response_class=Response, responses=BROWSER_ANSWERS)
        def sample_customers(request: Request) -> Response:
            return _visited(desk, request, lambda visit: _sample_customers(desk, login, visit))


def _begin(desk: AuthorizationDesk, query: Mapping[str, str], language: str) -> Response:
    now = desk.issuer.clock()
    answer_hash = None
    if REQUEST_URI in query:
        with desk.issuer.store.reading() as held:
            asked, answer_hash = take_pushed(
                desk.grants_of(held),
                desk.seal,
                query[REQUEST_URI],
                query.get(CLIENT_ID),
                now=now,
            )
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
                issuer=desk.url,
                scopes={name: name for name in desk.configurations},
                configurations=frozenset(desk.configurations),
            )
        except Refused as error:
            state = query.get(STATE, "") or None
            return _back(desk, redirect_uri, state, told(error))
    visit = open_visit(
        asked, language=language, now=now, random=desk.issuer.random, answer_hash=answer_hash
    )
    try:
        answer = redirect(desk.login.begin(desk.attempt(visit), now=now))
    except (Malformed, Unavailable) as error:
        return _back(desk, asked.redirect_uri, asked.state, told(error))
    return _on(desk, visit, answer)


def _visited(
    desk: AuthorizationDesk, request: Request, go_on: Callable[[Visit], Response]
) -> Response:
    """Find the browser's visit, go on with it, and answer every error in a place that is safe."""
    language = language_of(request.headers.get("accept-language"))
    try:
        visit = desk.visit_in(request.cookies.get(desk.cookie))
        language = visit.language
        return go_on(visit)
    except (Malformed, Refused, Unavailable) as error:
        return _stopped(desk, error, language)


def _sample_customers(desk: AuthorizationDesk, login: DevLogin, visit: Visit) -> Response:
    page = sample_customers_page(
        login.customers,
        brand=desk.brand(visit.language),
        action=f"{desk.url}/login/callback",
        state=desk.attempt(visit).state,
        language=visit.language,
        css=f"{desk.url}/login/style.css",
    )
    # Whoever may have nothing is sent from here straight back to the wallet.
    return page_answer(200, page, leads_to=visit.request.redirect_uri)


def _arrived(desk: AuthorizationDesk, request: Request, visit: Visit) -> Response:
    query, now = read_query(request), desk.issuer.clock()
    attempt = desk.attempt(visit)
    if not hmac.compare_digest(query.get(STATE, "").encode(), attempt.state.encode()):
        raise refusal(ErrorCode.INVALID_REQUEST, "this browser's own login", "another", STATE)
    asked, subject = visit.request, visit.subject
    try:
        # A page that is loaded again shows the same: the login's code works once.
        if subject is None:
            subject = desk.login.finish(attempt, query, now=now)
            visit = logged_in(visit, subject)
            with desk.issuer.store.transaction() as held:
                desk.note(held, desk.actor(subject), "customer.logged-in", visit.visit_id)
        with desk.issuer.store.reading() as held:
            wanted = issuable(held, asked, subject, now)
        return _on(desk, visit, _confirmation(desk, visit, wanted))
    except (Malformed, Refused, Unavailable) as error:
        return _back(desk, asked.redirect_uri, asked.state, told(error))


def _answered(desk: AuthorizationDesk, form: Mapping[str, str], visit: Visit) -> Response:
    asked, now = visit.request, desk.issuer.clock()
    if visit.subject is None:
        raise refusal(ErrorCode.INVALID_REQUEST, "a customer who has logged in", "nobody", "cookie")
    try:
        with desk.issuer.store.transaction() as held:
            wanted = issuable(held, asked, visit.subject, now)
            # Another page, or other credentials than were shown: look again.
            presented = form.get(TICKET, "").encode()
            if not hmac.compare_digest(presented, desk.ticket(visit, wanted).encode()):
                return _confirmation(desk, visit, wanted)
            actor = desk.actor(visit.subject)
            if form.get(ANSWER) == AGREE:
                grants = desk.grants_of(held)
                answer = {CODE: agree(held, grants, visit, now=now, random=desk.issuer.random)}
                for each in wanted.datasets:
                    desk.note(held, actor, "customer.agreed", f"dataset:{each.dataset_id}")
            else:
                answer = told(decline(held, visit))
                desk.note(held, actor, "customer.declined", visit.visit_id)
    except Refused as error:
        if error.codes == [VISIT_OVER]:
            raise
        # A refusal is the visit's one answer too.
        with desk.issuer.store.transaction() as held:
            decline(held, visit)
        answer = told(error)
    return _back(desk, asked.redirect_uri, asked.state, answer)


def _on(desk: AuthorizationDesk, visit: Visit, answer: Response) -> Response:
    """Let the browser carry its visit on."""
    # Lax: the answer of the login arrives from another site, by a link alone.
    answer.set_cookie(
        desk.cookie,
        desk.cookie_of(visit),
        secure=desk.is_https,
        httponly=True,
        samesite="lax",
        path="/",
    )
    return answer


def _confirmation(desk: AuthorizationDesk, visit: Visit, wanted: Issuable) -> Response:
    asked, language = visit.request, visit.language
    shown = Confirmation(
        brand=desk.brand(language),
        client_id=asked.client_id,
        wallet_name=None if asked.wallet_name is None else asked.wallet_name[:100],
        attested=asked.instance_jkt is not None,
        redirect_uri=asked.redirect_uri,
        customer="" if visit.subject is None else visit.subject.label,
        lines=[
            Line(desk.configurations[each.type_name].names[language], each.serial)
            for each in wanted.datasets
        ],
        minutes_left=max(1, (visit.expires_at - desk.issuer.clock()) // timedelta(minutes=1)),
        action=f"{desk.url}/authorize/answer",
        ticket=desk.ticket(visit, wanted),
    )
    page = confirmation_page(shown, language, f"{desk.url}/login/style.css")
    return page_answer(200, page, leads_to=asked.redirect_uri)


def _back(
    desk: AuthorizationDesk, redirect_uri: str, state: str | None, answer: Mapping[str, str]
) -> Response:
    response = redirect(answer_url(redirect_uri, state, desk.url, answer))
    response.delete_cookie(desk.cookie, path="/", secure=desk.is_https, httponly=True)
    return response


def _refused(desk: AuthorizationDesk, error: Malformed | Refused) -> Response:
    return json_answer(400, {**told(error)}, desk.nonces())


def _stopped(
    desk: AuthorizationDesk, error: Malformed | Refused | Unavailable, language: str
) -> Response:
    page = stopped_page(
        stop_of(error),
        str(error),
        brand=desk.brand(language),
        language=language,
        css=f"{desk.url}/login/style.css",
    )
    if not isinstance(error, Unavailable):
        return page_answer(400, page)
    answer = page_answer(503, page)
    answer.headers["Retry-After"] = "60"  # The minute that the page speaks of.
    return answer
