"""W2: what the customer has, what needs her eye, and one search over everything."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from counterfoil_wallet import CardStatus, HeldCredential, Status, Wallet
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from counterfoil_demo.pages.forms import Texts, local_path
from counterfoil_demo.pages.shell import Shell
from counterfoil_demo.pages.words import Words
from counterfoil_demo.phone.cards import Card, card_of, is_receipt
from counterfoil_demo.phone.door import OpenWallet
from counterfoil_demo.phone.pocket import utc_now

PER_PAGE: Final = 30
_LATEST_RECEIPTS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """What the first page shows. `checked_at`: the oldest list that a status comes from."""

    alerts: Sequence[Card]
    ending: Sequence[tuple[Card, int]]
    cards: Sequence[Card]
    receipts: Sequence[Card]
    total: int
    after: int
    checked_at: datetime | None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing yet."""
        return not self.cards and not self.receipts


def home_of(wallet: Wallet, words: Words, now: datetime, *, after: int = 0) -> Home:
    """Give the first page; `after` says how many of the newest cards earlier pages have shown."""
    held = wallet.credentials()[::-1]
    statuses = {status.credential_id: status for status in wallet.statuses()}

    def card(one: HeldCredential) -> Card:
        return card_of(one, statuses.get(one.credential_id), words, now)

    receipts = [one for one in held if is_receipt(one)]
    others = [one for one in held if not is_receipt(one)]
    zone = now.astimezone().tzinfo or UTC
    due = {each.credential_id: each.days for each in wallet.reminders(zone) if each.is_due}
    listed = [status.listed_at for status in statuses.values() if status.listed_at is not None]
    return Home(
        alerts=[card(one) for one in held if _is_troubled(statuses[one.credential_id])],
        ending=[(card(one), due[one.credential_id]) for one in held if one.credential_id in due],
        cards=[card(one) for one in others[after : after + PER_PAGE]],
        receipts=[card(one) for one in receipts[:_LATEST_RECEIPTS]],
        total=len(others),
        after=after,
        checked_at=min(listed, default=None),
    )


def home_routes(shell: Shell) -> APIRouter:
    """Give the first page, the search, and the question to the issuers' lists."""
    routes = APIRouter()

    @routes.get("/")
    def home(request: Request, wallet: OpenWallet, after: int = 0, done: str = "") -> Response:
        found = home_of(wallet, shell.words(request), utc_now(), after=max(after, 0))
        return shell.page(request, "phone/home.html", tab="/", home=found, done=done)

    @routes.get("/search")
    def search(request: Request, wallet: OpenWallet, q: str = "") -> Response:
        words, now = shell.words(request), utc_now()
        found = wallet.search(q, limit=PER_PAGE) if q.strip() else []
        statuses = {status.credential_id: status for status in wallet.statuses()}
        cards = [card_of(one, statuses.get(one.credential_id), words, now) for one in found]
        return shell.page(request, "phone/search.html", tab="", cards=cards, q=q)

    @routes.post("/check")
    def check(wallet: OpenWallet, texts: Texts) -> Response:
        failed = any(status.failed for status in wallet.check_statuses(max_age=timedelta(0)))
        back = local_path(texts.get("back", "/")).partition("?")[0]
        done = "not-checked" if failed else "checked"
        return RedirectResponse(f"{back}?done={done}", status_code=303)

    return routes


def _is_troubled(status: CardStatus) -> bool:
    return status.status in {Status.REVOKED, Status.SUSPENDED, Status.OTHER}
