// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {BrandPoints} from "contracts/BrandPoints.sol";
import {Clearing} from "contracts/Clearing.sol";
import {PointsExchange} from "contracts/PointsExchange.sol";
import {Proof, SignsAll} from "./Proof.sol";

/// @title A swap makes no value.
/// @dev This contract is the clearing, and notes what it is told. The storage of the exchange holds anything:
/// any terms, any prices, in force by whatever way. The points are fresh but for their balances.
contract ExchangeProof is Proof {
    PointsExchange private exchange;
    BrandPoints private from;
    BrandPoints private to;
    address private holder;
    uint256 private booked;
    uint64 private credit;

    function setUp() public {
        exchange = new PointsExchange(Clearing(address(this)), address(0));
        holder = address(new SignsAll());
        from = new BrandPoints("From", "F", holder, address(exchange));
        to = new BrandPoints("To", "T", holder, address(exchange));
        arbitrary(address(exchange));
        arbitrary(address(from));
        arbitrary(address(to));
    }

    function book(address, address, uint256 value) external {
        booked += value;
    }

    function creditOf(address, address) external view returns (uint64) {
        return credit;
    }

    function setCredit(address, address, uint64 credit_) external {
        credit = credit_;
    }

    /// @notice `out * price(to) <= in * price(from)`: at the prices of its block a swap makes no value. It burns
    /// and mints what it says, no less than was signed, and books what it made the first brand owe.
    function check_a_swap_makes_no_value(
        uint128 amountIn,
        uint256 minOut,
        address recipient,
        uint64 version,
        uint256 deadline,
        bytes32 id
    ) public {
        PointsExchange.Intent memory intent = PointsExchange.Intent(
            holder, address(from), address(to), amountIn, minOut, recipient, version, deadline, id
        );
        uint256 supplyFrom = from.totalSupply();
        uint256 supplyTo = to.totalSupply();
        uint256 out = exchange.swap(intent, "");
        (, uint64 priceFrom,,) = exchange.listings(from);
        (, uint64 priceTo,,) = exchange.listings(to);
        assert(out > 0 && out >= minOut);
        assert(out * priceTo <= uint256(amountIn) * priceFrom);
        assert(from.totalSupply() == supplyFrom - amountIn);
        assert(to.totalSupply() == supplyTo + out);
        assert(booked == out * priceTo);
    }

    /// @notice Terms that both signed are in force only at the listed prices and at a rate that is fair at them.
    function check_terms_in_force_are_fair(PointsExchange.Terms memory terms) public {
        terms.from = address(from);
        terms.to = address(to);
        (address issuerFrom, uint64 priceFrom,,) = exchange.listings(from);
        (address issuerTo, uint64 priceTo,,) = exchange.listings(to);
        vm.assume(issuerFrom == holder && issuerTo == holder);
        exchange.agree(terms, "", "");
        PointsExchange.Corridor memory corridor = exchange.corridors(from, to);
        if (corridor.version == terms.version) {
            assert(terms.priceFrom == priceFrom && terms.priceTo == priceTo);
            assert(uint256(corridor.numerator) * priceTo <= uint256(corridor.denominator) * priceFrom);
        }
    }
}
