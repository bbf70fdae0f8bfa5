"""Two customers trade: whole or not at all, on the contracts and on their twin."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from counterfoil_loyalty.accounts import NOBODY, Account, PointsSigner
from counterfoil_loyalty.actions import Action, AwardPoints, FillTrade
from counterfoil_loyalty.intents import Award, sign_by_brand
from counterfoil_loyalty.memory_ledger import MemoryLedger
from counterfoil_loyalty.trades import Trade, sign_trade

from tests.loyalty.evm import acting, fast_ledger
from tests.loyalty.programme import NOW, seeded
from tests.loyalty.street import FOR_EVER, SIGNERS, FiveBrands

AUDIO, BICYCLE, COAT = range(3)
MAKER, TAKER = PointsSigner(b"\x41" * 32), PointsSigner(b"\x42" * 32)
MAKER_THERE, TAKER_THERE = (PointsSigner(bytes([it]) * 32).account for it in (0x43, 0x44))


def five_brands_of(request: pytest.FixtureRequest) -> Iterator[FiveBrands]:
    """Give five brands; the maker holds 100 of audio's points, the taker 100 of bicycle's."""
    memory = request.param == "memory"
    ledger = acting(MemoryLedger(now=NOW, random=seeded("m"))) if memory else fast_ledger()
    brands = FiveBrands(ledger).open()
    for number, (brand, signer) in enumerate(((AUDIO, MAKER), (BICYCLE, TAKER))):
        award = Award(
            token=brands.tokens[brand], to=signer.account, amount=100, ref=bytes([number]) * 32
        )
        signature = sign_by_brand(award, brands.venue, SIGNERS[brand])
        assert brands.act(AwardPoints(award, signature)) is None
    yield brands
    ledger.close()


five = pytest.fixture(params=["memory", "contracts"], name="five")(five_brands_of)


def trade_in(five: FiveBrands) -> Trade:
    return Trade(
        maker=MAKER.account,
        maker_receives=MAKER_THERE,
        given=five.tokens[AUDIO],
        amount_given=40,
        taker=TAKER.account,
        taker_receives=TAKER_THERE,
        taken=five.tokens[BICYCLE],
        amount_taken=90,
        deadline=FOR_EVER,
        trade_id=b"t" * 32,
    )


def signed(five: FiveBrands, trade: Trade) -> FillTrade:
    return FillTrade(trade, *sign_trade(trade, five.venue, maker=MAKER, taker=TAKER))


def code(five: FiveBrands, action: Action) -> str | None:
    reason = five.act(action)
    return None if reason is None else reason.code


def held(five: FiveBrands) -> list[int]:
    """Give what maker and taker hold of the first brand, then of the second."""
    accounts = (MAKER.account, TAKER_THERE, TAKER.account, MAKER_THERE)
    brands = (AUDIO, AUDIO, BICYCLE, BICYCLE)
    return [
        five.ledger.balance(five.tokens[brand], account)
        for brand, account in zip(brands, accounts, strict=True)
    ]


def test_both_sides_move_and_nothing_stays_behind(five: FiveBrands) -> None:
    assert code(five, signed(five, trade_in(five))) is None
    assert held(five) == [60, 40, 10, 90]
    names = [event.name for event in five.ledger.events]
    assert names == ["AuthorizationUsed", "Transfer"] * 2 + ["Transfer", "Transfer", "Filled"]
    for brand in (AUDIO, BICYCLE):
        assert five.ledger.balance(five.tokens[brand], five.venue.peer_swap) == 0


def test_a_trade_is_made_once(five: FiveBrands) -> None:
    action = signed(five, trade_in(five))
    five.act(action)
    assert code(five, action) == "intent-used"
    assert held(five) == [60, 40, 10, 90]


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"amount_given": 41}, "signature-invalid"),
        ({"amount_taken": 89}, "signature-invalid"),
        ({"maker_receives": TAKER_THERE}, "signature-invalid"),
        ({"taker_receives": MAKER_THERE}, "signature-invalid"),
        ({"deadline": FOR_EVER + 1}, "signature-invalid"),
        ({"trade_id": b"u" * 32}, "signature-invalid"),
        ({"amount_given": 0}, "nothing-traded"),
    ],
)
def test_a_trade_changed_after_signing_moves_nothing(
    five: FiveBrands, change: dict[str, Any], refused: str
) -> None:
    action = signed(five, trade_in(five))
    assert code(five, replace(action, trade=replace(action.trade, **change))) == refused
    assert held(five) == [100, 0, 100, 0]


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"amount_taken": 101}, "insufficient-points"),
        ({"amount_given": 101}, "insufficient-points"),
        ({"deadline": NOW}, "intent-expired"),
        ({"maker_receives": NOBODY}, "no-recipient"),
    ],
)
def test_when_one_side_cannot_move_neither_does(
    five: FiveBrands, change: dict[str, Any], refused: str
) -> None:
    assert code(five, signed(five, replace(trade_in(five), **change))) == refused
    assert held(five) == [100, 0, 100, 0]


def test_one_signature_is_not_enough(five: FiveBrands) -> None:
    action = signed(five, trade_in(five))
    for forged in (
        replace(action, signature_taker=action.signature_maker),
        replace(action, signature_maker=action.signature_taker),
    ):
        assert code(five, forged) == "signature-invalid"
    assert held(five) == [100, 0, 100, 0]


def test_points_of_strangers_and_of_one_brand_are_not_traded(five: FiveBrands) -> None:
    stranger = Account(PointsSigner(b"\x51" * 32).account)
    unknown = signed(five, replace(trade_in(five), taken=stranger))
    assert code(five, unknown) == "unknown-points"
    same = signed(five, replace(trade_in(five), taken=five.tokens[AUDIO]))
    assert code(five, same) == "same-points"


def test_a_trade_for_another_chain_is_refused(five: FiveBrands) -> None:
    trade, venue = trade_in(five), replace(five.venue, chain_id=5)
    action = FillTrade(trade, *sign_trade(trade, venue, maker=MAKER, taker=TAKER))
    assert code(five, action) == "signature-invalid"
