"""Read stored records each by itself: one that is stuck neither hides nor stops the others."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from counterfoil_credentials.errors import CounterfoilError, Reason

from counterfoil_wallet import acceptance, grant_states
from counterfoil_wallet.held import HeldCredential
from counterfoil_wallet.history import Event
from counterfoil_wallet.store import Kind, Record, Store
from counterfoil_wallet.wire import reasons_of

_Value = TypeVar("_Value")

_READERS: Final[dict[Kind, Callable[[Record], object]]] = {
    Kind.CREDENTIAL: HeldCredential.from_record,
    Kind.ACCEPTANCE: acceptance.from_record,
    Kind.GRANT: grant_states.from_record,
    Kind.EVENT: Event.from_record,
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


def damaged_in(store: Store) -> list[Stuck]:
    """Give every record of `store` that cannot be read."""
    return [
        stuck for kind, read in _READERS.items() for stuck in read_each(store.find(kind), read)[1]
    ]
