// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20TransferAuthorization} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20TransferAuthorization.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

/// @title The points of one brand.
/// @notice An ERC-20 with two decimals. The brand awards points by signing; the customer spends them by
/// signing. Whoever sends the transaction pays for it and decides nothing, so no party needs gas but the
/// relayer, and the relayer holds no key of a brand or of a customer.
/// @dev Listed by {PointsExchange} only when its own factory made it; the exchange is the one address that may
/// mint and burn for an exchange.
/// There is no owner, no pause and no upgrade: points that have reached a balance cannot be taken back.
contract BrandPoints is ERC20TransferAuthorization {
    /// @notice What a customer signs to give up points for a voucher.
    /// @param holder The account that spends.
    /// @param amount Base units, a hundredth of a point each.
    /// @param id The customer's own name for this redemption, used once per holder.
    /// @param deadline Unix seconds; the block must be younger than this.
    struct Redemption {
        address holder;
        uint256 amount;
        bytes32 id;
        uint256 deadline;
    }

    bytes32 private constant AWARD_TYPEHASH = keccak256("Award(address to,uint256 amount,bytes32 ref)");
    bytes32 private constant REDEMPTION_TYPEHASH =
        keccak256("Redemption(address holder,uint256 amount,bytes32 id,uint256 deadline)");

    /// @notice The brand's signing account; a smart account signs by EIP-1271.
    address public immutable issuer;

    /// @notice The exchange that lists these points.
    address public immutable exchange;

    /// @notice The refs that have been awarded. A ref is consumed once and never freed.
    mapping(bytes32 ref => bool) public awarded;

    /// @notice The redemptions that have been made, by holder and by the holder's own id.
    mapping(address holder => mapping(bytes32 id => bool)) public redeemed;

    /// @notice `amount` was earned by `to` for the business event named by `ref`.
    event Awarded(address indexed to, bytes32 indexed ref, uint256 amount);

    /// @notice `holder` gave up `amount` for the voucher of redemption `id`.
    event Redeemed(address indexed holder, bytes32 indexed id, uint256 amount);

    /// @notice This ref has been awarded before: the earlier award stands, nothing was minted now.
    error DuplicateRef(bytes32 ref);

    /// @notice This holder has used this redemption id before: the earlier voucher stands.
    error DuplicateRedemption(address holder, bytes32 id);

    /// @notice The award is not signed by the brand's issuer account.
    error InvalidIssuerSignature();

    /// @notice An award or a redemption of zero points is not one.
    error ZeroAmount();

    /// @notice Only the exchange that lists these points may mint or burn for an exchange.
    error OnlyExchange(address caller);

    /// @param name_ The programme's name, for people.
    /// @param symbol_ A few letters, for people.
    /// @param issuer_ The account whose signature awards points.
    /// @param exchange_ The exchange that lists these points.
    constructor(string memory name_, string memory symbol_, address issuer_, address exchange_)
        ERC20(name_, symbol_)
        EIP712("Counterfoil Points", "1")
    {
        issuer = issuer_;
        exchange = exchange_;
    }

    modifier onlyExchange() {
        require(msg.sender == exchange, OnlyExchange(msg.sender));
        _;
    }

    /// @notice Two decimals for every brand, so that no exchange has to scale.
    function decimals() public pure override returns (uint8) {
        return 2;
    }

    /// @notice Mint `amount` to `to`, exactly once per `ref`.
    /// @dev Anyone may send it; the brand's signature over `Award(to, amount, ref)` is the permission.
    /// @param to The customer's account.
    /// @param amount Base units.
    /// @param ref The hash of brand, order and kind: the same in the HTTP request, the outbox and here.
    /// @param signature By {issuer}, EIP-712, in the domain of this contract.
    function award(address to, uint256 amount, bytes32 ref, bytes calldata signature) external {
        bytes32 hash = _hashTypedDataV4(keccak256(abi.encode(AWARD_TYPEHASH, to, amount, ref)));
        require(SignatureChecker.isValidSignatureNow(issuer, hash, signature), InvalidIssuerSignature());
        require(amount > 0, ZeroAmount());
        require(!awarded[ref], DuplicateRef(ref));
        awarded[ref] = true;
        _mint(to, amount);
        emit Awarded(to, ref, amount);
    }

    /// @notice Burn points against a voucher, exactly once per holder and id.
    /// @dev The holder signs an ERC-3009 `ReceiveWithAuthorization` to this contract whose nonce commits to
    /// the whole redemption, so nothing in it can be changed by the sender.
    function redeem(Redemption calldata redemption, bytes calldata signature) external {
        require(redemption.amount > 0, ZeroAmount());
        require(
            !redeemed[redemption.holder][redemption.id],
            DuplicateRedemption(redemption.holder, redemption.id)
        );
        redeemed[redemption.holder][redemption.id] = true;
        bytes32 hash = _hashTypedDataV4(
            keccak256(
                abi.encode(
                    REDEMPTION_TYPEHASH, redemption.holder, redemption.amount, redemption.id, redemption.deadline
                )
            )
        );
        _spend(
            redemption.holder, address(this), redemption.amount, redemption.deadline, intentNonce(hash), signature
        );
        emit Redeemed(redemption.holder, redemption.id, redemption.amount);
    }

    /// @notice Burn what `from` authorised the exchange to receive.
    /// @dev The points are burned where they are; the exchange never holds any.
    function exchangeBurn(address from, uint256 amount, uint256 deadline, bytes32 nonce, bytes calldata signature)
        external
        onlyExchange
    {
        _spend(from, exchange, amount, deadline, nonce, signature);
    }

    /// @notice Mint the other side of an exchange.
    function exchangeMint(address to, uint256 amount) external onlyExchange {
        _mint(to, amount);
    }

    /// @notice The ERC-3009 nonce that commits to an intent: its first 192 bits, then 64 zero bits.
    /// @dev The low 64 bits are the sequence of OpenZeppelin's keyed nonces; a key made from a hash is used
    /// once, with sequence zero.
    function intentNonce(bytes32 intent) public pure returns (bytes32) {
        return intent & ~bytes32(uint256(type(uint64).max));
    }

    /// @dev Checks the holder's ERC-3009 authorisation to `to`, consumes its nonce and burns.
    function _spend(
        address from,
        address to,
        uint256 amount,
        uint256 deadline,
        bytes32 nonce,
        bytes calldata signature
    ) private {
        bytes32 hash = _hashTypedDataV4(
            keccak256(abi.encode(RECEIVE_WITH_AUTHORIZATION_TYPEHASH, from, to, amount, 0, deadline, nonce))
        );
        require(SignatureChecker.isValidSignatureNow(from, hash, signature), ERC3009InvalidSignature());
        _checkValidity(0, deadline);
        _consumeNonce(from, nonce);
        emit AuthorizationUsed(from, nonce);
        _burn(from, amount);
    }
}
