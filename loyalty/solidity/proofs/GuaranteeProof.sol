// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {BrandPoints} from "contracts/BrandPoints.sol";
import {Guarantee} from "contracts/Guarantee.sol";
import {Proof, SignsAll} from "./Proof.sol";

/// @title A guarantee has one end, and pays once.
/// @dev The guarantees' storage holds anything, and so does that of the points that are promised.
contract GuaranteeProof is Proof {
    Guarantee private guarantee;
    BrandPoints private points;
    address private signer;

    function setUp() public {
        signer = address(new SignsAll());
        guarantee = new Guarantee();
        (points,) = anyPoints(address(this));
        arbitrary(address(guarantee));
    }

    /// @notice One that has ended is not opened, fulfilled or refunded again, whoever signs, at any time.
    function check_an_end_is_final(
        uint256 amount,
        address funder,
        address customer,
        uint256 fundBefore,
        uint256 deadline,
        bytes32 salt,
        uint256 later
    ) public {
        Guarantee.Terms memory terms = Guarantee.Terms(
            address(points), amount, funder, customer, signer, fundBefore, deadline, salt
        );
        bytes32 id = guarantee.idOf(terms);
        Guarantee.State state = guarantee.states(id);
        vm.assume(state == Guarantee.State.Fulfilled || state == Guarantee.State.Refunded);
        vm.warp(later);
        try guarantee.open(terms, "") {
            assert(false);
        } catch {}
        try guarantee.fulfil(terms, "") {
            assert(false);
        } catch {}
        try guarantee.refund(terms, "") {
            assert(false);
        } catch {}
        assert(guarantee.states(id) == state);
    }

    /// @notice An open one pays its amount to one of the two: the funder in time, or the customer.
    function check_it_pays_one_of_two(
        uint256 amount,
        address funder,
        address customer,
        uint256 fundBefore,
        uint256 deadline,
        bytes32 salt,
        bool kept
    ) public {
        vm.assume(funder != customer && funder != address(guarantee) && customer != address(guarantee));
        Guarantee.Terms memory terms = Guarantee.Terms(
            address(points), amount, funder, customer, signer, fundBefore, deadline, salt
        );
        uint256 ofFunder = points.balanceOf(funder);
        uint256 ofCustomer = points.balanceOf(customer);
        vm.assume(ofFunder < type(uint128).max && ofCustomer < type(uint128).max);
        if (kept) guarantee.fulfil(terms, "");
        else guarantee.refund(terms, "");
        assert(points.balanceOf(funder) == ofFunder + (kept ? amount : 0));
        assert(points.balanceOf(customer) == ofCustomer + (kept ? 0 : amount));
        assert(!kept || block.timestamp < deadline);
        try guarantee.fulfil(terms, "") {
            assert(false);
        } catch {}
        try guarantee.refund(terms, "") {
            assert(false);
        } catch {}
    }
}
