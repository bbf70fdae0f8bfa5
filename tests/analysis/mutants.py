"""Contracts that lost one rule each, and the property in `loyalty/solidity/proofs` that notices."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Mutant:
    """A contract in which `before`, which stands there once, reads `after`."""

    property: str
    name: str
    contract: str
    before: str
    after: str

    def applied(self, source: str) -> str:
        """Give the changed source.

        Raises `ValueError` unless the text to change stands there exactly once.
        """
        if (count := source.count(self.before)) != 1:
            raise ValueError(f"expected {self.before!r} once in {self.contract}, found {count}")
        return source.replace(self.before, self.after)


MUTANTS: Final = (
    Mutant(
        "check_a_swap_makes_no_value",
        "the value not asked, one for one",
        "PointsExchange",
        """        amountOut = uint256(amountIn) * corridor.numerator / corridor.denominator;
        require(amountOut > 0, NothingOut());
        value = amountOut * gets.price;
        worth = uint256(amountIn) * gives.price;
        require(value <= worth, ValueCreated());
""",
        """        amountOut = uint256(amountIn);
        require(amountOut > 0, NothingOut());
        value = amountOut * gets.price;
        worth = uint256(amountIn) * gives.price;
""",
    ),
    Mutant(
        "check_terms_in_force_are_fair",
        "a price per corridor",
        "PointsExchange",
        "_requireFair(terms, listings[from].price, listings[to].price);",
        "_requireFair(terms, terms.priceFrom, terms.priceTo);",
    ),
    Mutant(
        "check_a_ref_awards_once",
        "the ref of an award not looked up",
        "BrandPoints",
        "        _requireNew(ref, issuing.marks);\n        Entry storage entry",
        "        Entry storage entry",
    ),
    Mutant(
        "check_a_ref_awards_once",
        "nothing noted as earned",
        "BrandPoints",
        "if (marks & EARNED == 0) _issuing.marks = marks | EARNED;",
        "",
    ),
    Mutant(
        "check_a_pending_award_ends_once",
        "an award given after it was cancelled",
        "BrandPoints",
        "entries[ref].state = AwardState.Cancelled;",
        "",
    ),
    Mutant(
        "check_expiry_only_lengthens",
        "a shorter window let through",
        "BrandPoints",
        "next.inactivity == 0 || next.inactivity > issuing.inactivity",
        "next.inactivity == 0 || next.inactivity < issuing.inactivity",
    ),
    Mutant(
        "check_a_total_is_minted_once",
        "the whole total minted",
        "BrandPoints",
        "amount = total - known.claimed;",
        "amount = total;",
    ),
    Mutant(
        "check_only_the_named_contract_mints",
        "anybody minting totals",
        "BrandPoints",
        "require(msg.sender == _earning.earnRoots, OnlyEarnRoots(msg.sender));",
        "",
    ),
    Mutant(
        "check_a_booking_moves_one_claim",
        "a claim booked the wrong way round",
        "Clearing",
        "pair.owedByLower = (lower ? debt : -debt).toInt128();",
        "pair.owedByLower = debt.toInt128();",
    ),
    Mutant(
        "check_a_booking_moves_one_claim",
        "no limit",
        "Clearing",
        "require(debt <= int256(limit), CreditExceeded(debtor, creditor, uint256(debt), limit));",
        "",
    ),
    Mutant(
        "check_a_payment_lessens_one_claim",
        "more paid than is owed",
        "Clearing",
        "require(value <= debt, MoreThanOwed(debt));",
        "",
    ),
    Mutant(
        "check_a_payment_lessens_one_claim",
        "a payment acknowledged twice",
        "Clearing",
        "acknowledged[paid.creditor][paid.ref] = true;",
        "",
    ),
    Mutant(
        "check_netting_changes_no_net_position",
        "the first claim of a cycle left as it was",
        "Clearing",
        "for (uint256 index = 0; index < count; ++index) {\n            // A walk",
        "for (uint256 index = 1; index < count; ++index) {\n            // A walk",
    ),
    Mutant(
        "check_a_trade_is_filled_whole_and_once",
        "one side not handed over",
        "PeerSwap",
        "BrandPoints(trade.taken).transfer(trade.makerReceives, trade.amountTaken);",
        "",
    ),
    Mutant(
        "check_a_trade_is_filled_whole_and_once",
        "an authorisation that is not the trade's",
        "PeerSwap",
        "points.intentNonce(hash)",
        "points.intentNonce(keccak256(abi.encode(hash, gasleft())))",
    ),
    Mutant(
        "check_an_end_is_final",
        "an end that may begin again",
        "Guarantee",
        "require(states[id] == State.Open, NotOpen(id, states[id]));",
        "require(states[id] != State.Unknown, NotOpen(id, states[id]));",
    ),
    Mutant(
        "check_it_pays_one_of_two",
        "a refund that is not noted",
        "Guarantee",
        "states[id] = State.Refunded;",
        "",
    ),
    Mutant(
        "check_it_pays_one_of_two",
        "a promise kept after its deadline",
        "Guarantee",
        "require(block.timestamp < terms.deadline, TooLate(terms.deadline));",
        "",
    ),
)
