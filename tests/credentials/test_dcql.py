"""DCQL: a query that means one thing, and the same answer to it on both sides of the counter."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from counterfoil_credentials.claims import ClaimPath, covers
from counterfoil_credentials.dcql import (
    Authority,
    AuthorityQuery,
    AuthorityType,
    ClaimQuery,
    CredentialQuery,
    CredentialSet,
    DcqlQuery,
    parse_dcql,
)
from counterfoil_credentials.dcql_match import (
    Candidate,
    claims_to_show,
    judge,
    mismatches,
    unmet,
    ways_to_answer,
    ways_to_show,
)
from counterfoil_credentials.encoding import Json, JsonObject, object_at
from counterfoil_credentials.errors import Malformed
from hypothesis import given
from hypothesis import strategies as st

PID = "https://credentials.example.com/identity_credential"
AKI = "s9tIpPmhxdiuNkHMEWNpYim8S8Y"
# The credential of section 7.3.
ARTHUR: JsonObject = {
    "name": "Arthur Dent",
    "address": {
        "street_address": "42 Market Street",
        "locality": "Milliways",
        "postal_code": "12345",
    },
    "degrees": [
        {"type": "Bachelor of Science", "university": "University of Betelgeuse"},
        {"type": "Master of Science", "university": "University of Betelgeuse"},
    ],
    "nationalities": ["British", "Betelgeusian"],
    "age": 42,
    "over_18": True,
    "nickname": None,
    "pets": [],
}
HELD = Candidate(types=(PID,), claims=ARTHUR)


def credential(**changes: Json) -> JsonObject:
    """Give a credential query, with some members changed."""
    good: JsonObject = {
        "id": "pid",
        "format": "dc+sd-jwt",
        "meta": {"vct_values": [PID]},
        "claims": [{"id": "name", "path": ["name"]}, {"id": "age", "path": ["age"]}],
        **changes,
    }
    return good


MDL: JsonObject = {
    "id": "mdl",
    "format": "mso_mdoc",
    "meta": {"doctype_value": "org.iso.18013.5.1.mDL"},
    "claims": [{"path": ["org.iso.18013.5.1", "given_name"]}],
}


def without(obj: JsonObject, name: str) -> JsonObject:
    return {key: value for key, value in obj.items() if key != name}


def times(value: Json, count: int) -> list[Json]:
    return [value] * count


def query(**changes: Json) -> JsonObject:
    return {"credentials": [credential(**changes)]}


def parsed(**changes: Json) -> CredentialQuery:
    (one,) = parse_dcql(query(**changes)).credentials
    return one


def sets(*listed: JsonObject) -> JsonObject:
    """Give a query for the credentials `a`, `b` and `c`, with these credential sets."""
    return {"credentials": [credential(id=name) for name in "abc"], "credential_sets": [*listed]}


class TestTheQuery:
    def test_a_whole_query_survives_its_json(self) -> None:
        whole: JsonObject = {
            "credentials": [
                credential(
                    claim_sets=[["name"], ["age", "name"]],
                    claims=[
                        {"id": "name", "path": ["name"], "values": ["Arthur Dent", 1, True]},
                        {"id": "age", "path": ["ages", None, 0]},
                    ],
                    multiple=True,
                    require_cryptographic_holder_binding=False,
                    trusted_authorities=[
                        {"type": "aki", "values": [AKI]},
                        {"type": "etsi_tl", "values": ["https://lotl.example.com"]},
                        {"type": "openid_federation", "values": ["https://anchor.example.com"]},
                        {"type": "of-tomorrow", "values": ["x"]},
                    ],
                ),
                MDL,
                without(credential(id="bare"), "claims"),
            ],
            "credential_sets": [
                {"options": [["pid"], ["mdl"]]},
                {"options": [["bare", "pid"]], "required": False},
            ],
        }

        assert parse_dcql(whole).to_json() == whole

    def test_a_query_says_only_what_is_not_the_default(self) -> None:
        spelled_out = query(multiple=False, require_cryptographic_holder_binding=True)

        assert parse_dcql(spelled_out) == parse_dcql(query())
        assert parse_dcql(spelled_out).to_json() == query()

    def test_members_that_no_standard_defines_are_ignored_everywhere(self) -> None:
        obj = query(
            claims=[{"path": ["name"], "x-hint": 1}],
            meta={"vct_values": [PID], "x-more": {}},
            trusted_authorities=[{"type": "aki", "values": [AKI], "x-why": None}],
            colour="red",
        )
        more: JsonObject = {
            **obj,
            "credential_sets": [{"options": [["pid"]], "purpose": True}],
            "x-new": 1,
        }

        read = parse_dcql(more)

        assert read.credentials[0].claims == (ClaimQuery(("name",)),)
        assert read.credential_sets == (CredentialSet((("pid",),)),)

    @pytest.mark.parametrize(
        ("format_", "meta"),
        [
            ("mso_mdoc", {"doctype_value": "org.iso.18013.5.1.mDL"}),
            ("jwt_vc_json", {"type_values": [["IDCredential"], ["A", "B"]]}),
            ("ldp_vc", {"type_values": [["IDCredential"]]}),
            ("of-tomorrow", {}),
        ],
    )
    def test_other_formats_are_read_and_never_answered(
        self, format_: str, meta: JsonObject
    ) -> None:
        read = parsed(format=format_, meta=meta, claims=[{"path": ["name", "first"]}])
        anything = Candidate(types=("IDCredential", PID), claims={"name": {"first": "A"}})

        assert read.vct_values == ()
        assert read.foreign_meta == meta
        assert claims_to_show(read, anything) is None
        assert [r.code for r in mismatches(read, anything)] == ["format-not-asked-for"]

    def test_a_query_without_claims_is_one_for_what_cannot_be_withheld(self) -> None:
        (read,) = parse_dcql({"credentials": [without(credential(), "claims")]}).credentials

        assert read.claims == ()
        assert claims_to_show(read, HELD) == ()


LONG = "x" * 257
MISSHAPEN: dict[str, JsonObject] = {
    "nothing": {},
    "no credentials": {"credentials": []},
    "credentials as an object": {"credentials": {}},
    "a credential that is a text": {"credentials": ["pid"]},
    "too many credentials": {"credentials": [credential(id=f"{i}") for i in range(21)]},
    "one id twice": {"credentials": [credential(), credential()]},
    "no id": {"credentials": [without(credential(), "id")]},
    "an empty id": query(id=""),
    "an id with a space": query(id="a b"),
    "an id with a line break": query(id="a\n"),
    "an id beyond ASCII": query(id="prénom"),
    "an id that is a number": query(id=1),
    "an id too long": query(id=LONG),
    "no format": {"credentials": [without(credential(), "format")]},
    "a format that is null": query(format=None),
    "no meta": {"credentials": [without(credential(), "meta")]},
    "meta without types": query(meta={}),
    "no types": query(meta={"vct_values": []}),
    "a type that is a number": query(meta={"vct_values": [1]}),
    "types as a text": query(meta={"vct_values": PID}),
    "too many types": query(meta={"vct_values": times(PID, 101)}),
    "multiple as a text": query(multiple="true"),
    "multiple as a number": query(multiple=1),
    "multiple as null": query(multiple=None),
    "binding as a number": query(require_cryptographic_holder_binding=0),
    "empty claims": query(claims=[]),
    "claims as null": query(claims=None),
    "too many claims": query(claims=times({"path": ["name"]}, 101)),
    "a claim without a path": query(claims=[{}]),
    "an empty path": query(claims=[{"path": []}]),
    "a path that is a text": query(claims=[{"path": "name"}]),
    "a path with a negative number": query(claims=[{"path": ["a", -1]}]),
    "a path with a fraction": query(claims=[{"path": ["a", 1.5]}]),
    "a path with a boolean": query(claims=[{"path": ["a", True]}]),
    "a path with an object": query(claims=[{"path": [{}]}]),
    "a path too long": query(claims=[{"path": times("a", 17)}]),
    "a claim id twice": query(claims=[{"id": "a", "path": ["a"]}, {"id": "a", "path": ["b"]}]),
    "an empty claim id": query(claims=[{"id": "", "path": ["a"]}]),
    "a claim id that is null": query(claims=[{"id": None, "path": ["a"]}]),
    "empty values": query(claims=[{"path": ["a"], "values": []}]),
    "too many values": query(claims=[{"path": ["a"], "values": [*range(101)]}]),
    "a value that is null": query(claims=[{"path": ["a"], "values": [None]}]),
    "a value that is a fraction": query(claims=[{"path": ["a"], "values": [1.5]}]),
    "a value that is a list": query(claims=[{"path": ["a"], "values": [["x"]]}]),
    "empty claim sets": query(claim_sets=[]),
    "an empty claim set": query(claim_sets=[[]]),
    "a claim set of a claim that is not there": query(claim_sets=[["name"], ["colour"]]),
    "a claim set of numbers": query(claim_sets=[[0]]),
    "a flat claim set": query(claim_sets=["name"]),
    "claim sets without claims": {
        "credentials": [without(credential(claim_sets=[["name"]]), "claims")]
    },
    "claim sets beside a claim without id": query(
        claims=[{"id": "name", "path": ["name"]}, {"path": ["age"]}], claim_sets=[["name"]]
    ),
    "too many claim sets": query(claim_sets=times(["name"], 101)),
    "empty authorities": query(trusted_authorities=[]),
    "an authority without a type": query(trusted_authorities=[{"values": [AKI]}]),
    "an authority without values": query(trusted_authorities=[{"type": "aki"}]),
    "an authority with empty values": query(trusted_authorities=[{"type": "aki", "values": []}]),
    "an authority of numbers": query(trusted_authorities=[{"type": "aki", "values": [1]}]),
    "a key identifier with padding": query(
        trusted_authorities=[{"type": "aki", "values": [f"{AKI}="]}]
    ),
    "an unknown authority without values": query(
        trusted_authorities=[{"type": "of-tomorrow", "values": []}]
    ),
    "an mdoc without a type": query(format="mso_mdoc", meta={}, claims=[{"path": ["a", "b"]}]),
    "an mdoc with one step": query(
        format="mso_mdoc", meta={"doctype_value": "x"}, claims=[{"path": ["a"]}]
    ),
    "an mdoc with a number": query(
        format="mso_mdoc", meta={"doctype_value": "x"}, claims=[{"path": ["a", 1]}]
    ),
    "an mdoc with an odd intent": query(
        format="mso_mdoc",
        meta={"doctype_value": "x"},
        claims=[{"path": ["a", "b"], "intent_to_retain": 1}],
    ),
    "a W3C credential without types": query(format="ldp_vc", meta={}),
    "a W3C credential with flat types": query(format="ldp_vc", meta={"type_values": ["A"]}),
    "a W3C credential with no types": query(format="jwt_vc_json", meta={"type_values": [[]]}),
    "empty credential sets": {**query(), "credential_sets": []},
    "credential sets as an object": {**query(), "credential_sets": {}},
    "a set without options": sets({}),
    "a set with empty options": sets({"options": []}),
    "a set with an empty option": sets({"options": [["a"], []]}),
    "a set with flat options": sets({"options": ["a"]}),
    "a set with an unknown id": sets({"options": [["a"], ["d"]]}),
    "a set with a claim's id": sets({"options": [["name"]]}),
    "a set with an odd flag": sets({"options": [["a"]], "required": "no"}),
    "too many sets": {**query(), "credential_sets": times({"options": [["pid"]]}, 101)},
    "too many options": {**query(), "credential_sets": [{"options": times(["pid"], 101)}]},
}


@pytest.mark.parametrize("obj", MISSHAPEN.values(), ids=MISSHAPEN)
def test_what_the_standard_constrains_is_malformed(obj: JsonObject) -> None:
    with pytest.raises(Malformed):
        parse_dcql(obj)


class TestClaims:
    @pytest.mark.parametrize(
        "path",
        [
            ("name",),
            ("address",),
            ("address", "street_address"),
            ("degrees", None, "type"),
            ("nationalities", 1),
            ("nickname",),
        ],
    )
    def test_a_path_selects_as_the_standard_shows(self, path: ClaimPath) -> None:
        assert ClaimQuery(path).fits(ARTHUR)

    @pytest.mark.parametrize(
        "path",
        [
            ("Name",),
            ("name", "first"),
            ("name", 0),
            ("name", None),
            ("address", 0),
            ("address", None),
            ("degrees", "type"),
            ("degrees", "length"),
            ("degrees", 2),
            ("degrees", None, "grade"),
            ("nationalities", 2),
            ("nationalities", None, "code"),
            ("pets", None),
            ("pets", 0),
            ("nickname", "first"),
            (0,),
            (None,),
        ],
    )
    def test_a_path_that_leads_nowhere_selects_nothing(self, path: ClaimPath) -> None:
        assert not ClaimQuery(path).fits(ARTHUR)

    def test_one_element_of_the_wrong_kind_spoils_the_whole_selection(self) -> None:
        claims: JsonObject = {"lines": [{"b": 1}, 5, {"b": 2}]}

        assert not ClaimQuery(("lines", None, "b")).fits(claims)
        assert ClaimQuery(("lines", 0, "b")).fits(claims)
        assert ClaimQuery(("lines", None, "b")).fits({"lines": [{"b": 1}, {}, {"b": 2}]})

    @pytest.mark.parametrize(
        ("asked", "held", "fits"),
        [
            (1, 1, True),
            (1, True, False),
            (1, "1", False),
            (1, 1.0, False),
            (1, 2, False),
            (1, None, False),
            (1, [1], False),
            (0, False, False),
            (True, True, True),
            (True, 1, False),
            (True, "true", False),
            ("a", "a", True),
            ("a", "A", False),
            ("a", "a ", False),
            ("é", "e\u0301", False),
            (2**53, 2**53, True),
            (2**53, 2**53 + 1, False),
        ],
    )
    def test_a_value_fits_by_kind_and_value(self, asked: str | int, held: Json, fits: bool) -> None:  # noqa: FBT001  # a row of a table
        assert ClaimQuery(("n",), values=(asked,)).fits({"n": held}) is fits

    def test_one_of_the_values_is_enough_and_one_of_the_elements(self) -> None:
        assert ClaimQuery(("age",), values=(41, 42)).fits(ARTHUR)
        assert ClaimQuery(("nationalities", None), values=("Betelgeusian",)).fits(ARTHUR)
        assert not ClaimQuery(("nationalities", None), values=("Vogon",)).fits(ARTHUR)
        assert not ClaimQuery(("nationalities", 0), values=("Betelgeusian",)).fits(ARTHUR)


class TestOneCredential:
    def test_shows_every_claim_asked_for_and_no_other(self) -> None:
        assert claims_to_show(parsed(), HELD) == (("name",), ("age",))

    def test_says_which_claim_is_missing_and_which_type_is_wrong(self) -> None:
        nameless = replace(HELD, claims=without(ARTHUR, "name"))
        another = replace(HELD, types=(f"{PID}/2",))

        assert [(r.code, r.where) for r in mismatches(parsed(), nameless)] == [
            ("claim-missing", "name")
        ]
        assert [r.code for r in mismatches(parsed(), another)] == ["type-not-asked-for"]
        assert claims_to_show(parsed(), nameless) is claims_to_show(parsed(), another) is None

    def test_a_type_fits_through_the_chain_that_was_proved(self) -> None:
        extending = replace(HELD, types=("https://state.example/pid", PID))
        unproved = replace(HELD, types=("https://state.example/pid",))
        root = parsed(meta={"vct_values": ["https://root.example/id"]})

        assert claims_to_show(parsed(), extending)
        assert claims_to_show(parsed(), unproved) is None
        assert claims_to_show(root, extending) is None

    def test_the_first_claim_set_that_is_there_is_shown(self) -> None:
        asked = parsed(
            claims=[
                {"id": "over", "path": ["over_21"]},
                {"id": "age", "path": ["age"]},
                {"id": "name", "path": ["name"]},
            ],
            claim_sets=[["over", "name"], ["name", "age"], ["age"]],
        )
        over_21 = replace(HELD, claims={**ARTHUR, "over_21": True})
        ageless = replace(HELD, claims=without(ARTHUR, "age"))

        assert claims_to_show(asked, over_21) == (("over_21",), ("name",))
        assert claims_to_show(asked, HELD) == (("name",), ("age",))
        assert claims_to_show(asked, ageless) is None
        assert [(r.code, r.where) for r in mismatches(asked, ageless)] == [
            ("claim-missing", "pid.claim_sets")
        ]

    def test_a_claim_with_another_value_is_as_one_that_is_missing(self) -> None:
        claims: Json = [
            {"id": "exact", "path": ["age"], "values": [41]},
            {"id": "name", "path": ["name"]},
        ]

        assert claims_to_show(parsed(claims=claims), HELD) is None
        assert claims_to_show(parsed(claims=claims, claim_sets=[["exact"], ["name"]]), HELD) == (
            ("name",),
        )

    def test_a_claim_asked_for_twice_is_heard_the_first_time(self) -> None:
        first: Json = {"id": "first", "path": ["age"]}
        second: Json = {"id": "second", "path": ["age"], "values": [41]}

        assert claims_to_show(parsed(claims=[first, second]), HELD) == (("age",),)
        assert claims_to_show(parsed(claims=[second, first]), HELD) is None
        assert claims_to_show(
            parsed(claims=[first, second], claim_sets=[["second"], ["first"]]), HELD
        ) == (("age",),)

    def test_a_credential_without_a_key_answers_only_where_none_is_required(self) -> None:
        loose = replace(HELD, has_holder_key=False)

        assert [r.code for r in mismatches(parsed(), loose)] == ["holder-key-missing"]
        assert mismatches(parsed(require_cryptographic_holder_binding=False), loose) == []
        assert mismatches(parsed(require_cryptographic_holder_binding=False), HELD) == []

    def test_an_authority_counts_once_it_is_proved(self) -> None:
        asked = parsed(
            trusted_authorities=[
                {"type": "etsi_tl", "values": ["https://lotl.example.com"]},
                {"type": "aki", "values": ["AAAA", AKI]},
                {"type": "of-tomorrow", "values": ["x"]},
            ]
        )

        def fits(*proved: Authority) -> bool:
            return not mismatches(asked, replace(HELD, authorities=frozenset(proved)))

        assert fits(Authority(AuthorityType.AKI, AKI))
        assert fits(Authority(AuthorityType.ETSI_TL, "https://lotl.example.com"))
        assert not fits()
        assert not fits(Authority(AuthorityType.AKI, f"{AKI[:-1]}Q"))
        assert not fits(Authority(AuthorityType.ETSI_TL, AKI))
        assert not fits(Authority(AuthorityType.OPENID_FEDERATION, "https://lotl.example.com"))
        assert [r.code for r in mismatches(asked, HELD)] == ["authority-not-asked-for"]

    def test_an_authority_of_an_unknown_type_never_fits(self) -> None:
        of_tomorrow = parsed(trusted_authorities=[{"type": "of-tomorrow", "values": ["x"]}])
        everything = frozenset(Authority(kind, "x") for kind in AuthorityType)

        assert of_tomorrow.trusted_authorities == (AuthorityQuery("of-tomorrow", ("x",)),)
        assert claims_to_show(of_tomorrow, replace(HELD, authorities=everything)) is None

    def test_every_reason_is_given_at_once_and_none_holds_a_value(self) -> None:
        asked = parsed(
            claims=[{"path": ["name"], "values": ["planted"]}, {"path": ["colour"]}],
            trusted_authorities=[{"type": "aki", "values": [AKI]}],
        )
        reasons = mismatches(asked, Candidate(types=(), claims=ARTHUR, has_holder_key=False))

        assert [r.code for r in reasons] == [
            "type-not-asked-for",
            "holder-key-missing",
            "authority-not-asked-for",
            "claim-missing",
            "claim-missing",
        ]
        assert not any(v in str(r) for r in reasons for v in ("planted", "Arthur", PID, AKI))


class TestTheWholeQuery:
    def test_without_sets_every_credential_is_required(self) -> None:
        asked = replace(parse_dcql(sets({"options": [["a"]]})), credential_sets=())

        assert ways_to_answer(asked, {"a", "b", "c"}).is_answerable
        assert ways_to_answer(asked, {"a", "b", "c"}).first == {"a", "b", "c"}
        assert not ways_to_answer(asked, {"a", "c"}).is_answerable

    def test_one_option_of_each_required_set_is_enough(self) -> None:
        asked = parse_dcql(
            sets(
                {"options": [["a", "b"], ["c"]]},
                {"options": [["b"], ["a"]], "required": False},
            )
        )

        everything = ways_to_answer(asked, {"a", "b", "c"})
        assert everything.sets == asked.credential_sets
        assert everything.first == {"a", "b"}
        only_c = ways_to_answer(asked, {"c"})
        assert only_c.is_answerable
        assert only_c.first == {"c"}
        assert only_c.sets[1] == CredentialSet((), is_required=False)
        assert not ways_to_answer(asked, {"a"}).is_answerable
        assert not ways_to_answer(asked, ()).is_answerable

    def test_a_set_that_offers_an_mdoc_is_answered_with_an_sd_jwt(self) -> None:
        obj: JsonObject = {
            "credentials": [
                MDL,
                credential(),
            ],
            "credential_sets": [{"options": [["mdl"], ["pid"]]}],
        }
        asked = parse_dcql(obj)
        answered = [one.id for one in asked.credentials if claims_to_show(one, HELD) is not None]

        assert answered == ["pid"]
        assert ways_to_answer(asked, answered).first == {"pid"}
        assert judge(asked, {"pid": [HELD]}) == []
        assert [r.code for r in judge(asked, {"mdl": [HELD]})] == ["format-not-asked-for"]

    def test_counts_what_arrived_against_what_was_asked(self) -> None:
        asked = parse_dcql({"credentials": [credential(id="a"), credential(id="b", multiple=True)]})

        def codes(**counts: int) -> list[str]:
            return [reason.code for reason in unmet(asked, counts)]

        assert codes(a=1, b=1) == codes(a=1, b=2) == []
        assert codes(a=2, b=1) == ["credential-repeated"]
        assert codes(a=1) == codes(a=1, b=0) == ["credential-missing"]
        assert codes(a=1, b=1, c=1) == ["credential-not-asked-for"]
        assert codes() == ["credential-missing", "credential-missing"]

    def test_an_answer_leaves_no_required_set_open(self) -> None:
        asked = parse_dcql(
            sets({"options": [["a", "b"], ["c"]]}, {"options": [["b"]], "required": False})
        )

        def wheres(*ids: str) -> list[str]:
            return [reason.where for reason in unmet(asked, dict.fromkeys(ids, 1))]

        assert wheres("a", "b") == wheres("c") == wheres("b", "c") == []
        assert wheres("a") == wheres("b") == ["vp_token for credential_sets[0]"]
        assert wheres() == ["vp_token"]

    def test_nothing_is_no_answer_even_where_all_is_optional(self) -> None:
        asked = parse_dcql(sets({"options": [["a"]], "required": False}))

        assert [reason.where for reason in unmet(asked, {})] == ["vp_token"]
        assert unmet(asked, {"a": 1}) == []
        assert ways_to_answer(asked, {"a"}).is_answerable
        assert ways_to_answer(asked, {"a"}).first == frozenset()

    def test_every_presentation_is_judged_and_every_reason_given(self) -> None:
        asked = parse_dcql({"credentials": [credential(id="a"), credential(id="b", multiple=True)]})
        nameless = replace(HELD, claims=without(ARTHUR, "name"))

        assert judge(asked, {"a": [HELD], "b": [HELD, HELD]}) == []
        assert [r.code for r in judge(asked, {"a": [HELD, HELD], "b": [HELD, nameless]})] == [
            "credential-repeated",
            "claim-missing",
        ]


class TestPublishedQueries:
    """What stands in OpenID4VP 1.0, appendices B and D."""

    @pytest.fixture
    def published(self, vectors: Callable[[str], Path]) -> Callable[[str], JsonObject]:
        def read(path: str) -> JsonObject:
            text = (vectors("openid4vp-examples") / path).read_text(encoding="utf-8")
            return cast("JsonObject", json.loads(text))

        return read

    @pytest.mark.parametrize(
        ("path", "ids"),
        [
            ("query_lang/simple.json", ["my_credential"]),
            ("query_lang/simple_mdoc.json", ["my_credential"]),
            ("query_lang/value_matching_simple.json", ["my_credential"]),
            ("query_lang/multi_credentials.json", ["pid", "mdl"]),
            (
                "query_lang/complex_mdoc.json",
                ["mdl-id", "mdl-address", "photo_card-id", "photo_card-address"],
            ),
            ("request/dcql_jwt_vc.json", ["example_jwt_vc"]),
            ("request/dcql_ldp_vc.json", ["example_ldp_vc"]),
        ],
    )
    def test_is_read_and_written_again(
        self, published: Callable[[str], JsonObject], path: str, ids: list[str]
    ) -> None:
        read = parse_dcql(published(path))

        assert [one.id for one in read.credentials] == ids
        assert parse_dcql(read.to_json()) == read

    def test_the_published_credential_answers_the_query_that_asks_for_no_address(
        self, published: Callable[[str], JsonObject]
    ) -> None:
        names = parse_dcql(object_at(published("spec_json/01.json"), "dcql_query", "request"))
        with_address = parse_dcql(published("query_lang/simple.json"))
        held = Candidate(types=(PID,), claims=published("credentials/sd_jwt_vc_unsecured.json"))

        assert claims_to_show(names.credentials[0], held) == (("family_name",), ("given_name",))
        assert [r.where for r in mismatches(with_address.credentials[0], held)] == [
            "address.street_address"
        ]

    def test_values_are_compared_with_the_published_credential(
        self, published: Callable[[str], JsonObject]
    ) -> None:
        (asked,) = parse_dcql(published("query_lang/value_matching_simple.json")).credentials
        claims = published("credentials/sd_jwt_vc_unsecured.json")
        claims["address"] = {"street_address": "42 Market Street"}

        def fits(**changes: Json) -> bool:
            held = Candidate(types=(PID,), claims={**claims, **changes})
            return claims_to_show(asked, held) is not None

        assert fits(postal_code="90210")
        assert fits(postal_code="90211")
        assert not fits(postal_code=90210)
        assert not fits(postal_code="90210", family_name="doe")
        assert not fits()

    def test_the_one_with_optional_sets_asks_for_one_identity_and_perhaps_an_address(
        self, published: Callable[[str], JsonObject]
    ) -> None:
        asked = parse_dcql(published("query_lang/complex_mdoc.json"))

        ways = ways_to_answer(asked, {"photo_card-id", "photo_card-address"})
        assert ways.first == {"photo_card-id"}
        assert ways.sets == (
            CredentialSet((("photo_card-id",),)),
            CredentialSet((("photo_card-address",),), is_required=False),
        )
        assert not ways_to_answer(asked, {"mdl-address"}).is_answerable


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
TOP = ["credentials", "credential_sets", "options", "required"]
CREDENTIAL = ["id", "format", "meta", "vct_values", "claims", "claim_sets", "path", "values"]
MEMBERS = [*TOP, *CREDENTIAL, "multiple", "trusted_authorities", "type"]


@given(st.data())
def test_whatever_is_put_into_a_query_it_is_read_or_malformed(data: st.DataObject) -> None:
    obj = cast("JsonObject", json.loads(json.dumps(sets({"options": [["a"]]}))))
    places: list[JsonObject] = [obj]
    while True:
        here = places[-1]
        inner = [v for v in here.values() if isinstance(v, dict)] + [
            e for v in here.values() if isinstance(v, list) for e in v if isinstance(e, dict)
        ]
        if not inner or data.draw(st.booleans()):
            break
        places.append(data.draw(st.sampled_from(inner)))
    places[-1][data.draw(st.sampled_from(MEMBERS))] = cast("Json", data.draw(JSON))

    try:
        read = parse_dcql(obj)
    except Malformed:
        return
    assert parse_dcql(read.to_json()) == read
    assert judge(read, {one.id: [HELD] for one in read.credentials}) is not None


PATHS = st.lists(
    st.sampled_from(["a", "b", "c"]) | st.none() | st.integers(0, 2), min_size=1, max_size=3
).map(tuple)
TREES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(["a", "b"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3)
    ),
    max_leaves=12,
)
CLAIMS = st.dictionaries(st.sampled_from(["a", "b", "c"]), TREES, min_size=1, max_size=3)


def reference_selection(claims: Json, path: ClaimPath) -> list[Json] | None:
    """Section 7.1.1, sentence by sentence: None for "abort processing and return an error"."""
    selected: list[Json] = [claims]
    for component in path:
        if isinstance(component, str):
            if not all(isinstance(element, dict) for element in selected):
                return None
            objects = cast("list[JsonObject]", selected)
            selected = [element[component] for element in objects if component in element]
            continue
        if not all(isinstance(element, list) for element in selected):
            return None
        arrays = cast("list[list[Json]]", selected)
        if component is None:
            selected = [element for array in arrays for element in array]
        else:
            selected = [array[component] for array in arrays if component < len(array)]
    return selected or None


@given(CLAIMS, PATHS)
def test_a_path_selects_what_section_7_says(claims: JsonObject, path: ClaimPath) -> None:
    assert ClaimQuery(path).fits(claims) is (reference_selection(claims, path) is not None)


@given(CLAIMS, st.lists(PATHS, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_what_the_wallet_would_show_the_verifier_accepts(
    claims: JsonObject, paths: list[ClaimPath], dice: random.Random
) -> None:
    asked = tuple(ClaimQuery(path, id=f"{i}") for i, path in enumerate(paths))
    names = [claim.id or "" for claim in asked]
    chosen = tuple(
        tuple(dice.sample(names, dice.randint(1, len(names)))) for _ in range(dice.randint(0, 3))
    )
    query_ = CredentialQuery("q", (PID,), asked, claim_sets=chosen)
    held = Candidate(types=(PID,), claims=claims)

    shown = claims_to_show(query_, held)

    assert (shown is None) == bool(mismatches(query_, held))
    assert (shown is None) == bool(judge(DcqlQuery((query_,)), {"q": [held]}))
    if shown is not None:
        assert set(shown) <= set(paths)
        assert all(any(covers(path, one) for path in paths) for one in shown)


def picking(path: list[Json], *values: Json) -> CredentialQuery:
    return parsed(claims=[{"path": path, "values": [*values]}])


@pytest.mark.parametrize(
    ("path", "values", "shown"),
    [
        (["nat", None], ["DE"], [("nat", 0), ("nat", 3)]),
        (["nat", None], ["IL", "FR"], [("nat", 1), ("nat", 2)]),
        (["nat", None], ["DE", "FR", "IL"], [("nat", 0), ("nat", 1), ("nat", 2), ("nat", 3)]),
        (["nat", 1], ["FR"], [("nat", 1)]),
        (["lines", None, "kind"], ["b"], [("lines", 1, "kind")]),
        (["lines", None, "kind"], [1], [("lines", 3, "kind")]),
        (["lines", None, "kind"], [True], [("lines", 4, "kind")]),
        (["deep", None, 0, None], ["x"], [("deep", 0, 0, 1), ("deep", 1, 0, 0)]),
    ],
)
def test_of_a_list_only_the_elements_with_a_value_that_was_asked_for_are_shown(
    path: list[Json], values: list[Json], shown: list[ClaimPath]
) -> None:
    lines: list[Json] = [{"kind": "a"}, {"kind": "b"}, {}, {"kind": 1}, {"kind": True}]
    deep: list[Json] = [[["y", "x"], ["x"]], [["x"]]]
    held = replace(HELD, claims={"nat": ["DE", "FR", "IL", "DE"], "lines": lines, "deep": deep})
    asked = picking(path, *values)

    assert claims_to_show(asked, held) == tuple(shown)
    assert list(ways_to_show(asked, held)) == [asked.claims]
    assert claims_to_show(picking(path, "none of them"), held) is None


def test_every_element_is_shown_where_no_value_is_named() -> None:
    held = replace(HELD, claims={"nat": ["DE", "FR"]})

    assert claims_to_show(parsed(claims=[{"path": ["nat", None]}]), held) == (("nat", None),)


def test_the_longest_query_goes_through_a_long_credential_once_for_each_claim() -> None:
    names: list[Json] = [f"c{i}" for i in range(100)]
    claims: list[Json] = [
        {"id": name, "path": ["list", None], "values": [*range(1000, 1100)]} for name in names
    ]
    asked = parsed(claims=claims, claim_sets=[names for _ in range(100)])
    passes = 0

    class Counted(list[Json]):
        """A list that counts how often it is gone through."""

        def __iter__(self) -> Iterator[Json]:
            nonlocal passes
            passes += 1
            return super().__iter__()

    held = replace(HELD, claims={"list": Counted([*range(1000)])})

    assert claims_to_show(asked, held) is None
    assert passes == 100


LINES_100: list[Json] = [{"id": f"c{i}", "path": ["lines", None, f"z{i}"]} for i in range(100)]
"""A hundred claims that each go through all lines: one step to the list, one for each line."""


def of_lines(count: int, line: JsonObject | None = None) -> Candidate:
    return replace(HELD, claims={"lines": times({} if line is None else line, count)})


@pytest.mark.parametrize("claim_sets", [{}, {"claim_sets": [["c0"], ["c1"]]}], ids=["all", "sets"])
def test_a_query_takes_so_many_steps_and_not_one_more(claim_sets: dict[str, Json]) -> None:
    asked = parsed(claims=LINES_100, **claim_sets)
    whole = DcqlQuery((asked,))

    assert claims_to_show(asked, of_lines(1_999)) is None
    assert {reason.code for reason in mismatches(asked, of_lines(1_999))} == {"claim-missing"}
    for attempt in (
        lambda: claims_to_show(asked, of_lines(2_000)),
        lambda: mismatches(asked, of_lines(2_000)),
        lambda: judge(whole, {"pid": [of_lines(2_000)]}),
    ):
        with pytest.raises(Malformed, match="at most 200000 steps") as refusal:
            attempt()
        assert refusal.value.where == "pid.claims"


def test_what_is_found_takes_steps_as_what_is_looked_for() -> None:
    asked = parsed(claims=LINES_100)
    line: JsonObject = {f"z{i}": 1 for i in range(100)}

    assert claims_to_show(asked, of_lines(900, line)) is not None
    with pytest.raises(Malformed):
        claims_to_show(asked, of_lines(1_000, line))


def test_each_query_and_each_credential_has_steps_of_its_own() -> None:
    asked = parse_dcql(
        {"credentials": [credential(id=f"q{i}", claims=LINES_100) for i in range(3)]}
    )

    for one in asked.credentials:
        assert len(mismatches(one, of_lines(1_999))) == 100


def test_one_claim_of_the_longest_list_is_found() -> None:
    asked = parsed(claims=[{"path": ["lines", None, "z"]}])

    assert claims_to_show(asked, of_lines(60_000, {"z": 1})) == (("lines", None, "z"),)


def test_a_credential_of_another_type_is_not_walked_at_all() -> None:
    another = replace(of_lines(60_000), types=("https://credentials.example.com/another",))

    assert claims_to_show(parsed(claims=LINES_100), another) is None
