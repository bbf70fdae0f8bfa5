"""The history is the customer's: she deletes from it, takes it along, and brings it back."""

import json

import pytest
from counterfoil_consent.export_log import read_log, seal_entries
from counterfoil_credentials.encoding import JsonObject, compact_json
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_wallet import Act, Event, MemoryStore, Outcome, Wallet

from tests.wallet.town import Town

WORDS = "a passphrase for the history"


@pytest.fixture
def wallet(town: Town) -> Wallet:
    """Give a wallet that accepted, granted, withdrew, showed and said no."""
    wallet = town.wallet(MemoryStore())
    offer = town.offer()
    wallet.accept(offer.link, tx_code=offer.tx_code)
    wallet.withdraw(
        wallet.grant(wallet.asked_terms(town.receiver.request(town.wish()).link).choose()).grant_id
    )
    wallet.present(wallet.matches(town.counter.ask("warranty").link).choose())
    wallet.decline(wallet.matches(town.counter.ask("warranty").link))
    return wallet


def the(wallet: Wallet, act: Act) -> Event:
    (event,) = [event for event in wallet.history() if event.act is act]
    return event


def sealed(town: Town, *entries: JsonObject) -> str:
    return seal_entries(entries, WORDS, random=town.random)


def entries_of(wallet: Wallet) -> list[JsonObject]:
    return read_log(wallet.export_history(WORDS), WORDS)


def test_a_deleted_event_is_in_no_list_and_nothing_of_it_in_the_store(
    town: Town, wallet: Wallet
) -> None:
    shown = the(wallet, Act.SHOWN)
    fact = shown.claims[0]
    assert wallet.consent.who_has(fact) != ()

    assert wallet.forget_events([shown.event_id]) == 1

    assert shown.event_id not in [event.event_id for event in wallet.history()]
    assert shown.party not in [one.party for one in wallet.access_report()]
    assert wallet.consent.who_has(fact) == ()
    assert wallet.forget_events([shown.event_id]) == 0


def test_a_request_is_answered_once_also_when_its_answer_was_deleted(
    town: Town, wallet: Wallet
) -> None:
    choice = wallet.matches(town.counter.ask("warranty").link).choose()
    wallet.present(choice)
    wallet.forget_events([event.event_id for event in wallet.history()])
    assert wallet.history() == []

    with pytest.raises(Refused) as refusal:
        wallet.present(choice)

    assert refusal.value.codes == ["already-shown"]


def test_a_receipt_for_a_deleted_visit_is_for_no_visit(town: Town, wallet: Wallet) -> None:
    shown = the(wallet, Act.SHOWN)
    assert shown.receipt is not None
    assert shown.receipt.token is not None
    wallet.forget_events([shown.event_id])

    with pytest.raises(Refused) as refusal:
        wallet.take_receipt(shown.receipt.token)

    assert refusal.value.codes == ["receipt-of-no-visit"]


def test_nobody_is_told_that_something_was_deleted(town: Town, wallet: Wallet) -> None:
    heard: list[Event] = []
    stop = wallet.listen(heard.append)

    wallet.forget_events([event.event_id for event in wallet.history()])
    stop()

    assert heard == []


def test_the_history_comes_back_as_it_was(town: Town, wallet: Wallet) -> None:
    file = wallet.export_history(WORDS)
    other = town.wallet(MemoryStore())

    brought = other.import_history(file, WORDS)

    assert other.history() == wallet.history()
    assert (brought.added, brought.known, brought.differing) == (len(wallet.history()), 0, 0)
    again = other.import_history(file, WORDS)
    assert (again.added, again.known, again.differing) == (0, brought.added, 0)


def test_what_was_deleted_stays_deleted_whatever_is_brought_in(town: Town, wallet: Wallet) -> None:
    file, shown = wallet.export_history(WORDS), the(wallet, Act.SHOWN)
    wallet.forget_events([shown.event_id])
    left = wallet.history()

    brought = wallet.import_history(file, WORDS)

    assert (brought.added, brought.differing) == (0, 1)
    assert wallet.history() == left


def test_the_file_is_a_log_that_other_wallets_read(town: Town, wallet: Wallet) -> None:
    entries = {str(entry["transactionIdentifier"]): entry for entry in entries_of(wallet)}

    assert entries.keys() == {event.event_id for event in wallet.history()}
    shown, declined = the(wallet, Act.SHOWN), the(wallet, Act.DECLINED)
    told = entries[shown.event_id]
    assert (told["transactionType"], told["transactionResult"]) == ("Presentation", "Completed")
    presentation = told["presentation"]
    assert isinstance(presentation, dict)
    assert presentation["listOfClaimsPresented"] == [
        {"credentialIdentifier": shown.types[0], "claims": [*shown.claims]}
    ]
    refused = entries[declined.event_id]
    assert refused["transactionResult"] == "NotCompleted"
    presentation = refused["presentation"]
    assert isinstance(presentation, dict)
    assert presentation["listOfClaimsPresented"] == []
    withdrawn = entries[the(wallet, Act.WITHDRAWN).event_id]
    assert withdrawn["transactionType"] == "DataDeletionRequest"


def test_the_file_holds_no_value(town: Town, wallet: Wallet) -> None:
    text = json.dumps(entries_of(wallet), ensure_ascii=False)
    items = [card.claims["item"] for card in wallet.credentials() if "item" in card.claims]
    values = [str(each[name]) for each in items if isinstance(each, dict) for name in each]

    assert "item.serial" in text
    assert len(values) > 2
    assert [value for value in values if value in text] == []


def test_another_passphrase_another_wallet_s_log_and_no_log_bring_nothing_in(
    town: Town, wallet: Wallet
) -> None:
    other = town.wallet(MemoryStore())
    foreign: JsonObject = {
        "transactionIdentifier": "1",
        "time": "2026-01-01T00:00:00Z",
        "transactionType": "Presentation",
        "transactionResult": "Completed",
    }

    for file, words, code in (
        (wallet.export_history(WORDS), "another", "passphrase-wrong"),
        (sealed(town, foreign), WORDS, "history-foreign"),
    ):
        with pytest.raises(Refused) as refusal:
            other.import_history(file, words)
        assert refusal.value.codes == [code]
    with pytest.raises(Malformed):
        other.import_history("no log", WORDS)
    assert other.history() == []


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("transactionIdentifier", ""),
        ("transactionIdentifier", "a" * 301),
        ("transactionIdentifier", "a\nb"),
        ("party", ""),
        ("act", "invented"),
        ("outcome", "perhaps"),
        ("at", "yesterday"),
        ("claims", "all"),
    ],
)
def test_one_entry_that_is_wrong_brings_nothing_in(
    town: Town, wallet: Wallet, where: str, value: str
) -> None:
    entries = entries_of(wallet)
    last = entries[-1]
    own = last["counterfoil_event"]
    assert isinstance(own, dict)
    if where in own:
        last["counterfoil_event"] = {**own, where: value}
    else:
        last[where] = value
    other = town.wallet(MemoryStore())

    with pytest.raises(Malformed):
        other.import_history(sealed(town, *entries), WORDS)

    assert other.history() == []


def test_what_failed_is_in_the_file_with_its_reason(town: Town, wallet: Wallet) -> None:
    event = the(wallet, Act.SHOWN).ended(Outcome.REFUSED, "status-revoked")
    other = town.wallet(MemoryStore())
    entry = next(each for each in entries_of(wallet) if "presentation" in each)
    body = json.loads(event.to_record().body)
    other.import_history(sealed(town, {**entry, "counterfoil_event": body}), WORDS)

    (told,) = entries_of(other)

    assert told["transactionResult"] == "NotCompleted"
    presentation = told["presentation"]
    assert isinstance(presentation, dict)
    assert presentation["reasonOfNoncompletion"] == "status-revoked"
    assert compact_json(told).count(b"status-revoked") == 2
