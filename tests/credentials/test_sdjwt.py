"""SD-JWT: what is concealed stays so, what is disclosed comes back, the rest is refused."""

import random
from collections.abc import Callable

import pytest
from counterfoil_credentials.claims import ClaimPath
from counterfoil_credentials.concealment import conceal
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_list,
    as_text,
    b64url,
    compact_json,
    from_b64url,
    parse_json,
    parse_object,
)
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_credentials.sdjwt import Disclosable, SdJwt, digest, disclose, reveal
from hypothesis import given
from hypothesis import strategies as st

Random = Callable[[int], bytes]

RECEIPT: JsonObject = {
    "order": "#1001",
    "buyer": {"name": "Lin", "email": "lin@example.com"},
    "lines": [{"name": "Headphones", "price": "199.00"}, {"name": "Case", "price": "19.00"}],
}
FRAME: list[ClaimPath] = [
    ("order",),
    ("buyer",),
    ("buyer", "name"),
    ("buyer", "email"),
    ("lines", None),
    ("lines", None, "price"),
]


@pytest.fixture
def receipt(random_bytes: Random) -> SdJwt:
    payload, disclosures = conceal(RECEIPT, FRAME, random=random_bytes)
    return SdJwt(f"e30.{b64url(compact_json(payload))}.AA", disclosures)


def payload_of(sd_jwt: SdJwt) -> JsonObject:
    return parse_object(from_b64url(sd_jwt.issuer_jwt.split(".")[1], "payload"), "payload")


def test_no_concealed_value_stands_in_the_payload(receipt: SdJwt) -> None:
    text = compact_json(payload_of(receipt)).decode()

    for value in ("#1001", "Lin", "lin@example.com", "Headphones", "199.00"):
        assert value not in text


def test_all_disclosures_give_back_all_claims(receipt: SdJwt) -> None:
    assert reveal(payload_of(receipt), receipt.disclosures).claims == RECEIPT


def test_discloses_one_price_of_one_line_and_nothing_else(receipt: SdJwt) -> None:
    shown = disclose(receipt, [("lines", 1, "price")])

    claims = reveal(payload_of(shown), shown.disclosures).claims

    # The line's own disclosure is needed to reach its price; its name was not concealed in it.
    assert claims == {"lines": [{"name": "Case", "price": "19.00"}]}


def test_discloses_a_member_below_a_concealed_parent_without_its_siblings(receipt: SdJwt) -> None:
    shown = disclose(receipt, [("buyer", "name")])

    assert reveal(payload_of(shown), shown.disclosures).claims == {
        "buyer": {"name": "Lin"},
        "lines": [],
    }


def test_discloses_everything_below_a_path(receipt: SdJwt) -> None:
    shown = disclose(receipt, [("buyer",)])

    assert reveal(payload_of(shown), shown.disclosures).claims["buyer"] == RECEIPT["buyer"]


def test_refuses_a_disclosure_that_nothing_refers_to(receipt: SdJwt) -> None:
    stray = b64url(compact_json(["c2FsdA", "admin", True]))

    with pytest.raises(Refused) as refusal:
        reveal(payload_of(receipt), (*receipt.disclosures, stray))

    assert refusal.value.codes == ["disclosure-unreferenced"]


def test_refuses_the_same_disclosure_twice(receipt: SdJwt) -> None:
    with pytest.raises(Refused) as refusal:
        reveal(payload_of(receipt), (*receipt.disclosures, receipt.disclosures[0]))

    assert refusal.value.codes == ["disclosure-duplicate"]


def test_refuses_a_child_whose_concealed_parent_is_withheld(receipt: SdJwt) -> None:
    child = disclose(receipt, [("buyer", "name")]).disclosures[0]

    with pytest.raises(Refused) as refusal:
        reveal(payload_of(receipt), (child,))

    assert refusal.value.codes == ["disclosure-unreferenced"]


def test_refuses_a_digest_that_stands_twice(receipt: SdJwt) -> None:
    payload = payload_of(receipt)
    digests = as_list(payload["_sd"], "_sd")

    with pytest.raises(Refused) as refusal:
        reveal({**payload, "_sd": [*digests, digests[0]]}, receipt.disclosures)

    assert refusal.value.codes == ["digest-duplicate"]


def test_refuses_an_unknown_hash(receipt: SdJwt) -> None:
    with pytest.raises(Refused) as refusal:
        reveal({**payload_of(receipt), "_sd_alg": "md5"}, receipt.disclosures)

    assert refusal.value.codes == ["hash-algorithm-unknown"]


@pytest.mark.parametrize(
    "contents",
    [
        ["salt", "_sd", 1],
        ["salt", "...", 1],
        ["salt", "_sd_alg", 1],
        ["salt", "open", 1],
        ["salt", 7, 1],
        [7, "name", 1],
        ["salt", "name"],
        ["salt", "name", 1, 2],
        ["salt"],
        {"salt": "name"},
        "salt",
    ],
    ids=str,
)
def test_calls_a_misshapen_disclosure_malformed(contents: Json) -> None:
    disclosure = b64url(compact_json(contents))

    with pytest.raises(Malformed):
        reveal({"open": True, "_sd": [digest(disclosure)]}, [disclosure])


def test_calls_two_disclosures_of_one_name_malformed() -> None:
    twins = [b64url(compact_json([salt, "name", 1])) for salt in ("a", "b")]

    with pytest.raises(Malformed, match="each claim name once"):
        reveal({"_sd": [digest(twin) for twin in twins]}, twins)


@pytest.mark.parametrize(
    "payload",
    [
        {"_sd": "digest"},
        {"_sd": [1]},
        {"list": [{"...": 1}]},
        {"list": [{"...": "digest", "more": 1}]},
        {"...": "digest"},
        {"deep": {"...": "digest"}},
    ],
    ids=str,
)
def test_calls_a_misshapen_payload_malformed(payload: JsonObject) -> None:
    with pytest.raises(Malformed):
        reveal(payload, [])


def test_drops_the_placeholder_of_a_withheld_element() -> None:
    assert reveal({"list": [{"...": "x"}, 2]}, []).claims == {"list": [2]}


@pytest.mark.parametrize("text", ["", "a.b.c", "~" * 1002, "x" * 262_145])
def test_calls_what_is_no_sd_jwt_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        SdJwt.parse(text)


def test_refuses_to_issue_a_reserved_claim_name(random_bytes: Random) -> None:
    with pytest.raises(Misuse):
        conceal({"_sd": 1}, [], random=random_bytes)


def test_a_path_through_each_element_and_one_through_the_first_keep_their_kinds(
    random_bytes: Callable[[int], bytes],
) -> None:
    frame: list[ClaimPath] = [("lines", 0, 0), ("lines", None)]
    payload, disclosures = conceal({"lines": [["a"], ["b"]]}, frame, random=random_bytes)

    assert len(disclosures) == 3
    assert reveal(payload, disclosures, "x").claims == {"lines": [["a"], ["b"]]}
    with pytest.raises(Misuse):
        conceal({"lines": [{"0": "a"}, ["b"]]}, frame, random=random_bytes)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("frame", [[], [("a",)], [("list", None)]])
def test_a_number_that_json_lacks_is_neither_shown_nor_concealed(
    number: float, frame: list[ClaimPath], random_bytes: Callable[[int], bytes]
) -> None:
    each: list[Json] = [number, {"b": number}, [1.5, number]]
    for claim in each:
        with pytest.raises(Misuse):
            conceal({"a": claim, "list": [number]}, frame, random=random_bytes)
        with pytest.raises(Misuse):
            conceal({"a": claim, "list": []}, frame, random=random_bytes)


def test_keeps_its_text_through_parsing(receipt: SdJwt) -> None:
    bound = SdJwt(receipt.issuer_jwt, receipt.disclosures, "a.b.c")

    assert SdJwt.parse(str(receipt)) == receipt
    assert SdJwt.parse(str(bound)) == bound


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=6).filter(lambda n: n not in ("_sd", "...")), inner, max_size=4
        )
    ),
    max_leaves=12,
)


def every_path(value: Json, path: ClaimPath = ()) -> list[ClaimPath]:
    below: list[ClaimPath] = [path] if path else []
    if isinstance(value, dict):
        return below + [p for n, member in value.items() for p in every_path(member, (*path, n))]
    if isinstance(value, list):
        return below + [p for i, item in enumerate(value) for p in every_path(item, (*path, i))]
    return below


@given(
    claims=st.dictionaries(
        st.text(max_size=6).filter(lambda n: n not in ("_sd", "...", "_sd_alg")), JSON, max_size=5
    ),
    seed=st.integers(0, 2**32),
)
def test_whatever_is_concealed_comes_back_whole(claims: JsonObject, seed: int) -> None:
    chance = random.Random(seed)
    frame = [path for path in every_path(claims) if chance.random() < 0.5]

    payload, disclosures = conceal(claims, frame, random=chance.randbytes)
    shuffled = chance.sample(disclosures, len(disclosures))

    assert reveal(payload, shuffled).claims == claims
    assert len(disclosures) == len(frame)


def test_a_holders_index_gives_what_disclosing_anew_gives(receipt: SdJwt) -> None:
    held = Disclosable(receipt)

    for paths in (
        [],
        FRAME,
        [("lines", None, "price")],
        [("lines", 0)],
        [("nothing",)],
        [("buyer",)],
    ):
        assert held.disclose(paths) == disclose(receipt, paths)
    assert len(held.disclose([("order",)]).disclosures) == 1


def test_a_holder_takes_nothing_that_is_already_bound(receipt: SdJwt) -> None:
    with pytest.raises(Malformed):
        Disclosable(SdJwt(receipt.issuer_jwt, receipt.disclosures, "e30.e30.AA"))


@pytest.mark.parametrize("count", [1, 3, 4, 5])
def test_decoys_hide_how_many_claims_there_are(count: int, random_bytes: Random) -> None:
    claims: JsonObject = {
        "person": {f"fact{i}": i for i in range(count)},
        "things": [*range(count)],
        "open": [1, 2],
    }
    frame: list[ClaimPath] = [("person", f"fact{i}") for i in range(count)]

    payload, disclosures = conceal(
        claims, [*frame, ("things", None)], random=random_bytes, decoys_to=4
    )

    rounded = -(-count // 4) * 4
    person, things = payload["person"], payload["things"]
    assert isinstance(person, dict)
    assert len(as_list(person["_sd"], "person")) == rounded
    assert len(as_list(things, "things")) == rounded
    assert payload["open"] == [1, 2]
    assert len(disclosures) == 2 * count
    assert reveal(payload, disclosures).claims == claims
    with pytest.raises(Misuse):
        conceal(claims, frame, random=random_bytes, decoys_to=0)


def test_every_salt_is_fresh_and_holds_at_least_128_bits(random_bytes: Random) -> None:
    claims: JsonObject = {f"claim{'x' * (i % 3)}{i}": "v" * (i % 5) for i in range(100)}

    _, disclosures = conceal(claims, [(name,) for name in claims], random=random_bytes)

    salts = {
        as_text(as_list(parse_json(from_b64url(d, "d"), "d"), "d")[0], "salt") for d in disclosures
    }
    assert len(salts) == 100
    assert all(22 <= len(salt) <= 24 for salt in salts)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
        ),
        max_leaves=12,
    ),
    st.integers(1, 5),
)
def test_any_claims_come_back_from_concealing_each_of_them(value: Json, decoys_to: int) -> None:
    claims: JsonObject = {"a": value, "b": [value, value]}
    frame: list[ClaimPath] = [("a",), ("a", None), ("b",), ("b", None), ("b", 1), ("b", None, None)]
    randomness = random.Random(0).randbytes

    try:
        payload, disclosures = conceal(claims, frame, random=randomness, decoys_to=decoys_to)
    except Misuse:
        return
    assert reveal(payload, disclosures).claims == claims


@pytest.mark.parametrize("name", ["...", "_sd_alg"])
def test_refuses_a_reserved_name_that_is_not_in_its_place(name: str) -> None:
    with pytest.raises(Malformed, match="no reserved name here"):
        reveal({"inner": {name: "sha-256"}}, ())


def test_refuses_characters_beyond_ascii() -> None:
    with pytest.raises(Malformed):
        SdJwt.parse("e30.e30.AA~\N{LATIN SMALL LETTER E WITH ACUTE}~")
