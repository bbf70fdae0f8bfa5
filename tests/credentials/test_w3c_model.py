"""Credentials and presentations of the W3C's data model: what is one, and what is none."""

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.w3c_credential import W3cCredential
from counterfoil_credentials.w3c_presentation import Envelope, W3cPresentation, enveloped
from counterfoil_credentials.w3c_shapes import CREDENTIALS_V2

from tests.credentials.provers import Object

pytestmark = pytest.mark.once
Vectors = Callable[[str], Path]

ISSUER = "did:example:issuer"
# Well shaped: what the names mean is wrong, and the contexts' reader must say so.
FOR_THE_CONTEXTS = {
    "credential-redef-type-fail.json",
    "credential-redef-type2-fail.json",
    "credential-type-mapped-nonurl-fail.json",
    "credential-type-unmapped-fail.json",
}
# Told from an acceptable one by who signs, not by their shape.
FOR_THE_VERIFIER = {
    "presentation-self-asserted-vc-issuer-mismatch.json",
    "presentation-self-asserted-vc-no-holder.json",
}


def filled(name: str, document: Object, now: datetime) -> Object:
    """Give the published document as the suite's own client would send it."""
    if name.startswith("credential") and name != "credential-no-issuer-fail.json":
        document.setdefault("issuer", ISSUER)
    if name.startswith("issuer"):
        document["issuer"].setdefault("id", ISSUER)
    moments = {"PAST DATE": now - timedelta(days=1), "FUTURE DATE": now + timedelta(days=1)}
    for member in ("validFrom", "validUntil"):
        if document.get(member) in moments:
            document[member] = moments[document[member]].isoformat()
    return document


def test_the_published_documents_are_read_or_refused_as_their_names_say(
    vectors: Vectors, now: datetime
) -> None:
    paths = sorted(vectors("vcdm2").rglob("*.json"))
    wrong: list[str] = []
    for path in paths:
        document = filled(path.name, json.loads(path.read_text()), now)
        parse = W3cPresentation.parse if path.name.startswith("pres") else W3cCredential.parse
        refuse = "fail" in path.name and path.name not in FOR_THE_CONTEXTS
        try:
            if path.name == "credential-proof-missing-type-fail.json":
                from counterfoil_credentials.integrity_proofs import UnverifiedProof

                UnverifiedProof.parse(document["proof"], "proof")
            parsed = parse(document)
        except Malformed:
            if not refuse:
                wrong.append(path.name)
            continue
        if refuse:
            wrong.append(path.name)
        if isinstance(parsed, W3cPresentation):
            for shown in parsed.credentials:
                if not isinstance(shown, Envelope):
                    W3cCredential.parse(shown)

    assert len(paths) > 50
    assert not wrong
    assert {path.name for path in paths} >= FOR_THE_CONTEXTS | FOR_THE_VERIFIER


def credential() -> Object:
    return {
        "@context": [CREDENTIALS_V2],
        "id": "urn:uuid:1",
        "type": ["VerifiableCredential"],
        "issuer": {"id": ISSUER, "name": "A brand"},
        "validFrom": "2026-11-01T00:00:00Z",
        "validUntil": "2026-12-01T00:00:00Z",
        "credentialSubject": {"id": "did:example:holder", "covered": "zipper"},
        "credentialStatus": {"type": "BitstringStatusListEntry"},
        "credentialSchema": {"type": "JsonSchema", "id": "https://a.example/schema"},
        "relatedResource": {"id": "https://a.example/terms", "digestSRI": "sha256-AA"},
    }


def test_a_credential_is_read_into_what_a_caller_asks_of_it() -> None:
    read = W3cCredential.parse(credential())

    assert (read.id, read.issuer) == ("urn:uuid:1", ISSUER)
    assert [*read.subject_ids] == ["did:example:holder"]
    assert read.valid_from == datetime(2026, 11, 1, tzinfo=UTC)
    assert [entry.types for entry in read.statuses] == [("BitstringStatusListEntry",)]
    assert [entry.id for entry in read.schemas] == ["https://a.example/schema"]


@pytest.mark.parametrize(
    ("moment", "codes"),
    [
        (datetime(2026, 10, 31, 23, 58, 59, tzinfo=UTC), ["not-yet-valid"]),
        (datetime(2026, 10, 31, 23, 59, tzinfo=UTC), []),
        (datetime(2026, 12, 1, 0, 1, tzinfo=UTC), []),
        (datetime(2026, 12, 1, 0, 1, 1, tzinfo=UTC), ["expired"]),
    ],
)
def test_a_credential_counts_in_its_time_and_a_minute_around_it(
    moment: datetime, codes: list[str]
) -> None:
    read = W3cCredential.parse(credential())

    assert [reason.code for reason in read.time_reasons(moment)] == codes


SHAPES: list[tuple[str, object]] = [
    ("@context", None),
    ("@context", CREDENTIALS_V2),
    ("@context", []),
    ("@context", ["https://a.example/v1", CREDENTIALS_V2]),
    ("@context", [CREDENTIALS_V2, 1]),
    ("@context", [CREDENTIALS_V2, None]),
    ("@context", [CREDENTIALS_V2, "relative"]),
    ("type", "Other"),
    ("type", []),
    ("type", ["VerifiableCredential", "VerifiableCredential"]),
    ("type", ["VerifiableCredential", ""]),
    ("type", ["VerifiableCredential", {}]),
    ("id", None),
    ("id", ""),
    ("id", "relative"),
    ("id", "urn:with space"),
    ("id", "urn:with\nline"),
    ("id", "urn:" + "x" * 5_000),
    ("issuer", []),
    ("issuer", {}),
    ("issuer", {"id": ISSUER, "name": 1}),
    ("issuer", {"id": ISSUER, "name": {"@value": "a", "@direction": "up"}}),
    ("issuer", {"id": ISSUER, "name": {"@value": "a", "@language": ""}}),
    ("issuer", {"id": ISSUER, "name": {"@language": "en"}}),
    ("validFrom", "2026-11-01"),
    ("validFrom", "2026-11-01T00:00:00"),
    ("validFrom", "2026-13-01T00:00:00Z"),
    ("validFrom", "2026-12-01T00:00:01Z"),
    ("validUntil", "2026-10-31T23:59:59Z"),
    ("validUntil", "0001-01-01T00:00:00+14:00"),
    ("validUntil", 1),
    ("credentialSubject", None),
    ("credentialSubject", []),
    ("credentialSubject", "text"),
    ("credentialSubject", [{"id": "did:example:a"}, {}]),
    ("credentialStatus", {"type": "A", "id": "relative"}),
    ("credentialStatus", "urn:1"),
    ("credentialSchema", {"type": "A"}),
    ("evidence", [{"type": "A"}, {}]),
    ("refreshService", {"id": "urn:1"}),
    ("termsOfUse", {}),
    ("relatedResource", {"id": "urn:1"}),
    ("relatedResource", {"digestSRI": "sha256-AA"}),
    ("relatedResource", [{"id": "urn:1", "digestSRI": "sha256-AA"}] * 2),
    ("relatedResource", "urn:1"),
    ("description", [{"@value": "a", "more": 1}]),
]


@pytest.mark.parametrize(("member", "value"), SHAPES)
def test_a_member_of_another_shape_is_malformed_and_named(member: str, value: object) -> None:
    document: dict[str, Any] = {**copy.deepcopy(credential()), member: value}

    with pytest.raises(Malformed) as malformed:
        W3cCredential.parse(document)

    start = "credential.validUntil" if member.startswith("valid") else f"credential.{member}"
    assert malformed.value.where.startswith((start, f"credential.{member}"))


@pytest.mark.parametrize("member", ["@context", "type", "issuer", "credentialSubject"])
def test_what_every_credential_has_must_be_there(member: str) -> None:
    document = credential()
    del document[member]

    with pytest.raises(Malformed, match=member):
        W3cCredential.parse(document)


def presentation() -> Object:
    return {"@context": [CREDENTIALS_V2], "type": "VerifiablePresentation"}


def test_an_envelope_is_opened_into_its_kind_and_its_token() -> None:
    document = {**presentation(), "verifiableCredential": enveloped("a.b.c")}

    read = W3cPresentation.parse(document)

    assert read.credentials == (Envelope(media_type="application/vc+jwt", token="a.b.c"),)


@pytest.mark.parametrize(
    "value",
    [
        "https://a.example/x,a.b.c",
        "data:application/vc+jwt",
        "data:application/vc+jwt,",
        None,
    ],
)
def test_an_envelope_without_a_token_is_malformed(value: str | None) -> None:
    document = {**presentation(), "verifiableCredential": {**enveloped("a"), "id": value}}

    with pytest.raises(Malformed):
        W3cPresentation.parse(document)


def test_more_credentials_than_anybody_shows_are_not_looked_at() -> None:
    document: Object = {**presentation(), "verifiableCredential": [credential()] * 33}

    with pytest.raises(Malformed, match="32"):
        W3cPresentation.parse(document)
