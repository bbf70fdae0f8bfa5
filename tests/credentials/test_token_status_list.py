"""Token Status List: lowest bits first, whole, fresh, and about the right list."""

import gzip
import json
import random
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from counterfoil_credentials import (
    INVALID,
    VALID,
    FetchedStatusSource,
    MemoryFetcher,
    MemorySigner,
    Response,
    pack,
    read_status_list,
    sign_status_list,
    status_at,
)
from counterfoil_credentials.encoding import Json, JsonObject, b64url, from_b64url
from counterfoil_credentials.errors import (
    CounterfoilError,
    Malformed,
    Misuse,
    Refused,
    Unavailable,
)
from counterfoil_credentials.jws import read_jws, sign_jws
from counterfoil_credentials.keys import Algorithm, Curve
from counterfoil_credentials.status_entries import (
    MAX_LIST_BYTES,
    BitOrder,
    Bits,
    Effort,
    StatusEntries,
)
from counterfoil_credentials.token_status_list import MAX_TOKEN_BYTES, inflate, sign_status_entries
from hypothesis import given
from hypothesis import strategies as st

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
ISSUER = MemorySigner.from_private_bytes(b"\x01" * 32)
URL = "https://audio.example/status-lists/1"
HOUR = timedelta(hours=1)


def signed(now: datetime, entries: bytes = b"\x04") -> str:
    return sign_status_list(
        entries, url=URL, bits=2, signer=ISSUER, issued_at=now, expires_at=now + HOUR, ttl_s=60
    )


def token_with(listed: Json, now: datetime, **more: Json) -> str:
    claims: JsonObject = {
        "sub": URL,
        "iat": int(now.timestamp()),
        "status_list": listed,
        **more,
    }
    return sign_jws(claims, typ="statuslist+jwt", signer=ISSUER)


GOOD: JsonObject = {"bits": 1, "lst": b64url(zlib.compress(b"\xb9\xa3"))}


def test_reads_back_what_was_signed(now: datetime) -> None:
    listed = read_status_list(signed(now), url=URL, issuer_key=ISSUER.public, now=now)

    assert [listed.status_at(i) for i in range(4)] == [VALID, INVALID, VALID, VALID]
    assert (listed.listed_at, listed.ttl_s) == (now, 60)


@given(
    st.sampled_from([1, 2, 4, 8]).flatmap(
        lambda bits: st.tuples(
            st.just(bits), st.lists(st.integers(0, (1 << bits) - 1), min_size=1, max_size=50)
        )
    )
)
def test_every_entry_comes_back(case: tuple[Bits, list[int]]) -> None:
    bits, statuses = case
    entries = pack(statuses, bits=bits)

    assert [status_at(entries, i, bits=bits) for i in range(len(statuses))] == statuses


@pytest.mark.parametrize("index", [-1, 4, 10**9])
def test_refuses_an_index_out_of_range_instead_of_assuming_valid(index: int) -> None:
    with pytest.raises(Refused) as refusal:
        status_at(b"\x00", index, bits=2)
    assert refusal.value.codes == ["status-index-out-of-range"]


def test_refuses_another_signer_and_another_list(now: datetime) -> None:
    stranger = MemorySigner.from_private_bytes(b"\x09" * 32)

    with pytest.raises(Refused) as refusal:
        read_status_list(signed(now), url=URL, issuer_key=stranger.public, now=now)
    assert refusal.value.codes == ["signature-invalid"]
    with pytest.raises(Refused) as refusal:
        read_status_list(signed(now), url=f"{URL}0", issuer_key=ISSUER.public, now=now)
    assert refusal.value.codes == ["status-list-mismatch"]


def test_an_ended_list_says_nothing_about_now(now: datetime) -> None:
    read_status_list(
        signed(now), url=URL, issuer_key=ISSUER.public, now=now + HOUR - timedelta(seconds=1)
    )
    with pytest.raises(Unavailable):
        read_status_list(signed(now), url=URL, issuer_key=ISSUER.public, now=now + HOUR)


@pytest.mark.parametrize(
    "lst",
    [
        b"not zlib",
        zlib.compress(b"\x00" * 100)[:-1],
        zlib.compress(b"\x00") + b"more",
        zlib.compress(b"\x00") * 2,
        zlib.compress(b"\x00" * 100)[:-1] + b"\x00",
        zlib.compress(b"\x00" * 100)[2:-4],
        zlib.compress(b"\x00" * (MAX_LIST_BYTES + 1)),
        zlib.compressobj(zdict=b"dictionary").flush(),
        gzip.compress(b"\x00"),
        b"",
    ],
    ids=[
        "not-zlib",
        "cut",
        "more",
        "twice",
        "wrong-checksum",
        "raw-deflate",
        "bomb",
        "dictionary",
        "gzip",
        "empty",
    ],
)
def test_a_stream_that_is_not_one_whole_bounded_list_is_malformed(
    lst: bytes, now: datetime
) -> None:
    token = token_with({"bits": 1, "lst": b64url(lst)}, now)

    with pytest.raises(Malformed):
        read_status_list(token, url=URL, issuer_key=ISSUER.public, now=now)


def test_reads_a_large_list_that_hardly_compresses(now: datetime) -> None:
    entries = random.Random(7).randbytes(400_000)
    token = sign_status_list(
        entries, url=URL, bits=2, signer=ISSUER, issued_at=now, expires_at=None, ttl_s=None
    )

    listed = read_status_list(token, url=URL, issuer_key=ISSUER.public, now=now)

    assert listed.entries == entries


def test_a_list_cannot_ask_never_to_be_fetched_again(now: datetime) -> None:
    token = sign_status_list(
        b"", url=URL, bits=2, signer=ISSUER, issued_at=now, expires_at=None, ttl_s=10**14
    )

    assert read_status_list(token, url=URL, issuer_key=ISSUER.public, now=now).ttl_s == 86_400


@pytest.mark.parametrize("bits", [0, 3, 16, -1, 10**30, 1.0, "1", True, None, [1]])
def test_a_width_that_does_not_exist_is_malformed(bits: Json, now: datetime) -> None:
    token = token_with({"bits": bits, "lst": b64url(zlib.compress(b"\x00"))}, now)

    with pytest.raises(Malformed):
        read_status_list(token, url=URL, issuer_key=ISSUER.public, now=now)


def test_packs_no_status_that_does_not_fit() -> None:
    with pytest.raises(Misuse):
        pack([4], bits=2)


def test_fetches_the_whole_list_and_takes_no_error_page_for_one(now: datetime) -> None:
    fetcher = MemoryFetcher()
    token = signed(now)
    answers = [
        Response(200, "application/statuslist+jwt", token.encode()),
        Response(404, "text/html", b"no"),
        Response(200, "application/statuslist+jwt", b"\xff"),
    ]
    fetcher.serve("https://audio.example", lambda _m, _p, _h, _b: answers.pop(0))
    source = FetchedStatusSource(fetcher)

    assert source.fetch(URL) == token
    with pytest.raises(Unavailable):
        source.fetch(URL)
    with pytest.raises(Malformed):
        source.fetch(URL)


def test_a_list_of_the_largest_size_is_read_and_a_bomb_one_byte_larger_is_not() -> None:
    assert len(inflate(zlib.compress(bytes(MAX_LIST_BYTES)))) == MAX_LIST_BYTES
    with pytest.raises(Malformed):
        inflate(zlib.compress(bytes(MAX_LIST_BYTES + 1)))


@pytest.mark.parametrize("effort", Effort)
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_signs_what_the_entries_say_now(bits: Bits, effort: Effort, now: datetime) -> None:
    entries = StatusEntries.blank(300_000, bits=bits, effort=effort)
    entries.set_all(random.Random(bits).sample(range(300_000), 3_000), (1 << bits) - 1)

    def publish() -> bytes:
        token = sign_status_entries(
            entries,
            url=URL,
            signer=ISSUER,
            issued_at=now,
            expires_at=now + HOUR,
            ttl_s=60,
            aggregation_url=f"{URL}s",
        )
        listed = read_status_list(token, url=URL, issuer_key=ISSUER.public, now=now)
        assert (listed.bits, listed.ttl_s, listed.expires_at) == (bits, 60, now + HOUR)
        assert listed.aggregation_url == f"{URL}s"
        assert listed.status_at(299_999) == entries[299_999]
        return listed.entries

    before = publish()
    assert before == entries.raw
    entries[299_999] = 1 - entries[299_999] & 1
    after = publish()
    assert after == entries.raw
    assert after != before


def test_never_signs_a_list_of_the_other_bit_order(now: datetime) -> None:
    for order, signs in ((BitOrder.LOWEST_FIRST, True), (BitOrder.HIGHEST_FIRST, False)):
        entries = StatusEntries(b"\x01", bits=1, order=order)
        try:
            sign_status_entries(
                entries, url=URL, signer=ISSUER, issued_at=now, expires_at=None, ttl_s=None
            )
        except Misuse:
            assert not signs
        else:
            assert signs


def test_signs_no_negative_time_to_live(now: datetime) -> None:
    with pytest.raises(Misuse):
        sign_status_list(
            b"", url=URL, bits=1, signer=ISSUER, issued_at=now, expires_at=None, ttl_s=-1
        )


def test_an_older_list_than_one_seen_is_refused_and_one_as_old_is_not(now: datetime) -> None:
    token = token_with(GOOD, now)

    def read(seen_at: datetime | None) -> None:
        read_status_list(token, url=URL, issuer_key=ISSUER.public, now=now + HOUR, seen_at=seen_at)

    for seen_at in (None, now - HOUR, now):
        read(seen_at)
    with pytest.raises(Refused) as refusal:
        read(now + timedelta(seconds=1))
    assert refusal.value.codes == ["status-list-older"]


def test_every_reason_against_a_list_is_gathered(now: datetime) -> None:
    token = token_with(GOOD, now + HOUR, aud="https://shop.example")

    with pytest.raises(Refused) as refusal:
        read_status_list(
            token, url=f"{URL}0", issuer_key=ISSUER.public, now=now, seen_at=now + 2 * HOUR
        )
    assert refusal.value.codes == [
        "status-list-mismatch",
        "status-list-for-others",
        "status-list-from-the-future",
        "status-list-older",
    ]


def test_a_forged_list_is_refused_for_its_signature_alone(now: datetime) -> None:
    head, _, signature = token_with(GOOD, now).split(".")
    forged = b64url(json.dumps({"sub": "another", "iat": -1}).encode())

    with pytest.raises(Refused) as refusal:
        read_status_list(f"{head}.{forged}.{signature}", url=URL, issuer_key=ISSUER.public, now=now)
    assert refusal.value.codes == ["signature-invalid"]


@pytest.mark.parametrize("seconds", [0, 60])
def test_clocks_may_differ_by_a_minute_and_no_more(seconds: int, now: datetime) -> None:
    ahead = now + timedelta(seconds=seconds)
    for token in (token_with(GOOD, ahead), token_with(GOOD, now, nbf=int(ahead.timestamp()))):
        read_status_list(token, url=URL, issuer_key=ISSUER.public, now=now)

    beyond = now + timedelta(seconds=61)
    with pytest.raises(Refused) as refusal:
        read_status_list(token_with(GOOD, beyond), url=URL, issuer_key=ISSUER.public, now=now)
    assert refusal.value.codes == ["status-list-from-the-future"]
    with pytest.raises(Unavailable):
        read_status_list(
            token_with(GOOD, now, nbf=int(beyond.timestamp())),
            url=URL,
            issuer_key=ISSUER.public,
            now=now,
        )


@pytest.mark.parametrize(
    ("ttl", "read"),
    [(0, 0), (0.5, 0), (1, 1), (43_200.0, 43_200), (10**30, 86_400), (1e300, 86_400)],
)
def test_a_time_to_live_is_a_number_and_bounded(ttl: Json, read: int, now: datetime) -> None:
    token = token_with(GOOD, now, ttl=ttl)

    assert read_status_list(token, url=URL, issuer_key=ISSUER.public, now=now).ttl_s == read


@pytest.mark.parametrize(
    "change",
    [
        {"sub": None},
        {"sub": [URL]},
        {"iat": None},
        {"iat": "1700000000"},
        {"iat": True},
        {"iat": -1},
        {"iat": 10**30},
        {"exp": "soon"},
        {"exp": 10**18},
        {"nbf": []},
        {"ttl": -1},
        {"ttl": -0.5},
        {"ttl": True},
        {"ttl": "60"},
        {"ttl": None},
        {"status_list": None},
        {"status_list": [1]},
        {"status_list": {"bits": 1}},
        {"status_list": {"lst": "eNrbuRgAAhcBXQ"}},
        {"status_list": {"bits": 1, "lst": None}},
        {"status_list": {"bits": 1, "lst": "eNrbuRgAAhcBXQ=="}},
        {"status_list": {"bits": 1, "lst": "eNrbuRgAAhcB\x00Q"}},
        {"status_list": {"bits": 1, "lst": "eNrbuRgAAhcBé"}},
        {"status_list": {**GOOD, "aggregation_uri": 7}},
        {"status_list": {**GOOD, "aggregation_uri": None}},
    ],
    ids=str,
)
def test_a_claim_of_another_kind_is_malformed(change: JsonObject, now: datetime) -> None:
    claims: JsonObject = {"sub": URL, "iat": int(now.timestamp()), "status_list": GOOD}
    read_status_list(
        sign_jws(claims, typ="statuslist+jwt", signer=ISSUER),
        url=URL,
        issuer_key=ISSUER.public,
        now=now,
    )
    token = sign_jws({**claims, **change}, typ="statuslist+jwt", signer=ISSUER)

    with pytest.raises(Malformed):
        read_status_list(token, url=URL, issuer_key=ISSUER.public, now=now)


@pytest.mark.parametrize("missing", ["sub", "iat", "status_list"])
def test_a_missing_claim_is_malformed(missing: str, now: datetime) -> None:
    claims: JsonObject = {"sub": URL, "iat": int(now.timestamp()), "status_list": GOOD}
    del claims[missing]

    with pytest.raises(Malformed):
        read_status_list(
            sign_jws(claims, typ="statuslist+jwt", signer=ISSUER),
            url=URL,
            issuer_key=ISSUER.public,
            now=now,
        )


def test_another_type_of_token_and_another_algorithm_are_refused(now: datetime) -> None:
    claims: JsonObject = {"sub": URL, "iat": int(now.timestamp()), "status_list": GOOD}
    other = MemorySigner.generate(Curve.ED25519)
    for typ, signer, code in (
        ("JWT", ISSUER, "token-type-mismatch"),
        ("statuslist+cwt", ISSUER, "token-type-mismatch"),
        ("statuslist+jwt", other, "algorithm-not-allowed"),
    ):
        token = sign_jws(claims, typ=typ, signer=signer)
        with pytest.raises(Refused) as refusal:
            read_status_list(token, url=URL, issuer_key=signer.public, now=now)
        assert refusal.value.codes == [code]

    read_status_list(
        sign_jws(claims, typ="statuslist+jwt", signer=other),
        url=URL,
        issuer_key=other.public,
        now=now,
        algorithms=frozenset({Algorithm.ED25519}),
    )


@given(st.one_of(st.text(), st.binary().map(lambda data: data.decode("latin-1"))))
def test_any_text_at_all_is_refused_in_our_own_words(text: str) -> None:
    for token in (
        text,
        f"{text}.{text}.{text}",
        token_with(text, NOON),
        token_with(GOOD, NOON, ttl=text),
    ):
        try:
            read_status_list(token, url=URL, issuer_key=ISSUER.public, now=NOON)
        except CounterfoilError:
            continue
        raise AssertionError(text)


@given(
    st.binary(max_size=60), st.integers(0, 59), st.sampled_from([b"", zlib.compress(b"\xb9\xa3")])
)
def test_any_bytes_inflate_to_a_list_or_are_malformed(noise: bytes, at: int, good: bytes) -> None:
    stream = good[:at] + noise + good[at:]
    try:
        entries = inflate(stream)
    except Malformed:
        return
    assert entries == zlib.decompress(stream)


@pytest.mark.parametrize("name", ["short_1bit", "short_2bit", "long_1bit", "long_4bit"])
def test_entries_set_one_by_one_are_the_published_lists(
    vectors: Callable[[str], Path], name: str
) -> None:
    published = json.loads((vectors("token-status-list") / f"{name}.json").read_text())
    plain = zlib.decompress(from_b64url(published["json"]["lst"], "lst"))
    entries = StatusEntries.blank(published["size"], bits=published["bits"])
    for index, status in published["status"].items():
        entries[int(index)] = status

    assert entries.raw == plain
    assert zlib.decompress(entries.zlib_stream()) == plain


def test_what_is_signed_is_never_too_long_to_be_read(now: datetime) -> None:
    # Base64 twice makes sixteen of nine, and noise does not compress.
    noise = random.Random(1).randbytes(MAX_TOKEN_BYTES * 9 // 16)

    with pytest.raises(Misuse, match="at most 8388608 bytes"):
        signed(now, noise)
    listed = read_status_list(
        signed(now, noise[:-4_096]), url=URL, issuer_key=ISSUER.public, now=now
    )
    assert listed.entries == noise[:-4_096]


def test_the_published_example_is_what_we_sign_but_for_the_issuer(
    vectors: Callable[[str], Path],
) -> None:
    published = (vectors("token-status-list") / "status_list_token_jwt.txt").read_text().strip()
    theirs = read_jws(published, typ="statuslist+jwt", where="theirs").unverified_claims
    token = sign_status_list(
        b"\xb9\xa3",
        url=str(theirs["sub"]),
        bits=1,
        signer=ISSUER,
        issued_at=datetime.fromtimestamp(1686920170, NOON.tzinfo),
        expires_at=datetime.fromtimestamp(2291720170, NOON.tzinfo),
        ttl_s=43_200,
    )

    ours = read_jws(token, typ="statuslist+jwt", where="ours").unverified_claims

    assert {**ours, "iss": "https://example.com"} == theirs


def test_any_success_is_a_list_and_nothing_else_is(now: datetime) -> None:
    token = signed(now)
    statuses = (199, 200, 203, 299, 300, 304, 404, 501)
    answers = [Response(one, "application/statuslist+jwt", token.encode()) for one in statuses]
    fetcher = MemoryFetcher()
    fetcher.serve("https://audio.example", lambda _m, _p, _h, _b: answers.pop(0))
    source = FetchedStatusSource(fetcher)

    for status in statuses:
        if 200 <= status < 300:
            assert source.fetch(URL) == token
        else:
            with pytest.raises(Unavailable):
                source.fetch(URL)
