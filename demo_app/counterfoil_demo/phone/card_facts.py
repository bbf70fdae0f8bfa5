"""W7: what a card says, claim by claim, in the reader's words where we know them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from counterfoil_credentials.claims import ClaimPath, path_text
from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.spec import NEVER_CONCEALED
from counterfoil_wallet import HeldCredential, printable

from counterfoil_demo.naming import claim_names
from counterfoil_demo.pages.words import Words
from counterfoil_demo.phone.cards import amount_in, day_in, instant_in, text_in

# What says how the card is signed, bound and checked stands in the raw view.
_FRAME: Final = NEVER_CONCEALED | {"iat", "exp", "nbf", "cnf", "status", "vct", "iss"}
_CODES: Final = frozenset({"serial", "gtin", "order"})
_MONEY: Final = frozenset({"price", "total", "tax", "net"})


@dataclass(frozen=True, slots=True)
class Fact:
    """A claim as a page shows it; `is_code` for numbers that are compared letter by letter."""

    name: str
    value: str
    is_code: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """A line of a receipt."""

    name: str
    detail: str
    price: str


def facts_of(held: HeldCredential, words: Words) -> Sequence[Fact]:
    """Give everything that a card says, but for its frame and a receipt's lines."""
    currency = text_in(held.claims, "currency")
    names = _names(words)
    said = [
        (path, value)
        for name, claim in held.claims.items()
        if name not in _FRAME and name not in {"lines", "currency"}
        for path, value in _leaves((name,), claim)
    ]
    order = {name: place for place, name in enumerate(names)}
    said.sort(key=lambda each: order.get(path_text(each[0]), len(order)))
    return [_fact(path, value, currency, words, names) for path, value in said]


def fact_at(held: HeldCredential, path: ClaimPath, values: Sequence[Json], words: Words) -> Fact:
    """Give what a card says at a path, of a list every element; "" where it says nothing."""
    generic: ClaimPath = tuple(None if isinstance(step, int) else step for step in path)
    last = next((step for step in reversed(generic) if isinstance(step, str)), "")
    currency = text_in(held.claims, "currency")
    name = _names(words).get(path_text(generic)) or claim_names([generic], words.language)
    said = dict.fromkeys(_value(last, value, currency, words) for value in values)
    separator = "、" if words.language == "zh" else ", "
    return Fact(printable(name), separator.join(said), last in _CODES)


def items_of(lines: Sequence[JsonObject], currency: str, words: Words) -> Sequence[Item]:
    """Give the lines of a receipt."""
    return [
        Item(
            text_in(line, "name") or words.gettext("Item"),
            _detail(line, words),
            _value("price", line.get("price"), currency, words) if "price" in line else "",
        )
        for line in lines
    ]


def _detail(line: JsonObject, words: Words) -> str:
    quantity, serial = line.get("quantity"), text_in(line, "serial")
    parts: list[str] = []
    if isinstance(quantity, int) and quantity != 1:
        parts.append(words.gettext("%(num)s pieces") % {"num": quantity})
    if serial:
        parts.append(serial)
    return " · ".join(parts)


def _leaves(path: ClaimPath, value: Json) -> Sequence[tuple[ClaimPath, Json]]:
    if isinstance(value, dict):
        return [leaf for name, each in value.items() for leaf in _leaves((*path, name), each)]
    return [(path, value)]


def _fact(
    path: ClaimPath, value: Json, currency: str, words: Words, names: Mapping[str, str]
) -> Fact:
    text, last = path_text(path), str(path[-1])
    name = names.get(text) or printable(text.replace("_", " "))
    return Fact(name, _value(last, value, currency, words), last in _CODES)


def _value(name: str, value: Json, currency: str, words: Words) -> str:
    amount = amount_in(value) if name in _MONEY else None
    if amount is not None:
        return words.money(amount, currency or "XXX")
    if name.endswith(("_at", "_time")) and (at := instant_in(value)) is not None:
        return words.moment(at)
    if (day := day_in(value)) is not None:
        return words.day(day)
    match value:
        case True:
            return words.gettext("Yes")
        case False:
            return words.gettext("No")
        case None:
            return "—"
        case list():
            return ", ".join(_value(name, each, currency, words) for each in value[:50])
        case int() | float():
            return str(value)
        case str():
            return printable(value)
        case _:
            return ", ".join(
                f"{printable(key)}: {_value(key, each, currency, words)}"
                for key, each in value.items()
            )


def _names(words: Words) -> dict[str, str]:
    # In the order in which a page tells them; what has no name here comes after.
    say = words.gettext
    return {
        "item.name": say("Product"),
        "item.serial": say("Serial number"),
        "item.gtin": say("Product code"),
        "valid_from": say("Covered from"),
        "valid_until": say("Covered until"),
        "buyer.name": say("Buyer"),
        "buyer.email": say("Email"),
        "price": say("Price"),
        "total": say("Total"),
        "tax": say("Tax in it"),
        "paid_at": say("Paid"),
        "order": say("Order"),
    }
