"""Answers kept for as long as their server and their reader both allow, with their age.

    fetcher = CachingFetcher(GuardedFetcher(), clock=clock, max_age_s=3600)
    response = fetcher.get(url, accept="application/json")
    response.age_s                                     # 0, or up to an hour

Kept in memory are answers to plain GETs of status 200 that name a lifetime. An
answer that is no longer fresh never serves; where it had an ETag, the server is
asked whether it still stands. RFC 9111.
"""

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from counterfoil_credentials.errors import Misuse
from counterfoil_credentials.fetch import MAX_BYTES, Fetcher, Response
from counterfoil_credentials.spec import JSON_MEDIA_TYPE

_DIGITS: Final = re.compile(r'("?)([0-9]{1,9})\1\Z')
_ETAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{0,200}"\Z')


@dataclass(frozen=True, slots=True)
class _Key:
    url: str
    accept: str


@dataclass(frozen=True, slots=True)
class _Kept:
    """An answer, when it was asked for, and until which age it serves."""

    response: Response
    asked_at: datetime
    lifetime_s: int

    def age_s(self, now: datetime) -> int:
        return self.response.age_s + int((now - self.asked_at).total_seconds())

    def is_fresh(self, now: datetime) -> bool:
        # A clock that was set back tells nothing about age.
        return now >= self.asked_at and self.age_s(now) < self.lifetime_s


class CachingFetcher:
    """A fetcher around another that remembers what may be remembered. Safe among threads.

    `max_age_s` bounds every lifetime from above. At most `max_entries` answers
    and `max_total_bytes` of bodies are kept; the longest unused one goes first.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        *,
        clock: Callable[[], datetime],
        max_age_s: int,
        max_entries: int = 256,
        max_total_bytes: int = 16 * MAX_BYTES,
    ) -> None:
        """Start with nothing kept."""
        if min(max_age_s, max_entries, max_total_bytes) < 0:
            raise Misuse("expected bounds of zero or more, found a negative one")
        self._fetcher = fetcher
        self._clock = clock
        self._max_age_s = max_age_s
        self._max_entries = max_entries
        self._max_total_bytes = max_total_bytes
        self._kept: dict[_Key, _Kept] = {}
        self._asking: dict[object, str] = {}
        self._lock = threading.Lock()

    def get(
        self,
        url: str,
        *,
        accept: str,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> Response:
        """Give a fresh answer, kept or fetched, with its age. See `Fetcher.get`.

        With headers of the caller's own nothing is kept: they may say who asks.
        """
        if headers:
            return self._fetcher.get(url, accept=accept, headers=headers, max_bytes=max_bytes)
        key, now, asking = _Key(url, accept), self._clock(), object()
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and kept.is_fresh(now) and len(kept.response.body) <= max_bytes:
                self._kept[key] = self._kept.pop(key)
                return replace(kept.response, age_s=kept.age_s(now))
            self._asking[asking] = url
        try:
            response = self._ask(key, kept, max_bytes)
            self._keep(key, response, now, asking)
        finally:
            with self._lock:
                self._asking.pop(asking, None)
        return response

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
        """POST `body`; what was kept of `url` is forgotten (section 4.4).

        Nor is anything kept of it that was asked for before the answer came, or
        failed to: it may tell of the time before.
        """
        self._forget(url)
        try:
            return self._fetcher.post(
                url,
                body,
                media_type=media_type,
                headers=headers,
                accept=accept,
                max_bytes=max_bytes,
            )
        finally:
            self._forget(url)

    def _forget(self, url: str) -> None:
        with self._lock:
            for key in [key for key in self._kept if key.url == url]:
                del self._kept[key]
            for asking in [asking for asking, asked in self._asking.items() if asked == url]:
                del self._asking[asking]

    def _ask(self, key: _Key, kept: _Kept | None, max_bytes: int) -> Response:
        etag = kept.response.headers.get("etag", "") if kept is not None else ""
        if kept is None or not _ETAG.match(etag) or len(kept.response.body) > max_bytes:
            return _aged(self._fetcher.get(key.url, accept=key.accept, max_bytes=max_bytes))
        answer = self._fetcher.get(
            key.url, accept=key.accept, headers={"If-None-Match": etag}, max_bytes=max_bytes
        )
        if answer.status != 304:
            return _aged(answer)
        # The age is the new answer's alone: what stands since then was just confirmed.
        lasting = {name: value for name, value in kept.response.headers.items() if name != "age"}
        return _aged(replace(kept.response, headers={**lasting, **answer.headers}))

    def _keep(self, key: _Key, response: Response, asked_at: datetime, asking: object) -> None:
        lifetime_s = min(_lifetime_s(response), self._max_age_s)
        kept = _Kept(response, asked_at, lifetime_s)
        with self._lock:
            if asking not in self._asking:
                return
            self._kept.pop(key, None)
            if not kept.is_fresh(asked_at):
                return
            self._kept[key] = kept
            total = sum(len(one.response.body) for one in self._kept.values())
            while len(self._kept) > self._max_entries or total > self._max_total_bytes:
                oldest = next(iter(self._kept))
                total -= len(self._kept.pop(oldest).response.body)


def _aged(response: Response) -> Response:
    return replace(response, age_s=_seconds(response.headers.get("age", "0")) or 0)


def _lifetime_s(response: Response) -> int:
    """Give the lifetime that the server names; none, or one that is unclear, is zero."""
    if response.status != 200 or "*" in response.headers.get("vary", ""):
        return 0
    if _seconds(response.headers.get("age", "0")) is None:
        return 0
    lifetimes: list[int] = []
    for directive in response.headers.get("cache-control", "").lower().split(","):
        name, _, value = directive.partition("=")
        match name.strip():
            case "no-store" | "no-cache":
                return 0
            case "max-age":
                lifetimes.append(_seconds(value) or 0)
            case _:
                pass
    return min(lifetimes, default=0)


def _seconds(text: str) -> int | None:
    found = _DIGITS.match(text.strip())
    return int(found[2]) if found else None
