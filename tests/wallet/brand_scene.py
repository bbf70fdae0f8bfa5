"""A brand with the real issuer, in whatever mode a test wants, and wallets before it.

The issuer is the whole service, login included, behind the in-memory network; the customer's
browser is the conformance tests' own. Attestations are by an attester in this process.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from counterfoil_credentials.encoding import JsonObject, compact_json, parse_object
from counterfoil_credentials.fetch import Fetcher, MemoryFetcher, Response
from counterfoil_credentials.keys import Algorithm, MemorySigner
from counterfoil_issuer.app import create_app
from counterfoil_issuer.authorization_routes import AuthorizationDesk, authorization_router
from counterfoil_issuer.catalogue import Catalogue, parse_catalogue
from counterfoil_issuer.clients import ClientPolicy, Demand
from counterfoil_issuer.credential_request import Secrecy
from counterfoil_issuer.credential_type import AcceptedProof, KeyProtection
from counterfoil_issuer.dev_login import DevLogin
from counterfoil_issuer.issuer import IssuerOptions
from counterfoil_issuer.offering import Grant, OpenOffer
from counterfoil_issuer.spec import AUTHORIZATION_CODE_GRANT
from counterfoil_issuer.sql_authorization import grants_of
from counterfoil_issuer.sql_store import SqlStore
from counterfoil_service.sealing import Seal
from counterfoil_wallet import MemoryStore, Store, Wallet
from counterfoil_wallet.attesting import Client, DevelopmentAttester
from fastapi.testclient import TestClient

from tests.issuer.brand import CATALOGUE, issuer_on
from tests.issuer.conformance.emulated_wallet import EmulatedWallet
from tests.wallet.town import MovingClock, handler_of

ORIGIN = "http://127.0.0.1"
BRAND = f"{ORIGIN}/audio"
TYPE = "warranty"
VCT = f"{BRAND}/types/warranty"
CLIENT_ID = "https://wallet.example"
CALLBACK = "https://wallet.example/callback"
CUSTOMER = "sample-lin"
MINUTE = timedelta(minutes=1)
HIGH = "iso_18045_high"

Random = Callable[[int], bytes]
Bend = Callable[[JsonObject], JsonObject]


@dataclass(frozen=True, kw_only=True)
class Mode:
    """How a brand issues. `keys`: which proof of the keys it wants, when not plain."""

    dpop: Demand = Demand.OPTIONAL
    dpop_nonce: Demand = Demand.OPTIONAL
    attests: Demand = Demand.OFF
    challenge: Demand = Demand.REQUIRED
    keys: str | None = None
    encrypts: bool = False
    defers: bool = False
    batch_size: int = 10
    pushed: Demand = Demand.OPTIONAL


@dataclass
class BrandScene:
    """The brand, its network, and what it sees.

    `bends` changes what a path answers, `instead` has other answers that the brand never gives.
    """

    clock: MovingClock
    random: Random
    folder: Path
    mode: Mode = field(default_factory=Mode)
    network: MemoryFetcher = field(default_factory=MemoryFetcher)
    bends: dict[str, Bend] = field(default_factory=dict[str, Bend])
    instead: dict[str, Response] = field(default_factory=dict[str, Response])
    seen: list[tuple[str, Mapping[str, str], bytes]] = field(
        default_factory=list[tuple[str, Mapping[str, str], bytes]]
    )

    def __post_init__(self) -> None:
        self.maker = MemorySigner.generate()
        attesters = frozenset({self.maker.public})
        self.store = SqlStore(self.folder / "issuer.sqlite3")
        mode = self.mode
        self.issuer = issuer_on(
            self.store,
            self.clock,
            self.random,
            url=BRAND,
            catalogue=_catalogue(mode),
            options=IssuerOptions(
                status_list_size=1_024, key_attesters=attesters, batch_size=mode.batch_size
            ),
        )
        clients = ClientPolicy(
            redirect_uris={CLIENT_ID: frozenset({CALLBACK})},
            pushed=mode.pushed,
            attestation=mode.attests,
            attesters=attesters,
            challenge=mode.challenge,
            dpop=mode.dpop,
            dpop_nonce=mode.dpop_nonce,
        )
        desk = AuthorizationDesk(
            issuer=self.issuer,
            clients=clients,
            login=DevLogin(BRAND),
            grants_of=grants_of,
            seal=Seal(self.issuer.secret, "authorization"),
        )
        app = create_app(
            self.issuer,
            clients=clients,
            secrecy=Secrecy(requests=mode.encrypts, responses=mode.encrypts),
            grants={AUTHORIZATION_CODE_GRANT: desk.redeem},
            routers=[authorization_router(desk)],
        )
        self.http = TestClient(app, base_url=ORIGIN)
        self._serves = handler_of(self.http)
        self.network.serve(ORIGIN, self._handle)

    def close(self) -> None:
        """Let go of the brand's books."""
        self.store.close()

    @property
    def client(self) -> Client:
        """Who the wallets of this scene are."""
        maker = DevelopmentAttester(self.maker, self.clock, (HIGH,))
        return Client(CLIENT_ID, wallet_attester=maker, key_attester=maker)

    def wallet(
        self,
        store: Store | None = None,
        *,
        wire: Fetcher | None = None,
        client: Client | None = None,
    ) -> Wallet:
        """Give a wallet as a program has it that just started."""
        return Wallet(
            store or MemoryStore(),
            fetcher=wire or self.network,
            clock=self.clock,
            random=self.random,
            client=client or self.client,
        )

    def offer(self, *, by: Grant = Grant.PRE_AUTHORIZED, count: int = 1) -> OpenOffer:
        """Offer sample warranties of the customer who logs in."""
        datasets = [
            self.issuer.add_dataset(
                TYPE, self.issuer.catalogue.types[TYPE].sample, subject=CUSTOMER
            )
            for _ in range(count)
        ]
        return self.issuer.offer_datasets(
            datasets, with_tx_code=by is Grant.PRE_AUTHORIZED, grants=[by]
        )

    def approve(self, offer: OpenOffer) -> None:
        """Let staff agree to what waits."""
        for dataset in offer.datasets:
            self.issuer.approve(dataset.dataset_id)

    def browse(self, url: str, customer: str = CUSTOMER) -> str:
        """Log in and agree, and give where the browser ends."""
        browser = EmulatedWallet(self.http, BRAND, clock=self.clock)
        return browser.browse(url, customer)

    def paths(self) -> list[str]:
        """Give which paths were called, in order, without the brand's own name."""
        return [path.removeprefix("/audio").partition("?")[0] for path, _, _ in self.seen]

    def bodies(self, path: str) -> list[bytes]:
        """Give what was posted to a path."""
        return [body for called, _, body in self.seen if called == f"/audio{path}"]

    def headers(self, path: str) -> list[dict[str, str]]:
        """Give the headers that came to a path, their names in lower case."""
        return [
            {name.lower(): value for name, value in headers.items()}
            for called, headers, _ in self.seen
            if called == f"/audio{path}"
        ]

    def _handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        self.seen.append((path, headers, body))
        if path in self.instead:
            return self.instead[path]
        answer = self._serves(method, path, headers, body)
        bend = self.bends.get(path.partition("?")[0])
        if bend is None or answer.status >= 400:
            return answer
        changed = compact_json(bend(parse_object(answer.body, "answer")))
        return replace(answer, body=changed)


def _catalogue(mode: Mode) -> Catalogue:
    catalogue = parse_catalogue(CATALOGUE)
    kind = replace(catalogue.types[TYPE], deferred=mode.defers)
    if mode.keys is not None:
        demanded = AcceptedProof(frozenset({Algorithm.ES256}), KeyProtection((HIGH,)))
        kind = replace(kind, proofs={mode.keys: demanded})
    return replace(catalogue, types={**catalogue.types, TYPE: kind})


Serve = Callable[[Mode], BrandScene]
"""How a test starts a brand in a mode."""
