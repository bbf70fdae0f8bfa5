"""The notary through the points service: what its issuer signed, and whom the operator lets in."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from counterfoil_credentials.errors import Refused, Unavailable
from counterfoil_loyalty import PointsSigner
from counterfoil_loyalty.ledger import EmbeddedLedger
from counterfoil_loyalty.notary import Recall, RecallEnd
from counterfoil_loyalty.notary_anchor import NotaryAnchor
from counterfoil_loyalty.notary_client import NotaryClient

from tests.loyalty.programme import Clock
from tests.loyalty.test_service import OPERATOR_KEY, Street, street_on

pytestmark = pytest.mark.once

ISSUER = PointsSigner(b"\x09" * 32)


@dataclass(frozen=True)
class Rooted:
    number: int
    root: bytes


@dataclass
class Kept:
    """Batches by their numbers: what an anchor within keeps."""

    batches: dict[int, Rooted] = field(default_factory=dict[int, Rooted])

    def wait(self, leaf: bytes, opening: object | None) -> None:
        """Nothing waits here: batches come whole."""

    def waiting(self) -> tuple[list[bytes], list[object]]:
        return [], []

    def publish(self, batch: Rooted) -> Rooted:
        return self.batches.setdefault(batch.number, batch)

    def roots(self) -> dict[int, bytes]:
        return {number: batch.root for number, batch in self.batches.items()}

    def batch(self, number: int) -> Rooted | None:
        return self.batches.get(number)


@pytest.fixture
def street(ledger: EmbeddedLedger, clock: Clock) -> Iterator[Street]:
    yield from street_on(ledger, clock)


def anchor_of(street: Street, key: str = OPERATOR_KEY) -> NotaryAnchor[Rooted, object]:
    notary = NotaryClient(street.client, key)
    return NotaryAnchor[Rooted, object](Kept(), ISSUER, notary, submit=notary.submit)


def test_a_service_without_a_chain_anchors_its_roots_in_order(street: Street) -> None:
    anchor = anchor_of(street)

    for number in range(3):
        anchor.publish(Rooted(number, bytes([number + 1]) * 32))

    assert anchor.roots() == {it: bytes([it + 1]) * 32 for it in range(3)}
    assert anchor_of(street).roots() == anchor.roots()
    with pytest.raises(Unavailable):
        anchor_of(street).publish(Rooted(3, bytes(32)))


def test_a_recall_is_opened_closed_and_no_turn_is_taken_twice(street: Street) -> None:
    notary = NotaryClient(street.client, OPERATOR_KEY)
    recall = Recall(issuer=ISSUER.account, batch=b"b" * 32, notice=b"n" * 32, severity=2, round=1)
    end = RecallEnd(issuer=ISSUER.account, batch=b"b" * 32, notice=b"n" * 32, round=2)

    first = notary.recall(recall, ISSUER)
    assert notary.recall(recall, ISSUER) == first
    notary.close(end, ISSUER)

    names = [row["name"] for row in street.client.events()]
    assert names[-2:] == ["RecallOpened", "RecallClosed"]
    with pytest.raises(Refused) as refusal:
        notary.close(
            RecallEnd(issuer=ISSUER.account, batch=b"c" * 32, notice=b"n" * 32, round=2), ISSUER
        )
    assert refusal.value.codes == ["wrong-round"]


def test_whom_the_operator_does_not_let_in_writes_nothing(street: Street) -> None:
    notary = NotaryClient(street.client, "another")
    recall = Recall(issuer=ISSUER.account, batch=b"b" * 32, notice=b"n" * 32, severity=2, round=1)

    with pytest.raises(Refused) as refusal:
        notary.recall(recall, ISSUER)

    assert refusal.value.codes == ["not-the-operator"]
    assert not anchor_of(street).roots()
