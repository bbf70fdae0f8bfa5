"""What a shop does by itself while it serves, by its settings.

    "flags":      {"url": "https://trade.example/flags", "jwk": {…}, "every_s": 300}
    "flags":      {"file": "flags.json"}
    "results_to": {"url": "https://till.example", "key_file": "central.key", "every_s": 30}
    "preload_every_s": 3600
    "remember_signatures": false

A feed of flags is fetched from whoever signs it, or lies in the folder, signed (with a
`jwk`) or not. `results_to` names the shop's own service, and the file that holds its
counter's key. `docs/verifier.md` says what remembering signatures costs a customer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from counterfoil_credentials.encoding import JsonObject, int_at, object_at, text_at
from counterfoil_credentials.errors import Malformed, Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.keys import PublicKey

from counterfoil_verifier.flag_feed import (
    FEED_MEDIA_TYPES,
    MAX_FEED_BYTES,
    parse_flags,
    read_flags,
)
from counterfoil_verifier.flags import Flags
from counterfoil_verifier.members import require_only
from counterfoil_verifier.shop_trust import file_name_at

MEMBERS: Final = frozenset({"flags", "results_to", "preload_every_s", "remember_signatures"})
_FEED_EVERY_S: Final = 300
_FILE_EVERY_S: Final = 2
_RESULTS_EVERY_S: Final = 30
_LONGEST_S: Final = 86_400
_MAX_KEY_BYTES: Final = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedFile:
    """Where the feed of flags is: at a `url` or in a `file` of the folder, and who signs it."""

    url: str | None = None
    file: str | None = None
    signed_by: PublicKey | None = None
    every_s: int = _FEED_EVERY_S


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsTo:
    """The shop's own service at the origin `url`; `key_file` holds the key of its counter."""

    url: str
    key_file: str
    every_s: int = _RESULTS_EVERY_S


@dataclass(frozen=True, slots=True, kw_only=True)
class UpkeepSettings:
    """What is done besides answering; None is not done."""

    flags: FeedFile | None = None
    results_to: ResultsTo | None = None
    preload_every_s: int | None = None
    remembers_signatures: bool = False

    def urls(self) -> tuple[str, ...]:
        """Give the addresses that are asked."""
        named = (self.flags, self.results_to)
        return tuple(one.url for one in named if one is not None and one.url is not None)


NO_UPKEEP: Final = UpkeepSettings()


def parse_upkeep(
    document: JsonObject, where: str, *, may_ask: Callable[[str], bool]
) -> UpkeepSettings:
    """Give what `document` says, or raise `Malformed`. `may_ask` judges an address."""
    remembers = document.get("remember_signatures", False)
    if not isinstance(remembers, bool):
        raise Malformed("true or false", "another value", f"{where}.remember_signatures")
    found = UpkeepSettings(
        flags=_flags(object_at(document, "flags", where), f"{where}.flags")
        if "flags" in document
        else None,
        results_to=_results_to(object_at(document, "results_to", where), f"{where}.results_to")
        if "results_to" in document
        else None,
        preload_every_s=_seconds(document, "preload_every_s", where, least=60)
        if "preload_every_s" in document
        else None,
        remembers_signatures=remembers,
    )
    if not all(map(may_ask, found.urls())):
        raise Malformed("https URLs", "another", f"{where}.flags and {where}.results_to")
    return found


def flags_of(feed: FeedFile, fetcher: Fetcher, folder: Path) -> Callable[[datetime], Flags]:
    """Give what reads the feed as of a time; it raises any error of ours."""

    def read(now: datetime) -> Flags:
        data = _fetched(feed.url, fetcher) if feed.url else _in(folder, feed.file or "")
        if feed.signed_by is None:
            return parse_flags(data, now=now)
        token = data.decode("ascii", "replace").strip()
        return read_flags(token, signed_by=feed.signed_by, now=now)

    return read


def key_in(folder: Path, name: str) -> str:
    """Give the counter's key of another service, from a file of the folder."""
    return _in(folder, name, _MAX_KEY_BYTES).decode("ascii", "replace").strip()


def _fetched(url: str, fetcher: Fetcher) -> bytes:
    answer = fetcher.get(url, accept=FEED_MEDIA_TYPES, max_bytes=MAX_FEED_BYTES)
    if answer.status != 200:
        raise Unavailable(f"expected a feed of flags, found HTTP status {answer.status}")
    return answer.body


def _in(folder: Path, name: str, max_bytes: int = MAX_FEED_BYTES) -> bytes:
    file = folder / name
    if not file.is_file():
        raise Unavailable(f"expected a file {name} in the shop's folder, found none")
    with file.open("rb") as opened:
        data = opened.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise Malformed(f"at most {max_bytes} bytes", "more", name)
    return data


def _flags(obj: JsonObject, where: str) -> FeedFile:
    require_only(obj, ("url", "file", "jwk", "every_s"), where)
    if ("url" in obj) is ("file" in obj):
        raise Malformed("a url, or a file of the folder", "both or neither", where)
    key = None
    if "jwk" in obj:
        key = PublicKey.from_jwk(object_at(obj, "jwk", where), f"{where}.jwk")
    if "file" in obj:
        return FeedFile(
            file=file_name_at(obj, "file", where),
            signed_by=key,
            every_s=_every(obj, where, _FILE_EVERY_S),
        )
    if key is None:
        # Whoever can answer for that name could take back a theft.
        raise Malformed("the jwk of who signs the feed", "none", f"{where}.jwk")
    return FeedFile(
        url=text_at(obj, "url", where),
        signed_by=key,
        every_s=_every(obj, where, _FEED_EVERY_S),
    )


def _results_to(obj: JsonObject, where: str) -> ResultsTo:
    require_only(obj, ("url", "key_file", "every_s"), where)
    return ResultsTo(
        url=text_at(obj, "url", where).removesuffix("/"),
        key_file=file_name_at(obj, "key_file", where),
        every_s=_every(obj, where, _RESULTS_EVERY_S),
    )


def _every(obj: JsonObject, where: str, default: int) -> int:
    return _seconds(obj, "every_s", where) if "every_s" in obj else default


def _seconds(obj: JsonObject, name: str, where: str, *, least: int = 1) -> int:
    seconds = int_at(obj, name, where)
    if not least <= seconds <= _LONGEST_S:
        raise Malformed(f"{least} to {_LONGEST_S} seconds", f"{seconds}", f"{where}.{name}")
    return seconds
