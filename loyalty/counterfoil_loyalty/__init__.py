"""Points that a brand awards, and that a customer holds, exchanges and redeems.

    points = CustomerPoints(wallet, fetcher, "https://points.example")
    points.join("https://audio.example")                       # what the brand is told
    quote = points.quote(Points("https://audio.example", 10_00), "https://bicycle.example")
    points.exchange(quote)                                     # as quoted, or not at all
    points.redeem(quote.receives)

`CustomerPoints` is a customer's, and fills `Wallet.points`; `PointsClient` is below it, and
a brand's.

What signs and hashes needs the extra `[points]` and is loaded when it is first
asked for, so that an app without points may import this package.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from counterfoil_loyalty.points import Points
from counterfoil_loyalty.rates import Price, Rate

if TYPE_CHECKING:
    from counterfoil_loyalty.accounts import Account, PointsAccounts, PointsSigner
    from counterfoil_loyalty.client import Exchanged, PointsClient, Quote, Voucher
    from counterfoil_loyalty.keccak import award_ref
    from counterfoil_loyalty.purse import CustomerPoints
    from counterfoil_loyalty.purse_views import Balance, Line, Payee, Promise, Source

_HOME = {
    "Account": "accounts",
    "PointsAccounts": "accounts",
    "PointsSigner": "accounts",
    "Exchanged": "client",
    "PointsClient": "client",
    "Quote": "client",
    "Voucher": "client",
    "award_ref": "keccak",
    "CustomerPoints": "purse",
    "Balance": "purse_views",
    "Line": "purse_views",
    "Payee": "purse_views",
    "Promise": "purse_views",
    "Source": "purse_views",
}

__all__ = [
    "Account",
    "Balance",
    "CustomerPoints",
    "Exchanged",
    "Line",
    "Payee",
    "Points",
    "PointsAccounts",
    "PointsClient",
    "PointsSigner",
    "Price",
    "Promise",
    "Quote",
    "Rate",
    "Source",
    "Voucher",
    "award_ref",
]


def __getattr__(name: str) -> object:
    """Load what needs the extra when it is first asked for (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
