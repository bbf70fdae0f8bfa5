"""Many wallets before one issuer at the same time, each on a connection of its own."""

import http.client
import json
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlencode, urlsplit

from counterfoil_credentials.holder_proof import make_proof
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.offers import parse_offer
from counterfoil_credentials.spec import FORM_MEDIA_TYPE, JSON_MEDIA_TYPE, PRE_AUTHORIZED_GRANT

_PATIENCE_S = 60
_T = TypeVar("_T")


class Answer(NamedTuple):
    """An answer that arrived whole."""

    status: int
    body: dict[str, Any]

    @property
    def outcome(self) -> str:
        """Give "200", or the status with its error code."""
        return " ".join(str(part) for part in (self.status, self.body.get("error")) if part)


def post(
    connection: http.client.HTTPConnection,
    url: str,
    content: str,
    media_type: str = JSON_MEDIA_TYPE,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Post over an open connection; raises `OSError` or `HTTPException` when no answer came."""
    parts = urlsplit(url)
    told = {"Content-Type": media_type, **(headers or {})}
    connection.request("POST", parts.path, content, told)
    response = connection.getresponse()
    body = response.read()
    return Answer(response.status, json.loads(body) if body else {})


@contextmanager
def connected(url: str) -> Generator[http.client.HTTPConnection, None, None]:
    """Give an open connection to the host of `url`."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_PATIENCE_S)
    try:
        connection.connect()
        yield connection
    finally:
        connection.close()


def all_at_once(
    acts: Sequence[Callable[[http.client.HTTPConnection], _T]], addresses: Sequence[str]
) -> list[_T]:
    """Run every act on an open connection, taking turns of the addresses, none before all stand."""
    barrier = threading.Barrier(len(acts))

    def run(number: int, act: Callable[[http.client.HTTPConnection], _T]) -> _T:
        with connected(addresses[number % len(addresses)]) as connection:
            barrier.wait(_PATIENCE_S)
            return act(connection)

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, range(len(acts)), acts))


@dataclass
class Wallet:
    """A wallet that goes on where it was: what it was told is kept, what was cut off is not."""

    issuer: str
    link: str
    tx_code: str | None = None
    kind: str = "warranty"
    key: MemorySigner = field(default_factory=MemorySigner.generate)
    token: str | None = None
    credential: str | None = None

    def form(self, tx_code: str | None = None) -> str:
        """Give the token request."""
        form = {
            "grant_type": PRE_AUTHORIZED_GRANT,
            "pre-authorized_code": parse_offer(self.link).pre_authorized_code,
        }
        if code := tx_code or self.tx_code:
            form["tx_code"] = code
        return urlencode(form)

    def redeem(self, connection: http.client.HTTPConnection, tx_code: str | None = None) -> Answer:
        """Ask for the token; it is kept when it comes."""
        answer = post(connection, f"{self.issuer}/token", self.form(tx_code), FORM_MEDIA_TYPE)
        if answer.status == 200:
            self.token = answer.body["access_token"]
        return answer

    def nonce(self, connection: http.client.HTTPConnection) -> str:
        """Ask for a nonce."""
        return str(post(connection, f"{self.issuer}/nonce", "").body["c_nonce"])

    def ask(
        self,
        connection: http.client.HTTPConnection,
        nonce: str,
        key: MemorySigner | None = None,
    ) -> Answer:
        """Ask for the credential."""
        now = datetime.now(UTC)
        proof = make_proof(key or self.key, issuer=self.issuer, nonce=nonce, now=now)
        body = json.dumps({"credential_configuration_id": self.kind, "proofs": {"jwt": [proof]}})
        headers = {"Authorization": f"Bearer {self.token}"}
        return post(connection, f"{self.issuer}/credential", body, headers=headers)

    def walk(self, connection: http.client.HTTPConnection) -> None:
        """Go on to the end; the credential is kept only when its answer came whole."""
        if self.token is None:
            answer = self.redeem(connection)
            assert answer.status == 200, answer
        answer = self.ask(connection, self.nonce(connection))
        assert answer.status == 200, answer
        (one,) = answer.body["credentials"]
        self.credential = one["credential"]
