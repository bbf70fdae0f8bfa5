"""JSON-RPC 2.0 to one node, through the guarded fetcher: many calls in one request.

    node = RpcNode(fetcher, "https://node.example/key")
    node.ask([Call("eth_blockNumber"), Call("eth_call", [call, "latest"])])

An answer is what the node gave or a `Fault`: that a call failed is an answer
too. Whoever does not answer in whole, in time and in the protocol's shape is
`Unavailable`. An address may hold a secret of the operator: no text names it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from counterfoil_credentials.encoding import Json, JsonObject, compact_json, parse_json
from counterfoil_credentials.errors import Malformed, Misuse, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.spec import JSON_MEDIA_TYPE

MAX_CALLS = 100
"""Calls in one request: what public nodes take."""

MAX_ANSWER_BYTES = 8 * 1024 * 1024

_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}")


Answer: TypeAlias = "Json | Fault"
"""What a node said to one call."""


@dataclass(frozen=True, slots=True)
class Call:
    """One method with its parameters."""

    method: str
    parameters: Sequence[Json] = field(default_factory=tuple[Json, ...])


@dataclass(frozen=True, slots=True)
class Fault:
    """A node's word that a call failed. `data` is what a contract reverted with, as 0x and hex."""

    code: int
    message: str
    data: str


class RpcNode:
    """One node. Each request stands for itself: nothing is kept between two."""

    def __init__(self, fetcher: Fetcher, url: str) -> None:
        self._fetcher = fetcher
        self._url = url

    def ask(self, calls: Sequence[Call]) -> list[Answer]:
        """Give each call's answer, in their order; raises `Unavailable` without all of them."""
        answers: list[Answer] = []
        for start in range(0, len(calls), MAX_CALLS):
            answers += self._ask(calls[start : start + MAX_CALLS])
        return answers

    def _ask(self, calls: Sequence[Call]) -> list[Answer]:
        body: list[Json] = [
            {
                "jsonrpc": "2.0",
                "id": number,
                "method": call.method,
                "params": list(call.parameters),
            }
            for number, call in enumerate(calls)
        ]
        try:
            response = self._fetcher.post(
                self._url,
                compact_json(body),
                media_type=JSON_MEDIA_TYPE,
                max_bytes=MAX_ANSWER_BYTES,
            )
        except Refused as refusal:
            # Where the operator's own setting may not lead, no waiting helps.
            raise Misuse(f"expected the address of a node, {refusal}") from refusal
        if response.status != 200:
            raise Unavailable(f"expected an answer of the node, found status {response.status}")
        try:
            found = parse_json(response.body, "node", max_bytes=MAX_ANSWER_BYTES)
        except Malformed as cause:
            raise Unavailable("expected JSON of the node, found other bytes") from cause
        return _in_order(found, len(calls))


def quantity(value: Answer, where: str) -> int:
    """Give the whole number that a node writes as 0x and hex; raises `Unavailable` for others."""
    if isinstance(value, str) and _QUANTITY.fullmatch(value):
        return int(value, 16)
    raise Unavailable(f"expected a whole number of the node, found another answer ({where})")


def table(value: Answer, where: str) -> JsonObject:
    """Give the object that a node answered; raises `Unavailable` for others."""
    if not isinstance(value, dict):
        raise Unavailable(f"expected an object of the node, found another answer ({where})")
    return value


def word(value: Answer, where: str) -> str:
    """Give 0x and hex that a node answered, without the 0x; raises `Unavailable` for others."""
    if isinstance(value, str) and value.startswith("0x"):
        try:
            return bytes.fromhex(value[2:]).hex()
        except ValueError:
            pass
    raise Unavailable(f"expected bytes of the node, found another answer ({where})")


def _in_order(found: Json, count: int) -> list[Answer]:
    if not isinstance(found, list) or len(found) != count:
        # A node that refuses the whole request says so in one object.
        raise Unavailable(f"expected {count} answers of the node, found others")
    answers: dict[int, Answer] = {}
    for entry in found:
        if isinstance(entry, dict):
            number = entry.get("id")
            if type(number) is int and ("result" in entry or "error" in entry):
                error = entry.get("error")
                answers[number] = entry.get("result") if error is None else _fault(error)
    if set(answers) != set(range(count)):
        raise Unavailable(f"expected {count} answers of the node, found others")
    return [answers[number] for number in range(count)]


def _fault(error: Json) -> Fault:
    if not isinstance(error, dict):
        return Fault(0, "", "")
    code, message, data = error.get("code"), error.get("message"), error.get("data")
    if isinstance(data, dict):  # as some nodes wrap it
        data = data.get("data")
    return Fault(
        code if isinstance(code, int) else 0,
        message if isinstance(message, str) else "",
        data if isinstance(data, str) else "",
    )
