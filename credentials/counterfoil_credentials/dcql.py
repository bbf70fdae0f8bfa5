"""DCQL: what a verifier asks for (OpenID4VP 1.0, section 6).

This first version speaks credential queries with required claims and `values`.
What the standard defines and this version does not speak is refused: a query
that is half understood would be half answered. Other members are ignored, as
section 6 demands.
"""

import re
from dataclasses import dataclass
from typing import Final

from counterfoil_credentials.claims import ClaimPath, parse_path, path_text, values_at
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
from counterfoil_credentials.errors import Malformed, Reason
from counterfoil_credentials.spec import SD_JWT_VC_FORMAT

_MAX_CREDENTIALS: Final = 20
_MAX_CLAIMS: Final = 100
_MAX_VALUES: Final = 100
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


@dataclass(frozen=True, slots=True)
class ClaimQuery:
    """One claim, by path; with `values`, only a credential holding one of them fits."""

    path: ClaimPath
    id: str | None = None
    values: tuple[str | int | bool, ...] = ()

    def to_json(self) -> JsonObject:
        """Give the claims query's JSON object (section 6.3)."""
        return {
            **({} if self.id is None else {"id": self.id}),
            "path": [*self.path],
            **({"values": [*self.values]} if self.values else {}),
        }

    def fits(self, claims: Json) -> bool:
        """Say whether `claims` hold this claim, with one of the values if any are named."""
        found = values_at(claims, self.path)
        if not self.values:
            return bool(found)
        return any(type(f) is type(v) and f == v for f in found for v in self.values)


@dataclass(frozen=True, slots=True)
class CredentialQuery:
    """One credential of one of the types `vct_values`, and the claims wanted from it."""

    id: str
    vct_values: tuple[str, ...]
    claims: tuple[ClaimQuery, ...]
    format: str = SD_JWT_VC_FORMAT

    def to_json(self) -> JsonObject:
        """Give the credential query's JSON object (section 6.1)."""
        return {
            "id": self.id,
            "format": self.format,
            "meta": {"vct_values": [*self.vct_values]},
            **({"claims": [claim.to_json() for claim in self.claims]} if self.claims else {}),
        }

    def mismatches(self, vct: str, claims: JsonObject) -> list[Reason]:
        """Give the reasons why a credential does not answer this query; none means it does.

        Codes: `type-not-asked-for`, `claim-missing`.
        """
        reasons: list[Reason] = []
        if vct not in self.vct_values:
            reasons.append(
                Reason(
                    "type-not-asked-for", "a type that was asked for", "another", f"{self.id}.vct"
                )
            )
        reasons.extend(
            Reason(
                "claim-missing", "every claim asked for", "none that fits", path_text(claim.path)
            )
            for claim in self.claims
            if not claim.fits(claims)
        )
        return reasons


@dataclass(frozen=True, slots=True)
class DcqlQuery:
    """The credentials asked for; every one of them is required."""

    credentials: tuple[CredentialQuery, ...]

    def to_json(self) -> JsonObject:
        """Give the `dcql_query` object."""
        return {"credentials": [credential.to_json() for credential in self.credentials]}


def parse_dcql(obj: JsonObject, where: str = "dcql_query") -> DcqlQuery:
    """Give the query in a `dcql_query` object, or raise `Malformed`."""
    _require_none_of(obj, ("credential_sets",), where)
    listed = list_at(obj, "credentials", where)
    if not 1 <= len(listed) <= _MAX_CREDENTIALS:
        raise Malformed(f"1 to {_MAX_CREDENTIALS} credentials", f"{len(listed)}", where)
    credentials = tuple(
        _credential(as_object(value, f"{where}.credentials[{i}]"), f"{where}.credentials[{i}]")
        for i, value in enumerate(listed)
    )
    if len({credential.id for credential in credentials}) != len(credentials):
        raise Malformed("each id once", "one twice", f"{where}.credentials")
    return DcqlQuery(credentials)


def _credential(obj: JsonObject, where: str) -> CredentialQuery:
    _require_none_of(obj, ("claim_sets", "trusted_authorities"), where)
    if text_at(obj, "format", where) != SD_JWT_VC_FORMAT:
        raise Malformed(f"the format {SD_JWT_VC_FORMAT}", "another", f"{where}.format")
    # The defaults of section 6.1, and the only values of this version.
    for name, only in (("multiple", False), ("require_cryptographic_holder_binding", True)):
        if obj.get(name, only) is not only:
            raise Malformed(f"{only}".lower(), "another value", f"{where}.{name}")
    meta = object_at(obj, "meta", where)
    vct_values = texts_at(meta, "vct_values", f"{where}.meta")
    if not vct_values:
        raise Malformed("at least one type", "none", f"{where}.meta.vct_values")
    return CredentialQuery(_id(obj, where), tuple(vct_values), _claims(obj, where))


def _claims(obj: JsonObject, where: str) -> tuple[ClaimQuery, ...]:
    if "claims" not in obj:
        return ()
    listed = list_at(obj, "claims", where)
    if not 1 <= len(listed) <= _MAX_CLAIMS:
        raise Malformed(f"1 to {_MAX_CLAIMS} claims", f"{len(listed)}", f"{where}.claims")
    claims = tuple(
        _claim(as_object(value, f"{where}.claims[{i}]"), f"{where}.claims[{i}]")
        for i, value in enumerate(listed)
    )
    ids = [claim.id for claim in claims if claim.id is not None]
    if len(set(ids)) != len(ids):
        raise Malformed("each claim id once", "one twice", f"{where}.claims")
    return claims


def _claim(obj: JsonObject, where: str) -> ClaimQuery:
    values: list[str | int | bool] = []
    if "values" in obj:
        listed = list_at(obj, "values", where)
        if not 1 <= len(listed) <= _MAX_VALUES:
            raise Malformed(f"1 to {_MAX_VALUES} values", f"{len(listed)}", f"{where}.values")
        for i, value in enumerate(listed):
            if not isinstance(value, str | int):
                raise Malformed(
                    "a text, a whole number or a boolean", "another kind", f"{where}.values[{i}]"
                )
            values.append(value)
    if "id" in obj:
        _id(obj, where)
    path = parse_path(obj.get("path"), f"{where}.path")
    return ClaimQuery(path, optional_text_at(obj, "id", where), tuple(values))


def _id(obj: JsonObject, where: str) -> str:
    value = text_at(obj, "id", where)
    if not _ID.match(value):
        raise Malformed("1 to 64 letters, digits, _ or -", "another text", f"{where}.id")
    return value


def _require_none_of(obj: JsonObject, unspoken: tuple[str, ...], where: str) -> None:
    for name in unspoken:
        if name in obj:
            raise Malformed(f"no {name}", "one", where)
