"""Which issuer may say what, and with which keys.

A good signature shows who speaks. Only trust says whether that speaker may
issue credentials of this type: a brand of shoes signs no car warranties.

    PinnedTrust        keys that were handed over, with their history    no network
    FetchedTrust       the issuer's own `jwt-vc-issuer` document         https
    DidTrust           the issuer's DID document                         https for did:web
    CertificateTrust   a chain in the credential, to an anchor           no network
    ListedTrust        a list that somebody signs                        as its source does
    FirstTrust, AllTrust   several of them
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from counterfoil_credentials.dcql import Authority
from counterfoil_credentials.encoding import optional_text_at
from counterfoil_credentials.errors import Misuse, Reason, Refused
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.issuer_keys import fetch_issuer_keys, issuer_key_named
from counterfoil_credentials.jws import Header
from counterfoil_credentials.keys import PublicKey
from counterfoil_credentials.records import record

from counterfoil_verifier.trust_kept import Kept, NotAmongThem

Key = TypeVar("Key")


@record()
class KeyAsked:
    """Whose key is asked for, by what an unverified token says: nothing of it is proved.

    `issuer` is None for a credential that names its issuer by a certificate alone;
    `header` is the token's, `issued_at` its `iat`. `is_chain_lent` says of a status list
    that it has no chain, and that the one in `header` is its credential's.
    """

    issuer: str | None
    vct: str
    header: Header
    issued_at: datetime | None
    is_chain_lent: bool = False

    @property
    def key_id(self) -> str | None:
        """Give the `kid` that the token names, if any."""
        return optional_text_at(self.header, "kid", "credential.header")


@dataclass(frozen=True, slots=True)
class Ending:
    """Something that trust rests on, and when it runs out: renew it before."""

    what: str
    at: datetime


class Trust(Protocol):
    """Who may issue credentials of which type."""

    def key_for(self, asked: KeyAsked, *, now: datetime) -> PublicKey:
        """Give the key that must have signed, if its issuer may issue the type.

        Where `asked.issuer` is None, the issuer is the subject of the first certificate
        in `x5c`, and the key is given only if that subject is trusted.

        Raises `Refused` (`issuer-not-trusted`, `issuer-not-trusted-for-type`,
        `issuer-key-unknown`, `key-expired` and other codes of one way to trust) or
        `Unavailable` when the keys cannot be had.
        """
        ...

    def authorities_behind(self, asked: KeyAsked, *, now: datetime) -> Collection[Authority] | None:
        """Give the authorities that were proved to stand behind the issuer of this key.

        None where trust in that issuer rests on something else than certificates.
        Raises as `key_for` does.
        """
        ...

    def ends(self, now: datetime) -> Sequence[Ending]:
        """Give what of it runs out, soonest first; also what has run out already."""
        ...


@dataclass(frozen=True, slots=True)
class PinnedKey:
    """A key that signs from `not_before` on, and before `not_after`.

    A retired key stays, so that what it signed in its time stays verifiable. A stolen one
    goes: its thief writes whatever time he likes into a credential.
    """

    key: PublicKey
    not_before: datetime | None = None
    not_after: datetime | None = None

    def require_in_force(self, at: datetime) -> None:
        """Return only if the key may have signed at `at`."""
        expected, where = "a key that was in force at issuance", "credential.iat"
        if self.not_before is not None and at < self.not_before:
            raise Refused(Reason("key-not-yet-in-force", expected, "one from later on", where))
        if self.not_after is not None and at >= self.not_after:
            raise Refused(Reason("key-expired", expected, "one that had ended", where))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedIssuer:
    """An issuer, the types it may issue, and its keys as they were handed over.

    A plain key is in force always; a `PinnedKey` in its time, judged at issuance.
    """

    issuer: str
    vcts: frozenset[str]
    keys: tuple[PublicKey | PinnedKey, ...]


class PinnedTrust:
    """Trust in issuers whose keys are known beforehand; it needs no network."""

    def __init__(self, issuers: Iterable[TrustedIssuer]) -> None:
        trusted = {one.issuer: one for one in issuers}
        self._vcts = require_types({issuer: one.vcts for issuer, one in trusted.items()})
        self._keys = {
            issuer: {pinned.key.thumbprint(): pinned for pinned in map(_pinned, one.keys)}
            for issuer, one in trusted.items()
        }

    def key_for(self, asked: KeyAsked, *, now: datetime) -> PublicKey:
        issuer = required_issuer(asked, self._vcts)
        pinned = choose_key(self._keys[issuer], asked.key_id)
        pinned.require_in_force(asked.issued_at or now)
        return pinned.key

    def authorities_behind(self, asked: KeyAsked, *, now: datetime) -> None:
        """Give None: no certificate stands behind such an issuer."""

    def ends(self, now: datetime) -> Sequence[Ending]:
        """Give when each issuer's last key ends; one without an end needs no renewal."""
        last = {
            issuer: [pinned.not_after for pinned in keys.values()]
            for issuer, keys in self._keys.items()
        }
        return by_time(
            Ending(f"the last key of {issuer}", max(times))
            for issuer, found in last.items()
            if len(times := [one for one in found if one is not None]) == len(found) > 0
        )


class FetchedTrust:
    """Trust in named issuers whose keys come from their own `jwt-vc-issuer` document.

    See `trust_kept` for how long they are kept. SD-JWT VC, section 4.
    """

    def __init__(self, fetcher: Fetcher, issuers: Mapping[str, Collection[str]]) -> None:
        """Trust each issuer of `issuers` for the types beside it."""
        self._vcts = require_types(issuers)
        self._kept = Kept(
            "the issuer's keys", lambda issuer, _now: fetch_issuer_keys(fetcher, issuer)
        )

    def key_for(self, asked: KeyAsked, *, now: datetime) -> PublicKey:
        # Nothing is fetched for an issuer that nobody trusts: a stranger's
        # credential must not make the shop call an address of its choice.
        issuer = required_issuer(asked, self._vcts)
        return self._kept.find(issuer, lambda keys: choose_key(keys, asked.key_id), now=now)

    def authorities_behind(self, asked: KeyAsked, *, now: datetime) -> None:
        """Give None: no certificate stands behind such an issuer."""

    def ends(self, now: datetime) -> Sequence[Ending]:
        """Give when the keys of each silent issuer serve no more."""
        return by_time(
            Ending(f"the keys of {issuer}, which does not answer", at)
            for issuer, at in self._kept.silent()
        )


def require_types(issuers: Mapping[str, Collection[str]]) -> dict[str, frozenset[str]]:
    """Give each issuer's types; `Misuse` for a text in the place of several."""
    for issuer, vcts in issuers.items():
        if isinstance(vcts, str):
            raise Misuse(f"expected a collection of types, found one text ({issuer})")
    return {issuer: frozenset(vcts) for issuer, vcts in issuers.items()}


def required_issuer(asked: KeyAsked, vcts: Mapping[str, Collection[str]]) -> str:
    """Give the issuer if it may issue the type, by the types of each that is trusted."""
    if asked.issuer is None or asked.issuer not in vcts:
        raise not_trusted()
    if asked.vct not in vcts[asked.issuer]:
        raise not_trusted_for_type()
    return asked.issuer


def not_trusted() -> Refused:
    """Give the refusal of an issuer that nobody named."""
    expected = "an issuer that this shop trusts"
    return Refused(Reason("issuer-not-trusted", expected, "another", "credential.iss"))


def not_trusted_for_type() -> Refused:
    """Give the refusal of a type that its issuer may not issue."""
    expected, where = "a type that this issuer may issue", "credential.vct"
    return Refused(Reason("issuer-not-trusted-for-type", expected, "another type", where))


def choose_key(keys: Mapping[str, Key], key_id: str | None) -> Key:
    """Give the key that a token names; `NotAmongThem` with `issuer-key-unknown`."""
    key = issuer_key_named(keys, key_id)
    if key is None:
        found = "no key id" if key_id is None else "another key id"
        raise NotAmongThem(
            Reason("issuer-key-unknown", "one of the issuer's keys", found, "credential.kid")
        )
    return key


def by_time(endings: Iterable[Ending]) -> list[Ending]:
    """Give the endings, soonest first, and by name where they end together."""
    return sorted(endings, key=lambda ending: (ending.at, ending.what))


def _pinned(key: PublicKey | PinnedKey) -> PinnedKey:
    return key if isinstance(key, PinnedKey) else PinnedKey(key)
