"""Trust in issuers that are known by a DID, with the keys of its document.

    trust = DidTrust(web_resolver(fetcher), {"did:web:audio.example": [warranty]})

A key that the document retired (`expires`) counts for what it signed before, one that it
revoked for nothing. See `trust_kept` for how long a document is kept.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final, TypeAlias

from counterfoil_credentials.bbs_keys import single
from counterfoil_credentials.did_documents import DidDocument, Relationship, key_for
from counterfoil_credentials.did_resolution import Resolver
from counterfoil_credentials.did_results import Deactivated, NotResolved, Resolved
from counterfoil_credentials.dids import Did, DidUrl
from counterfoil_credentials.errors import Reason, Refused
from counterfoil_credentials.keys import PublicKey

from counterfoil_verifier.trust import (
    Ending,
    KeyAsked,
    by_time,
    choose_key,
    require_types,
    required_issuer,
)
from counterfoil_verifier.trust_kept import Kept

_Published: TypeAlias = DidDocument | Deactivated
_ASSERTION: Final = Relationship.ASSERTION


class DidTrust:
    """Trust in named DIDs: `did:web`, and whatever else the resolver speaks."""

    def __init__(self, resolver: Resolver, issuers: Mapping[str, Collection[str]]) -> None:
        """Trust each DID of `issuers` for the types beside it."""
        self._vcts = require_types(issuers)
        self._resolver = resolver
        self._kept = Kept("the issuer's DID document", self._published)

    def key_for(self, asked: KeyAsked, *, now: datetime) -> PublicKey:
        """Give the key that `kid` names in the document, if it may assert.

        `kid` is the DID URL of the key, or its fragment (`#key-1`).
        """
        did = required_issuer(asked, self._vcts)
        return self._kept.find(did, lambda found: _key(found, asked, now), now=now)

    def authorities_behind(self, asked: KeyAsked, *, now: datetime) -> None:
        """Give None: no certificate stands behind such an issuer."""

    def ends(self, now: datetime) -> Sequence[Ending]:
        """Give when the document of each silent DID serves no more."""
        return by_time(
            Ending(f"the document of {did}, which does not answer", at)
            for did, at in self._kept.silent()
        )

    def _published(self, did: str, _now: datetime) -> _Published:
        match self._resolver.resolve(did):
            case Resolved(document=document):
                return document
            case Deactivated() as ended:
                # That a DID was ended is an answer; that there is none is its host's trouble.
                return ended
            case NotResolved(cause=cause):
                raise cause


def _key(found: _Published, asked: KeyAsked, now: datetime) -> PublicKey:
    if isinstance(found, Deactivated):
        expected, where = "a DID in use", "credential.iss"
        raise Refused(Reason("did-deactivated", expected, "a deactivated one", where))
    named = None if asked.key_id is None else _named(found.did, asked.key_id)
    listed = {name: name for name in found.relationships[_ASSERTION]}
    if named is not None and named in found.methods:
        # One that may not assert is told so, and not that it is unknown.
        listed = {named: named}
    name = choose_key(listed, named)
    key = key_for(found, name, _ASSERTION, at=asked.issued_at or now, now=now)
    return single(key, "credential.kid")


def _named(did: Did, key_id: str) -> str:
    # Some write the fragment alone, with or without its sign.
    is_whole = key_id.startswith("did:")
    named = key_id if is_whole else f"{did}#{key_id.removeprefix('#')}"
    if DidUrl.parse(named, "credential.kid").did != did:
        expected = "a key of the issuer's DID"
        raise Refused(Reason("key-of-another-did", expected, "another's", "credential.kid"))
    return named
