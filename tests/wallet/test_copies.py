"""A card and its copies: each copy is shown to one verifier, and what is held is held once."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Misuse, Refused
from counterfoil_wallet import (
    Copy,
    CopyId,
    CredentialId,
    HeldCredential,
    Kind,
    NoFreshCopy,
    Record,
    Showing,
    Store,
    Taken,
)
from counterfoil_wallet.store import CopiesLeft

from tests.conftest import NOON
from tests.wallet.cards import TYPE, card_of, copy_of
from tests.wallet.conftest import Place

CLAIMS: JsonObject = {"item": "Auricle One"}
DAY = timedelta(days=1)
TILL, VELO, BANK = "x509_san_dns:till.example", "x509_san_dns:velo.example", "redirect_uri:bank"


@pytest.fixture
def store(place: Place) -> Store:
    return place.start()


@pytest.fixture
def card(store: Store) -> HeldCredential:
    """Give a card that is held with three copies."""
    card = card_of(CLAIMS)
    store.hold(card, [copy_of(CLAIMS), copy_of(CLAIMS)])
    return card


def taken(answer: Taken | NoFreshCopy) -> CopyId:
    assert isinstance(answer, Taken)
    return answer.copy.copy_id


def test_a_card_is_never_read_from_a_copy_of_another(
    store: Store, card: HeldCredential, place: Place
) -> None:
    other = card_of({"item": "another"})
    posing = [replace(card, credential_id=CredentialId("new")), replace(other, copy=card.copy)]

    store.hold(other)
    for one in posing:
        with pytest.raises(Misuse):
            store.hold(one, [copy_of(CLAIMS)])

    store = place.start()
    assert store.cards() == [card, other]
    assert len(store.copies(other.credential_id)) == 1
    store.check()


def test_a_card_is_found_by_any_of_its_copies(store: Store, card: HeldCredential) -> None:
    store.trash(card.credential_id, NOON)
    for copy in store.copies(card.credential_id):
        found = store.card_of([CopyId("nobody's"), copy.copy_id])
        assert found == store.card(card.credential_id)

    assert store.card_of([CopyId("nobody's")]) is None
    assert store.card_of([]) is None


def test_every_verifier_gets_a_copy_of_its_own_and_the_same_one_again(
    store: Store, card: HeldCredential, place: Place
) -> None:
    first, second, third = store.copies(card.credential_id)
    assert store.copies_left(card.credential_id, at=NOON) == CopiesLeft(fresh=3, unexpired=3)

    answer = store.take_copy(card.credential_id, TILL, at=NOON)
    assert answer == Taken(first, shown_before=False)
    assert taken(store.take_copy(card.credential_id, VELO, at=NOON)) == second.copy_id

    store = place.start()
    again = store.take_copy(card.credential_id, TILL, at=NOON + DAY)
    assert again == Taken(first, shown_before=True)
    assert store.copies_left(card.credential_id, at=NOON) == CopiesLeft(fresh=1, unexpired=3)
    assert store.showings(card.credential_id) == [
        Showing(first.copy_id, TILL, NOON),
        Showing(second.copy_id, VELO, NOON),
    ]
    assert taken(store.peek_copy(card.credential_id, BANK, at=NOON)) == third.copy_id


def test_a_name_that_is_nearly_the_same_is_another_verifier(
    store: Store, card: HeldCredential
) -> None:
    names = (TILL, f"{TILL} ", TILL.upper())

    assert len({taken(store.take_copy(card.credential_id, name, at=NOON)) for name in names}) == 3


def test_peeking_takes_nothing(store: Store, card: HeldCredential) -> None:
    peeked = [store.peek_copy(card.credential_id, name, at=NOON) for name in (TILL, VELO)]

    assert peeked[0] == peeked[1]
    assert store.showings(card.credential_id) == []


def test_when_no_copy_is_fresh_it_is_said_and_only_a_named_choice_links(
    store: Store, card: HeldCredential
) -> None:
    for number in range(3):
        store.take_copy(card.credential_id, f"redirect_uri:{number}", at=NOON)

    for _ in range(2):
        assert store.take_copy(card.credential_id, TILL, at=NOON) == NoFreshCopy(3)
    assert len(store.showings(card.credential_id)) == 3

    linking = store.take_copy(card.credential_id, TILL, at=NOON, reuse_that_links=True)
    assert isinstance(linking, Taken)
    assert (linking.shown_before, linking.links) == (False, True)
    again = store.take_copy(card.credential_id, TILL, at=NOON)
    assert again == Taken(linking.copy, shown_before=True, links=True)
    # The next who is linked gets one that fewer have seen.
    other = store.take_copy(card.credential_id, BANK, at=NOON, reuse_that_links=True)
    assert taken(other) != linking.copy.copy_id
    # Who had it before is told too that another has seen it since.
    assert store.peek_copy(card.credential_id, "redirect_uri:0", at=NOON) == Taken(
        linking.copy, shown_before=True, links=True
    )


def test_a_fresh_copy_is_taken_before_any_is_linked(store: Store, card: HeldCredential) -> None:
    store.take_copy(card.credential_id, TILL, at=NOON)

    answer = store.take_copy(card.credential_id, VELO, at=NOON, reuse_that_links=True)

    assert isinstance(answer, Taken)
    assert not answer.links


def test_an_expired_copy_is_for_nobody_unless_all_have_expired(store: Store) -> None:
    card = card_of(CLAIMS, expires_at=NOON + DAY)
    later = copy_of(CLAIMS, expires_at=NOON + 2 * DAY)
    store.hold(card, [later])
    assert taken(store.take_copy(card.credential_id, TILL, at=NOON)) == card.copy.copy_id

    # At the second of its end it has ended; one before it has not.
    end = NOON + DAY
    before = store.peek_copy(card.credential_id, TILL, at=end - timedelta(seconds=1))
    assert taken(before) == card.copy.copy_id
    assert store.take_copy(card.credential_id, TILL, at=end) == Taken(later, shown_before=False)
    assert store.copies_left(card.credential_id, at=end) == CopiesLeft(fresh=0, unexpired=1)
    assert store.take_copy(card.credential_id, VELO, at=end) == NoFreshCopy(1)
    assert store.copies_left(card.credential_id, at=end + DAY) == CopiesLeft(fresh=0, unexpired=0)
    assert taken(store.take_copy(card.credential_id, TILL, at=end + DAY)) == card.copy.copy_id


def test_a_copy_that_ran_out_and_that_nobody_saw_is_forgotten(store: Store) -> None:
    soon, later = NOON + DAY, NOON + 2 * DAY
    card, other = card_of(CLAIMS, expires_at=soon), card_of(CLAIMS, expires_at=soon)
    seen, unseen, lasting = (copy_of(CLAIMS, expires_at=at) for at in (soon, soon, later))
    endless = copy_of(CLAIMS)
    store.hold(card, [seen, unseen, lasting, endless])
    store.hold(other, [another := copy_of(CLAIMS, expires_at=soon)])
    store.show(seen.copy_id, TILL, at=NOON)

    store.drop_expired(card.credential_id, at=soon - timedelta(seconds=1))
    assert len(store.copies(card.credential_id)) == 5
    store.drop_expired(card.credential_id, at=soon)

    kept = [copy.copy_id for copy in store.copies(card.credential_id)]
    assert kept == [each.copy_id for each in (card.copy, seen, lasting, endless)]
    assert store.card(card.credential_id) == card
    assert [each.verifier for each in store.showings(card.credential_id)] == [TILL]
    assert another in store.copies(other.credential_id)


def test_a_card_that_is_not_held_has_no_copy(store: Store, card: HeldCredential) -> None:
    for ask in (store.peek_copy, store.take_copy):
        with pytest.raises(Refused) as refusal:
            ask(CredentialId(f"{card.credential_id}x"), TILL, at=NOON)
        assert refusal.value.codes == ["credential-unknown"]
    assert store.card(CredentialId("another")) is None


def test_holding_twice_is_holding_once(store: Store, card: HeldCredential) -> None:
    copies = store.copies(card.credential_id)
    store.take_copy(card.credential_id, TILL, at=NOON)

    store.hold(card, copies)

    assert store.cards() == [card]
    assert store.copies(card.credential_id) == copies
    assert len(store.showings(card.credential_id)) == 1


def test_a_refill_adds_copies_and_keeps_what_the_customer_knows(
    store: Store, card: HeldCredential
) -> None:
    other = card_of({"item": "another"})
    store.hold(other)
    store.mark(card.credential_id, "valid")
    fresh = card_of(CLAIMS, expires_at=NOON + DAY)

    store.hold(
        replace(fresh, credential_id=card.credential_id, accepted_at=NOON + DAY),
        [copy_of(CLAIMS, expires_at=NOON + DAY)],
    )

    refilled, second = store.cards()
    assert second == other
    assert refilled == replace(
        card, copy=fresh.copy, state="valid", expires_at=NOON + DAY, status=fresh.status
    )
    assert len(store.copies(card.credential_id)) == 5


def test_a_card_is_read_back_as_it_was_held(place: Place) -> None:
    card = replace(card_of(CLAIMS), state="suspended", trashed_at=NOON)
    kept = replace(card_of(CLAIMS), copy=replace(card.copy, copy_id=CopyId("token"), keeper="hsm"))
    place.start().hold(card)
    place.start().hold(kept)

    store = place.start()
    assert store.cards(trashed=None) == [card, kept]
    assert store.cards(trashed=True) == [card]
    assert store.cards([TYPE]) == store.cards([TYPE, "another"]) == store.cards() == [kept]
    assert store.cards(["another"]) == store.cards([]) == []
    assert card.claims == store.cards(trashed=True)[0].claims


def test_a_step_is_made_whole_or_not_at_all(store: Store, card: HeldCredential) -> None:
    other = card_of({"item": "another"})

    def fail() -> None:
        with store.step():
            store.take_copy(card.credential_id, TILL, at=NOON)
            store.hold(other)
            store.put(Record(Kind.EVENT, "event", "", b"{}"))
            store.trash(card.credential_id, NOON)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert store.cards() == [card]
    assert store.showings(card.credential_id) == []
    assert store.find(Kind.EVENT) == []
    assert store.search("another") == []


def test_an_inner_step_can_be_undone_alone(store: Store) -> None:
    def fail() -> None:
        with store.step():
            store.put(Record(Kind.EVENT, "undone", "", b"{}"))
            raise ZeroDivisionError

    with store.step():
        store.put(Record(Kind.EVENT, "kept", "", b"{}"))
        with pytest.raises(ZeroDivisionError):
            fail()

    assert [record.key for record in store.find(Kind.EVENT)] == ["kept"]


def test_many_verifiers_at_once_never_share_a_copy(store: Store) -> None:
    card = card_of(CLAIMS)
    store.hold(card, [copy_of(CLAIMS) for _ in range(7)])
    answers: list[Taken | NoFreshCopy] = []

    def visit(name: str) -> None:
        answers.append(store.take_copy(card.credential_id, name, at=NOON))

    threads = [threading.Thread(target=visit, args=(f"redirect_uri:{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({taken(answer) for answer in answers}) == 8


def test_what_is_forgotten_is_gone_and_nothing_else(store: Store) -> None:
    for kind in (Kind.EVENT, Kind.SECRET):
        store.put(*(Record(kind, key, "", b"{}") for key in "abc"))

    store.forget(Kind.EVENT, "a", "c", "unknown")

    assert [record.key for record in store.find(Kind.EVENT)] == ["b"]
    assert [record.key for record in store.find(Kind.SECRET)] == ["a", "b", "c"]


def test_what_is_discarded_takes_its_copies_and_showings_along(
    store: Store, card: HeldCredential
) -> None:
    other = card_of({"item": "another"})
    store.hold(other)
    for held in (card, other):
        store.take_copy(held.credential_id, TILL, at=NOON)

    store.discard(card.credential_id)
    store.discard(card.credential_id)

    assert store.cards(trashed=None) == [other]
    assert store.copies(card.credential_id) == []
    assert store.showings(card.credential_id) == []
    assert len(store.showings(other.credential_id)) == 1


def test_a_key_that_another_store_keeps_is_not_taken_for_one_of_ours(
    random_bytes: Callable[[int], bytes],
) -> None:
    copy: Copy = replace(card_of(CLAIMS, random_bytes).copy, keeper="hsm", key=b"label")

    with pytest.raises(Misuse, match="hsm"):
        _ = copy.signer
    assert "label" not in repr(copy)
