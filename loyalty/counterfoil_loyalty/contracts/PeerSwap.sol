// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {BrandPoints} from "./BrandPoints.sol";

/// @notice What the trade asks of the exchange.
interface IListings {
    /// @notice The account that signs for a brand; reverts for points that the exchange does not list.
    function issuerOf(address points) external view returns (address);
}

/// @title Two customers trade points, all or nothing.
/// @notice Both sign the same trade; whoever sends it pays and decides nothing. No brand is asked, no points
/// are made, and either customer may take back its word by cancelling its authorisation in its points.
/// @dev Each signature is an ERC-3009 `ReceiveWithAuthorization` to this contract whose nonce commits to the
/// whole trade. Points pass through within one call; none stay.
contract PeerSwap is EIP712, ReentrancyGuardTransient {
    /// @notice A trade, complete: nobody can change any of it.
    /// @param maker The account that gives `amountGiven` of `given`.
    /// @param makerReceives The maker's account with the other brand.
    /// @param taker The account that gives `amountTaken` of `taken`.
    /// @param takerReceives The taker's account with the first brand.
    /// @param deadline Unix seconds; the block must be younger than this.
    /// @param id A name that both chose, so that two equal trades differ.
    struct Trade {
        address maker;
        address makerReceives;
        address given;
        uint256 amountGiven;
        address taker;
        address takerReceives;
        address taken;
        uint256 amountTaken;
        uint256 deadline;
        bytes32 id;
    }

    bytes32 private constant TRADE_TYPEHASH = keccak256(
        "Trade(address maker,address makerReceives,address given,uint256 amountGiven,address taker,address takerReceives,address taken,uint256 amountTaken,uint256 deadline,bytes32 id)"
    );

    /// @notice The exchange that lists the points that can be traded.
    IListings public immutable exchange;

    /// @notice Both sides of a trade moved.
    event Filled(
        bytes32 indexed trade,
        address indexed maker,
        address indexed taker,
        address given,
        address taken,
        uint256 amountGiven,
        uint256 amountTaken,
        address makerReceives,
        address takerReceives
    );

    /// @notice A trade gives something on both sides.
    error NothingTraded();

    /// @notice A trade is between points of two brands.
    error SamePoints(address token);

    /// @param exchange_ The exchange that lists the points that can be traded.
    constructor(IListings exchange_) EIP712("Counterfoil PeerSwap", "1") {
        exchange = exchange_;
    }

    /// @notice Move both sides of a trade, or neither.
    /// @param signatureMaker By `trade.maker`, over its authorisation in `trade.given`.
    /// @param signatureTaker By `trade.taker`, over its authorisation in `trade.taken`.
    function fill(Trade calldata trade, bytes calldata signatureMaker, bytes calldata signatureTaker)
        external
        nonReentrant
    {
        require(trade.amountGiven > 0 && trade.amountTaken > 0, NothingTraded());
        require(trade.given != trade.taken, SamePoints(trade.given));
        bytes32 hash = _hashTypedDataV4(keccak256(abi.encode(TRADE_TYPEHASH, trade)));
        _receive(trade.given, trade.maker, trade.amountGiven, trade.deadline, hash, signatureMaker);
        _receive(trade.taken, trade.taker, trade.amountTaken, trade.deadline, hash, signatureTaker);
        BrandPoints(trade.given).transfer(trade.takerReceives, trade.amountGiven);
        BrandPoints(trade.taken).transfer(trade.makerReceives, trade.amountTaken);
        emit Filled(
            hash,
            trade.maker,
            trade.taker,
            trade.given,
            trade.taken,
            trade.amountGiven,
            trade.amountTaken,
            trade.makerReceives,
            trade.takerReceives
        );
    }

    /// @dev Takes one side of the trade, of points that the exchange lists: others could lie.
    function _receive(
        address token,
        address from,
        uint256 amount,
        uint256 deadline,
        bytes32 hash,
        bytes calldata signature
    ) private {
        exchange.issuerOf(token);
        BrandPoints points = BrandPoints(token);
        points.receiveWithAuthorization(
            from, address(this), amount, 0, deadline, points.intentNonce(hash), signature
        );
    }
}
