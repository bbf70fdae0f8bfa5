"""A trade between two customers: both sign the same one, and it happens whole or not at all."""

from dataclasses import dataclass

from counterfoil_loyalty.accounts import Account, Signer
from counterfoil_loyalty.eip712 import digest
from counterfoil_loyalty.intents import Venue, authorization, intent_nonce


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """`maker` gives `amount_given` of one brand's points for `amount_taken` of another's.

    Amounts in base units, `deadline` in unix seconds; `trade_id` is 32 bytes that
    both chose. Each side names where it receives: its account with the other brand.
    """

    maker: Account
    maker_receives: Account
    given: Account
    amount_given: int
    taker: Account
    taker_receives: Account
    taken: Account
    amount_taken: int
    deadline: int
    trade_id: bytes

    def digest(self, venue: Venue) -> bytes:
        line = (
            "Trade(address maker,address makerReceives,address given,uint256 amountGiven,"
            "address taker,address takerReceives,address taken,uint256 amountTaken,"
            "uint256 deadline,bytes32 id)"
        )
        return digest(venue.peer_swap_domain, line, self.values)

    def authorization_of_maker(self, venue: Venue) -> bytes:
        """Give the digest that the maker signs."""
        return self._authorization(venue, self.given, self.maker, self.amount_given)

    def authorization_of_taker(self, venue: Venue) -> bytes:
        """Give the digest that the taker signs."""
        return self._authorization(venue, self.taken, self.taker, self.amount_taken)

    @property
    def values(self) -> tuple[str, str, str, int, str, str, str, int, int, bytes]:
        """Give the fields in the order of the contract's struct."""
        return (
            self.maker,
            self.maker_receives,
            self.given,
            self.amount_given,
            self.taker,
            self.taker_receives,
            self.taken,
            self.amount_taken,
            self.deadline,
            self.trade_id,
        )

    def _authorization(self, venue: Venue, token: Account, holder: Account, amount: int) -> bytes:
        return authorization(
            venue.points_domain(token),
            holder=holder,
            spender=venue.peer_swap,
            amount=amount,
            deadline=self.deadline,
            nonce=intent_nonce(self.digest(venue)),
        )


def sign_trade(trade: Trade, venue: Venue, *, maker: Signer, taker: Signer) -> tuple[bytes, bytes]:
    """Give both signatures, the maker's first; in life, each side makes its own."""
    return (
        maker.sign(trade.authorization_of_maker(venue)),
        taker.sign(trade.authorization_of_taker(venue)),
    )
