"""From the ledger's events to what people ask for: balances, history, brands, terms.

    Indexer(ledger, store).catch_up()

Every change of a balance is a `Transfer`; the event beside it in the same
transaction says what it was for. So balances are complete whatever happens on
the chain, and a history is a list of the chain's own events.
"""

from collections.abc import Sequence
from itertools import groupby

from counterfoil_credentials.errors import Misuse

from counterfoil_loyalty.accounts import NOBODY, Account
from counterfoil_loyalty.ledger import Block, Event, Ledger
from counterfoil_loyalty.rates import Rate
from counterfoil_loyalty.store import Brand, Corridor, Head, Movement, PointsStore, Projected


class Indexer:
    """Keeps the projection up with the ledger; resumes where it stopped."""

    def __init__(self, ledger: Ledger, store: PointsStore) -> None:
        self._ledger = ledger
        self._store = store

    def require_known_past(self) -> None:
        """Return only if the block that was last taken in is on the ledger.

        Raises `Misuse` otherwise: the ledger is an older copy, or went another
        way, and awards that were answered are not on it.
        """
        head = self._store.head()
        if head is None:
            return
        last = self._ledger.head()
        if last < head.number:
            found = f"a chain that ends at block {last}"
        elif self._ledger.block(head.number).block_id != head.block_id:
            found = "another block there"
        else:
            return
        text = (
            f"expected the chain to hold block {head.number}, which the outbox has taken in, "
            f"found {found}: put the chain and the outbox back from one and the same copy; to go "
            "on with this chain alone, move the outbox (points.sqlite3) away, and what only it "
            "knew is forgotten"
        )
        raise Misuse(text)

    def catch_up(self) -> None:
        """Take in every block after the store's head.

        Raises `Misuse` when the ledger's past is not the one that was taken in:
        the embedded chain never reorganises, so this is another chain.
        """
        head = self._store.head()
        for number in range(0 if head is None else head.number + 1, self._ledger.head() + 1):
            block = self._ledger.block(number)
            if head is not None and block.parent_id != head.block_id:
                text = f"expected block {number} to follow the one taken in, found another past"
                raise Misuse(text)
            projected = project(block)
            self._store.record(projected)
            head = projected.head


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
    return Projected(head, tuple(brands), tuple(corridors), tuple(movements))


def _movements(block: Block, events: Sequence[Event]) -> list[Movement]:
    found: list[Movement] = []
    for event in events:
        if event.name != "Transfer":
            continue
        giver, taker = _account(event, "from"), _account(event, "to")
        units = _number(event, "value")
        kind, reference, other = _reason(event, events)
        for side, account, change in ((0, giver, -units), (1, taker, units)):
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
    return "transferred", "", (None, None)


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
