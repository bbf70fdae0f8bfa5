"""Status lists: allot an entry to a credential, and publish the signed list.

An entry is drawn at random among the free ones, so that its number tells nothing
about when or to whom; it is never used again. The list and its time follow from the
issued credentials and the clock, so there is no second truth that could
disagree after a crash, or between two workers.

Token Status List, sections 5, 8, 9 and 12.
"""

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Misuse
from counterfoil_credentials.keys import Signer
from counterfoil_credentials.status_entries import StatusEntries
from counterfoil_credentials.status_list_aggregation import MAX_LISTS, aggregation_document
from counterfoil_credentials.token_status_list import INVALID, sign_status_entries

from counterfoil_issuer.records import Random, random_below
from counterfoil_issuer.store import Held, Store

BITS: Final = 2
_DRAWS: Final = 200


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
    ended: int
    listed_at: datetime
    token: str


@dataclass(slots=True)
class StatusLists:
    """Publishes the lists. A signed list is kept until an entry or its time changes.

    `lasts` is how long a signed list may be used at most, `ttl` how long a
    verifier may go without asking for a newer one.

    A list's time is not when one worker happened to sign it, but since when it
    has been true: the start of the half of `lasts` that it was asked for in, or
    the latest ending after that. So workers over one database agree on it, and
    whoever asks later never gets an older list.
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

        An ended credential shows at once: entries only ever go from valid to
        invalid, so their count and the time tell whether the kept list is still
        the one to give.
        """
        with store.reading() as held:
            if not 1 <= number <= held.last_status_list():
                return None
            ended = held.ended_count(number)
            listed_at = self._listed_at(held.last_ended_at(number), now)
            with self._lock:
                kept = self._published.get(number)
            if kept and (kept.ended, kept.listed_at) == (ended, listed_at):
                return kept.token
            indices = held.ended_indices(number)
        entries = StatusEntries.blank(self.size, bits=BITS)
        entries.set_all(indices, INVALID)
        token = sign_status_entries(
            entries,
            url=self.url(number),
            signer=self.signer,
            issued_at=listed_at,
            expires_at=listed_at + self.lasts,
            ttl_s=int(self.ttl.total_seconds()),
            aggregation_url=aggregation_url(self.issuer),
        )
        # Two requests may sign at once. Whichever stays is compared with the
        # database before it is given again, so an older one does no harm.
        with self._lock:
            self._published[number] = _Published(ended, listed_at, token)
        return token

    def _listed_at(self, last_ended_at: datetime | None, now: datetime) -> datetime:
        half_life_s = max(int(self.lasts.total_seconds()) // 2, 1)
        now_s = int(now.timestamp())
        began_s = now_s - now_s % half_life_s
        if last_ended_at is not None:
            # A clock that was set back must not make a list from the future.
            began_s = min(max(began_s, int(last_ended_at.timestamp())), now_s)
        return datetime.fromtimestamp(began_s, UTC)
