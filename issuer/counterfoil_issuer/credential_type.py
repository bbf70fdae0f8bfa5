"""One kind of credential a brand issues, read from its JSON file.

    {"name": "warranty", "vct": "{issuer}/types/warranty",
     "display": [...], "claims": [...],        as in SD-JWT VC type metadata, section 5
     "schema": {...},                          the claims: see closed_schema.py
     "decoys_to": 1, "validity": {"days": 365, "after": ["valid_until"]},
     "status": "suspendable", "deferred": false, "batch_size": 10, "pinned": false,
     "proof_types": {"jwt": {"proof_signing_alg_values_supported": ["ES256"]}},
     "binds": ["jwk"], "sample": {...}}

A claim's `term` is its name in a public vocabulary. `sd` is `always` for what the
holder may withhold, and `never`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache, partial
from typing import Final

from counterfoil_credentials.claims import ClaimPath, parse_path, path_text, values_at
from counterfoil_credentials.concealment import conceal
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_object,
    compact_json,
    int_at,
    list_at,
    object_at,
    text_at,
    texts_at,
)
from counterfoil_credentials.errors import Malformed, Misuse
from counterfoil_credentials.keys import Algorithm
from counterfoil_credentials.type_metadata import (
    ClaimMetadata,
    Concealment,
    TypeDisplay,
    TypeMetadata,
    parse_type_metadata,
)

from counterfoil_issuer.closed_schema import ClosedSchema, MalformedClaims, Place, parse_schema
from counterfoil_issuer.faults import Faults
from counterfoil_issuer.products import LANGUAGES
from counterfoil_issuer.spec import ATTESTATION_PROOF_TYPE, JWT_PROOF_TYPE

MAX_BATCH: Final = 100
MAX_DECOYS_TO: Final = 64
MAX_DAYS: Final = 36_500
MAX_CLAIMS: Final = 200
ISSUER_PLACE: Final = "{issuer}"
JWK: Final = "jwk"
_BINDS: Final = (JWK, "did:jwk", "did:key")
_MIDNIGHT: Final = time()
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}\Z")
_VCT: Final = re.compile(r"(?:\{issuer\}/|https://|urn:)[!-z|~]{1,1000}\Z")
_TERM: Final = re.compile(r"[!-~]{1,300}\Z")
_LEVEL: Final = re.compile(r"[!-~]{1,200}\Z")
_PROOF_TYPES: Final = (JWT_PROOF_TYPE, ATTESTATION_PROOF_TYPE)
_ALGORITHMS: Final = "proof_signing_alg_values_supported"
_ATTESTED: Final = "key_attestations_required"
_NEEDED: Final = ("display", "claims", "validity")
MEMBERS: Final = (
    "name",
    "vct",
    *_NEEDED,
    "schema",
    "sample",
    "decoys_to",
    "status",
    "deferred",
    "batch_size",
    "pinned",
    "proof_types",
    "binds",
)
_SHOWN: Final = ("locale", "name", "description", "rendering")
_CLAIM: Final = ("path", "sd", "display", "svg_id", "term")


class StatusUse(StrEnum):
    """Whether a credential can be taken back, and whether also for a while."""

    NONE = "no"
    REVOCABLE = "yes"
    SUSPENDABLE = "suspendable"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimDescription:
    """One claim of a credential type: where it stands, whether it is concealed, its names.

    `mandatory`: every credential of the type has it. `term` names it in a vocabulary.
    """

    path: ClaimPath
    concealed: bool
    mandatory: bool
    names: Mapping[str, str]
    display: tuple[JsonObject, ...] = field(repr=False)
    term: str | None
    svg_id: str | None


@dataclass(frozen=True, slots=True)
class Validity:
    """How long a credential lasts: `days` from its issue, or from the day in the claim `after`."""

    days: int
    after: ClaimPath | None = None

    def ends_at(self, claims: JsonObject, now: datetime) -> datetime:
        """Give when it expires: a midnight, so that its time tells two customers not apart.

        The day in a claim counts whole. OpenID4VCI 1.0, section 15.4.1.
        """
        if self.after is not None:
            return _midnight_after(str(values_at(claims, self.after)[0])[:10], self.days)
        begin = datetime.combine(now.astimezone(UTC).date(), _MIDNIGHT, UTC)
        return begin + timedelta(self.days)


# Credentials of one day mostly end on one day.
@lru_cache(maxsize=64)
def _midnight_after(day: str, days: int) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days + 1)


@dataclass(frozen=True, slots=True)
class KeyProtection:
    """How well a wallet's keys must be kept (OpenID4VCI 1.0, section 12.2.4); none: anyhow."""

    key_storage: tuple[str, ...] = ()
    user_authentication: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AcceptedProof:
    """Which proofs of one kind are taken. With `attested`, a key attestation must come along."""

    algorithms: frozenset[Algorithm]
    attested: KeyProtection | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialType:
    """A kind of credential. `name` is its configuration id, and its scope.

    `concealed` are the claims that a holder may withhold. `deferred`: it is issued
    only once staff has approved it. `pinned`: each credential carries the hash of
    its type's document, which must then never change. `proofs` are the proofs of a
    key that are taken, by their type, and `binds` how a proof may name its key.
    """

    name: str
    vct: str
    display: tuple[JsonObject, ...] = field(repr=False)
    shown: tuple[TypeDisplay, ...] = field(repr=False)
    claims: tuple[ClaimDescription, ...]
    concealed: tuple[ClaimPath, ...]
    schema: ClosedSchema = field(repr=False)
    decoys_to: int
    validity: Validity
    status: StatusUse
    deferred: bool
    batch_size: int
    pinned: bool
    proofs: Mapping[str, AcceptedProof]
    binds: tuple[str, ...]
    sample: JsonObject = field(repr=False)

    @property
    def names(self) -> Mapping[str, str]:
        """Give what the type is called, by language."""
        return {shown.locale: shown.name for shown in self.shown}

    @property
    def descriptions(self) -> Mapping[str, str]:
        """Give what the type is for, by language."""
        return {shown.locale: shown.description or "" for shown in self.shown}

    def vct_of(self, issuer: str) -> str:
        """Give the type's identifier as `issuer` issues it."""
        return self.vct.replace(ISSUER_PLACE, issuer, 1)

    def check_claims(self, claims: JsonObject) -> None:
        """Return only if a credential of this type may say `claims`.

        Raises `MalformedClaims`, which is `Malformed` with every path that is wrong.
        """
        self.schema.check(claims)


def parse_type(document: Json, faults: Faults) -> CredentialType | None:
    """Give the type in a JSON file, or None; each thing that is wrong is in `faults` then."""
    before = faults.count
    obj = faults.attempt(lambda: as_object(document, "type"))
    if obj is None:
        return None
    name = faults.attempt(lambda: _matching(obj, "name", _NAME))
    faults.type_name = name
    faults.only(obj, MEMBERS, "")
    for missing in [member for member in _NEEDED if member not in obj]:
        faults.add(missing, "a value", "nothing")
    vct = faults.attempt(lambda: _matching(obj, "vct", _VCT))
    shown = _displays(obj, faults)
    schema = faults.attempt(lambda: object_at(obj, "schema", ""))
    closed = parse_schema(schema, faults, "schema") if schema is not None else None
    claims = _claims(obj, closed, faults)
    validity = _validity(obj, closed, faults)
    decoys_to = _whole(obj, "decoys_to", MAX_DECOYS_TO, faults)
    batch_size = _whole(obj, "batch_size", MAX_BATCH, faults)
    deferred = _flag(obj, "deferred", faults)
    pinned = _flag(obj, "pinned", faults)
    status = faults.attempt(lambda: _status(obj))
    proofs = _proofs(obj, faults)
    binds = faults.attempt(lambda: _binds(obj))
    sample = faults.attempt(lambda: object_at(obj, "sample", ""))
    concealed = tuple(claim.path for claim in claims if claim.concealed)
    if closed is not None and sample is not None:
        _check_sample(sample, closed, concealed, decoys_to, faults)
    if (
        faults.count > before
        or name is None
        or vct is None
        or closed is None
        or validity is None
        or status is None
        or sample is None
    ):
        return None
    return CredentialType(
        name=name,
        vct=vct,
        display=tuple(raw for raw, _ in shown),
        shown=tuple(parsed for _, parsed in shown),
        claims=tuple(claims),
        concealed=concealed,
        schema=closed,
        decoys_to=decoys_to,
        validity=validity,
        status=status,
        deferred=deferred,
        batch_size=batch_size,
        pinned=pinned,
        proofs=proofs,
        binds=binds or (JWK,),
        sample=sample,
    )


def _displays(obj: JsonObject, faults: Faults) -> list[tuple[JsonObject, TypeDisplay]]:
    found: list[tuple[JsonObject, TypeDisplay]] = []
    for i, value in enumerate(_listed(obj, "display", 50, faults)):
        where = f"display[{i}]"
        if isinstance(value, dict):
            faults.only(value, _SHOWN, f"{where}.")
        read = _read_as_metadata({"display": [value]}, "display[0]", where, faults)
        if read is not None and isinstance(value, dict):
            found += [(value, shown) for shown in read.display or ()]
    if "display" in obj:
        _require_languages([shown.locale for _, shown in found], "display", faults)
    for i, (_, shown) in enumerate(found):
        if not shown.description:
            faults.add(f"display[{i}].description", "a description", "nothing")
    return found


def _claims(obj: JsonObject, schema: ClosedSchema | None, faults: Faults) -> list[ClaimDescription]:
    found: list[ClaimDescription] = []
    for i, value in enumerate(_listed(obj, "claims", MAX_CLAIMS, faults)):
        where = f"claims[{i}]"
        if not isinstance(value, dict):
            faults.add(where, "an object", "another kind")
            continue
        faults.only(value, _CLAIM, f"{where}.")
        read = _read_as_metadata({"claims": [value]}, "claims[0]", where, faults)
        if read is None:
            continue
        (claim,) = read.claims
        term = value.get("term")
        if term is not None and not (isinstance(term, str) and _TERM.match(term)):
            faults.add(f"{where}.term", "a term of a vocabulary", "another value")
        place = schema.at(claim.path) if schema is not None else None
        if schema is not None and (place is None or any(type(s) is int for s in claim.path)):
            faults.add(f"{where}.path", "a path to claims of the schema", path_text(claim.path))
        if claim.path in [known.path for known in found]:
            faults.add(f"{where}.path", "each path once", path_text(claim.path))
        if claim.concealment not in (Concealment.ALWAYS, Concealment.NEVER):
            faults.add(f"{where}.sd", "always or never", "another value, or nothing")
        labels = [label.locale for label in claim.display or ()]
        _require_languages(labels, f"{where}.display", faults)
        found.append(_description(value, claim, place, term))
    described = {claim.path for claim in found}
    for leaf in schema.leaves if schema is not None else ():
        if not any(leaf[: n + 1] in described for n in range(len(leaf))):
            faults.add("claims", f"a description of {path_text(leaf)}", "none")
    return found


def _description(
    value: JsonObject, claim: ClaimMetadata, place: Place | None, term: Json
) -> ClaimDescription:
    shown = value.get("display")
    return ClaimDescription(
        path=claim.path,
        concealed=claim.concealment is Concealment.ALWAYS,
        mandatory=place is not None and place.mandatory,
        names={label.locale: label.label for label in claim.display or ()},
        display=tuple(each for each in shown if isinstance(each, dict))
        if isinstance(shown, list)
        else (),
        term=term if isinstance(term, str) else None,
        svg_id=claim.svg_id,
    )


def _read_as_metadata(
    part: JsonObject, there: str, here: str, faults: Faults
) -> TypeMetadata | None:
    try:
        return parse_type_metadata(compact_json({"vct": "vct", **part}))
    except Malformed as error:
        place = error.where.removeprefix("type.").replace(there, here, 1)
        faults.add(place, error.expected, error.found)
        return None


def _validity(obj: JsonObject, schema: ClosedSchema | None, faults: Faults) -> Validity | None:
    def read() -> Validity:
        validity = object_at(obj, "validity", "")
        faults.only(validity, ("days", "after"), "validity.")
        days = int_at(validity, "days", "validity")
        if not 1 <= days <= MAX_DAYS:
            raise Malformed(f"1 to {MAX_DAYS} days", f"{days}", "validity.days")
        if "after" not in validity:
            return Validity(days)
        after = parse_path(list_at(validity, "after", "validity"), "validity.after")
        place = schema.at(after) if schema is not None else None
        is_day = place is not None and place.schema.get("format") in ("date", "date-time")
        if schema is not None and not (place and place.mandatory and is_day and None not in after):
            raise Malformed("a mandatory claim that is a date", path_text(after), "validity.after")
        return Validity(days, after)

    return faults.attempt(read) if "validity" in obj else None


def _proofs(obj: JsonObject, faults: Faults) -> dict[str, AcceptedProof]:
    if "proof_types" not in obj:
        return {JWT_PROOF_TYPE: AcceptedProof(frozenset({Algorithm.ES256}))}
    types = faults.attempt(lambda: object_at(obj, "proof_types", "")) or {}
    faults.only(types, _PROOF_TYPES, "proof_types.")
    if not types:
        faults.add("proof_types", "at least one type of proof", "none")
    found = {
        name: faults.attempt(partial(_accepted, types, name, faults))
        for name in types
        if name in _PROOF_TYPES
    }
    return {name: policy for name, policy in found.items() if policy is not None}


def _accepted(types: JsonObject, name: str, faults: Faults) -> AcceptedProof:
    where = f"proof_types.{name}"
    policy = object_at(types, name, "proof_types")
    faults.only(policy, (_ALGORITHMS, _ATTESTED), f"{where}.")
    algorithms = texts_at(policy, _ALGORITHMS, where)
    if not algorithms or not set(algorithms) <= set(Algorithm):
        expected = "one or more of " + ", ".join(Algorithm)
        raise Malformed(expected, "none, or another", f"{where}.{_ALGORITHMS}")
    attested = None
    if _ATTESTED in policy:
        place = f"{where}.{_ATTESTED}"
        levels = object_at(policy, _ATTESTED, where)
        faults.only(levels, ("key_storage", "user_authentication"), f"{place}.")
        attested = KeyProtection(
            key_storage=_levels(levels, "key_storage", place),
            user_authentication=_levels(levels, "user_authentication", place),
        )
    elif name == ATTESTATION_PROOF_TYPE:
        # Section 12.2.4: the proof is itself an attestation, and needs to say how good a one.
        attested = KeyProtection()
    return AcceptedProof(frozenset(map(Algorithm, algorithms)), attested)


def _levels(obj: JsonObject, name: str, where: str) -> tuple[str, ...]:
    if name not in obj:
        return ()
    levels = texts_at(obj, name, where)
    if not 1 <= len(levels) <= 20 or not all(map(_LEVEL.match, levels)):
        raise Malformed("1 to 20 levels such as iso_18045_high", "others", f"{where}.{name}")
    return tuple(levels)


def _check_sample(
    sample: JsonObject,
    schema: ClosedSchema,
    concealed: tuple[ClaimPath, ...],
    decoys_to: int,
    faults: Faults,
) -> None:
    try:
        schema.check(sample)
        conceal(sample, concealed, random=bytes, decoys_to=decoys_to)
    except MalformedClaims as error:
        for fault in error.faults:
            where = f"sample.{path_text(fault.path)}"
            faults.add(where, fault.expected, fault.found)
    except Misuse:
        faults.add("claims", "a disclosure frame that fits the sample", "another")


def _binds(obj: JsonObject) -> tuple[str, ...]:
    binds = texts_at(obj, "binds", "") if "binds" in obj else [JWK]
    if not binds or not set(binds) <= set(_BINDS) or len(set(binds)) < len(binds):
        raise Malformed("one or more of " + ", ".join(_BINDS), "none, or another", "binds")
    return tuple(binds)


def _status(obj: JsonObject) -> StatusUse:
    name = text_at(obj, "status", "") if "status" in obj else StatusUse.REVOCABLE
    if name not in set(StatusUse):
        raise Malformed("one of " + ", ".join(StatusUse), "another text", "status")
    return StatusUse(name)


def _require_languages(locales: list[str], where: str, faults: Faults) -> None:
    for language in LANGUAGES:
        if language not in locales:
            faults.add(where, f'a text for the locale "{language}"', "none")
    if len(set(map(str.lower, locales))) < len(locales):
        faults.add(where, "each locale once", "one twice")


def _listed(obj: JsonObject, name: str, most: int, faults: Faults) -> list[Json]:
    if name not in obj:
        return []
    listed = faults.attempt(lambda: list_at(obj, name, "")) or []
    if len(listed) > most:
        faults.add(name, f"at most {most}", f"{len(listed)}")
    return listed[:most]


def _whole(obj: JsonObject, name: str, most: int, faults: Faults) -> int:
    def read() -> int:
        number = int_at(obj, name, "")
        if not 1 <= number <= most:
            raise Malformed(f"1 to {most}", f"{number}", name)
        return number

    return 1 if name not in obj else faults.attempt(read) or 1


def _flag(obj: JsonObject, name: str, faults: Faults) -> bool:
    value = obj.get(name, False)
    if not isinstance(value, bool):
        faults.add(name, "true or false", "another value")
    return value is True


def _matching(obj: Mapping[str, Json], name: str, pattern: re.Pattern[str]) -> str:
    text = text_at(obj, name, "")
    if not pattern.match(text):
        raise Malformed(f"a text like {pattern.pattern[:-2]}", "another", name)
    return text
