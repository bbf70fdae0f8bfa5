"""The points service's decisions: what is asked, who may ask it, what is answered.

    earn     award(...)   -> Awarded      signed by the brand
    look     balances(...), history(...)
    exchange quote(...)   -> Quote        then exchange(...) -> Exchanged, signed by the customer
    redeem   redeem(...)  -> Voucher      signed by the customer
    give     transfer(...) -> Given       signed by the customer

The service holds no key of a brand or of a customer. Each request is complete
in itself and may be sent again: it happens once and gets the same answer. What
is not in a block yet after a while is answered `Pending`; send it again.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from counterfoil_credentials.errors import Misuse, Reason, Refused, Unavailable

from counterfoil_loyalty.accounts import Account, require_signature
from counterfoil_loyalty.actions import (
    Action,
    AgreeTerms,
    AwardPoints,
    CommonAction,
    CreatePoints,
    FillTrade,
    RedeemPoints,
    SwapPoints,
    TransferPoints,
)
from counterfoil_loyalty.common_contracts import OpenContract
from counterfoil_loyalty.earn_lists import EarnLists, MemoryEarnLists
from counterfoil_loyalty.intents import Award, Redemption, Registration, Swap, Terms
from counterfoil_loyalty.keccak import SECRET_BYTES
from counterfoil_loyalty.ledger import Block, Cover, LedgerIdentity
from counterfoil_loyalty.pending_awards import PendingAward
from counterfoil_loyalty.programme_rules import Use
from counterfoil_loyalty.rates import PERIOD_S, Rate, makes_value
from counterfoil_loyalty.refusals import refusal
from counterfoil_loyalty.relayer import KEY_CONFLICT, Relayer
from counterfoil_loyalty.rules_book import MemoryRulesBook, RulesBook
from counterfoil_loyalty.rules_desk import RulesDesk
from counterfoil_loyalty.standing import Standing, standing_of
from counterfoil_loyalty.store import Brand, Corridor, Movement, Placed, PointsStore
from counterfoil_loyalty.supply_growth import Growth
from counterfoil_loyalty.transfers import Transfer

MAX_INTENT_AGE_S = 7 * 86_400
"""How far ahead a customer's deadline may lie: a signature must not wait for a better day."""

QUOTE_LASTS_S = 600

MAX_LEAD_S = 2
"""How far the chain's time may be ahead of the clock; it is, when the clock was once wrong."""

EVENT_PAGE = 300
"""Events in one answer, rounded up to whole blocks: with the fullest block, below 1 MiB."""

BLOCK_PAGE = 200

STALLED_AFTER_S = 30
"""For how long an entry may wait for its block before the service is not well."""


@dataclass(frozen=True, slots=True)
class Pending:
    """Taken in, signed and stored, and not in a block yet: send the same request again."""

    key: str


@dataclass(frozen=True, slots=True)
class Done:
    """What was asked for stands in a block."""

    transaction_id: str


@dataclass(frozen=True, slots=True)
class Health:
    """How the service is: newest block, newest final one, its time's lead, the oldest wait."""

    block: int
    final: int
    ahead_s: int
    waited_s: int

    @property
    def is_well(self) -> bool:
        return self.ahead_s <= MAX_LEAD_S and self.waited_s <= STALLED_AFTER_S


@dataclass(frozen=True, slots=True)
class Awarded:
    """Points were earned. `ref` is 64 hex digits."""

    brand: str
    account: Account
    units: int
    ref: str
    transaction_id: str


@dataclass(frozen=True, slots=True)
class Quote:
    """What an exchange would give now, and until when it is worth signing (unix seconds).

    `cover` is what stands behind it: what the giving brand may owe the other at most.
    """

    brand_in: Brand
    brand_out: Brand
    units_in: int
    units_out: int
    rate: Rate
    version: int
    expires_at: int
    cover: Cover


@dataclass(frozen=True, slots=True)
class Exchanged:
    """Points of one brand became points of another; `value` is what the first owes the second."""

    brand_in: str
    units_in: int
    brand_out: str
    units_out: int
    value: int
    intent: str
    transaction_id: str


@dataclass(frozen=True, slots=True)
class Voucher:
    """Points were redeemed. `reference` is what the customer shows at the counter."""

    reference: str
    brand: str
    units: int
    redemption_id: str
    transaction_id: str


@dataclass(frozen=True, slots=True)
class Given:
    """Points went from one customer to another."""

    brand: str
    units: int
    transfer_id: str
    transaction_id: str


class PointsService:
    """Everything the HTTP face does, without HTTP. Safe for several threads.

    `voucher_secret` (32 bytes or more) makes vouchers unguessable. It stays the
    same for ever: a redemption sent again is answered with the same voucher.
    """

    def __init__(
        self,
        relayer: Relayer,
        store: PointsStore,
        clock: Callable[[], int],
        *,
        voucher_secret: bytes,
        rules: RulesBook | None = None,
        earn_lists: EarnLists | None = None,
        patience_s: float = 8,
    ) -> None:
        if len(voucher_secret) < SECRET_BYTES:
            text = f"expected at least {SECRET_BYTES} secret bytes, found {len(voucher_secret)}"
            raise Misuse(text)
        self.relayer = relayer
        self._store = store
        self._clock = clock
        self._voucher_secret = voucher_secret
        self._patience_s = patience_s
        self._before: tuple[int, Mapping[Account, int]] | None = None
        self.earn_lists = earn_lists or MemoryEarnLists()
        self.rules = RulesDesk(rules or MemoryRulesBook(), store, lambda: self.identity.venue)

    @property
    def identity(self) -> LedgerIdentity:
        return self.relayer.ledger.identity

    def register(self, registration: Registration, signature: bytes) -> Brand | Pending:
        """Bring a brand's points into being, once per brand."""
        action = CreatePoints(registration, signature)
        action.require_signed(self.identity.venue)
        entry = self._done(action)
        return self.brand(registration.brand) if entry else Pending(action.key)

    def agree(self, terms: Terms, signature_in: bytes, signature_out: bytes) -> Corridor | Pending:
        """Put terms into force that both brands signed."""
        for token, signature in ((terms.token_in, signature_in), (terms.token_out, signature_out)):
            issuer = self._brand_of(token).issuer
            require_signature(issuer, terms.digest(self.identity.venue), signature, "terms")
        action = AgreeTerms(terms, signature_in, signature_out)
        entry = self._done(action)
        rate, version, ends_at = terms.rate, terms.version, terms.ends_at
        corridor = Corridor(terms.token_in, terms.token_out, rate, version, ends_at)
        return corridor if entry else Pending(action.key)

    def award(self, award: Award, signature: bytes) -> Awarded | Pending:
        """Mint what the brand signed for, exactly once per ref."""
        brand = self._brand_of(award.token)
        digest = award.digest(self.identity.venue)
        policy = self.standing().brand(brand.token).policy
        issuer = brand.issuer if policy is None else policy.issuer
        require_signature(issuer, digest, signature, "award.signature")
        action = AwardPoints(award, signature)
        for earlier in self._older_than_outbox(action, "awarded", award.ref):
            if earlier.token == award.token:
                _require_same((earlier.account, earlier.units), (award.to, award.amount))
                return _awarded(brand, award, earlier.transaction_id)
        if self._is_new(action):
            self.rules.count(brand, award, at=self._clock())
        try:
            entry = self._done(action)
        except Refused as error:
            if error.codes != [KEY_CONFLICT]:
                self.rules.uncount(award)
            raise
        if entry is None:
            return Pending(action.key)
        return _awarded(brand, award, entry.transaction.transaction_id)

    def quote(self, brand_in: str, brand_out: str, units_in: int) -> Quote:
        """Give what an exchange would give now; the signed intent decides what it does give."""
        giver, taker = self.brand(brand_in), self.brand(brand_out)
        self.rules.require_use(giver, Use.EXCHANGE)
        now = self._clock()
        for corridor in self.corridors():
            pair = (corridor.token_in, corridor.token_out)
            if pair == (giver.token, taker.token) and now < corridor.ends_at:
                if self.standing().paused_by(pair):
                    raise Refused(refusal("CorridorPaused", "quote"))
                units_out = corridor.rate.of(units_in)
                if units_out == 0:
                    raise Refused(refusal("NothingOut", "quote"))
                if makes_value(units_in, giver.price, units_out, taker.price):
                    raise Refused(refusal("ValueCreated", "quote"))
                cover = self.relayer.ledger.cover(*pair)
                if cover.owed + units_out * taker.price > cover.credit + cover.reserve:
                    raise Refused(refusal("CreditExceeded", "quote"))
                expires_at = min(now + QUOTE_LASTS_S, corridor.ends_at)
                amounts = (units_in, units_out, corridor.rate, corridor.version, expires_at)
                return Quote(giver, taker, *amounts, cover)
        raise Refused(refusal("NoCorridor", "quote"))

    def exchange(self, swap: Swap, signature: bytes) -> Exchanged | Pending:
        """Exchange what the customer signed for, at or above their minimum or not at all."""
        action = SwapPoints(swap, signature)
        action.require_signed(self.identity.venue)
        giver, taker = self._brand_of(swap.token_in), self._brand_of(swap.token_out)
        intent = swap.digest(self.identity.venue)
        earlier = self._older_than_outbox(action, "exchanged", intent)
        if earlier:
            transaction_id = earlier[0].transaction_id
        else:
            if self._is_new(action):
                self.rules.require_use(giver, Use.EXCHANGE)
            self._require_timely(action, swap.deadline)
            entry = self._done(action)
            if entry is None:
                return Pending(action.key)
            transaction_id = entry.transaction.transaction_id
        moved = {it.token: it.units for it in self._store.movements(transaction_id)}
        units_out = moved[taker.token]
        return Exchanged(
            brand_in=giver.brand,
            units_in=-moved[giver.token],
            brand_out=taker.brand,
            units_out=units_out,
            value=units_out * taker.price,
            intent=intent.hex(),
            transaction_id=transaction_id,
        )

    def redeem(
        self, redemption: Redemption, signature: bytes, use: Use | None = None
    ) -> Voucher | Pending:
        """Turn points into a voucher, once per redemption id; a repeat gives the same voucher.

        Where the brand has rules, `use` is one that they allow.
        """
        action = RedeemPoints(redemption, signature)
        action.require_signed(self.identity.venue)
        brand = self._brand_of(redemption.token)
        for earlier in self._older_than_outbox(action, "redeemed", redemption.redemption_id):
            if (earlier.token, earlier.account) == (redemption.token, redemption.holder):
                _require_same(earlier.units, -redemption.amount)
                return self._voucher(brand, redemption, earlier.transaction_id)
        self._require_timely(action, redemption.deadline)
        if self._is_new(action):
            reference = voucher_reference(redemption, secret=self._voucher_secret)
            self.rules.note_use(brand, redemption, use, reference=reference)
        entry = self._done(action)
        if entry is None:
            return Pending(action.key)
        return self._voucher(brand, redemption, entry.transaction.transaction_id)

    def transfer(self, transfer: Transfer, signature: bytes) -> Given | Pending:
        """Give points to another customer, once per transfer id; nobody can take them back."""
        action = TransferPoints(transfer, signature)
        action.require_signed(self.identity.venue)
        brand = self._brand_of(transfer.token)
        for earlier in self._older_than_outbox(action, "transferred", transfer.nonce):
            if (earlier.token, earlier.account) == (transfer.token, transfer.giver):
                known = (earlier.units, earlier.other_account)
                _require_same(known, (-transfer.amount, transfer.taker))
                return _given(brand, transfer, earlier.transaction_id)
        if transfer.taker in self._our_contracts():
            # Nobody has a key for these: points that went there would be lost.
            raise Refused(refusal("ERC20InvalidReceiver", "transfer"))
        self._require_timely(action, transfer.deadline)
        entry = self._done(action)
        if entry is None:
            return Pending(action.key)
        return _given(brand, transfer, entry.transaction.transaction_id)

    def perform(self, action: Action) -> Done | Pending:
        """See an action through that the ledger alone judges, signatures and all.

        It is checked before it is stored: what nobody signed leaves no trace. The
        same again is answered as it was the first time. A contract that all brands share
        is made when it is first needed.
        """
        try:
            entry = self._done(action)
        except Refused as error:
            if error.codes != ["contract-missing"] or not isinstance(action, CommonAction):
                raise
            opened = self._done(OpenContract(action.contract))
            entry = None if opened is None else self._done(action)
        if entry is None:
            return Pending(action.key)
        return Done(entry.transaction.transaction_id)

    def trade(self, action: FillTrade) -> Done | Pending:
        """Let two customers trade what both signed, whole or not at all."""
        ours = self._our_contracts()
        if action.trade.maker_receives in ours or action.trade.taker_receives in ours:
            raise Refused(refusal("ERC20InvalidReceiver", "trade"))
        self._require_timely(action, action.trade.deadline)
        action.require_signed(self.identity.venue)
        return self.perform(action)

    def standing(self) -> Standing:
        """Give what stands between brands now: pauses, limits, what was announced."""
        return standing_of(self._store.standing())

    def cover(self, debtor: str, creditor: str) -> Cover:
        """Give what one brand owes another now, and what stands behind it."""
        return self.relayer.ledger.cover(self.brand(debtor).token, self.brand(creditor).token)

    def clearing_sequence(self, brand: str) -> int:
        """Give the number of what a brand signs next about money in the clearing."""
        return self.relayer.ledger.clearing_sequence(self.brand(brand).token)

    def brands(self) -> Sequence[Brand]:
        return self._store.brands()

    def brand(self, name: str) -> Brand:
        """Give a brand by its public name; raises `Refused` for an unknown one."""
        for brand in self._store.brands():
            if brand.brand == name:
                return brand
        raise Refused(Reason("unknown-brand", "a brand with points here", "another", "brand"))

    def corridors(self) -> Sequence[Corridor]:
        """Give the terms in force; an end that a brand brought forward is the end."""
        standing = self.standing().corridors
        found: list[Corridor] = []
        for it in self._store.corridors():
            now = standing.get((it.token_in, it.token_out))
            found.append(it if now is None else replace(it, ends_at=now.ends_at))
        return found

    def balances(self, account: Account) -> Mapping[Account, int]:
        return self._store.balances(account)

    def history(self, account: Account, *, after: int, limit: int) -> Sequence[Movement]:
        return self._store.history(account, after=after, limit=limit)

    def pending_awards(self, account: Account) -> Sequence[PendingAward]:
        return self._store.pending_awards(account)

    def supplies(self) -> Mapping[Account, int]:
        return self._store.supplies()

    def growths(self) -> Sequence[Growth]:
        """Give how each brand's points grew in the last period."""
        now, minute = self.supplies(), self._clock() // 60
        if self._before is None or self._before[0] != minute:
            # A period's movements are read for it: once a minute, whoever asks.
            grown = self._store.grown_since(self._clock() - PERIOD_S)
            self._before = (minute, {it: now[it] - grown.get(it, 0) for it in now})
        before = self._before[1]
        return [
            Growth(it.brand, before.get(it.token, 0), now.get(it.token, 0)) for it in self.brands()
        ]

    def blocks(self, after: int) -> tuple[Sequence[Block], bool]:
        """Give a page of blocks above `after`, oldest first, and whether there are more.

        A page ends with the block that brings it to `EVENT_PAGE` events, or after
        `BLOCK_PAGE` blocks. It is read from the ledger itself, not from our projection.
        """
        ledger = self.relayer.ledger
        head, final = ledger.head(), ledger.final()
        page: list[Block] = []
        number, last, events = after + 1, min(head, after + BLOCK_PAGE), 0
        while number <= last and events < EVENT_PAGE:
            # What is final is asked for by ranges: a node answers one question for many blocks.
            is_final = number <= final
            found = ledger.final_blocks(number, min(final, last)) if is_final else ()
            for block in found or [ledger.block(number)]:
                page.append(block)
                events += len(block.events)
                if events >= EVENT_PAGE:
                    break
            number = page[-1].number + 1
        return page, bool(page) and page[-1].number < head

    def health(self) -> Health:
        now = self._clock()
        ahead_s = max(0, self.relayer.ledger.time() - now)
        ledger = self.relayer.ledger
        return Health(ledger.head(), ledger.final(), ahead_s, self.relayer.waited_s(now))

    def _done(self, action: Action) -> Placed | None:
        """See an action through: its entry once it is done, None while it is pending.

        Raises `Unavailable` for one that is not done while the chain's time is
        ahead of the clock: no block can be made until the clock has caught up.
        """
        known = self._store.placed(action.key)
        if known is None or known.outcome is None:
            self._require_time()
        entry = self.relayer.accept(action)
        if entry.outcome is None:
            entry = self.relayer.wait_for(action.key, self._patience_s) or entry
        if entry.outcome is None:
            return None
        if entry.outcome.reason is not None:
            raise Refused(entry.outcome.reason)
        return entry

    def _is_new(self, action: Action) -> bool:
        """Tell whether `action` is not under way, nor done: rules are asked before it is."""
        known = self._store.placed(action.key)
        return known is None or (known.outcome is not None and known.outcome.reason is not None)

    def _require_time(self) -> None:
        lead_s = self.relayer.ledger.time() - self._clock()
        if lead_s > MAX_LEAD_S:
            text = (
                f"expected chain time at most {MAX_LEAD_S} s ahead of this service's clock, "
                f"found that chain time is ahead by {lead_s} s"
            )
            raise Unavailable(text)

    def _older_than_outbox(self, action: Action, kind: str, reference: bytes) -> Sequence[Movement]:
        """Give what the ledger moved for an action that the outbox does not know, or saw fail.

        There is something only when the outbox was lost, or when another relayer
        sent the action: then the ledger's word is the answer.
        """
        if not self._is_new(action):
            return ()
        return self._store.moved_for(kind, reference.hex())

    def _our_contracts(self) -> set[Account]:
        identity = self.identity
        tokens = {brand.token for brand in self._store.brands()}
        return {identity.exchange, identity.clearing, identity.peer_swap, *tokens}

    def _require_timely(
        self, action: SwapPoints | RedeemPoints | TransferPoints | FillTrade, deadline: int
    ) -> None:
        """Refuse a new intent past its deadline, or one that would lie about for too long."""
        if self._store.placed(action.key) is not None:
            return
        now = self._clock()
        if deadline <= now:
            raise Refused(refusal("ERC3009InvalidAuthorizationTime", "deadline"))
        if deadline > now + MAX_INTENT_AGE_S:
            days = MAX_INTENT_AGE_S // 86_400
            raise Refused(
                Reason("deadline-too-far", f"a deadline within {days} days", "later", "deadline")
            )

    def _voucher(self, brand: Brand, redemption: Redemption, transaction_id: str) -> Voucher:
        return Voucher(
            reference=voucher_reference(redemption, secret=self._voucher_secret),
            brand=brand.brand,
            units=redemption.amount,
            redemption_id=redemption.redemption_id.hex(),
            transaction_id=transaction_id,
        )

    def _brand_of(self, token: Account) -> Brand:
        for brand in self._store.brands():
            if brand.token == token:
                return brand
        raise Refused(refusal("UnknownPoints", "brand"))


def voucher_reference(redemption: Redemption, *, secret: bytes) -> str:
    """Give the voucher's reference: 16 letters and digits, the same for each repeat.

    Everybody reads redemptions on the chain, and a voucher is worth what it
    says to whoever shows it: so it is an HMAC under the service's `secret`.
    """
    named = f"voucher {redemption.token} {redemption.holder} {redemption.redemption_id.hex()}"
    letters = base64.b32encode(hmac.digest(secret, named.encode(), hashlib.sha256)[:10]).decode()
    return "-".join(letters[start : start + 4] for start in range(0, 16, 4))


def _awarded(brand: Brand, award: Award, transaction_id: str) -> Awarded:
    return Awarded(brand.brand, award.to, award.amount, award.ref.hex(), transaction_id)


def _given(brand: Brand, transfer: Transfer, transaction_id: str) -> Given:
    return Given(brand.brand, transfer.amount, transfer.transfer_id.hex(), transaction_id)


def _require_same(known: object, asked: object) -> None:
    if known != asked:
        raise Refused(Reason(KEY_CONFLICT, "what was first done with this key", "another", "key"))
