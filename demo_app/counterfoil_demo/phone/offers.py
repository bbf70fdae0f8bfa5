"""W4: what an offer would give, before it is accepted."""

from counterfoil_credentials.errors import CounterfoilError, Refused, Unavailable
from counterfoil_wallet import Offered
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from counterfoil_demo.pages.forms import Texts
from counterfoil_demo.pages.shell import Shell
from counterfoil_demo.pages.words import Words
from counterfoil_demo.phone.brands import brand_of
from counterfoil_demo.phone.door import UNLOCKED, OpenWallet
from counterfoil_demo.phone.looked_at import LookedAt


def offer_routes(shell: Shell, offers: LookedAt[Offered]) -> APIRouter:
    """Give the page of an offer."""
    routes = APIRouter()

    @routes.get("/offers/{name}", dependencies=[UNLOCKED])
    def offer(request: Request, name: str) -> Response:
        return page(request, name, offers.named(name), "")

    @routes.post("/offers/{name}/accept")
    def accept(request: Request, wallet: OpenWallet, name: str, texts: Texts) -> Response:
        offered = offers.named(name)
        try:
            accepted = wallet.accept(offered, tx_code=texts.get("code", "").strip() or None)
        except Unavailable:
            words = shell.words(request)
            wrong = words.gettext("The brand did not answer. Nothing is lost. Try again.")
            return page(request, name, offered, wrong, status=503)
        except CounterfoilError as error:
            wrong = _why_not(error, shell.words(request))
            return page(request, name, offered, wrong, status=422)
        done = "accepted" if accepted.credentials else "waits"
        return RedirectResponse(f"/?done={done}", status_code=303)

    @routes.post("/offers/{name}/decline", dependencies=[UNLOCKED])
    def decline(name: str) -> Response:
        offers.drop(name)
        return RedirectResponse("/?done=declined", status_code=303)

    def page(
        request: Request, name: str, offered: Offered, wrong: str, *, status: int = 200
    ) -> Response:
        return shell.page(
            request,
            "phone/offer.html",
            status=status,
            tab="/scan",
            name=name,
            brand=brand_of(offered.issuer, shell.words(request).language),
            issuer=offered.issuer,
            kinds=[each.name or each.vct.rpartition("/")[2] for each in offered.credentials],
            code=offered.tx_code,
            needs_login=offered.needs_login,
            wrong=wrong,
        )

    return routes


def _why_not(error: CounterfoilError, words: Words) -> str:
    codes = error.codes if isinstance(error, Refused) else []
    if "accepted-before" in codes:
        return words.gettext("You accepted it before, and removed what came of it.")
    if "tx-code-needed" in codes:
        return words.gettext("Type the code that the brand sent you by another way.")
    return words.gettext("The brand refused it. The code may be wrong, or the offer has ended.")
