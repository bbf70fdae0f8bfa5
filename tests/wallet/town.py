"""A brand, a shop, another brand that asks, a custodian, and the customer between them.

Every exchange passes the real services, through the in-memory fetcher. The wire
can be cut at any one call, before it is sent or before its answer arrives.
"""

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from counterfoil_consent import (
    ClaimName,
    ClaimTerm,
    Custodian,
    FetchedIssuerKeys,
    ListedStatus,
    MemoryKeyFolder,
    MemoryReceiverStore,
    Necessity,
    Notice,
    Purpose,
    Receiver,
    Wish,
)
from counterfoil_consent import MemoryStore as CustodianStore
from counterfoil_consent.access_log import MemoryAccessEvents
from counterfoil_consent.accesses import MemoryAccesses
from counterfoil_consent.app import create_app as create_custodian_app
from counterfoil_consent.app import receiver_routes
from counterfoil_consent.tombstone_journal import MemoryTombstoneJournal
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.fetch import (
    MAX_BYTES,
    Fetcher,
    Handler,
    MemoryFetcher,
    Response,
)
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.spec import JSON_MEDIA_TYPE
from counterfoil_credentials.token_status_list import FetchedStatusSource
from counterfoil_issuer.app import create_app as create_issuer_app
from counterfoil_issuer.offering import OpenOffer
from counterfoil_issuer.sql_store import SqlStore as IssuerStore
from counterfoil_service.errors import install_error_handlers
from counterfoil_verifier import WARRANTY, Counter, PinnedTrust, Shop, Statuses, TrustedIssuer
from counterfoil_verifier import MemoryStore as SessionStore
from counterfoil_verifier.app import create_app as create_counter_app
from counterfoil_wallet import Store, Trust, Wallet
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.issuer.brand import AUDIO, ORDERS, issuer_on

TILL = "https://till.example"
VELO = "https://velo.example"
CUSTODIAN = "https://custodian.example"
KEY = "a key that staff carry in these tests"
RECEIPT_TYPE = f"{AUDIO}/types/receipt"
WARRANTY_TYPE = f"{AUDIO}/types/warranty"
SERIAL = ClaimName(WARRANTY_TYPE, ("item", "serial"))
VALID_UNTIL = ClaimName(WARRANTY_TYPE, ("valid_until",))
ORDER = "#1001"

Random = Callable[[int], bytes]


class MovingClock(Protocol):
    """A clock that moves when it is told to."""

    def __call__(self) -> datetime: ...

    def advance(self, by: timedelta) -> datetime: ...


class Killed(BaseException):
    """The program is gone, in the middle of a call."""


@dataclass
class Wire:
    """A fetcher that counts its calls, remembers what left, and can be cut at one of them."""

    inner: Fetcher
    sent: list[tuple[str, str, bytes]] = field(default_factory=list[tuple[str, str, bytes]])
    cut_at: int | None = None
    cut_after_sending: bool = False
    error: type[BaseException] = Killed

    def get(
        self,
        url: str,
        *,
        accept: str,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> Response:
        return self._pass(
            "GET",
            url,
            b"",
            lambda: self.inner.get(url, accept=accept, headers=headers, max_bytes=max_bytes),
        )

    def post(
        self,
        url: str,
        body: bytes,
        *,
        media_type: str,
        headers: Mapping[str, str] | None = None,
        accept: str = JSON_MEDIA_TYPE,
        max_bytes: int = MAX_BYTES,
    ) -> Response:
        return self._pass(
            "POST",
            url,
            body,
            lambda: self.inner.post(
                url,
                body,
                media_type=media_type,
                headers=headers,
                accept=accept,
                max_bytes=max_bytes,
            ),
        )

    def _pass(self, method: str, url: str, body: bytes, send: Callable[[], Response]) -> Response:
        is_cut = len(self.sent) + 1 == self.cut_at
        self.sent.append((method, url, body))
        if is_cut and not self.cut_after_sending:
            raise self.error("cut before sending")
        answer = send()
        if is_cut:
            raise self.error("cut before the answer")
        return answer


class Town:
    """The services, and the network between them; the brand keeps its books in `folder`."""

    def __init__(self, clock: MovingClock, random: Random, folder: Path) -> None:
        self.clock = clock
        self.random = random
        self.network = MemoryFetcher()
        self.audio_signer = MemorySigner.generate()
        self.auditor = MemorySigner.generate()
        self.issuer_store = IssuerStore(folder / "issuer.sqlite3")
        self.issuer = issuer_on(self.issuer_store, clock, random, signer=self.audio_signer)
        # The books close when nobody holds them any more.
        weakref.finalize(self.issuer_store, self.issuer_store.database.close)
        self.issuer.import_orders(ORDERS)
        self.shop = Shop(name="Corner Shop", origin=TILL, signer=MemorySigner.generate())
        self.counter = self._counter()
        self.custodian = Custodian(
            origin=CUSTODIAN,
            signer=MemorySigner.generate(),
            store=CustodianStore(),
            keys=MemoryKeyFolder(),
            journal=MemoryTombstoneJournal(),
            clock=clock,
            random=random,
        )
        self.receiver = self.receiver_of(VELO)
        self.connect()

    def connect(self) -> None:
        """Put every service on the network."""
        self.serve(AUDIO, create_issuer_app(self.issuer))
        self.serve(TILL, create_counter_app(self.counter, counter_key=KEY))
        self.serve(CUSTODIAN, create_custodian_app(self.custodian))
        velo = FastAPI()
        install_error_handlers(velo)
        velo.include_router(receiver_routes(self.receiver, KEY, finished_within_s=60))
        self.serve(VELO, velo)

    def open_shop(self, shop: Shop) -> None:
        """Let this be the shop from now on; what the one before asked is forgotten."""
        self.shop = shop
        self.counter = self._counter()
        self.connect()

    def serve(self, origin: str, app: FastAPI) -> None:
        """Put a service on the network."""
        self.network.serve(origin, handler_of(TestClient(app, base_url=origin)))

    def wallet(self, store: Store, wire: Fetcher | None = None) -> Wallet:
        """Give a wallet over `store`, as a program has it that just started."""
        return Wallet(
            store,
            fetcher=self.network if wire is None else wire,
            clock=self.clock,
            random=self.random,
            trust=Trust(custodians={CUSTODIAN: self.custodian.party.did}),
        )

    def offer(self, order: str = ORDER) -> OpenOffer:
        """Offer the receipt and the first warranty of an order."""
        return self.issuer.offer(order).offers[0]

    def in_force(self, order: str = ORDER) -> int:
        """Count the credentials that the brand knows to be held for `order`."""
        return sum(1 for record in self.issuer.credentials_of(order) if record.acknowledged_at)

    def wish(self) -> Wish:
        """Give what the bicycle brand asks: one fact that it needs, one that it would like."""
        return Wish(
            purpose=Purpose.PERSONALISED_BENEFITS,
            claims=(
                ClaimTerm(name=SERIAL, necessity=Necessity.REQUIRED, retain_days=30),
                ClaimTerm(name=VALID_UNTIL, necessity=Necessity.OPTIONAL, retain_days=30),
            ),
            notice=Notice(text="We fit your next bicycle to you.", language="en"),
            valid_for=timedelta(days=30),
            max_reads=5,
            jurisdiction="EU",
        )

    def _counter(self) -> Counter:
        issuer = TrustedIssuer(
            issuer=AUDIO, vcts=frozenset({WARRANTY_TYPE}), keys=(self.audio_signer.public,)
        )
        return Counter(
            shop=self.shop,
            presets=[WARRANTY.accepting([WARRANTY_TYPE])],
            trust=PinnedTrust([issuer]),
            statuses=Statuses(FetchedStatusSource(self.network)),
            store=SessionStore(),
            random=self.random,
            clock=self.clock,
        )

    def receiver_of(self, origin: str) -> Receiver:
        """Give a new receiver that names the custodian of now."""
        keys = FetchedIssuerKeys(self.network, {WARRANTY_TYPE: [AUDIO]}, self.clock)
        self.receiver_keys = MemoryKeyFolder()
        self.receiver_signer = MemorySigner.generate()
        return Receiver(
            origin=origin,
            name="Velo",
            signer=self.receiver_signer,
            custodian=self.custodian.party,
            store=MemoryReceiverStore(),
            keys=self.receiver_keys,
            kept_keys=MemoryKeyFolder(),
            fetcher=self.network,
            trust=keys,
            status=ListedStatus(FetchedStatusSource(self.network), keys),
            clock=self.clock,
            random=self.random,
            accesses=MemoryAccesses(),
            access_events=MemoryAccessEvents(),
            attestors=[did_jwk(self.auditor.public)],
        )


def always(answer: Response) -> Handler:
    """Give a service that answers everything so."""

    def handle(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        return answer

    return handle


def handler_of(client: TestClient) -> Handler:
    """Give the in-memory network's way to an app."""

    def handle(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        answer = client.request(method, path, headers=dict(headers), content=body)
        media_type = answer.headers.get("content-type", "").split(";")[0]
        return Response(answer.status_code, media_type, answer.content, dict(answer.headers))

    return handle
