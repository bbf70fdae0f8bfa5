"""The ledger on a chain: contracts called through web3, events read back from blocks.

    ledger = embedded_ledger(directory / "chain.sqlite3", now=now, random=secrets.token_bytes)

The relayer signs each transaction itself, knows its own sequence number, the
chain's id and each action's gas, and so asks the node nothing before it sends.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from threading import RLock
from typing import Any, cast

from counterfoil_credentials.errors import Refused
from eth_typing import BlockNumber, ChecksumAddress, HexStr
from hexbytes import HexBytes
from web3 import Web3
from web3.exceptions import ContractCustomError, ContractLogicError, TransactionNotFound
from web3.types import LogReceipt, TxParams

from counterfoil_loyalty.accounts import Account, PointsSigner, contract_account
from counterfoil_loyalty.actions import (
    AcceptMoney,
    AcknowledgePayment,
    Action,
    AgreeTerms,
    AwardPoints,
    AwardToMany,
    BrandAction,
    CancelAward,
    ChangePrice,
    CommonAction,
    CreatePoints,
    DrawCollateral,
    EnactPrice,
    EnactTerms,
    ExpirePoints,
    FillTrade,
    GovernPoints,
    MoneyAction,
    NetClaims,
    OpenClearing,
    OpenExchange,
    OpenPeerSwap,
    PauseAwards,
    PauseExchange,
    RedeemPoints,
    RefundPoints,
    ReleaseAward,
    SwapPoints,
    TightenCorridor,
    TransferPoints,
    WithdrawCollateral,
    points_of,
)
from counterfoil_loyalty.calls import ContractCalls
from counterfoil_loyalty.chain_db import EmbeddedChain
from counterfoil_loyalty.common_contracts import (
    DEPLOYER,
    SALT,
    Common,
    OpenContract,
    account_of,
    compiled,
)
from counterfoil_loyalty.earning import ClaimEarned, PostEarnRoot
from counterfoil_loyalty.fees import Fees
from counterfoil_loyalty.guarantee import FulfilGuarantee, OpenGuarantee, RefundGuarantee
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
from counterfoil_loyalty.notary import AnchorRoot, CloseRecall, OpenRecall
from counterfoil_loyalty.refusals import refusal
from counterfoil_loyalty.succession import (
    CarryPoints,
    MovePoints,
    RetirePoints,
    SucceedPoints,
    TakeOverPoints,
)
from counterfoil_loyalty.transactions import Transaction

# The most that was measured, and a third more.
_GAS: Mapping[type[Action], int] = {
    OpenExchange: 15_000_000,
    OpenClearing: 4_000_000,
    OpenPeerSwap: 1_500_000,
    CreatePoints: 7_000_000,
    ChangePrice: 140_000,
    EnactPrice: 120_000,
    AgreeTerms: 320_000,
    EnactTerms: 240_000,
    TightenCorridor: 170_000,
    PauseExchange: 110_000,
    SwapPoints: 280_000,
    AcknowledgePayment: 130_000,
    NetClaims: 400_000,
    AcceptMoney: 130_000,
    WithdrawCollateral: 170_000,
    DrawCollateral: 200_000,
    FillTrade: 330_000,
    AwardPoints: 182_000,
    AwardToMany: 90_000,
    ReleaseAward: 134_000,
    CancelAward: 110_000,
    RedeemPoints: 136_000,
    RefundPoints: 130_000,
    TransferPoints: 115_000,
    ExpirePoints: 62_000,
    GovernPoints: 160_000,
    PauseAwards: 61_000,
    OpenContract: 1_300_000,
    PostEarnRoot: 135_000,
    ClaimEarned: 175_000,
    AnchorRoot: 106_000,
    OpenRecall: 77_000,
    CloseRecall: 54_000,
    OpenGuarantee: 250_000,
    FulfilGuarantee: 200_000,
    RefundGuarantee: 200_000,
    RetirePoints: 110_000,
    SucceedPoints: 160_000,
    TakeOverPoints: 260_000,
    CarryPoints: 240_000,
    MovePoints: 90_000,
}
_GAS_PER_AWARD = 65_000
_GAS_PER_MOVE = 95_000
_MAX_FEE_WEI = 10**12
"""Far above the fee that our own chain asks in every block."""


class ChainLedger:
    """A `Ledger` over any EVM chain that web3 reaches. `send` hands over a raw transaction."""

    def __init__(
        self,
        web3: Web3,
        *,
        relayer_key: bytes,
        send: Callable[[bytes], None],
        chain_id: int,
        genesis: str,
        exchange: Account | None = None,
        opens_at: int = 0,
        earlier: Sequence[int] = (),
    ) -> None:
        self.opens_at = opens_at
        self._web3 = web3
        self._send = send
        self._signer = PointsSigner(relayer_key)
        self._relayer = self._signer.account
        self._lock = RLock()
        names = ("PointsExchange", "Clearing", "PeerSwap", "BrandPoints")
        parts = {name: compiled(name) for name in names}
        self._codes: dict[str, str] = {name: parts[name]["bytecode"] for name in names}
        if exchange is None:
            # The relayer's first transactions make the contracts: their places are known before.
            numbers = range(opens_at, opens_at + 3)
            places = tuple(contract_account(self._relayer, number) for number in numbers)
        else:
            made: Any = self._contract(parts["PointsExchange"]["abi"], exchange)
            beside = (made.functions.clearing(), made.functions.peerSwap())
            places = (exchange, *(Account(it.call(self._reader())) for it in beside))
        self.identity = LedgerIdentity(chain_id, genesis, *places)
        # web3 makes the methods of a contract from its ABI at run time: no type knows them.
        self._exchange, self._clearing, self._peer_swap = (
            self._contract(parts[name]["abi"], place)
            for name, place in zip(names, places, strict=False)
        )
        # Points of programmes before are called here still: what was promised there is given.
        self._earlier = [
            self._contract(parts["PointsExchange"]["abi"], contract_account(self._relayer, number))
            for number in earlier
        ]
        self._points: Any = web3.eth.contract(abi=parts["BrandPoints"]["abi"])
        self._calls = {name: ContractCalls(parts[name]["abi"]) for name in names}
        self._errors = {
            selector: error
            for name in names
            for selector, error in _selectors(parts[name]["abi"]).items()
        }
        self._common: Mapping[Common, Any] = {
            contract: web3.eth.contract(
                address=_checksum(account_of(contract)), abi=compiled(contract)["abi"]
            )
            for contract in Common
        }
        self._common_calls = {it: ContractCalls(compiled(it)["abi"]) for it in Common}
        self._shared = {str(account_of(contract)): contract for contract in Common}
        for contract in Common:
            self._errors |= _selectors(compiled(contract)["abi"])
        self._tokens: set[str] = set()
        self._standing: set[str] = set()

    @property
    def relayer(self) -> Account:
        return self._relayer

    def check(self, action: Action) -> None:
        with self._lock:
            self._require_points(action)
            gas = gas_of(action)
            error = self._error_of({**self._reader(), "gas": gas, **self._target(action)}, None)
        if error is not None:
            raise Refused(refusal(error))

    def sign(self, action: Action, sequence: int) -> SignedTransaction:
        target = self._target(action)
        fees = self._offer()
        transaction = Transaction(
            chain_id=self.identity.chain_id,
            sequence=sequence,
            tip_wei=fees.tip_wei,
            fee_wei=fees.fee_wei,
            gas=gas_of(action),
            to=bytes.fromhex(str(target.get("to", "0x"))[2:]),
            data=bytes.fromhex(str(target.get("data", "0x")).removeprefix("0x")),
        )
        return transaction.sign(self._signer)

    def send(self, transaction: SignedTransaction) -> None:
        self._send(transaction.raw)

    def outcome(self, transaction: SignedTransaction) -> Outcome | None:
        with self._lock:
            try:
                receipt = self._web3.eth.get_transaction_receipt(
                    HexBytes(transaction.transaction_id)
                )
            except TransactionNotFound:
                return None
            block = receipt["blockNumber"]
            if receipt["status"] == 1:
                return Outcome(block, None)
            return Outcome(block, refusal(self._why(transaction, block)))

    def sequence(self) -> int:
        with self._lock:
            return self._web3.eth.get_transaction_count(_checksum(self._relayer))

    def head(self) -> int:
        with self._lock:
            return self._web3.eth.block_number

    def time(self) -> int:
        with self._lock:
            return self._web3.eth.get_block("latest").get("timestamp", 0)

    def block(self, number: int) -> Block:
        with self._lock:
            header = self._web3.eth.get_block(number)
            logs = self._web3.eth.get_logs({"fromBlock": number, "toBlock": number})
        # Reading the events of a full block takes a quarter of a second, and needs no lock.
        return Block(
            number,
            _hex(header.get("hash")),
            _hex(header.get("parentHash")),
            header.get("timestamp", 0),
            self._events(logs),
        )

    def balance(self, token: Account, account: Account) -> int:
        with self._lock:
            contract = self._points(_checksum(token))
            return int(contract.functions.balanceOf(account).call(self._reader()))

    def supply(self, token: Account) -> int:
        with self._lock:
            contract = self._points(_checksum(token))
            return int(contract.functions.totalSupply().call(self._reader()))

    def clearing_sequence(self, brand: Account) -> int:
        with self._lock:
            return int(self._clearing.functions.sequences(brand).call(self._reader()))

    def cover(self, debtor: Account, creditor: Account) -> Cover:
        with self._lock:
            call = self._clearing.functions.cover(debtor, creditor)
            return Cover(*map(int, call.call(self._reader())))

    def _target(self, action: Action) -> TxParams:
        """Give the contract that an action calls, and the call."""
        if isinstance(action, CommonAction):
            call = self._common_calls[action.contract].encode(*action.call)
            return {"to": _checksum(account_of(action.contract)), "data": call}
        if isinstance(action, BrandAction):
            call = self._points_call(action)
            return {"to": _checksum(points_of(action)), "data": call}
        match action:
            case OpenExchange():
                places = (self.identity.clearing, self.identity.peer_swap)
                return self._creation("PointsExchange", *places)
            case OpenClearing():
                return self._creation("Clearing", self.identity.exchange)
            case OpenPeerSwap():
                return self._creation("PeerSwap", self.identity.exchange)
            case CreatePoints(registration=it, signature=signature):
                values = (it.brand, it.name, it.symbol, it.issuer, it.price)
                call = self._calls["PointsExchange"].encode("createPoints", [values, signature])
            case SwapPoints(swap=it, signature=signature):
                call = self._calls["PointsExchange"].encode("swap", [it.values, signature])
            case FillTrade(trade=it):
                signatures = (action.signature_maker, action.signature_taker)
                call = self._calls["PeerSwap"].encode("fill", [it.values, *signatures])
                return {"to": _checksum(self.identity.peer_swap), "data": call}
            case AcknowledgePayment(paid=it, signature=signature):
                call = self._calls["Clearing"].encode("acknowledge", [it.values, signature])
                return {"to": _checksum(self.identity.clearing), "data": call}
            case NetClaims(brands=brands):
                call = self._calls["Clearing"].encode("netCycle", [list(brands)])
                return {"to": _checksum(self.identity.clearing), "data": call}
            case (
                AcceptMoney(signature=signature)
                | WithdrawCollateral(signature=signature)
                | DrawCollateral(signature=signature)
            ):
                name, said = _money_call(action)
                call = self._calls["Clearing"].encode(name, [said, signature])
                return {"to": _checksum(self.identity.clearing), "data": call}
            case OpenContract(contract=opened):
                data = SALT + bytes.fromhex(compiled(opened)["bytecode"][2:])
                return {"to": _checksum(DEPLOYER), "data": HexStr(f"0x{data.hex()}")}
            case _:
                call = self._exchange_call(action)
        return {"to": _checksum(self.identity.exchange), "data": call}

    def _exchange_call(
        self,
        action: ChangePrice
        | EnactPrice
        | AgreeTerms
        | EnactTerms
        | TightenCorridor
        | PauseExchange,
    ) -> HexStr:
        encode = self._calls["PointsExchange"].encode
        match action:
            case ChangePrice(change=it, signature=signature):
                return encode("setPrice", [it.values, signature])
            case EnactPrice(token=token):
                return encode("enactPrice", [token])
            case AgreeTerms(terms=it):
                return encode("agree", [it.values, action.signature_in, action.signature_out])
            case EnactTerms(terms=it):
                return encode("enact", [it.values])
            case TightenCorridor(tightening=it, signature=signature):
                return encode("tighten", [it.values, signature])
            case PauseExchange(pause=it, signature=signature):
                return encode("pause", [it.values, signature])

    def _points_call(self, action: BrandAction) -> HexStr:
        encode = self._calls["BrandPoints"].encode
        match action:
            case AwardPoints(award=it, signature=signature):
                return encode("award", [*it.values, signature])
            case AwardToMany(batch=it, signature=signature):
                return encode("awardBatch", [it.words, it.ref, signature])
            case ReleaseAward(ref=ref):
                return encode("release", [ref])
            case CancelAward(cancellation=it, signature=signature):
                return encode("cancel", [it.ref, signature])
            case RedeemPoints(redemption=it, signature=signature):
                return encode("redeem", [it.values, signature])
            case TransferPoints(transfer=it, signature=signature):
                return encode("transferWithAuthorization", [*it.values, signature])
            case RefundPoints(refund=it, signature=signature):
                return encode("refund", [it.holder, it.redemption_id, signature])
            case ExpirePoints(holder=holder):
                return encode("expire", [holder])
            case GovernPoints(policy=it, signature=signature, acceptance=acceptance):
                return encode("govern", [it.values, signature, acceptance])
            case PauseAwards(signature=signature):
                return encode("pause", [signature])
            case RetirePoints(retirement=it, signature=signature):
                return encode("retire", [it.successor, it.ends_at, signature])
            case SucceedPoints(succession=it, signature=signature):
                return encode("succeed", [it.predecessor, signature])
            case TakeOverPoints(succession=it, handover=handover, signature=signature):
                return encode("takeOver", [it.predecessor, handover, signature])
            case CarryPoints(carry=it, signature=signature):
                return encode("carry", [*it.values, signature])
            case MovePoints(holders=holders):
                return encode("move", [list(holders)])

    def _contract(self, abi: list[dict[str, Any]], place: Account) -> Any:  # noqa: ANN401  # as above
        return self._web3.eth.contract(address=_checksum(place), abi=abi)

    def _creation(self, name: str, *arguments: Account) -> TxParams:
        """Give the call that makes a contract from its code and some accounts."""
        words = (argument[2:].lower().rjust(64, "0") for argument in arguments)
        return {"data": HexStr(self._codes[name] + "".join(words))}

    def _require_points(self, action: Action) -> None:
        """Refuse a call to what is not there, or not ours: it would succeed, and do nothing."""
        if isinstance(action, OpenContract):
            self._require_code(DEPLOYER)
        elif isinstance(action, CommonAction):
            self._require_code(account_of(action.contract))
        match action:
            case PostEarnRoot(root=it):
                token = it.token
            case ClaimEarned():
                token = action.token
            case _ if isinstance(action, BrandAction):
                token = points_of(action)
            case _:
                return
        if not self._is_points(token) and not any(
            self._is_listed(token, exchange) for exchange in self._earlier
        ):
            raise Refused(refusal("UnknownPoints"))

    def _require_code(self, contract: Account) -> None:
        if not self._web3.eth.get_code(_checksum(contract)):
            raise Refused(refusal("NotOpened"))

    def _is_points(self, contract: str) -> bool:
        if contract not in self._tokens:
            if not self._is_listed(contract, self._exchange):
                return False
            self._tokens.add(contract)  # A listing is never withdrawn.
        return True

    def _is_listed(self, contract: str, exchange: Any) -> bool:  # noqa: ANN401  # as above
        with self._lock:
            # A programme that begins behind another reads blocks from before it stood.
            if self.opens_at and exchange.address not in self._standing:
                if not self._web3.eth.get_code(exchange.address):
                    return False
                self._standing.add(exchange.address)
            listing = exchange.functions.listings(contract).call(self._reader())
        return bool(listing[1])

    def _why(self, transaction: SignedTransaction, block: int) -> str:
        """Name the error of a mined transaction that failed, by calling it again at its block."""
        sent = self._web3.eth.get_transaction(HexBytes(transaction.transaction_id))
        call: TxParams = {
            **self._reader(),
            "gas": sent.get("gas", 0),
            "data": sent.get("input", HexBytes(b"")),
        }
        if sent.get("to"):
            call["to"] = sent.get("to", _checksum(self._relayer))
        return self._error_of(call, block) or "one that failed where it stood in its block"

    def _error_of(self, call: TxParams, block: int | None) -> str | None:
        """Name the error that a call ends with, at the end of `block` (None: the newest)."""
        try:
            self._web3.eth.call(call, "latest" if block is None else BlockNumber(block))
        except ContractCustomError as error:
            return self._error_name(str(error.data))
        except ContractLogicError:
            # It failed without a word: a call of what is no contract, mostly.
            return self._error_name("")
        return None

    def _error_name(self, data: str) -> str:
        return self._errors.get(data[2:10], "an error without a name")

    def _offer(self) -> Fees:
        return Fees(0, _MAX_FEE_WEI)

    def _events(self, logs: Iterable[LogReceipt]) -> tuple[Event, ...]:
        events: list[Event] = []
        for log in logs:
            found = self._event(log)
            if found is not None:
                name, values = found
                contract = Account(str(log["address"]))
                transaction_id = log["transactionHash"].hex()
                events.append(Event(transaction_id, len(events), contract, name, values))
        return tuple(events)

    def _event(self, log: LogReceipt) -> tuple[str, dict[str, str | int]] | None:
        contract = str(log["address"])
        ours = {
            self.identity.exchange: self._exchange,
            self.identity.clearing: self._clearing,
            self.identity.peer_swap: self._peer_swap,
        }
        if contract in ours:
            source = ours[Account(contract)]
        elif contract in self._shared:
            source = self._common[self._shared[contract]]
        elif self._is_points(contract):
            source = self._points
        else:
            return None
        for event in source.events:
            if event.topic == f"0x{log['topics'][0].hex()}":
                values = event.process_log(log)["args"]
                return event.event_name, _flat(values)
        return None

    def _reader(self) -> TxParams:
        return {"from": _checksum(self._relayer)}


class EmbeddedChainLedger(ChainLedger, LocalLedger):
    """The `EmbeddedLedger`: the chain lives in this process and in one file."""

    def __init__(self, chain: EmbeddedChain) -> None:
        web3 = Web3(chain.provider)
        *earlier, (_, opens_at) = sorted(chain.programmes.items())
        super().__init__(
            web3,
            relayer_key=chain.relayer_key,
            send=chain.submit,
            chain_id=web3.eth.chain_id,
            genesis=web3.eth.get_block(0).get("hash", HexBytes(b"")).hex(),
            opens_at=opens_at,
            earlier=[number for _, number in earlier],
        )
        self._chain = chain
        # Reads and blocks take turns: py-evm is made for one thread.
        self._lock = chain.lock

    def make_block(self, now: int) -> bool:
        return self._chain.make_block(now)

    def sequence(self) -> int:
        return self._chain.sequence()

    def time(self) -> int:
        return self._chain.time()

    def close(self) -> None:
        self._chain.close()


def embedded_ledger(path: Path, *, now: int, random: Callable[[int], bytes]) -> EmbeddedChainLedger:
    """Open the chain in the file at `path`, or begin one there. `now` is in unix seconds."""
    return EmbeddedChainLedger(EmbeddedChain(path, now=now, random=random))


def _money_call(action: MoneyAction) -> tuple[str, tuple[object, ...]]:
    """Give the clearing's function for a brand's word about money, and its first argument."""
    match action:
        case AcceptMoney(acceptance=it):
            return "accept", it.values
        case WithdrawCollateral(withdrawal=it):
            return "withdraw", it.values
        case DrawCollateral(draw=it):
            return "draw", it.values


def gas_of(action: Action) -> int:
    """Give the gas that an action may use."""
    if isinstance(action, AwardToMany):
        return _GAS[AwardToMany] + len(action.batch.awards) * _GAS_PER_AWARD
    if isinstance(action, MovePoints):
        return _GAS[MovePoints] + len(action.holders) * _GAS_PER_MOVE
    return _GAS[type(action)]


def _selectors(abi: list[dict[str, Any]]) -> dict[str, str]:
    """Give the first four bytes of each error's signature hash, in hex, with its name."""
    found: dict[str, str] = {}
    for entry in abi:
        if entry["type"] == "error":
            types = ",".join(part["type"] for part in entry["inputs"])
            found[keccak256(f"{entry['name']}({types})".encode())[:4].hex()] = entry["name"]
    return found


def _flat(values: Mapping[str, Any]) -> dict[str, str | int]:
    """Give an event's values; the fields of a struct stand beside the others."""
    found: dict[str, str | int] = {}
    for name, value in values.items():
        # web3 makes a mapping of a struct, whose types its ABI knows alone.
        if isinstance(value, Mapping):
            found |= _flat(cast("Mapping[str, Any]", value))
        else:
            found[name] = _plain(value)
    return found


def _plain(value: object) -> str | int:
    match value:
        case bytes():
            return value.hex()
        case bool():
            return int(value)
        case int():
            return value
        case list() | tuple():
            items = cast("Sequence[object]", value)
            return " ".join(map(str, items))
        case _:
            return str(value)


def _hex(value: bytes | None) -> str:
    return bytes(value or b"").hex()


@lru_cache(maxsize=4_096)
def _checksum(account: str) -> ChecksumAddress:
    return Web3.to_checksum_address(account)
