"""Trust in the issuers on a list that somebody signs, such as a trade association.

    trust = ListedTrust(lambda: path.read_text(), signed_by=key, fetcher=fetcher)

The list says who may issue what; an issuer's keys stand on it, or the issuer publishes
them. It is read again every hour, and serves until its own end while its source is
silent. An older list than the last one never takes its place.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.errors import Misuse, Reason, Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.issuer_keys import fetch_issuer_keys
from counterfoil_credentials.keys import PublicKey
from counterfoil_credentials.trust_list import MAX_LIST_BYTES, TrustList, read_trust_list

from counterfoil_verifier.trust import (
    Ending,
    KeyAsked,
    by_time,
    choose_key,
    not_trusted,
    not_trusted_for_type,
)
from counterfoil_verifier.trust_kept import Kept, NotAmongThem

_THE_LIST: Final = "the trust list"
LIST_MEDIA_TYPES: Final = "application/jwt, application/jose, text/plain"


class ListedTrust:
    """Trust in whom a signed list names, for the types that it names."""

    def __init__(
        self,
        source: Callable[[], str],
        *,
        signed_by: PublicKey,
        fetcher: Fetcher | None = None,
        vcts: Collection[str] | None = None,
    ) -> None:
        """Read the list from `source`, which raises `Unavailable`.

        Without a `fetcher` only issuers whose keys stand on the list have any. `vcts` are
        the types for which the list is believed, whatever it says of others; None for all.
        """
        if isinstance(vcts, str):
            raise Misuse("expected a collection of types, found one text")
        self._source = source
        self._vcts = None if vcts is None else frozenset(vcts)
        self._signed_by = signed_by
        # Its own end says how long it serves.
        self._list = Kept(_THE_LIST, self._read, max_age=timedelta.max)
        self._keys = Kept("the issuer's keys", lambda issuer, _now: _fetch(fetcher, issuer))

    def key_for(self, asked: KeyAsked, *, now: datetime) -> PublicKey:
        """Give the issuer's key. A list that has ended leaves the question open.

        Nobody is known here for a type for which the list is not believed.
        """
        if self._vcts is not None and asked.vct not in self._vcts:
            raise not_trusted()
        try:
            listed = self._list.find(_THE_LIST, lambda found: _in_force(found, now), now=now)
        except NotAmongThem as ended:
            raise Unavailable(str(ended)) from ended
        entry = None if asked.issuer is None else listed.issuers.get(asked.issuer)
        if asked.issuer is None or entry is None:
            raise not_trusted()
        if entry.types is not None and asked.vct not in entry.types:
            raise not_trusted_for_type()
        if entry.keys:
            return choose_key(entry.keys, asked.key_id)
        return self._keys.find(asked.issuer, lambda keys: choose_key(keys, asked.key_id), now=now)

    def authorities_behind(self, asked: KeyAsked, *, now: datetime) -> None:
        """Give None: no certificate stands behind such an issuer."""

    def ends(self, now: datetime) -> Sequence[Ending]:
        """Give the end of the list, and when the keys of each silent issuer serve no more."""
        listed = self._list.newest(_THE_LIST)
        endings = [
            Ending(f"the keys of {issuer}, which does not answer", at)
            for issuer, at in self._keys.silent()
        ]
        if listed is not None:
            endings.append(Ending(f"the trust list {listed.name}", listed.ends_at))
        return by_time(endings)

    def _read(self, _name: str, now: datetime) -> TrustList:
        known = self._list.newest(_THE_LIST)
        seen_at = None if known is None else known.listed_at
        return read_trust_list(self._source(), signed_by=self._signed_by, now=now, seen_at=seen_at)


def fetched_list(fetcher: Fetcher, url: str) -> Callable[[], str]:
    """Give a source that fetches the list from `url`."""

    def fetch() -> str:
        response = fetcher.get(url, accept=LIST_MEDIA_TYPES, max_bytes=MAX_LIST_BYTES)
        if response.status != 200:
            raise Unavailable(f"expected {_THE_LIST}, found HTTP status {response.status}")
        return response.body.decode("ascii", "replace")

    return fetch


def _in_force(listed: TrustList, now: datetime) -> TrustList:
    if now >= listed.ends_at:
        # Not in what was read, and perhaps in what may be had by now: it is read again.
        expected, found = "a trust list in force", f"one that ended {listed.ends_at}"
        raise NotAmongThem(Reason("trust-list-ended", expected, found, "trust_list.exp"))
    return listed


def _fetch(fetcher: Fetcher | None, issuer: str) -> dict[str, PublicKey]:
    if fetcher is None:
        raise Unavailable("expected keys on the trust list, found none")
    return fetch_issuer_keys(fetcher, issuer)
