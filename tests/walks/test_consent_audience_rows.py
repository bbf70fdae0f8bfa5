"""Row A10 for consent: each recorded field declares its audience, and reaches no other."""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Protocol

import pytest
from counterfoil_consent.app import create_app, receiver_routes
from counterfoil_consent.audiences import (
    OF_THE_CUSTODIAN,
    OF_THE_LOG_OF_READS,
    OF_THE_RECEIVER,
    OF_THE_RECIPIENT,
)
from counterfoil_consent.receiver_store import Listing
from counterfoil_consent.sql_access_log import SqlAccessEvents
from counterfoil_consent.sql_custodian_store import SqlCustodianStore
from counterfoil_consent.sql_receiver_store import SqlReceiverStore
from counterfoil_consent.sql_recipient_store import SqlRecipientStore
from counterfoil_credentials.audience import Audience
from counterfoil_credentials.fetch import Fetcher, Response
from counterfoil_service.errors import install_error_handlers
from counterfoil_wallet import MemoryStore, Trust, Wallet
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.conftest import Clock
from tests.walks.test_audience_rows import Crawl, Heard, Hearing, leaks, reached, stored, tables_of
from tests.walks.test_consent_rows import House, can_read, granted
from tests.wallet.town import CUSTODIAN, KEY, VELO

STAFF = {"Authorization": f"Bearer {KEY}"}


class Store(Protocol):
    """A store that makes its database when it is opened."""

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("make", "audiences"),
    [
        (SqlCustodianStore, OF_THE_CUSTODIAN),
        (SqlReceiverStore, OF_THE_RECEIVER),
        (SqlAccessEvents, OF_THE_LOG_OF_READS),
        (SqlRecipientStore, OF_THE_RECIPIENT),
    ],
    ids=["custodian", "receiver", "log", "recipient"],
)
def test_row_A10_each_field_that_is_recorded_of_a_grant_declares_its_audience(  # noqa: N802
    tmp_path: Path,
    make: Callable[[Path], Store],
    audiences: Mapping[str, Mapping[str, Audience]],
) -> None:
    make(tmp_path / "real.sqlite3").close()

    with closing(sqlite3.connect(tmp_path / "real.sqlite3")) as database:
        schema = {
            table: {row[1] for row in database.execute(f'PRAGMA table_info("{table}")')}
            for table in tables_of(database)
            if table != "schema_version"
        }

    assert schema == {name: {*columns} for name, columns in audiences.items()}


class OfOne:
    """A fetcher that notes what comes back from one origin."""

    def __init__(self, origin: str, inner: Fetcher, heard: Heard) -> None:
        self.origin, self.inner = origin, inner
        self.noting = Hearing(inner, heard)

    def get(self, url: str, **named: object) -> Response:
        return self._of(url).get(url, **named)  # type: ignore[arg-type]  # as it came

    def post(self, url: str, body: bytes, **named: object) -> Response:
        return self._of(url).post(url, body, **named)  # type: ignore[arg-type]  # as it came

    def _of(self, url: str) -> Fetcher:
        return self.noting if url.startswith(self.origin) else self.inner


@pytest.mark.parametrize("whose", ["receiver", "custodian"])
def test_row_A10_what_is_recorded_of_a_grant_reaches_whom_its_field_names(  # noqa: N802
    clock: Clock, random_bytes: Callable[[int], bytes], tmp_path: Path, whose: str
) -> None:
    house = House(clock, random_bytes, tmp_path / "house", tmp_path / "shared")
    origin, audiences, file, app = {
        "receiver": (VELO, OF_THE_RECEIVER, tmp_path / "house/receiver.sqlite3", FastAPI()),
        "custodian": (
            CUSTODIAN,
            OF_THE_CUSTODIAN,
            tmp_path / "shared/custodian.sqlite3",
            create_app(house.custodian),
        ),
    }[whose]
    if whose == "receiver":
        install_error_handlers(app)
        app.include_router(receiver_routes(house.receiver, KEY, finished_within_s=60))
    heard = {who: Heard() for who in (Audience.PUBLIC, Audience.OWNER, Audience.ROLE)}
    hearing: Fetcher = OfOne(origin, house.network, heard[Audience.OWNER])
    trust = Trust(custodians={CUSTODIAN: house.custodian.party.did})
    wallet = Wallet(MemoryStore(), fetcher=hearing, clock=clock, random=random_bytes, trust=trust)
    offer = house.offer()
    wallet.accept(offer.link, tx_code=offer.tx_code)
    kept, ended = granted(house, wallet), granted(house, wallet)
    for grant in (kept, ended):
        assert can_read(house, grant.grant_id)
    wallet.consent.suspend(kept.grant_id)
    wallet.consent.resume(kept.grant_id)
    wallet.consent.check()
    wallet.withdraw(ended.grant_id)
    house.receiver.request(house.wish())
    database = stored(file)

    crawl = Crawl(TestClient(app, base_url=origin))
    crawl.names = {
        "grant_id": [kept.grant_id, ended.grant_id],
        "request_id": [*database.get(("consent_requests", "request_id"), ())],
        "sha256": [*database.get(("consent_requests", "notice_sha256"), ())],
        "listing": [each.value for each in Listing],
    }
    crawl.all(heard[Audience.PUBLIC])
    crawl.all(heard[Audience.ROLE], STAFF)
    found = leaks(database, audiences, heard)
    house.close()

    assert found == []
    owner = reached(database, heard, Audience.OWNER)
    public = reached(database, heard, Audience.PUBLIC)
    role = reached(database, heard, Audience.ROLE)
    if whose == "custodian":
        assert "custodian_grants.statement" in owner
        assert public == set()
    else:
        assert {"consent_requests.request_id", "consent_accesses.request_id"} <= owner
        assert "consent_grants.grant_id" in role & public
        assert not {"consent_accesses.request_id", "set_letters.token"} & (role | public)
