"""A credential of the W3C's data model as a value: read once, and its shape cannot be wrong.

VC Data Model 2.0, section 4. What the names mean is the contexts' business (`json_ld`);
who said it, and whether that is to be believed, that of `w3c_verification`.
"""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.date_times import date_time_at
from counterfoil_credentials.encoding import Json, JsonObject, as_object, optional_text_at
from counterfoil_credentials.errors import Malformed, Reason
from counterfoil_credentials.records import record
from counterfoil_credentials.w3c_shapes import (
    as_url,
    contexts,
    each_at,
    one_or_many,
    require_names,
    types,
    url_at,
)

VERIFIABLE_CREDENTIAL: Final = "VerifiableCredential"
_SKEW: Final = timedelta(seconds=60)
# Sections 4.10 to 4.12 and 5.3 to 5.6: whether each of them needs an id.
_TYPED: Final = {
    "credentialStatus": False,
    "credentialSchema": True,
    "refreshService": False,
    "termsOfUse": False,
    "evidence": False,
}


@record(kw_only=True)
class TypedEntry:
    """One status entry, schema, service, term of use or piece of evidence."""

    types: tuple[str, ...]
    id: str | None
    json: JsonObject = field(repr=False)


@record(kw_only=True)
class W3cCredential:
    """A credential that was read. Nothing says yet that its issuer signed it.

    `subjects` are its claims, about one subject or several; `json` is all of it.
    """

    id: str | None
    types: tuple[str, ...]
    contexts: tuple[Json, ...] = field(repr=False)
    issuer: str
    subjects: tuple[JsonObject, ...] = field(repr=False)
    valid_from: datetime | None
    valid_until: datetime | None
    statuses: tuple[TypedEntry, ...]
    schemas: tuple[TypedEntry, ...]
    json: JsonObject = field(repr=False)

    @staticmethod
    def parse(obj: JsonObject, where: str = "credential") -> "W3cCredential":
        """Read a credential that was taken out of whatever secures it.

        Raises `Malformed` with the place of the first thing that the data model does
        not allow.
        """
        listed, named = contexts(obj, where), types(obj, where, VERIFIABLE_CREDENTIAL)
        identity = url_at(obj, "id", where)
        require_names(obj, where)
        issuer = _issuer(obj, where)
        subjects = each_at(obj, "credentialSubject", where, _subject)
        if not subjects:
            raise Malformed("a subject", "none", f"{where}.credentialSubject")
        valid_from = date_time_at(obj, "validFrom", where)
        valid_until = date_time_at(obj, "validUntil", where)
        if valid_from is not None and valid_until is not None and valid_until < valid_from:
            raise Malformed("an end after the beginning", "one before", f"{where}.validUntil")
        entries = {name: _typed(obj, name, where) for name in _TYPED}
        _require_related_resources(obj, where)
        return W3cCredential(
            id=identity,
            types=named,
            contexts=listed,
            issuer=issuer,
            subjects=subjects,
            valid_from=valid_from,
            valid_until=valid_until,
            statuses=entries["credentialStatus"],
            schemas=entries["credentialSchema"],
            json=obj,
        )

    @property
    def subject_ids(self) -> frozenset[str]:
        """Give the ids of those subjects that have one."""
        return frozenset(str(each["id"]) for each in self.subjects if "id" in each)

    def time_reasons(self, now: datetime) -> list[Reason]:
        """Give the reasons why it is not valid at `now`: `not-yet-valid`, `expired` (4.9).

        `validUntil` is the last moment that counts; a minute's difference of clocks does.
        """
        reasons: list[Reason] = []
        if self.valid_from is not None and now + _SKEW < self.valid_from:
            reasons.append(_out_of_time("not-yet-valid", "one before it", "validFrom"))
        if self.valid_until is not None and now - _SKEW > self.valid_until:
            reasons.append(_out_of_time("expired", "one past it", "validUntil"))
        return reasons


def _out_of_time(code: str, found: str, name: str) -> Reason:
    return Reason(code, "a credential in its time", found, f"credential.{name}")


def _issuer(obj: JsonObject, where: str) -> str:
    value, place = obj.get("issuer"), f"{where}.issuer"
    if not isinstance(value, dict):
        return as_url(value, place)
    require_names(value, place)
    return as_url(value.get("id"), f"{place}.id")


def _subject(obj: JsonObject, where: str) -> JsonObject:
    # Section 4.8: each object holds one claim or more.
    if not obj:
        raise Malformed("a claim", "none", where)
    url_at(obj, "id", where)
    return obj


def _typed(obj: JsonObject, name: str, where: str) -> tuple[TypedEntry, ...]:
    needs_id = _TYPED[name]

    def read(entry: JsonObject, place: str) -> TypedEntry:
        identity = (
            as_url(entry.get("id"), f"{place}.id") if needs_id else url_at(entry, "id", place)
        )
        return TypedEntry(types=types(entry, place), id=identity, json=entry)

    return each_at(obj, name, where, read)


def _require_related_resources(obj: JsonObject, where: str) -> None:
    # Section 5.3: each has its URL, once, and a hash of what is there.
    seen: set[str] = set()
    for i, item in enumerate(one_or_many(obj, "relatedResource", where)):
        place = f"{where}.relatedResource[{i}]"
        resource: Mapping[str, Json] = as_object(item, place)
        url = as_url(resource.get("id"), f"{place}.id")
        if url in seen:
            raise Malformed("each resource once", "one twice", f"{place}.id")
        seen.add(url)
        digests = [optional_text_at(resource, n, place) for n in ("digestSRI", "digestMultibase")]
        if not any(digests):
            raise Malformed("digestSRI or digestMultibase", "neither", place)
