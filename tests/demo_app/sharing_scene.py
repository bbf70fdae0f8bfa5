"""A phone whose customer shares: a brand that asks, reads and erases, and a custodian between."""

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

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
from counterfoil_consent.app import create_app, receiver_routes
from counterfoil_consent.tombstone_journal import MemoryTombstoneJournal
from counterfoil_consent.wire import GrantId
from counterfoil_credentials.errors import Unavailable
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.token_status_list import FetchedStatusSource
from counterfoil_demo.houses import AURICLE, CUSTODIAN, VELORUM
from counterfoil_demo.phone.brands import known_issuers
from counterfoil_demo.phone.face import phone_app
from counterfoil_demo.phone.pocket import Pocket
from counterfoil_service.errors import install_error_handlers
from counterfoil_wallet import Trust
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.demo_app.phone_scene import KEY, Scene
from tests.wallet.town import handler_of

_RECEIPT = f"{AURICLE.origin}/types/receipt"
PRODUCTS = ClaimName(_RECEIPT, ("lines", None, "name"))
PAID_AT = ClaimName(_RECEIPT, ("paid_at",))
BUYER = ClaimName(_RECEIPT, ("buyer", "name"))
DAY = timedelta(days=1)


@dataclass
class Calendar:
    """This machine's clock, as far ahead as a test wants it."""

    ahead: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def advance(self, by: timedelta) -> None:
        self.ahead += by


@dataclass
class SharingScene(Scene):
    """The phone, with a brand that asks for facts of receipts and a custodian of their keys."""

    calendar: Calendar = field(default_factory=Calendar)

    def __post_init__(self) -> None:
        self.custodian = Custodian(
            origin=CUSTODIAN.origin,
            signer=MemorySigner.generate(),
            store=CustodianStore(),
            keys=MemoryKeyFolder(),
            journal=MemoryTombstoneJournal(),
            clock=self.calendar,
            random=secrets.token_bytes,
        )
        self.receiver = self._receiver()
        self.connect()
        self.pocket = Pocket(
            self.folder / "wallet",
            fetcher=self.network,
            trust=Trust(
                issuers=known_issuers(),
                custodians={CUSTODIAN.origin: self.custodian.party.did},
            ),
            clock=self.calendar,
            monotonic=self.ticks,
        )
        self.app = phone_app(self.pocket, hosts=frozenset({self.address.removeprefix("http://")}))
        self.browser = self.another_browser()

    def connect(self) -> None:
        """Put the brand and the custodian on the network."""
        self._serve(CUSTODIAN.origin, create_app(self.custodian))
        velorum = FastAPI()
        install_error_handlers(velorum)
        velorum.include_router(receiver_routes(self.receiver, KEY, finished_within_s=60))
        self._serve(VELORUM.origin, velorum)

    def disconnect(self) -> None:
        """Take both off the network."""
        self.network.disconnect(VELORUM.origin)
        self.network.disconnect(CUSTODIAN.origin)

    def asked(self, *claims: ClaimName, days: int = 30) -> str:
        """Have the brand ask for facts, and give the link."""
        wish = Wish(
            purpose=Purpose.PERSONALISED_BENEFITS,
            claims=tuple(
                ClaimTerm(name=name, necessity=Necessity.REQUIRED, retain_days=max(days, 30))
                for name in claims or (PRODUCTS, PAID_AT)
            ),
            notice=Notice(text="We fit your next bicycle to you.", language="en"),
            valid_for=timedelta(days=days),
            max_reads=5,
            jurisdiction="DE",
        )
        return self.receiver.request(wish).link

    def granted(self, *claims: ClaimName, days: int = 30) -> GrantId:
        """Grant what the brand asks, without the screens."""
        wallet = self.pocket.wallet
        asked = wallet.asked_terms(self.asked(*claims, days=days))
        return wallet.grant(asked.choose(), screen="scan").grant_id

    def unacknowledged(self) -> GrantId:
        """Grant, with a brand that is gone before it can sign its receipt."""
        wallet = self.pocket.wallet
        asked = wallet.asked_terms(self.asked())
        self.network.disconnect(VELORUM.origin)
        try:
            wallet.grant(asked.choose(), screen="scan")
        except Unavailable:
            return wallet.grants()[-1].grant_id
        raise AssertionError("expected a brand that is away, found one that answers")

    def read(self, grant_id: GrantId) -> None:
        """Have the brand read what was granted."""
        with self.receiver.read(grant_id, Purpose.PERSONALISED_BENEFITS, role="fitting desk"):
            pass

    def overdue(self) -> GrantId:
        """Withdraw a grant from a brand that is away, and let a month go by."""
        grant_id = self.granted(BUYER)
        self.disconnect()
        self.pocket.wallet.withdraw(grant_id)
        self.calendar.advance(31 * DAY)
        return grant_id

    def _receiver(self) -> Receiver:
        keys = FetchedIssuerKeys(self.network, {_RECEIPT: [AURICLE.origin]}, self.calendar)
        return Receiver(
            origin=VELORUM.origin,
            name="Velorum",
            signer=MemorySigner.generate(),
            custodian=self.custodian.party,
            store=MemoryReceiverStore(),
            keys=MemoryKeyFolder(),
            kept_keys=MemoryKeyFolder(),
            fetcher=self.network,
            trust=keys,
            status=ListedStatus(FetchedStatusSource(self.network), keys),
            clock=self.calendar,
            random=secrets.token_bytes,
            accesses=MemoryAccesses(),
            access_events=MemoryAccessEvents(),
        )

    def _serve(self, origin: str, app: FastAPI) -> None:
        self.network.serve(origin, handler_of(TestClient(app, base_url=origin)))
