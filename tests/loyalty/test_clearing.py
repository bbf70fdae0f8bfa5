"""Money between brands: collateral, settlement and hostile tokens, on the contract itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from counterfoil_loyalty.accounts import Account, PointsSigner
from counterfoil_loyalty.chain import EmbeddedChainLedger
from counterfoil_loyalty.chain_db import EmbeddedChain
from counterfoil_loyalty.claims import Acceptance, Draw, Withdrawal
from counterfoil_loyalty.intents import Signable, sign_by_brand
from counterfoil_loyalty.keccak import keccak256
from counterfoil_loyalty.ledger import Cover
from counterfoil_loyalty.rates import Limits, Rate
from web3.exceptions import ContractCustomError, ContractLogicError

from tests.loyalty.contracts import Workbench, artifact
from tests.loyalty.programme import AUDIO, BICYCLE, NOW, Clock, Programme, programme_on, seeded

OWED = 300 * 50
"""What audio owes bicycle after 200 points became 300 at 50."""


@dataclass
class Desk:
    """Two brands, money, and hands on the clearing."""

    programme: Programme
    bench: Workbench
    chain: EmbeddedChain
    clearing: Any
    money: Any

    def __post_init__(self) -> None:
        self.audio, self.bicycle = self.programme.tokens[AUDIO], self.programme.tokens[BICYCLE]
        self.sequences = {AUDIO: 0, BICYCLE: 0}

    @property
    def pair(self) -> tuple[Account, Account]:
        return self.audio, self.bicycle

    def sign(self, value: Signable, brand: str, signer: PointsSigner | None = None) -> bytes:
        self.sequences[brand] += 1
        return sign_by_brand(value, self.programme.venue, signer or self.programme.issuer(brand))

    def accept(self, *, accepted: bool = True, decimals: int = 6) -> str | None:
        value = Acceptance(
            creditor=self.bicycle,
            asset=self.money.address,
            decimals=decimals,
            accepted=accepted,
            sequence=self.sequences[BICYCLE],
        )
        error = self.call("accept", value.values, self.sign(value, BICYCLE))
        if error is not None:
            self.sequences[BICYCLE] -= 1
        return error

    def call(self, function: str, *arguments: object) -> str | None:
        """Send a call to the clearing; give the error's name, or None."""
        data = self.clearing.encode_abi(function, list(arguments))
        receipt = self.bench.send(self.clearing.address, data)
        self.programme.clock.now = self.chain.time()
        if receipt["status"] == 1:
            return None
        return self.why(self.clearing, function, *arguments)

    def why(self, contract: Any, function: str, *arguments: object) -> str:  # noqa: ANN401
        try:
            self.bench.read(contract, function, *arguments)
        except ContractCustomError as error:
            known = artifact("Clearing")["abi"] + artifact("PointsExchange")["abi"]
            for entry in known:
                if entry["type"] == "error":
                    types = ",".join(part["type"] for part in entry["inputs"])
                    found = keccak256(f"{entry['name']}({types})".encode())[:4].hex()
                    if found == str(error.data)[2:10]:
                        return str(entry["name"])
            return str(error.data)
        except ContractLogicError as error:
            return str(error)
        return "no error now"

    def turn(
        self,
        malice: int,
        target: Any = None,  # noqa: ANN401  # a contract, as web3 gives it
        function: str = "",
        *arguments: object,
    ) -> None:
        data = target.encode_abi(function, list(arguments)) if target is not None else "0x"
        place = self.money.address if target is None else target.address
        self.bench.call(self.money, "turn", malice, place, data)
        self.programme.clock.now = self.chain.time()

    def cover(self) -> Cover:
        return self.programme.ledger.cover(*self.pair)

    def purse(self, account: str) -> int:
        return int(self.bench.read(self.money, "balanceOf", account))

    def swap(self, amount: int, name: bytes) -> str | None:
        reason = self.programme.perform(
            self.programme.swap(amount, swap_id=name * 32, version=2)
        ).reason
        return reason.code if reason else None


@pytest.fixture
def desk(tmp_path: Path, clock: Clock) -> Iterator[Desk]:
    """Give a desk where audio owes bicycle `OWED`, and the relayer has a million units of money."""
    chain = EmbeddedChain(tmp_path / "chain.sqlite3", now=NOW, random=seeded("clearing"))
    programme = programme_on(EmbeddedChainLedger(chain), clock)
    programme.open()
    limits = Limits(credit=OWED + 50)
    terms = programme.terms(rate=Rate(3, 2), version=2, limits=limits)
    assert programme.perform(terms).reason is None
    assert programme.perform(programme.award(100_000)).reason is None
    assert programme.perform(programme.swap(200, version=2)).reason is None
    bench = Workbench(chain)
    money = bench.deploy("Stablecoin")
    bench.call(money, "mint", chain.relayer, 10**12)
    clearing = bench.at("Clearing", programme.venue.clearing)
    clock.now = chain.time()
    yield Desk(programme, bench, chain, clearing, money)
    chain.close()


def test_anybody_pays_what_a_brand_owes(desk: Desk) -> None:
    assert desk.call("settle", *desk.pair, desk.money.address, 5_000) == "NotAccepted"
    assert desk.accept() is None
    assert desk.call("settle", *desk.pair, desk.money.address, 5_000) is None
    assert desk.cover().owed == OWED - 5_000
    assert desk.purse(desk.programme.bicycle.account) == 5_000
    assert desk.call("settle", *desk.pair, desk.money.address, OWED) == "MoreThanOwed"
    assert desk.call("settle", desk.bicycle, desk.audio, desk.money.address, 1) == "NotAccepted"
    assert desk.accept(accepted=False) is None
    assert desk.call("settle", *desk.pair, desk.money.address, 1) == "NotAccepted"


def test_collateral_lets_a_claim_grow_and_is_free_when_it_covers_nothing(desk: Desk) -> None:
    assert desk.accept() is None
    assert desk.swap(200, b"2") == "credit-exceeded"
    assert desk.call("deposit", *desk.pair, desk.money.address, 20_000) is None
    assert desk.cover() == Cover(OWED, OWED + 50, 20_000)
    assert desk.swap(200, b"2") is None
    pledged = 2 * OWED - (OWED + 50)

    def withdraw(amount: int) -> str | None:
        value = Withdrawal(
            debtor=desk.audio,
            creditor=desk.bicycle,
            amount=amount,
            sequence=desk.sequences[AUDIO],
        )
        error = desk.call("withdraw", value.values, desk.sign(value, AUDIO))
        if error is not None:
            desk.sequences[AUDIO] -= 1
        return error

    assert withdraw(20_000 - pledged + 1) == "Pledged"
    assert withdraw(20_000 - pledged) is None
    assert desk.purse(desk.programme.audio.account) == 20_000 - pledged
    assert desk.call("settle", *desk.pair, desk.money.address, 2 * OWED) is None
    assert withdraw(pledged) is None
    assert desk.cover() == Cover(0, OWED + 50, 0)
    assert desk.purse(desk.clearing.address) == 0


def test_a_creditor_draws_what_is_pledged_and_no_more(desk: Desk) -> None:
    desk.accept()
    desk.call("deposit", *desk.pair, desk.money.address, 20_000)
    desk.swap(200, b"2")
    pledged = 2 * OWED - (OWED + 50)

    def draw(value: int, signer: PointsSigner | None = None) -> str | None:
        drawn = Draw(
            debtor=desk.audio,
            creditor=desk.bicycle,
            value=value,
            sequence=desk.sequences[BICYCLE],
        )
        error = desk.call("draw", drawn.values, desk.sign(drawn, BICYCLE, signer))
        if error is not None:
            desk.sequences[BICYCLE] -= 1
        return error

    assert draw(pledged, desk.programme.audio) == "InvalidBrandSignature"
    assert draw(pledged + 1) == "NotPledged"
    assert draw(pledged) is None
    assert draw(1) == "NotPledged"
    assert desk.purse(desk.programme.bicycle.account) == pledged
    assert desk.cover() == Cover(OWED + 50, OWED + 50, 20_000 - pledged)


def test_what_was_signed_for_the_clearing_is_used_once(desk: Desk) -> None:
    value = Acceptance(
        creditor=desk.bicycle, asset=desk.money.address, decimals=6, accepted=True, sequence=0
    )
    signature = desk.sign(value, BICYCLE)
    assert desk.call("accept", value.values, signature) is None
    assert desk.call("accept", value.values, signature) == "WrongSequence"


def test_only_the_exchange_books(desk: Desk) -> None:
    assert desk.call("book", *desk.pair, 1) == "OnlyExchange"
    assert desk.call("setCredit", *desk.pair, 2**64 - 1) == "OnlyExchange"


def test_money_that_lies_about_its_decimals_is_not_accepted(desk: Desk) -> None:
    assert desk.accept(decimals=18) == "WrongDecimals"
    desk.bench.call(desk.money, "setDecimals", 5)
    assert desk.accept(decimals=5) == "WrongDecimals"
    desk.bench.call(desk.money, "setDecimals", 8)
    assert desk.accept(decimals=8) is None
    desk.bench.call(desk.money, "setDecimals", 6)  # A later lie changes nothing.
    assert desk.call("settle", *desk.pair, desk.money.address, 1_000) is None
    assert desk.cover().owed == OWED - 10
    assert desk.call("settle", *desk.pair, desk.money.address, 99) == "NothingReceived"


def test_an_account_without_code_is_no_money(desk: Desk) -> None:
    honest, desk.money = desk.money, desk.bench.at("Stablecoin", desk.programme.audio.account)
    assert desk.accept() is not None
    desk.money = honest


def test_money_that_takes_a_fee_extinguishes_what_arrived(desk: Desk) -> None:
    desk.accept()
    desk.turn(1)
    assert desk.call("settle", *desk.pair, desk.money.address, 10_000) is None
    assert desk.cover().owed == OWED - 9_900
    assert desk.call("deposit", *desk.pair, desk.money.address, 10_000) is None
    assert desk.cover().reserve == 9_900
    assert desk.purse(desk.clearing.address) == 9_900


@pytest.mark.parametrize("malice", [2, 3])
def test_money_that_does_not_move_extinguishes_nothing(desk: Desk, malice: int) -> None:
    desk.accept()
    desk.turn(malice)
    for function in ("settle", "deposit"):
        assert desk.call(function, *desk.pair, desk.money.address, 10_000) is not None
    assert desk.cover() == Cover(OWED, OWED + 50, 0)


def test_old_money_that_answers_nothing_is_taken(desk: Desk) -> None:
    desk.accept()
    desk.turn(6)
    assert desk.call("settle", *desk.pair, desk.money.address, 10_000) is None
    assert desk.cover().owed == OWED - 10_000


def test_money_that_tells_balances_that_are_not_so_extinguishes_no_more_than_was_paid(
    desk: Desk,
) -> None:
    desk.accept()
    desk.turn(5)
    desk.call("settle", *desk.pair, desk.money.address, 10_000)
    assert desk.cover().owed >= OWED - 10_000
    desk.turn(0)
    assert desk.cover().owed >= OWED - desk.purse(desk.programme.bicycle.account)


@pytest.mark.parametrize("inner", ["settle", "deposit", "accept"])
def test_money_that_calls_back_is_not_let_in(desk: Desk, inner: str) -> None:
    desk.accept()
    arguments: tuple[object, ...] = (*desk.pair, desk.money.address, 10)
    if inner == "accept":
        value = Acceptance(
            creditor=desk.bicycle,
            asset=desk.money.address,
            decimals=6,
            accepted=False,
            sequence=desk.sequences[BICYCLE],
        )
        arguments = (value.values, desk.sign(value, BICYCLE))
    desk.turn(4, desk.clearing, inner, *arguments)
    assert desk.call("settle", *desk.pair, desk.money.address, 5_000) is None
    assert not desk.bench.read(desk.money, "wasLetIn")
    assert desk.cover() == Cover(OWED - 5_000, OWED + 50, 0)


def test_money_that_exchanges_points_while_it_is_paid_is_not_let_in(desk: Desk) -> None:
    """A claim that grew in the middle of its payment would be counted twice."""
    desk.accept()
    action = desk.programme.swap(1, swap_id=b"n" * 32, version=2)
    exchange = desk.bench.at("PointsExchange", desk.programme.venue.exchange)
    desk.turn(4, exchange, "swap", action.swap.values, action.signature)
    assert desk.call("settle", *desk.pair, desk.money.address, 5_000) is None
    assert not desk.bench.read(desk.money, "wasLetIn")
    assert desk.cover().owed == OWED - 5_000
    assert desk.programme.perform(action).reason is None  # It is still good from outside.


def test_a_swap_costs_what_was_promised(desk: Desk) -> None:
    """160,000 for one of many; 205,000 for the first in the epoch, to a new holder."""
    desk.programme.clock.advance(86_400 * 2)
    exchange = desk.bench.at("PointsExchange", desk.programme.venue.exchange)
    tight = Limits(quota=10**7, customer_quota=10**6, credit=10**10)
    desk.programme.perform(desk.programme.terms(BICYCLE, AUDIO, rate=Rate(1, 2), limits=tight))

    def gas(name: bytes, **changes: object) -> int:
        action = desk.programme.swap(20, BICYCLE, AUDIO, swap_id=name * 32, **changes)
        receipt = desk.bench.call(exchange, "swap", action.swap.values, action.signature)
        assert receipt["status"] == 1
        desk.programme.clock.now = desk.chain.time()
        return int(receipt["gasUsed"])

    later = {"deadline": NOW + 86_400 * 9}
    newcomer = PointsSigner(b"\x66" * 32).account
    cold = gas(b"1", recipient=newcomer, **later)
    warm = [gas(name, recipient=newcomer, **later) for name in (b"2", b"3")]
    assert cold <= 205_000
    assert max(warm) <= 160_000
