"""What one brand owes another, line by line: for the two that settle, and for their auditors.

    statement = draw_up(blocks, clearing, debtor=audio, creditor=bicycle, since=block, until=block)
    statement.to_csv(), statement.sign(signer)

It is the contract's own events and nothing else, so both brands, and whoever reads the chain,
draw up the same one. Values are millionths of one unit of the settlement currency; a value
above zero makes the debtor owe more. Events that do not add up are refused: some are missing.
"""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import Malformed, Misuse
from counterfoil_credentials.jws import sign_jws
from counterfoil_credentials.keys import Signer

from counterfoil_loyalty.accounts import Account
from counterfoil_loyalty.ledger import Block, Event
from counterfoil_loyalty.store import Brand

STATEMENT_TYP: Final = "counterfoil-settlement-statement+jwt"
_KINDS: Final = {
    "Booked": "exchanged",
    "Settled": "paid",
    "Drawn": "drawn-from-collateral",
    "Acknowledged": "paid-elsewhere",
    "Netted": "netted",
}
KINDS: Final = tuple(_KINDS.values())
"""What a line may be."""

_COLUMNS: Final = (
    "at",
    "debtor",
    "creditor",
    "kind",
    "value_millionths",
    "owed_millionths",
    "reference",
    "block",
    "transaction",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementLine:
    """One change of what is owed. `owed` is what stands after it; `at` in unix seconds.

    `kind` is exchanged, paid, drawn-from-collateral, paid-elsewhere or netted. `reference`
    is that of a payment elsewhere, "" for the rest.
    """

    at: int
    kind: str
    value: int
    owed: int
    reference: str
    block: int
    transaction_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What `debtor` owed `creditor` before block `since`, each change, and what it owes now.

    Below zero, the creditor owes the debtor. `until_id` names the last block that was read.
    """

    debtor: str
    creditor: str
    since: int
    until: int
    until_id: str
    opening: int
    closing: int
    lines: tuple[StatementLine, ...]

    def to_csv(self) -> str:
        """Give the lines as CSV (RFC 4180), with a first line that names the columns."""
        written = io.StringIO()
        rows = csv.writer(written)
        rows.writerow(_COLUMNS)
        for line in self.lines:
            rows.writerow(
                (
                    datetime.fromtimestamp(line.at, UTC).isoformat().replace("+00:00", "Z"),
                    _inert(self.debtor),
                    _inert(self.creditor),
                    line.kind,
                    line.value,
                    line.owed,
                    _inert(line.reference),
                    line.block,
                    _inert(line.transaction_id),
                )
            )
        return written.getvalue()

    def to_json(self) -> JsonObject:
        """Give the statement as data. Values are texts: they may be above 2**53."""
        lines: list[Json] = [
            {
                "at": line.at,
                "kind": line.kind,
                "value": str(line.value),
                "owed": str(line.owed),
                "reference": line.reference,
                "block": line.block,
                "transaction": line.transaction_id,
            }
            for line in self.lines
        ]
        return {
            "debtor": self.debtor,
            "creditor": self.creditor,
            "since": self.since,
            "until": self.until,
            "until_id": self.until_id,
            "opening": str(self.opening),
            "closing": str(self.closing),
            "lines": lines,
        }

    def sign(self, signer: Signer) -> str:
        """Give the statement as one of the two brands stands by it."""
        return sign_jws(self.to_json(), typ=STATEMENT_TYP, signer=signer)


def draw_up(
    blocks: Iterable[Block],
    clearing: Account,
    *,
    debtor: Brand,
    creditor: Brand,
    since: int,
    until: int,
) -> Statement:
    """Give the statement over the blocks `since` to `until`.

    `blocks` are all of the chain up to `until`, in their order; those without events may be
    left out, but not the last. Raises `Malformed` where the claims that the contract names
    are not what its events add up to.
    """
    if not 0 <= since <= until or debtor.token == creditor.token:
        raise Misuse("expected two brands, and a block not after the last, found others")
    owed = opening = 0
    lines: list[StatementLine] = []
    last: Block | None = None
    for block in blocks:
        if block.number > until:
            break
        if last is not None and block.number <= last.number:
            raise Misuse("expected blocks in their order, found another")
        last = block
        for event in block.events:
            if event.contract != clearing or event.name not in _KINDS:
                continue
            value = _change(event, debtor.token, creditor.token)
            if not value:
                continue
            owed += value
            _require_sum(event, debtor.token, owed)
            if block.number < since:
                opening = owed
                continue
            line = StatementLine(
                at=block.at,
                kind=_KINDS[event.name],
                value=value,
                owed=owed,
                reference=str(event.values["ref"]) if event.name == "Acknowledged" else "",
                block=block.number,
                transaction_id=event.transaction_id,
            )
            lines.append(line)
    if last is None or last.number != until:
        raise Malformed("every block up to the last", "fewer", "blocks")
    return Statement(
        debtor=debtor.brand,
        creditor=creditor.brand,
        since=since,
        until=until,
        until_id=last.block_id,
        opening=opening,
        closing=owed,
        lines=tuple(lines),
    )


def _change(event: Event, debtor: Account, creditor: Account) -> int:
    """Give by how much `debtor` owes `creditor` more after `event`."""
    value = int(event.values["value"])
    if event.name == "Netted":
        brands = str(event.values["brands"]).split()
        edges = [*pairwise((*brands, brands[0]))]
        return value * (edges.count((creditor, debtor)) - edges.count((debtor, creditor)))
    pair = (event.values["debtor"], event.values["creditor"])
    more = value if event.name == "Booked" else -value
    if pair == (debtor, creditor):
        return more
    return -more if pair == (creditor, debtor) else 0


def _require_sum(event: Event, debtor: Account, owed: int) -> None:
    if event.name != "Booked":
        return
    named = int(event.values["owed"])
    if named != (owed if event.values["debtor"] == debtor else -owed):
        raise Malformed("events that add up to what is owed", "another sum", "blocks.Booked")


def _inert(text: str) -> str:
    # A spreadsheet takes what begins so for a formula.
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
