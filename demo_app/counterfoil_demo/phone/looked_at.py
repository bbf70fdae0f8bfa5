"""What somebody looks at and has not answered yet: kept in memory, by a name of this phone's own.

What was scanned holds codes and nonces, which have no place in an address. Gone when the
wallet is let go of.
"""

import secrets
import threading
from typing import Final, Generic, TypeVar

from starlette.exceptions import HTTPException

from counterfoil_demo.phone.pocket import Pocket

_Thing = TypeVar("_Thing")
_MOST: Final = 20


class LookedAt(Generic[_Thing]):
    """The things of one kind; the oldest gives way. Safe from several threads."""

    def __init__(self, pocket: Pocket) -> None:
        self._things: dict[str, _Thing] = {}
        self._lock = threading.Lock()
        pocket.when_locked(self._things.clear)

    def add(self, thing: _Thing) -> str:
        """Keep a thing, and give its name."""
        name = secrets.token_urlsafe(12)
        self.put(name, thing)
        return name

    def put(self, name: str, thing: _Thing) -> None:
        """Keep a thing under `name`."""
        with self._lock:
            while len(self._things) >= _MOST:
                del self._things[next(iter(self._things))]
            self._things[name] = thing

    def find(self, name: str) -> _Thing | None:
        """Give a thing, or None where it is not there any more."""
        return self._things.get(name)

    def named(self, name: str) -> _Thing:
        """Give a thing; the page of one that is not there does not exist."""
        found = self.find(name)
        if found is None:
            raise HTTPException(404)
        return found

    def drop(self, name: str) -> None:
        """Forget a thing."""
        self._things.pop(name, None)
