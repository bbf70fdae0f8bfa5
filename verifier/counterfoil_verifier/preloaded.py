"""The till's way out when there is none: the network first, then the file that was loaded."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from counterfoil_credentials.errors import Refused, Unavailable
from counterfoil_credentials.fetch import MAX_BYTES, Fetcher, Response
from counterfoil_credentials.fetch_urls import origin_of, parse_url
from counterfoil_credentials.spec import JSON_MEDIA_TYPE, STATUS_LIST_MEDIA_TYPE

from counterfoil_verifier.preload import Preload

Clock: TypeAlias = Callable[[], datetime]

MAX_AGE: Final = timedelta(days=7)
"""How long keys and trust lists of a file serve; a status list says its own age."""

RETRY_AFTER: Final = timedelta(seconds=30)
"""How long an origin that did not answer is not asked again: a queue waits behind it.

Each silence doubles that, up to `RETRY_AT_LEAST`: whoever asks may wait for ten seconds.
"""

RETRY_AT_LEAST: Final = timedelta(minutes=8)


@dataclass(frozen=True, slots=True)
class _Silence:
    """When an origin did not answer, and for how long it is left alone."""

    at: datetime
    lasts: timedelta


class PreloadedFetcher:
    """Asks the network, and the file where the network does not answer.

    Safe to use from several threads. What an answer of a server says stands, whatever the
    file has: only silence, and a server's own trouble (5xx, a page in the place of what
    was asked for), lead to the file.
    """

    def __init__(
        self,
        inner: Fetcher,
        preload: Preload,
        clock: Clock,
        *,
        max_age: timedelta = MAX_AGE,
    ) -> None:
        """Stand before `inner`; all but status lists older than `max_age` serve no more."""
        self._inner = inner
        self._preload = preload
        self._clock = clock
        self._max_age = max_age
        self._silent: dict[str, _Silence] = {}
        self._lock = threading.Lock()

    def load(self, preload: Preload) -> None:
        """Go on with another file."""
        self._preload = preload

    def get(
        self,
        url: str,
        *,
        accept: str,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> Response:
        """GET `url`. See `Fetcher.get`."""
        kept = self._kept(url, accept, max_bytes)
        if kept is None:
            return self._inner.get(url, accept=accept, headers=headers, max_bytes=max_bytes)
        origin, now = origin_of(parse_url(url)), self._clock()
        with self._lock:
            silence = self._silent.get(origin)
        if silence is not None and abs(now - silence.at) < silence.lasts:
            return kept
        try:
            answer = self._inner.get(url, accept=accept, headers=headers, max_bytes=max_bytes)
        except Unavailable:
            self._remember(origin, now)
            return kept
        except Refused as refused:
            if refused.codes != ["media-type-not-accepted"]:
                raise
            self._remember(origin, now)
            return kept
        if answer.status >= 500:
            self._remember(origin, now)
            return kept
        with self._lock:
            self._silent.pop(origin, None)
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
        """POST `body`: nothing that was kept answers that."""
        return self._inner.post(
            url, body, media_type=media_type, headers=headers, accept=accept, max_bytes=max_bytes
        )

    def _kept(self, url: str, accept: str, max_bytes: int) -> Response | None:
        document = self._preload.documents.get(url)
        if document is None or len(document.body) > max_bytes:
            return None
        if document.media_type not in (name.strip() for name in accept.split(",")):
            return None
        age = self._clock() - document.had_at
        if age > self._max_age and document.media_type != STATUS_LIST_MEDIA_TYPE:
            return None
        return Response(
            200, document.media_type, document.body, age_s=max(0, int(age.total_seconds()))
        )

    def _remember(self, origin: str, now: datetime) -> None:
        # No more origins than the file has documents: only for those it is asked.
        with self._lock:
            before = self._silent.get(origin)
            lasts = RETRY_AFTER if before is None else min(2 * before.lasts, RETRY_AT_LEAST)
            self._silent[origin] = _Silence(now, lasts)
