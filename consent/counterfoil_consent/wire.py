"""What every signed artefact shares: exact members, instants, digests, ids."""

import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final, NewType, TypeAlias

from counterfoil_credentials.dids import Did, did_jwk, key_of_did_jwk
from counterfoil_credentials.encoding import Json, JsonObject, b64url, int_at, text_at
from counterfoil_credentials.errors import Malformed, Reason, Refused
from counterfoil_credentials.jws import read_jws, sign_jws
from counterfoil_credentials.keys import Signer

GrantId = NewType("GrantId", str)
Digest = NewType("Digest", str)
Random: TypeAlias = Callable[[int], bytes]
Clock: TypeAlias = Callable[[], datetime]

SKEW: Final = timedelta(seconds=60)
BETWEEN_SERVICES: Final = timedelta(minutes=6)
"""How old, or early, a request that counts once may be: clocks five minutes apart, and the way."""

LONGEST_ID: Final = 200
"""How long the id of an event or a request may be, in characters."""

_LONGEST_TEXT: Final = 2_000
# Controls, and what turns the direction of the text around it: people read these members.
_UNSHOWN: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_ID_BYTES: Final = 16
_ID: Final = re.compile(r"[A-Za-z0-9_-]{21}[AQgw]\Z")
_LATEST: Final = 253_402_300_799  # the last second of the year 9999


def fresh_grant_id(random: Random) -> GrantId:
    """Give a new id, 128 random bits in base64url."""
    return GrantId(b64url(random(_ID_BYTES)))


def grant_id_of(text: str, where: str) -> GrantId:
    """Give `text` as a grant id; it is safe as a file name and in a URL."""
    if not _ID.match(text):
        raise Malformed("a grant id of 128 bits in base64url", "another text", where)
    return GrantId(text)


def digest_of(data: bytes | str) -> Digest:
    """Give the SHA-256 of `data` in base64url."""
    raw = data.encode() if isinstance(data, str) else data
    return Digest(b64url(sha256(raw).digest()))


def seconds(instant: datetime) -> int:
    """Give the NumericDate of an aware instant (RFC 7519, section 2)."""
    return int(instant.timestamp())


def whole_second(instant: datetime) -> datetime:
    """Give the instant as the wire can say it."""
    return instant.replace(microsecond=0)


def instant_at(obj: Mapping[str, Json], name: str, where: str) -> datetime:
    """Give the instant in a NumericDate member."""
    value = int_at(obj, name, where)
    if not 0 <= value <= _LATEST:
        raise Malformed("seconds since 1970", "a number out of range", f"{where}.{name}")
    return datetime.fromtimestamp(value, UTC)


def count_at(obj: Mapping[str, Json], name: str, where: str, *, least: int = 0, most: int) -> int:
    """Give a member's whole number, from `least` to `most`."""
    value = int_at(obj, name, where)
    if not least <= value <= most:
        raise Malformed(f"{least} to {most}", "another number", f"{where}.{name}")
    return value


def short_text_at(
    obj: Mapping[str, Json], name: str, where: str, *, most: int = _LONGEST_TEXT
) -> str:
    """Give a member's text, of one line and of 1 to `most` characters."""
    text = text_at(obj, name, where)
    if not 1 <= len(text) <= most:
        raise Malformed(f"1 to {most} characters", f"{len(text)}", f"{where}.{name}")
    require_shown(text, f"{where}.{name}")
    return text


def require_shown(text: str, where: str) -> None:
    """Return only if `text` shows as it is, and changes nothing of the text around it."""
    if _UNSHOWN.search(text):
        raise Malformed("text of one line and one direction", "controls", where)


def require_members(
    obj: Mapping[str, Json], names: Collection[str], where: str, *, optional: Collection[str] = ()
) -> None:
    """Return only if `obj` has every one of `names` and nothing unknown.

    A member we do not know might narrow or widen what was agreed: it is not ignored.
    """
    if missing := sorted(set(names) - obj.keys()):
        raise Malformed(", ".join(missing), "nothing", where)
    if obj.keys() - set(names) - set(optional):
        raise Malformed("known members only", "an unknown one", where)


def refuse(code: str, expected: str, found: str, where: str) -> Refused:
    """Give the refusal with this one reason."""
    return Refused(Reason(code, expected, found, where))


def sign_artefact(claims: JsonObject, *, typ: str, signer: Signer) -> str:
    """Give the signed artefact; `iss` is the signer's did:jwk."""
    return sign_jws({"iss": did_jwk(signer.public), **claims}, typ=typ, signer=signer)


def read_artefact(token: str, *, typ: str, by: Did | None, where: str) -> JsonObject:
    """Give the claims of an artefact whose issuer's own did:jwk signed it.

    With `by`, the issuer must be that one (`signed-by-another`); without, the
    claims are verified as its self-named issuer's, and the caller judges who
    that is.
    """
    jws = read_jws(token, typ=typ, where=where)
    issuer = text_at(jws.unverified_claims, "iss", where)
    if by is not None and issuer != by:
        raise refuse("signed-by-another", "the party of this grant", "another", f"{where}.iss")
    return jws.verify(key_of_did_jwk(issuer, f"{where}.iss"))
