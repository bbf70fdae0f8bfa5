"""Whatever stands in a field of a body, the points service refuses it in words."""

import json
from collections.abc import Iterator

import pytest
from counterfoil_loyalty.memory_ledger import MemoryLedger
from fastapi.testclient import TestClient

from tests.loyalty.programme import AUDIO, BICYCLE, NOW, Clock, seeded
from tests.loyalty.test_service import Street, street_on

ONES, SIGNATURE, HOLDER = "1" * 64, "1" * 130, "0x" + "1" * 40
ODD: list[object] = [-1, 2**256, 1.0, True, None, "", [], {}, "\ud800", "\0", "0x" + "١" * 40]
BODIES: dict[str, dict[str, object]] = {
    "/awards": {"brand": AUDIO, "account": HOLDER, "amount": 1, "ref": ONES},
    "/award-batches": {"brand": AUDIO, "awards": [[HOLDER, 1]], "ref": ONES},
    "/exchanges": {
        "from": AUDIO,
        "to": BICYCLE,
        "holder": HOLDER,
        "recipient": HOLDER,
        "amount": 1,
        "least": 1,
        "version": 1,
        "deadline": NOW + 60,
        "id": ONES,
    },
    "/redemptions": {
        "brand": AUDIO,
        "holder": HOLDER,
        "amount": 1,
        "id": ONES,
        "deadline": NOW + 60,
    },
    "/transfers": {
        "brand": AUDIO,
        "giver": HOLDER,
        "taker": HOLDER,
        "amount": 1,
        "id": ONES,
        "deadline": NOW + 60,
    },
    "/prices": {"brand": AUDIO, "price": 1, "version": 1},
    "/acknowledgements": {"debtor": AUDIO, "creditor": BICYCLE, "value": 1, "ref": ONES},
}


@pytest.fixture
def street(clock: Clock) -> Iterator[Street]:
    yield from street_on(MemoryLedger(now=NOW, random=seeded("odd bodies")), clock)


@pytest.mark.once
@pytest.mark.parametrize("path", BODIES)
def test_an_odd_value_in_any_field_is_refused_and_moves_nothing(street: Street, path: str) -> None:
    http = TestClient(street.http.app, raise_server_exceptions=False)
    good = {**BODIES[path], "signature": SIGNATURE}
    headers = {"Idempotency-Key": ONES}
    before = http.get("/events").json()

    found = {
        (field, repr(odd)): http.post(
            path, content=json.dumps({**good, field: odd}), headers=headers
        ).status_code
        for field in good
        for odd in ODD
    }

    assert {at: status for at, status in found.items() if status != 400} == {}
    assert http.get("/events").json() == before
