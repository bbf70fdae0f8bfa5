"""Why a ledger refuses, in words: one sentence per error of the contracts.

The table is keyed by the Solidity error's name, so that the chain and its twin
in memory refuse with the same reason.
"""

from counterfoil_credentials.errors import Reason

_WORDS: dict[str, tuple[str, str, str]] = {
    # error: code, expected, found
    "DuplicateRef": ("duplicate-ref", "a ref that was never awarded", "an earlier award"),
    "DuplicateRedemption": (
        "duplicate-redemption",
        "a redemption id never used by this account",
        "an earlier redemption",
    ),
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
    "NothingOut": ("nothing-out", "an amount large enough to give something", "a smaller one"),
    "BelowMinimum": ("below-minimum", "at least the minimum that was signed", "less"),
    "ValueCreated": ("value-created", "an exchange that makes no value", "one that does"),
}


def refusal(error: str, where: str = "ledger") -> Reason:
    """Give the reason that stands for a contract's error; an unknown one is named as it is."""
    code, expected, found = _WORDS.get(error, ("reverted", "a transaction that succeeds", error))
    return Reason(code, expected, found, where)
