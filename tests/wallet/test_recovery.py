"""The recovery key, split among contacts: enough of them bring it back, fewer do not."""

import sys
from collections.abc import Callable, Sequence
from itertools import combinations, pairwise, permutations

import pytest
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_wallet.envelope import recovery_public
from counterfoil_wallet.recovery import Recovery, RecoveryShare, combine, split

from tests.conftest import NOON

CONTACTS = ("Mei", "Jun", "Ana", "Li", "Bo")


@pytest.fixture
def made(random_bytes: Callable[[int], bytes]) -> tuple[Recovery, tuple[RecoveryShare, ...]]:
    return split(CONTACTS, 3, random=random_bytes, at=NOON)


def words(shares: Sequence[RecoveryShare]) -> list[str]:
    return [share.words for share in shares]


def refused_codes(shares: Sequence[str]) -> list[str]:
    with pytest.raises(Refused) as refusal:
        combine(shares)
    return refusal.value.codes


def test_any_three_of_five_bring_it_back(
    made: tuple[Recovery, tuple[RecoveryShare, ...]],
) -> None:
    recovery, shares = made
    for some in combinations(words(shares), 3):
        assert recovery_public(combine(some)) == recovery.public


def test_the_order_and_a_share_too_many_do_not_matter(
    made: tuple[Recovery, tuple[RecoveryShare, ...]],
) -> None:
    recovery, shares = made
    for some in permutations(words(shares)[:3]):
        assert recovery_public(combine(some)) == recovery.public
    assert recovery_public(combine(words(shares))) == recovery.public


def test_two_of_five_do_not(made: tuple[Recovery, tuple[RecoveryShare, ...]]) -> None:
    for some in combinations(words(made[1]), 2):
        assert refused_codes(some) == ["shares-too-few"]


def test_one_share_three_times_is_one_share(
    made: tuple[Recovery, tuple[RecoveryShare, ...]],
) -> None:
    assert refused_codes([made[1][0].words] * 3) == ["shares-too-few"]


def test_each_contact_has_a_share_and_the_wallet_keeps_none(
    made: tuple[Recovery, tuple[RecoveryShare, ...]],
) -> None:
    recovery, shares = made
    record = recovery.to_record()

    assert tuple(share.contact for share in shares) == CONTACTS
    assert len({share.words for share in shares}) == len(CONTACTS)
    assert Recovery.from_record(record) == recovery
    assert not any(share.words.encode() in record.body for share in shares)
    assert not any(share.words in repr(share) for share in shares)


def test_typing_is_forgiven_and_a_mistake_is_named_by_its_share_alone(
    made: tuple[Recovery, tuple[RecoveryShare, ...]],
) -> None:
    recovery, shares = made
    typed = words(shares)[:3]
    assert recovery_public(combine([f"  {typed[0].upper()}\n", *typed[1:]])) == recovery.public

    wrong = typed[1].split()
    wrong[7] = "academic" if wrong[7] != "academic" else "acid"
    for mistake in (" ".join(wrong), " ".join(wrong[:-1]), "counterfoil " * 33, "", "x" * 2_000):
        with pytest.raises(Malformed) as told:
            combine([typed[0], mistake, typed[2]])
        assert told.value.where == "shares[1]"
        # Neither the mistaken word nor two of the others: one may be a word of any sentence.
        assert wrong[7] not in str(told.value)
        assert not any(f"{one} {next_}" in str(told.value) for one, next_ in pairwise(wrong))


def test_shares_of_two_splits_do_not_go_together(
    made: tuple[Recovery, tuple[RecoveryShare, ...]], random_bytes: Callable[[int], bytes]
) -> None:
    _, others = split(CONTACTS, 3, random=random_bytes, at=NOON)

    assert refused_codes([*words(made[1])[:2], others[0].words]) == ["shares-do-not-match"]


def test_shares_made_elsewhere_that_ask_for_a_long_derivation_are_refused() -> None:
    from shamir_mnemonic import (  # type: ignore[import-untyped]  # it ships no mark of its types
        generate_mnemonics,
    )

    (slow,) = generate_mnemonics(1, [(2, 2)], bytes(32), iteration_exponent=1)
    grouped = [one for (one,) in generate_mnemonics(2, [(1, 1), (1, 1)], bytes(32))]

    assert refused_codes(slow) == ["shares-do-not-match"]
    assert refused_codes(grouped) == ["shares-do-not-match"]


@pytest.mark.parametrize("shares", [[], ["academic acid"] * 17])
def test_none_or_too_many_are_told(shares: list[str]) -> None:
    with pytest.raises(Malformed):
        combine(shares)


@pytest.mark.parametrize(
    ("contacts", "threshold"),
    [
        (CONTACTS, 1),
        (CONTACTS, 6),
        (CONTACTS[:1], 1),
        ([], 0),
        (["Mei", "Mei", "Ana"], 2),
        (["Mei", "", "Ana"], 2),
        ([f"contact {i}" for i in range(17)], 2),
    ],
)
def test_a_split_that_helps_nobody_is_misuse(
    contacts: Sequence[str], threshold: int, random_bytes: Callable[[int], bytes]
) -> None:
    with pytest.raises(Misuse):
        split(contacts, threshold, random=random_bytes, at=NOON)


def test_without_the_library_the_line_that_installs_it_is_named(
    random_bytes: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "shamir_mnemonic", None)

    for use in (
        lambda: split(CONTACTS, 3, random=random_bytes, at=NOON),
        lambda: combine(["academic acid"]),
    ):
        with pytest.raises(Misuse, match=r"counterfoil\[recovery\]"):
            use()
