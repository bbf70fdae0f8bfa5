"""A grant's record and receipt hold what the DPVCG guide asks for, in terms that DPV has."""

import os
import re
import warnings
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import fields, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
from counterfoil_consent import (
    Active,
    AuthorityParty,
    Completion,
    CompletionKind,
    Level,
    Necessity,
    Operation,
    Purpose,
    RecipientParty,
    Retained,
    State,
    Terms,
)
from counterfoil_consent.export import (
    CONTEXT,
    ConsentEvent,
    ConsentHistory,
    ConsentStatus,
    consent_receipt,
    consent_record,
)
from counterfoil_consent.export_terms import GDPR_PLACES
from counterfoil_consent.incentive import Incentive
from counterfoil_consent.laws import ClaimKind
from counterfoil_consent.states import Lack, Missing
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.encoding import Json, JsonObject, compact_json
from counterfoil_credentials.errors import Misuse, Refused
from counterfoil_credentials.keys import MemorySigner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyshacl import validate  # pyright: ignore[reportUnknownVariableType]  # half typed
from rdflib import Graph, URIRef
from rdflib.namespace import SH

from tests.consent.street import CANARIES, FRAME, Street

FOLDER = Path(__file__).parent / "dpv"
ROWS = "urn:counterfoil:consent:shapes:1:"
DAY = timedelta(days=1)
BAKER = AuthorityParty(did=did_jwk(MemorySigner.generate().public), name="The authority")
COURIER = RecipientParty(
    did=did_jwk(MemorySigner.generate().public),
    name="Courier",
    endpoint="https://courier.example/ends/{grant_id}",
)
Walk = Callable[..., State]


@cache
def shapes() -> Graph:
    return Graph().parse(FOLDER / "record.ttl")


def graph_of(document: JsonObject) -> Graph:
    with warnings.catch_warnings():
        # rdflib's parser uses a class of its own that it has renamed.
        warnings.simplefilter("ignore", DeprecationWarning)
        return Graph().parse(data=compact_json(document), format="json-ld")


def failing(document: JsonObject) -> set[str]:
    """Give the rows whose shapes `document` does not fulfil, by their sections."""
    # pyshacl gives a triple whose types it does not say.
    report = cast("tuple[object, ...]", validate(graph_of(document), shacl_graph=shapes()))[1]
    assert isinstance(report, Graph)
    return {
        str(shape).removeprefix(ROWS)
        for shape in report.objects(None, SH.sourceShape)
        if isinstance(shape, URIRef)
    }


@pytest.fixture
def active(street_in_memory: Street) -> Active:
    grant, _ = street_in_memory.granted(authority=BAKER)
    return grant


def every_state(street: Street, active: Active) -> Iterator[State]:
    at = street.clock.advance(DAY)
    yield active
    for ended in (active.withdraw(at), active.complete(at), active.terminate(at), active.expire()):
        yield ended
        yield ended.erase(at, Level.E2)


def record_of(state: State) -> JsonObject:
    return consent_record(ConsentHistory.of(state))


def test_the_record_of_a_grant_in_each_state_fulfils_each_row(
    street_in_memory: Street, active: Active
) -> None:
    for state in every_state(street_in_memory, active):
        assert failing(record_of(state)) == set(), type(state)


def test_a_grant_with_all_that_can_be_agreed_fulfils_each_row(street_in_memory: Street) -> None:
    case = Completion(kind=CompletionKind.CASE, by=BAKER.did)
    active, _ = street_in_memory.granted(
        recipients=[COURIER],
        operations=[Operation.USE, Operation.SHARE],
        completion=case,
        authority=BAKER,
        jurisdiction="DE",
    )

    record = record_of(active)

    assert failing(record) == set()
    process = cast("JsonObject", record["dpv:hasProcess"])
    assert process["dpv:hasRecipient"] == [
        {"@id": active.agreement.terms.receiver.did},
        {"@id": COURIER.did},
    ]
    assert process["dpv:hasJurisdiction"] == {"@id": "loc:DE"}
    assert process["dpv:hasAuthority"] == {"@id": BAKER.did}


@pytest.mark.parametrize(
    ("jurisdiction", "place", "profile"),
    [
        ("EU", {"@id": "loc:EU"}, "record-eu-gdpr"),
        ("CN", {"@id": "loc:CN"}, "record"),
        ("Utopia", {"@type": "dpv:Location", "dct:title": "Utopia"}, "record"),
    ],
)
def test_the_profile_is_that_of_the_gdpr_where_it_applies(
    street_in_memory: Street, jurisdiction: str, place: JsonObject, profile: str
) -> None:
    active, _ = street_in_memory.granted(jurisdiction=jurisdiction)

    record, receipt = (
        record_of(active),
        consent_receipt(ConsentHistory.of(active), active.receipt),
    )

    assert failing(receipt) == set()
    assert record["dct:conformsTo"] == {"@id": f"dpv-27560:{profile}"}
    assert receipt["dct:conformsTo"] == {"@id": f"dpv-27560:{profile.replace('record', 'receipt')}"}
    assert cast("JsonObject", record["dpv:hasProcess"])["dpv:hasJurisdiction"] == place
    assert ("eu-gdpr:" in str({**record, "@context": ""})) == (profile == "record-eu-gdpr")


PROCESS = "dpv:hasProcess"
STATUS = "dpv:hasConsentStatus"
LEFT_OUT: dict[str, tuple[str | int, ...]] = {
    "8.1.1": ("dct:conformsTo",),
    "8.1.2": ("dct:identifier",),
    "8.1.2-dpv": ("dpv:hasIdentifier",),
    "8.1.3": ("dpv:hasDataSubject",),
    "8.2.1": ("dpv:hasNotice",),
    "8.2.2": ("dpv:hasNotice", "dct:language"),
    "8.3.1": (PROCESS,),
    "8.3.2": (PROCESS, "dpv:hasPurpose"),
    "8.3.3": (PROCESS, "dpv:hasPersonalData"),
    "8.3.3.1": (PROCESS, "dpv:hasPersonalData", 1, "skos:broader"),
    "8.3.4.2-location": (PROCESS, "dpv:hasStorageCondition", 0),
    "8.3.4.2-duration": (PROCESS, "dpv:hasStorageCondition", 1),
    "8.3.5": (PROCESS, "dpv:hasDataController"),
    "8.3.7": (PROCESS, "dpv:hasRecipient"),
    "8.3.8": (PROCESS, "dpv:hasConsentControl"),
    "8.3.9": (PROCESS, "dpv:hasJurisdiction"),
    "8.3.10": (PROCESS, "dpv:hasRight"),
    "8.4": ("dpv:hasEntity",),
    "8.4.1": ("dpv:hasEntity", 1, "dpv:hasName"),
    "8.4.2": ("dpv:hasEntity", 1, "dpv:hasIdentifier"),
    "8.4.4": ("dpv:hasEntity", 0, "schema:contactPoint"),
    "8.5.1": (PROCESS, "dpv:hasLegalBasis"),
    "8.5.2": (STATUS,),
    "8.5.2-state": (STATUS, 0, "@type"),
    "8.5.3": (STATUS, 0, "dpv:isIndicatedAtTime"),
    "8.5.4": (STATUS, 0, "dpv:hasDuration"),
    "8.5.5": (STATUS, 0, "dpv:isIndicatedBy"),
}
RECEIPT_LEFT_OUT = {
    "9.1.1": "dct:conformsTo",
    "9.1.2": "dpv:hasIdentifier",
    "9.1.3": "dpv:hasRecordOfActivity",
    "9.1.4": "dct:created",
}


def without(document: JsonObject, way: tuple[str | int, ...]) -> None:
    """Leave out the member of `document` that `way` leads to."""
    *steps, last = way
    holder: Any = document
    for step in steps:
        holder = holder[step]
    del holder[last]


@pytest.mark.parametrize("row", LEFT_OUT)
def test_a_record_without_a_required_member_fails_the_row_that_asks_for_it(
    active: Active, row: str
) -> None:
    record = deepcopy(record_of(active))
    without(record, LEFT_OUT[row])

    assert row in failing(record)


@pytest.mark.parametrize("row", RECEIPT_LEFT_OUT)
def test_a_receipt_without_a_required_member_fails_the_row_that_asks_for_it(
    active: Active, row: str
) -> None:
    receipt = consent_receipt(ConsentHistory.of(active), active.receipt)

    assert failing(receipt) == set()
    del receipt[RECEIPT_LEFT_OUT[row]]
    assert row in failing(receipt)


def test_each_shape_that_names_a_row_is_tried() -> None:
    named = {
        str(shape).removeprefix(ROWS)
        for shape in shapes().subjects(SH.path)
        if isinstance(shape, URIRef)
    }

    assert named == LEFT_OUT.keys() | RECEIPT_LEFT_OUT.keys()


@pytest.mark.parametrize(
    ("member", "value", "row"),
    [
        ("dpv:hasPurpose", {"@id": "https://velo.example/purposes/1"}, "8.3.2"),
        ("dpv:hasPurpose", "dpv:PersonalisedBenefits", "8.3.2"),
        ("dpv:hasDataController", {"@id": "did:example:nobody"}, "8.3.5"),
        ("dpv:hasConsentControl", {"@type": "dpv:WithdrawConsent"}, "8.3.8"),
        ("dpv:hasJurisdiction", "EU", "8.3.9"),
        ("dpv:hasRight", {"@type": "dpv:DataSubjectRight", "dct:title": "Any"}, "8.3.10"),
    ],
)
def test_a_member_that_says_too_little_fails_its_row(
    active: Active, member: str, value: Json, row: str
) -> None:
    record = deepcopy(record_of(active))
    cast("JsonObject", record[PROCESS])[member] = value

    assert row in failing(record)


AGREED = st.fixed_dictionaries(
    {
        "purpose": st.sampled_from(Purpose),
        "operations": st.lists(st.sampled_from(Operation), min_size=1, unique=True),
        "completion": st.none() | st.sampled_from(CompletionKind).map(lambda k: Completion(kind=k)),
        "recipients": st.sampled_from([(), (COURIER,)]),
        "authority": st.sampled_from([None, BAKER]),
        "jurisdiction": st.sampled_from(sorted(GDPR_PLACES)) | st.text(min_size=2, max_size=35),
        "max_reads": st.integers(1, 100_000),
    }
)


@given(agreed=AGREED)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_agreed_the_record_fulfils_each_row(
    active: Active, agreed: dict[str, Any]
) -> None:
    terms = replace(active.agreement.terms, **agreed)

    record = record_of(Active(replace(active.agreement, terms=terms), active.receipt))

    assert failing(record) == set()
    assert of_dpv(named_in(record[PROCESS])) <= listed()


ANOTHER = did_jwk(MemorySigner.generate().public)
OTHERWISE: dict[str, Callable[[Terms], Any]] = {
    "purpose": lambda _: Purpose.DELIVERY,
    "claims": lambda terms: terms.claims[:1],
    "receiver": lambda terms: replace(terms.receiver, name="Another"),
    "custodian": lambda terms: replace(terms.custodian, did=ANOTHER),
    "operations": lambda _: (Operation.CONSULT,),
    "jurisdiction": lambda _: "CN",
    "notice": lambda terms: replace(terms.notice, language="zh"),
    "valid_until": lambda terms: terms.valid_until - DAY,
    "max_reads": lambda terms: terms.max_reads + 1,
    "withdrawal_endpoint": lambda _: "https://velo.example/elsewhere/{grant_id}",
    "recipients": lambda _: (COURIER,),
    "completion": lambda _: Completion(kind=CompletionKind.ORDER),
    "authority": lambda _: None,
    "incentive": lambda _: Incentive(points=5, rule="https://velo.example/rules"),
}
# Where the data and its receipt travel, and under which key: agreed, and nobody's business.
OF_THE_TRANSPORT = {"delivery_endpoint", "erasure_endpoint", "sealing_key"}


@pytest.mark.parametrize("name", OTHERWISE)
def test_whatever_is_agreed_otherwise_stands_otherwise_in_the_record(
    active: Active, name: str
) -> None:
    agreement = active.agreement
    terms = replace(agreement.terms, **{name: OTHERWISE[name](agreement.terms)})

    other = record_of(Active(replace(agreement, terms=terms), active.receipt))

    assert other != record_of(active)
    assert failing(other) == set()
    assert of_dpv(named_in(other)) <= listed()


def test_nothing_that_is_agreed_is_forgotten_by_the_record() -> None:
    assert {field.name for field in fields(Terms)} == OTHERWISE.keys() | OF_THE_TRANSPORT


def test_pauses_stand_between_the_beginning_and_the_end(
    street_in_memory: Street, active: Active
) -> None:
    by = active.agreement.holder
    at = street_in_memory.clock.advance(DAY)
    pause = ConsentEvent(status=ConsentStatus.PAUSED, at=at, by=by)
    suspended = active.suspend()

    record = consent_record(ConsentHistory.of(suspended, [pause]))

    statuses = cast("list[JsonObject]", record[STATUS])
    assert failing(record) == set()
    assert [status["@type"] for status in statuses] == [
        ["dpv:ConsentGiven", "dpv:ExplicitlyExpressedConsent"],
        "dpv:ConsentUnknown",
    ]
    with pytest.raises(Misuse):
        ConsentHistory.of(suspended)


def test_each_end_names_its_state_and_who_said_so(street_in_memory: Street, active: Active) -> None:
    at = street_in_memory.clock.advance(DAY)
    agreement = active.agreement
    terms = agreement.terms

    def last(state: State) -> tuple[ConsentStatus, str]:
        event = ConsentHistory.of(state).events[-1]
        return event.status, event.by

    assert last(active.withdraw(at)) == (ConsentStatus.WITHDRAWN, agreement.holder)
    assert last(active.complete(at)) == (ConsentStatus.EXPIRED, terms.completer)
    assert last(active.terminate(at)) == (ConsentStatus.REVOKED, terms.receiver.did)
    assert last(active.expire()) == (ConsentStatus.EXPIRED, terms.custodian.did)


def test_what_a_law_keeps_and_what_the_proof_lacks_stand_in_the_record(
    street_in_memory: Street, active: Active
) -> None:
    at = street_in_memory.clock.advance(DAY)
    erased = active.withdraw(at).erase(at, Level.E2)
    kept = Retained(claims=(FRAME,), kind=ClaimKind.PURCHASE, law="a law", until=at + DAY)
    erased = replace(
        erased, retained=(kept,), lacks=(Lack(Missing.LEASE_LOG),), backups_until=at + 7 * DAY
    )

    record = record_of(erased)

    assert failing(record) == set()
    erasure = cast("JsonObject", record["counterfoil:erasure"])
    assert erasure["counterfoil:level"] == "E2"
    (retained,) = cast("list[JsonObject]", erasure["counterfoil:retained"])
    assert retained["counterfoil:law"] == "a law"
    assert erasure["counterfoil:lacks"] == ["closed-lease-log"]
    assert "2026" in str(erasure["counterfoil:backups-until"])


def test_an_erased_grant_ended_when_it_was_said_to_and_not_when_it_was_erased(
    street_in_memory: Street, active: Active
) -> None:
    said_at = street_in_memory.clock.advance(DAY)
    erased = active.withdraw(said_at).erase(said_at + 3 * DAY, Level.E1)

    events = ConsentHistory.of(erased).events

    assert (events[-1].status, events[-1].at) == (ConsentStatus.WITHDRAWN, said_at)
    assert failing(record_of(erased)) == set()


def test_no_claim_value_is_in_a_record_or_a_receipt(
    street_in_memory: Street, active: Active
) -> None:
    receipt = consent_receipt(ConsentHistory.of(active), active.receipt)
    texts = [str(record_of(state)) for state in every_state(street_in_memory, active)]

    assert not [value for value in CANARIES for text in [*texts, str(receipt)] if value in text]


def test_a_receipt_that_the_receiver_did_not_sign_is_not_exported(
    street_in_memory: Street, active: Active
) -> None:
    another, _ = street_in_memory.granted()

    with pytest.raises(Refused) as refusal:
        consent_receipt(ConsentHistory.of(active), another.receipt)

    assert refusal.value.codes == ["grant-mismatch"]


# Terms of DPV: the list beside this file, and with COUNTERFOIL_DPV the vocabulary itself.


def listed() -> frozenset[str]:
    return frozenset((FOLDER / "terms.txt").read_text(encoding="utf-8").split())


def named_in(value: Json) -> set[str]:
    """Give the names of DPV that a document uses: as member, type or identifier."""
    match value:
        case dict():
            inner = [named_in(each) for name, each in value.items() if name != "@context"]
            return set[str]().union(set(value) - {"@context"}, *inner)
        case list():
            return set[str]().union(*map(named_in, value))
        case str():
            return {value}
        case _:
            return set()


def of_dpv(names: set[str]) -> set[str]:
    return {name for name in names if re.match(r"(dpv|dpv-27560|eu-gdpr|loc|pd|tech):[\w-]", name)}


def test_every_term_of_an_export_exists_in_dpv(street_in_memory: Street, active: Active) -> None:
    used: set[str] = set()
    for state in every_state(street_in_memory, active):
        used |= of_dpv(named_in(record_of(state)))
    used |= of_dpv(named_in(consent_receipt(ConsentHistory.of(active), active.receipt)))
    rich, _ = street_in_memory.granted(
        recipients=[COURIER],
        operations=[Operation.SHARE],
        completion=Completion(kind=CompletionKind.ORDER),
        jurisdiction="CN",
    )
    used |= of_dpv(named_in(record_of(rich)))
    lists = (Purpose, Necessity, Operation, ConsentStatus)
    used |= {member.value for names in lists for member in names}
    used |= {f"loc:{place}" for place in GDPR_PLACES}

    assert len(used) > 80
    assert used <= listed()
    assert "dpv:ConsentTerminated" not in listed()


def test_every_term_that_our_source_and_pages_name_exists_in_dpv() -> None:
    root = FOLDER.parents[2]
    pages = [*root.glob("consent/**/*.py"), *root.glob("consent/*.md"), *root.glob("docs/**/*.md")]
    named = {
        name
        for page in pages
        for name in re.findall(
            r"\b(?:dpv|dpv-27560|eu-gdpr|loc):[A-Za-z][\w-]*", page.read_text(encoding="utf-8")
        )
    }

    assert "dpv:DirectMarketing" in named
    assert named <= listed()


def test_every_prefix_of_an_export_is_declared_inside_it(active: Active) -> None:
    schemes = {str(name).partition(":")[0] for name in graph_of(record_of(active)).predicates()}

    assert schemes <= {"http", "https", "urn"}
    assert all(isinstance(uri, str) for uri in CONTEXT.values())


def test_the_list_of_terms_is_that_of_the_vocabulary() -> None:
    root = os.environ.get("COUNTERFOIL_DPV")
    if not root:
        pytest.skip("no COUNTERFOIL_DPV: the Data Privacy Vocabulary 2.3 is not here")
    files = {
        "dpv": "2.3/dpv/dpv.ttl",
        "eu-gdpr": "2.3/legal/eu/gdpr/eu-gdpr.ttl",
        "loc": "2.3/loc/loc.ttl",
        "dpv-27560": "schema/dpv-27560.ttl",
    }
    published = {
        f"{prefix}:{name}"
        for prefix, path in files.items()
        for name in re.findall(
            rf"^{prefix}:([\w-]+) a ", (Path(root) / path).read_text(encoding="utf-8"), re.MULTILINE
        )
        if prefix != "loc" or re.fullmatch("[A-Z]{2}|EEA", name)
    }

    assert listed() == published
