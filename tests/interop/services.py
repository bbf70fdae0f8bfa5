"""Our own services on loopback, driven the way a brand's and a shop's systems drive them."""

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple

import uvicorn
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_object,
    compact_json,
    list_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.fetch import GuardedFetcher
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.token_status_list import FetchedStatusSource
from counterfoil_issuer.app import create_app as create_issuer_app
from counterfoil_issuer.catalogue import Catalogue, parse_catalogue
from counterfoil_issuer.issuer import Issuer
from counterfoil_issuer.sql_store import SqlStore
from counterfoil_issuer.staff import staff_of
from counterfoil_service.serving import AsgiApp, bind
from counterfoil_verifier.app import create_app as create_verifier_app
from counterfoil_verifier.counter import Counter
from counterfoil_verifier.presets import WARRANTY
from counterfoil_verifier.requesting import Shop
from counterfoil_verifier.sql_store import SqlSessionStore
from counterfoil_verifier.statuses import Statuses
from counterfoil_verifier.trust import FetchedTrust

JSON: Final = "application/json"
_BACK_OFFICE_KEY: Final = "back-office-key-of-this-test"
_COUNTER_KEY: Final = "counter-key-of-this-test"
_CATALOGUE: Final = b"""{
    "brand": {"id": "auricle", "name": {"en": "Auricle", "zh": "\\u8033\\u5ed3"}},
    "products": [{"sku": "AUR-ONE", "gtin": "4006381333931", "name": "Auricle One",
                  "serial_prefix": "A1", "warranty_months": 24}]}"""
_COLUMNS: Final = (
    "Name,Email,Billing Name,Paid at,Currency,Taxes,"
    "Lineitem name,Lineitem sku,Lineitem quantity,Lineitem price"
)


class Offer(NamedTuple):
    """What the customer is sent, on two ways."""

    link: str
    tx_code: str


def fetcher_for(*addresses: str) -> GuardedFetcher:
    """Give the guarded fetcher with these loopback addresses open, and nothing else on loopback."""
    origins = ["/".join(address.split("/")[:3]) for address in addresses]
    return GuardedFetcher(loopback_routes_unsafely={origin: origin for origin in origins})


def post_json(url: str, body: JsonObject, headers: dict[str, str] | None = None) -> JsonObject:
    """Post to a service of this test and give its answer, which must be a good one."""
    response = fetcher_for(url).post(url, compact_json(body), media_type=JSON, headers=headers)
    assert response.status == 200, response.body
    return parse_object(response.body, url)


def get_json(url: str, headers: dict[str, str] | None = None) -> JsonObject:
    """Get from a service of this test; the answer must be a good one."""
    response = fetcher_for(url).get(url, accept=JSON, headers=headers)
    assert response.status == 200, response.body
    return parse_object(response.body, url)


@dataclass(frozen=True)
class Brand:
    """Our issuer at `url`, with one more order whenever somebody needs one."""

    url: str
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    key: str = field(default=_BACK_OFFICE_KEY, repr=False)

    @property
    def warranty_type(self) -> str:
        return f"{self.url}/types/warranty"

    def order(self) -> str:
        """Import an order paid yesterday, of one item with a warranty, and give its number."""
        number = f"A-{next(self.numbers)}"
        paid_at = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%d %H:%M:%S +0000")
        row = f"{number},a@example.org,A. Buyer,{paid_at},EUR,31.77,Auricle One,AUR-ONE,1,199.00"
        url = f"{self.url}/back-office/orders"
        response = fetcher_for(url).post(
            url,
            f"{_COLUMNS}\n{row}\n".encode(),
            media_type="text/csv",
            headers=_bearer(_BACK_OFFICE_KEY),
        )
        assert parse_object(response.body, url)["imported"] == 1, response.body
        return number

    def offer(self, order: str) -> Offer:
        """Offer the receipt and the warranty of an order."""
        url = f"{self.url}/back-office/orders/{order}/offers"
        answer = post_json(url, {}, _bearer(_BACK_OFFICE_KEY))
        offer = as_object(list_at(answer, "offers", url)[0], url)
        return Offer(text_at(offer, "link", url), text_at(offer, "tx_code", url))

    def issued(self, order: str) -> list[JsonObject]:
        """Give what the back office shows of an order's credentials."""
        url = f"{self.url}/back-office/credentials?order={order}"
        answer = get_json(url, _bearer(_BACK_OFFICE_KEY))
        return [as_object(value, url) for value in list_at(answer, "credentials", url)]

    def revoke(self, order: str) -> None:
        """Take the goods back: revoke everything that was issued for an order."""
        for issued in self.issued(order):
            name = text_at(issued, "credential_id", "back office")
            url = f"{self.url}/back-office/credentials/{name}/revoke"
            post_json(url, {"reason": "goods-returned"}, _bearer(_BACK_OFFICE_KEY))


@dataclass(frozen=True)
class Till:
    """Our verifier at `url`."""

    url: str

    def ask(self, **changes: Json) -> tuple[str, str]:
        """Ask for a warranty: give the counter's id of the question, and the wallet's link."""
        url = f"{self.url}/counter/requests"
        asked = post_json(url, {"preset": WARRANTY.name, **changes}, _bearer(_COUNTER_KEY))
        return text_at(asked, "id", url), text_at(asked, "link", url)

    def look(self, session: str, code: str | None = None) -> JsonObject:
        """Give what the counter shows, with the code that the customer brought."""
        more = "" if code is None else f"?code={code}"
        return get_json(f"{self.url}/counter/requests/{session}{more}", _bearer(_COUNTER_KEY))


@contextmanager
def our_issuer(folder: Path, catalogue: Catalogue | None = None) -> Generator[Brand, None, None]:
    """Serve our issuer. Its identifier has a path, which moves the well-known names."""
    store = SqlStore(folder / "issuer.sqlite3")

    def create(address: str) -> AsgiApp:
        issuer = Issuer(
            url=f"{address}/auricle",
            catalogue=catalogue or parse_catalogue(_CATALOGUE),
            signer=MemorySigner.generate(),
            secret=bytes(range(32)),
            store=store,
        )
        staff = staff_of(issuer, store, back_office_key=_BACK_OFFICE_KEY)
        return create_issuer_app(issuer, staff=staff)

    try:
        with _served(create) as address:
            yield Brand(f"{address}/auricle")
    finally:
        store.close()


def corner_shop(address: str) -> Shop:
    """Give a shop that is known by its key."""
    return Shop(name="Corner Shop", origin=address, signer=MemorySigner.generate())


@contextmanager
def our_verifier(
    folder: Path,
    brand: Brand,
    make_shop: Callable[[str], Shop] | None = None,
    **changes: object,
) -> Generator[Till, None, None]:
    """Serve our verifier, which trusts `brand` for warranties.

    `make_shop` gives who asks at the address where it is served; `changes` are arguments
    of its counter.
    """
    store = SqlSessionStore(folder / "counter.sqlite3")

    def create(address: str) -> AsgiApp:
        fetcher = fetcher_for(brand.url)
        arguments: dict[str, Any] = {
            "shop": (make_shop or corner_shop)(address),
            "presets": [WARRANTY.accepting([brand.warranty_type])],
            "trust": FetchedTrust(fetcher, {brand.url: [brand.warranty_type]}),
            "statuses": Statuses(FetchedStatusSource(fetcher)),
            "store": store,
            **changes,
        }
        return create_verifier_app(Counter(**arguments), counter_key=_COUNTER_KEY)

    try:
        with _served(create) as address:
            yield Till(address)
    finally:
        store.close()


@contextmanager
def _served(create: Callable[[str], AsgiApp]) -> Generator[str, None, None]:
    with bind(None) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = uvicorn.Server(
            uvicorn.Config(
                create(address), http="h11", ws="none", access_log=False, log_config=None
            )
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            # What comes before the server is ready waits in the listener's queue.
            yield address
        finally:
            server.should_exit = True
            thread.join()


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}
