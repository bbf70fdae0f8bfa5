"""One thing is changed in what three honest parties hand over, and one check names it."""

import random as seeded
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from counterfoil_consent.artefacts import KeyDestruction, Receipt, StopNotice
from counterfoil_consent.audit import audit
from counterfoil_consent.audit_evidence import AnchorFiles, Evidence, Status
from counterfoil_consent.dossier import SeenList
from counterfoil_consent.figures import end_times_in
from counterfoil_consent.papers import Paper
from counterfoil_consent.spec import ERASURE_TYP
from counterfoil_consent.states import Agreement, Trigger
from counterfoil_consent.wire import GrantId, digest_of, sign_artefact
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.encoding import Json, list_at
from counterfoil_credentials.jws import read_jws
from counterfoil_credentials.keys import MemorySigner

from tests.conftest import NOON, Clock
from tests.consent.audited import AuditedTown
from tests.consent.street import AUDIO
from tests.consent.town import SHARING

LIST = f"{AUDIO}/status-lists/1"


@dataclass(frozen=True)
class Honest:
    """Two grants, one in force and one ended with its recipients, and what all hand over."""

    evidence: Evidence
    live: GrantId
    ended: GrantId
    receiver_signer: MemorySigner
    custodian_signer: MemorySigner

    @property
    def papers(self) -> dict[Paper, str]:
        """What the customer holds about the grant that has ended."""
        assert self.evidence.customer is not None
        return next(
            dict(grant.papers)
            for grant in self.evidence.customer.grants
            if grant.agreement.grant_id == self.ended
        )

    @property
    def agreement(self) -> Agreement:
        assert self.evidence.customer is not None
        return next(
            grant.agreement
            for grant in self.evidence.customer.grants
            if grant.agreement.grant_id == self.ended
        )

    def with_paper(self, paper: Paper, token: str) -> Evidence:
        return self.at_customer(self.ended, papers={**self.papers, paper: token})

    def at_receiver(self, grant_id: GrantId, **changes: object) -> Evidence:
        dossier = self.evidence.receiver
        assert dossier is not None
        grants = tuple(
            replace(grant, **changes) if grant.agreement.grant_id == grant_id else grant  # type: ignore[arg-type]  # its fields
            for grant in dossier.grants
        )
        return replace(self.evidence, receiver=replace(dossier, grants=grants))

    def at_custodian(self, grant_id: GrantId, **changes: object) -> Evidence:
        dossier = self.evidence.custodian
        assert dossier is not None
        grants = tuple(
            replace(grant, **changes) if grant.grant_id == grant_id else grant  # type: ignore[arg-type]  # its fields
            for grant in dossier.grants
        )
        return replace(self.evidence, custodian=replace(dossier, grants=grants))

    def at_customer(self, grant_id: GrantId, **changes: object) -> Evidence:
        dossier = self.evidence.customer
        assert dossier is not None
        grants = tuple(
            replace(grant, **changes) if grant.agreement.grant_id == grant_id else grant  # type: ignore[arg-type]  # its fields
            for grant in dossier.grants
        )
        return replace(self.evidence, customer=replace(dossier, grants=grants))

    def anchored(self, **changes: object) -> Evidence:
        assert self.evidence.anchor is not None
        return replace(self.evidence, anchor=replace(self.evidence.anchor, **changes))  # type: ignore[arg-type]  # its fields

    def relied_on(self, *more: SeenList) -> Evidence:
        assert self.evidence.receiver is not None
        return replace(self.evidence, receiver=replace(self.evidence.receiver, lists=more))

    @property
    def anchor(self) -> AnchorFiles:
        assert self.evidence.anchor is not None
        return self.evidence.anchor

    @property
    def seen(self) -> SeenList:
        assert self.evidence.receiver is not None
        (seen,) = self.evidence.receiver.lists
        return seen


@pytest.fixture(scope="module")
def honest() -> Honest:
    clock = Clock(NOON)
    town = AuditedTown(clock, seeded.Random(7).randbytes)
    parties = tuple(workshop.party for workshop in town.workshops)
    live, ended = town.given(), town.given(recipients=parties, operations=SHARING)
    town.read(live, 2)
    town.ask_usage(live)
    opening = town.roots.add_status_list("a list", url=LIST, listed_at=clock())
    town.lists = [
        SeenList(url=LIST, listed_at=clock(), sha256=opening.sha256, seen_at=clock()),
    ]
    town.anchor_now()
    town.end(ended)
    town.publish_figures()
    evidence = town.evidence()
    found = {each.number: each for each in audit(evidence)}
    del found[13]  # nothing was planted
    assert {each.status for each in found.values()} == {Status.OK}, found
    return Honest(
        evidence,
        live.agreement.grant_id,
        ended.agreement.grant_id,
        town.receiver_signer,
        town.custodian_signer,
    )


def swapped(honest: Honest) -> Evidence:
    """Let a leaf of a published batch be another one."""
    (batch,) = honest.anchor.batches
    other = replace(batch, leaves=tuple(sorted([*batch.leaves[1:], bytes(32)])))
    return honest.anchored(batches=(other,))


def with_a_recipient_more(honest: Honest) -> Evidence:
    """Let the receipt name somebody whom the terms do not."""
    assert honest.evidence.receiver is not None
    papers = next(
        grant.papers
        for grant in honest.evidence.receiver.grants
        if grant.agreement.grant_id == honest.ended
    )
    claims = read_jws(papers[Paper.ERASURE_RECEIPT], typ=ERASURE_TYP, where="x").unverified_claims
    listed = list_at(claims, "recipients", "x")
    stranger = did_jwk(MemorySigner.generate().public)
    signed = sign_artefact(
        {**claims, "recipients": [*listed, {"did": stranger}]},
        typ=ERASURE_TYP,
        signer=honest.receiver_signer,
    )
    return honest.at_receiver(honest.ended, papers={**papers, Paper.ERASURE_RECEIPT: signed})


def destroyed_before_the_end(honest: Honest) -> Evidence:
    said = KeyDestruction.read(
        honest.papers[Paper.KEY_DESTRUCTION],
        custodian=honest.agreement.terms.custodian.did,
        grant_id=honest.ended,
    )
    early = replace(said, destroyed_at=said.ended_at - timedelta(seconds=1))
    return honest.with_paper(Paper.KEY_DESTRUCTION, early.sign(honest.custodian_signer))


def stopped_before_the_grant(honest: Honest) -> Evidence:
    said = StopNotice.read(
        honest.papers[Paper.STOP_NOTICE],
        receiver=honest.agreement.terms.receiver.did,
        grant_id=honest.ended,
    )
    early = replace(said, stopped_at=honest.agreement.granted_at - timedelta(minutes=2))
    return honest.with_paper(Paper.STOP_NOTICE, early.sign(honest.receiver_signer))


def received_after_the_end(honest: Honest) -> Evidence:
    said = Receipt.read(
        honest.papers[Paper.RECEIPT],
        receiver=honest.agreement.terms.receiver.did,
        grant_id=honest.ended,
        grant_digest=honest.agreement.grant_digest,
    )
    late = replace(said, received_at=honest.agreement.terms.valid_until)
    return honest.with_paper(Paper.RECEIPT, late.sign(honest.receiver_signer))


def ended_in_the_record_alone(honest: Honest) -> Evidence:
    assert honest.evidence.customer is not None
    record = next(
        grant.record
        for grant in honest.evidence.customer.grants
        if grant.agreement.grant_id == honest.live
    )
    assert record is not None
    statuses = list_at(record, "dpv:hasConsentStatus", "x")
    more: list[Json] = [*statuses, {"@type": "dpv:ConsentWithdrawn"}]
    return honest.at_customer(honest.live, record={**record, "dpv:hasConsentStatus": more})


Change = Callable[[Honest], Evidence]
CHANGES: dict[str, tuple[int, str, Change]] = {
    "an end in the record alone": (
        14,
        "the record says another status",
        ended_in_the_record_alone,
    ),
    "another ciphertext": (
        1,
        "the ciphertext is not the one that was granted",
        lambda h: h.at_receiver(h.live, ciphertext=digest_of("another")),
    ),
    "a ciphertext that stayed": (
        1,
        "erased, and its ciphertext is still there",
        lambda h: h.at_receiver(h.ended, ciphertext=digest_of("another")),
    ),
    "a key destroyed before its end": (
        5,
        "key_destruction of the customer: times-out-of-order",
        destroyed_before_the_end,
    ),
    "a stop before the grant": (
        5,
        "stop_notice of the customer: times-out-of-order",
        stopped_before_the_grant,
    ),
    "a receipt for what was over": (
        5,
        "receipt of the customer: times-out-of-order",
        received_after_the_end,
    ),
    "a recipient more": (6, "a recipient that the terms do not name", with_a_recipient_more),
    "another notice": (
        8,
        "the customer saw another text",
        lambda h: h.at_customer(h.live, notice="Read this instead."),
    ),
    "a key beside its tombstone": (
        9,
        "a tombstone with a key at the custodian",
        lambda h: h.at_custodian(h.ended, has_key=True),
    ),
    "a key without a row": (
        9,
        "forgotten, with a key at the custodian",
        lambda h: h.at_custodian(h.ended, state="forgotten", has_key=True, is_destroyed=False),
    ),
    "an end without a tombstone": (
        9,
        "ended, without a tombstone at the custodian",
        lambda h: h.at_custodian(h.ended, is_destroyed=False),
    ),
    "a sealing key that stayed": (
        9,
        "erased, with its key at the receiver",
        lambda h: h.at_receiver(h.ended, has_key=True),
    ),
    "another end": (
        9,
        "two statements about one end",
        lambda h: h.at_custodian(h.ended, trigger=Trigger.COMPLETED),
    ),
    "a leaf that was exchanged": (10, "is not what its root says", swapped),
    "roots that cannot be read": (
        10,
        "the anchor: torn",
        lambda h: h.anchored(trouble="torn"),
    ),
    "a list that was not anchored so": (
        11,
        "is not the one anchored",
        lambda h: h.relied_on(replace(h.seen, sha256=digest_of("another list"))),
    ),
    "two lists of one time": (
        11,
        "another list of the same time",
        lambda h: h.relied_on(
            h.seen,
            replace(
                h.seen,
                sha256=digest_of("another list"),
                seen_at=h.seen.seen_at + timedelta(seconds=1),
            ),
        ),
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_one_change_is_named_by_its_check(honest: Honest, name: str) -> None:
    number, text, change = CHANGES[name]

    finding = audit(change(honest))[number - 1]

    assert finding.status is Status.FAILED, finding
    assert [line for line in finding.evidence if line.startswith("wrong: ") and text in line]


def test_a_receiver_that_promises_itself_years_is_overdue_after_the_laws_month(
    honest: Honest,
) -> None:
    said = Receipt.read(
        honest.papers[Paper.RECEIPT],
        receiver=honest.agreement.terms.receiver.did,
        grant_id=honest.ended,
        grant_digest=honest.agreement.grant_digest,
    )
    years = replace(said, erase_within_s=365 * 86_400).sign(honest.receiver_signer)
    papers = {**honest.papers, Paper.RECEIPT: years}
    del papers[Paper.ERASURE_RECEIPT]

    times = end_times_in(honest.agreement, papers)

    assert times is not None
    month = times.requested_at + timedelta(days=31)
    assert not times.is_overdue(month)
    assert times.is_overdue(month + timedelta(seconds=1))
