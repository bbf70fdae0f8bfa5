"""A chain inside this process, kept in one SQLite file: py-evm over a table of keys and values.

    chain = EmbeddedChain(path, now=now, random=secrets.token_bytes)
    chain.submit(raw_transaction)
    chain.make_block(now)                 # one SQLite transaction: all of the block or nothing

The chain is created with a random id the first time and continued from its
head ever after, `kill -9` included. Its time is the caller's: a block is
stamped with the time that `make_block` is given, and there is at most one a
second, so it never runs ahead (left to itself, the tester's clock gains a
second with each block).

This module and chain.py are the only ones that import py-evm or eth-tester; web3 enters by
evm_ledger.py too.
"""

# eth-tester ships no types, so what it gives is unknown to the checkers.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# ruff: noqa: ANN401

import json
import os
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import RLock
from typing import Any, cast

from coincurve import PrivateKey
from counterfoil_credentials.errors import Misuse, Unavailable
from eth.abc import BlockHeaderAPI, ReceiptAPI, SignedTransactionAPI, TransactionBuilderAPI
from eth.chains.base import MiningChain
from eth.db.atomic import AtomicDB
from eth.db.backends.base import BaseDB
from eth.exceptions import Revert
from eth.exceptions import TransactionNotFound as NotOnChain
from eth.vm.forks.prague import PragueVM
from eth.vm.spoof import SpoofTransaction
from eth_tester import (  # type: ignore[import-untyped]  # eth-tester ships no types
    EthereumTester,
    PyEVMBackend,
)
from eth_tester.backends.pyevm.serializers import (  # type: ignore[import-untyped]  # no types
    serialize_transaction_receipt,
)
from eth_tester.exceptions import (  # type: ignore[import-untyped]  # no types
    TransactionNotFound,
)
from eth_utils.exceptions import ValidationError
from web3 import EthereumTesterProvider
from web3.exceptions import ContractCustomError
from web3.providers.eth_tester.defaults import API_ENDPOINTS

from counterfoil_loyalty.accounts import PointsSigner
from counterfoil_loyalty.common_contracts import DEPLOYER, DEPLOYER_CODE, VERSION

_BASE_FEE_WEI = 10**9
"""What gas costs on our own chain, in every block."""

_ENDOWMENT_WEI = 10**40
"""What the relayer begins with: on its own chain, fees buy nothing and must never run out."""


class BlockDatabase(BaseDB):
    """py-evm's keys and values in SQLite; nothing is written before `commit`."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The file holds the relayer's key: SQLite gives its side files the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._file = sqlite3.connect(path, isolation_level=None, timeout=1, check_same_thread=False)
        try:
            # Two processes that extend one chain would fork it: the first keeps the file.
            for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL"):
                self._file.execute(f"PRAGMA {pragma}")
            self._file.execute(
                "CREATE TABLE IF NOT EXISTS kv (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID"
            )
            self._file.execute("BEGIN IMMEDIATE")
            self._file.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self._file.close()
            raise Unavailable(f"expected the chain's file for itself, found {error}") from error
        self._changed: dict[bytes, bytes | None] = {}

    def __getitem__(self, key: bytes) -> bytes:
        if key in self._changed:
            value = self._changed[key]
        else:
            row = self._file.execute("SELECT v FROM kv WHERE k = ?", (key,)).fetchone()
            value = None if row is None else row[0]
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._changed[bytes(key)] = bytes(value)

    def __delitem__(self, key: bytes) -> None:
        _ = self[key]  # A key that is absent is the caller's KeyError.
        self._changed[bytes(key)] = None

    def _exists(self, key: bytes) -> bool:
        try:
            self[key]
        except KeyError:
            return False
        return True

    def commit(self) -> None:
        """Write everything since the last commit, all of it or nothing."""
        written = [(key, value) for key, value in self._changed.items() if value is not None]
        deleted = [(key,) for key, value in self._changed.items() if value is None]
        self._file.execute("BEGIN IMMEDIATE")
        try:
            self._file.executemany("INSERT OR REPLACE INTO kv VALUES (?, ?)", written)
            self._file.executemany("DELETE FROM kv WHERE k = ?", deleted)
        except BaseException:
            self._file.execute("ROLLBACK")
            raise
        self._file.execute("COMMIT")
        self._changed.clear()

    def discard(self) -> None:
        """Forget everything since the last commit."""
        self._changed.clear()

    def close(self) -> None:
        self._file.close()


class EmbeddedChain:
    """The chain, its relayer's key and its waiting transactions. Safe for several threads."""

    def __init__(self, path: Path, *, now: int, random: Callable[[int], bytes]) -> None:
        self._db = BlockDatabase(path)
        self._random = random
        self._waiting: dict[int, SignedTransactionAPI] = {}
        self.lock = RLock()
        if b"chain-id" not in self._db:
            self._begin(now)
        self.chain_id = int.from_bytes(self._db[b"chain-id"], "big")
        self.relayer_key = self._db[b"relayer-key"]
        self.relayer = PointsSigner(self.relayer_key).account
        self._chain = _chain_class(self.chain_id)(AtomicDB(self._db))
        # eth_chainId of the tester is a constant; ours is this chain's own.
        known: dict[str, dict[str, Any]] = dict(API_ENDPOINTS)
        self.provider = EthereumTesterProvider(
            EthereumTester(_Backend(self._chain), auto_mine_transactions=False),
            api_endpoints={**known, "eth": {**known["eth"], "chainId": self._answer_chain_id}},
        )

    def submit(self, raw: bytes) -> None:
        """Take a transaction into the queue for the next blocks; one that is known is ignored."""
        with self.lock:
            transaction = self._chain.get_vm().get_transaction_builder().decode(raw)
            if transaction.sender != bytes.fromhex(self.relayer[2:]):
                raise Misuse("expected a transaction of this chain's relayer, found another's")
            if transaction.nonce >= self.sequence():
                self._waiting[transaction.nonce] = transaction

    def sequence(self) -> int:
        """Give the number of the relayer's transactions that are in blocks."""
        with self.lock:
            head = self._chain.get_canonical_head()
            state = self._chain.get_vm(self._chain.create_header_from_parent(head)).state
            return state.get_nonce(cast("Any", bytes.fromhex(self.relayer[2:])))

    @property
    def programmes(self) -> Mapping[int, int]:
        """Give where each programme on this chain begins: the relayer's number, by version.

        The contracts stand where the relayer's transactions of that number and the
        next two put them. The one with the highest version is in use.
        """
        found = {1: 0}
        if b"programmes" in self._db:
            found = {
                int(version): int(number)
                for version, number in json.loads(self._db[b"programmes"]).items()
            }
        return found

    def begin_programme(self) -> None:
        """Begin a programme of this package's contracts behind all that is there."""
        with self.lock:
            known = self.programmes
            if VERSION not in known:
                self._keep_programmes({**known, VERSION: self.sequence()})

    def _keep_programmes(self, programmes: Mapping[int, int]) -> None:
        self._db[b"programmes"] = json.dumps(programmes).encode()
        self._db.commit()

    def time(self) -> int:
        """Give the newest block's time, in unix seconds."""
        with self.lock:
            return self._chain.get_canonical_head().timestamp

    def make_block(self, now: int) -> bool:
        """Put what waits into one block stamped `now`; see `BlockMaker`."""
        with self.lock:
            if not self._waiting or now <= self._chain.get_canonical_head().timestamp:
                return False
            transactions = self._next_transactions()
            if not transactions:
                return False
            self._chain.set_header_timestamp(now)
            try:
                # All at once: applied one by one, the tester roots the block anew each time.
                self._chain.mine_all(transactions, mix_hash=self._random(32), blob_gas_used=0)
                self._db.commit()
            except BaseException:
                self._db.discard()
                self._chain.header = self._chain.ensure_header()
                raise
            for transaction in transactions:
                del self._waiting[transaction.nonce]
            return True

    def close(self) -> None:
        with self.lock:
            self._db.close()

    def _answer_chain_id(self, *_: object) -> Any:
        return self.chain_id

    def _next_transactions(self) -> list[SignedTransactionAPI]:
        chosen: list[SignedTransactionAPI] = []
        sequence = self.sequence()
        gas_left = self._chain.header.gas_limit
        while (transaction := self._waiting.get(sequence)) is not None:
            if transaction.gas > gas_left:
                break
            chosen.append(transaction)
            sequence += 1
            gas_left -= transaction.gas
        return chosen

    def _begin(self, now: int) -> None:
        chain_id = int.from_bytes(self._random(6), "big") | 1
        relayer_key = PrivateKey(self._random(32)).secret
        relayer = bytes.fromhex(PointsSigner(relayer_key).account[2:])
        parameters = PyEVMBackend.generate_genesis_params({"timestamp": now})
        state: Any = {
            relayer: {"balance": _ENDOWMENT_WEI, "nonce": 0, "code": b"", "storage": {}},
            # Where contracts are made at accounts that follow from their code, as on most chains.
            bytes.fromhex(DEPLOYER[2:]): {
                "balance": 0,
                "nonce": 1,
                "code": DEPLOYER_CODE,
                "storage": {},
            },
        }
        _chain_class(chain_id).from_genesis(AtomicDB(self._db), parameters, state)
        self._db[b"chain-id"] = chain_id.to_bytes(6, "big")
        self._db[b"relayer-key"] = relayer_key
        self._keep_programmes({VERSION: 0})


class _PointsVM(PragueVM):
    """Prague, but gas costs the same in every block.

    EIP-1559 raises the fee by up to an eighth after a busy block and lowers it
    after an idle one. We make no idle blocks: under load the fee would pass
    what transactions offer, and the chain would stand still for good.
    """

    @classmethod
    def validate_gas(cls, header: BlockHeaderAPI, parent_header: BlockHeaderAPI) -> None:
        found = (header.gas_limit, header.base_fee_per_gas)
        expected = (parent_header.gas_limit, _BASE_FEE_WEI)
        if found != expected:
            text = f"expected gas limit and base fee {expected}, found {found}"
            raise ValidationError(text)


def _chain_class(its_id: int) -> type[MiningChain]:
    class PointsChain(MiningChain):
        chain_id = its_id
        vm_configuration = ((cast("Any", 0), _PointsVM),)

        def create_header_from_parent(
            self, parent_header: BlockHeaderAPI, **header_params: Any
        ) -> BlockHeaderAPI:
            params = {**header_params, "gas_limit": parent_header.gas_limit}
            header = super().create_header_from_parent(parent_header, **params)
            return header.copy(base_fee_per_gas=_BASE_FEE_WEI)

        def get_transaction_builder(self) -> type[TransactionBuilderAPI]:
            return self.get_vm().get_transaction_builder()  # eth-tester asks the chain for it.

    return PointsChain


class _Backend(PyEVMBackend):  # type: ignore[misc]  # eth-tester ships no types
    """eth-tester's backend over our chain, with the two things that it does slowly or vaguely."""

    def __init__(self, chain: MiningChain) -> None:
        self._ours = chain
        self._receipts: tuple[bytes, tuple[ReceiptAPI, ...]] = (b"", ())
        super().__init__()

    def reset_to_genesis(self, *_: object, **__: object) -> None:
        self.account_keys = ()
        self.chain = self._ours

    def get_transaction_receipt(self, transaction_hash: bytes) -> Any:
        # The tester walks the whole chain to find a transaction; the chain has an index.
        try:
            number, index = self._ours.get_canonical_transaction_index(
                cast("Any", transaction_hash)
            )
        except NotOnChain as error:
            raise TransactionNotFound("not in a block") from error
        block = self._ours.get_canonical_block_by_number(number)
        if self._receipts[0] != block.hash:
            self._receipts = (block.hash, block.get_receipts(self._ours.chaindb))
        transaction = block.transactions[index]
        return serialize_transaction_receipt(
            block,
            self._receipts[1],
            transaction,
            index,
            is_pending=False,
            vm=self._ours.get_vm(),
        )

    def call(self, transaction: dict[str, Any], block_number: Any = "latest") -> bytes:
        # The tester turns a custom error into text; its bytes name the error.
        named: Any = block_number  # "latest" or a number
        head = self._ours.get_canonical_head()
        number = named if isinstance(named, int) else head.block_number
        header = self._ours.get_canonical_block_header_by_number(cast("Any", number))
        full = {"gas": header.gas_limit, **transaction}
        unsigned: Any = self._get_normalized_and_unsigned_evm_transaction(full, block_number)
        spoofed: Any = SpoofTransaction(unsigned, from_=transaction["from"])
        computation = self._ours.get_vm(header).state.apply_transaction(spoofed)
        if not computation.is_error:
            return computation.output
        data = computation.error.args[0] if isinstance(computation.error, Revert) else b""
        raise ContractCustomError("execution reverted", data=f"0x{data.hex()}")
