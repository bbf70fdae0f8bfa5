"""Status list aggregation: where all lists of an issuer are."""

import json
from datetime import datetime

import pytest
from counterfoil_credentials.encoding import Json, compact_json
from counterfoil_credentials.errors import CounterfoilError, Malformed, Misuse, Refused, Unavailable
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.status_list_aggregation import (
    MAX_LISTS,
    aggregation_document,
    fetch_aggregation,
    parse_aggregation,
    read_each,
)
from counterfoil_credentials.token_status_list import (
    FetchedStatusSource,
    SignedStatusList,
    read_status_list,
    sign_status_list,
)
from hypothesis import example, given
from hypothesis import strategies as st

BRAND = "https://audio.example"
URLS = tuple(f"{BRAND}/status-lists/{number}" for number in (1, 2, 3))
ISSUER = MemorySigner.from_private_bytes(b"\x01" * 32)


def test_the_document_leads_back_to_its_lists() -> None:
    assert aggregation_document(URLS) == {"status_lists": list(URLS)}
    assert parse_aggregation(compact_json(aggregation_document(URLS))) == URLS
    assert parse_aggregation(b'{"status_lists": [], "more": 1}') == ()


def test_each_list_is_named_once_in_the_order_given() -> None:
    twice = compact_json({"status_lists": [URLS[1], URLS[0], URLS[1]]})

    assert parse_aggregation(twice) == (URLS[1], URLS[0])


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"status_lists": None},
        {"status_lists": URLS[0]},
        {"status_lists": {URLS[0]: 1}},
        {"status_lists": [URLS[0], 2]},
        {"status_lists": [[URLS[0]]]},
        {"status_lists": ["x"] * (MAX_LISTS + 1)},
    ],
    ids=["list", "empty", "null", "text", "object", "number", "nested", "many"],
)
def test_another_document_is_malformed(document: Json) -> None:
    with pytest.raises(Malformed):
        parse_aggregation(compact_json(document))


@given(st.binary())
@example(b"]}")
def test_any_bytes_at_all_are_lists_or_refused_in_our_own_words(body: bytes) -> None:
    document = b'{"status_lists": [' + body
    try:
        urls = parse_aggregation(document)
    except CounterfoilError:
        return
    assert list(urls) == [*dict.fromkeys(json.loads(document)["status_lists"])]


def test_more_lists_than_a_reader_takes_are_misuse() -> None:
    assert len(parse_aggregation(compact_json(aggregation_document(["x"] * MAX_LISTS)))) == 1
    with pytest.raises(Misuse):
        aggregation_document(["x"] * (MAX_LISTS + 1))


def test_fetches_the_document_and_takes_no_error_page_for_one() -> None:
    body = compact_json(aggregation_document(URLS))
    fetcher = MemoryFetcher()
    answers = [
        Response(200, "application/json", body),
        Response(404, "application/json", body),
        Response(200, "text/html", body),
    ]
    fetcher.serve(BRAND, lambda _m, _p, _h, _b: answers.pop(0))

    assert fetch_aggregation(fetcher, f"{BRAND}/status-lists") == URLS
    with pytest.raises(Unavailable):
        fetch_aggregation(fetcher, f"{BRAND}/status-lists")
    with pytest.raises(Refused) as refusal:
        fetch_aggregation(fetcher, f"{BRAND}/status-lists")
    assert refusal.value.codes == ["media-type-not-accepted"]


def test_one_wrong_list_does_not_stand_in_the_way_of_the_others(now: datetime) -> None:
    def serve(_method: str, path: str, _headers: object, _body: bytes) -> Response:
        number = int(path[-1])
        token = sign_status_list(
            b"\x01",
            url=URLS[0] if number == 2 else f"{BRAND}{path}",
            bits=1,
            signer=ISSUER,
            issued_at=now,
            expires_at=None,
            ttl_s=None,
        )
        return Response(200, "application/statuslist+jwt", token.encode())

    fetcher = MemoryFetcher()
    fetcher.serve(BRAND, serve)
    source = FetchedStatusSource(fetcher)

    def read(url: str) -> SignedStatusList:
        return read_status_list(source.fetch(url), url=url, issuer_key=ISSUER.public, now=now)

    lists, failures = read_each([*URLS, "https://elsewhere.example/1", "no url"], read)

    assert list(lists) == [URLS[0], URLS[2]]
    assert {url: type(failure) for url, failure in failures.items()} == {
        URLS[1]: Refused,
        "https://elsewhere.example/1": Unavailable,
        "no url": Malformed,
    }


def test_our_own_mistake_is_not_taken_for_a_wrong_list() -> None:
    def misused(_url: str) -> SignedStatusList:
        raise Misuse("expected a fetcher, found none")

    with pytest.raises(Misuse):
        read_each(URLS, misused)
