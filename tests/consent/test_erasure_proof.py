"""The higher levels: each recipient's own word, a closed lease log, a third party who looked."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from counterfoil_consent import (
    Agreement,
    Level,
    Operation,
    Retained,
    Trigger,
    state_from_json,
    state_to_json,
    verify_erasure_receipt,
    withdraw,
)
from counterfoil_consent.attestation import Attestation, AttestationKind
from counterfoil_consent.erased_system import ErasedSystem, Method, System
from counterfoil_consent.erasure import AccessLog, ErasureReceipt, RecipientAnswer, Released
from counterfoil_consent.erasure_proof import require_nothing_forgotten
from counterfoil_consent.laws import LAWS, ClaimKind, Start, read_table
from counterfoil_consent.parties import RecipientParty
from counterfoil_consent.recipient_receipt import RecipientReceipt
from counterfoil_consent.states import Erased, Lack, Missing
from counterfoil_consent.wire import GrantId, digest_of
from counterfoil_credentials.dids import Did, did_jwk
from counterfoil_credentials.errors import CounterfoilError, Malformed, Refused
from counterfoil_credentials.keys import MemorySigner

from tests.consent.street import BENEFITS, BIRTHDAY, FRAME, PRODUCT, Street

KEY = ErasedSystem(system=System.SEALING_KEY, method=Method.KEY_DESTROYED)
CRM = ErasedSystem(system=System.LIVE_DATABASE, method=Method.DELETED, name="crm")
SHARING = (Operation.USE, Operation.STORE, Operation.SHARE)


@dataclass
class Proven:
    """An ended grant with two recipients, and every paper that its receipt can carry."""

    street: Street
    agreement: Agreement
    signers: tuple[MemorySigner, ...]
    statement: str
    reads: int
    auditor: MemorySigner = field(default_factory=MemorySigner.generate)

    @property
    def now(self) -> datetime:
        return self.street.clock()

    def recipient_receipt(self, index: int, **changes: object) -> str:
        plain = RecipientReceipt(
            grant_id=self.agreement.grant_id,
            stopped_at=self.now,
            erased_at=self.now,
            claims=(FRAME,),
            systems=(CRM,),
        )
        receipt = replace(plain, **changes)  # type: ignore[arg-type]  # the fields of the receipt
        return receipt.sign(self.signers[index])

    def answers(self) -> tuple[RecipientAnswer, ...]:
        return tuple(
            RecipientAnswer(did=party.did, receipt=self.recipient_receipt(index))
            for index, party in enumerate(self.agreement.terms.recipients)
        )

    def attestation(self, signer: MemorySigner | None = None, **changes: object) -> str:
        plain = Attestation(
            grant_id=self.agreement.grant_id,
            grant_digest=self.agreement.grant_digest,
            kind=AttestationKind.SPOT_CHECK,
            systems=(KEY, CRM),
            attested_at=self.now,
        )
        changed = replace(plain, **changes)  # type: ignore[arg-type]  # the fields of the attestation
        return changed.sign(signer or self.auditor)

    def verified(self, attestors: Sequence[Did] = (), **changes: object) -> Erased:
        receipt = ErasureReceipt(
            agreement=self.agreement,
            trigger=Trigger.WITHDRAWN,
            requested_at=self.now,
            stopped_at=self.now,
            erased_at=self.now,
            systems=(KEY, CRM),
            level=Level.E4,
            recipients=self.answers(),
            access_log=AccessLog(reads=self.reads, unanswered=0, head=digest_of("log")),
            destruction=self.statement,
        )
        changed = replace(receipt, **changes)  # type: ignore[arg-type]  # the fields of the receipt
        return verify_erasure_receipt(
            changed.sign(self.street.receiver_signer),
            agreement=self.agreement,
            now=self.now,
            attestors=attestors,
        )


@pytest.fixture
def proven(street_in_memory: Street) -> Proven:
    """Give a grant with two recipients that was read once and withdrawn."""
    return proven_on(street_in_memory, 2)


def proven_on(street: Street, recipients: int) -> Proven:
    signers = tuple(MemorySigner.generate() for _ in range(recipients))
    named = tuple(
        RecipientParty(
            did=did_jwk(signer.public),
            name=f"Workshop {index}",
            endpoint=f"https://workshop{index}.example/ends/{{grant_id}}",
        )
        for index, signer in enumerate(signers)
    )
    asked: dict[str, object] = {"recipients": named, "operations": SHARING} if named else {}
    active, holder = street.granted(**asked)
    grant_id = active.agreement.grant_id
    with street.receiver.read(grant_id, BENEFITS):
        pass
    token = withdraw(active, signer=holder, now=street.clock(), random=street.random).token
    statement = street.custodian.end(grant_id, token)
    return Proven(street, active.agreement, signers, statement, reads=1)


def test_the_receipts_of_all_recipients_and_a_closed_lease_log_make_level_three(
    proven: Proven,
) -> None:
    erased = proven.verified()

    assert (erased.level, erased.lacks) == (Level.E3, ())


def test_a_recipient_without_a_receipt_keeps_the_level_at_two_and_is_named(
    proven: Proven,
) -> None:
    first, second = proven.answers()

    for answers in ((first,), (first, replace(second, receipt=None))):
        erased = proven.verified(recipients=answers)

        assert erased.level is Level.E2
        assert erased.lacks == (Lack(Missing.RECIPIENT, "Workshop 1"),)
        # Whoever shows the level shows this beside it, also after it was stored.
        assert state_from_json(state_to_json(erased)) == erased


@pytest.mark.parametrize(
    "changes",
    [
        {"grant_id": GrantId("A" * 22)},
        {"claims": (BIRTHDAY,)},
        {"systems": ()},
        {"erased_at": datetime.fromisoformat("2030-01-01T00:00:00Z")},
        {"stopped_at": datetime.fromisoformat("2030-01-01T00:00:00Z")},
    ],
    ids=["grant", "claims", "systems", "future", "order"],
)
def test_a_recipients_receipt_that_does_not_fit_keeps_the_level_at_two(
    proven: Proven, changes: dict[str, object]
) -> None:
    first, second = proven.answers()
    bad = replace(second, receipt=proven.recipient_receipt(1, **changes))

    erased = proven.verified(recipients=(first, bad))

    assert erased.level is Level.E2
    assert erased.lacks == (Lack(Missing.GOOD_RECIPIENT, "Workshop 1"),)


def test_nobody_signs_for_a_recipient_but_itself(proven: Proven) -> None:
    first, second = proven.answers()
    own = RecipientReceipt(
        grant_id=proven.agreement.grant_id,
        stopped_at=proven.now,
        erased_at=proven.now,
        claims=(FRAME,),
        systems=(CRM,),
    )
    forged = [
        own.sign(proven.street.receiver_signer),
        first.receipt,
        str(second.receipt)[:-4] + "AAAA",
        "no token",
    ]

    for token in forged:
        erased = proven.verified(recipients=(first, replace(second, receipt=token)))
        assert erased.level is Level.E2
        assert erased.lacks == (Lack(Missing.GOOD_RECIPIENT, "Workshop 1"),)


def test_a_recipient_that_was_handed_nothing_says_so(proven: Proven) -> None:
    first, second = proven.answers()
    nothing = replace(second, receipt=proven.recipient_receipt(1, claims=(), systems=()))

    assert proven.verified(recipients=(first, nothing)).level is Level.E3


def test_a_recipient_that_the_terms_do_not_name_is_refused(proven: Proven) -> None:
    stranger = RecipientAnswer(did=did_jwk(MemorySigner.generate().public), receipt=None)

    with pytest.raises(Refused) as refusal:
        proven.verified(recipients=(*proven.answers(), stranger))
    assert refusal.value.codes == ["recipients-unknown"]
    with pytest.raises(Malformed):
        proven.verified(recipients=(proven.answers()[0],) * 2)


@pytest.mark.parametrize(
    ("reads", "unanswered", "is_closed"),
    [(1, 0, True), (0, 1, True), (0, 5, True), (0, 0, False), (2, 0, False), (2, 3, False)],
)
def test_a_lease_log_is_closed_when_it_explains_what_the_custodian_counted(
    proven: Proven, reads: int, unanswered: int, *, is_closed: bool
) -> None:
    log = AccessLog(reads=reads, unanswered=unanswered, head=digest_of("log"))

    erased = proven.verified(access_log=log)

    assert erased.level is (Level.E3 if is_closed else Level.E2)
    assert erased.lacks == (() if is_closed else (Lack(Missing.LEASE_LOG),))


def test_without_the_lease_log_or_the_statement_there_is_no_level_three(proven: Proven) -> None:
    unlogged = proven.verified(access_log=None)
    unstated = proven.verified(destruction=None)

    assert (unlogged.level, unlogged.lacks) == (Level.E2, (Lack(Missing.LEASE_LOG),))
    assert (unstated.level, unstated.lacks) == (Level.E1, (Lack(Missing.STATEMENT),))


@pytest.mark.parametrize("kind", list(AttestationKind))
def test_a_trusted_attestation_makes_level_four(proven: Proven, kind: AttestationKind) -> None:
    auditor = did_jwk(proven.auditor.public)
    attestation = proven.attestation(kind=kind)

    assert proven.verified([auditor], attestation=attestation).level is Level.E4
    # Whom to trust is the choice of whoever checks.
    unknown = proven.verified(attestation=attestation)
    assert (unknown.level, unknown.lacks) == (Level.E3, (Lack(Missing.ATTESTATION),))


def test_an_attestation_stands_on_all_that_is_below_it(proven: Proven) -> None:
    auditor = did_jwk(proven.auditor.public)
    attestation = proven.attestation()

    for changes, level in (
        ({"destruction": None}, Level.E1),
        ({"recipients": proven.answers()[:1]}, Level.E2),
        ({"access_log": None}, Level.E2),
    ):
        assert proven.verified([auditor], attestation=attestation, **changes).level is level


def test_no_party_attests_its_own_erasure_even_when_it_is_trusted(proven: Proven) -> None:
    parties = [proven.street.receiver_signer, proven.street.custodian_signer, *proven.signers]
    trusted = [did_jwk(signer.public) for signer in parties]

    for signer in parties:
        erased = proven.verified(trusted, attestation=proven.attestation(signer))
        assert (erased.level, erased.lacks) == (Level.E3, (Lack(Missing.ATTESTATION),))


@pytest.mark.parametrize(
    "changes",
    [
        {"grant_id": GrantId("A" * 22)},
        {"grant_digest": digest_of("another")},
        {"systems": (KEY,)},
        {"attested_at": datetime.fromisoformat("2020-01-01T00:00:00Z")},
        {"attested_at": datetime.fromisoformat("2030-01-01T00:00:00Z")},
    ],
    ids=["grant", "digest", "fewer-systems", "before", "future"],
)
def test_an_attestation_of_something_else_lifts_nothing(
    proven: Proven, changes: dict[str, object]
) -> None:
    auditor = did_jwk(proven.auditor.public)

    erased = proven.verified([auditor], attestation=proven.attestation(None, **changes))

    assert (erased.level, erased.lacks) == (Level.E3, (Lack(Missing.ATTESTATION),))


def test_a_grant_without_recipients_goes_from_two_to_four(street_in_memory: Street) -> None:
    alone = proven_on(street_in_memory, 0)
    auditor = did_jwk(alone.auditor.public)

    assert alone.verified().level is Level.E2
    assert alone.verified([auditor], attestation=alone.attestation()).level is Level.E4


def kept(proven: Proven, **changes: object) -> Retained:
    plain = Retained(
        claims=(PRODUCT,),
        kind=ClaimKind.PURCHASE,
        law="DE AO §147",
        until=proven.now + timedelta(days=100),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]  # the fields of the item


def test_a_second_receipt_names_what_it_erased_at_its_date(proven: Proven) -> None:
    item = kept(proven)
    first = proven.verified(retained=(item,))
    assert first.retained == (item,)
    proven.street.clock.advance(timedelta(days=100))

    second = proven.verified(released=(Released(item=item, erased_at=proven.now),))

    assert second.retained == ()
    require_nothing_forgotten(first, second, proven.now)
    with pytest.raises(Refused) as refusal:
        proven.verified(released=(Released(item=item, erased_at=proven.now + timedelta(days=1)),))
    assert refusal.value.codes == ["times-out-of-order"]
    # What is gone now was kept under a law, too.
    for changes, code in (
        ({"law": "x"}, "law-unknown"),
        ({"claims": (BIRTHDAY,)}, "claims-unknown"),
    ):
        excused = Released(item=kept(proven, **changes), erased_at=proven.now)
        with pytest.raises(Refused) as refusal:
            proven.verified(released=(excused,))
        assert refusal.value.codes == [code]


def test_what_is_kept_is_neither_forgotten_nor_kept_longer(proven: Proven) -> None:
    item = kept(proven)
    first = proven.verified(retained=(item,))
    longer = proven.verified(retained=(replace(item, until=item.until + timedelta(seconds=1)),))
    nothing = proven.verified()
    other = replace(item, law="DE HGB §257")
    more = proven.verified(retained=(item, other))
    wide = proven.verified(retained=(replace(item, claims=(PRODUCT, FRAME)),))

    require_nothing_forgotten(first, first, proven.now)
    for before, second, codes in (
        (first, longer, ["retained-longer"]),
        (first, nothing, ["retained-forgotten"]),
        (nothing, first, ["retained-unsaid"]),
        (first, more, ["retained-unsaid"]),
        (first, wide, ["retained-unsaid"]),
        (wide, first, ["retained-forgotten"]),
    ):
        with pytest.raises(Refused) as refusal:
            require_nothing_forgotten(before, second, proven.now)
        assert refusal.value.codes == codes


def test_a_part_of_what_was_kept_is_not_kept_longer_than_the_whole(proven: Proven) -> None:
    item = kept(proven)
    whole = proven.verified(retained=(replace(item, claims=(PRODUCT, FRAME)),))
    longer = replace(item, until=item.until + timedelta(days=1))
    proven.street.clock.advance(timedelta(days=100))

    part = proven.verified(retained=(longer,))

    with pytest.raises(Refused) as refusal:
        require_nothing_forgotten(whole, part, proven.now)
    assert refusal.value.codes == ["retained-longer"]


def test_a_receipt_tells_when_the_end_was_said_and_until_when_backups_hold_something(
    proven: Proven,
) -> None:
    said_at = proven.now
    proven.street.clock.advance(timedelta(days=3))
    week, month = (proven.now + timedelta(days=days) for days in (7, 30))
    mail = replace(CRM, name="mail", backups_until=week)
    theirs = proven.recipient_receipt(1, systems=(replace(CRM, backups_until=month),))
    first, second = proven.answers()

    own = proven.verified(requested_at=said_at, systems=(KEY, CRM, mail))
    all_of_it = proven.verified(
        requested_at=said_at,
        systems=(KEY, CRM, mail),
        recipients=(first, replace(second, receipt=theirs)),
    )

    assert (own.ended_at, own.erased_at) == (said_at, proven.now)
    assert (own.backups_until, all_of_it.backups_until) == (week, month)
    assert proven.verified().backups_until is None
    assert state_from_json(state_to_json(all_of_it)) == all_of_it


def test_each_law_names_its_place_its_kinds_its_text_and_whether_it_was_checked() -> None:
    assert {law.place for law in LAWS.values()} >= {"EU", "DE", "CN"}
    for law in LAWS.values():
        assert law.kinds
        assert law.text
        assert (law.checked is None) is not (law.not_checked is None)


@pytest.mark.parametrize(
    ("jurisdiction", "places"),
    [
        ("EU", {"EU", "DE", "AT", "FR"}),
        ("DE", {"EU", "DE"}),
        ("IT", {"EU"}),
        ("CN", {"CN"}),
        ("US", set[str]()),
        ("", set[str]()),
    ],
)
def test_a_law_holds_in_its_own_place(jurisdiction: str, places: set[str]) -> None:
    assert {law.place for law in LAWS.values() if law.holds_in(jurisdiction)} == places


@pytest.mark.parametrize(
    ("start", "at", "end"),
    [
        (Start.EVENT, "2024-02-29T12:00:00Z", "2029-03-01T12:00:00Z"),
        (Start.EVENT, "2026-06-01T00:00:00Z", "2031-06-01T00:00:00Z"),
        (Start.YEAR_END, "2026-01-01T00:00:00Z", "2032-01-01T00:00:00Z"),
        (Start.YEAR_END, "2026-12-31T23:59:59Z", "2032-01-01T00:00:00Z"),
    ],
)
def test_a_period_is_counted_from_the_event_or_from_the_end_of_its_year(
    start: Start, at: str, end: str
) -> None:
    law = replace(LAWS["EU 2023/988 Art. 9"], start=start, years=5)

    assert law.latest_end(datetime.fromisoformat(at)) == datetime.fromisoformat(end)


@pytest.mark.parametrize(
    "changes",
    [
        {"place": "Atlantis"},
        {"kinds": []},
        {"kinds": ["gossip"]},
        {"years": 0},
        {"years": 31},
        {"from": "whenever"},
        {"checked": None},
        {"not_checked": "and yet"},
        {"extra": 1},
    ],
    ids=str,
)
def test_a_table_that_cannot_be_right_is_malformed(changes: dict[str, object]) -> None:
    law: dict[str, object] = {
        "name": "A",
        "place": "DE",
        "kinds": ["purchase"],
        "years": 8,
        "from": "event",
        "text": "§1",
        "checked": "somewhere",
    }
    changed = {name: value for name, value in {**law, **changes}.items() if value is not None}

    def table(*laws: dict[str, object]) -> bytes:
        return json.dumps({"regions": {"EU": ["DE"]}, "laws": laws}).encode()

    assert read_table(table(law))[0]["A"].years == 8
    for laws in ((changed,), (law, law)):
        with pytest.raises(CounterfoilError):
            read_table(table(*laws))
