"""Money set aside: it goes to one of two, once, whatever anybody wishes afterwards."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from counterfoil_loyalty.accounts import NOBODY, Account, PointsSigner
from counterfoil_loyalty.actions import Action
from counterfoil_loyalty.chain import EmbeddedChainLedger
from counterfoil_loyalty.chain_db import EmbeddedChain
from counterfoil_loyalty.common_contracts import Common, OpenContract, account_of
from counterfoil_loyalty.guarantee import (
    FulfilGuarantee,
    Guarantee,
    OpenGuarantee,
    RefundGuarantee,
)
from counterfoil_loyalty.intents import Venue
from counterfoil_loyalty.ledger import EmbeddedLedger

from tests.loyalty.contracts import Workbench
from tests.loyalty.ledgers import empty_ledger
from tests.loyalty.outcomes import done, refused
from tests.loyalty.programme import (
    AUDIO,
    BICYCLE,
    DAY,
    NOW,
    Clock,
    Programme,
    changed,
    programme_on,
    seeded,
)

SHOP = PointsSigner(b"\x51" * 32)
CUSTOMER = PointsSigner(b"\x52" * 32)
ATTESTER = PointsSigner(b"\x53" * 32)
THIEF = PointsSigner(b"\x54" * 32)


@pytest.fixture(params=["memory", "chain"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EmbeddedLedger]:
    """Give the two kinds that take no process; test_common_contracts.py asks a real node."""
    yield from empty_ledger(request.param, tmp_path)


@pytest.fixture
def opened(programme: Programme) -> Programme:
    """Give a programme with the contract, and a shop with 1,000."""
    done(programme, OpenContract(Common.GUARANTEE))
    done(programme, programme.award(1_000, to=SHOP.account))
    return programme


def guarantee(programme: Programme, **changes: object) -> Guarantee:
    values = {
        "token": programme.tokens[AUDIO],
        "amount": 400,
        "funder": SHOP.account,
        "customer": CUSTOMER.account,
        "attester": ATTESTER.account,
        "fund_before": NOW + DAY,
        "deadline": NOW + 2 * DAY,
        "salt": b"g" * 32,
        **changes,
    }
    return Guarantee(**values)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]  # by name


def opening(venue: Venue, it: Guarantee, signer: PointsSigner = SHOP) -> OpenGuarantee:
    return OpenGuarantee(it, signer.sign(it.authorization(venue)))


def fulfilment(
    venue: Venue, it: Guarantee, signer: PointsSigner = ATTESTER, *, kept: bool = True
) -> FulfilGuarantee:
    return FulfilGuarantee(it, signer.sign(it.statement(venue, kept=kept)))


def refund(
    venue: Venue, it: Guarantee, signer: PointsSigner = ATTESTER, *, kept: bool = False
) -> RefundGuarantee:
    return RefundGuarantee(it, signer.sign(it.statement(venue, kept=kept)))


def held(programme: Programme) -> tuple[int, int, int]:
    """Give what the shop, the customer and the contract hold."""
    accounts = (SHOP.account, CUSTOMER.account, account_of(Common.GUARANTEE))
    one, two, three = (
        programme.ledger.balance(programme.tokens[AUDIO], account) for account in accounts
    )
    return one, two, three


def test_money_is_set_aside_and_comes_back_when_the_promise_was_kept(opened: Programme) -> None:
    it, venue = guarantee(opened), opened.venue
    assert done(opened, opening(venue, it)) == ["Opened", "AuthorizationUsed", "Transfer"]
    assert held(opened) == (600, 0, 400)
    assert done(opened, fulfilment(venue, it)) == ["Fulfilled", "Transfer"]
    assert held(opened) == (1_000, 0, 0)


def test_the_customer_has_it_at_the_attester_s_word_or_at_the_deadline(opened: Programme) -> None:
    venue = opened.venue
    told, silent = guarantee(opened), guarantee(opened, salt=b"h" * 32)
    for it in (told, silent):
        done(opened, opening(venue, it))
    assert done(opened, refund(venue, told)) == ["Refunded", "Transfer"]
    assert held(opened) == (200, 400, 400)

    opened.clock.now = NOW + 2 * DAY - 2
    assert refused(opened, RefundGuarantee(silent)) == "signature-invalid"
    done(opened, RefundGuarantee(silent))  # In the block of the deadline itself, by anybody.
    assert held(opened) == (200, 800, 0)


@pytest.mark.parametrize("first", ["fulfil", "refund", "deadline"])
def test_one_end_is_the_end(opened: Programme, first: str) -> None:
    it, venue = guarantee(opened), opened.venue
    done(opened, opening(venue, it))
    if first == "deadline":
        opened.clock.now = NOW + 2 * DAY
    ends: dict[str, Action] = {
        "fulfil": fulfilment(venue, it),
        "refund": refund(venue, it),
        "deadline": RefundGuarantee(it),
    }
    done(opened, ends[first])
    after = held(opened)
    for action in (*ends.values(), RefundGuarantee(it)):
        assert refused(opened, action) == "guarantee-not-open"
    again = "guarantee-incomplete" if first == "deadline" else "duplicate-guarantee"
    assert refused(opened, opening(venue, it)) == again
    opened.clock.now = NOW + 3 * DAY
    assert refused(opened, RefundGuarantee(it)) == "guarantee-not-open"
    assert held(opened) == after


def test_after_the_deadline_no_word_takes_it_from_the_customer(opened: Programme) -> None:
    it, venue = guarantee(opened), opened.venue
    done(opened, opening(venue, it))
    opened.clock.now = NOW + 2 * DAY - 1
    late = opened.perform(fulfilment(venue, it))  # In the block of the deadline itself.
    assert late.reason is not None
    assert late.reason.code == "guarantee-too-late"
    done(opened, RefundGuarantee(it))
    assert held(opened) == (600, 400, 0)


def test_a_statement_says_one_thing_of_one_guarantee_by_one_attester(opened: Programme) -> None:
    it, other, venue = guarantee(opened), guarantee(opened, salt=b"h" * 32), opened.venue
    for each in (it, other):
        done(opened, opening(venue, each))
    for wrong in (
        fulfilment(venue, it, THIEF),
        fulfilment(venue, it, SHOP),
        fulfilment(venue, it, kept=False),
        FulfilGuarantee(it, fulfilment(venue, other).statement),
        refund(venue, it, CUSTOMER),
        refund(venue, it, kept=True),
        RefundGuarantee(it),
        RefundGuarantee(it, refund(venue, other).statement),
    ):
        assert refused(opened, wrong) == "signature-invalid"
    assert held(opened) == (200, 0, 800)


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 399},
        {"customer": THIEF.account},
        {"attester": THIEF.account},
        {"deadline": NOW + 2 * DAY - 1},
        {"fund_before": NOW + DAY + 1},
        {"salt": b"i" * 32},
    ],
)
def test_what_the_funder_did_not_sign_is_not_opened(
    opened: Programme, change: dict[str, object]
) -> None:
    action = opening(opened.venue, guarantee(opened))
    tampered = OpenGuarantee(changed(action.guarantee, change), action.signature)
    assert refused(opened, tampered) == "signature-invalid"
    # Nor does an end reach an open one by other terms.
    done(opened, action)
    for end in (
        fulfilment(opened.venue, tampered.guarantee),
        refund(opened.venue, tampered.guarantee),
    ):
        assert refused(opened, end) == "guarantee-not-open"
    assert held(opened) == (600, 0, 400)


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 0},
        {"customer": NOBODY},
        {"attester": NOBODY},
        {"deadline": NOW},
        {"token": THIEF.account},
    ],
)
def test_a_guarantee_that_could_not_end_well_is_not_opened(
    opened: Programme, change: dict[str, object]
) -> None:
    it = guarantee(opened, **change)
    assert refused(opened, opening(opened.venue, it)) == "guarantee-incomplete"


def test_money_that_is_not_there_or_comes_too_late_opens_nothing(opened: Programme) -> None:
    venue = opened.venue
    assert refused(opened, opening(venue, guarantee(opened, amount=1_001))) == "insufficient-points"
    assert refused(opened, opening(venue, guarantee(opened, token=opened.tokens[BICYCLE]))) == (
        "insufficient-points"
    )
    assert refused(opened, opening(venue, guarantee(opened, fund_before=NOW))) == "intent-expired"
    assert held(opened) == (1_000, 0, 0)


# Tokens that do what they should not.


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[EmbeddedChain]:
    chain = EmbeddedChain(tmp_path / "chain.sqlite3", now=NOW, random=seeded("chain"))
    yield chain
    chain.close()


class Hostile:
    """A hostile token beside honest points, both in guarantees."""

    def __init__(self, chain: EmbeddedChain) -> None:
        clock = Clock()
        self.programme = programme_on(EmbeddedChainLedger(chain), clock).open()
        done(self.programme, OpenContract(Common.GUARANTEE))
        done(self.programme, self.programme.award(1_000, to=SHOP.account))
        self.bench = Workbench(chain)
        self.token: Any = self.bench.deploy("HostileToken")
        self.bench.call(self.token, "mint", SHOP.account, 1_000)
        clock.now = chain.time()
        self.clock, self._chain = clock, chain
        self.guarantee: Any = self.bench.at("Guarantee", account_of(Common.GUARANTEE))

    def turn(self, malice: int, target: str = NOBODY, call: str = "0x") -> None:
        self.bench.call(self.token, "turn", malice, target, call)
        self.clock.now = self._chain.time()

    def terms(self, **changes: object) -> Guarantee:
        return guarantee(self.programme, token=Account(self.token.address), **changes)

    def held(self, account: Account) -> int:
        return int(self.bench.read(self.token, "balanceOf", account))


@pytest.mark.parametrize(
    ("malice", "code"), [(1, "amount-mismatch"), (2, "amount-mismatch"), (3, "reverted")]
)
def test_a_token_that_takes_a_fee_or_pays_nothing_opens_nothing(
    chain: EmbeddedChain, malice: int, code: str
) -> None:
    hostile = Hostile(chain)
    hostile.turn(malice)
    outcome = hostile.programme.perform(OpenGuarantee(hostile.terms(), b""))
    assert outcome.reason is not None
    assert outcome.reason.code == code
    assert hostile.held(SHOP.account) == 1_000


@pytest.mark.parametrize("malice", [2, 3])
def test_a_token_that_does_not_pay_out_leaves_the_guarantee_open(
    chain: EmbeddedChain, malice: int
) -> None:
    hostile = Hostile(chain)
    it, venue = hostile.terms(), hostile.programme.venue
    done(hostile.programme, OpenGuarantee(it, b""))
    hostile.turn(malice)
    assert hostile.programme.perform(refund(venue, it)).reason is not None
    hostile.turn(0)
    done(hostile.programme, refund(venue, it))
    assert hostile.held(CUSTOMER.account) == 400


def test_a_token_that_calls_back_is_not_let_in_and_reaches_no_other_money(
    chain: EmbeddedChain,
) -> None:
    hostile = Hostile(chain)
    programme = hostile.programme
    honest, it, venue = guarantee(programme), hostile.terms(), programme.venue
    done(programme, opening(venue, honest))
    done(programme, OpenGuarantee(it, b""))
    statement = refund(venue, it).statement
    call = hostile.guarantee.encode_abi("refund", [it.values, statement])
    hostile.turn(4, hostile.guarantee.address, call)
    done(programme, refund(venue, it))
    assert hostile.bench.read(hostile.token, "wasLetIn") is False
    assert hostile.held(CUSTOMER.account) == 400  # once, not twice
    assert held(programme) == (600, 0, 400)
    done(programme, fulfilment(venue, honest))
    assert held(programme) == (1_000, 0, 0)
