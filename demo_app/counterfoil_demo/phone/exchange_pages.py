"""W15: what an exchange would bring, until when that holds, and the exchange, once.

A quote that was looked at is kept in memory under a name of this phone's own, and leaves it with
the tap that takes it: a second tap finds nothing to exchange.
"""

import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from counterfoil_credentials.errors import CounterfoilError, Malformed, Refused, Unavailable
from counterfoil_loyalty import CustomerPoints, Points
from counterfoil_loyalty.client import Quote
from counterfoil_loyalty.purse_views import Source
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from counterfoil_demo.pages.forms import Texts
from counterfoil_demo.pages.shell import Shell
from counterfoil_demo.pages.words import Words
from counterfoil_demo.phone.brands import brand_of
from counterfoil_demo.phone.door import UNLOCKED, OpenWallet
from counterfoil_demo.phone.pocket import Pocket
from counterfoil_demo.phone.points import amount_text, held_of, moved_of, points_of
from counterfoil_demo.phone.rings import ring_of
from counterfoil_demo.programmes import PROGRAMMES

_MOST_OPEN: Final = 20
_LATEST: Final = 10
# Claims are in millionths of a unit of the settlement currency.
_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Open:
    """A quote that somebody looks at, and since when."""

    quote: Quote
    at: datetime


class OpenQuotes:
    """The quotes that somebody looks at; the oldest gives way. Safe from several threads."""

    def __init__(self, pocket: Pocket) -> None:
        self._open: dict[str, Open] = {}
        self._lock = threading.Lock()
        pocket.when_locked(self._open.clear)

    def add(self, one: Open, name: str = "") -> str:
        """Keep a quote, and give its name."""
        name = name or secrets.token_urlsafe(12)
        with self._lock:
            while len(self._open) >= _MOST_OPEN:
                del self._open[next(iter(self._open))]
            self._open[name] = one
        return name

    def named(self, name: str) -> Open | None:
        """Give a quote, or None for one that is not there any more."""
        return self._open.get(name)

    def take(self, name: str) -> Open | None:
        """Give a quote to whoever asks first, and nothing to everybody else."""
        with self._lock:
            return self._open.pop(name, None)


def exchange_routes(shell: Shell, pocket: Pocket, quotes: OpenQuotes) -> APIRouter:
    """Give the form, the quote and the exchange."""
    routes = APIRouter()

    @routes.get("/points/exchange")
    def form(request: Request, wallet: OpenWallet) -> Response:
        return form_page(request, points_of(wallet), {})

    @routes.post("/points/quotes")
    def ask(request: Request, wallet: OpenWallet, texts: Texts) -> Response:
        words, purse = shell.words(request), points_of(wallet)
        brand, to = texts.get("from", ""), texts.get("to", "")
        held = purse.balances().get(brand)
        try:
            gives = Points.parse(brand, texts.get("amount", "").strip(), "amount")
        except Malformed:
            wrong = words.gettext("Write an amount such as 12 or 12.50.")
            return form_page(request, purse, texts, status=422, wrong=wrong)
        if held is None or not gives.units or gives.units > held.points.units:
            wrong = words.gettext("You do not have as many, as far as is known.")
            return form_page(request, purse, texts, status=422, wrong=wrong)
        try:
            quote = purse.quote(gives, to)
        except Unavailable:
            failed = words.gettext("Nobody answered. Nothing was exchanged. Try again.")
            return form_page(request, purse, texts, status=503, failed=failed)
        except CounterfoilError as cause:
            failed = words.gettext("These two brands do not exchange that. Nothing was exchanged.")
            if isinstance(cause, Refused) and "credit-exceeded" in cause.codes:
                failed = words.gettext(
                    "The brands have exchanged all that they agreed for now. Nothing was exchanged."
                )
            return form_page(request, purse, texts, status=422, failed=failed)
        name = quotes.add(Open(quote, pocket.clock()))
        return RedirectResponse(f"/points/quotes/{name}", status_code=303)

    @routes.get("/points/quotes/{name}", dependencies=[UNLOCKED])
    def quoted(request: Request, name: str) -> Response:
        found = quotes.named(name)
        if found is None:
            return RedirectResponse("/points/exchange", status_code=303)
        return quote_page(request, name, found)

    @routes.post("/points/quotes/{name}/exchange")
    def exchange(request: Request, wallet: OpenWallet, name: str) -> Response:
        words, purse, found = shell.words(request), points_of(wallet), quotes.take(name)
        if found is None:
            return RedirectResponse("/points?done=taken", status_code=303)
        if _left(found, pocket.clock()) <= timedelta(0):
            quotes.add(found, name)
            return quote_page(request, name, found, status=409)
        try:
            purse.exchange(found.quote)
        except Unavailable:
            # The wish is kept under an id of its own: the same again is sent, and happens once.
            quotes.add(found, name)
            failed = words.gettext(
                "Nobody answered. It is not known yet. Try again: it counts once."
            )
            return quote_page(request, name, found, status=503, failed=failed)
        except CounterfoilError:
            failed = words.gettext("The rate moved or the quote ended. Nothing was exchanged.")
            return form_page(request, purse, _again(found), status=409, failed=failed)
        return RedirectResponse("/points?done=exchanged", status_code=303)

    def form_page(
        request: Request,
        purse: CustomerPoints,
        texts: dict[str, str],
        *,
        status: int = 200,
        wrong: str = "",
        failed: str = "",
    ) -> Response:
        words, now = shell.words(request), pocket.clock()
        held = [held_of(each, words, now) for each in purse.balances().values()]
        others = [one.house.origin for one in PROGRAMMES.values()]
        exchanged = [
            moved_of(line, words)
            for line in purse.history(size=200)
            if line.source is Source.EXCHANGED
        ]
        return shell.page(
            request,
            "phone/exchange.html",
            status=status,
            tab="/points",
            held=held,
            targets=[(each, brand_of(each, words.language).name) for each in others],
            texts=texts,
            wrong=wrong,
            failed=failed,
            exchanged=exchanged[:_LATEST],
        )

    def quote_page(
        request: Request,
        name: str,
        found: Open,
        *,
        status: int = 200,
        failed: str = "",
    ) -> Response:
        words, quote = shell.words(request), found.quote
        left = _left(found, pocket.clock())
        whole = _ends_at(quote) - found.at
        return shell.page(
            request,
            "phone/quote.html",
            status=status,
            tab="/points",
            name=name,
            gives=amount_text(quote.gives.units, words),
            giver=brand_of(quote.gives.brand, words.language).name,
            takes=amount_text(quote.receives.units, words),
            taker=brand_of(quote.receives.brand, words.language).name,
            lines=_lines(quote, words),
            ring=ring_of(left, whole, words),
            left_s=max(int(left.total_seconds()), 0),
            whole_s=max(int(whole.total_seconds()), 1),
            ends_at=_ends_at(quote),
            is_over=left <= timedelta(0),
            again=_again(found),
            failed=failed,
        )

    return routes


def _ends_at(quote: Quote) -> datetime:
    return datetime.fromtimestamp(quote.expires_at, UTC)


def _left(found: Open, now: datetime) -> timedelta:
    return _ends_at(found.quote) - now


def _again(found: Open) -> dict[str, str]:
    gives = found.quote.gives
    return {"from": gives.brand, "to": found.quote.receives.brand, "amount": str(gives)}


def _lines(quote: Quote, words: Words) -> Sequence[tuple[str, str]]:
    say = words.gettext
    giver, taker = (
        brand_of(each.brand, words.language).name for each in (quote.gives, quote.receives)
    )
    rate = say("%(gives)s of %(giver)s for %(takes)s of %(taker)s") % {
        "gives": words.number(quote.rate.denominator),
        "giver": giver,
        "takes": words.number(quote.rate.numerator),
        "taker": taker,
    }
    lines = [
        (say("Rate that both brands signed"), rate),
        (say("Kept back by the brands"), amount_text(quote.fee_units, words)),
        (say("You get at least"), amount_text(quote.receives.units, words)),
    ]
    if quote.cover is not None:
        stands = say("€%(credit)s on account, €%(reserve)s set aside") % {
            "credit": words.number(quote.cover.credit // _MILLION),
            "reserve": words.number(quote.cover.reserve // _MILLION),
        }
        lines.append((say("Behind it, between the brands"), stands))
    return lines
