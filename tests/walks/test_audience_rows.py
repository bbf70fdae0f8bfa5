"""Row A10: each recorded field declares its audience, and what is stored reaches no other.

Everything that the public, the customer and the staff are given is gathered while a brand and
a shop do their work; then each value in their databases is looked for in all of it. So a new
column must say whose it is, and a new answer that gives too much is found.
"""

import json
import re
import sqlite3
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from counterfoil_credentials.audience import Audience, declared
from counterfoil_credentials.encoding import from_b64url
from counterfoil_credentials.errors import CounterfoilError, Misuse
from counterfoil_credentials.fetch import MAX_BYTES, Fetcher, MemoryFetcher, Response
from counterfoil_credentials.spec import JSON_MEDIA_TYPE
from counterfoil_credentials.token_status_list import FetchedStatusSource
from counterfoil_issuer import RevocationReason
from counterfoil_issuer.app import create_app as create_issuer_app
from counterfoil_issuer.audiences import AUDIENCES as OF_THE_BRAND
from counterfoil_issuer.sql_store import SqlStore
from counterfoil_verifier import WARRANTY, Counter, PinnedTrust, Shop, Statuses, TrustedIssuer
from counterfoil_verifier.audiences import AUDIENCES as OF_THE_SHOP
from counterfoil_verifier.operating import operated_app
from counterfoil_verifier.sql_store import SqlNames, SqlSessionStore
from counterfoil_wallet import MemoryStore as WalletStore
from counterfoil_wallet import Wallet
from fastapi.testclient import TestClient

from tests.conftest import Clock
from tests.issuer.brand import AUDIO, issuer_on, orders_file, staffed
from tests.verifier.tills import KEY
from tests.wallet.town import TILL, WARRANTY_TYPE, handler_of

STAFF_KEY = "of-the-back-office"
STAFF = {"Authorization": f"Bearer {STAFF_KEY}"}
COUNTER = {"Authorization": f"Bearer {KEY}"}
ORDERS = orders_file(
    "#PLANTED-77,planted.buyer@example.org,2026-03-01 12:34:56 +0100,EUR,1234.56,"
    "Planted Buyer Name,Auricle One,ONE,1,7345.17",
    "#PLANTED-77,,,,,,Ear pads,PADS,1,8123.45",
)
MONEY = {"tax", "total", "price"}
SHORTEST = 8
"""What is shorter than this stands everywhere by chance: words for states, counts, kinds."""


@dataclass
class Heard:
    """All that one of them was given, with what is packed in tokens."""

    texts: list[str] = field(default_factory=list[str])

    def hear(self, text: str) -> None:
        self.texts.append(text)
        for part in re.findall(r"[A-Za-z0-9_-]{16,}", text):
            with suppress(CounterfoilError, ValueError):
                self.texts.append(from_b64url(part, "part").decode("utf-8", "replace"))

    def has(self, value: str) -> bool:
        return any(value in text or json.dumps(value)[1:-1] in text for text in self.texts)


class Hearing:
    """A fetcher that notes what comes back."""

    def __init__(self, inner: Fetcher, heard: Heard) -> None:
        self.inner = inner
        self.heard = heard

    def get(
        self,
        url: str,
        *,
        accept: str,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> Response:
        return self._heard(self.inner.get(url, accept=accept, headers=headers, max_bytes=max_bytes))

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
        return self._heard(
            self.inner.post(
                url,
                body,
                media_type=media_type,
                headers=headers,
                accept=accept,
                max_bytes=max_bytes,
            )
        )

    def _heard(self, answer: Response) -> Response:
        self.heard.hear(answer.body.decode("utf-8", "replace"))
        return answer


class Crawl:
    """Asks every GET that a service's own document names, with and without a key."""

    def __init__(self, http: TestClient) -> None:
        self.http = http
        self.names: dict[str, list[str]] = {}
        document = http.get("/openapi.json").json()
        self.paths: list[str] = [
            path for path, operations in document["paths"].items() if "get" in operations
        ]

    def all(self, heard: Heard, headers: Mapping[str, str] | None = None) -> dict[str, int]:
        """Ask each path, with every name that is known for its gap; give the best status."""
        found: dict[str, int] = {}
        for path in self.paths:
            for filled in self._filled(path):
                answer = self.http.get(filled, headers=dict(headers or {}), follow_redirects=False)
                heard.hear(answer.text)
                found[path] = min(answer.status_code, found.get(path, 999))
        return found

    def _filled(self, path: str) -> Iterable[str]:
        gap = re.search(r"\{(\w+)\}", path)
        if gap is None:
            return [path]
        named = self.names.get(gap[1], [])
        return [filled for name in named for filled in self._filled(path.replace(gap[0], name))]


def stored(file: Path) -> dict[tuple[str, str], set[str]]:
    """Give each column's values, as they would be written: texts, and amounts of money."""
    found: dict[tuple[str, str], set[str]] = {}
    with closing(sqlite3.connect(file)) as database:
        for table in tables_of(database):
            rows = database.execute(f'SELECT * FROM "{table}"')  # noqa: S608  # as it is named
            columns = [each[0] for each in rows.description]
            for name, value in (pair for row in rows for pair in zip(columns, row, strict=True)):
                texts = found.setdefault((table, name), set())
                if isinstance(value, str) and len(value) >= SHORTEST:
                    texts.add(value)
                elif name in MONEY and isinstance(value, int) and value >= 100_000:
                    texts.update((str(value), f"{value / 100:.2f}"))
    return found


def tables_of(database: sqlite3.Connection) -> list[str]:
    """Give the tables that are ours."""
    named = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return [name for (name,) in named if name not in {"alembic_version", "sqlite_sequence"}]


def leaks(
    database: dict[tuple[str, str], set[str]],
    audiences: Mapping[str, Mapping[str, Audience]],
    heard: Mapping[Audience, Heard],
) -> list[str]:
    """Give each value that one of them was given though no column of it says so."""
    allowed: dict[str, Audience] = {}
    for (table, column), values in database.items():
        for value in values:
            audience = audiences.get(table, {}).get(column, Audience.NOBODY)
            allowed[value] = allowed.get(value, Audience.NOBODY) | audience
    # What everybody may have, each of them may.
    everybody = {who: who | Audience.PUBLIC for who in heard}
    return [
        f"{table}.{column} reached {who.name}"
        for (table, column), values in sorted(database.items())
        for value in values
        for who, given in heard.items()
        if not allowed[value] & everybody[who] and given.has(value)
    ]


def reached(
    database: dict[tuple[str, str], set[str]], heard: Mapping[Audience, Heard], who: Audience
) -> set[str]:
    """Give the columns of which something reached one of them: what is looked for is found."""
    return {
        f"{table}.{column}"
        for (table, column), values in database.items()
        if any(heard[who].has(value) for value in values)
    }


class Street:
    """A brand and a shop, each over its own database, and a customer between them."""

    def __init__(self, folder: Path, clock: Clock, random: Callable[[int], bytes]) -> None:
        self.brand_file, self.shop_file = folder / "issuer.sqlite3", folder / "counter.sqlite3"
        self.brand_store, self.shop_store = (
            SqlStore(self.brand_file),
            SqlSessionStore(self.shop_file),
        )
        self.network = MemoryFetcher()
        self.acts = 0
        self.heard = {who: Heard() for who in (Audience.PUBLIC, Audience.OWNER, Audience.ROLE)}
        self.issuer = issuer_on(self.brand_store, clock, random)
        self.issuer.import_orders(ORDERS)
        key = self.issuer.keys.ring().signer(clock()).public
        trusted = TrustedIssuer(issuer=AUDIO, vcts=frozenset({WARRANTY_TYPE}), keys=(key,))
        trust = PinnedTrust([trusted])
        shop = Shop(name="Corner Shop", origin=TILL, signer=self.issuer.keys.ring().signer(clock()))
        counter = Counter(
            shop=shop,
            presets=[WARRANTY.accepting([WARRANTY_TYPE])],
            trust=trust,
            statuses=Statuses(FetchedStatusSource(self.network)),
            store=self.shop_store,
            names=SqlNames(self.shop_store.database),
            clock=clock,
            random=random,
        )
        self.brand = TestClient(
            create_issuer_app(self.issuer, staff=staffed(self.issuer, STAFF_KEY)), base_url=AUDIO
        )
        self.shop = TestClient(
            operated_app(
                counter,
                self.shop_store.database,
                secret=bytes(32),
                counter_key=KEY,
                fetcher=self.network,
                trust=trust,
                clock=clock,
            ),
            base_url=TILL,
        )
        self.network.serve(AUDIO, handler_of(self.brand))
        self.network.serve(TILL, handler_of(self.shop))
        hearing = Hearing(self.network, self.heard[Audience.OWNER])
        self.wallet = Wallet(WalletStore(), fetcher=hearing, clock=clock, random=random)

    def close(self) -> None:
        self.brand_store.close()
        self.shop_store.close()

    def staff(self, http: TestClient, path: str, body: object, key: Mapping[str, str]) -> Any:  # noqa: ANN401
        """Let staff, or the shop's system, do something."""
        self.acts += 1
        once = {"Idempotency-Key": f'"row-a10-{self.acts}"'}
        answer = http.post(path, json=body, headers={**key, **once})
        assert answer.status_code < 300, answer.text
        self.heard[Audience.ROLE].hear(answer.text)
        return answer.json()


@pytest.fixture
def street(
    tmp_path: Path, clock: Clock, random_bytes: Callable[[int], bytes]
) -> Generator[Street, None, None]:
    street = Street(tmp_path, clock, random_bytes)
    yield street
    street.close()


@pytest.mark.parametrize(
    ("make", "audiences"),
    [(SqlStore, OF_THE_BRAND), (SqlSessionStore, OF_THE_SHOP)],
    ids=["brand", "shop"],
)
def test_row_A10_each_recorded_field_declares_its_audience(  # noqa: N802
    tmp_path: Path,
    make: Callable[[Path], SqlStore | SqlSessionStore],
    audiences: Mapping[str, Mapping[str, Audience]],
) -> None:
    make(tmp_path / "real.sqlite3").close()

    with closing(sqlite3.connect(tmp_path / "real.sqlite3")) as database:
        schema = {
            table: {row[1] for row in database.execute(f'PRAGMA table_info("{table}")')}
            for table in tables_of(database)
        }

    assert schema == {name: {*columns} for name, columns in audiences.items()}


def test_row_A10_what_a_brand_records_reaches_whom_its_field_names(street: Street) -> None:  # noqa: N802
    brand, heard = street.brand, street.heard
    offered = street.staff(brand, "/back-office/orders/%23PLANTED-77/offers", {}, STAFF)
    for offer in offered["offers"]:
        street.wallet.accept(offer["link"], tx_code=offer["tx_code"])
    for card in street.wallet.credentials():
        # Each claim, as she reads it.
        heard[Audience.OWNER].hear(json.dumps(card.claims, ensure_ascii=False))
    email = {"email": "planted.buyer@example.org"}
    street.staff(brand, "/back-office/orders/search", email, STAFF)
    # Each role is given what is its own: purchases those who sell and help, the log the auditor.
    for desk in ("issuer", "service", "recall", "auditor"):
        made = {"name": f"desk-of-{desk}", "roles": [desk]}
        key = street.staff(brand, "/back-office/keys", made, STAFF)["key"]
        theirs = {"Authorization": f"Bearer {key}"}
        sold = brand.post("/back-office/orders/search", json=email, headers=theirs).status_code
        logged = brand.get("/back-office/audit", headers=theirs).status_code
        assert (sold == 200, logged == 200) == (desk in {"issuer", "service"}, desk == "auditor")
        assert {sold, logged} <= {200, 403}
    hook = {"url": "https://hooks.example/events"}
    street.staff(brand, "/back-office/webhooks", hook, STAFF)
    held = street.issuer.credentials_of("#PLANTED-77")
    assert len(held) == 2
    street.issuer.revoke(held[0].issuance_id, RevocationReason.GOODS_RETURNED)
    crawl = Crawl(brand)
    crawl.names = {
        "credential_id": [one.issuance_id for one in held],
        "number": ["1"],
        "name": ["warranty", "receipt"],
    }

    assert 200 in crawl.all(heard[Audience.PUBLIC]).values()
    for path, status in crawl.all(Heard()).items():
        assert not path.startswith("/back-office/") or status == 401
    assert crawl.all(heard[Audience.ROLE], STAFF)["/back-office/credentials/{credential_id}"] == 200

    database = stored(street.brand_file)
    assert leaks(database, OF_THE_BRAND, heard) == []
    owner = reached(database, heard, Audience.OWNER)
    assert {"orders.number", "orders.buyer_name", "orders.total", "units.serial"} <= owner
    role = reached(database, heard, Audience.ROLE)
    assert {"orders.number", "order_lines.price", "issuances.issuance_id", "api_keys.name"} <= role
    assert role.isdisjoint({"orders.buyer_name", "orders.buyer_email", "datasets.subject"})
    assert reached(database, heard, Audience.PUBLIC) <= {
        f"{table}.{column}"
        for table, columns in OF_THE_BRAND.items()
        for column, audience in columns.items()
        if audience & Audience.PUBLIC
    }


def test_row_A10_what_a_shop_records_reaches_whom_its_field_names(street: Street) -> None:  # noqa: N802
    shop, heard = street.shop, street.heard
    offer = street.issuer.offer("#PLANTED-77").offers[0]
    street.wallet.accept(offer.link, tx_code=offer.tx_code)
    heard[Audience.OWNER].texts.clear()
    hook = {"url": "https://hooks.example/events"}
    street.staff(shop, "/counter/webhooks", hook, COUNTER)
    asking = {"preset": "warranty", "till": "Till of row A10"}
    asked, left = (street.staff(shop, "/counter/requests", asking, COUNTER) for _ in range(2))
    street.wallet.matches(left["link"])
    street.wallet.present(street.wallet.matches(asked["link"]).choose())
    crawl = Crawl(shop)
    crawl.names = {"session_id": [f"{one['id']}?till=Till of row A10" for one in (asked, left)]}
    crawl.paths = [path for path in crawl.paths if not path.endswith(("/events", "/codes"))]

    assert 200 in crawl.all(heard[Audience.PUBLIC]).values()
    for path, status in crawl.all(Heard()).items():
        assert not path.startswith("/counter/") or status == 401
    assert crawl.all(heard[Audience.ROLE], COUNTER)["/counter/requests/{session_id}"] == 200

    database = stored(street.shop_file)
    assert {name for name, _ in database} >= {"sessions", "webhook_endpoints", "audit_log"}
    assert leaks(database, OF_THE_SHOP, heard) == []
    assert {"sessions.nonce", "sessions.till"} <= reached(database, heard, Audience.OWNER)
    role = reached(database, heard, Audience.ROLE)
    assert {"sessions.session_id", "sessions.till", "webhook_endpoints.url"} <= role
    assert "sessions.nonce" not in role
    assert reached(database, heard, Audience.PUBLIC) == set()


def test_a_leak_is_found(street: Street) -> None:
    database = stored(street.brand_file)
    heard = {who: Heard() for who in (Audience.PUBLIC, Audience.OWNER, Audience.ROLE)}
    assert leaks(database, OF_THE_BRAND, heard) == []
    heard[Audience.ROLE].hear('{"email": "planted.buyer@example.org", "total": "15468.62"}')
    heard[Audience.PUBLIC].hear("for Planted Buyer Name")

    assert leaks(database, OF_THE_BRAND, heard) == [
        # Who bought is whose data sets they are.
        "datasets.subject reached ROLE",
        "orders.buyer_email reached ROLE",
        "orders.buyer_name reached PUBLIC",
    ]


def test_a_column_is_declared_once() -> None:
    with pytest.raises(Misuse):
        declared({Audience.PUBLIC: "number", Audience.ROLE: "total number"})
