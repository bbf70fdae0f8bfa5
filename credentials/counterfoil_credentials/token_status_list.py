"""Token Status List: pack, sign, read (draft-ietf-oauth-status-list).

Entries have 1, 2, 4 or 8 bits and fill each byte from its lowest bits: the
opposite of the W3C's Bitstring Status List, which has a codec of its own. A list
that is long or changes often lives in `status_entries`; `sign_status_entries` signs
what it gives.

Historical resolution (section 8.4) is not offered: the draft advises against it.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from counterfoil_credentials.encoding import (
    JsonObject,
    b64url,
    from_b64url,
    int_at,
    kind_of,
    object_at,
    optional_text_at,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.jws import ES256_ONLY, read_jws, sign_jws
from counterfoil_credentials.keys import Algorithm, PublicKey, Signer
from counterfoil_credentials.sdjwt_vc import time_at
from counterfoil_credentials.spec import STATUS_LIST_MEDIA_TYPE, STATUS_LIST_TYP
from counterfoil_credentials.status_entries import (
    MAX_LIST_BYTES,
    BitOrder,
    Bits,
    Effort,
    StatusEntries,
)

# Section 7.1.
VALID: Final = 0
INVALID: Final = 1
SUSPENDED: Final = 2

MAX_TOKEN_BYTES: Final = 8 * 1024 * 1024
MAX_TTL_S: Final = 86_400
_SKEW: Final = timedelta(seconds=60)
_WHERE: Final = "status_list"
_BITS: Final[dict[int, Bits]] = {1: 1, 2: 2, 4: 4, 8: 8}


class StatusSource(Protocol):
    """Where the latest signed status list for a URL comes from."""

    def fetch(self, url: str) -> str:
        """Give the signed token; raise `Unavailable` when it cannot be had."""
        ...


@dataclass(frozen=True, slots=True)
class FetchedStatusSource:
    """Fetches the whole list, so that nobody learns which entry is asked for.

    `fetcher` should keep nothing itself: how long a list serves is said by its
    `ttl` and `exp`, and not by HTTP (section 8.2).
    """

    fetcher: Fetcher

    def fetch(self, url: str) -> str:
        """Give the signed token at `url`."""
        response = self.fetcher.get(url, accept=STATUS_LIST_MEDIA_TYPE, max_bytes=MAX_TOKEN_BYTES)
        if not 200 <= response.status < 300:
            raise Unavailable(f"expected a status list, found HTTP status {response.status}")
        try:
            return response.body.decode("ascii")
        except UnicodeDecodeError as cause:
            raise Malformed("an ASCII token", "other bytes", _WHERE) from cause


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedStatusList:
    """A verified list: what the issuer said at `listed_at` about every entry.

    `aggregation_url` leads to the issuer's other lists; see `status_list_aggregation`.
    """

    url: str
    listed_at: datetime
    expires_at: datetime | None
    ttl_s: int | None
    bits: Bits
    entries: bytes = field(repr=False)
    aggregation_url: str | None = None

    def status_at(self, index: int) -> int:
        """Give one entry's code; see the function of the same name."""
        return status_at(self.entries, index, bits=self.bits)


def pack(statuses: Sequence[int], *, bits: Bits = 2) -> bytes:
    """Give the packed list of `statuses`, lowest bits first (section 4.1)."""
    per_byte = 8 // bits
    packed = bytearray(-(-len(statuses) // per_byte))
    for index, status in enumerate(statuses):
        if not 0 <= status < 1 << bits:
            raise Misuse(f"expected a status of {bits} bits, found a larger one")
        packed[index // per_byte] |= status << (index % per_byte) * bits
    return bytes(packed)


def status_at(entries: bytes, index: int, *, bits: Bits) -> int:
    """Give one credential's status code.

    `entries` is the inflated list; each byte holds `8 // bits` entries, lowest
    bits first. `index` counts entries from zero.

    Raises `Refused` with the code `status-index-out-of-range` past the end:
    refuse, never assume valid.

    Token Status List, sections 4.1 and 7.1.
    """
    per_byte = 8 // bits
    length = len(entries) * per_byte
    if not 0 <= index < length:
        raise Refused(
            Reason(
                "status-index-out-of-range",
                f"an index below {length}",
                "one outside the list",
                "status_list.idx",
            )
        )
    shift = (index % per_byte) * bits
    return (entries[index // per_byte] >> shift) & ((1 << bits) - 1)


def sign_status_list(
    entries: bytes,
    *,
    url: str,
    bits: Bits,
    signer: Signer,
    issued_at: datetime,
    expires_at: datetime | None,
    ttl_s: int | None,
    aggregation_url: str | None = None,
) -> str:
    """Give the signed Status List Token over packed `entries`; see `sign_status_entries`."""
    return sign_status_entries(
        StatusEntries(entries, bits=bits, effort=Effort.SMALL),
        url=url,
        signer=signer,
        issued_at=issued_at,
        expires_at=expires_at,
        ttl_s=ttl_s,
        aggregation_url=aggregation_url,
    )


def sign_status_entries(
    entries: StatusEntries,
    *,
    url: str,
    signer: Signer,
    issued_at: datetime,
    expires_at: datetime | None,
    ttl_s: int | None,
    aggregation_url: str | None = None,
) -> str:
    """Give the signed Status List Token over `entries` as they are now (section 5.1).

    Raises `Misuse` for entries that fill bytes from the highest bit, for a negative
    time to live, and for a token of more than 8 MiB, which `read_status_list` refuses:
    cut such a list in two.
    """
    if entries.order is not BitOrder.LOWEST_FIRST:
        raise Misuse("expected entries that fill bytes from the lowest bit, found the highest")
    if ttl_s is not None and ttl_s < 0:
        raise Misuse("expected a time to live from zero, found a negative one")
    token = sign_jws(
        {
            "sub": url,
            "iat": int(issued_at.timestamp()),
            **({} if expires_at is None else {"exp": int(expires_at.timestamp())}),
            **({} if ttl_s is None else {"ttl": ttl_s}),
            "status_list": {
                "bits": entries.bits,
                **({} if aggregation_url is None else {"aggregation_uri": aggregation_url}),
                "lst": b64url(entries.zlib_stream()),
            },
        },
        typ=STATUS_LIST_TYP,
        signer=signer,
        header={"kid": signer.public.thumbprint()},
    )
    if len(token) > MAX_TOKEN_BYTES:
        raise Misuse(f"expected a token of at most {MAX_TOKEN_BYTES} bytes, found {len(token)}")
    return token


def status_list_key_id(token: str) -> str | None:
    """Give the `kid` that an unverified token names, to choose the issuer's key by."""
    header = read_jws(token, typ=STATUS_LIST_TYP, where=_WHERE, max_bytes=MAX_TOKEN_BYTES).header
    return text_at(header, "kid", _WHERE) if "kid" in header else None


def read_status_list(
    token: str,
    *,
    url: str,
    issuer_key: PublicKey,
    now: datetime,
    algorithms: frozenset[Algorithm] = ES256_ONLY,
    seen_at: datetime | None = None,
) -> SignedStatusList:
    """Give the verified list that `token` carries for `url` (section 8.3).

    `seen_at` is the `listed_at` of the newest list of `url` seen so far: an older one
    may be genuine, and would bring back what was revoked since.

    Raises `Refused` for a wrong signature or type, and afterwards with all of
    `status-list-mismatch` (`sub` is not `url`), `status-list-for-others` (it names an
    audience), `status-list-from-the-future` (beyond a minute) and `status-list-older`;
    `Unavailable` before its `nbf` and from its `exp` on, because then it says nothing
    about now.
    """
    unverified = read_jws(token, typ=STATUS_LIST_TYP, where=_WHERE, max_bytes=MAX_TOKEN_BYTES)
    claims = unverified.verify(issuer_key, algorithms)
    listed_at = time_at(claims, "iat", _WHERE)
    if listed_at is None:
        raise Malformed("the time of issue", "nothing", f"{_WHERE}.iat")
    if reasons := _reasons_against(claims, url, listed_at, now, seen_at):
        raise Refused(*reasons)
    not_before = time_at(claims, "nbf", _WHERE)
    if not_before is not None and now + _SKEW < not_before:
        raise Unavailable(f"expected a status list in force, found one from {not_before} on")
    expires_at = time_at(claims, "exp", _WHERE)
    if expires_at is not None and now >= expires_at:
        raise Unavailable(f"expected a status list in force, found one that ended {expires_at}")
    listed = object_at(claims, "status_list", _WHERE)
    bits = _BITS.get(int_at(listed, "bits", _WHERE))
    if bits is None:
        raise Malformed("1, 2, 4 or 8 bits", "another number", f"{_WHERE}.bits")
    return SignedStatusList(
        url=url,
        listed_at=listed_at,
        expires_at=expires_at,
        ttl_s=_ttl_s(claims),
        bits=bits,
        entries=inflate(from_b64url(text_at(listed, "lst", _WHERE), f"{_WHERE}.lst")),
        aggregation_url=optional_text_at(listed, "aggregation_uri", _WHERE),
    )


def inflate(compressed: bytes) -> bytes:
    """Give the packed entries in `lst`; `Malformed` unless it is one zlib stream of 16 MiB."""
    inflater = zlib.decompressobj()
    try:
        # The cap holds while inflating: a small bomb never becomes a large list.
        entries = inflater.decompress(compressed, MAX_LIST_BYTES + 1)
    except zlib.error as cause:
        raise Malformed("a zlib stream", "other bytes", f"{_WHERE}.lst") from cause
    if len(entries) > MAX_LIST_BYTES:
        raise Malformed(f"at most {MAX_LIST_BYTES} bytes", "a longer list", f"{_WHERE}.lst")
    if not inflater.eof or inflater.unused_data:
        raise Malformed("one whole zlib stream", "a part, or more", f"{_WHERE}.lst")
    return entries


def _reasons_against(
    claims: JsonObject, url: str, listed_at: datetime, now: datetime, seen_at: datetime | None
) -> list[Reason]:
    reasons: list[Reason] = []
    if text_at(claims, "sub", _WHERE) != url:
        reasons.append(
            Reason(
                "status-list-mismatch", "the list that was asked for", "another", f"{_WHERE}.sub"
            )
        )
    # RFC 7519, section 4.1.3: who does not find itself in `aud` must refuse the token,
    # and whoever reads a public list is nobody in particular.
    if "aud" in claims:
        reasons.append(
            Reason(
                "status-list-for-others", "a list for everybody", "one for some", f"{_WHERE}.aud"
            )
        )
    if listed_at > now + _SKEW:
        reasons.append(
            Reason(
                "status-list-from-the-future",
                "a list that is not from the future",
                "one that is",
                f"{_WHERE}.iat",
            )
        )
    if seen_at is not None and listed_at < seen_at:
        reasons.append(
            Reason(
                "status-list-older",
                f"a list from {seen_at} on",
                f"one from {listed_at}",
                f"{_WHERE}.iat",
            )
        )
    return reasons


def _ttl_s(claims: JsonObject) -> int | None:
    if "ttl" not in claims:
        return None
    value = claims["ttl"]
    # "A positive number" (section 5.1): a fraction is one, a boolean is not. Zero is
    # found in the wild and can only mean what costs the issuer, not us: ask each time.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Malformed("a number", kind_of(value), f"{_WHERE}.ttl")
    if value < 0:
        raise Malformed("a time to live from zero", "a negative one", f"{_WHERE}.ttl")
    # Section 11.5 asks to check that it is reasonable: a list that asked never to be
    # fetched again would never say that anything was revoked.
    return int(min(value, MAX_TTL_S))
