"""The checks over ends: what must be gone, who signed that it is, and what may stay."""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from counterfoil_consent.artefacts import KeyDestruction
from counterfoil_consent.audit_evidence import Case, Evidence, Notes
from counterfoil_consent.erasure import read_recipients, read_released, read_retained
from counterfoil_consent.erasure_proof import require_nothing_forgotten, verify_erasure_receipt
from counterfoil_consent.figures import EndTimes, end_times_in
from counterfoil_consent.papers import Paper, verify_paper
from counterfoil_consent.receiving import ERASE_WITHIN
from counterfoil_consent.recipient_receipt import RecipientReceipt
from counterfoil_consent.spec import ERASURE_TYP
from counterfoil_consent.states import Erased, Trigger
from counterfoil_consent.wire import instant_at, read_artefact

LIVE: Final = frozenset({"granted", "active", "suspended"})
_RECEIPT: Final = Paper.ERASURE_RECEIPT


def ciphertexts_have_live_grants(evidence: Evidence, notes: Notes) -> None:
    """Check 1: ciphertext lies only where its grant is in force, whoever says that it is not."""
    if evidence.receiver is None:
        return
    for case in evidence.cases():
        grant = case.receiver
        if grant is None:
            continue
        if grant.ciphertext is None:
            notes.fine(f"{case.grant_id}: {grant.state}, no ciphertext")
            continue
        if grant.ciphertext != case.agreement.bundle_digest:
            notes.wrong(f"{case.grant_id}: the ciphertext is not the one that was granted")
        if grant.state not in LIVE:
            notes.wrong(f"{case.grant_id}: {grant.state}, and its ciphertext is still there")
            continue
        ended_at = None if case.custodian is None else case.custodian.ended_at
        ended_at = min(
            ended_at or case.agreement.terms.valid_until, case.agreement.terms.valid_until
        )
        if evidence.receiver.made_at - ended_at > ERASE_WITHIN:
            since = ended_at.isoformat()
            notes.wrong(f"{case.grant_id}: ended at {since}, and its ciphertext is still there")
        else:
            notes.fine(f"{case.grant_id}: {grant.state}, one ciphertext")


def papers_are_signed(evidence: Evidence, notes: Notes) -> None:
    """Check 5: each paper is signed by the key that the terms name, at a time that can be.

    What is said of a grant is worth what its holder signed: without her grant nothing is known.
    """
    for case in evidence.cases():
        if case.receiver is not None and case.receiver.agreement != case.agreement:
            notes.wrong(f"{case.grant_id}: the receiver holds to other terms than the customer")
        for who, papers in case.papers():
            for paper, token in papers.items():
                with notes.reading(f"{case.grant_id}: {paper.value} of the {who}"):
                    verify_paper(paper, token, case.agreement, now=evidence.now)
                    notes.fine(f"{case.grant_id}: {paper.value} of the {who}")
        _say_what_is_not_shown(case, notes)
        if case.custodian is not None and case.custodian.statement is not None:
            with notes.reading(f"{case.grant_id}: key_destruction of the custodian"):
                verify_paper(
                    Paper.KEY_DESTRUCTION,
                    case.custodian.statement,
                    case.agreement,
                    now=evidence.now,
                )
                notes.fine(f"{case.grant_id}: key_destruction of the custodian")


def _say_what_is_not_shown(case: Case, notes: Notes) -> None:
    if Paper.GRANT not in case.all_papers():
        notes.unknown(f"{case.grant_id}: nobody shows the grant that its holder signed")
    grant = case.receiver
    if grant is None:
        return
    for paper in _owed_in(grant.state):
        if paper not in grant.papers:
            notes.unknown(f"{case.grant_id}: {grant.state}, and shows no {paper.value}")


def _owed_in(state: str) -> tuple[Paper, ...]:
    if state == "erased":
        return (Paper.END, Paper.STOP_NOTICE, Paper.ERASURE_RECEIPT)
    if state in LIVE:
        return () if state == "granted" else (Paper.RECEIPT,)
    return (Paper.END, Paper.STOP_NOTICE)


def recipients_have_answered(evidence: Evidence, notes: Notes) -> None:
    """Check 6: those who signed that they erased are those whom the terms name, all of them."""
    for case in evidence.cases():
        named = {party.did: party.name for party in case.agreement.terms.recipients}
        receipt = case.all_papers().get(Paper.ERASURE_RECEIPT)
        if receipt is None:
            _say_whether_owed(case, evidence, notes)
            continue
        with notes.reading(f"{case.grant_id}: the erasure receipt"):
            receiver = case.agreement.terms.receiver.did
            claims = read_artefact(receipt, typ=ERASURE_TYP, by=receiver, where="erasure_receipt")
            answers = {answer.did: answer.receipt for answer in read_recipients(claims)}
            if set(answers) - set(named):
                notes.wrong(f"{case.grant_id}: a recipient that the terms do not name")
            for did, name in named.items():
                token = answers.get(did)
                if token is None:
                    notes.wrong(f"{case.grant_id}: no receipt of the recipient {name}")
                    continue
                with notes.reading(f"{case.grant_id}: the receipt of {name}"):
                    RecipientReceipt.read(
                        token,
                        recipient=did,
                        grant_id=case.grant_id,
                        granted=tuple(case.agreement.terms.claim_names),
                        now=evidence.now,
                    )
            notes.fine(f"{case.grant_id}: the terms name {len(named)} recipients")


def _say_whether_owed(case: Case, evidence: Evidence, notes: Notes) -> None:
    with notes.reading(f"{case.grant_id}: the papers of the end"):
        times = end_times_in(case.agreement, case.all_papers()) or _told_end(case, evidence.now)
        if times is None:
            notes.fine(f"{case.grant_id}: no end yet")
        elif times.is_overdue(evidence.now):
            notes.wrong(f"{case.grant_id}: ended, and no erasure receipt in time")
        else:
            notes.unknown(f"{case.grant_id}: ended, the erasure receipt is not due yet")


def _told_end(case: Case, now: datetime) -> EndTimes | None:
    """Give the end that the clock, the custodian or the receiver's state tells."""
    ends = [case.agreement.terms.valid_until]
    if case.custodian is not None and case.custodian.ended_at is not None:
        ends.append(case.custodian.ended_at)
    if case.receiver is not None and case.receiver.state not in LIVE:
        # It does not say since when: the grant is the earliest that it can be.
        ends.append(case.agreement.granted_at)
    ended_at = min(ends)
    return (
        None if ended_at > now else EndTimes(requested_at=ended_at, stopped_at=None, erased_at=None)
    )


def kept_has_law_and_end(evidence: Evidence, notes: Notes) -> None:
    """Check 7: what is kept names a law that asks for it and an end, and is gone after that."""
    for case in evidence.cases():
        receipt = case.all_papers().get(Paper.ERASURE_RECEIPT)
        if receipt is None:
            if _told_end(case, evidence.now) is not None:
                notes.unknown(f"{case.grant_id}: ended, and no receipt says what is kept")
            continue
        with notes.reading(f"{case.grant_id}: the erasure receipt"):
            _compare_receipts(case, evidence.now)
            receiver = case.agreement.terms.receiver.did
            claims = read_artefact(receipt, typ=ERASURE_TYP, by=receiver, where="erasure_receipt")
            kept = read_retained(claims)
            over = [item for item in kept if evidence.now - item.until >= timedelta(days=1)]
            for item in over:
                notes.wrong(f"{case.grant_id}: kept under {item.law} past {item.until.isoformat()}")
            for item in kept:
                if item not in over:
                    line = f"kept under {item.law} until {item.until.isoformat()}"
                    notes.fine(f"{case.grant_id}: {line}")
            released = read_released(claims)
            notes.fine(f"{case.grant_id}: {len(kept)} kept, {len(released)} released")


def _compare_receipts(case: Case, now: datetime) -> None:
    """Return only if all receipts are good, and the later keeps what the earlier said, no more."""
    tokens = {papers[_RECEIPT] for _, papers in case.papers() if _RECEIPT in papers}
    dated: list[tuple[datetime, Erased]] = []
    for token in sorted(tokens):
        erased = verify_erasure_receipt(token, agreement=case.agreement, now=now)
        receiver = case.agreement.terms.receiver.did
        claims = read_artefact(token, typ=ERASURE_TYP, by=receiver, where="erasure_receipt")
        dated.append((instant_at(claims, "iat", "erasure_receipt"), erased))
    dated.sort(key=lambda each: each[0])
    for (_, first), (at, second) in pairwise(dated):
        require_nothing_forgotten(first, second, at)


def tombstones_have_no_keys(evidence: Evidence, notes: Notes) -> None:
    """Check 9: where a grant has ended there is no key, at the custodian and at the receiver."""
    if evidence.custodian is not None:
        for row in evidence.custodian.grants:
            if row.is_destroyed and row.has_key:
                notes.wrong(f"{row.grant_id}: a tombstone with a key at the custodian")
            elif row.state in ("ended", "forgotten") and row.has_key:
                notes.wrong(f"{row.grant_id}: {row.state}, with a key at the custodian")
            elif row.state == "ended" and not row.is_destroyed:
                notes.wrong(f"{row.grant_id}: ended, without a tombstone at the custodian")
            elif row.is_destroyed:
                notes.fine(f"{row.grant_id}: a tombstone, no key at the custodian")
    for case in evidence.cases():
        grant = case.receiver
        is_theirs = (
            evidence.custodian is not None
            and evidence.custodian.did == case.agreement.terms.custodian.did
        )
        if is_theirs and case.custodian is None:
            notes.unknown(f"{case.grant_id}: the custodian does not list this grant")
        if grant is not None and grant.state not in LIVE:
            if grant.has_key:
                notes.wrong(f"{case.grant_id}: {grant.state}, with its key at the receiver")
            else:
                notes.fine(f"{case.grant_id}: {grant.state}, no key at the receiver")
        _compare_statement(case, evidence, notes)
    if evidence.custodian is None:
        notes.unknown("the custodian's keys and tombstones")


def _compare_statement(case: Case, evidence: Evidence, notes: Notes) -> None:
    """Hold the custodian to what it signed: a key that it destroyed is not there again."""
    row, party = case.custodian, case.agreement.terms.custodian
    for who, papers in case.papers():
        token = papers.get(Paper.KEY_DESTRUCTION)
        if token is None or evidence.custodian is None:
            continue
        with notes.reading(f"{case.grant_id}: key_destruction of the {who}"):
            said = KeyDestruction.read(token, custodian=party.did, grant_id=case.grant_id)
            if row is None or row.state != "ended":
                at = said.destroyed_at.isoformat()
                notes.wrong(f"{case.grant_id}: destroyed at {at}, and in force at the custodian")
            elif said.trigger is not (row.trigger or Trigger.EXPIRED):
                notes.wrong(f"{case.grant_id}: two statements about one end")
