"""W13: the pages of the history: looked through, deleted from, taken along and brought back."""

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import groupby
from typing import Final

from counterfoil_credentials.errors import CounterfoilError, Refused
from counterfoil_wallet import Event, Wallet
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from counterfoil_demo.pages.forms import Texts
from counterfoil_demo.pages.shell import Shell
from counterfoil_demo.pages.words import Words
from counterfoil_demo.phone.door import OpenWallet
from counterfoil_demo.phone.events import (
    KINDS,
    Told,
    Wanted,
    name_of_event,
    name_of_party,
    parties_of,
    told_of,
)
from counterfoil_demo.phone.pocket import SHORTEST_PASSPHRASE, utc_now

PER_PAGE: Final = 50
MAX_LOG_BYTES: Final = 16 * 1024 * 1024


def history_routes(shell: Shell) -> APIRouter:
    """Give the list, one event, and the file."""
    routes = APIRouter()

    @routes.get("/history")
    def listed(
        request: Request, wallet: OpenWallet, after: int = 0, done: str = "", count: int = 0
    ) -> Response:
        return page(
            request, wallet, request.query_params, after=max(after, 0), done=done, count=count
        )

    @routes.post("/history/delete")
    def delete_listed(request: Request, wallet: OpenWallet, texts: Texts) -> Response:
        found = _found(wallet, Wanted.of(texts))
        if texts.get("count") != str(len(found)):
            # Something happened since she looked: what she did not see is not deleted.
            return page(request, wallet, texts, status=409, done="changed")
        count = wallet.forget_events([event.event_id for event in found])
        return RedirectResponse(f"/history?done=deleted&count={count}", status_code=303)

    @routes.get("/history/file")
    def file(request: Request, wallet: OpenWallet) -> Response:
        return file_page(request, wallet)

    @routes.post("/history/save")
    def save(request: Request, wallet: OpenWallet, texts: Texts) -> Response:
        passphrase = texts.get("passphrase", "")
        if len(passphrase) < SHORTEST_PASSPHRASE:
            said = shell.words(request).gettext("Use at least %(num)s characters.")
            wrong = said % {"num": SHORTEST_PASSPHRASE}
            return file_page(request, wallet, status=422, wrong=wrong)
        name = f"counterfoil-history-{utc_now():%Y-%m-%d}.jwe"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        sealed = wallet.export_history(passphrase)
        return Response(sealed, media_type="application/jose", headers=headers)

    @routes.post("/history/bring")
    async def bring(request: Request, wallet: OpenWallet) -> Response:
        words = shell.words(request)
        raw = b""
        async with request.form(max_files=1, max_fields=4) as form:
            given, passphrase = form.get("file"), form.get("passphrase")
            if isinstance(given, UploadFile):
                raw = await given.read(MAX_LOG_BYTES)
        words_of_file = passphrase if isinstance(passphrase, str) else ""
        try:
            brought = wallet.import_history(raw.decode("ascii", "replace"), words_of_file)
        except CounterfoilError as error:
            wrong_file, wrong_words = _why_not(error, words)
            return file_page(
                request, wallet, status=422, wrong_file=wrong_file, wrong_words=wrong_words
            )
        return RedirectResponse(f"/history?done=brought&count={brought.added}", status_code=303)

    @routes.get("/history/{name}")
    def one(request: Request, wallet: OpenWallet, name: str) -> Response:
        words, event = shell.words(request), _event(wallet, name)
        parties = parties_of(wallet, [event], words)
        told = told_of(event, parties, wallet.grants(), words)
        return shell.page(request, "phone/event.html", tab="", told=told)

    @routes.post("/history/{name}/delete")
    def delete(wallet: OpenWallet, name: str) -> Response:
        found = [each for each in wallet.history() if name_of_event(each) == name]
        count = wallet.forget_events([event.event_id for event in found])
        return RedirectResponse(f"/history?done=deleted&count={count}", status_code=303)

    def page(
        request: Request,
        wallet: Wallet,
        query: Mapping[str, str],
        *,
        after: int = 0,
        status: int = 200,
        done: str = "",
        count: int = 0,
    ) -> Response:
        words, wanted = shell.words(request), Wanted.of(query)
        everything = wallet.history()
        found = _found(wallet, wanted)
        shown = found[after : after + PER_PAGE]
        parties, grants = parties_of(wallet, everything, words), wallet.grants()
        told = [told_of(event, parties, grants, words) for event in shown]
        months = groupby(told, key=_month)
        return shell.page(
            request,
            "phone/history.html",
            status=status,
            tab="",
            wanted=wanted,
            query=query,
            months=[(month, list(each)) for month, each in months],
            count=len(found),
            has_any=bool(everything),
            parties=_choices(parties),
            kinds=[(kind, words.gettext(word)) for kind, (word, _) in KINDS.items()],
            after=after,
            more=after + PER_PAGE < len(found),
            done=done,
            changed=count,
        )

    def file_page(
        request: Request,
        wallet: Wallet,
        *,
        status: int = 200,
        wrong: str = "",
        wrong_file: str = "",
        wrong_words: str = "",
    ) -> Response:
        return shell.page(
            request,
            "phone/history_file.html",
            status=status,
            tab="",
            count=len(wallet.history()),
            wrong=wrong,
            wrong_file=wrong_file,
            wrong_words=wrong_words,
        )

    return routes


def _found(wallet: Wallet, wanted: Wanted) -> Sequence[Event]:
    found = [event for event in wallet.history() if wanted.fits(event)]
    # Two of one second stand in the order in which they happened.
    return sorted(found, key=lambda event: event.at)[::-1]


def _month(told: Told) -> date:
    return told.at.astimezone().date().replace(day=1)


def _event(wallet: Wallet, name: str) -> Event:
    for event in wallet.history():
        if name_of_event(event) == name:
            return event
    raise HTTPException(404)


def _choices(parties: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    return sorted(((name_of_party(party), name) for party, name in parties.items()), key=_second)


def _second(pair: tuple[str, str]) -> str:
    return pair[1]


def _why_not(error: CounterfoilError, words: Words) -> tuple[str, str]:
    codes = error.codes if isinstance(error, Refused) else []
    if "passphrase-wrong" in codes:
        return "", words.gettext("This passphrase does not open the file, or it was changed.")
    if "history-foreign" in codes:
        return words.gettext("Another wallet wrote this file. Its events are not taken here."), ""
    return words.gettext("This file is no history of a wallet."), ""
