"""The ledger's twin in memory: the contracts' rules as plain Python, and their events.

It is the reference model that the chain is tested against, and what tests use
where a chain would only cost time.
"""

from collections.abc import Callable
from copy import deepcopy
from threading import RLock

from counterfoil_credentials.errors import Reason, Refused

from counterfoil_loyalty.accounts import (
    NOBODY,
    Account,
    PointsSigner,
    contract_account,
)
from counterfoil_loyalty.actions import (
    Action,
    AgreeTerms,
    AwardPoints,
    AwardToMany,
    BrandAction,
    CancelAward,
    CreatePoints,
    ExpirePoints,
    GovernPoints,
    OpenExchange,
    PauseAwards,
    RedeemPoints,
    RefundPoints,
    ReleaseAward,
    SwapPoints,
    points_of,
)
from counterfoil_loyalty.keccak import keccak256
from counterfoil_loyalty.ledger import Block, Event, LedgerIdentity, Outcome, SignedTransaction
from counterfoil_loyalty.local_ledger import LocalLedger
from counterfoil_loyalty.memory_points import Log, MemoryPoints, require, require_signed
from counterfoil_loyalty.rates import Rate, makes_value
from counterfoil_loyalty.refusals import refusal


class _State:
    """What the contracts store."""

    def __init__(self) -> None:
        self.listings: dict[Account, tuple[Account, int]] = {}  # issuer, price
        self.points_of: dict[str, Account] = {}
        self.corridors: dict[tuple[Account, Account], tuple[Rate, int, int]] = {}
        self.points: dict[Account, MemoryPoints] = {}


class MemoryLedger(LocalLedger):
    """An `EmbeddedLedger` without a chain. `random` gives the relayer's key and the chain's id."""

    def __init__(self, *, now: int, random: Callable[[int], bytes]) -> None:
        relayer = PointsSigner(keccak256(random(32)))
        chain_id = int.from_bytes(random(6), "big") | 1
        genesis = keccak256(b"genesis" + random(32)).hex()
        self.identity = LedgerIdentity(chain_id, genesis, contract_account(relayer.account, 0))
        self._venue = self.identity.venue
        self._state = _State()
        self._blocks = [Block(0, genesis, "0" * 64, now, ())]
        self._actions: dict[str, Action] = {}
        self._waiting: dict[int, SignedTransaction] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._sequence = 0
        self._lock = RLock()

    def check(self, action: Action) -> None:
        with self._lock:
            self._apply(deepcopy(self._state), action, self._blocks[-1].at)

    def sign(self, action: Action, sequence: int) -> SignedTransaction:
        text = f"{self.identity.chain_id} {sequence} {action!r}"
        transaction = SignedTransaction(keccak256(text.encode()).hex(), sequence, text.encode())
        self._actions[transaction.transaction_id] = action
        return transaction

    def send(self, transaction: SignedTransaction) -> None:
        with self._lock:
            if transaction.transaction_id not in self._outcomes:
                self._waiting[transaction.sequence] = transaction

    def outcome(self, transaction: SignedTransaction) -> Outcome | None:
        return self._outcomes.get(transaction.transaction_id)

    def sequence(self) -> int:
        return self._sequence

    def head(self) -> int:
        return len(self._blocks) - 1

    def time(self) -> int:
        return self._blocks[-1].at

    def block(self, number: int) -> Block:
        return self._blocks[number]

    def balance(self, token: Account, account: Account) -> int:
        points = self._state.points.get(token)
        return 0 if points is None else points.balances[account]

    def supply(self, token: Account) -> int:
        with self._lock:
            points = self._state.points.get(token)
            return 0 if points is None else sum(points.balances.values())

    def make_block(self, now: int) -> bool:
        with self._lock:
            if now <= self._blocks[-1].at or self._sequence not in self._waiting:
                return False
            parent = self._blocks[-1]
            number = parent.number + 1
            events: list[Event] = []
            while (transaction := self._waiting.pop(self._sequence, None)) is not None:
                self._sequence += 1
                action = self._actions[transaction.transaction_id]
                attempt = deepcopy(self._state)
                reason: Reason | None = None
                try:
                    for log in self._apply(attempt, action, now):
                        values = (log.contract, log.name, log.values)
                        events.append(Event(transaction.transaction_id, len(events), *values))
                    self._state = attempt
                except Refused as refused:
                    reason = refused.reasons[0]
                self._outcomes[transaction.transaction_id] = Outcome(number, reason)
            block_id = keccak256(f"{parent.block_id} {number} {now} {events!r}".encode()).hex()
            self._blocks.append(Block(number, block_id, parent.block_id, now, tuple(events)))
            return True

    def _apply(self, state: _State, action: Action, now: int) -> list[Log]:
        match action:
            case OpenExchange():
                return []
            case CreatePoints():
                return self._create(state, action)
            case AgreeTerms():
                return self._agree(state, action)
            case SwapPoints():
                return self._swap(state, action, now)
            case _:
                return self._apply_to_points(state, action, now)

    def _create(self, state: _State, action: CreatePoints) -> list[Log]:
        registration = action.registration
        require(
            bool(registration.brand) and registration.issuer != NOBODY and registration.price > 0,
            "IncompleteRegistration",
        )
        require(registration.brand not in state.points_of, "BrandExists")
        self._require_brand(registration.issuer, action.digest(self._venue), action.signature)
        brand_hash = keccak256(registration.brand.encode())
        # The chain's CREATE2 address depends on bytecode; any address of its own will do here.
        token = contract_account(self.identity.exchange, int.from_bytes(brand_hash[:7], "big"))
        state.points_of[registration.brand] = token
        state.points[token] = MemoryPoints(token, registration.issuer)
        state.listings[token] = (registration.issuer, registration.price)
        values: dict[str, str | int] = {
            "token": token,
            "issuer": registration.issuer,
            "brand": registration.brand,
            "name": registration.name,
            "symbol": registration.symbol,
            "price": registration.price,
        }
        return [Log(self.identity.exchange, "PointsCreated", values)]

    def _agree(self, state: _State, action: AgreeTerms) -> list[Log]:
        terms = action.terms
        pair = (terms.token_in, terms.token_out)
        require(terms.token_in != terms.token_out, "SamePoints")
        require(all(token in state.listings for token in pair), "UnknownPoints")
        (issuer_in, price_in), (issuer_out, price_out) = (state.listings[token] for token in pair)
        require((terms.price_in, terms.price_out) == (price_in, price_out), "PriceMismatch")
        require(terms.rate.is_fair(price_in, price_out), "UnfairRate")
        _, version, _ = state.corridors.get(pair, (None, 0, 0))
        require(terms.version > version, "OldVersion")
        digest = action.digest(self._venue)
        self._require_brand(issuer_in, digest, action.signature_in)
        self._require_brand(issuer_out, digest, action.signature_out)
        state.corridors[pair] = (terms.rate, terms.version, terms.ends_at)
        values: dict[str, str | int] = {
            "from": terms.token_in,
            "to": terms.token_out,
            "numerator": terms.rate.numerator,
            "denominator": terms.rate.denominator,
            "version": terms.version,
            "endsAt": terms.ends_at,
        }
        return [Log(self.identity.exchange, "Agreed", values)]

    def _apply_to_points(self, state: _State, action: BrandAction, now: int) -> list[Log]:
        # A call to a contract that does not exist is the chain's own kind of failure.
        points = state.points.get(points_of(action))
        if points is None:
            raise Refused(refusal("UnknownPoints"))
        match action:
            case ReleaseAward():
                return points.release(action.ref, now)
            case ExpirePoints():
                return points.expire(action.holder, now)
            case _:
                digest = action.digest(self._venue)
        match action:
            case AwardPoints(award=it, signature=signature):
                return points.award(it, digest, signature, now)
            case AwardToMany(batch=it, signature=signature):
                return points.award_batch(it, digest, signature, now)
            case CancelAward(cancellation=it, signature=signature):
                return points.cancel(it, digest, signature, now)
            case RefundPoints(refund=it, signature=signature):
                return points.refund(it, digest, signature, now)
            case RedeemPoints(redemption=it, signature=signature):
                return points.redeem(it, digest, it.authorization(self._venue), signature, now)
            case GovernPoints(policy=it, signature=signature, acceptance=acceptance):
                return points.govern(it, digest, signature, acceptance, now)
            case PauseAwards(pause=it, signature=signature):
                return points.pause(it, digest, signature)

    def _swap(self, state: _State, action: SwapPoints, now: int) -> list[Log]:
        swap = action.swap
        pair = (swap.token_in, swap.token_out)
        require(pair in state.corridors, "NoCorridor")
        rate, version, ends_at = state.corridors[pair]
        require(now < ends_at, "NoCorridor")
        require(swap.version == version, "TermsChanged")
        out = rate.of(swap.amount_in)
        require(out > 0, "NothingOut")
        require(out >= swap.least_out, "BelowMinimum")
        (_, price_in), (_, price_out) = (state.listings[token] for token in pair)
        require(not makes_value(swap.amount_in, price_in, out, price_out), "ValueCreated")
        intent = action.digest(self._venue)
        spent = state.points[swap.token_in].spend(
            swap.holder,
            swap.amount_in,
            deadline=swap.deadline,
            intent=intent,
            authorization=swap.authorization(self._venue),
            signature=action.signature,
            now=now,
        )
        minted = state.points[swap.token_out].exchange_mint(swap.recipient, out, now)
        values: dict[str, str | int] = {
            "intent": intent.hex(),
            "holder": swap.holder,
            "recipient": swap.recipient,
            "from": swap.token_in,
            "to": swap.token_out,
            "amountIn": swap.amount_in,
            "amountOut": out,
            "version": version,
            "value": out * price_out,
        }
        return [*spent, *minted, Log(self.identity.exchange, "Swapped", values)]

    def _require_brand(self, issuer: Account, digest: bytes, signature: bytes) -> None:
        require_signed(issuer, digest, signature, "InvalidBrandSignature")
