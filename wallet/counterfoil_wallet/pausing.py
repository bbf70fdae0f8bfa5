"""Suspend a grant and resume it, from this device or, prepared in advance, from a second one.

    Pauser.pause      her word, signed, kept and sent; sent again until both parties have heard
    Pauser.stand_by   a suspension signed now, for a device that can do nothing else
    Standby.use       what the second device does with it: no wallet and no key is needed

A word counts when its sequence is above every one before. The one in advance stands far
above her next ones, so that it works whatever happens meanwhile; to resume outbids it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from counterfoil_consent import holder
from counterfoil_consent.events import Pause, sign_pause
from counterfoil_consent.states import Agreement
from counterfoil_consent.wire import GrantId
from counterfoil_credentials.encoding import (
    Json,
    as_object,
    compact_json,
    int_at,
    list_at,
    object_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.fetch import Fetcher

from counterfoil_wallet.grant_book import GrantBook
from counterfoil_wallet.grant_states import InForce, LastPause
from counterfoil_wallet.history import Act, Event, Outcome
from counterfoil_wallet.wire import Random, refuse

MAX_STANDBY_BYTES: Final = 16 * 1024 * 1024
_AHEAD: Final = 2**40
_FORMAT: Final = "counterfoil-standby"
_WHERE: Final = "standby"


class Pauser:
    """Pauses grants of one book. Callers see to it that each id is driven once."""

    def __init__(self, book: GrantBook, fetcher: Fetcher, random: Random) -> None:
        self._book = book
        self._fetcher = fetcher
        self._random = random

    def pause(self, grant_id: GrantId, *, suspend: bool) -> InForce:
        """Suspend a grant, or resume it; its `LastPause` says who has heard.

        Raises `Refused` with `grant-not-active` for one that is not in force.
        """
        state = self._in_force(grant_id)
        last = state.pause
        # To resume what this wallet has not paused undoes what a second device did.
        if last is None or state.is_suspended is not suspend or not suspend:
            state = self._sign(state, suspend=suspend, above=_sequence(state))
        return self.go_on(state)

    def go_on(self, state: InForce) -> InForce:
        """Send her last word to whoever has not heard it."""
        last = state.pause
        if last is None or last.is_heard:
            return state
        held = holder.send_pause(state.active.agreement, last.token, fetcher=self._fetcher)
        said = [one for one in (held.custodian, held.receiver) if one is not None]
        if any(
            last.pause.sequence < one.sequence <= state.standby
            and one.is_suspended is not last.pause.is_suspended
            for one in said
        ):
            # The second device was there. Only a word that this wallet signed is outbid:
            # a party could name any number, and use hers up.
            state = self._sign(
                replace(state, standby=0),
                suspend=last.pause.is_suspended,
                above=state.standby,
            )
            return self.go_on(state)
        heard = replace(
            last,
            custodian_heard=last.custodian_heard or held.custodian is not None,
            receiver_heard=last.receiver_heard or held.receiver is not None,
        )
        outcome = Outcome.DONE if heard.is_heard else Outcome.SENT
        return self._book.keep(
            replace(state, pause=heard), self._event(state, heard.pause).ended(outcome)
        )

    def stand_by(self, grant_id: GrantId) -> "Standby":
        """Give a suspension signed in advance. It can suspend, never read, never withdraw."""
        state = self._in_force(grant_id)
        sequence = max(state.standby + 1, _sequence(state) + _AHEAD)
        token = self._signed(state, Pause(sequence, is_suspended=True))
        self._book.keep(replace(state, standby=sequence))
        return Standby(state.active.agreement, token)

    def _in_force(self, grant_id: GrantId) -> InForce:
        state = self._book.state(grant_id)
        if not isinstance(state, InForce) or self._book.clock() >= state.terms.valid_until:
            raise refuse("grant-not-active", "a grant in force", "another", "grant")
        return state

    def _sign(self, state: InForce, *, suspend: bool, above: int) -> InForce:
        pause = Pause(above + 1, is_suspended=suspend)
        last = LastPause(pause, self._signed(state, pause), self._book.clock())
        event = self._event(state, pause)
        return self._book.keep(replace(state, pause=last), event, pause=last.token)

    def _signed(self, state: InForce, pause: Pause) -> str:
        return sign_pause(
            state.active.agreement,
            pause,
            signer=state.signer,
            now=self._book.clock(),
            random=self._random,
        )

    def _event(self, state: InForce, pause: Pause) -> Event:
        act = Act.PAUSED if pause.is_suspended else Act.RESUMED
        return self._book.event(state, act, f"{pause.sequence}")


@dataclass(frozen=True, slots=True)
class Standby:
    """One suspension signed in advance, and what is needed to deliver it: names and digests."""

    agreement: Agreement = field(repr=False)
    token: str = field(repr=False)

    @property
    def receiver(self) -> str:
        """The name of whom it stops."""
        return self.agreement.terms.receiver.name

    def use(self, fetcher: Fetcher) -> holder.Pausing:
        """Suspend now. Each party that cannot be reached is None in the answer: use it again."""
        return holder.send_pause(self.agreement, self.token, fetcher=fetcher)


def standby_file(standbys: Iterable[Standby]) -> bytes:
    """Give the file for the second device."""
    listed: list[Json] = [
        {"agreement": one.agreement.to_json(), "suspension": one.token} for one in standbys
    ]
    return compact_json({"format": _FORMAT, "version": 1, "standby": listed})


def read_standby_file(raw: bytes) -> tuple[Standby, ...]:
    """Read the file on the second device; `Malformed` for another."""
    body = parse_object(raw, _WHERE, max_bytes=MAX_STANDBY_BYTES)
    if text_at(body, "format", _WHERE) != _FORMAT or int_at(body, "version", _WHERE) != 1:
        raise Malformed(f"{_FORMAT}, version 1", "another", f"{_WHERE}.format")
    listed = [as_object(one, _WHERE) for one in list_at(body, "standby", _WHERE)]
    return tuple(
        Standby(
            Agreement.from_json(object_at(one, "agreement", _WHERE), f"{_WHERE}.agreement"),
            text_at(one, "suspension", _WHERE),
        )
        for one in listed
    )


def _sequence(state: InForce) -> int:
    return 0 if state.pause is None else state.pause.pause.sequence
