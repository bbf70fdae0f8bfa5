// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Clearing} from "contracts/Clearing.sol";
import {Proof, SignsAll} from "./Proof.sol";

/// @title Claims sum to zero, stay within their limit, and netting changes no net position.
/// @dev This contract is the exchange, and every brand signs whatever it is asked.
contract ClearingProof is Proof {
    Clearing private clearing;
    address private signer;

    function setUp() public {
        signer = address(new SignsAll());
        clearing = new Clearing(address(this));
        arbitrary(address(clearing));
    }

    function issuerOf(address) external view returns (address) {
        return signer;
    }

    /// @notice A booking moves the claim of its two brands by its value, both ways, and no other claim; it
    /// stays within credit and collateral.
    function check_a_booking_moves_one_claim(
        address debtor,
        address creditor,
        uint256 value,
        address one,
        address other
    ) public {
        vm.assume(debtor != creditor);
        vm.assume(!(one == debtor && other == creditor) && !(one == creditor && other == debtor));
        int256 before = clearing.owed(debtor, creditor);
        int256 elsewhere = clearing.owed(one, other);
        clearing.book(debtor, creditor, value);
        (int256 debt, uint64 credit, uint256 reserve) = clearing.cover(debtor, creditor);
        assert(debt == before + int256(value));
        assert(debt + clearing.owed(creditor, debtor) == 0);
        assert(clearing.owed(one, other) == elsewhere);
        assert(debt <= 0 || uint256(debt) <= credit + reserve);
    }

    /// @notice A payment lessens one claim by its value, never below nothing, and is acknowledged once.
    function check_a_payment_lessens_one_claim(
        Clearing.Acknowledgement calldata paid,
        address one,
        address other
    ) public {
        (address debtor, address creditor) = (paid.debtor, paid.creditor);
        vm.assume(debtor != creditor);
        vm.assume(!(one == debtor && other == creditor) && !(one == creditor && other == debtor));
        int256 before = clearing.owed(debtor, creditor);
        int256 elsewhere = clearing.owed(one, other);
        clearing.acknowledge(paid, "");
        int256 debt = clearing.owed(debtor, creditor);
        assert(debt >= 0 && debt == before - int256(paid.value));
        assert(debt + clearing.owed(creditor, debtor) == 0);
        assert(clearing.owed(one, other) == elsewhere);
        try clearing.acknowledge(paid, "") {
            assert(false);
        } catch {}
    }

    /// @notice Netting around three brands changes nobody's sum of claims, and turns none round.
    /// @dev Which of two addresses is lower is all that counts, so three of them in both directions are all.
    function check_netting_changes_no_net_position(bool turned) public {
        address[] memory brands = new address[](3);
        (brands[0], brands[1], brands[2]) =
            turned ? (address(3), address(2), address(1)) : (address(1), address(2), address(3));
        int256[3] memory before = _around(brands);
        uint256 value = clearing.netCycle(brands);
        int256[3] memory found = _around(brands);
        for (uint256 index = 0; index < 3; ++index) {
            uint256 last = (index + 2) % 3;
            assert(found[index] - found[last] == before[index] - before[last]);
            assert(found[index] >= 0 && found[index] == before[index] - int256(value));
        }
        assert(value > 0);
    }

    function _around(address[] memory brands) private view returns (int256[3] memory claims) {
        for (uint256 index = 0; index < 3; ++index) {
            claims[index] = clearing.owed(brands[index], brands[(index + 1) % 3]);
        }
    }
}
