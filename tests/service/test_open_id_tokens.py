"""Staff who come with a token of the brand's own login."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from counterfoil_credentials.encoding import b64url, compact_json
from counterfoil_credentials.errors import Unavailable
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.keys import MemorySigner
from counterfoil_service.access import Caller, Role
from counterfoil_service.open_id_tokens import OpenIdTokens
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

ISSUER = "https://login.brand.example"
NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
RSA_KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
EC_KEY = MemorySigner.generate()


def number(value: int) -> str:
    return b64url(value.to_bytes((value.bit_length() + 7) // 8))


class Provider:
    """The brand's login: its keys, how often it was asked, and its tokens."""

    def __init__(self) -> None:
        self.now = NOON
        self.asked = 0
        self.up = True
        self.configured_issuer = ISSUER
        numbers = RSA_KEY.public_key().public_numbers()
        self.keys: list[dict[str, Any]] = [
            {"kty": "RSA", "kid": "rsa", "n": number(numbers.n), "e": number(numbers.e)},
            {**EC_KEY.public.jwk(), "kid": "ec"},
            {"kty": "oct", "kid": "shared", "k": b64url(b"x" * 32)},
            {"kty": "RSA", "kid": "small", "n": number(numbers.n >> 1_024), "e": "AQAB"},
        ]
        self.fetcher = MemoryFetcher()
        self.fetcher.serve(ISSUER, self._answer)

    def _answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        if not self.up:
            raise Unavailable("expected an answer, found none")
        if path == "/.well-known/openid-configuration":
            found: dict[str, Any] = {"issuer": self.configured_issuer, "jwks_uri": f"{ISSUER}/keys"}
        else:
            self.asked += 1
            found = {"keys": self.keys}
        return Response(200, "application/json", json.dumps(found).encode())

    def claims(self, **changes: object) -> dict[str, Any]:
        start = int(NOON.timestamp())
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": "back-office",
            "sub": "7f3c",
            "iat": start,
            "exp": start + 300,
            "realm_access": {"roles": ["warranty-desk", "gardener"]},
        }
        claims |= changes
        return {name: value for name, value in claims.items() if value is not None}

    def token(
        self, claims: dict[str, Any] | None = None, *, header: dict[str, Any] | None = None
    ) -> str:
        head = {"alg": "RS256", "typ": "JWT", "kid": "rsa"} | (header or {})
        head = {name: value for name, value in head.items() if value is not None}
        message = ".".join(b64url(compact_json(part)) for part in (head, claims or self.claims()))
        if head["alg"] == "ES256":
            signature = EC_KEY.sign(message.encode())
        else:
            signature = RSA_KEY.sign(message.encode(), padding.PKCS1v15(), SHA256())
        return f"{message}.{b64url(signature)}"

    def authority(self) -> OpenIdTokens:
        return OpenIdTokens(
            issuer=ISSUER,
            audience="back-office",
            roles={"warranty-desk": Role.SERVICE, "auditors": Role.AUDITOR},
            role_claim=("realm_access", "roles"),
            fetcher=self.fetcher,
            clock=lambda: self.now,
        )


@pytest.fixture
def provider() -> Provider:
    return Provider()


STAFF = Caller("oidc:7f3c", frozenset({Role.SERVICE}))


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"typ": None},
        {"typ": "at+jwt"},
        {"typ": "application/at+jwt"},
        {"alg": "ES256", "kid": "ec"},
    ],
)
def test_a_token_of_the_provider_names_its_caller(
    provider: Provider, header: dict[str, Any]
) -> None:
    assert provider.authority()(provider.token(header=header)) == STAFF


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["other", "back-office"]},
        {"aud": ["other", "back-office"], "azp": "back-office"},
        {"exp": int(NOON.timestamp()) - 29},
        {"iat": int(NOON.timestamp()) + 30},
        {"nbf": int(NOON.timestamp()) + 30},
        {"realm_access": {"roles": "warranty-desk other"}},
    ],
)
def test_a_token_at_the_edge_of_what_counts_still_counts(
    provider: Provider, changes: dict[str, Any]
) -> None:
    assert provider.authority()(provider.token(provider.claims(**changes))) == STAFF


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": f"{ISSUER}/"},
        {"iss": None},
        {"aud": "back-office2"},
        {"aud": ["other"]},
        {"aud": ["other", "back-office"], "azp": "other"},
        {"aud": None},
        {"exp": int(NOON.timestamp()) - 30},
        {"exp": None},
        {"exp": "tomorrow"},
        {"nbf": int(NOON.timestamp()) + 31},
        {"iat": int(NOON.timestamp()) + 31},
        {"sub": None},
        {"realm_access": None},
        {"realm_access": {"roles": 7}},
        {"realm_access": ["warranty-desk"]},
    ],
)
def test_a_token_for_another_place_or_time_names_nobody(
    provider: Provider, changes: dict[str, Any]
) -> None:
    assert provider.authority()(provider.token(provider.claims(**changes))) is None


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "HS256", "kid": "shared"},
        {"alg": "PS256"},
        {"alg": "RS512"},
        {"alg": "RS256", "kid": "ec"},
        {"alg": "ES256", "kid": "rsa"},
        {"kid": "small"},
        {"kid": "nobody"},
        {"kid": None},
        {"typ": "logout+jwt"},
        {"typ": "secevent+jwt"},
        {"crit": ["exp"], "exp": 1},
    ],
)
def test_a_token_signed_in_another_way_names_nobody(
    provider: Provider, header: dict[str, Any]
) -> None:
    assert provider.authority()(provider.token(header=header)) is None


@pytest.mark.parametrize("more", [{"alg": "PS256"}, {"use": "enc"}, {"d": "AQ"}, {"e": "Aw"}])
def test_a_key_for_another_use_is_none_of_the_provider_s(
    provider: Provider, more: dict[str, Any]
) -> None:
    token = provider.token()
    assert provider.authority()(token) == STAFF

    provider.keys[0] |= more
    assert provider.authority()(token) is None


def test_a_changed_token_names_nobody(provider: Provider) -> None:
    head, payload, signature = provider.token().split(".")
    other = provider.token(provider.claims(sub="other")).split(".")[1]
    authority = provider.authority()

    assert authority(f"{head}.{payload}.{signature}") == STAFF
    for text in (
        f"{head}.{other}.{signature}",
        f"{head}.{payload}.",
        f"{head}.{payload}.{signature[:-4]}",
        f"{head}.{payload}",
        f"{head}.{payload}.{signature}.{signature}",
        "cfk_no.token.",
        "",
    ):
        assert authority(text) is None


def test_a_role_that_is_not_mapped_is_no_role(provider: Provider) -> None:
    claims = provider.claims(realm_access={"roles": ["issuer", "gardener"]})

    assert provider.authority()(provider.token(claims)) == Caller("oidc:7f3c", frozenset())


def test_an_address_as_subject_does_not_enter_the_log(provider: Provider) -> None:
    caller = provider.authority()(provider.token(provider.claims(sub="mei@brand.example")))

    assert caller is not None
    assert caller.name.startswith("oidc:sha256-")
    assert "mei" not in caller.name


def test_the_provider_is_asked_once_for_many_tokens(provider: Provider) -> None:
    authority = provider.authority()
    for _ in range(5):
        authority(provider.token())

    assert provider.asked == 1


def test_a_new_key_is_asked_for_and_strangers_cannot_make_us_ask_without_end(
    provider: Provider,
) -> None:
    authority = provider.authority()
    authority(provider.token())
    for i in range(5):
        assert authority(provider.token(header={"kid": f"made-up-{i}"})) is None
    assert provider.asked == 1

    provider.keys[0]["kid"] = "rsa-2"
    provider.now += timedelta(seconds=30)
    assert authority(provider.token(header={"kid": "rsa-2"})) == STAFF
    assert authority(provider.token()) is None
    assert provider.asked == 2


def test_a_token_of_another_issuer_asks_nobody(provider: Provider) -> None:
    provider.authority()(provider.token(provider.claims(iss="https://other.example")))

    assert provider.asked == 0


def test_keys_outlive_a_short_outage_and_no_longer_than_an_hour(provider: Provider) -> None:
    authority = provider.authority()
    authority(provider.token())
    provider.up = False
    later = int(NOON.timestamp()) + 7_200
    token = provider.token(provider.claims(exp=later))

    provider.now = NOON + timedelta(minutes=59, seconds=59)
    assert authority(token) == STAFF
    provider.now = NOON + timedelta(hours=1)
    with pytest.raises(Unavailable):
        authority(token)
    provider.up = True
    provider.now += timedelta(seconds=30)
    assert authority(token) == STAFF


def test_a_provider_that_cannot_be_asked_is_not_a_yes_and_not_a_no(provider: Provider) -> None:
    provider.up = False
    with pytest.raises(Unavailable):
        provider.authority()(provider.token())

    provider.up = True
    provider.configured_issuer = "https://other.example"
    with pytest.raises(Unavailable):
        provider.authority()(provider.token())
