"""Where points live, as one setting: in this process, on a chain that others run, or nowhere.

    chain_from("embedded")                                  # the default
    chain_from("https://node.example/key,https://other.example", exchange=account)
    chain_from("none")                                      # points are off, all else works

A node is reached over HTTPS at a public address, or on this machine
(`http://127.0.0.1:8545`); several are written with commas between.
"""

import re
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from counterfoil_credentials.errors import Misuse

from counterfoil_loyalty.accounts import Account

EMBEDDED: Final = "embedded"
NONE: Final = "none"
FINALIZED: Final = "finalized"

_PUBLIC = re.compile(r"https://[^\s/,?#]+(/[^\s,#]*)?")
_LOOPBACK = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\]):[0-9]{1,5})(/[^\s,#]*)?")
_MOST_NODES = 16


@dataclass(frozen=True, slots=True)
class Embedded:
    """A chain of our own, in the service's folder."""


@dataclass(frozen=True, slots=True)
class NoChain:
    """Points are off."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """A chain that others run, by the addresses of its nodes; they may hold a secret.

    `exchange` is that of the programme where it exists, `first_block` the one it
    came into. `finality` is the chain's own word or a number of blocks.
    """

    urls: tuple[str, ...] = field(repr=False)
    exchange: Account | None = None
    first_block: int = 0
    finality: Literal["finalized"] | int = FINALIZED

    @property
    def loopback_origins(self) -> tuple[str, ...]:
        """Give the origins on this machine, which are reached without TLS."""
        found = (_LOOPBACK.fullmatch(url) for url in self.urls)
        return tuple(match.group(1) for match in found if match is not None)


ChainSetting: TypeAlias = Embedded | Nodes | NoChain


def chain_from(
    text: str,
    *,
    exchange: Account | None = None,
    first_block: int = 0,
    finality: str = FINALIZED,
) -> ChainSetting:
    """Give the setting that `text` writes; raises `Misuse` for any other text."""
    if text in (EMBEDDED, NONE):
        if exchange is not None:
            raise Misuse(f"expected an exchange beside a node's address, found it beside {text}")
        return Embedded() if text == EMBEDDED else NoChain()
    urls = tuple(text.split(","))
    for url in urls:
        if _PUBLIC.fullmatch(url) is None and _LOOPBACK.fullmatch(url) is None:
            # The text may hold a secret, so it is not shown.
            raise Misuse(
                "expected embedded, none, or addresses of nodes (https://…, or "
                "http://127.0.0.1:PORT on this machine) with commas between, found another text"
            )
    if len(urls) > _MOST_NODES:
        raise Misuse(f"expected at most {_MOST_NODES} nodes, found {len(urls)}")
    if finality != FINALIZED and not re.fullmatch(r"[0-9]{1,6}", finality):
        raise Misuse("expected finality as finalized or a number of blocks, found another text")
    depth: Literal["finalized"] | int = FINALIZED if finality == FINALIZED else int(finality)
    return Nodes(urls, exchange, first_block, depth)
