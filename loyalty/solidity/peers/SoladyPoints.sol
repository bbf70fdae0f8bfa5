// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "solady/src/tokens/ERC20.sol";

/// @title Solady's token and nothing else: a second measure.
contract SoladyPoints is ERC20 {
    function name() public pure override returns (string memory) {
        return "Solady Points";
    }

    function symbol() public pure override returns (string memory) {
        return "SOLADY";
    }

    function decimals() public pure override returns (uint8) {
        return 2;
    }

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function mintBatch(uint256[] calldata awards) external {
        for (uint256 i = 0; i < awards.length; ++i) {
            _mint(address(uint160(awards[i])), awards[i] >> 160);
        }
    }

    function burn(address from, uint256 amount) external {
        _burn(from, amount);
    }
}
