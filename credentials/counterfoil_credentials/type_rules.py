"""The rules of a type, judged over a credential (SD-JWT VC, section 5.6).

The rules speak of the credential as it was issued, so it is read as such: a
withheld element of a list keeps its place, and a withheld member may be any.
"""

from dataclasses import dataclass, field
from typing import Final

from counterfoil_credentials.claims import ClaimPath, Steps, path_text
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_list,
    as_text,
    from_b64url,
    parse_json,
)
from counterfoil_credentials.errors import Reason, Refused
from counterfoil_credentials.sdjwt import RESERVED, SdJwt, digest, reveal, unverified_payload
from counterfoil_credentials.spec import ELLIPSIS, SD
from counterfoil_credentials.type_metadata import ClaimMetadata, Concealment, TypeMetadata

_WHERE: Final = "credential"


def check_issued(metadata: TypeMetadata, sd_jwt: SdJwt) -> None:
    """Return only if `sd_jwt`, with all its disclosures, keeps the rules of its type.

    For the holder, who received it whole: a claim that is not there was not issued.

    Raises `Refused`: `type-mismatch` (`metadata` is of another type), or else every
    reason of `claim-missing` (a mandatory one), `claim-concealed` (`sd` says never),
    `claim-not-concealed` (`sd` says always), `claim-path-mismatch` (a path meets a
    value of another kind). `metadata` is what `resolve_type` gave. The credential's
    signature is the caller's to check.
    """
    _check(metadata, sd_jwt, is_whole=True)


def check_presented(metadata: TypeMetadata, sd_jwt: SdJwt) -> None:
    """Return only if nothing in `sd_jwt` shows that it breaks the rules of its type.

    For the verifier, to whom claims may have been withheld: a mandatory claim is
    missing only where it cannot be among those. Raises like `check_issued`.
    """
    _check(metadata, sd_jwt, is_whole=False)


def _check(metadata: TypeMetadata, sd_jwt: SdJwt, *, is_whole: bool) -> None:
    payload = unverified_payload(sd_jwt, _WHERE)
    # A type is never concealed (section 2.2.2.3), and the rules of another say nothing.
    if payload.get("vct") != metadata.vct:
        text = "a credential of this type"
        raise Refused(Reason("type-mismatch", text, "another type, or none", f"{_WHERE}.vct"))
    issued = _Issued(payload, sd_jwt, is_whole=is_whole)
    reasons = [reason for claim in metadata.claims for reason in _reasons(claim, issued)]
    if reasons:
        raise Refused(*reasons)


def _reasons(claim: ClaimMetadata, issued: "_Issued") -> list[Reason]:
    where = f"{_WHERE}.{path_text(claim.path)}"
    try:
        above, selected = issued.select(claim.path[:-1]), issued.select(claim.path)
    except _OtherKind as mismatch:
        text = "a value that the type's path fits"
        return [Reason("claim-path-mismatch", text, mismatch.found, where)]
    reasons: list[Reason] = []
    # A claim that is never concealed and is not there is missing even if others are withheld.
    never = claim.concealment is Concealment.NEVER
    is_above = not above.may_lack and not any(place.is_withheld for place in above.places)
    is_known = not selected.may_lack or (never and is_above)
    if claim.mandatory and not selected.places and is_known:
        reasons.append(Reason("claim-missing", "a mandatory claim", "none", where))
    if never and any(place.is_concealed for place in selected.places):
        text = "a claim that is never concealed"
        reasons.append(Reason("claim-concealed", text, "a concealed one", where))
    always = claim.concealment is Concealment.ALWAYS
    if always and not all(place.is_concealed for place in selected.places):
        text = "a claim that is always concealed"
        reasons.append(Reason("claim-not-concealed", text, "an open one", where))
    return reasons


class _OtherKind(Exception):  # never leaves this module
    """A step of a path met a value of another kind (section 5.6.1.2)."""

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found


@dataclass(frozen=True, slots=True)
class _Place:
    """A value in the credential; that of a withheld element of a list is not known."""

    value: Json = field(repr=False)
    is_concealed: bool
    is_withheld: bool = False


@dataclass(frozen=True, slots=True)
class _Selection:
    """What a path selects. `may_lack`: more of it may have been withheld."""

    places: list[_Place]
    may_lack: bool


@dataclass(frozen=True, slots=True)
class _Members:
    """An object's members, concealed ones among them."""

    places: dict[str, _Place]
    may_lack: bool


class _Issued:
    """A credential's claims as they were issued."""

    def __init__(self, payload: JsonObject, sd_jwt: SdJwt, *, is_whole: bool) -> None:
        # After this, every digest and every disclosure is known to be well formed.
        reveal(payload, sd_jwt.disclosures, _WHERE)
        self._contents = {digest(text): _contents(text) for text in sd_jwt.disclosures}
        self._is_whole = is_whole
        self._members: dict[int, _Members] = {}
        root = _Selection([_Place(payload, is_concealed=False)], may_lack=False)
        self._selections: dict[ClaimPath, _Selection] = {(): root}
        self._steps = Steps(_WHERE)

    def select(self, path: ClaimPath) -> _Selection:
        """Give what `path` selects; each part of a path is walked once for all paths."""
        selection = self._selections[()]
        for i, step in enumerate(path, start=1):
            known = self._selections.get(path[:i])
            if known is None:
                known = self._selections[path[:i]] = self._step(selection, step)
            selection = known
        return selection

    def _step(self, selection: _Selection, step: str | int | None) -> _Selection:
        places: list[_Place] = []
        may_lack = selection.may_lack
        for place in selection.places:
            value = place.value
            if place.is_withheld:
                may_lack = True
            elif isinstance(step, str):
                members = self._members_of(value)
                found = members.places.get(step)
                places.extend([] if found is None else [found])
                may_lack = may_lack or (found is None and members.may_lack)
            elif isinstance(value, list):
                elements = value if step is None else value[step : step + 1]
                places.extend(filter(None, map(self._element, elements)))
            else:
                raise _OtherKind("no list")
        self._steps.take(len(selection.places) + len(places))
        return _Selection(places, may_lack)

    def _members_of(self, value: Json) -> _Members:
        if not isinstance(value, dict):
            raise _OtherKind("no object")
        known = self._members.get(id(value))
        if known is None:
            known = self._members[id(value)] = self._read_members(value)
        return known

    def _read_members(self, value: JsonObject) -> _Members:
        places = {
            name: _Place(member, is_concealed=False)
            for name, member in value.items()
            if name not in RESERVED
        }
        digests = as_list(value.get(SD, []), _WHERE)
        disclosed = [
            contents
            for found in digests
            if (contents := self._contents.get(as_text(found, _WHERE)))
        ]
        for contents in disclosed:
            places[as_text(contents[1], _WHERE)] = _Place(contents[-1], is_concealed=True)
        return _Members(places, not self._is_whole and len(disclosed) < len(digests))

    def _element(self, value: Json) -> _Place | None:
        if not isinstance(value, dict) or ELLIPSIS not in value:
            return _Place(value, is_concealed=False)
        contents = self._contents.get(as_text(value[ELLIPSIS], _WHERE))
        if contents is not None:
            return _Place(contents[-1], is_concealed=True)
        # Where nothing is withheld, a digest without a disclosure is a decoy.
        return None if self._is_whole else _Place(None, is_concealed=True, is_withheld=True)


def _contents(disclosure: str) -> list[Json]:
    return as_list(parse_json(from_b64url(disclosure, _WHERE), _WHERE), _WHERE)
