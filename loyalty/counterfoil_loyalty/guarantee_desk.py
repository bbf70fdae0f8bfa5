"""Refund guarantees at the points service: opened, ended once, and what became of each.

    desk = GuaranteeDesk(service)
    desk.open(guarantee, signature)             # signed by the funder
    desk.perform(FulfilGuarantee(...))          # or RefundGuarantee: anybody sends either
    desk.state(name)                            # of `Guarantee.digest`

States are read from the ledger's own events. What is final is read once, by ranges; what is
not is read again each time, so that a chain that goes back takes its guarantees with it.
"""

from collections.abc import Iterable
from enum import StrEnum
from threading import Lock
from typing import Final

from counterfoil_loyalty.accounts import require_signature
from counterfoil_loyalty.common_contracts import Common, account_of
from counterfoil_loyalty.guarantee import Guarantee, OpenGuarantee
from counterfoil_loyalty.ledger import Block
from counterfoil_loyalty.service import Done, Pending, PointsService


class GuaranteeState(StrEnum):
    """Where a guarantee stands; the last two are for ever."""

    UNKNOWN = "unknown"
    OPEN = "open"
    KEPT = "kept"
    REFUNDED = "refunded"


_STATES: Final = {
    "Opened": GuaranteeState.OPEN,
    "Fulfilled": GuaranteeState.KEPT,
    "Refunded": GuaranteeState.REFUNDED,
}


class GuaranteeDesk:
    """Every guarantee at one service. Safe for several threads."""

    def __init__(self, service: PointsService) -> None:
        self._service = service
        self._contract = account_of(Common.GUARANTEE)
        self._final: dict[str, GuaranteeState] = {}
        self._next = 0
        self._lock = Lock()

    def open(self, guarantee: Guarantee, signature: bytes) -> Done | Pending:
        """Set the funder's points aside; once per guarantee, whoever sends it."""
        digest = guarantee.authorization(self._service.identity.venue)
        require_signature(guarantee.funder, digest, signature, "guarantee.signature")
        return self._service.perform(OpenGuarantee(guarantee, signature))

    def state(self, name: bytes) -> GuaranteeState:
        """Give what became of the guarantee of that name (`Guarantee.digest`)."""
        ledger = self._service.relayer.ledger
        with self._lock:
            final = ledger.final()
            while self._next <= final:
                blocks = ledger.final_blocks(self._next, final)
                self._final.update(self._states(blocks))
                self._next = blocks[-1].number + 1
            recent = [ledger.block(it) for it in range(self._next, ledger.head() + 1)]
            known = {**self._final, **self._states(recent)}
        return known.get(name.hex(), GuaranteeState.UNKNOWN)

    def _states(self, blocks: Iterable[Block]) -> dict[str, GuaranteeState]:
        return {
            str(event.values["id"]): _STATES[event.name]
            for block in blocks
            for event in block.events
            if event.contract == self._contract and event.name in _STATES
        }
