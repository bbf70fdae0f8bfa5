"""The contracts on a bare EVM: no blocks, no fees, no signatures of a relayer.

`fast_ledger()` runs on revm where pyrevm is installed (it ships nothing for
Python 3.13), else on the embedded chain, which says the same more slowly.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from counterfoil_credentials.errors import Reason
from counterfoil_loyalty.accounts import Account
from counterfoil_loyalty.actions import Action
from counterfoil_loyalty.chain import ChainLedger, EmbeddedChainLedger, embedded_ledger
from counterfoil_loyalty.ledger import Cover, EmbeddedLedger, Event, LedgerIdentity
from counterfoil_loyalty.refusals import refusal
from hexbytes import HexBytes
from web3 import Web3
from web3.providers.base import BaseProvider
from web3.types import RPCEndpoint, RPCResponse

from tests.loyalty.programme import NOW, seeded

HAS_REVM = find_spec("pyrevm") is not None
_CHAIN_ID = 777_001
_GAS = 30_000_000


class Reverted(Exception):  # it is not always an error
    """A call that the contract refused, with the data that it refused with."""

    def __init__(self, data: str) -> None:
        super().__init__(data)
        self.data = data


class Evm:
    """Accounts and contracts in memory, at a time that the caller sets."""

    def __init__(self) -> None:
        from pyrevm import EVM, CfgEnv, Env

        self._evm = EVM(Env(cfg=CfgEnv(chain_id=_CHAIN_ID)), spec_id="PRAGUE")
        self._number = 0
        self.set_time(NOW)

    def set_time(self, now: int) -> None:
        from pyrevm import BlockEnv

        self._number += 1
        self._evm.set_block_env(BlockEnv(number=self._number, timestamp=now))

    def deploy(self, creator: str, code: str) -> Account:
        put: Any = getattr(self._evm, "deploy")  # noqa: B009  # half of its type is unknown
        place: str = put(creator, bytes.fromhex(code.removeprefix("0x")))
        self._evm.reset_transient_storage()
        return Account(Web3.to_checksum_address(place))

    def call(self, sender: str, to: str, data: str, *, static: bool = False) -> bytes:
        """Give what a call answers; raises `Reverted`. A static call changes nothing."""
        try:
            return bytes(
                self._evm.message_call(
                    sender, to, bytes.fromhex(data.removeprefix("0x")), gas=_GAS, is_static=static
                )
            )
        except RuntimeError as error:
            text = str(error)
            found = text.partition("output: ")[2].split(" ")[0].rstrip(" })")
            raise Reverted(found or text) from error
        finally:
            self._evm.reset_transient_storage()

    @property
    def logs(self) -> list[Any]:
        """Give the events of the last call."""
        result = self._evm.result
        return list(result.logs) if result else []


class _Provider(BaseProvider):
    """As much of a node as reading needs."""

    def __init__(self, evm: Evm) -> None:
        super().__init__()
        self._evm = evm

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:  # noqa: ANN401
        match str(method):
            case "eth_chainId":
                return {"jsonrpc": "2.0", "id": 1, "result": hex(_CHAIN_ID)}
            case "eth_call":
                asked = params[0]
                try:
                    answer = self._evm.call(asked["from"], asked["to"], asked["data"], static=True)
                except Reverted as reverted:
                    told = {"code": 3, "message": "execution reverted", "data": reverted.data}
                    return {"jsonrpc": "2.0", "id": 1, "error": told}  # type: ignore[typeddict-item]
                return {"jsonrpc": "2.0", "id": 1, "result": "0x" + answer.hex()}
            case other:
                raise NotImplementedError(other)


class Acting(Protocol):
    """A ledger that does one action after another."""

    @property
    def identity(self) -> LedgerIdentity: ...

    @property
    def events(self) -> list[Event]:
        """The events of the last action."""
        ...

    def act(self, action: Action, now: int) -> Reason | None: ...

    def balance(self, token: Account, account: Account) -> int: ...

    def supply(self, token: Account) -> int: ...

    def cover(self, debtor: Account, creditor: Account) -> Cover: ...

    def close(self) -> None: ...


class BareEvmLedger(ChainLedger):
    """The contracts on a bare EVM: `act` does what a block of one transaction does."""

    def __init__(self, evm: Evm | None = None) -> None:
        self.evm = evm or Evm()
        key = b"\x05" * 32
        super().__init__(
            Web3(_Provider(self.evm)),
            relayer_key=key,
            send=lambda _: None,
            chain_id=_CHAIN_ID,
            genesis="77" * 32,
        )
        self.now = NOW
        self.events: list[Event] = []

    def act(self, action: Action, now: int) -> Reason | None:
        """Perform one action at `now` (unix seconds); give why not, or None. Fills `events`."""
        self.now = now
        self.evm.set_time(now)
        self.events = []
        target: dict[str, Any] = dict(self._target(action))
        sender = str(self._reader().get("from", ""))
        try:
            self._require_points(action)
            if "to" not in target:
                self.evm.deploy(sender, target["data"])
            else:
                self.evm.call(sender, target["to"], target["data"])
        except Reverted as reverted:
            return refusal(self._error_name(reverted.data))
        for log in self.evm.logs:
            receipt: Any = {
                "address": Web3.to_checksum_address(log.address),
                "topics": [HexBytes(topic) for topic in log.topics],
                "data": HexBytes(_data(log)),
                "logIndex": 0,
                "transactionIndex": 0,
                "transactionHash": HexBytes(bytes(32)),
                "blockHash": HexBytes(bytes(32)),
                "blockNumber": 1,
            }
            found = self._event(receipt)
            if found is not None:
                contract = Account(receipt["address"])
                self.events.append(Event("", len(self.events), contract, *found))
        return None

    def close(self) -> None:
        """Nothing is open."""


class _ByBlocks:
    """A ledger that makes blocks, one action in each."""

    def __init__(self, ledger: EmbeddedLedger) -> None:
        self._ledger = ledger
        self.identity = ledger.identity
        self.balance = ledger.balance
        self.supply = ledger.supply
        self.cover = ledger.cover
        self.events: list[Event] = []

    def act(self, action: Action, now: int) -> Reason | None:
        transaction = self._ledger.sign(action, self._ledger.sequence())
        self._ledger.send(transaction)
        assert self._ledger.make_block(now)
        outcome = self._ledger.outcome(transaction)
        assert outcome is not None
        self.events = list(self._ledger.block(outcome.block).events)
        return outcome.reason

    def close(self) -> None:
        """Nothing is open."""


class _OnChain(_ByBlocks):
    def __init__(self) -> None:
        self._folder = TemporaryDirectory()
        path = Path(self._folder.name) / "chain.sqlite3"
        self._chain: EmbeddedChainLedger = embedded_ledger(path, now=NOW, random=seeded("fast"))
        super().__init__(self._chain)

    def close(self) -> None:
        self._chain.close()
        self._folder.cleanup()


def fast_ledger() -> Acting:
    """Give an empty ledger with the real contracts, as fast as this Python has one."""
    return BareEvmLedger() if HAS_REVM else _OnChain()


def acting(ledger: EmbeddedLedger) -> Acting:
    """Give a ledger of blocks the face of a bare EVM."""
    return _ByBlocks(ledger)


def _data(log: Any) -> bytes:  # noqa: ANN401
    found: list[bytes] = [log.data] if isinstance(log.data, bytes) else list(log.data)
    return bytes(found[-1])  # The topics come before it, or it comes alone.
