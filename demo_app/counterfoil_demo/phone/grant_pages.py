"""W12: one grant with what it lets read, what its end would erase, and the one tap that ends it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from counterfoil_consent.states import Trigger
from counterfoil_consent.wire import GrantId
from counterfoil_credentials.errors import CounterfoilError, Refused
from counterfoil_wallet import Consent, ConsentState, Language, Wallet, WithdrawalPreview, printable
from counterfoil_wallet.consent_words import LIMIT, purpose_text
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException

from counterfoil_demo.pages.shell import Shell
from counterfoil_demo.pages.words import Words
from counterfoil_demo.phone.door import OpenWallet
from counterfoil_demo.phone.grant_ends import is_owed, proof_of, steps_of, trigger_of
from counterfoil_demo.phone.grants import facts_text, shared_of
from counterfoil_demo.phone.rings import Ring, ring_of

_UNDELIVERED: Final = frozenset({ConsentState.WAITING, ConsentState.UNACKNOWLEDGED})


@dataclass(frozen=True, slots=True)
class Lent:
    """A fact that they may open, and when they last did; "" where nobody has said."""

    name: str
    opened: str


def grant_routes(shell: Shell) -> APIRouter:
    """Give the page of a grant, and what she does about it."""
    routes = APIRouter()

    @routes.get("/sharing/{grant_id}")
    def grant(request: Request, wallet: OpenWallet, grant_id: str, done: str = "") -> Response:
        words, one = shell.words(request), _one(wallet, grant_id)
        preview = wallet.consent.preview(one.grant_id) if one.state.is_live else None
        return shell.page(
            request,
            "phone/grant.html",
            tab="",
            one=one,
            shared=shared_of(one, words),
            lent=[_lent(one, str(name), words) for name in one.claims],
            purpose=purpose_text(one.purpose, Language(words.language)),
            ring=_ring(one, words),
            preview=preview,
            erased="" if preview is None else facts_text(map(str, preview.erased), words),
            laws=[] if preview is None else _laws(preview),
            steps=steps_of(one, words),
            proof=proof_of(one, words),
            limit=LIMIT[Language(words.language)],
            is_withdrawn=one.end is not None and trigger_of(one, one.end) is Trigger.WITHDRAWN,
            is_undelivered=one.state in _UNDELIVERED,
            is_owed=is_owed(one),
            done=done,
        )

    @routes.post("/sharing/{grant_id}/withdraw")
    def withdraw(wallet: OpenWallet, grant_id: str) -> Response:
        wallet.withdraw(_one(wallet, grant_id).grant_id)
        return _back(grant_id, "withdrawn")

    @routes.post("/sharing/{grant_id}/pause")
    def pause(wallet: OpenWallet, grant_id: str) -> Response:
        return _changed(wallet, grant_id, is_paused=True)

    @routes.post("/sharing/{grant_id}/go-on")
    def go_on(wallet: OpenWallet, grant_id: str) -> Response:
        return _changed(wallet, grant_id, is_paused=False)

    @routes.post("/sharing/{grant_id}/ask")
    def ask(request: Request, wallet: OpenWallet, grant_id: str) -> Response:
        before = _one(wallet, grant_id)
        if before.state in _UNDELIVERED:
            wallet.resume()
        after = wallet.consent.ask(before.grant_id)
        if "hx-request" in request.headers and (after.state, after.end) == (
            before.state,
            before.end,
        ):
            # The page shows it already.
            return Response(status_code=204)
        return _back(grant_id, "asked")

    @routes.get("/sharing/{grant_id}/papers")
    def papers(request: Request, wallet: OpenWallet, grant_id: str) -> Response:
        one, language = _one(wallet, grant_id), Language(shell.words(request).language)
        try:
            pack = wallet.consent.complaint(one.grant_id, language)
        except Refused as refusal:
            # Not ended, or granted by a wallet that kept no papers.
            raise HTTPException(404) from refusal
        kind = "complaint" if one.may_complain else "proof"
        name = f"counterfoil-{kind}-{one.seen_at:%Y-%m-%d}.json"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(pack, media_type="application/json", headers=headers)

    return routes


def _one(wallet: Wallet, grant_id: str) -> Consent:
    try:
        return wallet.consent.one(GrantId(grant_id))
    except Refused as unknown:
        raise HTTPException(404) from unknown


def _back(grant_id: str, done: str) -> Response:
    return RedirectResponse(f"/sharing/{grant_id}?done={done}", status_code=303)


def _changed(wallet: Wallet, grant_id: str, *, is_paused: bool) -> Response:
    one = _one(wallet, grant_id)
    change = wallet.consent.suspend if is_paused else wallet.consent.resume
    try:
        change(one.grant_id)
    except CounterfoilError:
        # It ended meanwhile: its page says so.
        return _back(grant_id, "")
    return _back(grant_id, "paused" if is_paused else "went-on")


def _lent(one: Consent, fact: str, words: Words) -> Lent:
    name = facts_text([fact], words)
    if one.accesses is None:
        return Lent(name, words.gettext("Never opened") if _is_unread(one) else "")
    times = [event.at for event in one.accesses if fact in map(str, event.claims)]
    if not times:
        return Lent(name, words.gettext("Never opened"))
    return Lent(name, words.gettext("Opened %(when)s") % {"when": _when(times, one, words)})


def _when(times: Sequence[datetime], one: Consent, words: Words) -> str:
    return words.since(max(times), one.seen_at)


def _is_unread(one: Consent) -> bool:
    return one.usage is not None and one.usage.reads == 0


def _ring(one: Consent, words: Words) -> Ring | None:
    if one.state.is_live:
        since = one.granted_at or one.asked_at or one.seen_at
        return ring_of(one.valid_until - one.seen_at, one.valid_until - since, words)
    if one.state is ConsentState.ERASURE_PENDING and one.end is not None:
        left = one.erasure_left or timedelta(0)
        return ring_of(left, one.end.erase_by - one.end.at, words)
    return None


def _laws(preview: WithdrawalPreview) -> Sequence[str]:
    return [printable(law.name) for law in preview.may_keep]
