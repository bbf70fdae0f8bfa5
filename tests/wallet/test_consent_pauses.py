"""Suspend and resume, here and from a second device that can do nothing else."""

import json

import pytest
from counterfoil_consent import Pause
from counterfoil_consent.events import Parties, read_end, read_pause
from counterfoil_credentials.claims import values_at
from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.fetch import Response
from counterfoil_wallet import Act, ConsentState, MemoryStore, Outcome, Wallet, read_standby_file
from counterfoil_wallet.grant_states import InForce

from tests.wallet.town import CUSTODIAN, SERIAL, VELO, WARRANTY_TYPE, Killed, Town, Wire, always


@pytest.fixture
def wire(town: Town) -> Wire:
    return Wire(town.network)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def wallet(town: Town, store: MemoryStore, wire: Wire) -> Wallet:
    wallet = town.wallet(store, wire)
    offer = town.offer()
    wallet.accept(offer.link, tx_code=offer.tx_code)
    return wallet


@pytest.fixture
def grant(town: Town, wallet: Wallet) -> InForce:
    asked = wallet.asked_terms(town.receiver.request(town.wish()).link)
    return wallet.grant(asked.choose())


def can_read(town: Town, grant: InForce) -> bool:
    try:
        with town.receiver.read(grant.grant_id, grant.terms.purpose):
            return True
    except Refused as refusal:
        if refusal.codes != ["grant-suspended"]:
            raise
        return False


def test_nothing_is_read_while_it_is_suspended(town: Town, wallet: Wallet, grant: InForce) -> None:
    suspended = wallet.consent.suspend(grant.grant_id)
    assert (suspended.state, suspended.dpv_state) == (
        ConsentState.SUSPENDED,
        "dpv:ConsentUnknown",
    )
    assert not can_read(town, grant)

    assert wallet.consent.resume(grant.grant_id).state is ConsentState.ACTIVE
    assert can_read(town, grant)
    acts = [(event.act, event.outcome) for event in wallet.history()][-2:]
    assert acts == [(Act.PAUSED, Outcome.DONE), (Act.RESUMED, Outcome.DONE)]


def test_suspending_twice_is_suspending_once(
    town: Town, wallet: Wallet, wire: Wire, grant: InForce
) -> None:
    wallet.consent.suspend(grant.grant_id)
    wire.sent.clear()

    wallet.consent.suspend(grant.grant_id)

    assert wire.sent == []
    assert not can_read(town, grant)


@pytest.mark.parametrize("away", [VELO, CUSTODIAN])
def test_one_party_that_heard_is_enough_and_the_other_is_told_later(
    town: Town, wallet: Wallet, grant: InForce, away: str
) -> None:
    town.network.disconnect(away)
    assert wallet.consent.suspend(grant.grant_id).state is ConsentState.SUSPENDED
    assert wallet.history()[-1].outcome is Outcome.SENT
    town.connect()
    assert not can_read(town, grant)

    wallet.resume()

    assert wallet.history()[-1].outcome is Outcome.DONE
    (held,) = wallet.grants()
    assert isinstance(held, InForce)
    assert held.pause is not None
    assert held.pause.is_heard


def test_a_suspension_outlives_a_restart_before_anybody_heard_it(
    town: Town, store: MemoryStore, wallet: Wallet, grant: InForce
) -> None:
    for origin in (VELO, CUSTODIAN):
        town.network.disconnect(origin)
    wallet.consent.suspend(grant.grant_id)
    town.connect()
    assert can_read(town, grant)

    later = town.wallet(store)
    assert later.consent.one(grant.grant_id).state is ConsentState.SUSPENDED
    later.resume()

    assert not can_read(town, grant)


def test_a_suspended_grant_is_withdrawn_like_any_other(
    town: Town, wallet: Wallet, grant: InForce
) -> None:
    wallet.consent.suspend(grant.grant_id)
    wallet.withdraw(grant.grant_id)

    assert wallet.consent.one(grant.grant_id).state is ConsentState.ERASED
    for change in (wallet.consent.suspend, wallet.consent.resume):
        with pytest.raises(Refused) as refusal:
            change(grant.grant_id)
        assert refusal.value.codes == ["grant-not-active"]


def test_a_second_device_suspends_and_the_first_one_resumes(
    town: Town, wallet: Wallet, grant: InForce
) -> None:
    file = wallet.consent.stand_by()
    # Her own words meanwhile do not make it worthless.
    wallet.consent.suspend(grant.grant_id)
    wallet.consent.resume(grant.grant_id)

    (standby,) = read_standby_file(file)
    held = standby.use(town.network)
    assert standby.receiver == "Velo"
    assert held.custodian == held.receiver
    assert not can_read(town, grant)
    (seen,) = wallet.consent.check()
    assert seen.state is ConsentState.SUSPENDED

    wallet.consent.resume(grant.grant_id)
    assert can_read(town, grant)
    (seen,) = wallet.consent.check()
    assert seen.state is ConsentState.ACTIVE

    # What was used and outbid suspends nothing any more; a new one does.
    standby.use(town.network)
    assert can_read(town, grant)
    (new,) = read_standby_file(wallet.consent.stand_by())
    new.use(town.network)
    assert not can_read(town, grant)


def test_a_second_device_can_neither_withdraw_nor_resume_nor_read(
    town: Town, wallet: Wallet, grant: InForce
) -> None:
    file = wallet.consent.stand_by()
    (standby,) = read_standby_file(file)
    agreement = grant.active.agreement

    for party in (town.custodian, town.receiver):
        with pytest.raises(Refused) as refusal:
            party.end(grant.grant_id, standby.token)
        assert refusal.value.codes == ["signed-by-another"]
    with pytest.raises(Refused):
        read_end(
            standby.token,
            grant_id=grant.grant_id,
            parties=Parties.of(agreement),
            audience=CUSTODIAN,
            now=town.clock(),
        )
    pause = read_pause(
        standby.token, grant_id=grant.grant_id, holder=agreement.holder, audience=CUSTODIAN
    )
    assert pause.is_suspended
    # No key, no card and no value is on it.
    (serial,) = [
        value
        for card in wallet.credentials()
        if card.vct == WARRANTY_TYPE
        for value in values_at(card.claims, SERIAL.path)
    ]
    assert str(serial) not in file.decode()
    assert b64url(grant.signer.private_bytes()) not in file.decode()
    assert "share" not in file.decode()


def test_a_standby_file_names_what_is_in_force_alone(
    town: Town, wallet: Wallet, grant: InForce
) -> None:
    wallet.withdraw(grant.grant_id)

    assert read_standby_file(wallet.consent.stand_by()) == ()


@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        b"[]",
        b'{"format":"counterfoil-standby","version":2,"standby":[]}',
        b'{"format":"another","version":1,"standby":[]}',
        b'{"format":"counterfoil-standby","version":1,"standby":[{}]}',
    ],
)
def test_another_file_is_no_standby_file(raw: bytes) -> None:
    with pytest.raises(Malformed):
        read_standby_file(raw)


def test_a_second_device_without_a_network_can_try_again(
    town: Town, wallet: Wallet, grant: InForce
) -> None:
    (standby,) = read_standby_file(wallet.consent.stand_by())
    for origin in (VELO, CUSTODIAN):
        town.network.disconnect(origin)
    held = standby.use(town.network)
    assert (held.custodian, held.receiver) == (None, None)

    town.connect()
    held = standby.use(town.network)

    assert isinstance(held.custodian, Pause)
    assert not can_read(town, grant)


@pytest.mark.parametrize("is_sent", [False, True])
@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize("suspend", [True, False])
def test_killed_at_any_call_she_is_where_she_wanted_to_be(
    town: Town,
    store: MemoryStore,
    wallet: Wallet,
    grant: InForce,
    *,
    suspend: bool,
    call: int,
    is_sent: bool,
) -> None:
    if not suspend:
        wallet.consent.suspend(grant.grant_id)
    cut = Wire(town.network, cut_at=call, cut_after_sending=is_sent)
    dying = town.wallet(store, cut)

    with pytest.raises(Killed):
        (dying.consent.suspend if suspend else dying.consent.resume)(grant.grant_id)
    later = town.wallet(store)
    later.resume()

    wanted = ConsentState.SUSPENDED if suspend else ConsentState.ACTIVE
    assert later.consent.one(grant.grant_id).state is wanted
    assert can_read(town, grant) is not suspend
    # One act is one event, however often it was tried.
    act = Act.PAUSED if suspend else Act.RESUMED
    assert [event.outcome for event in later.history() if event.act is act] == [Outcome.DONE]


@pytest.mark.parametrize("sequence", [2**41, 2**53 - 2, 2**53 - 1, 2**60])
def test_a_party_that_names_a_later_word_than_she_ever_signed_uses_up_none_of_hers(
    town: Town, wallet: Wallet, wire: Wire, grant: InForce, sequence: int
) -> None:
    body = json.dumps({"sequence": sequence, "suspended": True}).encode()
    town.network.serve(VELO, always(Response(200, "application/json", body, {})))
    wallet.consent.suspend(grant.grant_id)
    wire.sent.clear()

    wallet.consent.resume(grant.grant_id)

    assert len(wire.sent) == 2
    assert wallet.consent.one(grant.grant_id).state is ConsentState.ACTIVE
    (held,) = wallet.grants()
    assert isinstance(held, InForce)
    assert held.pause is not None
    assert held.pause.pause.sequence == 2
