// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

/// @title Roots that cannot be changed afterwards, and recalls that everybody can find.
/// @notice An issuer anchors one root an interval, in a chain of hashes that has no second branch. What the
/// roots stand for is nowhere here: they are of salted, padded trees of one size.
/// @dev Anyone may send; the issuer's signature over the place in its own chain is the permission. It holds no
/// value, and no personal data.
contract Notary is EIP712 {
    /// @notice How far an issuer's chain of roots has come.
    /// @param head The hash over the last root and the head before it.
    /// @param number The interval of the last root.
    /// @param length How many roots there are.
    struct Chain {
        bytes32 head;
        uint64 number;
        uint64 length;
    }

    bytes32 private constant ROOT_TYPEHASH =
        keccak256("Root(address issuer,bytes32 root,uint64 number,bytes32 previous)");
    bytes32 private constant RECALL_TYPEHASH =
        keccak256("Recall(address issuer,bytes32 batch,bytes32 notice,uint8 severity,uint64 round)");
    bytes32 private constant RECALL_END_TYPEHASH =
        keccak256("RecallEnd(address issuer,bytes32 batch,bytes32 notice,uint64 round)");

    /// @notice The chains of roots, by issuer.
    mapping(address issuer => Chain) public chains;

    /// @notice How often a recall was opened and closed, by issuer and batch. An odd number: it is open.
    mapping(address issuer => mapping(bytes32 batch => uint64)) public rounds;

    /// @notice `issuer` anchored `root` for the interval `number`, as its root `sequence`, counted from one.
    event Anchored(address indexed issuer, uint64 indexed number, uint64 sequence, bytes32 root, bytes32 head);

    /// @notice `issuer` recalls what `batch` stands for; `notice` is the hash of what it says.
    event RecallOpened(
        address indexed issuer, bytes32 indexed batch, bytes32 notice, uint8 severity, uint64 round
    );

    /// @notice The recall of `batch` is over; `notice` is the hash of what is said about that.
    event RecallClosed(address indexed issuer, bytes32 indexed batch, bytes32 notice, uint64 round);

    /// @notice An interval has one root, and none after a later interval has its own.
    error OldNumber(uint64 last, uint64 offered);

    /// @notice The root, or the recall, is not signed by its issuer for this place.
    error InvalidNotarySignature(address issuer);

    /// @notice A root is never zero.
    error EmptyRoot();

    /// @notice The recall is open already, or was never opened.
    error WrongRound(uint64 now_, uint64 offered);

    constructor() EIP712("Counterfoil Notary", "1") {}

    /// @notice Anchor a root after the last one of `issuer`.
    /// @param number The interval, larger than that of the last root.
    /// @param signature By `issuer` over the root, its number and the head of the chain before it.
    function anchor(address issuer, uint64 number, bytes32 root, bytes calldata signature) external {
        Chain memory chain = chains[issuer];
        require(root != bytes32(0), EmptyRoot());
        require(chain.length == 0 || number > chain.number, OldNumber(chain.number, number));
        _requireSigned(issuer, keccak256(abi.encode(ROOT_TYPEHASH, issuer, root, number, chain.head)), signature);
        bytes32 head = keccak256(abi.encode(chain.head, number, root));
        chains[issuer] = Chain(head, number, chain.length + 1);
        emit Anchored(issuer, number, chain.length + 1, root, head);
    }

    /// @notice Open a recall, or open it again after it was closed.
    /// @param batch The salted hash of the production batch.
    /// @param notice The hash of the notice that owners read.
    /// @param severity As the notice says it, for whoever sorts.
    /// @param round The next round of this batch, an odd number.
    function openRecall(
        address issuer,
        bytes32 batch,
        bytes32 notice,
        uint8 severity,
        uint64 round,
        bytes calldata signature
    ) external {
        _turn(issuer, batch, round, 1);
        _requireSigned(
            issuer, keccak256(abi.encode(RECALL_TYPEHASH, issuer, batch, notice, severity, round)), signature
        );
        emit RecallOpened(issuer, batch, notice, severity, round);
    }

    /// @notice Close a recall that is open.
    /// @param round The next round of this batch, an even number.
    function closeRecall(
        address issuer,
        bytes32 batch,
        bytes32 notice,
        uint64 round,
        bytes calldata signature
    ) external {
        _turn(issuer, batch, round, 0);
        _requireSigned(
            issuer, keccak256(abi.encode(RECALL_END_TYPEHASH, issuer, batch, notice, round)), signature
        );
        emit RecallClosed(issuer, batch, notice, round);
    }

    /// @notice Whether a recall of `batch` by `issuer` is open.
    function isRecalled(address issuer, bytes32 batch) external view returns (bool) {
        return rounds[issuer][batch] % 2 == 1;
    }

    /// @dev Takes the next round, of the parity that opens or closes.
    function _turn(address issuer, bytes32 batch, uint64 round, uint64 parity) private {
        uint64 known = rounds[issuer][batch];
        require(round == known + 1 && round % 2 == parity, WrongRound(known, round));
        rounds[issuer][batch] = round;
    }

    /// @dev Smart accounts sign by EIP-1271.
    function _requireSigned(address issuer, bytes32 structHash, bytes calldata signature) private view {
        require(
            SignatureChecker.isValidSignatureNowCalldata(issuer, _hashTypedDataV4(structHash), signature),
            InvalidNotarySignature(issuer)
        );
    }
}
