"""SD-JWT: conceal, disclose, reveal (RFC 9901).

    conceal    claims  ─►  payload with digests, and the disclosures    (issuer)
    disclose   SD-JWT  ─►  the same with fewer disclosures              (holder)
    reveal     payload and disclosures  ─►  the processed claims        (verifier)

Nothing here signs or checks a signature: `reveal` refuses what section 7.1 says,
and the caller verifies the issuer's signature over the payload.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from counterfoil_credentials.claims import ClaimPath, covers, path_text
from counterfoil_credentials.encoding import (
    MAX_JSON_DEPTH,
    Json,
    JsonObject,
    as_list,
    as_text,
    b64url,
    compact_json,
    from_b64url,
    parse_json,
)
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused
from counterfoil_credentials.spec import ELLIPSIS, SD, SD_ALG, SHA_256

MAX_SD_JWT_BYTES: Final = 262_144
MAX_DISCLOSURES: Final = 1_000
_SALT_BYTES: Final = 16
_RESERVED: Final = frozenset({SD, SD_ALG, ELLIPSIS})


@dataclass(frozen=True, slots=True)
class SdJwt:
    """The parts of `<issuer JWT>~<disclosure>~…~<key binding JWT>` (section 4)."""

    issuer_jwt: str = field(repr=False)
    disclosures: tuple[str, ...] = field(repr=False)
    key_binding: str | None = field(default=None, repr=False)

    @staticmethod
    def parse(text: str, where: str = "sd_jwt") -> "SdJwt":
        """Split the compact serialisation; a bare JWT without `~` is `Malformed`."""
        if len(text) > MAX_SD_JWT_BYTES:
            raise Malformed(f"at most {MAX_SD_JWT_BYTES} bytes", f"{len(text)} bytes", where)
        issuer_jwt, *rest = text.split("~")
        if not rest:
            raise Malformed("an SD-JWT", "a text without a tilde", where)
        *disclosures, key_binding = rest
        if len(disclosures) > MAX_DISCLOSURES:
            raise Malformed(f"at most {MAX_DISCLOSURES} disclosures", f"{len(disclosures)}", where)
        return SdJwt(issuer_jwt, tuple(disclosures), key_binding or None)

    def without_key_binding(self) -> str:
        """Give the text that `sd_hash` covers: everything up to the last tilde."""
        return "".join(f"{part}~" for part in (self.issuer_jwt, *self.disclosures))

    def __str__(self) -> str:
        """Give the compact serialisation."""
        return self.without_key_binding() + (self.key_binding or "")


@dataclass(frozen=True, slots=True)
class Revealed:
    """The processed claims, and where each disclosure's value stands among them."""

    claims: JsonObject = field(repr=False)
    paths: dict[str, ClaimPath] = field(repr=False)


def conceal(
    claims: JsonObject,
    concealed: Collection[ClaimPath],
    *,
    random: Callable[[int], bytes],
) -> tuple[JsonObject, tuple[str, ...]]:
    """Give the payload with `concealed` claims replaced by digests, and their disclosures.

    A path names a member or an element; None in a path stands for every element.
    Paths below one another conceal recursively (section 4.2.6). Digests of one
    object are sorted, so that their order says nothing. A path that selects
    nothing conceals nothing: a frame may name claims that this credential lacks.

    Raises `Misuse` when the claims use a reserved name.
    """
    disclosures: list[str] = []

    def seal(*contents: Json) -> str:
        disclosure = b64url(compact_json([b64url(random(_SALT_BYTES)), *contents]))
        disclosures.append(disclosure)
        return digest(disclosure)

    def walk(value: Json, path: ClaimPath) -> Json:
        match value:
            case dict():
                return walk_object(value, path)
            case list():
                elements: list[Json] = []
                for i, element in enumerate(value):
                    below = walk(element, (*path, i))
                    hidden = _names((*path, i), concealed)
                    elements.append({ELLIPSIS: seal(below)} if hidden else below)
                return elements
            case _:
                return value

    def walk_object(value: JsonObject, path: ClaimPath) -> JsonObject:
        open_members: JsonObject = {}
        digests: list[str] = []
        for name, member in value.items():
            if name in _RESERVED:
                raise Misuse(f"expected no claim with a reserved name, found {name}")
            below = walk(member, (*path, name))
            if _names((*path, name), concealed):
                digests.append(seal(name, below))
            else:
                open_members[name] = below
        if digests:
            open_members[SD] = [*sorted(digests)]
        return open_members

    payload = walk_object(claims, ())
    if disclosures:
        payload[SD_ALG] = SHA_256
    return payload, tuple(disclosures)


def reveal(payload: JsonObject, disclosures: Sequence[str], where: str = "sd_jwt") -> Revealed:
    """Give the claims with every disclosure put back in its place.

    The checks are those of section 7.1, steps 2b to 5, in its order: known hash
    algorithm; each digest once; each disclosure of the right shape, with a free
    and unreserved name; and, at the end, no disclosure that nothing refers to.

    Raises `Malformed` for a wrong shape, `Refused` for `hash-algorithm-unknown`,
    `disclosure-duplicate`, `digest-duplicate` or `disclosure-unreferenced`.
    """
    if payload.get(SD_ALG, SHA_256) != SHA_256:
        raise _refused("hash-algorithm-unknown", SHA_256, "another hash", f"{where}.{SD_ALG}")
    by_digest = {digest(disclosure): disclosure for disclosure in disclosures}
    if len(by_digest) != len(disclosures):
        raise _refused("disclosure-duplicate", "each disclosure once", "one twice", where)
    return _Revelation(by_digest, where).run(payload)


def disclose(sd_jwt: SdJwt, paths: Collection[ClaimPath]) -> SdJwt:
    """Give the SD-JWT with only the disclosures that `paths` need.

    A disclosure is kept when its value lies on the way to, at, or below a path.
    Claims that were never concealed travel anyway.
    """
    payload = unverified_payload(sd_jwt)
    placed = reveal(payload, sd_jwt.disclosures).paths
    kept = tuple(
        disclosure
        for disclosure in sd_jwt.disclosures
        if any(covers(path, placed[disclosure]) for path in paths)
    )
    return SdJwt(sd_jwt.issuer_jwt, kept)


def unverified_payload(sd_jwt: SdJwt, where: str = "sd_jwt") -> JsonObject:
    """Give the issuer JWT's payload before any signature was checked."""
    parts = sd_jwt.issuer_jwt.split(".")
    if len(parts) != 3:
        raise Malformed("a compact JWS of three parts", f"{len(parts)} parts", where)
    value = parse_json(from_b64url(parts[1], where), where)
    if not isinstance(value, dict):
        raise Malformed("an object", "another kind", where)
    return value


def digest(disclosure: str) -> str:
    """Give a disclosure's digest: SHA-256 over its text as sent (section 4.2.3)."""
    return b64url(sha256(disclosure.encode("ascii", "replace")).digest())


class _Revelation:
    """One run of section 7.1: remembers which digests it met and which it resolved."""

    def __init__(self, by_digest: dict[str, str], where: str) -> None:
        self._by_digest = by_digest
        self._where = where
        self._met: set[str] = set()
        self._paths: dict[str, ClaimPath] = {}

    def run(self, payload: JsonObject) -> Revealed:
        claims = self._object({n: v for n, v in payload.items() if n != SD_ALG}, ())
        unreferenced = len(self._by_digest) - len(self._paths)
        if unreferenced:
            raise _refused(
                "disclosure-unreferenced",
                "every disclosure referred to by a digest",
                f"{unreferenced} that nothing refers to",
                self._where,
            )
        return Revealed(claims, self._paths)

    def _value(self, value: Json, path: ClaimPath) -> Json:
        # Each disclosure may hide the next: the claims can be deeper than any one of them.
        if len(path) > MAX_JSON_DEPTH:
            raise Malformed(f"at most {MAX_JSON_DEPTH} levels", "more", self._where)
        match value:
            case dict():
                return self._object(value, path)
            case list():
                return list(self._elements(value, path))
            case _:
                return value

    def _object(self, value: JsonObject, path: ClaimPath) -> JsonObject:
        place = self._place(path)
        if ELLIPSIS in value:
            raise Malformed("no member named ...", "one outside an array", place)
        result: JsonObject = {}
        for name, member in value.items():
            if name != SD:
                result[name] = self._value(member, (*path, name))
        for found in as_list(value.get(SD, []), f"{place}.{SD}"):
            disclosure = self._resolve(as_text(found, f"{place}.{SD}"), place)
            if disclosure is None:
                continue
            contents = self._contents(disclosure, 3, place)
            name = as_text(contents[1], f"{place}: a disclosure's name")
            if name in _RESERVED:
                raise Malformed("an unreserved claim name", "a reserved one", place)
            if name in result or name in value:
                raise Malformed("each claim name once", "one twice", place)
            self._paths[disclosure] = (*path, name)
            result[name] = self._value(contents[2], (*path, name))
        return result

    def _elements(self, values: list[Json], path: ClaimPath) -> Iterator[Json]:
        place = self._place(path)
        index = 0
        for value in values:
            element = value
            if isinstance(value, dict) and ELLIPSIS in value:
                if len(value) != 1:
                    raise Malformed("a placeholder with one member", "more members", place)
                disclosure = self._resolve(as_text(value[ELLIPSIS], place), place)
                if disclosure is None:
                    continue
                element = self._contents(disclosure, 2, place)[1]
                self._paths[disclosure] = (*path, index)
            yield self._value(element, (*path, index))
            index += 1

    def _resolve(self, found: str, place: str) -> str | None:
        if found in self._met:
            raise _refused("digest-duplicate", "each digest once", "one twice", place)
        self._met.add(found)
        return self._by_digest.get(found)

    def _contents(self, disclosure: str, length: int, place: str) -> list[Json]:
        where = f"{place}: a disclosure"
        contents = as_list(parse_json(from_b64url(disclosure, where), where), where)
        if len(contents) != length:
            raise Malformed(f"{length} elements", f"{len(contents)}", where)
        as_text(contents[0], f"{where}'s salt")
        return contents

    def _place(self, path: ClaimPath) -> str:
        return f"{self._where}.{path_text(path)}" if path else self._where


def _names(path: ClaimPath, patterns: Collection[ClaimPath]) -> bool:
    return any(len(pattern) == len(path) and covers(pattern, path) for pattern in patterns)


def _refused(code: str, expected: str, found: str, where: str) -> Refused:
    return Refused(Reason(code, expected, found, where))
