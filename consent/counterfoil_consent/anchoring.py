"""Anchoring, for who switches it on: one root an interval says that something was there, not what.

    anchoring = Anchoring(FileAnchor(folder), FileSalts(salts), clock=..., random=...)
    ticket = anchoring.add(grant_id, Tag.ACCESS_LOG, head)    # kept until the grant ends
    anchoring.publish_due()                                   # from a sweep, at any pace
    anchoring.number_of(ticket)                               # where everybody can find it
    anchoring.forget(grant_id)                                # the leaf is noise from here on

An observer learns that an interval has passed. A root comes also when nothing
happened, its tree has the same size on a quiet night and on a busy day, and no leaf
can be guessed. A proof is made from the whole batch, so nobody learns who asks for
what. The salts lie where backups do not reach (`file_anchor.FileSalts`).
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from counterfoil_credentials.encoding import JsonObject, b64url, from_b64url, int_at, text_at
from counterfoil_credentials.errors import Malformed, Misuse, Refused

from counterfoil_consent.anchor_tree import (
    SALT_BYTES,
    Batch,
    ListOpening,
    Tag,
    inclusion_of,
    leaf_of,
    padded,
)
from counterfoil_consent.wire import (
    Clock,
    Digest,
    GrantId,
    Random,
    digest_of,
    refuse,
    require_members,
    seconds,
)

INTERVAL: Final = timedelta(hours=1)
LEAST_LEAVES: Final = 1_024
_WHERE: Final = "ticket"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What proves later that `digest` was anchored, in the batch `number` or one after it."""

    tag: Tag
    digest: Digest
    number: int
    salt: bytes = field(repr=False)

    @property
    def leaf(self) -> bytes:
        """The leaf that stands in the batch."""
        return leaf_of(self.tag, self.digest, self.salt)

    def to_json(self) -> JsonObject:
        """Give the ticket for storage, with its salt."""
        return {
            "tag": self.tag.value,
            "digest": self.digest,
            "number": self.number,
            "salt": b64url(self.salt),
        }

    @staticmethod
    def from_json(obj: JsonObject, where: str = _WHERE) -> "Ticket":
        """Read a ticket."""
        require_members(obj, ("tag", "digest", "number", "salt"), where)
        try:
            tag = Tag(text_at(obj, "tag", where))
        except ValueError as cause:
            raise Malformed("a known tag", "another", f"{where}.tag") from cause
        salt = from_b64url(text_at(obj, "salt", where), f"{where}.salt")
        digest = Digest(text_at(obj, "digest", where))
        if len(salt) != SALT_BYTES or len(from_b64url(digest, f"{where}.digest")) != 32:
            raise Malformed("a digest and a salt of 32 bytes", "another size", where)
        return Ticket(tag=tag, digest=digest, number=int_at(obj, "number", where), salt=salt)


class Anchor(Protocol):
    """Where roots and batches stand for everybody, and leaves wait until theirs is due."""

    def wait(self, leaf: bytes, opening: ListOpening | None) -> None:
        """Keep a leaf for the next batch, on disk when this returns."""
        ...

    def waiting(self) -> tuple[list[bytes], list[ListOpening]]:
        """Give the leaves that wait, and what those of status lists say."""
        ...

    def publish(self, batch: Batch) -> Batch:
        """Publish the batch and its root; its leaves wait no longer.

        Gives what stands under the number: after a crash, what was drawn before
        it. Raises `Misuse` for a number that is not higher than all before.
        """
        ...

    def roots(self) -> dict[int, bytes]:
        """Give every root by its number, in order."""
        ...

    def batch(self, number: int) -> Batch | None:
        """Give a whole batch."""
        ...


class Salts(Protocol):
    """Where tickets lie beside the keys of a grant, and end with it."""

    def keep(self, grant_id: GrantId, ticket: Ticket) -> None:
        """Keep a ticket; `Refused` with `grant-ended` once they were destroyed."""
        ...

    def find(self, grant_id: GrantId) -> list[Ticket]:
        """Give the tickets of a grant, oldest first."""
        ...

    def destroy(self, grant_id: GrantId) -> None:
        """Destroy them for ever. Again is the same as once."""
        ...


class Anchoring:
    """Puts digests into batches, and publishes one each `interval`."""

    def __init__(
        self,
        anchor: Anchor,
        salts: Salts,
        *,
        clock: Clock,
        random: Random,
        interval: timedelta = INTERVAL,
        least_leaves: int = LEAST_LEAVES,
    ) -> None:
        """Go on with what waits. `least_leaves` should be more than the busiest interval has."""
        if interval < timedelta(seconds=1):
            raise Misuse("expected an interval of a second or more, found a shorter one")
        self._anchor = anchor
        self._salts = salts
        self._clock = clock
        self._random = random
        self._interval_s = int(interval.total_seconds())
        self._least = least_leaves
        self._lock = threading.Lock()

    def add(self, grant_id: GrantId, tag: Tag, digest: Digest) -> Ticket:
        """Put an artefact's digest into the next batch; its salt is kept until the grant ends.

        Raises `Refused` with `grant-ended` after that.
        """
        ticket = Ticket(
            tag=tag,
            digest=digest,
            number=self._number(self._clock()),
            salt=self._random(SALT_BYTES),
        )
        # The leaf first: a crash between leaves a random number, and no ticket without a leaf.
        self._anchor.wait(ticket.leaf, None)
        self._salts.keep(grant_id, ticket)
        return ticket

    def add_status_list(self, token: str, *, url: str, listed_at: datetime) -> ListOpening:
        """Put the hash of a signed status list into the next batch, open for everybody.

        A list is public, and when it changed is no secret of a customer.
        """
        opening = ListOpening(
            url=url,
            listed_at=seconds(listed_at),
            sha256=digest_of(token),
            salt=self._random(SALT_BYTES),
        )
        self._anchor.wait(opening.leaf(), opening)
        return opening

    def publish_due(self) -> Batch | None:
        """Publish the interval that has passed, if nobody has; give it when this call did.

        An interval in which no process ran stays without a root: its leaves come with the next.
        """
        number = self._number(self._clock()) - 1
        with self._lock:
            if number <= max(self._anchor.roots(), default=-1):
                return None
            leaves, lists = self._anchor.waiting()
            batch = Batch(
                number=number,
                leaves=padded(leaves, self._random, least=self._least),
                lists=tuple(lists),
            )
            return self._anchor.publish(batch)

    def tickets(self, grant_id: GrantId) -> list[Ticket]:
        """Give what proves that the grant's artefacts were anchored; nothing after its end."""
        return self._salts.find(grant_id)

    def number_of(self, ticket: Ticket) -> int:
        """Give the number of the batch that holds the ticket; see `anchored_in`."""
        batches = (
            self._anchor.batch(number) for number in self._anchor.roots() if number >= ticket.number
        )
        found = [batch for batch in batches if batch is not None]
        return anchored_in(ticket, found, self._anchor.roots())

    def forget(self, grant_id: GrantId) -> None:
        """Destroy the salts of a grant that has ended: its leaves say nothing any more."""
        self._salts.destroy(grant_id)

    def _number(self, at: datetime) -> int:
        return seconds(at) // self._interval_s


def anchored_in(ticket: Ticket, batches: Sequence[Batch], roots: dict[int, bytes]) -> int:
    """Give the number of the batch that holds the ticket's leaf under its published root.

    Raises `Refused` with `not-anchored` when none does.
    """
    for batch in batches:
        if batch.number < ticket.number or ticket.leaf not in batch.leaves:
            continue
        if inclusion_of(ticket.leaf, batch.leaves).root(ticket.leaf) == roots.get(batch.number):
            return batch.number
    raise refuse("not-anchored", "the leaf under a published root", "none", "ticket")


def list_rollbacks(batches: Sequence[Batch]) -> list[tuple[str, int]]:
    """Give the URL and the batch's number wherever a status list was older than one before."""
    newest: dict[str, int] = {}
    found: list[tuple[str, int]] = []
    for batch in sorted(batches, key=lambda batch: batch.number):
        found += [
            (opening.url, batch.number)
            for opening in batch.lists
            if opening.listed_at < newest.get(opening.url, opening.listed_at)
        ]
        for opening in batch.lists:
            newest[opening.url] = max(newest.get(opening.url, 0), opening.listed_at)
    return found


class MemoryAnchor:
    """The in-memory twin."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, ListOpening | None] = {}
        self._batches: dict[int, Batch] = {}
        self._roots: dict[int, bytes] = {}
        self._lock = threading.Lock()

    def wait(self, leaf: bytes, opening: ListOpening | None) -> None:
        with self._lock:
            self._waiting[leaf] = opening

    def waiting(self) -> tuple[list[bytes], list[ListOpening]]:
        with self._lock:
            return list(self._waiting), [each for each in self._waiting.values() if each]

    def publish(self, batch: Batch) -> Batch:
        with self._lock:
            if batch.number <= max(self._batches, default=-1):
                raise Misuse("expected a number higher than all before, found another")
            self._batches[batch.number] = batch
            self._roots[batch.number] = batch.root
            for leaf in batch.leaves:
                self._waiting.pop(leaf, None)
            return batch

    def roots(self) -> dict[int, bytes]:
        with self._lock:
            return dict(self._roots)

    def batch(self, number: int) -> Batch | None:
        with self._lock:
            return self._batches.get(number)


class MemorySalts:
    """The in-memory twin."""

    def __init__(self) -> None:
        self._tickets: dict[GrantId, list[Ticket]] = {}
        self._ended: set[GrantId] = set()
        self._lock = threading.Lock()

    def keep(self, grant_id: GrantId, ticket: Ticket) -> None:
        with self._lock:
            if grant_id in self._ended:
                raise ended_refusal()
            self._tickets.setdefault(grant_id, []).append(ticket)

    def find(self, grant_id: GrantId) -> list[Ticket]:
        with self._lock:
            return [*self._tickets.get(grant_id, [])]

    def destroy(self, grant_id: GrantId) -> None:
        with self._lock:
            self._ended.add(grant_id)
            self._tickets.pop(grant_id, None)


def ended_refusal() -> Refused:
    """Give the refusal of a ticket for a grant whose salts are destroyed."""
    return refuse("grant-ended", "a grant in force", "one whose salts are gone", "grant_id")
