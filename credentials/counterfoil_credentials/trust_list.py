"""A trust list: whom somebody vouches for, signed, and good until it ends.

    typ: counterfoil-trust-list+jwt
    {"name": "Fair trade association", "iat": …, "exp": …,
     "issuers": [{"url": "https://brand.example", "name": "Brand", "types": ["https://…"],
                  "keys": {"keys": [{"kty": "EC", …}]}}],
     "verifiers": [{"client_id": "x509_san_dns:till.example", "name": "Corner Shop",
                    "purpose": "Warranty", "may_ask": {"https://…": [["item", "serial"]]}}]}

Who reads it says whose key signs it. A list that is older than the last one seen is
refused: it would bring back whom the list dropped since. Names are a stranger's texts,
to be made safe by whoever shows them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from counterfoil_credentials.claims import ClaimPath, parse_path
from counterfoil_credentials.encoding import (
    JsonObject,
    as_object,
    list_at,
    object_at,
    optional_text_at,
    text_at,
    texts_at,
)
from counterfoil_credentials.errors import Malformed, Reason, Refused
from counterfoil_credentials.issuer_keys import parse_signing_keys
from counterfoil_credentials.jws import read_jws
from counterfoil_credentials.keys import PublicKey
from counterfoil_credentials.sdjwt_vc import time_at

TRUST_LIST_TYP: Final = "counterfoil-trust-list+jwt"
MAX_LIST_BYTES: Final = 4 * 1024 * 1024
_WHERE: Final = "trust_list"
_MAX_ENTRIES: Final = 10_000
_MAX_PATHS: Final = 1_000
_MAX_NAME: Final = 1_024
_MAX_URL: Final = 2_048
_SKEW: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedIssuer:
    """An issuer. `types` are those that it may issue, None for all; `keys` stand by `kid`.

    Without keys, they are those that it publishes itself.
    """

    name: str
    types: frozenset[str] | None = None
    keys: Mapping[str, PublicKey] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedVerifier:
    """A verifier, and what it registered that it asks for; None where that is not known."""

    name: str
    may_ask: Mapping[str, tuple[ClaimPath, ...]] | None = None
    purpose: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustList:
    """A verified list: issuers by URL, verifiers by full client id.

    From `ends_at` on nobody on it is known by it: read a newer one.
    """

    name: str
    listed_at: datetime
    ends_at: datetime
    issuers: Mapping[str, ListedIssuer]
    verifiers: Mapping[str, ListedVerifier]


def read_trust_list(
    token: str, *, signed_by: PublicKey, now: datetime, seen_at: datetime | None = None
) -> TrustList:
    """Give the list in `token`.

    `seen_at` is the `listed_at` of the newest one seen. Raises `Malformed`, and `Refused`
    with `signature-invalid`, `trust-list-ended`, `trust-list-from-the-future` or
    `trust-list-older`.
    """
    unverified = read_jws(token, typ=TRUST_LIST_TYP, where=_WHERE, max_bytes=MAX_LIST_BYTES)
    claims = unverified.verify(signed_by)
    listed_at, ends_at = _time(claims, "iat"), _time(claims, "exp")
    if now >= ends_at:
        raise _refused("trust-list-ended", "a list in force", "one that ended", "exp")
    if listed_at > now + _SKEW:
        raise _refused("trust-list-from-the-future", "a list made by now", "a later one", "iat")
    if seen_at is not None and listed_at < seen_at:
        raise _refused("trust-list-older", f"a list from {seen_at} on", "an older", "iat")
    return TrustList(
        name=_name(claims),
        listed_at=listed_at,
        ends_at=ends_at,
        issuers={
            _bounded(text_at(one, "url", _WHERE), "issuers.url", _MAX_URL): ListedIssuer(
                name=_name(one),
                types=frozenset(texts_at(one, "types", _WHERE)) if "types" in one else None,
                keys=_keys(one),
            )
            for one in _entries(claims, "issuers")
        },
        verifiers={
            _bounded(text_at(one, "client_id", _WHERE), "verifiers.client_id", _MAX_URL): (
                ListedVerifier(
                    name=_name(one), may_ask=_may_ask(one), purpose=_optional(one, "purpose")
                )
            )
            for one in _entries(claims, "verifiers")
        },
    )


def _entries(claims: JsonObject, name: str) -> list[JsonObject]:
    listed = list_at(claims, name, _WHERE) if name in claims else []
    if len(listed) > _MAX_ENTRIES:
        raise Malformed(f"at most {_MAX_ENTRIES} entries", f"{len(listed)}", f"{_WHERE}.{name}")
    return [as_object(one, f"{_WHERE}.{name}") for one in listed]


def _keys(obj: JsonObject) -> Mapping[str, PublicKey]:
    if "keys" not in obj:
        return MappingProxyType({})
    where = f"{_WHERE}.keys"
    keys = parse_signing_keys(object_at(obj, "keys", _WHERE), where)
    if not keys:
        # Not the same as without: it must not fall back to what the issuer publishes.
        raise Malformed("a key that we can use", "none", where)
    return keys


def _name(obj: JsonObject) -> str:
    name = _bounded(text_at(obj, "name", _WHERE), "name")
    if not name.strip():
        raise Malformed("a name", "an empty one", f"{_WHERE}.name")
    return name


def _optional(obj: JsonObject, name: str) -> str | None:
    text = optional_text_at(obj, name, _WHERE)
    return None if text is None else _bounded(text, name)


def _may_ask(obj: JsonObject) -> Mapping[str, tuple[ClaimPath, ...]] | None:
    if "may_ask" not in obj:
        return None
    where = f"{_WHERE}.may_ask"
    asked = object_at(obj, "may_ask", _WHERE)
    found: dict[str, tuple[ClaimPath, ...]] = {}
    for vct in asked:
        paths = list_at(asked, vct, where)
        if len(paths) > _MAX_PATHS:
            raise Malformed(f"at most {_MAX_PATHS} claims", f"{len(paths)}", where)
        found[vct] = tuple(parse_path(path, where) for path in paths)
    return found


def _time(claims: JsonObject, name: str) -> datetime:
    instant = time_at(claims, name, _WHERE)
    if instant is None:
        raise Malformed("a time", "nothing", f"{_WHERE}.{name}")
    return instant


def _bounded(text: str, name: str, longest: int = _MAX_NAME) -> str:
    if len(text) > longest:
        raise Malformed(f"at most {longest} characters", f"{len(text)}", f"{_WHERE}.{name}")
    return text


def _refused(code: str, expected: str, found: str, name: str) -> Refused:
    return Refused(Reason(code, expected, found, f"{_WHERE}.{name}"))
