"""W6: what came of an answer: what was sent, what the other side signed, and what went wrong.

Read from the history and the grants each time, so a reload, a restart and another tab say the
same; only the digits to tell at a counter are gone with the session, as they are kept nowhere.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from counterfoil_consent.wire import GrantId
from counterfoil_credentials.errors import Refused
from counterfoil_wallet import Act, Event, Outcome, Presented, printable
from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from counterfoil_demo.pages.shell import Shell
from counterfoil_demo.pages.words import Words, marked
from counterfoil_demo.phone.cards import number_of
from counterfoil_demo.phone.door import OpenWallet
from counterfoil_demo.phone.grants import facts_text, shared_of
from counterfoil_demo.phone.looked_at import LookedAt

# OpenID4VP 1.0, section 8.5, and RFC 6749, section 4.1.2.1: what a verifier may say.
_SAID: Final[Mapping[str, str]] = {
    "access_denied": marked("They do not accept this card. Ask at the counter why."),
    "invalid_request": marked("The request is over, or was answered before. Ask for a new one."),
    "invalid_client": marked("They do not know their own request any more. Ask for a new one."),
    "temporarily_unavailable": marked("They cannot answer now. Ask for a new request later."),
    "server_error": marked("Something failed there. Ask for a new request later."),
}


def result_routes(shell: Shell, presented: LookedAt[Presented]) -> APIRouter:
    """Give the pages of what came of answers; `presented` holds what is kept nowhere else."""
    routes = APIRouter()

    @routes.get("/results/{event_id}")
    def result(request: Request, wallet: OpenWallet, event_id: str) -> Response:
        found = [event for event in wallet.history() if event.event_id == event_id]
        if not found:
            raise HTTPException(404)
        event, words = found[-1], shell.words(request)
        told = presented.find(event_id)
        way = None if told is None else told.redirect_uri
        return shell.page(
            request,
            "phone/result.html",
            tab="/scan",
            event=event,
            kind=_kind(event),
            name=_party(event, words),
            facts=[facts_text([claim], words) for claim in event.claims],
            number=number_of(event_id),
            digits="" if told is None else told.match_code or "",
            way=way,
            host="" if way is None else printable(urlsplit(way).netloc),
            said=_said(event, words),
        )

    @routes.get("/results/grants/{grant_id}")
    def grant(request: Request, wallet: OpenWallet, grant_id: str) -> Response:
        words = shell.words(request)
        try:
            one = wallet.consent.one(GrantId(grant_id))
        except Refused as unknown:
            raise HTTPException(404) from unknown
        return shell.page(
            request,
            "phone/result_grant.html",
            tab="/sharing",
            one=one,
            shared=shared_of(one, words),
            facts=[facts_text([str(claim)], words) for claim in one.claims],
        )

    return routes


def _kind(event: Event) -> str:
    if event.act is Act.DECLINED:
        return "declined"
    return {Outcome.DONE: "done", Outcome.REFUSED: "refused", Outcome.SENT: "sent"}[event.outcome]


def _party(event: Event, words: Words) -> str:
    return printable(event.party_name or "") or words.gettext("whoever asked")


def _said(event: Event, words: Words) -> str:
    if event.outcome is not Outcome.REFUSED:
        return ""
    code = printable(event.detail or "")
    known = _SAID.get(code)
    if known is not None:
        return words.gettext(known)
    said = words.gettext("They answered “%(code)s”. Ask at the counter what it means.")
    return said % {"code": code}
