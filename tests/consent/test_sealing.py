"""A share opens for its own key, grant, role and context, and a bundle under both its shares."""

from collections.abc import Callable

import pytest
from counterfoil_consent.sealing import (
    OpeningKey,
    Role,
    Sealed,
    SealedBundle,
    SealingKey,
    open_bundle,
    open_share,
    seal,
    seal_share,
)
from counterfoil_consent.wire import GrantId
from counterfoil_credentials.encoding import JsonObject, b64url
from counterfoil_credentials.errors import Malformed, Refused

Random = Callable[[int], bytes]
GRANT = GrantId("A" * 22)
OTHER = GrantId("B" * 21 + "A")
PART = bytes(range(32))


@pytest.fixture
def key(random_bytes: Random) -> OpeningKey:
    return OpeningKey.generate(random_bytes)


def test_a_share_opens_only_where_it_belongs(key: OpeningKey, random_bytes: Random) -> None:
    sealed = seal_share(PART, key.public, GRANT, Role.READER, "lease 1")
    assert open_share(sealed, key, GRANT, Role.READER, "lease 1") == PART

    another = OpeningKey.generate(random_bytes)
    attempts: list[tuple[bytes, OpeningKey, GrantId, Role, str]] = [
        (sealed, another, GRANT, Role.READER, "lease 1"),
        (sealed, key, OTHER, Role.READER, "lease 1"),
        (sealed, key, GRANT, Role.CUSTODIAN, "lease 1"),
        (sealed, key, GRANT, Role.RECEIVER, "lease 1"),
        (sealed, key, GRANT, Role.READER, "lease 2"),
        (sealed, key, GRANT, Role.READER, ""),
        (bytes([sealed[0] ^ 1]) + sealed[1:], key, GRANT, Role.READER, "lease 1"),
        (sealed[:-1], key, GRANT, Role.READER, "lease 1"),
        (b"", key, GRANT, Role.READER, "lease 1"),
    ]
    for attempt in attempts:
        with pytest.raises(Refused) as refusal:
            open_share(*attempt)
        assert refusal.value.codes == ["share-does-not-open"]


def sealed_for(key: OpeningKey, custodian: OpeningKey, random: Random) -> Sealed:
    return seal(
        {"urn:x": "presentation"},
        grant_id=GRANT,
        receiver_key=key.public,
        custodian_key=custodian.public,
        random=random,
    )


def test_a_bundle_opens_under_both_shares_and_not_under_one(
    key: OpeningKey, random_bytes: Random
) -> None:
    custodian = OpeningKey.generate(random_bytes)
    sealed = sealed_for(key, custodian, random_bytes)
    part = open_share(sealed.custodian_share, custodian, GRANT, Role.CUSTODIAN)

    opened = open_bundle(sealed.bundle, receiver_key=key, custodian_part=part)

    assert opened == {"urn:x": "presentation"}
    for wrong in (bytes(32), part[::-1], b""):
        with pytest.raises(Refused) as refusal:
            open_bundle(sealed.bundle, receiver_key=key, custodian_part=wrong)
        assert refusal.value.codes == ["bundle-does-not-open"]


def test_no_two_bundles_share_a_key(key: OpeningKey, random_bytes: Random) -> None:
    custodian = OpeningKey.generate(random_bytes)
    one, two = (sealed_for(key, custodian, random_bytes) for _ in range(2))
    part = open_share(one.custodian_share, custodian, GRANT, Role.CUSTODIAN)

    with pytest.raises(Refused):
        open_bundle(two.bundle, receiver_key=key, custodian_part=part)


def test_a_bundle_has_one_spelling(key: OpeningKey, random_bytes: Random) -> None:
    bundle = sealed_for(key, key, random_bytes).bundle
    data = bundle.to_bytes()

    assert SealedBundle.from_bytes(data) == bundle
    for changed in (
        data.replace(b'"suite"', b'"sweet"'),
        data.replace(b"aes256gcm", b"aes128gcm"),
        data[:-1] + b',"more":1}',
        data.replace(b'"nonce":"', b'"nonce":"AAAA'),
        data.replace(GRANT.encode(), b"../../x"),
        b"[]",
    ):
        assert changed != data
        with pytest.raises(Malformed):
            SealedBundle.from_bytes(changed)


def test_a_key_of_small_order_is_refused() -> None:
    with pytest.raises(Malformed):
        seal_share(PART, SealingKey(bytes(32)), GRANT, Role.READER)


def test_a_sealing_key_is_a_public_x25519_jwk(key: OpeningKey) -> None:
    jwk = key.public.jwk()
    assert SealingKey.from_jwk(jwk, "key") == key.public

    changes: list[JsonObject] = [
        {**jwk, "crv": "X448"},
        {**jwk, "kty": "EC"},
        {**jwk, "d": b64url(bytes(32))},
        {**jwk, "x": b64url(bytes(31))},
        {"kty": "OKP", "crv": "X25519"},
    ]
    for changed in changes:
        with pytest.raises(Malformed):
            SealingKey.from_jwk(changed, "key")


def test_a_private_key_does_not_print(key: OpeningKey) -> None:
    shown = repr(key)

    assert key.private_bytes().hex() not in shown
    assert b64url(key.private_bytes()) not in shown
    assert repr(key.private_bytes()) not in shown
