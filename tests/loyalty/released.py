"""A points folder as a released version made it, and the present service over it."""

import random
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from counterfoil_credentials.errors import Refused
from counterfoil_loyalty import chain, chain_db
from counterfoil_loyalty.accounts import Account, PointsSigner
from counterfoil_loyalty.actions import Action
from counterfoil_loyalty.chain import EmbeddedChainLedger
from counterfoil_loyalty.chain_db import EmbeddedChain
from counterfoil_loyalty.common_contracts import compiled, released
from counterfoil_loyalty.points_folder import CHAIN, DATABASE
from counterfoil_loyalty.relayer import Relayer
from counterfoil_loyalty.sql_outbox import METADATA
from counterfoil_loyalty.sql_store import SCHEMA_VERSION, SqlStore
from counterfoil_service.sql import Database

from tests.loyalty.programme import NOW, seeded

_OF_VERSION_1 = ("BrandPoints", "Clearing", "PeerSwap", "PointsExchange", "PointsFactory")

SINCE_SCHEMA_2 = (
    "standing",
    "pending_awards",
    "programme_rules",
    "counted_awards",
    "redemption_uses",
)
"""Tables of the points' database that schema 2, of version 1, did not have."""


def by_version_1(patch: pytest.MonkeyPatch) -> None:
    """Let chains begin with the contracts of version 1 until the patch is undone."""
    patch.setattr(chain_db, "VERSION", 1)
    patch.setattr(chain, "compiled", _as_released)


def _as_released(name: str) -> dict[str, Any]:
    return released(name, 1) if name in _OF_VERSION_1 else compiled(name)


class Service:
    """The relayer over a folder's chain and outbox, one block for each action."""

    def __init__(self, folder: Path) -> None:
        self._stack = ExitStack()
        opened = EmbeddedChain(folder / CHAIN, now=NOW, random=seeded("released"))
        self.ledger = EmbeddedChainLedger(opened)
        self._stack.callback(self.ledger.close)
        database = Database.open(folder / DATABASE, METADATA, version=SCHEMA_VERSION)
        self._stack.callback(database.close)
        self.store = SqlStore(database)
        self.relayer = Relayer(self.ledger, self.store)
        self.relayer.start()
        self.wait()

    def wait(self, now: int = 0) -> None:
        """Make blocks until nothing waits; the first at `now` (unix seconds), or at once."""
        while not self.relayer.is_idle():
            assert self.relayer.turn(max(now, self.ledger.time() + 1))

    def do(self, action: Action, now: int = 0) -> None:
        """Perform an action that must succeed."""
        self.relayer.accept(action)
        self.wait(now)
        placed = self.store.placed(action.key)
        assert placed is not None
        assert placed.outcome is not None
        assert placed.outcome.reason is None, placed.outcome.reason

    def refuses(self, action: Action) -> str:
        """Give the code of the one refusal."""
        with pytest.raises(Refused) as refused:
            self.ledger.check(action)
        (code,) = refused.value.codes
        return code

    def token(self, brand: str) -> Account:
        (found,) = (it.token for it in self.store.brands() if it.brand == brand)
        return found

    def close(self) -> None:
        self._stack.close()


def customers(count: int) -> list[PointsSigner]:
    """Give customers, the same each time."""
    drawn = random.Random("customers")
    return [PointsSigner(drawn.randbytes(32)) for _ in range(count)]
