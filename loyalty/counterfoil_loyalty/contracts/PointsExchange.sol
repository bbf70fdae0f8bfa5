// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {BrandPoints} from "./BrandPoints.sol";
import {PointsFactory} from "./PointsFactory.sol";

/// @title Exchange of points between brands that agreed to it.
/// @notice A corridor is a fixed rate from one brand's points to another's, signed by both brands. An
/// exchange burns on one side and mints on the other. There is no pool, no hub token and no oracle.
/// @dev Every brand's points have ONE price, whatever the corridor. Each swap satisfies
/// `out * price(to) <= in * price(from)`, so the total value `sum(supply * price)` never grows by a swap and
/// no cycle of swaps ends with more than it began with.
contract PointsExchange is EIP712 {
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

    /// @notice What both brands sign to open a corridor or to replace its terms.
    /// @param from The points that are burned.
    /// @param to The points that are minted.
    /// @param numerator With `denominator`, the rate: `out = floor(in * numerator / denominator)`.
    /// @param denominator See `numerator`.
    /// @param priceFrom The price of `from` that both brands have in mind; it must be the listed one.
    /// @param priceTo The price of `to` that both brands have in mind; it must be the listed one.
    /// @param version Larger than that of the terms in force.
    /// @param endsAt Unix seconds; from then on the corridor is closed.
    struct Terms {
        address from;
        address to;
        uint64 numerator;
        uint64 denominator;
        uint64 priceFrom;
        uint64 priceTo;
        uint64 version;
        uint64 endsAt;
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

    /// @notice The terms in force from one brand's points to another's. One storage slot.
    struct Corridor {
        uint64 numerator;
        uint64 denominator;
        uint64 version;
        uint64 endsAt;
    }

    /// @notice One brand's points: who signs for them and what one base unit is worth. One storage slot.
    struct Listing {
        address issuer;
        uint64 price;
    }

    bytes32 private constant REGISTRATION_TYPEHASH =
        keccak256("Registration(string brand,string name,string symbol,address issuer,uint64 price)");
    bytes32 private constant TERMS_TYPEHASH = keccak256(
        "Terms(address from,address to,uint64 numerator,uint64 denominator,uint64 priceFrom,uint64 priceTo,uint64 version,uint64 endsAt)"
    );
    bytes32 private constant INTENT_TYPEHASH = keccak256(
        "Intent(address holder,address from,address to,uint128 amountIn,uint256 minOut,address recipient,uint64 version,uint256 deadline,bytes32 id)"
    );

    /// @notice Where the points are made.
    PointsFactory public immutable factory = new PointsFactory();

    /// @notice The points created here. Only these can be exchanged: a foreign token could lie.
    mapping(BrandPoints token => Listing) public listings;

    /// @notice The points of a brand, by the hash of its name.
    mapping(bytes32 brandHash => BrandPoints) public pointsOf;

    /// @notice The corridors, by what is burned and what is minted.
    mapping(BrandPoints from => mapping(BrandPoints to => Corridor)) public corridors;

    /// @notice A brand's points exist from now on.
    event PointsCreated(
        BrandPoints indexed token, address indexed issuer, string brand, string name, string symbol, uint64 price
    );

    /// @notice Both brands agreed to these terms.
    event Agreed(
        BrandPoints indexed from,
        BrandPoints indexed to,
        uint64 numerator,
        uint64 denominator,
        uint64 version,
        uint64 endsAt
    );

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

    /// @notice A corridor leads from one brand's points to another's.
    error SamePoints(BrandPoints token);

    /// @notice The terms name a price that is not the listed one: a token has one price, in every corridor.
    error PriceMismatch(BrandPoints token, uint64 listed, uint64 named);

    /// @notice The rate would give more value than it takes, or divides by zero.
    error UnfairRate(uint64 numerator, uint64 denominator);

    /// @notice The terms are not newer than those in force.
    error OldVersion(uint64 inForce, uint64 offered);

    /// @notice There is no corridor between these points, or it has ended.
    error NoCorridor(BrandPoints from, BrandPoints to);

    /// @notice The terms changed after the customer signed; nothing was exchanged.
    error TermsChanged(uint64 inForce, uint64 signed);

    /// @notice The amount is too small to give anything.
    error NothingOut();

    /// @notice The rate gives less than the customer accepts; nothing was exchanged.
    error BelowMinimum(uint256 amountOut, uint256 minOut);

    /// @notice The swap would create value. Unreachable while {agree} holds; checked all the same.
    error ValueCreated();

    constructor() EIP712("Counterfoil Exchange", "1") {}

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
        bytes32 hash = _hashTypedDataV4(
            keccak256(
                abi.encode(
                    REGISTRATION_TYPEHASH,
                    brandHash,
                    keccak256(bytes(registration.name)),
                    keccak256(bytes(registration.symbol)),
                    registration.issuer,
                    registration.price
                )
            )
        );
        _requireBrand(registration.issuer, hash, signature);
        token = factory.make(brandHash, registration.name, registration.symbol, registration.issuer);
        pointsOf[brandHash] = token;
        listings[token] = Listing(registration.issuer, registration.price);
        emit PointsCreated(
            token,
            registration.issuer,
            registration.brand,
            registration.name,
            registration.symbol,
            registration.price
        );
    }

    /// @notice Open a corridor, or replace its terms, with the signatures of both brands.
    function agree(Terms calldata terms, bytes calldata signatureFrom, bytes calldata signatureTo) external {
        BrandPoints from = BrandPoints(terms.from);
        BrandPoints to = BrandPoints(terms.to);
        require(terms.from != terms.to, SamePoints(from));
        _requireFair(terms, _listing(from).price, _listing(to).price);
        uint64 inForce = corridors[from][to].version;
        require(terms.version > inForce, OldVersion(inForce, terms.version));
        bytes32 hash = _hashTypedDataV4(keccak256(abi.encode(TERMS_TYPEHASH, terms)));
        _requireBrand(listings[from].issuer, hash, signatureFrom);
        _requireBrand(listings[to].issuer, hash, signatureTo);
        corridors[from][to] = Corridor(terms.numerator, terms.denominator, terms.version, terms.endsAt);
        emit Agreed(from, to, terms.numerator, terms.denominator, terms.version, terms.endsAt);
    }

    /// @notice Exchange points as the customer signed, at or above their minimum or not at all.
    /// @dev The signature is an ERC-3009 `ReceiveWithAuthorization` to this contract on `intent.from`, whose
    /// nonce is recomputed here from the whole intent.
    /// @return amountOut Base units of `intent.to` that were minted.
    function swap(Intent calldata intent, bytes calldata signature) external returns (uint256 amountOut) {
        uint256 value;
        (amountOut, value) = _priced(intent);
        BrandPoints from = BrandPoints(intent.from);
        BrandPoints to = BrandPoints(intent.to);
        bytes32 hash = _hashTypedDataV4(keccak256(abi.encode(INTENT_TYPEHASH, intent)));
        from.exchangeBurn(intent.holder, intent.amountIn, intent.deadline, from.intentNonce(hash), signature);
        to.exchangeMint(intent.recipient, amountOut);
        _report(hash, intent, amountOut, value);
    }

    /// @dev What an intent gives under the terms in force, and what that is worth; every check of the rate.
    function _priced(Intent calldata intent) private view returns (uint256 amountOut, uint256 value) {
        BrandPoints from = BrandPoints(intent.from);
        BrandPoints to = BrandPoints(intent.to);
        Corridor memory corridor = corridors[from][to];
        require(block.timestamp < corridor.endsAt, NoCorridor(from, to));
        require(intent.version == corridor.version, TermsChanged(corridor.version, intent.version));
        // 128 bits times 64 bits cannot overflow 256.
        amountOut = uint256(intent.amountIn) * corridor.numerator / corridor.denominator;
        require(amountOut > 0, NothingOut());
        require(amountOut >= intent.minOut, BelowMinimum(amountOut, intent.minOut));
        value = amountOut * listings[to].price;
        require(value <= uint256(intent.amountIn) * listings[from].price, ValueCreated());
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

    /// @dev Requires the listed prices and a rate that takes at least the value it gives.
    function _requireFair(Terms calldata terms, uint64 priceFrom, uint64 priceTo) private pure {
        require(terms.priceFrom == priceFrom, PriceMismatch(BrandPoints(terms.from), priceFrom, terms.priceFrom));
        require(terms.priceTo == priceTo, PriceMismatch(BrandPoints(terms.to), priceTo, terms.priceTo));
        // 64 bits times 64 bits cannot overflow 256.
        require(
            terms.numerator > 0 && terms.denominator > 0
                && uint256(terms.numerator) * priceTo <= uint256(terms.denominator) * priceFrom,
            UnfairRate(terms.numerator, terms.denominator)
        );
    }

    /// @dev The listing of points created here.
    function _listing(BrandPoints token) private view returns (Listing memory listing) {
        listing = listings[token];
        require(listing.price > 0, UnknownPoints(token));
    }

    /// @dev Requires the brand's signature; smart accounts sign by EIP-1271.
    function _requireBrand(address issuer, bytes32 hash, bytes calldata signature) private view {
        require(SignatureChecker.isValidSignatureNow(issuer, hash, signature), InvalidBrandSignature(issuer));
    }
}
