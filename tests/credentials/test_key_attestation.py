"""Key attestation: which keys, how well kept, says whom (OpenID4VCI 1.0, appendix D)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_credentials.jws import sign_jws
from counterfoil_credentials.key_attestation import (
    KeyAttestation,
    KeyAttestationPolicy,
    check_key_attestation,
    make_key_attestation,
)
from counterfoil_credentials.keys import Curve, MemorySigner

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
SECONDS = int(NOON.timestamp())
ATTESTER = MemorySigner.from_private_bytes(b"\x01" * 32)
STRANGER = MemorySigner.from_private_bytes(b"\x02" * 32)
KEYS = [MemorySigner.from_private_bytes(bytes([i]) * 32).public for i in (3, 4)]
POLICY = KeyAttestationPolicy(frozenset({ATTESTER.public}))
STRICT = replace(
    POLICY,
    key_storage=frozenset({"iso_18045_high", "iso_18045_moderate"}),
    user_authentication=frozenset({"iso_18045_high"}),
)
WELL_KEPT: JsonObject = {
    "key_storage": ["iso_18045_moderate"],
    "user_authentication": ["iso_18045_basic", "iso_18045_high"],
}


def body(**changes: Json) -> JsonObject:
    return {
        "iat": SECONDS,
        "exp": SECONDS + 3600,
        "attested_keys": [key.jwk() for key in KEYS],
        **changes,
    }


def signed(
    claims: JsonObject, typ: str = "key-attestation+jwt", signer: MemorySigner = ATTESTER
) -> str:
    return sign_jws(claims, typ=typ, signer=signer)


def checked(
    token: str, policy: KeyAttestationPolicy = POLICY, *, must_end: bool = True
) -> KeyAttestation:
    return check_key_attestation(token, policy, now=NOON, must_end=must_end)


def refused(token: str, policy: KeyAttestationPolicy = POLICY) -> list[str]:
    with pytest.raises(Refused) as refusal:
        checked(token, policy)
    return refusal.value.codes


def test_what_is_made_names_its_keys_in_order_and_how_they_are_kept() -> None:
    token = make_key_attestation(
        ATTESTER,
        keys=KEYS,
        now=NOON,
        lasts=timedelta(hours=1),
        nonce="a-nonce",
        key_storage=["iso_18045_high"],
        user_authentication=["iso_18045_high"],
    )

    assert checked(token, STRICT) == KeyAttestation(
        keys=tuple(KEYS),
        nonce="a-nonce",
        key_storage=("iso_18045_high",),
        user_authentication=("iso_18045_high",),
        ends_at=NOON + timedelta(hours=1),
    )


def test_no_key_can_be_attested_to_nobody() -> None:
    with pytest.raises(Misuse, match="at least one key"):
        make_key_attestation(ATTESTER, keys=[], now=NOON, lasts=None)


def test_only_beside_a_jwt_proof_must_it_say_when_it_ends() -> None:
    token = make_key_attestation(ATTESTER, keys=KEYS, now=NOON, lasts=None)

    assert checked(token, must_end=False).ends_at is None
    with pytest.raises(Malformed, match=r"key_attestation\.exp"):
        checked(token)


def test_an_end_that_is_named_counts_even_where_it_need_not_be() -> None:
    for exp in (SECONDS, SECONDS - 1):
        with pytest.raises(Refused, match="in its time"):
            checked(signed(body(exp=exp)), must_end=False)
    assert checked(signed(body(exp=SECONDS + 1)), must_end=False).keys == tuple(KEYS)


def test_a_stranger_is_refused_and_so_is_a_key_that_attests_itself() -> None:
    own = MemorySigner.from_private_bytes(bytes([3]) * 32)

    for signer in (STRANGER, own):
        token = sign_jws(
            body(), typ="key-attestation+jwt", signer=signer, header={"jwk": signer.public.jwk()}
        )
        assert refused(token) == ["attester-not-trusted"]


def test_one_changed_bit_of_the_signature_is_refused() -> None:
    head, _, tail = signed(body()).rpartition(".")

    assert refused(f"{head}.{'B' if tail[0] == 'A' else 'A'}{tail[1:]}") == ["attester-not-trusted"]


@pytest.mark.parametrize("typ", ["jwt", "keyattestation+jwt", "openid4vci-proof+jwt"])
def test_a_token_of_another_type_is_refused(typ: str) -> None:
    assert refused(signed(body(), typ=typ)) == ["token-type-mismatch"]


def test_an_algorithm_outside_the_policy_is_refused() -> None:
    signer = MemorySigner.from_private_bytes(b"\x01" * 32, Curve.ED25519)
    policy = replace(POLICY, attesters=frozenset({signer.public}))

    assert refused(signed(body(), signer=signer), policy) == ["algorithm-not-allowed"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("iat", None),
        ("iat", "now"),
        ("exp", "later"),
        ("exp", 10**30),
        ("attested_keys", None),
        ("attested_keys", []),
        ("attested_keys", {}),
        ("attested_keys", ["key"]),
        ("attested_keys", [{"kty": "oct", "k": "c2VjcmV0"}]),
        ("attested_keys", [KEYS[0].jwk()] * 2),
        ("attested_keys", [KEYS[0].jwk()] * 101),
        ("attested_keys", [KEYS[0].jwk(), {**KEYS[1].jwk(), "d": "AwMD"}]),
        ("key_storage", []),
        ("key_storage", "iso_18045_high"),
        ("key_storage", [1]),
        ("user_authentication", []),
        ("user_authentication", ["x"] * 21),
        ("nonce", 7),
        ("nonce", "x" * 513),
    ],
)
def test_a_claim_of_another_kind_is_malformed(name: str, value: Json) -> None:
    with pytest.raises(Malformed, match=f"key_attestation.{name}"):
        checked(signed(body(**{name: value})))


@pytest.mark.parametrize("name", ["iat", "attested_keys"])
def test_each_required_claim_must_be_there(name: str) -> None:
    claims = {key: value for key, value in body().items() if key != name}

    with pytest.raises(Malformed, match=f"key_attestation.{name}"):
        checked(signed(claims))


@pytest.mark.parametrize(
    ("iat", "code"),
    [(61, "attestation-from-the-future"), (-86_401, "attestation-not-fresh")],
)
def test_one_of_another_time_is_refused(iat: int, code: str) -> None:
    near = 60 if iat > 0 else -86_400

    assert checked(signed(body(iat=SECONDS + near))).keys == tuple(KEYS)
    assert refused(signed(body(iat=SECONDS + iat))) == [code]


def test_one_value_of_each_kind_that_the_policy_names_is_enough() -> None:
    assert checked(signed(body(**WELL_KEPT)), STRICT).key_storage == ("iso_18045_moderate",)


@pytest.mark.parametrize("found", [None, ["iso_18045_basic"], ["ISO_18045_HIGH"], ["high"]])
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("key_storage", "key-storage-not-accepted"),
        ("user_authentication", "user-authentication-not-accepted"),
    ],
)
def test_keys_that_are_not_kept_well_enough_are_refused(
    name: str, code: str, found: list[Json] | None
) -> None:
    claims = body(**WELL_KEPT)
    if found is None:
        del claims[name]
    else:
        claims[name] = found

    assert refused(signed(claims), STRICT) == [code]
    assert checked(signed(claims)).keys == tuple(KEYS)
