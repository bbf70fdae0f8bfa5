"""Token Status List: lowest bits first, whole, fresh, and about the right list."""

import random
import zlib
from datetime import datetime, timedelta

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
from counterfoil_credentials.encoding import JsonObject, b64url
from counterfoil_credentials.errors import Malformed, Misuse, Refused, Unavailable
from counterfoil_credentials.jws import sign_jws
from counterfoil_credentials.token_status_list import Bits
from hypothesis import given
from hypothesis import strategies as st

ISSUER = MemorySigner.from_private_bytes(b"\x01" * 32)
URL = "https://audio.example/status-lists/1"
HOUR = timedelta(hours=1)


def signed(now: datetime, entries: bytes = b"\x04") -> str:
    return sign_status_list(
        entries, url=URL, bits=2, signer=ISSUER, issued_at=now, expires_at=now + HOUR, ttl_s=60
    )


def token_with(listed: JsonObject, now: datetime) -> str:
    claims: JsonObject = {"sub": URL, "iat": int(now.timestamp()), "status_list": listed}
    return sign_jws(claims, typ="statuslist+jwt", signer=ISSUER)


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
        zlib.compress(b"\x00" * (16 * 1024 * 1024 + 1)),
        b"",
    ],
    ids=["not-zlib", "cut", "more", "bomb", "empty"],
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


@pytest.mark.parametrize("bits", [0, 3, 16, "1", True, None])
def test_a_width_that_does_not_exist_is_malformed(bits: int | str | None, now: datetime) -> None:
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
