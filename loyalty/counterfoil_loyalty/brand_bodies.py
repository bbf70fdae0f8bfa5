"""The HTTP bodies of what brands do, and the action that each of them is.

Each says by `action` what the ledger is asked for; `token` gives the points of a
brand by the brand's name. Amounts and signatures as in schemas.py.
"""

from collections.abc import Callable

from counterfoil_credentials.errors import Refused

from counterfoil_loyalty.accounts import NOBODY, Account, account_from
from counterfoil_loyalty.actions import (
    AcknowledgePayment,
    AwardToMany,
    CancelAward,
    ChangePrice,
    EnactPrice,
    EnactTerms,
    ExpirePoints,
    FillTrade,
    GovernPoints,
    NetClaims,
    PauseAwards,
    PauseExchange,
    RefundPoints,
    ReleaseAward,
    TightenCorridor,
)
from counterfoil_loyalty.claims import Acknowledgement
from counterfoil_loyalty.corridors import NEVER, ExchangePause, PriceChange, Tightening
from counterfoil_loyalty.issuing import (
    UNLIMITED,
    AwardBatch,
    Cancellation,
    Pause,
    Policy,
    Refund,
)
from counterfoil_loyalty.rates import MAX_PRICE
from counterfoil_loyalty.refusals import refusal
from counterfoil_loyalty.schemas import (
    AccountText,
    Awards,
    Body,
    BrandName,
    Capacity,
    Count,
    Cycle,
    Flag,
    FromBrand,
    Hex32,
    Limit,
    Number64,
    Refill,
    Signature,
    Time,
    ToBrand,
    Units,
    Value,
    Version24,
    Version32,
    Version40,
)
from counterfoil_loyalty.standing import Standing
from counterfoil_loyalty.trades import Trade

TokenOf = Callable[[str], Account]


class PriceBody(Body):
    """POST /prices: signed by the brand. A higher price waits."""

    brand: BrandName
    price: Number64
    version: Version24
    signature: Signature

    def action(self, token: TokenOf) -> ChangePrice:
        change = PriceChange(token=token(self.brand), price=self.price, version=self.version)
        return ChangePrice(change, bytes.fromhex(self.signature))


class PriceEnactmentBody(Body):
    """POST /prices/enactments: by anybody, once the announced price has waited."""

    brand: BrandName
    version: Version24

    def action(self, token: TokenOf) -> EnactPrice:
        return EnactPrice(token(self.brand), self.version)


class TermsEnactmentBody(Body):
    """POST /terms/enactments: by anybody, once the announced terms have waited."""

    from_brand: FromBrand
    to_brand: ToBrand
    version: Version32

    def action(self, token: TokenOf, standing: Standing) -> EnactTerms:
        found = standing.announced.get((token(self.from_brand), token(self.to_brand)))
        if found is None or found.terms.version != self.version:
            raise Refused(refusal("NothingAnnounced", "terms"))
        return EnactTerms(found.terms)


class TighteningBody(Body):
    """POST /tightenings: signed by `brand`, one of the corridor's two. What is left out stays."""

    brand: BrandName
    from_brand: FromBrand
    to_brand: ToBrand
    paused: Flag
    sequence: Count
    quota: Limit = MAX_PRICE
    customer_quota: Limit = MAX_PRICE
    credit: Limit = MAX_PRICE
    ends_at: Time = NEVER
    signature: Signature

    def action(self, token: TokenOf) -> TightenCorridor:
        tightening = Tightening(
            by=token(self.brand),
            token_in=token(self.from_brand),
            token_out=token(self.to_brand),
            paused=self.paused,
            sequence=self.sequence,
            quota=self.quota,
            customer_quota=self.customer_quota,
            credit=self.credit,
            ends_at=self.ends_at,
        )
        return TightenCorridor(tightening, bytes.fromhex(self.signature))


class PauseBody(Body):
    """POST /pauses: signed by the brand; all of its corridors close, or open again."""

    brand: BrandName
    paused: Flag
    sequence: Count
    signature: Signature

    def action(self, token: TokenOf) -> PauseExchange:
        pause = ExchangePause(token=token(self.brand), paused=self.paused, sequence=self.sequence)
        return PauseExchange(pause, bytes.fromhex(self.signature))


class AcknowledgementBody(Body):
    """POST /acknowledgements: signed by the creditor, who was paid outside the chain."""

    debtor: BrandName
    creditor: BrandName
    value: Value
    ref: Hex32
    signature: Signature

    def action(self, token: TokenOf) -> AcknowledgePayment:
        paid = Acknowledgement(
            debtor=token(self.debtor),
            creditor=token(self.creditor),
            value=self.value,
            ref=bytes.fromhex(self.ref),
        )
        return AcknowledgePayment(paid, bytes.fromhex(self.signature))


class NettingBody(Body):
    """POST /nettings: by anybody; each of `brands` owes the next, the last the first."""

    brands: Cycle
    number: Count

    def action(self, token: TokenOf) -> NetClaims:
        return NetClaims(tuple(token(brand) for brand in self.brands), self.number)


class BatchBody(Body):
    """POST /award-batches: signed by the brand's issuer; Idempotency-Key repeats `ref`."""

    brand: BrandName
    awards: Awards
    ref: Hex32
    signature: Signature

    def action(self, token: TokenOf) -> AwardToMany:
        awards = tuple((account_from(to, "awards"), units) for to, units in self.awards)
        batch = AwardBatch(token=token(self.brand), awards=awards, ref=bytes.fromhex(self.ref))
        return AwardToMany(batch, bytes.fromhex(self.signature))


class ReleaseBody(Body):
    """POST /releases: by anybody, once a pending award's time has come."""

    brand: BrandName
    ref: Hex32

    def action(self, token: TokenOf) -> ReleaseAward:
        return ReleaseAward(token(self.brand), bytes.fromhex(self.ref))


class CancellationBody(Body):
    """POST /cancellations: signed by the brand's issuer while the award waits."""

    brand: BrandName
    ref: Hex32
    signature: Signature

    def action(self, token: TokenOf) -> CancelAward:
        cancellation = Cancellation(token=token(self.brand), ref=bytes.fromhex(self.ref))
        return CancelAward(cancellation, bytes.fromhex(self.signature))


class RefundBody(Body):
    """POST /refunds: signed by the brand's issuer; a redemption is given back once."""

    brand: BrandName
    holder: AccountText
    id: Hex32
    signature: Signature

    def action(self, token: TokenOf) -> RefundPoints:
        refund = Refund(
            token=token(self.brand),
            holder=account_from(self.holder, "holder"),
            redemption_id=bytes.fromhex(self.id),
        )
        return RefundPoints(refund, bytes.fromhex(self.signature))


class ExpiryBody(Body):
    """POST /expiries: by anybody; the points of a holder inactive for the whole window."""

    brand: BrandName
    holder: AccountText
    attempt: Count

    def action(self, token: TokenOf) -> ExpirePoints:
        return ExpirePoints(token(self.brand), account_from(self.holder, "holder"), self.attempt)


class PolicyBody(Body):
    """POST /policies: signed by the admin, and accepted by the next one when it is another."""

    brand: BrandName
    admin: AccountText
    issuer: AccountText
    version: Version40
    earn_roots: AccountText = NOBODY
    capacity: Capacity = UNLIMITED
    refill: Refill = 0
    inactivity: Time = 0
    paused: Flag = False
    signature: Signature
    acceptance: Signature | None = None

    def action(self, token: TokenOf) -> GovernPoints:
        policy = Policy(
            token=token(self.brand),
            admin=account_from(self.admin, "admin"),
            issuer=account_from(self.issuer, "issuer"),
            version=self.version,
            earn_roots=account_from(self.earn_roots, "earn_roots"),
            capacity=self.capacity,
            refill_s=self.refill,
            inactivity_s=self.inactivity,
            is_paused=self.paused,
        )
        acceptance = b"" if self.acceptance is None else bytes.fromhex(self.acceptance)
        return GovernPoints(policy, bytes.fromhex(self.signature), acceptance)


class AwardPauseBody(Body):
    """POST /award-pauses: signed by the issuer or the admin; `version` of the policy in force."""

    brand: BrandName
    version: Version40
    signature: Signature

    def action(self, token: TokenOf) -> PauseAwards:
        pause = Pause(token=token(self.brand), version=self.version)
        return PauseAwards(pause, bytes.fromhex(self.signature))


class TradeBody(Body):
    """POST /trades: signed by both customers; Idempotency-Key repeats `id`."""

    maker: AccountText
    maker_receives: AccountText
    given: BrandName
    amount_given: Units
    taker: AccountText
    taker_receives: AccountText
    taken: BrandName
    amount_taken: Units
    deadline: Number64
    id: Hex32
    signature_maker: Signature
    signature_taker: Signature

    def action(self, token: TokenOf) -> FillTrade:
        trade = Trade(
            maker=account_from(self.maker, "maker"),
            maker_receives=account_from(self.maker_receives, "maker_receives"),
            given=token(self.given),
            amount_given=self.amount_given,
            taker=account_from(self.taker, "taker"),
            taker_receives=account_from(self.taker_receives, "taker_receives"),
            taken=token(self.taken),
            amount_taken=self.amount_taken,
            deadline=self.deadline,
            trade_id=bytes.fromhex(self.id),
        )
        signatures = (bytes.fromhex(self.signature_maker), bytes.fromhex(self.signature_taker))
        return FillTrade(trade, *signatures)
