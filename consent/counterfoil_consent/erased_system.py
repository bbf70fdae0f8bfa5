"""One place where data lay, and how it was erased there, as receipts list it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from counterfoil_credentials.encoding import JsonObject, as_object, list_at, text_at
from counterfoil_credentials.errors import Malformed

from counterfoil_consent.wire import instant_at, require_members, seconds

MAX_SYSTEMS: Final = 50
_LONGEST_NAME: Final = 100


class System(StrEnum):
    """Where data can have lain: a closed list."""

    LIVE_DATABASE = "live-database"
    SEALING_KEY = "sealing-key"
    BACKUPS = "backups"
    CACHES = "caches"
    LOGS = "logs"
    SEARCH_INDEX = "search-index"
    ANALYTICS = "analytics"
    MAIL = "mail"
    FILES = "files"
    OTHER_SERVICE = "other-service"


class Method(StrEnum):
    """How it was erased there."""

    DELETED = "deleted"
    OVERWRITTEN = "overwritten"
    KEY_DESTROYED = "key-destroyed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasedSystem:
    """One place where the data lay, and how it was erased there.

    `name` is what the receiver calls a system that it registered, None for the
    places that the library itself keeps. `backups_until` is when the last backup
    that may still hold what was there is gone; None where no backup opens it.
    """

    system: System
    method: Method
    name: str | None = None
    backups_until: datetime | None = None

    def to_json(self) -> JsonObject:
        """Give the item as it stands in receipts."""
        obj: JsonObject = {"class": self.system.value, "method": self.method.value}
        if self.name is not None:
            obj["name"] = self.name
        if self.backups_until is not None:
            obj["backups_until"] = seconds(self.backups_until)
        return obj

    @staticmethod
    def from_json(obj: JsonObject, where: str) -> "ErasedSystem":
        """Read one item; a class or a method that is not listed is `Malformed`."""
        require_members(obj, ("class", "method"), where, optional=("name", "backups_until"))
        try:
            system = System(text_at(obj, "class", where))
            method = Method(text_at(obj, "method", where))
        except ValueError as cause:
            raise Malformed("a class and a method of the lists", "another", where) from cause
        return ErasedSystem(
            system=system,
            method=method,
            name=system_name(text_at(obj, "name", where), where) if "name" in obj else None,
            backups_until=instant_at(obj, "backups_until", where)
            if "backups_until" in obj
            else None,
        )


def system_name(text: str, where: str) -> str:
    """Give the name of a registered system: 1 to 100 printable characters."""
    if not 1 <= len(text) <= _LONGEST_NAME or not text.isprintable():
        raise Malformed(f"1 to {_LONGEST_NAME} printable characters", "another text", where)
    return text


def systems_at(obj: JsonObject, where: str) -> tuple[ErasedSystem, ...]:
    """Give the list in `systems`, each place once."""
    place = f"{where}.systems"
    listed = list_at(obj, "systems", where)
    if len(listed) > MAX_SYSTEMS:
        raise Malformed(f"at most {MAX_SYSTEMS}", f"{len(listed)}", place)
    systems = tuple(ErasedSystem.from_json(as_object(value, place), place) for value in listed)
    if len({(system.system, system.name) for system in systems}) != len(systems):
        raise Malformed("each place once", "one twice", place)
    return systems
