"""Status List Aggregation: all lists of an issuer, to be fetched before they are needed.

    urls = fetch_aggregation(fetcher, listed.aggregation_url)
    lists, failures = read_each(urls, read)

An issuer names the document in its lists (`aggregation_uri`) or in its metadata. It is
not signed, and need not be: a list that is missing in it is fetched when a credential
names it. Token Status List, section 9.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from counterfoil_credentials.encoding import JsonObject, parse_object, texts_at
from counterfoil_credentials.errors import Malformed, Misuse, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.spec import JSON_MEDIA_TYPE
from counterfoil_credentials.token_status_list import SignedStatusList

MAX_LISTS: Final = 1_000
_MAX_BYTES: Final = 262_144
_WHERE: Final = "status_list_aggregation"


def aggregation_document(urls: Sequence[str]) -> JsonObject:
    """Give the body that leads to `urls`; serve it as `application/json` (section 9.3)."""
    if len(urls) > MAX_LISTS:
        raise Misuse(f"expected at most {MAX_LISTS} status lists, found {len(urls)}")
    return {"status_lists": list(urls)}


def parse_aggregation(body: bytes) -> tuple[str, ...]:
    """Give the URLs of the lists in `body`, each once, in its order (section 9.3).

    They are texts from a stranger: the fetcher judges each when it is fetched.
    """
    urls = texts_at(parse_object(body, _WHERE, max_bytes=_MAX_BYTES), "status_lists", _WHERE)
    if len(urls) > MAX_LISTS:
        raise Malformed(f"at most {MAX_LISTS} status lists", f"{len(urls)}", _WHERE)
    return tuple(dict.fromkeys(urls))


def fetch_aggregation(fetcher: Fetcher, url: str) -> tuple[str, ...]:
    """Fetch the URLs of an issuer's lists; `Unavailable` when they could not be had."""
    response = fetcher.get(url, accept=JSON_MEDIA_TYPE, max_bytes=_MAX_BYTES)
    if not 200 <= response.status < 300:
        raise Unavailable(f"expected an aggregation, found HTTP status {response.status}")
    return parse_aggregation(response.body)


def read_each(
    urls: Iterable[str], read: Callable[[str], SignedStatusList]
) -> tuple[dict[str, SignedStatusList], dict[str, Malformed | Refused | Unavailable]]:
    """Give the lists by URL that `read` could fetch and verify, and why it could not the others.

    One that is wrong does not stand in the way of the rest (section 9).
    """
    lists: dict[str, SignedStatusList] = {}
    failures: dict[str, Malformed | Refused | Unavailable] = {}
    for url in urls:
        try:
            lists[url] = read(url)
        except (Malformed, Refused, Unavailable) as failure:
            failures[url] = failure
    return lists, failures
