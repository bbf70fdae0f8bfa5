"""The ledger on a chain that others run: any EVM node, or several, by JSON-RPC.

    ledger = EvmLedger(nodes, relayer_key=key, finality=FINALIZED)

web3 encodes calls and decodes events; nothing of it opens a connection. What
the relayer does often goes in one request for many: checks, sends, outcomes.
"""

from collections.abc import Collection, Sequence
from threading import RLock
from typing import Any, Final, Literal

from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import Reason, Refused, Unavailable
from web3 import Web3
from web3.exceptions import Web3Exception
from web3.providers.base import BaseProvider
from web3.types import RPCEndpoint, RPCResponse

from counterfoil_loyalty.accounts import Account, PointsSigner
from counterfoil_loyalty.actions import Action
from counterfoil_loyalty.chain import ChainLedger, gas_of
from counterfoil_loyalty.common_contracts import DEPLOYER
from counterfoil_loyalty.fees import HISTORY, MAX_FEE_WEI, Fees, fees_from
from counterfoil_loyalty.ledger import Block, Outcome, SignedTransaction
from counterfoil_loyalty.nodes import Nodes
from counterfoil_loyalty.refusals import refusal
from counterfoil_loyalty.rpc import Answer, Call, Fault, quantity, table, word
from counterfoil_loyalty.store import CANCELLED
from counterfoil_loyalty.transactions import Transaction, read_transaction

FINALIZED: Final = "finalized"
"""Final is what the chain itself calls so."""

_WIDEST = 10_000
_FIRST_WIDTH = 1_000
_DEPLOYER = bytes.fromhex(DEPLOYER[2:])


class EvmLedger(ChainLedger):
    """A `Ledger` over `nodes`.

    `exchange` is that of the programme, where another relayer made it; without,
    this relayer's first transaction makes it. `finality` is the chain's own word
    or a number of blocks. `fee_cap_wei` bounds what is offered for a unit of gas.
    Nothing of ours is in blocks before `first_block`.
    """

    def __init__(
        self,
        nodes: Nodes,
        *,
        relayer_key: bytes,
        exchange: Account | None = None,
        finality: Literal["finalized"] | int = FINALIZED,
        fee_cap_wei: int = MAX_FEE_WEI,
        first_block: int = 0,
    ) -> None:
        super().__init__(
            Web3(_Provider(nodes)),
            relayer_key=relayer_key,
            send=self._send_raw,
            exchange=exchange,
            chain_id=nodes.chain.chain_id,
            genesis=nodes.chain.genesis,
        )
        self.makes_exchange = exchange is None
        self._nodes = nodes
        self._signer = PointsSigner(relayer_key)
        self._sender = bytes.fromhex(self._signer.account[2:])
        self._finality = finality
        self._fee_cap_wei = fee_cap_wei
        self._first_block = first_block
        self._fees: Fees | None = None
        self._width = _FIRST_WIDTH
        self._lock = RLock()

    def look(self) -> None:
        """Find out which nodes are well and which have fallen behind; each turn begins so."""
        self._nodes.look()
        self._learn_fees(self._nodes.ask([HISTORY])[0])

    def check_all(self, actions: Sequence[Action]) -> Sequence[Refused | None]:
        found: list[Refused | None] = [self._unknown(action) for action in actions]
        asked = [place for place, refused in enumerate(found) if refused is None]
        calls = [self._trial(actions[place]) for place in asked]
        history, *answers = self._nodes.ask([HISTORY, *calls])
        self._learn_fees(history)
        for place, answer in zip(asked, answers, strict=True):
            if isinstance(answer, Fault):
                found[place] = Refused(refusal(self._reverted(answer)))
        return found

    def check(self, action: Action) -> None:
        refused = self.check_all([action])[0]
        if refused is not None:
            raise refused

    def raised(self, transaction: SignedTransaction) -> SignedTransaction | None:
        last = read_transaction(transaction.raw)
        more = last.outbidding()
        return None if more.fee_wei > self._fee_cap_wei else more.sign(self._signer)

    def cancelled(self, transaction: SignedTransaction) -> SignedTransaction:
        last = read_transaction(transaction.raw)
        return last.cancelling(self._sender).sign(self._signer)

    def renumbered(self, transaction: SignedTransaction, sequence: int) -> SignedTransaction:
        last = read_transaction(transaction.raw)
        fees = self._offer()
        again = Transaction(
            chain_id=last.chain_id,
            sequence=sequence,
            tip_wei=fees.tip_wei,
            fee_wei=fees.fee_wei,
            gas=last.gas,
            to=last.to,
            data=last.data,
        )
        return again.sign(self._signer)

    def send(self, transaction: SignedTransaction) -> None:
        self.send_all([transaction])

    def send_all(self, transactions: Sequence[SignedTransaction]) -> None:
        """Hand transactions to every node that is well.

        What a node says to that is no outcome: "already known" and "nonce too
        low" may mean that it worked, "underpriced" that it waits. The outcome is
        looked up.
        """
        calls = [Call("eth_sendRawTransaction", ["0x" + it.raw.hex()]) for it in transactions]
        if calls:
            self._nodes.tell(calls)

    def outcome(self, transaction: SignedTransaction) -> Outcome | None:
        return self.outcomes([transaction])[0]

    def outcomes(self, transactions: Sequence[SignedTransaction]) -> Sequence[Outcome | None]:
        calls = [
            Call("eth_getTransactionReceipt", ["0x" + it.transaction_id]) for it in transactions
        ]
        receipts = self._nodes.ask(calls) if calls else []
        return [
            # No receipt, or no answer, is "not yet" and never "failed".
            self._outcome(transaction, receipt) if isinstance(receipt, dict) else None
            for transaction, receipt in zip(transactions, receipts, strict=True)
        ]

    def sequence(self) -> int:
        return self._number("eth_getTransactionCount", self.relayer, "latest")

    def final_sequence(self) -> int:
        final = self.final()
        if final < 0:
            return 0
        return self._number("eth_getTransactionCount", self.relayer, hex(final))

    def head(self) -> int:
        return self._number("eth_blockNumber")

    def time(self) -> int:
        return quantity(self._header("latest").get("timestamp"), "timestamp")

    def final(self) -> int:
        if isinstance(self._finality, int):
            return max(-1, self.head() - self._finality)
        (found,) = self._nodes.ask([Call("eth_getBlockByNumber", [FINALIZED, False])])
        if found is None or isinstance(found, Fault):
            return -1  # A young chain has nothing final yet.
        return quantity(table(found, FINALIZED).get("number"), FINALIZED)

    def block_id(self, number: int) -> str | None:
        (found,) = self._nodes.ask([Call("eth_getBlockByNumber", [hex(number), False])])
        return None if found is None else word(table(found, "block").get("hash"), "hash")

    def block(self, number: int) -> Block:
        """Give the block that stands at `number` now, its events read by its own hash."""
        return self._block(self._header(hex(number)))

    def final_blocks(self, first: int, last: int) -> Sequence[Block]:
        """Give the blocks with events in a range as wide as the nodes answer, and its last one."""
        if first < self._first_block:
            return [self.block(min(last, self._first_block - 1))]
        while True:
            end = min(last, first + self._width - 1)
            span = {"fromBlock": hex(first), "toBlock": hex(end)}
            try:
                logs = self._logs(span)
            except Unavailable:
                # There is no agreed error for a range that is too wide.
                if self._width == 1:
                    raise
                self._width = max(1, self._width // 2)
                continue
            self._width = min(_WIDEST, self._width + self._width // 4 + 1)
            numbers = sorted({first, end, *(int(log["blockNumber"]) for log in logs)})
            calls = [Call("eth_getBlockByNumber", [hex(it), False]) for it in numbers]
            headers = [table(it, "block") for it in self._nodes.ask(calls)]
            return [self._block(header, logs) for header in headers]

    def watch(self, contracts: Collection[Account]) -> None:
        self._tokens.update(contracts)

    def close(self) -> None:
        self._nodes.close()

    def _trial(self, action: Action) -> Call:
        target = self._target(action)
        call: JsonObject = {
            "from": self.relayer,
            "gas": hex(gas_of(action)),
            **{name: str(value) for name, value in target.items()},
        }
        return Call("eth_call", [call, "latest"])

    def _send_raw(self, raw: bytes) -> None:
        self._nodes.tell([Call("eth_sendRawTransaction", ["0x" + raw.hex()])])

    def _number(self, method: str, *parameters: Json) -> int:
        (found,) = self._nodes.ask([Call(method, parameters)])
        return quantity(found, method)

    def _header(self, which: str) -> JsonObject:
        (found,) = self._nodes.ask([Call("eth_getBlockByNumber", [which, False])])
        return table(found, "block")

    def _logs(self, span: dict[str, str]) -> list[Any]:
        """Give the logs of our contracts in a span, those that came into being in it included."""
        while True:
            made_here = (self.identity.exchange, self.identity.clearing, self.identity.peer_swap)
            watched = [*made_here, *self._shared, *sorted(self._tokens)]
            try:
                logs: list[Any] = list(self._web3.eth.get_logs({**span, "address": watched}))  # type: ignore[typeddict-item]  # as the node takes it
            except Web3Exception as cause:
                raise Unavailable("expected the node's logs, found an error") from cause
            made = {str(values["token"]) for values in self._created(logs)} - self._tokens
            if not made:
                return sorted(logs, key=lambda log: (log["blockNumber"], log["logIndex"]))
            self._tokens |= made

    def _created(self, logs: Sequence[Any]) -> Sequence[dict[str, str | int]]:
        found = [self._event(log) for log in logs if log["address"] == self.identity.exchange]
        return [it[1] for it in found if it is not None and it[0] == "PointsCreated"]

    def _block(self, header: JsonObject, logs: Sequence[Any] | None = None) -> Block:
        number = quantity(header.get("number"), "number")
        block_id = word(header.get("hash"), "hash")
        if logs is None:
            logs = self._logs({"blockHash": "0x" + block_id})
        mine = [log for log in logs if log["blockNumber"] == number]
        if any(bytes(log["blockHash"]).hex() != block_id for log in mine):
            raise Unavailable("expected logs of one chain, found two: its nodes disagree")
        return Block(
            number,
            block_id,
            word(header.get("parentHash"), "parentHash"),
            quantity(header.get("timestamp"), "timestamp"),
            self._events(mine),
        )

    def _unknown(self, action: Action) -> Refused | None:
        try:
            self._require_points(action)
        except Refused as refused:
            return refused
        return None

    def _outcome(self, transaction: SignedTransaction, receipt: JsonObject) -> Outcome:
        block = quantity(receipt.get("blockNumber"), "blockNumber")
        block_id = word(receipt.get("blockHash"), "blockHash")
        sent = read_transaction(transaction.raw)
        if sent.cancels(self._sender):
            reason = Reason(CANCELLED, "a transaction that was taken in time", "none", "ledger")
            return Outcome(block, reason, block_id)
        if quantity(receipt.get("status"), "status") == 0:
            return Outcome(block, self._why_it_failed(sent, block), block_id)
        if sent.to not in {b"", _DEPLOYER} and not receipt.get("logs"):
            # All that our contracts do, they say. The one that was called was taken back. What
            # makes contracts says nothing: it fails, or they are there.
            reason = Reason(CANCELLED, "a contract that answers", "none", "ledger")
            return Outcome(block, reason, block_id)
        return Outcome(block, None, block_id)

    def _why_it_failed(self, sent: Transaction, block: int) -> Reason:
        call: JsonObject = {
            "from": self.relayer,
            "gas": hex(sent.gas),
            "data": "0x" + sent.data.hex(),
        }
        if sent.to:
            call["to"] = "0x" + sent.to.hex()
        (answer,) = self._nodes.ask([Call("eth_call", [call, hex(block)])])
        if isinstance(answer, Fault):
            return refusal(self._reverted(answer))
        return refusal("one that failed where it stood in its block")

    def _reverted(self, fault: Fault) -> str:
        """Name the error that a call ended with; raises `Unavailable` when the node failed."""
        if len(fault.data) >= 10 and fault.data.startswith("0x"):
            return self._error_name(fault.data)
        words = fault.message.lower()
        if fault.code == 3 or "revert" in words or "out of gas" in words:
            return "an error without a name"
        raise Unavailable(f"expected the outcome of a call, found error {fault.code} of the node")

    def _offer(self) -> Fees:
        if self._fees is None:
            self._learn_fees(self._nodes.ask([HISTORY])[0])
        return self._fees or Fees(0, self._fee_cap_wei)

    def _learn_fees(self, history: Answer) -> None:
        self._fees = fees_from(history, cap_wei=self._fee_cap_wei)


class _Provider(BaseProvider):
    """web3's way to the nodes. Every request of web3 goes through the guarded fetcher."""

    def __init__(self, nodes: Nodes) -> None:
        super().__init__()
        self._nodes = nodes

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:  # noqa: ANN401  # as web3 has it
        (answer,) = self._nodes.ask([Call(method, list(params))])
        if isinstance(answer, Fault):
            error = {"code": answer.code, "message": answer.message, "data": answer.data}
            return {"jsonrpc": "2.0", "id": 1, "error": error}  # type: ignore[typeddict-item]  # as nodes answer
        return {"jsonrpc": "2.0", "id": 1, "result": answer}

    def is_connected(self, show_traceback: bool = False) -> bool:  # noqa: FBT001, FBT002  # as web3 has it
        return True
