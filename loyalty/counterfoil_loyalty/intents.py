"""What brands and customers sign, word for word as the contracts hash it.

    intent = Swap(holder=..., points_in=..., ...)
    signature = sign_swap(intent, venue, signer)

A brand signs `Registration`, `Terms` and `Award`. A customer signs `Swap` and
`Redemption`: an ERC-3009 `ReceiveWithAuthorization` whose nonce is the first
192 bits of the intent's own hash, followed by 64 zero bits. The contract
recomputes it, so whoever sends the transaction can change nothing.
"""

from dataclasses import dataclass
from typing import Protocol

from counterfoil_loyalty.accounts import NOBODY, Account, Signer
from counterfoil_loyalty.eip712 import Domain, digest
from counterfoil_loyalty.rates import USUAL_LIMITS, Limits, Rate

_AUTHORIZATION = (
    "ReceiveWithAuthorization(address from,address to,uint256 value,"
    "uint256 validAfter,uint256 validBefore,bytes32 nonce)"
)


@dataclass(frozen=True, slots=True)
class Venue:
    """Where signatures are valid: one exchange contract on one chain, and what belongs to it."""

    chain_id: int
    exchange: Account
    clearing: Account = NOBODY
    peer_swap: Account = NOBODY

    @property
    def exchange_domain(self) -> Domain:
        return Domain("Counterfoil Exchange", "1", self.chain_id, self.exchange)

    @property
    def clearing_domain(self) -> Domain:
        return Domain("Counterfoil Clearing", "1", self.chain_id, self.clearing)

    @property
    def peer_swap_domain(self) -> Domain:
        return Domain("Counterfoil PeerSwap", "1", self.chain_id, self.peer_swap)

    def points_domain(self, token: Account) -> Domain:
        return Domain("Counterfoil Points", "1", self.chain_id, token)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A brand brings its points: who signs for them and what a base unit is worth."""

    brand: str
    name: str
    symbol: str
    issuer: Account
    price: int

    def digest(self, venue: Venue) -> bytes:
        line = "Registration(string brand,string name,string symbol,address issuer,uint64 price)"
        values = (self.brand, self.name, self.symbol, self.issuer, self.price)
        return digest(venue.exchange_domain, line, values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Two brands open a corridor: both sign the same terms.

    `version` grows with each change; `ends_at` is in unix seconds.
    """

    token_in: Account
    token_out: Account
    rate: Rate
    price_in: int
    price_out: int
    version: int
    ends_at: int
    limits: Limits = USUAL_LIMITS

    def digest(self, venue: Venue) -> bytes:
        line = (
            "Terms(address from,address to,uint64 numerator,uint64 denominator,"
            "uint64 priceFrom,uint64 priceTo,uint32 version,uint40 endsAt,uint24 notice,"
            "uint64 quota,uint64 customerQuota,uint32 epoch,uint64 credit)"
        )
        return digest(venue.exchange_domain, line, self.values)

    @property
    def values(self) -> tuple[str, str, int, int, int, int, int, int, int, int, int, int, int]:
        """Give the fields in the order of the contract's struct."""
        return (
            self.token_in,
            self.token_out,
            self.rate.numerator,
            self.rate.denominator,
            self.price_in,
            self.price_out,
            self.version,
            self.ends_at,
            self.limits.notice_s,
            self.limits.quota,
            self.limits.customer_quota,
            self.limits.epoch_s,
            self.limits.credit,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Award:
    """A brand gives `amount` base units to an account, once per `ref` (32 bytes).

    While `available_at` (unix seconds) is ahead, the award is pending; 0 is at once.
    """

    token: Account
    to: Account
    amount: int
    ref: bytes
    available_at: int = 0

    def digest(self, venue: Venue) -> bytes:
        line = "Award(address to,uint256 amount,bytes32 ref,uint40 availableAt)"
        return digest(venue.points_domain(self.token), line, self.values)

    @property
    def values(self) -> tuple[str, int, bytes, int]:
        """Give the arguments of the contract's call, but for the signature."""
        return (self.to, self.amount, self.ref, self.available_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """A customer exchanges points of one brand for another's, at `least_out` or above.

    `version` is that of the terms that were shown, `deadline` in unix seconds,
    `swap_id` 32 bytes of the customer's choice, so that two equal exchanges differ.
    """

    holder: Account
    token_in: Account
    token_out: Account
    amount_in: int
    least_out: int
    recipient: Account
    version: int
    deadline: int
    swap_id: bytes

    def digest(self, venue: Venue) -> bytes:
        line = (
            "Intent(address holder,address from,address to,uint128 amountIn,uint256 minOut,"
            "address recipient,uint64 version,uint256 deadline,bytes32 id)"
        )
        return digest(venue.exchange_domain, line, self.values)

    def authorization(self, venue: Venue) -> bytes:
        """Give the digest that the customer signs."""
        return authorization(
            venue.points_domain(self.token_in),
            holder=self.holder,
            spender=venue.exchange,
            amount=self.amount_in,
            deadline=self.deadline,
            nonce=intent_nonce(self.digest(venue)),
        )

    @property
    def values(self) -> tuple[str, str, str, int, int, str, int, int, bytes]:
        """Give the fields in the order of the contract's struct."""
        return (
            self.holder,
            self.token_in,
            self.token_out,
            self.amount_in,
            self.least_out,
            self.recipient,
            self.version,
            self.deadline,
            self.swap_id,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Redemption:
    """A customer gives up points for a voucher, once per `redemption_id` (32 bytes)."""

    token: Account
    holder: Account
    amount: int
    redemption_id: bytes
    deadline: int

    def digest(self, venue: Venue) -> bytes:
        line = "Redemption(address holder,uint256 amount,bytes32 id,uint256 deadline)"
        return digest(venue.points_domain(self.token), line, self.values)

    def authorization(self, venue: Venue) -> bytes:
        """Give the digest that the customer signs."""
        return authorization(
            venue.points_domain(self.token),
            holder=self.holder,
            spender=self.token,
            amount=self.amount,
            deadline=self.deadline,
            nonce=intent_nonce(self.digest(venue)),
        )

    @property
    def values(self) -> tuple[str, int, bytes, int]:
        """Give the fields in the order of the contract's struct."""
        return (self.holder, self.amount, self.redemption_id, self.deadline)


def intent_nonce(intent_digest: bytes) -> bytes:
    """Give the ERC-3009 nonce that commits to an intent: 192 bits of its hash, 64 zero bits."""
    return intent_digest[:24] + bytes(8)


class Signable(Protocol):
    """What a brand or an attester signs."""

    def digest(self, venue: Venue) -> bytes:
        """Give the 32 bytes that are signed."""
        ...


def sign_by_brand(value: Signable, venue: Venue, signer: Signer) -> bytes:
    """Give the brand's signature."""
    return signer.sign(value.digest(venue))


class Authorized(Protocol):
    """What a customer signs."""

    def authorization(self, venue: Venue) -> bytes:
        """Give the 32 bytes that are signed."""
        ...


def sign_by_customer(intent: Authorized, venue: Venue, signer: Signer) -> bytes:
    """Give the customer's signature: it spends exactly what the intent says."""
    return signer.sign(intent.authorization(venue))


def authorization(
    domain: Domain, *, holder: Account, spender: Account, amount: int, deadline: int, nonce: bytes
) -> bytes:
    """Give the digest of the ERC-3009 authorisation that spends an intent's points."""
    return digest(domain, _AUTHORIZATION, (holder, spender, amount, 0, deadline, nonce))
