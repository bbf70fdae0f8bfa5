"""What the brand says about a credential today: signed lists, kept with their age.

A list is fetched again when its time to live has passed. While the brand's
server is silent, or hands out a list older than one already seen, the newest
list seen still answers, and the policy decides whether that is fresh enough.
Nothing ever goes back to an older list, so that what was revoked stays so. A
list that is wrong in itself (another's signature, another address) makes no
statement at all. One that has ended (`exp`) says only what can never change: what it
calls revoked is revoked. Token Status List, sections 8.3 and 13.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from counterfoil_credentials.errors import Malformed, Reason, Refused, Unavailable
from counterfoil_credentials.jws import ES256_ONLY, Header, read_jws
from counterfoil_credentials.keys import Algorithm, PublicKey
from counterfoil_credentials.records import record
from counterfoil_credentials.sdjwt_vc import StatusReference, time_at
from counterfoil_credentials.spec import STATUS_LIST_TYP
from counterfoil_credentials.token_status_list import (
    INVALID,
    MAX_TOKEN_BYTES,
    SignedStatusList,
    StatusSource,
    read_status_list,
)

KEPT_WITHOUT_TTL: Final = timedelta(minutes=5)
"""How long a list that names no time to live is asked no more."""

KEPT_AT_MOST: Final = timedelta(days=1)
"""How long a list is asked no more, whatever time to live it names."""

RETRY_AFTER: Final = timedelta(seconds=5)
"""How long a silent, broken or outdated server is left alone, so that no queue forms behind it."""

_MAX_LISTS: Final = 1_000
_MAX_BYTES: Final = 128 * 1024 * 1024
_SKEW: Final = timedelta(seconds=60)
_WHERE: Final = "status_list"

KeyFinder = Callable[[Header, datetime | None], PublicKey]
"""Gives the credential issuer's key for a list's header and `iat`; it must have signed the list."""


@record()
class StatusAt:
    """A credential's status code, and the moment at which the brand listed it."""

    value: int
    listed_at: datetime


class ListEnded(Unavailable):
    """The newest list that can be had has ended; it was made at `listed_at`."""

    def __init__(self, what: str, listed_at: datetime) -> None:
        super().__init__(what)
        self.listed_at = listed_at


class _Place(NamedTuple):
    """Where a list stands, and for whom: one issuer's list says nothing about another's."""

    issuer: str
    url: str


@dataclass(frozen=True, slots=True)
class _Kept:
    """A list with the key that signed it, and when it was last asked for."""

    signed: SignedStatusList
    header: Header
    key: PublicKey
    fetched_at: datetime


@dataclass(frozen=True, slots=True)
class _Failed:
    """How the last attempt to fetch a list ended, whatever was wrong with it."""

    why: Refused | Unavailable
    at: datetime


class _Slot:
    """What is known of one list. Who holds `lock` is the only one to refresh it."""

    __slots__ = ("attempts", "failed", "kept", "lock")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.kept: _Kept | None = None
        self.failed: _Failed | None = None
        self.attempts = 0

    def answer(self, cause: Refused | Unavailable | None = None) -> _Kept:
        """Give the list that the last attempt left, or raise why there is none."""
        why = None if self.failed is None else self.failed.why
        if isinstance(why, Refused):
            raise Refused(*why.reasons) from cause
        if self.kept is not None:
            return self.kept
        if why is not None:
            raise Unavailable(why.what) from cause
        raise Unavailable("expected a status list, found none")


class Statuses:
    """Looks credentials up in signed status lists, and keeps the lists.

    Safe to use from several threads: those that want one list share one fetch. At
    most a thousand lists are remembered, and no more of them than fill 128 MiB; the
    one that was asked for longest ago goes first. `algorithms` are those under which
    a list may be signed.
    """

    def __init__(
        self, source: StatusSource, *, algorithms: frozenset[Algorithm] = ES256_ONLY
    ) -> None:
        self._source = source
        self._algorithms = algorithms
        self._slots: dict[_Place, _Slot] = {}
        self._older_lists = 0
        self._lock = threading.Lock()

    @property
    def older_lists(self) -> int:
        """How often a list older than one already seen, or at odds with it, came since the start.

        A few come from an issuer of several servers; many may be a roll-back.
        """
        return self._older_lists

    def at(
        self,
        reference: StatusReference,
        *,
        issuer: str,
        issuer_key: KeyFinder,
        now: datetime,
        max_age: timedelta,
    ) -> StatusAt:
        """Give the status of `reference` in the newest list of `issuer` that can be had.

        A list older than `max_age` is fetched again whatever its time to live;
        the answer may still be older, so look at `listed_at`. After a failure of
        any kind, the server is left alone for a moment and the failure stands.

        Raises `Refused` (`status-index-out-of-range`, `status-list-…`) and
        `Unavailable` when there is no list at all: `ListEnded` where there is one that has
        ended and does not read revoked.
        """
        place = _Place(issuer, reference.url)
        slot = self._slot(place)
        kept = slot.kept
        if kept is None or _is_due(kept, now, max_age):
            kept = self._refresh(place, slot, issuer_key, now, max_age)
        status = StatusAt(kept.signed.status_at(reference.index), kept.signed.listed_at)
        if _has_expired(kept, now) and status.value != INVALID:
            why = None if slot.failed is None else slot.failed.why
            what = "expected a status list in force, found one that has ended"
            raise ListEnded(f"{what}: {why}" if why else what, kept.signed.listed_at)
        return status

    def _slot(self, place: _Place) -> _Slot:
        with self._lock:
            # Put at the end again: the first is the one that goes.
            slot = self._slots[place] = self._slots.pop(place) if place in self._slots else _Slot()
            if len(self._slots) > _MAX_LISTS:
                del self._slots[next(iter(self._slots))]
            return slot

    def _refresh(
        self,
        place: _Place,
        slot: _Slot,
        issuer_key: KeyFinder,
        now: datetime,
        max_age: timedelta,
    ) -> _Kept:
        attempts, kept = slot.attempts, slot.kept
        if not slot.lock.acquire(blocking=False):
            # Somebody asks already. A server that hangs must not hold everybody: the others
            # go on with a list that is due and yet not too old.
            if (
                kept is not None
                and not _is_too_old(kept, now, max_age)
                and _still_stands(kept, issuer_key)
            ):
                return slot.answer()
            slot.lock.acquire()
        try:
            if slot.kept is not None and not _still_stands(slot.kept, issuer_key):
                slot.kept = None
            # Whoever waited while another asked takes that answer, good or bad.
            has_news = slot.attempts != attempts and bool(slot.kept or slot.failed)
            if has_news or _rests(slot, now, max_age):
                return slot.answer()
            cause = self._ask(place, slot, issuer_key, now)
            slot.attempts += 1
            return slot.answer(cause)
        finally:
            slot.lock.release()

    def _ask(
        self, place: _Place, slot: _Slot, issuer_key: KeyFinder, now: datetime
    ) -> Refused | Unavailable | None:
        """Fetch the list into `slot`; give what went wrong."""
        try:
            fetched = self._read(place.url, issuer_key, now)
        except (Refused, Unavailable) as cause:
            # An error as it was raised holds on to all that was read on its way.
            slot.failed = _Failed(_bare(cause), now)
            return cause
        slot.failed = None
        slot.kept = self._newest(fetched, slot.kept)
        self._forget_what_is_too_much()
        return None

    def _read(self, url: str, issuer_key: KeyFinder, now: datetime) -> _Kept:
        """Give the list, checked; whatever is wrong with it is told apart from the credential."""
        try:
            token = self._fetch(url)
            unverified = read_jws(
                token, typ=STATUS_LIST_TYP, where=_WHERE, max_bytes=MAX_TOKEN_BYTES
            )
            claims = unverified.unverified_claims
            key = issuer_key(unverified.header, time_at(claims, "iat", _WHERE))
            ends_at = time_at(claims, "exp", _WHERE)
            signed = read_status_list(
                token,
                url=url,
                issuer_key=key,
                # Read as of its last moment, a list that ended is checked in all the rest.
                now=now if ends_at is None else min(now, ends_at - timedelta(seconds=1)),
                algorithms=self._algorithms,
            )
        except Malformed as cause:
            raise Refused(
                Reason("status-list-malformed", cause.expected, cause.found, cause.where)
            ) from cause
        except Refused as cause:
            raise Refused(*(_about_the_list(reason) for reason in cause.reasons)) from cause
        # A list from the future would be kept as the newest against every one after it.
        if signed.listed_at > now + _SKEW:
            raise _refused("from-the-future", "a list that is not from the future", "one that is")
        return _Kept(signed, unverified.header, key, now)

    def _fetch(self, url: str) -> str:
        try:
            return self._source.fetch(url)
        except Refused as refused:
            # A page "back soon" in the list's place is no word of the brand's, for or against.
            if refused.codes == ["media-type-not-accepted"]:
                raise Unavailable(str(refused)) from refused
            raise

    def _newest(self, fetched: _Kept, known: _Kept | None) -> _Kept:
        """Give the newer list. An older one is no news: it neither serves nor refuses anybody.

        Nor does one of the same second that says something else: which of the two is
        the older cannot be told, and it may be the one before a revocation.
        """
        if known is None or fetched.signed.listed_at > known.signed.listed_at:
            return fetched
        if fetched.signed.listed_at == known.signed.listed_at and _says_the_same(fetched, known):
            return fetched
        with self._lock:
            self._older_lists += 1
        return replace(known, fetched_at=fetched.fetched_at)

    def _forget_what_is_too_much(self) -> None:
        with self._lock:
            size = sum(_size_bytes(slot) for slot in self._slots.values())
            while size > _MAX_BYTES:
                size -= _size_bytes(self._slots.pop(next(iter(self._slots))))


def _bare(why: Refused | Unavailable) -> Refused | Unavailable:
    return Refused(*why.reasons) if isinstance(why, Refused) else Unavailable(why.what)


def _size_bytes(slot: _Slot) -> int:
    kept = slot.kept
    return 0 if kept is None else len(kept.signed.entries)


def _rests(slot: _Slot, now: datetime, max_age: timedelta) -> bool:
    """Say whether the last attempt is so young that another would end as it did."""
    if slot.failed is not None:
        return abs(now - slot.failed.at) < RETRY_AFTER
    kept = slot.kept
    if kept is None or not _is_too_old(kept, now, max_age):
        return False
    return abs(now - kept.fetched_at) < RETRY_AFTER


def _is_due(kept: _Kept, now: datetime, max_age: timedelta) -> bool:
    ttl_s = kept.signed.ttl_s
    at_most_s = int(KEPT_AT_MOST.total_seconds())
    lives = KEPT_WITHOUT_TTL if ttl_s is None else timedelta(seconds=min(ttl_s, at_most_s))
    return (
        # Had at a time to come, it was had by a clock that was put right since.
        abs(now - kept.fetched_at) >= lives or _is_too_old(kept, now, max_age)
    )


def _is_too_old(kept: _Kept, now: datetime, max_age: timedelta) -> bool:
    return now - kept.signed.listed_at > max_age or _has_expired(kept, now)


def _says_the_same(one: _Kept, other: _Kept) -> bool:
    return (one.signed.bits, one.signed.entries) == (other.signed.bits, other.signed.entries)


def _has_expired(kept: _Kept, now: datetime) -> bool:
    expires_at = kept.signed.expires_at
    return expires_at is not None and now >= expires_at


def _still_stands(kept: _Kept, issuer_key: KeyFinder) -> bool:
    """Say whether the key that signed a kept list is the issuer's still, or was withdrawn."""
    try:
        return issuer_key(kept.header, kept.signed.listed_at) == kept.key
    except Refused:
        return False


def _about_the_list(reason: Reason) -> Reason:
    if reason.code.startswith("status-list-"):
        return reason
    return Reason(f"status-list-{reason.code}", reason.expected, reason.found, reason.where)


def _refused(code: str, expected: str, found: str) -> Refused:
    return Refused(Reason(f"status-list-{code}", expected, found, "status_list.iat"))
