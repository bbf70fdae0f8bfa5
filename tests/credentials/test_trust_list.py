"""A trust list as it is read by whoever relies on it: keys, and who is named how."""

from datetime import UTC, datetime

import pytest
from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.jws import sign_jws
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.trust_list import (
    MAX_LIST_BYTES,
    TRUST_LIST_TYP,
    ListedIssuer,
    TrustList,
    read_trust_list,
)

NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
BRAND = "https://brand.example"
SIGNER = MemorySigner.generate()
KEY = MemorySigner.generate().public


def read(**entry: Json) -> TrustList:
    at = int(NOW.timestamp())
    issuers: list[Json] = [{"url": BRAND, "name": "Brand", **entry}]
    claims: JsonObject = {"name": "Fair trade", "iat": at, "exp": at + 1, "issuers": issuers}
    token = sign_jws(claims, typ=TRUST_LIST_TYP, signer=SIGNER)
    return read_trust_list(token, signed_by=SIGNER.public, now=NOW)


def test_an_issuers_keys_may_stand_on_the_list() -> None:
    named = {**KEY.jwk(), "kid": "1"}

    assert read(keys={"keys": [named]}).issuers == {
        BRAND: ListedIssuer(name="Brand", keys={"1": KEY})
    }
    assert read(keys={"keys": [KEY.jwk()]}).issuers[BRAND].keys == {KEY.thumbprint(): KEY}
    assert read().issuers == {BRAND: ListedIssuer(name="Brand")}


@pytest.mark.parametrize(
    "keys",
    [
        None,
        [],
        {},
        {"keys": []},
        {"keys": [{"kty": "oct", "k": "AAAA"}]},
        {"keys": [{**KEY.jwk(), "use": "enc"}]},
        {"keys": [KEY.jwk(), KEY.jwk()]},
    ],
)
def test_keys_that_are_none_do_not_fall_back_to_what_the_issuer_publishes(keys: Json) -> None:
    with pytest.raises(Malformed):
        read(keys=keys)


def test_a_list_is_bounded() -> None:
    with pytest.raises(Malformed):
        read_trust_list("x" * (MAX_LIST_BYTES + 1), signed_by=SIGNER.public, now=NOW)
