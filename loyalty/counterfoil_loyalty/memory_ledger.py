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
    AwardPoints,
    AwardToMany,
    BrandAction,
    CancelAward,
    CommonAction,
    CreatePoints,
    ExchangeAction,
    ExpirePoints,
    FillTrade,
    GovernPoints,
    OpenClearing,
    OpenExchange,
    OpenPeerSwap,
    PauseAwards,
    RedeemPoints,
    RefundPoints,
    ReleaseAward,
    SwapPoints,
    TransferPoints,
    points_of,
)
from counterfoil_loyalty.common_contracts import Common, OpenContract, account_of
from counterfoil_loyalty.earning import ClaimEarned, PostEarnRoot
from counterfoil_loyalty.guarantee import FulfilGuarantee, OpenGuarantee, RefundGuarantee
from counterfoil_loyalty.intents import intent_nonce
from counterfoil_loyalty.keccak import keccak256
from counterfoil_loyalty.ledger import (
    Block,
    Cover,
    Event,
    LedgerIdentity,
    Outcome,
    SignedTransaction,
)
from counterfoil_loyalty.local_ledger import LocalLedger
from counterfoil_loyalty.memory_common import MemoryEarnRoots, MemoryGuarantee, MemoryNotary
from counterfoil_loyalty.memory_exchange import MemoryExchange
from counterfoil_loyalty.memory_points import Log, MemoryPoints, require, require_signed
from counterfoil_loyalty.notary import AnchorRoot, CloseRecall, OpenRecall
from counterfoil_loyalty.refusals import refusal
from counterfoil_loyalty.succession import (
    CarryPoints,
    MovePoints,
    RetirePoints,
    SucceedPoints,
    TakeOverPoints,
    handover_of,
)


class _State:
    """What the contracts store."""

    def __init__(self) -> None:
        self.exchange = MemoryExchange()
        self.points_of: dict[str, Account] = {}
        self.points: dict[Account, MemoryPoints] = {}
        self.common: set[Common] = set()
        self.earn_roots, self.notary = MemoryEarnRoots(), MemoryNotary()
        self.guarantee = MemoryGuarantee()

    def known(self, token: Account) -> MemoryPoints:
        # A call to a contract that does not exist is the chain's own kind of failure.
        found = self.points.get(token)
        if found is None:
            raise Refused(refusal("UnknownPoints"))
        return found

    def supply(self, token: Account) -> int:
        points = self.points.get(token)
        return 0 if points is None else sum(points.balances.values())


class MemoryLedger(LocalLedger):
    """An `EmbeddedLedger` without a chain. `random` gives the relayer's key and the chain's id."""

    def __init__(self, *, now: int, random: Callable[[int], bytes]) -> None:
        relayer = PointsSigner(keccak256(random(32)))
        chain_id = int.from_bytes(random(6), "big") | 1
        genesis = keccak256(b"genesis" + random(32)).hex()
        places = (contract_account(relayer.account, number) for number in range(3))
        self.identity = LedgerIdentity(chain_id, genesis, *places)
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
            return self._state.supply(token)

    def cover(self, debtor: Account, creditor: Account) -> Cover:
        with self._lock:
            clearing = self._state.exchange.clearing
            credit = clearing.credit[debtor, creditor]
            return Cover(clearing.owed(debtor, creditor), credit, 0)

    def clearing_sequence(self, brand: Account) -> int:
        return 0

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
            case OpenExchange() | OpenClearing() | OpenPeerSwap():
                return []
            case CreatePoints():
                return self._create(state, action)
            case SwapPoints():
                return self._swap(state, action, now)
            case FillTrade():
                return self._fill(state, action, now)
            case OpenContract(contract=contract):
                require(contract not in state.common, "a contract that is there already")
                state.common.add(contract)
                return []
            case _:
                pass
        if isinstance(action, CommonAction):
            return self._apply_to_common(state, action, now)
        if isinstance(action, ExchangeAction):
            return state.exchange.apply(action, self._venue, now, state.supply)
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
        state.exchange.add_points(token, registration.issuer, registration.price)
        values: dict[str, str | int] = {
            "token": token,
            "issuer": registration.issuer,
            "brand": registration.brand,
            "name": registration.name,
            "symbol": registration.symbol,
            "price": registration.price,
        }
        return [Log(self.identity.exchange, "PointsCreated", values)]

    def _apply_to_common(self, state: _State, action: CommonAction, now: int) -> list[Log]:
        require(action.contract in state.common, "NotOpened")
        venue, points = self._venue, state.points
        match action:
            case PostEarnRoot():
                return state.earn_roots.post(action, venue, points, now)
            case ClaimEarned():
                return state.earn_roots.claim(action, points, now)
            case AnchorRoot():
                return state.notary.anchor(action, venue)
            case OpenRecall():
                return state.notary.open_recall(action, venue)
            case CloseRecall():
                return state.notary.close_recall(action, venue)
            case OpenGuarantee():
                return state.guarantee.open(action, venue, points, now)
            case FulfilGuarantee():
                return state.guarantee.fulfil(action, venue, points, now)
            case RefundGuarantee():
                return state.guarantee.refund(action, venue, points, now)

    def _apply_to_points(self, state: _State, action: BrandAction, now: int) -> list[Log]:
        points = state.known(points_of(action))
        match action:
            case ReleaseAward():
                return points.release(action.ref, now)
            case ExpirePoints():
                return points.expire(action.holder, now)
            case MovePoints(holders=holders):
                logs: list[Log] = []
                for holder in holders:
                    require(not self._has_code(state, holder), "HasCode")
                    logs += points.take_in(holder, now)
                return logs
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
            case TransferPoints(transfer=it, signature=signature):
                return points.transfer(
                    it.giver,
                    it.taker,
                    it.amount,
                    authorization=digest,
                    signature=signature,
                    nonce=it.nonce,
                    deadline=it.deadline,
                    now=now,
                )
            case GovernPoints(policy=it, signature=signature, acceptance=acceptance):
                return points.govern(it, digest, signature, acceptance, now)
            case PauseAwards(pause=it, signature=signature):
                return points.pause(it, digest, signature)
            case RetirePoints(retirement=it, signature=signature):
                return points.retire(it, digest, signature, now)
            case SucceedPoints(succession=it, signature=signature):
                return points.succeed(state.known(it.predecessor), digest, signature, now)
            case TakeOverPoints(succession=it, signature=signature):
                before = state.known(it.predecessor)
                last = handover_of(before.policy, it.token)
                signed = (last, last.digest(self._venue), action.handover)
                return points.take_over(before, digest, signature, handover=signed, now=now)
            case CarryPoints(carry=it, signature=signature):
                return points.carry(it, digest, signature, now)

    def _has_code(self, state: _State, holder: Account) -> bool:
        venue = self._venue
        places = (venue.exchange, venue.clearing, venue.peer_swap, *state.points)
        return holder in places or holder in map(account_of, state.common)

    def _swap(self, state: _State, action: SwapPoints, now: int) -> list[Log]:
        swap = action.swap
        out, value = state.exchange.use(action, now)
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
        booked = state.exchange.clearing.book(swap.token_in, swap.token_out, value, self._venue)
        values: dict[str, str | int] = {
            "intent": intent.hex(),
            "holder": swap.holder,
            "recipient": swap.recipient,
            "from": swap.token_in,
            "to": swap.token_out,
            "amountIn": swap.amount_in,
            "amountOut": out,
            "version": swap.version,
            "value": value,
        }
        return [*spent, *minted, booked, Log(self.identity.exchange, "Swapped", values)]

    def _fill(self, state: _State, action: FillTrade, now: int) -> list[Log]:
        trade, place = action.trade, self.identity.peer_swap
        require(trade.amount_given > 0 and trade.amount_taken > 0, "NothingTraded")
        require(trade.given != trade.taken, "SamePoints")
        maker = (trade.given, trade.maker, trade.amount_given)
        taker = (trade.taken, trade.taker, trade.amount_taken)
        signed = (
            (maker, trade.authorization_of_maker(self._venue), action.signature_maker),
            (taker, trade.authorization_of_taker(self._venue), action.signature_taker),
        )
        logs: list[Log] = []
        for (token, holder, amount), authorization, signature in signed:
            state.exchange.issuer_of(token)
            logs += state.points[token].transfer(
                holder,
                place,
                amount,
                authorization=authorization,
                signature=signature,
                nonce=intent_nonce(trade.digest(self._venue)),
                deadline=trade.deadline,
                now=now,
            )
        given, taken = state.points[trade.given], state.points[trade.taken]
        logs.append(given.move(place, trade.taker_receives, trade.amount_given))
        logs.append(taken.move(place, trade.maker_receives, trade.amount_taken))
        values: dict[str, str | int] = {
            "trade": trade.digest(self._venue).hex(),
            "maker": trade.maker,
            "taker": trade.taker,
            "given": trade.given,
            "taken": trade.taken,
            "amountGiven": trade.amount_given,
            "amountTaken": trade.amount_taken,
            "makerReceives": trade.maker_receives,
            "takerReceives": trade.taker_receives,
        }
        return [*logs, Log(place, "Filled", values)]

    def _require_brand(self, issuer: Account, digest: bytes, signature: bytes) -> None:
        require_signed(issuer, digest, signature, "InvalidBrandSignature")
