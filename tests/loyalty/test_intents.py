"""Our EIP-712 and our accounts, against eth-account's."""

from dataclasses import replace
from typing import cast

import pytest
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_loyalty.accounts import (
    Account,
    PointsAccounts,
    PointsSigner,
    account_from,
    contract_account,
    require_signature,
)
from counterfoil_loyalty.eip712 import Domain, digest, struct_hash
from counterfoil_loyalty.intents import Redemption, Registration, Swap, Venue, intent_nonce
from counterfoil_loyalty.keccak import keccak256
from eth_account import Account as EthAccount
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st
from web3.utils import get_create_address

from tests.loyalty.programme import changed

SIGNER = PointsSigner(b"\x05" * 32)
VENUE = Venue(4_711, PointsSigner(b"\x06" * 32).account)
TOKENS = (PointsSigner(b"\x07" * 32).account, PointsSigner(b"\x08" * 32).account)
SWAP = Swap(
    holder=SIGNER.account,
    token_in=TOKENS[0],
    token_out=TOKENS[1],
    amount_in=12_345,
    least_out=1,
    recipient=PointsSigner(b"\x09" * 32).account,
    version=3,
    deadline=1_800_000_000,
    swap_id=b"i" * 32,
)


def eth_account_digest(domain: Domain, type_line: str, values: tuple[object, ...]) -> bytes:
    """Give the digest as eth-account computes it."""
    name, _, rest = type_line.partition("(")
    parts = [part.split(" ") for part in rest.removesuffix(")").split(",")]
    types = {name: [{"type": kind, "name": field} for kind, field in parts]}
    message: dict[str, object] = {
        field: [*cast("tuple[object, ...]", value)] if isinstance(value, tuple) else value
        for (_, field), value in zip(parts, values, strict=True)
    }
    where = {
        "name": domain.name,
        "version": domain.version,
        "chainId": domain.chain_id,
        "verifyingContract": domain.contract,
    }
    signable = encode_typed_data(where, types, message)
    return keccak(b"\x19" + signable.version + signable.header + signable.body)


@given(data=st.binary(max_size=300))
def test_keccak_is_that_of_ethereum(data: bytes) -> None:
    assert keccak256(data) == keccak(data)


@given(
    st.text(max_size=40),
    st.integers(0, 2**256 - 1),
    st.integers(0, 2**64 - 1),
    st.binary(min_size=32, max_size=32),
)
@settings(max_examples=30)
def test_a_digest_is_the_one_that_eth_account_signs(
    text: str, large: int, small: int, word: bytes
) -> None:
    line = "Thing(string text,uint256 large,uint64 small,bytes32 word,address who)"
    values = (text, large, small, word, SIGNER.account)
    domain = VENUE.exchange_domain
    assert digest(domain, line, values) == eth_account_digest(domain, line, values)


@given(st.lists(st.integers(0, 2**256 - 1), max_size=4).map(tuple), st.booleans())
@settings(max_examples=20)
def test_a_list_and_a_truth_are_hashed_as_eth_account_hashes_them(
    numbers: tuple[int, ...],
    truth: bool,  # noqa: FBT001  # drawn
) -> None:
    line = "Thing(uint256[] numbers,bool truth,uint96 small)"
    values = (numbers, truth, 7)
    domain = VENUE.points_domain(TOKENS[0])
    assert digest(domain, line, values) == eth_account_digest(domain, line, values)


def test_an_intent_is_hashed_as_the_contract_declares_it() -> None:
    line = (
        "Intent(address holder,address from,address to,uint128 amountIn,uint256 minOut,"
        "address recipient,uint64 version,uint256 deadline,bytes32 id)"
    )
    assert SWAP.digest(VENUE) == eth_account_digest(VENUE.exchange_domain, line, SWAP.values)


def test_a_customer_signs_an_authorization_whose_nonce_is_the_intent() -> None:
    line = (
        "ReceiveWithAuthorization(address from,address to,uint256 value,"
        "uint256 validAfter,uint256 validBefore,bytes32 nonce)"
    )
    nonce = intent_nonce(SWAP.digest(VENUE))
    values = (SWAP.holder, VENUE.exchange, SWAP.amount_in, 0, SWAP.deadline, nonce)
    expected = eth_account_digest(VENUE.points_domain(SWAP.token_in), line, values)

    assert SWAP.authorization(VENUE) == expected
    assert nonce[24:] == bytes(8)
    assert nonce[:24] == SWAP.digest(VENUE)[:24]


@pytest.mark.parametrize(
    "change",
    [
        {"holder": TOKENS[0]},
        {"token_in": TOKENS[1]},
        {"token_out": TOKENS[0]},
        {"amount_in": 12_346},
        {"least_out": 0},
        {"recipient": SIGNER.account},
        {"version": 4},
        {"deadline": 1_800_000_001},
        {"swap_id": b"j" * 32},
    ],
)
def test_each_field_of_an_intent_is_in_its_authorization(change: dict[str, object]) -> None:
    other = changed(SWAP, change)
    assert other.authorization(VENUE) != SWAP.authorization(VENUE)


def test_an_authorization_is_for_one_exchange_on_one_chain() -> None:
    redemption = Redemption(
        token=TOKENS[0],
        holder=SIGNER.account,
        amount=1,
        redemption_id=bytes(32),
        deadline=1,
    )
    for elsewhere in (replace(VENUE, chain_id=4_712), replace(VENUE, exchange=TOKENS[0])):
        assert SWAP.authorization(elsewhere) != SWAP.authorization(VENUE)
    other_chain = replace(VENUE, chain_id=4_712)
    assert redemption.authorization(other_chain) != redemption.authorization(VENUE)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
@settings(max_examples=20)
def test_accounts_and_signatures_are_those_of_ethereum(secret: bytes, message: bytes) -> None:
    signer = PointsSigner(b"\x01" + secret[1:])
    twin = EthAccount.from_key(b"\x01" + secret[1:])
    assert signer.account == twin.address
    assert signer.sign(message) == bytes(twin.unsafe_sign_hash(message).signature)
    require_signature(signer.account, message, signer.sign(message), "here")


def test_a_signature_by_another_or_bent_is_refused() -> None:
    message = keccak256(b"message")
    signature = SIGNER.sign(message)
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    other_s = (order - int.from_bytes(signature[32:64], "big")).to_bytes(32, "big")
    flipped = bytes([55 - signature[64]])
    bent = [
        b"",
        signature[:64],
        signature + b"\0",
        signature[:64] + b"\x00",
        bytes([signature[0] ^ 1]) + signature[1:],
        signature[:64] + flipped,
        signature[:32] + other_s + flipped,  # the same signature, spelled otherwise
        bytes(64) + b"\x1b",
        b"\xff" * 64 + b"\x1b",
    ]
    for signature_ in bent:
        with pytest.raises(Refused) as refusal:
            require_signature(SIGNER.account, message, signature_, "here")
        assert refusal.value.codes == ["signature-invalid"]
    with pytest.raises(Refused):
        require_signature(TOKENS[0], message, signature, "here")
    with pytest.raises(Refused):
        require_signature(SIGNER.account, keccak256(b"other"), signature, "here")


def test_a_customer_has_another_account_with_each_brand_and_always_the_same() -> None:
    accounts = PointsAccounts(b"s" * 32)
    audio, bicycle = "https://audio.example", "https://bicycle.example"
    assert accounts.of(audio).account == PointsAccounts(b"s" * 32).of(audio).account
    assert accounts.of(audio).account != accounts.of(bicycle).account
    assert accounts.of(audio).account != PointsAccounts(b"t" * 32).of(audio).account


@pytest.mark.parametrize("length", [0, 31])
def test_a_short_secret_is_refused(length: int) -> None:
    with pytest.raises(Misuse):
        PointsAccounts(b"s" * length)
    with pytest.raises(Misuse):
        PointsSigner(b"s" * length)


def test_a_signer_shows_its_account_and_no_key() -> None:
    assert repr(SIGNER) == f"PointsSigner({SIGNER.account})"


def test_a_mistyped_account_is_caught_by_its_checksum() -> None:
    account = SIGNER.account
    letter = next(i for i, char in enumerate(account) if char.isalpha() and i > 1)
    swapped = account[:letter] + account[letter].swapcase() + account[letter + 1 :]

    assert account_from(account, "account") == account
    assert account_from(account.lower(), "account") == account
    for wrong in (swapped, account[:-1], account + "0", account[2:] + "00", "0x" + "g" * 40, ""):
        with pytest.raises(Malformed):
            account_from(wrong, "account")


@pytest.mark.parametrize("sequence", [0, 1, 127, 128, 255, 256, 65_536])
def test_a_contract_stands_where_the_chain_puts_it(sequence: int) -> None:
    expected = get_create_address(SIGNER.account, sequence)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]  # an address
    assert contract_account(SIGNER.account, sequence) == str(expected)


def test_a_value_of_the_wrong_type_is_a_mistake_of_the_program() -> None:
    line = "Thing(uint64 number)"
    for wrong in (-1, 2**64, "1", b"1"):
        with pytest.raises(Misuse):
            struct_hash(line, (wrong,))
    with pytest.raises(Misuse):
        struct_hash(line, (1, 2))
    with pytest.raises(Misuse):
        struct_hash("thing", ())


def test_a_registration_binds_every_word_of_it() -> None:
    registration = Registration(
        brand="https://audio.example",
        name="Auricle",
        symbol="AUR",
        issuer=Account(SIGNER.account),
        price=100,
    )
    changes: list[dict[str, object]] = [
        {"brand": "https://audio.exampl"},
        {"name": "Auricl"},
        {"symbol": "AU"},
        {"price": 101},
        {"issuer": TOKENS[0]},
    ]
    for change in changes:
        other = changed(registration, change)
        assert other.digest(VENUE) != registration.digest(VENUE)
