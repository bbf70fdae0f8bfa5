"""The checks over ends: what must be gone, who signed that it is, and what may stay."""

from datetime import timedelta
from typing import Final, assert_never

from counterfoil_credentials.dids import key_of_did_jwk
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.sdjwt_vc import read_credential

from counterfoil_consent.artefacts import KeyDestruction, Receipt, StopNotice
from counterfoil_consent.audit_evidence import Case, Evidence, Notes
from counterfoil_consent.dossier import Paper
from counterfoil_consent.erasure import read_recipients, read_released, read_retained
from counterfoil_consent.erasure_proof import verify_erasure_receipt
from counterfoil_consent.events import Parties, read_end, read_pause
from counterfoil_consent.figures import end_times_in
from counterfoil_consent.grant import grant_digest_of
from counterfoil_consent.receiver import ERASE_WITHIN
from counterfoil_consent.recipient_receipt import RecipientReceipt
from counterfoil_consent.spec import ERASURE_TYP
from counterfoil_consent.states import Agreement, Trigger
from counterfoil_consent.usage import Usage
from counterfoil_consent.wire import SKEW, digest_of, read_artefact, refuse

LIVE: Final = frozenset({"granted", "active", "suspended"})


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

    A did:jwk is its key: it cannot be exchanged, and it is valid as long as the grant.
    """
    for case in evidence.cases():
        if case.receiver is not None and case.receiver.agreement != case.agreement:
            notes.wrong(f"{case.grant_id}: the receiver holds to other terms than the customer")
        for who, papers in case.papers():
            for paper, token in papers.items():
                with notes.reading(f"{case.grant_id}: {paper.value} of the {who}"):
                    _verify(case, paper, token, evidence)
                    notes.fine(f"{case.grant_id}: {paper.value} of the {who}")
        if case.custodian is not None and case.custodian.statement is not None:
            with notes.reading(f"{case.grant_id}: key_destruction of the custodian"):
                _verify(case, Paper.KEY_DESTRUCTION, case.custodian.statement, evidence)
                notes.fine(f"{case.grant_id}: key_destruction of the custodian")


def _verify(case: Case, paper: Paper, token: str, evidence: Evidence) -> None:
    """Return only if the paper is good; raises `Refused` or `Malformed`."""
    agreement, grant_id = case.agreement, case.grant_id
    terms = agreement.terms
    receiver, custodian = terms.receiver.did, terms.custodian.did
    match paper:
        case Paper.RECEIPT:
            digest = agreement.grant_digest
            read = Receipt.read(token, receiver=receiver, grant_id=grant_id, grant_digest=digest)
            if not agreement.granted_at - SKEW <= read.received_at < terms.valid_until:
                raise _out_of_time("receipt")
        case Paper.STOP_NOTICE:
            notice = StopNotice.read(token, receiver=receiver, grant_id=grant_id)
            if not agreement.granted_at - SKEW <= notice.stopped_at <= evidence.now + SKEW:
                raise _out_of_time("stop_notice")
        case Paper.KEY_DESTRUCTION:
            said = KeyDestruction.read(token, custodian=custodian, grant_id=grant_id)
            if not said.ended_at <= said.destroyed_at <= evidence.now + SKEW:
                raise _out_of_time("key_destruction")
        case Paper.ERASURE_RECEIPT:
            verify_erasure_receipt(token, agreement=agreement, now=evidence.now)
        case Paper.END:
            read_end(
                token,
                grant_id=grant_id,
                parties=Parties.of(agreement),
                audience=terms.receiver.client_id,
                now=evidence.now,
            )
        case Paper.PAUSE:
            read_pause(
                token,
                grant_id=grant_id,
                holder=agreement.holder,
                audience=terms.receiver.client_id,
            )
        case Paper.REQUEST:
            if digest_of(token) != agreement.request_digest:
                raise refuse("request-mismatch", "the request of this grant", "another", "request")
        case Paper.GRANT:
            _verify_grant(agreement, token)
        case Paper.USAGE:
            Usage.read(token, custodian=custodian, grant_id=grant_id)
        case _:
            assert_never(paper)


def _verify_grant(agreement: Agreement, token: str) -> None:
    """Return only if the holder signed these very terms."""
    credential = read_credential(SdJwt.parse(token, "grant"))
    claims = credential.verify(key_of_did_jwk(agreement.holder, "grant.iss")).claims
    signed = (grant_digest_of(token), claims.get("grant_id"), claims.get("terms"))
    if signed != (agreement.grant_digest, agreement.grant_id, agreement.terms.to_json()):
        raise refuse("grant-mismatch", "this grant", "another", "grant")


def _out_of_time(where: str) -> Refused:
    return refuse("times-out-of-order", "a time within the grant's", "another", where)


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
        times = end_times_in(case.agreement, case.all_papers())
        if times is None:
            notes.fine(f"{case.grant_id}: no end yet")
        elif times.is_overdue(evidence.now):
            notes.wrong(f"{case.grant_id}: ended, and no erasure receipt in time")
        else:
            notes.unknown(f"{case.grant_id}: ended, the erasure receipt is not due yet")


def kept_has_law_and_end(evidence: Evidence, notes: Notes) -> None:
    """Check 7: what is kept names a law that asks for it and an end, and is gone after that."""
    for case in evidence.cases():
        receipt = case.all_papers().get(Paper.ERASURE_RECEIPT)
        if receipt is None:
            continue
        with notes.reading(f"{case.grant_id}: the erasure receipt"):
            verify_erasure_receipt(receipt, agreement=case.agreement, now=evidence.now)
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
