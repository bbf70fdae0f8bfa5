"""Points that one customer gives to another: on the chain, and on its twin in memory."""

from dataclasses import replace

import pytest
from counterfoil_credentials.errors import Refused
from counterfoil_loyalty.accounts import NOBODY, Account, PointsAccounts
from counterfoil_loyalty.actions import TransferPoints
from counterfoil_loyalty.indexer import project
from counterfoil_loyalty.intents import sign_by_customer
from counterfoil_loyalty.store import Movement
from counterfoil_loyalty.transfers import Transfer

from tests.loyalty.programme import AUDIO, BICYCLE, DAY, NOW, Programme

FRIEND = PointsAccounts(b"friend " * 5).of(AUDIO)


def transfer(programme: Programme, amount: int = 200, **changed: object) -> TransferPoints:
    giver = programme.customer.of(AUDIO)
    values = {
        "token": programme.tokens[AUDIO],
        "giver": giver.account,
        "taker": FRIEND.account,
        "amount": amount,
        "transfer_id": b"t" * 32,
        "deadline": NOW + DAY,
        **changed,
    }
    given = Transfer(**values)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]  # by name
    return TransferPoints(given, sign_by_customer(given, programme.venue, giver))


def held_by_friend(programme: Programme) -> int:
    return programme.ledger.balance(programme.tokens[AUDIO], FRIEND.account)


def refused(programme: Programme, action: TransferPoints) -> str:
    """Give the code of the one refusal: by the check beforehand, and again in a block."""
    with pytest.raises(Refused) as refusal:
        programme.ledger.check(action)
    outcome = programme.perform(action)
    assert outcome.reason is not None
    assert [outcome.reason.code] == refusal.value.codes
    return outcome.reason.code


def moved(programme: Programme) -> list[Movement]:
    return list(project(programme.ledger.block(programme.ledger.head())).movements)


def test_what_is_given_arrives_and_each_side_reads_from_whom(programme: Programme) -> None:
    programme.perform(programme.award(1_000))
    action = transfer(programme)
    programme.ledger.check(action)

    assert programme.perform(action).reason is None

    assert (programme.balance(), held_by_friend(programme)) == (800, 200)
    giver = programme.customer.of(AUDIO).account
    assert [(it.account, it.units, it.kind, it.other_account) for it in moved(programme)] == [
        (giver, -200, "transferred", FRIEND.account),
        (FRIEND.account, 200, "transferred", giver),
    ]
    assert {it.reference for it in moved(programme)} == {action.transfer.nonce.hex()}


def test_a_transfer_happens_once_for_its_id(programme: Programme) -> None:
    programme.perform(programme.award(1_000))
    programme.perform(transfer(programme))

    assert refused(programme, transfer(programme)) == "intent-used"
    assert refused(programme, transfer(programme, 5)) == "intent-used"
    assert held_by_friend(programme) == 200

    assert programme.perform(transfer(programme, transfer_id=b"u" * 32)).reason is None
    assert held_by_friend(programme) == 400


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 201},
        {"taker": Account("0x" + "11" * 20)},
        {"giver": FRIEND.account},
        {"deadline": NOW + 2 * DAY},
        {"transfer_id": b"u" * 32},
    ],
)
def test_who_sends_it_can_change_nothing(programme: Programme, change: dict[str, object]) -> None:
    programme.perform(programme.award(1_000))
    action = transfer(programme)
    changed = replace(action.transfer, **change)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]  # by name

    assert refused(programme, replace(action, transfer=changed)) == "signature-invalid"
    assert programme.balance() == 1_000


def test_a_signature_for_points_of_another_brand_moves_nothing(programme: Programme) -> None:
    programme.perform(programme.award(1_000))
    action = transfer(programme)
    elsewhere = replace(action.transfer, token=programme.tokens[BICYCLE])

    assert refused(programme, replace(action, transfer=elsewhere)) == "signature-invalid"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"amount": 1_001}, "insufficient-points"),
        ({"deadline": NOW}, "intent-expired"),
        ({"taker": NOBODY}, "no-recipient"),
    ],
)
def test_a_transfer_that_cannot_be_is_refused_by_name(
    programme: Programme, change: dict[str, object], code: str
) -> None:
    programme.perform(programme.award(1_000))

    assert refused(programme, transfer(programme, **change)) == code  # type: ignore[arg-type]
    assert programme.balance() == 1_000
