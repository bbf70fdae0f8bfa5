"""W3: what the camera, a picture or the clipboard holds, and where it leads.

A picture is read in the browser and stays there: only the text that was found in it comes here.
"""

from urllib.parse import quote

from counterfoil_credentials.digital_link import DigitalLink, require_gtin
from counterfoil_credentials.errors import CounterfoilError, Malformed, Unavailable
from counterfoil_wallet import AskedTerms, Matches, Offer, Offered, Receipt, Transfer, Wallet
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException

from counterfoil_demo.pages.forms import Texts
from counterfoil_demo.pages.guard import allow_camera
from counterfoil_demo.pages.shell import Shell
from counterfoil_demo.phone.cards import card_of
from counterfoil_demo.phone.door import UNLOCKED, OpenWallet
from counterfoil_demo.phone.looked_at import LookedAt
from counterfoil_demo.phone.offers import offer_routes
from counterfoil_demo.phone.pocket import Pocket, utc_now
from counterfoil_demo.phone.request_pages import Requests, request_routes
from counterfoil_demo.phone.result_pages import result_routes
from counterfoil_demo.phone.scanned import Explained, done_here, explained


def scan_routes(shell: Shell, pocket: Pocket) -> APIRouter:
    """Give the page that scans, and the pages to which what was read leads."""
    routes = APIRouter()
    offers: LookedAt[Offered] = LookedAt(pocket)
    requests = Requests.of(pocket)
    routes.include_router(offer_routes(shell, offers))
    routes.include_router(request_routes(shell, requests))
    routes.include_router(result_routes(shell, requests.presented))

    def page(request: Request, why: Explained | None, text: str, *, status: int = 200) -> Response:
        return allow_camera(
            shell.page(request, "phone/scan.html", status=status, tab="/scan", why=why, text=text)
        )

    def way_of(wallet: Wallet, text: str) -> str:
        match wallet.read(text):
            case Offer() as offer:
                return f"/offers/{offers.add(wallet.offered(offer.link))}"
            case DigitalLink() as product:
                return f"/products/{product.gtin}" + (
                    f"?serial={quote(product.serial)}" if product.serial else ""
                )
            case Receipt() as receipt:
                return f"/results/{wallet.take_receipt(receipt.token).event_id}"
            case Transfer():
                return "/scan?done=transfer"
            case Matches() | AskedTerms() as asked:
                return f"/requests/{requests.open.add(asked)}"

    @routes.get("/scan", dependencies=[UNLOCKED])
    def scan(request: Request, done: str = "") -> Response:
        return page(request, done_here(done, shell.words(request)), "")

    @routes.post("/scan")
    def take(request: Request, wallet: OpenWallet, texts: Texts) -> Response:
        text = texts.get("text", "").strip()
        try:
            return RedirectResponse(way_of(wallet, text), status_code=303)
        except CounterfoilError as error:
            status = 503 if isinstance(error, Unavailable) else 422
            # What a camera sees by chance may be a password: it is not shown again.
            again = text if texts.get("source", "paste") == "paste" else ""
            return page(request, explained(error, shell.words(request)), again, status=status)

    @routes.get("/products/{gtin}")
    def product(request: Request, wallet: OpenWallet, gtin: str, serial: str = "") -> Response:
        try:
            require_gtin(gtin, "product")
        except Malformed as none:
            raise HTTPException(404) from none
        link = DigitalLink("", gtin.zfill(14), serial=serial or None)
        words, now = shell.words(request), utc_now()
        known = {status.credential_id: status for status in wallet.statuses()}
        cards = [
            card_of(held, known.get(held.credential_id), words, now)
            for held in wallet.about(link)[::-1]
        ]
        return shell.page(
            request, "phone/product.html", tab="/scan", gtin=gtin, serial=serial, cards=cards
        )

    return routes
