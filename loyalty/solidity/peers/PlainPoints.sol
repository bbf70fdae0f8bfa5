// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title OpenZeppelin's token and nothing else: what our points are measured against.
contract PlainPoints is ERC20 {
    constructor() ERC20("Plain Points", "PLAIN") {}

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
