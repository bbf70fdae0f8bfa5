"""The rules of a type over credentials, as the holder and as the verifier see them."""

import random
import time
from collections.abc import Callable, Collection

import pytest
from counterfoil_credentials.claims import ClaimPath
from counterfoil_credentials.encoding import JsonObject, b64url, compact_json
from counterfoil_credentials.errors import CounterfoilError, Malformed, Refused
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.sdjwt import SdJwt, disclose
from counterfoil_credentials.sdjwt_vc import issue_credential
from counterfoil_credentials.type_chain import resolve_type
from counterfoil_credentials.type_metadata import (
    TypeMetadata,
)
from counterfoil_credentials.type_rules import check_issued, check_presented
from hypothesis import given
from hypothesis import strategies as st

from tests.credentials.type_documents import BASE, NOON, VCT, claim, parse

CLAIMS: JsonObject = {
    "item": {"model": "A1", "serial": "1", "parts": ["x", "y"]},
    "lines": [{"sku": "1", "price": 2}, {"sku": "2", "price": 3}],
    "note": None,
}


def issued(*concealed: ClaimPath) -> SdJwt:
    return credential_of(CLAIMS, concealed)


def credential_of(
    claims: JsonObject, concealed: Collection[ClaimPath], decoys_to: int = 1
) -> SdJwt:
    return issue_credential(
        claims,
        vct=VCT,
        issuer="https://audio.example",
        signer=MemorySigner.from_private_bytes(b"\x01" * 32),
        holder=None,
        issued_at=NOON,
        expires_at=None,
        status=None,
        concealed=concealed,
        random=random.Random("types").randbytes,
        decoys_to=decoys_to,
    )


def jwt(payload: JsonObject) -> str:
    return f"{b64url(b'{}')}.{b64url(compact_json(payload))}.{b64url(b'signature')}"


def rules(*claims: JsonObject) -> TypeMetadata:
    return parse(claims=[*claims])


def holder_says(metadata: TypeMetadata, sd_jwt: SdJwt) -> list[str]:
    return says(check_issued, metadata, sd_jwt)


def verifier_says(metadata: TypeMetadata, sd_jwt: SdJwt) -> list[str]:
    return says(check_presented, metadata, sd_jwt)


def says(
    check: Callable[[TypeMetadata, SdJwt], None], metadata: TypeMetadata, sd_jwt: SdJwt
) -> list[str]:
    try:
        check(metadata, sd_jwt)
    except Refused as refusal:
        return refusal.codes
    return []


class TestRules:
    def test_a_claim_of_each_kind_passes(self) -> None:
        credential = issued(("item",), ("lines", None), ("lines", None, "price"))
        metadata = rules(
            claim("item", sd="always", mandatory=True),
            claim("item", "serial", sd="never", mandatory=True),
            claim("lines", sd="never", mandatory=True),
            claim("lines", None, sd="always"),
            claim("lines", None, "sku", sd="never"),
            claim("lines", 1, "price", sd="always", mandatory=True),
            claim("note", mandatory=True),
            claim("absent", sd="always"),
            claim("vct", sd="never", mandatory=True),
        )

        assert holder_says(metadata, credential) == []
        assert verifier_says(metadata, credential) == []
        assert verifier_says(metadata, disclose(credential, [])) == []
        assert verifier_says(metadata, disclose(credential, [("lines", 1)])) == []

    @pytest.mark.parametrize("vct", [f"{VCT}/", VCT.upper(), f"{VCT}#", VCT[:-1], BASE])
    def test_the_rules_of_another_type_do_not_speak_of_the_credential(self, vct: str) -> None:
        for metadata in (parse(vct=vct), parse(vct=vct, claims=[claim("absent", mandatory=True)])):
            assert holder_says(metadata, issued()) == ["type-mismatch"]
            assert verifier_says(metadata, issued()) == ["type-mismatch"]

    def test_nor_do_any_rules_speak_of_a_credential_without_a_type(self) -> None:
        untyped = SdJwt.parse(f"{jwt({'iss': 'https://audio.example'})}~")

        assert verifier_says(rules(), untyped) == ["type-mismatch"]
        assert verifier_says(rules(), SdJwt.parse(f"{jwt({'vct': [VCT]})}~")) == ["type-mismatch"]
        assert verifier_says(rules(), SdJwt.parse(f"{jwt({'vct': VCT})}~")) == []

    def test_a_type_that_extends_has_its_own_name(self) -> None:
        base = compact_json({"vct": BASE, "claims": [claim("item", mandatory=True)]})
        child = compact_json({"vct": VCT, "extends": BASE})
        registry = {VCT: child, BASE: base}

        for vct, reasons in ((VCT, []), (BASE, ["type-mismatch"])):
            found = resolve_type(vct, integrity=None, registry=registry, fetcher=None)
            assert verifier_says(found.metadata, issued()) == reasons

    @pytest.mark.parametrize("path", [("item",), ("item", "serial"), ("lines", 0)])
    def test_a_claim_that_is_never_concealed_arrives_as_no_disclosure(
        self, path: ClaimPath
    ) -> None:
        metadata = rules(claim(*path, sd="never"))

        assert holder_says(metadata, issued(path)) == ["claim-concealed"]
        assert verifier_says(metadata, issued(path)) == ["claim-concealed"]
        assert holder_says(metadata, issued()) == []

    @pytest.mark.parametrize("path", [("item",), ("item", "serial"), ("lines", None)])
    def test_a_claim_that_is_always_concealed_is_not_open(self, path: ClaimPath) -> None:
        metadata = rules(claim(*path, sd="always"))

        assert holder_says(metadata, issued()) == ["claim-not-concealed"]
        assert verifier_says(metadata, issued()) == ["claim-not-concealed"]
        assert verifier_says(metadata, issued(path)) == []

    def test_one_open_element_among_concealed_ones_is_enough(self) -> None:
        metadata = rules(claim("lines", None, sd="always"))

        assert verifier_says(metadata, issued(("lines", 0))) == ["claim-not-concealed"]
        assert verifier_says(metadata, disclose(issued(("lines", 0)), [])) == [
            "claim-not-concealed"
        ]

    def test_to_conceal_what_is_around_a_claim_does_not_conceal_it(self) -> None:
        metadata = rules(claim("item", "serial", sd="always"))

        assert holder_says(metadata, issued(("item",))) == ["claim-not-concealed"]

    def test_a_mandatory_claim_that_is_nowhere_is_missing(self) -> None:
        for path in (("absent",), ("item", "absent"), ("lines", None, "absent"), ("lines", 2)):
            metadata = rules(claim(*path, mandatory=True))
            assert holder_says(metadata, issued()) == ["claim-missing"]
            assert verifier_says(metadata, issued()) == ["claim-missing"]
            assert holder_says(rules(claim(*path, mandatory=False)), issued()) == []

    def test_what_was_withheld_is_not_missing_to_a_verifier(self) -> None:
        credential = issued(("item",), ("lines", None, "price"))
        shown = disclose(credential, [])

        for path in (("item",), ("item", "absent"), ("absent",), ("lines", 0, "price")):
            metadata = rules(claim(*path, mandatory=True))
            assert verifier_says(metadata, shown) == []
        assert holder_says(rules(claim("item", "absent", mandatory=True)), credential) == [
            "claim-missing"
        ]

    def test_the_holder_knows_that_what_it_has_is_all(self) -> None:
        credential = issued(("item",))
        metadata = rules(claim("absent", mandatory=True))

        assert verifier_says(metadata, disclose(credential, [])) == []
        assert verifier_says(metadata, credential) == ["claim-missing"]
        assert holder_says(metadata, credential) == ["claim-missing"]

    def test_a_claim_that_is_never_concealed_cannot_be_among_the_withheld(self) -> None:
        shown = disclose(issued(("item",), ("note",)), [])

        for path in (("note",), ("absent",)):
            metadata = rules(claim(*path, mandatory=True, sd="never"))
            assert verifier_says(metadata, shown) == ["claim-missing"]
        metadata = rules(claim("item", "serial", mandatory=True, sd="never"))
        assert verifier_says(metadata, shown) == []

    def test_a_withheld_element_keeps_its_place(self) -> None:
        credential = issued(("lines", 0))
        shown = disclose(credential, [])

        first = rules(claim("lines", 0, sd="always", mandatory=True))
        second = rules(claim("lines", 1, "sku", sd="never", mandatory=True))
        third = rules(claim("lines", 2, mandatory=True))
        for found in (credential, shown):
            assert verifier_says(first, found) == []
            assert verifier_says(second, found) == []
            assert verifier_says(third, found) == ["claim-missing"]
        assert verifier_says(rules(claim("lines", 0, sd="never")), shown) == ["claim-concealed"]
        for path in (("lines", 0, "sku"), ("lines", None, "sku")):
            for sd in ("never", "allowed"):
                inside = rules(claim(*path, mandatory=True, sd=sd))
                assert verifier_says(inside, shown) == []
                assert verifier_says(inside, disclose(issued(("lines", None)), [])) == []

    @pytest.mark.parametrize(
        "path",
        [
            ("note", "x"),
            ("lines", "sku"),
            ("item", None),
            ("item", 0),
            ("item", "model", "x"),
            ("lines", None, None),
            ("vct", 0),
            ("lines", 0, "sku", "x"),
        ],
    )
    def test_a_path_that_meets_another_kind_of_value_is_refused(self, path: ClaimPath) -> None:
        assert holder_says(rules(claim(*path)), issued()) == ["claim-path-mismatch"]

    def test_a_path_past_nothing_selects_nothing(self) -> None:
        metadata = rules(claim("absent", "x"), claim("absent", None), claim("lines", 9, "x"))

        assert holder_says(metadata, issued()) == []

    def test_what_holds_digests_is_no_claim(self) -> None:
        credential = issued(("item",))

        for name in ("_sd", "_sd_alg", "..."):
            metadata = rules(claim(name, mandatory=True))
            assert holder_says(metadata, credential) == ["claim-missing"]

    def test_decoys_are_nobodys_claims(self) -> None:
        credential = credential_of(CLAIMS, [("lines", 0), ("item",)], decoys_to=8)
        missing = rules(claim("absent", mandatory=True))
        places = rules(claim("lines", 0, sd="always"), claim("lines", None, "sku", sd="never"))

        assert holder_says(missing, credential) == ["claim-missing"]
        assert verifier_says(missing, credential) == []
        assert verifier_says(places, credential) == []

    def test_every_reason_is_given(self) -> None:
        metadata = rules(
            claim("item", sd="never"), claim("lines", sd="always"), claim("absent", mandatory=True)
        )

        assert holder_says(metadata, issued(("item",))) == [
            "claim-concealed",
            "claim-not-concealed",
            "claim-missing",
        ]

    def test_no_claims_value_stands_in_a_reason(self) -> None:
        with pytest.raises(Refused) as refusal:
            check_issued(rules(claim("item", "serial", sd="always")), issued())

        text = "expected a claim that is always concealed, found an open one"
        assert str(refusal.value) == f"{text} (credential.item.serial)"

    def test_the_work_over_a_credential_is_bounded(self) -> None:
        credential = credential_of({"many": [{} for _ in range(30_000)]}, [])
        metadata = rules(*(claim("many", None, f"m{i}") for i in range(500)))

        start = time.perf_counter()
        with pytest.raises(Malformed, match="at most 200000 steps"):
            check_presented(metadata, credential)
        assert time.perf_counter() - start < 5

    @given(st.lists(st.lists(st.sampled_from(["item", "lines", "sku", 0, 1, None]), min_size=1)))
    def test_any_rules_raise_only_our_errors(self, paths: list[list[str | int | None]]) -> None:
        for sd in ("always", "never"):
            try:
                metadata = rules(*(claim(*path, sd=sd, mandatory=True) for path in paths))
                check_presented(metadata, disclose(issued(("item",), ("lines", 0)), []))
            except CounterfoilError:
                continue
            assert not paths or all(path for path in paths)
