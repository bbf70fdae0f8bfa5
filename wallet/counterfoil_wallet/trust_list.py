"""A trust list: whom somebody vouches for, signed, and good until it ends.

    typ: counterfoil-trust-list+jwt
    {"name": "Fair trade association", "iat": …, "exp": …,
     "issuers": [{"url": "https://brand.example", "name": "Brand", "types": ["https://…"]}],
     "verifiers": [{"client_id": "x509_san_dns:till.example", "name": "Corner Shop",
                    "purpose": "Warranty", "may_ask": {"https://…": [["item", "serial"]]}}]}

The app says whose key signs the list, and where it is kept. A list that is older than
the last one seen is refused: it would bring back whom the list dropped since.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
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
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.jws import read_jws
from counterfoil_credentials.keys import PublicKey

from counterfoil_wallet.issuer_trust import KnownIssuer
from counterfoil_wallet.printable import printable
from counterfoil_wallet.trust import Trust, Verifier
from counterfoil_wallet.wire import MAX_URL, bounded, refuse, required_time_at

MAX_LIST_BYTES: Final = 4 * 1024 * 1024
_TYP: Final = "counterfoil-trust-list+jwt"
_WHERE: Final = "trust_list"
_MAX_ENTRIES: Final = 10_000
_MAX_PATHS: Final = 1_000
_SKEW: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustList:
    """A verified list. From `ends_at` on nobody on it is known by it: read a newer one."""

    name: str
    listed_at: datetime
    ends_at: datetime
    issuers: Mapping[str, KnownIssuer]
    verifiers: Mapping[str, Verifier]

    def extend(self, trust: Trust) -> Trust:
        """Give `trust` with everybody on the list. Whom the app pinned stays as it was pinned."""
        return replace(
            trust,
            issuers={**self.issuers, **trust.issuers},
            verifiers={**self.verifiers, **trust.verifiers},
        )


def read_trust_list(
    token: str, *, signed_by: PublicKey, now: datetime, seen_at: datetime | None = None
) -> TrustList:
    """Give the list in `token`.

    `seen_at` is the `listed_at` of the newest one seen. Raises `Malformed`, and `Refused`
    with `signature-invalid`, `trust-list-ended`, `trust-list-from-the-future` or
    `trust-list-older`.
    """
    claims = read_jws(token, typ=_TYP, where=_WHERE, max_bytes=MAX_LIST_BYTES).verify(signed_by)
    listed_at = required_time_at(claims, "iat", _WHERE)
    ends_at = required_time_at(claims, "exp", _WHERE)
    if now >= ends_at:
        raise refuse("trust-list-ended", "a list in force", "one that ended", f"{_WHERE}.exp")
    if listed_at > now + _SKEW:
        raise refuse(
            "trust-list-from-the-future", "a list made by now", "a later one", f"{_WHERE}.iat"
        )
    if seen_at is not None and listed_at < seen_at:
        raise refuse("trust-list-older", f"a list from {seen_at} on", "an older", f"{_WHERE}.iat")
    name = _name(claims)
    return TrustList(
        name=name,
        listed_at=listed_at,
        ends_at=ends_at,
        issuers={
            bounded(text_at(one, "url", _WHERE), _WHERE, MAX_URL): KnownIssuer(
                name=_name(one),
                types=frozenset(texts_at(one, "types", _WHERE)) if "types" in one else None,
                vouched_by=name,
                ends_at=ends_at,
            )
            for one in _entries(claims, "issuers")
        },
        verifiers={
            bounded(text_at(one, "client_id", _WHERE), _WHERE, MAX_URL): Verifier(
                name=_name(one),
                may_ask=_may_ask(one),
                purpose=_optional(one, "purpose"),
                ends_at=ends_at,
            )
            for one in _entries(claims, "verifiers")
        },
    )


def _entries(claims: JsonObject, name: str) -> list[JsonObject]:
    listed = list_at(claims, name, _WHERE) if name in claims else []
    if len(listed) > _MAX_ENTRIES:
        raise Malformed(f"at most {_MAX_ENTRIES} entries", f"{len(listed)}", f"{_WHERE}.{name}")
    return [as_object(one, f"{_WHERE}.{name}") for one in listed]


def _name(obj: JsonObject) -> str:
    name = printable(bounded(text_at(obj, "name", _WHERE), f"{_WHERE}.name"))
    if not name:
        raise Malformed("a name", "an empty one", f"{_WHERE}.name")
    return name


def _optional(obj: JsonObject, name: str) -> str | None:
    text = optional_text_at(obj, name, _WHERE)
    return None if text is None else printable(bounded(text, f"{_WHERE}.{name}"))


def _may_ask(obj: JsonObject) -> Mapping[str, Collection[ClaimPath]] | None:
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
