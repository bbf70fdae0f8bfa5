"""Anybody's check of a points service: every event from the first, against what it says now.

    audited = audit(ServiceRead(client))        # or LedgerRead(ledger), on the chain itself

Balances, supplies and claims are added up again from the events. Every exchange is
held against both brands' prices at its place: `out * price(to) <= in * price(from)`.
The first difference is named and ends the audit (`Refused`, code `audit-differs`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

from counterfoil_credentials.encoding import JsonObject, as_object, int_at, list_at, text_at
from counterfoil_credentials.errors import Reason, Refused, Unavailable

from counterfoil_loyalty.accounts import NOBODY, Account, account_from
from counterfoil_loyalty.brand_desk import claim_between
from counterfoil_loyalty.client import PointsClient
from counterfoil_loyalty.ledger import Event, Ledger
from counterfoil_loyalty.rates import makes_value

DIFFERS = "audit-differs"
"""The code of a refusal: what is said is not what the events add up to."""

_ROUNDS = 4

Token = Account


@dataclass(frozen=True, slots=True)
class Audited:
    """What was counted, all of it right. `total_value` as in `client.Supply`."""

    events: int
    brands: int
    accounts: int
    exchanges: int
    total_value: int


class Read(Protocol):
    """Whose word is checked."""

    def events(self) -> Sequence[tuple[int, Event]]:
        """Give every event with its block's number, oldest first."""
        ...

    def balances(self, account: Account) -> dict[Token, int] | None:
        """Give what the account holds; None where each token has to be asked."""
        ...

    def supplies(self, tokens: Iterable[Token]) -> dict[Token, int]: ...

    def balance(self, token: Token, account: Account) -> int: ...

    def owed(self, debtor: Token, creditor: Token) -> int: ...


@dataclass
class _Books:
    names: dict[Token, str] = field(default_factory=dict[Token, str])
    prices: dict[Token, int] = field(default_factory=dict[Token, int])
    balances: dict[tuple[Token, Account], int] = field(
        default_factory=dict[tuple[Token, Account], int]
    )
    owed: dict[tuple[Token, Token], int] = field(default_factory=dict[tuple[Token, Token], int])
    exchanges: int = 0

    def add(self, event: Event, where: str) -> None:
        values = event.values
        match event.name:
            case "PointsCreated":
                token = Account(str(values["token"]))
                self.names[token] = str(values["brand"])
                self.prices[token] = int(values["price"])
            case "PriceSet":
                token = Account(str(values["token"]))
                _same(self.prices.get(token), int(values["oldPrice"]), f"{where}.oldPrice")
                self.prices[token] = int(values["price"])
            case "Transfer":
                units = int(values["value"])
                self._move(event.contract, Account(str(values["from"])), -units, where)
                self._move(event.contract, Account(str(values["to"])), units, where)
            case "Swapped":
                self._exchange(event, where)
            case "Booked" | "Settled" | "Drawn" | "Acknowledged":
                pair = (Account(str(values["debtor"])), Account(str(values["creditor"])))
                sign = 1 if event.name == "Booked" else -1
                self._owe(*pair, sign * int(values["value"]))
                if event.name == "Booked":
                    _same(self.owed[pair], int(values["owed"]), f"{where}.owed")
            case "Netted":
                brands = [Account(it) for it in str(values["brands"]).split()]
                for debtor, creditor in pairwise((*brands, brands[0])):
                    self._owe(debtor, creditor, -int(values["value"]))
            case _:
                pass

    def supply(self, token: Token) -> int:
        return -self.balances.get((token, NOBODY), 0)

    def _move(self, token: Token, account: Account, units: int, where: str) -> None:
        held = self.balances.get((token, account), 0) + units
        if held < 0 and account != NOBODY:
            raise _differs("a balance that suffices", "one that does not", where)
        self.balances[token, account] = held

    def _exchange(self, event: Event, where: str) -> None:
        values = event.values
        giver, taker = Account(str(values["from"])), Account(str(values["to"]))
        if giver not in self.prices or taker not in self.prices:
            raise _differs("points that were created", "others", where)
        units_in, units_out = int(values["amountIn"]), int(values["amountOut"])
        prices = (self.prices[giver], self.prices[taker])
        if makes_value(units_in, prices[0], units_out, prices[1]):
            raise _differs("an exchange that makes no value", "one that does", where)
        _same(units_out * prices[1], int(values["value"]), f"{where}.value")
        self.exchanges += 1

    def _owe(self, debtor: Token, creditor: Token, value: int) -> None:
        owed = self.owed.get((debtor, creditor), 0) + value
        self.owed[debtor, creditor], self.owed[creditor, debtor] = owed, -owed


def audit(read: Read) -> Audited:
    """Give what was counted when nothing differs.

    Raises `Refused` with the first difference, and `Unavailable` when more keeps
    happening while it is read.
    """
    for _ in range(_ROUNDS):
        events = read.events()
        difference: Refused | None = None
        found: Audited | None = None
        try:
            found = _audit_once(read, events)
        except Refused as refused:
            difference = refused
        # What happened meanwhile is no difference.
        if len(read.events()) != len(events):
            continue
        if difference is not None:
            raise difference
        if found is not None:
            return found
    raise Unavailable("expected a ledger that stands still while it is audited, found it moving")


def _audit_once(read: Read, events: Sequence[tuple[int, Event]]) -> Audited:
    books = _Books()
    for block, event in events:
        books.add(event, f"block {block}.{event.name}")
    tokens = list(books.names)
    supplies = read.supplies(tokens)
    for token, name in books.names.items():
        _same(books.supply(token), supplies.get(token, 0), f"supply of {name}")
    accounts = sorted({account for _, account in books.balances if account != NOBODY})
    for account in accounts:
        held = read.balances(account)
        for token, name in books.names.items():
            if (token, account) not in books.balances and held is None:
                continue
            said = read.balance(token, account) if held is None else held.get(token, 0)
            _same(books.balances.get((token, account), 0), said, f"balance of {account} at {name}")
    for debtor in tokens:
        for creditor in tokens:
            if debtor != creditor:
                where = f"claim of {books.names[creditor]} on {books.names[debtor]}"
                _same(books.owed.get((debtor, creditor), 0), read.owed(debtor, creditor), where)
    value = sum(books.supply(token) * books.prices[token] for token in tokens)
    return Audited(len(events), len(tokens), len(accounts), books.exchanges, value)


class ServiceRead:
    """What a points service says over HTTP."""

    def __init__(self, client: PointsClient) -> None:
        self._client = client
        self._names: dict[Token, str] = {}

    def events(self) -> Sequence[tuple[int, Event]]:
        self._names = {it.token: it.brand for it in self._client.programmes()}
        return [
            (int_at(it, "block", "events[]"), _event(it, place))
            for place, it in enumerate(self._client.events())
        ]

    def balances(self, account: Account) -> dict[Token, int] | None:
        answer = self._client.ask(f"/accounts/{account}/balances")
        found: dict[Token, int] = {}
        for entry in list_at(answer, "balances", "balances"):
            row = as_object(entry, "balances[]")
            token = self._client.programme(text_at(row, "brand", "balances[]")).token
            found[token] = int_at(row, "units", "balances[]")
        return found

    def supplies(self, tokens: Iterable[Token]) -> dict[Token, int]:
        units = self._client.supply().units
        return {self._client.programme(brand).token: held for brand, held in units.items()}

    def balance(self, token: Token, account: Account) -> int:
        return (self.balances(account) or {}).get(token, 0)

    def owed(self, debtor: Token, creditor: Token) -> int:
        if debtor not in self._names or creditor not in self._names:
            raise _differs("every brand of the events", "fewer", "brands")
        return claim_between(self._client, self._names[debtor], self._names[creditor]).owed


class LedgerRead:
    """What a ledger itself says: a chain without anybody's service."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def events(self) -> Sequence[tuple[int, Event]]:
        self._ledger.look()
        found: list[tuple[int, Event]] = []
        number, final, head = 0, self._ledger.final(), self._ledger.head()
        while number <= head:
            if number <= final:
                blocks = self._ledger.final_blocks(number, final)
            else:
                blocks = [self._ledger.block(number)]
            for block in blocks:
                found += [(block.number, event) for event in block.events]
                number = block.number + 1
        return found

    def balances(self, account: Account) -> dict[Token, int] | None:
        return None

    def supplies(self, tokens: Iterable[Token]) -> dict[Token, int]:
        return {token: self._ledger.supply(token) for token in tokens}

    def balance(self, token: Token, account: Account) -> int:
        return self._ledger.balance(token, account)

    def owed(self, debtor: Token, creditor: Token) -> int:
        return self._ledger.cover(debtor, creditor).owed


def _event(obj: JsonObject, place: int) -> Event:
    listed = as_object(obj.get("values"), "events[].values")
    values = {name: value for name, value in listed.items() if isinstance(value, str | int)}
    contract = account_from(text_at(obj, "contract", "events[]"), "events[].contract")
    transaction_id = text_at(obj, "transaction_id", "events[]")
    return Event(transaction_id, place, contract, text_at(obj, "name", "events[]"), values)


def _same(expected: int | None, found: int, where: str) -> None:
    if expected != found:
        raise _differs(f"{expected}", f"{found}", where)


def _differs(expected: str, found: str, where: str) -> Refused:
    return Refused(Reason(DIFFERS, expected, found, where))
