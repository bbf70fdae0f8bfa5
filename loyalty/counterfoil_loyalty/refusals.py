"""Why a ledger refuses, in words: one sentence per error of the contracts.

The table is keyed by the Solidity error's name, so that the chain and its twin
in memory refuse with the same reason.
"""

from counterfoil_credentials.errors import Reason

POINTS_OFF = "points-off"
"""The code of a refusal: this programme has no points."""

_WORDS: dict[str, tuple[str, str, str]] = {
    # error: code, expected, found
    "DuplicateRef": ("duplicate-ref", "a ref that was never awarded", "an earlier award"),
    "DuplicateRedemption": (
        "duplicate-redemption",
        "a redemption id never used by this account",
        "an earlier redemption",
    ),
    "NotPending": ("not-pending", "an award that waits", "none, or one that is settled"),
    "NotAvailable": ("not-available", "an award whose time has come", "one that waits still"),
    "AvailableAlready": ("available-already", "an award that waits still", "one that is due"),
    "NotRedeemed": ("not-redeemed", "a redemption not refunded yet", "none, or one that was"),
    "AwardsPaused": ("awards-paused", "awards under way", "awards that the brand has paused"),
    "OverLimit": ("over-limit", "an amount within the brand's limit", "a larger one"),
    "OnlyEarnRoots": ("not-the-earn-roots", "a call by the brand's roots", "another caller"),
    "NothingToClaim": ("nothing-to-claim", "a total above what was claimed", "one that is not"),
    "InvalidAdminSignature": ("signature-invalid", "the admin's signature", "another"),
    "IncompletePolicy": (
        "policy-incomplete",
        "an admin, an issuer and, for a limit, its refill",
        "less",
    ),
    "OldPolicy": ("old-policy", "a version above that in force", "one that is not"),
    "ExpiryShortened": ("expiry-shortened", "a window no shorter than that in force", "a shorter"),
    "NoExpiry": ("no-expiry", "points that expire", "points that never do"),
    "StillActive": ("still-active", "a holder inactive for the whole window", "an active one"),
    "Retired": ("retired", "points that are not retired", "points that go on elsewhere"),
    "RetirementTooSoon": (
        "retirement-too-soon",
        "a successor and an end past the notice and past any announced before",
        "another",
    ),
    "BegunAlready": ("begun-already", "points that were never awarded", "points that were"),
    "NotSuccessor": ("not-the-successor", "points retired in favour of these", "others"),
    "HasCode": ("has-code", "a person's account", "a contract, which asks for itself"),
    "OldEpoch": ("old-root", "an epoch above that in force", "one that is not"),
    "TotalShrank": ("total-shrank", "a total no smaller than that in force", "a smaller one"),
    "InvalidRootSignature": ("signature-invalid", "the issuer's signature", "another"),
    "NotInRoot": ("not-in-root", "a total that the root in force awards", "another"),
    "OldNumber": ("old-number", "a number above the last", "one that is not"),
    "InvalidNotarySignature": (
        "signature-invalid",
        "the issuer's signature for this place in its chain",
        "another",
    ),
    "EmptyRoot": ("empty-root", "a root", "zero"),
    "WrongRound": ("wrong-round", "the next round of this recall", "another"),
    "IncompleteGuarantee": (
        "guarantee-incomplete",
        "a token, an amount, a customer, an attester and a deadline ahead",
        "less",
    ),
    "DuplicateGuarantee": ("duplicate-guarantee", "a guarantee never opened", "an earlier one"),
    "NotOpen": ("guarantee-not-open", "a guarantee that is open", "none, or one that has ended"),
    "InvalidStatement": ("signature-invalid", "the attester's statement", "another"),
    "TooLate": ("guarantee-too-late", "a time before the deadline", "one after it"),
    "AmountMismatch": ("amount-mismatch", "the whole amount", "another, as this token pays"),
    "NotOpened": ("contract-missing", "a contract that was opened", "none at its account"),
    "InvalidIssuerSignature": ("signature-invalid", "the brand's signature", "another"),
    "InvalidBrandSignature": ("signature-invalid", "the brand's signature", "another"),
    "ERC3009InvalidSignature": ("signature-invalid", "the customer's signature", "another"),
    "ERC3009InvalidAuthorizationTime": ("intent-expired", "a deadline ahead", "one that passed"),
    "InvalidAccountNonce": ("intent-used", "an intent never used", "one that was used"),
    "ERC20InsufficientBalance": ("insufficient-points", "enough points", "fewer"),
    "ERC20InvalidReceiver": ("no-recipient", "an account that can hold points", "none"),
    "ZeroAmount": ("zero-amount", "an amount above zero", "zero"),
    "OnlyExchange": ("not-the-exchange", "a call by the exchange", "another caller"),
    "BrandExists": ("brand-exists", "a brand without points", "its points exist"),
    "IncompleteRegistration": (
        "registration-incomplete",
        "a brand, an issuer and a price above zero",
        "less",
    ),
    "UnknownPoints": ("unknown-points", "points made by this exchange", "others"),
    "SamePoints": ("same-points", "two brands", "one"),
    "PriceMismatch": ("price-mismatch", "the listed price of each brand", "another price"),
    "UnfairRate": ("unfair-rate", "a rate that gives no more value than it takes", "more"),
    "OldVersion": ("old-terms", "a version above that in force", "one that is not"),
    "NoCorridor": ("no-corridor", "terms in force between the two brands", "none"),
    "TermsChanged": ("terms-changed", "the terms that were signed for", "newer terms"),
    "WrongDecimals": ("wrong-decimals", "the decimals that were agreed", "others"),
    "PriceTooFar": ("price-too-far", "a price at most a fifth away", "one that is farther"),
    "RateTooFar": ("rate-too-far", "a rate at most a fifth lower", "a lower one"),
    "NoEpoch": ("no-epoch", "an epoch of a second or more", "none"),
    "TooSoon": ("too-soon", "a wait that is over", "one that goes on"),
    "NothingAnnounced": ("nothing-announced", "what was announced", "something else"),
    "NotAParty": ("not-a-party", "one of the corridor's two brands", "another"),
    "CorridorPaused": ("corridor-paused", "a corridor that is open", "one that a brand paused"),
    "QuotaExceeded": ("quota-exceeded", "an amount within this period's quota", "more"),
    "CustomerQuotaExceeded": (
        "customer-quota-exceeded",
        "an amount within this account's quota",
        "more",
    ),
    "WrongSequence": ("wrong-sequence", "the brand's next sequence number", "another"),
    "CreditExceeded": ("credit-exceeded", "a claim that credit and collateral cover", "more"),
    "NotAccepted": ("asset-not-accepted", "money that the creditor takes", "other money"),
    "MoneyElsewhere": ("money-elsewhere", "a ledger that holds money", "one without any"),
    "OtherCollateral": ("other-collateral", "the asset of the collateral there", "another"),
    "Pledged": ("collateral-pledged", "collateral that covers nothing", "less"),
    "NotPledged": ("not-pledged", "what is owed beyond the credit, or less", "more, or nothing"),
    "MoreThanOwed": ("more-than-owed", "at most what is owed", "more"),
    "NothingReceived": ("nothing-received", "a payment that arrives", "nothing"),
    "DuplicateAcknowledgement": (
        "duplicate-acknowledgement",
        "a payment never acknowledged",
        "an earlier acknowledgement",
    ),
    "NoCycle": ("no-cycle", "3 to 16 brands, each of which owes the next", "others"),
    "NothingTraded": ("nothing-traded", "an amount above zero on both sides", "zero"),
    "ReentrancyGuardReentrantCall": ("re-entered", "a call from outside", "one from within"),
    "SafeERC20FailedOperation": ("payment-failed", "a payment that the asset makes", "a failure"),
    "SafeCastOverflowedUintDowncast": ("too-large", "an amount that fits", "a larger one"),
    "NothingOut": ("nothing-out", "an amount large enough to give something", "a smaller one"),
    "BelowMinimum": ("below-minimum", "at least the minimum that was signed", "less"),
    "ValueCreated": ("value-created", "an exchange that makes no value", "one that does"),
}


def refusal(error: str, where: str = "ledger") -> Reason:
    """Give the reason that stands for a contract's error; an unknown one is named as it is."""
    code, expected, found = _WORDS.get(error, ("reverted", "a transaction that succeeds", error))
    return Reason(code, expected, found, where)
