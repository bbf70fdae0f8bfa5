"""The ledger's twin in memory: the contracts' rules as plain Python, and their events.

It is the reference model that the chain is tested against, and what tests use
where a chain would only cost time.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from threading import RLock

from counterfoil_credentials.errors import Reason, Refused

from counterfoil_loyalty.accounts import (
    NOBODY,
    Account,
    PointsSigner,
    contract_account,
    require_signature,
)
from counterfoil_loyalty.actions import (
    Action,
    AgreeTerms,
    AwardPoints,
    CreatePoints,
    OpenExchange,
    RedeemPoints,
    SwapPoints,
)
from counterfoil_loyalty.intents import intent_nonce
from counterfoil_loyalty.keccak import keccak256
from counterfoil_loyalty.ledger import Block, Event, LedgerIdentity, Outcome, SignedTransaction
from counterfoil_loyalty.rates import Rate, makes_value
from counterfoil_loyalty.refusals import refusal


class _State:
    """What the contracts store."""

    def __init__(self) -> None:
        self.listings: dict[Account, tuple[Account, int]] = {}  # issuer, price
        self.points_of: dict[str, Account] = {}
        self.corridors: dict[tuple[Account, Account], tuple[Rate, int, int]] = {}
        self.balances: defaultdict[tuple[Account, Account], int] = defaultdict(int)
        self.awarded: set[tuple[Account, bytes]] = set()
        self.redeemed: set[tuple[Account, Account, bytes]] = set()
        self.nonces: set[tuple[Account, Account, bytes]] = set()


@dataclass(frozen=True)
class _Log:
    contract: Account
    name: str
    values: Mapping[str, str | int]


class MemoryLedger:
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
        return self._state.balances[token, account]

    def supply(self, token: Account) -> int:
        with self._lock:
            return sum(units for (of, _), units in self._state.balances.items() if of == token)

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

    def _apply(self, state: _State, action: Action, now: int) -> list[_Log]:
        match action:
            case OpenExchange():
                return []
            case CreatePoints():
                return self._create(state, action)
            case AgreeTerms():
                return self._agree(state, action)
            case AwardPoints():
                return self._award(state, action)
            case SwapPoints():
                return self._swap(state, action, now)
            case RedeemPoints():
                return self._redeem(state, action, now)

    def _create(self, state: _State, action: CreatePoints) -> list[_Log]:
        registration = action.registration
        _require(
            bool(registration.brand) and registration.issuer != NOBODY and registration.price > 0,
            "IncompleteRegistration",
        )
        _require(registration.brand not in state.points_of, "BrandExists")
        self._require_brand(registration.issuer, action.digest(self._venue), action.signature)
        brand_hash = keccak256(registration.brand.encode())
        # The chain's CREATE2 address depends on bytecode; any address of its own will do here.
        token = contract_account(self.identity.exchange, int.from_bytes(brand_hash[:7], "big"))
        state.points_of[registration.brand] = token
        state.listings[token] = (registration.issuer, registration.price)
        values: dict[str, str | int] = {
            "token": token,
            "issuer": registration.issuer,
            "brand": registration.brand,
            "name": registration.name,
            "symbol": registration.symbol,
            "price": registration.price,
        }
        return [_Log(self.identity.exchange, "PointsCreated", values)]

    def _agree(self, state: _State, action: AgreeTerms) -> list[_Log]:
        terms = action.terms
        pair = (terms.token_in, terms.token_out)
        _require(terms.token_in != terms.token_out, "SamePoints")
        _require(all(token in state.listings for token in pair), "UnknownPoints")
        (issuer_in, price_in), (issuer_out, price_out) = (state.listings[token] for token in pair)
        _require((terms.price_in, terms.price_out) == (price_in, price_out), "PriceMismatch")
        _require(terms.rate.is_fair(price_in, price_out), "UnfairRate")
        _, version, _ = state.corridors.get(pair, (None, 0, 0))
        _require(terms.version > version, "OldVersion")
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
        return [_Log(self.identity.exchange, "Agreed", values)]

    def _award(self, state: _State, action: AwardPoints) -> list[_Log]:
        award = action.award
        # A call to a contract that does not exist is the chain's own kind of failure.
        _require(award.token in state.listings, "UnknownPoints")
        issuer, _ = state.listings[award.token]
        digest = action.digest(self._venue)
        _require_signed(issuer, digest, action.signature, "InvalidIssuerSignature")
        _require(award.amount > 0, "ZeroAmount")
        _require((award.token, award.ref) not in state.awarded, "DuplicateRef")
        state.awarded.add((award.token, award.ref))
        minted = _move(state, award.token, NOBODY, award.to, award.amount)
        values: dict[str, str | int] = {
            "to": award.to,
            "ref": award.ref.hex(),
            "amount": award.amount,
        }
        return [minted, _Log(award.token, "Awarded", values)]

    def _swap(self, state: _State, action: SwapPoints, now: int) -> list[_Log]:
        swap = action.swap
        pair = (swap.token_in, swap.token_out)
        _require(pair in state.corridors, "NoCorridor")
        rate, version, ends_at = state.corridors[pair]
        _require(now < ends_at, "NoCorridor")
        _require(swap.version == version, "TermsChanged")
        out = rate.of(swap.amount_in)
        _require(out > 0, "NothingOut")
        _require(out >= swap.least_out, "BelowMinimum")
        (_, price_in), (_, price_out) = (state.listings[token] for token in pair)
        _require(not makes_value(swap.amount_in, price_in, out, price_out), "ValueCreated")
        intent = action.digest(self._venue)
        _require_signed(
            swap.holder,
            swap.authorization(self._venue),
            action.signature,
            "ERC3009InvalidSignature",
        )
        used = _use(
            state, swap.token_in, swap.holder, intent=intent, deadline=swap.deadline, now=now
        )
        burned = _move(state, swap.token_in, swap.holder, NOBODY, swap.amount_in)
        minted = _move(state, swap.token_out, NOBODY, swap.recipient, out)
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
        return [used, burned, minted, _Log(self.identity.exchange, "Swapped", values)]

    def _redeem(self, state: _State, action: RedeemPoints, now: int) -> list[_Log]:
        redemption = action.redemption
        token, holder = redemption.token, redemption.holder
        _require(token in state.listings, "UnknownPoints")
        _require(redemption.amount > 0, "ZeroAmount")
        once = (token, holder, redemption.redemption_id)
        _require(once not in state.redeemed, "DuplicateRedemption")
        state.redeemed.add(once)
        _require_signed(
            holder,
            redemption.authorization(self._venue),
            action.signature,
            "ERC3009InvalidSignature",
        )
        intent = action.digest(self._venue)
        used = _use(state, token, holder, intent=intent, deadline=redemption.deadline, now=now)
        burned = _move(state, token, holder, NOBODY, redemption.amount)
        values: dict[str, str | int] = {
            "holder": holder,
            "id": redemption.redemption_id.hex(),
            "amount": redemption.amount,
        }
        return [used, burned, _Log(token, "Redeemed", values)]

    def _require_brand(self, issuer: Account, digest: bytes, signature: bytes) -> None:
        _require_signed(issuer, digest, signature, "InvalidBrandSignature")


def _require(holds: bool, error: str) -> None:  # noqa: FBT001  # reads like Solidity's require
    if not holds:
        raise Refused(refusal(error))


def _require_signed(signer: Account, digest: bytes, signature: bytes, error: str) -> None:
    try:
        require_signature(signer, digest, signature, "ledger")
    except Refused as refused:
        raise Refused(refusal(error)) from refused


def _use(
    state: _State, token: Account, holder: Account, *, intent: bytes, deadline: int, now: int
) -> _Log:
    _require(now < deadline, "ERC3009InvalidAuthorizationTime")
    nonce = (token, holder, intent_nonce(intent))
    _require(nonce not in state.nonces, "InvalidAccountNonce")
    state.nonces.add(nonce)
    values: dict[str, str | int] = {"authorizer": holder, "nonce": intent_nonce(intent).hex()}
    return _Log(token, "AuthorizationUsed", values)


def _move(state: _State, token: Account, giver: Account, taker: Account, amount: int) -> _Log:
    if giver == NOBODY:
        _require(taker != NOBODY, "ERC20InvalidReceiver")
    else:
        _require(state.balances[token, giver] >= amount, "ERC20InsufficientBalance")
        state.balances[token, giver] -= amount
    if taker != NOBODY:
        state.balances[token, taker] += amount
    values: dict[str, str | int] = {"from": giver, "to": taker, "value": amount}
    return _Log(token, "Transfer", values)
