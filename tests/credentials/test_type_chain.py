"""A type with all that it extends: had, checked, and merged."""

from collections.abc import Callable, Mapping, Sequence

import pytest
from counterfoil_credentials.encoding import Json, JsonObject, compact_json
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.type_chain import MAX_CHAIN, ResolvedType, resolve_type
from counterfoil_credentials.type_metadata import (
    ClaimMetadata,
    Concealment,
    TypeMetadata,
)

from tests.credentials.type_documents import (
    BASE,
    ROOT,
    SHA256,
    VCT,
    claim,
    display,
    integrity_of,
)


class Shelf:
    """Documents in a registry or at their addresses; remembers what was asked for."""

    def __init__(self, *documents: JsonObject, fetched: bool = False) -> None:
        self.bodies = {str(document["vct"]): compact_json(document) for document in documents}
        self.asked: list[str] = []
        self.fetcher = MemoryFetcher()
        if fetched:
            for origin in ("https://audio.example", "https://trade.example"):
                self.fetcher.serve(origin, self.answer(origin))
        self.registry: Mapping[str, bytes] = {} if fetched else self.bodies

    def answer(self, origin: str) -> Callable[[str, str, Mapping[str, str], bytes], Response]:
        def handler(_m: str, path: str, _h: Mapping[str, str], _b: bytes) -> Response:
            self.asked.append(origin + path)
            body = self.bodies.get(origin + path)
            return Response(404 if body is None else 200, "application/json", body or b"{}")

        return handler

    def resolve(self, vct: str = VCT, integrity: str | None = None) -> ResolvedType:
        return resolve_type(vct, integrity=integrity, registry=self.registry, fetcher=self.fetcher)

    def codes(self, vct: str = VCT, integrity: str | None = None) -> list[str]:
        with pytest.raises(Refused) as refusal:
            self.resolve(vct, integrity)
        return refusal.value.codes


def extended(base: Sequence[Json], child: Sequence[Json]) -> Shelf:
    return Shelf(
        {"vct": VCT, "extends": BASE, "claims": [*child]}, {"vct": BASE, "claims": [*base]}
    )


class TestRetrieval:
    def test_a_type_is_fetched_from_its_address(self) -> None:
        shelf = Shelf({"vct": VCT, "name": "Warranty"}, fetched=True)

        assert shelf.resolve() == ResolvedType(TypeMetadata(vct=VCT, name="Warranty"), (VCT,))
        assert shelf.asked == [VCT]

    def test_what_the_registry_has_is_not_fetched(self) -> None:
        shelf = Shelf({"vct": VCT, "name": "served"}, fetched=True)
        shelf.registry = {VCT: compact_json({"vct": VCT, "name": "known"})}

        assert shelf.resolve().metadata.name == "known"
        assert not shelf.asked

    @pytest.mark.parametrize("vct", ["urn:x:y", "http://audio.example/types/warranty", "x", ""])
    def test_what_is_at_no_https_address_must_be_in_the_registry(self, vct: str) -> None:
        with pytest.raises(Unavailable):
            Shelf(fetched=True).resolve(vct)

    def test_without_a_fetcher_only_the_registry_is_asked(self) -> None:
        with pytest.raises(Unavailable):
            resolve_type(VCT, integrity=None, registry={}, fetcher=None)

    def test_a_document_that_cannot_be_had_leaves_the_question_open(self) -> None:
        with pytest.raises(Unavailable, match="404"):
            Shelf(fetched=True).resolve()
        with pytest.raises(Unavailable, match="nobody there"):
            Shelf(fetched=True).resolve("https://nobody.example/type")
        with pytest.raises(Unavailable):
            Shelf({"vct": VCT, "extends": BASE}, fetched=True).resolve()

    def test_a_document_of_another_type_is_malformed(self) -> None:
        shelf = Shelf()
        for other in (VCT + "/", VCT.upper(), BASE):
            shelf.registry = {VCT: compact_json({"vct": other})}
            with pytest.raises(Malformed, match="another type"):
                shelf.resolve()

    def test_the_bytes_as_they_came_must_be_those_the_credential_means(self) -> None:
        document: JsonObject = {"vct": VCT}
        for shelf in (Shelf(document), Shelf(document, fetched=True)):
            same_json = shelf.bodies[VCT].replace(b":", b": ", 1)

            assert shelf.resolve(integrity=integrity_of(shelf.bodies[VCT])).vcts == (VCT,)
            assert shelf.codes(integrity=integrity_of(same_json)) == ["integrity-mismatch"]
            with pytest.raises(Malformed):
                shelf.resolve(integrity="")

    def test_bytes_that_do_not_match_are_not_even_parsed(self) -> None:
        shelf = Shelf()
        shelf.registry = {VCT: b"no JSON"}

        assert shelf.codes(integrity=SHA256) == ["integrity-mismatch"]

    def test_each_link_of_the_chain_is_checked_by_the_hash_beside_it(self) -> None:
        base: JsonObject = {"vct": BASE}
        for text, fits in ((integrity_of(compact_json(base)), True), (SHA256, False)):
            shelf = Shelf({"vct": VCT, "extends": BASE, "extends#integrity": text}, base)
            if fits:
                assert shelf.resolve().vcts == (VCT, BASE)
            else:
                assert shelf.codes() == ["integrity-mismatch"]

    def test_a_chain_gives_every_type_nearest_first(self) -> None:
        shelf = Shelf({"vct": VCT, "extends": BASE}, {"vct": BASE, "extends": ROOT}, {"vct": ROOT})

        assert shelf.resolve().vcts == (VCT, BASE, ROOT)
        assert shelf.resolve(BASE).vcts == (BASE, ROOT)

    @pytest.mark.parametrize("last", [VCT, BASE, ROOT])
    def test_a_circle_is_refused(self, last: str) -> None:
        shelf = Shelf(
            {"vct": VCT, "extends": BASE},
            {"vct": BASE, "extends": ROOT},
            {"vct": ROOT, "extends": last},
        )

        assert shelf.codes() == ["type-circular"]

    def test_a_chain_ends_at_its_longest_length(self) -> None:
        def link(i: int, length: int) -> JsonObject:
            more: JsonObject = {"extends": f"urn:{i + 1}"} if i + 1 < length else {}
            return {"vct": f"urn:{i}", **more}

        for length in (MAX_CHAIN, MAX_CHAIN + 1):
            shelf = Shelf(*(link(i, length) for i in range(length)))
            if length == MAX_CHAIN:
                assert len(shelf.resolve("urn:0").vcts) == MAX_CHAIN
            else:
                assert shelf.codes("urn:0") == ["type-chain-too-long"]

    def test_a_chain_of_long_documents_is_refused(self) -> None:
        def link(i: int) -> JsonObject:
            return {"vct": f"urn:{i}", "extends": f"urn:{i + 1}", "x": "x" * 262_000}

        assert Shelf(*(link(i) for i in range(6))).codes("urn:0") == ["type-chain-too-long"]


class TestExtending:
    def test_the_bases_claims_stand_first_and_the_child_describes_some_anew(self) -> None:
        def labelled(label: str, *path: str) -> JsonObject:
            return claim(*path, display=[{"label": label, "locale": "en"}])

        shelf = extended(
            [labelled("Item", "item"), labelled("Seller", "sold", "by")],
            [labelled("Shop", "sold", "by"), labelled("Ends", "valid_until")],
        )

        claims = shelf.resolve().metadata.claims

        assert [(one.path, one.display and one.display[0].label) for one in claims] == [
            (("item",), "Item"),
            (("sold", "by"), "Shop"),
            (("valid_until",), "Ends"),
        ]

    def test_members_are_combined_and_the_childs_go_first(self) -> None:
        shelf = extended(
            [claim("a", mandatory=True, sd="never", svg_id="a", display=[])],
            [claim("a", svg_id="b")],
        )

        assert shelf.resolve().metadata.claims == (
            ClaimMetadata(
                path=("a",),
                display=(),
                mandatory=True,
                concealment=Concealment.NEVER,
                svg_id="b",
            ),
        )

    def test_a_display_of_its_own_replaces_the_inherited_one_whole(self) -> None:
        base: JsonObject = {
            "vct": BASE,
            "name": "Base",
            "display": [display(), display(locale="de")],
        }
        child: JsonObject = {"vct": VCT, "extends": BASE}

        inherited = Shelf(base, child).resolve().metadata
        own = Shelf(base, {**child, "display": [display(locale="fr")]}).resolve().metadata
        none = Shelf(base, {**child, "display": []}).resolve().metadata

        assert [one.locale for one in inherited.display or ()] == ["en", "de"]
        assert (inherited.vct, inherited.name, inherited.extends) == (VCT, None, BASE)
        assert [one.locale for one in own.display or ()] == ["fr"]
        assert none.display == ()

    @pytest.mark.parametrize(
        ("base", "child", "expected"),
        [
            (None, None, None),
            (None, "never", "never"),
            (None, "always", "always"),
            ("allowed", "never", "never"),
            ("allowed", "always", "always"),
            ("allowed", None, "allowed"),
            ("always", "always", "always"),
            ("always", None, "always"),
            ("never", "never", "never"),
            ("always", "never", "refused"),
            ("always", "allowed", "refused"),
            ("never", "always", "refused"),
            ("never", "allowed", "refused"),
        ],
    )
    def test_a_child_decides_only_what_was_left_open(
        self, base: str | None, child: str | None, expected: str | None
    ) -> None:
        shelf = extended(*([claim("a", **({"sd": sd} if sd else {}))] for sd in (base, child)))

        if expected == "refused":
            assert shelf.codes() == ["type-changes-concealment"]
        else:
            assert shelf.resolve().metadata.claims[0].concealment == expected

    def test_a_child_makes_no_mandatory_claim_optional(self) -> None:
        silent, yes, no = claim("a"), claim("a", mandatory=True), claim("a", mandatory=False)

        for base, child in ((silent, yes), (no, yes), (yes, silent), (yes, yes)):
            assert extended([base], [child]).resolve().metadata.claims[0].mandatory is True
        for base, child in ((silent, no), (no, silent), (no, no)):
            assert extended([base], [child]).resolve().metadata.claims[0].mandatory is False
        assert extended([yes], [no]).codes() == ["type-changes-mandatory"]

    def test_a_grandchild_loosens_nothing_either_and_every_reason_is_given(self) -> None:
        shelf = Shelf(
            {
                "vct": VCT,
                "extends": BASE,
                "claims": [claim("a", mandatory=False, sd="always"), claim("b", sd="allowed")],
            },
            {"vct": BASE, "extends": ROOT, "claims": [claim("a"), claim("b", sd="never")]},
            {"vct": ROOT, "claims": [claim("a", mandatory=True, sd="never"), claim("b")]},
        )

        assert shelf.codes() == [
            "type-changes-mandatory",
            "type-changes-concealment",
            "type-changes-concealment",
        ]

    def test_one_svg_id_for_two_claims_of_a_chain_is_malformed(self) -> None:
        with pytest.raises(Malformed, match="each svg_id once"):
            extended([claim("a", svg_id="a")], [claim("b", svg_id="a")]).resolve()
