// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {BrandPoints} from "contracts/BrandPoints.sol";
import {EarnRoots} from "contracts/EarnRoots.sol";
import {Proof} from "./Proof.sol";

/// @title A cumulative claim never pays twice.
/// @dev The storage of both contracts holds anything: any root, any total claimed before.
contract EarnRootsProof is Proof {
    EarnRoots private roots;
    BrandPoints private points;

    function setUp() public {
        roots = new EarnRoots();
        (points,) = anyPoints(address(this));
        arbitrary(address(roots));
    }

    /// @notice Two claims together make what the second total is above what was claimed before both; the same
    /// total makes nothing again. The proofs have no hash, and one.
    function check_a_total_is_minted_once(address holder, uint96 first, uint96 second, bytes32 beside) public {
        uint256 known = points.claimed(holder);
        uint256 before = points.totalSupply();
        bytes32[] memory proof = new bytes32[](0);
        bytes32[] memory longer = new bytes32[](1);
        longer[0] = beside;
        roots.claim(points, holder, first, proof);
        assert(points.totalSupply() - before == first - known);
        try roots.claim(points, holder, first, proof) {
            assert(false);
        } catch {}
        // The root is another one now.
        arbitrary(address(roots));
        try roots.claim(points, holder, second, longer) {
            assert(second > first);
            assert(points.totalSupply() - before == second - known);
        } catch {
            assert(points.totalSupply() - before == first - known);
        }
    }

    /// @notice Nobody but the contract that the policy names makes points from totals.
    function check_only_the_named_contract_mints(address caller, address holder, uint96 total) public {
        address named = points.policy().earnRoots;
        vm.prank(caller);
        points.earn(holder, total);
        assert(caller == named);
    }
}
