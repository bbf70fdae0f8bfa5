"""The contracts that all brands share, each at one account that follows from its code alone.

    account_of(Common.NOTARY)          # the same on every chain, whoever put it there

They are made through the deterministic deployment proxy, which most chains have
at the same account (CREATE2, EIP-1014): nobody owns what it makes, and other
code has another account. The embedded chain begins with it.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from typing import Any

from counterfoil_loyalty.accounts import Account, created_account
from counterfoil_loyalty.eip712 import Domain
from counterfoil_loyalty.intents import Venue

DEPLOYER = Account("0x4e59b44847b379578588920cA78FbF26c0B4956C")
"""Calls made to it are a 32-byte salt and the code to make."""

DEPLOYER_CODE = bytes.fromhex(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f5"
    "8015156039578182fd5b8082525050506014600cf3"
)

SALT = bytes(32)

VERSION = 2
"""Of the contracts in this package: those before are in contracts/released/, by their number."""


class Common(StrEnum):
    """A contract that all brands share, by the name of its source file."""

    EARN_ROOTS = "EarnRoots"
    NOTARY = "Notary"
    GUARANTEE = "Guarantee"

    def domain(self, venue: Venue) -> Domain:
        """Give where signatures for this contract are valid."""
        names = {
            Common.EARN_ROOTS: "Counterfoil Earn Roots",
            Common.NOTARY: "Counterfoil Notary",
            Common.GUARANTEE: "Counterfoil Guarantee",
        }
        return Domain(names[self], "1", venue.chain_id, account_of(self))


@dataclass(frozen=True, slots=True)
class OpenContract:
    """A contract that all brands share comes into being; nobody signs, its code is known."""

    contract: Common

    @property
    def key(self) -> str:
        return f"contract {account_of(self.contract)}"

    def fingerprint(self, venue: Venue) -> bytes:
        return bytes(32)


@lru_cache
def account_of(contract: Common) -> Account:
    """Give the account of a shared contract, made or not."""
    return created_account(DEPLOYER, SALT, bytes.fromhex(compiled(contract)["bytecode"][2:]))


@lru_cache
def compiled(name: str) -> dict[str, Any]:
    """Give a contract of this package as it was compiled: its ABI and bytecode."""
    text = files("counterfoil_loyalty").joinpath(f"contracts/{name}.json").read_text("utf-8")
    artifact: dict[str, Any] = json.loads(text)
    return artifact


@lru_cache
def released(name: str, version: int) -> dict[str, Any]:
    """Give a contract as an earlier version released it: its ABI and bytecode."""
    place = f"contracts/released/{version}/{name}.json"
    text = files("counterfoil_loyalty").joinpath(place).read_text("utf-8")
    artifact: dict[str, Any] = json.loads(text)
    return artifact
