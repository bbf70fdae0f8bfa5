"""The street over real sockets: both services behind uvicorn, every request through the guard.

Public origins stay what they are; the guarded fetcher's development routes lead to this
machine. Sweeps, pushes and polls run as they do in a service, by the real clock; what the
parties take for the time is the test's clock.
"""

import socket
import threading
import time
from collections.abc import Callable

import uvicorn
from counterfoil_consent.app import create_app, receiver_routes
from counterfoil_credentials.fetch import GuardedFetcher
from counterfoil_service.errors import install_error_handlers
from fastapi import FastAPI

from tests.consent.street import CUSTODIAN, KEY, VELO, Street

TIMEOUT_S = 10.0


class Line:
    """One app behind one port, which can be taken away and given back."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve(self, app: FastAPI) -> None:
        self.cut()
        config = uvicorn.Config(
            app, host="127.0.0.1", port=self.port, log_level="critical", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        wait_for(lambda: self._server is not None and self._server.started)

    def cut(self) -> None:
        """Take the service away: from now on every connection is refused."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join()
        self._server = self._thread = None


class WiredStreet(Street):
    """The three parties, with sockets between them."""

    def start(self) -> None:
        if not hasattr(self, "lines"):
            self.lines = {CUSTODIAN: Line(), VELO: Line()}
        self.fetcher = GuardedFetcher(  # type: ignore[assignment]  # the real one, not its twin
            timeout_s=TIMEOUT_S, loopback_routes_unsafely=self.routes()
        )
        super().start()

    def routes(self) -> dict[str, str]:
        """Give where on this machine each public origin is."""
        return {origin: line.address for origin, line in self.lines.items()}

    def connect(self) -> None:
        self.serve_custodian()
        self.serve_receiver()

    def serve_custodian(self, *, poll_wait_s: float = 1.0) -> None:
        app = create_app(
            self.custodian, fetcher=self.fetcher, sweep_every_s=0.2, poll_wait_s=poll_wait_s
        )
        self.lines[CUSTODIAN].serve(app)

    def serve_receiver(self) -> None:
        brand = FastAPI()
        install_error_handlers(brand)
        brand.include_router(receiver_routes(self.receiver, KEY, sweep_every_s=0.2))
        self.lines[VELO].serve(brand)

    def close(self) -> None:
        for line in getattr(self, "lines", {}).values():
            line.cut()
        super().close()


def wait_for(what: Callable[[], bool], within_s: float = 20.0) -> None:
    """Return once it is so; fail when it does not come about."""
    ends = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < ends, "expected it to come about, found that it does not"
        time.sleep(0.02)
