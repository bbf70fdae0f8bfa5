"""A ledger of each kind: in memory, on the embedded chain, on a real node."""

from collections.abc import Iterator
from pathlib import Path

from counterfoil_loyalty.ledger import EmbeddedLedger
from counterfoil_loyalty.memory_ledger import MemoryLedger

from tests.loyalty.programme import NOW, seeded


def empty_ledger(kind: str, folder: Path) -> Iterator[EmbeddedLedger]:
    """Give an empty ledger of that kind, for as long as a fixture stands."""
    if kind == "memory":
        yield MemoryLedger(now=NOW, random=seeded("memory"))
        return
    if kind == "anvil":
        from tests.loyalty.anvil import AnvilLedger, anvil

        with anvil("--no-mining") as node:
            on_node = AnvilLedger(node)
            yield on_node
            on_node.close()
        return
    from counterfoil_loyalty.chain import embedded_ledger

    on_chain = embedded_ledger(folder / "chain.sqlite3", now=NOW, random=seeded("chain"))
    yield on_chain
    on_chain.close()
