"""The systems in which a receiver keeps facts beside its sealed store: each erases at an end.

    receiver = Receiver(..., systems=[SqlRows(...), FolderFiles(...), Webhook(...)])

A system answers for itself. Only what it answers is listed in the receipt, and only
after it says that it holds nothing more; until the last one has answered there is no
receipt, and after the promised time the erasure is overdue (desk.py).
"""

import logging
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from counterfoil_credentials.errors import Misuse, Unavailable

from counterfoil_consent.erased_system import MAX_SYSTEMS, ErasedSystem, Method, System, system_name
from counterfoil_consent.wire import GrantId

_LOG: Final = logging.getLogger("counterfoil.consent")
_OWN_PLACES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a receiver calls a system, what it is, and how long its backups keep what it held.

    `backups_kept` is None where backups hold nothing that opens.
    """

    name: str
    system: System
    backups_kept: timedelta | None = None

    def __post_init__(self) -> None:
        """Refuse a name that no receipt could carry."""
        system_name(self.name, "system.name")
        if self.system is System.SEALING_KEY:
            raise Misuse("expected a system of the receiver, found the sealing key")

    def erased(self, method: Method, at: datetime) -> ErasedSystem:
        """Give what the receipt says of it, erased by `method` at `at`."""
        kept = self.backups_kept
        until = None if kept is None else (at + kept).replace(microsecond=0)
        return ErasedSystem(system=self.system, method=method, name=self.name, backups_until=until)


class RegisteredSystem(Protocol):
    """One system that a receiver registered. Both methods may be called again and again."""

    @property
    def place(self) -> Place:
        """Its name and what it is."""
        ...

    def erase(self, grant_id: GrantId) -> ErasedSystem:
        """Erase what is held of a grant, and say how.

        Raises `Unavailable` when it cannot be done now, `Refused` when it must not be.
        """
        ...

    def holds(self, grant_id: GrantId) -> bool:
        """Say whether anything of a grant is held; `Unavailable` when it cannot be known."""
        ...


def require_distinct(systems: Sequence[RegisteredSystem]) -> None:
    """Return only if each system has a name of its own and a receipt has room for all."""
    names = {system.place.name for system in systems}
    if len(names) != len(systems) or len(systems) > MAX_SYSTEMS - _OWN_PLACES:
        most = MAX_SYSTEMS - _OWN_PLACES
        raise Misuse(f"expected at most {most} systems, each with its own name, found others")


def erase_in(
    systems: Sequence[RegisteredSystem], grant_id: GrantId, answered: Collection[str]
) -> tuple[ErasedSystem, ...]:
    """Erase in each system whose name is not in `answered`; give those that have done it now."""
    done: list[ErasedSystem] = []
    for system in systems:
        if system.place.name in answered:
            continue
        try:
            erased = system.erase(grant_id)
            is_left = system.holds(grant_id)
        except Exception as trouble:  # noqa: BLE001  # whatever it is, the others must erase
            _LOG.warning("a system could not erase now: %s", type(trouble).__name__)
            continue
        if is_left or (erased.name, erased.system) != (system.place.name, system.place.system):
            _LOG.warning("a system said that it erased, and it did not")
            continue
        done.append(erased)
    return tuple(done)


def require_nothing_held(systems: Sequence[RegisteredSystem], grant_id: GrantId) -> None:
    """Return only if each system was looked into and holds nothing; `Unavailable` otherwise."""
    for system in systems:
        try:
            holds = system.holds(grant_id)
        except Exception as trouble:
            found = type(trouble).__name__
            raise Unavailable(f"expected a look into every system, found {found}") from trouble
        if holds:
            raise Unavailable("expected nothing of the grant in any system, found some")


class MemorySystem:
    """The in-memory twin: a dictionary by grant."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.is_away = False
        self._held: dict[GrantId, object] = {}
        self._lock = threading.Lock()

    def keep(self, grant_id: GrantId, what: object) -> None:
        """Hold something of a grant."""
        with self._lock:
            self._held[grant_id] = what

    def erase(self, grant_id: GrantId) -> ErasedSystem:
        with self._lock:
            if self.is_away:
                raise ConnectionError("away")
            self._held.pop(grant_id, None)
        return ErasedSystem(system=self.place.system, method=Method.DELETED, name=self.place.name)

    def holds(self, grant_id: GrantId) -> bool:
        with self._lock:
            return grant_id in self._held
