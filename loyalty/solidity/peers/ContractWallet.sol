// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";

/// @title A smart account of one owner, for tests.
/// @dev Signs by EIP-1271 what its owner signed, until the owner locks it.
contract ContractWallet is IERC1271 {
    address private immutable _owner;
    bool private _isLocked;

    constructor(address owner) {
        _owner = owner;
    }

    /// @notice Sign nothing from now on.
    function lock() external {
        _isLocked = true;
    }

    /// @inheritdoc IERC1271
    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4) {
        (address signer, ECDSA.RecoverError fault,) = ECDSA.tryRecoverCalldata(hash, signature);
        bool isValid = fault == ECDSA.RecoverError.NoError && signer == _owner && !_isLocked;
        return isValid ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }
}
