"""What the authorization code grant writes down, on SQLite and on PostgreSQL."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Refused
from counterfoil_issuer.authorization_request import AuthorizationRequest
from counterfoil_issuer.authorizing import log_in, open_visit, visit_of
from counterfoil_issuer.clients import Sender
from counterfoil_issuer.grants import CodeRecord, Pushed
from counterfoil_issuer.login import Subject
from counterfoil_issuer.records import DatasetId, OfferId, SecretHash, secret_hash
from counterfoil_issuer.sql_authorization import grants_of
from counterfoil_issuer.sql_store import SqlStore
from counterfoil_issuer.tokens import AccessToken

from tests.conftest import Clock
from tests.issuer.brand import ORDERS, issuer_on
from tests.issuer.provider import Provider
from tests.issuer.visitor import CHALLENGE, CLIENT, REDIRECT, RandomBytes, Visitor, desk_of

REQUEST = AuthorizationRequest(
    client_id=CLIENT,
    redirect_uri=REDIRECT,
    state="a-state",
    code_challenge=CHALLENGE,
    configuration_ids=("receipt", "warranty"),
    by_identifier=True,
    issuer_state="an-issuer-state",
    dpop_jkt="a" * 43,
    instance_jkt="b" * 43,
    wallet_name="口袋",
)
BARE = replace(
    REQUEST,
    state=None,
    by_identifier=False,
    issuer_state=None,
    dpop_jkt=None,
    instance_jkt=None,
    wallet_name=None,
)


@pytest.fixture
def store(where: Path | str) -> Iterator[SqlStore]:
    store = SqlStore(where)
    yield store
    store.close()


@pytest.mark.parametrize("request_", [REQUEST, BARE])
def test_a_request_comes_back_as_it_was(request_: AuthorizationRequest) -> None:
    assert AuthorizationRequest.from_text(request_.to_text()) == request_


def test_what_is_written_comes_back_and_ends_once(
    store: SqlStore, now: datetime, random_bytes: RandomBytes
) -> None:
    pushed = Pushed(secret_hash("a-uri"), REQUEST, now + timedelta(seconds=60))
    code = CodeRecord(
        code_hash=secret_hash("a-code"),
        client_id=CLIENT,
        redirect_uri=REDIRECT,
        code_challenge=CHALLENGE,
        dpop_jkt=None,
        instance_jkt="b" * 43,
        by_identifier=True,
        dataset_ids=(DatasetId("receipt:1"), DatasetId("warranty:1")),
        offer_id=OfferId("an-offer"),
        expires_at=now + timedelta(seconds=60),
    )
    subject = Subject(("customer-7", "mira@example.org"), "Mira")

    with store.transaction() as held:
        grants = grants_of(held)
        assert grants.push(pushed, now)
        secret = open_visit(grants, REQUEST, language="zh", now=now, random=random_bytes)
        grants.add_code(code, now)
    with store.transaction() as held:
        grants = grants_of(held)
        visit = visit_of(grants, secret, now)
        log_in(grants, visit, subject)
        with pytest.raises(Refused):
            log_in(grants, visit, Subject(("another",), "x"))
    with store.reading() as held:
        grants = grants_of(held)
        assert grants.pushed(pushed.uri_hash) == pushed
        assert grants.code(code.code_hash) == code
        assert visit_of(grants, secret, now) == replace(visit, subject=subject)
    with store.transaction() as held:
        grants = grants_of(held)
        token = SecretHash("c" * 64)
        assert [grants.redeem_code(code.code_hash, token) for _ in range(2)] == [True, False]
        assert [grants.end_visit(visit.visit_hash) for _ in range(2)] == [True, False]
        assert grants.code(code.code_hash) == replace(code, token_hash=token)


def test_nobody_who_came_is_remembered_past_the_end(
    store: SqlStore, clock: Clock, random_bytes: RandomBytes
) -> None:
    desk = desk_of(issuer_on(store, clock, random_bytes), Provider(clock()).login())
    with store.transaction() as held:
        grants = grants_of(held)
        secret = open_visit(grants, REQUEST, language="en", now=clock(), random=random_bytes)
        log_in(grants, visit_of(grants, secret, clock()), Subject(("mira@example.org",), "Mira"))
        visit_hash = secret_hash(secret)

    clock.advance(timedelta(minutes=9, seconds=59))
    desk.tidy()
    with store.reading() as held:
        assert grants_of(held).visit(visit_hash) is not None
    clock.advance(timedelta(seconds=1))
    desk.tidy()
    with store.reading() as held:
        assert grants_of(held).visit(visit_hash) is None


def test_of_200_redemptions_of_one_code_at_once_one_gets_a_token_that_then_ends(
    store: SqlStore, clock: Clock, random_bytes: RandomBytes
) -> None:
    issuer = issuer_on(store, clock, random_bytes)
    assert not issuer.import_orders(ORDERS).errors
    provider = Provider(clock())
    visitor = Visitor(desk_of(issuer, provider.login()), provider)
    form = visitor.token_form(visitor.code())

    async def redeem_all() -> list[AccessToken | BaseException]:
        sender = Sender(client_id=CLIENT)
        tries = [visitor.desk.redeem(form, sender) for _ in range(200)]
        return await asyncio.gather(*tries, return_exceptions=True)

    answers = asyncio.run(redeem_all())

    tokens = [each for each in answers if isinstance(each, AccessToken)]
    refused = [each for each in answers if isinstance(each, Refused)]
    assert (len(tokens), len(refused)) == (1, 199)
    assert {code for each in refused for code in each.codes} == {"invalid_grant"}
    with store.reading() as held:
        session = held.session_of(secret_hash(tokens[0].value))
        assert session is not None
        assert session.token.ended
