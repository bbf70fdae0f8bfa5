// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20TransferAuthorization} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20TransferAuthorization.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

/// @title OpenZeppelin's token with signed calls and nothing else: what our points are measured against.
/// @dev The same arguments, signatures and events as ours; it remembers balances and nonces alone.
contract PlainPoints is ERC20TransferAuthorization {
    bytes32 private constant AWARD_TYPEHASH =
        keccak256("Award(address to,uint256 amount,bytes32 ref,uint40 availableAt)");
    bytes32 private constant AWARD_BATCH_TYPEHASH = keccak256("AwardBatch(uint256[] awards,bytes32 ref)");

    event Awarded(address indexed to, bytes32 indexed ref, uint256 amount);
    event AwardedBatch(bytes32 indexed ref, uint256 count, uint256 total);
    event Redeemed(address indexed holder, bytes32 indexed id, uint256 amount);
    event Earned(address indexed holder, uint256 amount, uint256 total);

    address private immutable _issuer;
    bytes32 private _root;

    constructor(address issuer, bytes32 root) ERC20("Plain Points", "PLAIN") EIP712("Counterfoil Points", "1") {
        _issuer = issuer;
        _root = root;
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

    function burn(address from, uint256 amount, uint256 deadline, bytes32 nonce, bytes calldata signature)
        external
    {
        bytes32 hash = _hashTypedDataV4(
            keccak256(
                abi.encode(RECEIVE_WITH_AUTHORIZATION_TYPEHASH, from, address(this), amount, 0, deadline, nonce)
            )
        );
        require(SignatureChecker.isValidSignatureNowCalldata(from, hash, signature), ERC3009InvalidSignature());
        _checkValidity(0, deadline);
        _consumeNonce(from, nonce);
        emit AuthorizationUsed(from, nonce);
        _burn(from, amount);
        emit Redeemed(from, nonce, amount);
    }

    function claim(address, address holder, uint96 total, bytes32[] calldata proof) external {
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(holder, total))));
        require(MerkleProof.verifyCalldata(proof, _root, leaf), "not in the root");
        _mint(holder, total);
        emit Earned(holder, total, total);
    }

    function _requireIssuer(bytes32 structHash, bytes calldata signature) private view {
        bytes32 hash = _hashTypedDataV4(structHash);
        require(SignatureChecker.isValidSignatureNowCalldata(_issuer, hash, signature), "not the issuer");
    }
}
