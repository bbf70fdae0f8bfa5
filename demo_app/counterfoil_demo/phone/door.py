"""Who may look into the wallet: a browser with a session, while the wallet is in hand."""

from typing import Annotated, Final, TypeAlias
from urllib.parse import quote

from counterfoil_wallet import Wallet
from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import RedirectResponse

from counterfoil_demo.pages.sessions import Sessions
from counterfoil_demo.phone.pocket import Pocket


class _Locked(Exception):  # an answer to the customer, not a fault
    pass


def _wallet_of(request: Request) -> Wallet:
    door: Door = request.app.state.door
    return door.wallet(request)


OpenWallet: TypeAlias = Annotated[Wallet, Depends(_wallet_of)]
"""The wallet, for a page that only its customer sees; everybody else is led to the door."""

UNLOCKED: Final = Depends(_wallet_of)
"""The same for a page that does not read the wallet itself."""


class Door:
    """The door of one phone."""

    def __init__(self, pocket: Pocket, sessions: Sessions) -> None:
        self.pocket = pocket
        self.sessions = sessions

    def install(self, app: FastAPI) -> None:
        """Have the pages of `app` that ask for `OpenWallet` stand behind this door."""
        app.state.door = self

        def to_the_door(request: Request, _: Exception) -> Response:
            back = request.url.path if request.method == "GET" else "/"
            way = f"/unlock?back={quote(back)}" if self.pocket.exists() else "/start"
            if "hx-request" in request.headers:
                return Response(status_code=204, headers={"HX-Redirect": way})
            return RedirectResponse(way, status_code=303)

        app.add_exception_handler(_Locked, to_the_door)

    def wallet(self, request: Request) -> Wallet:
        """Give the wallet to a browser that has unlocked it."""
        if not self.sessions.is_known(request):
            if self.sessions.are_over():
                self.pocket.lock()
            raise _Locked
        if self.pocket.is_locked:
            raise _Locked
        return self.pocket.wallet
