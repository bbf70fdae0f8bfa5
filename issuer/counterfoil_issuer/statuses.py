"""Status lists: allot an entry to a credential, and publish the signed list.

An entry is drawn at random among the free ones, so that its number tells nothing
about when or to whom; it is never used again. What a list says follows from the issued
credentials, and its time from what was last published, which is on disk before
anybody sees it: no two lists of one number and time say different things, whatever
was killed when, and whichever worker was asked.

Token Status List, sections 5, 8, 9 and 12.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Misuse
from counterfoil_credentials.keys import Signer
from counterfoil_credentials.status_entries import StatusEntries
from counterfoil_credentials.status_list_aggregation import MAX_LISTS, aggregation_document
from counterfoil_credentials.token_status_list import INVALID, sign_status_entries

from counterfoil_issuer.records import Listing, Random, random_below
from counterfoil_issuer.store import Held, Store

BITS: Final = 2
_DRAWS: Final = 200
# Verifiers allow a clock to be a minute wrong.
_AHEAD_AT_MOST: Final = timedelta(seconds=30)


def allot_index(held: Held, *, size: int, random: Random) -> tuple[int, int]:
    """Give a list's number and a free entry of it, to be recorded in the same transaction.

    A list is left for the next when three quarters are used, so that a free
    entry is found in a few draws.
    """
    number = max(held.last_status_list(), 1)
    if held.status_indices_used(number) * 4 >= size * 3:
        number += 1
    for _ in range(_DRAWS):
        index = random_below(size, random)
        if held.status_index_is_free(number, index):
            return number, index
    # At three quarters full, so many misses in a row are less likely than 1 in 10**24.
    raise Misuse("expected randomness that varies, found a source that repeats itself")


def aggregation_url(issuer: str) -> str:
    """Give the URL of the document that leads to all lists of `issuer`."""
    return f"{issuer}/status-lists"


@dataclass(frozen=True, slots=True)
class _Published:
    listing: Listing
    token: str


class _Live:
    """One list in memory: its entries as of the last look at the store, and what was signed.

    Who holds `lock` is the only one to change it. It is a lock of its own for each
    list, and one that is taken again by the same thread.
    """

    __slots__ = ("_ended", "_last_ended_at", "entries", "lock", "published")

    def __init__(self, size: int) -> None:
        self.lock = threading.RLock()
        self.entries = StatusEntries.blank(size, bits=BITS)
        self.published: _Published | None = None
        self._ended = 0
        self._last_ended_at: datetime | None = None

    def follow(self, held: Held, number: int) -> None:
        """Set what has ended since the last look, whichever worker ended it."""
        ended = held.ended_count(number)
        if ended != self._ended:
            self._set(held.ended_indices(number, self._last_ended_at))
        if ended != self._ended:
            # A clock that was set back dates what is new before what is old, and a
            # backup that was put back knows less: begin again.
            self.entries, self._ended = StatusEntries.blank(len(self.entries), bits=BITS), 0
            self._set(held.ended_indices(number))
        self._last_ended_at = held.last_ended_at(number)

    def _set(self, indices: Sequence[int]) -> None:
        new = [index for index in indices if self.entries[index] != INVALID]
        self.entries.set_all(new, INVALID)
        self._ended += len(new)


@dataclass(slots=True)
class StatusLists:
    """Publishes the lists. A signed list is kept until an entry changes, or for half its time.

    `lasts` is how long a signed list may be used at most, `ttl` how long a
    verifier may go without asking for a newer one.

    A list's time tells a verifier which of two is the newer, so each change of the
    list has a later time than the one before. Of several changes in one second the
    last ones are ahead of the clock; from half a minute on they wait for it.
    """

    issuer: str
    signer: Signer
    size: int
    lasts: timedelta
    ttl: timedelta
    _live: dict[int, _Live] = field(default_factory=dict[int, _Live])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def url(self, number: int) -> str:
        """Give the URL under which list `number` is published, and which it names as `sub`."""
        return f"{aggregation_url(self.issuer)}/{number}"

    def aggregation(self, store: Store) -> JsonObject:
        """Give the document that leads to all lists, or to the newest thousand of them.

        It tells no more than the numbers in the lists' URLs do.
        """
        with store.reading() as held:
            last = held.last_status_list()
        oldest = max(last - MAX_LISTS + 1, 1)
        return aggregation_document([self.url(number) for number in range(oldest, last + 1)])

    def signed(self, store: Store, number: int, *, now: datetime) -> str | None:
        """Give the signed list, or None when there is no list of that number.

        An ended credential shows at once.
        """
        with store.reading() as held:
            if not 1 <= number <= held.last_status_list():
                return None
            live = self._live_list(number)
            if kept := self._still_true(live, held, number, now):
                return kept.token
        # One worker signs a list once, however many ask for it meanwhile.
        with live.lock:
            with store.transaction() as held:
                if kept := self._still_true(live, held, number, now):
                    return kept.token
                known = held.listing(number)
                listing = self._next(known, held.ended_count(number), now)
                if live.published and listing.listed_at - now > _AHEAD_AT_MOST:
                    return live.published.token
                if listing != known:
                    held.put_listing(number, listing)
                live.follow(held, number)
            token = sign_status_entries(
                live.entries,
                url=self.url(number),
                signer=self.signer,
                issued_at=listing.listed_at,
                expires_at=listing.listed_at + self.lasts,
                ttl_s=int(self.ttl.total_seconds()),
                aggregation_url=aggregation_url(self.issuer),
            )
            live.published = _Published(listing, token)
            return token

    def _live_list(self, number: int) -> _Live:
        with self._lock:
            if number not in self._live:
                self._live[number] = _Live(self.size)
            return self._live[number]

    def _still_true(self, live: _Live, held: Held, number: int, now: datetime) -> _Published | None:
        kept, known = live.published, held.listing(number)
        if kept is None or kept.listing != known:
            return None
        return kept if self._next(known, held.ended_count(number), now) == known else None

    def _next(self, known: Listing | None, ended: int, now: datetime) -> Listing:
        """Give what is to be published now, of a list with so many ended entries."""
        now = now.replace(microsecond=0)
        if known is None:
            return Listing(ended, now)
        if known.ended != ended:
            return Listing(ended, max(now, known.listed_at + timedelta(seconds=1)))
        return known if now - known.listed_at < self.lasts / 2 else Listing(ended, now)
