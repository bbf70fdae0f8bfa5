// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {BrandPoints} from "./BrandPoints.sol";

/// @title Where the points of a brand are made.
/// @notice It stands apart from the exchange only because one contract may hold 24,576 bytes of code.
/// @dev Made by {PointsExchange}, which is the one address that may ask for points.
contract PointsFactory {
    /// @notice The exchange that made this factory.
    address public immutable exchange;

    /// @notice Only the exchange that made this factory may ask for points.
    error OnlyExchange(address caller);

    constructor() {
        exchange = msg.sender;
    }

    /// @notice Make the points of one brand, in a place that follows from `salt`.
    /// @param salt The hash of the brand's name.
    function make(bytes32 salt, string calldata name, string calldata symbol, address issuer)
        external
        returns (BrandPoints token)
    {
        require(msg.sender == exchange, OnlyExchange(msg.sender));
        token = new BrandPoints{salt: salt}(name, symbol, issuer, exchange);
    }
}
