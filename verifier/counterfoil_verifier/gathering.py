"""Fetch, while there is a network, what a till will need without one."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import TypeAlias

from counterfoil_credentials.encoding import optional_text_at, parse_object
from counterfoil_credentials.errors import (
    CounterfoilError,
    Malformed,
    Misuse,
    Reason,
    Refused,
    Unavailable,
)
from counterfoil_credentials.fetch import MAX_BYTES, Fetcher, Response
from counterfoil_credentials.issuer_keys import fetch_issuer_keys, issuer_key_named, well_known
from counterfoil_credentials.jws import ES256_ONLY
from counterfoil_credentials.keys import Algorithm, PublicKey
from counterfoil_credentials.spec import JSON_MEDIA_TYPE, WELL_KNOWN_AUTHORIZATION_SERVER
from counterfoil_credentials.status_list_aggregation import fetch_aggregation
from counterfoil_credentials.token_status_list import (
    MAX_TOKEN_BYTES,
    FetchedStatusSource,
    read_status_list,
    status_list_key_id,
)

from counterfoil_verifier.preload import Document

Clock: TypeAlias = Callable[[], datetime]


class Gathering:
    """Fetches what a till will need. What could not be had is in `failures`, by address."""

    def __init__(
        self,
        fetcher: Fetcher,
        clock: Clock,
        *,
        algorithms: frozenset[Algorithm] = ES256_ONLY,
    ) -> None:
        """Begin with nothing; `algorithms` are those under which a list may be signed."""
        self._fetcher = fetcher
        self._clock = clock
        self._algorithms = algorithms
        self._documents: dict[str, Document] = {}
        self.failures: dict[str, CounterfoilError] = {}

    @property
    def documents(self) -> tuple[Document, ...]:
        """What was had, each address once."""
        return tuple(self._documents.values())

    def issuer(self, issuer: str, *, lists: Iterable[str] = ()) -> None:
        """Take the keys of `issuer`, and its status lists: all that it names, and `lists`."""
        recorder = _Recorder(self._fetcher, self._clock)
        try:
            keys = fetch_issuer_keys(recorder, issuer)
        except (Malformed, Refused, Unavailable) as failure:
            self.failures[issuer] = failure
            return
        self._documents |= recorder.documents
        for url in dict.fromkeys((*lists, *self._lists_of(issuer))):
            self._list(url, keys)

    def document(self, url: str, *, accept: str) -> None:
        """Take what stands at `url`, such as a trust list; whoever reads it judges it."""
        recorder = _Recorder(self._fetcher, self._clock)
        try:
            answer = recorder.get(url, accept=accept, max_bytes=MAX_TOKEN_BYTES)
        except (Refused, Unavailable) as failure:
            self.failures[url] = failure
            return
        if answer.status != 200:
            what = f"expected a document, found HTTP status {answer.status}"
            self.failures[url] = Unavailable(what)
        self._documents |= recorder.documents

    def _lists_of(self, issuer: str) -> tuple[str, ...]:
        """Give the lists that the issuer names (Token Status List, section 9.1)."""
        url = well_known(issuer, WELL_KNOWN_AUTHORIZATION_SERVER)
        try:
            answer = self._fetcher.get(url, accept=JSON_MEDIA_TYPE)
            if answer.status != 200:
                return ()
            metadata = parse_object(answer.body, "metadata")
            named = optional_text_at(metadata, "status_list_aggregation_endpoint", "metadata")
            return () if named is None else fetch_aggregation(self._fetcher, named)
        except (Malformed, Refused, Unavailable) as failure:
            self.failures[url] = failure
            return ()

    def _list(self, url: str, keys: Mapping[str, PublicKey]) -> None:
        recorder = _Recorder(self._fetcher, self._clock)
        try:
            self._check(FetchedStatusSource(recorder).fetch(url), url, keys)
        except (Malformed, Refused, Unavailable) as failure:
            self.failures[url] = failure
        else:
            self._documents |= recorder.documents

    def _check(self, token: str, url: str, keys: Mapping[str, PublicKey]) -> None:
        """Return only for a list that a till would take: another must not displace one it has."""
        key = issuer_key_named(keys, status_list_key_id(token))
        if key is None:
            raise Refused(Reason("issuer-key-unknown", "one of the issuer's keys", "another", url))
        read_status_list(
            token, url=url, issuer_key=key, now=self._clock(), algorithms=self._algorithms
        )


class _Recorder:
    """A fetcher that keeps what a GET gave."""

    def __init__(self, inner: Fetcher, clock: Clock) -> None:
        self._inner = inner
        self._clock = clock
        self.documents: dict[str, Document] = {}

    def get(
        self,
        url: str,
        *,
        accept: str,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> Response:
        answer = self._inner.get(url, accept=accept, headers=headers, max_bytes=max_bytes)
        if answer.status == 200:
            self.documents[url] = Document(
                url=url,
                media_type=answer.media_type,
                body=answer.body,
                had_at=self._clock() - timedelta(seconds=answer.age_s),
            )
        return answer

    def post(
        self,
        url: str,
        body: bytes,
        *,
        media_type: str,
        headers: Mapping[str, str] | None = None,
        accept: str = JSON_MEDIA_TYPE,
        max_bytes: int = MAX_BYTES,
    ) -> Response:
        raise Misuse("expected to fetch, found something to send")
