"""A small programme: two brands, a customer, and signed actions of each kind."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, TypeVar

from counterfoil_loyalty.accounts import Account, PointsAccounts, PointsSigner
from counterfoil_loyalty.actions import (
    OPENING,
    Action,
    AgreeTerms,
    AwardPoints,
    CreatePoints,
    RedeemPoints,
    SwapPoints,
)
from counterfoil_loyalty.intents import (
    Award,
    Redemption,
    Registration,
    Swap,
    Terms,
    Venue,
    sign_by_brand,
    sign_by_customer,
)
from counterfoil_loyalty.keccak import award_ref
from counterfoil_loyalty.ledger import EmbeddedLedger, Outcome
from counterfoil_loyalty.rates import Rate

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Value = TypeVar("_Value", bound="DataclassInstance")

NOW = 1_800_000_000
AUDIO = "https://audio.example"
BICYCLE = "https://bicycle.example"
DAY = 86_400
SECRET = b"audio's secret for its award refs"


def seeded(seed: str) -> Callable[[int], bytes]:
    """Give randomness that is the same in each run."""
    numbers = count()

    def random(size: int) -> bytes:
        return hashlib.shake_256(f"{seed} {next(numbers)}".encode()).digest(size)

    return random


def changed(value: _Value, change: Mapping[str, object]) -> _Value:
    """Give the value with one thing changed; what was signed stays signed as it was."""
    return replace(value, **change)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: int) -> None:
        self.now += seconds


@dataclass
class Programme:
    """The ledger with two brands and their signers; every action is signed as it must be."""

    ledger: EmbeddedLedger
    clock: Clock
    audio: PointsSigner
    bicycle: PointsSigner
    customer: PointsAccounts
    tokens: dict[str, Account]

    @property
    def venue(self) -> Venue:
        return self.ledger.identity.venue

    def issuer(self, brand: str) -> PointsSigner:
        return {AUDIO: self.audio, BICYCLE: self.bicycle}[brand]

    def perform(self, action: Action) -> Outcome:
        """Send one action and give what became of it, one second later."""
        transaction = self.ledger.sign(action, self.ledger.sequence())
        self.ledger.send(transaction)
        self.clock.advance(1)
        assert self.ledger.make_block(self.clock.now)
        outcome = self.ledger.outcome(transaction)
        assert outcome is not None
        return outcome

    def registration(self, brand: str, /, **changed: object) -> CreatePoints:
        known = {
            AUDIO: {"name": "Auricle Points", "symbol": "AUR", "price": 100},
            BICYCLE: {"name": "Velo Miles", "symbol": "VEL", "price": 50},
        }[brand]
        values = {"brand": brand, "issuer": self.issuer(brand).account, **known, **changed}
        registration = Registration(**values)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]  # by name
        return CreatePoints(
            registration, sign_by_brand(registration, self.venue, self.issuer(brand))
        )

    def terms(self, giver: str = AUDIO, taker: str = BICYCLE, /, **changed: object) -> AgreeTerms:
        prices = {AUDIO: 100, BICYCLE: 50}
        values = {
            "token_in": self.tokens[giver],
            "token_out": self.tokens[taker],
            "rate": Rate(3, 2),
            "price_in": prices[giver],
            "price_out": prices[taker],
            "version": 1,
            "ends_at": NOW + 30 * DAY,
            **changed,
        }
        terms = Terms(**values)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]  # by name
        return AgreeTerms(
            terms,
            sign_by_brand(terms, self.venue, self.issuer(giver)),
            sign_by_brand(terms, self.venue, self.issuer(taker)),
        )

    def award(
        self,
        amount: int = 1_000,
        order: str = "1001",
        *,
        brand: str = AUDIO,
        to: Account | None = None,
        signer: PointsSigner | None = None,
    ) -> AwardPoints:
        award = Award(
            token=self.tokens[brand],
            to=self.customer.of(brand).account if to is None else to,
            amount=amount,
            ref=award_ref(brand, order, "purchase", secret=SECRET),
        )
        signer = signer or self.issuer(brand)
        return AwardPoints(award, sign_by_brand(award, self.venue, signer))

    def swap(
        self, amount: int = 200, giver: str = AUDIO, taker: str = BICYCLE, /, **changed: object
    ) -> SwapPoints:
        signer = self.customer.of(giver)
        values = {
            "holder": signer.account,
            "token_in": self.tokens[giver],
            "token_out": self.tokens[taker],
            "amount_in": amount,
            "least_out": 1,
            "recipient": self.customer.of(taker).account,
            "version": 1,
            "deadline": NOW + DAY,
            "swap_id": b"s" * 32,
            **changed,
        }
        swap = Swap(**values)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]  # by name
        return SwapPoints(swap, sign_by_customer(swap, self.venue, signer))

    def redemption(
        self, amount: int = 100, brand: str = AUDIO, /, **changed: object
    ) -> RedeemPoints:
        signer = self.customer.of(brand)
        values = {
            "token": self.tokens[brand],
            "holder": signer.account,
            "amount": amount,
            "redemption_id": b"r" * 32,
            "deadline": NOW + DAY,
            **changed,
        }
        redemption = Redemption(**values)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]  # by name
        return RedeemPoints(redemption, sign_by_customer(redemption, self.venue, signer))

    def open(self) -> Programme:
        """Bring the exchange, both brands and one corridor into being."""
        for opening in OPENING:
            assert self.perform(opening).reason is None
        for brand in (AUDIO, BICYCLE):
            outcome = self.perform(self.registration(brand))
            created = self.ledger.block(outcome.block).events[0]
            self.tokens[brand] = Account(str(created.values["token"]))
        assert self.perform(self.terms()).reason is None
        return self

    def balance(self, brand: str = AUDIO) -> int:
        return self.ledger.balance(self.tokens[brand], self.customer.of(brand).account)


def programme_on(ledger: EmbeddedLedger, clock: Clock) -> Programme:
    return Programme(
        ledger,
        clock,
        PointsSigner(b"\x01" * 32),
        PointsSigner(b"\x02" * 32),
        PointsAccounts(b"customer " * 4),
        {},
    )
