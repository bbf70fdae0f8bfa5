"""An issuer's keys: where they are, which of them count, and for whom."""

import json
import traceback
from collections.abc import Mapping

import pytest
from counterfoil_credentials.encoding import Json, JsonObject, compact_json
from counterfoil_credentials.errors import CounterfoilError, Malformed, Refused, Unavailable
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.issuer_keys import (
    fetch_issuer_keys,
    issuer_key_named,
    issuer_keys_document,
    parse_issuer_keys,
    parse_signing_keys,
    well_known,
)
from counterfoil_credentials.keys import Curve, MemorySigner
from hypothesis import given
from hypothesis import strategies as st

ISSUER = "https://audio.example/brands/1"
METADATA = "/.well-known/jwt-vc-issuer/brands/1"
SIGNER = MemorySigner.from_private_bytes(b"\x01" * 32)
OTHER = MemorySigner.from_private_bytes(b"\x02" * 32)
EVERY_KIND = [MemorySigner.from_private_bytes(b"\x03" * 32, c) for c in Curve if c != Curve.P384]
EVERY_KIND.append(MemorySigner.from_private_bytes(b"\x03" * 48, Curve.P384))

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def jwks(*keys: JsonObject) -> JsonObject:
    return {"keys": [*keys]}


def key(signer: MemorySigner = SIGNER, **more: Json) -> JsonObject:
    return {**signer.public.jwk(), **more}


def parsed(*keys: Json) -> list[str]:
    return list(parse_signing_keys({"keys": [*keys]}, "jwks"))


def served(
    answers: Mapping[str, JsonObject], status: int = 200, media_type: str = "application/json"
) -> MemoryFetcher:
    def answer(_m: str, path: str, _h: Mapping[str, str], _b: bytes) -> Response:
        if path not in answers:
            return Response(404, "application/json", b"{}")
        return Response(status, media_type, compact_json(answers[path]))

    fetcher = MemoryFetcher()
    fetcher.serve("https://audio.example", answer)
    return fetcher


class TestWellKnown:
    @pytest.mark.parametrize(
        ("issuer", "url"),
        [
            ("https://a.example", "https://a.example/.well-known/jwt-vc-issuer"),
            ("https://a.example/", "https://a.example/.well-known/jwt-vc-issuer"),
            ("https://a.example/t/1", "https://a.example/.well-known/jwt-vc-issuer/t/1"),
            ("https://a.example/t/1/", "https://a.example/.well-known/jwt-vc-issuer/t/1"),
            ("https://a.example:8443/t", "https://a.example:8443/.well-known/jwt-vc-issuer/t"),
        ],
    )
    def test_the_name_stands_between_host_and_path(self, issuer: str, url: str) -> None:
        assert well_known(issuer, "jwt-vc-issuer") == url

    @pytest.mark.parametrize(
        "issuer",
        [
            "",
            "a.example",
            "/t",
            "https://",
            "https://[a.example",
            "https://a.example?x",
            "https://a.example?",
            "https://a.example#x",
            "https://a.example#",
            "https://a.exa\nmple",
            "https://a.example/\x00",
            " https://a.example",
            "https://ä.example",
            "https://a.example/\ud800",
        ],
    )
    def test_what_is_no_issuers_url_has_none(self, issuer: str) -> None:
        with pytest.raises(Malformed, match="issuer"):
            well_known(issuer, "jwt-vc-issuer")

    def test_what_is_no_issuers_url_is_not_repeated_in_a_traceback(self) -> None:
        issuer = "https://the-secret\u2100"

        with pytest.raises(Malformed) as failure:
            well_known(issuer, "jwt-vc-issuer")

        assert "the-secret" not in "".join(traceback.format_exception(failure.value))


class TestKeys:
    def test_every_kind_of_ours_is_read_back_from_what_we_publish(self) -> None:
        keys = [signer.public for signer in EVERY_KIND]

        found = parse_issuer_keys(issuer_keys_document(ISSUER, keys), ISSUER)

        assert found == {one.thumbprint(): one for one in keys}
        assert {one.curve for one in found.values()} == {*Curve}

    def test_a_kid_names_a_key_and_the_only_key_needs_none(self) -> None:
        keys = parse_signing_keys(jwks(key(kid="1"), key(OTHER, kid="2")), "jwks")

        assert issuer_key_named(keys, "2") == OTHER.public
        assert issuer_key_named(keys, "3") is None
        assert issuer_key_named(keys, None) is None
        assert issuer_key_named({"1": SIGNER.public}, None) == SIGNER.public

    @pytest.mark.parametrize(
        "stranger",
        [
            key(use="enc"),
            key(alg="ECDH-ES"),
            key(alg="ES384"),
            key(key_ops=["deriveBits"]),
            {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
            {"kty": "OKP", "crv": "X25519", "x": "AA"},
            {"kty": ["EC"], "crv": {}},
            {"kty": "EC", "crv": "P-256"},
            key(x="AAAA"),
            key(y=SIGNER.public.jwk()["x"]),
            key(d="AAAA"),
            key(kid=1),
            key(kid=None),
            {},
            5,
            None,
            "key",
            [],
        ],
    )
    def test_a_key_that_verifies_no_credentials_is_passed_over(self, stranger: Json) -> None:
        assert parsed(stranger, key(OTHER, kid="2")) == ["2"]

    @pytest.mark.parametrize("kid", ["1", SIGNER.public.thumbprint()])
    def test_one_kid_for_two_keys_of_one_kind_is_malformed(self, kid: str) -> None:
        with pytest.raises(Malformed, match="each kid once"):
            parsed(key(kid=kid), key(OTHER, kid=kid))
        with pytest.raises(Malformed, match="each kid once"):
            parsed(key(kid=kid), key(kid=kid))
        with pytest.raises(Malformed, match="each kid once"):
            parsed(key(), key(OTHER, kid=SIGNER.public.thumbprint()))

    def test_a_kid_may_stand_on_keys_of_several_kinds_and_the_algorithm_tells_which(self) -> None:
        named = jwks(*(key(one, kid="1") for one in EVERY_KIND), key(OTHER, kid="2"))

        for signer in EVERY_KIND:
            algorithm = signer.public.algorithm
            found = parse_signing_keys(named, "jwks", algorithm=algorithm)
            assert issuer_key_named(found, "1") == signer.public
            assert ("2" in found) == (algorithm == "ES256")
        for unknown in ("none", "HS256", "", "es256"):
            assert parse_signing_keys(named, "jwks", algorithm=unknown) == {}

    def test_a_kid_on_several_kinds_means_none_where_no_algorithm_tells(self) -> None:
        named = [key(one, kid="1") for one in EVERY_KIND]

        assert parsed(*named, key(OTHER, kid="2")) == ["2"]

    def test_either_spelling_of_ed25519_means_its_key(self) -> None:
        (edwards,) = (one for one in EVERY_KIND if one.public.curve is Curve.ED25519)
        for algorithm in ("Ed25519", "EdDSA"):
            found = parse_signing_keys(jwks(key(edwards, kid="1")), "jwks", algorithm=algorithm)
            assert found == {"1": edwards.public}

    def test_a_kid_may_return_on_a_key_for_another_use(self) -> None:
        assert parsed(key(kid="1"), key(OTHER, kid="1", use="enc")) == ["1"]

    def test_a_hundred_keys_are_read_and_one_more_is_not(self) -> None:
        many = [key(kid=str(i)) for i in range(101)]

        assert len(parsed(*many[:100])) == 100
        with pytest.raises(Malformed, match="at most 100 keys, found 101"):
            parsed(*many)

    @pytest.mark.parametrize("value", [None, 1, "x", {}, [1], [None], {"keys": {}}, {"keys": None}])
    def test_another_kind_of_set_is_malformed(self, value: Json) -> None:
        with pytest.raises(Malformed):
            parse_issuer_keys({"issuer": ISSUER, "jwks": value}, ISSUER)

    @given(st.dictionaries(st.sampled_from(["issuer", "jwks", "jwks_uri", "keys"]), json_values))
    def test_any_document_raises_only_our_errors(self, document: JsonObject) -> None:
        for found in (document, {**document, "issuer": ISSUER}):
            try:
                parse_issuer_keys(found, ISSUER)
            except CounterfoilError:
                continue
            assert "jwks" in found

    @given(st.dictionaries(st.sampled_from(["kty", "crv", "x", "y", "use", "alg"]), json_values))
    def test_any_other_key_is_passed_over(self, changes: JsonObject) -> None:
        changed = {**key(), **changes}

        assert len(parsed(changed)) == (changed == key())


class TestFetching:
    def test_the_keys_stand_in_the_metadata(self) -> None:
        document = issuer_keys_document(ISSUER, [SIGNER.public])

        found = fetch_issuer_keys(served({METADATA: document}), ISSUER)

        assert found == {SIGNER.public.thumbprint(): SIGNER.public}

    @pytest.mark.parametrize("media_type", ["application/json", "application/jwk-set+json"])
    def test_or_where_the_metadata_points(self, media_type: str) -> None:
        def answer(_m: str, path: str, _h: Mapping[str, str], _b: bytes) -> Response:
            if path == METADATA:
                body: JsonObject = {"issuer": ISSUER, "jwks_uri": "https://keys.example/1.jwks"}
                return Response(200, "application/json", compact_json(body))
            assert path == "/1.jwks"
            return Response(200, media_type, compact_json(jwks(key(kid="1"))))

        fetcher = MemoryFetcher()
        for origin in ("https://audio.example", "https://keys.example"):
            fetcher.serve(origin, answer)

        assert fetch_issuer_keys(fetcher, ISSUER) == {"1": SIGNER.public}
        assert fetch_issuer_keys(fetcher, ISSUER, algorithm="ES384") == {}

    def test_both_places_or_neither_is_malformed(self) -> None:
        both: JsonObject = {**issuer_keys_document(ISSUER, []), "jwks_uri": "https://a.example"}
        neither: JsonObject = {"issuer": ISSUER}
        for document, found in ((both, "both"), (neither, "neither")):
            with pytest.raises(Malformed, match=found):
                fetch_issuer_keys(served({METADATA: document}), ISSUER)

    def test_the_address_of_keys_is_not_the_keys(self) -> None:
        with pytest.raises(Malformed, match="the address of keys"):
            parse_issuer_keys({"issuer": ISSUER, "jwks_uri": "https://a.example"}, ISSUER)

    @pytest.mark.parametrize(
        "url", [None, 1, "", "keys.jwks", "file:///etc/passwd", "https://a.example/\n"]
    )
    def test_an_address_that_is_none_is_not_fetched(self, url: Json) -> None:
        with pytest.raises((Malformed, Refused)):
            fetch_issuer_keys(served({METADATA: {"issuer": ISSUER, "jwks_uri": url}}), ISSUER)

    @pytest.mark.parametrize("issuer", [f"{ISSUER}/", ISSUER.upper(), "https://audio.example"])
    def test_the_metadata_of_another_issuer_is_malformed(self, issuer: str) -> None:
        # Another issuer must not even be able to make us fetch its keys.
        bare: JsonObject = {"issuer": issuer}
        for document in (issuer_keys_document(issuer, [SIGNER.public]), bare):
            with pytest.raises(Malformed, match="another issuer"):
                fetch_issuer_keys(served({METADATA: document}), ISSUER)

    def test_keys_that_are_not_there_are_unavailable(self) -> None:
        with pytest.raises(Unavailable, match="404"):
            fetch_issuer_keys(served({}), ISSUER)
        pointed: JsonObject = {"issuer": ISSUER, "jwks_uri": "https://audio.example/none"}
        with pytest.raises(Unavailable, match="404"):
            fetch_issuer_keys(served({METADATA: pointed}), ISSUER)
        with pytest.raises(Unavailable, match="nobody there"):
            fetch_issuer_keys(MemoryFetcher(), ISSUER)

    def test_a_set_that_is_too_long_is_unavailable(self) -> None:
        long: JsonObject = {**issuer_keys_document(ISSUER, []), "note": "x" * 65_536}

        assert len(json.dumps(long)) > 65_536
        with pytest.raises(Unavailable):
            fetch_issuer_keys(served({METADATA: long}), ISSUER)
