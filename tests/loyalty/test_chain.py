"""The embedded chain: it is kept, it tells the time honestly, it is one chain and no other."""

import secrets
import sqlite3
import time
from collections.abc import Callable
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from counterfoil_credentials.errors import Misuse, Unavailable
from counterfoil_loyalty import refusals
from counterfoil_loyalty.accounts import PointsSigner
from counterfoil_loyalty.chain import EmbeddedChainLedger, embedded_ledger
from counterfoil_loyalty.chain_db import BlockDatabase, EmbeddedChain
from counterfoil_loyalty.common_contracts import Common
from counterfoil_loyalty.keccak import keccak256
from counterfoil_loyalty.ledger import SignedTransaction
from counterfoil_loyalty.refusals import refusal
from counterfoil_loyalty.relayer import Relayer, Ticker
from counterfoil_loyalty.store import MemoryStore
from eth_account import Account as EthAccount

from tests.loyalty.programme import AUDIO, NOW, Clock, Programme, programme_on, seeded


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chain.sqlite3"


def test_a_chain_goes_on_where_it_stopped(path: Path, clock: Clock) -> None:
    ledger = embedded_ledger(path, now=NOW, random=seeded("one"))
    programme = programme_on(ledger, clock).open()
    action = programme.award(1_000)
    transaction = ledger.sign(action, ledger.sequence())
    ledger.send(transaction)
    clock.advance(1)
    ledger.make_block(clock.now)
    identity, head, block = ledger.identity, ledger.head(), ledger.block(ledger.head())
    ledger.close()

    again = embedded_ledger(path, now=clock.now, random=seeded("another"))
    programme.ledger = again
    assert (again.identity, again.head(), again.block(head)) == (identity, head, block)
    assert again.outcome(transaction) is not None
    assert programme.balance() == 1_000
    assert programme.perform(programme.award(order="1002")).reason is None
    assert programme.balance() == 2_000
    again.close()


def test_each_chain_is_its_own(tmp_path: Path) -> None:
    ledgers = [
        embedded_ledger(tmp_path / str(i), now=NOW, random=secrets.token_bytes) for i in range(2)
    ]
    one, other = (ledger.identity for ledger in ledgers)
    assert one.chain_id != other.chain_id
    assert one.genesis != other.genesis
    assert one.exchange != other.exchange
    for ledger in ledgers:
        ledger.close()


def test_a_signature_for_one_chain_is_refused_on_another(tmp_path: Path, clock: Clock) -> None:
    first = embedded_ledger(tmp_path / "1", now=NOW, random=seeded("one"))
    second = embedded_ledger(tmp_path / "2", now=NOW, random=seeded("two"))
    here, there = (programme_on(ledger, clock).open() for ledger in (first, second))
    there.perform(there.award())
    swap = here.swap()
    reason = there.perform(swap).reason
    assert reason is not None
    assert reason.code in {"no-corridor", "signature-invalid"}
    first.close()
    second.close()


def test_the_chain_s_time_never_leads_real_time(path: Path) -> None:
    """A burst with the real clock: a block a second at most, none ahead of the clock."""
    ledger = embedded_ledger(path, now=int(time.time()), random=secrets.token_bytes)
    relayer = Relayer(ledger, MemoryStore())
    relayer.start()
    ticker = Ticker(relayer, lambda: int(time.time()))
    ticker.start()
    try:
        programme = programme_on(ledger, Clock())
        last = None
        for number in range(12):
            last = programme.registration(AUDIO, brand=f"https://{number}.example")
            relayer.accept(last)
            time.sleep(0.2)
            assert ledger.block(ledger.head()).at <= time.time() + 2
        assert last is not None
        relayer.wait_for(last.key, 5)
    finally:
        ticker.stop()
    times = [ledger.block(number).at for number in range(ledger.head() + 1)]
    assert all(later > earlier for earlier, later in pairwise(times))
    assert times[-1] <= time.time() + 2
    assert len(times) < 12  # many transactions shared a block
    ledger.close()


def test_a_chain_file_is_for_one_process(path: Path) -> None:
    ledger = embedded_ledger(path, now=NOW, random=seeded("one"))
    with pytest.raises(Unavailable):
        embedded_ledger(path, now=NOW, random=seeded("one"))
    ledger.close()
    embedded_ledger(path, now=NOW, random=seeded("one")).close()


def test_the_chain_file_is_its_owner_s_alone(path: Path) -> None:
    ledger = embedded_ledger(path, now=NOW, random=seeded("one"))
    for file in path.parent.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file
    ledger.close()


def test_a_block_is_written_whole_or_not_at_all(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = embedded_ledger(path, now=NOW, random=seeded("one"))
    programme = programme_on(ledger, clock).open()
    head = ledger.head()
    ledger.send(ledger.sign(programme.award(), ledger.sequence()))
    commit: Callable[[BlockDatabase], None] = BlockDatabase.commit

    def full(_: BlockDatabase) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(BlockDatabase, "commit", full)
    clock.advance(1)
    with pytest.raises(sqlite3.OperationalError):
        ledger.make_block(clock.now)
    assert (ledger.head(), programme.balance()) == (head, 0)

    monkeypatch.setattr(BlockDatabase, "commit", commit)
    assert ledger.make_block(clock.now)  # nothing was lost: it waits still
    assert (ledger.head(), programme.balance()) == (head + 1, 1_000)
    ledger.close()


def test_a_block_holds_many_transactions_and_the_next_takes_the_rest(
    path: Path, clock: Clock
) -> None:
    ledger = embedded_ledger(path, now=NOW, random=seeded("one"))
    programme = programme_on(ledger, clock).open()
    start, head = ledger.sequence(), ledger.head()
    sent = [
        ledger.sign(programme.award(1, str(number)), start + number)
        for number in range(230)  # more than the gas of one block
    ]
    for transaction in sent:
        ledger.send(transaction)
    for _ in range(2):
        clock.advance(1)
        assert ledger.make_block(clock.now)
    assert (ledger.head() - head, programme.balance()) == (2, 230)
    assert all(ledger.outcome(transaction) for transaction in sent)
    ledger.close()


def test_a_thousand_full_blocks_make_gas_no_dearer(path: Path) -> None:
    chain = EmbeddedChain(path, now=NOW, random=seeded("one"))
    line: Any = vars(chain)["_chain"]
    genesis = head = line.get_canonical_head()
    for _ in range(1_000):  # as the chain itself makes them, all of their gas used
        head = line.create_header_from_parent(head)
        head = head.copy(gas_used=head.gas_limit)
    assert head.block_number == 1_000
    assert head.gas_limit == genesis.gas_limit
    assert head.base_fee_per_gas == genesis.base_fee_per_gas == 10**9
    chain.close()


def test_a_chain_whose_gas_had_grown_too_dear_goes_on(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chains made before the fee was fixed may end with any fee."""
    with monkeypatch.context() as before:
        before.setattr("counterfoil_loyalty.chain_db._BASE_FEE_WEI", 2 * 10**12)
        before.setattr("counterfoil_loyalty.chain._MAX_FEE_WEI", 3 * 10**12)
        ledger = embedded_ledger(path, now=NOW, random=seeded("one"))
        programme = programme_on(ledger, clock).open()
        programme.perform(programme.award(order="1001"))
        ledger.close()

    programme.ledger = again = embedded_ledger(path, now=clock.now, random=seeded("one"))
    for order in ("1002", "1003"):
        assert programme.perform(programme.award(order=order)).reason is None
    assert programme.balance() == 3_000
    again.close()


def test_a_transaction_of_another_sender_is_not_taken(path: Path) -> None:
    chain = EmbeddedChain(path, now=NOW, random=seeded("one"))
    other = EthAccount.sign_transaction(
        {
            "type": 2,
            "chainId": chain.chain_id,
            "nonce": 0,
            "to": chain.relayer,
            "value": 0,
            "gas": 21_000,
            "maxFeePerGas": 10**12,
            "maxPriorityFeePerGas": 0,
        },
        b"\x05" * 32,
    )
    with pytest.raises(Misuse):
        chain.submit(bytes(other.raw_transaction))
    chain.close()


def test_an_unknown_transaction_has_no_outcome(path: Path) -> None:
    ledger = embedded_ledger(path, now=NOW, random=seeded("one"))
    assert ledger.outcome(SignedTransaction("11" * 32, 0, b"")) is None
    ledger.close()


def test_every_error_of_the_contracts_has_its_words(path: Path) -> None:
    ledger = embedded_ledger(path, now=NOW, random=seeded("one"))
    ours = [
        line.strip().removeprefix("error ").partition("(")[0]
        for name in ("BrandPoints", "PointsExchange", *Common)
        for line in (files("counterfoil_loyalty") / f"contracts/{name}.sol")
        .read_text("utf-8")
        .splitlines()
        if line.strip().startswith("error ")
    ]
    assert len(ours) > 15
    for error in ours:
        assert refusal(error).code != "reverted", error
    assert refusals.refusal("Something").found == "Something"
    ledger.close()


def test_only_the_exchange_mints_for_an_exchange(path: Path, clock: Clock) -> None:
    from web3 import Web3
    from web3.exceptions import ContractCustomError

    chain = EmbeddedChain(path, now=NOW, random=seeded("one"))
    ledger = EmbeddedChainLedger(chain)
    programme: Programme = programme_on(ledger, clock).open()
    web3 = Web3(chain.provider)
    abi = [
        {
            "type": "function",
            "name": "exchangeMint",
            "stateMutability": "nonpayable",
            "inputs": [
                {"name": "to", "type": "address"},
                {"name": "amount", "type": "uint256"},
            ],
            "outputs": [],
        }
    ]
    token = Web3.to_checksum_address(programme.tokens[AUDIO])
    mint = web3.eth.contract(address=token, abi=abi).functions.exchangeMint(
        PointsSigner(b"\x09" * 32).account, 1
    )
    with pytest.raises(ContractCustomError) as refused:
        mint.call({"from": Web3.to_checksum_address(chain.relayer)})
    assert str(refused.value.data)[2:10] == keccak256(b"OnlyExchange(address)")[:4].hex()
    ledger.close()
