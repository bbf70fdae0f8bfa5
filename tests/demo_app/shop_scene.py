"""A phone before a counter: the demo's own shop, asking over the in-memory network."""

from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property

from counterfoil_credentials.encoding import JsonObject, text_at
from counterfoil_demo import shop
from counterfoil_demo.houses import SHOP
from counterfoil_demo.office import Office, segment
from counterfoil_demo.process import Place
from fastapi.testclient import TestClient
from starlette.applications import Starlette

from tests.demo_app.phone_scene import KEY
from tests.demo_app.sharing_scene import SharingScene
from tests.wallet.town import handler_of


@dataclass
class ShopScene(SharingScene):
    """The phone, the brands and the custodian, and the shop of the demo with its counter."""

    @cached_property
    def counter(self) -> Office:
        """Open the shop, and give its counter."""
        folder = self.folder / SHOP.name
        folder.mkdir(exist_ok=True)
        self.closing = ExitStack()
        place = Place(
            house=SHOP,
            folder=folder,
            back_office_key=KEY,
            fetcher=self.network,
            closing=self.closing,
        )
        app = shop.build(place)
        assert isinstance(app, Starlette)
        self.network.serve(SHOP.origin, handler_of(TestClient(app, base_url=SHOP.origin)))
        return Office(self.network, SHOP.origin, KEY)

    def close(self) -> None:
        """Close the shop's database."""
        if "counter" in vars(self):
            self.closing.close()

    def ask(self, **wish: str) -> tuple[str, str]:
        """Have the counter ask for a warranty, and give its own name for that and the link."""
        body: JsonObject = {"preset": "warranty", "language": "en", **wish}
        asked = self.counter.post("/counter/requests", body)
        return text_at(asked, "id", "asked"), text_at(asked, "link", "asked")

    def look(self, name: str, digits: str = "") -> JsonObject:
        """Look at the counter what became of a request."""
        told = f"?code={segment(digits)}" if digits else ""
        return self.counter.get(f"/counter/requests/{segment(name)}{told}")
