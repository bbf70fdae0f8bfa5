"""Salted leaves, padded trees, roots: what of an artefact may stand where everybody reads.

    leaf = SHA-256(0 ‖ length of tag ‖ tag ‖ artefact's SHA-256 ‖ 32 random bytes)
    node = SHA-256(1 ‖ left ‖ right)

The first byte keeps leaves and nodes apart (RFC 6962, section 2.1). Whoever has no
salt cannot tell a leaf from a random number, even when it guesses the artefact; and
a tree is filled up with random numbers, so that their count says nothing either.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Final

from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_object,
    as_text,
    b64url,
    compact_json,
    from_b64url,
    int_at,
    list_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Misuse

from counterfoil_consent.wire import (
    Digest,
    Random,
    instant_at,
    refuse,
    require_members,
    seconds,
    short_text_at,
)

SALT_BYTES: Final = 32
MAX_LEAVES: Final = 131_072
MAX_BATCH_BYTES: Final = 16 * 1024 * 1024
_WHERE: Final = "batch"


class Tag(StrEnum):
    """What kind of artefact a leaf stands for."""

    GRANT = "grant"
    ACCESS_LOG = "access-log"
    STATUS_LIST = "status-list"


def leaf_of(tag: Tag, digest: Digest, salt: bytes) -> bytes:
    """Give the leaf; `digest` is the artefact's SHA-256 in base64url, `salt` 32 random bytes."""
    if len(salt) != SALT_BYTES:
        raise Misuse(f"expected a salt of {SALT_BYTES} bytes, found {len(salt)}")
    name = tag.value.encode("ascii")
    artefact = from_b64url(digest, "digest")
    if len(artefact) != 32:
        raise Misuse(f"expected a digest of 32 bytes, found {len(artefact)}")
    return sha256(b"\x00" + bytes([len(name)]) + name + artefact + salt).digest()


def padded(leaves: Sequence[bytes], random: Random, *, least: int) -> tuple[bytes, ...]:
    """Give the leaves and random ones, sorted: a power of two, and never fewer than `least`.

    Sorted, because the order in which things happened is not for the reader.
    """
    size = max(least, 1)
    while size < len(leaves):
        size *= 2
    if size & (size - 1) or size > MAX_LEAVES:
        raise Misuse(f"expected a power of two up to {MAX_LEAVES}, found {size}")
    return tuple(sorted([*leaves, *(random(32) for _ in range(size - len(leaves)))]))


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Give the root over a power of two of leaves."""
    level = list(leaves)
    while len(level) > 1:
        level = [_node(level[i], level[i + 1]) for i in range(0, len(level), 2)]
    return level[0]


@dataclass(frozen=True, slots=True)
class Inclusion:
    """A path from one leaf to the root: `index` counts leaves from 0, `path` goes upwards.

    Computed at home from a whole batch: asking for one path would tell which leaf is whose.
    """

    index: int
    path: tuple[bytes, ...]

    def root(self, leaf: bytes) -> bytes:
        """Give the root to which the path leads from `leaf`."""
        found = leaf
        for height, sibling in enumerate(self.path):
            is_right = self.index >> height & 1
            found = _node(sibling, found) if is_right else _node(found, sibling)
        return found


def inclusion_of(leaf: bytes, leaves: Sequence[bytes]) -> Inclusion:
    """Give the path of `leaf`; `Refused` with `not-anchored` when it is not among them."""
    if leaf not in leaves:
        raise refuse("not-anchored", "the leaf among its batch", "none", _WHERE)
    index = at = list(leaves).index(leaf)
    level, path = list(leaves), list[bytes]()
    while len(level) > 1:
        path.append(level[at ^ 1])
        level = [_node(level[i], level[i + 1]) for i in range(0, len(level), 2)]
        at //= 2
    return Inclusion(index, tuple(path))


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOpening:
    """What the leaf of a status list says. Nothing about a status list is secret, nor its salt."""

    url: str
    listed_at: int
    sha256: Digest
    salt: bytes

    def leaf(self) -> bytes:
        """Give the leaf that this opens."""
        said: JsonObject = {"url": self.url, "listed_at": self.listed_at, "sha-256": self.sha256}
        digest = Digest(b64url(sha256(compact_json(said)).digest()))
        return leaf_of(Tag.STATUS_LIST, digest, self.salt)

    def to_json(self) -> JsonObject:
        """Give the opening as a batch lists it."""
        return {
            "url": self.url,
            "listed_at": self.listed_at,
            "sha-256": self.sha256,
            "salt": b64url(self.salt),
        }

    @staticmethod
    def from_json(obj: JsonObject, where: str) -> "ListOpening":
        """Read an opening."""
        require_members(obj, ("url", "listed_at", "sha-256", "salt"), where)
        return ListOpening(
            url=short_text_at(obj, "url", where),
            listed_at=seconds(instant_at(obj, "listed_at", where)),
            sha256=Digest(b64url(_bytes_32(text_at(obj, "sha-256", where), where))),
            salt=_bytes_32(text_at(obj, "salt", where), where),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Everything that one interval published: fetched whole or not at all."""

    number: int
    leaves: tuple[bytes, ...]
    lists: tuple[ListOpening, ...] = ()

    @property
    def root(self) -> bytes:
        """The root over the leaves."""
        return root_of(self.leaves)

    def to_bytes(self) -> bytes:
        """Give the file."""
        leaves: list[Json] = [b64url(leaf) for leaf in self.leaves]
        lists: list[Json] = [opening.to_json() for opening in self.lists]
        return compact_json({"number": self.number, "leaves": leaves, "lists": lists})

    @staticmethod
    def from_bytes(raw: bytes) -> "Batch":
        """Read the file of a stranger; `Malformed` unless each opening's leaf is there."""
        obj = parse_object(raw, _WHERE, max_bytes=MAX_BATCH_BYTES)
        require_members(obj, ("number", "leaves", "lists"), _WHERE)
        where = f"{_WHERE}.leaves"
        leaves = tuple(
            _bytes_32(as_text(leaf, where), where) for leaf in list_at(obj, "leaves", where)
        )
        if not leaves or len(leaves) & (len(leaves) - 1) or len(leaves) > MAX_LEAVES:
            raise Malformed("a power of two of leaves", f"{len(leaves)}", where)
        where = f"{_WHERE}.lists"
        lists = tuple(
            ListOpening.from_json(as_object(opening, where), where)
            for opening in list_at(obj, "lists", _WHERE)
        )
        if not {opening.leaf() for opening in lists} <= set(leaves):
            raise Malformed("lists whose leaves are here", "another", where)
        return Batch(number=int_at(obj, "number", _WHERE), leaves=leaves, lists=lists)


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def _bytes_32(text: str, where: str) -> bytes:
    raw = from_b64url(text, where)
    if len(raw) != 32:
        raise Malformed("32 bytes in base64url", f"{len(raw)}", where)
    return raw
