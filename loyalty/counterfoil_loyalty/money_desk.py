"""Money between brands: which stablecoin is taken, collateral, and payments from a treasury.

    desk = MoneyDesk(client, "https://bicycle.example", signer)
    desk.accept(stablecoin, decimals=6)                    # what pays what it is owed
    desk.draw("https://audio.example", value)              # from collateral, beyond the credit

A brand's word is sent for it by the points service, as everything else. Money is not: the
service has none. `deposit_calls` and `settlement_calls` say what a treasury's own wallet
sends, on the chain that `client.venue()` names; anybody may pay for a brand.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from counterfoil_credentials.encoding import JsonObject, int_at, text_at
from counterfoil_credentials.errors import Misuse
from eth_abi.abi import encode

from counterfoil_loyalty.accounts import Account, Signer
from counterfoil_loyalty.claims import Acceptance, Draw, Withdrawal
from counterfoil_loyalty.client import PointsClient
from counterfoil_loyalty.intents import Signable, sign_by_brand
from counterfoil_loyalty.keccak import keccak256


@dataclass(frozen=True, slots=True)
class TreasuryCall:
    """What a wallet with money sends: to which contract, and which bytes."""

    to: Account
    data: bytes


@dataclass(frozen=True, slots=True)
class MoneyDesk:
    """What one brand says about money in the clearing. Each word is used once."""

    client: PointsClient
    brand: str
    signer: Signer

    def accept(self, asset: Account, *, decimals: int, accepted: bool = True) -> str:
        """Say that `asset` pays what the brand is owed, or that it does no longer.

        `decimals` are the asset's, 6 to 24. Give the transaction that said so.
        """
        sequence = self._sequence()
        acceptance = Acceptance(
            creditor=self._token(self.brand),
            asset=asset,
            decimals=decimals,
            accepted=accepted,
            sequence=sequence,
        )
        body: JsonObject = {
            "creditor": self.brand,
            "asset": asset,
            "decimals": decimals,
            "accepted": accepted,
        }
        return self._send("/acceptances", acceptance, body, sequence)

    def withdraw(self, creditor: str, amount: int) -> str:
        """Take back collateral that covers nothing, to the brand's own account (base units)."""
        sequence = self._sequence()
        withdrawal = Withdrawal(
            debtor=self._token(self.brand),
            creditor=self._token(creditor),
            amount=amount,
            sequence=sequence,
        )
        body: JsonObject = {"debtor": self.brand, "creditor": creditor, "amount": amount}
        return self._send("/withdrawals", withdrawal, body, sequence)

    def draw(self, debtor: str, value: int) -> str:
        """Be paid from collateral what is owed beyond the credit (millionths of a unit)."""
        sequence = self._sequence()
        draw = Draw(
            debtor=self._token(debtor),
            creditor=self._token(self.brand),
            value=value,
            sequence=sequence,
        )
        body: JsonObject = {"debtor": debtor, "creditor": self.brand, "value": value}
        return self._send("/draws", draw, body, sequence)

    def _sequence(self) -> int:
        return int_at(self.client.claim(self.brand, self.brand), "debtor_sequence", "claims")

    def _token(self, brand: str) -> Account:
        return self.client.programme(brand).token

    def _send(self, path: str, value: Signable, body: JsonObject, sequence: int) -> str:
        signature = sign_by_brand(value, self.client.venue(), self.signer).hex()
        whole: JsonObject = {**body, "sequence": sequence, "signature": signature}
        return text_at(self.client.send(path, whole), "transaction", "answer")


def deposit_calls(
    client: PointsClient, debtor: str, creditor: str, asset: Account, amount: int
) -> Sequence[TreasuryCall]:
    """Give what posts `amount` base units of `asset` as collateral for `debtor`'s debt."""
    return _paying(client, "deposit", (debtor, creditor), asset, amount)


def settlement_calls(
    client: PointsClient, debtor: str, creditor: str, asset: Account, amount: int
) -> Sequence[TreasuryCall]:
    """Give what pays `amount` base units of `asset` to `creditor`, for `debtor`."""
    return _paying(client, "settle", (debtor, creditor), asset, amount)


def _paying(
    client: PointsClient, name: str, brands: tuple[str, str], asset: Account, amount: int
) -> Sequence[TreasuryCall]:
    if amount <= 0:
        raise Misuse("expected an amount above zero, found none")
    clearing = client.venue().clearing
    pair = tuple(client.programme(brand).token for brand in brands)
    # The clearing takes exactly this much, so that no allowance stays behind.
    allowed = _call("approve(address,uint256)", (clearing, amount))
    paid = _call(f"{name}(address,address,address,uint256)", (*pair, asset, amount))
    return (TreasuryCall(asset, allowed), TreasuryCall(clearing, paid))


def _call(signature: str, values: tuple[object, ...]) -> bytes:
    types = signature[signature.index("(") + 1 : -1].split(",")
    return keccak256(signature.encode())[:4] + encode(types, values)
