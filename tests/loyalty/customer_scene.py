"""A points service, two brands, and customers who look at it through their wallets."""

from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from counterfoil_credentials.encoding import compact_json
from counterfoil_credentials.fetch import Handler, MemoryFetcher, Response
from counterfoil_credentials.issuer_keys import issuer_keys_document
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.sdjwt_vc import StatusReference, issue_credential
from counterfoil_loyalty import Points, PointsClient, PointsSigner, Rate
from counterfoil_loyalty.accounts import Account
from counterfoil_loyalty.app import create_app
from counterfoil_loyalty.chain import embedded_ledger
from counterfoil_loyalty.ledger import Ledger
from counterfoil_loyalty.payment_codes import name_claims
from counterfoil_loyalty.purse import CustomerPoints
from counterfoil_loyalty.relayer import Relayer
from counterfoil_loyalty.service import PointsService
from counterfoil_loyalty.sql_outbox import METADATA
from counterfoil_loyalty.sql_store import SCHEMA_VERSION, SqlStore
from counterfoil_loyalty.store import Placed, PointsStore
from counterfoil_service.sql import Database
from counterfoil_wallet import Wallet
from fastapi.testclient import TestClient

from tests.loyalty.programme import AUDIO, BICYCLE, DAY, NOW, SECRET, Clock, seeded

ORIGIN = "https://points.example"
OPERATOR_KEY = "the operator's key"
_NAME_TYPE = f"{AUDIO}/types/points-name"


class PromptRelayer(Relayer):
    """A relayer whose caller makes the block it waits for, one second later."""

    def __init__(self, ledger: Ledger, store: PointsStore, clock: Clock) -> None:
        super().__init__(ledger, store)
        self._clock = clock
        self.is_slow = False

    def wait_for(self, key: str, timeout_s: float) -> Placed | None:
        if not self.is_slow:
            self.make_block()
        return super().wait_for(key, 0)

    def make_block(self) -> None:
        self._clock.advance(1)
        self.turn(self._clock.now)


@dataclass
class CustomerScene:
    """What there is, and what it was asked, as (method, path)."""

    network: MemoryFetcher
    client: PointsClient
    relayer: PromptRelayer
    clock: Clock
    audio: PointsSigner
    bicycle: PointsSigner
    names: MemorySigner
    asked: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    answer: Handler | None = None

    def disconnect(self) -> None:
        """Let nobody reach the points service."""
        self.network.disconnect(ORIGIN)

    def connect(self) -> None:
        """Let everybody reach it again."""
        assert self.answer is not None
        self.network.serve(ORIGIN, self.answer)

    def time(self) -> datetime:
        return datetime.fromtimestamp(self.clock.now, UTC)

    def wallet(self) -> Wallet:
        return Wallet.in_memory(fetcher=self.network, clock=self.time)

    def points(self, wallet: Wallet) -> CustomerPoints:
        return CustomerPoints(wallet, self.network, ORIGIN, clock=self.time)

    def open(self) -> "CustomerScene":
        for issuer, brand, name, price in (
            (self.audio, AUDIO, "Auricle Points", 100),
            (self.bicycle, BICYCLE, "Velo Miles", 50),
        ):
            signed = self.client.sign_registration(
                issuer, brand=brand, name=name, symbol=name[:3].upper(), price=price
            )
            self.client.register(signed, operator_key=OPERATOR_KEY)
        self.agree(Rate(3, 2), version=1)
        return self

    def agree(self, rate: Rate, *, version: int) -> None:
        ends_at = self.clock.now + 30 * DAY
        terms = self.client.terms(AUDIO, BICYCLE, rate, version=version, ends_at=ends_at)
        signatures = [self.client.sign_terms(terms, it) for it in (self.audio, self.bicycle)]
        self.client.agree(terms, *signatures)

    def award(self, account: str, units: int = 1_000, order: str = "1001") -> str:
        """Award as the brand does for an order; give the reference that its receipt names."""
        points = Points(AUDIO, units)
        return self.client.award(self.audio, points, Account(account), order=order, secret=SECRET)

    def name_credential(
        self,
        name: str,
        account: str,
        *,
        signer: MemorySigner | None = None,
        issuer: str = AUDIO,
        status: StatusReference | None = None,
    ) -> str:
        """Give what the brand signs about whose account one is; it ends after a month."""
        credential = issue_credential(
            name_claims(name, Account(account)),
            vct=_NAME_TYPE,
            issuer=issuer,
            signer=signer or self.names,
            holder=None,
            issued_at=self.time(),
            expires_at=self.time() + timedelta(days=30),
            status=status,
            concealed=(),
            random=seeded("names"),
        )
        return str(credential)


@contextmanager
def customer_scene(
    ledger: Ledger, store: PointsStore, clock: Clock
) -> Generator[CustomerScene, None, None]:
    """Open the service on a ledger, and two brands there with a corridor, 3 for 2."""
    relayer = PromptRelayer(ledger, store, clock)
    relayer.start()
    service = PointsService(relayer, store, clock, voucher_secret=b"voucher " * 4)
    network, names = MemoryFetcher(), MemorySigner.generate()
    keys = compact_json(issuer_keys_document(AUDIO, [names.public]))

    def publish(_: str, __: str, ___: Mapping[str, str], ____: bytes) -> Response:
        return Response(200, "application/json", keys)

    network.serve(AUDIO, publish)
    scene = CustomerScene(
        network,
        PointsClient(network, ORIGIN),
        relayer,
        clock,
        PointsSigner(b"\x01" * 32),
        PointsSigner(b"\x02" * 32),
        names,
    )
    with TestClient(create_app(service, operator_key=OPERATOR_KEY), base_url=ORIGIN) as http:

        def handle(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
            scene.asked.append((method, path))
            answer = http.request(method, path, headers=dict(headers), content=body)
            return Response(answer.status_code, "application/json", answer.content)

        scene.answer = handle
        scene.connect()
        yield scene.open()


@contextmanager
def customers_on_a_chain(folder: Path, *, now: int = NOW) -> Generator[CustomerScene, None, None]:
    """Open the scene on the embedded chain, with the index in a file, as the service has them."""
    clock = Clock()
    clock.now = now
    with closing(
        embedded_ledger(folder / "chain.sqlite3", now=now, random=seeded("chain"))
    ) as chain:
        database = Database.open(folder / "points.sqlite3", METADATA, version=SCHEMA_VERSION)
        with closing(database), customer_scene(chain, SqlStore(database), clock) as scene:
            yield scene
