"""Proofs of keys: what a credential request proves, and what proves nothing."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from counterfoil_credentials.dids import Did, did_jwk, did_key, key_id_of
from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.holder_proof import make_proof
from counterfoil_credentials.jws import sign_jws
from counterfoil_credentials.key_attestation import KeyAttestationPolicy, make_key_attestation
from counterfoil_credentials.keys import Curve, MemorySigner, PublicKey
from counterfoil_issuer.proofs import ProofPolicy, Proofs, read_proofs, require_holder

from tests.credentials import authority

ISSUER = "https://audio.example"
NONCE = "a-nonce-of-the-issuer"
KEYS = [MemorySigner.from_private_bytes(bytes([7, n]) * 16) for n in range(12)]
KEEPER = MemorySigner.from_private_bytes(b"\x09" * 32)
STRANGER = MemorySigner.from_private_bytes(b"\x0a" * 32)
BATCH = ProofPolicy(batch_size=10)
TRUSTING = ProofPolicy(
    batch_size=10, attestation=KeyAttestationPolicy(attesters=frozenset({KEEPER.public}))
)
REQUIRING = replace(TRUSTING, attestation_required=True)

NO_PROOFS: list[Json] = [
    None,
    [],
    "x",
    {},
    {"jwt": []},
    {"jwt": "x"},
    {"jwt": {}},
    {"jwt": [None]},
    {"jwt": [7]},
    {"jwt": [[]]},
    {"jwt": ["x"]},
    {"jwt": [""]},
    {"jwt": ["x.y.z"]},
    {"di_vp": [{}]},
    {"ldp_vp": [{}]},
    {"attestation": []},
    {"attestation": ["x"]},
]


def jwt(*proofs: Json) -> JsonObject:
    return {"proofs": {"jwt": [*proofs]}}


def proof(
    now: datetime,
    signer: MemorySigner = KEYS[0],
    *,
    claims: JsonObject | None = None,
    header: JsonObject | None = None,
    typ: str = "openid4vci-proof+jwt",
) -> str:
    """Give a good proof, but for what is changed."""
    said: JsonObject = {"aud": ISSUER, "iat": int(now.timestamp()), "nonce": NONCE}
    said |= claims or {}
    shown: JsonObject = {"jwk": signer.public.jwk()} if header is None else header
    kept: JsonObject = {name: value for name, value in said.items() if value != "absent"}
    return sign_jws(kept, typ=typ, signer=signer, header=shown)


def attestation(
    now: datetime,
    *keys: MemorySigner,
    nonce: str | None = NONCE,
    by: MemorySigner = KEEPER,
    lasts: timedelta | None = timedelta(days=1),
) -> str:
    return make_key_attestation(
        by, keys=[key.public for key in keys], now=now, lasts=lasts, nonce=nonce
    )


def read(request: JsonObject, now: datetime, policy: ProofPolicy = BATCH) -> Proofs:
    return read_proofs(request, issuer=ISSUER, policy=policy, now=now)


def refused(request: JsonObject, now: datetime, policy: ProofPolicy = BATCH) -> str:
    with pytest.raises(Refused) as refusal:
        read(request, now, policy)
    assert refusal.value.codes == ["invalid_proof"]
    return str(refusal.value)


def test_one_proof_proves_its_key_and_carries_its_nonce(now: datetime) -> None:
    assert read(jwt(proof(now)), now) == Proofs((KEYS[0].public,), NONCE, None)


def test_several_proofs_prove_a_key_each_in_their_order(now: datetime) -> None:
    proofs = read(jwt(*(proof(now, key) for key in KEYS[:10])), now)

    assert proofs.keys == tuple(key.public for key in KEYS[:10])


def test_one_proof_more_than_the_batch_is_refused(now: datetime) -> None:
    eleven = jwt(*(proof(now, key) for key in KEYS[:11]))
    assert "at most 10 proofs" in refused(eleven, now)

    two = jwt(proof(now, KEYS[0]), proof(now, KEYS[1]))
    assert "at most 1 proofs" in refused(two, now, ProofPolicy())


@pytest.mark.parametrize("proofs", NO_PROOFS, ids=str)
def test_what_is_no_proof_is_refused_whatever_its_kind(now: datetime, proofs: Json) -> None:
    refused({"proofs": proofs}, now)
    refused({"proofs": proofs}, now, TRUSTING)


def test_no_proof_two_types_and_a_drafts_proof_are_refused_by_name(now: datetime) -> None:
    assert "nothing" in refused({}, now)
    both: JsonObject = {"proofs": {"jwt": [proof(now)], "attestation": [proof(now)]}}
    assert "exactly one proof type" in refused(both, now)
    assert "draft" in refused({"proof": {"proof_type": "jwt", "jwt": proof(now)}}, now)
    assert "draft" in refused({**jwt(proof(now)), "proof": {}}, now)


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": f"{ISSUER}/"},
        {"aud": "absent"},
        {"aud": [ISSUER]},
        {"nonce": "absent"},
        {"nonce": 7},
        {"iat": "absent"},
        {"iat": "now"},
        {"iat": 1.5},
        {"iss": 7},
    ],
    ids=str,
)
def test_one_bad_claim_in_one_proof_of_a_batch_refuses_the_batch(
    now: datetime, claims: JsonObject
) -> None:
    refused(jwt(proof(now, claims=claims)), now)
    refused(jwt(proof(now, KEYS[1]), proof(now, claims=claims)), now)


@pytest.mark.parametrize(("age", "good"), [(-61, False), (-60, True), (300, True), (301, False)])
def test_a_proof_is_good_for_five_minutes_and_a_minute_ahead(
    now: datetime, age: int, *, good: bool
) -> None:
    made = jwt(proof(now - timedelta(seconds=age)))
    if good:
        assert read(made, now).keys == (KEYS[0].public,)
    else:
        refused(made, now)


@pytest.mark.parametrize("typ", ["JWT", "kb+jwt", "dpop+jwt", "openid4vci-proof+JWT", ""])
def test_a_token_of_another_type_proves_nothing(now: datetime, typ: str) -> None:
    refused(jwt(proof(now, typ=typ)), now)


def test_the_key_stands_in_exactly_one_header_and_is_public(now: datetime) -> None:
    key: JsonObject = KEYS[0].public.jwk()
    headers: list[JsonObject] = [
        {},
        {"jwk": key, "kid": "0"},
        {"jwk": key, "x5c": ["AA=="]},
        {"kid": "0", "x5c": ["AA=="]},
        {"jwk": None},
        {"jwk": {**key, "d": "AA"}},
        {"jwk": {"kty": "oct", "k": "AA"}},
        {"jwk": STRANGER.public.jwk()},
        {"kid": "0"},
        {"kid": 0},
    ]
    for header in headers:
        refused(jwt(proof(now, header=header)), now)


def test_an_algorithm_that_the_policy_does_not_name_is_refused(now: datetime) -> None:
    other = MemorySigner.from_private_bytes(b"\x05" * 32, Curve.ED25519)
    allowed = replace(BATCH, algorithms=frozenset({other.public.algorithm}))

    assert read(jwt(proof(now, other)), now, allowed).keys == (other.public,)
    refused(jwt(proof(now, other)), now)
    refused(jwt(proof(now)), now, allowed)


def test_one_key_twice_is_refused(now: datetime) -> None:
    assert "one key twice" in refused(jwt(proof(now), proof(now)), now)


def test_proofs_of_two_nonces_or_two_clients_are_refused(now: datetime) -> None:
    one = proof(now, KEYS[1])

    changes: list[JsonObject] = [{"nonce": f"{NONCE}2"}, {"nonce": "absent"}, {"iss": "wallet"}]
    for claims in changes:
        refused(jwt(one, proof(now, claims=claims)), now)


@pytest.mark.parametrize(
    ("said", "client_id", "good"),
    [
        ("absent", None, True),
        ("absent", "wallet", True),
        ("wallet", "wallet", True),
        ("wallet", None, False),
        ("", None, False),
        ("Wallet", "wallet", False),
    ],
)
def test_a_proof_names_the_client_of_the_token_or_none(
    now: datetime, said: str, client_id: str | None, *, good: bool
) -> None:
    proofs = read(jwt(proof(now, claims={"iss": said})), now)
    if good:
        require_holder(proofs, client_id)
    else:
        with pytest.raises(Refused) as refusal:
            require_holder(proofs, client_id)
        assert refusal.value.codes == ["invalid_proof"]


@pytest.mark.parametrize("did_of", [did_jwk, did_key])
def test_a_did_names_the_key_where_the_policy_binds_dids(
    now: datetime, did_of: Callable[[PublicKey], Did]
) -> None:
    did = did_of(KEYS[0].public)
    other = did_of(KEYS[1].public)
    binding = replace(BATCH, binds_dids=True)

    for kid in (did, key_id_of(did)):
        made = jwt(proof(now, header={"kid": kid}))
        assert read(made, now, binding).keys == (KEYS[0].public,)
        refused(made, now)
    refused(jwt(proof(now, header={"kid": other})), now, binding)
    refused(jwt(proof(now, header={"kid": "did:web:audio.example"})), now, binding)


def test_a_certificate_shows_the_key_and_needs_no_anchor(now: datetime) -> None:
    key = authority.p256()
    shown = authority.Party("holder", by=authority.Party("nobody whom we know"), key=key).x5c
    signer = MemorySigner(key)
    made = jwt(proof(now, signer, header={"x5c": [shown]}))

    assert read(made, now).keys == (signer.public,)
    refused(jwt(proof(now, header={"x5c": [shown]})), now)
    for x5c in ([], ["AA=="], "x", [shown[:-4]]):
        header: JsonObject = {"x5c": [*x5c]}
        refused(jwt(proof(now, signer, header=header)), now)


class TestKeyAttestation:
    def test_an_attestation_alone_gives_a_key_each(self, now: datetime) -> None:
        request: JsonObject = {"proofs": {"attestation": [attestation(now, *KEYS[:3])]}}

        proofs = read(request, now, TRUSTING)

        assert proofs == Proofs(tuple(key.public for key in KEYS[:3]), NONCE, None)
        assert read(request, now, REQUIRING) == proofs
        refused(request, now, BATCH)

    def test_of_more_attested_keys_than_a_batch_the_first_are_taken(self, now: datetime) -> None:
        request: JsonObject = {"proofs": {"attestation": [attestation(now, *KEYS)]}}

        keys = read(request, now, TRUSTING).keys

        assert keys == tuple(key.public for key in KEYS[:10])

    def test_an_attestation_that_nobody_may_give_proves_nothing(self, now: datetime) -> None:
        good = attestation(now, KEYS[0])
        for tokens in (
            [attestation(now, KEYS[0], by=STRANGER)],
            [attestation(now, KEYS[0], nonce=None)],
            [attestation(now - timedelta(days=2), KEYS[0])],
            [good[:-4] + "AAAA"],
            [good, good],
            [proof(now)],
        ):
            refused({"proofs": {"attestation": [*tokens]}}, now, TRUSTING)

    def test_a_proof_with_an_attestation_stands_for_all_attested_keys(self, now: datetime) -> None:
        attested = attestation(now, *KEYS[:3])
        by_jwk: JsonObject = {"jwk": KEYS[1].public.jwk(), "key_attestation": attested}
        by_place: JsonObject = {"kid": "1", "key_attestation": attested}
        expected = (KEYS[1].public, KEYS[0].public, KEYS[2].public)

        for header in (by_jwk, by_place):
            made = jwt(proof(now, KEYS[1], header=header))
            assert read(made, now, REQUIRING) == Proofs(expected, NONCE, None)

    def test_a_key_that_is_not_attested_is_refused(self, now: datetime) -> None:
        attested = attestation(now, *KEYS[:3])

        headers: list[JsonObject] = [
            {"jwk": KEYS[3].public.jwk(), "key_attestation": attested},
            {"kid": "0", "key_attestation": attested},
            {"kid": "3", "key_attestation": attested},
            {"kid": "00", "key_attestation": attested},
            {"kid": "\u0661", "key_attestation": attested},
            {"jwk": KEYS[3].public.jwk(), "key_attestation": None},
            {"jwk": KEYS[3].public.jwk(), "key_attestation": "x"},
        ]
        for header in headers:
            refused(jwt(proof(now, KEYS[3], header=header)), now, TRUSTING)

    def test_an_attestation_in_a_header_ends_and_has_the_proofs_nonce(self, now: datetime) -> None:
        for attested in (
            attestation(now, KEYS[0], lasts=None),
            attestation(now, KEYS[0], nonce=None),
            attestation(now, KEYS[0], nonce="another"),
            attestation(now, KEYS[0], by=STRANGER),
            attestation(now - timedelta(days=1, seconds=1), KEYS[0]),
        ):
            header: JsonObject = {"jwk": KEYS[0].public.jwk(), "key_attestation": attested}
            refused(jwt(proof(now, header=header)), now, TRUSTING)

    def test_where_it_is_required_every_proof_brings_one(self, now: datetime) -> None:
        attested = attestation(now, *KEYS[:2])
        with_it = [
            proof(now, key, header={"jwk": key.public.jwk(), "key_attestation": attested})
            for key in KEYS[:2]
        ]

        assert len(read(jwt(*with_it), now, REQUIRING).keys) == 2
        assert len(read(jwt(with_it[0], proof(now, KEYS[1])), now, TRUSTING).keys) == 2
        assert "attestation" in refused(jwt(with_it[0], proof(now, KEYS[1])), now, REQUIRING)

    def test_an_attestation_that_nobody_asked_for_is_passed_over(self, now: datetime) -> None:
        header: JsonObject = {"jwk": KEYS[0].public.jwk(), "key_attestation": "whatever"}

        assert read(jwt(proof(now, header=header)), now).keys == (KEYS[0].public,)


def test_a_wallet_makes_the_proof_that_is_read_here(now: datetime) -> None:
    token = make_proof(KEYS[0], issuer=ISSUER, nonce=NONCE, now=now, client_id="wallet")
    named = make_proof(
        KEYS[0], issuer=ISSUER, nonce=NONCE, now=now, header={"kid": did_jwk(KEYS[0].public)}
    )

    assert read(jwt(token), now) == Proofs((KEYS[0].public,), NONCE, "wallet")
    assert read(jwt(named), now, replace(BATCH, binds_dids=True)).keys == (KEYS[0].public,)
