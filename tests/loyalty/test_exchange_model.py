"""The exchange as a machine: whatever three brands and a customer do, no value appears.

Rates are drawn around the fair one, so that many terms are refused; each swap
is compared with plain arithmetic, and the total value never grows but by awards.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from counterfoil_loyalty.accounts import Account, PointsAccounts, PointsSigner
from counterfoil_loyalty.actions import (
    AgreeTerms,
    AwardPoints,
    CreatePoints,
    OpenExchange,
    RedeemPoints,
    SwapPoints,
)
from counterfoil_loyalty.intents import (
    Award,
    Redemption,
    Registration,
    Swap,
    Terms,
    sign_by_brand,
    sign_by_customer,
)
from counterfoil_loyalty.ledger import EmbeddedLedger
from counterfoil_loyalty.memory_ledger import MemoryLedger
from counterfoil_loyalty.memory_points import MemoryPoints
from counterfoil_loyalty.rates import Rate
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.loyalty.programme import AUDIO, NOW, Clock, programme_on, seeded

NAMES = (AUDIO, "https://bicycle.example", "https://garment.example")
PRICES = (100, 37, 1_009)
SIGNERS = tuple(PointsSigner(bytes([index + 1]) * 32) for index in range(3))
CUSTOMER = PointsAccounts(b"customer" * 4)
BRAND = st.integers(0, 2)


class ExchangeMachine(RuleBasedStateMachine):
    """Three brands, one customer, and a model of six numbers."""

    def open_ledger(self) -> EmbeddedLedger:
        """Give an empty ledger."""
        return MemoryLedger(now=NOW, random=seeded("machine"))

    def __init__(self) -> None:
        super().__init__()
        self.ledger = self.open_ledger()
        self.clock = Clock()
        self.programme = programme_on(self.ledger, self.clock)
        self.venue = self.ledger.identity.venue
        self.programme.perform(OpenExchange())
        self.tokens: list[Account] = []
        for name, price, signer in zip(NAMES, PRICES, SIGNERS, strict=True):
            registration = Registration(
                brand=name, name=name, symbol="P", issuer=signer.account, price=price
            )
            signature = sign_by_brand(registration, self.venue, signer)
            outcome = self.programme.perform(CreatePoints(registration, signature))
            created = self.ledger.block(outcome.block).events[0]
            self.tokens.append(Account(str(created.values["token"])))
        self.balances = [0, 0, 0]
        self.rates: dict[tuple[int, int], tuple[Rate, int]] = {}
        self.versions = 0
        self.count = 0

    @rule(brand=BRAND, amount=st.integers(1, 10**9))
    def award(self, brand: int, amount: int) -> None:
        self.count += 1
        award = Award(
            token=self.tokens[brand],
            to=CUSTOMER.of(NAMES[brand]).account,
            amount=amount,
            ref=self.count.to_bytes(32, "big"),
        )
        action = AwardPoints(award, sign_by_brand(award, self.venue, SIGNERS[brand]))
        assert self.programme.perform(action).reason is None
        self.balances[brand] += amount
        again = self.programme.perform(action).reason
        assert again is not None
        assert again.code == "duplicate-ref"

    @rule(giver=BRAND, taker=BRAND, numerator=st.integers(1, 10**6), off=st.integers(-3, 1))
    def agree(self, giver: int, taker: int, numerator: int, off: int) -> None:
        if giver == taker:
            return
        # The smallest fair denominator, and its neighbours on both sides.
        fair = -(-numerator * PRICES[taker] // PRICES[giver])
        denominator = max(1, fair - off)
        rate = Rate(numerator, denominator)
        self.versions += 1
        terms = Terms(
            token_in=self.tokens[giver],
            token_out=self.tokens[taker],
            rate=rate,
            price_in=PRICES[giver],
            price_out=PRICES[taker],
            version=self.versions,
            ends_at=NOW + 10**6,
        )
        signatures = [sign_by_brand(terms, self.venue, SIGNERS[index]) for index in (giver, taker)]
        reason = self.programme.perform(AgreeTerms(terms, *signatures)).reason
        if numerator * PRICES[taker] <= denominator * PRICES[giver]:
            assert reason is None
            self.rates[giver, taker] = (rate, self.versions)
        else:
            assert reason is not None
            assert reason.code == "unfair-rate"

    @rule(giver=BRAND, taker=BRAND, share=st.integers(1, 1_100))
    def swap(self, giver: int, taker: int, share: int) -> None:
        if (giver, taker) not in self.rates:
            return
        rate, version = self.rates[giver, taker]
        amount = max(1, self.balances[giver] * share // 1_000)
        self.count += 1
        swap = Swap(
            holder=CUSTOMER.of(NAMES[giver]).account,
            token_in=self.tokens[giver],
            token_out=self.tokens[taker],
            amount_in=amount,
            least_out=0,
            recipient=CUSTOMER.of(NAMES[taker]).account,
            version=version,
            deadline=NOW + 10**6,
            swap_id=self.count.to_bytes(32, "big"),
        )
        signature = sign_by_customer(swap, self.venue, CUSTOMER.of(NAMES[giver]))
        reason = self.programme.perform(SwapPoints(swap, signature)).reason
        out = amount * rate.numerator // rate.denominator
        if out == 0:
            assert reason is not None
            assert reason.code == "nothing-out"
        elif amount > self.balances[giver]:
            assert reason is not None
            assert reason.code == "insufficient-points"
        else:
            assert reason is None
            value = self.value
            self.balances[giver] -= amount
            self.balances[taker] += out
            assert self.value <= value

    @rule(brand=BRAND, share=st.integers(1, 1_000))
    def redeem(self, brand: int, share: int) -> None:
        amount = self.balances[brand] * share // 1_000
        if amount == 0:
            return
        self.count += 1
        redemption = Redemption(
            token=self.tokens[brand],
            holder=CUSTOMER.of(NAMES[brand]).account,
            amount=amount,
            redemption_id=self.count.to_bytes(32, "big"),
            deadline=NOW + 10**6,
        )
        signature = sign_by_customer(redemption, self.venue, CUSTOMER.of(NAMES[brand]))
        assert self.programme.perform(RedeemPoints(redemption, signature)).reason is None
        self.balances[brand] -= amount

    @property
    def value(self) -> int:
        return sum(held * price for held, price in zip(self.balances, PRICES, strict=True))

    @invariant()
    def ledger_and_model_agree(self) -> None:
        for index, token in enumerate(self.tokens):
            account = CUSTOMER.of(NAMES[index]).account
            assert self.ledger.balance(token, account) == self.balances[index]
            assert self.ledger.supply(token) == self.balances[index]


def test_no_value_appears_in_memory() -> None:
    run_state_machine_as_test(
        ExchangeMachine, settings=settings(max_examples=25, stateful_step_count=20)
    )


def test_no_value_appears_on_the_chain() -> None:
    from counterfoil_loyalty.chain import EmbeddedChainLedger, embedded_ledger

    opened: list[EmbeddedChainLedger] = []
    with TemporaryDirectory() as folder:

        class OnChain(ExchangeMachine):
            def open_ledger(self) -> EmbeddedLedger:
                path = Path(folder) / f"{len(opened)}.sqlite3"
                opened.append(embedded_ledger(path, now=NOW, random=seeded("machine")))
                return opened[-1]

            def teardown(self) -> None:
                opened[-1].close()

        run_state_machine_as_test(
            OnChain, settings=settings(max_examples=3, stateful_step_count=10)
        )


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
    monkeypatch.setattr("counterfoil_loyalty.memory_ledger.makes_value", never)
    require_caught()


def test_the_machine_catches_a_ledger_that_forgets_which_awards_it_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Forgetful(dict[bytes, object]):
        def __setitem__(self, key: bytes, value: object, /) -> None:
            """Forget it at once."""

    begin = MemoryPoints.__init__

    def forgetful(self: Any, *arguments: Account) -> None:  # noqa: ANN401  # a mutant of what is private
        begin(self, *arguments)
        self._entries = Forgetful()

    monkeypatch.setattr(MemoryPoints, "__init__", forgetful)
    require_caught()


def require_caught() -> None:
    quick = settings(
        max_examples=60,
        stateful_step_count=20,
        derandomize=True,
        phases=[Phase.generate],  # Finding it is enough; the smallest example is not asked for.
        report_multiple_bugs=False,
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(ExchangeMachine, settings=quick)
