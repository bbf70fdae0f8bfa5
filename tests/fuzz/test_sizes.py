"""The largest inputs that a parser takes, shaped to cost it most, end soon and stay small.

What a fuzzer cannot find with short inputs: work that grows faster than the input.
Each of these takes well under a second; where the work grew with the square of
the length it took minutes.
"""

import time
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.sdjwt import MAX_SD_JWT_BYTES, digest

from tests.fuzz.alarm import within_its_time
from tests.fuzz.documents import dcql, did, encoding, links, metadata
from tests.fuzz.fixed import VCT, WARRANTY
from tests.fuzz.tokens import jws, request, sd_jwt
from tests.fuzz.tokens import status_list as status

MOST_CPU_S = 5.0
MANY = 180_000
"""Bytes of JSON that fit, as base64url, into the largest credential."""
SOME = 45_000
"""Bytes of JSON that fit, as base64url, into the largest other token."""

HEAD = b'S{"iss":"i","vct":"v",'


def _array_disclosures(count: int) -> bytes:
    contents = [b'["s",%d]' % i for i in range(count)]
    places = b",".join(b'{"...":"%s"}' % digest(b64url(c)).encode() for c in contents)
    return HEAD + b'"a":[' + places + b"]}\n" + b"\n".join(contents)


def _nested_disclosures(count: int) -> bytes:
    """Each conceals the next, as deep as the digests reach."""
    contents = [b'["s","n",{"_sd":["#%d"]}]' % (i + 1) for i in range(count)]
    return HEAD + b'"_sd":["#0"]}\n' + b"\n".join(contents)


def _query(claims: bytes, credentials: int) -> bytes:
    one = b'{"id":"c%d","format":"dc+sd-jwt","meta":{"vct_values":["%s"]},"claims":[%s]}'
    each = [one % (i, VCT.encode(), claims) for i in range(credentials)]
    return b'{"credentials":[%s]}' % b",".join(each)


def _list_of_objects(count: int) -> bytes:
    return b'{"a":[%s]}' % b",".join([b"{}"] * count)


PATHS = b",".join(b'{"path":["a",null,"z%d"]}' % i for i in range(100))

SD_JWTS = {
    "a long name above many objects": HEAD
    + b'"%s":[%s]}' % (b"n" * (MANY // 2), b",".join([b"{}"] * (MANY // 6))),
    "a long name far above many lists": HEAD
    + b'"%s":%s%s%s}'
    % (b"n" * (MANY // 2), b"[" * 25, b",".join([b"[]"] * (MANY // 6)), b"]" * 25),
    "long names below one another": HEAD[:-1]
    + b"".join(b',"%s":{"a":[]' % (b"n" * 6_000) for _ in range(28))
    + b"}" * 29,
    "many digests of nothing": HEAD
    + b'"_sd":[%s]}' % b",".join(b'"%05d"' % i for i in range(MANY // 9)),
    "many digests that are one": HEAD + b'"_sd":[%s]}' % b",".join([b'"d"'] * (MANY // 4)),
    "many disclosures": _array_disclosures(900),
    "many disclosures below one another": _nested_disclosures(900),
    "many names": HEAD + b"%s}" % b",".join(b'"%d":1' % i for i in range(MANY // 10)),
    "tildes": b"T" + b"~" * MAX_SD_JWT_BYTES,
    "full stops": b"T" + b"." * (MAX_SD_JWT_BYTES - 1) + b"~",
    "a long disclosure": b"T" + str(WARRANTY).encode() + b"A" * MANY + b"~",
}
OTHERS: dict[str, tuple[Callable[[bytes], None], bytes]] = {
    "open lists": (encoding, b"J" + b"[" * MANY),
    "open texts in open lists": (encoding, b"J" + b'["' * (MANY // 2)),
    "backslashes": (encoding, b'J"' + b"\\" * MANY),
    "escapes": (encoding, b'J"' + b"\\u0041" * (MANY // 6) + b'"'),
    "brackets in a text": (encoding, b'J["' + b"[" * MANY + b'"]'),
    "digits": (encoding, b"J" + b"9" * MANY),
    "digits of a fraction": (encoding, b"J0." + b"1" * MANY),
    "digits of an exponent": (encoding, b"J1e" + b"9" * MANY),
    "many long numbers": (encoding, b"J[" + b",".join([b"9" * 4_000] * 40) + b"]"),
    "spaces": (encoding, b"J" + b" " * MANY),
    "base64url": (encoding, b"B" + b"A" * 8_000_000),
    "a token of full stops": (jws, b"T" + b"." * 65_000),
    "a header of names": (
        jws,
        b'S{"alg":"ES256","typ":"fuzz+jwt",%s}\n{}'
        % b",".join(b'"%d":1' % i for i in range(SOME // 10)),
    ),
    "a long did:jwk": (did, b"Tdid:jwk:" + b"A" * MANY),
    "a long did:key": (did, b"Tdid:key:z" + b"2" * MANY),
    "a long did:web": (did, b"Tdid:web:" + b"a:" * MANY),
    "a long did:pkh": (did, b"Tdid:pkh:eip155:" + b"1" * MANY),
    "many values": (
        dcql,
        b"C%s\n%s"
        % (
            _query(b'{"path":["a",null],"values":[%s]}' % b",".join([b"1"] * 100), 20),
            b'{"a":[%s]}' % b",".join([b"0"] * (MANY // 2)),
        ),
    ),
    "many steps": (
        dcql,
        b"C%s\n%s"
        % (
            _query(b'{"path":[%s]}' % b",".join([b'"a"', *[b"null"] * 15]), 20),
            b'{"a":%s0%s}' % (b"[" * 15, b"]" * 15),
        ),
    ),
    # What each query may walk, walked by all of them; and a list that is too long for that.
    "many paths": (dcql, b"C%s\n%s" % (_query(PATHS, 20), _list_of_objects(1_999))),
    "too many paths": (dcql, b"C%s\n%s" % (_query(PATHS, 20), _list_of_objects(MANY // 3))),
    "an offer of escapes": (links, b"O" + b"[" * 5_000),
    "a link of ampersands": (links, b"Lopenid4vp://?" + b"&" * 8_000),
    "a request of texts": (
        request,
        b'C{"transaction_data":[%s]}' % b",".join([b'""'] * (SOME // 3)),
    ),
    "many keys": (
        metadata,
        b'K{"issuer":"https://brand.example","jwks":{"keys":[%s]}}' % b",".join([b"{}"] * 60_000),
    ),
}
STREAMS = {
    "a gigabyte of zeros": zlib.compress(bytes(2**30), 1),
    "the longest list": zlib.compress(bytes(16 * 2**20), 9),
    "a million empty blocks": b"\x78\x9c" + b"\0\0\0\xff\xff" * 1_000_000,
}


def _cpu_s(target: Callable[[bytes], None], data: bytes, name: str) -> float:
    started = time.process_time()
    with within_its_time(name):
        target(data)
    return time.process_time() - started


@pytest.mark.parametrize("name", SD_JWTS)
def test_the_largest_sd_jwt_ends_soon(name: str) -> None:
    assert _cpu_s(sd_jwt, SD_JWTS[name], name) < MOST_CPU_S


@pytest.mark.parametrize("name", OTHERS)
def test_the_largest_input_ends_soon(name: str) -> None:
    target, data = OTHERS[name]

    assert _cpu_s(target, data, name) < MOST_CPU_S


@pytest.mark.parametrize("name", STREAMS)
def test_a_bomb_in_a_status_list_stays_small(name: str) -> None:
    data = b"Z\0" + STREAMS[name]
    tracemalloc.start()
    try:
        taken = _cpu_s(status, data, name)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert taken < MOST_CPU_S
    # The bound of the list, twice while it grows, and the token in the forms it passes through.
    assert peak < 16 * 2**20 * 2 + 2**20 + len(data) * 24
