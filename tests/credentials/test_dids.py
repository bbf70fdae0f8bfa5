"""DIDs by themselves: what is one, what follows it, and those that are their own key."""

import time
from contextlib import suppress
from urllib.parse import quote

import pytest
from counterfoil_credentials.dids import (
    Did,
    DidUrl,
    did_jwk,
    did_key,
    key_id_of,
    key_of,
    key_of_did_jwk,
    key_of_did_key,
    method_of,
    parse_did,
)
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.keys import Curve, MemorySigner
from hypothesis import given
from hypothesis import strategies as st

KEYS = {
    curve: MemorySigner.from_private_bytes(b"\x07" * size, curve).public
    for curve, size in zip(Curve, (32, 48, 32, 32), strict=True)
}
KEY = KEYS[Curve.P256]


@pytest.mark.parametrize(
    "text",
    [
        "did:example:123456789abcdefghi",
        "did:web:brand.example%3A8443:de:audio",
        "did:a:b",
        "did:3:-._%00",
        "did:example::a",
        f"did:example:{'a' * 2036}",
    ],
)
def test_a_did_of_any_method_is_read(text: str) -> None:
    did = parse_did(text, "did")

    assert did == text
    assert DidUrl.parse(f"{text}#0", "did") == DidUrl(did, fragment="0")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "did",
        "did:",
        "did:example",
        "did:example:",
        "did:example:a:",
        "did::a",
        "DID:example:a",
        "did:Example:a",
        "did:ex-ample:a",
        "did:example:a b",
        "did:example:a%4",
        "did:example:a%zz",
        "did:example:ä",
        "did:example:a\n",
        "did:example:a\x00",
        "did:example:\udc80",
        "did:example:a#b",
        "did:example:a/b",
        "did:example:a?b",
        "did:example:a@b",
        " did:example:a",
        f"did:example:{'a' * 2037}",
    ],
)
def test_what_is_nearly_a_did_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        parse_did(text, "did")


def test_a_did_url_falls_into_its_parts_and_back() -> None:
    text = "did:example:a:b/path/%2F//?service=x&q=a/b?#frag/?ment"
    url = DidUrl.parse(text, "url")

    assert url == DidUrl(Did("did:example:a:b"), "/path/%2F//", "service=x&q=a/b?", "frag/?ment")
    assert str(url) == text
    assert method_of(url.did) == "example"
    assert str(DidUrl.parse("did:example:a?#", "url")) == "did:example:a?#"


@pytest.mark.parametrize(
    "tail", ["#a#b", "#a b", "/^bar^/", "?query=`", "#%4", "#\udc80", "#ä", "a\n", "#[a]"]
)
def test_what_is_nearly_a_did_url_is_malformed(tail: str) -> None:
    with pytest.raises(Malformed):
        DidUrl.parse(f"did:example:a{tail}", "url")


def test_only_a_fragment_may_stand_without_its_did() -> None:
    did = Did("did:web:brand.example")

    assert str(DidUrl.under(did, "#key-1", "id")) == "did:web:brand.example#key-1"
    assert DidUrl.under(did, "did:web:other.example#k", "id").did == "did:web:other.example"
    for reference in (
        "",
        "key-1",
        "/x#key-1",
        "?a#key-1",
        "//other#k",
        "#a#b",
        "https://a.example",
    ):
        with pytest.raises(Malformed):
            DidUrl.under(did, reference, "id")


def test_a_long_text_that_is_nearly_a_did_is_refused_at_once() -> None:
    started = time.perf_counter()
    for text in (f"did:a:{':' * 2_000}", f"did:a:{'%4' * 1_000}", f"did:a:{'a' * 2_000}:"):
        with pytest.raises(Malformed):
            parse_did(text, "did")
        with pytest.raises(Malformed):
            DidUrl.parse(f"{text}/{'a/' * 900}\n", "did")
    with pytest.raises(Malformed):
        DidUrl.parse("did:a:" * 10_000_000, "did")
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize("curve", Curve)
def test_a_did_that_is_its_key_gives_it(curve: Curve) -> None:
    key = KEYS[curve]
    for did in (did_jwk(key), did_key(key)):
        assert parse_did(did, "did") == did
        assert key_of(did, "did") == key
        assert key_of(key_id_of(did), "did") == key
        assert DidUrl.parse(key_id_of(did), "id").did == did


def test_each_method_reads_only_its_own() -> None:
    for read, did in ((key_of_did_jwk, did_key(KEY)), (key_of_did_key, did_jwk(KEY))):
        with pytest.raises(Malformed):
            read(did, "did")
    for other in ("did:web:brand.example", "did:example:a", "", "z6Mk", "did:key", "did:key:"):
        with pytest.raises(Malformed):
            key_of(other, "did")


def test_a_did_key_one_thing_away_is_none() -> None:
    did = did_key(KEY)
    suffix = did.removeprefix("did:key:")
    neighbours = [
        f"{did}#0",
        f"{did}#",
        f"{did}#{suffix}x",
        f"{did}/",
        f"{did}1",
        f"did:key:1:{suffix}",  # The format has no version, and a key no second name.
        f"did:key:{suffix[1:]}",
        f"did:key:{suffix.swapcase()}",
        f"did:key:{quote(suffix)}%31",
        f"did:key:{suffix[:-1]}",
        f"did:key:{'z' * 2_050}",
    ]
    for text in neighbours:
        # A character less or more shifts the bits, so that the key may be of another kind.
        with pytest.raises((Malformed, Refused)):
            key_of(text, "did")


def test_a_did_key_of_another_kind_is_refused_as_such() -> None:
    # X25519, from the did:key method's own vectors.
    with pytest.raises(Refused) as refused:
        key_of("did:key:z6LSeu9HkTHSfLLeUs2nnzUSNedgDUevfNQgQjQC23ZCit6F", "did")

    assert refused.value.codes == ["key-type-unsupported"]


@given(st.text(max_size=60), st.sampled_from(["", "did:", "did:key:z", "did:jwk:", "did:web:"]))
def test_any_text_gives_a_did_url_or_our_error(text: str, beginning: str) -> None:
    for read in (DidUrl.parse, parse_did, key_of):
        with suppress(Malformed, Refused):
            found = read(beginning + text, "did")
            assert read is key_of or str(found) == beginning + text
