"""The feed of what is said of items: how it is written, read and kept up to date.

    token = sign_flags(flags, signer=key, at=now)          # whoever publishes the feed
    feed = KeptFlags(lambda now: read_flags(fetch(), signed_by=key, now=now), clock)
    feed.refresh()                                         # now and then, in nobody's way
    feed.latest()                                          # at the counter

    typ: counterfoil-flags+jwt
    {"iat": …, "flags": [{"kind": "recalled", "selector": {"gtin": "04006381333931", …}}]}

A feed is one whole document, so nobody learns which item was looked up. Where it lies in
the shop's own folder, it may be the JSON alone: who can write there can change anything.
"""

import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_object,
    list_at,
    numeric_date,
    object_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import CounterfoilError, Malformed, Reason, Refused, Unavailable
from counterfoil_credentials.jws import read_jws, sign_jws
from counterfoil_credentials.keys import PublicKey, Signer
from counterfoil_credentials.recall_selector import parse_recall_selector
from counterfoil_credentials.sdjwt_vc import time_at

from counterfoil_verifier.flags import Flag, FlagKind, Flags

MAX_FEED_BYTES: Final = 8 * 1024 * 1024
FEED_MEDIA_TYPES: Final = "application/jwt, application/jose, text/plain"
_TYP: Final = "counterfoil-flags+jwt"
_WHERE: Final = "flags"
_MAX_FLAGS: Final = 50_000
_SKEW: Final = timedelta(seconds=60)
_KINDS: Final = {kind.value: kind for kind in FlagKind}


def sign_flags(flags: Iterable[Flag], *, signer: Signer, at: datetime) -> str:
    """Give the signed feed as of `at`."""
    return sign_jws(flags_json(flags, at=at), typ=_TYP, signer=signer, header={})


def flags_json(flags: Iterable[Flag], *, at: datetime) -> JsonObject:
    """Give the feed as of `at` as it is written."""
    listed: list[Json] = [
        {"kind": flag.kind.value, "selector": flag.selector.to_json()} for flag in flags
    ]
    return {"iat": numeric_date(at), "flags": listed}


def read_flags(token: str, *, signed_by: PublicKey, now: datetime) -> Flags:
    """Give the feed in `token`.

    Raises `Malformed`, and `Refused` with `signature-invalid` or `flags-from-the-future`.
    """
    unverified = read_jws(token, typ=_TYP, where=_WHERE, max_bytes=MAX_FEED_BYTES)
    return _flags(unverified.verify(signed_by), now)


def parse_flags(data: bytes, *, now: datetime) -> Flags:
    """Give the feed in the bytes of a file that the shop wrote itself; raises as `read_flags`."""
    return _flags(parse_object(data, _WHERE, max_bytes=MAX_FEED_BYTES), now)


class KeptFlags:
    """The newest feed that was read. Safe to use from several threads.

    Whoever looks at it waits for nobody, except for the very first reading.
    """

    def __init__(self, read: Callable[[datetime], Flags], clock: Callable[[], datetime]) -> None:
        """Read by `read`, which is given the time and raises any error of ours."""
        self._read = read
        self._clock = clock
        self._newest: Flags | None = None
        self._failure = ""
        self._lock = threading.Lock()

    def refresh(self) -> None:
        """Read the feed again. An older one than the newest is no news.

        Raises what `read` raises, and what was read before stays.
        """
        try:
            found = self._read(self._clock())
        except CounterfoilError as cause:
            self._failure = str(cause)
            raise
        with self._lock:
            if self._newest is None or found.as_of >= self._newest.as_of:
                self._newest = found

    def latest(self) -> Flags:
        """Give the newest feed, whatever its age; `Unavailable` when there never was one."""
        if self._newest is None and not self._failure:
            try:
                self.refresh()
            except CounterfoilError as cause:
                raise Unavailable(str(cause)) from cause
        newest = self._newest
        if newest is None:
            raise Unavailable(self._failure)
        return newest


def _flags(obj: JsonObject, now: datetime) -> Flags:
    as_of = time_at(obj, "iat", _WHERE)
    if as_of is None:
        raise Malformed("a time", "none", f"{_WHERE}.iat")
    if as_of > now + _SKEW:
        # It would pass for new for as long as it is ahead.
        expected, found = "a feed made by now", "a later one"
        raise Refused(Reason("flags-from-the-future", expected, found, f"{_WHERE}.iat"))
    listed = list_at(obj, "flags", _WHERE)
    if len(listed) > _MAX_FLAGS:
        raise Malformed(f"at most {_MAX_FLAGS} flags", f"{len(listed)}", _WHERE)
    return Flags((_flag(one, f"{_WHERE}[{i}]") for i, one in enumerate(listed)), as_of=as_of)


def _flag(value: Json, where: str) -> Flag:
    one = as_object(value, where)
    if one.keys() != {"kind", "selector"}:
        raise Malformed("kind and selector alone", "others", where)
    kind = _KINDS.get(text_at(one, "kind", where))
    if kind is None:
        # Left out, it would let pass an item of which something is said.
        raise Malformed(f"one of {', '.join(_KINDS)}", "another", f"{where}.kind")
    return Flag(kind, parse_recall_selector(object_at(one, "selector", where), f"{where}.selector"))
