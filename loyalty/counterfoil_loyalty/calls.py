"""Calls of a contract as bytes: the first four of the function's hash, then its arguments.

    calls = ContractCalls(abi)
    calls.encode("award", [account, 1_000, ref, 0, signature])    # 0x and hex

web3 looks a function up in the whole ABI for each call, which takes forty times
as long as to write the arguments. Solidity ABI specification, "Argument Encoding".
"""

from collections.abc import Mapping, Sequence
from typing import Any

from counterfoil_credentials.errors import Misuse
from eth_abi.abi import encode
from eth_abi.exceptions import EncodingError
from eth_typing import HexStr

from counterfoil_loyalty.keccak import keccak256


class ContractCalls:
    """The functions of one ABI; two of one name differ in how many arguments they take."""

    def __init__(self, abi: Sequence[Mapping[str, Any]]) -> None:
        self._functions: dict[tuple[str, int], tuple[str, list[str]]] = {}
        for entry in abi:
            if entry["type"] == "function":
                types = [_type(part) for part in entry["inputs"]]
                selector = keccak256(f"{entry['name']}({','.join(types)})".encode())[:4]
                self._functions[entry["name"], len(types)] = (selector.hex(), types)

    def encode(self, name: str, values: Sequence[object]) -> HexStr:
        """Give the call; raises `Misuse` for arguments that the function does not take."""
        try:
            selector, types = self._functions[name, len(values)]
            return HexStr(f"0x{selector}{encode(types, values).hex()}")
        except (KeyError, EncodingError, ValueError, TypeError) as cause:
            raise Misuse(f"expected arguments that {name} takes, found others") from cause


def _type(part: Mapping[str, Any]) -> str:
    kind: str = part["type"]
    if kind.startswith("tuple"):
        inner = ",".join(_type(it) for it in part["components"])
        return f"({inner}){kind.removeprefix('tuple')}"
    return kind
