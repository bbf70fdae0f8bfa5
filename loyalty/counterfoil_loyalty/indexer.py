"""From the ledger's events to what people ask for: balances, history, brands, terms.

    Indexer(ledger, store).catch_up()

Every change of a balance is a `Transfer`; the event beside it in the same
transaction says what it was for. So balances are complete whatever happens on
the chain, and a history is a list of the chain's own events.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from counterfoil_credentials.errors import Misuse, Unavailable

from counterfoil_loyalty.accounts import NOBODY, Account
from counterfoil_loyalty.ledger import Block, Event, Ledger
from counterfoil_loyalty.pending_awards import pending_changes
from counterfoil_loyalty.rates import Rate
from counterfoil_loyalty.standing import STANDING_EVENTS
from counterfoil_loyalty.store import Brand, Corridor, Head, Movement, PointsStore, Projected

_ROUNDS = 8
"""How often a chain may go back while it is read, before the reader gives up for now."""


class Indexer:
    """Keeps the projection up with the ledger; resumes where it stopped.

    Final blocks are read many at a time, those near the head one by one, each
    known by its hash. When the chain has gone back, so does the projection, and
    what came into the lost blocks waits in the outbox again.
    """

    def __init__(self, ledger: Ledger, store: PointsStore) -> None:
        self._ledger = ledger
        self._store = store

    def require_known_past(self) -> None:
        """Return only if the last final block that was taken in is on the ledger.

        Raises `Misuse` otherwise: the ledger is an older copy, or went another
        way, and awards that were answered are not on it.
        """
        self._ledger.watch([brand.token for brand in self._store.brands()])
        number = self._store.final()
        known = self._store.block_id(number)
        if known is None:
            return
        last = self._ledger.head()
        if last < number:
            found = f"a chain that ends at block {last}"
        elif self._ledger.block_id(number) != known:
            found = "another block there"
        else:
            return
        text = (
            f"expected the chain to hold block {number}, which the outbox has taken in, "
            f"found {found}: put the chain and the outbox back from one and the same copy; to go "
            "on with this chain alone, move the outbox (points.sqlite3) away, and what only it "
            "knew is forgotten"
        )
        raise Misuse(text)

    def catch_up(self) -> None:
        """Take in every block after the store's head, from where both still agree.

        Raises `Misuse` when the ledger's past is not the one that was taken in
        as final: then this is another chain. Raises `Unavailable` when the
        ledger goes back faster than it is read.
        """
        for _ in range(_ROUNDS):
            self._go_back()
            if self._go_on():
                return
        raise Unavailable("expected a chain that stands still while it is read, found it moving")

    def _go_back(self) -> None:
        """Undo the blocks that are no longer on the ledger."""
        head = self._store.head()
        if head is None:
            return
        # Who is only behind shows the same blocks, and fewer of them.
        number = min(head.number, self._ledger.head())
        agreed = number
        final = self._store.final()
        while agreed > final and not self._agrees(agreed):
            agreed -= 1
        if agreed == number and (number > final or self._agrees(number)):
            return
        if agreed <= final and not self._agrees(final):
            agreed = final - 1
        self._store.roll_back(agreed)

    def _agrees(self, number: int) -> bool:
        known = self._store.block_id(number)
        return known is None or known == self._ledger.block_id(number)

    def _go_on(self) -> bool:
        """Take in what is new; False when a block does not follow the one before it."""
        final, last = self._ledger.final(), self._ledger.head()
        head = self._store.head()
        number = 0 if head is None else head.number + 1
        while number <= last:
            if number <= final:
                blocks = self._ledger.final_blocks(number, final)
            else:
                blocks = [self._ledger.block(number)]
            first = blocks[0]
            follows = head is None or first.parent_id == head.block_id
            if first.number == number and not follows:
                return False
            taken: list[Projected] = []
            for block in blocks:
                taken.append(replace(project(block), first=number))
                number = block.number + 1
            self._store.record(*taken, final=final)
            head = taken[-1].head
        return True


def project(block: Block) -> Projected:
    """Give what one block adds to the projection."""
    brands: list[Brand] = []
    corridors: list[Corridor] = []
    movements: list[Movement] = []
    for _, group in groupby(block.events, key=lambda event: event.transaction_id):
        events = list(group)
        brands += [_brand(event) for event in events if event.name == "PointsCreated"]
        corridors += [_corridor(event) for event in events if event.name == "Agreed"]
        movements += _movements(block, events)
    head = Head(block.number, block.block_id)
    prices = tuple(
        (_account(event, "token"), _number(event, "price"))
        for event in block.events
        if event.name == "PriceSet"
    )
    standing = tuple(event for event in block.events if event.name in STANDING_EVENTS)
    return Projected(
        head,
        tuple(brands),
        tuple(corridors),
        prices,
        tuple(movements),
        standing=standing,
        pending=pending_changes(block.events, block.at),
    )


def _movements(block: Block, events: Sequence[Event]) -> list[Movement]:
    found: list[Movement] = []
    for event in events:
        if event.name != "Transfer":
            continue
        giver, taker = _account(event, "from"), _account(event, "to")
        units = _number(event, "value")
        kind, reference, other = _reason(event, events)
        for side, account, met, change in ((0, giver, taker, -units), (1, taker, giver, units)):
            if account != NOBODY:
                movement = Movement(
                    block.number,
                    2 * event.index + side,
                    block.at,
                    event.transaction_id,
                    event.contract,
                    account,
                    change,
                    kind,
                    reference,
                    *other,
                    other_account=None if met == NOBODY else met,
                )
                found.append(movement)
    return found


def _reason(
    transfer: Event, events: Sequence[Event]
) -> tuple[str, str, tuple[Account | None, int | None]]:
    """Say what a transfer was for: its kind, its reference and the other side of an exchange."""
    token, units = transfer.contract, transfer.values["value"]
    for event in events:
        values = event.values
        match event.name:
            case "Moved" if token in (event.contract, values["predecessor"]):
                # Both sides of a move stand in one transaction, and many moves may.
                if values["holder"] in (transfer.values["from"], transfer.values["to"]):
                    return "moved", "", (None, None)
            case "Awarded" if event.contract == token and values["amount"] == units:
                return "awarded", str(values["ref"]), (None, None)
            case "AwardedBatch" if event.contract == token:
                return "awarded", str(values["ref"]), (None, None)
            case "Earned" if event.contract == token:
                return "awarded", "", (None, None)
            case "Refunded" if event.contract == token:
                return "refunded", str(values["id"]), (None, None)
            case "Expired" if event.contract == token:
                return "expired", "", (None, None)
            case "Redeemed" if event.contract == token and values["amount"] == units:
                return "redeemed", str(values["id"]), (None, None)
            case "Swapped" if values["from"] == token:
                other = (_account(event, "to"), _number(event, "amountOut"))
                return "exchanged", str(values["intent"]), other
            case "Swapped" if values["to"] == token:
                other = (_account(event, "from"), -_number(event, "amountIn"))
                return "exchanged", str(values["intent"]), other
            case _:
                continue
    return "transferred", _authorized(transfer, events), (None, None)


def _authorized(transfer: Event, events: Sequence[Event]) -> str:
    """Give the nonce of the authorisation by which a transfer was made; "" without one."""
    used = ("AuthorizationUsed", transfer.contract, transfer.values["from"])
    for event in events:
        if (event.name, event.contract, event.values.get("authorizer")) == used:
            return str(event.values["nonce"])
    return ""


def _brand(event: Event) -> Brand:
    return Brand(
        brand=str(event.values["brand"]),
        name=str(event.values["name"]),
        symbol=str(event.values["symbol"]),
        token=_account(event, "token"),
        issuer=_account(event, "issuer"),
        price=_number(event, "price"),
    )


def _corridor(event: Event) -> Corridor:
    return Corridor(
        token_in=_account(event, "from"),
        token_out=_account(event, "to"),
        rate=Rate(_number(event, "numerator"), _number(event, "denominator")),
        version=_number(event, "version"),
        ends_at=_number(event, "endsAt"),
    )


def _account(event: Event, name: str) -> Account:
    return Account(str(event.values[name]))


def _number(event: Event, name: str) -> int:
    return int(event.values[name])
