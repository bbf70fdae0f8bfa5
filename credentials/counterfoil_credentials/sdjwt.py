"""SD-JWT: conceal, disclose, reveal (RFC 9901).

    conceal    claims  ─►  payload with digests, and the disclosures    (issuer)
    disclose   SD-JWT  ─►  the same with fewer disclosures              (holder)
    reveal     payload and disclosures  ─►  the processed claims        (verifier)

Nothing here signs or checks a signature: `reveal` refuses what section 7.1 says,
and the caller verifies the issuer's signature over the payload.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import field
from hashlib import sha256
from typing import Final, cast

from counterfoil_credentials.claims import ClaimPath, covers, path_text
from counterfoil_credentials.encoding import (
    MAX_JSON_DEPTH,
    Json,
    JsonObject,
    b64url,
    compact_json,
    from_b64url,
    parse_each,
    parse_object,
)
from counterfoil_credentials.errors import Malformed, Reason, Refused
from counterfoil_credentials.records import record
from counterfoil_credentials.spec import ELLIPSIS, SD, SD_ALG, SHA_256

MAX_SD_JWT_BYTES: Final = 262_144
MAX_DISCLOSURES: Final = 1_000
RESERVED: Final = frozenset({SD, SD_ALG, ELLIPSIS})
_TEXTS: Final = frozenset({str})
_NESTED: Final = frozenset({dict, list})
_RESERVED_IN_TEXT: Final = re.compile(rb'"(?:_sd|\.\.\.")')
_NO_MEMBER: Final[list[Json]] = [None, None, None]


@record()
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
        if not text.isascii():
            raise Malformed("an SD-JWT", "characters beyond ASCII", where)
        parts = text.split("~")
        if len(parts) == 1:
            raise Malformed("an SD-JWT", "a text without a tilde", where)
        if len(parts) - 2 > MAX_DISCLOSURES:
            raise Malformed(f"at most {MAX_DISCLOSURES} disclosures", f"{len(parts) - 2}", where)
        return SdJwt(parts[0], tuple(parts[1:-1]), parts[-1] or None)

    def without_key_binding(self) -> str:
        """Give the text that `sd_hash` covers: everything up to the last tilde."""
        return "~".join((self.issuer_jwt, *self.disclosures, ""))

    def __str__(self) -> str:
        """Give the compact serialisation."""
        return "~".join((self.issuer_jwt, *self.disclosures, self.key_binding or ""))


@record()
class Revealed:
    """The processed claims, and where each disclosure's value stands among them."""

    claims: JsonObject = field(repr=False)
    paths: dict[str, ClaimPath] = field(repr=False)


def reveal(payload: JsonObject, disclosures: Sequence[str], where: str = "sd_jwt") -> Revealed:
    """Give the claims with every disclosure put back in its place.

    The checks are those of section 7.1, steps 2d to 5: known hash algorithm; each
    digest once; each disclosure of the right shape, with a free and unreserved
    name; and, at the end, no disclosure that nothing refers to.

    Raises `Malformed` for a wrong shape, `Refused` for `hash-algorithm-unknown`,
    `disclosure-duplicate`, `digest-duplicate` or `disclosure-unreferenced`.
    """
    if SD_ALG in payload and payload[SD_ALG] != SHA_256:
        raise _refused("hash-algorithm-unknown", SHA_256, "another hash", f"{where}.{SD_ALG}")
    contents = parse_each(disclosures, where)
    by_digest = {
        digest(sent): (sent, read) for sent, read in zip(disclosures, contents, strict=True)
    }
    if len(by_digest) != len(disclosures):
        raise _refused("disclosure-duplicate", "each disclosure once", "one twice", where)
    revelation = _Revelation(by_digest, where)
    claims = revelation.object(payload, ())
    if unreferenced := len(by_digest) - len(revelation.paths):
        raise _refused(
            "disclosure-unreferenced",
            "every disclosure referred to by a digest",
            f"{unreferenced} that nothing refers to",
            where,
        )
    return Revealed(claims, revelation.paths)


class Disclosable:
    """A credential as its holder keeps it: which disclosures each claim needs is known.

    Made once, when the credential is stored or loaded; presenting then costs
    little more than the holder's signature.
    """

    __slots__ = ("_needed", "_placed", "sd_jwt")

    def __init__(self, sd_jwt: SdJwt) -> None:
        """Place every disclosure of `sd_jwt`; raises what `reveal` raises.

        One with a key binding is `Malformed`: a holder gets it from nobody (section 7.2).
        """
        if sd_jwt.key_binding is not None:
            raise Malformed("an SD-JWT without key binding", "one with it", "sd_jwt")
        revealed = reveal(unverified_payload(sd_jwt), sd_jwt.disclosures)
        self.sd_jwt = sd_jwt
        self._placed = [revealed.paths[disclosure] for disclosure in sd_jwt.disclosures]
        # Filled as paths are asked for the first time.
        self._needed: dict[ClaimPath, list[int] | None] = dict.fromkeys(self._placed)

    def disclose(self, paths: Collection[ClaimPath]) -> SdJwt:
        """Give the SD-JWT with only the disclosures that `paths` need.

        A disclosure is kept when its value lies on the way to, at, or below a
        path. Claims that were never concealed travel anyway.
        """
        kept: list[int] = []
        for path in paths:
            needed = self._needed.get(path)
            if needed is None:
                needed = self._for_path(path)
                if path in self._needed:
                    self._needed[path] = needed
            kept += needed
        held = self.sd_jwt
        disclosures = held.disclosures
        return SdJwt(held.issuer_jwt, tuple([disclosures[i] for i in sorted(set(kept))]))

    def _for_path(self, path: ClaimPath) -> list[int]:
        return [i for i, placed in enumerate(self._placed) if covers(path, placed)]


def disclose(sd_jwt: SdJwt, paths: Collection[ClaimPath]) -> SdJwt:
    """Give the SD-JWT with only the disclosures that `paths` need; see `Disclosable`."""
    return Disclosable(sd_jwt).disclose(paths)


def unverified_payload(sd_jwt: SdJwt, where: str = "sd_jwt") -> JsonObject:
    """Give the issuer JWT's payload before any signature was checked."""
    parts = sd_jwt.issuer_jwt.split(".")
    if len(parts) != 3:
        raise Malformed("a compact JWS of three parts", f"{len(parts)} parts", where)
    return parse_object(from_b64url(parts[1], where), where)


def digest(disclosure: str) -> str:
    """Give a disclosure's digest: SHA-256 over its text as sent (section 4.2.3)."""
    return b64url(sha256(disclosure.encode("ascii", "replace")).digest())


class _Revelation:
    """One run of section 7.1: remembers which digests it met and which it resolved."""

    __slots__ = ("_by_digest", "_met", "_where", "paths")

    def __init__(self, by_digest: dict[str, tuple[str, Json]], where: str) -> None:
        self.paths: dict[str, ClaimPath] = {}
        self._by_digest = by_digest
        self._met: set[str] = set()
        self._where = where

    def object(self, value: JsonObject, path: ClaimPath) -> JsonObject:
        result = {**value}
        found = result.pop(SD, None)
        if not path:
            result.pop(SD_ALG, None)
        if not RESERVED.isdisjoint(result):
            raise Malformed("no reserved name here", "one", self._place(path))
        nested = [name for name, member in result.items() if type(member) in _NESTED]
        if nested and _may_conceal([result[name] for name in nested]):
            for name in nested:
                result[name] = self._value(result[name], (*path, name))
        if SD in value:
            self._disclose(found, path, result)
        return result

    def _disclose(self, found: Json, path: ClaimPath, result: JsonObject) -> None:
        """Put the members back that the digests in `found` stand for."""
        for disclosure, read in self._resolve(found, path):
            contents = read if isinstance(read, list) and len(read) == 3 else _NO_MEMBER
            salt, name, member = contents
            if not isinstance(salt, str) or not isinstance(name, str) or name in RESERVED:
                expected = "a disclosure of salt, unreserved name and value"
                raise Malformed(expected, "another", self._place(path))
            if name in result:
                raise Malformed("each claim name once", "one twice", self._place(path))
            below = self.paths[disclosure] = (*path, name)
            result[name] = self._value(member, below) if type(member) in _NESTED else member

    def _value(self, value: Json, path: ClaimPath) -> Json:
        # Each disclosure may hide the next: the claims can be deeper than any one of them.
        if len(path) > MAX_JSON_DEPTH:
            raise Malformed(f"at most {MAX_JSON_DEPTH} levels", "more", self._where)
        match value:
            case dict():
                return self.object(value, path)
            case list() if _may_conceal(value):
                return list(self._elements(value, path))
            case _:
                return value

    def _elements(self, values: list[Json], path: ClaimPath) -> Iterator[Json]:
        index = 0
        for value in values:
            element = value
            if isinstance(value, dict) and ELLIPSIS in value:
                if len(value) != 1:
                    raise Malformed(
                        "a placeholder with one member", "more members", self._place(path)
                    )
                resolved = self._resolve([value[ELLIPSIS]], path)
                if not resolved:
                    continue
                disclosure, contents = resolved[0]
                match contents:
                    case [str(), element]:
                        self.paths[disclosure] = (*path, index)
                    case _:
                        expected = "a disclosure of salt and value"
                        raise Malformed(expected, "another", self._place(path))
            yield self._value(element, (*path, index))
            index += 1

    def _resolve(self, found: Json, path: ClaimPath) -> list[tuple[str, Json]]:
        """Give the disclosures that a list of digests refers to, in its order."""
        if not isinstance(found, list) or not _TEXTS.issuperset(map(type, found)):
            raise Malformed("a list of digests", "another", self._place(path))
        listed = cast("list[str]", found)
        distinct = set(listed)
        if len(distinct) != len(listed) or not self._met.isdisjoint(distinct):
            raise _refused("digest-duplicate", "each digest once", "one twice", self._place(path))
        self._met |= distinct
        known = self._by_digest
        return [known[each] for each in listed if each in known]

    def _place(self, path: ClaimPath) -> str:
        return f"{self._where}.{path_text(path)}" if path else self._where


def _may_conceal(values: list[Json]) -> bool:
    """Say whether a reserved name may stand in `values`, at any depth.

    To look for the names in their text costs a fraction of a walk over their members.
    A text among them that reads like a name is one too many: then they are walked.
    """
    return _RESERVED_IN_TEXT.search(compact_json(values)) is not None


def _refused(code: str, expected: str, found: str, where: str) -> Refused:
    return Refused(Reason(code, expected, found, where))
