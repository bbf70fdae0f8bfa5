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
from typing import Final, NamedTuple

from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Misuse
from counterfoil_credentials.keys import PublicKey
from counterfoil_credentials.status_entries import StatusEntries
from counterfoil_credentials.status_list_aggregation import MAX_LISTS, aggregation_document
from counterfoil_credentials.token_status_list import sign_status_entries

from counterfoil_issuer.key_ring import KeyRing, Keys
from counterfoil_issuer.records import Listing, ListState, Random, random_below
from counterfoil_issuer.store import Held, Store

BITS: Final = 2
_DRAWS: Final = 200
_LAST_LIST: Final = 2**31 - 1
# Verifiers allow a clock to be a minute wrong.
_AHEAD_AT_MOST: Final = timedelta(seconds=30)
_OTHERS_SHOW_WITHIN: Final = timedelta(seconds=1)


def _newest_list(held: Held, up_to: int) -> int:
    """Give the number of a list with room: the newest, or one after it.

    The list that this worker knew is full, or another worker has begun the next, or
    there is none: the first of all, or one whose beginning was undone.
    """
    last = held.last_list()
    if last is not None and last.used < up_to:
        return last.number
    number = 1 if last is None else last.number + 1
    held.add_list(number, used=0)
    return number


def aggregation_url(issuer: str) -> str:
    """Give the URL of the document that leads to all lists of `issuer`."""
    return f"{issuer}/status-lists"


@dataclass(frozen=True, slots=True)
class _Published:
    listing: Listing
    token: str
    key: PublicKey


class _Looked(NamedTuple):
    """A list that was true at some time, after so many commits of this process."""

    token: str
    ring: KeyRing
    commits: int
    at: datetime


class _Live:
    """One list in memory: its entries as of the last look at the store, and what was signed.

    Who holds `lock` is the only one to change it. It is a lock of its own for each
    list, and one that is taken again by the same thread.
    """

    __slots__ = ("_changes", "entries", "lock", "looked", "published")

    def __init__(self, size: int) -> None:
        self.lock = threading.RLock()
        self.entries = StatusEntries.blank(size, bits=BITS)
        self.published: _Published | None = None
        self.looked: _Looked | None = None
        self._changes = 0

    def follow(self, held: Held, number: int, changes: int) -> None:
        """Take over what has changed since the last look, whichever worker changed it."""
        if changes < self._changes:
            # A backup that was put back knows less: begin again.
            self.entries, self._changes = StatusEntries.blank(len(self.entries), bits=BITS), 0
        by_status: dict[int, list[int]] = {}
        for index, status in held.statuses(number, self._changes).items():
            by_status.setdefault(status, []).append(index)
        for status, indices in by_status.items():
            self.entries.set_all(indices, status)
        self._changes = changes


@dataclass(slots=True)
class StatusLists:
    """Publishes the lists. A signed list is kept until an entry changes, or is signed again.

    `lasts` is how long a signed list may be used at most, `ttl` how long a
    verifier may go without asking for a newer one. One that does not change is signed
    again every `renewed_every`, or after half its time where that is sooner.

    A list's time tells a verifier which of two is the newer, so each change of the
    list has a later time than the one before. Of several changes in one second the
    last ones are ahead of the clock; from half a minute on they wait for it.
    """

    issuer: str
    keys: Keys
    size: int
    lasts: timedelta
    ttl: timedelta
    renewed_every: timedelta = timedelta(minutes=30)
    _newest: int = 1
    _live: dict[int, _Live] = field(default_factory=dict[int, _Live])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def url(self, number: int) -> str:
        """Give the URL under which list `number` is published, and which it names as `sub`."""
        return f"{aggregation_url(self.issuer)}/{number}"

    def allot(self, held: Held, count: int, random: Random) -> tuple[int, list[int]]:
        """Give a list's number and so many free entries of it, to be recorded with the credentials.

        A list is left for the next when three quarters are used, so that a free
        entry is found in a few draws. Entries that are asked for together lie in one list.
        """
        taken: list[int] = []
        while len(taken) < count:
            taken.append(self._free_index(held, taken, random))
        return self._newest, taken

    def _free_index(self, held: Held, taken: Sequence[int], random: Random) -> int:
        up_to = self.size * 3 // 4
        for _ in range(_DRAWS):
            index = random_below(self.size, random)
            if index in taken:
                continue
            if held.take_entry(self._newest, index, up_to=up_to + len(taken)):
                return index
            if not taken and held.status_index_is_free(self._newest, index):
                self._newest = _newest_list(held, up_to)
        # At three quarters full, so many misses in a row are less likely than 1 in 10**24.
        raise Misuse("expected randomness that varies, found a source that repeats itself")

    def aggregation(self, store: Store) -> JsonObject:
        """Give the document that leads to all lists, or to the newest thousand of them.

        It tells no more than the numbers in the lists' URLs do.
        """
        with store.reading() as held:
            newest = held.last_list()
        last = 0 if newest is None else newest.number
        oldest = max(last - MAX_LISTS + 1, 1)
        return aggregation_document([self.url(number) for number in range(oldest, last + 1)])

    def kept(self, store: Store, number: int, *, now: datetime) -> str | None:
        """Give the signed list if it is in memory and still true, without asking the database."""
        live = self._live.get(number)
        looked = None if live is None else live.looked
        if (
            looked is not None
            and looked.commits == store.commits
            and looked.at <= now < looked.at + _OTHERS_SHOW_WITHIN
            and looked.ring is self.keys.ring()
        ):
            return looked.token
        return None

    def signed(self, store: Store, number: int, *, now: datetime) -> str | None:
        """Give the signed list, or None when there is no list of that number.

        A change that this process made shows at once, another's within a second.
        """
        if kept_token := self.kept(store, number, now=now):
            return kept_token
        commits = store.commits
        with store.reading() as held:
            state = held.list_state(number) if 1 <= number <= _LAST_LIST else None
            if state is None:
                return None
            live = self._live_list(number)
            if kept := self._still_true(live, state, now):
                live.looked = _Looked(kept.token, self.keys.ring(), commits, now)
                return kept.token
        # One worker signs a list once, however many ask for it meanwhile.
        with live.lock:
            with store.transaction() as held:
                state = held.list_state(number)
                if state is None:
                    return None
                if kept := self._still_true(live, state, now):
                    return kept.token
                listing = self._next(state, now)
                if live.published and listing.listed_at - now > _AHEAD_AT_MOST:
                    return live.published.token
                if listing != state.listing:
                    held.put_listing(number, listing)
                live.follow(held, number, state.changes)
            signer = self.keys.ring().signer(now)
            token = sign_status_entries(
                live.entries,
                url=self.url(number),
                signer=signer,
                issued_at=listing.listed_at,
                expires_at=listing.listed_at + self.lasts,
                ttl_s=int(self.ttl.total_seconds()),
                aggregation_url=aggregation_url(self.issuer),
            )
            live.published = _Published(listing, token, signer.public)
            return token

    def _live_list(self, number: int) -> _Live:
        with self._lock:
            if number not in self._live:
                self._live[number] = _Live(self.size)
            return self._live[number]

    def _still_true(self, live: _Live, state: ListState, now: datetime) -> _Published | None:
        kept = live.published
        if kept is None or kept.listing != state.listing:
            return None
        if kept.key not in self.keys.ring().published:
            # Somebody else has that key, and nobody believes it any more.
            return None
        return kept if self._next(state, now) == state.listing else None

    def _next(self, state: ListState, now: datetime) -> Listing:
        """Give what is to be published now of a list in that state."""
        now = now.replace(microsecond=0)
        known = state.listing
        if known is None:
            return Listing(state.changes, now)
        if known.changes != state.changes:
            return Listing(state.changes, max(now, known.listed_at + timedelta(seconds=1)))
        is_young = now - known.listed_at < min(self.renewed_every, self.lasts / 2)
        return known if is_young else Listing(state.changes, now)
