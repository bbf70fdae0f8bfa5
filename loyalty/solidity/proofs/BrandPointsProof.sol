// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {BrandPoints} from "contracts/BrandPoints.sol";
import {Proof, SignsAll} from "./Proof.sol";

/// @title A ref awards once, and expiry only lengthens.
/// @dev The storage of the points holds anything, also a supply that is no sum of balances.
contract BrandPointsProof is Proof {
    uint256 private constant EARNED = 1;
    uint256 private constant SUCCEEDS = 2;

    BrandPoints private points;
    address private signer;
    bytes32 private issuingSlot;

    function setUp() public {
        signer = address(new SignsAll());
        (points, issuingSlot) = anyPoints(address(this));
    }

    /// @notice An award makes its amount, now or when it is available, and its ref is consumed: whatever else
    /// is signed for the same ref, alone or in a batch, makes nothing.
    function check_a_ref_awards_once(
        address to,
        uint256 amount,
        bytes32 ref,
        uint40 availableAt,
        address otherTo,
        uint256 otherAmount,
        uint40 otherTime,
        uint256 word
    ) public {
        _allSign();
        uint256 before = points.totalSupply();
        points.award(to, amount, ref, availableAt, "");
        uint256 made = points.totalSupply() - before;
        assert(made == (availableAt <= block.timestamp ? amount : 0));
        assert(points.awarded(ref));
        (, bool earned) = _issuing();
        assert(earned);
        try points.award(otherTo, otherAmount, ref, otherTime, "") {
            assert(false);
        } catch {}
        uint256[] memory words = new uint256[](1);
        words[0] = word;
        try points.awardBatch(words, ref, "") {
            assert(false);
        } catch {}
        assert(points.totalSupply() == before + made);
    }

    /// @notice What is pending is given or cancelled, once and not both.
    function check_a_pending_award_ends_once(bytes32 ref, uint40 later) public {
        _allSign();
        (BrandPoints.AwardState state,, uint48 amount,) = points.entries(ref);
        vm.assume(state == BrandPoints.AwardState.Pending);
        uint256 before = points.totalSupply();
        bool cancelled;
        try points.cancel(ref, "") {
            cancelled = true;
        } catch {}
        vm.assume(later >= block.timestamp);
        vm.warp(later);
        bool given;
        try points.release(ref) {
            given = true;
        } catch {}
        assert(!(cancelled && given));
        assert(points.totalSupply() == before + (given ? amount : 0));
        if (given || cancelled) {
            try points.release(ref) {
                assert(false);
            } catch {}
            try points.cancel(ref, "") {
                assert(false);
            } catch {}
        }
    }

    /// @notice Once a point was earned, no policy makes the window of inactivity shorter, nor begins one, nor
    /// lets it be forgotten that a point was earned.
    function check_expiry_only_lengthens(BrandPoints.Policy calldata next) public {
        _allSign();
        (uint40 window, bool earned) = _issuing();
        vm.assume(earned);
        points.govern(next, "", "");
        uint40 changed;
        (changed, earned) = _issuing();
        assert(earned);
        assert(changed == window || (window != 0 && (changed == 0 || changed > window)));
    }

    /// @dev Whoever the storage names as issuer and admin signs. These points succeed no others, whose refs
    /// would be asked.
    function _allSign() private {
        vm.assume(points.issuer() == signer && points.admin() == signer);
        vm.assume((uint256(vm.load(address(points), issuingSlot)) >> 248) & SUCCEEDS == 0);
    }

    /// @dev The window in force, and whether a point was earned under it, as their slot has them.
    function _issuing() private view returns (uint40 window, bool earned) {
        uint256 slot = uint256(vm.load(address(points), issuingSlot));
        window = uint40(slot >> 160);
        earned = (slot >> 248) & EARNED != 0;
        assert(address(uint160(slot)) == points.issuer() && window == points.policy().inactivity);
    }
}
