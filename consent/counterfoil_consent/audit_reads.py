"""The checks over reads: leases, counts, times, and the chains that hold them."""

from collections import Counter
from datetime import datetime, timedelta

from counterfoil_credentials.encoding import optional_text_at
from counterfoil_credentials.errors import Malformed, Refused

from counterfoil_consent.access_log import AccessEvent, head_of, read_chain
from counterfoil_consent.anchor_tree import Tag
from counterfoil_consent.anchoring import Ticket, anchored_in
from counterfoil_consent.artefacts import KeyDestruction, StopNotice
from counterfoil_consent.audit_evidence import AnchorFiles, Case, Evidence, Notes
from counterfoil_consent.custodian import LEASE_LENGTH
from counterfoil_consent.dossier import ReceiverGrant
from counterfoil_consent.papers import Paper
from counterfoil_consent.spec import ERASURE_TYP
from counterfoil_consent.usage import Usage
from counterfoil_consent.wire import GrantId, read_artefact


def reads_have_leases(evidence: Evidence, notes: Notes) -> None:
    """Check 2: each read has a lease of its own that the custodian counted, and its purpose."""
    for case in evidence.cases():
        grant, terms = case.receiver, case.agreement.terms
        if grant is None:
            continue
        events = _events(case, notes)
        if events is None:
            continue
        _say_of_leases(case, grant, events, notes)
        for event in events:
            named = f"{case.grant_id}: read {event.number}"
            if event.purpose is not terms.purpose:
                notes.wrong(f"{named} was for {event.purpose.value}")
            if not set(event.claims) <= terms.claim_names:
                notes.wrong(f"{named} opened claims that were not granted")
        counted = None if case.custodian is None else case.custodian.reads
        beyond = [event.read for event in events if counted is not None and event.read > counted]
        if counted is None:
            notes.unknown(f"{case.grant_id}: {len(events)} reads, and no custodian to ask")
        elif beyond:
            notes.wrong(f"{case.grant_id}: leases {beyond}, and the custodian gave {counted}")
        else:
            notes.fine(f"{case.grant_id}: {len(events)} reads for {terms.purpose.value}")


def _say_of_leases(
    case: Case, grant: ReceiverGrant, events: tuple[AccessEvent, ...], notes: Notes
) -> None:
    leases = Counter(event.lease for event in events)
    numbers = Counter(event.read for event in events)
    if any(times > 1 for times in (*leases.values(), *numbers.values())):
        notes.wrong(f"{case.grant_id}: one lease served several reads")
    if grant.leases is None:
        return
    for event in events:
        if grant.leases.get(event.lease) != event.read:
            notes.wrong(f"{case.grant_id}: read {event.number} is under a lease never answered")


def counts_agree(evidence: Evidence, notes: Notes) -> None:
    """Check 3: custodian, receiver and customer count the same leases.

    A lease that was lent and lost on its way is in the receiver's log, without an answer.
    """
    for case in evidence.cases():
        if case.receiver is None or case.custodian is None or case.customer is None:
            missing = [
                name
                for name, there in (
                    ("receiver", case.receiver),
                    ("custodian", case.custodian),
                    ("customer", case.customer),
                )
                if there is None
            ]
            notes.unknown(f"{case.grant_id}: no count of the {', '.join(missing)}")
            continue
        events = _events(case, notes)
        if events is None:
            continue
        counted, leases = case.custodian.reads, case.receiver.leases
        # Lent and not answered, or answered and then refused by what was inside.
        unopened = 0 if leases is None else len(leases) - len({e.lease for e in events})
        if not len(events) <= counted <= len(events) + max(0, unopened):
            notes.wrong(
                f"{case.grant_id}: the custodian gave {counted} leases, the receiver's log"
                f" has {len(events)} reads and {max(0, unopened)} leases without one"
            )
            continue
        _compare_history(case, events, counted, notes)


def _compare_history(
    case: Case, events: tuple[AccessEvent, ...], counted: int, notes: Notes
) -> None:
    customer, party = case.customer, case.agreement.terms.custodian
    if customer is None:
        return
    known: tuple[int, datetime] | None = None
    with notes.reading(f"{case.grant_id}: the custodian's word to the customer"):
        if (token := customer.papers.get(Paper.KEY_DESTRUCTION)) is not None:
            said = KeyDestruction.read(token, custodian=party.did, grant_id=case.grant_id)
            known = said.leases, said.destroyed_at
        elif (token := customer.papers.get(Paper.USAGE)) is not None:
            usage = Usage.read(token, custodian=party.did, grant_id=case.grant_id)
            known = usage.reads, usage.at
    if known is None:
        notes.unknown(f"{case.grant_id}: the customer never asked how often")
        return
    reads, at = known
    # Papers tell whole seconds: what happened within the same one may be before or after.
    by_then = sum(event.at < at for event in events)
    if not by_then <= reads <= counted:
        notes.wrong(
            f"{case.grant_id}: the customer was told {reads} by {at.isoformat()},"
            f" the receiver's log has {by_then} by then, the custodian counts {counted}"
        )
    else:
        notes.fine(f"{case.grant_id}: {counted} leases, {reads} told by {at.isoformat()}")


def no_read_after_the_end(evidence: Evidence, notes: Notes) -> None:
    """Check 4: no read later than the end and the length of one lease, whoever tells of the end."""
    custodian = evidence.custodian
    lease = LEASE_LENGTH if custodian is None else timedelta(seconds=custodian.lease_s)
    for case in evidence.cases():
        if case.receiver is None:
            continue
        events = _events(case, notes)
        if events is None:
            continue
        ended_at = _ended_at(case, notes)
        late = [event for event in events if event.at - ended_at > lease]
        for event in late:
            notes.wrong(
                f"{case.grant_id}: read {event.number} at {event.at.isoformat()},"
                f" ended at {ended_at.isoformat()}"
            )
        if not late:
            notes.fine(f"{case.grant_id}: {len(events)} reads, none after {ended_at.isoformat()}")


def logs_are_whole(evidence: Evidence, notes: Notes) -> None:
    """Check 10: chains unbroken, the customer's copy a part of them, heads in other hands."""
    anchor = evidence.anchor
    if anchor is not None:
        if anchor.trouble is not None:
            notes.wrong(f"the anchor: {anchor.trouble}")
        for batch in anchor.batches:
            if anchor.roots.get(batch.number) != batch.root:
                notes.wrong(f"the batch {batch.number} is not what its root says")
    for case in evidence.cases():
        grant = case.receiver
        if grant is None:
            continue
        with notes.reading(f"{case.grant_id}: the log of reads"):
            read_chain(
                grant.events, receiver=case.agreement.terms.receiver.did, grant_id=case.grant_id
            )
            _compare_heads(case, grant, anchor, notes)


def _compare_heads(
    case: Case, grant: ReceiverGrant, anchor: AnchorFiles | None, notes: Notes
) -> None:
    copy = () if case.customer is None else case.customer.events
    if copy != grant.events[: len(copy)]:
        notes.wrong(f"{case.grant_id}: the customer holds events that are not in the log")
        return
    receipt = case.all_papers().get(Paper.ERASURE_RECEIPT)
    if receipt is not None:
        _compare_head(case, grant, receipt, notes)
    else:
        _find_anchored(case, grant, anchor, notes)


def _compare_head(case: Case, grant: ReceiverGrant, receipt: str, notes: Notes) -> None:
    with notes.reading(f"{case.grant_id}: the erasure receipt"):
        receiver = case.agreement.terms.receiver.did
        claims = read_artefact(receipt, typ=ERASURE_TYP, by=receiver, where="erasure_receipt")
        head = optional_text_at(claims, "access_log_head", "erasure_receipt")
        if head is None:
            notes.unknown(f"{case.grant_id}: the erasure receipt states no head")
        elif head != head_of(case.grant_id, grant.events):
            notes.wrong(f"{case.grant_id}: the log is not the one whose head the receipt states")
        else:
            notes.fine(f"{case.grant_id}: {len(grant.events)} events, head in the receipt")


def _find_anchored(
    case: Case, grant: ReceiverGrant, anchor: AnchorFiles | None, notes: Notes
) -> None:
    heads = {head_of(case.grant_id, grant.events[:end]) for end in range(len(grant.events) + 1)}
    tickets = [ticket for ticket in grant.tickets if ticket.tag is Tag.ACCESS_LOG]
    if any(ticket.digest not in heads for ticket in tickets):
        notes.wrong(f"{case.grant_id}: a head was anchored that this log never had")
        return
    if not grant.events:
        notes.fine(f"{case.grant_id}: no read, nothing to anchor")
        return
    last = head_of(case.grant_id, grant.events)
    ticket = next((each for each in tickets if each.digest == last), None)
    if ticket is None or anchor is None:
        notes.unknown(f"{case.grant_id}: {len(grant.events)} events in a chain, head not anchored")
        return
    _look_up(case.grant_id, ticket, anchor, notes)


def _look_up(grant_id: GrantId, ticket: Ticket, anchor: AnchorFiles, notes: Notes) -> None:
    try:
        number = anchored_in(ticket, anchor.batches, dict(anchor.roots))
    except Refused:
        if ticket.number > max(anchor.roots, default=-1):
            notes.unknown(f"{grant_id}: the head waits for the batch {ticket.number}")
        else:
            notes.wrong(f"{grant_id}: the head is under no published root")
    else:
        notes.fine(f"{grant_id}: head anchored in the batch {number}")


def _events(case: Case, notes: Notes) -> tuple[AccessEvent, ...] | None:
    """Give the receiver's events; what is wrong with the chain, check 10 says."""
    if case.receiver is None:
        return None
    try:
        return read_chain(
            case.receiver.events,
            receiver=case.agreement.terms.receiver.did,
            grant_id=case.grant_id,
        )
    except (Malformed, Refused):
        notes.unknown(f"{case.grant_id}: the log of reads cannot be read as a chain")
        return None


def _ended_at(case: Case, notes: Notes) -> datetime:
    """Give the earliest end that custodian or receiver knew of; the agreed one if there is none."""
    found = [case.agreement.terms.valid_until]
    if case.custodian is not None and case.custodian.ended_at is not None:
        found.append(case.custodian.ended_at)
    party = case.agreement.terms.custodian
    for _, papers in case.papers():
        with notes.reading(f"{case.grant_id}: a paper of the end"):
            if (token := papers.get(Paper.KEY_DESTRUCTION)) is not None:
                read = KeyDestruction.read(token, custodian=party.did, grant_id=case.grant_id)
                found.append(read.ended_at)
            if (token := papers.get(Paper.STOP_NOTICE)) is not None:
                receiver = case.agreement.terms.receiver.did
                notice = StopNotice.read(token, receiver=receiver, grant_id=case.grant_id)
                found.append(notice.stopped_at)
    if len(found) == 1 and any(Paper.END in papers for _, papers in case.papers()):
        notes.unknown(f"{case.grant_id}: somebody ended it, and nobody has said when that arrived")
    return min(found)
