"""On whom this wallet relies. What the app does not name is plainly not verified.

Verifiers are pinned by their full client id, or proved by certificates that lead to an
anchor; issuers are pinned by their URL; a trust list (`trust_list.py`) adds both.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from unicodedata import name as name_of_letter
from unicodedata import normalize

from counterfoil_credentials.claims import ClaimPath, covers
from counterfoil_credentials.client_ids import Client, ClientProof, ClientTrust
from counterfoil_credentials.did_resolution import Resolver
from counterfoil_credentials.dids import Did
from counterfoil_credentials.keys import PublicKey
from counterfoil_credentials.x509 import TrustAnchors

from counterfoil_wallet.issuer_trust import KnownIssuer, has_ended
from counterfoil_wallet.printable import printable


class Standing(StrEnum):
    """How well it is proved who asks."""

    UNPROVED = "an address; nobody signed this request"
    KEY_ONLY = "a key, not a verified name"
    DOMAIN = "a web address that publishes this key"
    CERTIFIED = "a name that an authority vouches for"
    KNOWN = "a key that this wallet knows"


_STANDINGS: Final = {
    ClientProof.NOTHING: Standing.UNPROVED,
    ClientProof.KEY: Standing.KEY_ONLY,
    ClientProof.DOMAIN: Standing.DOMAIN,
    ClientProof.CERTIFICATE: Standing.CERTIFIED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """A verifier that the app knows: its name, and what it registered that it asks for.

    `may_ask` lists claims by type; None says that nothing is known about that, and
    marks nothing. `purpose` is what it registered them for. From `ends_at` on it is
    not known any more.
    """

    name: str
    may_ask: Mapping[str, Collection[ClaimPath]] | None = None
    purpose: str | None = None
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks: the client id is proved as `standing` says.

    `claimed_name` is only what it says of itself; `proved_name` is a host, with the path
    where it has only that, or a subject that its proof holds. Both are made safe to show,
    as `printable` says; None when nothing is left of it. `known_as` is the name under
    which the app knows this client; None also where nobody signed, whatever it claims.
    `poses_as` is the name of somebody else, whom the app knows, when this one claims it.
    `key` is the one that signed.
    """

    client_id: str
    claimed_name: str | None
    known_as: str | None
    proved_name: str | None = None
    standing: Standing = Standing.KEY_ONLY
    registered: Verifier | None = field(default=None, repr=False)
    poses_as: str | None = None
    key: PublicKey | None = field(default=None, repr=False, compare=False)

    def may_ask(self, vct: str, path: ClaimPath) -> bool:
        """Say whether it registered that it asks for this claim; True where none is known."""
        if self.registered is None or self.registered.may_ask is None:
            return True
        allowed = self.registered.may_ask.get(vct, ())
        return any(len(one) <= len(path) and covers(one, path) for one in allowed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whom the app vouches for.

    `verifiers`: by full client id. `anchors`: for client ids with certificates.
    `issuers`: by URL. `custodians`: public origin to DID. `attestors`: who is believed
    when it says that it saw an erasure.
    """

    verifiers: Mapping[str, Verifier] = field(default_factory=lambda: MappingProxyType({}))
    anchors: TrustAnchors | None = None
    issuers: Mapping[str, KnownIssuer] = field(default_factory=lambda: MappingProxyType({}))
    custodians: Mapping[str, Did] = field(default_factory=lambda: MappingProxyType({}))
    attestors: Collection[Did] = ()

    def clients(self, resolver: Resolver | None, *, now: datetime) -> ClientTrust:
        """Give what client ids are proved with; `resolver` fetches the documents of DIDs."""
        known = frozenset(one for one in self.verifiers if self._known(one, now) is not None)
        return ClientTrust(anchors=self.anchors, known=known, resolver=resolver)

    def asker(self, client: Client, claimed_name: str | None, *, now: datetime) -> Asker:
        """Give who asks, as far as this wallet knows."""
        client_id = client.client_id.text
        registered = self._known(client_id, now)
        # Anybody can write a request that nobody signed, also in a known name.
        is_known = registered is not None and client.proof is not ClientProof.NOTHING
        return Asker(
            client_id=client_id,
            claimed_name=printable(claimed_name or "") or None,
            proved_name=printable(client.name or "") or None,
            known_as=self.name_of(client_id, now=now) if is_known else None,
            standing=Standing.KNOWN if is_known else _STANDINGS[client.proof],
            registered=registered,
            poses_as=None if is_known else self._claimed(claimed_name, now),
            key=client.key,
        )

    def name_of(self, client_id: str, *, now: datetime) -> str | None:
        """Give the name under which the app knows a client, or None."""
        registered = self._known(client_id, now)
        return None if registered is None else registered.name

    def _claimed(self, name: str | None, now: datetime) -> str | None:
        """Give the known verifier's name that `name` is, perhaps with a till behind it."""
        claimed = _alike(name or "")
        # "Corner Shop, till 3" is how a shop names the till before which the customer stands.
        claims = {claimed, claimed.partition(",")[0]}
        names = (one.name for one in self.verifiers.values() if not has_ended(one.ends_at, now))
        return next((known for known in names if _is_among(claims, _alike(known))), None)

    def _known(self, client_id: str, now: datetime) -> Verifier | None:
        verifier = self.verifiers.get(client_id)
        return None if verifier is None or has_ended(verifier.ends_at, now) else verifier


def _alike(name: str) -> str:
    """Give a name as it is compared: case, width and spaces do not count."""
    return printable(normalize("NFKC", name)).casefold()


def _is_among(claims: Collection[str], known: str) -> bool:
    meant = known.split()
    return any(
        len(words) == len(meant) and all(map(_is_read_as, words, meant))
        for words in (claimed.split() for claimed in claims)
    )


def _is_read_as(word: str, known: str) -> bool:
    """Say whether a word is `known`, or mixes in letters of another script in its place.

    Two scripts in one word are there to deceive (UTS 39, section 5). Python knows no table of
    look-alikes: whatever stands for a letter of another script is taken for its double.
    """
    if word == known or len(word) != len(known):
        return word == known
    pairs = [*zip(word, known, strict=True)]
    others = [(one, other) for one, other in pairs if one != other]
    return any(one == other and one.isalpha() for one, other in pairs) and all(
        one.isalpha() and other.isalpha() and _script(one) != _script(other)
        for one, other in others
    )


def _script(letter: str) -> str:
    """Give a letter's script as Unicode's names begin: `LATIN`, `CYRILLIC`, `CJK`."""
    return name_of_letter(letter, "").partition(" ")[0]
