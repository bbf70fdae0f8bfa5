"""A custodian and a brand's app as processes of their own, to be killed and served again.

`python -m tests.consent.running FOLDER PORT CUSTODIAN_ADDRESS DATABASE` is the brand's app.
"""

import secrets
import subprocess
import sys
import time
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from counterfoil_consent import FileKeyFolder, Receiver
from counterfoil_consent.app import receiver_app
from counterfoil_consent.client import fetch_custodian
from counterfoil_consent.sql_accesses import SqlAccesses
from counterfoil_consent.sql_receiver_store import SqlReceiverStore
from counterfoil_credentials.fetch import GuardedFetcher
from counterfoil_credentials.key_file import load_or_create_signer
from counterfoil_service.serving import bind_exactly, serve

from tests.consent.street import CUSTODIAN, KEY, VELO, Statuses, TrustedIssuer

ROOT = Path(__file__).parent.parent.parent
ISSUER_KEY = "issuer-key.pem"
RECEIVER_KEY = "receiver-key.pem"


class Process:
    """A service on this machine that is started, killed, and started again."""

    def __init__(self, command: list[str], port: int, log: Path) -> None:
        self._command = command
        self._port = port
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, cwd=ROOT, stdout=log, stderr=log)
        for _ in range(600):
            assert self._process.poll() is None, self._log.read_text()[-4_000:]
            try:
                connection = HTTPConnection("127.0.0.1", self._port, timeout=5)
                connection.request("GET", "/nothing-here")
                connection.getresponse().read()
                connection.close()
                return
            except (OSError, HTTPException):
                time.sleep(0.05)
        raise AssertionError(self._log.read_text()[-4_000:])

    def kill(self) -> None:
        """End it as the power does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def routes(custodian: str, brand: str) -> GuardedFetcher:
    """Give a way out that finds both of them on this machine."""
    return GuardedFetcher(loopback_routes_unsafely={CUSTODIAN: custodian, VELO: brand})


def serve_brand(folder: Path, port: int, custodian: str, database: Path | str) -> None:
    """Serve a receiver over `folder` until it is stopped."""
    fetcher = routes(custodian, f"http://127.0.0.1:{port}")
    store = SqlReceiverStore(database)
    with bind_exactly(port) as listener:
        receiver = Receiver(
            origin=VELO,
            name="Velo",
            signer=load_or_create_signer(folder / RECEIVER_KEY),
            custodian=fetch_custodian(fetcher, CUSTODIAN),
            store=store,
            keys=FileKeyFolder(folder / "sealing-keys"),
            fetcher=fetcher,
            trust=TrustedIssuer(load_or_create_signer(folder / ISSUER_KEY).public),
            status=Statuses(),
            clock=lambda: datetime.now(UTC),
            random=secrets.token_bytes,
            accesses=SqlAccesses(store.database),
        )
        app = receiver_app(receiver, KEY, sweep_every_s=0.5)
        serve(app, listener=listener, lifeline=None)


if __name__ == "__main__":
    place, number, address, where = sys.argv[1:]
    is_server = where.startswith("postgresql://")
    serve_brand(Path(place), int(number), address, where if is_server else Path(where))
