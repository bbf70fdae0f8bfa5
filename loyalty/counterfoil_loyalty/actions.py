"""What can be done to the ledger: each action carries the signatures that allow it.

An action is complete. Whoever sends it pays and decides nothing, so a relayer
can store it, send it, and send it again after a crash. Each has a `key`, under
which it happens once, and a `fingerprint` of what it asks for: the same key
with another fingerprint is a conflict, not a repeat. Signatures and deadlines
are in neither: the same wish signed again a minute later is the same wish.
"""

from dataclasses import dataclass, replace

from counterfoil_loyalty.accounts import Account, require_signature
from counterfoil_loyalty.claims import Acceptance, Acknowledgement, Draw, Withdrawal
from counterfoil_loyalty.common_contracts import OpenContract
from counterfoil_loyalty.corridors import ExchangePause, PriceChange, Tightening
from counterfoil_loyalty.earning import ClaimEarned, PostEarnRoot
from counterfoil_loyalty.guarantee import FulfilGuarantee, OpenGuarantee, RefundGuarantee
from counterfoil_loyalty.intents import Award, Redemption, Registration, Swap, Terms, Venue
from counterfoil_loyalty.issuing import AwardBatch, Cancellation, Pause, Policy, Refund
from counterfoil_loyalty.notary import AnchorRoot, CloseRecall, OpenRecall
from counterfoil_loyalty.succession import (
    CarryPoints,
    MovePoints,
    RetirePoints,
    SucceedPoints,
    TakeOverPoints,
)
from counterfoil_loyalty.trades import Trade
from counterfoil_loyalty.transfers import Transfer


@dataclass(frozen=True, slots=True)
class OpenExchange:
    """The first action on a new chain: the exchange contract comes into being."""

    key = "exchange"

    def fingerprint(self, venue: Venue) -> bytes:
        return bytes(32)


@dataclass(frozen=True, slots=True)
class OpenClearing:
    """The second: where claims between brands are kept. The exchange expects it there."""

    key = "clearing"

    def fingerprint(self, venue: Venue) -> bytes:
        return bytes(32)


@dataclass(frozen=True, slots=True)
class OpenPeerSwap:
    """The third: where two customers trade."""

    key = "peer swap"

    def fingerprint(self, venue: Venue) -> bytes:
        return bytes(32)


OPENING = (OpenExchange(), OpenClearing(), OpenPeerSwap())
"""The first actions on a new chain, in this order: where a contract stands follows from it."""


@dataclass(frozen=True, slots=True)
class CreatePoints:
    """A brand's points come into being; signed by the brand."""

    registration: Registration
    signature: bytes

    @property
    def key(self) -> str:
        return f"brand {self.registration.brand}"

    def digest(self, venue: Venue) -> bytes:
        return self.registration.digest(venue)

    def fingerprint(self, venue: Venue) -> bytes:
        return self.digest(venue)

    def require_signed(self, venue: Venue) -> None:
        issuer = self.registration.issuer
        require_signature(issuer, self.digest(venue), self.signature, "registration.signature")


@dataclass(frozen=True, slots=True)
class AgreeTerms:
    """A corridor opens or changes; signed by the brand that gives and the brand that gets."""

    terms: Terms
    signature_in: bytes
    signature_out: bytes

    @property
    def key(self) -> str:
        return f"terms {self.terms.token_in} {self.terms.token_out} {self.terms.version}"

    def digest(self, venue: Venue) -> bytes:
        return self.terms.digest(venue)

    def fingerprint(self, venue: Venue) -> bytes:
        return self.digest(venue)


@dataclass(frozen=True, slots=True)
class AwardPoints:
    """Points are minted; signed by the brand."""

    award: Award
    signature: bytes

    @property
    def key(self) -> str:
        return f"award {self.award.token} {self.award.ref.hex()}"

    def digest(self, venue: Venue) -> bytes:
        return self.award.digest(venue)

    def fingerprint(self, venue: Venue) -> bytes:
        return self.digest(venue)


@dataclass(frozen=True, slots=True)
class AwardToMany:
    """Points are minted for many; signed by the brand."""

    batch: AwardBatch
    signature: bytes

    @property
    def key(self) -> str:
        return f"award {self.batch.token} {self.batch.ref.hex()}"

    def digest(self, venue: Venue) -> bytes:
        return self.batch.digest(venue)

    def fingerprint(self, venue: Venue) -> bytes:
        return self.digest(venue)


@dataclass(frozen=True, slots=True)
class ReleaseAward:
    """A pending award reaches its balance; nobody signs, its time has come."""

    token: Account
    ref: bytes

    @property
    def key(self) -> str:
        return f"release {self.token} {self.ref.hex()}"

    def fingerprint(self, venue: Venue) -> bytes:
        return bytes(32)


@dataclass(frozen=True, slots=True)
class CancelAward:
    """A pending award is taken back; signed by the brand."""

    cancellation: Cancellation
    signature: bytes

    @property
    def key(self) -> str:
        return f"cancel {self.cancellation.token} {self.cancellation.ref.hex()}"

    def digest(self, venue: Venue) -> bytes:
        return self.cancellation.digest(venue)

    def fingerprint(self, venue: Venue) -> bytes:
        return self.digest(venue)


@dataclass(frozen=True, slots=True)
class RefundPoints:
    """What was redeemed comes back; signed by the brand."""

    refund: Refund
    signature: bytes

    @property
    def key(self) -> str:
        it = self.refund
        return f"refund {it.token} {it.holder} {it.redemption_id.hex()}"

    def digest(self, venue: Venue) -> bytes:
        return self.refund.digest(venue)

    def fingerprint(self, venue: Venue) -> bytes:
        return self.digest(venue)


@dataclass(frozen=True, slots=True)
class ExpirePoints:
    """The points of an inactive holder are burned; nobody signs, the rule does.

    `attempt` is counted by whoever asks: each is made once.
    """

    token: Account
    holder: Account
    attempt: int

    @property
    def key(self) -> str:
        return f"expire {self.token} {self.holder} {self.attempt}"

    def fingerprint(self, venue: Venue) -> bytes:
        return bytes(32)


@dataclass(frozen=True, slots=True)
class GovernPoints:
    """A policy comes into force; signed by the admin, and by the next admin when it is another."""

    policy: Policy
    signature: bytes
    acceptance: bytes = b""

    @property
    def key(self) -> str:
        return f"policy {self.policy.token} {self.policy.version}"

    def digest(self, venue: Venue) -> bytes:
        return self.policy.digest(venue)

    def fingerprint(self, venue: Venue) -> bytes:
        return self.digest(venue)


@dataclass(frozen=True, slots=True)
class PauseAwards:
    """A brand's awards stop until the next policy; signed by the issuer or the admin."""

    pause: Pause
    signature: bytes

    @property
    def key(self) -> str:
        return f"pause {self.pause.token} {self.pause.version}"

    def digest(self, venue: Venue) -> bytes:
        return self.pause.digest(venue)

    def fingerprint(self, venue: Venue) -> bytes:
        return self.digest(venue)


@dataclass(frozen=True, slots=True)
class SwapPoints:
    """Points of one brand become points of another; signed by the customer."""

    swap: Swap
    signature: bytes

    @property
    def key(self) -> str:
        return f"swap {self.swap.holder} {self.swap.swap_id.hex()}"

    def digest(self, venue: Venue) -> bytes:
        return self.swap.digest(venue)

    def fingerprint(self, venue: Venue) -> bytes:
        return replace(self.swap, deadline=0).digest(venue)

    def require_signed(self, venue: Venue) -> None:
        authorization = self.swap.authorization(venue)
        require_signature(self.swap.holder, authorization, self.signature, "exchange.signature")


@dataclass(frozen=True, slots=True)
class RedeemPoints:
    """Points become a voucher; signed by the customer."""

    redemption: Redemption
    signature: bytes

    @property
    def key(self) -> str:
        redemption = self.redemption
        return f"redeem {redemption.token} {redemption.holder} {redemption.redemption_id.hex()}"

    def digest(self, venue: Venue) -> bytes:
        return self.redemption.digest(venue)

    def fingerprint(self, venue: Venue) -> bytes:
        return replace(self.redemption, deadline=0).digest(venue)

    def require_signed(self, venue: Venue) -> None:
        authorization = self.redemption.authorization(venue)
        holder = self.redemption.holder
        require_signature(holder, authorization, self.signature, "redemption.signature")


@dataclass(frozen=True, slots=True)
class TransferPoints:
    """Points move from one customer to another; signed by the one who gives."""

    transfer: Transfer
    signature: bytes

    @property
    def key(self) -> str:
        it = self.transfer
        return f"transfer {it.token} {it.giver} {it.transfer_id.hex()}"

    def digest(self, venue: Venue) -> bytes:
        return self.transfer.digest(venue)

    def fingerprint(self, venue: Venue) -> bytes:
        return replace(self.transfer, deadline=0).digest(venue)

    def require_signed(self, venue: Venue) -> None:
        authorization = self.transfer.authorization(venue)
        require_signature(self.transfer.giver, authorization, self.signature, "transfer.signature")


@dataclass(frozen=True, slots=True)
class ChangePrice:
    """A brand's points get another price, at once or after a period; signed by the brand."""

    change: PriceChange
    signature: bytes

    @property
    def key(self) -> str:
        return f"price {self.change.token} {self.change.version}"

    def fingerprint(self, venue: Venue) -> bytes:
        return self.change.digest(venue)


@dataclass(frozen=True, slots=True)
class EnactPrice:
    """An announced price comes into force; anybody may ask, once it has waited.

    `version` is the announced one, so that each price is asked for under its own key.
    """

    token: Account
    version: int

    @property
    def key(self) -> str:
        return f"enact price {self.token} {self.version}"

    def fingerprint(self, venue: Venue) -> bytes:
        return bytes(32)


@dataclass(frozen=True, slots=True)
class EnactTerms:
    """Announced terms come into force; anybody may ask, once they have waited."""

    terms: Terms

    @property
    def key(self) -> str:
        return f"enact terms {self.terms.token_in} {self.terms.token_out} {self.terms.version}"

    def fingerprint(self, venue: Venue) -> bytes:
        return self.terms.digest(venue)


@dataclass(frozen=True, slots=True)
class TightenCorridor:
    """A corridor becomes safer; signed by one of its brands."""

    tightening: Tightening
    signature: bytes

    @property
    def key(self) -> str:
        return f"signed by {self.tightening.by} {self.tightening.sequence}"

    def fingerprint(self, venue: Venue) -> bytes:
        return self.tightening.digest(venue)


@dataclass(frozen=True, slots=True)
class PauseExchange:
    """All corridors of a brand close, or open again; signed by the brand."""

    pause: ExchangePause
    signature: bytes

    @property
    def key(self) -> str:
        return f"signed by {self.pause.token} {self.pause.sequence}"

    def fingerprint(self, venue: Venue) -> bytes:
        return self.pause.digest(venue)


@dataclass(frozen=True, slots=True)
class AcknowledgePayment:
    """A claim shrinks by what was paid outside the chain; signed by the creditor."""

    paid: Acknowledgement
    signature: bytes

    @property
    def key(self) -> str:
        return f"paid {self.paid.creditor} {self.paid.ref.hex()}"

    def fingerprint(self, venue: Venue) -> bytes:
        return self.paid.digest(venue)


@dataclass(frozen=True, slots=True)
class AcceptMoney:
    """A creditor takes a stablecoin for what it is owed, or takes it no longer; signed by it."""

    acceptance: Acceptance
    signature: bytes

    @property
    def key(self) -> str:
        return f"clearing {self.acceptance.creditor} {self.acceptance.sequence}"

    def fingerprint(self, venue: Venue) -> bytes:
        return self.acceptance.digest(venue)


@dataclass(frozen=True, slots=True)
class WithdrawCollateral:
    """A debtor takes collateral back that covers nothing; signed by the debtor."""

    withdrawal: Withdrawal
    signature: bytes

    @property
    def key(self) -> str:
        return f"clearing {self.withdrawal.debtor} {self.withdrawal.sequence}"

    def fingerprint(self, venue: Venue) -> bytes:
        return self.withdrawal.digest(venue)


@dataclass(frozen=True, slots=True)
class DrawCollateral:
    """A creditor is paid from collateral what is owed beyond the credit; signed by it."""

    draw: Draw
    signature: bytes

    @property
    def key(self) -> str:
        return f"clearing {self.draw.creditor} {self.draw.sequence}"

    def fingerprint(self, venue: Venue) -> bytes:
        return self.draw.digest(venue)


MoneyAction = AcceptMoney | WithdrawCollateral | DrawCollateral
"""What brands sign about money in the clearing. Money that comes is sent by who has it."""


@dataclass(frozen=True, slots=True)
class NetClaims:
    """A cycle of claims shrinks by its smallest; anybody may ask.

    Each of `brands` (their points, 3 to 16) owes the next, the last the first.
    `number` tells two nettings of the same cycle apart.
    """

    brands: tuple[Account, ...]
    number: int

    @property
    def key(self) -> str:
        return f"net {self.number} {' '.join(self.brands)}"

    def fingerprint(self, venue: Venue) -> bytes:
        return bytes(32)


@dataclass(frozen=True, slots=True)
class FillTrade:
    """Two customers trade points, all or nothing; signed by both."""

    trade: Trade
    signature_maker: bytes
    signature_taker: bytes

    @property
    def key(self) -> str:
        return f"trade {self.trade.maker} {self.trade.taker} {self.trade.trade_id.hex()}"

    def fingerprint(self, venue: Venue) -> bytes:
        return replace(self.trade, deadline=0).digest(venue)

    def require_signed(self, venue: Venue) -> None:
        maker, taker = self.trade.maker, self.trade.taker
        of_maker = self.trade.authorization_of_maker(venue)
        of_taker = self.trade.authorization_of_taker(venue)
        require_signature(maker, of_maker, self.signature_maker, "trade.signature_maker")
        require_signature(taker, of_taker, self.signature_taker, "trade.signature_taker")


BrandAction = (
    AwardPoints
    | AwardToMany
    | ReleaseAward
    | CancelAward
    | RefundPoints
    | RedeemPoints
    | TransferPoints
    | ExpirePoints
    | GovernPoints
    | PauseAwards
    | RetirePoints
    | SucceedPoints
    | TakeOverPoints
    | CarryPoints
    | MovePoints
)
"""What is done to the points of one brand."""

CommonAction = (
    PostEarnRoot
    | ClaimEarned
    | AnchorRoot
    | OpenRecall
    | CloseRecall
    | OpenGuarantee
    | FulfilGuarantee
    | RefundGuarantee
)
"""What is done to a contract that all brands share."""

ExchangeAction = (
    ChangePrice
    | EnactPrice
    | AgreeTerms
    | EnactTerms
    | TightenCorridor
    | PauseExchange
    | AcknowledgePayment
    | NetClaims
    | MoneyAction
)
"""What brands do about prices, corridors and claims."""

Action = (
    OpenExchange
    | OpenClearing
    | OpenPeerSwap
    | CreatePoints
    | ExchangeAction
    | SwapPoints
    | FillTrade
    | BrandAction
    | OpenContract
    | CommonAction
)


def points_of(action: BrandAction) -> Account:
    """Give the points that an action is about."""
    match action:
        case AwardPoints(award=it):
            return it.token
        case AwardToMany(batch=it):
            return it.token
        case CancelAward(cancellation=it):
            return it.token
        case RefundPoints(refund=it):
            return it.token
        case RedeemPoints(redemption=it):
            return it.token
        case TransferPoints(transfer=it):
            return it.token
        case GovernPoints(policy=it):
            return it.token
        case PauseAwards(pause=it):
            return it.token
        case RetirePoints(retirement=it):
            return it.token
        case SucceedPoints(succession=it) | TakeOverPoints(succession=it):
            return it.token
        case CarryPoints(carry=it):
            return it.token
        case ReleaseAward() | ExpirePoints() | MovePoints():
            return action.token


def customer_of(action: Action) -> Account | None:
    """Give the customer whose wish an action is, by whose number of wishes it counts; or None."""
    match action:
        case SwapPoints(swap=it):
            return it.holder
        case RedeemPoints(redemption=it):
            return it.holder
        case TransferPoints(transfer=it):
            return it.giver
        case CarryPoints(carry=it):
            return it.holder
        case FillTrade(trade=it):
            return it.maker
        case OpenGuarantee(guarantee=it):
            return it.funder
        case _:
            return None
