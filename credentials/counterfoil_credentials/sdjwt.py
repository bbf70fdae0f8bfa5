"""SD-JWT: conceal, disclose, reveal (RFC 9901).

    conceal    claims  ─►  payload with digests, and the disclosures    (issuer)
    disclose   SD-JWT  ─►  the same with fewer disclosures              (holder)
    reveal     payload and disclosures  ─►  the processed claims        (verifier)

Nothing here signs or checks a signature: `reveal` refuses what section 7.1 says,
and the caller verifies the issuer's signature over the payload.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
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
    parse_json,
    parse_object,
)
from counterfoil_credentials.errors import Malformed, Reason, Refused
from counterfoil_credentials.spec import ELLIPSIS, SD, SD_ALG, SHA_256

MAX_SD_JWT_BYTES: Final = 262_144
MAX_DISCLOSURES: Final = 1_000
RESERVED: Final = frozenset({SD, SD_ALG, ELLIPSIS})
_TEXTS: Final = frozenset({str})
_PLAIN: Final = frozenset({str, int, float, bool, type(None)})
_NESTED: Final = frozenset({dict, list})


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
        if not text.isascii():
            raise Malformed("an SD-JWT", "characters beyond ASCII", where)
        issuer_jwt, *rest = text.split("~")
        if not rest:
            raise Malformed("an SD-JWT", "a text without a tilde", where)
        *disclosures, key_binding = rest
        if len(disclosures) > MAX_DISCLOSURES:
            raise Malformed(f"at most {MAX_DISCLOSURES} disclosures", f"{len(disclosures)}", where)
        return SdJwt(issuer_jwt, tuple(disclosures), key_binding or None)

    def without_key_binding(self) -> str:
        """Give the text that `sd_hash` covers: everything up to the last tilde."""
        return "~".join((self.issuer_jwt, *self.disclosures, ""))

    def __str__(self) -> str:
        """Give the compact serialisation."""
        return self.without_key_binding() + (self.key_binding or "")


@dataclass(frozen=True, slots=True)
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
    if payload.get(SD_ALG, SHA_256) != SHA_256:
        raise _refused("hash-algorithm-unknown", SHA_256, "another hash", f"{where}.{SD_ALG}")
    try:
        texts = [disclosure.encode("ascii") for disclosure in disclosures]
    except UnicodeEncodeError:
        raise Malformed("base64url", "characters beyond ASCII", where) from None
    by_digest = dict(zip(digests(texts), disclosures, strict=True))
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
        kept: set[int] = set()
        for path in paths:
            needed = self._needed.get(path)
            if needed is None:
                needed = self._for_path(path)
                if path in self._needed:
                    self._needed[path] = needed
            kept.update(needed)
        disclosures = self.sd_jwt.disclosures
        return SdJwt(self.sd_jwt.issuer_jwt, tuple([disclosures[i] for i in sorted(kept)]))

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


def digests(disclosures: Sequence[bytes]) -> list[str]:
    """Give each disclosure's digest: SHA-256 over its text as sent (section 4.2.3).

    They are encoded together: a zero byte makes 33 of 32, which is a whole number of
    threes, and the last of the 44 characters is that byte's alone.
    """
    hashed = [sha256(disclosure).digest() for disclosure in disclosures]
    joined = b64url(b"\0".join((*hashed, b"")))
    return [joined[begin : begin + 43] for begin in range(0, len(joined), 44)]


def digest(disclosure: str) -> str:
    """Give one disclosure's digest; see `digests`."""
    return digests((disclosure.encode("ascii", "replace"),))[0]


class _Revelation:
    """One run of section 7.1: remembers which digests it met and which it resolved."""

    __slots__ = ("_by_digest", "_met", "_where", "paths")

    def __init__(self, by_digest: dict[str, str], where: str) -> None:
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
        for disclosure in self._resolve(found, path):
            contents = parse_json(from_b64url(disclosure, self._where), self._where)
            match contents:
                case [str(), str(name), member] if name not in RESERVED:
                    if name in result:
                        raise Malformed("each claim name once", "one twice", self._place(path))
                    below = self.paths[disclosure] = (*path, name)
                    plain = type(member) in _PLAIN
                    result[name] = member if plain else self._value(member, below)
                case _:
                    expected = "a disclosure of salt, unreserved name and value"
                    raise Malformed(expected, "another", self._place(path))

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
                disclosed = self._resolve([value[ELLIPSIS]], path)
                if not disclosed:
                    continue
                match parse_json(from_b64url(disclosed[0], self._where), self._where):
                    case [str(), element]:
                        self.paths[disclosed[0]] = (*path, index)
                    case _:
                        expected = "a disclosure of salt and value"
                        raise Malformed(expected, "another", self._place(path))
            yield self._value(element, (*path, index))
            index += 1

    def _resolve(self, found: Json, path: ClaimPath) -> list[str]:
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
    text = compact_json(values)
    return b'"_sd' in text or b'"..."' in text


def _refused(code: str, expected: str, found: str, where: str) -> Refused:
    return Refused(Reason(code, expected, found, where))
