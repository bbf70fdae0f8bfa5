"""What the authorization code grant writes down, on SQLite and on PostgreSQL."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Refused
from counterfoil_issuer.clients import Sender
from counterfoil_issuer.grants import CodeRecord
from counterfoil_issuer.records import DatasetId, OfferId, SecretHash, secret_hash
from counterfoil_issuer.sql_authorization import grants_of
from counterfoil_issuer.sql_store import SqlStore
from counterfoil_issuer.tokens import AccessToken

from tests.conftest import Clock
from tests.issuer.brand import ORDERS, issuer_on
from tests.issuer.provider import Provider
from tests.issuer.visitor import CHALLENGE, CLIENT, REDIRECT, RandomBytes, Visitor, desk_of


@pytest.fixture
def store(where: Path | str) -> Iterator[SqlStore]:
    store = SqlStore(where)
    yield store
    store.close()


def test_what_is_written_comes_back_and_ends_once(store: SqlStore, now: datetime) -> None:
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
    answer = secret_hash("a-visit")

    with store.transaction() as held:
        grants_of(held).add_code(code, now)
        assert not grants_of(held).is_spent(answer)
        assert [held.spend_nonce(answer, now) for _ in range(2)] == [True, False]
    with store.reading() as held:
        assert grants_of(held).code(code.code_hash) == code
        assert grants_of(held).is_spent(answer)
    with store.transaction() as held:
        grants = grants_of(held)
        token = SecretHash("c" * 64)
        assert [grants.redeem_code(code.code_hash, token) for _ in range(2)] == [True, False]
        assert grants.code(code.code_hash) == replace(code, token_hash=token)


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
