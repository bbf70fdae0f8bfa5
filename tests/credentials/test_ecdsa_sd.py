"""ecdsa-sd-2023: the published proof step by step, what is shown, and every way to show more."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import cbor2
import pytest
from counterfoil_credentials.cryptosuites import ProofValue
from counterfoil_credentials.data_integrity import ProofPolicy, add_proof, verify_proofs
from counterfoil_credentials.did_methods import offline_resolver
from counterfoil_credentials.dids import did_key
from counterfoil_credentials.ecdsa_sd_2023 import EcdsaSdSuite, derive, ecdsa_sd_2023
from counterfoil_credentials.encoding import b64url, from_b64url
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_credentials.json_ld import FrozenContexts
from counterfoil_credentials.keys import Curve
from counterfoil_credentials.multikey import multibase
from counterfoil_credentials.n_quads import line, parse_n_quads
from counterfoil_credentials.proof_cbor import unpacked
from counterfoil_credentials.rdf_canonical import canonicalize
from counterfoil_credentials.sd_proof_values import BaseValue, DerivedValue
from counterfoil_credentials.statement_groups import Stated, hmac_labels
from counterfoil_credentials.w3c_shapes import CREDENTIALS_V2

from tests.credentials.provers import Object, options, prover, published_key
from tests.credentials.test_rdfc import CONTEXTS, SHOP, published_contexts

pytestmark = pytest.mark.once
Vectors = Callable[[str], Path]
Change = Callable[[list[Any]], object]
Read = Callable[[str], Any]

KEYS = offline_resolver()
SUITE = ecdsa_sd_2023(CONTEXTS, mandatory=["/item"])
POLICY = ProofPolicy(suites=[SUITE])
ISSUER = prover(Curve.P256)
WARRANTY: Object = {
    "@context": [CREDENTIALS_V2, SHOP],
    "type": "Warranty",
    "item": "kettle",
    "weight": 1250,
    "maker": {"id": "https://maker.example", "item": "factory 7"},
}


def held(now: datetime, suite: EcdsaSdSuite = SUITE, document: Object = WARRANTY) -> Object:
    return add_proof(document, suite=suite, signer=ISSUER, options=options(ISSUER, created=now))


def verified(shown: Object, now: datetime) -> Object:
    return verify_proofs(shown, policy=POLICY, keys=KEYS, now=now).document


def value_of(secured: Object) -> ProofValue:
    text: str = secured["proof"]["proofValue"]
    return ProofValue(text[0], from_b64url(text[1:], "value"), "value")


def changed(secured: Object, change: Change) -> Object:
    """Give the document with other components in its proof."""
    data = value_of(secured).data
    components: list[Any] = cbor2.loads(data[3:])
    change(components)
    value = f"u{b64url(data[:3] + cbor2.dumps(components))}"
    return {**secured, "proof": {**secured["proof"], "proofValue": value}}


@pytest.fixture
def published(vectors: Vectors) -> Read:
    folder = vectors("vc-di-ecdsa")

    def read(name: str) -> object:
        at = folder / "ecdsa-sd-2023" / "prc" / f"{name}.json"
        return json.loads((at if at.exists() else folder / f"{name}.json").read_text())

    return read


class TestThePublishedProof:
    def test_the_issuer_s_steps_are_the_published_ones(
        self, vectors: Vectors, published: Read
    ) -> None:
        contexts = published_contexts(vectors)
        folder = vectors("vc-di-ecdsa") / "ecdsa-sd-2023"
        keys: Object = json.loads((folder / "SDKeyMaterial.json").read_text())
        signed: Object = published("addSignedSDBase")
        document = {name: value for name, value in signed.items() if name != "proof"}
        base = BaseValue.parse(value_of(signed))

        canonical = canonicalize(contexts.quads(document, "document"), "document")
        stated = Stated.of(document, contexts, hmac_labels(base.hmac_key), "document")
        shown, _ = stated.shown_by(published("prCredMandatory"))
        config: Object = published("addProofConfig")
        spoken = canonicalize(contexts.quads(config, "proof"), "proof").data
        mandatory = "".join(each for each in stated.lines if each in shown).encode()
        hashes: Object = published("addHashData")

        assert list(canonical.lines) == published("addBaseDocCanon")
        assert list(stated.lines) == published("addBaseDocHMACCanon")
        transformed: Object = published("addBaseTransform")
        assert base.mandatory == transformed["mandatoryPointers"]
        for group, is_shown in (("mandatory", True), ("nonMandatory", False)):
            assert transformed[group]["value"] == [
                [i, each] for i, each in enumerate(stated.lines) if (each in shown) is is_shown
            ]
        for pointed in published("addPointerValues"):
            assert document[pointed["pointer"][1:]] == pointed["value"]
        assert spoken == (folder / "prc" / "addProofConfigCanon.txt").read_bytes()
        assert sha256(spoken).hexdigest() == hashes["proofHash"]
        assert sha256(mandatory).hexdigest() == hashes["mandatoryHash"]
        raw: Object = published("addRawBaseSignatureInfo")
        assert base.signature.hex() == raw["baseSignature"]
        assert multibase(base.public_key) == raw["publicKey"]
        assert [each.hex() for each in base.signatures] == raw["signatures"]
        assert multibase(base.public_key) == keys["proofKeyPair"]["publicKeyMultibase"]
        assert base.hmac_key.hex() == keys["hmacKeyString"].lower()

    def test_the_issuer_s_proof_is_made_anew_of_the_same_parts(
        self, vectors: Vectors, published: Read, now: datetime
    ) -> None:
        folder = vectors("vc-di-ecdsa") / "ecdsa-sd-2023"
        keys: Object = json.loads((folder / "SDKeyMaterial.json").read_text())
        signer = published_key(keys["baseKeyPair"]["secretKeyMultibase"], Curve.P256)
        pointers: list[str] = published("prCredMandatory")
        suite = ecdsa_sd_2023(published_contexts(vectors), mandatory=pointers)
        unsigned: Object = published("prCredUnsigned")

        made: Object = add_proof(
            unsigned, suite=suite, signer=signer, options=options(signer, created=now)
        )

        said, there = (
            BaseValue.parse(value_of(each)) for each in (made, published("addSignedSDBase"))
        )
        assert did_key(signer.public) in made["proof"]["verificationMethod"]
        assert said.mandatory == there.mandatory
        assert len(said.signatures) == len(there.signatures)
        # Nothing of a proof serves a second one.
        for mine, theirs in zip(said[:4], there[:4], strict=True):
            assert mine != theirs

    def test_the_holder_derives_the_published_document(
        self, vectors: Vectors, published: Read
    ) -> None:
        suite = ecdsa_sd_2023(published_contexts(vectors))
        revealed: Object = published("derivedRevealDocument")

        derived: Object = derive(published("addSignedSDBase"), suite, published("prCredSelective"))

        assert derived == revealed
        unsigned = {name: value for name, value in derived.items() if name != "proof"}
        assert unsigned == published("derivedUnsignedReveal")

    def test_the_holder_s_steps_are_the_published_ones(
        self, vectors: Vectors, published: Read
    ) -> None:
        signed: Object = published("addSignedSDBase")
        document = {name: value for name, value in signed.items() if name != "proof"}
        base = BaseValue.parse(value_of(signed))
        contexts = published_contexts(vectors)
        stated = Stated.of(document, contexts, hmac_labels(base.hmac_key), "document")
        mandatory: list[str] = published("prCredMandatory")
        selective: list[str] = published("prCredSelective")
        groups: Object = published("derivedAllGroupData")["groups"]
        indexes: Object = published("derivedGroupIndexes")

        def at(shown: frozenset[str]) -> list[int]:
            return [i for i, each in enumerate(stated.lines) if each in shown]

        for name, pointers in (
            ("mandatory", mandatory),
            ("selective", selective),
            ("combined", [*mandatory, *selective]),
        ):
            shown, _ = stated.shown_by(pointers)
            assert at(shown) == indexes[f"{name}Indexes"]
            matching = groups[name]["matching"]["value"]
            assert [[i, stated.lines[i]] for i in at(shown)] == matching
        recovered: Object = published("derivedRecoveredBaseData")
        assert base.signature.hex() == recovered["baseSignature"]
        assert multibase(base.public_key) == recovered["proofPublicKey"]
        assert base.hmac_key.hex() == recovered["hmacKey"]
        assert [each.hex() for each in base.signatures] == recovered["signatures"]
        assert base.mandatory == recovered["mandatoryPointers"]

    def test_the_verifier_s_steps_are_the_published_ones(
        self, vectors: Vectors, published: Read, now: datetime
    ) -> None:
        revealed: Object = published("derivedRevealDocument")
        suite = ecdsa_sd_2023(published_contexts(vectors))
        value = DerivedValue.parse(value_of(revealed))
        lines: list[str] = published("verifyNQuads")
        data: Object = published("verifyCreateVerifyData")
        labels = [[f"c14n{n}", f"u{b64url(label)}"] for n, label in value.labels.items()]

        outcome = verify_proofs(revealed, policy=ProofPolicy(suites=[suite]), keys=KEYS, now=now)

        assert outcome.document == published("derivedUnsignedReveal")
        for name in ("verifyDerivedProofValue", "derivedDisclosureData", "verifyCreateVerifyData"):
            said: Object = published(name)
            assert value.signature.hex() == said["baseSignature"]
            assert multibase(value.public_key) == said["publicKey"]
            assert [each.hex() for each in value.signatures] == said["signatures"]
            if name != "verifyCreateVerifyData":
                listed = said["labelMap"]
                assert labels == (listed["value"] if isinstance(listed, dict) else listed)
                assert value.mandatory == said["mandatoryIndexes"]
        assert value.mandatory == published("derivedAdjMandatoryIndexes")["adjMandatoryIndexes"]
        adjusted: Object = published("derivedAdjSignatures")
        assert [each.hex() for each in value.signatures] == adjusted["filteredSignatures"]
        mandatory = [lines[i] for i in value.mandatory]
        assert sha256("".join(mandatory).encode()).hexdigest() == data["mandatoryHash"]
        assert [each for each in lines if each not in mandatory] == data["nonMandatory"]
        assert "".join(line(quad) for quad in parse_n_quads("".join(lines), "n")) == "".join(lines)

    def test_the_pointers_of_the_other_example_lead_into_its_document(
        self, vectors: Vectors, published: Read, now: datetime
    ) -> None:
        suite = ecdsa_sd_2023(published_contexts(vectors), mandatory=published("employMandatory"))
        secured = held(now, suite, published("employmentAuth"))

        shown: Object = derive(secured, suite, published("employSelective"))

        policy = ProofPolicy(suites=[suite])
        assert verify_proofs(shown, policy=policy, keys=KEYS, now=now).document


class TestShowing:
    def test_only_what_is_chosen_is_shown_beside_what_is_mandatory(self, now: datetime) -> None:
        shown = derive(held(now), SUITE, ["/weight"])

        assert verified(shown, now) == {
            "@context": [CREDENTIALS_V2, SHOP],
            "type": "Warranty",
            "item": "kettle",
            "weight": 1250,
        }

    def test_all_may_be_shown_and_nothing_beside_what_is_mandatory(self, now: datetime) -> None:
        secured = held(now)

        assert verified(derive(secured, SUITE, [""]), now) == WARRANTY
        assert verified(derive(secured, SUITE, []), now) == {
            "@context": [CREDENTIALS_V2, SHOP],
            "type": "Warranty",
            "item": "kettle",
        }

    def test_what_is_not_shown_leaves_no_byte_behind(self, now: datetime) -> None:
        secret = {**WARRANTY, "maker": {"id": "https://maker.example", "item": "factory 7"}}
        shown = derive(held(now, document=secret), SUITE, ["/weight"])
        proof = value_of(shown).data

        assert "factory" not in json.dumps(shown)
        base = BaseValue.parse(value_of(held(now)))
        assert base.hmac_key not in proof

    def test_without_mandatory_parts_something_must_be_chosen(self, now: datetime) -> None:
        suite = ecdsa_sd_2023(CONTEXTS)
        secured = held(now, suite)

        with pytest.raises(Misuse):
            derive(secured, suite, [])
        assert verified(derive(secured, suite, ["/weight"]), now)["weight"] == 1250

    def test_nodes_without_ids_keep_their_places(self, now: datetime) -> None:
        document = {
            "@context": [CREDENTIALS_V2, SHOP],
            "type": "Warranty",
            "item": [{"item": "lid", "weight": 1}, {"item": "lid", "weight": 2}, {"weight": 3}],
        }
        suite = ecdsa_sd_2023(CONTEXTS, mandatory=["/type"])
        secured = held(now, suite, document)

        shown = derive(secured, suite, ["/item/1/item", "/item/2"])

        assert verified(shown, now)["item"] == [{"item": "lid"}, {"weight": 3}]

    def test_a_json_value_is_one_statement(self, now: datetime) -> None:
        document = {**WARRANTY, "raw": {"beside": "", "deep": [{"a": 1}, {}]}}
        secured = held(now, document=document)

        assert verified(derive(secured, SUITE, ["/raw"]), now)["raw"] == document["raw"]
        with pytest.raises(Refused) as refused:
            derive(secured, SUITE, ["/raw/deep"])
        assert refused.value.codes == ["part-not-signed"]

    @pytest.mark.parametrize(
        "document",
        [
            {**WARRANTY, "parts": ["lid", "cup"]},
            {**WARRANTY, "maker": {"id": "_:b0", "item": "x"}},
        ],
    )
    def test_a_document_whose_nodes_cannot_be_told_apart_is_not_signed(
        self, document: Object, now: datetime
    ) -> None:
        with pytest.raises(Refused) as refused:
            held(now, document=document)

        assert refused.value.codes == ["spelling-not-plain"]

    def test_a_pointer_that_leads_nowhere_is_refused_to_issuer_and_holder(
        self, now: datetime
    ) -> None:
        with pytest.raises(Refused, match="pointers into the document"):
            held(now, replace(SUITE, mandatory=("/colour",)))
        with pytest.raises(Refused, match="pointers into the document"):
            derive(held(now), SUITE, ["/maker/colour"])


def swap_first(components: list[Any]) -> None:
    components[2][0], components[2][1] = components[2][1], components[2][0]


ATTEMPTS: dict[str, Change] = {
    "another base signature": lambda c: c.__setitem__(0, bytes(64)),
    "signatures in another order": swap_first,
    "a signature less": lambda c: c[2].pop(),
    "a signature more": lambda c: c[2].append(c[2][0]),
    "what was mandatory is not": lambda c: c[4].pop(),
    "mandatory beyond the end": lambda c: c[4].append(999),
    "a node without its label": lambda c: c[3].popitem(),
    "a label for no node": lambda c: c[3].update({77: bytes(32)}),
    "labels exchanged": lambda c: c[3].update({0: c[3][1], 1: c[3][0]}),
}
OTHER_KINDS: dict[str, Change] = {
    "six": lambda c: c.append(1),
    "four": lambda c: c.pop(),
    "a short signature": lambda c: c.__setitem__(0, b"short"),
    "no key": lambda c: c.__setitem__(1, bytes(35)),
    "no point": lambda c: c.__setitem__(1, b"\x80\x24" + bytes(33)),
    "a text for a key": lambda c: c.__setitem__(1, "text"),
    "no list of signatures": lambda c: c.__setitem__(2, {}),
    "a short signature among others": lambda c: c[2].append(b"short"),
    "no map of labels": lambda c: c.__setitem__(3, []),
    "a text for a number": lambda c: c[3].update({"0": bytes(32)}),
    "a number below zero": lambda c: c[3].update({-1: bytes(32)}),
    "a short label": lambda c: c[3].update({5: bytes(31)}),
    "places out of order": lambda c: c.__setitem__(4, [1, 0]),
    "a place twice": lambda c: c.__setitem__(4, [0, 0]),
    "a place below zero": lambda c: c.__setitem__(4, [-1]),
    "true for a place": lambda c: c.__setitem__(4, [True]),
    "a number without end": lambda c: c.__setitem__(4, [2**70]),
    "lists in lists": lambda c: c.__setitem__(4, [[[[]]]]),
    "a tag": lambda c: c.__setitem__(0, cbor2.CBORTag(24, c[0])),
}
HOSTILE = {
    "nothing": b"",
    "half a header": b"\xd9\x5d",
    "a header alone": b"\xd9\x5d\x01",
    "lists in lists without end": b"\xd9\x5d\x01" + b"\x81" * 100_000,
    "a list of 2^36": b"\xd9\x5d\x01\x9b\x00\x00\x00\x10\x00\x00\x00\x00",
    "bytes of 2^64": b"\xd9\x5d\x01\x5b\xff\xff\xff\xff\xff\xff\xff\xff",
    "a list without length": b"\xd9\x5d\x01\x9f\xff",
    "a tag that compiles": b"\xd9\x5d\x01\xd8\x23\x65(a+)+",
    "two values": b"\xd9\x5d\x01\x82\x01\x01\x01",
    "too much": bytes(1_000_001),
}


class TestAttempts:
    @pytest.fixture
    def shown(self, now: datetime) -> Object:
        document = {**WARRANTY, "maker": {"item": "factory 7", "weight": 9}}
        return derive(held(now, document=document), SUITE, ["/weight", "/maker"])

    @pytest.mark.parametrize("attempt", ATTEMPTS)
    def test_a_proof_that_was_changed_is_refused(
        self, shown: Object, attempt: str, now: datetime
    ) -> None:
        assert verified(shown, now)

        with pytest.raises(Refused) as refused:
            verified(changed(shown, ATTEMPTS[attempt]), now)

        assert refused.value.codes == ["signature-invalid"]

    @pytest.mark.parametrize(
        "change",
        [
            {"weight": 1},
            {"item": "another"},
            {"maker": {"item": "factory 7", "weight": 9, "maker": {"id": "https://m.example"}}},
            {"type": "https://shop.example/terms#Other"},
        ],
    )
    def test_a_document_that_was_changed_is_refused(
        self, shown: Object, change: Object, now: datetime
    ) -> None:
        with pytest.raises(Refused) as refused:
            verified({**shown, **change}, now)

        assert refused.value.codes == ["signature-invalid"]

    def test_a_mandatory_part_cannot_be_left_out(self, shown: Object, now: datetime) -> None:
        with pytest.raises(Refused) as refused:
            verified({name: value for name, value in shown.items() if name != "item"}, now)

        assert refused.value.codes == ["signature-invalid"]

    def test_one_node_cannot_be_shown_as_two(self, now: datetime) -> None:
        # Two labels alike would join what the issuer said of one node to another.
        def twice(components: list[Any]) -> None:
            components[3][1] = components[3][0]

        document = {**WARRANTY, "maker": {"item": "factory 7", "weight": 9}}
        shown = derive(held(now, document=document), SUITE, ["/maker"])

        with pytest.raises(Malformed):
            verified(changed(shown, twice), now)

    def test_statements_of_two_credentials_are_not_joined(self, now: datetime) -> None:
        first, second = (derive(held(now), SUITE, ["/weight"]) for _ in range(2))
        other: list[Any] = cbor2.loads(value_of(second).data[3:])

        with pytest.raises(Refused) as refused:
            verified(changed(first, lambda c: c.__setitem__(2, other[2])), now)

        assert refused.value.codes == ["signature-invalid"]

    def test_options_that_were_changed_are_refused(self, shown: Object, now: datetime) -> None:
        with pytest.raises(Refused) as refused:
            verified({**shown, "proof": {**shown["proof"], "nonce": "n"}}, now)

        assert refused.value.codes == ["signature-invalid"]

    def test_the_issuer_s_own_proof_is_not_for_showing(self, now: datetime) -> None:
        with pytest.raises(Malformed, match="d95d01"):
            verified(held(now), now)

    def test_a_shown_proof_derives_no_further(self, shown: Object) -> None:
        with pytest.raises(Malformed, match="d95d00"):
            derive(shown, SUITE, ["/weight"])

    @pytest.mark.parametrize("kind", OTHER_KINDS)
    def test_parts_of_other_kinds_are_malformed(
        self, shown: Object, kind: str, now: datetime
    ) -> None:
        with pytest.raises(Malformed):
            verified(changed(shown, OTHER_KINDS[kind]), now)

    @pytest.mark.parametrize("kind", HOSTILE)
    def test_hostile_bytes_are_malformed_at_once(
        self, shown: Object, kind: str, now: datetime
    ) -> None:
        proof = {**shown["proof"], "proofValue": f"u{b64url(HOSTILE[kind])}"}

        with pytest.raises(Malformed):
            verified({**shown, "proof": proof}, now)

    @pytest.mark.parametrize("tag", ["c1 01", "d8 23 65 28 61 2b 29 2b", "d9 d9 f7 80"])
    def test_no_tag_is_read(self, tag: str) -> None:
        with pytest.raises(Malformed) as malformed:
            unpacked(b"", bytes.fromhex(tag), "value")

        assert isinstance(malformed.value.__cause__, cbor2.CBORDecodeError)

    def test_a_second_spelling_of_the_same_parts_is_malformed(
        self, shown: Object, now: datetime
    ) -> None:
        data = value_of(shown).data
        longer = data[:3] + b"\x98\x05" + data[4:]
        assert cbor2.loads(longer[3:]) == cbor2.loads(data[3:])
        proof = {**shown["proof"], "proofValue": f"u{b64url(longer)}"}

        with pytest.raises(Malformed, match="shortest"):
            verified({**shown, "proof": proof}, now)

    def test_base58_is_another_suite_s(self, shown: Object, now: datetime) -> None:
        with pytest.raises(Malformed, match="prefix u"):
            verified({**shown, "proof": {**shown["proof"], "proofValue": "z2"}}, now)

    def test_a_key_of_another_curve_is_refused(self, now: datetime) -> None:
        key = prover(Curve.P384)
        with pytest.raises(Misuse):
            add_proof(WARRANTY, suite=SUITE, signer=key, options=options(key, created=now))

    def test_a_context_that_defines_more_is_needed_by_both(self, now: datetime) -> None:
        shown = derive(held(now), SUITE, ["/weight"])
        policy = ProofPolicy(suites=[ecdsa_sd_2023(FrozenContexts())])

        with pytest.raises(Refused) as refused:
            verify_proofs(shown, policy=policy, keys=KEYS, now=now)

        assert refused.value.codes == ["context-not-known"]
