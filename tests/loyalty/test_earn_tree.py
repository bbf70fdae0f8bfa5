"""What everybody earned under one root: each total is proved, and no other."""

import pytest
from counterfoil_credentials.errors import Misuse, Refused
from counterfoil_loyalty.accounts import Account, PointsSigner
from counterfoil_loyalty.earn_tree import EarnTree, earn_leaf, require_in
from counterfoil_loyalty.keccak import keccak256
from hypothesis import given
from hypothesis import strategies as st

ACCOUNTS = [PointsSigner(bytes([number]) * 32).account for number in range(1, 40)]
TOTALS = {account: 100 * number for number, account in enumerate(ACCOUNTS, 1)}


@pytest.mark.parametrize("customers", [1, 2, 3, 4, 5, 7, 8, 31, 39])
def test_every_customer_s_total_is_proved_under_the_root(customers: int) -> None:
    totals = dict(list(TOTALS.items())[:customers])
    tree = EarnTree(totals)
    for account, total in totals.items():
        require_in(tree.root, account, total, tree.proof(account))


def test_neither_another_total_nor_another_account_nor_a_changed_hash_is_proved() -> None:
    tree = EarnTree(TOTALS)
    account = ACCOUNTS[7]
    proof = tree.proof(account)
    total = TOTALS[account]
    require_in(tree.root, account, total, proof)
    wrong_hash = bytes([proof[2][0] ^ 1]) + proof[2][1:]
    for who, what, how in (
        (account, total + 1, proof),
        (account, total - 1, proof),
        (ACCOUNTS[8], total, proof),
        (account, total, proof[:-1]),
        (account, total, (*proof, bytes(32))),
        (account, total, (*proof[:2], wrong_hash, *proof[3:])),
        (account, total, (proof[0][:31], *proof[1:])),
        (account, total, proof * 20),
    ):
        with pytest.raises(Refused) as refusal:
            require_in(tree.root, who, what, how)
        assert refusal.value.codes == ["proof-invalid"]
    with pytest.raises(Refused):
        require_in(bytes(32), account, total, proof)


def test_an_inner_node_is_no_leaf() -> None:
    """The 64 bytes under an inner node are hashed once, those under a leaf twice."""
    tree = EarnTree(dict(list(TOTALS.items())[:2]))
    one, other = sorted(earn_leaf(account, TOTALS[account]) for account in ACCOUNTS[:2])
    assert tree.root == keccak256(one + other)
    assert keccak256(tree.root) != tree.root


def test_the_root_does_not_hang_on_the_order_of_the_customers() -> None:
    backwards = dict(reversed(TOTALS.items()))
    assert EarnTree(TOTALS).root == EarnTree(backwards).root


def test_the_tree_is_that_of_openzeppelin_s_library_for_two_leaves() -> None:
    """`abi.encode(address, uint256)`, hashed twice, worked out by hand with eth_abi."""
    from eth_abi.abi import encode

    account, total = ACCOUNTS[0], 12_345
    encoded = encode(["address", "uint256"], [account, total])
    assert earn_leaf(account, total) == keccak256(keccak256(encoded))


def test_who_is_not_in_the_tree_has_no_proof() -> None:
    tree = EarnTree({ACCOUNTS[0]: 1})
    with pytest.raises(Refused):
        tree.proof(ACCOUNTS[1])


def test_what_is_no_total_is_no_leaf() -> None:
    for totals in ({}, {ACCOUNTS[0]: -1}, {ACCOUNTS[0]: 2**96}, {Account("0xnothing"): 1}):
        with pytest.raises(Misuse):
            EarnTree(totals)


@given(st.dictionaries(st.sampled_from(ACCOUNTS), st.integers(0, 2**96 - 2), min_size=1))
def test_a_proof_of_one_total_proves_no_other_customer_s(totals: dict[Account, int]) -> None:
    tree = EarnTree(totals)
    for account, total in totals.items():
        proof = tree.proof(account)
        require_in(tree.root, account, total, proof)
        for other, others in totals.items():
            if other != account:
                with pytest.raises(Refused):
                    require_in(tree.root, other, others + 1, proof)
