"""Data Integrity over JCS: the published proofs, and every near neighbour that is refused."""

import copy
import json
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from counterfoil_credentials.cryptosuites import ECDSA_JCS_2019, EDDSA_JCS_2022, OPTIONS
from counterfoil_credentials.data_integrity import ProofPolicy, add_proof, verify_proofs
from counterfoil_credentials.did_documents import Relationship
from counterfoil_credentials.did_methods import offline_resolver
from counterfoil_credentials.dids import did_key, key_id_of
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_credentials.integrity_proofs import MAX_PROOFS
from counterfoil_credentials.jcs import jcs
from counterfoil_credentials.keys import Curve
from counterfoil_credentials.multikey import from_multibase

from tests.credentials.provers import Object, options, prover, published_key

pytestmark = pytest.mark.once
Vectors = Callable[[str], Path]

KEYS = offline_resolver()
POLICY = ProofPolicy(suites=[EDDSA_JCS_2022, ECDSA_JCS_2019])
SUITES = {
    Curve.ED25519: EDDSA_JCS_2022,
    Curve.P256: ECDSA_JCS_2019,
    Curve.P384: ECDSA_JCS_2019,
}


def document() -> Object:
    return {"@context": ["https://a.example/v1"], "id": "urn:1", "claim": {"worn": 1.5}}


@pytest.mark.parametrize(
    ("standard", "folder", "names", "curve"),
    [
        ("vc-di-eddsa", "eddsa-jcs-2022", "JCS", Curve.ED25519),
        ("vc-di-ecdsa", "ecdsa-jcs-2019-p256", "JCSECDSAP256", Curve.P256),
    ],
)
def test_makes_and_verifies_the_published_proof(
    vectors: Vectors, standard: str, folder: str, names: str, curve: Curve
) -> None:
    root, suite = vectors(standard), SUITES[curve]
    at = root / folder
    unsigned: Object = json.loads((root / "unsigned.json").read_text())
    signed: Object = json.loads((at / f"signed{names}.json").read_text())
    config: Object = json.loads((at / f"proofConfig{names}.json").read_text())
    said: Object = signed["proof"]
    keys = root / ("keyPair.json" if curve is Curve.ED25519 else "p256KeyPair.json")
    pair: Object = json.loads(keys.read_text())
    key = published_key(pair.get("privateKeyMultibase") or pair["secretKeyMultibase"], curve)
    asked = options(key, created=datetime.fromisoformat(said["created"]))

    made: Object = add_proof(unsigned, suite=suite, signer=key, options=asked)

    assert jcs(unsigned, "document") == (at / f"canonDoc{names}.txt").read_bytes()
    assert jcs(config, OPTIONS) == (at / f"proofCanon{names}.txt").read_bytes()
    hashes = suite.signed_bytes(unsigned, config, curve)
    assert hashes.hex() == (at / f"combinedHash{names}.txt").read_text()
    assert hashes[:32].hex() == (at / f"proofHash{names}.txt").read_text()
    assert hashes[32:].hex() == (at / f"docHash{names}.txt").read_text()
    value = (at / f"sigBTC58{names}.txt").read_text()
    assert said["proofValue"] == value
    assert from_multibase(value, "value").hex() == (at / f"sigHex{names}.txt").read_text()
    # ECDSA draws a number for each signature: there the rest of the proof must be equal.
    same = said if curve is Curve.ED25519 else {**said, "proofValue": made["proof"]["proofValue"]}
    assert made == {**signed, "proof": same}
    for each in (made, signed):
        verified = verify_proofs(
            each, policy=POLICY, keys=KEYS, now=datetime(2023, 3, 1, tzinfo=UTC)
        )
        assert verified.document == unsigned
        assert verified.controllers == {did_key(key.public)}


@pytest.mark.parametrize("curve", SUITES)
def test_whoever_signs_is_told_with_the_document(curve: Curve, now: datetime) -> None:
    key = prover(curve)
    secured = add_proof(
        document(), suite=SUITES[curve], signer=key, options=options(key, created=now)
    )

    verified = verify_proofs(secured, policy=POLICY, keys=KEYS, now=now)

    assert verified.document == document()
    (proof,) = verified.proofs
    assert (proof.controller, proof.created) == (did_key(key.public), now)
    assert proof.purpose is Relationship.ASSERTION


def test_a_document_without_context_needs_none(now: datetime) -> None:
    secured = secure(now, {"claim": 1})

    assert "@context" not in secured["proof"]
    assert verify_proofs(secured, policy=POLICY, keys=KEYS, now=now).document == {"claim": 1}


def secure(now: datetime, what: Object | None = None, **changes: object) -> Object:
    key = prover()
    asked = options(key, **{"created": now, **changes})
    return add_proof(
        document() if what is None else what, suite=EDDSA_JCS_2022, signer=key, options=asked
    )


def refused(secured: Object, now: datetime, policy: ProofPolicy = POLICY) -> list[str]:
    with pytest.raises(Refused) as refusal:
        verify_proofs(secured, policy=policy, keys=KEYS, now=now)
    return refusal.value.codes


@pytest.mark.parametrize("member", ["id", "claim", "new"])
def test_refuses_a_document_in_which_one_member_changed(member: str, now: datetime) -> None:
    assert refused({**secure(now), member: "other"}, now) == ["signature-invalid"]


@pytest.mark.parametrize("member", ["created", "nonce", "id", "anything"])
def test_refuses_a_proof_in_which_one_member_changed(member: str, now: datetime) -> None:
    secured = secure(now)
    changed = "2026-11-02T11:59:59Z" if member == "created" else "other"

    secured["proof"] = {**secured["proof"], member: changed}

    assert refused(secured, now) == ["signature-invalid"]


def test_refuses_a_signature_of_which_one_bit_changed(now: datetime) -> None:
    key = prover(Curve.P256)
    secured: Object = add_proof(
        document(), suite=ECDSA_JCS_2019, signer=key, options=options(key, created=now)
    )
    value = secured["proof"]["proofValue"]

    secured["proof"]["proofValue"] = value[:-1] + ("1" if value[-1] != "1" else "2")

    assert refused(secured, now) == ["signature-invalid"]


def test_refuses_a_suite_that_the_policy_does_not_list(now: datetime) -> None:
    secured = secure(now)

    assert refused(secured, now, ProofPolicy(suites=[ECDSA_JCS_2019])) == [
        "cryptosuite-not-allowed"
    ]
    assert refused(secured, now, ProofPolicy(suites=[])) == ["cryptosuite-not-allowed"]


def test_refuses_a_key_of_a_curve_that_is_not_the_suites(now: datetime) -> None:
    secured = secure(now)
    other = prover(Curve.P256)
    secured["proof"]["verificationMethod"] = key_id_of(did_key(other.public))

    assert refused(secured, now) == ["key-curve-mismatch"]
    with pytest.raises(Misuse, match="Ed25519"):
        add_proof(document(), suite=EDDSA_JCS_2022, signer=other, options=options(other))


def test_all_that_does_not_fit_the_policy_is_said_at_once(now: datetime) -> None:
    secured = secure(
        now,
        created=now + timedelta(hours=1),
        expires=now - timedelta(hours=1),
        domains=("https://other.example",),
        challenge="other",
        purpose=Relationship.AUTHENTICATION,
    )
    policy = ProofPolicy(
        suites=[EDDSA_JCS_2022], domains=frozenset({"https://till.example"}), challenge="ours"
    )

    assert refused(secured, now, policy) == [
        "proof-purpose-mismatch",
        "proof-domain-mismatch",
        "proof-challenge-mismatch",
        "proof-expired",
        "proof-from-the-future",
    ]


@pytest.mark.parametrize(
    ("asked", "found", "codes"),
    [
        ({"a", "b"}, ("b", "a"), []),
        ({"a"}, ("a", "b"), ["proof-domain-mismatch"]),
        ({"a", "b"}, ("a",), ["proof-domain-mismatch"]),
        ({"a"}, (), ["proof-domain-mismatch"]),
        (frozenset[str](), ("a",), ["proof-domain-mismatch"]),
    ],
)
def test_the_domains_are_the_verifiers_and_no_others(
    asked: AbstractSet[str], found: tuple[str, ...], codes: list[str], now: datetime
) -> None:
    policy = ProofPolicy(suites=[EDDSA_JCS_2022], domains=frozenset(asked))
    secured = secure(now, domains=found)

    if codes:
        assert refused(secured, now, policy) == codes
    else:
        assert verify_proofs(secured, policy=policy, keys=KEYS, now=now).proofs


def test_a_proof_that_answers_a_challenge_is_for_nobody_who_asked_none(now: datetime) -> None:
    secured = secure(now, challenge="once")
    asked = ProofPolicy(suites=[EDDSA_JCS_2022], challenge="once")

    assert verify_proofs(secured, policy=asked, keys=KEYS, now=now).proofs
    assert refused(secured, now) == ["proof-challenge-mismatch"]
    assert refused(secure(now), now, asked) == ["proof-challenge-mismatch"]


def test_a_proof_counts_until_it_expires_and_no_longer(now: datetime) -> None:
    secured = secure(now, expires=now + timedelta(hours=1))

    assert verify_proofs(secured, policy=POLICY, keys=KEYS, now=now + timedelta(hours=1)).proofs
    late = now + timedelta(hours=1, seconds=60)
    assert refused(secured, late) == ["proof-expired"]


def test_where_an_age_is_bounded_the_proof_must_say_its_own(now: datetime) -> None:
    policy = ProofPolicy(suites=[EDDSA_JCS_2022], max_age=timedelta(minutes=5))
    secured = secure(now)

    assert verify_proofs(secured, policy=policy, keys=KEYS, now=now + timedelta(minutes=6)).proofs
    assert refused(secured, now + timedelta(minutes=6, seconds=1), policy) == ["proof-too-old"]
    assert refused(secure(now, created=None), now, policy) == ["proof-without-time"]


def test_contexts_added_behind_the_signers_are_not_believed(now: datetime) -> None:
    secured = secure(now)
    secured["@context"] = [*secured["@context"], "https://evil.example/v1"]

    verified = verify_proofs(secured, policy=POLICY, keys=KEYS, now=now)

    assert verified.document == document()
    secured["@context"] = ["https://evil.example/v1", "https://a.example/v1"]
    assert refused(secured, now) == ["proof-context-mismatch"]


def two(now: datetime, **second: object) -> Object:
    once = secure(now, id="urn:first")
    key = prover(Curve.P256)
    return add_proof(
        once, suite=ECDSA_JCS_2019, signer=key, options=options(key, created=now, **second)
    )


def test_of_a_set_every_proof_must_verify(now: datetime) -> None:
    secured = two(now)

    assert len(verify_proofs(secured, policy=POLICY, keys=KEYS, now=now).controllers) == 2
    for i in (0, 1):
        broken = copy.deepcopy(secured)
        broken["proof"][i]["nonce"] = "other"
        assert refused(broken, now) == ["signature-invalid"]


def test_one_proof_of_a_set_stands_alone_and_the_last_of_a_chain_does_not(now: datetime) -> None:
    both, chain = two(now), two(now, previous=("urn:first",))

    assert verify_proofs(chain, policy=POLICY, keys=KEYS, now=now).document == document()
    for of_set in both["proof"]:
        alone = {**both, "proof": of_set}
        assert verify_proofs(alone, policy=POLICY, keys=KEYS, now=now).proofs
    first, last = chain["proof"]
    assert verify_proofs({**chain, "proof": first}, policy=POLICY, keys=KEYS, now=now).proofs
    assert refused({**chain, "proof": last}, now) == ["previous-proof-unknown"]


def test_a_chain_signs_the_proof_before_and_no_other_of_its_name(now: datetime) -> None:
    chain = two(now, previous=("urn:first",))
    other = secure(now, id="urn:first", nonce="another one")

    chain["proof"][0] = other["proof"]

    assert refused(chain, now) == ["signature-invalid"]


def test_nobody_adds_a_proof_to_what_is_not_there(now: datetime) -> None:
    with pytest.raises(Misuse, match="previous"):
        secure(now, previous=("urn:none",))
    with pytest.raises(Misuse, match="proofs"):
        secure(now, two(now), id="urn:first")


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("type", "Ed25519Signature2020"),
        ("type", ["DataIntegrityProof"]),
        ("cryptosuite", None),
        ("verificationMethod", 1),
        ("verificationMethod", "not-a-did"),
        ("proofPurpose", ["assertionMethod"]),
        ("proofValue", "uAAAA"),
        ("proofValue", "z0OIl"),
        ("proofValue", ""),
        ("created", "2026-11-02T12:00:00"),
        ("created", "2026-02-30T12:00:00Z"),
        ("created", 1),
        ("expires", "tomorrow"),
        ("domain", []),
        ("domain", ["a", "a"]),
        ("domain", {"a": 1}),
        ("challenge", 1),
        ("id", 1),
        ("previousProof", []),
        ("previousProof", [1]),
        ("@context", None),
    ],
)
def test_a_proof_of_another_shape_is_malformed(member: str, value: object, now: datetime) -> None:
    secured = secure(now)
    secured["proof"][member] = value

    with pytest.raises(Malformed):
        verify_proofs(secured, policy=POLICY, keys=KEYS, now=now)


@pytest.mark.parametrize(
    "member", ["type", "cryptosuite", "verificationMethod", "proofPurpose", "proofValue"]
)
def test_a_proof_that_lacks_what_it_needs_is_malformed(member: str, now: datetime) -> None:
    secured = secure(now)
    del secured["proof"][member]

    with pytest.raises(Malformed, match=member):
        verify_proofs(secured, policy=POLICY, keys=KEYS, now=now)


def test_nothing_verifies_without_a_proof(now: datetime) -> None:
    unsecured = document()
    without: list[Object] = [{**unsecured, "proof": []}, {**unsecured, "proof": None}, unsecured]
    for each in without:
        with pytest.raises(Malformed):
            verify_proofs(each, policy=POLICY, keys=KEYS, now=now)


def test_more_proofs_than_anybody_needs_are_not_looked_at(now: datetime) -> None:
    secured = secure(now)
    secured["proof"] = [secured["proof"]] * (MAX_PROOFS + 1)

    with pytest.raises(Malformed, match="1 to 8 proofs"):
        verify_proofs(secured, policy=POLICY, keys=KEYS, now=now)


def test_two_proofs_of_one_id_are_malformed(now: datetime) -> None:
    secured = secure(now, id="urn:first")
    secured["proof"] = [secured["proof"], secured["proof"]]

    with pytest.raises(Malformed, match="each id"):
        verify_proofs(secured, policy=POLICY, keys=KEYS, now=now)
