"""The messages of the credential endpoints: what is read, what is encrypted, what is refused."""

from collections.abc import Callable

import pytest
from counterfoil_credentials.encoding import JsonObject, compact_json, parse_object
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.jose import ContentEncryption, DecryptionKey, decrypt_jwe, encrypt_jwe
from counterfoil_issuer.credential_request import (
    MAX_REQUEST_BYTES,
    CredentialRequest,
    Secrecy,
    encryption_metadata,
    read_credential_request,
    read_deferred_request,
    requested_names,
)
from counterfoil_issuer.credential_response import credentials_answer, waiting_answer, written

JSON = "application/json"
JWT = "application/jwt"
OURS = DecryptionKey.from_private_bytes(b"\x01" * 32, "ours")
BEFORE = DecryptionKey.from_private_bytes(b"\x02" * 32, "before")
WALLETS = DecryptionKey.from_private_bytes(b"\x03" * 32, "wallets")
STRANGER = DecryptionKey.from_private_bytes(b"\x04" * 32, "ours")
PLAIN: JsonObject = {"credential_configuration_id": "warranty", "proofs": {"jwt": ["x"]}}
WANTED: JsonObject = {"jwk": WALLETS.jwk(), "enc": "A256GCM"}
BOTH = [BEFORE, OURS]


def sealed(content: JsonObject, to: DecryptionKey = OURS) -> bytes:
    return encrypt_jwe(compact_json(content), key=to.public).encode()


def read(body: bytes, media_type: str = JSON, secrecy: Secrecy | None = None) -> CredentialRequest:
    return read_credential_request(body, media_type, keys=BOTH, secrecy=secrecy or Secrecy())


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(Refused) as refusal:
        act()
    (code,) = refusal.value.codes
    return code


def test_a_request_is_read_open_or_encrypted_to_any_of_our_keys() -> None:
    for asked in (
        read(compact_json(PLAIN)),
        read(sealed(PLAIN), JWT),
        read(sealed(PLAIN, BEFORE), JWT),
    ):
        assert (asked.content, asked.reply) == (PLAIN, None)
        assert requested_names(asked.content) == ("warranty", None)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b"null", b'{"a":1,"a":2}', b"[" * 60_000, b"\xff", b"a=b", b'{"a":NaN}'],
)
def test_what_is_no_json_object_is_refused_open_and_encrypted(body: bytes) -> None:
    assert refused(lambda: read(body)) == "invalid_credential_request"
    if body:
        inside = encrypt_jwe(body, key=OURS.public).encode()
        assert refused(lambda: read(inside, JWT)) == "invalid_credential_request"


def test_a_request_says_one_of_the_two_names_and_says_it_as_a_text() -> None:
    wrong: list[JsonObject] = [
        {},
        {"credential_configuration_id": "warranty", "credential_identifier": "1"},
        {"credential_configuration_id": 7},
        {"credential_configuration_id": None},
        {"credential_identifier": ["1"]},
        {"credential_identifier": "1" * 513},
    ]
    for content in wrong:
        assert refused(lambda: requested_names(content)) == "invalid_credential_request"  # noqa: B023
    assert requested_names({"credential_identifier": "1" * 512}) == (None, "1" * 512)


def test_a_request_of_another_media_type_or_too_long_is_refused() -> None:
    body = compact_json(PLAIN)
    for media_type in ("", "text/plain", "application/x-www-form-urlencoded", "APPLICATION/JWT"):
        assert refused(lambda: read(body, media_type)) == "invalid_credential_request"  # noqa: B023
    long = compact_json({**PLAIN, "more": "x" * MAX_REQUEST_BYTES})
    assert refused(lambda: read(long)) == "invalid_credential_request"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff.....",
        b"x.y.z",
        b"a.b.c.d.e",
        compact_json(PLAIN),
        sealed(PLAIN, STRANGER),
        sealed(PLAIN, WALLETS),
        sealed(PLAIN)[:-4] + b"AAAA",
        sealed(PLAIN) + b"=",
    ],
)
def test_what_our_keys_do_not_open_is_refused(body: bytes) -> None:
    assert refused(lambda: read(body, JWT)) == "invalid_encryption_parameters"


def test_the_answer_is_encrypted_to_the_key_that_travelled_encrypted() -> None:
    asked = read(sealed({**PLAIN, "credential_response_encryption": WANTED}), JWT)
    assert asked.reply is not None
    assert (asked.reply.key.key_id, asked.reply.encryption) == (
        "wallets",
        ContentEncryption.A256GCM,
    )

    answer = credentials_answer(["one~", "two~"], "id")
    body, media_type = written(answer, asked.reply)

    assert media_type == JWT
    opened = decrypt_jwe(body.decode(), keys=[WALLETS], where="answer")
    assert parse_object(opened, "answer") == answer
    assert refused_by_others(body)


def refused_by_others(body: bytes) -> bool:
    with pytest.raises(Refused):
        decrypt_jwe(body.decode(), keys=[OURS], where="answer")
    return True


def test_without_a_key_of_the_wallet_the_answer_is_json() -> None:
    assert written(waiting_answer("t-1", 5), None) == (
        b'{"transaction_id":"t-1","interval":5}',
        JSON,
    )
    assert written(credentials_answer(["one~"], "id"), None) == (
        b'{"credentials":[{"credential":"one~"}],"notification_id":"id"}',
        JSON,
    )


def test_a_key_for_the_answer_in_an_open_request_is_refused() -> None:
    body = compact_json({**PLAIN, "credential_response_encryption": WANTED})

    assert refused(lambda: read(body)) == "invalid_encryption_parameters"


@pytest.mark.parametrize(
    "wanted",
    [
        None,
        "x",
        [],
        {},
        {"jwk": WALLETS.jwk()},
        {"enc": "A256GCM"},
        {**WANTED, "enc": "A192GCM"},
        {**WANTED, "enc": "A128CBC-HS256"},
        {**WANTED, "enc": 7},
        {**WANTED, "zip": "DEF"},
        {**WANTED, "jwk": "x"},
        {**WANTED, "jwk": {**WALLETS.jwk(), "alg": "RSA-OAEP-256"}},
        {**WANTED, "jwk": {n: v for n, v in WALLETS.jwk().items() if n != "alg"}},
        {**WANTED, "jwk": {**WALLETS.jwk(), "use": "sig"}},
        {**WANTED, "jwk": {**WALLETS.jwk(), "d": "AA"}},
        {**WANTED, "jwk": {**WALLETS.jwk(), "crv": "P-384"}},
        {**WANTED, "jwk": {**WALLETS.jwk(), "x": OURS.jwk()["x"]}},
    ],
    ids=str,
)
def test_encryption_parameters_that_we_do_not_speak_are_refused(wanted: JsonObject) -> None:
    content: JsonObject = {"credential_response_encryption": wanted}

    body = sealed(PLAIN | content)
    assert refused(lambda: read(body, JWT)) == "invalid_encryption_parameters"
    later = sealed({"transaction_id": "t-1", **content})
    code = refused(lambda: read_deferred_request(later, JWT, keys=BOTH))
    assert code == "invalid_encryption_parameters"


def test_an_issuer_may_require_encryption_of_requests_and_of_answers() -> None:
    plain, encrypted = compact_json(PLAIN), sealed(PLAIN)
    whole = sealed({**PLAIN, "credential_response_encryption": WANTED})
    requests, responses = Secrecy(requests=True), Secrecy(responses=True)

    assert refused(lambda: read(plain, JSON, requests)) == "invalid_encryption_parameters"
    assert read(encrypted, JWT, requests).content == PLAIN
    assert refused(lambda: read(plain, JSON, responses)) == "invalid_encryption_parameters"
    assert refused(lambda: read(encrypted, JWT, responses)) == "invalid_encryption_parameters"
    assert read(whole, JWT, responses).reply is not None


def test_a_deferred_request_brings_its_own_key_or_none() -> None:
    plain = compact_json({"transaction_id": "t-1"})
    later = sealed({"transaction_id": "t-1", "credential_response_encryption": WANTED})

    assert read_deferred_request(plain, JSON, keys=BOTH).reply is None
    asked = read_deferred_request(later, JWT, keys=BOTH)
    assert asked.transaction_id == "t-1"
    assert asked.reply is not None
    assert asked.reply.key == WALLETS.public
    for body in (b"{}", b'{"transaction_id":7}', b"[]"):
        code = refused(lambda: read_deferred_request(body, JSON, keys=BOTH))  # noqa: B023
        assert code == "invalid_credential_request"


def test_the_metadata_announces_the_key_and_what_is_required() -> None:
    said = encryption_metadata(OURS, Secrecy(requests=True))

    assert said == {
        "credential_request_encryption": {
            "jwks": {"keys": [OURS.jwk()]},
            "enc_values_supported": ["A128GCM", "A256GCM"],
            "encryption_required": True,
        },
        "credential_response_encryption": {
            "alg_values_supported": ["ECDH-ES"],
            "enc_values_supported": ["A128GCM", "A256GCM"],
            "encryption_required": False,
        },
    }
