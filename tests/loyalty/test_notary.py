"""Roots that have one order and no second branch, and recalls that open and close."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from counterfoil_loyalty.accounts import PointsSigner
from counterfoil_loyalty.common_contracts import Common, OpenContract
from counterfoil_loyalty.intents import sign_by_brand
from counterfoil_loyalty.keccak import keccak256
from counterfoil_loyalty.ledger import EmbeddedLedger
from counterfoil_loyalty.notary import (
    NO_ROOT,
    AnchoredRoot,
    AnchorRoot,
    CloseRecall,
    OpenRecall,
    Recall,
    RecallEnd,
)

from tests.loyalty.ledgers import empty_ledger
from tests.loyalty.outcomes import done, refused
from tests.loyalty.programme import Programme, changed

NOTARY_KEY = PointsSigner(b"\x41" * 32)
THIEF = PointsSigner(b"\x42" * 32)
ROOT = keccak256(b"root")
BATCH, NOTICE = keccak256(b"batch, salted"), keccak256(b"notice")


@pytest.fixture(params=["memory", "chain"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EmbeddedLedger]:
    """Give the two kinds that take no process; test_common_contracts.py asks a real node."""
    yield from empty_ledger(request.param, tmp_path)


@pytest.fixture
def opened(programme: Programme) -> Programme:
    assert programme.perform(OpenContract(Common.NOTARY)).reason is None
    return programme


def anchored(number: int, root: bytes = ROOT, previous: bytes = NO_ROOT) -> AnchoredRoot:
    return AnchoredRoot(issuer=NOTARY_KEY.account, number=number, root=root, previous=previous)


def signed(programme: Programme, it: AnchoredRoot, signer: PointsSigner = NOTARY_KEY) -> AnchorRoot:
    return AnchorRoot(it, sign_by_brand(it, programme.venue, signer))


def recall(programme: Programme, turn: int, signer: PointsSigner = NOTARY_KEY) -> OpenRecall:
    it = Recall(issuer=NOTARY_KEY.account, batch=BATCH, notice=NOTICE, severity=2, round=turn)
    return OpenRecall(it, sign_by_brand(it, programme.venue, signer))


def close(programme: Programme, turn: int, signer: PointsSigner = NOTARY_KEY) -> CloseRecall:
    it = RecallEnd(issuer=NOTARY_KEY.account, batch=BATCH, notice=NOTICE, round=turn)
    return CloseRecall(it, sign_by_brand(it, programme.venue, signer))


def test_roots_stand_in_a_chain_that_names_each_one_s_place(opened: Programme) -> None:
    first = anchored(0)
    outcome = opened.perform(signed(opened, first))
    (event,) = opened.ledger.block(outcome.block).events
    assert event.values["head"] == first.head.hex()
    assert event.values["sequence"] == 1

    second = anchored(7, keccak256(b"2"), first.head)
    outcome = opened.perform(signed(opened, second))
    (event,) = opened.ledger.block(outcome.block).events
    assert (event.values["number"], event.values["sequence"]) == (7, 2)
    assert event.values["head"] == second.head.hex()


def test_an_interval_has_one_root_and_the_past_gets_none(opened: Programme) -> None:
    first = anchored(7)
    done(opened, signed(opened, first))
    for number in (7, 6, 0):
        late = anchored(number, keccak256(b"other"), first.head)
        assert refused(opened, signed(opened, late)) == "old-number"
    assert refused(opened, signed(opened, first)) == "old-number"


def test_a_root_signed_for_another_place_is_refused(opened: Programme) -> None:
    done(opened, signed(opened, anchored(7)))
    fork = anchored(8)  # signed as the first of all
    assert refused(opened, signed(opened, fork)) == "signature-invalid"
    skipped = anchored(8, ROOT, keccak256(b"a head that is none"))
    assert refused(opened, signed(opened, skipped)) == "signature-invalid"


@pytest.mark.parametrize(
    "change", [{"number": 8}, {"root": keccak256(b"2")}, {"issuer": THIEF.account}]
)
def test_a_root_changed_after_signing_is_refused(
    opened: Programme, change: dict[str, object]
) -> None:
    action = signed(opened, anchored(7))
    tampered = AnchorRoot(changed(action.root, change), action.signature)
    assert refused(opened, tampered) == "signature-invalid"


def test_nobody_writes_in_another_s_chain_and_no_root_is_empty(opened: Programme) -> None:
    assert refused(opened, signed(opened, anchored(7), THIEF)) == "signature-invalid"
    assert refused(opened, signed(opened, anchored(7, NO_ROOT))) == "empty-root"
    theirs = replace(anchored(7), issuer=THIEF.account)
    done(opened, signed(opened, theirs, THIEF))
    done(opened, signed(opened, anchored(3)))  # Another's chain says nothing about ours.


def test_a_recall_opens_closes_and_opens_again(opened: Programme) -> None:
    assert refused(opened, close(opened, 1)) == "wrong-round"
    assert refused(opened, recall(opened, 3)) == "wrong-round"
    assert refused(opened, recall(opened, 1, THIEF)) == "signature-invalid"

    assert done(opened, recall(opened, 1)) == ["RecallOpened"]
    assert refused(opened, recall(opened, 1)) == "wrong-round"
    assert refused(opened, recall(opened, 2)) == "wrong-round"
    assert refused(opened, close(opened, 2, THIEF)) == "signature-invalid"

    assert done(opened, close(opened, 2)) == ["RecallClosed"]
    assert refused(opened, close(opened, 2)) == "wrong-round"
    assert refused(opened, recall(opened, 1)) == "wrong-round"
    assert done(opened, recall(opened, 3)) == ["RecallOpened"]


@pytest.mark.parametrize(
    "change", [{"severity": 0}, {"notice": BATCH}, {"batch": NOTICE}, {"issuer": THIEF.account}]
)
def test_a_recall_changed_after_signing_is_refused(
    opened: Programme, change: dict[str, object]
) -> None:
    action = recall(opened, 1)
    tampered = OpenRecall(changed(action.recall, change), action.signature)
    assert refused(opened, tampered) == "signature-invalid"
    done(opened, action)
    end = close(opened, 2)
    if "severity" not in change:
        other = CloseRecall(changed(end.end, change), end.signature)
        assert refused(opened, other) in {"signature-invalid", "wrong-round"}
    done(opened, end)
