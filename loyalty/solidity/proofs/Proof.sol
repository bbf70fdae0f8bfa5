// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {BrandPoints} from "contracts/BrandPoints.sol";

/// @notice What halmos answers at its two addresses.
interface Halmos {
    function assume(bool condition) external pure;
    function load(address account, bytes32 slot) external view returns (bytes32);
    function store(address account, bytes32 slot, bytes32 value) external;
    function prank(address sender) external;
    function warp(uint256 timestamp) external;
    function enableSymbolicStorage(address account) external;
    function createBytes32(string memory name) external pure returns (bytes32);
}

/// @notice An account that signs whatever it is asked, by EIP-1271. What is proved with it holds even if every
/// key is in the worst hands.
contract SignsAll {
    function isValidSignature(bytes32, bytes calldata) external pure returns (bytes4) {
        return this.isValidSignature.selector;
    }
}

/// @title What every proof needs.
/// @dev A function that begins with `check_` is a property: halmos tries all arguments and, where the storage
/// of a contract was opened with {arbitrary}, all states of it, reached or not.
abstract contract Proof {
    Halmos internal constant vm = Halmos(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);
    Halmos internal constant svm = Halmos(0xF3993A62377BCd56AE39D773740A5390411E8BC9);

    /// @dev Let the storage of `account` hold anything, but for what its constructor wrote.
    function arbitrary(address account) internal {
        svm.enableSymbolicStorage(account);
    }

    /// @dev Points whose storage holds anything, but for their name and symbol.
    /// @return points The points; `exchange` may mint and burn them.
    /// @return issuingSlot Where the issuer stands, with what every award reads.
    function anyPoints(address exchange) internal returns (BrandPoints points, bytes32 issuingSlot) {
        points = new BrandPoints("Points", "P", address(this), exchange);
        // What the constructor wrote is looked up in other points: a slot that was read would stay what it was.
        BrandPoints others = new BrandPoints("Points", "P", address(this), exchange);
        arbitrary(address(points));
        for (uint256 number = 5; number < 32; ++number) {
            bytes32 slot = bytes32(number);
            bytes32 written = vm.load(address(others), slot);
            if (written == 0) continue;
            if (address(uint160(uint256(written))) == address(this)) issuingSlot = slot; // After the admin's.
            vm.store(address(points), slot, svm.createBytes32("written"));
        }
    }
}
