"""W14: the pages of points, and the question what there is now."""

from counterfoil_credentials.errors import CounterfoilError
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from counterfoil_demo.pages.forms import Texts
from counterfoil_demo.pages.shell import Shell
from counterfoil_demo.phone.door import OpenWallet
from counterfoil_demo.phone.pocket import Pocket
from counterfoil_demo.phone.points import (
    course_of,
    expiries_of,
    held_of,
    joinable,
    moved_of,
    points_of,
    promised_of,
    together,
)

PER_PAGE = 20


def points_routes(shell: Shell, pocket: Pocket) -> APIRouter:
    """Give the points of all brands, and the movements."""
    routes = APIRouter()

    @routes.get("/points")
    def points(
        request: Request, wallet: OpenWallet, brand: str = "", after: int = 0, done: str = ""
    ) -> Response:
        words, purse, now = shell.words(request), points_of(wallet), pocket.clock()
        balances = purse.balances()
        held = [held_of(each, words, now) for each in balances.values()]
        chosen = brand if brand in balances else next(iter(balances), "")
        after = max(after, 0)
        lines = purse.history(size=after + PER_PAGE + 1)
        return shell.page(
            request,
            "phone/points.html",
            tab="/points",
            held=held,
            chosen=chosen,
            total=together(list(balances.values()), words),
            course=course_of(purse, chosen, words, now) if chosen else None,
            expiries=expiries_of(purse, words, now),
            promises=[promised_of(each, words) for each in purse.promises()],
            moved=[moved_of(line, words) for line in lines[after : after + PER_PAGE]],
            after=after,
            more=len(lines) > after + PER_PAGE,
            joinable=joinable(purse, words),
            asks=any(each.is_stale for each in held) and not done,
            done=done,
        )

    @routes.post("/points/check")
    def check(wallet: OpenWallet) -> Response:
        purse = points_of(wallet)
        # What was under way when the phone stopped goes on first.
        purse.resume()
        fresh = all(balance.is_fresh for balance in purse.check().values())
        return RedirectResponse(f"/points?done={'asked' if fresh else 'not-asked'}", 303)

    @routes.post("/points/join")
    def join(wallet: OpenWallet, texts: Texts) -> Response:
        purse, brand = points_of(wallet), texts.get("brand", "")
        try:
            purse.join(brand)
        except CounterfoilError:
            return RedirectResponse("/points?done=not-asked", 303)
        purse.check()
        return RedirectResponse("/points?done=joined", 303)

    return routes
