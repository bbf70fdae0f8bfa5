"""Several nodes of one chain: read from one that is well, write to all.

    nodes = Nodes([RpcNode(fetcher, url) for url in urls], clock=time.monotonic)
    nodes.ask(calls)         # from the node in use; from the next one when it fails
    nodes.tell(calls)        # to every node that is well
    nodes.look()             # who is well, and how far each has come

A node that does not answer rests, each time longer. One that is behind the
others is not read from, and of three or more the majority says how far the
chain is: a height that one node alone claims draws no reads, until the others
have stood still for long, and never a height that no chain could have come to
since. One of another chain is never asked again: an outbox sent there would be
minted a second time.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from threading import RLock

from counterfoil_credentials.errors import Misuse, Unavailable

from counterfoil_loyalty.rpc import Answer, Call, RpcNode, quantity, table, word

MAX_BEHIND = 3
"""Blocks that a node may be behind the farthest and still be read from."""

STANDS_STILL_S = 60.0
"""For how long the majority's height may stay the same before one node farther on is believed."""

MAX_BLOCKS_PER_S = 10
"""The fastest that a chain is believed to grow while its majority stands still."""

_MAJORITY_OF = 3  # Of two that differ, neither is the majority: the farther one is read.
_FIRST_REST_S = 1.0
_LONGEST_REST_S = 30.0
_WHO = (Call("eth_chainId"), Call("eth_getBlockByNumber", ["0x0", False]), Call("eth_blockNumber"))

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ChainName:
    """Which chain it is: its id, and its first block's hash in 64 hex digits."""

    chain_id: int
    genesis: str


@dataclass(frozen=True, slots=True)
class NodeHealth:
    """How the node at `place` in the list is: whether it answers, and its newest block."""

    place: int
    is_well: bool
    height: int


@dataclass(slots=True)
class _Known:
    node: RpcNode
    height: int = -1
    rests_until: float = 0.0
    rest_s: float = _FIRST_REST_S
    is_known: bool = False
    is_foreign: bool = False


class Nodes:
    """The nodes, in the order of preference. Safe for several threads.

    `clock` gives seconds that only grow. Raises `Unavailable` at once when no
    node answers, and `Misuse` without any.
    """

    def __init__(self, nodes: Sequence[RpcNode], *, clock: Callable[[], float]) -> None:
        if not nodes:
            raise Misuse("expected at least one node's address, found none")
        self._nodes = [_Known(node) for node in nodes]
        self._clock = clock
        self._lock = RLock()
        self._in_use = self._nodes[0]
        self._chain: ChainName | None = None
        self._agreed = (-1, clock())
        self._pool = ThreadPoolExecutor(len(nodes), thread_name_prefix="points-node")
        self.look()
        if self._chain is None:
            self.close()
            raise Unavailable("expected a node that answers, found none")

    @property
    def chain(self) -> ChainName:
        """Give the chain that all nodes have to be of: the first answer's."""
        if self._chain is None:
            raise Unavailable("expected a node that answers, found none")
        return self._chain

    def ask(self, calls: Sequence[Call]) -> list[Answer]:
        """Give the answers, all from one node. Each node is tried once."""
        tried: list[_Known] = []
        while (known := self._choose(tried)) is not None:
            tried.append(known)
            answers = self._try(known, calls)
            if answers is not None:
                return answers
        raise Unavailable("expected a node that answers, found none")

    def tell(self, calls: Sequence[Call]) -> list[list[Answer]]:
        """Give what each node that is well answered to the same calls."""
        with self._lock:
            well = [it for it in self._nodes if self._is_usable(it)]
        found = self._pool.map(self._try, well, repeat(calls))
        answers = [it for it in found if it is not None]
        if not answers:
            raise Unavailable("expected a node that answers, found none")
        return answers

    def look(self) -> Sequence[NodeHealth]:
        """Ask every node that does not rest how far it is, and choose whom to read from."""
        with self._lock:
            asked = [it for it in self._nodes if not it.is_foreign and not self._rests(it)]
        list(self._pool.map(self._measure, asked))
        with self._lock:
            self._agree()
            if not self._is_readable(self._in_use):
                self._in_use = self._choose([]) or self._in_use
            return [
                NodeHealth(place, self._is_usable(it), it.height)
                for place, it in enumerate(self._nodes)
            ]

    def close(self) -> None:
        self._pool.shutdown(wait=False)

    def _choose(self, tried: Sequence[_Known]) -> _Known | None:
        """Give the node in use, or else the first that is well, preferably one as far as all."""
        with self._lock:
            others = [it for it in self._nodes if it is not self._in_use]
            usable = [
                it
                for it in (self._in_use, *others)
                if self._is_usable(it) and not any(it is other for other in tried)
            ]
            chosen = next((it for it in usable if self._is_readable(it)), None)
            chosen = chosen or next(iter(usable), None)
            if chosen is not None:
                self._in_use = chosen
            return chosen

    def _try(self, known: _Known, calls: Sequence[Call]) -> list[Answer] | None:
        """Give a node's answers; None when it did not answer, and rests now."""
        try:
            if not known.is_known:
                self._measure(known)
                if not self._is_usable(known):
                    return None
            return known.node.ask(calls)
        except Unavailable:
            self._rest(known)
            return None

    def _measure(self, known: _Known) -> None:
        # Whoever was away may have come back as another chain.
        calls = _WHO[2:] if known.is_known else _WHO
        try:
            answers = known.node.ask(calls)
            height = quantity(answers[-1], "eth_blockNumber")
            if not known.is_known:
                genesis = table(answers[1], "eth_getBlockByNumber")
                chain_id = quantity(answers[0], "eth_chainId")
                self._recognise(known, ChainName(chain_id, word(genesis.get("hash"), "hash")))
        except Unavailable:
            self._rest(known)
            return
        with self._lock:
            known.height = height
            known.rest_s = _FIRST_REST_S

    def _recognise(self, known: _Known, found: ChainName) -> None:
        with self._lock:
            if self._chain is None:
                self._chain = found
            known.is_known = True
            known.is_foreign = found != self._chain
        if known.is_foreign:
            place = next(at for at, it in enumerate(self._nodes) if it is known)
            _log.error("node %d is of another chain than the first that answered", place)

    def _rest(self, known: _Known) -> None:
        with self._lock:
            known.is_known = False
            known.rests_until = self._clock() + known.rest_s
            known.rest_s = min(2 * known.rest_s, _LONGEST_REST_S)

    def _rests(self, known: _Known) -> bool:
        return self._clock() < known.rests_until

    def _is_usable(self, known: _Known) -> bool:
        return not known.is_foreign and not self._rests(known)

    def _agree(self) -> None:
        """Note how far the majority is, and since when."""
        heights = sorted((it.height for it in self._nodes if self._is_usable(it)), reverse=True)
        agreed, _ = self._agreed
        if heights and heights[len(heights) // 2] != agreed:
            self._agreed = (heights[len(heights) // 2], self._clock())

    def _is_readable(self, known: _Known) -> bool:
        """Tell whether a node is well, and neither behind the others nor where none can be."""
        if not self._is_usable(known):
            return False
        heights = [it.height for it in self._nodes if self._is_usable(it)]
        if len(heights) < _MAJORITY_OF:
            return known.height >= max(heights) - MAX_BEHIND
        agreed, since = self._agreed
        still_s = self._clock() - since
        farthest = agreed + MAX_BEHIND + int(still_s * MAX_BLOCKS_PER_S)
        if known.height > farthest:
            return False
        if still_s >= STANDS_STILL_S:
            agreed = max(height for height in heights if height <= farthest)
        return known.height >= agreed - MAX_BEHIND
