// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Money for tests, honest until it is told otherwise.
/// @dev Malice: 1 takes a hundredth as a fee, 2 moves nothing and answers false, 3 reverts, 4 calls back before
/// it moves, 5 tells balances that are not so, 6 answers nothing at all, as old tokens do.
contract Stablecoin {
    uint8 public decimals = 6;
    uint8 public malice;
    bool public wasLetIn;
    mapping(address => uint256) private _balances;
    address private _target;
    bytes private _call;

    function mint(address to, uint256 amount) external {
        _balances[to] += amount;
    }

    function turn(uint8 malice_, address target, bytes calldata call) external {
        (malice, _target, _call) = (malice_, target, call);
    }

    function setDecimals(uint8 decimals_) external {
        decimals = decimals_;
    }

    function balanceOf(address account) external view returns (uint256) {
        // A liar tells more the more gas is left, so that each answer is another.
        return malice == 5 ? _balances[account] + 10 ** 30 - gasleft() : _balances[account];
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        return _move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        return _move(from, to, amount);
    }

    function _move(address from, address to, uint256 amount) private returns (bool) {
        if (malice == 2) return false;
        require(malice != 3, "no");
        if (malice == 4) (wasLetIn,) = _target.call(_call);
        _balances[from] -= amount;
        _balances[to] += malice == 1 ? amount - amount / 100 : amount;
        if (malice == 6) {
            assembly {
                return(0, 0)
            }
        }
        return true;
    }
}
