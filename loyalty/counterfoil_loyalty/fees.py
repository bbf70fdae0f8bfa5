"""What a transaction offers for its gas, from what the last blocks asked.

One `eth_feeHistory` for each block, shared by all that are signed before the
next. Twice the base fee outlasts six full blocks (EIP-1559: an eighth more
after each), and above the cap nothing is offered: then transactions wait.
"""

from dataclasses import dataclass
from typing import Final

from counterfoil_credentials.errors import Unavailable

from counterfoil_loyalty.rpc import Answer, Call, quantity, table

HISTORY: Final = Call("eth_feeHistory", ["0x5", "latest", [50]])

MAX_FEE_WEI: Final = 500 * 10**9
"""The most that is offered for a unit of gas where the operator says nothing else."""


@dataclass(frozen=True, slots=True)
class Fees:
    """An offer in wei for each unit of gas: the tip within the fee."""

    tip_wei: int
    fee_wei: int


def fees_from(history: Answer, *, cap_wei: int) -> Fees:
    """Give what to offer after `history`, the answer to `HISTORY`; never above `cap_wei`.

    The tip is the median of what the last blocks' median transactions gave.
    """
    found = table(history, "eth_feeHistory")
    bases, rewards = found.get("baseFeePerGas"), found.get("reward")
    if not isinstance(bases, list) or not bases:
        raise Unavailable("expected base fees of the node, found none (eth_feeHistory)")
    base = quantity(bases[-1], "eth_feeHistory")
    tips = sorted(
        quantity(row[0], "eth_feeHistory")
        for row in (rewards if isinstance(rewards, list) else [])
        if isinstance(row, list) and row
    )
    # A tip above the base fee is some other sender's hurry.
    tip = min(tips[len(tips) // 2] if tips else 0, max(base, 1))
    return Fees(min(tip, cap_wei), min(2 * base + tip, cap_wei))
