"""An erasure receipt is worth what its evidence proves, not what it says."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from counterfoil_consent import (
    Agreement,
    Level,
    Retained,
    Trigger,
    state_from_json,
    state_to_json,
    verify_erasure_receipt,
    withdraw,
)
from counterfoil_consent.artefacts import KeyDestruction
from counterfoil_consent.erasure import (
    ErasedSystem,
    ErasureReceipt,
    Method,
    System,
    retained_in,
)
from counterfoil_consent.laws import ClaimKind
from counterfoil_consent.spec import ERASURE_TYP
from counterfoil_consent.wire import Digest, digest_of
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import CounterfoilError, Malformed, Refused
from counterfoil_credentials.jws import read_jws, sign_jws
from counterfoil_credentials.keys import MemorySigner

from tests.conftest import NOON
from tests.consent.street import BIRTHDAY, CANARIES, FRAME, PRODUCT, Street

TOMORROW = NOON + timedelta(days=2)


@pytest.fixture
def street(street_in_memory: Street) -> Street:
    """Give the parties on one kind of store: nothing here depends on which."""
    return street_in_memory


@dataclass
class Ended:
    """A withdrawn grant with its receipt, and everybody's keys."""

    street: Street
    agreement: Agreement
    receipt: str

    @property
    def now(self) -> datetime:
        return self.street.clock()

    def claims(self) -> JsonObject:
        return read_jws(self.receipt, typ=ERASURE_TYP, where="x").unverified_claims

    def signed(self, **changes: object) -> str:
        """Sign the receipt anew with these changes; None takes a member away."""
        claims = {**self.claims(), **changes}
        kept = {name: value for name, value in claims.items() if value is not None}
        return sign_jws(kept, typ=ERASURE_TYP, signer=self.street.receiver_signer)  # type: ignore[arg-type]  # any JSON

    def codes(self, token: str) -> list[str]:
        with pytest.raises(Refused) as refusal:
            verify_erasure_receipt(token, agreement=self.agreement, now=self.now)
        return refusal.value.codes

    def statement(self, **changes: object) -> str:
        found = KeyDestruction.read(
            str(self.claims()["destruction"]),
            custodian=self.agreement.terms.custodian.did,
            grant_id=self.agreement.grant_id,
        )
        changed = replace(found, **changes)  # type: ignore[arg-type]  # the fields of the statement
        return changed.sign(self.street.custodian_signer)


@pytest.fixture
def ended(street: Street) -> Ended:
    """Give a withdrawn and erased grant."""
    active, signer = street.granted()
    street.clock.advance(timedelta(days=1))
    token = withdraw(active, signer=signer, now=street.clock(), random=street.random).token
    street.receiver.end(active.agreement.grant_id, token)
    return Ended(
        street, active.agreement, street.receiver.erasure_receipt(active.agreement.grant_id)
    )


def test_both_signatures_make_level_two(ended: Ended) -> None:
    erased = verify_erasure_receipt(ended.receipt, agreement=ended.agreement, now=ended.now)

    assert (erased.level, erased.trigger) == (Level.E2, Trigger.WITHDRAWN)


def test_without_the_custodians_statement_it_is_level_one(ended: Ended) -> None:
    token = ended.signed(destruction=None)

    erased = verify_erasure_receipt(token, agreement=ended.agreement, now=ended.now)

    assert erased.level is Level.E1


@pytest.mark.parametrize("claimed", ["E2", "E3", "E4"])
def test_the_level_that_a_receipt_claims_is_not_believed(ended: Ended, claimed: str) -> None:
    bare = ended.signed(destruction=None, level=claimed)
    full = ended.signed(level=claimed)

    for token, level in ((bare, Level.E1), (full, Level.E2)):
        erased = verify_erasure_receipt(token, agreement=ended.agreement, now=ended.now)
        assert erased.level is level


def test_a_receipt_lists_names_and_no_value(ended: Ended) -> None:
    claims = ended.claims()

    assert claims["claims"] == [FRAME.to_json(), PRODUCT.to_json()]
    assert not [canary for canary in CANARIES if canary in str(claims)]
    assert claims["recipients"] == claims["retained"] == []


def test_a_receipt_of_another_signer_is_refused(ended: Ended) -> None:
    claims, stranger = ended.claims(), MemorySigner.generate()

    assert ended.codes(sign_jws(claims, typ=ERASURE_TYP, signer=stranger)) == ["signature-invalid"]
    own = {**claims, "iss": ended.agreement.holder}
    assert ended.codes(sign_jws(own, typ=ERASURE_TYP, signer=stranger)) == ["signed-by-another"]


def test_a_changed_receipt_is_refused(ended: Ended) -> None:
    head, payload, signature = ended.receipt.split(".")
    middle = len(payload) // 2
    swapped = "A" if payload[middle] != "A" else "B"
    changed = f"{payload[:middle]}{swapped}{payload[middle + 1 :]}"

    with pytest.raises(CounterfoilError):
        verify_erasure_receipt(
            f"{head}.{changed}.{signature}", agreement=ended.agreement, now=ended.now
        )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"grant": {"id": "A" * 22, "sha-256": "x"}}, "grant-mismatch"),
        ({"claims": [FRAME.to_json()]}, "claims-missing"),
        ({"recipients": [{"did": "did:jwk:e30"}]}, "recipients-unknown"),
        ({"tombstone": False}, "tombstone-missing"),
        ({"systems": []}, "sealing-key-kept"),
        ({"erased_at": 4_000_000_000}, "times-out-of-order"),
        ({"stopped_at": 1}, "times-out-of-order"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_receipt_that_leaves_something_out_is_refused(
    ended: Ended, changes: dict[str, object], code: str
) -> None:
    assert ended.codes(ended.signed(**changes)) == [code]


@pytest.mark.parametrize("member", ["claims", "systems", "retained", "tombstone", "level"])
def test_a_receipt_without_a_member_is_malformed(ended: Ended, member: str) -> None:
    with pytest.raises(Malformed):
        verify_erasure_receipt(
            ended.signed(**{member: None}), agreement=ended.agreement, now=ended.now
        )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"grant_digest": digest_of("another")}, "grant-mismatch"),
        ({"grant_digest": None}, "grant-mismatch"),
        ({"grant_id": "A" * 22}, "grant-mismatch"),
        ({"destroyed_at": TOMORROW}, "times-out-of-order"),
    ],
    ids=["digest", "no-digest", "grant", "future"],
)
def test_a_statement_that_does_not_fit_spoils_the_receipt(
    ended: Ended, changes: dict[str, object], code: str
) -> None:
    assert ended.codes(ended.signed(destruction=ended.statement(**changes))) == [code]


def test_a_statement_that_the_receiver_made_itself_spoils_the_receipt(ended: Ended) -> None:
    found = KeyDestruction.read(
        str(ended.claims()["destruction"]),
        custodian=ended.agreement.terms.custodian.did,
        grant_id=ended.agreement.grant_id,
    )
    own = found.sign(ended.street.receiver_signer)

    assert ended.codes(ended.signed(destruction=own)) == ["signed-by-another"]


def test_what_is_kept_is_named_with_law_and_end(ended: Ended) -> None:
    until = ended.now + timedelta(days=2_920)
    kept = Retained(claims=(PRODUCT,), kind=ClaimKind.PURCHASE, law="DE AO §147", until=until)
    token = ErasureReceipt(
        agreement=ended.agreement,
        trigger=Trigger.WITHDRAWN,
        requested_at=ended.now,
        stopped_at=ended.now,
        erased_at=ended.now,
        systems=(ErasedSystem(system=System.SEALING_KEY, method=Method.KEY_DESTROYED),),
        level=Level.E1,
        retained=(kept,),
    ).sign(ended.street.receiver_signer)

    assert list(retained_in(token, agreement=ended.agreement)) == [kept]
    erased = verify_erasure_receipt(token, agreement=ended.agreement, now=ended.now)
    assert erased.level is Level.E1
    # Whoever shows the level shows this beside it, also after it was stored.
    assert erased.retained == (kept,)
    assert state_from_json(state_to_json(erased)) == erased


def test_an_erasure_stored_before_retention_was_noted_still_loads(ended: Ended) -> None:
    erased = verify_erasure_receipt(ended.receipt, agreement=ended.agreement, now=ended.now)
    stored = state_to_json(erased)

    assert "retained" not in stored
    assert state_from_json(stored) == erased


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({}, []),
        ({"law": "x"}, ["law-unknown"]),
        ({"law": "CN Tax Collection Rules Art. 29"}, ["law-elsewhere"]),
        ({"kind": "contact"}, ["kind-not-kept"]),
        ({"until": 1}, []),
        ({"until": 9 * 366 * 86_400}, ["retained-too-long"]),
        ({"claims": [BIRTHDAY.to_json()]}, ["claims-unknown"]),
    ],
    ids=["good", "law", "place", "kind", "past", "time", "claim"],
)
def test_a_law_excuses_no_more_than_it_asks_for(
    ended: Ended, changes: dict[str, object], codes: list[str]
) -> None:
    item: dict[str, object] = {
        "claims": [PRODUCT.to_json()],
        "kind": "purchase",
        "law": "DE AO §147",
        "until": 86_400,
        **changes,
    }
    item["until"] = int(ended.now.timestamp()) + int(str(item["until"]))
    token = ended.signed(retained=[item])

    if codes:
        assert ended.codes(token) == codes
    else:
        assert verify_erasure_receipt(token, agreement=ended.agreement, now=ended.now).retained


@pytest.mark.parametrize(("more_s", "codes"), [(0, []), (1, ["retained-too-long"])])
def test_a_period_ends_with_its_last_second(ended: Ended, more_s: int, codes: list[str]) -> None:
    # Eight years from the end of this calendar year.
    until = datetime(ended.now.year + 9, 1, 1, tzinfo=UTC) + timedelta(seconds=more_s)
    item = {
        "claims": [PRODUCT.to_json()],
        "kind": "purchase",
        "law": "DE AO §147",
        "until": int(until.timestamp()),
    }
    token = ended.signed(retained=[item])

    if codes:
        assert ended.codes(token) == codes
    else:
        assert verify_erasure_receipt(token, agreement=ended.agreement, now=ended.now).retained


@pytest.mark.parametrize(
    "systems",
    [
        [{"class": "sealing-key", "method": "deleted"}],
        [{"class": "live-database", "method": "deleted"}],
        [
            {"class": "sealing-key", "method": "key-destroyed"},
            {"class": "sealing-key", "method": "deleted", "name": "another"},
        ],
    ],
)
def test_a_receipt_says_that_the_sealing_key_was_destroyed(
    ended: Ended, systems: list[dict[str, str]]
) -> None:
    assert ended.codes(ended.signed(systems=systems)) == ["sealing-key-kept"]


@pytest.mark.parametrize(
    "system",
    [
        {"class": "nothing", "method": "deleted"},
        {"class": "caches", "method": "forgotten"},
        {"class": "caches", "method": "deleted", "name": ""},
        {"class": "caches", "method": "deleted", "extra": "x"},
        {"class": "sealing-key", "method": "key-destroyed"},
    ],
    ids=["class", "method", "name", "member", "twice"],
)
def test_a_list_of_systems_that_cannot_be_right_is_malformed(
    ended: Ended, system: dict[str, str]
) -> None:
    key = {"class": "sealing-key", "method": "key-destroyed"}

    with pytest.raises(Malformed):
        verify_erasure_receipt(
            ended.signed(systems=[key, system]), agreement=ended.agreement, now=ended.now
        )


@pytest.mark.parametrize("trigger", ["completed", "expired"])
def test_a_receipt_names_the_end_that_the_custodian_saw(ended: Ended, trigger: str) -> None:
    assert ended.codes(ended.signed(trigger=trigger)) == ["trigger-mismatch"]
    assert ended.codes(ended.signed(destruction=ended.statement(trigger=Trigger(trigger)))) == [
        "trigger-mismatch"
    ]


def test_where_two_end_it_the_receipt_names_the_one_that_the_custodian_heard_first(
    street: Street,
) -> None:
    active, signer = street.granted()
    grant_id = active.agreement.grant_id
    token = withdraw(active, signer=signer, now=street.clock(), random=street.random).token
    street.custodian.end(grant_id, token)

    street.receiver.complete(grant_id)

    receipt = street.receiver.erasure_receipt(grant_id)
    erased = verify_erasure_receipt(receipt, agreement=active.agreement, now=street.clock())
    assert (erased.level, erased.trigger) == (Level.E2, Trigger.WITHDRAWN)


def test_a_receipt_of_one_grant_proves_nothing_about_another(ended: Ended) -> None:
    other = replace(ended.agreement, grant_digest=Digest("another"))

    with pytest.raises(Refused) as refusal:
        verify_erasure_receipt(ended.receipt, agreement=other, now=ended.now)

    assert refusal.value.codes == ["grant-mismatch"]
