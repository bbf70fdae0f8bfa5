"""What a customer asked for and has no answer to yet: kept before it is sent, sent once.

    wish = wishes.begin("exchange", body, now=now, random=random)
    wishes.end(wish)                    # answered: done, or refused

The same wish, begun again while it is under way, is the same wish under the same id: a
second tap, a call after `Unavailable` and a start after a crash all move points once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from counterfoil_credentials.encoding import (
    JsonObject,
    as_object,
    int_at,
    list_at,
    object_at,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Reason, Refused

from counterfoil_loyalty.keeping import Keeper, keep_json, kept_json

MOST_UNDER_WAY = 100
_NAME = "points under way"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One request. `wish_id` has 32 bytes, `begun_at` is in unix seconds."""

    kind: str
    body: JsonObject = field(repr=False)
    wish_id: bytes
    begun_at: int


class Wishes:
    """The wishes that a keeper holds. The caller lets one thread in at a time."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    def begin(
        self, kind: str, body: JsonObject, *, now: int, random: Callable[[int], bytes]
    ) -> Wish:
        """Give the wish under way with this body, or keep a new one and give that.

        Raises `Refused` with `too-many-under-way` when `MOST_UNDER_WAY` wait for answers.
        """
        known = self.all()
        for wish in known:
            if (wish.kind, wish.body) == (kind, body):
                return wish
        if len(known) >= MOST_UNDER_WAY:
            expected = f"fewer than {MOST_UNDER_WAY} requests without an answer"
            raise Refused(Reason("too-many-under-way", expected, "as many", "points"))
        wish = Wish(kind=kind, body=body, wish_id=random(32), begun_at=now)
        self._keep([*known, wish])
        return wish

    def end(self, wish: Wish) -> None:
        """Forget a wish that was answered."""
        self._keep([it for it in self.all() if it.wish_id != wish.wish_id])

    def all(self) -> list[Wish]:
        """Give every wish under way, oldest first; `Malformed` when they cannot be read."""
        obj = kept_json(self._keeper, _NAME)
        if not obj:
            return []
        return [_wish(as_object(it, _NAME)) for it in list_at(obj, "wishes", _NAME)]

    def _keep(self, wishes: list[Wish]) -> None:
        listed: JsonObject = {
            "wishes": [
                {
                    "kind": wish.kind,
                    "body": wish.body,
                    "id": wish.wish_id.hex(),
                    "begun_at": wish.begun_at,
                }
                for wish in wishes
            ]
        }
        keep_json(self._keeper, _NAME, listed if wishes else {})


def _wish(obj: JsonObject) -> Wish:
    try:
        wish_id = bytes.fromhex(text_at(obj, "id", _NAME))
    except ValueError as cause:
        raise Malformed("an id in hex", "another text", _NAME) from cause
    return Wish(
        kind=text_at(obj, "kind", _NAME),
        body=object_at(obj, "body", _NAME),
        wish_id=wish_id,
        begun_at=int_at(obj, "begun_at", _NAME),
    )
