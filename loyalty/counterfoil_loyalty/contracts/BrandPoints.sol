// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20TransferAuthorization} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20TransferAuthorization.sol";
import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

/// @title The points of one brand.
/// @notice An ERC-20 with two decimals. The brand awards points by signing; the customer spends them by
/// signing. Whoever sends the transaction pays for it and decides nothing, so no party needs gas but the
/// relayer, and the relayer holds no key of a brand or of a customer.
/// @dev Points that have reached a balance leave it in three ways only: the holder signs (redeem, exchange,
/// transfer), or nothing was earned, redeemed or exchanged for the whole window of a rule that stood before
/// the first point was earned ({expire}). No upgrade, no owner: {govern} changes who may award and how much,
/// and reaches no balance.
///
/// Version 2. A brand goes on with other code by moving to other points, which start empty and name those
/// before them, once. From points of version 1 the holder's signature moves each balance ({takeOver},
/// {carry}); points of version 2 are retired first, with notice ({retire}), and then anyone moves anyone
/// ({succeed}, {move}). Either way what is minted here was burned or locked there, in the same call.
contract BrandPoints is ERC20TransferAuthorization, IERC1271 {
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

    /// @notice Who may award points, and how many: replaced as a whole, signed by the admin.
    /// @param admin The account that signs the next policy: a multisig or a timelock, by EIP-1271.
    /// @param issuer The hot key that signs awards, cancellations and refunds.
    /// @param earnRoots The contract that mints what Merkle roots award; zero for none.
    /// @param capacity How many base units the issuer's bucket holds; the largest number is no limit.
    /// @param refill Seconds in which an empty bucket fills.
    /// @param inactivity Seconds without activity after which points expire; zero for never.
    /// @param paused Whether awards, refunds and claims wait.
    /// @param version Larger than that of the policy in force.
    struct Policy {
        address admin;
        address issuer;
        address earnRoots;
        uint96 capacity;
        uint24 refill;
        uint40 inactivity;
        bool paused;
        uint40 version;
    }

    /// @notice What became of a ref.
    enum AwardState {
        Unknown,
        Pending,
        Given,
        Cancelled
    }

    /// @notice One ref. One storage slot.
    /// @param availableAt Unix seconds; from then on anyone may release a pending award and nobody cancel it.
    struct Entry {
        AwardState state;
        uint40 availableAt;
        uint48 amount;
        address to;
    }

    /// @notice Where these points go on, and when they end: announced by the admin.
    /// @param successor The points that take every balance over.
    /// @param endsAt Unix seconds; zero when nothing is announced.
    struct Retirement {
        address successor;
        uint40 endsAt;
    }

    /// @dev What every award reads. One storage slot.
    struct Issuing {
        address issuer;
        uint40 inactivity;
        uint40 version;
        bool paused;
        uint8 marks; // {EARNED}, {SUCCEEDS} and {RETIRES}.
    }

    /// @dev How much the issuer may still award. One storage slot.
    struct Bucket {
        uint96 capacity;
        uint96 used;
        uint40 usedAt;
        uint24 refill;
    }

    /// @dev What roots may still mint, and through whom. One storage slot.
    struct Earning {
        address earnRoots;
        uint96 reserved;
    }

    /// @dev What is known of a holder beside the balance. One storage slot.
    struct Holder {
        uint40 activeAt;
        uint96 claimed;
    }

    bytes32 private constant AWARD_TYPEHASH =
        keccak256("Award(address to,uint256 amount,bytes32 ref,uint40 availableAt)");
    bytes32 private constant AWARD_BATCH_TYPEHASH = keccak256("AwardBatch(uint256[] awards,bytes32 ref)");
    bytes32 private constant CANCEL_TYPEHASH = keccak256("Cancel(bytes32 ref)");
    bytes32 private constant REFUND_TYPEHASH = keccak256("Refund(address holder,bytes32 id)");
    bytes32 private constant PAUSE_TYPEHASH = keccak256("Pause(uint40 version)");
    bytes32 private constant POLICY_TYPEHASH = keccak256(
        "Policy(address admin,address issuer,address earnRoots,uint96 capacity,uint24 refill,uint40 inactivity,bool paused,uint40 version)"
    );
    bytes32 private constant REDEMPTION_TYPEHASH =
        keccak256("Redemption(address holder,uint256 amount,bytes32 id,uint256 deadline)");

    bytes32 private constant RETIREMENT_TYPEHASH = keccak256("Retirement(address successor,uint40 endsAt)");
    bytes32 private constant SUCCESSION_TYPEHASH = keccak256("Succession(address predecessor)");

    uint96 private constant UNLIMITED = type(uint96).max;
    uint256 private constant REFUNDED = type(uint256).max;

    uint8 private constant EARNED = 1; // Points were earned here: from then on expiry may only lengthen.
    uint8 private constant SUCCEEDS = 2; // There are points before these, whose refs are consumed here too.
    uint8 private constant RETIRES = 4; // The end of these points is announced.

    /// @notice How long before its end a retirement is announced, at least. Seconds.
    uint40 public constant NOTICE = 30 days;

    /// @notice The exchange that lists these points: the one address that mints and burns for an exchange.
    address public immutable exchange;

    /// @notice The account that signs the next policy; at first the one that registered the brand.
    address public admin;

    /// @notice What became of each ref. A ref is consumed once and never freed.
    mapping(bytes32 ref => Entry) public entries;

    /// @notice The points that these go on from; zero for none.
    BrandPoints public predecessor;

    /// @notice Where these points go on, once they are retired.
    Retirement public retirement;

    mapping(address holder => mapping(bytes32 id => uint256)) private _redeemed;

    /// @dev Whether the points before these may ask, in this call, if this contract signs.
    bool private transient _signs;

    Issuing private _issuing;
    Bucket private _bucket;
    Earning private _earning;
    mapping(address holder => Holder) private _holders;

    /// @notice `amount` was earned by `to` for the business event named by `ref`, and is in the balance.
    event Awarded(address indexed to, bytes32 indexed ref, uint256 amount);

    /// @notice `amount` was awarded to `to` for `ref` and waits until `availableAt`.
    event AwardPending(address indexed to, bytes32 indexed ref, uint256 amount, uint40 availableAt);

    /// @notice The pending award of `ref` will not be given.
    event AwardCancelled(bytes32 indexed ref);

    /// @notice `count` accounts earned `total` together; the transfers beside this event say who and how much.
    event AwardedBatch(bytes32 indexed ref, uint256 count, uint256 total);

    /// @notice `holder` gave up `amount` for the voucher of redemption `id`.
    event Redeemed(address indexed holder, bytes32 indexed id, uint256 amount);

    /// @notice `holder` got `amount` back for the voucher of redemption `id`.
    event Refunded(address indexed holder, bytes32 indexed id, uint256 amount);

    /// @notice `holder` was inactive for the whole window, and lost `amount`.
    event Expired(address indexed holder, uint256 amount);

    /// @notice The window of `holder`, who never earned, redeemed or exchanged here, begins.
    event InactivityBegan(address indexed holder);

    /// @notice Roots may mint `amount` more.
    event Reserved(uint256 amount);

    /// @notice `holder` claimed `amount` of what roots awarded: `total` since the beginning.
    event Earned(address indexed holder, uint256 amount, uint256 total);

    /// @notice This policy is in force.
    event Governed(
        address indexed admin,
        address indexed issuer,
        address indexed earnRoots,
        uint96 capacity,
        uint24 refill,
        uint40 inactivity,
        bool paused,
        uint40 version
    );

    /// @notice Awards wait until the next policy.
    event Paused(uint40 version);

    /// @notice From `endsAt` on these points are retired: `successor` takes over what everybody holds.
    event Retiring(address indexed successor, uint40 endsAt);

    /// @notice These points go on from `predecessor`, of which `supply` existed when they began.
    event Succeeded(BrandPoints indexed predecessor, uint256 supply);

    /// @notice `amount` of `holder`'s left `predecessor`, and is in the balance here.
    event Moved(address indexed holder, BrandPoints indexed predecessor, uint256 amount);

    /// @notice This ref has been awarded before: the earlier award stands, nothing was minted now.
    error DuplicateRef(bytes32 ref);

    /// @notice This ref is not pending: it was never awarded, or has been given or cancelled.
    error NotPending(bytes32 ref);

    /// @notice The award is not available yet; nothing was given.
    error NotAvailable(bytes32 ref, uint40 availableAt);

    /// @notice The award is available, so it belongs to its receiver and cannot be cancelled.
    error AvailableAlready(bytes32 ref, uint40 availableAt);

    /// @notice This holder has used this redemption id before: the earlier voucher stands.
    error DuplicateRedemption(address holder, bytes32 id);

    /// @notice There is no such redemption, or it was refunded before.
    error NotRedeemed(address holder, bytes32 id);

    /// @notice The act is not signed by the brand's issuer account.
    error InvalidIssuerSignature();

    /// @notice The policy is not signed by the admin, or not accepted by the admin it names.
    error InvalidAdminSignature();

    /// @notice An award or a redemption of zero points is not one.
    error ZeroAmount();

    /// @notice The brand has paused its awards; points in a balance can be spent as ever.
    error AwardsPaused();

    /// @notice The issuer's bucket, or what roots may mint, holds less than this.
    error OverLimit(uint256 amount, uint256 available);

    /// @notice Only the exchange that lists these points may mint or burn for an exchange.
    error OnlyExchange(address caller);

    /// @notice Only the contract that the policy names may mint what roots award.
    error OnlyEarnRoots(address caller);

    /// @notice The account has claimed this total already.
    error NothingToClaim(address holder, uint256 claimed);

    /// @notice A policy names an admin, an issuer and, for a limit, the seconds in which it refills.
    error IncompletePolicy();

    /// @notice The policy is not newer than the one in force.
    error OldPolicy(uint40 inForce, uint40 offered);

    /// @notice Points were earned under a longer window, or under none: it may only lengthen.
    error ExpiryShortened(uint40 inForce, uint40 offered);

    /// @notice These points never expire.
    error NoExpiry();

    /// @notice The holder was active too recently.
    error StillActive(address holder, uint256 expiresAt);

    /// @notice These points are retired: their successor awards, redeems and exchanges in their place.
    error Retired();

    /// @notice A retirement names its successor, leaves the notice, and is not brought forward.
    error RetirementTooSoon();

    /// @notice These points have begun already: only such as never awarded any may go on from others.
    error BegunAlready();

    /// @notice The other points are not retired in favour of these.
    error NotSuccessor(address predecessor);

    /// @notice An account with code may hold points for others: it is moved when it asks itself.
    error HasCode(address holder);

    /// @param name_ The programme's name, for people.
    /// @param symbol_ A few letters, for people.
    /// @param issuer_ The account that registered the brand: its first admin, and its first issuer, unlimited
    /// until a policy appoints another.
    /// @param exchange_ The exchange that lists these points.
    constructor(string memory name_, string memory symbol_, address issuer_, address exchange_)
        ERC20(name_, symbol_)
        EIP712("Counterfoil Points", "1")
    {
        exchange = exchange_;
        admin = issuer_;
        _issuing.issuer = issuer_;
        _bucket.capacity = UNLIMITED;
    }

    modifier onlyExchange() {
        require(msg.sender == exchange, OnlyExchange(msg.sender));
        _;
    }

    modifier onlyEarnRoots() {
        require(msg.sender == _earning.earnRoots, OnlyEarnRoots(msg.sender));
        _;
    }

    /// @notice Two decimals for every brand, so that no exchange has to scale.
    function decimals() public pure override returns (uint8) {
        return 2;
    }

    // Awards

    /// @notice Award `amount` to `to`, exactly once per `ref`: now, or from `availableAt` on.
    /// @dev Anyone may send it; the issuer's signature is the permission.
    /// @param to The customer's account.
    /// @param amount Base units.
    /// @param ref The hash of brand, order and kind: the same in the HTTP request, the outbox and here.
    /// @param availableAt Unix seconds; while it is ahead the award is pending and can be cancelled. Zero: now.
    /// @param signature By {issuer}, EIP-712, in the domain of this contract.
    function award(address to, uint256 amount, bytes32 ref, uint40 availableAt, bytes calldata signature)
        external
    {
        Issuing memory issuing = _issuing;
        _requireIssuer(
            issuing.issuer, keccak256(abi.encode(AWARD_TYPEHASH, to, amount, ref, availableAt)), signature
        );
        require(amount > 0, ZeroAmount());
        _requireNew(ref, issuing.marks);
        Entry storage entry = entries[ref];
        _draw(amount, issuing);
        if (availableAt <= block.timestamp) {
            entry.state = AwardState.Given;
            _noteEarned(issuing.marks);
            _give(to, amount, issuing.inactivity);
            emit Awarded(to, ref, amount);
        } else {
            require(to != address(0), ERC20InvalidReceiver(to));
            require(amount <= type(uint48).max, OverLimit(amount, type(uint48).max));
            entries[ref] = Entry(AwardState.Pending, availableAt, uint48(amount), to);
            _noteEarned(issuing.marks); // The window under which it was promised may not shorten before it is given.
            emit AwardPending(to, ref, amount, availableAt);
        }
    }

    /// @notice Award to many accounts at once, exactly once per `ref`.
    /// @param awards Each the base units, shifted left by 160 bits, and the account below them.
    /// @param ref The name of the whole batch.
    /// @param signature By {issuer}, EIP-712, in the domain of this contract.
    function awardBatch(uint256[] calldata awards, bytes32 ref, bytes calldata signature) external {
        bytes32 listed = keccak256(abi.encodePacked(awards));
        Issuing memory issuing = _issuing;
        _requireIssuer(issuing.issuer, keccak256(abi.encode(AWARD_BATCH_TYPEHASH, listed, ref)), signature);
        _requireNew(ref, issuing.marks);
        entries[ref].state = AwardState.Given;
        _noteEarned(issuing.marks);
        uint256 total = 0;
        for (uint256 i = 0; i < awards.length; ++i) {
            uint256 word = awards[i];
            uint256 amount = word >> 160;
            require(amount > 0, ZeroAmount());
            // Amounts of 96 bits: no calldata holds enough of them to pass 256.
            unchecked {
                total += amount;
            }
            _give(address(uint160(word)), amount, issuing.inactivity);
        }
        require(total > 0, ZeroAmount());
        _draw(total, issuing);
        emit AwardedBatch(ref, awards.length, total);
    }

    /// @notice Give a pending award to its receiver, from its time on; anyone may, also while awards are paused.
    function release(bytes32 ref) external {
        Entry memory entry = entries[ref];
        require(entry.state == AwardState.Pending, NotPending(ref));
        require(entry.availableAt <= block.timestamp, NotAvailable(ref, entry.availableAt));
        entries[ref].state = AwardState.Given;
        _give(entry.to, entry.amount, _issuing.inactivity);
        emit Awarded(entry.to, ref, entry.amount);
    }

    /// @notice Take back an award that is not available yet. Its ref stays consumed.
    /// @dev One that is pending in version 1 is cancelled there: this contract is the issuer there.
    /// @param signature By {issuer}, EIP-712, in the domain of this contract.
    function cancel(bytes32 ref, bytes calldata signature) external {
        _requireIssuer(_issuing.issuer, keccak256(abi.encode(CANCEL_TYPEHASH, ref)), signature);
        Entry memory entry = entries[ref];
        if (entry.state == AwardState.Unknown && _issuing.marks & SUCCEEDS != 0) {
            _signs = true;
            predecessor.cancel(ref, "");
            _signs = false;
            emit AwardCancelled(ref);
            return;
        }
        require(entry.state == AwardState.Pending, NotPending(ref));
        require(entry.availableAt > block.timestamp, AvailableAlready(ref, entry.availableAt));
        entries[ref].state = AwardState.Cancelled;
        emit AwardCancelled(ref);
    }

    /// @notice Let roots mint `amount` more; it comes out of the issuer's bucket.
    function reserve(uint256 amount) external onlyEarnRoots {
        _draw(amount, _issuing);
        _earning.reserved += uint96(amount); // `_draw` lets nothing pass that is wider.
        emit Reserved(amount);
    }

    /// @notice Mint what a root awards to `holder` beyond what was claimed before.
    /// @dev The cumulative total is the guard: whatever contract asks, a total is minted once.
    /// @param total Base units that roots have awarded to `holder` since the beginning.
    /// @return amount Base units that were minted.
    function earn(address holder, uint96 total) external onlyEarnRoots returns (uint256 amount) {
        Issuing memory issuing = _issuing;
        require(!issuing.paused, AwardsPaused());
        Holder memory known = _holders[holder];
        require(total > known.claimed, NothingToClaim(holder, known.claimed));
        amount = total - known.claimed;
        uint96 left = _earning.reserved;
        require(amount <= left, OverLimit(amount, left));
        _earning.reserved = uint96(left - amount);
        _noteEarned(issuing.marks);
        _holders[holder] = Holder(issuing.inactivity == 0 ? known.activeAt : uint40(block.timestamp), total);
        _mint(holder, amount);
        emit Earned(holder, amount, total);
    }

    // Spending

    /// @notice Burn points against a voucher, exactly once per holder and id.
    /// @dev The holder signs an ERC-3009 `ReceiveWithAuthorization` to this contract whose nonce commits to
    /// the whole redemption, so nothing in it can be changed by the sender.
    function redeem(Redemption calldata redemption, bytes calldata signature) external {
        require(redemption.amount > 0, ZeroAmount());
        require(
            redeemed(redemption.holder, redemption.id) == 0, DuplicateRedemption(redemption.holder, redemption.id)
        );
        _redeemed[redemption.holder][redemption.id] = redemption.amount;
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

    /// @notice Give back what was redeemed, once: the voucher was not used, or what it bought was returned.
    /// @dev Drawn from the bucket like an award: a stolen issuer key refunds no more than it could award.
    /// @param signature By {issuer}, EIP-712, in the domain of this contract.
    function refund(address holder, bytes32 id, bytes calldata signature) external {
        Issuing memory issuing = _issuing;
        _requireIssuer(issuing.issuer, keccak256(abi.encode(REFUND_TYPEHASH, holder, id)), signature);
        uint256 amount = redeemed(holder, id);
        require(amount != 0 && amount != REFUNDED, NotRedeemed(holder, id));
        _draw(amount, issuing);
        _redeemed[holder][id] = REFUNDED;
        _give(holder, amount, issuing.inactivity);
        emit Refunded(holder, id, amount);
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
        Issuing memory issuing = _issuing;
        _requireAlive(issuing.marks);
        _noteEarned(issuing.marks);
        _give(to, amount, issuing.inactivity);
    }

    /// @notice The ERC-3009 nonce that commits to an intent: its first 192 bits, then 64 zero bits.
    /// @dev The low 64 bits are the sequence of OpenZeppelin's keyed nonces; a key made from a hash is used
    /// once, with sequence zero.
    function intentNonce(bytes32 intent) public pure returns (bytes32) {
        return intent & ~bytes32(uint256(type(uint64).max));
    }

    /// @notice Burn the points of a holder who was inactive for the whole window; anyone may.
    /// @dev Transfers do not stamp: a window that never began, for points that were only received, begins with
    /// the first call. After an expiry it has not begun again.
    function expire(address holder) external {
        uint40 window = _issuing.inactivity;
        _requireAlive(_issuing.marks);
        require(window != 0, NoExpiry());
        uint256 since = _holders[holder].activeAt;
        if (since == 0) {
            _holders[holder].activeAt = uint40(block.timestamp);
            emit InactivityBegan(holder);
            return;
        }
        require(block.timestamp >= since + window, StillActive(holder, since + window));
        _holders[holder].activeAt = 0;
        uint256 amount = balanceOf(holder);
        _burn(holder, amount);
        emit Expired(holder, amount);
    }

    // Who may award

    /// @notice Put a policy into force that the admin signed.
    /// @param signature By {admin}, EIP-712, in the domain of this contract.
    /// @param acceptance By the new admin over the same policy; empty when the admin stays.
    function govern(Policy calldata next, bytes calldata signature, bytes calldata acceptance) external {
        Issuing memory issuing = _issuing;
        bytes32 hash = _hashTypedDataV4(keccak256(abi.encode(POLICY_TYPEHASH, next)));
        require(_isSigned(admin, hash, signature), InvalidAdminSignature());
        // An admin that nobody can sign for would be the last one.
        require(next.admin == admin || _isSigned(next.admin, hash, acceptance), InvalidAdminSignature());
        require(next.version > issuing.version, OldPolicy(issuing.version, next.version));
        require(
            next.admin != address(0) && next.issuer != address(0)
                && (next.refill > 0 || next.capacity == UNLIMITED),
            IncompletePolicy()
        );
        require(
            next.inactivity == issuing.inactivity || issuing.marks & EARNED == 0
                || (issuing.inactivity != 0 && (next.inactivity == 0 || next.inactivity > issuing.inactivity)),
            ExpiryShortened(issuing.inactivity, next.inactivity)
        );
        // What was used is counted under the old limit up to now, and refills under the new one.
        uint96 used = next.capacity == UNLIMITED ? 0 : uint96(_used(_bucket));
        _bucket = Bucket(next.capacity, used, uint40(block.timestamp), next.refill);
        _issuing = Issuing(next.issuer, next.inactivity, next.version, next.paused, issuing.marks);
        _earning.earnRoots = next.earnRoots;
        admin = next.admin;
        emit Governed(
            next.admin,
            next.issuer,
            next.earnRoots,
            next.capacity,
            next.refill,
            next.inactivity,
            next.paused,
            next.version
        );
    }

    /// @notice Stop awards, refunds and claims at once, until the next policy. The issuer may, and the admin.
    /// @dev The admin may be slow, behind a timelock. What is in a balance or available moves as ever.
    /// @param signature Over the version of the policy in force, so that it stops nothing later.
    function pause(bytes calldata signature) external {
        Issuing memory issuing = _issuing;
        bytes32 hash = _hashTypedDataV4(keccak256(abi.encode(PAUSE_TYPEHASH, issuing.version)));
        require(
            _isSigned(issuing.issuer, hash, signature) || _isSigned(admin, hash, signature),
            InvalidAdminSignature()
        );
        _issuing.paused = true;
        emit Paused(issuing.version);
    }

    // Moving to other points

    /// @notice Announce that these points end at `endsAt`, and which points go on from them.
    /// @dev Until then everything goes on, and another announcement, for later, replaces this one. From then on
    /// nothing is awarded, refunded, redeemed, exchanged or expired here; what was promised (pending awards,
    /// posted roots) is given here still, and transfers go on, so that an escrow pays out. Nothing undoes it.
    /// @param endsAt Unix seconds, at least {NOTICE} ahead and later than what was announced before.
    /// @param signature By {admin}, EIP-712, in the domain of this contract.
    function retire(address successor, uint40 endsAt, bytes calldata signature) external {
        _requireAdmin(keccak256(abi.encode(RETIREMENT_TYPEHASH, successor, endsAt)), signature);
        _requireAlive(_issuing.marks);
        require(
            successor != address(0) && endsAt >= block.timestamp + NOTICE && endsAt > retirement.endsAt,
            RetirementTooSoon()
        );
        retirement = Retirement(successor, endsAt);
        _issuing.marks |= RETIRES;
        emit Retiring(successor, endsAt);
    }

    /// @notice Begin as the successor of points that are retired in favour of these.
    /// @param signature By {admin} over the predecessor, EIP-712, in the domain of this contract.
    function succeed(BrandPoints before, bytes calldata signature) external {
        (address successor, uint40 endsAt) = before.retirement();
        require(successor == address(this) && block.timestamp >= endsAt, NotSuccessor(address(before)));
        _begin(before, signature);
    }

    /// @notice Begin as the successor of points of version 1, and end their issuing in the same call.
    /// @dev This contract becomes their admin and their issuer, and signs for neither but in {cancel}: no award,
    /// refund or policy is possible there any more. Awards that are pending there and roots that are posted
    /// there are given there, in their time, and then carried like every balance.
    /// @param handover By the admin of version 1, over the next policy there: this contract as admin and
    /// issuer, a bucket of nothing that fills in a second, not paused, all else as it was.
    /// @param signature By {admin} over the predecessor, EIP-712, in the domain of this contract.
    function takeOver(BrandPoints before, bytes calldata handover, bytes calldata signature) external {
        _begin(before, signature);
        Policy memory last = before.policy();
        last.admin = last.issuer = address(this);
        (last.capacity, last.refill, last.paused) = (0, 1, false);
        ++last.version;
        _signs = true;
        before.govern(last, handover, "");
        _signs = false;
    }

    /// @notice Move points of version 1: they are locked here for good, and as many are minted.
    /// @param signature By `holder`: an ERC-3009 `ReceiveWithAuthorization` of the predecessor to this contract.
    function carry(address holder, uint256 amount, uint256 deadline, bytes32 nonce, bytes calldata signature)
        external
    {
        predecessor.receiveWithAuthorization(holder, address(this), amount, 0, deadline, nonce, signature);
        _arrive(holder, amount, predecessor.activeAt(holder));
    }

    /// @notice Move whatever these accounts hold in the retired predecessor; anyone may, in any order, again.
    function move(address[] calldata holders) external {
        for (uint256 i = 0; i < holders.length; ++i) {
            address holder = holders[i];
            // An EIP-7702 account is a person's; its 23 bytes name the code that it borrows.
            uint256 size = holder.code.length;
            require(size == 0 || size == 23 || holder == msg.sender, HasCode(holder));
            (uint256 amount, uint256 active) = predecessor.handOver(holder);
            if (amount > 0) _arrive(holder, amount, active);
        }
    }

    /// @notice Burn what `holder` has in these retired points, for the successor to mint.
    /// @return amount Base units that were burned.
    /// @return active As {activeAt}.
    function handOver(address holder) external returns (uint256 amount, uint256 active) {
        Retirement memory end = retirement;
        require(msg.sender == end.successor && block.timestamp >= end.endsAt, NotSuccessor(address(this)));
        _burn(holder, amount = balanceOf(holder));
        return (amount, _holders[holder].activeAt);
    }

    /// @notice EIP-1271: this contract signs as the issuer and admin of version 1, within {takeOver} and {cancel}.
    function isValidSignature(bytes32, bytes calldata) external view returns (bytes4) {
        return _signs && msg.sender == address(predecessor) ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }

    /// @notice The account whose signature awards points; a smart account signs by EIP-1271.
    function issuer() external view returns (address) {
        return _issuing.issuer;
    }

    /// @notice Whether awards, refunds and claims wait.
    function paused() external view returns (bool) {
        return _issuing.paused;
    }

    /// @notice The policy in force.
    function policy() external view returns (Policy memory) {
        Issuing memory issuing = _issuing;
        return Policy(
            admin,
            issuing.issuer,
            _earning.earnRoots,
            _bucket.capacity,
            _bucket.refill,
            issuing.inactivity,
            issuing.paused,
            issuing.version
        );
    }

    /// @notice Base units that the issuer may award in this block.
    function available() external view returns (uint256) {
        Bucket memory bucket = _bucket;
        uint256 used = _used(bucket);
        return bucket.capacity == UNLIMITED ? UNLIMITED : bucket.capacity > used ? bucket.capacity - used : 0;
    }

    /// @notice Base units that roots may still mint.
    function reserved() external view returns (uint256) {
        return _earning.reserved;
    }

    /// @notice When `holder` last earned, redeemed or exchanged, in unix seconds; zero when that is not known,
    /// as while points never expire.
    function activeAt(address holder) external view returns (uint256) {
        return _holders[holder].activeAt;
    }

    /// @notice Base units that `holder` has claimed from roots since the beginning.
    function claimed(address holder) external view returns (uint256) {
        return _holders[holder].claimed;
    }

    /// @notice Whether a ref is consumed: pending, given or cancelled, here or in the points before these.
    function awarded(bytes32 ref) public view returns (bool) {
        return entries[ref].state != AwardState.Unknown
            || (_issuing.marks & SUCCEEDS != 0 && predecessor.awarded(ref));
    }

    /// @notice What was redeemed, by holder and by the holder's own id, here or in the points before these;
    /// the largest number: refunded since.
    function redeemed(address holder, bytes32 id) public view returns (uint256 amount) {
        amount = _redeemed[holder][id];
        if (amount == 0 && _issuing.marks & SUCCEEDS != 0) return predecessor.redeemed(holder, id);
    }

    /// @dev Requires a ref that was never consumed, here or before.
    function _requireNew(bytes32 ref, uint8 marks) private view {
        require(
            entries[ref].state == AwardState.Unknown && (marks & SUCCEEDS == 0 || !predecessor.awarded(ref)),
            DuplicateRef(ref)
        );
    }

    /// @dev Requires points that are not retired.
    function _requireAlive(uint8 marks) private view {
        require(marks & RETIRES == 0 || block.timestamp < retirement.endsAt, Retired());
    }

    /// @dev Notes, once, which points these go on from, and takes over the window under which those were earned.
    function _begin(BrandPoints before, bytes calldata signature) private {
        _requireAdmin(keccak256(abi.encode(SUCCESSION_TYPEHASH, before)), signature);
        require(_issuing.marks == 0, BegunAlready());
        predecessor = before;
        _issuing.marks = EARNED | SUCCEEDS;
        _issuing.inactivity = before.policy().inactivity;
        emit Succeeded(before, before.totalSupply());
    }

    /// @dev Mints what left the predecessor. Moving is no activity: the later of both stamps stays.
    function _arrive(address holder, uint256 amount, uint256 active) private {
        if (active > _holders[holder].activeAt) _holders[holder].activeAt = uint40(active);
        _mint(holder, amount);
        emit Moved(holder, predecessor, amount);
    }

    /// @dev Mints to a balance and stamps the holder's activity, where points expire.
    function _give(address to, uint256 amount, uint40 window) private {
        if (window != 0) _holders[to].activeAt = uint40(block.timestamp);
        _mint(to, amount);
    }

    /// @dev Notes, once, that something is earned under the window in force.
    function _noteEarned(uint8 marks) private {
        if (marks & EARNED == 0) _issuing.marks = marks | EARNED;
    }

    /// @dev Takes `amount` from the issuer's bucket, unless awards are paused or the points are retired.
    function _draw(uint256 amount, Issuing memory issuing) private {
        _requireAlive(issuing.marks);
        require(!issuing.paused, AwardsPaused());
        if (_bucket.capacity == UNLIMITED) {
            require(amount <= UNLIMITED, OverLimit(amount, UNLIMITED));
            return;
        }
        Bucket memory bucket = _bucket;
        uint256 used = _used(bucket);
        uint256 left = bucket.capacity > used ? bucket.capacity - used : 0;
        require(amount <= left, OverLimit(amount, left));
        // `used + amount` is at most the capacity, which has 96 bits.
        _bucket.used = uint96(used + amount);
        _bucket.usedAt = uint40(block.timestamp);
    }

    /// @dev What of the bucket is in use now: it refills evenly, rounded against the issuer.
    function _used(Bucket memory bucket) private view returns (uint256) {
        if (bucket.used == 0) return 0;
        uint256 refilled = uint256(bucket.capacity) * (block.timestamp - bucket.usedAt) / bucket.refill;
        return bucket.used > refilled ? bucket.used - refilled : 0;
    }

    /// @dev Requires the issuer's signature over the struct that hashes to `structHash`.
    function _requireIssuer(address signer, bytes32 structHash, bytes calldata signature) private view {
        require(_isSigned(signer, _hashTypedDataV4(structHash), signature), InvalidIssuerSignature());
    }

    /// @dev Requires the admin's signature over the struct that hashes to `structHash`.
    function _requireAdmin(bytes32 structHash, bytes calldata signature) private view {
        require(_isSigned(admin, _hashTypedDataV4(structHash), signature), InvalidAdminSignature());
    }

    /// @dev Smart accounts sign by EIP-1271.
    function _isSigned(address signer, bytes32 hash, bytes calldata signature) private view returns (bool) {
        return SignatureChecker.isValidSignatureNowCalldata(signer, hash, signature);
    }

    /// @dev Checks the holder's ERC-3009 authorisation to `to`, consumes its nonce, burns and stamps.
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
        require(_isSigned(from, hash, signature), ERC3009InvalidSignature());
        _checkValidity(0, deadline);
        _consumeNonce(from, nonce);
        emit AuthorizationUsed(from, nonce);
        Issuing memory issuing = _issuing;
        _requireAlive(issuing.marks);
        if (issuing.inactivity != 0) _holders[from].activeAt = uint40(block.timestamp);
        _burn(from, amount);
    }
}
