"""The checks over what is published: notices, status lists, figures, and the customer's record."""

from datetime import datetime

from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import Malformed, Refused

from counterfoil_consent.anchoring import list_rollbacks
from counterfoil_consent.audit_evidence import Case, Evidence, Notes
from counterfoil_consent.dossier import CustomerGrant, SeenList
from counterfoil_consent.figures import EndTimes, Figures, end_times_in, figures_of
from counterfoil_consent.papers import Paper
from counterfoil_consent.usage import Custodial, Usage
from counterfoil_consent.wire import digest_of, seconds


def notices_are_as_agreed(evidence: Evidence, notes: Notes) -> None:
    """Check 8: the text that she saw, the text that is published, and the digest are one."""
    for case in evidence.cases():
        sha256 = case.agreement.terms.notice.sha256
        if case.customer is not None and digest_of(case.customer.notice) != sha256:
            notes.wrong(f"{case.grant_id}: the customer saw another text")
        if evidence.receiver is None:
            notes.unknown(f"{case.grant_id}: no text of the receiver")
            continue
        text = evidence.receiver.notices.get(sha256)
        if case.receiver is None:
            notes.unknown(f"{case.grant_id}: the receiver does not list this grant")
        elif text is None:
            notes.wrong(f"{case.grant_id}: the notice is not published any more")
        elif digest_of(text) != sha256:
            notes.wrong(f"{case.grant_id}: another text stands where the notice was")
        else:
            notes.fine(f"{case.grant_id}: the notice {sha256}")


def lists_never_went_back(evidence: Evidence, notes: Notes) -> None:
    """Check 11: no status list is older than one before it, as anchored and as relied on."""
    anchor = evidence.anchor
    batches = () if anchor is None else anchor.batches
    sound = [b for b in batches if anchor is not None and anchor.roots.get(b.number) == b.root]
    for url, number in list_rollbacks(sound):
        notes.wrong(f"{url}: the list in the batch {number} is older than one before")
    anchored = {
        (opening.url, opening.listed_at): opening.sha256
        for batch in sound
        for opening in batch.lists
    }
    seen = () if evidence.receiver is None else evidence.receiver.lists
    newest: dict[str, SeenList] = {}
    for each in sorted(seen, key=lambda each: each.seen_at):
        before = newest.get(each.url)
        at = each.seen_at.isoformat()
        if before is not None and each.listed_at < before.listed_at:
            notes.wrong(f"{each.url}: at {at} the receiver relied on an older list than before")
        elif before is not None and _differ(before, each):
            notes.wrong(f"{each.url}: at {at} another list of the same time")
        else:
            newest[each.url] = each
        found = anchored.get((each.url, seconds(each.listed_at)))
        if found is None:
            notes.unknown(f"{each.url}: the list relied on at {at} is not anchored")
        elif found != each.sha256:
            notes.wrong(f"{each.url}: the list relied on at {at} is not the one anchored")
        else:
            notes.fine(f"{each.url}: the list relied on at {at} is anchored")
    if not seen and anchored:
        notes.unknown("the receiver shows no list that it relied on")


def _differ(one: SeenList, other: SeenList) -> bool:
    return one.listed_at == other.listed_at and one.sha256 != other.sha256


def figures_are_true(evidence: Evidence, notes: Notes) -> None:
    """Check 12: what was published is what the signed papers of all say."""
    dossier = evidence.receiver
    if dossier is None or dossier.figures is None:
        return
    with notes.reading("the published figures"):
        published, at = Figures.read(dossier.figures, receiver=dossier.did)
        ends: list[EndTimes] = []
        for case in evidence.cases():
            if case.agreement.terms.receiver.did != dossier.did:
                continue
            with notes.reading(f"{case.grant_id}: the papers of the end"):
                times = end_times_in(case.agreement, case.all_papers())
                if times is not None:
                    ends.append(times)
        again = figures_of(ends, since=published.since, until=published.until, now=at)
        said = f"{published.overdue} of {published.ended} overdue, {published.median_stop_s} s"
        if again != published:
            found = f"{again.overdue} of {again.ended} overdue, {again.median_stop_s} s"
            notes.wrong(f"published {said}; the papers say {found}")
        else:
            notes.fine(f"{said}, {published.since.isoformat()} to {published.until.isoformat()}")


def records_are_complete(evidence: Evidence, notes: Notes) -> None:
    """Check 14: the exported record has what the profile requires, and says what was signed.

    DPVCG guide to ISO/IEC TS 27560, sections 8.1 to 8.5, the rows marked as required.
    """
    for case in evidence.cases():
        grant = case.customer
        if grant is None:
            continue
        if grant.record is None:
            notes.unknown(f"{case.grant_id}: no record was exported")
            continue
        missing = _missing(grant.record)
        if missing:
            notes.wrong(f"{case.grant_id}: the record lacks {', '.join(missing)}")
        made_at = evidence.now if evidence.customer is None else evidence.customer.made_at
        differing = _differing(case, grant, grant.record, made_at)
        if differing:
            notes.wrong(f"{case.grant_id}: the record says another {', '.join(differing)}")
        if not missing and not differing:
            notes.fine(f"{case.grant_id}: the record has every required row")


_REQUIRED = (
    *("dct:conformsTo", "dct:identifier", "dpv:hasDataSubject", "dpv:hasNotice"),
    *("dpv:hasProcess", "dpv:hasEntity", "dpv:hasConsentStatus"),
)
_REQUIRED_IN_PROCESS = (
    *("dpv:hasPurpose", "dpv:hasPersonalData", "dpv:hasProcessing", "dpv:hasStorageCondition"),
    *("dpv:hasDataController", "dpv:hasLegalBasis", "dpv:hasRecipient", "dpv:hasConsentControl"),
    *("dpv:hasJurisdiction", "dpv:hasRight", "dpv:hasDuration"),
)
_ENDS = ("dpv:ConsentWithdrawn", "dpv:ConsentRevoked", "dpv:ConsentExpired")


def _missing(record: JsonObject) -> list[str]:
    process = record.get("dpv:hasProcess")
    inside: JsonObject = process if isinstance(process, dict) else {}
    return [
        *(name for name in _REQUIRED if not record.get(name)),
        *(name for name in _REQUIRED_IN_PROCESS if not inside.get(name)),
    ]


def _differing(
    case: Case, grant: CustomerGrant, record: JsonObject, made_at: datetime
) -> list[str]:
    terms = case.agreement.terms
    process = record.get("dpv:hasProcess")
    inside: JsonObject = process if isinstance(process, dict) else {}
    notice = record.get("dpv:hasNotice")
    sha256 = notice.get("counterfoil:sha-256") if isinstance(notice, dict) else None
    says_so = any(end in _types(record.get("dpv:hasConsentStatus")) for end in _ENDS)
    profile = record.get("dct:conformsTo")
    named = profile.get("@id") if isinstance(profile, dict) else None
    compared: tuple[tuple[str, object, object], ...] = (
        ("profile", str(named).startswith("dpv-27560:record"), True),
        ("grant", record.get("dct:identifier"), case.grant_id),
        ("digest", record.get("counterfoil:grant-sha-256"), case.agreement.grant_digest),
        ("purpose", inside.get("dpv:hasPurpose"), {"@id": terms.purpose.value}),
        ("controller", inside.get("dpv:hasDataController"), {"@id": terms.receiver.did}),
        ("notice", sha256, terms.notice.sha256),
        ("status", says_so, _has_ended(case, grant, made_at, says_so=says_so)),
    )
    return [name for name, found, expected in compared if found != expected]


def _has_ended(case: Case, grant: CustomerGrant, made_at: datetime, *, says_so: bool) -> bool:
    if Paper.END in grant.papers or Paper.ERASURE_RECEIPT in grant.papers:
        return True
    usage = grant.papers.get(Paper.USAGE)
    if usage is not None:
        party = case.agreement.terms.custodian
        try:
            used = Usage.read(usage, custodian=party.did, grant_id=case.grant_id)
        except (Malformed, Refused):
            used = None  # check 5 names it
        if used is not None and used.state is Custodial.ENDED:
            return True
    # A record does not say when it was exported: it may be from before the term was over.
    return says_so and made_at >= case.agreement.terms.valid_until


def _types(statuses: Json) -> set[str]:
    found: set[str] = set()
    for status in statuses if isinstance(statuses, list) else []:
        kinds = status.get("@type") if isinstance(status, dict) else None
        found |= {str(kind) for kind in (kinds if isinstance(kinds, list) else [kinds])}
    return found
