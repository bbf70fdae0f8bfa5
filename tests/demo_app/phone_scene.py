"""A phone with its pages and a brand that issues, behind an in-memory network."""

import re
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from pathlib import Path

from counterfoil_credentials import MemoryFetcher
from counterfoil_credentials.encoding import text_at
from counterfoil_credentials.key_file import load_or_create_signer
from counterfoil_demo.houses import AURICLE
from counterfoil_demo.office import Office, objects_at, segment
from counterfoil_demo.phone.brands import known_issuers
from counterfoil_demo.phone.face import phone_app
from counterfoil_demo.phone.pocket import Pocket
from counterfoil_issuer import Issuer, IssuerOptions, parse_catalogue
from counterfoil_issuer.app import create_app
from counterfoil_issuer.sql_store import SqlStore
from counterfoil_issuer.staff import staff_of
from counterfoil_wallet import Trust
from fastapi.testclient import TestClient
from httpx2 import Response

from tests.wallet.town import handler_of

ADDRESS = "http://127.0.0.1:4710"
PASSPHRASE = "correct horse battery staple"
KEY = "the-owner-of-the-back-office"
ORDER = "#1004"


class Ticks:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Scene:
    """The pages of one phone as a browser meets them, and the brand it gets its cards from."""

    folder: Path
    address: str = ADDRESS
    network: MemoryFetcher = field(default_factory=MemoryFetcher)
    ticks: Ticks = field(default_factory=Ticks)

    def __post_init__(self) -> None:
        self.pocket = Pocket(
            self.folder / "wallet",
            fetcher=self.network,
            trust=Trust(issuers=known_issuers()),
            monotonic=self.ticks,
        )
        hosts = frozenset({self.address.removeprefix("http://")})
        self.app = phone_app(self.pocket, hosts=hosts)
        self.browser = self.another_browser()

    def another_browser(self, language: str = "en-GB") -> TestClient:
        """Give a browser with no cookie, that speaks `language`."""
        headers = {"accept-language": language, "origin": self.address}
        return TestClient(self.app, base_url=self.address, headers=headers)

    def get(self, path: str) -> Response:
        """Open a page, following where it leads."""
        return self.browser.get(path)

    def post(self, path: str, **texts: str) -> Response:
        """Send a form, following where it leads."""
        return self.browser.post(path, data=texts)

    def first_run(self) -> Response:
        """Make the wallet."""
        return self.post("/start", passphrase=PASSPHRASE)

    @cached_property
    def office(self) -> Office:
        """Open the brand with its orders, and give its back office."""
        catalogue = files("counterfoil_demo").joinpath("data", "auricle.json").read_bytes()
        issuer = Issuer(
            url=AURICLE.origin,
            catalogue=parse_catalogue(catalogue),
            signer=load_or_create_signer(self.folder / "issuer-key.pem"),
            secret=bytes(32),
            store=(store := SqlStore(self.folder / "issuer.sqlite3")),
            options=IssuerOptions(),
        )
        app = create_app(issuer, staff=staff_of(issuer, store, back_office_key=KEY))
        self.network.serve(AURICLE.origin, handler_of(TestClient(app, base_url=AURICLE.origin)))
        office = Office(self.network, AURICLE.origin, KEY)
        orders = files("counterfoil_demo").joinpath("data", "orders.csv").read_bytes()
        office.post_bytes("/back-office/orders", orders, "text/csv")
        return office

    def offered(self, order: str = ORDER) -> tuple[str, str]:
        """Have the brand offer an order, and give the first link and its code."""
        told = self.office.post(f"/back-office/orders/{segment(order)}/offers", {"tx_code": True})
        offer = objects_at(told, "offers")[0]
        return text_at(offer, "link", "offer"), text_at(offer, "tx_code", "offer")

    def buy(self, order: str = ORDER) -> None:
        """Accept what the brand offers for an order."""
        told = self.office.post(f"/back-office/orders/{segment(order)}/offers", {"tx_code": True})
        for offer in objects_at(told, "offers"):
            code = text_at(offer, "tx_code", "offer")
            self.pocket.wallet.accept(text_at(offer, "link", "offer"), tx_code=code)

    def card_paths(self) -> list[str]:
        """Give where the cards on the first page lead."""
        return re.findall(r'class="ticket__stub" href="([^"]+)"', self.get("/").text)
