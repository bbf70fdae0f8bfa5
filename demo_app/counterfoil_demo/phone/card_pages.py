"""W7: one card with everything it says, who has seen such cards, and the way to remove it."""

from counterfoil_credentials.errors import Refused
from counterfoil_wallet import CredentialId, HeldCredential, Wallet
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException

from counterfoil_demo.pages.shell import Shell
from counterfoil_demo.phone.card_facts import facts_of, items_of
from counterfoil_demo.phone.cards import card_of, lines_of, text_in
from counterfoil_demo.phone.door import OpenWallet
from counterfoil_demo.phone.pocket import utc_now

_MOST_VISITS = 10


def card_routes(shell: Shell) -> APIRouter:
    """Give the pages of one card, and the trash."""
    routes = APIRouter()

    @routes.get("/cards/{credential_id}")
    def card(request: Request, wallet: OpenWallet, credential_id: str, done: str = "") -> Response:
        held = _held(wallet, credential_id)
        words, now = shell.words(request), utc_now()
        known = [each for each in wallet.statuses() if each.credential_id == credential_id]
        status = known[0] if known else None
        visits = [each for each in wallet.access_report() if held.vct in each.types]
        return shell.page(
            request,
            "phone/card.html",
            tab="",
            card=card_of(held, status, words, now),
            issuer=held.issuer,
            listed_at=None if status is None else status.listed_at,
            facts=facts_of(held, words),
            items=items_of(lines_of(held), text_in(held.claims, "currency"), words),
            visits=visits[:_MOST_VISITS],
            raw=str(held.sd_jwt),
            accepted_at=held.accepted_at,
            done=done,
        )

    @routes.post("/cards/{credential_id}/remove")
    def remove(wallet: OpenWallet, credential_id: str) -> Response:
        try:
            wallet.remove(CredentialId(credential_id))
        except Refused as unknown:
            raise HTTPException(404) from unknown
        return RedirectResponse("/trash?done=removed", status_code=303)

    @routes.post("/cards/{credential_id}/take-back")
    def take_back(wallet: OpenWallet, credential_id: str) -> Response:
        try:
            held = wallet.take_back(CredentialId(credential_id))
        except Refused as unknown:
            raise HTTPException(404) from unknown
        return RedirectResponse(f"/cards/{held.credential_id}?done=taken-back", status_code=303)

    @routes.get("/trash")
    def trash(request: Request, wallet: OpenWallet, done: str = "") -> Response:
        words, now = shell.words(request), utc_now()
        removed = [
            (card_of(one.credential, None, words, now), one.gone_at) for one in wallet.removed()
        ]
        return shell.page(request, "phone/trash.html", tab="", removed=removed[::-1], done=done)

    return routes


def _held(wallet: Wallet, credential_id: str) -> HeldCredential:
    for held in wallet.credentials():
        if held.credential_id == credential_id:
            return held
    raise HTTPException(404)
