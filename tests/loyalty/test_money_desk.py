"""Money between brands through the service: row F7's reserve, and what stops at its end."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from counterfoil_credentials.encoding import Json
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_loyalty import Points, Rate
from counterfoil_loyalty.accounts import NOBODY, Account
from counterfoil_loyalty.audit import LedgerRead, ServiceRead, audit
from counterfoil_loyalty.brand_desk import BrandDesk, claim_between
from counterfoil_loyalty.calls import ContractCalls
from counterfoil_loyalty.chain import embedded_ledger
from counterfoil_loyalty.claim_answers import whole_number_at
from counterfoil_loyalty.ledger import Cover
from counterfoil_loyalty.memory_ledger import MemoryLedger
from counterfoil_loyalty.money_desk import (
    MoneyDesk,
    TreasuryCall,
    deposit_calls,
    settlement_calls,
)
from counterfoil_loyalty.statements import draw_up
from counterfoil_loyalty.store import Brand
from eth_utils.address import to_checksum_address

from tests.loyalty.anvil import Anvil, AnvilLedger, anvil
from tests.loyalty.contracts import artifact
from tests.loyalty.programme import AUDIO, BICYCLE, NOW, Clock, seeded
from tests.loyalty.test_service import Street, street_on

pytestmark = [pytest.mark.loopback, pytest.mark.once]

OWED = 300 * 50
"""What audio owes bicycle after 200 points became 300 at 50."""


@dataclass
class Treasury:
    """Whoever has money: sends what it is told to, from a wallet of the node's own."""

    anvil: Anvil
    clock: Clock

    def __post_init__(self) -> None:
        accounts = self.anvil.do("eth_accounts")
        assert isinstance(accounts, list)
        self.account = str(accounts[0])
        parts = artifact("Dollars")
        made = self._sent({"data": parts["bytecode"]})
        self.asset = Account(to_checksum_address(str(made["contractAddress"])))
        assert self.send(TreasuryCall(self.asset, _call("mint", self.account, 10**12)))

    def send(self, *calls: TreasuryCall) -> bool:
        sent = [self._sent({"to": it.to, "data": f"0x{it.data.hex()}"}) for it in calls]
        return all(receipt["status"] == "0x1" for receipt in sent)

    def held(self, account: str) -> int:
        call: Json = {"to": self.asset, "data": f"0x{_call('balanceOf', account).hex()}"}
        return int(str(self.anvil.do("eth_call", call, "latest")), 16)

    def _sent(self, transaction: dict[str, Json]) -> dict[str, Json]:
        whole: Json = {"from": self.account, "gas": "0x500000", **transaction}
        name = self.anvil.do("eth_sendTransaction", whole)
        self.clock.advance(1)
        self.anvil.mine(self.clock.now)
        receipt = self.anvil.do("eth_getTransactionReceipt", name)
        assert isinstance(receipt, dict)
        return receipt


def _call(name: str, *values: object) -> bytes:
    encoded = ContractCalls(artifact("Dollars")["abi"]).encode(name, values)
    return bytes.fromhex(encoded[2:])


@dataclass
class Market:
    """Two brands at a service on a chain, of which audio may owe bicycle little; and money."""

    street: Street
    treasury: Treasury

    def __post_init__(self) -> None:
        self.audio = MoneyDesk(self.street.client, AUDIO, self.street.audio)
        self.bicycle = MoneyDesk(self.street.client, BICYCLE, self.street.bicycle)
        self.asset = self.treasury.asset
        self.exchanges = 0

    @property
    def cover(self) -> Cover:
        return claim_between(self.street.client, AUDIO, BICYCLE)

    def exchange(self, units: int) -> None:
        self.exchanges += 1
        quote = self.street.client.quote(Points(AUDIO, units), BICYCLE)
        name = self.exchanges.to_bytes(32)
        self.street.client.exchange(quote, self.street.accounts, name)

    def deposit(self, amount: int) -> bool:
        calls = deposit_calls(self.street.client, AUDIO, BICYCLE, self.asset, amount)
        return self.treasury.send(*calls)

    def settle(self, amount: int) -> bool:
        calls = settlement_calls(self.street.client, AUDIO, BICYCLE, self.asset, amount)
        return self.treasury.send(*calls)


@pytest.fixture
def market(clock: Clock) -> Iterator[Market]:
    with anvil("--no-mining") as node, closing(AnvilLedger(node)) as ledger:
        for street in street_on(ledger, clock):
            street.award(100_000)
            narrow = BrandDesk(street.client, BICYCLE, street.bicycle)
            narrow.tighten(AUDIO, BICYCLE, credit=OWED + 50)
            yield Market(street, Treasury(node, clock))


def codes(refused: pytest.ExceptionInfo[Refused]) -> list[str]:
    return refused.value.codes


def test_row_F7_the_reserve_is_shown_beside_a_quote_and_its_end_closes_the_exchange(  # noqa: N802
    market: Market,
) -> None:
    market.bicycle.accept(market.asset, decimals=6)
    market.exchange(200)
    # Credit is used up. Customers are told so before they sign.
    with pytest.raises(Refused) as stopped:
        market.street.client.quote(Points(AUDIO, 200), BICYCLE)
    assert codes(stopped) == ["credit-exceeded"]

    # A deposit is seen in the next quote, and lets the exchange go on as far as it reaches.
    assert market.deposit(20_000)
    quote = market.street.client.quote(Points(AUDIO, 200), BICYCLE)
    assert quote.cover == Cover(OWED, OWED + 50, 20_000) == market.cover
    market.exchange(200)
    with pytest.raises(Refused) as breached:
        market.exchange(200)
    assert codes(breached) == ["credit-exceeded"]
    held = market.street.held()

    # What was quoted before and is signed now moves nothing either.
    with pytest.raises(Refused) as late:
        market.street.client.exchange(quote, market.street.accounts, b"l" * 32)
    assert codes(late) == ["credit-exceeded"]
    assert market.street.held() == held

    # Anybody's payment opens it again.
    assert market.settle(2 * OWED)
    assert market.cover == Cover(0, OWED + 50, 20_000)
    market.exchange(200)


def test_a_creditor_is_paid_from_collateral_and_the_rest_goes_back(market: Market) -> None:
    market.bicycle.accept(market.asset, decimals=6)
    assert market.deposit(20_000)
    market.exchange(400)
    pledged = 2 * OWED - (OWED + 50)

    with pytest.raises(Refused) as over:
        market.bicycle.draw(AUDIO, pledged + 1)
    assert codes(over) == ["not-pledged"]
    with pytest.raises(Refused) as held_back:
        market.audio.withdraw(BICYCLE, 20_000 - pledged + 1)
    assert codes(held_back) == ["collateral-pledged"]
    market.bicycle.draw(AUDIO, pledged)
    market.audio.withdraw(BICYCLE, 20_000 - pledged)

    assert market.treasury.held(market.street.bicycle.account) == pledged
    assert market.treasury.held(market.street.audio.account) == 20_000 - pledged
    assert market.cover == Cover(OWED + 50, OWED + 50, 0)


def test_what_was_paid_stands_in_the_audit_and_in_the_statement(market: Market) -> None:
    ledger = market.street.relayer.ledger
    market.bicycle.accept(market.asset, decimals=6)
    assert market.deposit(20_000)
    market.exchange(400)
    assert market.settle(1_000)
    market.bicycle.draw(AUDIO, 5_000)
    market.audio.withdraw(BICYCLE, 100)

    by_service = audit(ServiceRead(market.street.client))
    assert by_service == audit(LedgerRead(ledger))
    debtor, creditor = (
        Brand(brand, "Points", "PTS", market.street.client.programme(brand).token, NOBODY, 1)
        for brand in (AUDIO, BICYCLE)
    )
    statement = draw_up(
        [ledger.block(number) for number in range(ledger.head() + 1)],
        market.street.client.venue().clearing,
        debtor=debtor,
        creditor=creditor,
        since=0,
        until=ledger.head(),
    )
    assert [(it.kind, it.value) for it in statement.lines] == [
        ("exchanged", 2 * OWED),
        ("paid", -1_000),
        ("drawn-from-collateral", -5_000),
    ]
    assert statement.closing == market.cover.owed == 2 * OWED - 6_000


def test_another_brand_s_word_about_money_is_none(market: Market) -> None:
    forged = MoneyDesk(market.street.client, BICYCLE, market.street.audio)

    with pytest.raises(Refused) as refused:
        forged.accept(market.asset, decimals=6)
    assert codes(refused) == ["signature-invalid"]


def test_money_that_is_none_is_not_accepted(market: Market) -> None:
    with pytest.raises(Refused) as nothing_there:
        market.bicycle.accept(market.street.audio.account, decimals=6)
    assert codes(nothing_there) == ["reverted"]
    with pytest.raises(Refused) as lying:
        market.bicycle.accept(market.asset, decimals=8)
    assert codes(lying) == ["wrong-decimals"]


def test_money_that_the_creditor_does_not_take_pays_nothing(market: Market) -> None:
    market.exchange(200)
    assert not market.settle(100)
    assert not market.deposit(100)
    market.bicycle.accept(market.asset, decimals=6)
    assert market.settle(100)
    market.bicycle.accept(market.asset, decimals=6, accepted=False)
    assert not market.settle(100)
    assert market.cover.owed == OWED - 100
    with pytest.raises(Misuse, match="above zero"):
        market.deposit(0)


def test_a_ledger_without_money_says_so(clock: Clock) -> None:
    for street in street_on(MemoryLedger(now=NOW, random=seeded("no money")), clock):
        desk = MoneyDesk(street.client, BICYCLE, street.bicycle)
        with pytest.raises(Refused) as accepted:
            desk.accept(street.audio.account, decimals=6)
        with pytest.raises(Refused) as withdrawn:
            desk.withdraw(AUDIO, 1)
        with pytest.raises(Refused) as drawn:
            desk.draw(AUDIO, 1)
        for refused in (accepted, withdrawn, drawn):
            assert codes(refused) == ["money-elsewhere"]


def test_money_that_is_none_is_not_accepted_on_the_embedded_chain_either(
    tmp_path: Path, clock: Clock
) -> None:
    with closing(embedded_ledger(tmp_path / "c.sqlite3", now=NOW, random=seeded("none"))) as ledger:
        for street in street_on(ledger, clock):
            desk = MoneyDesk(street.client, BICYCLE, street.bicycle)
            with pytest.raises(Refused) as refused:
                desk.accept(street.audio.account, decimals=6)
            assert codes(refused) == ["reverted"]


@pytest.mark.parametrize("text", ["", "1.0", "1e3", "+1", "--1", "٣", "1" * 80])
def test_a_number_that_is_none_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        whole_number_at({"owed": text}, "owed", "claims")
    assert whole_number_at({"owed": "-12"}, "owed", "claims") == -12


def test_the_rate_that_was_quoted_is_the_rate_that_both_signed(market: Market) -> None:
    assert market.street.client.quote(Points(AUDIO, 10), BICYCLE).rate == Rate(3, 2)
