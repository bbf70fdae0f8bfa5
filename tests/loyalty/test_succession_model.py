"""A move as a machine: whatever holders and brands do before and during it, sums are equal.

Every action runs on the contracts and on their twin in memory, which must say the
same. Beside both stands plain arithmetic: who has how much where, what waits, and
which refs are consumed.
"""

import os
from collections.abc import Callable
from typing import ClassVar

import pytest
from counterfoil_loyalty.accounts import Account, PointsSigner
from counterfoil_loyalty.actions import (
    Action,
    AwardPoints,
    CancelAward,
    RedeemPoints,
    RefundPoints,
    ReleaseAward,
    TransferPoints,
)
from counterfoil_loyalty.intents import Award, Redemption, sign_by_brand, sign_by_customer
from counterfoil_loyalty.issuing import Cancellation, Refund
from counterfoil_loyalty.succession import NOTICE_S, MovePoints
from counterfoil_loyalty.transfers import Transfer
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.loyalty.evm import HAS_REVM, Acting, fast_ledger
from tests.loyalty.programme import DAY
from tests.loyalty.released import customers
from tests.loyalty.street import SIGNERS, FiveBrands
from tests.loyalty.successors import Successors
from tests.loyalty.test_exchange_model import in_memory

_OLD, _NEW = 0, 4
_PEOPLE = customers(5)
_FAR = 2**40 - 1
PERSON = st.integers(0, 4)
SHARE = int(os.environ.get("COUNTERFOIL_SOAK_SHARE", "1"))


class MoveMachine(RuleBasedStateMachine):
    """One brand and five customers, before, while and after its points move."""

    ledgers: tuple[Callable[[], Acting], ...] = (in_memory,)
    moved: ClassVar[list[int]] = []

    def __init__(self) -> None:
        super().__init__()
        self.worlds = [FiveBrands(ledger()).open() for ledger in self.ledgers]
        self.held = [[0] * 5, [0] * 5]  # in the old and in the new points
        self.pending: dict[int, tuple[int, int]] = {}
        self.redeemed: dict[int, tuple[int, int]] = {}
        self.refs: list[int] = []
        self.number = 0
        self.has_moved = False
        for person in range(5):
            self.award(person, 1_000 * (person + 1))

    def act(self, made: Callable[[FiveBrands], Action]) -> str | None:
        """Do the same on each ledger and give the one code of the refusal, or None."""
        reasons = [world.act(made(world)) for world in self.worlds]
        codes = {reason.code if reason else None for reason in reasons}
        assert len(codes) == 1, codes
        return codes.pop()

    @property
    def now(self) -> int:
        return self.worlds[0].now

    @property
    def where(self) -> int:
        """Give 0 while the old points are in use, 1 for the new ones."""
        return int(self.has_moved)

    def next(self) -> int:
        self.number += 1
        return self.number

    @rule(person=PERSON, amount=st.integers(1, 10**6))
    def award(self, person: int, amount: int) -> None:
        ref = self.next()
        assert self.act(lambda it: award(it, self.where, person, amount, ref)) is None
        self.held[self.where][person] += amount
        self.refs.append(ref)

    @rule(person=PERSON, amount=st.integers(1, 10**6), days=st.integers(1, 60))
    def promise(self, person: int, amount: int, days: int) -> None:
        ref, at = self.next(), self.now + days * DAY
        if self.has_moved:
            return
        assert self.act(lambda it: award(it, _OLD, person, amount, ref, at=at)) is None
        self.pending[ref] = (person, amount)
        self.refs.append(ref)

    @precondition(lambda self: self.pending)
    @rule(place=st.integers(0, 99))
    def release(self, place: int) -> None:
        ref = sorted(self.pending)[place % len(self.pending)]
        code = self.act(lambda it: ReleaseAward(token_of(it, 0), name(ref)))
        assert code in (None, "not-available")
        if code is None:
            person, amount = self.pending.pop(ref)
            self.held[0][person] += amount

    @precondition(lambda self: self.pending)
    @rule(place=st.integers(0, 99))
    def cancel(self, place: int) -> None:
        ref = sorted(self.pending)[place % len(self.pending)]
        code = self.act(lambda it: cancellation(it, ref))
        assert code in (None, "available-already")
        if code is None:
            del self.pending[ref]

    @rule(giver=PERSON, taker=PERSON, amount=st.integers(1, 10**6), old=st.booleans())
    def give(self, giver: int, taker: int, amount: int, *, old: bool) -> None:
        where = 0 if old else self.where
        number = self.next()
        code = self.act(lambda it: transfer(it, where, giver, taker, amount, number))
        if self.held[where][giver] < amount:
            assert code == "insufficient-points"
            return
        assert code is None
        self.held[where][giver] -= amount
        self.held[where][taker] += amount

    @rule(person=PERSON, amount=st.integers(1, 10**5))
    def redeem(self, person: int, amount: int) -> None:
        number = self.next()
        code = self.act(lambda it: redemption(it, self.where, person, amount, number))
        if self.held[self.where][person] < amount:
            assert code == "insufficient-points"
            return
        assert code is None
        self.held[self.where][person] -= amount
        self.redeemed[number] = (person, amount)

    @precondition(lambda self: self.redeemed)
    @rule(place=st.integers(0, 99))
    def refund(self, place: int) -> None:
        number = sorted(self.redeemed)[place % len(self.redeemed)]
        person, amount = self.redeemed.pop(number)
        assert self.act(lambda it: refund(it, self.where, person, number)) is None
        self.held[self.where][person] += amount
        assert self.act(lambda it: refund(it, self.where, person, number)) == "not-redeemed"

    @precondition(lambda self: not self.has_moved)
    @rule()
    def retire(self) -> None:
        ends_at = self.now + NOTICE_S + DAY
        assert self.act(lambda it: successors(it).retire(ends_at)) is None
        assert self.act(lambda it: successors(it).succeed(signer=SIGNERS[_NEW])) == (
            "not-the-successor"
        )
        for world in self.worlds:
            world.now = ends_at
        assert self.act(lambda it: successors(it).succeed(signer=SIGNERS[_NEW])) is None
        self.has_moved = True

    @precondition(lambda self: self.has_moved)
    @rule(people=st.lists(PERSON, min_size=1, max_size=7))
    def move(self, people: list[int]) -> None:
        """Some of them, in any order, some of them twice: a move that is cut off and resumed."""
        accounts = tuple(_PEOPLE[it].account for it in people)
        number = self.next()
        assert self.act(lambda it: MovePoints(token_of(it, 1), accounts, number)) is None
        for person in people:
            self.moved.append(self.held[0][person])
            self.held[1][person] += self.held[0][person]
            self.held[0][person] = 0
        self.require_equal_sums()

    @precondition(lambda self: self.has_moved and self.refs)
    @rule(place=st.integers(0, 99))
    def replay(self, place: int) -> None:
        ref = self.refs[place % len(self.refs)]
        assert self.act(lambda it: award(it, 1, 0, 5, ref)) == "duplicate-ref"
        assert self.act(lambda it: award(it, 0, 0, 5, ref)) in ("duplicate-ref", "retired")
        assert self.act(lambda it: award(it, 0, 0, 5, 10**6 + self.next())) == "retired"

    def require_equal_sums(self) -> None:
        for world in self.worlds:
            for where, held in enumerate(self.held):
                token = token_of(world, where)
                found = [world.ledger.balance(token, it.account) for it in _PEOPLE]
                assert found == held
                assert world.ledger.supply(token) == sum(held)

    def teardown(self) -> None:
        self.require_equal_sums()
        for world in self.worlds:
            world.ledger.close()


def token_of(world: FiveBrands, where: int) -> Account:
    return world.tokens[_NEW if where else _OLD]


def brand_of(where: int) -> PointsSigner:
    return SIGNERS[_NEW if where else _OLD]


def successors(world: FiveBrands) -> Successors:
    return Successors(world.venue, SIGNERS[_OLD], world.tokens[_OLD], world.tokens[_NEW])


def name(number: int) -> bytes:
    return number.to_bytes(32, "little")


def award(  # as one would say it
    world: FiveBrands, where: int, person: int, amount: int, ref: int, *, at: int = 0
) -> AwardPoints:
    it = Award(
        token=token_of(world, where),
        to=_PEOPLE[person].account,
        amount=amount,
        ref=name(ref),
        available_at=at,
    )
    return AwardPoints(it, sign_by_brand(it, world.venue, brand_of(where)))


def cancellation(world: FiveBrands, ref: int) -> CancelAward:
    it = Cancellation(token=token_of(world, 0), ref=name(ref))
    return CancelAward(it, sign_by_brand(it, world.venue, brand_of(0)))


def transfer(  # noqa: PLR0917  # as one would say it
    world: FiveBrands, where: int, giver: int, taker: int, amount: int, number: int
) -> TransferPoints:
    it = Transfer(
        token=token_of(world, where),
        giver=_PEOPLE[giver].account,
        taker=_PEOPLE[taker].account,
        amount=amount,
        transfer_id=name(number),
        deadline=_FAR,
    )
    return TransferPoints(it, sign_by_customer(it, world.venue, _PEOPLE[giver]))


def redemption(
    world: FiveBrands, where: int, person: int, amount: int, number: int
) -> RedeemPoints:
    it = Redemption(
        token=token_of(world, where),
        holder=_PEOPLE[person].account,
        amount=amount,
        redemption_id=name(number),
        deadline=_FAR,
    )
    return RedeemPoints(it, sign_by_customer(it, world.venue, _PEOPLE[person]))


def refund(world: FiveBrands, where: int, person: int, number: int) -> RefundPoints:
    it = Refund(
        token=token_of(world, where),
        holder=_PEOPLE[person].account,
        redemption_id=name(number),
    )
    return RefundPoints(it, sign_by_brand(it, world.venue, brand_of(where)))


def run(machine: type[MoveMachine], *, examples: int, steps: int) -> None:
    MoveMachine.moved.clear()
    kept = settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    run_state_machine_as_test(machine, settings=kept)


@pytest.mark.once
@pytest.mark.skipif(not HAS_REVM, reason="pyrevm is not installed for this Python")
def test_row_J2_whatever_happens_before_and_during_a_move_sums_are_equal() -> None:  # noqa: N802
    """On the contracts and on their twin: each holder equal, each old ref refused."""

    class OnBoth(MoveMachine):
        ledgers = (in_memory, fast_ledger)

    run(OnBoth, examples=8, steps=25)
    assert sum(amount > 0 for amount in MoveMachine.moved) > 5


@pytest.mark.soak
@pytest.mark.skipif(not HAS_REVM, reason="pyrevm is not installed for this Python")
def test_row_J2_hundreds_of_moves_lose_nothing() -> None:  # noqa: N802
    class OnBoth(MoveMachine):
        ledgers = (in_memory, fast_ledger)

    run(OnBoth, examples=max(20, 400 // SHARE), steps=40)
    assert sum(amount > 0 for amount in MoveMachine.moved) > 50 // SHARE
