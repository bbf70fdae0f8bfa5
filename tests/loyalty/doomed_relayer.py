"""A relayer in a process of its own that is killed at a moment of its outbox.

    python -m tests.loyalty.doomed_relayer URL DATABASE MOMENT ACTIONS

ACTIONS are pickled and signed by the test; the moments are named in `MOMENTS`.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from counterfoil_loyalty.actions import Action
from counterfoil_loyalty.evm_ledger import EvmLedger
from counterfoil_loyalty.ledger import Outcome, SignedTransaction
from counterfoil_loyalty.nodes import Nodes
from counterfoil_loyalty.relayer import Patience, Relayer
from counterfoil_loyalty.rpc import Call, RpcNode
from counterfoil_loyalty.sql_outbox import METADATA
from counterfoil_loyalty.sql_store import SCHEMA_VERSION, SqlStore
from counterfoil_service.sql import Database

from tests.loyalty.anvil import RELAYER_KEY, fetcher

MOMENTS: Final = (
    "signed",  # inside the transaction that takes the number
    "stored",  # the transaction is on disk, and was never sent
    "sent",
    "outbid",  # another transaction under the number is on disk, and was never sent
    "outbid sent",
    "mined",  # it is in a block, which the index has taken in
    "closed",  # its outcome is on disk
    "gone back",  # the chain has gone back, and so has the index
)


class Doom:
    """The moment, and the end at it."""

    def __init__(self, moment: str) -> None:
        self.moment = moment
        self.is_armed = False

    def strike(self, moment: str) -> None:
        if self.is_armed and moment == self.moment:
            os.kill(os.getpid(), signal.SIGKILL)


class DoomedLedger(EvmLedger):
    doom: Doom
    is_outbidding = False

    def sign(self, action: Action, sequence: int) -> SignedTransaction:
        signed = super().sign(action, sequence)
        self.doom.strike("signed")
        return signed

    def send_all(self, transactions: Sequence[SignedTransaction]) -> None:
        self.doom.strike("outbid" if self.is_outbidding else "stored")
        super().send_all(transactions)
        self.doom.strike("outbid sent" if self.is_outbidding else "sent")

    def raised(self, transaction: SignedTransaction) -> SignedTransaction | None:
        self.is_outbidding = True
        return super().raised(transaction)


class DoomedStore(SqlStore):
    doom: Doom

    def close(self, outcomes: Mapping[str, tuple[SignedTransaction, Outcome]]) -> None:
        self.doom.strike("mined")
        super().close(outcomes)
        self.doom.strike("closed")

    def roll_back(self, number: int) -> None:
        super().roll_back(number)
        self.doom.strike("gone back")


def main(url: str, path: str, moment: str, actions: str) -> None:
    """Relay the actions as a service would, until the moment comes."""
    doom = Doom(moment)
    node = RpcNode(fetcher(url), url)
    nodes = Nodes([node], clock=lambda: 0.0)
    ledger = DoomedLedger(nodes, relayer_key=RELAYER_KEY, finality=8)
    store = DoomedStore(Database.open(Path(path), METADATA, version=SCHEMA_VERSION))
    ledger.doom = store.doom = doom
    relayer = Relayer(ledger, store, patience=Patience(stuck_after_s=10))
    relayer.start()
    doom.is_armed = True
    signed: list[Action] = pickle.loads(bytes.fromhex(actions))  # noqa: S301  # the test's own
    for action in signed:
        relayer.accept(action)
    for now in (1, 20):
        relayer.turn(now)
    node.ask([Call("evm_mine")])
    relayer.turn(21)
    node.ask([Call("anvil_reorg", [1, []])])
    relayer.turn(22)
    sys.exit("expected to be killed before, found the end")


if __name__ == "__main__":
    main(*sys.argv[1:])
