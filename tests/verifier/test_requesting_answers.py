"""Encrypted answers: a key for each request, sealed beside it, and erased with the answer."""

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

import pytest
from counterfoil_credentials.encoding import JsonObject, compact_json
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.jose import (
    ContentEncryption,
    DecryptionKey,
    EncryptionKey,
    encrypt_jwe,
)
from counterfoil_credentials.key_binding import transaction_data_hash as hash_of
from counterfoil_credentials.requests import PresentationRequest, response_form
from counterfoil_service.sealing import Seal
from counterfoil_service.statements import Statement
from counterfoil_verifier import (
    Answered,
    Asked,
    Light,
    MemoryStore,
    RequestId,
    SessionStore,
    words_for,
)
from counterfoil_verifier.answering import NoAnswer
from counterfoil_verifier.explaining import explain
from counterfoil_verifier.requesting import REQUEST_LIFE, NotOpen, Waiting
from counterfoil_verifier.sql_store import SqlSessionStore
from counterfoil_verifier.tables import SESSIONS
from sqlalchemy import bindparam, select

from tests.conftest import Clock
from tests.verifier.scene import Scene

SECRET = bytes(range(32))
SEAL = Seal(SECRET, "response keys")
KEPT = Statement(
    select(SESSIONS.c.response_key, SESSIONS.c.transaction_data).where(
        SESSIONS.c.session_id == bindparam("this")
    )
)


@pytest.fixture(params=["memory", "sql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[SessionStore, None, None]:
    if request.param == "memory":
        yield MemoryStore()
        return
    sql = SqlSessionStore(tmp_path / "counter.sqlite3")
    yield sql
    sql.close()


@pytest.fixture
def scene(clock: Clock, random_bytes: Callable[[int], bytes], store: SessionStore) -> Scene:
    scene = Scene(clock, random_bytes, store)
    scene.shop = replace(scene.shop, seal=SEAL)
    scene.counter = scene.open_counter()
    return scene


def encrypted(
    answer: JsonObject,
    request: PresentationRequest,
    *,
    key: EncryptionKey | None = None,
    encryption: ContentEncryption = ContentEncryption.A128GCM,
) -> dict[str, str]:
    assert request.encryption is not None
    token = encrypt_jwe(
        compact_json(answer),
        key=key or request.encryption.key,
        encryption=encryption,
        apu=b"wallet",
        apv=request.nonce.encode(),
    )
    return {"response": token}


def answered(scene: Scene, asked: Asked) -> tuple[RequestId, PresentationRequest, JsonObject]:
    """Give a good wallet's answer, before it is encrypted."""
    request_id, request = scene.fetch_request(asked)
    shown = scene.present(scene.warranty(), request)
    vp_token: JsonObject = {name: [*several] for name, several in shown.items()}
    return request_id, request, {"vp_token": vp_token, "state": request.state}


@pytest.mark.parametrize("encryption", ContentEncryption)
def test_an_encrypted_answer_turns_the_light_green(
    scene: Scene, encryption: ContentEncryption
) -> None:
    asked = scene.counter.ask("warranty")
    request_id, request, answer = answered(scene, asked)

    scene.counter.receive(request_id, encrypted(answer, request, encryption=encryption))

    assert scene.counter.look(asked.session_id).light is Light.GREEN


def test_a_request_has_one_key_however_often_it_is_fetched(scene: Scene) -> None:
    first, second = scene.counter.ask("warranty"), scene.counter.ask("warranty")
    keys = [
        request.encryption.key
        for asked in (first, first, second)
        for _, request in [scene.fetch_request(asked)]
        if request.encryption is not None
    ]

    assert keys[0] == keys[1]
    assert keys[0].point != keys[2].point


def test_a_counter_that_started_again_reads_the_answer(scene: Scene) -> None:
    asked = scene.counter.ask("warranty")
    request_id, request, answer = answered(scene, asked)

    scene.open_counter().receive(request_id, encrypted(answer, request))

    assert scene.counter.look(asked.session_id).light is Light.GREEN


def another_key(request: PresentationRequest) -> EncryptionKey:
    assert request.encryption is not None
    name = request.encryption.key.key_id
    assert name is not None
    return DecryptionKey.generate(name).public


Send: TypeAlias = Callable[[JsonObject, PresentationRequest], dict[str, str]]
NO_ANSWERS: Mapping[str, tuple[Send, str]] = {
    "in the open": (
        lambda answer, _: {
            "vp_token": json.dumps(answer["vp_token"]),
            "state": str(answer["state"]),
        },
        "answer-not-encrypted",
    ),
    "nothing at all": (lambda answer, _: {"state": str(answer["state"])}, "answer-not-encrypted"),
    "to another key": (
        lambda answer, request: encrypted(answer, request, key=another_key(request)),
        "decryption-failed",
    ),
    "to another request's key": (
        lambda answer, request: encrypted(
            answer, request, key=DecryptionKey.generate("another").public
        ),
        "unknown-key",
    ),
    "cut": (
        lambda answer, request: {"response": f"{encrypted(answer, request)['response'][:-8]}AAAA"},
        "malformed",
    ),
    "no JWE": (lambda _, __: {"response": "a.b.c"}, "malformed"),
    "no JSON inside": (
        lambda _, request: {
            "response": encrypt_jwe(b"vp_token=", key=encrypted_key(request)),
        },
        "malformed",
    ),
    "without a vp_token": (
        lambda answer, request: encrypted({"state": answer["state"]}, request),
        "malformed",
    ),
    "a text for a list": (
        lambda answer, request: encrypted({**answer, "vp_token": {"warranty": "x"}}, request),
        "malformed",
    ),
    "another state": (
        lambda answer, request: encrypted({**answer, "state": "another"}, request),
        "state-mismatch",
    ),
    "no state": (
        lambda answer, request: encrypted({"vp_token": answer["vp_token"]}, request),
        "state-mismatch",
    ),
}


def encrypted_key(request: PresentationRequest) -> EncryptionKey:
    assert request.encryption is not None
    return request.encryption.key


@pytest.mark.parametrize("way", NO_ANSWERS)
def test_what_is_no_answer_leaves_the_request_open(scene: Scene, way: str) -> None:
    """Whoever photographs the code learns the address, and must not end the question."""
    asked = scene.counter.ask("warranty")
    request_id, request, answer = answered(scene, asked)
    make, code = NO_ANSWERS[way]

    with pytest.raises((Malformed, NoAnswer, NotOpen)) as error:
        scene.counter.receive(request_id, make(answer, request))

    found = error.value
    assert (found.codes[0] if isinstance(found, Refused) else "malformed") == code
    scene.counter.receive(request_id, encrypted(answer, request))
    assert scene.counter.look(asked.session_id).light is Light.GREEN


def test_an_encrypted_answer_to_a_request_without_a_key_is_none(
    clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    scene = Scene(clock, random_bytes)
    asked = scene.counter.ask("warranty")
    request_id, request = scene.fetch_request(asked)
    token = encrypt_jwe(b"{}", key=DecryptionKey.generate("k").public)

    with pytest.raises(Malformed):
        scene.counter.receive(request_id, {"response": token, "state": request.state or ""})

    scene.counter.receive(*scene.answer(asked))
    assert scene.counter.look(asked.session_id).light is Light.GREEN


@pytest.mark.parametrize("way", ["encrypted", "in the open"])
def test_a_wallet_may_say_no_either_way(scene: Scene, way: str) -> None:
    """OpenID4VP 1.0, section 8.3.1: an error may come without encryption."""
    asked = scene.counter.ask("warranty")
    request_id, request = scene.fetch_request(asked)
    no = {"error": "access_denied", "state": request.state or ""}

    scene.counter.receive(request_id, encrypted({**no}, request) if way == "encrypted" else no)

    look = scene.counter.look(asked.session_id)
    assert (look.light, [code for code, _ in look.words]) == (Light.RED, ["declined"])
    assert look.held is not None
    assert look.held.reasons[0].found == "access_denied"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("access_denied", "declined"),
        ("wallet_unavailable", "wallet-unavailable"),
        ("temporarily_unavailable", "wallet-unavailable"),
        ("server_error", "wallet-unavailable"),
        ("invalid_request", "request-not-taken"),
        ("invalid_client", "request-not-taken"),
        ("invalid_transaction_data", "request-not-taken"),
        ("vp_formats_not_supported", "request-not-taken"),
        ("invalid_request_uri_method", "request-not-taken"),
    ],
)
def test_the_till_hears_whose_turn_it_is(scene: Scene, error: str, code: str) -> None:
    """Section 8.5: that a wallet finds fault with the question is no word of the customer."""
    asked = scene.counter.ask("warranty")
    request_id, request = scene.fetch_request(asked)

    received = scene.counter.receive(request_id, {"error": error, "state": request.state or ""})

    assert received.is_declined
    look = scene.counter.look(asked.session_id)
    assert (look.light, [one for one, _ in look.words]) == (Light.RED, [code])
    assert look.held is not None
    assert look.held.reasons[0].found == error
    assert words_for(code) != words_for("no-such-code")
    (told,) = [one for one in explain(look.held.reasons) if one.reasons]
    assert told.check.name == "answer"


def test_an_error_for_another_request_ends_nothing(scene: Scene) -> None:
    asked = scene.counter.ask("warranty")
    request_id, _ = scene.fetch_request(asked)

    for state in ({}, {"state": ""}, {"state": "another"}):
        with pytest.raises(NotOpen):
            scene.counter.receive(request_id, {"error": "access_denied", **state})

    assert scene.counter.look(asked.session_id).light is None


def test_a_wallet_s_own_words_are_not_repeated(scene: Scene) -> None:
    asked = scene.counter.ask("warranty")
    request_id, request = scene.fetch_request(asked)

    scene.counter.receive(request_id, {"error": "Li Na <b>", "state": request.state or ""})

    held = scene.counter.look(asked.session_id).held
    assert held is not None
    assert [reason.found for reason in held.reasons] == ["another error"]


@pytest.mark.parametrize("end", ["answered", "declined", "refused", "expired"])
def test_the_key_and_what_was_to_be_signed_go_with_the_session_s_end(
    scene: Scene, store: SessionStore, clock: Clock, tmp_path: Path, end: str
) -> None:
    data = ("eyJ0eXBlIjoieCIsImNyZWRlbnRpYWxfaWRzIjpbIndhcnJhbnR5Il19",)
    asked = scene.counter.ask("warranty", transaction_data=data)
    kept = store.by_session(asked.session_id)
    assert isinstance(kept, Waiting)
    assert kept.transaction_data == data
    assert kept.response_key is not None
    request_id, request = scene.fetch_request(asked)
    if end == "expired":
        clock.advance(REQUEST_LIFE)
        scene.counter.tidy()
    elif end == "declined":
        no = {"error": "access_denied", "state": request.state}
        scene.counter.receive(request_id, encrypted({**no}, request))
    else:
        # The transaction is signed along, or is not.
        with_data = [hash_of(data[0])] if end == "answered" else []
        shown = scene.present(scene.warranty(), request, transaction_data_hashes=with_data)
        vp_token: JsonObject = {name: [*several] for name, several in shown.items()}
        form = encrypted({"vp_token": vp_token, "state": request.state}, request)
        if end == "answered":
            scene.counter.receive(request_id, form)
        else:
            with pytest.raises(Refused) as refused:
                scene.counter.receive(request_id, form)
            assert refused.value.codes == ["transaction-data-mismatch"]

    left = store.by_session(asked.session_id)
    if end == "expired":
        assert isinstance(left, Waiting)
        assert (left.response_key, left.transaction_data) == (None, ())
    else:
        assert isinstance(left, Answered)
    if isinstance(store, SqlSessionStore):
        with store.database.reading() as connection:
            columns = connection.row(KEPT, this=asked.session_id)
        assert columns == (None, None)


def test_a_copy_of_the_database_opens_no_answer(scene: Scene, store: SessionStore) -> None:
    asked, other = scene.counter.ask("warranty"), scene.counter.ask("warranty")
    waiting, moved = (store.by_session(each.session_id) for each in (asked, other))
    assert isinstance(waiting, Waiting)
    assert isinstance(moved, Waiting)
    stranger = replace(scene.shop, seal=Seal(SECRET[::-1], "response keys"))

    assert scene.shop.response_key(waiting) is not None
    for shop, session in (
        (stranger, waiting),
        (scene.shop, replace(waiting, response_key=moved.response_key)),
    ):
        with pytest.raises(Malformed):
            shop.response_key(session)


def test_an_answer_after_the_time_is_none(scene: Scene, clock: Clock) -> None:
    asked = scene.counter.ask("warranty")
    request_id, request, answer = answered(scene, asked)
    clock.advance(REQUEST_LIFE + timedelta(seconds=1))

    with pytest.raises(NotOpen) as refused:
        scene.counter.receive(request_id, encrypted(answer, request))

    assert refused.value.codes == ["request-expired"]


def test_without_a_seal_an_answer_comes_as_it_is(
    clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    scene = Scene(clock, random_bytes)
    request_id, request = scene.fetch_request(scene.counter.ask("warranty"))
    assert request.encryption is None
    vp_token = scene.present(scene.warranty(), request)

    scene.counter.receive(request_id, response_form(vp_token, request.state))
