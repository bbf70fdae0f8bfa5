// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {BrandPoints} from "./BrandPoints.sol";
import {Clearing} from "./Clearing.sol";
import {PointsFactory} from "./PointsFactory.sol";

/// @title Exchange of points between brands that agreed to it.
/// @notice A corridor is a fixed rate from one brand's points to another's, signed by both brands. An
/// exchange burns on one side, mints on the other and books what the first brand owes the second. There is no
/// pool, no hub token and no oracle.
/// @dev Every brand's points have ONE price, whatever the corridor. Each swap satisfies
/// `out * price(to) <= in * price(from)`, so the total value `sum(supply * price)` never grows by a swap and
/// no cycle of swaps ends with more than it began with. What is worse for somebody (a higher price, a lower
/// rate, a wider limit) is announced and waits out {PERIOD}; what is safer (a pause, a narrower limit, an
/// earlier end with the agreed notice) needs one brand and is in force at once.
contract PointsExchange is EIP712, ReentrancyGuardTransient {
    /// @notice What a brand signs to have its points created.
    /// @param brand The brand's public name in the protocol, such as `https://audio.example`.
    /// @param name The programme's name.
    /// @param symbol A few letters.
    /// @param issuer The account whose signature awards points and agrees terms.
    /// @param price Millionths of one unit of the settlement currency, per base unit of points.
    struct Registration {
        string brand;
        string name;
        string symbol;
        address issuer;
        uint64 price;
    }

    /// @notice What a brand signs to change the price of its points.
    /// @param price As in {Registration}; at most a fifth away from the one in force.
    /// @param version Larger than that of every price in force or announced.
    struct PriceChange {
        address token;
        uint64 price;
        uint24 version;
    }

    /// @notice What both brands sign to open a corridor or to replace its terms.
    /// @param from The points that are burned.
    /// @param to The points that are minted.
    /// @param numerator With `denominator`, the rate: `out = floor(in * numerator / denominator)`.
    /// @param denominator See `numerator`.
    /// @param priceFrom The price of `from` that both brands have in mind; it must be the listed one.
    /// @param priceTo The price of `to` that both brands have in mind; it must be the listed one.
    /// @param version Larger than that of the terms in force and of those announced.
    /// @param endsAt Unix seconds; from then on the corridor is closed.
    /// @param notice Seconds that either brand gives before it ends the corridor earlier.
    /// @param quota The most base units of `from` that are exchanged in one epoch.
    /// @param customerQuota The most of them by one account.
    /// @param epoch Seconds.
    /// @param credit Millionths of a unit that the brand of `from` may owe that of `to` without collateral.
    struct Terms {
        address from;
        address to;
        uint64 numerator;
        uint64 denominator;
        uint64 priceFrom;
        uint64 priceTo;
        uint32 version;
        uint40 endsAt;
        uint24 notice;
        uint64 quota;
        uint64 customerQuota;
        uint32 epoch;
        uint64 credit;
    }

    /// @notice What one brand signs to make a corridor safer. Each limit is "at most this": one that is wider
    /// than the limit in force changes nothing.
    /// @param by The points of the brand that signs.
    /// @param endsAt Unix seconds; if it is earlier than agreed, the agreed notice lies before it.
    /// @param paused Whether this brand keeps the corridor closed for now.
    /// @param sequence The next number of this brand, from {sequences}.
    struct Tightening {
        address by;
        address from;
        address to;
        uint64 quota;
        uint64 customerQuota;
        uint64 credit;
        uint40 endsAt;
        bool paused;
        uint64 sequence;
    }

    /// @notice What a brand signs to close all of its corridors for now, or to open them again.
    struct Pause {
        address token;
        bool paused;
        uint64 sequence;
    }

    /// @notice What a customer wants: all of it is bound into the one signature that spends the points.
    /// @param holder The customer's account with the first brand.
    /// @param from The points to give up.
    /// @param to The points to get.
    /// @param amountIn Base units of `from`.
    /// @param minOut The least base units of `to` that the customer accepts.
    /// @param recipient The customer's account with the second brand.
    /// @param version The version of the terms that the customer was shown.
    /// @param deadline Unix seconds; the block must be younger than this.
    /// @param id The customer's own name for this exchange.
    struct Intent {
        address holder;
        address from;
        address to;
        uint128 amountIn;
        uint256 minOut;
        address recipient;
        uint64 version;
        uint256 deadline;
        bytes32 id;
    }

    /// @notice The terms in force from one brand's points to another's, and what was used of them.
    /// Two storage slots.
    /// @param pausedBy Bit 0: the brand of `from`; bit 1: the brand of `to`.
    /// @param used Base units exchanged in epoch `epoch`, counted from the Unix epoch.
    struct Corridor {
        uint64 numerator;
        uint64 denominator;
        uint32 version;
        uint40 endsAt;
        uint24 notice;
        uint8 pausedBy;
        uint64 quota;
        uint64 customerQuota;
        uint32 epochLength;
        uint64 used;
        uint32 epoch;
    }

    /// @notice What one account used of a corridor. One storage slot.
    struct Usage {
        uint64 used;
        uint32 epoch;
    }

    /// @notice One brand's points: who signs for them and what one base unit is worth. One storage slot.
    struct Listing {
        address issuer;
        uint64 price;
        uint24 priceVersion;
        bool paused;
    }

    /// @notice A higher price that waits. One storage slot.
    /// @param notBefore Unix seconds from which it may be put in force; zero when none waits.
    /// @param changedAt When the price in force began.
    struct AnnouncedPrice {
        uint64 price;
        uint24 version;
        uint40 notBefore;
        uint40 changedAt;
    }

    /// @notice Terms that wait. `notBefore` is zero when none do.
    struct AnnouncedTerms {
        bytes32 terms;
        uint32 version;
        uint40 notBefore;
    }

    /// @notice What an exchange would give now.
    /// @param amountOut Base units of `to`.
    /// @param value What the first brand would owe the second, in millionths of a unit.
    /// @param kept What the first brand keeps of the value given up: the cost of the exchange.
    /// @param version The terms to name in the intent.
    /// @param quotaLeft Base units of `from` that this epoch still takes.
    /// @param endsAt When the corridor closes.
    struct Quote {
        uint256 amountOut;
        uint256 value;
        uint256 kept;
        uint32 version;
        uint64 quotaLeft;
        uint40 endsAt;
    }

    bytes32 private constant REGISTRATION_TYPEHASH =
        keccak256("Registration(string brand,string name,string symbol,address issuer,uint64 price)");
    bytes32 private constant PRICE_TYPEHASH = keccak256("PriceChange(address token,uint64 price,uint24 version)");
    bytes32 private constant TERMS_TYPEHASH = keccak256(
        "Terms(address from,address to,uint64 numerator,uint64 denominator,uint64 priceFrom,uint64 priceTo,uint32 version,uint40 endsAt,uint24 notice,uint64 quota,uint64 customerQuota,uint32 epoch,uint64 credit)"
    );
    bytes32 private constant TIGHTENING_TYPEHASH = keccak256(
        "Tightening(address by,address from,address to,uint64 quota,uint64 customerQuota,uint64 credit,uint40 endsAt,bool paused,uint64 sequence)"
    );
    bytes32 private constant PAUSE_TYPEHASH = keccak256("Pause(address token,bool paused,uint64 sequence)");
    bytes32 private constant INTENT_TYPEHASH = keccak256(
        "Intent(address holder,address from,address to,uint128 amountIn,uint256 minOut,address recipient,uint64 version,uint256 deadline,bytes32 id)"
    );

    /// @notice How long what is worse waits, and how far apart two prices of one token are. Seconds.
    uint40 public constant PERIOD = 7 days;

    /// @notice In one period, a price moves and a rate falls by at most one part in this many.
    uint256 public constant PART = 5;

    /// @notice The decimals of all points.
    uint8 public constant DECIMALS = 2;

    /// @notice Where the points are made.
    PointsFactory public immutable factory = new PointsFactory();

    /// @notice Where what brands owe each other is kept.
    Clearing public immutable clearing;

    /// @notice Where two customers trade.
    address public immutable peerSwap;

    /// @notice The points created here. Only these can be exchanged: a foreign token could lie.
    mapping(BrandPoints token => Listing) public listings;

    /// @notice The points of a brand, by the hash of its name.
    mapping(bytes32 brandHash => BrandPoints) public pointsOf;

    /// @notice The higher price that waits, and when the price in force began.
    mapping(BrandPoints token => AnnouncedPrice) public announcedPrices;

    /// @notice The terms that wait, by what is burned and what is minted.
    mapping(BrandPoints from => mapping(BrandPoints to => AnnouncedTerms)) public announcedTerms;

    /// @notice How many times a brand has signed a {Tightening} or a {Pause}.
    mapping(BrandPoints token => uint64) public sequences;

    mapping(BrandPoints from => mapping(BrandPoints to => Corridor)) private _corridors;

    mapping(BrandPoints from => mapping(BrandPoints to => mapping(address holder => Usage))) private _usage;

    /// @notice A brand's points exist from now on.
    event PointsCreated(
        BrandPoints indexed token, address indexed issuer, string brand, string name, string symbol, uint64 price
    );

    /// @notice A higher price is known, and may be put in force from `notBefore`.
    event PriceAnnounced(BrandPoints indexed token, uint24 version, uint64 price, uint40 notBefore);

    /// @notice The price of a brand's points changed, and with it what the brand owes its customers:
    /// by `liabilityChange = supply * (price - oldPrice)`. A waiting price is forgotten.
    event PriceSet(
        BrandPoints indexed token,
        uint24 version,
        uint64 oldPrice,
        uint64 price,
        uint256 supply,
        int256 liabilityChange
    );

    /// @notice Both brands agreed to terms that may be put in force from `notBefore`.
    event TermsAnnounced(BrandPoints indexed from, BrandPoints indexed to, Terms terms, uint40 notBefore);

    /// @notice These terms are in force, agreed by both brands.
    event Agreed(
        BrandPoints indexed from,
        BrandPoints indexed to,
        uint64 numerator,
        uint64 denominator,
        uint32 version,
        uint40 endsAt,
        uint24 notice,
        uint64 quota,
        uint64 customerQuota,
        uint32 epoch,
        uint64 credit
    );

    /// @notice One brand made a corridor safer. These limits are in force; terms that waited are forgotten.
    event Tightened(
        BrandPoints indexed from,
        BrandPoints indexed to,
        BrandPoints indexed by,
        uint64 quota,
        uint64 customerQuota,
        uint64 credit,
        uint40 endsAt,
        bool paused
    );

    /// @notice A brand closed all of its corridors for now, or opened them again.
    event Paused(BrandPoints indexed token, bool paused);

    /// @notice Points were exchanged. `value` is `amountOut * price(to)`: what the first brand owes the second.
    event Swapped(
        bytes32 indexed intent,
        address indexed holder,
        address indexed recipient,
        BrandPoints from,
        BrandPoints to,
        uint256 amountIn,
        uint256 amountOut,
        uint64 version,
        uint256 value
    );

    /// @notice This brand's points exist already and stay as they are.
    error BrandExists(BrandPoints token);

    /// @notice A registration names a brand, an issuer and a price above zero.
    error IncompleteRegistration();

    /// @notice The signature is not by the named brand's issuer account.
    error InvalidBrandSignature(address issuer);

    /// @notice This token was not created by this exchange.
    error UnknownPoints(BrandPoints token);

    /// @notice These points have other decimals than all points have.
    error WrongDecimals(BrandPoints token);

    /// @notice A corridor leads from one brand's points to another's.
    error SamePoints(BrandPoints token);

    /// @notice The terms name a price that is not the listed one: a token has one price, in every corridor.
    error PriceMismatch(BrandPoints token, uint64 listed, uint64 named);

    /// @notice A price moves by at most a fifth at a time, and is above zero.
    error PriceTooFar(uint64 inForce, uint64 offered);

    /// @notice The rate would give more value than it takes, or divides by zero.
    error UnfairRate(uint64 numerator, uint64 denominator);

    /// @notice A rate falls by at most a fifth at a time.
    error RateTooFar(uint64 numerator, uint64 denominator);

    /// @notice An epoch lasts at least a second.
    error NoEpoch();

    /// @notice What was signed is not newer than what is in force or announced.
    error OldVersion(uint64 inForce, uint64 offered);

    /// @notice This is not the next thing that this brand signed.
    error WrongSequence(uint64 expected, uint64 found);

    /// @notice It has to wait until then.
    error TooSoon(uint256 earliest);

    /// @notice Nothing like this waits to be put in force.
    error NothingAnnounced();

    /// @notice Only the two brands of a corridor may make it safer.
    error NotAParty(address token);

    /// @notice There is no corridor between these points, or it has ended.
    error NoCorridor(BrandPoints from, BrandPoints to);

    /// @notice One of the brands keeps the corridor closed for now.
    error CorridorPaused(BrandPoints from, BrandPoints to);

    /// @notice The corridor takes no more than this in its epoch.
    error QuotaExceeded(uint256 left);

    /// @notice The corridor takes no more than this from one account in its epoch.
    error CustomerQuotaExceeded(uint256 left);

    /// @notice The terms changed after the customer signed; nothing was exchanged.
    error TermsChanged(uint64 inForce, uint64 signed);

    /// @notice The amount is too small to give anything.
    error NothingOut();

    /// @notice The rate gives less than the customer accepts; nothing was exchanged.
    error BelowMinimum(uint256 amountOut, uint256 minOut);

    /// @notice The swap would create value, because a price changed after the terms were agreed.
    error ValueCreated();

    /// @param clearing_ Where the clearing of this exchange is, or will be: until then nothing is exchanged.
    /// @param peerSwap_ Where two customers trade, or will.
    constructor(Clearing clearing_, address peerSwap_) EIP712("Counterfoil Exchange", "1") {
        clearing = clearing_;
        peerSwap = peerSwap_;
    }

    /// @notice Create the points of a brand, once per brand name.
    /// @param signature By `registration.issuer`, EIP-712, in the domain of this contract.
    /// @return token The new points.
    function createPoints(Registration calldata registration, bytes calldata signature)
        external
        returns (BrandPoints token)
    {
        bytes32 brandHash = keccak256(bytes(registration.brand));
        require(
            bytes(registration.brand).length > 0 && registration.issuer != address(0) && registration.price > 0,
            IncompleteRegistration()
        );
        require(address(pointsOf[brandHash]) == address(0), BrandExists(pointsOf[brandHash]));
        _requireSigned(
            registration.issuer,
            keccak256(
                abi.encode(
                    REGISTRATION_TYPEHASH,
                    brandHash,
                    keccak256(bytes(registration.name)),
                    keccak256(bytes(registration.symbol)),
                    registration.issuer,
                    registration.price
                )
            ),
            signature
        );
        token = factory.make(brandHash, registration.name, registration.symbol, registration.issuer);
        pointsOf[brandHash] = token;
        listings[token] = Listing(registration.issuer, registration.price, 0, false);
        emit PointsCreated(
            token,
            registration.issuer,
            registration.brand,
            registration.name,
            registration.symbol,
            registration.price
        );
    }

    /// @notice Change the price of a brand's points. A lower one is in force at once, a higher one is
    /// announced and waits; naming the price in force again takes an announced one back.
    /// @param signature By the brand's issuer account.
    function setPrice(PriceChange calldata change, bytes calldata signature) external {
        BrandPoints token = BrandPoints(change.token);
        Listing memory listing = _listing(token);
        _requireSigned(listing.issuer, keccak256(abi.encode(PRICE_TYPEHASH, change)), signature);
        AnnouncedPrice storage announced = announcedPrices[token];
        _requireNewer(listing.priceVersion, change.version);
        _requireNewer(announced.version, change.version);
        _requireNear(listing.price, change.price);
        announced.version = change.version;
        if (change.price > listing.price) {
            announced.price = change.price;
            announced.notBefore = uint40(block.timestamp) + PERIOD;
            emit PriceAnnounced(token, change.version, change.price, announced.notBefore);
        } else {
            uint40 earliest = announced.changedAt + PERIOD;
            require(change.price == listing.price || block.timestamp >= earliest, TooSoon(earliest));
            _putPriceInForce(token, listing.price, change.price, change.version);
        }
    }

    /// @notice Put an announced price in force once it has waited. Anyone may.
    function enactPrice(BrandPoints token) external {
        AnnouncedPrice memory announced = announcedPrices[token];
        require(announced.notBefore > 0, NothingAnnounced());
        require(block.timestamp >= announced.notBefore, TooSoon(announced.notBefore));
        _putPriceInForce(token, listings[token].price, announced.price, announced.version);
    }

    /// @notice Open a corridor, or replace its terms, with the signatures of both brands. Terms with a lower
    /// rate or a wider limit than those in force are announced and wait.
    function agree(Terms calldata terms, bytes calldata signatureFrom, bytes calldata signatureTo) external {
        (BrandPoints from, BrandPoints to) = (BrandPoints(terms.from), BrandPoints(terms.to));
        bytes32 hash = keccak256(abi.encode(TERMS_TYPEHASH, terms));
        _requireSigned(_listing(from).issuer, hash, signatureFrom);
        _requireSigned(_listing(to).issuer, hash, signatureTo);
        Corridor storage corridor = _requireSound(terms);
        AnnouncedTerms storage announced = announcedTerms[from][to];
        _requireNewer(announced.version, terms.version);
        announced.version = terms.version;
        if (_waits(corridor, terms)) {
            announced.terms = hash;
            announced.notBefore = uint40(block.timestamp) + PERIOD;
            emit TermsAnnounced(from, to, terms, announced.notBefore);
        } else {
            _putInForce(corridor, terms);
        }
    }

    /// @notice Put announced terms in force once they have waited. Anyone may.
    function enact(Terms calldata terms) external {
        AnnouncedTerms memory announced = announcedTerms[BrandPoints(terms.from)][BrandPoints(terms.to)];
        bytes32 hash = keccak256(abi.encode(TERMS_TYPEHASH, terms));
        require(announced.notBefore > 0 && announced.terms == hash, NothingAnnounced());
        require(block.timestamp >= announced.notBefore, TooSoon(announced.notBefore));
        _putInForce(_requireSound(terms), terms);
    }

    /// @notice Make a corridor safer, with the signature of one of its brands, at once.
    function tighten(Tightening calldata tightening, bytes calldata signature) external {
        (BrandPoints by, BrandPoints from, BrandPoints to) =
            (BrandPoints(tightening.by), BrandPoints(tightening.from), BrandPoints(tightening.to));
        require(tightening.by == tightening.from || tightening.by == tightening.to, NotAParty(tightening.by));
        Corridor storage corridor = _corridors[from][to];
        require(corridor.version > 0, NoCorridor(from, to));
        _requireSigned(listings[by].issuer, keccak256(abi.encode(TIGHTENING_TYPEHASH, tightening)), signature);
        _next(by, tightening.sequence);
        if (tightening.quota < corridor.quota) corridor.quota = tightening.quota;
        if (tightening.customerQuota < corridor.customerQuota) corridor.customerQuota = tightening.customerQuota;
        if (tightening.endsAt < corridor.endsAt) {
            uint256 earliest = block.timestamp + corridor.notice;
            require(tightening.endsAt >= earliest, TooSoon(earliest));
            corridor.endsAt = tightening.endsAt;
        }
        uint8 side = tightening.by == tightening.from ? 1 : 2;
        corridor.pausedBy = tightening.paused ? corridor.pausedBy | side : corridor.pausedBy & ~side;
        uint64 credit = clearing.creditOf(tightening.from, tightening.to);
        if (tightening.credit < credit) {
            credit = tightening.credit;
            clearing.setCredit(tightening.from, tightening.to, credit);
        }
        // The version stays, so that nobody can announce the same terms again.
        announcedTerms[from][to].notBefore = 0;
        _reportTightening(tightening, corridor, credit);
    }

    /// @notice Close all corridors of a brand for now, or open them again. Awards, transfers and redemptions
    /// of its points go on.
    function pause(Pause calldata order, bytes calldata signature) external {
        BrandPoints token = BrandPoints(order.token);
        _requireSigned(_listing(token).issuer, keccak256(abi.encode(PAUSE_TYPEHASH, order)), signature);
        _next(token, order.sequence);
        listings[token].paused = order.paused;
        emit Paused(token, order.paused);
    }

    /// @notice Exchange points as the customer signed, at or above their minimum or not at all.
    /// @dev The signature is an ERC-3009 `ReceiveWithAuthorization` to this contract on `intent.from`, whose
    /// nonce is recomputed here from the whole intent.
    /// @return amountOut Base units of `intent.to` that were minted.
    function swap(Intent calldata intent, bytes calldata signature)
        external
        nonReentrant
        returns (uint256 amountOut)
    {
        uint256 value;
        (amountOut, value) = _use(intent);
        BrandPoints from = BrandPoints(intent.from);
        bytes32 hash = _hashTypedDataV4(keccak256(abi.encode(INTENT_TYPEHASH, intent)));
        from.exchangeBurn(intent.holder, intent.amountIn, intent.deadline, from.intentNonce(hash), signature);
        BrandPoints(intent.to).exchangeMint(intent.recipient, amountOut);
        clearing.book(intent.from, intent.to, value);
        _report(hash, intent, amountOut, value);
    }

    /// @notice What an exchange would give now; refuses as {swap} would.
    function quote(BrandPoints from, BrandPoints to, uint128 amountIn) external view returns (Quote memory) {
        Corridor memory corridor = _open(from, to);
        (uint256 amountOut, uint256 value, uint256 worth) = _priced(corridor, from, to, amountIn);
        uint64 left = _left(corridor);
        require(amountIn <= left, QuotaExceeded(left));
        return Quote(amountOut, value, worth - value, corridor.version, left, corridor.endsAt);
    }

    /// @notice The terms of a corridor, whether it is open or not.
    function corridors(BrandPoints from, BrandPoints to) external view returns (Corridor memory) {
        return _corridors[from][to];
    }

    /// @notice The account that signs for a brand's points.
    function issuerOf(address token) external view returns (address) {
        return _listing(BrandPoints(token)).issuer;
    }

    /// @dev What an intent gives, checked against terms, quotas and prices; the quotas are used up.
    function _use(Intent calldata intent) private returns (uint256 amountOut, uint256 value) {
        (BrandPoints from, BrandPoints to) = (BrandPoints(intent.from), BrandPoints(intent.to));
        Corridor memory corridor = _open(from, to);
        require(intent.version == corridor.version, TermsChanged(corridor.version, intent.version));
        (amountOut, value,) = _priced(corridor, from, to, intent.amountIn);
        require(amountOut >= intent.minOut, BelowMinimum(amountOut, intent.minOut));
        uint64 left = _left(corridor);
        require(intent.amountIn <= left, QuotaExceeded(left));
        // Below the quota, so 64 bits hold it.
        uint64 amount = uint64(intent.amountIn);
        uint32 epoch = uint32(block.timestamp / corridor.epochLength);
        Corridor storage kept = _corridors[from][to];
        kept.used = corridor.quota - left + amount;
        kept.epoch = epoch;
        // An account cannot use more than all accounts: where its limit is theirs, nothing is kept for it.
        if (corridor.customerQuota < corridor.quota) {
            Usage memory usage = _usage[from][to][intent.holder];
            uint64 used = usage.epoch == epoch ? usage.used : 0;
            uint64 rest = used < corridor.customerQuota ? corridor.customerQuota - used : 0;
            require(amount <= rest, CustomerQuotaExceeded(rest));
            _usage[from][to][intent.holder] = Usage(used + amount, epoch);
        }
    }

    /// @dev The corridor, if it is open.
    function _open(BrandPoints from, BrandPoints to) private view returns (Corridor memory corridor) {
        corridor = _corridors[from][to];
        require(block.timestamp < corridor.endsAt, NoCorridor(from, to));
        require(corridor.pausedBy == 0, CorridorPaused(from, to));
    }

    /// @dev What an amount gives, what that is worth, and what the amount is worth; every check of the rate.
    function _priced(Corridor memory corridor, BrandPoints from, BrandPoints to, uint128 amountIn)
        private
        view
        returns (uint256 amountOut, uint256 value, uint256 worth)
    {
        Listing memory gives = listings[from];
        Listing memory gets = listings[to];
        require(!gives.paused && !gets.paused, CorridorPaused(from, to));
        // 128 bits times 64 bits cannot overflow 256.
        amountOut = uint256(amountIn) * corridor.numerator / corridor.denominator;
        require(amountOut > 0, NothingOut());
        value = amountOut * gets.price;
        worth = uint256(amountIn) * gives.price;
        require(value <= worth, ValueCreated());
    }

    /// @dev What this epoch still takes.
    function _left(Corridor memory corridor) private view returns (uint64) {
        if (block.timestamp / corridor.epochLength != corridor.epoch) return corridor.quota;
        return corridor.used < corridor.quota ? corridor.quota - corridor.used : 0;
    }

    /// @dev Apart from {swap}, whose stack is full.
    function _report(bytes32 hash, Intent calldata intent, uint256 amountOut, uint256 value) private {
        emit Swapped(
            hash,
            intent.holder,
            intent.recipient,
            BrandPoints(intent.from),
            BrandPoints(intent.to),
            intent.amountIn,
            amountOut,
            intent.version,
            value
        );
    }

    /// @dev Apart from {tighten}, whose stack is full.
    function _reportTightening(Tightening calldata tightening, Corridor storage corridor, uint64 credit) private {
        emit Tightened(
            BrandPoints(tightening.from),
            BrandPoints(tightening.to),
            BrandPoints(tightening.by),
            corridor.quota,
            corridor.customerQuota,
            credit,
            corridor.endsAt,
            tightening.paused
        );
    }

    /// @dev Requires terms between two listed brands, newer than those in force, with a rate that has not
    /// fallen far. Prices are compared when the terms come into force, which may be after a change of one.
    function _requireSound(Terms calldata terms) private view returns (Corridor storage corridor) {
        (BrandPoints from, BrandPoints to) = (BrandPoints(terms.from), BrandPoints(terms.to));
        require(terms.from != terms.to, SamePoints(from));
        _requirePoints(from);
        _requirePoints(to);
        require(terms.numerator > 0 && terms.denominator > 0, UnfairRate(terms.numerator, terms.denominator));
        require(terms.epoch > 0, NoEpoch());
        corridor = _corridors[from][to];
        _requireNewer(corridor.version, terms.version);
        require(
            block.timestamp >= corridor.endsAt
                || uint256(terms.numerator) * corridor.denominator * PART
                    >= uint256(corridor.numerator) * terms.denominator * (PART - 1),
            RateTooFar(terms.numerator, terms.denominator)
        );
    }

    /// @dev Whether terms are worse for somebody than those in force.
    function _waits(Corridor storage corridor, Terms calldata terms) private view returns (bool) {
        return block.timestamp < corridor.endsAt
            && (
                uint256(terms.numerator) * corridor.denominator < uint256(corridor.numerator) * terms.denominator
                    || terms.quota > corridor.quota || terms.customerQuota > corridor.customerQuota
                    || terms.epoch != corridor.epochLength || terms.notice < corridor.notice
                    || terms.credit > clearing.creditOf(terms.from, terms.to)
            );
    }

    /// @dev Requires the listed prices and a rate that takes at least the value it gives.
    function _requireFair(Terms calldata terms, uint64 priceFrom, uint64 priceTo) private pure {
        require(terms.priceFrom == priceFrom, PriceMismatch(BrandPoints(terms.from), priceFrom, terms.priceFrom));
        require(terms.priceTo == priceTo, PriceMismatch(BrandPoints(terms.to), priceTo, terms.priceTo));
        // 64 bits times 64 bits cannot overflow 256.
        require(
            uint256(terms.numerator) * priceTo <= uint256(terms.denominator) * priceFrom,
            UnfairRate(terms.numerator, terms.denominator)
        );
    }

    /// @dev Puts terms in force. What this epoch has used stays used, while its length stays.
    function _putInForce(Corridor storage corridor, Terms calldata terms) private {
        (BrandPoints from, BrandPoints to) = (BrandPoints(terms.from), BrandPoints(terms.to));
        _requireFair(terms, listings[from].price, listings[to].price);
        if (terms.epoch != corridor.epochLength) {
            corridor.used = 0;
            corridor.epoch = 0;
        }
        corridor.numerator = terms.numerator;
        corridor.denominator = terms.denominator;
        corridor.version = terms.version;
        corridor.endsAt = terms.endsAt;
        corridor.notice = terms.notice;
        corridor.quota = terms.quota;
        corridor.customerQuota = terms.customerQuota;
        corridor.epochLength = terms.epoch;
        announcedTerms[from][to].notBefore = 0;
        clearing.setCredit(terms.from, terms.to, terms.credit);
        _reportAgreement(terms);
    }

    /// @dev Apart from {_putInForce}, whose stack is full.
    function _reportAgreement(Terms calldata terms) private {
        emit Agreed(
            BrandPoints(terms.from),
            BrandPoints(terms.to),
            terms.numerator,
            terms.denominator,
            terms.version,
            terms.endsAt,
            terms.notice,
            terms.quota,
            terms.customerQuota,
            terms.epoch,
            terms.credit
        );
    }

    /// @dev Puts a price in force and says what it does to the brand's liability.
    function _putPriceInForce(BrandPoints token, uint64 oldPrice, uint64 price, uint24 version) private {
        listings[token].price = price;
        listings[token].priceVersion = version;
        announcedPrices[token].notBefore = 0;
        if (price != oldPrice) announcedPrices[token].changedAt = uint40(block.timestamp);
        uint256 supply = token.totalSupply();
        int256 change = SafeCast.toInt256(supply) * (int256(uint256(price)) - int256(uint256(oldPrice)));
        emit PriceSet(token, version, oldPrice, price, supply, change);
    }

    /// @dev Requires a price above zero that is at most a fifth away.
    function _requireNear(uint64 price, uint64 offered) private pure {
        uint256 distance = offered > price ? offered - price : price - offered;
        require(offered > 0 && distance * PART <= price, PriceTooFar(price, offered));
    }

    /// @dev Requires a version above a known one.
    function _requireNewer(uint64 known, uint64 offered) private pure {
        require(offered > known, OldVersion(known, offered));
    }

    /// @dev Requires points created here, with the decimals of all points.
    function _requirePoints(BrandPoints token) private view {
        _listing(token);
        require(token.decimals() == DECIMALS, WrongDecimals(token));
    }

    /// @dev The listing of points created here.
    function _listing(BrandPoints token) private view returns (Listing memory listing) {
        listing = listings[token];
        require(listing.price > 0, UnknownPoints(token));
    }

    /// @dev Requires a brand's signature; smart accounts sign by EIP-1271.
    function _requireSigned(address issuer, bytes32 structHash, bytes calldata signature) private view {
        require(
            SignatureChecker.isValidSignatureNow(issuer, _hashTypedDataV4(structHash), signature),
            InvalidBrandSignature(issuer)
        );
    }

    /// @dev Requires the next number of a brand, so that nothing signed is used twice.
    function _next(BrandPoints token, uint64 sequence) private {
        uint64 expected = sequences[token];
        require(sequence == expected, WrongSequence(expected, sequence));
        sequences[token] = expected + 1;
    }
}
