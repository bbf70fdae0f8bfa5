"""ID tokens: a provider's word, for this client and this login alone."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from counterfoil_credentials.encoding import Json, JsonObject, b64url, compact_json
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.id_tokens import check_id_token
from counterfoil_credentials.keys import MemorySigner
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
SECONDS = int(NOON.timestamp())
ISSUER = "https://login.example"
EC = MemorySigner.from_private_bytes(b"\x01" * 32)
OTHER = MemorySigner.from_private_bytes(b"\x02" * 32)

Sign = Callable[[bytes], bytes]


def number(value: int) -> str:
    return b64url(value.to_bytes((value.bit_length() + 7) // 8))


def rsa_jwk(key: rsa.RSAPrivateKey, **more: Json) -> JsonObject:
    numbers = key.public_key().public_numbers()
    return {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e), **more}


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def rsa_signer(key: rsa.RSAPrivateKey) -> Sign:
    return lambda message: key.sign(message, padding.PKCS1v15(), hashes.SHA256())


def body(**changes: Json) -> JsonObject:
    return {
        "iss": ISSUER,
        "sub": "customer-7",
        "aud": "counterfoil",
        "nonce": "a-nonce",
        "iat": SECONDS,
        "exp": SECONDS + 300,
        **changes,
    }


def signed(claims: JsonObject, sign: Sign = EC.sign, **header: Json) -> str:
    head = b64url(compact_json({"alg": "ES256", **header}))
    message = f"{head}.{b64url(compact_json(claims))}"
    return f"{message}.{b64url(sign(message.encode()))}"


def checked(token: str, *keys: JsonObject) -> JsonObject:
    listed: list[Json] = [*(keys or (EC.public.jwk(),))]
    return check_id_token(
        token,
        {"keys": listed},
        issuer=ISSUER,
        client_id="counterfoil",
        nonce="a-nonce",
        now=NOON,
    )


def refused(token: str, *keys: JsonObject) -> list[str]:
    with pytest.raises(Refused) as refusal:
        checked(token, *keys)
    return refusal.value.codes


@pytest.mark.parametrize("header", [{}, {"typ": "JWT"}, {"typ": "jwt"}, {"kid": "1"}])
def test_the_providers_token_names_the_customer(header: dict[str, str]) -> None:
    assert checked(signed(body(), EC.sign, **header))["sub"] == "customer-7"


def test_rs256_is_spoken_and_no_other_way_to_use_an_rsa_key(rsa_key: rsa.RSAPrivateKey) -> None:
    sign = rsa_signer(rsa_key)
    token = signed(body(), sign, alg="RS256")

    assert checked(token, rsa_jwk(rsa_key))["sub"] == "customer-7"
    assert checked(token, rsa_jwk(rsa_key, alg="RS256", use="sig"))["sub"] == "customer-7"
    for algorithm in ("PS256", "RS512", "ES256", "HS256", "none", "rs256"):
        other = signed(body(), sign, alg=algorithm)
        assert refused(other, rsa_jwk(rsa_key)) == ["signature-invalid"]
    assert refused(token, rsa_jwk(rsa_key, alg="PS256")) == ["signature-invalid"]
    assert refused(token, rsa_jwk(rsa_key, use="enc")) == ["signature-invalid"]
    assert refused(token, rsa_jwk(rsa_key, d="AQ")) == ["signature-invalid"]


def test_a_weak_rsa_key_is_none() -> None:
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505  # that is the point
    odd = rsa_jwk(weak, e="Aw")

    for jwk in (rsa_jwk(weak), odd):
        assert refused(signed(body(), rsa_signer(weak), alg="RS256"), jwk) == ["signature-invalid"]


def test_an_hmac_under_the_public_key_is_no_signature(rsa_key: rsa.RSAPrivateKey) -> None:
    token = signed(body(), lambda message: message[:32], alg="HS256")

    assert refused(token, rsa_jwk(rsa_key), EC.public.jwk()) == ["signature-invalid"]


def test_a_key_is_found_by_its_name_among_others_of_every_kind() -> None:
    token = signed(body(), kid="now")
    strange: list[JsonObject] = [{"kty": "oct", "k": "AQ"}, {"kty": "RSA", "n": "", "e": ""}, {}]

    assert checked(token, *strange, {**EC.public.jwk(), "kid": "now"})["sub"] == "customer-7"
    assert refused(token, {**EC.public.jwk(), "kid": "then"}) == ["signature-invalid"]
    assert refused(token, {**OTHER.public.jwk(), "kid": "now"}) == ["signature-invalid"]


@pytest.mark.parametrize("typ", ["at+jwt", "logout+jwt", "dc+sd-jwt", ""])
def test_a_token_of_another_type_is_refused(typ: str) -> None:
    assert refused(signed(body(), typ=typ)) == ["token-type-mismatch"]


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("iss", f"{ISSUER}/", "issuer-mismatch"),
        ("aud", "another", "audience-mismatch"),
        ("aud", [], "audience-mismatch"),
        ("aud", ["counterfoil", "another"], "audience-mismatch"),
        ("nonce", "b-nonce", "nonce-mismatch"),
        ("exp", SECONDS - 60, "token-expired"),
        ("iat", SECONDS + 61, "token-from-the-future"),
        ("nbf", SECONDS + 61, "token-from-the-future"),
    ],
)
def test_a_token_for_another_login_is_refused(name: str, value: Json, code: str) -> None:
    assert refused(signed(body(**{name: value}))) == [code]


def test_the_nearest_neighbours_of_these_are_accepted() -> None:
    for changes in (
        body(exp=SECONDS - 59),
        body(iat=SECONDS + 60, nbf=SECONDS + 60),
        body(aud=["counterfoil"]),
        body(aud=["counterfoil", "another"], azp="counterfoil"),
    ):
        assert checked(signed(changes))["sub"] == "customer-7"


@pytest.mark.parametrize("name", ["iss", "nonce", "exp", "iat"])
def test_each_required_claim_must_be_there(name: str) -> None:
    claims = {key: value for key, value in body().items() if key != name}

    with pytest.raises(Malformed, match=f"id_token.{name}"):
        checked(signed(claims))


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c.d", "a.b.c", "é.b.c", "x" * 16_385])
def test_what_is_no_token_is_malformed(token: str) -> None:
    with pytest.raises(Malformed):
        checked(token)


def test_a_critical_extension_is_malformed() -> None:
    with pytest.raises(Malformed, match="no critical extension"):
        checked(signed(body(), crit=["exp"]))
