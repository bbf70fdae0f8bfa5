"""Where a customer's points are remembered: a port that a wallet fills.

    keeper.keep("points of https://audio.example", body)
    keeper.kept("points of https://audio.example")

`Wallet` has these three verbs, and so an app hands in the wallet itself.
"""

from typing import Protocol

from counterfoil_credentials.encoding import JsonObject, compact_json, parse_object

MAX_BYTES = 2**21


class Keeper(Protocol):
    """What keeps for a customer; encrypted, if it is worth anything."""

    def secret(self, name: str) -> bytes:
        """Give 32 secret bytes, the same each time for `name`."""
        ...

    def keep(self, name: str, body: bytes) -> None:
        """Keep `body`, up to `MAX_BYTES`, in place of what was kept; an empty one is nothing."""
        ...

    def kept(self, name: str) -> bytes | None:
        """Give what was kept; None for nothing."""
        ...


class MemoryKeeper:
    """A `Keeper` that forgets when the process ends."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._kept: dict[str, bytes] = {}

    def secret(self, name: str) -> bytes:
        return self._secret

    def keep(self, name: str, body: bytes) -> None:
        self._kept[name] = body

    def kept(self, name: str) -> bytes | None:
        return self._kept.get(name) or None


def keep_json(keeper: Keeper, name: str, obj: JsonObject) -> None:
    """Keep an object, or nothing in place of an empty one."""
    keeper.keep(name, compact_json(obj) if obj else b"")


def kept_json(keeper: Keeper, name: str) -> JsonObject:
    """Give the object that was kept, an empty one for nothing; `Malformed` for another thing."""
    body = keeper.kept(name)
    return {} if body is None else parse_object(body, name, max_bytes=MAX_BYTES)
