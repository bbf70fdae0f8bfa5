"""Killed anywhere, a wallet loses no credential, doubles none, and says what it gave up."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_wallet import (
    Abandoned,
    Act,
    Dropped,
    Ending,
    Finished,
    InForce,
    Outcome,
    Proved,
    Wallet,
)
from counterfoil_wallet.sqlite_store import SqliteStore
from counterfoil_wallet.store import Kind

from tests.wallet.conftest import CHEAP, PASSPHRASE, Place
from tests.wallet.town import CUSTODIAN, VELO, Killed, Town, Wire

pytestmark = pytest.mark.once

ACCEPT_CALLS = (
    *("issuer metadata", "server metadata", "token", "keys"),
    *("nonce", "credential", "nonce", "credential"),
    *("notification", "notification"),
)
TOKEN_CALL = 3
GRANT_CALLS = ("custodian key", "registration", "grant", "bundle", "receipt")
WITHDRAW_CALLS = ("custodian", "receiver", "erasure receipt")


def calls(names: tuple[str, ...]) -> list[object]:
    return [
        pytest.param(i, after, id=f"{i} {name}-{'answer lost' if after else 'not sent'}")
        for i, name in enumerate(names, start=1)
        for after in (False, True)
    ]


def kill(wire: Wire, call: int, after: bool) -> None:  # noqa: FBT001  # a test's parameter
    wire.cut_at, wire.cut_after_sending = len(wire.sent) + call, after


def test_the_calls_of_an_acceptance_are_these(town: Town, place: Place) -> None:
    wire, offer = Wire(town.network), town.offer()

    town.wallet(place.start(), wire).accept(offer.link, tx_code=offer.tx_code)

    assert len(wire.sent) == len(ACCEPT_CALLS)


@pytest.mark.parametrize(("call", "after"), calls(ACCEPT_CALLS))
def test_killed_while_accepting(town: Town, place: Place, call: int, after: bool) -> None:  # noqa: FBT001
    wire, offer = Wire(town.network), town.offer()
    wallet = town.wallet(place.start(), wire)
    kill(wire, call, after)
    with pytest.raises(Killed):
        wallet.accept(offer.link, tx_code=offer.tx_code)

    wallet = town.wallet(place.start())
    resumed = wallet.resume()

    if call < TOKEN_CALL:
        assert resumed.acceptances == ()
        wallet.accept(offer.link, tx_code=offer.tx_code)
    elif call == TOKEN_CALL and after:
        (dropped,) = resumed.acceptances
        assert isinstance(dropped, Dropped)
        assert [reason.code for reason in dropped.reasons] == ["token-lost"]
        assert "ask the brand for a new offer" in str(dropped.reasons[0])
        offer = town.offer()
        wallet.accept(offer.link, tx_code=offer.tx_code)
    else:
        (finished,) = resumed.acceptances
        assert isinstance(finished, Finished)
    assert_holds_each_once(town, wallet)


@pytest.mark.parametrize(("call", "after"), calls(ACCEPT_CALLS))
def test_cut_off_while_accepting(town: Town, place: Place, call: int, after: bool) -> None:  # noqa: FBT001
    wire, offer = Wire(town.network, error=Unavailable), town.offer()
    wallet = town.wallet(place.start(), wire)
    kill(wire, call, after)
    # The notices come last, and an acceptance does not fail for them.
    if call <= len(ACCEPT_CALLS) - 2:
        with pytest.raises(Unavailable):
            wallet.accept(offer.link, tx_code=offer.tx_code)
    else:
        assert len(wallet.accept(offer.link, tx_code=offer.tx_code).credentials) == 2

    if call == TOKEN_CALL and after:
        with pytest.raises(Refused) as refusal:
            wallet.accept(offer.link, tx_code=offer.tx_code)
        assert refusal.value.codes == ["offer-not-redeemed"]
        offer = town.offer()
    wallet.accept(offer.link, tx_code=offer.tx_code)

    wallet.resume()
    assert_holds_each_once(town, wallet)


def test_resuming_twice_is_resuming_once(town: Town, place: Place) -> None:
    wire, offer = Wire(town.network), town.offer()
    kill(wire, 6, after=True)
    with pytest.raises(Killed):
        town.wallet(place.start(), wire).accept(offer.link, tx_code=offer.tx_code)
    town.wallet(place.start()).resume()
    wire = Wire(town.network)

    wallet = town.wallet(place.start(), wire)

    assert wallet.resume().acceptances == ()
    assert wire.sent == []
    assert_holds_each_once(town, wallet)


@pytest.mark.parametrize(("call", "after"), calls(("request", "presentation")))
def test_killed_while_presenting(town: Town, place: Place, call: int, after: bool) -> None:  # noqa: FBT001
    wire, offer = Wire(town.network), town.offer()
    wallet = town.wallet(place.start(), wire)
    wallet.accept(offer.link, tx_code=offer.tx_code)
    kill(wire, call, after)
    with pytest.raises(Killed):
        wallet.present(wallet.matches(town.counter.ask("warranty").link).choose())

    wire = Wire(town.network)
    wallet = town.wallet(place.start(), wire)
    wallet.resume()

    assert wire.sent == []
    shown = [event for event in wallet.history() if event.act is Act.SHOWN]
    assert [event.outcome for event in shown] == ([] if call == 1 else [Outcome.SENT])


@pytest.mark.parametrize("after", [False, True])
def test_a_request_that_was_being_answered_is_not_answered_again(
    town: Town,
    place: Place,
    after: bool,  # noqa: FBT001
) -> None:
    wire = Wire(town.network)
    wallet = holding(town, place, wire)
    choice = wallet.matches(town.counter.ask("warranty").link).choose()
    kill(wire, 1, after)
    with pytest.raises(Killed):
        wallet.present(choice)

    wire = Wire(town.network)
    with pytest.raises(Refused) as refusal:
        town.wallet(place.start(), wire).present(choice)

    assert refusal.value.codes == ["already-shown"]
    assert wire.sent == []


@pytest.mark.parametrize(("call", "after"), calls(GRANT_CALLS))
def test_killed_while_granting(town: Town, place: Place, call: int, after: bool) -> None:  # noqa: FBT001
    wire = Wire(town.network)
    wallet = holding(town, place, wire)
    asked = wallet.asked_terms(town.receiver.request(town.wish()).link)
    kill(wire, call, after)
    with pytest.raises(Killed):
        wallet.grant(asked.choose())

    wallet = town.wallet(place.start())
    (resumed,) = wallet.resume().grants

    assert isinstance(resumed, InForce)
    assert wallet.grants() == [resumed]
    with town.receiver.read(resumed.grant_id, town.wish().purpose) as facts:
        assert facts is not None
    granted = [event for event in wallet.history() if event.act is Act.GRANTED]
    assert [event.outcome for event in granted] == [Outcome.DONE]


@pytest.mark.parametrize(("call", "after"), calls(WITHDRAW_CALLS))
def test_killed_while_withdrawing(town: Town, place: Place, call: int, after: bool) -> None:  # noqa: FBT001
    wire = Wire(town.network)
    wallet = holding(town, place, wire)
    asked = wallet.asked_terms(town.receiver.request(town.wish()).link)
    grant_id = wallet.grant(asked.choose()).grant_id
    kill(wire, call, after)
    with pytest.raises(Killed):
        wallet.withdraw(grant_id)

    (ended,) = town.wallet(place.start()).resume().grants

    assert isinstance(ended, Proved)
    assert ended.level.name == "E2"
    with (
        pytest.raises(Refused) as refusal,
        town.receiver.read(grant_id, town.wish().purpose),
    ):
        pass
    assert refusal.value.codes == ["grant-ended"]


@pytest.mark.parametrize("away", [CUSTODIAN, VELO])
def test_a_withdrawal_stands_while_a_party_is_away_and_is_told_to_it_later(
    town: Town, place: Place, away: str
) -> None:
    wallet = holding(town, place, town.network)
    asked = wallet.asked_terms(town.receiver.request(town.wish()).link)
    grant_id = wallet.grant(asked.choose()).grant_id
    town.network.disconnect(away)

    ending = wallet.withdraw(grant_id)

    assert isinstance(ending, Ending)
    assert (ending.stopped_at is None) == (away == VELO)
    assert (ending.key_destroyed_at is None) == (away == CUSTODIAN)
    (still,) = wallet.resume().grants
    assert still == ending
    town.connect()
    (ended,) = wallet.resume().grants
    assert isinstance(ended, Proved)


def test_a_decision_that_was_never_sealed_is_given_up_when_the_request_is_over(
    town: Town, place: Place
) -> None:
    wire = Wire(town.network)
    wallet = holding(town, place, wire)
    asked = wallet.asked_terms(town.receiver.request(town.wish()).link)
    kill(wire, 1, after=False)
    with pytest.raises(Killed):
        wallet.grant(asked.choose())
    town.clock.advance(asked.asked.requested.expires_at - town.clock())

    (resumed,) = town.wallet(place.start()).resume().grants

    assert isinstance(resumed, Abandoned)
    assert [reason.code for reason in resumed.reasons] == ["request-expired"]


def test_a_grant_that_the_receiver_refuses_is_withdrawn_everywhere(
    town: Town, place: Place
) -> None:
    wire = Wire(town.network)
    wallet = holding(town, place, wire)
    asked = wallet.asked_terms(town.receiver.request(town.wish()).link)
    # Sealed and registered, then cut off until the receiver no longer takes it.
    kill(wire, 3, after=False)
    with pytest.raises(Killed):
        wallet.grant(asked.choose())
    town.clock.advance(asked.asked.requested.expires_at - town.clock())

    wallet = town.wallet(place.start())
    (resumed,) = wallet.resume().grants

    assert isinstance(resumed, Ending)
    assert resumed.key_destroyed_at is not None
    granted = [event for event in wallet.history() if event.act is Act.GRANTED]
    assert [event.outcome for event in granted] == [Outcome.REFUSED]


WRITER = """
import os, sys
from pathlib import Path
from counterfoil_wallet.sqlite_store import SqliteStore
from counterfoil_wallet.store import Kind, Record

store = SqliteStore.open(Path(sys.argv[1]), sys.argv[2])
number = 0
while True:
    body = os.urandom(2_000)
    store.put(Record(Kind.EVENT, f"{number}", "", body), Record(Kind.GRANT, f"{number}", "", body))
    print(number, flush=True)
    number += 1
"""


def test_what_was_put_is_there_after_kill_9_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "wallet"
    SqliteStore.create(folder, PASSPHRASE, random=os.urandom, cost=CHEAP).close()
    for _ in range(3):
        written = write_until_killed(folder)

        store = SqliteStore.open(folder, PASSPHRASE)
        events = {record.key: record.body for record in store.find(Kind.EVENT)}
        grants = {record.key: record.body for record in store.find(Kind.GRANT)}
        store.close()

        assert set(written) <= events.keys()
        assert events == grants


def write_until_killed(folder: Path) -> list[str]:
    """Write in another process, kill it after the twentieth record, give what it said it wrote."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), PASSPHRASE], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    said = [writer.stdout.readline() for _ in range(20)]
    writer.send_signal(signal.SIGKILL)
    said += writer.stdout.readlines()
    writer.stdout.close()
    writer.wait()
    return [line.strip() for line in said if re.fullmatch(r"\d+\n", line)]


def holding(town: Town, place: Place, wire: Fetcher) -> Wallet:
    """Give a wallet that holds one order's credentials."""
    wallet = town.wallet(place.start(), wire)
    offer = town.offer()
    wallet.accept(offer.link, tx_code=offer.tx_code)
    return wallet


def assert_holds_each_once(town: Town, wallet: Wallet) -> None:
    """Assert that wallet and brand agree: a receipt and a warranty, each once."""
    assert sorted(held.configuration_id for held in wallet.credentials()) == ["receipt", "warranty"]
    assert town.in_force() == 2
    accepted = [event for event in wallet.history() if event.act is Act.ACCEPTED]
    assert len(accepted) == 2
