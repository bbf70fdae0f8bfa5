"""Points that go on as others: retired with notice, moved by anybody, each point once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Misuse
from counterfoil_loyalty.accounts import NOBODY, Account, PointsAccounts, PointsSigner
from counterfoil_loyalty.actions import (
    CancelAward,
    ExpirePoints,
    GovernPoints,
    RefundPoints,
    ReleaseAward,
    TransferPoints,
)
from counterfoil_loyalty.common_contracts import Common, OpenContract, account_of
from counterfoil_loyalty.earn_tree import EarnTree
from counterfoil_loyalty.earning import ClaimEarned, EarnRoot, PostEarnRoot
from counterfoil_loyalty.guarantee import Guarantee, OpenGuarantee, RefundGuarantee
from counterfoil_loyalty.indexer import project
from counterfoil_loyalty.intents import Award, sign_by_brand, sign_by_customer
from counterfoil_loyalty.issuing import Cancellation, Policy, Refund
from counterfoil_loyalty.ledger import EmbeddedLedger
from counterfoil_loyalty.succession import MAX_MOVED, NOTICE_S, MovePoints
from counterfoil_loyalty.transfers import Transfer

from tests.loyalty.ledgers import empty_ledger
from tests.loyalty.outcomes import done, refused
from tests.loyalty.programme import AUDIO, DAY, NOW, Programme, changed
from tests.loyalty.successors import Successors, awarding

THIEF = PointsSigner(b"\x0c" * 32)
FRIEND = PointsAccounts(b"friend " * 5).of(AUDIO)
YEAR = 365 * DAY
REF = b"\x07" * 32


@pytest.fixture(params=["memory", "chain"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EmbeddedLedger]:
    """Give the two kinds that take no process."""
    yield from empty_ledger(request.param, tmp_path)


@pytest.fixture
def successors(programme: Programme) -> Successors:
    """Give Audio's points, and others of Audio's that have not begun."""
    block = programme.perform(programme.registration(AUDIO, brand=f"{AUDIO}/2")).block
    (created,) = (it for it in programme.ledger.block(block).events if it.name == "PointsCreated")
    new = Account(str(created.values["token"]))
    return Successors(programme.venue, programme.audio, programme.tokens[AUDIO], new)


def give(programme: Programme, token: Account, to: Account, amount: int, ref: bytes) -> None:
    done(programme, awarding(programme.venue, programme.audio, token, to, amount=amount, ref=ref))


def retired(programme: Programme, successors: Successors) -> None:
    """Announce, let the notice pass, and let the successor begin."""
    ends_at = programme.clock.now + NOTICE_S + DAY
    assert done(programme, successors.retire(ends_at)) == ["Retiring"]
    programme.clock.now = ends_at
    assert done(programme, successors.succeed()) == ["Succeeded"]


def supplies(programme: Programme, successors: Successors) -> tuple[int, int]:
    ledger = programme.ledger
    return ledger.supply(successors.old), ledger.supply(successors.new)


def of(programme: Programme) -> PointsSigner:
    return programme.customer.of(AUDIO)


def test_a_retirement_is_announced_by_the_admin_with_notice_and_never_brought_forward(
    programme: Programme, successors: Successors
) -> None:
    soon = programme.clock.now + NOTICE_S
    later = soon + DAY
    assert refused(programme, successors.retire(soon - 1)) == "retirement-too-soon"
    assert refused(programme, successors.retire(later, signer=THIEF)) == "signature-invalid"
    assert refused(programme, successors.retire(later, successor=NOBODY)) == "retirement-too-soon"

    assert done(programme, successors.retire(later)) == ["Retiring"]
    assert refused(programme, successors.retire(later)) == "retirement-too-soon"
    assert refused(programme, successors.retire(later - 1)) == "retirement-too-soon"
    give(programme, successors.old, of(programme).account, 100, REF)  # It goes on until then.
    assert refused(programme, successors.succeed()) == "not-the-successor"
    assert done(programme, successors.retire(later + DAY)) == ["Retiring"]

    programme.clock.now = later + DAY - 2
    assert refused(programme, successors.succeed()) == "not-the-successor"
    programme.clock.now = later + DAY
    assert done(programme, successors.succeed()) == ["Succeeded"]
    assert refused(programme, successors.retire(later + YEAR)) == "retired"


def test_nothing_is_awarded_redeemed_exchanged_or_expired_in_retired_points(
    programme: Programme, successors: Successors
) -> None:
    give(programme, successors.old, of(programme).account, 1_000, REF)
    done(programme, programme.redemption(100))
    retired(programme, successors)
    late = programme.clock.now + YEAR

    again = programme.award(5, "another")
    assert refused(programme, again) == "retired"
    assert (
        refused(programme, programme.redemption(5, deadline=late, redemption_id=REF)) == "retired"
    )
    refund = Refund(token=successors.old, holder=of(programme).account, redemption_id=b"r" * 32)
    signed = sign_by_brand(refund, programme.venue, programme.audio)
    assert refused(programme, RefundPoints(refund, signed)) == "retired"
    assert refused(programme, ExpirePoints(successors.old, of(programme).account, 1)) == "retired"
    assert supplies(programme, successors) == (900, 0)


def test_no_exchange_leads_into_or_out_of_retired_points(
    programme: Programme, successors: Successors
) -> None:
    give(programme, successors.old, of(programme).account, 1_000, REF)
    far = programme.clock.now + 2 * YEAR
    done(programme, programme.terms(version=2, ends_at=far))
    retired(programme, successors)

    swap = programme.swap(200, version=2, deadline=far)
    assert refused(programme, swap) == "retired"
    assert supplies(programme, successors) == (1_000, 0)


def test_anybody_moves_anybody_and_each_point_once(
    programme: Programme, successors: Successors
) -> None:
    holders = (of(programme).account, FRIEND.account)
    give(programme, successors.old, holders[0], 1_000, REF)
    give(programme, successors.old, holders[1], 30, b"\x08" * 32)
    assert refused(programme, MovePoints(successors.old, holders)) == "reverted"
    retired(programme, successors)

    done(programme, MovePoints(successors.new, holders))

    movements = project(programme.ledger.block(programme.ledger.head())).movements
    assert [(it.token, it.account, it.units, it.kind) for it in movements] == [
        (successors.old, holders[0], -1_000, "moved"),
        (successors.new, holders[0], 1_000, "moved"),
        (successors.old, holders[1], -30, "moved"),
        (successors.new, holders[1], 30, "moved"),
    ]
    assert supplies(programme, successors) == (0, 1_030)
    done(programme, MovePoints(successors.new, (holders[0], holders[0]), 2))
    assert supplies(programme, successors) == (0, 1_030)
    assert programme.ledger.balance(successors.new, holders[1]) == 30


def test_only_the_successor_takes_over_and_only_what_never_began_succeeds(
    programme: Programme, successors: Successors
) -> None:
    give(programme, successors.old, of(programme).account, 1_000, REF)
    block = programme.perform(programme.registration(AUDIO, brand=f"{AUDIO}/3")).block
    (created,) = (it for it in programme.ledger.block(block).events if it.name == "PointsCreated")
    other = Account(str(created.values["token"]))
    stranger = Successors(programme.venue, programme.audio, successors.old, other)
    ends_at = programme.clock.now + NOTICE_S + DAY
    done(programme, successors.retire(ends_at))
    programme.clock.now = ends_at

    assert refused(programme, stranger.succeed()) == "not-the-successor"
    assert refused(programme, successors.succeed(signer=THIEF)) == "signature-invalid"
    give(programme, successors.new, FRIEND.account, 1, b"\x09" * 32)
    assert refused(programme, successors.succeed()) == "begun-already"
    assert refused(programme, successors.take_over()) == "begun-already"


def test_a_successor_begins_once(programme: Programme, successors: Successors) -> None:
    retired(programme, successors)
    assert refused(programme, successors.succeed()) == "begun-already"
    assert refused(programme, successors.take_over()) == "begun-already"


def test_a_ref_that_was_consumed_is_consumed_in_the_successor(
    programme: Programme, successors: Successors
) -> None:
    give(programme, successors.old, of(programme).account, 1_000, REF)
    retired(programme, successors)

    again = awarding(
        programme.venue,
        programme.audio,
        successors.new,
        of(programme).account,
        amount=1_000,
        ref=REF,
    )
    assert refused(programme, again) == "duplicate-ref"
    give(programme, successors.new, of(programme).account, 5, b"\x09" * 32)
    assert supplies(programme, successors) == (1_000, 5)


def test_a_redemption_is_refunded_once_in_the_successor(
    programme: Programme, successors: Successors
) -> None:
    give(programme, successors.old, of(programme).account, 1_000, REF)
    done(programme, programme.redemption(100))
    retired(programme, successors)
    late = programme.clock.now + YEAR

    done(programme, MovePoints(successors.new, (of(programme).account,)))
    used = programme.redemption(5, token=successors.new, deadline=late)
    assert refused(programme, used) == "duplicate-redemption"
    refund = Refund(token=successors.new, holder=of(programme).account, redemption_id=b"r" * 32)
    returned = RefundPoints(refund, sign_by_brand(refund, programme.venue, programme.audio))
    assert done(programme, returned) == ["Transfer", "Refunded"]
    assert refused(programme, returned) == "not-redeemed"
    assert supplies(programme, successors) == (0, 1_000)


def test_what_was_promised_is_given_where_it_was_promised_and_moves_on(
    programme: Programme, successors: Successors
) -> None:
    holder = of(programme).account
    available = programme.clock.now + YEAR
    pending = Award(token=successors.old, to=holder, amount=70, ref=REF, available_at=available)
    promised = changed(
        programme.award(1),
        {"award": pending, "signature": sign_by_brand(pending, programme.venue, programme.audio)},
    )
    assert done(programme, promised) == ["AwardPending"]
    cancelled = changed(pending, {"ref": b"\x08" * 32})
    done(
        programme,
        changed(
            promised,
            {
                "award": cancelled,
                "signature": sign_by_brand(cancelled, programme.venue, programme.audio),
            },
        ),
    )
    tree = _post_root(programme, successors.old, holder, 500)
    retired(programme, successors)

    back = Cancellation(token=successors.old, ref=b"\x08" * 32)
    signed = sign_by_brand(back, programme.venue, programme.audio)
    done(programme, CancelAward(back, signed))
    done(programme, ClaimEarned(successors.old, holder, 500, tuple(tree.proof(holder))))
    programme.clock.now = available
    done(programme, ReleaseAward(successors.old, REF))
    done(programme, MovePoints(successors.new, (holder,)))
    assert supplies(programme, successors) == (0, 570)
    again = awarding(programme.venue, programme.audio, successors.new, holder, amount=70, ref=REF)
    assert refused(programme, again) == "duplicate-ref"


def _post_root(programme: Programme, token: Account, holder: Account, total: int) -> EarnTree:
    done_opening = programme.perform(OpenContract(Common.EARN_ROOTS))
    assert done_opening.reason is None
    account = programme.audio.account
    policy = Policy(
        token=token,
        admin=account,
        issuer=account,
        version=1,
        earn_roots=account_of(Common.EARN_ROOTS),
    )
    signature = sign_by_brand(policy, programme.venue, programme.audio)
    done(programme, GovernPoints(policy, signature))
    tree = EarnTree({holder: total, FRIEND.account: 1})
    root = EarnRoot(token=token, root=tree.root, epoch=1, total=total + 1)
    done(programme, PostEarnRoot(root, sign_by_brand(root, programme.venue, programme.audio)))
    return tree


def test_the_stamp_of_activity_moves_and_moving_is_no_activity(
    programme: Programme, successors: Successors
) -> None:
    account = programme.audio.account
    policy = Policy(
        token=successors.old, admin=account, issuer=account, version=1, inactivity_s=YEAR
    )
    done(programme, GovernPoints(policy, sign_by_brand(policy, programme.venue, programme.audio)))
    holder = of(programme).account
    give(programme, successors.old, holder, 1_000, REF)
    earned_at = programme.clock.now
    retired(programme, successors)
    done(programme, MovePoints(successors.new, (holder,)))

    shorter = changed(policy, {"token": successors.new, "inactivity_s": YEAR - 1})
    signature = sign_by_brand(shorter, programme.venue, programme.audio)
    assert refused(programme, GovernPoints(shorter, signature)) == "expiry-shortened"
    programme.clock.now = earned_at + YEAR - 3
    assert refused(programme, ExpirePoints(successors.new, holder, 1)) == "still-active"
    programme.clock.now = earned_at + YEAR
    assert done(programme, ExpirePoints(successors.new, holder, 2)) == ["Transfer", "Expired"]


def test_an_escrow_pays_out_in_retired_points_and_its_receiver_is_moved(
    programme: Programme, successors: Successors
) -> None:
    assert programme.perform(OpenContract(Common.GUARANTEE)).reason is None
    holder = of(programme)
    give(programme, successors.old, holder.account, 1_000, REF)
    promise = Guarantee(
        customer=FRIEND.account,
        funder=holder.account,
        token=successors.old,
        amount=400,
        attester=programme.bicycle.account,
        deadline=programme.clock.now + YEAR,
        fund_before=programme.clock.now + DAY,
        salt=b"p" * 32,
    )
    done(programme, OpenGuarantee(promise, sign_by_customer(promise, programme.venue, holder)))
    retired(programme, successors)

    escrow = account_of(Common.GUARANTEE)
    assert refused(programme, MovePoints(successors.new, (escrow,))) == "has-code"
    assert refused(programme, MovePoints(successors.new, (holder.account, escrow))) == "has-code"
    programme.clock.now += YEAR
    done(programme, RefundGuarantee(promise, b""))
    done(programme, MovePoints(successors.new, (FRIEND.account, holder.account)))
    assert programme.ledger.balance(successors.new, FRIEND.account) == 400
    assert supplies(programme, successors) == (0, 1_000)


def test_a_transfer_in_retired_points_moves_with_its_receiver(
    programme: Programme, successors: Successors
) -> None:
    giver = of(programme)
    give(programme, successors.old, giver.account, 1_000, REF)
    retired(programme, successors)
    done(programme, MovePoints(successors.new, (FRIEND.account,)))
    it = Transfer(
        token=successors.old,
        giver=giver.account,
        taker=FRIEND.account,
        amount=10,
        transfer_id=b"t" * 32,
        deadline=programme.clock.now + DAY,
    )
    done(programme, TransferPoints(it, sign_by_customer(it, programme.venue, giver)))
    done(programme, MovePoints(successors.new, (FRIEND.account, giver.account)))
    assert programme.ledger.balance(successors.new, FRIEND.account) == 10
    assert supplies(programme, successors) == (0, 1_000)


def test_a_holder_carries_points_by_a_signature_and_nobody_else_does(
    programme: Programme, successors: Successors
) -> None:
    holder = of(programme)
    give(programme, successors.old, holder.account, 1_000, REF)
    assert refused(programme, successors.carry(holder, 400)) == "reverted"
    assert refused(programme, successors.take_over(admin=THIEF)) == "signature-invalid"
    assert refused(programme, successors.take_over(signer=THIEF)) == "signature-invalid"
    assert done(programme, successors.take_over()) == ["Succeeded", "Governed"]

    assert refused(programme, successors.carry(holder, 400, signer=THIEF)) == "signature-invalid"
    assert refused(programme, successors.carry(holder, 1_001)) == "insufficient-points"
    passed = successors.carry(holder, 400, deadline=NOW)
    assert refused(programme, passed) == "intent-expired"
    carry = successors.carry(holder, 400)
    more = changed(carry, {"carry": changed(carry.carry, {"amount": 500})})
    assert refused(programme, more) == "signature-invalid"
    done(programme, carry)
    assert refused(programme, carry) == "intent-used"
    assert refused(programme, MovePoints(successors.new, (holder.account,))) == "not-the-successor"

    kinds = {
        it.kind for it in project(programme.ledger.block(programme.ledger.head() - 3)).movements
    }
    assert kinds <= {"moved"}
    held = programme.ledger.balance
    assert held(successors.new, holder.account) == 400
    assert held(successors.old, holder.account) == 600
    assert held(successors.old, successors.new) == 400  # locked for good


def test_a_brand_that_handed_its_points_over_has_no_key_left_for_them(
    programme: Programme, successors: Successors
) -> None:
    holder = of(programme)
    give(programme, successors.old, holder.account, 1_000, REF)
    done(programme, programme.redemption(100))
    pending = Award(
        token=successors.old,
        to=holder.account,
        amount=70,
        ref=b"\x08" * 32,
        available_at=programme.clock.now + YEAR,
    )
    signed = sign_by_brand(pending, programme.venue, programme.audio)
    done(programme, changed(programme.award(1), {"award": pending, "signature": signed}))
    done(programme, successors.take_over())

    assert refused(programme, programme.award(1, "new")) == "signature-invalid"
    policy = changed(successors.policy, {"version": 2})
    signature = sign_by_brand(policy, programme.venue, programme.audio)
    assert refused(programme, GovernPoints(policy, signature)) == "signature-invalid"
    refund = Refund(token=successors.old, holder=holder.account, redemption_id=b"r" * 32)
    returned = RefundPoints(refund, sign_by_brand(refund, programme.venue, programme.audio))
    assert refused(programme, returned) == "signature-invalid"
    back = Cancellation(token=successors.old, ref=pending.ref)
    no_more = CancelAward(back, sign_by_brand(back, programme.venue, programme.audio))
    assert refused(programme, no_more) == "signature-invalid"

    # In the new points the brand takes the pending award back, and refunds.
    back = Cancellation(token=successors.new, ref=pending.ref)
    cancel = CancelAward(back, sign_by_brand(back, programme.venue, programme.audio))
    assert done(programme, cancel) == ["AwardCancelled", "AwardCancelled"]
    assert refused(programme, cancel) == "not-pending"
    refund = changed(refund, {"token": successors.new})
    returned = RefundPoints(refund, sign_by_brand(refund, programme.venue, programme.audio))
    done(programme, returned)
    assert refused(programme, returned) == "not-redeemed"
    assert supplies(programme, successors) == (900, 100)


def test_a_move_names_a_bounded_number_of_holders() -> None:
    for count in (0, MAX_MOVED + 1):
        with pytest.raises(Misuse):
            MovePoints(NOBODY, (NOBODY,) * count)
