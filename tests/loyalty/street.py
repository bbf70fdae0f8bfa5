"""Five brands on any ledger, a customer of all of them, and every action signed as it must be."""

from __future__ import annotations

from dataclasses import dataclass, field

from counterfoil_credentials.errors import Reason
from counterfoil_loyalty.accounts import Account, PointsAccounts, PointsSigner
from counterfoil_loyalty.actions import (
    OPENING,
    AcknowledgePayment,
    Action,
    AgreeTerms,
    AwardPoints,
    ChangePrice,
    CreatePoints,
    PauseExchange,
    SwapPoints,
    TightenCorridor,
)
from counterfoil_loyalty.claims import Acknowledgement
from counterfoil_loyalty.corridors import ExchangePause, PriceChange, Tightening
from counterfoil_loyalty.intents import (
    Award,
    Registration,
    Swap,
    Terms,
    Venue,
    sign_by_brand,
    sign_by_customer,
)
from counterfoil_loyalty.rates import Limits, Rate

from tests.loyalty.evm import Acting
from tests.loyalty.programme import NOW, changed

NAMES = tuple(f"https://{name}.example" for name in ("audio", "bicycle", "coat", "desk", "egg"))
PRICES = (100, 37, 1_009, 5_000, 64)
SIGNERS = tuple(PointsSigner(bytes([index + 1]) * 32) for index in range(5))
CUSTOMER = PointsAccounts(b"customer" * 4)
FOR_EVER = NOW + 10**9
WIDE = Limits(quota=10**12, customer_quota=10**12, epoch_s=3_600, notice_s=86_400, credit=10**16)


@dataclass
class FiveBrands:
    """The brands by number, 0 to 4; `now` is when the next action happens."""

    ledger: Acting
    now: int = NOW
    tokens: list[Account] = field(default_factory=list[Account])
    sequences: list[int] = field(default_factory=lambda: [0] * 5)

    @property
    def venue(self) -> Venue:
        return self.ledger.identity.venue

    def open(self) -> FiveBrands:
        for opening in OPENING:
            assert self.act(opening) is None
        for name, price, signer in zip(NAMES, PRICES, SIGNERS, strict=True):
            registration = Registration(
                brand=name, name=name, symbol="P", issuer=signer.account, price=price
            )
            action = CreatePoints(registration, sign_by_brand(registration, self.venue, signer))
            assert self.act(action) is None
            self.tokens.append(Account(str(self.ledger.events[-1].values["token"])))
        return self

    def act(self, action: Action) -> Reason | None:
        self.now += 1
        return self.ledger.act(action, self.now)

    def account(self, brand: int) -> Account:
        return CUSTOMER.of(NAMES[brand]).account

    def held(self, brand: int) -> int:
        return self.ledger.balance(self.tokens[brand], self.account(brand))

    def owed(self, debtor: int, creditor: int) -> int:
        return self.ledger.cover(self.tokens[debtor], self.tokens[creditor]).owed

    def award(self, brand: int, amount: int, ref: int) -> AwardPoints:
        award = Award(
            token=self.tokens[brand],
            to=self.account(brand),
            amount=amount,
            ref=ref.to_bytes(32, "big"),
        )
        return AwardPoints(award, sign_by_brand(award, self.venue, SIGNERS[brand]))

    def terms(
        self,
        giver: int,
        taker: int,
        rate: Rate,
        version: int,
        *,
        prices: tuple[int, int] | None = None,
        ends_at: int = FOR_EVER,
        limits: Limits = WIDE,
    ) -> AgreeTerms:
        price_in, price_out = prices or (PRICES[giver], PRICES[taker])
        terms = Terms(
            token_in=self.tokens[giver],
            token_out=self.tokens[taker],
            rate=rate,
            price_in=price_in,
            price_out=price_out,
            version=version,
            ends_at=ends_at,
            limits=limits,
        )
        signatures = (sign_by_brand(terms, self.venue, SIGNERS[it]) for it in (giver, taker))
        return AgreeTerms(terms, *signatures)

    def swap(
        self, giver: int, taker: int, amount: int, version: int, number: int, **changes: object
    ) -> SwapPoints:
        swap = Swap(
            holder=self.account(giver),
            token_in=self.tokens[giver],
            token_out=self.tokens[taker],
            amount_in=amount,
            least_out=0,
            recipient=self.account(taker),
            version=version,
            deadline=FOR_EVER,
            swap_id=number.to_bytes(32, "big"),
        )
        swap = changed(swap, changes)
        return SwapPoints(swap, sign_by_customer(swap, self.venue, CUSTOMER.of(NAMES[giver])))

    def price(self, brand: int, price: int, version: int) -> ChangePrice:
        change = PriceChange(token=self.tokens[brand], price=price, version=version)
        return ChangePrice(change, sign_by_brand(change, self.venue, SIGNERS[brand]))

    def pause(self, brand: int, *, paused: bool, sequence: int) -> PauseExchange:
        pause = ExchangePause(token=self.tokens[brand], paused=paused, sequence=sequence)
        return PauseExchange(pause, sign_by_brand(pause, self.venue, SIGNERS[brand]))

    def tighten(
        self, giver: int, taker: int, by: int, *, sequence: int, paused: bool = False, **limits: int
    ) -> TightenCorridor:
        tightening = Tightening(
            by=self.tokens[by],
            token_in=self.tokens[giver],
            token_out=self.tokens[taker],
            paused=paused,
            sequence=sequence,
            **limits,
        )
        return TightenCorridor(tightening, sign_by_brand(tightening, self.venue, SIGNERS[by]))

    def paid(self, debtor: int, creditor: int, value: int, ref: int) -> AcknowledgePayment:
        paid = Acknowledgement(
            debtor=self.tokens[debtor],
            creditor=self.tokens[creditor],
            value=value,
            ref=ref.to_bytes(32, "big"),
        )
        return AcknowledgePayment(paid, sign_by_brand(paid, self.venue, SIGNERS[creditor]))
