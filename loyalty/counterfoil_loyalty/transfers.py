"""Points that one customer gives to another: what the giver signs.

The signature is an ERC-3009 `TransferWithAuthorization`. It names giver, receiver and
amount itself, so whoever sends the transaction can change nothing; its nonce is the first
192 bits of an id that the giver chose, followed by 64 zero bits.
"""

from dataclasses import dataclass

from counterfoil_loyalty.accounts import Account
from counterfoil_loyalty.eip712 import digest
from counterfoil_loyalty.intents import Venue, intent_nonce

_AUTHORIZATION = (
    "TransferWithAuthorization(address from,address to,uint256 value,"
    "uint256 validAfter,uint256 validBefore,bytes32 nonce)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """A customer gives `amount` base units to another's account, once per `transfer_id`.

    `deadline` in unix seconds; `transfer_id` is 32 bytes of the giver's choice. Nobody
    takes it back: points that arrived are the receiver's.
    """

    token: Account
    giver: Account
    taker: Account
    amount: int
    transfer_id: bytes
    deadline: int

    @property
    def nonce(self) -> bytes:
        """Give the ERC-3009 nonce, by which the chain's events name this transfer."""
        return intent_nonce(self.transfer_id)

    @property
    def values(self) -> tuple[str, str, int, int, int, bytes]:
        """Give the arguments of the contract's call, but for the signature."""
        return (self.giver, self.taker, self.amount, 0, self.deadline, self.nonce)

    def digest(self, venue: Venue) -> bytes:
        """Give the digest that the giver signs."""
        return digest(venue.points_domain(self.token), _AUTHORIZATION, self.values)

    def authorization(self, venue: Venue) -> bytes:
        """Give the digest that the giver signs: the transfer is its own authorisation."""
        return self.digest(venue)
