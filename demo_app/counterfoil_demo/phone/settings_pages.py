"""W21 and W22: how the pages look, and a copy of the wallet that only its customer can open."""

import tempfile
from pathlib import Path

from fastapi import APIRouter, Request, Response

from counterfoil_demo.pages.forms import Texts
from counterfoil_demo.pages.shell import Shell
from counterfoil_demo.phone.door import OpenWallet
from counterfoil_demo.phone.pocket import SHORTEST_PASSPHRASE, utc_now


def settings_routes(shell: Shell) -> APIRouter:
    """Give the settings and the backup."""
    routes = APIRouter()

    @routes.get("/settings")
    def settings(request: Request, wallet: OpenWallet) -> Response:
        return shell.page(
            request, "phone/settings.html", tab="", trashed=len(wallet.removed()), wrong=""
        )

    @routes.post("/settings/backup")
    def backup(request: Request, wallet: OpenWallet, texts: Texts) -> Response:
        passphrase = texts.get("passphrase", "")
        if len(passphrase) < SHORTEST_PASSPHRASE:
            said = shell.words(request).gettext("Use at least %(num)s characters.")
            wrong = said % {"num": SHORTEST_PASSPHRASE}
            return shell.page(
                request,
                "phone/settings.html",
                status=422,
                tab="",
                trashed=len(wallet.removed()),
                wrong=wrong,
            )
        with tempfile.TemporaryDirectory(prefix="counterfoil-") as folder:
            file = Path(folder) / "backup"
            wallet.backup(file, passphrase)
            body = file.read_bytes()
        name = f"counterfoil-{utc_now():%Y-%m-%d}.backup"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(body, media_type="application/octet-stream", headers=headers)

    return routes
