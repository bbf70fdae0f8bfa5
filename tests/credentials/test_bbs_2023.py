"""bbs-2023: the published proof step by step, what is shown, and that nothing joins showings."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import cbor2
import pytest
from counterfoil_credentials.bbs_2023 import (
    BbsSuite,
    MemoryBbsSigner,
    PresentationHeader,
    bbs_2023,
    derive,
)
from counterfoil_credentials.bbs_keys import BbsPublicKey
from counterfoil_credentials.bbs_proof_values import BbsBaseValue, BbsDerivedValue
from counterfoil_credentials.bbs_signatures import SecretKey
from counterfoil_credentials.cryptosuites import EDDSA_JCS_2022, ProofValue
from counterfoil_credentials.data_integrity import ProofPolicy, add_proof, verify_proofs
from counterfoil_credentials.did_methods import offline_resolver
from counterfoil_credentials.dids import did_key, key_id_of
from counterfoil_credentials.encoding import b64url, from_b64url
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_credentials.keys import Curve
from counterfoil_credentials.rdf_canonical import canonicalize
from counterfoil_credentials.statement_groups import Stated, shuffled_labels
from counterfoil_credentials.w3c_shapes import CREDENTIALS_V2

from tests.credentials.provers import Object, options, prover
from tests.credentials.test_rdfc import CONTEXTS, SHOP, published_contexts

pytestmark = pytest.mark.once
Vectors = Callable[[str], Path]
Change = Callable[[list[Any]], object]
Read = Callable[[str], Any]

KEYS = offline_resolver()
NONCE = b"what this shop asked"
SUITE = bbs_2023(CONTEXTS, mandatory=["/item"], presentation_header=NONCE)
ANY = PresentationHeader.ANY_MAY_BE_A_REPLAY
ISSUER = MemoryBbsSigner(SecretKey.from_material(bytes(range(32))))
WARRANTY: Object = {
    "@context": [CREDENTIALS_V2, SHOP],
    "type": "Warranty",
    "item": "kettle",
    "weight": 1250,
    "maker": {"item": "factory 7", "weight": 9},
}


def held(now: datetime, suite: BbsSuite = SUITE, document: Object = WARRANTY) -> Object:
    return add_proof(document, suite=suite, signer=ISSUER, options=options(ISSUER, created=now))


def verified(shown: Object, now: datetime, suite: BbsSuite = SUITE) -> Object:
    policy = ProofPolicy(suites=[suite])
    return verify_proofs(shown, policy=policy, keys=KEYS, now=now).document


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
    folder = vectors("vc-di-bbs")

    def read(name: str) -> object:
        return json.loads((folder / f"{name}.json").read_text())

    return read


class TestThePublishedProof:
    def test_the_key_is_the_published_did(self, published: Read) -> None:
        given: Object = published("BBSKeyMaterial")
        key = BbsPublicKey.from_point(bytes.fromhex(given["publicKeyHex"]), "key")
        signed: Object = published("addSignedSDBase")

        assert key_id_of(did_key(key)) == signed["proof"]["verificationMethod"]
        secret = SecretKey.of(bytes.fromhex(given["privateKeyHex"]))
        assert MemoryBbsSigner(secret).public == key

    def test_the_issuer_s_steps_are_the_published_ones(
        self, vectors: Vectors, published: Read
    ) -> None:
        contexts = published_contexts(vectors, inline=True)
        given: Object = published("BBSKeyMaterial")
        signed: Object = published("addSignedSDBase")
        document = {name: value for name, value in signed.items() if name != "proof"}
        base = BbsBaseValue.parse(value_of(signed))

        canonical = canonicalize(contexts.quads(document, "document"), "document")
        stated = Stated.of(document, contexts, shuffled_labels(base.hmac_key), "document")
        shown, _ = stated.shown_by(published("windMandatory"))
        config: Object = published("addProofConfig")
        spoken = canonicalize(contexts.quads(config, "proof"), "proof").data

        assert document == published("windDoc")
        assert list(canonical.lines) == published("addBaseDocCanon")
        assert list(stated.lines) == published("addBaseDocHMACCanon")
        transformed: Object = published("addBaseTransform")
        assert base.mandatory == transformed["mandatoryPointers"] == published("windMandatory")
        for group, is_shown in (("mandatory", True), ("nonMandatory", False)):
            assert transformed[group]["value"] == [
                [i, each] for i, each in enumerate(stated.lines) if (each in shown) is is_shown
            ]
        subject: Object = document["credentialSubject"]
        for pointed in published("addPointerValues"):
            name, *steps = pointed["pointer"][1:].split("/")
            found = subject[name]
            for step in steps:
                found = found[int(step) if step.isdecimal() else step]
            assert found == pointed["value"]
        assert spoken == (vectors("vc-di-bbs") / "addProofConfigCanon.txt").read_bytes()
        hashes: Object = published("addHashData")
        assert base.header.hex() == hashes["proofHash"] + hashes["mandatoryHash"]
        assert base.public_key.hex() == given["publicKeyHex"]
        assert base.hmac_key.hex() == given["hmacKeyString"].lower()
        for name in ("addRawBaseSignatureInfo", "derivedRecoveredBaseData"):
            said: Object = published(name)
            assert base.signature.hex() == said["bbsSignature"]
            assert base.mandatory == said["mandatoryPointers"]

    def test_the_issuer_s_proof_is_the_published_one(
        self, vectors: Vectors, published: Read, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given: Object = published("BBSKeyMaterial")
        signer = MemoryBbsSigner(SecretKey.of(bytes.fromhex(given["privateKeyHex"])))
        hmac_key = bytes.fromhex(given["hmacKeyString"])

        def known(size: int) -> bytes:
            assert size == len(hmac_key)
            return hmac_key

        monkeypatch.setattr("counterfoil_credentials.bbs_2023.token_bytes", known)
        signed: Object = published("addSignedSDBase")
        contexts = published_contexts(vectors, inline=True)
        suite = bbs_2023(contexts, mandatory=published("windMandatory"))
        created = datetime.fromisoformat(signed["proof"]["created"])

        made = add_proof(
            published("windDoc"),
            suite=suite,
            signer=signer,
            options=options(signer, created=created),
        )

        assert made == signed

    def test_the_holder_s_document_is_the_published_one_but_for_what_is_drawn(
        self, vectors: Vectors, published: Read
    ) -> None:
        drawn: Object = published("BBSDeriveMaterial")
        suite = bbs_2023(published_contexts(vectors, inline=True))
        header = bytes.fromhex(drawn["presentationHeaderHex"])
        revealed: Object = published("derivedRevealDocument")

        derived: Object = derive(
            published("addSignedSDBase"), suite, published("windSelective"), header
        )

        unsigned = {name: value for name, value in derived.items() if name != "proof"}
        assert unsigned == published("derivedUnsignedReveal")
        proofs = [{**each["proof"], "proofValue": None} for each in (derived, revealed)]
        assert proofs[0] == proofs[1]
        value, there = (BbsDerivedValue.parse(value_of(each)) for each in (derived, revealed))
        said: Object = published("derivedDisclosureData")
        assert there.proof.hex() == said["bbsProof"]
        assert len(value.proof) == len(there.proof)
        assert value[1:] == there[1:]
        labels = [[f"c14n{n}", f"b{place}"] for n, place in value.labels.items()]
        assert labels == said["labelMap"]["value"]
        adjusted: Object = published("derivedAdjIndexes")
        assert value.mandatory == said["mandatoryIndexes"] == adjusted["adjMandatoryIndexes"]
        assert value.chosen == said["adjSelectiveIndexes"] == adjusted["adjSelectiveIndexes"]
        assert list(value.presentation_header) == [*said["presentationHeader"].values()]

    def test_the_holder_s_groups_are_the_published_ones(
        self, vectors: Vectors, published: Read
    ) -> None:
        signed: Object = published("addSignedSDBase")
        document = {name: value for name, value in signed.items() if name != "proof"}
        base = BbsBaseValue.parse(value_of(signed))
        contexts = published_contexts(vectors, inline=True)
        stated = Stated.of(document, contexts, shuffled_labels(base.hmac_key), "document")
        mandatory: list[str] = published("windMandatory")
        selective: list[str] = published("windSelective")
        groups = [("mandatory", mandatory), ("selective", selective)]

        for name, pointers in [*groups, ("combined", [*mandatory, *selective])]:
            shown, _ = stated.shown_by(pointers)
            found = [i for i, each in enumerate(stated.lines) if each in shown]
            assert found == published("derivedGroupIndexes")[f"{name}Indexes"]

    def test_the_verifier_believes_the_published_document(
        self, vectors: Vectors, published: Read, now: datetime
    ) -> None:
        contexts = published_contexts(vectors, inline=True)
        revealed: Object = published("derivedRevealDocument")
        asked = bytes.fromhex(published("BBSDeriveMaterial")["presentationHeaderHex"])

        for header in (asked, ANY):
            found = verified(revealed, now, bbs_2023(contexts, presentation_header=header))
            assert found == published("derivedUnsignedReveal")

    @pytest.mark.parametrize("feature", ["HolderBinding", "Pseudonym"])
    def test_the_optional_features_are_told_apart_and_refused(
        self, vectors: Vectors, published: Read, feature: str, now: datetime
    ) -> None:
        suite = bbs_2023(published_contexts(vectors, inline=True), presentation_header=ANY)

        with pytest.raises(Malformed, match="d95d02"):
            derive(published(f"{feature}/addSignedSDBase"), suite, ["/issuer"])
        with pytest.raises(Malformed, match="d95d03"):
            verified(published(f"{feature}/derivedRevealDocument"), now, suite)

    def test_the_pointers_of_the_other_example_lead_into_its_document(
        self, vectors: Vectors, published: Read, now: datetime
    ) -> None:
        contexts = published_contexts(vectors)
        suite = bbs_2023(contexts, mandatory=published("prCredMandatory"))
        secured = held(now, suite, published("prCredUnsigned"))

        assert verified(derive(secured, suite, published("prCredSelective")), now, suite)


class TestShowing:
    def test_only_what_is_chosen_is_shown_beside_what_is_mandatory(self, now: datetime) -> None:
        secured = held(now)
        expected = {"@context": [CREDENTIALS_V2, SHOP], "type": "Warranty", "item": "kettle"}

        assert verified(derive(secured, SUITE, ["/weight"], NONCE), now) == {
            **expected,
            "weight": 1250,
        }
        assert verified(derive(secured, SUITE, [], NONCE), now) == expected
        assert verified(derive(secured, SUITE, [""], NONCE), now) == WARRANTY

    def test_two_showings_have_nothing_in_common_but_what_they_say(self, now: datetime) -> None:
        secured = held(now)
        base = BbsBaseValue.parse(value_of(secured))
        first, second = (
            BbsDerivedValue.parse(value_of(derive(secured, SUITE, ["/weight"], nonce)))
            for nonce in (NONCE, b"another")
        )

        for start, size in [(0, 48), (48, 48), (96, 48)]:
            assert first.proof[start : start + size] != second.proof[start : start + size]
        scalars = [
            {value.proof[i : i + 32] for i in range(144, len(value.proof), 32)}
            for value in (first, second)
        ]
        assert not scalars[0] & scalars[1]
        for part in (base.signature[:48], base.hmac_key, base.header):
            assert part not in first.proof
        # The rest says where statements stand, and is the same for whoever holds such a document.
        other = held(now, document={**WARRANTY, "maker": {"item": "factory 8", "weight": 5}})
        assert value_of(other).data != value_of(secured).data
        assert first[1:4] == second[1:4]
        assert len(value_of(derive(other, SUITE, ["/weight"])).data) == len(
            value_of(derive(secured, SUITE, ["/weight"])).data
        )

    def test_a_holder_finds_a_signature_that_is_none_before_showing(self, now: datetime) -> None:
        secured = changed(held(now), lambda c: c.__setitem__(1, bytes(64)))

        with pytest.raises(Refused) as refused:
            derive(secured, SUITE, ["/weight"], NONCE)
        assert refused.value.codes == ["signature-invalid"]

    def test_without_mandatory_parts_something_must_be_chosen(self, now: datetime) -> None:
        suite = bbs_2023(CONTEXTS)

        with pytest.raises(Misuse):
            derive(held(now, suite), suite, [])

    def test_a_presentation_header_is_bounded_for_both(self, now: datetime) -> None:
        secured = held(now)

        with pytest.raises(Misuse, match="1024"):
            derive(secured, SUITE, ["/weight"], bytes(1_025))
        shown = derive(secured, SUITE, ["/weight"], bytes(1_024))
        assert verified(shown, now, bbs_2023(CONTEXTS, presentation_header=ANY))
        with pytest.raises(Malformed):
            verified(changed(shown, lambda c: c.__setitem__(4, bytes(1_025))), now)

    def test_statements_are_bounded(self, now: datetime) -> None:
        document = {**WARRANTY, "weight": list(range(1_030))}

        with pytest.raises(Malformed, match="1024 statements"):
            held(now, document=document)
        mandatory = bbs_2023(CONTEXTS, mandatory=["/weight"])
        assert held(now, mandatory, document)


ATTEMPTS: dict[str, Change] = {
    "another proof": lambda c: c.__setitem__(0, c[0][:-1] + bytes([c[0][-1] ^ 1])),
    "what was mandatory is not": lambda c: c[2].pop(),
    "mandatory beyond the end": lambda c: c[2].append(999),
    "other places": lambda c: c.__setitem__(3, [0, 1, 3] if c[3] == [0, 1, 2] else [0, 1, 2]),
    "a place less": lambda c: c[3].pop(),
    "a place more": lambda c: c[3].append(c[3][-1] + 1),
    "a node without its label": lambda c: c[1].popitem(),
    "a label for no node": lambda c: c[1].update({77: 77}),
    "labels exchanged": lambda c: c[1].update({0: c[1][1], 1: c[1][0]}),
}
OTHER_KINDS: dict[str, Change] = {
    "six": lambda c: c.append(1),
    "four": lambda c: c.pop(),
    "a short proof": lambda c: c.__setitem__(0, c[0][:100]),
    "no points": lambda c: c.__setitem__(0, bytes(len(c[0]))),
    "a text for a proof": lambda c: c.__setitem__(0, "text"),
    "no map of labels": lambda c: c.__setitem__(1, []),
    "one label for two nodes": lambda c: c[1].update({0: c[1][1]}),
    "a text for a label": lambda c: c[1].update({0: "0"}),
    "true for a label": lambda c: c[1].update({0: True}),
    "a label below zero": lambda c: c[1].update({0: -1}),
    "places out of order": lambda c: c.__setitem__(2, [1, 0]),
    "a place twice": lambda c: c.__setitem__(3, [0, 0]),
    "a place below zero": lambda c: c.__setitem__(3, [-1]),
    "a place beyond all messages": lambda c: c[3].__setitem__(-1, 5_000),
    "a number without end": lambda c: c.__setitem__(3, [2**70]),
    "no presentation header": lambda c: c.__setitem__(4, None),
}


class TestAttempts:
    @pytest.fixture(scope="class")
    @staticmethod
    def secured() -> Object:
        return add_proof(WARRANTY, suite=SUITE, signer=ISSUER, options=options(ISSUER))

    @pytest.fixture(scope="class")
    @staticmethod
    def shown(secured: Object) -> Object:
        return derive(secured, SUITE, ["/weight", "/maker/item"], NONCE)

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
            {"maker": {"item": "factory 8"}},
            {"maker": {"item": "factory 7", "weight": 9}},
            {"type": "https://shop.example/terms#Other"},
        ],
    )
    def test_a_document_that_was_changed_is_refused(
        self, shown: Object, change: Object, now: datetime
    ) -> None:
        with pytest.raises(Refused) as refused:
            verified({**shown, **change}, now)

        assert refused.value.codes == ["signature-invalid"]

    @pytest.mark.parametrize("part", ["item", "weight", "maker"])
    def test_a_part_that_was_shown_cannot_be_left_out(
        self, shown: Object, part: str, now: datetime
    ) -> None:
        with pytest.raises(Refused) as refused:
            verified({name: value for name, value in shown.items() if name != part}, now)

        assert refused.value.codes == ["signature-invalid"]

    @pytest.mark.parametrize("change", [{"nonce": "n"}, {"created": "2020-01-01T00:00:00Z"}])
    def test_options_that_were_changed_are_refused(
        self, shown: Object, change: Object, now: datetime
    ) -> None:
        with pytest.raises(Refused) as refused:
            verified({**shown, "proof": {**shown["proof"], **change}}, now)

        assert refused.value.codes == ["signature-invalid"]

    @pytest.mark.parametrize("asked", [b"", b"another shop's"])
    def test_a_proof_for_another_question_is_refused(
        self, shown: Object, asked: bytes, now: datetime
    ) -> None:
        suite = bbs_2023(CONTEXTS, presentation_header=asked)
        with pytest.raises(Refused) as refused:
            verified(shown, now, suite)
        assert refused.value.codes == ["presentation-header-mismatch"]

        # Nor can whoever saw it put the new question into it.
        with pytest.raises(Refused) as refused:
            verified(changed(shown, lambda c: c.__setitem__(4, asked)), now, suite)
        assert refused.value.codes == ["signature-invalid"]

    def test_another_issuer_s_key_is_refused(self, shown: Object, now: datetime) -> None:
        other = key_id_of(did_key(MemoryBbsSigner.generate().public))
        proof = {**shown["proof"], "verificationMethod": other}

        with pytest.raises(Refused) as refused:
            verified({**shown, "proof": proof}, now)
        assert refused.value.codes == ["signature-invalid"]

    def test_the_issuer_s_own_proof_is_not_for_showing(
        self, secured: Object, now: datetime
    ) -> None:
        with pytest.raises(Malformed, match="d95d03"):
            verified(secured, now)

    def test_a_shown_proof_derives_no_further(self, shown: Object) -> None:
        with pytest.raises(Malformed, match="d95d02"):
            derive(shown, SUITE, ["/weight"], NONCE)

    @pytest.mark.parametrize("kind", OTHER_KINDS)
    def test_parts_of_other_kinds_are_malformed(
        self, shown: Object, kind: str, now: datetime
    ) -> None:
        with pytest.raises(Malformed):
            verified(changed(shown, OTHER_KINDS[kind]), now)

    @pytest.mark.parametrize("place", range(5))
    def test_each_part_of_a_base_proof_has_its_length(self, secured: Object, place: int) -> None:
        with pytest.raises(Malformed):
            derive(changed(secured, lambda c: c.__setitem__(place, b"short")), SUITE, ["/weight"])


class TestKeys:
    def test_a_key_for_one_message_proves_nothing_here_and_a_key_for_many_nothing_there(
        self, now: datetime
    ) -> None:
        plain = prover(Curve.P256)
        with pytest.raises(Misuse, match="BLS12-381 G2"):
            add_proof(WARRANTY, suite=SUITE, signer=plain, options=options(plain))
        with pytest.raises(Misuse, match="Ed25519"):
            add_proof(WARRANTY, suite=EDDSA_JCS_2022, signer=ISSUER, options=options(ISSUER))
        shown: Object = derive(held(now), SUITE, ["/weight"], NONCE)
        proof = {**shown["proof"], "verificationMethod": key_id_of(did_key(plain.public))}
        with pytest.raises(Refused) as refused:
            verified({**shown, "proof": proof}, now)
        assert refused.value.codes == ["key-curve-mismatch"]

    def test_suites_that_are_asked_alone_refuse_the_other_kind_too(self, now: datetime) -> None:
        plain, shown = prover(Curve.P256), derive(held(now), SUITE, ["/weight"], NONCE)
        value = value_of(shown)

        with pytest.raises(Misuse):
            SUITE.prove(WARRANTY, {}, plain)
        with pytest.raises(Misuse):
            EDDSA_JCS_2022.prove(WARRANTY, {}, ISSUER)
        with pytest.raises(Refused) as refused:
            SUITE.check(WARRANTY, {}, value, plain.public)
        assert refused.value.codes == ["key-curve-mismatch"]
        with pytest.raises(Refused) as refused:
            EDDSA_JCS_2022.check(WARRANTY, {}, value, ISSUER.public)
        assert refused.value.codes == ["key-type-unsupported"]

    def test_a_point_has_one_spelling(self) -> None:
        point = ISSUER.public.data
        prime = int.from_bytes(
            bytes.fromhex(
                "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f624"
                "1eabfffeb153ffffb9feffffffffaaab"
            )
        )
        again = (int.from_bytes(point[48:]) + prime).to_bytes(48)

        assert BbsPublicKey.from_point(point, "key") == ISSUER.public
        for other in (
            point[:-1],
            bytes([point[0] & 0x7F]) + point[1:],
            bytes([0xC0]) + bytes(95),
            point[:48] + again,
        ):
            with pytest.raises(Malformed):
                BbsPublicKey.from_point(other, "key")
