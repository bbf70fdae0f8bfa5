"""The back office over HTTP: who may do what, each write once, and its line in the log."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.offers import parse_offer
from counterfoil_credentials.token_status_list import INVALID, SUSPENDED, VALID
from counterfoil_issuer.app import create_app
from counterfoil_issuer.issuer import Issuer
from counterfoil_issuer.sql_store import SqlStore
from counterfoil_issuer.staff import staff_of
from counterfoil_service.audit import LOG, MARKS
from counterfoil_service.audit_watch import CheckpointFile
from counterfoil_service.statements import Statement
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import delete

from tests.conftest import Clock
from tests.issuer.brand import Customer, issuer_on, orders_file, staffed

OWNER = "of-the-back-office"
TIER = {
    "programme": "Auricle Circle",
    "level": "gold",
    "valid_until": "2027-02-01",
    "since": "2026-02-01",
    "member_number": "AC-204418",
}


class Desk:
    """Somebody at a desk, with a key."""

    def __init__(self, client: TestClient, key: str) -> None:
        self.client = client
        self.key = key

    def headers(self, **more: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}", **more}

    def get(self, path: str, status: int = 200, **query: str | int) -> Any:  # noqa: ANN401  # JSON
        answer = self.client.get(f"/back-office{path}", params=query, headers=self.headers())
        assert answer.status_code == status, answer.text
        return answer.json()

    def post(self, path: str, body: object = None, status: int = 200) -> Any:  # noqa: ANN401  # JSON
        answer = self.sent(path, body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def sent(self, path: str, body: object = None, **headers: str) -> Response:
        return self.client.post(f"/back-office{path}", json=body, headers=self.headers(**headers))

    def delete(self, path: str, status: int = 200) -> Any:  # noqa: ANN401  # JSON
        answer = self.client.delete(f"/back-office{path}", headers=self.headers())
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest.fixture
def client(issuer: Issuer) -> Iterator[TestClient]:
    with TestClient(create_app(issuer, staff=staffed(issuer, OWNER))) as client:
        yield client


@pytest.fixture
def owner(client: TestClient) -> Desk:
    return Desk(client, OWNER)


@pytest.fixture
def at_desk(client: TestClient, owner: Desk) -> Callable[..., Desk]:
    """Give somebody with a name and roles a desk."""

    def sit(name: str, *roles: str) -> Desk:
        made = owner.post("/keys", {"name": name, "roles": roles}, 201)
        return Desk(client, made["key"])

    return sit


@pytest.fixture
def stored(issuer: Issuer, customer: Customer) -> list[str]:
    """Give the ids of a receipt and a warranty that a wallet has stored."""
    issued = customer.accept(issuer.offer("#1001").offers[0])
    return [one.notification_id for one in issued]


def finished(desk: Desk, job_id: str) -> Any:  # noqa: ANN401  # JSON
    for _ in range(200):
        job = desk.get(f"/jobs/{job_id}")
        if job["state"] == "finished":
            return job
        time.sleep(0.05)
    pytest.fail("the job did not end")


WRITES = {
    "/offers": ("issuer",),
    "/offers/x": (),
    "/orders/%231001/offers": ("issuer", "service"),
    "/orders/%231001/returns": ("service", "recall"),
    "/credentials/x/revoke": ("service", "recall"),
    "/credentials/x/suspend": ("service", "recall"),
    "/credentials/x/reinstate": ("service", "recall"),
    "/credentials/x/reissue": ("service", "recall"),
    "/credentials/x/transfer": ("service", "recall"),
    "/proposals": ("service", "recall"),
    "/proposals/x/approve": ("service", "recall"),
    "/proposals/x/reject": ("service", "recall"),
    "/datasets/tier:x/release": ("issuer",),
    "/keys": (),
    "/webhooks": (),
}


@pytest.mark.parametrize("role", ["issuer", "service", "recall", "auditor"])
def test_each_role_may_do_its_own_and_nothing_else(at_desk: Callable[..., Desk], role: str) -> None:
    desk = at_desk(f"one-{role}", role)
    bodies = {
        "/offers": {"type": "passport"},
        "/orders/%231001/returns": {"line": 99},
        "/credentials/x/revoke": {"reason": "fraud"},
        "/credentials/x/transfer": {},
        "/proposals": {"act": "suspend"},
        "/keys": {"name": "mine", "roles": ["issuer"]},
        "/webhooks": {"url": "https://shop.example/hooks"},
    }
    for path, roles in WRITES.items():
        if path == "/offers/x":
            continue
        status = desk.sent(path, bodies.get(path)).status_code
        assert (status != 403) is (role in roles), f"{role} at {path}: {status}"
    desk.get("/summary")
    desk.get("/audit", 200 if role == "auditor" else 403)
    status = desk.sent("/orders/search", {"email": "mira@example.org"}).status_code
    assert status == (200 if role in ("issuer", "service") else 403)


def test_without_a_key_nothing_is_told(client: TestClient) -> None:
    for path in ("/types", "/summary", "/credentials", "/audit"):
        for headers in ({}, {"Authorization": "Bearer another"}):
            assert client.get(f"/back-office{path}", headers=headers).status_code == 401


def test_a_key_that_was_ended_opens_nothing(owner: Desk, at_desk: Callable[..., Desk]) -> None:
    desk = at_desk("temp", "issuer")
    desk.get("/summary")
    assert owner.delete("/keys/temp")["was_in_force"] is True

    desk.get("/summary", 401)
    assert [key["name"] for key in owner.get("/keys")["keys"]] == ["temp"]
    owner.post("/keys", {"name": "temp", "roles": ["issuer"]}, 409)


def test_who_may_revoke_is_a_setting(issuer: Issuer, store: SqlStore) -> None:
    staff = staff_of(issuer, store, back_office_key=OWNER, may_revoke=["issuer"])
    with TestClient(create_app(issuer, staff=staff)) as client:
        for role, status in (("issuer", 404), ("service", 403)):
            made = Desk(client, OWNER).post("/keys", {"name": role, "roles": [role]}, 201)
            Desk(client, made["key"]).post("/credentials/x/revoke", {"reason": "fraud"}, status)


def test_whoever_may_not_revoke_neither_reissues_nor_transfers_nor_takes_back(
    issuer: Issuer, store: SqlStore, customer: Customer, stored: list[str]
) -> None:
    receipt, warranty = stored
    staff = staff_of(issuer, store, back_office_key=OWNER, may_revoke=["recall"])
    with TestClient(create_app(issuer, staff=staff)) as client:

        def at(role: str) -> Desk:
            made = Desk(client, OWNER).post("/keys", {"name": role, "roles": [role]}, 201)
            return Desk(client, made["key"])

        service, recall = at("service"), at("recall")
        for one in stored:
            service.post(f"/credentials/{one}/reissue", {}, 403)
            service.post(f"/credentials/{one}/transfer", {}, 403)
        service.post("/orders/%231001/returns", {"line": 1, "quantity": 1}, 403)
        assert [customer.status(one) for one in customer.received] == [VALID, VALID]
        recall.post(f"/credentials/{receipt}/reissue", {})
        recall.post(f"/credentials/{warranty}/transfer", {})
    assert [customer.status(one) for one in customer.received] == [INVALID, INVALID]


def test_any_type_is_offered_with_claims_or_its_sample(owner: Desk) -> None:
    types = owner.get("/types")["types"]
    assert {"membership", "receipt", "ownership", "warranty", "tier"} <= {t["type"] for t in types}

    given = owner.post("/offers", {"type": "tier", "claims": TIER, "tx_code": False}, 201)
    sample = owner.post("/offers", {"type": "ownership"}, 201)
    assert given["tx_code"] is None
    assert parse_offer(given["link"]).configuration_ids == ("tier",)
    assert len(sample["tx_code"]) == 6
    # There is one ownership of an item.
    owner.post("/offers", {"type": "ownership"}, 409)
    owner.post("/offers", {"type": "passport"}, 404)


@pytest.mark.parametrize(
    "claims",
    [
        {**TIER, "level": 7},
        {**TIER, "colour": "red"},
        {name: value for name, value in TIER.items() if name != "level"},
        {**TIER, "level": "\ud800"},
        {**TIER, "level": float(2**70)},
    ],
)
def test_claims_that_do_not_fit_are_refused(owner: Desk, claims: dict[str, object]) -> None:
    # Written by hand: a client may escape what no text can hold.
    body = json.dumps({"type": "tier", "claims": claims})
    headers = owner.headers(**{"Content-Type": "application/json"})
    answer = owner.client.post("/back-office/offers", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_an_offer_is_withdrawn_before_it_is_claimed(
    owner: Desk, issuer: Issuer, customer: Customer
) -> None:
    offered = owner.post("/orders/%231001/offers")["offers"][0]
    before = owner.get("/summary")["offers_open"]
    assert owner.delete(f"/offers/{offered['offer_id']}")["state"] == "withdrawn"

    assert owner.get("/summary")["offers_open"] == before - 1
    owner.delete(f"/offers/{offered['offer_id']}", 409)
    owner.delete("/offers/nothing", 404)


def test_the_same_key_offers_once(owner: Desk) -> None:
    key = {"Idempotency-Key": '"a-key-of-mine"'}
    first = owner.sent("/offers", {"type": "tier"}, **key)
    again = owner.sent("/offers", {"type": "tier"}, **key)
    other = owner.sent("/offers", {"type": "tier", "tx_code": False}, **key)

    assert (first.status_code, again.status_code, other.status_code) == (201, 201, 422)
    assert again.json() == first.json()
    assert owner.get("/summary")["offers_open"] == 1


def test_what_was_issued_is_found_by_each_of_its_properties(
    owner: Desk, stored: list[str], clock: Clock
) -> None:
    def found(**query: Any) -> list[str]:  # noqa: ANN401  # as get
        return [one["credential_id"] for one in owner.get("/credentials", **query)["credentials"]]

    receipt, warranty = stored
    serial = owner.get(f"/credentials/{warranty}")["serial"]
    now = clock().isoformat()

    assert found() == [warranty, receipt]
    assert found(order="#1001") == [warranty, receipt]
    assert found(order="#1002") == []
    assert found(type="receipt") == [receipt]
    assert found(serial=serial) == [warranty]
    assert found(state="stored") == [warranty, receipt]
    assert found(state="revoked") == []
    assert found(issued_from=now) == [warranty, receipt]
    assert found(issued_until=now) == []
    first = owner.get("/credentials", limit=1)
    assert [one["credential_id"] for one in first["credentials"]] == [warranty]
    assert found(limit=1, before=first["next"]) == [receipt]
    owner.get("/credentials", 400, colour="red")
    owner.get("/credentials", 400, issued_from="2026-01-01T00:00:00")


def test_suspended_and_back_and_revoked_for_good(
    owner: Desk, customer: Customer, stored: list[str]
) -> None:
    _, warranty = customer.received
    name = stored[1]

    assert customer.status(warranty) == VALID
    assert owner.post(f"/credentials/{name}/suspend")["state"] == "suspended"
    assert customer.status(warranty) == SUSPENDED
    assert owner.post(f"/credentials/{name}/reinstate")["state"] == "stored"
    assert customer.status(warranty) == VALID
    revoked = owner.post(f"/credentials/{name}/revoke", {"reason": "fraud"})
    assert (revoked["state"], revoked["revocation_reason"]) == ("revoked", "fraud")
    assert customer.status(warranty) == INVALID
    owner.post(f"/credentials/{name}/reinstate", status=409)
    owner.post(f"/credentials/{name}/reissue", status=409)


def test_a_lost_credential_and_a_sold_item_are_offered_anew(
    owner: Desk, customer: Customer, stored: list[str]
) -> None:
    receipt, warranty = stored
    again = owner.post(f"/credentials/{receipt}/reissue")
    sold = owner.post(f"/credentials/{warranty}/transfer", {"subject": "jun@example.org"})

    assert [one["type"] for one in again["credentials"]] == ["receipt"]
    assert [one["type"] for one in sold["credentials"]] == ["warranty"]
    assert [customer.status(one) for one in customer.received] == [INVALID, INVALID]


def test_part_of_an_order_comes_back(owner: Desk, customer: Customer, stored: list[str]) -> None:
    serial = owner.get(f"/credentials/{stored[1]}")["serial"]
    back = owner.post("/orders/%231001/returns", {"line": 1, "serials": [serial]})

    assert back["receipt"]["credentials"][0]["type"] == "receipt"
    assert customer.status(customer.received[1]) == INVALID
    owner.post("/orders/%231001/returns", {"line": 1, "serials": [serial]}, 409)
    owner.post("/orders/%239999/returns", {"line": 1}, 404)


def test_many_are_suspended_by_two_people(
    at_desk: Callable[..., Desk], customer: Customer, stored: list[str]
) -> None:
    mei, jonas = at_desk("mei", "recall"), at_desk("jonas", "recall")
    proposal = mei.post("/proposals", {"act": "suspend", "search": {"type": "warranty"}}, 201)
    name = proposal["proposal_id"]

    assert jonas.get(f"/proposals/{name}")["credentials"] == [stored[1]]
    assert (proposal["state"], proposal["count"]) == ("open", 1)
    mei.post(f"/proposals/{name}/approve", status=409)
    approved = jonas.post(f"/proposals/{name}/approve")
    assert finished(jonas, approved["job"])["made"] == 1
    assert [customer.status(one) for one in customer.received] == [VALID, SUSPENDED]
    jonas.post(f"/proposals/{name}/approve", status=409)
    mei.post(f"/proposals/{name}/reject", status=409)


def test_what_was_approved_is_done_once(
    owner: Desk, at_desk: Callable[..., Desk], customer: Customer, stored: list[str]
) -> None:
    mei, ben = at_desk("mei", "recall"), at_desk("ben", "issuer")
    proposal = mei.post("/proposals", {"act": "suspend", "search": {"type": "warranty"}}, 201)
    name = proposal["proposal_id"]

    def sent_as_a_file(body: bytes) -> int:
        headers = ben.headers(**{"Content-Type": "text/csv"})
        place = "/back-office/jobs?kind=approved"
        return ben.client.post(place, content=body, headers=headers).status_code

    unknown_type = sent_as_a_file(b"level\ngold\n")
    assert 400 <= unknown_type < 500
    assert sent_as_a_file(name.encode()) == unknown_type, "while it is open"
    assert sent_as_a_file(b"\xff\xfe") == unknown_type

    finished(owner, owner.post(f"/proposals/{name}/approve")["job"])
    mei.post(f"/credentials/{stored[1]}/reinstate")
    assert sent_as_a_file(name.encode()) == unknown_type, "when it was approved"
    assert [customer.status(one) for one in customer.received] == [VALID, VALID]


def test_a_list_that_was_frozen_does_not_grow(
    owner: Desk, at_desk: Callable[..., Desk], issuer: Issuer, customer: Customer, stored: list[str]
) -> None:
    mei = at_desk("mei", "recall")
    body: dict[str, object] = {"act": "revoke", "reason": "fraud", "search": {}}
    name = mei.post("/proposals", body, 201)["proposal_id"]
    late = customer.accept(issuer.offer("#1002").offers[0])
    approved = owner.post(f"/proposals/{name}/approve")

    assert finished(owner, approved["job"])["made"] == len(stored)
    assert [customer.status(one) for one in late] == [VALID] * len(late)
    rejected = mei.post("/proposals", {"act": "suspend", "credentials": stored}, 201)
    assert mei.post(f"/proposals/{rejected['proposal_id']}/reject")["state"] == "rejected"


def test_a_batch_is_done_by_the_service(owner: Desk, client: TestClient) -> None:
    rows = ["programme,level,valid_until,since,member_number", "Auricle Circle,gold"]
    rows += [f"Auricle Circle,gold,2027-02-01,2026-02-01,AC-{i:06}" for i in range(250)]
    headers = owner.headers(**{"Content-Type": "text/csv"})
    answer = client.post(
        "/back-office/jobs?kind=tier", content="\n".join(rows).encode(), headers=headers
    )
    job = finished(owner, answer.json()["job_id"])

    assert answer.status_code == 202
    assert (job["made"], job["error_count"], job["started_by"]) == (250, 1, "owner")
    (error,) = owner.get(f"/jobs/{job['job_id']}/errors")["errors"]
    assert (error["row"], error["column"]) == (2, "(row)")
    wrong = client.post("/back-office/jobs?kind=tier", content=b"x", headers=owner.headers())
    assert wrong.status_code == 400


def test_each_write_leaves_a_line_and_no_claim(
    owner: Desk, at_desk: Callable[..., Desk], stored: list[str]
) -> None:
    carer = at_desk("carer", "service")
    carer.post(f"/credentials/{stored[1]}/revoke", {"reason": "goods-returned"})
    owner.post("/offers", {"type": "tier", "claims": TIER}, 201)
    owner.post("/offers", {"type": "tier", "claims": {}}, 400)

    lines = [(one["actor"], one["action"]) for one in owner.get("/audit")["entries"]]
    assert lines == [
        ("owner", "key.made"),
        ("carer", "credential.revoked/goods-returned"),
        ("owner", "offer.made"),
    ]
    about = owner.get("/audit", subject=f"credential:{stored[1]}")["entries"]
    assert [one["action"] for one in about] == ["credential.revoked/goods-returned"]
    assert owner.get("/audit/check") == {
        "whole": True,
        "entries": 3,
        "chain": owner.get("/audit/check")["chain"],
        "wrong": None,
    }


def test_a_log_that_was_emptied_is_found_by_the_ends_that_were_kept(
    issuer: Issuer, store: SqlStore, clock: Clock, tmp_path: Path
) -> None:
    kept = CheckpointFile(tmp_path / "checkpoints", MemorySigner.generate(), clock=clock)
    staff = staff_of(issuer, store, back_office_key=OWNER, checkpoints=kept)
    with TestClient(create_app(issuer, staff=staff)) as client:
        owner = Desk(client, OWNER)
        owner.post("/keys", {"name": "mine", "roles": ["issuer"]}, 201)
        assert owner.get("/audit/check")["whole"]
        with store.transaction() as held:
            for table in (LOG, MARKS):
                held.connection.change(Statement(delete(table)))
        found = owner.get("/audit/check")

    assert (found["whole"], found["wrong"]["code"]) == (False, "audit-row-missing")


def test_webhooks_are_the_owners(owner: Desk) -> None:
    made = owner.post(
        "/webhooks", {"url": "https://shop.example/hooks", "types": ["credential.revoked"]}, 201
    )
    name = made["webhook_id"]
    assert owner.post(f"/webhooks/{name}/rotate-secret")["secret"] not in (None, made["secret"])
    owner.post(f"/webhooks/{name}/pause")
    assert owner.get("/webhooks")["webhooks"][0]["active"] is False
    owner.post(f"/webhooks/{name}/explode", status=400)
    for url in ("http://shop.example/hooks", "https://shop.example/hooks#1", "ftp://shop.example"):
        owner.post("/webhooks", {"url": url}, 400)
    owner.delete(f"/webhooks/{name}")
    owner.delete(f"/webhooks/{name}", 404)


def test_two_brands_on_one_database_each_have_nothing_of_the_other(
    tmp_path_factory: pytest.TempPathFactory, clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    stores = [SqlStore(tmp_path_factory.mktemp("brand") / "issuer.sqlite3") for _ in range(2)]
    first, second = (issuer_on(store, clock, random_bytes) for store in stores)
    first.import_orders(
        orders_file("#1,a@example.org,2026-03-01 12:34:56 +0100,EUR,1.00,A,A,ONE,1,9.00")
    )
    customer = Customer(first, clock, MemorySigner.generate())
    receipt, _ = customer.accept(first.offer("#1").offers[0])

    with TestClient(create_app(second, staff=staffed(second, "second"))) as client:
        desk = Desk(client, "second")
        desk.get(f"/credentials/{receipt.notification_id}", 404)
        assert desk.post("/orders/search", {"email": "a@example.org"})["orders"] == []
        Desk(client, OWNER).get("/summary", 401)
    for store in stores:
        store.close()
