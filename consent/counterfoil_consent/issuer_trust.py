"""The ports of facts.py over the network: issuers' keys and status lists, fetched when needed."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.errors import Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.issuer_keys import fetch_issuer_keys, issuer_key_named
from counterfoil_credentials.keys import PublicKey
from counterfoil_credentials.sdjwt_vc import VerifiedCredential
from counterfoil_credentials.token_status_list import (
    VALID,
    SignedStatusList,
    StatusSource,
    read_status_list,
    status_list_key_id,
)

from counterfoil_consent.wire import Clock, refuse

MAX_LIST_AGE: Final = timedelta(days=1)
MAX_KEYS_AGE: Final = timedelta(hours=1)
_UNKNOWN_AGAIN: Final = timedelta(minutes=1)
_MOST_LISTS: Final = 100


@dataclass(frozen=True, slots=True)
class _Keys:
    by_id: Mapping[str, PublicKey]
    fetched_at: datetime

    def serve(self, now: datetime, key_id: str | None) -> bool:
        # An id that is not among them may be a new key's: asked for once a minute.
        known = key_id is None or key_id in self.by_id
        longest = MAX_KEYS_AGE if known else _UNKNOWN_AGAIN
        return self.fetched_at <= now < self.fetched_at + longest


@dataclass(frozen=True, slots=True)
class FetchedIssuerKeys:
    """Believes the issuers listed for a type (`vct` to issuer URLs), with the keys they publish.

    Keys that were fetched serve for an hour, whatever the issuer says of how long: one
    that is asked at each read would learn when its customers' facts are read.
    """

    fetcher: Fetcher
    trusted: Mapping[str, Collection[str]]
    clock: Clock
    _kept: dict[str, _Keys] = field(default_factory=dict[str, _Keys], repr=False)

    def key_of(self, *, issuer: str, vct: str, key_id: str | None) -> PublicKey:
        """Give the issuer's key of that id, or its only one."""
        if issuer not in self.trusted.get(vct, ()):
            raise refuse("issuer-not-trusted", "an issuer trusted for this type", "another", "iss")
        key = issuer_key_named(self._keys(issuer, key_id), key_id)
        if key is None:
            raise refuse("issuer-key-unknown", "a key that the issuer publishes", "another", "kid")
        return key

    def _keys(self, issuer: str, key_id: str | None) -> Mapping[str, PublicKey]:
        now = self.clock()
        kept = self._kept.get(issuer)
        if kept is None or not kept.serve(now, key_id):
            kept = _Keys(fetch_issuer_keys(self.fetcher, issuer), now)
            # No more of them than there are trusted issuers.
            self._kept[issuer] = kept
        return kept.by_id


@dataclass(frozen=True, slots=True)
class _Kept:
    listed: SignedStatusList
    fetched_at: datetime

    def serves(self, now: datetime, max_age: timedelta) -> bool:
        # One that is too old to be relied on is fetched anew, whatever its `ttl`.
        if now - self.listed.listed_at > max_age:
            return False
        # Token Status List, section 5.1: `ttl`, and `exp` where that comes first.
        ends_at = self.fetched_at + timedelta(seconds=self.listed.ttl_s or 0)
        if self.listed.expires_at is not None:
            ends_at = min(ends_at, self.listed.expires_at)
        return self.fetched_at <= now < ends_at


@dataclass(frozen=True, slots=True)
class ListedStatus:
    """Reads the credential's entry in the issuer's signed status list.

    A list that was fetched serves as long as its `ttl` says, whoever's credential is
    read: an issuer that is asked at each read would learn when its customers' facts are
    read. A credential without a status entry cannot be revoked and counts as valid.
    """

    source: StatusSource
    keys: FetchedIssuerKeys
    max_age: timedelta = MAX_LIST_AGE
    _kept: dict[tuple[str, str], _Kept] = field(
        default_factory=dict[tuple[str, str], _Kept], repr=False
    )

    def require_valid(self, credential: VerifiedCredential, *, now: datetime) -> None:
        """Return only if the entry reads valid in a list that is young enough."""
        if credential.status is None:
            return
        listed = self._listed(credential, credential.status.url, now)
        if now - listed.listed_at > self.max_age:
            raise Unavailable(f"expected a status list younger than {self.max_age}, found an older")
        if listed.status_at(credential.status.index) != VALID:
            raise refuse("credential-not-in-force", "a credential in force", "another", "status")

    def _listed(self, credential: VerifiedCredential, url: str, now: datetime) -> SignedStatusList:
        place = (credential.issuer, url)
        kept = self._kept.get(place)
        if kept is not None and kept.serves(now, self.max_age):
            return kept.listed
        token = self.source.fetch(url)
        key = self.keys.key_of(
            issuer=credential.issuer, vct=credential.vct, key_id=status_list_key_id(token)
        )
        listed = read_status_list(token, url=url, issuer_key=key, now=now)
        if len(self._kept) >= _MOST_LISTS:
            self._kept.clear()
        self._kept[place] = _Kept(listed, now)
        return listed
