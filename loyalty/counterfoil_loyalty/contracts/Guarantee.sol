// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

/// @notice A token that is received by the giver's signature: ERC-3009, with the signature as bytes.
interface IReceivable is IERC20 {
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external;
}

/// @title A refund that needs nobody's good will.
/// @notice Whoever promises puts the money here. It comes back when an attester says in time that the promise
/// was kept; it goes to the customer when the attester says that it was not, or when the deadline passes in
/// silence. Anyone may send either, and only one of them happens.
/// @dev The terms are passed with each call and checked by their hash, so that a guarantee is one storage slot.
/// A token that takes a fee, calls back or lies about balances harms only guarantees in that very token.
contract Guarantee is EIP712, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @notice What is promised, and on which word it ends. Its hash is its name.
    /// @param token What is paid, such as a stablecoin or a brand's points.
    /// @param amount Base units of `token`.
    /// @param funder Who pays it in, and gets it back when the promise is kept.
    /// @param customer Who gets it otherwise.
    /// @param attester Who says whether the promise was kept.
    /// @param fundBefore Unix seconds; the block that opens it must be younger than this.
    /// @param deadline Unix seconds; from then on the customer is refunded, whatever is said.
    /// @param salt So that two equal guarantees differ.
    struct Terms {
        address token;
        uint256 amount;
        address funder;
        address customer;
        address attester;
        uint256 fundBefore;
        uint256 deadline;
        bytes32 salt;
    }

    /// @notice Where a guarantee stands. Fulfilled and Refunded are the end.
    enum State {
        Unknown,
        Open,
        Fulfilled,
        Refunded
    }

    bytes32 private constant TERMS_TYPEHASH = keccak256(
        "Guarantee(address token,uint256 amount,address funder,address customer,address attester,uint256 fundBefore,uint256 deadline,bytes32 salt)"
    );
    bytes32 private constant STATEMENT_TYPEHASH = keccak256("Statement(bytes32 guarantee,bool kept)");

    /// @notice Where each guarantee stands, by its hash.
    mapping(bytes32 id => State) public states;

    /// @notice The money is here.
    event Opened(
        bytes32 indexed id,
        address indexed customer,
        address indexed funder,
        address token,
        uint256 amount,
        address attester,
        uint256 deadline
    );

    /// @notice The promise was kept: the money went back to the funder.
    event Fulfilled(bytes32 indexed id);

    /// @notice The promise was not kept, or nothing was said in time: the customer has the money.
    event Refunded(bytes32 indexed id);

    /// @notice A guarantee names a token, an amount, a customer, an attester and a deadline ahead.
    error IncompleteGuarantee();

    /// @notice The guarantee was opened before: the money that is here stays, no more was taken.
    error DuplicateGuarantee(bytes32 id);

    /// @notice The guarantee is not open: it never was, or it has ended.
    error NotOpen(bytes32 id, State state);

    /// @notice The statement is not signed by the attester.
    error InvalidStatement(address attester);

    /// @notice The deadline has passed: the money is the customer's, whatever is said now.
    error TooLate(uint256 deadline);

    /// @notice The token paid less, or more, than the amount.
    error AmountMismatch(uint256 expected, uint256 found);

    constructor() EIP712("Counterfoil Guarantee", "1") {}

    /// @notice Open a guarantee with the funder's money.
    /// @param signature By the funder: an ERC-3009 `ReceiveWithAuthorization` to this contract on the token,
    /// whose nonce is the first 192 bits of the guarantee's hash, then 64 zero bits.
    function open(Terms calldata terms, bytes calldata signature) external nonReentrant {
        require(
            terms.amount > 0 && terms.token.code.length > 0 && terms.customer != address(0)
                && terms.attester != address(0) && terms.deadline > block.timestamp,
            IncompleteGuarantee()
        );
        bytes32 id = idOf(terms);
        require(states[id] == State.Unknown, DuplicateGuarantee(id));
        states[id] = State.Open;
        emit Opened(
            id, terms.customer, terms.funder, terms.token, terms.amount, terms.attester, terms.deadline
        );
        _receive(terms, id & ~bytes32(uint256(type(uint64).max)), signature);
    }

    /// @notice Give the money back to the funder: the attester says in time that the promise was kept.
    /// @param statement By the attester, over `Statement(id, true)`.
    function fulfil(Terms calldata terms, bytes calldata statement) external nonReentrant {
        bytes32 id = _requireOpen(terms);
        require(block.timestamp < terms.deadline, TooLate(terms.deadline));
        _requireStatement(terms.attester, id, true, statement);
        states[id] = State.Fulfilled;
        emit Fulfilled(id);
        IERC20(terms.token).safeTransfer(terms.funder, terms.amount);
    }

    /// @notice Give the money to the customer: the deadline has passed, or the attester says that the promise
    /// was not kept.
    /// @param statement By the attester, over `Statement(id, false)`; empty from the deadline on.
    function refund(Terms calldata terms, bytes calldata statement) external nonReentrant {
        bytes32 id = _requireOpen(terms);
        if (block.timestamp < terms.deadline) _requireStatement(terms.attester, id, false, statement);
        states[id] = State.Refunded;
        emit Refunded(id);
        IERC20(terms.token).safeTransfer(terms.customer, terms.amount);
    }

    /// @notice The hash of a guarantee: its name, here and on this chain only.
    function idOf(Terms calldata terms) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(TERMS_TYPEHASH, terms)));
    }

    /// @dev Takes the money in, and believes the balance alone.
    function _receive(Terms calldata terms, bytes32 nonce, bytes calldata signature) private {
        IReceivable token = IReceivable(terms.token);
        uint256 before = token.balanceOf(address(this));
        token.receiveWithAuthorization(
            terms.funder, address(this), terms.amount, 0, terms.fundBefore, nonce, signature
        );
        uint256 received = token.balanceOf(address(this)) - before;
        require(received == terms.amount, AmountMismatch(terms.amount, received));
    }

    /// @dev Gives the name of a guarantee that is open.
    function _requireOpen(Terms calldata terms) private view returns (bytes32 id) {
        id = idOf(terms);
        require(states[id] == State.Open, NotOpen(id, states[id]));
    }

    /// @dev Smart accounts sign by EIP-1271.
    function _requireStatement(address attester, bytes32 id, bool kept, bytes calldata statement) private view {
        bytes32 hash = _hashTypedDataV4(keccak256(abi.encode(STATEMENT_TYPEHASH, id, kept)));
        require(
            SignatureChecker.isValidSignatureNowCalldata(attester, hash, statement), InvalidStatement(attester)
        );
    }
}
