"""Mutants of the contracts: each loses one rule, is compiled, and is caught.

Needs Node and npm, as scripts/contracts does; without them the tests are skipped by name.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from counterfoil_loyalty import chain
from counterfoil_loyalty.actions import AwardPoints, GovernPoints, SwapPoints
from counterfoil_loyalty.intents import authorization, sign_by_brand
from counterfoil_loyalty.rates import Rate
from counterfoil_loyalty.succession import NOTICE_S, MovePoints

from tests.loyalty.evm import HAS_REVM, BareEvmLedger
from tests.loyalty.street import CUSTOMER, NAMES, SIGNERS, FiveBrands
from tests.loyalty.successors import Successors

_LOYALTY = Path(__file__).parents[2] / "loyalty"
_AUDIO, _EGG = 0, 4

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(not HAS_REVM, reason="pyrevm is not installed for this Python"),
    pytest.mark.skipif(shutil.which("npm") is None, reason="Node with npm is not installed"),
]


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a node_modules folder with the compiler and OpenZeppelin."""
    kept = _LOYALTY / "solidity/node_modules"
    if kept.exists():
        return kept
    work = tmp_path_factory.mktemp("npm")
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(_LOYALTY / "solidity" / name, work)
    asked = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    found = subprocess.run(asked, cwd=work, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        pytest.skip(f"npm could not install the compiler: {found.stderr[-200:]}")
    return work / "node_modules"


Compile = Callable[..., FiveBrands]


@pytest.fixture
def mutated(modules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compile:
    """Give five brands on contracts with one line of `name` changed."""

    def compile_with(name: str, *changes: tuple[str, str]) -> FiveBrands:
        sources, built = tmp_path / "sources", tmp_path / "built"
        shutil.copytree(_LOYALTY / "counterfoil_loyalty/contracts", sources)
        path = sources / f"{name}.sol"
        text = path.read_text("utf-8")
        for pattern, changed in changes:
            text, count = re.subn(pattern, changed, text)
            assert count > 0, pattern
        path.write_text(text, "utf-8")
        script = str(_LOYALTY / "solidity/compile.mjs")
        subprocess.run(["node", script, str(modules), str(built), str(sources)], check=True)

        def artifact(contract: str) -> dict[str, Any]:
            parts: dict[str, Any] = json.loads((built / f"{contract}.json").read_text("utf-8"))
            return parts

        monkeypatch.setattr(chain, "compiled", artifact)
        return FiveBrands(BareEvmLedger()).open()

    return compile_with


def no_swap_makes_value(five: FiveBrands) -> None:
    """At an exactly fair rate, an odd amount, and again after a price fell."""
    five.act(five.terms(_AUDIO, _EGG, Rate(25, 16), 1))
    five.act(five.award(_AUDIO, 10_000, 1))
    prices = {_AUDIO: 100, _EGG: 64}
    for number, amount in enumerate((17, 1_601, 33)):
        if number == 2:
            five.act(five.price(_AUDIO, 80, 1))
            prices[_AUDIO] = 80
        before = _value(five, prices)
        five.act(five.swap(_AUDIO, _EGG, amount, 1, number))
        assert _value(five, prices) <= before


def _value(five: FiveBrands, prices: dict[int, int]) -> int:
    return sum(five.ledger.supply(five.tokens[brand]) * price for brand, price in prices.items())


def no_cycle_profits(five: FiveBrands) -> None:
    """There and back, each way fair at the prices that the terms name."""
    five.act(five.terms(_AUDIO, _EGG, Rate(25, 16), 1))
    five.act(five.terms(_EGG, _AUDIO, Rate(4, 5), 1, prices=(80, 100)))
    five.act(five.award(_AUDIO, 10_000, 1))
    five.act(five.swap(_AUDIO, _EGG, 1_600, 1, 1))
    five.act(five.swap(_EGG, _AUDIO, five.held(_EGG), 1, 2))
    assert five.held(_AUDIO) <= 10_000


def nothing_signed_is_changed(five: FiveBrands) -> None:
    """Who sends the intent names another recipient; the customer signed what the contract asks."""
    five.act(five.terms(_AUDIO, _EGG, Rate(3, 2), 1))
    five.act(five.award(_AUDIO, 10_000, 1))
    swap = five.swap(_AUDIO, _EGG, 100, 1, 1).swap
    for nonce in (swap.digest(five.venue), swap.swap_id):
        signed = authorization(
            five.venue.points_domain(swap.token_in),
            holder=swap.holder,
            spender=five.venue.exchange,
            amount=swap.amount_in,
            deadline=swap.deadline,
            nonce=nonce[:24] + bytes(8),
        )
        signature = CUSTOMER.of(NAMES[_AUDIO]).sign(signed)
        thief = SIGNERS[_EGG].account
        five.act(SwapPoints(replace(swap, recipient=thief), signature))
        assert five.ledger.balance(five.tokens[_EGG], thief) == 0


def no_ref_mints_twice(five: FiveBrands) -> None:
    award: AwardPoints = five.award(_AUDIO, 100, 1)
    for _ in range(2):
        five.act(award)
    assert five.held(_AUDIO) == 100


def no_claim_passes_its_limit(five: FiveBrands) -> None:
    five.act(five.terms(_AUDIO, _EGG, Rate(3, 2), 1))
    five.act(five.tighten(_AUDIO, _EGG, _EGG, sequence=0, credit=64 * 100))
    five.act(five.award(_AUDIO, 10_000, 1))
    five.act(five.swap(_AUDIO, _EGG, 1_000, 1, 1))
    assert five.owed(_AUDIO, _EGG) <= 64 * 100
    assert five.owed(_AUDIO, _EGG) == -five.owed(_EGG, _AUDIO)


def moved(five: FiveBrands) -> Successors:
    """Retire Audio's points in favour of Egg's, which have not begun."""
    five.act(five.award(_AUDIO, 1_000, 1))
    both = Successors(five.venue, SIGNERS[_AUDIO], five.tokens[_AUDIO], five.tokens[_EGG])
    ends_at = five.now + NOTICE_S + 10
    five.act(both.retire(ends_at))
    five.now = ends_at
    assert five.act(both.succeed(signer=SIGNERS[_EGG])) is None
    return both


def a_point_moves_once(five: FiveBrands) -> None:
    both, holder = moved(five), five.account(_AUDIO)
    for attempt in range(2):
        five.act(MovePoints(both.new, (holder, holder), attempt))
    assert five.ledger.balance(both.new, holder) == five.ledger.supply(both.new) == 1_000
    assert five.ledger.supply(both.old) == 0


def an_old_ref_mints_nothing_in_new_points(five: FiveBrands) -> None:
    moved(five)
    five.act(five.award(_EGG, 1_000, 1))
    assert five.held(_EGG) == 0


def retired_points_are_not_awarded(five: FiveBrands) -> None:
    both = moved(five)
    five.act(five.award(_AUDIO, 1_000, 2))
    assert five.ledger.supply(both.old) == 1_000


def only_the_successor_takes_points_over(five: FiveBrands) -> None:
    """Another brand's points name Audio's as those before them."""
    both = moved(five)
    thief = Successors(five.venue, SIGNERS[_AUDIO], both.old, five.tokens[1])
    five.act(thief.succeed(signer=SIGNERS[1]))
    five.act(MovePoints(thief.new, (five.account(_AUDIO),)))
    assert five.ledger.supply(both.old) == 1_000


def nobody_signs_for_points_that_were_handed_over(five: FiveBrands) -> None:
    five.act(five.award(_AUDIO, 1_000, 1))
    both = Successors(five.venue, SIGNERS[_AUDIO], five.tokens[_AUDIO], five.tokens[_EGG])
    assert five.act(both.take_over(signer=SIGNERS[_EGG])) is None
    back = replace(both.policy, version=2)
    signature = sign_by_brand(back, five.venue, SIGNERS[_AUDIO])
    five.act(GovernPoints(back, signature, signature))
    five.act(five.award(_AUDIO, 1_000, 2))
    assert five.ledger.supply(both.old) == 1_000


RULES = (
    a_point_moves_once,
    an_old_ref_mints_nothing_in_new_points,
    retired_points_are_not_awarded,
    only_the_successor_takes_points_over,
    nobody_signs_for_points_that_were_handed_over,
    no_swap_makes_value,
    no_cycle_profits,
    nothing_signed_is_changed,
    no_ref_mints_twice,
    no_claim_passes_its_limit,
)


@pytest.mark.parametrize("rule", RULES)
def test_the_contracts_keep_the_rule(rule: Callable[[FiveBrands], None]) -> None:
    rule(FiveBrands(BareEvmLedger()).open())


_ROUND_DOWN = r"amountOut = uint256\(amountIn\) \* corridor\.numerator / corridor\.denominator;"
_CHECK = r"require\(value <= worth, ValueCreated\(\)\);"
_NO_CHECK = "require(value <= worth || true, ValueCreated());"
_ROUND_UP = (
    "amountOut = (uint256(amountIn) * corridor.numerator + corridor.denominator - 1)"
    " / corridor.denominator;"
)
_FAIR = r"_requireFair\(terms, listings\[from\]\.price, listings\[to\]\.price\);"


def test_rounding_up_is_caught(mutated: Compile) -> None:
    five = mutated("PointsExchange", (_ROUND_DOWN, _ROUND_UP), (_CHECK, _NO_CHECK))
    with pytest.raises(AssertionError):
        no_swap_makes_value(five)


def test_a_check_removed_is_caught(mutated: Compile) -> None:
    with pytest.raises(AssertionError):
        no_swap_makes_value(mutated("PointsExchange", (_CHECK, _NO_CHECK)))


def test_a_price_per_corridor_is_caught(mutated: Compile) -> None:
    five = mutated(
        "PointsExchange",
        (_FAIR, "_requireFair(terms, terms.priceFrom, terms.priceTo);"),
        (_CHECK, _NO_CHECK),
    )
    with pytest.raises(AssertionError):
        no_cycle_profits(five)


def test_a_nonce_that_is_not_bound_is_caught(mutated: Compile) -> None:
    five = mutated("PointsExchange", (r"from\.intentNonce\(hash\)", "from.intentNonce(intent.id)"))
    with pytest.raises(AssertionError):
        nothing_signed_is_changed(five)


def test_a_ref_that_is_not_consumed_is_caught(mutated: Compile) -> None:
    five = mutated("BrandPoints", (r"require\([^;]*DuplicateRef\(ref\)\s*\);", ""))
    with pytest.raises(AssertionError):
        no_ref_mints_twice(five)


def test_a_claim_without_a_limit_is_caught(mutated: Compile) -> None:
    limited = r"require\(debt <= int256\(limit\), CreditExceeded"
    five = mutated("Clearing", (limited, "require(debt <= int256(limit) || true, CreditExceeded"))
    with pytest.raises(AssertionError):
        no_claim_passes_its_limit(five)


def test_a_ref_that_is_forgotten_in_a_move_is_caught(mutated: Compile) -> None:
    forgets = (r"!predecessor\.awarded\(ref\)", "marks > 0")
    with pytest.raises(AssertionError):
        an_old_ref_mints_nothing_in_new_points(mutated("BrandPoints", forgets))


def test_a_holder_that_moves_twice_is_caught(mutated: Compile) -> None:
    burned, kept = r"_burn\(holder, amount = balanceOf", "_burn(holder, 0 * (amount = balanceOf"
    five = mutated("BrandPoints", (burned, kept), (r"(\(amount = balanceOf\(holder\)\));", r"\1);"))
    with pytest.raises(AssertionError):
        a_point_moves_once(five)


def test_retired_points_that_go_on_are_caught(mutated: Compile) -> None:
    ended = (r"block\.timestamp < retirement\.endsAt, Retired", "retirement.endsAt > 0, Retired")
    with pytest.raises(AssertionError):
        retired_points_are_not_awarded(mutated("BrandPoints", ended))


def test_points_that_anybody_takes_over_are_caught(mutated: Compile) -> None:
    begins = (r"successor == address\(this\) && block", "successor != address(0) && block")
    takes = (r"msg\.sender == end\.successor && block", "msg.sender != end.successor && block")
    with pytest.raises(AssertionError):
        only_the_successor_takes_points_over(mutated("BrandPoints", begins, takes))


def test_a_successor_that_signs_for_everybody_is_caught(mutated: Compile) -> None:
    signs = (r"_signs && msg\.sender", "_signs || msg.sender")
    with pytest.raises(AssertionError):
        nobody_signs_for_points_that_were_handed_over(mutated("BrandPoints", signs))
