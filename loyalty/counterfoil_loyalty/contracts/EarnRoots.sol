// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {BrandPoints} from "./BrandPoints.sol";

/// @title What millions of customers earned, as one root per brand.
/// @notice A brand posts the root over every account's total since the beginning; who wants points on the
/// chain claims what the total has grown by. A newer root replaces the older one.
/// @dev The points keep what was claimed and how much roots may still mint, so that no fault here mints a
/// total twice or passes the issuer's bucket: see {BrandPoints-earn} and {BrandPoints-reserve}.
contract EarnRoots is EIP712 {
    /// @notice What a brand's issuer signs to post a root.
    /// @param token The brand's points.
    /// @param root Over the leaves `keccak256(keccak256(abi.encode(account, total)))`, pairs sorted.
    /// @param epoch Larger than that of the root in force.
    /// @param total All totals together, in base units; its growth is drawn from the issuer's bucket.
    struct EarnRoot {
        address token;
        bytes32 root;
        uint64 epoch;
        uint96 total;
    }

    /// @notice The root in force for a brand's points.
    struct Posted {
        bytes32 root;
        uint64 epoch;
        uint96 total;
    }

    bytes32 private constant EARN_ROOT_TYPEHASH =
        keccak256("EarnRoot(address token,bytes32 root,uint64 epoch,uint96 total)");

    /// @notice The roots in force, by the points that they award.
    mapping(BrandPoints token => Posted) public posted;

    /// @notice This root is in force: every total of it can be claimed.
    event RootPosted(BrandPoints indexed token, bytes32 root, uint64 epoch, uint96 total);

    /// @notice The root is not newer than the one in force.
    error OldEpoch(uint64 inForce, uint64 offered);

    /// @notice All totals together became less: what was earned since the beginning only grows.
    error TotalShrank(uint96 inForce, uint96 offered);

    /// @notice The root is not signed by the issuer of these points.
    error InvalidRootSignature(address issuer);

    /// @notice The root in force does not award this total to this account.
    error NotInRoot(address holder, uint96 total);

    constructor() EIP712("Counterfoil Earn Roots", "1") {}

    /// @notice Put a root into force that the brand's issuer signed.
    function post(EarnRoot calldata next, bytes calldata signature) external {
        BrandPoints token = BrandPoints(next.token);
        address issuer = token.issuer();
        bytes32 hash = _hashTypedDataV4(keccak256(abi.encode(EARN_ROOT_TYPEHASH, next)));
        require(SignatureChecker.isValidSignatureNowCalldata(issuer, hash, signature), InvalidRootSignature(issuer));
        Posted memory known = posted[token];
        require(next.epoch > known.epoch, OldEpoch(known.epoch, next.epoch));
        require(next.total >= known.total, TotalShrank(known.total, next.total));
        posted[token] = Posted(next.root, next.epoch, next.total);
        emit RootPosted(token, next.root, next.epoch, next.total);
        token.reserve(next.total - known.total);
    }

    /// @notice Mint what the root awards to `holder` beyond what was claimed before; anyone may, for anyone.
    /// @param total Base units that `holder` has earned by roots since the beginning.
    /// @param proof The hashes that lead from the leaf to the root.
    /// @return amount Base units that were minted.
    function claim(BrandPoints token, address holder, uint96 total, bytes32[] calldata proof)
        external
        returns (uint256 amount)
    {
        // Hashed twice, so that no pair of hashes inside the tree can be shown as a leaf.
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(holder, total))));
        require(MerkleProof.verifyCalldata(proof, posted[token].root, leaf), NotInRoot(holder, total));
        return token.earn(holder, total);
    }
}
