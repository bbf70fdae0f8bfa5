"""DPoP: one request, one key, one moment (RFC 9449)."""

from datetime import UTC, datetime, timedelta

import pytest
from counterfoil_credentials.dpop import DpopProof, check_dpop, make_dpop
from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.jws import sign_jws
from counterfoil_credentials.keys import Algorithm, Curve, MemorySigner

URL = "https://audio.example/token"
SIGNER = MemorySigner.from_private_bytes(b"\x01" * 32)
OTHER = MemorySigner.from_private_bytes(b"\x02" * 32)
MAX_AGE = timedelta(minutes=5)
NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)

# RFC 9449, sections 4.2, 5.1 and 7.1.
PUBLISHED = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6Ik"
    "VDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCR"
    "nMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JE"
    "QSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIj"
    "oiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwia"
    "WF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg"
    "4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
)
PUBLISHED_THUMBPRINT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
PUBLISHED_TOKEN = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
PUBLISHED_HASH = "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"


def claims(**changes: Json) -> JsonObject:
    return {
        "jti": "a-jti",
        "htm": "POST",
        "htu": URL,
        "iat": int(NOON.timestamp()),
        **changes,
    }


def signed(body: JsonObject, *, typ: str = "dpop+jwt", jwk: Json = None) -> str:
    key: Json = SIGNER.public.jwk() if jwk is None else jwk
    return sign_jws(body, typ=typ, signer=SIGNER, header={"jwk": key})


def without(name: str) -> JsonObject:
    return {key: value for key, value in claims().items() if key != name}


def checked(
    proof: str,
    *,
    method: str = "POST",
    url: str = URL,
    now: datetime = NOON,
    access_token: str | None = None,
) -> DpopProof:
    return check_dpop(
        proof, method=method, url=url, now=now, max_age=MAX_AGE, access_token=access_token
    )


def refused(proof: str, *, url: str = URL, access_token: str | None = None) -> list[str]:
    with pytest.raises(Refused) as refusal:
        checked(proof, url=url, access_token=access_token)
    return refusal.value.codes


def test_the_published_proof_gives_the_published_thumbprint() -> None:
    at = datetime.fromtimestamp(1562262616, UTC)

    proof = checked(PUBLISHED, url="https://server.example.com/token", now=at)

    assert (proof.jkt, proof.jti, proof.nonce) == (PUBLISHED_THUMBPRINT, "-BwC3ESc6acc2lTc", None)


def test_the_published_access_token_has_the_published_hash() -> None:
    assert checked(signed(claims(ath=PUBLISHED_HASH)), access_token=PUBLISHED_TOKEN).jti == "a-jti"


def test_what_is_made_is_accepted_with_its_nonce_and_its_token() -> None:
    proof = make_dpop(
        SIGNER,
        method="POST",
        url=f"{URL}?page=1#top",
        jti="a-jti",
        now=NOON,
        access_token="a-token",
        nonce="a-nonce",
    )

    seen = checked(proof, access_token="a-token")

    assert (seen.key, seen.jti, seen.nonce) == (SIGNER.public, "a-jti", "a-nonce")
    assert seen.jkt == SIGNER.public.thumbprint()


@pytest.mark.parametrize("typ", ["jwt", "JWT", "dpop", "DPOP+jwt", "openid4vci-proof+jwt"])
def test_a_token_of_another_type_is_no_proof(typ: str) -> None:
    assert refused(signed(claims(), typ=typ)) == ["token-type-mismatch"]


@pytest.mark.parametrize("name", ["jti", "htm", "htu", "iat"])
@pytest.mark.parametrize("wrong", [None, 1.5, ["x"]])
def test_each_required_claim_must_be_there_and_of_its_kind(name: str, wrong: Json) -> None:
    for body in (without(name), claims(**{name: wrong})):
        with pytest.raises(Malformed, match=f"dpop.{name}"):
            checked(signed(body))


@pytest.mark.parametrize("jti", ["", "x" * 257])
def test_a_jti_that_could_not_be_remembered_is_malformed(jti: str) -> None:
    assert checked(signed(claims(jti="x" * 256))).jti == "x" * 256
    with pytest.raises(Malformed, match=r"dpop\.jti"):
        checked(signed(claims(jti=jti)))


def test_a_nonce_of_any_length_is_not_taken() -> None:
    assert checked(signed(claims(nonce="x" * 512))).nonce == "x" * 512
    for nonce in ("x" * 513, 7):
        with pytest.raises(Malformed, match=r"dpop\.nonce"):
            checked(signed(claims(nonce=nonce)))


def test_a_private_key_in_the_header_is_malformed() -> None:
    jwk = SIGNER.public.jwk() | {"d": "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"}

    with pytest.raises(Malformed, match="a public key"):
        checked(signed(claims(), jwk=jwk))


def test_a_symmetric_key_and_no_key_are_malformed() -> None:
    headers: list[JsonObject] = [{"jwk": {"kty": "oct", "k": "c2VjcmV0"}}, {"kid": "1"}, {}]
    for header in headers:
        with pytest.raises(Malformed, match="dpop"):
            checked(sign_jws(claims(), typ="dpop+jwt", signer=SIGNER, header=header))


def test_a_signature_by_another_key_is_refused() -> None:
    assert refused(signed(claims(), jwk=OTHER.public.jwk())) == ["signature-invalid"]


def test_one_changed_bit_of_the_signature_is_refused() -> None:
    proof = signed(claims())
    head, _, tail = proof.rpartition(".")

    assert refused(f"{head}.{'B' if tail[0] == 'A' else 'A'}{tail[1:]}") == ["signature-invalid"]


def test_only_an_algorithm_of_the_list_is_accepted() -> None:
    ed25519 = MemorySigner.from_private_bytes(b"\x01" * 32, Curve.ED25519)
    proof = make_dpop(ed25519, method="POST", url=URL, jti="a-jti", now=NOON)

    assert refused(proof) == ["algorithm-not-allowed"]
    seen = check_dpop(
        proof,
        method="POST",
        url=URL,
        now=NOON,
        max_age=MAX_AGE,
        algorithms=frozenset({Algorithm.ED25519}),
    )
    assert seen.key == ed25519.public


@pytest.mark.parametrize("method", ["GET", "post", "PUT", ""])
def test_a_proof_for_another_method_is_refused(method: str) -> None:
    assert refused(signed(claims(htm=method))) == ["method-mismatch"]


@pytest.mark.parametrize(
    "htu",
    [
        URL,
        "HTTPS://audio.example/token",
        "https://AUDIO.example/token",
        "https://audio.example:443/token",
        "https://audio.example/token?x=1",
        "https://audio.example/token#x",
        "https://audio.example/%74oken",
        "https://audio.example/./token",
        "https://audio.example/brands/../token",
        "https://audio.example/brands/%2e%2e/token",
    ],
)
def test_a_url_counts_in_all_its_spellings(htu: str) -> None:
    assert checked(signed(claims(htu=htu))).jti == "a-jti"


@pytest.mark.parametrize(
    "htu",
    [
        "http://audio.example/token",
        "https://audio.example:8443/token",
        "https://audio.example/Token",
        "https://audio.example/token/",
        "https://audio.example//token",
        "https://audio.example/tokens",
        "https://audio.example/tok%2Fen",
        "https://audio.example/",
        "https://audio.example",
        "https://www.audio.example/token",
        "https://audio.example.evil.example/token",
        "https://audio.example@evil.example/token",
        "https://someone@audio.example/token",
        "https://audio.example:port/token",
        "https://audio.example/to\nken",
        "https://[audio.example/token",
        "//audio.example/token",
        "/token",
        "token",
        "",
    ],
)
def test_a_proof_for_another_url_is_refused(htu: str) -> None:
    assert refused(signed(claims(htu=htu))) == ["url-mismatch"]


def test_the_public_url_counts_and_not_the_one_behind_the_proxy() -> None:
    proof = signed(claims())

    assert refused(proof, url="http://127.0.0.1:8000/token") == ["url-mismatch"]


def test_an_encoded_letter_and_another_case_of_its_digits_are_one_url() -> None:
    url = "https://audio.example/a%2fb"

    assert checked(signed(claims(htu="https://audio.example/a%2Fb")), url=url).jti == "a-jti"
    assert refused(signed(claims(htu="https://audio.example/a/b")), url=url) == ["url-mismatch"]


def test_an_empty_path_is_a_slash() -> None:
    assert checked(signed(claims(htu="https://a.example")), url="https://a.example/").jti
    assert checked(signed(claims(htu="https://a.example/b/..")), url="https://a.example/").jti


@pytest.mark.parametrize("late", [-60, 0, 300])
def test_a_proof_is_good_from_a_minute_ahead_until_its_age_is_over(late: int) -> None:
    now = NOON + timedelta(seconds=late)

    seen = checked(signed(claims()), now=now)

    assert seen.ends_at == NOON + timedelta(seconds=301)
    assert seen.ends_at > now


@pytest.mark.parametrize(("late", "code"), [(-61, "proof-from-the-future"), (301, "proof-too-old")])
def test_a_proof_of_another_time_is_refused(late: int, code: str) -> None:
    with pytest.raises(Refused) as refusal:
        checked(signed(claims()), now=NOON + timedelta(seconds=late))

    assert refusal.value.codes == [code]


@pytest.mark.parametrize("iat", [-(2**70), 2**70, 10**40])
def test_a_time_beyond_every_calendar_is_refused_like_any_other(iat: int) -> None:
    code = "proof-too-old" if iat < 0 else "proof-from-the-future"

    assert refused(signed(claims(iat=iat))) == [code]


def test_beside_an_access_token_the_proof_must_be_made_for_it() -> None:
    bare = signed(claims())
    other = make_dpop(SIGNER, method="POST", url=URL, jti="a-jti", now=NOON, access_token="a-tokem")

    with pytest.raises(Malformed, match=r"dpop\.ath"):
        checked(bare, access_token="a-token")
    assert refused(other, access_token="a-token") == ["access-token-mismatch"]


def test_every_reason_is_told_at_once_and_none_tells_a_value() -> None:
    body = claims(htm="GET", htu="https://secret.example/", iat=1)

    with pytest.raises(Refused) as refusal:
        checked(signed(body))

    assert refusal.value.codes == ["method-mismatch", "url-mismatch", "proof-too-old"]
    assert "secret" not in str(refusal.value)


def test_a_proof_of_any_size_is_not_read() -> None:
    with pytest.raises(Malformed, match="at most 8192 bytes"):
        checked(signed(claims(filler="x" * 8_192)))
