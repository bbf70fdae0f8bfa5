"""W5: the pages of a request: look, change, share or refuse. Nothing is sent before that tap.

A sheet is drawn from the request that was fetched once and from the fields of its form, so a
reload, another language and two tabs show the same, and none of them sends anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from counterfoil_credentials.errors import CounterfoilError, Refused
from counterfoil_wallet import (
    AskedTerms,
    Choice,
    GrantChoice,
    Language,
    Matches,
    Presented,
    Wallet,
    printable,
)
from counterfoil_wallet.consent_words import purpose_text
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from counterfoil_demo.pages.forms import Texts
from counterfoil_demo.pages.shell import Shell
from counterfoil_demo.pages.words import Words
from counterfoil_demo.phone.asked_to_grant import sheet_to_grant
from counterfoil_demo.phone.asked_to_show import sheet_to_show
from counterfoil_demo.phone.cards import number_of
from counterfoil_demo.phone.door import UNLOCKED, OpenWallet
from counterfoil_demo.phone.grants import capital
from counterfoil_demo.phone.looked_at import LookedAt
from counterfoil_demo.phone.pocket import Pocket
from counterfoil_demo.phone.sheet import Sheet, problem_text, requester_of

Asked: TypeAlias = Matches | AskedTerms
_SCREEN = "request"


@dataclass(frozen=True, slots=True)
class Requests:
    """The requests that were read, where each answered one led, and what came of it at once."""

    open: LookedAt[Asked]
    answered: LookedAt[str]
    presented: LookedAt[Presented]

    @staticmethod
    def of(pocket: Pocket) -> "Requests":
        """Give none yet."""
        return Requests(LookedAt(pocket), LookedAt(pocket), LookedAt(pocket))


def request_routes(shell: Shell, requests: Requests) -> APIRouter:
    """Give the pages of what somebody asks."""
    routes = APIRouter()

    def page(
        request: Request,
        name: str,
        given: Mapping[str, str],
        *,
        trouble: list[str] | None = None,
        is_changed: bool = False,
        status: int = 200,
    ) -> Response:
        asked, words = requests.open.named(name), shell.words(request)
        is_grant = isinstance(asked, AskedTerms)
        return shell.page(
            request,
            "phone/request.html",
            status=status,
            tab="/scan",
            name=name,
            number=number_of(asked.event_id),
            requester=requester_of(asked.asker, words),
            sheet=_sheet(asked, given, words),
            is_grant=is_grant,
            purpose=_purpose(asked, words),
            registered=asked.registered_purpose
            if isinstance(asked, Matches) and asked.is_other_purpose
            else None,
            notice=[printable(line) for line in asked.notice.splitlines() if line.strip()]
            if isinstance(asked, AskedTerms)
            else [],
            until=asked.expires_at if isinstance(asked, Matches) else None,
            trouble=trouble or [],
            is_changed=is_changed,
        )

    def led_before(name: str) -> Response | None:
        way = requests.answered.find(name)
        return None if way is None else RedirectResponse(way, status_code=303)

    def lead(name: str, way: str) -> Response:
        requests.answered.put(name, way)
        requests.open.drop(name)
        return RedirectResponse(way, status_code=303)

    @routes.get("/requests/{name}", dependencies=[UNLOCKED])
    def look(request: Request, name: str) -> Response:
        return led_before(name) or page(request, name, dict(request.query_params))

    @routes.post("/requests/{name}/share")
    def share(request: Request, wallet: OpenWallet, name: str, texts: Texts) -> Response:
        if before := led_before(name):
            return before
        asked, words = requests.open.named(name), shell.words(request)
        sheet = _sheet(asked, texts, words)
        if sheet.choice is None:
            return page(request, name, texts, status=422)
        if sheet.seen != texts.get("seen"):
            # What is shared is what was on the screen, and not what a late tap left in the form.
            return page(request, name, texts, is_changed=True, status=409)
        try:
            return lead(name, _share(wallet, asked, sheet.choice))
        except Refused as refusal:
            trouble = problem_text(refusal.codes, words)
            return page(request, name, texts, trouble=trouble, status=422)

    @routes.post("/requests/{name}/refuse")
    def refuse(wallet: OpenWallet, name: str) -> Response:
        if before := led_before(name):
            return before
        asked = requests.open.named(name)
        try:
            if isinstance(asked, AskedTerms):
                wallet.consent.refuse(asked)
            else:
                wallet.decline(asked)
        except Refused:
            # Answered meanwhile, in another tab: its page says what came of it.
            pass
        return lead(name, f"/results/{asked.event_id}")

    def _share(wallet: Wallet, asked: Asked, choice: Choice | GrantChoice) -> str:
        if isinstance(choice, GrantChoice):
            return _granted(wallet, choice)
        way = f"/results/{asked.event_id}"
        try:
            requests.presented.put(asked.event_id, wallet.present(choice))
        except CounterfoilError:
            # What left is in the history, with what is known of it; what did not is refused here.
            if not any(event.event_id == asked.event_id for event in wallet.history()):
                raise
        return way

    return routes


def _granted(wallet: Wallet, choice: GrantChoice) -> str:
    before = {grant.grant_id for grant in wallet.grants()}
    try:
        return f"/results/grants/{wallet.grant(choice, screen=_SCREEN).grant_id}"
    except CounterfoilError:
        # Decided, and under way or given up: either has its page.
        begun = [each.grant_id for each in wallet.grants() if each.grant_id not in before]
        if not begun:
            raise
        return f"/results/grants/{begun[-1]}"


def _sheet(
    asked: Asked, given: Mapping[str, str], words: Words
) -> Sheet[Choice] | Sheet[GrantChoice]:
    if isinstance(asked, AskedTerms):
        return sheet_to_grant(asked, given, words)
    return sheet_to_show(asked, given, words)


def _purpose(asked: Asked, words: Words) -> str:
    if isinstance(asked, AskedTerms):
        return capital(purpose_text(asked.terms.purpose, Language(words.language)))
    return asked.purpose or words.gettext("They do not say why.")
