"""A phone whose customer collects: a points service with the demo's two programmes."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from counterfoil_demo.houses import AURICLE, VELORUM
from counterfoil_demo.phone.brands import known_issuers
from counterfoil_demo.phone.face import phone_app
from counterfoil_demo.phone.pocket import Pocket
from counterfoil_demo.phone.points import points_of
from counterfoil_demo.programmes import PROGRAMMES, RATE
from counterfoil_loyalty import Points, PointsSigner
from counterfoil_loyalty.accounts import Account
from counterfoil_loyalty.actions import GovernPoints
from counterfoil_loyalty.intents import sign_by_brand
from counterfoil_loyalty.issuing import Policy
from counterfoil_loyalty.memory_ledger import MemoryLedger
from counterfoil_loyalty.purse import CustomerPoints
from counterfoil_loyalty.rates import Rate
from counterfoil_loyalty.store import MemoryStore
from counterfoil_wallet import Trust

from tests.demo_app.phone_scene import PASSPHRASE, Scene
from tests.loyalty.customer_scene import OPERATOR_KEY, CustomerScene, customer_scene
from tests.loyalty.programme import DAY, SECRET, Clock, seeded

DAYS_BEFORE = 10
SIGNERS = {AURICLE.origin: PointsSigner(b"\x03" * 32), VELORUM.origin: PointsSigner(b"\x04" * 32)}


@dataclass
class PointsScene(Scene):
    """The phone, and the points service that it asks, ten days ago by that service's clock."""

    service: CustomerScene = field(kw_only=True)
    ahead: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        self.network = self.service.network
        self.pocket = Pocket(
            self.folder / "wallet",
            fetcher=self.network,
            trust=Trust(issuers=known_issuers()),
            clock=self.now,
            monotonic=self.ticks,
        )
        self.app = phone_app(self.pocket, hosts=frozenset({self.address.removeprefix("http://")}))
        self.browser = self.another_browser()

    def now(self) -> datetime:
        """Give the phone's time."""
        return datetime.now(UTC) + self.ahead

    @property
    def points(self) -> CustomerPoints:
        """Give the points of the wallet in hand."""
        return points_of(self.pocket.wallet)

    def award(self, brand: str, points: int, order: str) -> None:
        """Have a brand award points for an order, and let a day go by."""
        client = self.service.client
        account = Account(self.points.join(brand))
        reference = client.award(
            SIGNERS[brand], Points(brand, points * 100), account, order=order, secret=SECRET
        )
        self.points.keep_note(reference, f"order {order}")
        self.service.clock.advance(DAY)

    def today(self) -> None:
        """Bring the service's clock to this machine's."""
        self.service.clock.now = max(self.service.clock.now, int(time.time()))
        self.service.relayer.make_block()

    def calendar_ahead(self, by: timedelta) -> None:
        """Bring the phone's clock, and its alone, ahead."""
        self.ahead += by

    def agree(self, rate: Rate, *, version: int) -> None:
        """Have both brands sign another rate."""
        agree(self.service, rate, version=version)

    def expire_after(self, brand: str, days: int) -> None:
        """Have a brand publish that its points expire after so many days without a use."""
        client, signer = self.service.client, SIGNERS[brand]
        policy = Policy(
            token=client.programme(brand).token,
            admin=signer.account,
            issuer=signer.account,
            version=1,
            inactivity_s=days * DAY,
        )
        action = GovernPoints(policy, sign_by_brand(policy, client.venue(), signer))
        self.service.relayer.accept(action)
        self.service.relayer.make_block()


@contextmanager
def points_service() -> Generator[CustomerScene]:
    """Open a points service with the demo's programmes, and the corridor between them."""
    clock = Clock()
    clock.now = int(time.time()) - DAYS_BEFORE * DAY
    ledger = MemoryLedger(now=clock.now, random=seeded("phone"))
    with customer_scene(ledger, MemoryStore(), clock) as service:
        client = service.client
        for one in PROGRAMMES.values():
            brand = one.house.origin
            signed = client.sign_registration(
                SIGNERS[brand], brand=brand, name=one.name, symbol=one.symbol, price=one.price
            )
            client.register(signed, operator_key=OPERATOR_KEY)
        agree(service, RATE, version=1)
        yield service


def agree(service: CustomerScene, rate: Rate, *, version: int) -> None:
    """Have both brands sign a rate for two months."""
    client, ends_at = service.client, service.clock.now + 60 * DAY
    terms = client.terms(AURICLE.origin, VELORUM.origin, rate, version=version, ends_at=ends_at)
    client.agree(terms, *(client.sign_terms(terms, SIGNERS[it]) for it in SIGNERS))


def with_points(scene: PointsScene) -> PointsScene:
    """Give a phone with a wallet that has points with both brands."""
    scene.pocket.create(PASSPHRASE)
    scene.award(AURICLE.origin, 500, "#1001")
    scene.award(VELORUM.origin, 40, "#2001")
    scene.award(AURICLE.origin, 250, "#1002")
    return scene
