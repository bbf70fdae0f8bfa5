"""Token Status List: pack, sign, read (draft-ietf-oauth-status-list).

Entries have 1, 2, 4 or 8 bits and fill each byte from its lowest bits: the
opposite of the W3C's Bitstring Status List, which has a codec of its own.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, Protocol, TypeAlias

from counterfoil_credentials.encoding import b64url, from_b64url, int_at, object_at, text_at
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.jws import read_jws, sign_jws
from counterfoil_credentials.keys import PublicKey, Signer
from counterfoil_credentials.sdjwt_vc import time_at
from counterfoil_credentials.spec import STATUS_LIST_MEDIA_TYPE, STATUS_LIST_TYP

Bits: TypeAlias = Literal[1, 2, 4, 8]

# Section 7.1.
VALID: Final = 0
INVALID: Final = 1
SUSPENDED: Final = 2

MAX_TOKEN_BYTES: Final = 8 * 1024 * 1024
MAX_TTL_S: Final = 86_400
MAX_LIST_BYTES: Final = 16 * 1024 * 1024
_WHERE: Final = "status_list"
_BITS: Final[dict[int, Bits]] = {1: 1, 2: 2, 4: 4, 8: 8}


class StatusSource(Protocol):
    """Where the latest signed status list for a URL comes from."""

    def fetch(self, url: str) -> str:
        """Give the signed token; raise `Unavailable` when it cannot be had."""
        ...


@dataclass(frozen=True, slots=True)
class FetchedStatusSource:
    """Fetches the whole list, so that nobody learns which entry is asked for."""

    fetcher: Fetcher

    def fetch(self, url: str) -> str:
        """Give the signed token at `url`."""
        response = self.fetcher.get(url, accept=STATUS_LIST_MEDIA_TYPE, max_bytes=MAX_TOKEN_BYTES)
        if response.status != 200:
            raise Unavailable(f"expected a status list, found HTTP status {response.status}")
        try:
            return response.body.decode("ascii")
        except UnicodeDecodeError as cause:
            raise Malformed("an ASCII token", "other bytes", _WHERE) from cause


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedStatusList:
    """A verified list: what the issuer said at `listed_at` about every entry."""

    url: str
    listed_at: datetime
    expires_at: datetime | None
    ttl_s: int | None
    bits: Bits
    entries: bytes = field(repr=False)

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
                f"{index}",
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
) -> str:
    """Give the signed Status List Token over packed `entries` (section 5.1)."""
    return sign_jws(
        {
            "sub": url,
            "iat": int(issued_at.timestamp()),
            **({} if expires_at is None else {"exp": int(expires_at.timestamp())}),
            **({} if ttl_s is None else {"ttl": ttl_s}),
            "status_list": {"bits": bits, "lst": b64url(zlib.compress(entries, 9))},
        },
        typ=STATUS_LIST_TYP,
        signer=signer,
        header={"kid": signer.public.thumbprint()},
    )


def status_list_key_id(token: str) -> str | None:
    """Give the `kid` that an unverified token names, to choose the issuer's key by."""
    header = read_jws(token, typ=STATUS_LIST_TYP, where=_WHERE, max_bytes=MAX_TOKEN_BYTES).header
    return text_at(header, "kid", _WHERE) if "kid" in header else None


def read_status_list(
    token: str, *, url: str, issuer_key: PublicKey, now: datetime
) -> SignedStatusList:
    """Give the verified list that `token` carries for `url` (section 8.3).

    Raises `Refused` for a wrong signature or type and for a `sub` other than
    `url` (`status-list-mismatch`); `Unavailable` once the list has expired or
    before it was issued, because then it says nothing about now.
    """
    unverified = read_jws(token, typ=STATUS_LIST_TYP, where=_WHERE, max_bytes=MAX_TOKEN_BYTES)
    claims = unverified.verify(issuer_key)
    if text_at(claims, "sub", _WHERE) != url:
        raise Refused(
            Reason(
                "status-list-mismatch", "the list that was asked for", "another", f"{_WHERE}.sub"
            )
        )
    listed_at = time_at(claims, "iat", _WHERE)
    if listed_at is None:
        raise Malformed("the time of issue", "nothing", f"{_WHERE}.iat")
    expires_at = time_at(claims, "exp", _WHERE)
    if expires_at is not None and now >= expires_at:
        raise Unavailable(f"expected a status list in force, found one that ended {expires_at}")
    listed = object_at(claims, "status_list", _WHERE)
    bits = _BITS.get(int_at(listed, "bits", _WHERE))
    if bits is None:
        raise Malformed("1, 2, 4 or 8 bits", "another number", f"{_WHERE}.bits")
    ttl_s = int_at(claims, "ttl", _WHERE) if "ttl" in claims else None
    if ttl_s is not None and ttl_s < 0:
        raise Malformed("a time to live from zero", "a negative one", f"{_WHERE}.ttl")
    return SignedStatusList(
        url=url,
        listed_at=listed_at,
        expires_at=expires_at,
        # Section 13.7 of the draft asks to check that it is reasonable: a list that
        # asked never to be fetched again would never say that anything was revoked.
        ttl_s=None if ttl_s is None else min(ttl_s, MAX_TTL_S),
        bits=bits,
        entries=_inflate(from_b64url(text_at(listed, "lst", _WHERE), f"{_WHERE}.lst")),
    )


def _inflate(compressed: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        # The cap holds while inflating: a small bomb never becomes a large list.
        entries = inflater.decompress(compressed, MAX_LIST_BYTES)
    except zlib.error as cause:
        raise Malformed("a zlib stream", "other bytes", f"{_WHERE}.lst") from cause
    if inflater.unconsumed_tail:
        raise Malformed(f"at most {MAX_LIST_BYTES} bytes", "a longer list", f"{_WHERE}.lst")
    if not inflater.eof or inflater.unused_data:
        raise Malformed("one whole zlib stream", "a part, or more", f"{_WHERE}.lst")
    return entries
