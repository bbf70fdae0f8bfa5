"""The exchange as a machine: whatever five brands and a customer do, no value appears.

Every action runs on the contracts and on their twin in memory, which must say
the same. Beside both stands plain arithmetic: what a swap gives, what all points
are worth, what each brand owes.
"""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, permutations
from typing import Any, ClassVar

import pytest
from counterfoil_loyalty.accounts import Account
from counterfoil_loyalty.actions import Action, EnactPrice, EnactTerms, NetClaims, SwapPoints
from counterfoil_loyalty.intents import Terms
from counterfoil_loyalty.memory_ledger import MemoryLedger
from counterfoil_loyalty.memory_points import MemoryPoints, require
from counterfoil_loyalty.rates import PERIOD_S, Limits, Rate
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.loyalty.evm import HAS_REVM, Acting, acting, fast_ledger
from tests.loyalty.programme import NOW, seeded
from tests.loyalty.street import PRICES, SIGNERS, WIDE, FiveBrands

SHARE = int(os.environ.get("COUNTERFOIL_SOAK_SHARE", "1"))
BRAND = st.integers(0, 4)
PAIRS = tuple(permutations(range(5), 2))
PAIR = st.sampled_from(PAIRS)


def in_memory() -> Acting:
    return acting(MemoryLedger(now=NOW, random=seeded("machine")))


class ExchangeMachine(RuleBasedStateMachine):
    """Five brands, one customer; `swaps` counts the swaps that happened, over all runs."""

    ledgers: tuple[Callable[[], Acting], ...] = (in_memory,)
    swaps: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.worlds = [FiveBrands(ledger()).open() for ledger in self.ledgers]
        self.prices: list[int] = list(PRICES)
        self.balances = [0] * 5
        self.rates: dict[tuple[int, int], tuple[Rate, int]] = {}
        self.credits = dict.fromkeys(PAIRS, WIDE.credit)
        self.waiting: dict[tuple[int, int], tuple[Rate, int, tuple[int, int]]] = {}
        self.versions, self.number = 0, 0
        self.sequences = [0] * 5
        # By brand: the version and the price that wait, and from when they may be put in force.
        self.announced: dict[int, tuple[int, int, int]] = {}
        for brand in range(5):
            self.award(brand, 10**7)
        for giver, taker in PAIRS:
            # Each corridor with a discount of its own, up to a fifth; one at the fair rate.
            fair = 10**4 * PRICES[taker] // PRICES[giver]
            self.agree((giver, taker), 10**4, fair * giver // 20)

    def act(self, made: Callable[[FiveBrands], Action]) -> str | None:
        """Do the same on each ledger and give the one code of the refusal, or None."""
        reasons = [world.act(made(world)) for world in self.worlds]
        codes = {reason.code if reason else None for reason in reasons}
        assert len(codes) == 1, codes
        return codes.pop()

    @property
    def value(self) -> int:
        return sum(held * price for held, price in zip(self.balances, self.prices, strict=True))

    @rule(brand=BRAND, amount=st.integers(1, 10**7))
    def award(self, brand: int, amount: int) -> None:
        self.number += 1
        ref = self.number
        assert self.act(lambda it: it.award(brand, amount, ref)) is None
        self.balances[brand] += amount
        assert self.act(lambda it: it.award(brand, amount, ref)) == "duplicate-ref"

    @rule(pair=PAIR, numerator=st.integers(10, 10**6), off=st.integers(-1, 3))
    def agree(self, pair: tuple[int, int], numerator: int, off: int) -> None:
        giver, taker = pair
        prices = (self.prices[giver], self.prices[taker])
        # The smallest fair denominator, and its neighbours on both sides.
        rate = Rate(numerator, max(1, -(-numerator * prices[1] // prices[0]) + off))
        self.versions += 1
        version = self.versions
        limits = self.limits(pair)
        code = self.act(
            lambda it: it.terms(giver, taker, rate, version, prices=prices, limits=limits)
        )
        known = self.rates.get(pair)
        if known and _is_less(rate, known[0], part=(4, 5)):
            assert code == "rate-too-far"
        elif known and _is_less(rate, known[0]):
            assert code is None  # It waits.
            self.waiting[pair] = (rate, version, prices)
        elif rate.is_fair(*prices):
            assert code is None
            self.rates[pair] = (rate, version)
            self.waiting.pop(pair, None)
        else:
            assert code == "unfair-rate"

    @rule(pair=PAIR, waits=st.booleans())
    def enact(self, pair: tuple[int, int], *, waits: bool) -> None:
        if pair not in self.waiting:
            return
        rate, version, prices = self.waiting[pair]
        if waits:
            self.wait(8)

        def made(world: FiveBrands) -> EnactTerms:
            limits = self.limits(pair)
            terms: Terms = world.terms(*pair, rate, version, prices=prices, limits=limits).terms
            return EnactTerms(terms)

        code = self.act(made)
        if code is None:
            assert rate.is_fair(self.prices[pair[0]], self.prices[pair[1]])
            self.rates[pair] = (rate, version)
            del self.waiting[pair]
        else:
            assert code in {"too-soon", "price-mismatch", "old-terms", "unfair-rate"}

    @rule(pair=PAIR, share=st.integers(1, 1_100), times=st.integers(1, 12))
    def swap(self, pair: tuple[int, int], share: int, times: int) -> None:
        if pair in self.rates:
            amount = max(1, self.balances[pair[0]] * share // 1_000 // times)
            for _ in range(times):
                self._swap(pair, amount)

    @rule(brands=st.permutations(range(5)), length=st.integers(2, 5))
    def go_round(self, brands: list[int], length: int) -> None:
        """All of one brand's points along a cycle and back: never more than at the start."""
        cycle = brands[:length]
        start = cycle[0]
        amount = self.balances[start]
        held = list(self.balances)
        for pair in zip(cycle, [*cycle[1:], start], strict=True):
            if pair not in self.rates or not amount or not self._swap(pair, amount):
                return
            amount = self.balances[pair[1]] - (held[pair[1]] if pair[1] != start else 0)
        assert self.balances[start] <= held[start]

    def _swap(self, pair: tuple[int, int], amount: int) -> bool:
        giver, taker = pair
        rate, version = self.rates[pair]
        self.number += 1
        number = self.number
        before, owed = self.value, self.worlds[0].owed(giver, taker)
        if number % 4 == 0:
            action = self.act(lambda it: _tampered(it.swap(giver, taker, amount, version, number)))
            assert action is not None
        code = self.act(lambda it: it.swap(giver, taker, amount, version, number))
        out = amount * rate.numerator // rate.denominator
        if code is not None:
            allowed = {"corridor-paused", "credit-exceeded", "quota-exceeded"}
            if out == 0:
                allowed.add("nothing-out")
            if amount > self.balances[giver]:
                allowed.add("insufficient-points")
            if out * self.prices[taker] > amount * self.prices[giver]:
                allowed.add("value-created")
            assert code in allowed
            if code == "credit-exceeded":
                assert owed + out * self.prices[taker] > self.credits[pair]
            return False
        assert out > 0
        for world in self.worlds:
            # Solvency: what the one owes is what it took over, and never beyond the credit.
            assert world.owed(giver, taker) == owed + out * self.prices[taker]
            assert world.owed(giver, taker) <= self.credits[pair]
        self.balances[giver] -= amount
        self.balances[taker] += out
        for world in self.worlds:
            assert (world.held(giver), world.held(taker)) == (
                self.balances[giver],
                self.balances[taker],
            )
        assert self.value <= before
        if number % 4 == 1:
            again = self.act(lambda it: it.swap(giver, taker, amount, version, number))
            assert again is not None
        self.swaps["made"] += 1
        return True

    @rule(brand=BRAND, percent=st.integers(-25, 25))
    def change_price(self, brand: int, percent: int) -> None:
        old = self.prices[brand]
        price = max(1, old + old * percent // 100)
        self.versions += 1
        version = self.versions
        code = self.act(lambda it: it.price(brand, price, version))
        if abs(price - old) * 5 > old:
            assert code == "price-too-far"
        elif price > old:
            assert code is None
            self.announced[brand] = (version, price, self.worlds[0].now + PERIOD_S)
            assert self.worlds[0].ledger.events[-1].name == "PriceAnnounced"
            at_once = self.act(lambda it: EnactPrice(it.tokens[brand], version))
            assert at_once == "too-soon"
        elif code is None:
            self._price_is_set(brand, price)
        else:
            assert code == "too-soon"

    @rule(brand=BRAND, waits=st.booleans())
    def enact_price(self, brand: int, *, waits: bool) -> None:
        if brand not in self.announced:
            return
        version, price, not_before = self.announced[brand]
        if waits:
            self.wait(8)
        code = self.act(lambda it: EnactPrice(it.tokens[brand], version))
        assert code == (None if self.worlds[0].now >= not_before else "too-soon")
        if code is None:
            self._price_is_set(brand, price)

    def _price_is_set(self, brand: int, price: int) -> None:
        change = self.balances[brand] * (price - self.prices[brand])
        for world in self.worlds:
            (event,) = world.ledger.events
            assert event.name == "PriceSet"
            assert event.values["liabilityChange"] == change
        self.prices[brand] = price
        self.announced.pop(brand, None)

    @rule(brand=BRAND, paused=st.booleans())
    def pause(self, brand: int, *, paused: bool) -> None:
        sequence = self.sequences[brand]
        assert self.act(lambda it: it.pause(brand, paused=paused, sequence=sequence)) is None
        self.sequences[brand] += 1
        reused = self.act(lambda it: it.pause(brand, paused=not paused, sequence=sequence))
        assert reused == "wrong-sequence"
        if paused:
            for pair in self.rates:
                if brand in pair:
                    assert not self._swap(pair, max(1, self.balances[pair[0]]))
                    break
            self.pause(brand, paused=False)

    @rule(pair=PAIR, share=st.integers(500, 3_000))
    def narrow(self, pair: tuple[int, int], share: int) -> None:
        """Cut the credit to about what is owed, so that the next exchanges meet its end."""
        giver, taker = pair
        if pair not in self.rates:
            return
        sequence = self.sequences[taker]
        owed = max(0, self.worlds[0].owed(giver, taker))
        credit = owed * share // 1_000 + self.prices[taker] * share
        code = self.act(
            lambda it: it.tighten(giver, taker, taker, sequence=sequence, credit=credit)
        )
        assert code is None
        self.sequences[taker] += 1
        self.credits[pair] = min(self.credits[pair], credit)
        self.waiting.pop(pair, None)
        for world in self.worlds:
            cover = world.ledger.cover(world.tokens[giver], world.tokens[taker])
            assert (cover.credit, cover.reserve) == (self.credits[pair], 0)

    def limits(self, pair: tuple[int, int]) -> Limits:
        return replace(WIDE, credit=self.credits[pair])

    @rule(days=st.integers(1, 9))
    def wait(self, days: int) -> None:
        for world in self.worlds:
            world.now += days * PERIOD_S // 7

    @rule(brands=st.permutations(range(5)), length=st.integers(3, 5))
    def net(self, brands: list[int], length: int) -> None:
        cycle = brands[:length]
        before = self.positions()
        self.number += 1
        number = self.number
        code = self.act(lambda it: NetClaims(tuple(it.tokens[brand] for brand in cycle), number))
        assert code in {None, "no-cycle"}
        assert self.positions() == before

    @rule(pair=PAIR, share=st.integers(1, 1_200))
    def pay(self, pair: tuple[int, int], share: int) -> None:
        owed = self.worlds[0].owed(*pair)
        self.number += 1
        number, value = self.number, max(1, owed * share // 1_000)
        code = self.act(lambda it: it.paid(*pair, value, number))
        assert code == (None if value <= owed else "more-than-owed")

    def positions(self) -> list[list[int]]:
        """Give what each brand owes all others together, on each ledger."""
        return [
            [sum(world.owed(one, other) for other in range(5) if other != one) for one in range(5)]
            for world in self.worlds
        ]

    @invariant()
    def supplies_are_what_the_customer_holds(self) -> None:
        for world in self.worlds:
            for brand in range(5):
                assert world.ledger.supply(world.tokens[brand]) == self.balances[brand]

    def teardown(self) -> None:
        for world in self.worlds:
            for one, other in combinations(range(5), 2):
                assert world.owed(one, other) == -world.owed(other, one)
        for positions in self.positions():
            assert sum(positions) == 0
        for world in self.worlds:
            world.ledger.close()


def _is_less(one: Rate, other: Rate, *, part: tuple[int, int] = (1, 1)) -> bool:
    return one.numerator * other.denominator * part[1] < (
        other.numerator * one.denominator * part[0]
    )


def _tampered(action: SwapPoints) -> SwapPoints:
    """Give the same signed swap, for somebody else's account."""
    return replace(action, swap=replace(action.swap, recipient=SIGNERS[0].account))


class OnEvm(ExchangeMachine):
    """The contracts beside their twin."""

    ledgers = (fast_ledger, in_memory)
    swaps: ClassVar[Counter[str]] = Counter()


def run(
    machine: type[ExchangeMachine], *, examples: int, steps: int, derandomize: bool = False
) -> None:
    kept = settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=derandomize,
        deadline=None,
        # Finding it is enough: to look for the smallest example takes minutes.
        phases=[Phase.reuse, Phase.generate] if not derandomize else [Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    run_state_machine_as_test(machine, settings=kept)


def test_no_value_appears_in_memory() -> None:
    run(ExchangeMachine, examples=15, steps=30)


@pytest.mark.once
def test_no_value_appears_in_the_contracts() -> None:
    examples, steps = (12, 40) if HAS_REVM else (1, 10)
    run(OnEvm, examples=examples, steps=steps)


@pytest.mark.soak
def test_no_value_appears_in_two_thousand_swaps() -> None:
    OnEvm.swaps.clear()
    while OnEvm.swaps["made"] < 2_000 // SHARE:
        run(OnEvm, examples=5, steps=50)


def rounds_up(rate: Rate, units_in: int) -> int:
    return -(-units_in * rate.numerator // rate.denominator)


def doubles(rate: Rate, units_in: int) -> int:
    return 2 * (units_in * rate.numerator // rate.denominator)


@pytest.mark.parametrize("mutant", [rounds_up, doubles])
def test_the_machine_catches_an_exchange_that_gives_too_much(
    monkeypatch: pytest.MonkeyPatch, mutant: Callable[[Rate, int], int]
) -> None:
    """A mutant: a ledger that gives the customer more and checks nothing must not pass."""

    def never(*_: int) -> bool:
        return False

    monkeypatch.setattr(Rate, "of", mutant)
    monkeypatch.setattr("counterfoil_loyalty.memory_exchange.makes_value", never)
    require_caught(ExchangeMachine)


def test_the_machine_catches_a_raise_that_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("counterfoil_loyalty.memory_exchange.PERIOD_S", 0)
    require_caught(ExchangeMachine)


def test_the_machine_catches_a_claim_beyond_the_credit(monkeypatch: pytest.MonkeyPatch) -> None:
    def lenient(holds: bool, error: str) -> None:  # noqa: FBT001  # as the one it stands for
        require(holds or error == "CreditExceeded", error)

    monkeypatch.setattr("counterfoil_loyalty.memory_clearing.require", lenient)
    require_caught(ExchangeMachine)


def test_the_machine_catches_a_ledger_that_forgets_which_awards_it_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Forgetful(dict[bytes, object]):
        def __setitem__(self, key: bytes, value: object, /) -> None:
            """Forget it at once."""

    begin = MemoryPoints.__init__

    def forgetful(self: Any, *arguments: Account) -> None:  # noqa: ANN401  # a mutant of what is private
        begin(self, *arguments)
        vars(self)["_entries"] = Forgetful()

    monkeypatch.setattr(MemoryPoints, "__init__", forgetful)
    require_caught(ExchangeMachine)


def require_caught(machine: type[ExchangeMachine]) -> None:
    with pytest.raises(AssertionError):
        run(machine, examples=60, steps=30, derandomize=True)
