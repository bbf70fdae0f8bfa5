"""A recipient keeps what it was handed sealed, reads it for its purpose, ends on a true word."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from counterfoil_consent import (
    Active,
    Level,
    MemoryKeyFolder,
    Purpose,
    Trigger,
    fetch_erasure_receipt,
    withdraw,
)
from counterfoil_consent.erased_system import Method, System
from counterfoil_consent.events import audience_of, sign_end, sign_end_of
from counterfoil_consent.handover import Handover, seal_handover
from counterfoil_consent.key_folder import FileKeyFolder
from counterfoil_consent.recipient import (
    MOST_NOTHINGS,
    Held,
    MemoryRecipientStore,
    Recipient,
)
from counterfoil_consent.recipient_receipt import RecipientReceipt
from counterfoil_consent.sql_recipient_store import SqlRecipientStore
from counterfoil_consent.states import (
    Lack,
    Missing,
    Withdrawn,
    state_from_json,
    state_to_json,
)
from counterfoil_consent.unsigned_word import Channel, UnsignedWord, later_proof
from counterfoil_consent.wire import GrantId
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.errors import CounterfoilError, Malformed, Refused, Unavailable
from counterfoil_credentials.keys import MemorySigner

from tests.conftest import Clock
from tests.consent.street import BENEFITS, CANARIES, FRAME, FRAME_VALUE, PRODUCT
from tests.consent.town import Town, Workshop


@pytest.fixture
def town(clock: Clock, random_bytes: Callable[[int], bytes]) -> Town:
    return Town(clock, random_bytes)


@pytest.fixture(params=["memory", "stored"])
def workshop(request: pytest.FixtureRequest, town: Town, tmp_path: Path) -> Iterator[Workshop]:
    """Give the first workshop; on disk it is a SQLite file and a folder of keys."""
    shop = town.workshops[0]
    if request.param == "memory":
        yield shop
        return
    store = SqlRecipientStore(tmp_path / "workshop" / "db.sqlite3")
    shop.recipient = stored(town, shop, store, tmp_path)
    town.open(shop)
    yield shop
    store.close()


def stored(town: Town, shop: Workshop, store: SqlRecipientStore, folder: Path) -> Recipient:
    return Recipient(
        signer=shop.signer,
        receivers=[town.receiver.party.did],
        store=store,
        keys=FileKeyFolder(folder / "workshop-keys"),
        clock=town.clock,
        random=town.random,
        systems=[shop.cache],
    )


def handed(town: Town, shop: Workshop) -> tuple[Active, MemorySigner]:
    active, signer = town.shared()
    town.hand_over(active.agreement.grant_id, shop, FRAME, PRODUCT)
    return active, signer


def withdrawal(town: Town, active: Active, signer: MemorySigner) -> str:
    return withdraw(active, signer=signer, now=town.clock(), random=town.random).token


def read_receipt(town: Town, shop: Workshop, active: Active, token: str | None) -> RecipientReceipt:
    assert token is not None
    return RecipientReceipt.read(
        token,
        recipient=shop.recipient.did,
        grant_id=active.agreement.grant_id,
        granted=tuple(active.agreement.terms.claim_names),
        now=town.clock(),
    )


def test_reads_what_it_was_handed_for_the_purpose_until_the_term(
    town: Town, workshop: Workshop
) -> None:
    active, _ = handed(town, workshop)
    grant_id = active.agreement.grant_id
    with workshop.recipient.read(grant_id, BENEFITS) as facts:
        assert facts.one(FRAME) == FRAME_VALUE
        assert facts.names == {FRAME, PRODUCT}
    with (
        pytest.raises(Refused) as refusal,
        workshop.recipient.read(grant_id, Purpose.DIRECT_MARKETING),
    ):
        pass
    assert refusal.value.codes == ["purpose-differs"]

    town.clock.advance(timedelta(days=30))

    with pytest.raises(Refused) as refusal, workshop.recipient.read(grant_id, BENEFITS):
        pass
    assert refusal.value.codes == ["grant-ended"]
    assert workshop.recipient.end_due() == 1
    assert workshop.recipient.end_due() == 0


def test_ends_on_the_holders_word_and_signs_for_itself(town: Town, workshop: Workshop) -> None:
    active, signer = handed(town, workshop)
    grant_id = active.agreement.grant_id
    workshop.cache.keep(grant_id, FRAME_VALUE)
    event = withdrawal(town, active, signer)

    first = workshop.recipient.end(grant_id, event)
    town.clock.advance(timedelta(days=1))
    again = workshop.recipient.end(grant_id, event)

    assert first == again
    receipt = read_receipt(town, workshop, active, first)
    assert receipt.claims == (FRAME, PRODUCT)
    assert {(s.system, s.method) for s in receipt.systems} >= {
        (System.SEALING_KEY, Method.KEY_DESTROYED),
        (System.CACHES, Method.DELETED),
    }
    assert not workshop.cache.holds(grant_id)
    for gone in (
        lambda: workshop.recipient.read(grant_id, BENEFITS).__enter__(),
        lambda: workshop.recipient.key(grant_id),
        lambda: town.hand_over(grant_id, workshop),
    ):
        with pytest.raises(Refused) as refusal:
            gone()
        assert refusal.value.codes == ["grant-ended"]


def test_there_is_no_receipt_while_a_system_of_its_own_has_not_answered(
    town: Town, workshop: Workshop
) -> None:
    active, signer = handed(town, workshop)
    grant_id = active.agreement.grant_id
    workshop.cache.is_away = True

    assert workshop.recipient.end(grant_id, withdrawal(town, active, signer)) is None
    assert workshop.recipient.end_due() == 0
    with pytest.raises(Refused), workshop.recipient.read(grant_id, BENEFITS):
        pass

    workshop.cache.is_away = False
    assert workshop.recipient.end_due() == 1


@pytest.mark.parametrize("by", ["receiver", "stranger", "holder-completes", "another-grant"])
def test_a_forged_end_changes_nothing(town: Town, workshop: Workshop, by: str) -> None:
    active, signer = handed(town, workshop)
    agreement = active.agreement
    match by:
        case "receiver":
            who, trigger = town.receiver_signer, Trigger.WITHDRAWN
        case "stranger":
            who, trigger = MemorySigner.generate(), Trigger.WITHDRAWN
        case "holder-completes":
            who, trigger = signer, Trigger.COMPLETED
        case _:
            other, who = town.shared()
            agreement, trigger = other.agreement, Trigger.WITHDRAWN
    event = sign_end(agreement, trigger, signer=who, now=town.clock(), random=town.random)

    with pytest.raises(Refused):
        workshop.recipient.end(active.agreement.grant_id, event)

    with workshop.recipient.read(active.agreement.grant_id, BENEFITS) as facts:
        assert facts.names


def test_an_end_that_is_made_out_to_others_does_not_count(town: Town, workshop: Workshop) -> None:
    active, signer = handed(town, workshop)
    audience = audience_of(active.agreement)[:2]
    event = sign_end_of(
        active.agreement.grant_id,
        audience,
        Trigger.WITHDRAWN,
        signer=signer,
        now=town.clock(),
        random=town.random,
    )

    with pytest.raises(Refused) as refusal:
        workshop.recipient.end(active.agreement.grant_id, event)

    assert refusal.value.codes == ["audience-mismatch"]


def test_takes_nothing_from_a_receiver_that_it_does_not_know(
    town: Town, workshop: Workshop
) -> None:
    active, _ = town.shared()
    grant_id = active.agreement.grant_id
    key = workshop.recipient.key(grant_id)
    handover = Handover.of(active.agreement, workshop.recipient.did, (FRAME,))
    other = Handover.of(active.agreement, town.workshops[1].recipient.did, (FRAME,))
    fewer = Handover.of(active.agreement, workshop.recipient.did, (FRAME, PRODUCT))
    with town.receiver.read(grant_id, BENEFITS) as facts:
        sealed = seal_handover(facts, handover, key)
    now, signer = town.clock(), town.receiver_signer

    for token, code in (
        (handover.sign(MemorySigner.generate(), now), "receiver-not-known"),
        (other.sign(signer, now), "audience-mismatch"),
        (fewer.sign(signer, now), "claims-differ"),
        (replace(handover, grant_id=GrantId("A" * 22)).sign(signer, now), "grant-ended"),
    ):
        with pytest.raises(Refused) as refusal:
            workshop.recipient.accept(token, sealed)
        assert refusal.value.codes == [code]
    with pytest.raises(CounterfoilError):
        workshop.recipient.accept(handover.sign(signer, now), sealed[:-1] + b"\0")

    token = handover.sign(signer, now)
    assert workshop.recipient.accept(token, sealed) == workshop.recipient.accept(token, sealed)
    with pytest.raises(Refused) as refusal:
        workshop.recipient.accept(handover.sign(signer, now + timedelta(days=1)), sealed)
    assert refusal.value.codes == ["already-handed-over"]


def test_says_that_it_was_handed_nothing_and_takes_nothing_afterwards(
    town: Town, workshop: Workshop
) -> None:
    active, signer = town.shared()
    grant_id = active.agreement.grant_id

    receipt = workshop.recipient.end(grant_id, withdrawal(town, active, signer))

    read = read_receipt(town, workshop, active, receipt)
    assert (read.claims, read.systems) == ((), ())
    with pytest.raises(Refused) as refusal:
        workshop.recipient.key(grant_id)
    assert refusal.value.codes == ["grant-ended"]
    for wrong in ("no token", "a.b.c"):
        with pytest.raises(Malformed):
            workshop.recipient.end("B" * 21 + "A", wrong)


def test_a_recipient_that_lost_its_rows_does_not_say_that_it_was_handed_nothing(
    town: Town,
) -> None:
    shop = town.workshops[0]
    active, signer = handed(town, shop)
    grant_id = active.agreement.grant_id
    shop.cache.keep(grant_id, FRAME_VALUE)
    shop.recipient = Recipient(
        signer=shop.signer,
        receivers=[town.receiver.party.did],
        store=MemoryRecipientStore(),
        keys=MemoryKeyFolder(),
        clock=town.clock,
        random=town.random,
        systems=[shop.cache],
    )
    town.open(shop)
    event = withdrawal(town, active, signer)

    with pytest.raises(Unavailable):
        shop.recipient.end(grant_id, event)
    town.receiver.end(grant_id, event)
    proof = fetch_erasure_receipt(active.agreement, fetcher=town.fetcher, now=town.clock()).erased
    assert Lack(Missing.RECIPIENT, shop.party.name) in proof.lacks
    assert proof.level is Level.E2

    # By hand, as its operator must.
    shop.cache.erase(grant_id)
    read = read_receipt(town, shop, active, shop.recipient.end(grant_id, event))
    assert read.claims == ()


def test_what_strangers_make_it_remember_is_bounded(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("counterfoil_consent.recipient.MOST_NOTHINGS", 3)
    recipient = town.workshops[0].recipient
    stranger = MemorySigner.generate()

    def asked() -> str | None:
        name = GrantId(b64url(town.random(16)))
        event = sign_end_of(
            name,
            (recipient.did,),
            Trigger.WITHDRAWN,
            signer=stranger,
            now=town.clock(),
            random=town.random,
        )
        return recipient.end(name, event)

    assert all(asked() for _ in range(3))
    with pytest.raises(Unavailable):
        asked()
    assert MOST_NOTHINGS == 10_000


def test_no_planted_value_lies_on_the_recipients_disk_and_a_backup_opens_nothing(
    town: Town, tmp_path: Path
) -> None:
    shop = town.workshops[0]
    store = SqlRecipientStore(tmp_path / "workshop" / "db.sqlite3")
    shop.recipient = stored(town, shop, store, tmp_path)
    active, signer = handed(town, shop)
    during = store.find(active.agreement.grant_id)
    assert during is not None
    assert during.sealed is not None
    before = b"".join(path.read_bytes() for path in (tmp_path / "workshop").iterdir())

    shop.recipient.end(active.agreement.grant_id, withdrawal(town, active, signer))

    after = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert not [canary for canary in CANARIES if canary.encode() in before + after]
    sealed = b64url(during.sealed).encode()
    assert sealed in before
    assert sealed not in after
    assert not list((tmp_path / "workshop-keys").glob("*.key"))
    # A row that comes back with a backup is ended again, and opens nothing.
    gone = store.find(active.agreement.grant_id)
    assert gone is not None
    assert store.advance(gone, during)
    with pytest.raises(Refused), shop.recipient.read(active.agreement.grant_id, BENEFITS):
        pass
    assert shop.recipient.end(active.agreement.grant_id, withdrawal(town, active, signer))
    store.close()


def test_a_recipients_store_promises_the_same_in_a_database(where: Path | str, town: Town) -> None:
    store = SqlRecipientStore(where)
    assert store.is_empty()
    active, _ = town.shared()
    grant_id = active.agreement.grant_id
    held = Held(
        grant_id=grant_id,
        token="the receiver's word",
        sealed=bytes(range(100)),
        valid_until=active.agreement.terms.valid_until,
    )

    assert store.add(held) == held == store.add(replace(held, token="x"))
    stopped = replace(held, sealed=None, stopped_at=town.clock())
    assert store.due(town.clock(), 10) == []
    assert store.due(held.valid_until, 10) == [grant_id]
    assert store.advance(held, stopped)
    assert not store.advance(held, stopped)
    assert store.due(town.clock(), 10) == [grant_id]
    assert store.advance(stopped, replace(stopped, receipt="r"))
    assert store.due(held.valid_until, 10) == []
    assert not store.is_empty()
    store.close()


def test_an_unsigned_word_is_noted_as_no_more_than_that(town: Town) -> None:
    active, signer = town.shared()
    given = withdraw(active, signer=signer, now=town.clock(), random=town.random).withdrawn
    assert isinstance(given, Withdrawn)
    town.clock.advance(timedelta(days=2))
    word = UnsignedWord(channel=Channel.PHONE, heard_at=town.clock())

    noted = word.note(given, town.clock())

    assert (noted.level.name, noted.erased_at) == ("E0", town.clock())
    assert [lack.what.value for lack in noted.lacks] == [
        *("receiver-receipt", "custodian-statement", "recipient-receipt", "recipient-receipt"),
    ]
    assert state_from_json(state_to_json(noted)) == noted
    assert UnsignedWord.from_json(word.to_json()) == word
    for heard_at in (given.ended_at - timedelta(hours=1), town.clock() + timedelta(hours=1)):
        with pytest.raises(Refused) as refusal:
            UnsignedWord(channel=Channel.MAIL, heard_at=heard_at).note(given, town.clock())
        assert refusal.value.codes == ["times-out-of-order"]
    with pytest.raises(Malformed):
        UnsignedWord.from_json({"channel": "rumour", "heard_at": 1})


def test_a_signed_receipt_takes_the_place_of_a_word_and_no_word_that_of_a_receipt(
    town: Town,
) -> None:
    active, signer = town.granted()
    withdrawn = withdraw(active, signer=signer, now=town.clock(), random=town.random)
    town.receiver.end(active.agreement.grant_id, withdrawn.token)
    word = UnsignedWord(channel=Channel.WEB_FORM, heard_at=town.clock())
    assert isinstance(withdrawn.withdrawn, Withdrawn)
    noted = word.note(withdrawn.withdrawn, town.clock())
    row = town.receiver_store.find_grant(active.agreement.grant_id)
    assert row is not None
    proved = row.state

    assert later_proof(noted, proved) == later_proof(proved, noted) == proved  # type: ignore[arg-type]
    other, signer = town.granted()
    given = withdraw(other, signer=signer, now=town.clock(), random=town.random).withdrawn
    assert isinstance(given, Withdrawn)
    with pytest.raises(Refused):
        later_proof(noted, word.note(given, town.clock()))
    assert did_jwk(signer.public) == other.agreement.holder
