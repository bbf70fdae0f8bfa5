"""W11: the pages of what is shared, and the question how it was used."""

from counterfoil_wallet import Wallet
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from counterfoil_demo.pages.forms import Texts
from counterfoil_demo.pages.shell import Shell
from counterfoil_demo.phone.door import OpenWallet
from counterfoil_demo.phone.sharing import (
    alerts_of,
    ask_all,
    asked_at,
    fact_of,
    is_to_be_asked,
    party_of,
)

_VIEWS = ("brand", "fact")


def sharing_routes(shell: Shell) -> APIRouter:
    """Give the list by brand and by fact."""
    routes = APIRouter()

    @routes.get("/sharing")
    def sharing(
        request: Request, wallet: OpenWallet, by: str = "brand", done: str = ""
    ) -> Response:
        words, consents = shell.words(request), wallet.consent.all()
        by = by if by in _VIEWS else _VIEWS[0]
        is_by_fact = by == "fact"
        facts = [fact_of(each, words) for each in wallet.consent.by_fact()] if is_by_fact else []
        parties = [party_of(each, words) for each in wallet.consent.by_party()]
        asked = asked_at(consents)
        return shell.page(
            request,
            "phone/sharing.html",
            tab="/sharing",
            by=by,
            parties=parties,
            facts=facts,
            is_empty=not consents and not _was_shown(wallet),
            alerts=alerts_of(wallet.consent.reminders(), words),
            asked=None if asked is None else words.since(asked, consents[0].seen_at),
            asks=is_to_be_asked(consents) and not done,
            done=done,
        )

    @routes.post("/sharing/check")
    def check(wallet: OpenWallet, texts: Texts) -> Response:
        by = texts.get("by", "")
        done = "asked" if ask_all(wallet) else "not-asked"
        view = by if by in _VIEWS else _VIEWS[0]
        return RedirectResponse(f"/sharing?by={view}&done={done}", status_code=303)

    return routes


def _was_shown(wallet: Wallet) -> bool:
    return bool(wallet.access_report())
