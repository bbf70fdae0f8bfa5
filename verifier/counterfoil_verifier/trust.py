"""Which issuer may say what, and with which keys.

A good signature shows who speaks. Only trust says whether that speaker may
issue credentials of this type: a brand of shoes signs no car warranties.
"""

import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.issuer_keys import fetch_issuer_keys, issuer_key_named
from counterfoil_credentials.keys import PublicKey

FRESH_FOR: Final = timedelta(hours=1)
"""After this long an issuer's keys are fetched again."""

MAX_AGE: Final = timedelta(days=1)
"""Keys older than this serve no more, even when the issuer does not answer."""

RETRY_AFTER: Final = timedelta(seconds=30)
"""How long an unknown key id, or a silent issuer, waits for the next attempt."""


class Trust(Protocol):
    """Who may issue credentials of which type."""

    def key(self, issuer: str, vct: str, key_id: str | None, *, now: datetime) -> PublicKey:
        """Give the key with which `issuer` signs, if it may issue the type `vct`.

        Raises `Refused` (`issuer-not-trusted`, `issuer-not-trusted-for-type`,
        `issuer-key-unknown`) or `Unavailable` when the keys cannot be had.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedIssuer:
    """An issuer, the types it may issue, and its keys as they were handed over."""

    issuer: str
    vcts: frozenset[str]
    keys: tuple[PublicKey, ...]


class PinnedTrust:
    """Trust in issuers whose keys are known beforehand; it needs no network."""

    def __init__(self, issuers: Iterable[TrustedIssuer]) -> None:
        self._issuers = {trusted.issuer: trusted for trusted in issuers}

    def key(self, issuer: str, vct: str, key_id: str | None, *, now: datetime) -> PublicKey:
        _require_trusted(issuer, vct, {name: t.vcts for name, t in self._issuers.items()})
        keys = {key.thumbprint(): key for key in self._issuers[issuer].keys}
        return _choose(keys, key_id)


@dataclass(frozen=True, slots=True)
class _Fetched:
    """What the last good fetch gave, if there was one, and how the last attempt ended."""

    keys: Mapping[str, PublicKey]
    fetched_at: datetime | None
    tried_at: datetime
    failure: str | None

    def age(self, now: datetime) -> timedelta:
        return timedelta.max if self.fetched_at is None else now - self.fetched_at


class FetchedTrust:
    """Trust in named issuers whose keys come from their own `jwt-vc-issuer` document.

    Keys are fetched again after `FRESH_FOR`, and when a credential names a key
    that is not among them. While the issuer is silent, keys up to `MAX_AGE`
    old still serve; a key that is not among them may be a new one, so that
    question stays open. SD-JWT VC, section 4.
    """

    def __init__(self, fetcher: Fetcher, issuers: Mapping[str, Collection[str]]) -> None:
        """Trust each issuer of `issuers` for the types beside it."""
        for issuer, vcts in issuers.items():
            if isinstance(vcts, str):
                raise Misuse(f"expected a collection of types, found one text ({issuer})")
        self._fetcher = fetcher
        self._vcts = {issuer: frozenset(vcts) for issuer, vcts in issuers.items()}
        self._fetched: dict[str, _Fetched] = {}
        self._lock = threading.Lock()

    def key(self, issuer: str, vct: str, key_id: str | None, *, now: datetime) -> PublicKey:
        # Nothing is fetched for an issuer that nobody trusts: a stranger's
        # credential must not make the shop call an address of its choice.
        _require_trusted(issuer, vct, self._vcts)
        with self._lock:
            known = self._fetched.get(issuer)
        if known is None or self._is_due(known, key_id, now):
            known = self._refresh(issuer, now)
        if known.age(now) >= MAX_AGE:
            failure = known.failure or "only old ones"
            raise Unavailable(f"expected the issuer's keys, found none: {failure}")
        try:
            return _choose(known.keys, key_id)
        except Refused as unknown:
            if known.failure is None:
                raise
            text = f"expected the issuer's newest keys, found older ones: {known.failure}"
            raise Unavailable(text) from unknown

    def _is_due(self, known: _Fetched, key_id: str | None, now: datetime) -> bool:
        is_missing = issuer_key_named(known.keys, key_id) is None
        return (known.age(now) >= FRESH_FOR or is_missing) and now - known.tried_at >= RETRY_AFTER

    def _refresh(self, issuer: str, now: datetime) -> _Fetched:
        try:
            keys = fetch_issuer_keys(self._fetcher, issuer)
        except (Unavailable, Malformed, Refused) as cause:
            # A broken document or address is the issuer's trouble, not the customer's.
            with self._lock:
                known = self._fetched.get(issuer) or _Fetched({}, None, now, None)
                fresh = replace(known, tried_at=now, failure=str(cause))
                self._fetched[issuer] = fresh
        else:
            fresh = _Fetched(keys, now, now, None)
            with self._lock:
                self._fetched[issuer] = fresh
        return fresh


def _require_trusted(issuer: str, vct: str, vcts: Mapping[str, Collection[str]]) -> None:
    if issuer not in vcts:
        raise Refused(
            Reason(
                "issuer-not-trusted", "an issuer that this shop trusts", "another", "credential.iss"
            )
        )
    if vct not in vcts[issuer]:
        raise Refused(
            Reason(
                "issuer-not-trusted-for-type",
                "a type that this issuer may issue",
                "another type",
                "credential.vct",
            )
        )


def _choose(keys: Mapping[str, PublicKey], key_id: str | None) -> PublicKey:
    key = issuer_key_named(keys, key_id)
    if key is None:
        found = "no key id" if key_id is None else "another key id"
        raise Refused(
            Reason("issuer-key-unknown", "one of the issuer's keys", found, "credential.kid")
        )
    return key
