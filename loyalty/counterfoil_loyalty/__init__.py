"""Points that a brand awards, and that a customer holds, exchanges and redeems.

    client = PointsClient(fetcher, "https://points.example")
    accounts = PointsAccounts(secret)                          # 32 bytes, kept in the wallet
    quote = client.quote(Points("https://audio.example", 10_00), "https://bicycle.example")
    client.exchange(quote, accounts, exchange_id)
    client.redeem(quote.receives, accounts, redemption_id, now=now)

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

_HOME = {
    "Account": "accounts",
    "PointsAccounts": "accounts",
    "PointsSigner": "accounts",
    "Exchanged": "client",
    "PointsClient": "client",
    "Quote": "client",
    "Voucher": "client",
    "award_ref": "keccak",
}

__all__ = [
    "Account",
    "Exchanged",
    "Points",
    "PointsAccounts",
    "PointsClient",
    "PointsSigner",
    "Price",
    "Quote",
    "Rate",
    "Voucher",
    "award_ref",
]


def __getattr__(name: str) -> object:
    """Load what needs the extra when it is first asked for (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
