// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @notice What the clearing asks of the exchange.
interface IBrands {
    /// @notice The account that signs for a brand; reverts for points that the exchange does not list.
    function issuerOf(address points) external view returns (address);
}

/// @title What brands owe each other for exchanged points, and how it is paid.
/// @notice A brand is named by its points. Every exchange books a claim of the brand that mints on the brand
/// that burns. A claim may grow up to the credit that both brands agreed plus the collateral that is posted for
/// it; an exchange beyond is refused, so a brand that mints itself rich can take no more than that.
/// @dev One signed number for each pair of brands: what one owes, the other is owed, so claims always sum to
/// zero. Claims are in millionths of one unit of the settlement currency. Whatever calls another contract is
/// guarded against re-entry, {book} included.
contract Clearing is EIP712, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;
    using SafeCast for uint256;
    using SafeCast for int256;

    /// @notice What a creditor signs to say which money extinguishes what it is owed.
    /// @param creditor The brand that is owed.
    /// @param asset A stablecoin of the settlement currency. It must not change balances by itself.
    /// @param decimals The asset's decimals, 6 to 24; asserted now and never asked again.
    /// @param accepted False ends it for new payments.
    /// @param sequence The next number of this brand, from {sequences}.
    struct Acceptance {
        address creditor;
        address asset;
        uint8 decimals;
        bool accepted;
        uint64 sequence;
    }

    /// @notice What a debtor signs to take collateral back.
    /// @param amount Base units of the collateral's asset.
    /// @param sequence The next number of the debtor.
    struct Withdrawal {
        address debtor;
        address creditor;
        uint256 amount;
        uint64 sequence;
    }

    /// @notice What a creditor signs to be paid from collateral what is owed beyond the credit.
    /// @param value Millionths of a unit.
    /// @param sequence The next number of the creditor.
    struct Draw {
        address debtor;
        address creditor;
        uint256 value;
        uint64 sequence;
    }

    /// @notice What a creditor signs when it was paid outside the chain.
    /// @param value Millionths of a unit.
    /// @param ref The payment's own name, used once per creditor.
    struct Acknowledgement {
        address debtor;
        address creditor;
        uint256 value;
        bytes32 ref;
    }

    /// @notice What stands between two brands, the one with the lower address first. One storage slot.
    struct Pair {
        int128 owedByLower;
        uint64 creditOfLower;
        uint64 creditOfHigher;
    }

    /// @notice Collateral of one debtor for one creditor, in base units of its asset. One storage slot.
    struct Collateral {
        address asset;
        uint96 amount;
    }

    /// @notice Money that a creditor takes: base units per millionth of a unit. The scale outlives acceptance.
    struct Money {
        uint64 scale;
        bool accepted;
    }

    bytes32 private constant ACCEPTANCE_TYPEHASH =
        keccak256("Acceptance(address creditor,address asset,uint8 decimals,bool accepted,uint64 sequence)");
    bytes32 private constant WITHDRAWAL_TYPEHASH =
        keccak256("Withdrawal(address debtor,address creditor,uint256 amount,uint64 sequence)");
    bytes32 private constant DRAW_TYPEHASH =
        keccak256("Draw(address debtor,address creditor,uint256 value,uint64 sequence)");
    bytes32 private constant ACKNOWLEDGEMENT_TYPEHASH =
        keccak256("Acknowledgement(address debtor,address creditor,uint256 value,bytes32 ref)");

    /// @notice The longest cycle that is netted in one call.
    uint256 public constant LONGEST_CYCLE = 16;

    /// @notice The exchange whose claims are kept here: it alone books claims and sets credit.
    address public immutable exchange;

    /// @notice How many times a brand has signed something that is ordered.
    mapping(address brand => uint64) public sequences;

    /// @notice Payments outside the chain that were acknowledged, by creditor.
    mapping(address creditor => mapping(bytes32 ref => bool)) public acknowledged;

    /// @notice The money that a creditor takes.
    mapping(address creditor => mapping(address asset => Money)) public money;

    /// @notice The collateral posted by a debtor for a creditor.
    mapping(address debtor => mapping(address creditor => Collateral)) public collateral;

    mapping(address lower => mapping(address higher => Pair)) private _pairs;

    /// @notice An exchange made `debtor` owe `creditor` this much more; `owed` is what it owes now, negative
    /// when it is owed.
    event Booked(address indexed debtor, address indexed creditor, uint256 value, int256 owed);

    /// @notice `debtor` may owe `creditor` this much without collateral.
    event CreditSet(address indexed debtor, address indexed creditor, uint64 credit);

    /// @notice A creditor takes this money, or takes it no longer.
    event Accepted(address indexed creditor, address indexed asset, uint64 scale, bool accepted);

    /// @notice Collateral arrived; `received` is what came, whatever was sent.
    event Deposited(
        address indexed debtor, address indexed creditor, address indexed asset, address payer, uint256 received
    );

    /// @notice Free collateral went back to the debtor.
    event Withdrawn(address indexed debtor, address indexed creditor, address indexed asset, uint256 amount);

    /// @notice A creditor was paid from pledged collateral.
    event Drawn(
        address indexed debtor, address indexed creditor, address indexed asset, uint256 amount, uint256 value
    );

    /// @notice Somebody paid a creditor; `value` of the claim is extinguished.
    event Settled(
        address indexed debtor,
        address indexed creditor,
        address indexed asset,
        address payer,
        uint256 received,
        uint256 value
    );

    /// @notice A creditor was paid outside the chain.
    event Acknowledged(address indexed debtor, address indexed creditor, bytes32 indexed ref, uint256 value);

    /// @notice Each brand owed the next one, and the last owed the first: `value` less now.
    event Netted(address[] brands, uint256 value);

    /// @notice Only the exchange books claims and sets credit.
    error OnlyExchange(address caller);

    /// @notice The debtor would owe more than its credit and its collateral cover.
    error CreditExceeded(address debtor, address creditor, uint256 owed, uint256 limit);

    /// @notice The signature is not by the named brand's issuer account.
    error InvalidBrandSignature(address issuer);

    /// @notice This is not the next thing that this brand signed.
    error WrongSequence(uint64 expected, uint64 found);

    /// @notice The asset's own decimals are not those that were signed, or not 6 to 24.
    error WrongDecimals(address asset, uint8 decimals);

    /// @notice The creditor does not take this money.
    error NotAccepted(address creditor, address asset);

    /// @notice The collateral for this creditor is in another asset.
    error OtherCollateral(address asset);

    /// @notice This part of the collateral covers what is owed beyond the credit.
    error Pledged(uint256 free);

    /// @notice Only what is owed beyond the credit may be drawn from collateral.
    error NotPledged(uint256 pledged);

    /// @notice The payment would extinguish more than is owed.
    error MoreThanOwed(uint256 owed);

    /// @notice The payment brought the receiver nothing that counts.
    error NothingReceived();

    /// @notice This payment was acknowledged before: the earlier acknowledgement stands.
    error DuplicateAcknowledgement(bytes32 ref);

    /// @notice The brands are no cycle in which each one owes the next, or are too many.
    error NoCycle();

    /// @param exchange_ The exchange whose claims are kept here.
    constructor(address exchange_) EIP712("Counterfoil Clearing", "1") {
        exchange = exchange_;
    }

    modifier onlyExchange() {
        require(msg.sender == exchange, OnlyExchange(msg.sender));
        _;
    }

    /// @notice What `debtor` owes `creditor`; negative when it is owed. `owed(a, b) == -owed(b, a)`.
    function owed(address debtor, address creditor) public view returns (int256) {
        return debtor < creditor
            ? int256(_pairs[debtor][creditor].owedByLower)
            : -int256(_pairs[creditor][debtor].owedByLower);
    }

    /// @notice What `debtor` may owe `creditor` without collateral.
    function creditOf(address debtor, address creditor) public view returns (uint64) {
        return debtor < creditor ? _pairs[debtor][creditor].creditOfLower : _pairs[creditor][debtor].creditOfHigher;
    }

    /// @notice What stands behind a debtor's promise: what it owes, its credit, and what its collateral covers.
    /// @return debt What it owes, negative when it is owed.
    /// @return credit What it may owe without collateral.
    /// @return reserve Millionths of a unit that the posted collateral covers.
    function cover(address debtor, address creditor)
        external
        view
        returns (int256 debt, uint64 credit, uint256 reserve)
    {
        return (owed(debtor, creditor), creditOf(debtor, creditor), _reserve(debtor, creditor));
    }

    /// @notice Book what an exchange made `debtor` owe, within its credit and collateral.
    function book(address debtor, address creditor, uint256 value) external onlyExchange nonReentrant {
        bool lower = debtor < creditor;
        Pair storage pair = lower ? _pairs[debtor][creditor] : _pairs[creditor][debtor];
        Pair memory before = pair;
        int256 debt = (lower ? int256(before.owedByLower) : -int256(before.owedByLower)) + value.toInt256();
        uint256 limit = lower ? before.creditOfLower : before.creditOfHigher;
        if (debt > int256(limit)) {
            limit += _reserve(debtor, creditor);
            require(debt <= int256(limit), CreditExceeded(debtor, creditor, uint256(debt), limit));
        }
        pair.owedByLower = (lower ? debt : -debt).toInt128();
        emit Booked(debtor, creditor, value, debt);
    }

    /// @notice Set what `debtor` may owe `creditor` without collateral; both brands' signatures are the
    /// exchange's to check.
    function setCredit(address debtor, address creditor, uint64 credit) external onlyExchange {
        if (creditOf(debtor, creditor) == credit) return;
        if (debtor < creditor) _pairs[debtor][creditor].creditOfLower = credit;
        else _pairs[creditor][debtor].creditOfHigher = credit;
        emit CreditSet(debtor, creditor, credit);
    }

    /// @notice Say which money extinguishes what a creditor is owed.
    function accept(Acceptance calldata acceptance, bytes calldata signature) external nonReentrant {
        bytes32 hash = keccak256(abi.encode(ACCEPTANCE_TYPEHASH, acceptance));
        _requireBrand(acceptance.creditor, hash, signature);
        _next(acceptance.creditor, acceptance.sequence);
        uint8 decimals = acceptance.decimals;
        require(
            decimals >= 6 && decimals <= 24 && IERC20Metadata(acceptance.asset).decimals() == decimals,
            WrongDecimals(acceptance.asset, decimals)
        );
        uint64 scale = uint64(10 ** (decimals - 6));
        money[acceptance.creditor][acceptance.asset] = Money(scale, acceptance.accepted);
        emit Accepted(acceptance.creditor, acceptance.asset, scale, acceptance.accepted);
    }

    /// @notice Post collateral for what `debtor` owes `creditor`. Anyone may; it becomes the debtor's.
    /// @param amount Base units of `asset`; what arrives counts.
    function deposit(address debtor, address creditor, address asset, uint256 amount) external nonReentrant {
        IBrands(exchange).issuerOf(debtor);
        require(money[creditor][asset].accepted, NotAccepted(creditor, asset));
        Collateral storage posted = collateral[debtor][creditor];
        require(posted.amount == 0 || posted.asset == asset, OtherCollateral(posted.asset));
        uint256 received = _pay(IERC20(asset), address(this), amount);
        require(received > 0, NothingReceived());
        // The guard keeps every other entry shut while the asset's own code runs.
        posted.asset = asset;
        posted.amount = (posted.amount + received).toUint96();
        emit Deposited(debtor, creditor, asset, msg.sender, received);
    }

    /// @notice Take back collateral that covers nothing; it goes to the debtor's issuer account.
    function withdraw(Withdrawal calldata withdrawal, bytes calldata signature) external nonReentrant {
        (address debtor, address creditor) = (withdrawal.debtor, withdrawal.creditor);
        bytes32 hash = keccak256(abi.encode(WITHDRAWAL_TYPEHASH, withdrawal));
        address issuer = _requireBrand(debtor, hash, signature);
        _next(debtor, withdrawal.sequence);
        Collateral storage posted = collateral[debtor][creditor];
        address asset = posted.asset;
        uint256 held = _pledged(debtor, creditor) * money[creditor][asset].scale;
        uint256 free = posted.amount > held ? posted.amount - held : 0;
        require(withdrawal.amount <= free, Pledged(free));
        posted.amount -= withdrawal.amount.toUint96();
        emit Withdrawn(debtor, creditor, asset, withdrawal.amount);
        IERC20(asset).safeTransfer(issuer, withdrawal.amount);
    }

    /// @notice Pay a creditor from collateral, for what is owed beyond the credit.
    function draw(Draw calldata drawn, bytes calldata signature) external nonReentrant {
        (address debtor, address creditor) = (drawn.debtor, drawn.creditor);
        bytes32 hash = keccak256(abi.encode(DRAW_TYPEHASH, drawn));
        address issuer = _requireBrand(creditor, hash, signature);
        _next(creditor, drawn.sequence);
        uint256 pledged = _pledged(debtor, creditor);
        require(drawn.value > 0 && drawn.value <= pledged, NotPledged(pledged));
        Collateral storage posted = collateral[debtor][creditor];
        address asset = posted.asset;
        uint256 amount = drawn.value * money[creditor][asset].scale;
        posted.amount -= amount.toUint96();
        _reduce(debtor, creditor, drawn.value);
        emit Drawn(debtor, creditor, asset, amount, drawn.value);
        IERC20(asset).safeTransfer(issuer, amount);
    }

    /// @notice Pay what `debtor` owes `creditor`. Anyone may pay for anyone.
    /// @param amount Base units of `asset`; what arrives at the creditor's issuer account counts.
    function settle(address debtor, address creditor, address asset, uint256 amount) external nonReentrant {
        address issuer = IBrands(exchange).issuerOf(creditor);
        Money memory taken = money[creditor][asset];
        require(taken.accepted, NotAccepted(creditor, asset));
        uint256 debt = _debt(debtor, creditor);
        require(amount <= debt * taken.scale, MoreThanOwed(debt));
        uint256 received = _pay(IERC20(asset), issuer, amount);
        uint256 value = received / taken.scale;
        require(value > 0, NothingReceived());
        _reduce(debtor, creditor, value);
        emit Settled(debtor, creditor, asset, msg.sender, received, value);
    }

    /// @notice Extinguish what was paid outside the chain, by the word of the one who was paid.
    function acknowledge(Acknowledgement calldata paid, bytes calldata signature) external {
        bytes32 hash = keccak256(abi.encode(ACKNOWLEDGEMENT_TYPEHASH, paid));
        _requireBrand(paid.creditor, hash, signature);
        require(!acknowledged[paid.creditor][paid.ref], DuplicateAcknowledgement(paid.ref));
        acknowledged[paid.creditor][paid.ref] = true;
        require(paid.value > 0, NothingReceived());
        _reduce(paid.debtor, paid.creditor, paid.value);
        emit Acknowledged(paid.debtor, paid.creditor, paid.ref, paid.value);
    }

    /// @notice Subtract around a cycle what each brand owes the next: nobody's sum of claims changes.
    /// @param brands Three to sixteen brands; each owes the next, and the last owes the first.
    /// @return value What was subtracted: the smallest claim of the cycle.
    function netCycle(address[] calldata brands) external returns (uint256 value) {
        uint256 count = brands.length;
        require(count >= 3 && count <= LONGEST_CYCLE, NoCycle());
        value = type(uint256).max;
        for (uint256 index = 0; index < count; ++index) {
            uint256 debt = _debt(brands[index], brands[(index + 1) % count]);
            if (debt < value) value = debt;
        }
        require(value > 0, NoCycle());
        for (uint256 index = 0; index < count; ++index) {
            // A walk that uses one claim twice may find too little of it the second time.
            _reduce(brands[index], brands[(index + 1) % count], value);
        }
        emit Netted(brands, value);
    }

    /// @dev What is owed, or nothing.
    function _debt(address debtor, address creditor) private view returns (uint256) {
        int256 debt = owed(debtor, creditor);
        return debt > 0 ? uint256(debt) : 0;
    }

    /// @dev What is owed beyond the credit, as far as collateral covers it.
    function _pledged(address debtor, address creditor) private view returns (uint256) {
        (uint256 debt, uint256 credit) = (_debt(debtor, creditor), creditOf(debtor, creditor));
        uint256 beyond = debt > credit ? debt - credit : 0;
        uint256 reserve = _reserve(debtor, creditor);
        return beyond < reserve ? beyond : reserve;
    }

    /// @dev What the collateral covers, in millionths of a unit, rounded down.
    function _reserve(address debtor, address creditor) private view returns (uint256) {
        Collateral memory posted = collateral[debtor][creditor];
        return posted.amount == 0 ? 0 : posted.amount / money[creditor][posted.asset].scale;
    }

    /// @dev Lessens a claim, never below zero.
    function _reduce(address debtor, address creditor, uint256 value) private {
        uint256 debt = _debt(debtor, creditor);
        require(value <= debt, MoreThanOwed(debt));
        if (debtor < creditor) _pairs[debtor][creditor].owedByLower -= int256(value).toInt128();
        else _pairs[creditor][debtor].owedByLower += int256(value).toInt128();
    }

    /// @dev Moves money from the caller and gives what arrived, never more than was asked for.
    function _pay(IERC20 asset, address to, uint256 amount) private returns (uint256 received) {
        uint256 before = asset.balanceOf(to);
        asset.safeTransferFrom(msg.sender, to, amount);
        uint256 afterwards = asset.balanceOf(to);
        received = afterwards > before ? afterwards - before : 0;
        if (received > amount) received = amount;
    }

    /// @dev Requires the signature of the brand's issuer account, and gives that account.
    function _requireBrand(address brand, bytes32 structHash, bytes calldata signature)
        private
        view
        returns (address issuer)
    {
        issuer = IBrands(exchange).issuerOf(brand);
        require(
            SignatureChecker.isValidSignatureNow(issuer, _hashTypedDataV4(structHash), signature),
            InvalidBrandSignature(issuer)
        );
    }

    /// @dev Requires the next number of a brand, so that nothing signed is used twice.
    function _next(address brand, uint64 sequence) private {
        uint64 expected = sequences[brand];
        require(sequence == expected, WrongSequence(expected, sequence));
        sequences[brand] = expected + 1;
    }
}
