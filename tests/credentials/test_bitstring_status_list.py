"""The W3C's Bitstring Status List: what its entries say, and lists that say nothing."""

import gzip
import json
import random
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from counterfoil_credentials.bitstring_status_entry import (
    BitstringStatusEntry,
    bitstring_entries,
)
from counterfoil_credentials.bitstring_status_list import (
    BitstringStatusList,
    expand,
    fetch_status_list_credential,
    gzip_stream,
    read_bitstring_status_list,
    status_list_credential,
)
from counterfoil_credentials.cryptosuites import EDDSA_JCS_2022
from counterfoil_credentials.data_integrity import add_proof
from counterfoil_credentials.did_methods import offline_resolver
from counterfoil_credentials.dids import did_key, key_id_of
from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.errors import Malformed, Misuse, Refused, Unavailable
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.keys import Algorithm
from counterfoil_credentials.status_entries import MAX_LIST_BYTES, BitOrder, Bits, StatusEntries
from counterfoil_credentials.w3c_credential import W3cCredential
from counterfoil_credentials.w3c_jwt import sign_credential_jwt
from counterfoil_credentials.w3c_shapes import CREDENTIALS_V2
from counterfoil_credentials.w3c_verification import W3cPolicy

from tests.credentials.provers import Object, options, prover

pytestmark = pytest.mark.once
Vectors = Callable[[str], Path]

KEYS = offline_resolver()
BRAND = prover()
ISSUER = did_key(BRAND.public)
URL = "https://brand.example/status/1"
POLICY = W3cPolicy(suites=[EDDSA_JCS_2022], algorithms=frozenset({Algorithm.ED25519}))
LEAST = 131_072


def entries(*revoked: int, bits: Bits = 1, status: int = 1) -> StatusEntries:
    found = StatusEntries.blank(LEAST, bits=bits, order=BitOrder.HIGHEST_FIRST)
    found.set_all(revoked, status)
    return found


def entry(index: int = 5, /, **changes: object) -> Object:
    return {
        "type": "BitstringStatusListEntry",
        "statusPurpose": "revocation",
        "statusListIndex": str(index),
        "statusListCredential": URL,
        **changes,
    }


def unsecured(now: datetime, of: StatusEntries | None = None, /, **changes: object) -> Object:
    made: Object = status_list_credential(
        of or entries(5),
        url=URL,
        issuer=ISSUER,
        purposes=["revocation"],
        valid_from=now,
        valid_until=now + timedelta(days=1),
        ttl=timedelta(minutes=5),
    )
    return {**made, **changes}


def secured(now: datetime, document: Object | None = None) -> Object:
    what = unsecured(now) if document is None else document
    asked = options(BRAND, created=now)
    return add_proof(what, suite=EDDSA_JCS_2022, signer=BRAND, options=asked)


def read(of: Object | str, now: datetime, **changes: object) -> BitstringStatusList:
    asked: Object = {"url": URL, "issuers": {ISSUER}, "policy": POLICY, **changes}
    return read_bitstring_status_list(of, keys=KEYS, now=now, **asked)


def refused(of: Object | str, now: datetime, **changes: object) -> list[str]:
    with pytest.raises(Refused) as refusal:
        read(of, now, **changes)
    return refusal.value.codes


def test_a_published_list_says_what_the_brand_set(now: datetime) -> None:
    listed = read(secured(now), now)

    assert [listed.value_of(BitstringStatusEntry.parse(entry(i))) for i in (4, 5, 6)] == [0, 1, 0]
    assert listed.listed_at == now
    assert listed.expires_at == now + timedelta(days=1)
    assert listed.ttl == timedelta(minutes=5)


def test_the_list_may_come_as_a_token(now: datetime) -> None:
    token = sign_credential_jwt(
        unsecured(now), signer=BRAND, verification_method=key_id_of(ISSUER), issued_at=now
    )

    assert read(token, now).value_of(BitstringStatusEntry.parse(entry())) == 1


def test_the_first_entry_is_the_leftmost_bit() -> None:
    encoded = "u" + b64url(gzip_stream(entries(0, 9)))

    assert expand(encoded)[:3] == b"\x80\x40\x00"


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8])
def test_each_width_is_read_where_it_stands(size: int, now: datetime) -> None:
    dice = random.Random(size)
    values = [dice.randrange(1 << size) for _ in range(LEAST)]
    text = "".join(f"{value:0{size}b}" for value in values)
    bits = int(text, 2).to_bytes(len(text) // 8)
    listed = BitstringStatusList(
        url=URL,
        issuer=ISSUER,
        purposes=frozenset({"message"}),
        listed_at=now,
        expires_at=None,
        ttl=None,
        bits=bits,
    )
    for index in (0, 1, 2, 77, LEAST - 1):
        at = BitstringStatusEntry(purpose="message", list_url=URL, index=index, size=size)

        assert listed.value_of(at) == values[index]
    beyond = BitstringStatusEntry(purpose="message", list_url=URL, index=LEAST, size=size)
    with pytest.raises(Refused, match="index below 131072"):
        listed.value_of(beyond)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_what_is_set_in_the_store_is_read_by_a_stranger(bits: Bits) -> None:
    dice = random.Random(bits)
    store = entries(bits=bits)
    for _ in range(300):
        store[dice.randrange(LEAST)] = dice.randrange(1 << bits)
        if dice.random() < 0.05:
            stranger = gzip.decompress(gzip_stream(store))
            assert stranger == store.raw
    text = bin(int.from_bytes(b"\x01" + store.raw))[3:]
    for index in range(0, LEAST, 997):
        assert store[index] == int(text[index * bits : (index + 1) * bits], 2)


def test_the_published_examples_are_read(vectors: Vectors) -> None:
    folder = vectors("bitstring-status-list")
    pointing: Object = json.loads((folder / "spec_json" / "01.json").read_text())
    credential = W3cCredential.parse(pointing)
    found = bitstring_entries(credential)

    assert [(each.purpose, each.index) for each in found] == [
        ("revocation", 94_567),
        ("suspension", 23_452),
    ]
    for name in ("02.json", "04.json"):
        listed: Object = json.loads((folder / "spec_json" / name).read_text())
        subject = W3cCredential.parse(listed).subjects[0]
        assert expand(str(subject["encodedList"])) == bytes(16 * 1024)
    bare: Object = json.loads((folder / "vc-status-list-test-suite_validVc.json").read_text())
    assert bitstring_entries(W3cCredential.parse({**bare, "issuer": ISSUER})) == ()


def test_what_a_value_means_hangs_on_its_purpose() -> None:
    words = {
        purpose: [
            reason.code
            for reason in BitstringStatusEntry.parse(entry(statusPurpose=purpose)).reasons(1)
        ]
        for purpose in ("revocation", "suspension", "refresh", "message", "their own")
    }

    assert words == {
        "revocation": ["revoked"],
        "suspension": ["suspended"],
        "refresh": [],
        "message": [],
        "their own": ["status-set"],
    }
    assert BitstringStatusEntry.parse(entry()).reasons(0) == []


def test_a_message_is_the_one_of_its_value() -> None:
    said = [{"status": hex(3 - i), "message": f"message {3 - i}"} for i in range(4)]
    found = BitstringStatusEntry.parse(
        entry(statusPurpose="message", statusSize=2, statusMessage=said)
    )

    assert [found.message(value) for value in range(5)] == [
        "message 0",
        "message 1",
        "message 2",
        "message 3",
        None,
    ]
    assert BitstringStatusEntry.parse(found.json()) == found


WRONG: list[tuple[str, object]] = [
    ("type", "StatusList2021Entry"),
    ("type", None),
    ("statusPurpose", None),
    ("statusPurpose", 1),
    ("statusListIndex", 5),
    ("statusListIndex", True),
    ("statusListIndex", "-1"),
    ("statusListIndex", "05"),
    ("statusListIndex", "5 "),
    ("statusListIndex", "٥"),
    ("statusListIndex", "1" * 5_000),
    ("statusListCredential", "relative"),
    ("statusListCredential", None),
    ("id", URL),
    ("statusSize", 0),
    ("statusSize", 9),
    ("statusSize", True),
    ("statusSize", "1"),
    ("statusSize", 2),
    ("statusMessage", []),
    ("statusMessage", [{"status": "0x0", "message": "a"}]),
    ("statusMessage", [{"status": "0x0", "message": "a"}] * 2),
    ("statusMessage", [{"status": "0", "message": "a"}, {"status": "1", "message": "b"}]),
    ("statusReference", "relative"),
]


@pytest.mark.parametrize(("member", "value"), WRONG)
def test_an_entry_of_another_shape_is_malformed(member: str, value: object) -> None:
    with pytest.raises(Malformed):
        BitstringStatusEntry.parse(entry(**{member: value}))


def test_an_entry_that_nobody_could_read_is_not_written() -> None:
    for wrong in ({"index": -1}, {"size": 2}, {"list_url": "relative"}):
        made: Object = {"purpose": "revocation", "list_url": URL, "index": 1, **wrong}
        with pytest.raises(Misuse):
            BitstringStatusEntry(**made).json()


def test_a_list_speaks_of_its_own_entries_for_its_own_purpose(now: datetime) -> None:
    listed = read(secured(now), now)
    for changes, code in (
        ({"statusListCredential": "https://brand.example/status/2"}, "status-list-mismatch"),
        ({"statusPurpose": "suspension"}, "status-purpose-mismatch"),
        ({"statusListIndex": str(LEAST)}, "status-index-out-of-range"),
        (
            {
                "statusSize": 2,
                "statusMessage": [{"status": hex(i), "message": "a"} for i in range(4)],
            },
            "status-list-too-short",
        ),
    ):
        with pytest.raises(Refused) as refusal:
            listed.value_of(BitstringStatusEntry.parse(entry(**changes)))
        assert refusal.value.codes == [code]


def test_a_list_of_another_place_issuer_or_time_is_refused_for_each(now: datetime) -> None:
    later = now + timedelta(seconds=1)

    assert refused(
        secured(now), now, url="https://brand.example/2", issuers=set[str](), seen_at=later
    ) == ["status-list-mismatch", "status-list-issuer", "status-list-older"]
    assert read(secured(now), now, seen_at=now).listed_at == now


def test_a_list_out_of_its_time_says_nothing_about_now(now: datetime) -> None:
    late, early = now + timedelta(days=1, minutes=2), now - timedelta(minutes=2)
    token = sign_credential_jwt(
        unsecured(now), signer=BRAND, verification_method=key_id_of(ISSUER), issued_at=early
    )
    for of, moment in ((token, late), (token, early), (secured(now), late)):
        with pytest.raises(Unavailable, match="in force"):
            read(of, moment)


def test_a_list_that_was_changed_is_refused(now: datetime) -> None:
    changed = {**secured(now), "credentialSubject": unsecured(now, entries())["credentialSubject"]}

    assert refused(changed, now) == ["signature-invalid"]


def listing(now: datetime, **changes: object) -> Object:
    document = unsecured(now)
    document["credentialSubject"] = {**document["credentialSubject"], **changes}
    return secured(now, document)


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "StatusList2021"},
        {"encodedList": None},
        {"statusPurpose": [1]},
        {"ttl": "300"},
        {"ttl": -1},
        {"ttl": True},
    ],
)
def test_a_list_of_another_shape_is_malformed(changes: Object, now: datetime) -> None:
    with pytest.raises(Malformed):
        read(listing(now, **changes), now)


def test_another_credential_is_no_list(now: datetime) -> None:
    for changes in (
        {"type": ["VerifiableCredential"]},
        {"credentialSubject": [{"type": "BitstringStatusList"}, {"type": "a"}]},
    ):
        with pytest.raises(Malformed):
            read(secured(now, unsecured(now, **changes)), now)


def test_a_list_that_asks_never_to_be_fetched_again_is_kept_a_day(now: datetime) -> None:
    assert read(listing(now, ttl=10**15), now).ttl == timedelta(days=1)


def gzipped(data: bytes) -> str:
    return "u" + b64url(gzip.compress(data, mtime=0))


def test_a_bomb_does_not_become_a_list() -> None:
    with pytest.raises(Malformed, match="at most 16777216"):
        expand(gzipped(bytes(MAX_LIST_BYTES + 1)))
    assert len(expand(gzipped(bytes(MAX_LIST_BYTES)))) == MAX_LIST_BYTES


@pytest.mark.parametrize(
    "encoded",
    [
        "",
        b64url(gzip.compress(bytes(16_384))),
        "z" + b64url(gzip.compress(bytes(16_384))),
        "u" + b64url(zlib.compress(bytes(16_384))),
        "u" + b64url(gzip.compress(bytes(16_384))[:-1]),
        "u" + b64url(gzip.compress(bytes(16_384)) + b"\0"),
        "u" + b64url(gzip.compress(bytes(16_384)) * 2),
        "u" + b64url(gzip.compress(bytes(16_384))[:-8] + bytes(8)),
        "u=",
        "u",
    ],
)
def test_what_is_not_one_gzip_stream_in_base64url_is_malformed(encoded: str) -> None:
    with pytest.raises(Malformed):
        expand(encoded)


def test_a_list_that_nobody_could_read_is_not_written(now: datetime) -> None:
    for wrong in (
        StatusEntries.blank(LEAST, bits=1),
        StatusEntries.blank(LEAST - 8, bits=1, order=BitOrder.HIGHEST_FIRST),
    ):
        with pytest.raises(Misuse):
            unsecured(now, wrong)


def test_a_list_is_fetched_as_object_or_token() -> None:
    fetcher = MemoryFetcher()
    answers = {
        "/object": Response(200, "application/vc", b'{"a":1}'),
        "/token": Response(200, "application/vc+jwt", b"a.b.c"),
        "/bytes": Response(200, "application/vc+jwt", b"\xff"),
        "/gone": Response(410, "application/vc", b"{}"),
    }
    fetcher.serve("https://brand.example", lambda _method, path, _headers, _body: answers[path])

    def fetch(path: str) -> Object | str:
        return fetch_status_list_credential(fetcher, f"https://brand.example{path}")

    assert fetch("/object") == {"a": 1}
    assert fetch("/token") == "a.b.c"
    with pytest.raises(Malformed):
        fetch("/bytes")
    with pytest.raises(Unavailable, match="410"):
        fetch("/gone")


def test_the_list_is_one_of_the_data_models_credentials(now: datetime) -> None:
    assert W3cCredential.parse(unsecured(now)).contexts == (CREDENTIALS_V2,)
