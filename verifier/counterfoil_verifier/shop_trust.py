"""Whom a shop trusts, and how its settings say so: `keys`, `anchors` and `trust_lists`.

    "trusts":      {"https://audio.example": {"warranty": ["https://audio.example/types/warranty"]}}
    "keys":        {"https://audio.example": [{"jwk": {…}, "not_after": "2027-01-01T00:00:00Z"}]}
    "anchors":     {"https://chairs.example": "chairs-anchors.pem"}
    "trust_lists": [{"url": "https://trade.example/list", "jwk": {…},
                     "presets": {"member": ["https://chairs.example/types/membership"]}}]

An issuer of `trusts` is known in one way: by the keys that stand here, by certificates
that lead to the anchors in a file of the folder, or else by what it publishes (its
metadata, or the document of its DID). Whoever issues by a certificate alone, without an
`iss`, stands there with the subject of that certificate (`"CN=Chairs,C=DE"`). Whom a
signed list names is asked after those; `presets` says which types count for which
question there too.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from counterfoil_credentials.dcql import Authority
from counterfoil_credentials.did_methods import resolver
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_object,
    list_at,
    object_at,
    optional_text_at,
    text_at,
    texts_at,
)
from counterfoil_credentials.errors import CounterfoilError, Malformed, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.key_discovery import CertifiedIssuers
from counterfoil_credentials.keys import PublicKey
from counterfoil_credentials.trust_list import read_trust_list
from counterfoil_credentials.x509 import TrustAnchors, first_subject

from counterfoil_verifier.members import require_only
from counterfoil_verifier.policy import AnsweredBy
from counterfoil_verifier.trust import (
    Ending,
    FetchedTrust,
    KeyAsked,
    PinnedKey,
    PinnedTrust,
    Trust,
    TrustedIssuer,
    by_time,
    not_trusted,
)
from counterfoil_verifier.trust_certified import CertificateTrust
from counterfoil_verifier.trust_dids import DidTrust
from counterfoil_verifier.trust_listed import ListedTrust, fetched_list
from counterfoil_verifier.trust_several import FirstTrust

_MOST: Final = 100
_MAX_PEM_BYTES: Final = 262_144
# The first attribute's type, by its name or number; what a URL and a DID begin with is none.
_SUBJECT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*=")
Types = Mapping[str, tuple[str, ...]]
"""The types that answer a preset, by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFile:
    """A signed trust list: where it stands, who signs it, and what its types answer."""

    url: str
    signed_by: PublicKey
    presets: Types


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustSettings:
    """Whom the settings trust. `anchors` are names of files in the folder."""

    trusts: Mapping[str, Types]
    keys: Mapping[str, tuple[PinnedKey, ...]]
    anchors: Mapping[str, str]
    lists: tuple[ListFile, ...]

    def vcts_for(self, preset: str) -> tuple[str, ...]:
        """Give the types that answer a preset, each once."""
        several = [*self.trusts.values(), *(one.presets for one in self.lists)]
        return tuple(dict.fromkeys(vct for types in several for vct in types.get(preset, ())))

    def answers(self, preset: str) -> AnsweredBy:
        """Give which issuer may answer a preset with which types."""
        named = {issuer: types.get(preset, ()) for issuer, types in self.trusts.items()}
        listed = frozenset(vct for one in self.lists for vct in one.presets.get(preset, ()))
        return AnsweredBy(named=named, others=listed)

    def presets(self) -> dict[str, str]:
        """Give each preset that is named, with who is trusted for it."""
        named = [(issuer, types) for issuer, types in self.trusts.items()]
        named += [(one.url, one.presets) for one in self.lists]
        return {preset: who for who, types in named for preset in types}


def parse_trust(document: JsonObject, where: str) -> TrustSettings:
    """Give whom `document` trusts, or raise `Malformed`; its `trusts` must be there."""
    trusts = object_at(document, "trusts", where)
    found = TrustSettings(
        trusts={issuer: types_at(trusts, issuer, f"{where}.trusts") for issuer in trusts},
        keys=_keys(document, where),
        anchors=_anchors(document, where),
        lists=_lists(document, where),
    )
    for name, known in (("keys", found.keys), ("anchors", found.anchors)):
        for issuer in known:
            if issuer not in found.trusts or (name == "keys" and issuer in found.anchors):
                raise Malformed("an issuer of trusts, in one way", "another", f"{where}.{name}")
    return found


def trust_of(settings: TrustSettings, fetcher: Fetcher, folder: Path) -> Trust:
    """Give the trust that decides; raises `Malformed` for a file that holds no anchors."""
    vcts = {
        issuer: frozenset(vct for each in types.values() for vct in each)
        for issuer, types in settings.trusts.items()
    }
    pinned = PinnedTrust(
        TrustedIssuer(issuer=issuer, vcts=vcts[issuer], keys=keys)
        for issuer, keys in settings.keys.items()
    )
    known = {*settings.keys, *settings.anchors}
    dids = {one: theirs for one, theirs in vcts.items() if one.startswith("did:")}
    published = {one: theirs for one, theirs in vcts.items() if one not in {*known, *dids}}
    ways: dict[str, Trust] = dict.fromkeys(settings.keys, pinned)
    for issuer, name in settings.anchors.items():
        ways[issuer] = _certified(issuer, vcts[issuer], folder / name)
    ways |= dict.fromkeys(dids.keys() - known, DidTrust(resolver(fetcher), dids))
    ways |= dict.fromkeys(published, FetchedTrust(fetcher, published))
    lists = [
        ListedTrust(
            fetched_list(fetcher, one.url),
            signed_by=one.signed_by,
            fetcher=fetcher,
            # Who vouches for members must not make a member a brand of something else.
            vcts={vct for types in one.presets.values() for vct in types},
        )
        for one in settings.lists
    ]
    return FirstTrust(_EachItsWay(ways), *lists)


class _EachItsWay:
    """Trust in each issuer by its one way: no other is tried when that says no."""

    def __init__(self, ways: Mapping[str, Trust]) -> None:
        self._ways = ways

    def key_for(self, asked: KeyAsked, *, now: datetime) -> PublicKey:
        return self._way(asked).key_for(asked, now=now)

    def authorities_behind(self, asked: KeyAsked, *, now: datetime) -> Collection[Authority] | None:
        return self._way(asked).authorities_behind(asked, now=now)

    def _way(self, asked: KeyAsked) -> Trust:
        name = asked.issuer
        if name is None and "x5c" in asked.header:
            name = first_subject(asked.header)
        way = None if name is None else self._ways.get(name)
        if way is None:
            raise not_trusted()
        return way

    def ends(self, now: datetime) -> Sequence[Ending]:
        each = {id(way): way for way in self._ways.values()}
        return by_time({ending for way in each.values() for ending in way.ends(now)})


def ends_of_lists(
    lists: Sequence[ListFile], fetcher: Fetcher, now: datetime
) -> tuple[list[Ending], list[CounterfoilError]]:
    """Read each list; give when it ends, and why the others could not be had."""
    ends: list[Ending] = []
    failures: list[CounterfoilError] = []
    for one in lists:
        try:
            found = read_trust_list(
                fetched_list(fetcher, one.url)(), signed_by=one.signed_by, now=now
            )
        except (Malformed, Refused, Unavailable) as failure:
            failures.append(failure)
        else:
            ends.append(Ending(f"the trust list {found.name}", found.ends_at))
    return by_time(ends), failures


def types_at(obj: JsonObject, name: str, where: str) -> dict[str, tuple[str, ...]]:
    """Give the types by preset in the member `name`."""
    types, place = object_at(obj, name, where), f"{where}.{name}"
    return {preset: tuple(texts_at(types, preset, place)) for preset in types}


def _keys(document: JsonObject, where: str) -> dict[str, tuple[PinnedKey, ...]]:
    if "keys" not in document:
        return {}
    keys, place = object_at(document, "keys", where), f"{where}.keys"
    return {
        issuer: tuple(
            _pinned(as_object(one, f"{place}.{issuer}[{i}]"), f"{place}.{issuer}[{i}]")
            for i, one in enumerate(_few(list_at(keys, issuer, place), f"{place}.{issuer}"))
        )
        for issuer in keys
    }


def _pinned(one: JsonObject, where: str) -> PinnedKey:
    require_only(one, ("jwk", "not_before", "not_after"), where)
    return PinnedKey(
        PublicKey.from_jwk(object_at(one, "jwk", where), f"{where}.jwk"),
        not_before=_instant(one, "not_before", where),
        not_after=_instant(one, "not_after", where),
    )


def _anchors(document: JsonObject, where: str) -> dict[str, str]:
    if "anchors" not in document:
        return {}
    anchors, place = object_at(document, "anchors", where), f"{where}.anchors"
    return {issuer: file_name_at(anchors, issuer, place) for issuer in anchors}


def _lists(document: JsonObject, where: str) -> tuple[ListFile, ...]:
    if "trust_lists" not in document:
        return ()
    place = f"{where}.trust_lists"
    found: list[ListFile] = []
    for i, value in enumerate(_few(list_at(document, "trust_lists", where), place)):
        here = f"{place}[{i}]"
        one = as_object(value, here)
        require_only(one, ("url", "jwk", "presets"), here)
        url = text_at(one, "url", here)
        if not url.startswith("https://"):
            raise Malformed("an https URL", "another", f"{here}.url")
        key = PublicKey.from_jwk(object_at(one, "jwk", here), f"{here}.jwk")
        found.append(ListFile(url=url, signed_by=key, presets=types_at(one, "presets", here)))
    return tuple(found)


def _certified(issuer: str, vcts: frozenset[str], file: Path) -> CertificateTrust:
    anchors = anchors_in(file)
    issuers = (
        CertifiedIssuers(anchors=anchors, urls=(), subjects={issuer})
        if is_subject(issuer)
        else CertifiedIssuers(anchors=anchors, urls={issuer}, subjects=())
    )
    return CertificateTrust(dict.fromkeys(vcts, issuers))


def is_subject(issuer: str) -> bool:
    """Say whether an issuer is named by its certificate's subject (RFC 4514)."""
    return _SUBJECT.match(issuer) is not None


def anchors_in(file: Path) -> TrustAnchors:
    """Give the certificates in a PEM file, or raise `Malformed`."""
    if not file.is_file():
        raise Malformed("a file of certificates in PEM", "none", file.name)
    if file.stat().st_size > _MAX_PEM_BYTES:
        raise Malformed(f"at most {_MAX_PEM_BYTES} bytes", "more", file.name)
    return TrustAnchors.from_pem(file.read_bytes())


def file_name_at(obj: JsonObject, name: str, where: str) -> str:
    """Give the name of a file in the folder, and in no other."""
    file = text_at(obj, name, where)
    if not file or Path(file).name != file or file == "..":
        raise Malformed("the name of a file in the folder", "another", f"{where}.{name}")
    return file


def _instant(one: JsonObject, name: str, where: str) -> datetime | None:
    text = optional_text_at(one, name, where)
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise Malformed("a time like 2027-01-01T00:00:00Z", "another text", f"{where}.{name}")
    return instant


def _few(values: Sequence[Json], where: str) -> Sequence[Json]:
    if not 1 <= len(values) <= _MOST:
        raise Malformed(f"1 to {_MOST}", f"{len(values)}", where)
    return values
