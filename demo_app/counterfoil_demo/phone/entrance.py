"""W1: the first run, with a new wallet or a backup, and the door afterwards."""

import tempfile
from pathlib import Path
from typing import Final

from counterfoil_credentials.errors import CounterfoilError, Malformed, Refused, Unavailable
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import UploadFile

from counterfoil_demo.pages.forms import Texts, local_path
from counterfoil_demo.pages.shell import Shell
from counterfoil_demo.pages.words import Words
from counterfoil_demo.phone.door import Door
from counterfoil_demo.phone.pocket import SHORTEST_PASSPHRASE, HasToWait

MAX_BACKUP_BYTES: Final = 64 * 1024 * 1024
_SEE_OTHER: Final = 303


def entrance_routes(shell: Shell, door: Door) -> APIRouter:
    """Give the pages before the wallet is in hand."""
    routes = APIRouter()

    def enter(path: str) -> Response:
        response = RedirectResponse(path, status_code=_SEE_OTHER)
        door.sessions.begin(response)
        door.pocket.go_on()
        return response

    @routes.get("/start")
    def start(request: Request) -> Response:
        if door.pocket.exists():
            return RedirectResponse("/", status_code=_SEE_OTHER)
        return shell.page(request, "phone/start.html", wrong="")

    @routes.post("/start")
    def make(request: Request, texts: Texts) -> Response:
        words = shell.words(request)
        passphrase = texts.get("passphrase", "")
        wrong = _unfit(passphrase, texts.get("again", passphrase), words)
        if not wrong:
            try:
                door.pocket.create(passphrase)
            except Malformed:
                wrong = words.gettext("Some characters of it cannot be kept. Use others.")
            except Refused:
                # Made a moment ago, by a second click or in another tab: its passphrase opens it.
                return RedirectResponse("/unlock", status_code=_SEE_OTHER)
            except Unavailable:
                if door.pocket.exists():
                    return RedirectResponse("/unlock", status_code=_SEE_OTHER)
                wrong = words.gettext("This device has no room for a wallet. Free some and retry.")
            else:
                return enter("/?done=made")
        return shell.page(request, "phone/start.html", status=422, wrong=wrong)

    @routes.get("/restore")
    def ask_for_backup(request: Request) -> Response:
        if door.pocket.exists():
            return RedirectResponse("/", status_code=_SEE_OTHER)
        return shell.page(request, "phone/restore.html", wrong_file="", wrong="")

    @routes.post("/restore")
    async def restore(request: Request) -> Response:
        words = shell.words(request)
        with tempfile.TemporaryDirectory(prefix="counterfoil-") as folder:
            backup = Path(folder) / "backup"
            async with request.form(max_files=1, max_fields=4) as form:
                file, passphrase = form.get("backup"), form.get("passphrase")
                if isinstance(file, UploadFile):
                    backup.write_bytes(await file.read(MAX_BACKUP_BYTES))
            wrong_file, wrong = "", ""
            try:
                door.pocket.restore(backup, passphrase if isinstance(passphrase, str) else "")
            except Refused as refusal:
                if "wallet-exists" in refusal.codes:
                    return RedirectResponse("/unlock", status_code=_SEE_OTHER)
                if "passphrase-wrong" in refusal.codes:
                    wrong = words.gettext("This passphrase does not open the backup.")
                else:
                    wrong_file = words.gettext("This file is no backup of a wallet.")
            except Malformed:
                wrong_file = words.gettext("This file is no backup of a wallet, or is damaged.")
            except Unavailable:
                if door.pocket.exists():
                    return RedirectResponse("/unlock", status_code=_SEE_OTHER)
                wrong_file = words.gettext("This file could not be read. Choose it again.")
            except CounterfoilError:
                wrong_file = words.gettext("Choose the file of the backup.")
            else:
                return enter("/?done=restored")
        return shell.page(
            request, "phone/restore.html", status=422, wrong_file=wrong_file, wrong=wrong
        )

    @routes.get("/unlock")
    def ask_for_passphrase(request: Request, back: str = "/") -> Response:
        if not door.pocket.exists():
            return RedirectResponse("/start", status_code=_SEE_OTHER)
        return shell.page(request, "phone/unlock.html", wrong="", back=local_path(back))

    @routes.post("/unlock")
    def unlock(request: Request, texts: Texts) -> Response:
        words = shell.words(request)
        back, status = local_path(texts.get("back", "/")), 422
        try:
            door.pocket.unlock(texts.get("passphrase", ""))
        except HasToWait as wait:
            status = 429
            said = words.ngettext(
                "Too many tries. Wait %(num)s second.",
                "Too many tries. Wait %(num)s seconds.",
                wait.seconds,
            )
            wrong = said % {"num": wait.seconds}
        except (Malformed, Refused):
            wrong = words.gettext("This passphrase does not open the wallet.")
        except Unavailable:
            status, wrong = 503, words.gettext("Another program has this wallet open. Close it.")
        else:
            return enter(back)
        return shell.page(request, "phone/unlock.html", status=status, wrong=wrong, back=back)

    @routes.post("/lock")
    def lock(request: Request) -> Response:
        response = RedirectResponse("/unlock", status_code=_SEE_OTHER)
        door.sessions.end(request, response)
        if door.sessions.are_over():
            door.pocket.lock()
        return response

    return routes


def _unfit(passphrase: str, again: str, words: Words) -> str:
    if len(passphrase) < SHORTEST_PASSPHRASE:
        said = words.gettext("Use at least %(num)s characters. Four words are easy to remember.")
        return said % {"num": SHORTEST_PASSPHRASE}
    if again != passphrase:
        return words.gettext("The two are not the same. Type it twice.")
    return ""
