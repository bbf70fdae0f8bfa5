"""Status lists: allot an entry to a credential, and publish the signed list.

An entry is drawn at random among the free ones, so that its number tells nothing
about when or to whom; it is never used again. What a list says follows from the issued
credentials, and its time from what was last published, which is on disk before
anybody sees it: no two lists of one number and time say different things, whatever
was killed when, and whichever worker was asked.

Token Status List, sections 5, 8, 9 and 12.
"""

import threading
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
    _published: dict[int, _Published] = field(default_factory=dict[int, _Published])
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
            with self._lock:
                kept = self._published.get(number)
            known, ended = held.listing(number), held.ended_count(number)
            if kept and kept.listing == known and self._next(known, ended, now) == known:
                return kept.token
        with store.transaction() as held:
            known = held.listing(number)
            listing = self._next(known, held.ended_count(number), now)
            if kept and listing.listed_at - now > _AHEAD_AT_MOST:
                return kept.token
            if listing != known:
                held.put_listing(number, listing)
            indices = held.ended_indices(number)
        entries = StatusEntries.blank(self.size, bits=BITS)
        entries.set_all(indices, INVALID)
        token = sign_status_entries(
            entries,
            url=self.url(number),
            signer=self.signer,
            issued_at=listing.listed_at,
            expires_at=listing.listed_at + self.lasts,
            ttl_s=int(self.ttl.total_seconds()),
            aggregation_url=aggregation_url(self.issuer),
        )
        # Two requests may sign at once. Whichever stays is compared with the
        # database before it is given again, so an older one does no harm.
        with self._lock:
            self._published[number] = _Published(listing, token)
        return token

    def _next(self, known: Listing | None, ended: int, now: datetime) -> Listing:
        """Give what is to be published now, of a list with so many ended entries."""
        now = now.replace(microsecond=0)
        if known is None:
            return Listing(ended, now)
        if known.ended != ended:
            return Listing(ended, max(now, known.listed_at + timedelta(seconds=1)))
        return known if now - known.listed_at < self.lasts / 2 else Listing(ended, now)
