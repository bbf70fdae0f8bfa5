"""Says where a preset asks for more than its decision needs, or promises less than it should.

    for finding in lint(preset, registered=registration):
        print(finding)

Each finding is a `Reason`: code, expected, found, where.

    claim-not-needed               the policy does not read it, and no reason stands beside it
    identity-claim-without-reason  the same, of a claim that says who somebody is
    derived-claim-suffices         a date of birth, where "over 18" would do
    contains-another-claim         the whole and a part of it are asked
    retention-missing              nobody decided how long the result is kept
    kept-longer-than-told          the shop keeps it longer than the customer is told
    purpose-not-registered         the shop registered no such purpose
    more-than-registered           the shop registered that purpose with fewer claims
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final

from counterfoil_credentials.claims import ClaimPath, covers, parse_path, path_text
from counterfoil_credentials.encoding import as_object, list_at, object_at, parse_object
from counterfoil_credentials.errors import Reason

from counterfoil_verifier.presets import MAX_BYTES, Preset

Registration = Mapping[str, Sequence[ClaimPath]]
"""What a shop told its authority: the claims that it asks for, by purpose (a preset's name)."""

WHO_SOMEBODY_IS: Final = frozenset(
    {
        "address",
        "age_in_years",
        "birth_date",
        "birth_family_name",
        "birthdate",
        "document_number",
        "email",
        "email_address",
        "family_name",
        "full_name",
        "gender",
        "given_name",
        "id_number",
        "member_number",
        "mobile_phone_number",
        "name",
        "nationality",
        "nationalities",
        "personal_administrative_number",
        "phone",
        "phone_number",
        "picture",
        "portrait",
        "sex",
        "sub",
        "tax_id",
    }
)
"""Names of claims that say who somebody is (OpenID Connect, the EU's PID, our own types)."""
# `name` says who somebody is at the top, or of one of these; of an item it says what.
_PEOPLE: Final = frozenset({"buyer", "cardholder", "customer", "holder", "owner", "person"})
_DERIVED: Final = {
    "birthdate": "age_over_18",
    "birth_date": "age_over_18",
    "age_in_years": "age_over_18",
}


def lint(
    preset: Preset, *, kept_for: timedelta, registered: Registration | None = None
) -> tuple[Reason, ...]:
    """Give all that over-asks in `preset`; none is as it should be.

    `kept_for` is how long this shop keeps a result. `registered` is what it has
    registered; None where no authority asks for that.
    """
    return (
        *_needless(preset),
        *_contained(preset),
        *_retention(preset, kept_for),
        *(() if registered is None else _unregistered(preset, registered)),
    )


def says_who(path: ClaimPath) -> bool:
    """Say whether a claim says who somebody is, going by the names on its path."""
    names = [step for step in path if isinstance(step, str)]
    if _PEOPLE.intersection(names):
        return True
    return bool(names) and names[-1] in WHO_SOMEBODY_IS and (names[-1] != "name" or len(names) == 1)


def parse_registration(data: bytes, where: str) -> Registration:
    """Give what was registered, from `{"purposes": {"warranty": [["valid_until"], …]}}`."""
    purposes = object_at(parse_object(data, where, max_bytes=MAX_BYTES), "purposes", where)
    return {
        name: [
            parse_path(path, f"{where}.purposes.{name}[{i}]")
            for i, path in enumerate(list_at(purposes, name, f"{where}.purposes"))
        ]
        for name in as_object(purposes, where)
    }


def _needless(preset: Preset) -> Iterator[Reason]:
    read = preset.read_by_policy()
    for path in preset.claims:
        where = _place(preset, path)
        name = path[-1]
        if isinstance(name, str) and name in _DERIVED and path not in read:
            yield Reason("derived-claim-suffices", f"{_DERIVED[name]} or the like", name, where)
        if path in read or path in preset.why:
            continue
        if says_who(path):
            expected = "a reason for asking who somebody is"
            yield Reason("identity-claim-without-reason", expected, "none", where)
        else:
            expected = "a claim that the decision reads, or a reason beside it"
            yield Reason("claim-not-needed", expected, "neither", where)


def _contained(preset: Preset) -> Iterator[Reason]:
    for path in preset.claims:
        parts = [part for part in preset.claims if part != path and covers(path, part)]
        if len(path) < min((len(part) for part in parts), default=0):
            found = f"all of it, and {path_text(parts[0])}"
            yield Reason(
                "contains-another-claim", "the part that is needed", found, _place(preset, path)
            )


def _retention(preset: Preset, kept_for: timedelta) -> Iterator[Reason]:
    where = f"{preset.name}.retention"
    if preset.kept_for is None:
        yield Reason("retention-missing", "the days for which the result is kept", "none", where)
    elif preset.kept_for < kept_for:
        expected = f"at least the {kept_for.days} days for which this shop keeps results"
        yield Reason("kept-longer-than-told", expected, f"{preset.kept_for.days}", where)


def _unregistered(preset: Preset, registered: Registration) -> Iterator[Reason]:
    allowed = registered.get(preset.name)
    if allowed is None:
        yield Reason(
            "purpose-not-registered", "a purpose that the shop registered", "another", preset.name
        )
        return
    for path in preset.claims:
        if not any(len(one) <= len(path) and covers(one, path) for one in allowed):
            expected = "a claim that was registered for this purpose"
            yield Reason("more-than-registered", expected, "another", _place(preset, path))


def _place(preset: Preset, path: ClaimPath) -> str:
    return f"{preset.name}.claims.{path_text(path)}"
