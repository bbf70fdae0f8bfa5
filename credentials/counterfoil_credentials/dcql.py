"""DCQL: what a verifier asks for (OpenID4VP 1.0, section 6).

    DcqlQuery ─► CredentialQuery ─► ClaimQuery       what is asked for
        └──────► CredentialSet                       which of it, together, answers

The query as values, and its parser. What answers it is decided in `dcql_match.py`.

Members that the standard does not define are ignored, as section 6 demands. What
it constrains is checked for every format that it knows, ours or not: a wallet
may answer the part of a query that it understands.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

from counterfoil_credentials.claims import ClaimPath, Steps, parse_path, values_at
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_list,
    as_object,
    as_text,
    from_b64url,
    kind_of,
    list_at,
    object_at,
    text_at,
)
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.spec import MDOC_FORMAT, SD_JWT_VC_FORMAT, W3C_FORMATS

ClaimValue: TypeAlias = str | int | bool

# Our own bounds: the standard names none.
_MAX_CREDENTIALS: Final = 20
_MAX_CLAIMS: Final = 100
_MAX_SETS: Final = 100
_MAX_AUTHORITIES: Final = 20
_MAX_VALUES: Final = 100
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,256}\Z")


class AuthorityType(StrEnum):
    """How an authority behind an issuer is named (section 6.1.1)."""

    AKI = "aki"
    ETSI_TL = "etsi_tl"
    OPENID_FEDERATION = "openid_federation"


@dataclass(frozen=True, slots=True)
class Authority:
    """One authority by its name; a key identifier (`aki`) is unpadded base64url."""

    type: AuthorityType
    value: str


@dataclass(frozen=True, slots=True)
class AuthorityQuery:
    """Authorities of one type. A type that the standard does not know is kept, and never fits."""

    type: str
    values: tuple[str, ...]

    def to_json(self) -> JsonObject:
        """Give the trusted authorities query's JSON object (section 6.1.1)."""
        return {"type": self.type, "values": [*self.values]}

    def fits(self, proved: Collection[Authority]) -> bool:
        """Say whether one of these authorities was proved to stand behind an issuer."""
        return any(found.type == self.type and found.value in self.values for found in proved)


@dataclass(frozen=True, slots=True)
class ClaimQuery:
    """One claim, by path; with `values`, only a credential holding one of them fits."""

    path: ClaimPath
    id: str | None = None
    values: tuple[ClaimValue, ...] = ()

    def to_json(self) -> JsonObject:
        """Give the claims query's JSON object (section 6.3)."""
        return {
            **({} if self.id is None else {"id": self.id}),
            "path": [*self.path],
            **({"values": [*self.values]} if self.values else {}),
        }

    def fits(self, claims: Json, steps: Steps | None = None) -> bool:
        """Say whether `claims` hold this claim, with one of the values if any are named.

        Type and value must both be equal: neither `true` nor `"1"` is `1`. Looking
        takes `steps`, as `values_at` does.
        """
        found = values_at(claims, self.path, steps)
        if not self.values:
            return bool(found)
        wanted = {(type(value), value) for value in self.values}
        return any(isinstance(v, str | int) and (type(v), v) in wanted for v in found)


@dataclass(frozen=True, slots=True)
class CredentialQuery:
    """A credential of one of the types `vct_values`, and the claims wanted from it.

    Without `claims`, nothing that can be withheld is wanted. `claim_sets` name the
    combinations of claims that answer, the verifier's favourite first; without
    them every claim is wanted. A query for another format has no `vct_values`,
    and its `meta` as it came in `foreign_meta`.
    """

    id: str
    vct_values: tuple[str, ...]
    claims: tuple[ClaimQuery, ...]
    format: str = SD_JWT_VC_FORMAT
    claim_sets: tuple[tuple[str, ...], ...] = ()
    multiple: bool = False
    requires_holder_binding: bool = True
    trusted_authorities: tuple[AuthorityQuery, ...] = ()
    foreign_meta: JsonObject = field(default_factory=dict[str, Json], hash=False)

    def to_json(self) -> JsonObject:
        """Give the credential query's JSON object (section 6.1)."""
        is_ours = self.format == SD_JWT_VC_FORMAT
        obj: JsonObject = {
            "id": self.id,
            "format": self.format,
            "meta": {"vct_values": [*self.vct_values]} if is_ours else self.foreign_meta,
        }
        if self.claims:
            obj["claims"] = [claim.to_json() for claim in self.claims]
        if self.claim_sets:
            obj["claim_sets"] = [[*ids] for ids in self.claim_sets]
        if self.multiple:
            obj["multiple"] = True
        if not self.requires_holder_binding:
            obj["require_cryptographic_holder_binding"] = False
        if self.trusted_authorities:
            obj["trusted_authorities"] = [asked.to_json() for asked in self.trusted_authorities]
        return obj


@dataclass(frozen=True, slots=True)
class CredentialSet:
    """A use that any one of `options` serves; each lists the ids of queries answered together."""

    options: tuple[tuple[str, ...], ...]
    is_required: bool = True

    def to_json(self) -> JsonObject:
        """Give the credential set query's JSON object (section 6.2)."""
        options: list[Json] = [[*ids] for ids in self.options]
        return {"options": options, **({} if self.is_required else {"required": False})}


@dataclass(frozen=True, slots=True)
class DcqlQuery:
    """The credentials asked for. Without `credential_sets`, every one is required."""

    credentials: tuple[CredentialQuery, ...]
    credential_sets: tuple[CredentialSet, ...] = ()

    @property
    def sets(self) -> tuple[CredentialSet, ...]:
        """The credential sets, with the one that is meant where none are named (section 6.4.2)."""
        return self.credential_sets or (
            CredentialSet((tuple(credential.id for credential in self.credentials),)),
        )

    def to_json(self) -> JsonObject:
        """Give the `dcql_query` object."""
        obj: JsonObject = {"credentials": [credential.to_json() for credential in self.credentials]}
        if self.credential_sets:
            obj["credential_sets"] = [one.to_json() for one in self.credential_sets]
        return obj


def parse_dcql(obj: JsonObject, where: str = "dcql_query") -> DcqlQuery:
    """Give the query in a `dcql_query` object, or raise `Malformed`.

    Bounded: 20 credentials with 100 claims and 100 claim sets each, 100
    credential sets with 100 options each, 100 values and types in each list.
    """
    credentials = tuple(
        _credential(as_object(value, place), place)
        for value, place in _elements(obj, "credentials", where, _MAX_CREDENTIALS)
    )
    ids = {credential.id for credential in credentials}
    if len(ids) != len(credentials):
        raise Malformed("each id once", "one twice", f"{where}.credentials")
    sets = tuple(
        _credential_set(as_object(value, place), ids, place)
        for value, place in _optional(obj, "credential_sets", where, _MAX_SETS)
    )
    return DcqlQuery(credentials, sets)


def _credential(obj: JsonObject, where: str) -> CredentialQuery:
    format_ = text_at(obj, "format", where)
    meta = object_at(obj, "meta", where)
    claims = tuple(
        _claim(as_object(value, place), format_, place)
        for value, place in _optional(obj, "claims", where, _MAX_CLAIMS)
    )
    ids = [claim.id for claim in claims if claim.id is not None]
    if len(set(ids)) != len(ids):
        raise Malformed("each claim id once", "one twice", f"{where}.claims")
    claim_sets = tuple(
        _references(value, ids, _MAX_CLAIMS, place)
        for value, place in _optional(obj, "claim_sets", where, _MAX_SETS)
    )
    if claim_sets and len(ids) != len(claims):
        raise Malformed("an id for each claim beside claim_sets", "none", f"{where}.claims")
    authorities = tuple(
        _authority(as_object(value, place), place)
        for value, place in _optional(obj, "trusted_authorities", where, _MAX_AUTHORITIES)
    )
    return CredentialQuery(
        id=_id(text_at(obj, "id", where), f"{where}.id"),
        vct_values=_vct_values(meta, format_, f"{where}.meta"),
        claims=claims,
        format=format_,
        claim_sets=claim_sets,
        multiple=_flag(obj, "multiple", where, absent=False),
        requires_holder_binding=_flag(
            obj, "require_cryptographic_holder_binding", where, absent=True
        ),
        trusted_authorities=authorities,
        foreign_meta={} if format_ == SD_JWT_VC_FORMAT else meta,
    )


def _vct_values(meta: JsonObject, format_: str, where: str) -> tuple[str, ...]:
    """Give the types of our format (appendix B.3.5); look over what is `meta` of another."""
    if format_ == SD_JWT_VC_FORMAT:
        return _texts(meta, "vct_values", where)
    if format_ == MDOC_FORMAT:  # appendix B.2.3
        text_at(meta, "doctype_value", where)
    elif format_ in W3C_FORMATS:  # appendix B.1.1
        for types, place in _elements(meta, "type_values", where, _MAX_VALUES):
            _texts({"types": types}, "types", place)
    return ()


def _claim(obj: JsonObject, format_: str, where: str) -> ClaimQuery:
    path = parse_path(obj.get("path"), f"{where}.path")
    if format_ == MDOC_FORMAT:
        # Section 7.2, and appendix B.2.4.
        if [type(step) for step in path] != [str, str]:
            raise Malformed("a namespace and an element of it", "another path", f"{where}.path")
        _flag(obj, "intent_to_retain", where, absent=False)
    claim_id = _id(text_at(obj, "id", where), f"{where}.id") if "id" in obj else None
    values: list[ClaimValue] = []
    for value, place in _optional(obj, "values", where, _MAX_VALUES):
        if not isinstance(value, str | int):
            raise Malformed("a text, a whole number or a boolean", kind_of(value), place)
        values.append(value)
    return ClaimQuery(path, claim_id, tuple(values))


def _authority(obj: JsonObject, where: str) -> AuthorityQuery:
    asked = AuthorityQuery(text_at(obj, "type", where), _texts(obj, "values", where))
    if asked.type == AuthorityType.AKI:
        for i, value in enumerate(asked.values):
            from_b64url(value, f"{where}.values[{i}]")
    return asked


def _credential_set(obj: JsonObject, ids: Collection[str], where: str) -> CredentialSet:
    options = tuple(
        _references(value, ids, _MAX_CREDENTIALS, place)
        for value, place in _elements(obj, "options", where, _MAX_SETS)
    )
    return CredentialSet(options, _flag(obj, "required", where, absent=True))


def _references(value: Json, ids: Collection[str], most: int, where: str) -> tuple[str, ...]:
    listed = as_list(value, where)
    _require_length(listed, most, where)
    named = tuple(as_text(name, where) for name in listed)
    if not set(named) <= set(ids):
        raise Malformed("ids that the query defines", "another", where)
    return named


def _id(text: str, where: str) -> str:
    if not _ID.match(text):
        raise Malformed("1 to 256 letters, digits, _ or -", "another text", where)
    return text


def _flag(obj: JsonObject, name: str, where: str, *, absent: bool) -> bool:
    value = obj.get(name, absent)
    if not isinstance(value, bool):
        raise Malformed("true or false", kind_of(value), f"{where}.{name}")
    return value


def _texts(obj: JsonObject, name: str, where: str) -> tuple[str, ...]:
    return tuple(as_text(value, p) for value, p in _elements(obj, name, where, _MAX_VALUES))


def _optional(obj: JsonObject, name: str, where: str, most: int) -> list[tuple[Json, str]]:
    return _elements(obj, name, where, most) if name in obj else []


def _elements(obj: JsonObject, name: str, where: str, most: int) -> list[tuple[Json, str]]:
    """Give each element of a list that must not be empty, with its place."""
    listed = list_at(obj, name, where)
    _require_length(listed, most, f"{where}.{name}")
    return [(value, f"{where}.{name}[{i}]") for i, value in enumerate(listed)]


def _require_length(listed: list[Json], most: int, where: str) -> None:
    if not 1 <= len(listed) <= most:
        raise Malformed(f"1 to {most} elements", f"{len(listed)}", where)
