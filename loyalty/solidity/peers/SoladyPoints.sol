// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "solady/src/tokens/ERC20.sol";
import {EIP712} from "solady/src/utils/EIP712.sol";
import {SignatureCheckerLib} from "solady/src/utils/SignatureCheckerLib.sol";

/// @title Solady's token with signed awards, their events and nothing else: a second measure.
contract SoladyPoints is ERC20, EIP712 {
    bytes32 private constant AWARD_TYPEHASH =
        keccak256("Award(address to,uint256 amount,bytes32 ref,uint40 availableAt)");
    bytes32 private constant AWARD_BATCH_TYPEHASH = keccak256("AwardBatch(uint256[] awards,bytes32 ref)");

    event Awarded(address indexed to, bytes32 indexed ref, uint256 amount);
    event AwardedBatch(bytes32 indexed ref, uint256 count, uint256 total);

    address private immutable _issuer;

    constructor(address issuer) {
        _issuer = issuer;
    }

    function name() public pure override returns (string memory) {
        return "Solady Points";
    }

    function symbol() public pure override returns (string memory) {
        return "SOLADY";
    }

    function decimals() public pure override returns (uint8) {
        return 2;
    }

    function award(address to, uint256 amount, bytes32 ref, uint40 availableAt, bytes calldata signature)
        external
    {
        _requireIssuer(keccak256(abi.encode(AWARD_TYPEHASH, to, amount, ref, availableAt)), signature);
        _mint(to, amount);
        emit Awarded(to, ref, amount);
    }

    function awardBatch(uint256[] calldata awards, bytes32 ref, bytes calldata signature) external {
        bytes32 listed = keccak256(abi.encodePacked(awards));
        _requireIssuer(keccak256(abi.encode(AWARD_BATCH_TYPEHASH, listed, ref)), signature);
        uint256 total = 0;
        for (uint256 i = 0; i < awards.length; ++i) {
            _mint(address(uint160(awards[i])), awards[i] >> 160);
            total += awards[i] >> 160;
        }
        emit AwardedBatch(ref, awards.length, total);
    }

    function _domainNameAndVersion() internal pure override returns (string memory, string memory) {
        return ("Counterfoil Points", "1");
    }

    function _requireIssuer(bytes32 structHash, bytes calldata signature) private view {
        bytes32 hash = _hashTypedData(structHash);
        require(SignatureCheckerLib.isValidSignatureNowCalldata(_issuer, hash, signature), "not the issuer");
    }
}
