"""Contracts of others, put on an embedded chain by hand: what a test meets beside our own."""

# web3 makes the methods of a contract from its ABI at run time: no type knows them.
# ruff: noqa: ANN401

import json
from pathlib import Path
from typing import Any

from counterfoil_loyalty.accounts import Account, contract_account
from counterfoil_loyalty.chain_db import EmbeddedChain
from eth_account import Account as EthAccount
from web3 import Web3
from web3.types import TxReceipt

_LOYALTY = Path(__file__).parents[2] / "loyalty"


class Workbench:
    """The relayer's hands on an embedded chain: deploy, send, call, and see the gas."""

    def __init__(self, chain: EmbeddedChain) -> None:
        self._chain = chain
        self.web3 = Web3(chain.provider)

    def deploy(self, name: str, *arguments: object) -> Any:
        """Put a contract of `loyalty/solidity/peers` on the chain."""
        parts = artifact(name)
        factory: Any = self.web3.eth.contract(abi=parts["abi"], bytecode=parts["bytecode"])
        sequence = self._chain.sequence()
        receipt = self.send(None, factory.constructor(*arguments).data_in_transaction)
        assert receipt["status"] == 1
        address = contract_account(Account(self._chain.relayer), sequence)
        return self.web3.eth.contract(address=Web3.to_checksum_address(address), abi=parts["abi"])

    def send(self, to: str | None, data: str, *, gas: int = 8_000_000) -> TxReceipt:
        """Send a transaction in a block of its own; give its receipt, failed or not."""
        transaction: dict[str, Any] = {
            "type": 2,
            "chainId": self._chain.chain_id,
            "nonce": self._chain.sequence(),
            "gas": gas,
            "maxFeePerGas": 10**12,
            "maxPriorityFeePerGas": 0,
            "value": 0,
            "data": data,
        }
        if to is not None:
            transaction["to"] = to
        signed = EthAccount.sign_transaction(transaction, self._chain.relayer_key)
        self._chain.submit(bytes(signed.raw_transaction))
        assert self._chain.make_block(self._chain.time() + 1)
        return self.web3.eth.get_transaction_receipt(signed.hash)

    def at(self, name: str, address: str) -> Any:
        """Give the contract at an address, of ours or a peer."""
        checksum = Web3.to_checksum_address(address)
        return self.web3.eth.contract(address=checksum, abi=artifact(name)["abi"])

    def call(self, contract: Any, function: str, *arguments: object) -> TxReceipt:
        """Send a call of a contract's function."""
        return self.send(contract.address, contract.encode_abi(function, list(arguments)))

    def read(self, contract: Any, function: str, *arguments: object) -> Any:
        """Ask a contract's function."""
        return contract.functions[function](*arguments).call({"from": self._chain.relayer})


def artifact(name: str) -> dict[str, Any]:
    """Give a compiled contract, of ours or of `loyalty/solidity/peers`: its ABI and bytecode."""
    places = (_LOYALTY / "counterfoil_loyalty/contracts", _LOYALTY / "solidity/peers")
    (path,) = (place / f"{name}.json" for place in places if (place / f"{name}.json").exists())
    parts: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return parts
