// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {BrandPoints} from "contracts/BrandPoints.sol";
import {IListings, PeerSwap} from "contracts/PeerSwap.sol";
import {Proof, SignsAll} from "./Proof.sol";

/// @title Two customers trade whole, or not at all.
/// @dev This contract is the exchange that lists both points. The balances are any that points can have.
contract PeerSwapProof is Proof {
    PeerSwap private peer;
    BrandPoints private given;
    BrandPoints private taken;
    address private maker;
    address private taker;

    function setUp() public {
        peer = new PeerSwap(IListings(address(this)));
        maker = address(new SignsAll());
        taker = address(new SignsAll());
        (given,) = anyPoints(address(this));
        (taken,) = anyPoints(address(this));
    }

    function issuerOf(address) external view returns (address) {
        return maker;
    }

    /// @notice A trade that is filled moved both sides by what was signed; nothing stayed in between, nothing
    /// was made, and it is not filled again.
    function check_a_trade_is_filled_whole_and_once(
        address makerReceives,
        address takerReceives,
        uint256 amountGiven,
        uint256 amountTaken,
        uint256 deadline,
        bytes32 id
    ) public {
        vm.assume(makerReceives != taker && makerReceives != address(peer));
        vm.assume(takerReceives != maker && takerReceives != address(peer));
        PeerSwap.Trade memory trade = PeerSwap.Trade(
            maker,
            makerReceives,
            address(given),
            amountGiven,
            taker,
            takerReceives,
            address(taken),
            amountTaken,
            deadline,
            id
        );
        uint256[6] memory before = _balances(makerReceives, takerReceives);
        for (uint256 index = 0; index < 6; ++index) {
            vm.assume(before[index] < type(uint128).max); // What no supply of points reaches.
        }
        peer.fill(trade, "", "");
        uint256[6] memory found = _balances(makerReceives, takerReceives);
        assert(found[0] == before[0] - amountGiven && found[1] == before[1] + amountGiven);
        assert(found[2] == before[2] - amountTaken && found[3] == before[3] + amountTaken);
        assert(found[4] == before[4] && found[5] == before[5]);
        try peer.fill(trade, "", "") {
            assert(false);
        } catch {}
    }

    function _balances(address makerReceives, address takerReceives) private view returns (uint256[6] memory) {
        return [
            given.balanceOf(maker),
            given.balanceOf(takerReceives),
            taken.balanceOf(taker),
            taken.balanceOf(makerReceives),
            given.balanceOf(address(peer)),
            taken.balanceOf(address(peer))
        ];
    }
}
