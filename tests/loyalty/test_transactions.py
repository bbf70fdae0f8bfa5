"""A transaction is written as every node reads it, and read again as it was written."""

from dataclasses import replace

import pytest
from counterfoil_credentials.errors import Malformed, Misuse
from counterfoil_loyalty.accounts import PointsSigner
from counterfoil_loyalty.calls import ContractCalls
from counterfoil_loyalty.common_contracts import compiled
from counterfoil_loyalty.transactions import Transaction, read_transaction
from eth_account import Account as EthAccount
from hypothesis import given
from hypothesis import strategies as st
from web3 import Web3

KEY = b"\x07" * 32
SIGNER = PointsSigner(KEY)
PLAIN = Transaction(
    chain_id=1, sequence=0, tip_wei=0, fee_wei=1, gas=21_000, to=b"\x11" * 20, data=b""
)

transactions = st.builds(
    Transaction,
    chain_id=st.integers(1, 2**53),
    sequence=st.integers(0, 2**40),
    tip_wei=st.integers(0, 2**50),
    fee_wei=st.integers(0, 2**60),
    gas=st.integers(21_000, 2**40),
    to=st.one_of(st.just(b""), st.binary(min_size=20, max_size=20)),
    data=st.binary(max_size=300),
)


@given(transactions)
def test_eth_account_signs_the_same_bytes_under_the_same_hash(transaction: Transaction) -> None:
    theirs = EthAccount.sign_transaction(
        {
            "type": 2,
            "chainId": transaction.chain_id,
            "nonce": transaction.sequence,
            "value": 0,
            "gas": transaction.gas,
            "maxFeePerGas": transaction.fee_wei,
            "maxPriorityFeePerGas": transaction.tip_wei,
            "data": transaction.data,
            **({"to": Web3.to_checksum_address(transaction.to)} if transaction.to else {}),
        },
        KEY,
    )
    ours = transaction.sign(SIGNER)
    assert ours.raw == bytes(theirs.raw_transaction)
    assert ours.transaction_id == theirs.hash.hex()
    assert read_transaction(ours.raw) == transaction


@given(transactions)
def test_outbidding_offers_a_tenth_more_at_least_of_both_fees(transaction: Transaction) -> None:
    more = transaction.outbidding()
    for before, after in (
        (transaction.tip_wei, more.tip_wei),
        (transaction.fee_wei, more.fee_wei),
    ):
        assert 10 * after >= 11 * before
        assert after > before
    assert replace(more, tip_wei=transaction.tip_wei, fee_wei=transaction.fee_wei) == transaction


def test_a_cancellation_takes_the_number_and_moves_nothing() -> None:
    sender = bytes.fromhex(SIGNER.account[2:])
    given_up = replace(PLAIN, data=b"call").cancelling(sender)
    assert given_up.cancels(sender)
    assert (given_up.sequence, given_up.to, given_up.data) == (PLAIN.sequence, sender, b"")
    assert given_up.fee_wei > PLAIN.fee_wei
    assert not PLAIN.cancels(sender)
    assert not replace(PLAIN, to=sender, data=b"call").cancels(sender)


@pytest.mark.parametrize("cut", [0, 1, 2, 20, -1])
def test_other_bytes_are_no_transaction(cut: int) -> None:
    raw = PLAIN.sign(SIGNER).raw
    for other in (
        raw[:cut],
        raw + b"\0",
        b"\x01" + raw[1:],
        b"\x02\x80",
        b"\x02\xff" + b"\xff" * 9,
    ):
        with pytest.raises(Malformed):
            read_transaction(other)


def test_calls_are_encoded_as_web3_encodes_them() -> None:
    abi = [
        {
            "type": "function",
            "name": "swap",
            "inputs": [
                {
                    "type": "tuple[]",
                    "name": "intents",
                    "components": [
                        {"type": "address", "name": "holder"},
                        {"type": "uint256", "name": "amount"},
                    ],
                },
                {"type": "bytes", "name": "signature"},
            ],
            "outputs": [],
            "stateMutability": "nonpayable",
        }
    ]
    values = [[(SIGNER.account, 7), (SIGNER.account, 8)], b"signature"]
    ours = ContractCalls(abi)
    assert ours.encode("swap", values) == Web3().eth.contract(abi=abi).encode_abi("swap", values)
    for name, wrong in (("other", values), ("swap", values[:1]), ("swap", [[(1, 2)], b""])):
        with pytest.raises(Misuse):
            ours.encode(name, wrong)


def test_of_two_functions_of_one_name_that_is_called_which_takes_so_many_arguments() -> None:
    abi = compiled("BrandPoints")["abi"]
    ours, web3 = ContractCalls(abi), Web3().eth.contract(abi=abi)
    moved = [SIGNER.account, SIGNER.account, 7, 0, 8, b"n" * 32]
    types = "address,address,uint256,uint256,uint256,bytes32"

    for ending, more in (
        ([b"signature"], "bytes"),
        ([27, b"r" * 32, b"s" * 32], "uint8,bytes32,bytes32"),
    ):
        values = [*moved, *ending]
        expected = web3.encode_abi(f"transferWithAuthorization({types},{more})", values)
        assert ours.encode("transferWithAuthorization", values) == expected
