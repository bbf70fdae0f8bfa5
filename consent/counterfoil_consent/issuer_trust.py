"""The ports of facts.py over the network: issuers' keys and status lists, fetched when needed."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.errors import Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.issuer_keys import fetch_issuer_keys, issuer_key_named
from counterfoil_credentials.keys import PublicKey
from counterfoil_credentials.sdjwt_vc import VerifiedCredential
from counterfoil_credentials.token_status_list import (
    VALID,
    StatusSource,
    read_status_list,
    status_list_key_id,
)

from counterfoil_consent.wire import refuse

MAX_LIST_AGE: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class FetchedIssuerKeys:
    """Believes the issuers listed for a type (`vct` to issuer URLs), with the keys they publish."""

    fetcher: Fetcher
    trusted: Mapping[str, Collection[str]]

    def key_of(self, *, issuer: str, vct: str, key_id: str | None) -> PublicKey:
        """Give the issuer's key of that id, or its only one."""
        if issuer not in self.trusted.get(vct, ()):
            raise refuse("issuer-not-trusted", "an issuer trusted for this type", "another", "iss")
        key = issuer_key_named(fetch_issuer_keys(self.fetcher, issuer), key_id)
        if key is None:
            raise refuse("issuer-key-unknown", "a key that the issuer publishes", "another", "kid")
        return key


@dataclass(frozen=True, slots=True)
class ListedStatus:
    """Reads the credential's entry in the issuer's signed status list.

    A credential without a status entry cannot be revoked and counts as valid.
    """

    source: StatusSource
    keys: FetchedIssuerKeys
    max_age: timedelta = MAX_LIST_AGE

    def require_valid(self, credential: VerifiedCredential, *, now: datetime) -> None:
        """Return only if the entry reads valid in a list that is young enough."""
        if credential.status is None:
            return
        token = self.source.fetch(credential.status.url)
        key = self.keys.key_of(
            issuer=credential.issuer, vct=credential.vct, key_id=status_list_key_id(token)
        )
        listed = read_status_list(token, url=credential.status.url, issuer_key=key, now=now)
        if now - listed.listed_at > self.max_age:
            raise Unavailable(f"expected a status list younger than {self.max_age}, found an older")
        if listed.status_at(credential.status.index) != VALID:
            raise refuse("credential-not-in-force", "a credential in force", "another", "status")
