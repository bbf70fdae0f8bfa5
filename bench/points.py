"""A million customers' totals under one root, a signed exchange, against the bare calls.

The tree runs at half the rate of its keccak calls or more; a customer's signature
is made at least six times as fast as `eth_account` signs the same typed data.
"""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, Final

from counterfoil_loyalty.accounts import Account, PointsSigner
from counterfoil_loyalty.earn_tree import EarnTree
from counterfoil_loyalty.intents import Swap, Venue, intent_nonce, sign_by_customer
from counterfoil_loyalty.keccak import keccak256

from bench.measure import Operation, Other, cpu

_CUSTOMERS: Final = 1_000_000
_KEY: Final = b"\x07" * 32
_HEX: Final = "0x" + "11" * 20


def operations(*, quick: bool) -> Iterator[Operation]:
    """Give the tree and the signature."""
    customers = _CUSTOMERS // 1_000 if quick else _CUSTOMERS
    totals = {_account(number): number + 1 for number in range(customers)}
    words = [bytes([number % 256]) * 64 for number in range(256)]

    def hashes() -> None:
        for number in range(3 * customers - 1):  # two for each leaf, one for each pair
            keccak256(words[number % 256])

    yield Operation(
        name=f"Merkle tree, {customers} customers",
        ours=cpu(lambda: EarnTree(totals), batch=1),
        others=[Other(name="its keccak calls alone", sampler=cpu(hashes, batch=1), floor=0.5)],
        rounds=3,
    )
    signer = PointsSigner(_KEY)
    venue = Venue(4_711, signer.account)
    swap = _swap(signer.account)
    yield Operation(
        name="sign an exchange intent",
        ours=cpu(lambda: sign_by_customer(swap, venue, signer)),
        others=[
            Other(
                name="eth_account.sign_typed_data", sampler=cpu(_eth_account(swap, venue)), floor=6
            )
        ],
    )


def _account(number: int) -> Account:
    return Account("0x" + hashlib.sha256(b"%d" % number).hexdigest()[:40])


def _swap(holder: Account) -> Swap:
    return Swap(
        holder=holder,
        token_in=Account(_HEX),
        token_out=Account(_HEX),
        amount_in=1_000,
        least_out=1,
        recipient=holder,
        version=1,
        deadline=1_900_000_000,
        swap_id=b"s" * 32,
    )


def _eth_account(swap: Swap, venue: Venue) -> Callable[[], object]:
    """Give the peer's way to the same bytes: the message as a document, hashed and signed."""
    from eth_account import Account as EthAccount  # noqa: PLC0415

    domain = venue.points_domain(swap.token_in)
    head = {
        "name": domain.name,
        "version": domain.version,
        "chainId": domain.chain_id,
        "verifyingContract": domain.contract,
    }
    fields = {
        "from": "address",
        "to": "address",
        "value": "uint256",
        "validAfter": "uint256",
        "validBefore": "uint256",
        "nonce": "bytes32",
    }
    types = {"ReceiveWithAuthorization": [{"name": it, "type": fields[it]} for it in fields]}

    def sign() -> bytes:
        message: dict[str, Any] = {
            "from": swap.holder,
            "to": venue.exchange,
            "value": swap.amount_in,
            "validAfter": 0,
            "validBefore": swap.deadline,
            "nonce": intent_nonce(swap.digest(venue)),
        }
        return bytes(EthAccount.sign_typed_data(_KEY, head, types, message).signature)

    if sign() != sign_by_customer(swap, venue, PointsSigner(_KEY)):
        text = "expected both to sign the same bytes, found two signatures"
        raise ValueError(text)
    return sign
