"""Conceal claims: put digests in their places and keep the disclosures (RFC 9901, section 4.2)."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from math import isfinite
from typing import Final, TypeAlias

from counterfoil_credentials.claims import ClaimPath
from counterfoil_credentials.encoding import (
    MAX_JSON_DEPTH,
    Json,
    JsonObject,
    b64url,
    b64url_each,
    compact_each_of_finite_numbers,
)
from counterfoil_credentials.errors import Misuse
from counterfoil_credentials.sdjwt import MAX_DISCLOSURES, RESERVED
from counterfoil_credentials.spec import ELLIPSIS, SD, SD_ALG, SHA_256

# 144 bits (section 9.3 asks for 128): as base64url 24 characters, whole fours.
_SALT_BYTES: Final = 18
_SALT_CHARACTERS: Final = 24
_DIGEST_BYTES: Final = 32

_STEPS: Final = frozenset({str, int, type(None)})

_Step: TypeAlias = str | int | None


@dataclass(slots=True)
class _Tree:
    """Which claims to conceal: the steps to the concealed values, and what is below each step."""

    hidden: set[_Step] = field(default_factory=set[_Step])
    below: dict[_Step, "_Tree"] = field(default_factory=dict[_Step, "_Tree"])
    of_names: bool | None = None
    """Whether the steps are an object's names; None while there are none."""


_NOTHING: Final = _Tree()


def conceal(
    claims: JsonObject,
    concealed: Collection[ClaimPath],
    *,
    random: Callable[[int], bytes],
    decoys_to: int = 1,
) -> tuple[JsonObject, tuple[str, ...]]:
    """Give the payload with `concealed` claims replaced by digests, and their disclosures.

    A path names a member or an element; None in a path stands for every element.
    Paths below one another conceal recursively (section 4.2.6). Digests of one
    object are sorted, so that their order says nothing. A path that selects
    nothing conceals nothing: a frame may name claims that this credential lacks.

    With `decoys_to`, each object and each list that conceals something gets decoys
    up to a multiple of that number, so that their count says nothing (section 4.2.5).

    Raises `Misuse` when the claims use a reserved name, when a path is no tuple of
    names, whole numbers and None, or takes a list for an object, when `random`
    gives too little, and when our own reader would refuse the result.
    """
    if decoys_to < 1:
        raise Misuse(f"expected decoys to a multiple from 1, found {decoys_to}")
    try:
        tree = _tree(tuple(concealed))
    except TypeError as cause:  # a list, which a caller without a type checker may give
        raise Misuse("expected paths as tuples, found another value") from cause
    concealment = _Concealment(random, decoys_to)
    payload = concealment.object(claims, tree, 1)
    if len(concealment.disclosures) > MAX_DISCLOSURES:
        found = len(concealment.disclosures)
        raise Misuse(f"expected at most {MAX_DISCLOSURES} concealed claims, found {found}")
    if concealment.disclosures:
        payload[SD_ALG] = SHA_256
    return payload, tuple(concealment.disclosures)


class _Concealment:
    """One run over the claims: collects the disclosures, innermost first."""

    def __init__(self, random: Callable[[int], bytes], decoys_to: int) -> None:
        self.disclosures: list[str] = []
        self._random = random
        self._decoys_to = decoys_to

    def object(self, value: JsonObject, tree: _Tree, depth: int) -> JsonObject:
        if depth > MAX_JSON_DEPTH:
            raise Misuse(f"expected claims of at most {MAX_JSON_DEPTH} levels, found more")
        if tree.of_names is False:
            raise Misuse("expected names on the way to an object's members, found another step")
        if not RESERVED.isdisjoint(value):
            taken = next(name for name in value if name in RESERVED)
            raise Misuse(f"expected no claim with a reserved name, found {taken}")
        open_members: JsonObject = {}
        contents: list[list[Json]] = []
        hidden = tree.hidden
        for name, member in value.items():
            if not isinstance(member, str):
                kept = self._value(member, tree.below.get(name, _NOTHING), depth)
            else:
                kept = member
            if name in hidden:
                contents.append(["", name, kept])
            else:
                open_members[name] = kept
        if contents:
            found = self._seal(contents)
            found += self._decoys(len(found))
            found.sort()
            open_members[SD] = [*found]
        return open_members

    def _value(self, value: Json, tree: _Tree, depth: int) -> Json:
        match value:
            case dict():
                return self.object(value, tree, depth + 1)
            case list():
                return self._list(value, tree, depth + 1)
            case float() if not isfinite(value):
                raise Misuse("expected a finite number, found another")
            case _:
                return value

    def _list(self, values: list[Json], tree: _Tree, depth: int) -> Json:
        if depth > MAX_JSON_DEPTH:
            raise Misuse(f"expected claims of at most {MAX_JSON_DEPTH} levels, found more")
        if tree.of_names:
            raise Misuse("expected numbers or None on the way to a list's elements, found a name")
        elements: list[Json] = []
        hidden_at: list[int] = []
        every, each = tree.below.get(None, _NOTHING), tree.below
        for i, element in enumerate(values):
            if i in tree.hidden or None in tree.hidden:
                hidden_at.append(i)
            elements.append(self._value(element, _joined(each.get(i, _NOTHING), every), depth))
        if not hidden_at:
            return elements
        digests = self._seal([["", elements[i]] for i in hidden_at])
        for i, found in zip(hidden_at, digests, strict=True):
            elements[i] = {ELLIPSIS: found}
        # At the end: a claim path counts placeholders, and must not count decoys first.
        return elements + [{ELLIPSIS: decoy} for decoy in self._decoys(len(hidden_at))]

    def _seal(self, contents: Sequence[list[Json]]) -> list[str]:
        """Give the digests of new disclosures: `contents`, each with a salt put first."""
        drawn = self._random(_SALT_BYTES * len(contents))
        if len(drawn) != _SALT_BYTES * len(contents):
            raise Misuse("expected as many random bytes as asked for, found another number")
        salts = b64url(drawn)
        begin = 0
        for content in contents:
            content[0] = salts[begin : begin + _SALT_CHARACTERS]
            begin += _SALT_CHARACTERS
        disclosures = b64url_each(compact_each_of_finite_numbers(contents))
        self.disclosures += disclosures
        return _digests([disclosure.encode("ascii") for disclosure in disclosures])

    def _decoys(self, count: int) -> list[str]:
        """Give the digests of random numbers in place of disclosures (section 4.2.5)."""
        missing = -count % self._decoys_to
        if not missing:
            return []
        return _digests([self._random(_DIGEST_BYTES) for _ in range(missing)])


def _digests(disclosures: Sequence[bytes]) -> list[str]:
    """Give each disclosure's digest: SHA-256 over its text as sent (section 4.2.3).

    They are encoded together: a zero byte makes 33 of 32, which is a whole number of
    threes, and the last of the 44 characters is that byte's alone.
    """
    hashed = [sha256(disclosure).digest() for disclosure in disclosures]
    joined = b64url(b"\0".join((*hashed, b"")))
    return [joined[begin : begin + 43] for begin in range(0, len(joined), 44)]


# The frame of a credential type is the same each time, so its tree is made once.
@lru_cache(maxsize=128)
def _tree(paths: tuple[ClaimPath, ...]) -> _Tree:
    tree = _Tree()
    for path in paths:
        if type(path) is not tuple or not path or not _STEPS.issuperset(map(type, path)):
            raise Misuse("expected paths of names, whole numbers and None, found another value")
        level = tree
        for number, step in enumerate(path, 1):
            if level.of_names is (not isinstance(step, str)):
                raise Misuse("expected one place to be an object or a list, found both")
            level.of_names = isinstance(step, str)
            if number == len(path):
                level.hidden.add(step)
            level = level.below.setdefault(step, _Tree())
    return tree


def _joined(one: _Tree, other: _Tree) -> _Tree:
    if other is _NOTHING:
        return one
    if one is _NOTHING:
        return other
    steps = one.below.keys() | other.below.keys()
    below = {s: _joined(one.below.get(s, _NOTHING), other.below.get(s, _NOTHING)) for s in steps}
    # Asked for both, a place is neither: whichever stands there is refused, or has no such step.
    of_names = other.of_names if one.of_names is None else one.of_names or bool(other.of_names)
    return _Tree(one.hidden | other.hidden, below, of_names)
