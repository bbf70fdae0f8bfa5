"""Read stored records each by itself: one that is stuck neither hides nor stops the others."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from counterfoil_credentials.errors import CounterfoilError, Malformed, Reason

from counterfoil_wallet import acceptance_records, grant_states
from counterfoil_wallet.held import HeldCredential, whole
from counterfoil_wallet.history import Event
from counterfoil_wallet.papers import Papers
from counterfoil_wallet.store import Kind, Record, Store
from counterfoil_wallet.waiting import Waiting
from counterfoil_wallet.wire import reasons_of

_Value = TypeVar("_Value")


def _left_behind(_: Record) -> None:
    raise Malformed("a credential", "a record of an older wallet that is none", "credential")


_READERS: Final[dict[Kind, Callable[[Record], object]]] = {
    Kind.CREDENTIAL: _left_behind,
    Kind.ACCEPTANCE: acceptance_records.from_record,
    Kind.GRANT: grant_states.from_record,
    Kind.EVENT: Event.from_record,
    Kind.PAPERS: Papers.from_record,
    Kind.WAITING: Waiting.from_record,
}


@dataclass(frozen=True, slots=True)
class Stuck:
    """A record that cannot be read, or gone on with, and why. It is kept as it is."""

    kind: Kind
    key: str
    reasons: tuple[Reason, ...]


def read_each(
    records: Iterable[Record], read: Callable[[Record], _Value]
) -> tuple[list[_Value], list[Stuck]]:
    """Give what `read` makes of each record, and the records that it fails on."""
    values: list[_Value] = []
    stuck: list[Stuck] = []
    for record in records:
        try:
            values.append(read(record))
        except CounterfoilError as error:
            stuck.append(Stuck(record.kind, record.key, reasons_of(error)))
    return values, stuck


def readable(records: Iterable[Record], read: Callable[[Record], _Value]) -> list[_Value]:
    """Give what can be read; `damaged_in` names the rest."""
    return read_each(records, read)[0]


def events_in(store: Store) -> list[Event]:
    """Give what can be read of the history, without what the customer deleted."""
    return told_by(store.find(Kind.EVENT))


def told_by(records: Iterable[Record]) -> list[Event]:
    """Give the events in their records, without what the customer deleted."""
    return [event for event in readable(records, Event.from_record) if not event.is_forgotten]


def readable_cards(cards: Iterable[HeldCredential]) -> list[HeldCredential]:
    """Give the cards that can be read; `damaged_in` names the rest."""
    return _read_cards(cards)[0]


def damaged_in(store: Store) -> list[Stuck]:
    """Give every card and record of `store` that cannot be read."""
    damaged = _read_cards(store.cards(trashed=None))[1]
    for kind, read in _READERS.items():
        damaged += read_each(store.find(kind), read)[1]
    return damaged


def _read_cards(
    cards: Iterable[HeldCredential],
) -> tuple[list[HeldCredential], list[Stuck]]:
    read: list[HeldCredential] = []
    stuck: list[Stuck] = []
    for card in cards:
        try:
            read.append(whole(card))
        except CounterfoilError as error:
            stuck.append(Stuck(Kind.CREDENTIAL, card.credential_id, reasons_of(error)))
    return read, stuck
