"""W3 and W4: what was pasted, and what an offer would give before it is accepted.

An offer that was looked at is kept in memory under a name of this phone's own: its link holds
a code, which has no place in an address.
"""

import secrets
import threading
from typing import Final

from counterfoil_credentials.errors import CounterfoilError, Refused, Unavailable
from counterfoil_wallet import Offer, Offered, recognise
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException

from counterfoil_demo.pages.forms import Texts
from counterfoil_demo.pages.shell import Shell
from counterfoil_demo.pages.words import Words
from counterfoil_demo.phone.brands import brand_of
from counterfoil_demo.phone.door import UNLOCKED, OpenWallet
from counterfoil_demo.phone.pocket import Pocket

_MOST_OPEN: Final = 20


class OpenOffers:
    """The offers that somebody looks at; the oldest gives way. Safe from several threads."""

    def __init__(self, pocket: Pocket) -> None:
        self._open: dict[str, Offered] = {}
        self._lock = threading.Lock()
        pocket.when_locked(self._open.clear)

    def add(self, offered: Offered) -> str:
        """Keep an offer, and give its name."""
        name = secrets.token_urlsafe(12)
        with self._lock:
            while len(self._open) >= _MOST_OPEN:
                del self._open[next(iter(self._open))]
            self._open[name] = offered
        return name

    def named(self, name: str) -> Offered:
        """Give an offer; the page of one that is not there does not exist."""
        offered = self._open.get(name)
        if offered is None:
            raise HTTPException(404)
        return offered

    def drop(self, name: str) -> None:
        """Forget an offer."""
        self._open.pop(name, None)


def offer_routes(shell: Shell, offers: OpenOffers) -> APIRouter:
    """Give the page that takes a text, and the page of an offer."""
    routes = APIRouter()

    @routes.get("/scan", dependencies=[UNLOCKED])
    def scan(request: Request) -> Response:
        return shell.page(request, "phone/scan.html", tab="/scan", wrong="", text="")

    @routes.post("/scan")
    def take(request: Request, wallet: OpenWallet, texts: Texts) -> Response:
        words, text = shell.words(request), texts.get("text", "").strip()
        status = 422
        try:
            found = recognise(text)
            if isinstance(found, Offer):
                name = offers.add(wallet.offered(found.link))
                return RedirectResponse(f"/offers/{name}", status_code=303)
            wrong = words.gettext("This is no offer. Only offers of cards are taken here.")
        except Unavailable:
            status = 503
            wrong = words.gettext("Whoever made it cannot be reached. Nothing was sent. Try again.")
        except CounterfoilError:
            wrong = words.gettext("This is no offer that can be read. Copy the whole of it.")
        return shell.page(
            request, "phone/scan.html", status=status, tab="/scan", wrong=wrong, text=text
        )

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
