"""Bitstring Status List 1.0: the W3C's list of statuses, a credential with one gzipped text.

Entries fill each byte from its highest bit, the opposite of the Token Status List. The
list lives in `StatusEntries` (`BitOrder.HIGHEST_FIRST`), so that one changed entry
compresses one segment anew.
"""

import zlib
from collections.abc import Collection, Sequence
from dataclasses import field
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.bitstring_status_entry import BitstringStatusEntry
from counterfoil_credentials.data_integrity import ProofKeys
from counterfoil_credentials.date_times import date_time_stamp
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_text,
    int_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.multikey import from_multibase, multibase
from counterfoil_credentials.records import record
from counterfoil_credentials.status_entries import MAX_LIST_BYTES, BitOrder, StatusEntries
from counterfoil_credentials.w3c_presentation import VC_JWT_MEDIA_TYPE
from counterfoil_credentials.w3c_shapes import CREDENTIALS_V2, one_or_many
from counterfoil_credentials.w3c_verification import W3cPolicy, verify_w3c_credential

LIST_CREDENTIAL_TYPE: Final = "BitstringStatusListCredential"
LIST_TYPE: Final = "BitstringStatusList"
MIN_LIST_BYTES: Final = 16 * 1024  # section 2.2: 131,072 entries of one bit
MAX_CREDENTIAL_BYTES: Final = 8 * 1024 * 1024
MAX_TTL: Final = timedelta(days=1)
_ACCEPT: Final = f"application/vc, {VC_JWT_MEDIA_TYPE}, application/ld+json, application/json"
_WHERE: Final = "status_list"
_LIST: Final = f"{_WHERE}.encodedList"
# RFC 1952, section 2.3.1: deflate, no name, no time, of no known system.
_GZIP_HEADER: Final = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_GZIP: Final = zlib.MAX_WBITS | 16
# In these words a list is out of its time, and says nothing about now.
_OUT_OF_TIME: Final = frozenset({"expired", "not-yet-valid"})


@record(kw_only=True)
class BitstringStatusList:
    """A verified list: what `issuer` said, from `listed_at` on, about every entry.

    `ttl` is how long it asks to be kept, at most a day; None where it does not say.
    """

    url: str
    issuer: str
    purposes: frozenset[str]
    listed_at: datetime | None
    expires_at: datetime | None
    ttl: timedelta | None
    bits: bytes = field(repr=False)

    def value_of(self, entry: BitstringStatusEntry) -> int:
        """Give the value at `entry`, whose first bit is the most significant (section 3.2).

        Raises `Refused`: `status-list-mismatch` (of another list),
        `status-purpose-mismatch`, `status-list-too-short` (131,072 entries at least: among
        few, each is watched), `status-index-out-of-range`.
        """
        if entry.list_url != self.url:
            raise _refused("status-list-mismatch", "an entry of this list", "another's", "id")
        if entry.purpose not in self.purposes:
            raise _refused("status-purpose-mismatch", "a purpose of the list", "another", "purpose")
        length = len(self.bits) * 8 // entry.size
        if length < MIN_LIST_BYTES * 8:
            found = f"{length}"
            raise _refused("status-list-too-short", "131072 entries", found, "encodedList")
        if entry.index >= length:
            expected, found = f"an index below {length}", "one outside the list"
            raise _refused("status-index-out-of-range", expected, found, "statusListIndex")
        first = entry.index * entry.size
        last = first + entry.size
        window = int.from_bytes(self.bits[first // 8 : -(-last // 8)])
        return window >> -last % 8 & (1 << entry.size) - 1


def status_list_credential(
    entries: StatusEntries,
    *,
    url: str,
    issuer: str,
    purposes: Sequence[str],
    valid_from: datetime,
    valid_until: datetime | None,
    ttl: timedelta | None = None,
) -> JsonObject:
    """Give the credential over `entries` as they are now, still unsecured (section 2.2).

    Secure it as the credentials that point to it are. Raises `Misuse` for entries that
    fill bytes from the lowest bit, for fewer than 131,072 of them, and for no purpose.
    """
    if entries.order is not BitOrder.HIGHEST_FIRST:
        raise Misuse("expected entries that fill bytes from the highest bit, found the lowest")
    if len(entries) < MIN_LIST_BYTES * 8 or not purposes:
        raise Misuse("expected 131072 entries and a purpose, found fewer")
    subject: dict[str, Json] = {
        "id": f"{url}#list",
        "type": LIST_TYPE,
        "statusPurpose": purposes[0] if len(purposes) == 1 else [*purposes],
        "encodedList": multibase(gzip_stream(entries), "u"),
    }
    if ttl is not None:
        subject["ttl"] = ttl // timedelta(milliseconds=1)
    credential: dict[str, Json] = {
        "@context": [CREDENTIALS_V2],
        "id": url,
        "type": ["VerifiableCredential", LIST_CREDENTIAL_TYPE],
        "issuer": issuer,
        "validFrom": date_time_stamp(valid_from),
        "credentialSubject": subject,
    }
    if valid_until is not None:
        credential["validUntil"] = date_time_stamp(valid_until)
    return credential


def gzip_stream(entries: StatusEntries) -> bytes:
    """Give the whole list as one gzip stream (RFC 1952); kept segments are not made again."""
    raw = entries.raw
    deflated = entries.zlib_stream()[2:-4]
    trailer = zlib.crc32(raw).to_bytes(4, "little") + len(raw).to_bytes(4, "little")
    return _GZIP_HEADER + deflated + trailer


def fetch_status_list_credential(fetcher: Fetcher, url: str) -> JsonObject | str:
    """Give the credential at `url`, unverified: an object, or the text of a `vc+jwt`.

    Raises what the fetcher raises, `Unavailable` for another answer than 2xx.
    """
    answer = fetcher.get(url, accept=_ACCEPT, max_bytes=MAX_CREDENTIAL_BYTES)
    if not 200 <= answer.status < 300:
        raise Unavailable(f"expected a status list, found HTTP status {answer.status}")
    if answer.media_type != VC_JWT_MEDIA_TYPE:
        return parse_object(answer.body, _WHERE, max_bytes=MAX_CREDENTIAL_BYTES)
    try:
        return answer.body.decode("ascii")
    except UnicodeDecodeError:
        raise Malformed("an ASCII token", "other bytes", _WHERE) from None


def read_bitstring_status_list(
    secured: JsonObject | str,
    *,
    url: str,
    issuers: Collection[str],
    policy: W3cPolicy,
    keys: ProofKeys,
    now: datetime,
    seen_at: datetime | None = None,
) -> BitstringStatusList:
    """Give the verified list that `secured` carries for `url` (section 3.2).

    `issuers` are those who may speak of the credential's status: its own issuer, mostly.
    `seen_at` is the `listed_at` of the newest list of `url` seen so far: an older one may
    be genuine, and would bring back what was revoked since.

    Raises what `verify_w3c_credential` raises, but `Unavailable` for a list out of its
    time, because that says nothing about now; `Malformed` for what is no list; `Refused`
    with all of `status-list-mismatch`, `status-list-issuer`, `status-list-older`.
    """
    try:
        verified = verify_w3c_credential(secured, policy=policy, keys=keys, now=now)
    except Refused as cause:
        if _OUT_OF_TIME.issuperset(cause.codes):
            raise Unavailable("expected a status list in force, found one out of its time") from (
                cause
            )
        raise
    credential = verified.credential
    if LIST_CREDENTIAL_TYPE not in credential.types:
        raise Malformed(LIST_CREDENTIAL_TYPE, "another credential", f"{_WHERE}.type")
    if len(credential.subjects) != 1:
        raise Malformed("one list", "several", _WHERE)
    reasons: list[Reason] = []
    if credential.id not in (None, url):
        expected = "the list that was asked for"
        reasons.append(Reason("status-list-mismatch", expected, "another", f"{_WHERE}.id"))
    if credential.issuer not in issuers:
        expected = "who may speak of it"
        reasons.append(Reason("status-list-issuer", expected, "another", f"{_WHERE}.issuer"))
    listed_at = credential.valid_from
    if seen_at is not None and (listed_at is None or listed_at < seen_at):
        found = "an older one, or of no time"
        reasons.append(
            Reason("status-list-older", f"a list from {seen_at} on", found, f"{_WHERE}.validFrom")
        )
    if reasons:
        raise Refused(*reasons)
    subject = credential.subjects[0]
    if LIST_TYPE not in one_or_many(subject, "type", _WHERE):
        raise Malformed(LIST_TYPE, "another type", f"{_WHERE}.credentialSubject.type")
    purposes = one_or_many(subject, "statusPurpose", _WHERE)
    return BitstringStatusList(
        url=url,
        issuer=credential.issuer,
        purposes=frozenset(as_text(each, f"{_WHERE}.statusPurpose") for each in purposes),
        listed_at=listed_at,
        expires_at=credential.valid_until,
        ttl=_ttl(subject),
        bits=expand(text_at(subject, "encodedList", _WHERE)),
    )


def expand(encoded: str) -> bytes:
    """Give the bits in `encodedList`; `Malformed` unless it is `u` and one gzip of 16 MiB."""
    if not encoded.startswith("u"):
        raise Malformed("base64url with its prefix u", "another text", _LIST)
    inflater = zlib.decompressobj(_GZIP)
    try:
        # The cap holds while inflating: a small bomb never becomes a large list.
        bits = inflater.decompress(from_multibase(encoded, _LIST), MAX_LIST_BYTES + 1)
    except zlib.error:
        raise Malformed("a gzip stream", "other bytes", _LIST) from None
    if len(bits) > MAX_LIST_BYTES:
        raise Malformed(f"at most {MAX_LIST_BYTES} bytes", "a longer list", _LIST)
    if not inflater.eof or inflater.unused_data:
        raise Malformed("one whole gzip stream", "a part, or more", _LIST)
    return bits


def _ttl(subject: JsonObject) -> timedelta | None:
    # Section 2.2: in milliseconds. A list that asked never to be fetched again would never
    # say that anything was revoked.
    if "ttl" not in subject:
        return None
    milliseconds = int_at(subject, "ttl", _WHERE)
    if milliseconds < 0:
        raise Malformed("a time to live from zero", "a negative one", f"{_WHERE}.ttl")
    return min(timedelta(milliseconds=min(milliseconds, 10**12)), MAX_TTL)


def _refused(code: str, expected: str, found: str, where: str) -> Refused:
    return Refused(Reason(code, expected, found, f"{_WHERE}.{where}"))
