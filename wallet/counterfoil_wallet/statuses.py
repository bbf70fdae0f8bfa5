"""What issuers list about the cards held: in force, suspended, revoked, or not to be found out.

A list is fetched whole, so that nobody learns which entry is looked for, and only when
the app asks: never while presenting, when the time of the call would tell the issuer
who is at which counter. Between two fetches the cards' last known status stands, with
its age. A list older than the last one seen is refused: it would bring back what was
revoked since. Token Status List, sections 8.3 and 12.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from counterfoil_credentials.encoding import compact_json, int_at, parse_object
from counterfoil_credentials.errors import Malformed, Reason, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.issuer_keys import fetch_issuer_keys, issuer_key_named
from counterfoil_credentials.token_status_list import (
    INVALID,
    SUSPENDED,
    VALID,
    FetchedStatusSource,
    SignedStatusList,
    read_status_list,
    status_list_key_id,
)

from counterfoil_wallet.held import CredentialId, HeldCredential
from counterfoil_wallet.history import Act, Event, fresh_event_id
from counterfoil_wallet.store import Store
from counterfoil_wallet.wire import Clock, Random, https_url, reasons_of, refuse, required_time_at

ASKED_AGAIN_AFTER: Final = timedelta(minutes=5)
"""How long a list is asked no more, unless the app wants it fresher or the list lives shorter."""

_WHERE: Final = "status"
_MAX_STATE_BYTES: Final = 200


class Status(StrEnum):
    """What a card's issuer lists. `UNKNOWN` is no yes and no no."""

    NOT_LISTED = "not-listed"
    IN_FORCE = "in-force"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    OTHER = "other"
    UNKNOWN = "unknown"


_MEANINGS: Final = {VALID: Status.IN_FORCE, INVALID: Status.REVOKED, SUSPENDED: Status.SUSPENDED}
_ACTS: Final = {
    Status.IN_FORCE: Act.REINSTATED,
    Status.SUSPENDED: Act.SUSPENDED,
    Status.REVOKED: Act.REVOKED,
    Status.OTHER: Act.MARKED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CardStatus:
    """What the issuer listed about a card at `listed_at`, the last time that was found out.

    `code` is the list's own (Token Status List, section 7.1): with `OTHER` it means
    what the issuer says that it means. `failed` says why the last attempt found out
    nothing; then `status` is the one before it, or `UNKNOWN`.
    """

    credential_id: CredentialId
    status: Status
    code: int | None = None
    listed_at: datetime | None = None
    failed: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class _List:
    """Where a list stands, and for whom: one issuer's list says nothing about another's."""

    issuer: str
    url: str


@dataclass(frozen=True, slots=True)
class _Asked:
    """When a list was last fetched, and until when it serves by its own word."""

    at: datetime
    lives: timedelta

    def serves(self, now: datetime, max_age: timedelta) -> bool:
        # A clock that was set back tells nothing about age.
        return timedelta(0) <= now - self.at < min(self.lives, max_age)


class StatusChecks:
    """Finds out, and says what is known. Callers see to it that one check runs at a time."""

    def __init__(self, store: Store, fetcher: Fetcher, clock: Clock, random: Random) -> None:
        self._store = store
        self._source = FetchedStatusSource(fetcher)
        self._fetcher = fetcher
        self._clock = clock
        self._random = random
        self._asked: dict[_List, _Asked] = {}

    def check(self, *, max_age: timedelta) -> list[CardStatus]:
        """Find out about each card as far as that is possible now; see `CardStatus.failed`.

        Cards that have ended are not asked about. What changed is in the history.
        """
        now = self._clock()
        known = [(card, known_status(card)) for card in self._store.cards()]
        lists: defaultdict[_List, list[CardStatus]] = defaultdict(list)
        indices: dict[CredentialId, int] = {}
        for card, last in known:
            if card.status is not None and not _is_over(card, now):
                lists[_List(card.issuer, card.status.url)].append(last)
                indices[card.credential_id] = card.status.index
        found: dict[CredentialId, CardStatus] = {}
        for place, statuses in lists.items():
            asked = self._asked.get(place)
            is_known = all(last.code is not None for last in statuses)
            if asked is None or not is_known or not asked.serves(now, max_age):
                found.update(self._ask(place, statuses, indices, now))
        with self._store.step():
            for card, last in known:
                self._keep(card, last, found.get(card.credential_id, last), now)
        return [found.get(card.credential_id, last) for card, last in known]

    def _keep(
        self, card: HeldCredential, last: CardStatus, current: CardStatus, now: datetime
    ) -> None:
        code, listed_at = current.code, current.listed_at
        if code is None or listed_at is None or (code, listed_at) == (last.code, last.listed_at):
            return
        self._store.mark(card.credential_id, _state(code, listed_at))
        # That a new card is in force is no news.
        was = Status.IN_FORCE if last.status is Status.UNKNOWN else last.status
        # Two words of the issuer's own may mean opposite things.
        if current.status is not was or (was is Status.OTHER and code != last.code):
            event = Event(
                event_id=fresh_event_id(self._random),
                at=now,
                act=_ACTS[current.status],
                party=card.issuer,
                types=(card.vct,),
            )
            self._store.put(event.to_record())

    def _ask(
        self,
        place: _List,
        known: list[CardStatus],
        indices: dict[CredentialId, int],
        now: datetime,
    ) -> dict[CredentialId, CardStatus]:
        seen_at = max((last.listed_at for last in known if last.listed_at), default=None)
        try:
            signed = self._read(place, seen_at, now)
        except (Refused, Malformed, Unavailable) as error:
            self._asked.pop(place, None)
            return {last.credential_id: _failed(last, error) for last in known}
        lives = ASKED_AGAIN_AFTER if signed.ttl_s is None else timedelta(seconds=signed.ttl_s)
        self._asked[place] = _Asked(now, lives)
        found: dict[CredentialId, CardStatus] = {}
        for last in known:
            try:
                code = signed.status_at(indices[last.credential_id])
            except Refused as refusal:
                found[last.credential_id] = _failed(last, refusal)
                continue
            found[last.credential_id] = _status(last.credential_id, code, signed.listed_at)
        return found

    def _read(self, place: _List, seen_at: datetime | None, now: datetime) -> SignedStatusList:
        token = self._source.fetch(https_url(place.url, _WHERE))
        key_id = status_list_key_id(token)
        key = issuer_key_named(fetch_issuer_keys(self._fetcher, place.issuer), key_id)
        if key is None:
            raise refuse("issuer-key-unknown", "a key the issuer publishes", "another", _WHERE)
        return read_status_list(token, url=place.url, issuer_key=key, now=now, seen_at=seen_at)


def known_status(card: HeldCredential) -> CardStatus:
    """Give what was last found out about a card; nobody is asked."""
    if card.status is None:
        return CardStatus(credential_id=card.credential_id, status=Status.NOT_LISTED)
    try:
        state = parse_object(card.state or "{}", _WHERE, max_bytes=_MAX_STATE_BYTES)
        code, listed_at = (
            int_at(state, "code", _WHERE),
            required_time_at(state, "listed_at", _WHERE),
        )
    except Malformed:
        # Nothing yet, or in words that we do not know: what nobody can read is no yes.
        return CardStatus(credential_id=card.credential_id, status=Status.UNKNOWN)
    return _status(card.credential_id, code, listed_at)


def _status(credential_id: CredentialId, code: int, listed_at: datetime) -> CardStatus:
    return CardStatus(
        credential_id=credential_id,
        status=_MEANINGS.get(code, Status.OTHER),
        code=code,
        listed_at=listed_at,
    )


def _state(code: int, listed_at: datetime) -> str:
    return compact_json({"code": code, "listed_at": int(listed_at.timestamp())}).decode("ascii")


def _failed(last: CardStatus, error: Refused | Malformed | Unavailable) -> CardStatus:
    return CardStatus(
        credential_id=last.credential_id,
        status=last.status,
        code=last.code,
        listed_at=last.listed_at,
        failed=reasons_of(error),
    )


def _is_over(card: HeldCredential, now: datetime) -> bool:
    return card.expires_at is not None and card.expires_at <= now
