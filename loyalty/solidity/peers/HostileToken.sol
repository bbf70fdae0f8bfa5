// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title A token that does what it was told not to, for tests.
/// @dev Balances are real until the chosen malice: 1 takes a fee, 2 answers false, 3 reverts, 4 calls back.
contract HostileToken {
    mapping(address => uint256) public balanceOf;
    uint8 public malice;
    address private _target;
    bytes private _call;
    bool public wasLetIn;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function turn(uint8 malice_, address target, bytes calldata call) external {
        (malice, _target, _call) = (malice_, target, call);
    }

    function receiveWithAuthorization(
        address from,
        address to,
        uint256 amount,
        uint256,
        uint256,
        bytes32,
        bytes calldata
    ) external {
        _move(from, to, amount);
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        return _move(msg.sender, to, amount);
    }

    function _move(address from, address to, uint256 amount) private returns (bool) {
        if (malice == 2) return false;
        require(malice != 3, "no");
        if (malice == 4) (wasLetIn,) = _target.call(_call);
        balanceOf[from] -= amount;
        balanceOf[to] += malice == 1 ? amount - 1 : amount;
        return true;
    }
}
