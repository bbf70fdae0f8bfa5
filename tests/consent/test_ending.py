"""The end is final: whoever says it, however often, and whatever is restored afterwards."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from counterfoil_consent import (
    Active,
    Level,
    Trigger,
    deliver,
    send_withdrawal,
    verify_erasure_receipt,
    withdraw,
)
from counterfoil_consent.artefacts import KeyDestruction, KeyRequest, Registration, StopNotice
from counterfoil_consent.events import sign_end
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.jws import read_jws, sign_jws
from counterfoil_credentials.keys import MemorySigner

from tests.consent.street import BENEFITS, CUSTODIAN, Street
from tests.consent.test_leases import lease, lease_request


def withdrawal_of(street: Street, active: Active, signer: MemorySigner) -> str:
    return withdraw(active, signer=signer, now=street.clock(), random=street.random).token


def test_no_read_passes_once_either_party_has_heard(street: Street) -> None:
    for hears_first in ("custodian", "receiver"):
        active, signer = street.granted()
        grant_id = active.agreement.grant_id
        party = street.custodian if hears_first == "custodian" else street.receiver
        party.end(grant_id, withdrawal_of(street, active, signer))

        with pytest.raises(Refused) as refusal, street.receiver.read(grant_id, BENEFITS):
            pass

        assert refusal.value.codes == ["grant-ended"]


def test_a_withdrawal_sent_twice_gets_the_same_answers(street: Street) -> None:
    active, signer = street.granted()
    grant_id = active.agreement.grant_id
    token = withdrawal_of(street, active, signer)
    statement, notice = street.custodian.end(grant_id, token), street.receiver.end(grant_id, token)
    receipt = street.receiver.erasure_receipt(grant_id)
    street.clock.advance(timedelta(days=2))

    again = withdrawal_of(street, active, signer)

    for repeated in (token, again):
        assert street.custodian.end(grant_id, repeated) == statement
        assert street.receiver.end(grant_id, repeated) == notice
    assert street.receiver.erasure_receipt(grant_id) == receipt


def test_the_statement_counts_the_leases_and_names_the_end(street: Street) -> None:
    active, signer = street.granted()
    lease(street, lease_request(street, active))

    statement = street.custodian.end(
        active.agreement.grant_id, withdrawal_of(street, active, signer)
    )

    read = KeyDestruction.read(
        statement, custodian=street.custodian.party.did, grant_id=active.agreement.grant_id
    )
    assert (read.leases, read.trigger) == (1, Trigger.WITHDRAWN)
    assert read.grant_digest == active.agreement.grant_digest


def test_a_stop_notice_names_the_event_that_it_answers(street: Street) -> None:
    active, signer = street.granted()
    notice = street.receiver.end(active.agreement.grant_id, withdrawal_of(street, active, signer))

    read = StopNotice.read(
        notice, receiver=street.receiver.party.did, grant_id=active.agreement.grant_id
    )

    assert (read.trigger, read.stopped_at) == (Trigger.WITHDRAWN, street.clock())


@pytest.mark.parametrize("named", ["receiver", "custodian"])
def test_an_end_counts_only_for_the_parties_that_it_names(street: Street, named: str) -> None:
    active, signer = street.granted()
    terms = active.agreement.terms
    audience = terms.receiver.client_id if named == "receiver" else terms.custodian.origin
    claims = read_jws(
        withdrawal_of(street, active, signer), typ="secevent+jwt", where="x"
    ).unverified_claims
    token = sign_jws({**claims, "aud": [audience]}, typ="secevent+jwt", signer=signer)
    other = street.custodian if named == "receiver" else street.receiver

    with pytest.raises(Refused) as refusal:
        other.end(active.agreement.grant_id, token)

    assert refusal.value.codes == ["audience-mismatch"]


Forgery = Callable[[Street, Active, MemorySigner], str]


def _by_a_stranger(street: Street, active: Active, _: MemorySigner) -> str:
    return sign_end(
        active.agreement,
        Trigger.WITHDRAWN,
        signer=MemorySigner.generate(),
        now=street.clock(),
        random=street.random,
    )


def _by_the_receiver(street: Street, active: Active, _: MemorySigner) -> str:
    return sign_end(
        active.agreement,
        Trigger.WITHDRAWN,
        signer=street.receiver_signer,
        now=street.clock(),
        random=street.random,
    )


def _completion_by_the_holder(street: Street, active: Active, signer: MemorySigner) -> str:
    return sign_end(
        active.agreement,
        Trigger.COMPLETED,
        signer=signer,
        now=street.clock(),
        random=street.random,
    )


def _of_another_grant(street: Street, active: Active, _: MemorySigner) -> str:
    other, signer = street.granted()
    return withdrawal_of(street, other, signer)


def _with_another_signature(street: Street, active: Active, signer: MemorySigner) -> str:
    token = withdrawal_of(street, active, signer)
    return token[:-8] + ("A" if token[-8] != "A" else "B") + token[-7:]


def _in_the_holders_name(street: Street, active: Active, _: MemorySigner) -> str:
    stranger = MemorySigner.generate()
    return sign_jws(
        {
            "iss": active.agreement.holder,
            "aud": [active.agreement.terms.receiver.client_id, CUSTODIAN],
            "iat": int(street.clock().timestamp()),
            "jti": "x",
            "sub_id": {"format": "opaque", "id": active.agreement.grant_id},
            "events": {"urn:counterfoil:consent:event:withdrawn:1": {"erase": True}},
        },
        typ="secevent+jwt",
        signer=stranger,
    )


@pytest.mark.parametrize(
    ("forge", "code"),
    [
        (_by_a_stranger, "signed-by-another"),
        (_by_the_receiver, "signed-by-another"),
        (_completion_by_the_holder, "signed-by-another"),
        (_of_another_grant, "signed-by-another"),
        (_with_another_signature, "signature-invalid"),
        (_in_the_holders_name, "signature-invalid"),
    ],
)
def test_a_forged_withdrawal_changes_nothing(street: Street, forge: Forgery, code: str) -> None:
    active, signer = street.granted()
    grant_id = active.agreement.grant_id
    token = forge(street, active, signer)

    for party in (street.custodian, street.receiver):
        with pytest.raises(Refused) as refusal:
            party.end(grant_id, token)
        assert refusal.value.codes == [code]

    with street.receiver.read(grant_id, BENEFITS) as facts:
        assert facts.names


@pytest.mark.parametrize("event_id", ["", "x" * 201, "two\nlines", "\x1b[2J", "\u202ewrong way"])
def test_an_event_whose_id_cannot_be_shown_is_malformed(street: Street, event_id: str) -> None:
    active, signer = street.granted()
    token = withdrawal_of(street, active, signer)
    claims = read_jws(token, typ="secevent+jwt", where="x").unverified_claims
    shown = sign_jws({**claims, "jti": "a word of 1 to 200"}, typ="secevent+jwt", signer=signer)
    hidden = sign_jws({**claims, "jti": event_id}, typ="secevent+jwt", signer=signer)

    for party in (street.custodian, street.receiver):
        with pytest.raises(Malformed):
            party.end(active.agreement.grant_id, hidden)
    assert street.receiver.stop(active.agreement.grant_id, shown)


@pytest.mark.parametrize("minutes", [-60 * 24 * 400, -5, 5, 60 * 24 * 400])
def test_a_withdrawal_counts_whatever_the_phones_clock_says(street: Street, minutes: int) -> None:
    active, signer = street.granted()
    wrong = street.clock() + timedelta(minutes=minutes)
    withdrawal = withdraw(active, signer=signer, now=wrong, random=street.random)

    ending = send_withdrawal(withdrawal, fetcher=street.fetcher)

    assert ending.stopped_at == ending.key_destroyed_at == street.clock()
    receipt = street.receiver.erasure_receipt(active.agreement.grant_id)
    erased = verify_erasure_receipt(receipt, agreement=active.agreement, now=street.clock())
    assert erased.level is Level.E2


def test_a_withdrawal_of_one_grant_does_not_end_another_of_the_same_holder(
    street: Street,
) -> None:
    # Two grants under one key cannot come from our wallet; the check does not rely on it.
    signer = MemorySigner.generate()
    first = deliver(
        street.package(street.decide(street.ask(), signer), signer), fetcher=street.fetcher
    )
    second = deliver(
        street.package(street.decide(street.ask(), signer), signer), fetcher=street.fetcher
    )

    for party in (street.custodian, street.receiver):
        with pytest.raises(Refused) as refusal:
            party.end(second.agreement.grant_id, withdrawal_of(street, first, signer))
        assert refusal.value.codes == ["grant-mismatch"]


def test_an_ended_grant_is_never_registered_again(street: Street) -> None:
    package, signer = street.packed()
    active = deliver(package, fetcher=street.fetcher)
    street.custodian.end(package.grant_id, withdrawal_of(street, active, signer))

    for _ in range(2):
        asked = KeyRequest(
            grant_id=package.grant_id,
            holder=did_jwk(signer.public),
            asked_at=street.clock(),
        ).sign(signer, audience=CUSTODIAN)
        with pytest.raises(Refused) as refusal:
            street.custodian.register(package.registration)
        assert refusal.value.codes == ["grant-ended"]
        with pytest.raises(Refused) as refusal:
            street.custodian.issue_key(package.grant_id, asked)
        assert refusal.value.codes == ["grant-ended"]
        street.start()


def test_an_ended_grant_is_never_delivered_again(street: Street) -> None:
    package, signer = street.packed()
    active = deliver(package, fetcher=street.fetcher)
    street.receiver.end(package.grant_id, withdrawal_of(street, active, signer))
    street.start()

    with pytest.raises(Refused) as refusal:
        street.receiver.accept_bundle(package.grant_id, package.bundle)
    assert refusal.value.codes == ["grant-ended"]
    with pytest.raises(Refused) as refusal:
        deliver(package, fetcher=street.fetcher)
    assert refusal.value.codes == ["grant-ended"]


def test_a_restored_custodian_database_brings_nothing_back(
    street_stored: Street, tmp_path: Path
) -> None:
    street = street_stored
    package, signer = street.packed()
    active = deliver(package, fetcher=street.fetcher)
    backup = street.back_up("custodian", tmp_path / "yesterday")
    lease(street, lease_request(street, active))
    statement = street.custodian.end(package.grant_id, withdrawal_of(street, active, signer))

    street.restore("custodian", backup)

    with pytest.raises(Refused) as refusal:
        lease(street, lease_request(street, active))
    assert refusal.value.codes == ["grant-ended"]
    with pytest.raises(Refused) as refusal:
        street.custodian.register(package.registration)
    assert refusal.value.codes == ["grant-ended"]
    # The statement survived beside the keys, with its true count.
    assert (
        street.custodian.end(package.grant_id, withdrawal_of(street, active, signer)) == statement
    )


def test_a_restored_receiver_database_opens_nothing(street_stored: Street, tmp_path: Path) -> None:
    street = street_stored
    active, signer = street.granted()
    backup = street.back_up("receiver", tmp_path / "yesterday")
    street.receiver.end(active.agreement.grant_id, withdrawal_of(street, active, signer))

    street.restore("receiver", backup)

    with (
        pytest.raises(Refused) as refusal,
        street.receiver.read(active.agreement.grant_id, BENEFITS),
    ):
        pass
    assert refusal.value.codes == ["grant-ended"]


class _PowerCut(Exception):
    pass


@pytest.mark.parametrize("cut", ["destroy", "inscribe"])
def test_an_end_that_a_crash_interrupted_is_finished_at_the_next_start(
    street: Street, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    active, signer = street.granted()
    grant_id = active.agreement.grant_id
    token = withdrawal_of(street, active, signer)

    def power_cut(*_: object) -> None:
        raise _PowerCut

    with monkeypatch.context() as patch:
        patch.setattr(street.custodian_keys, cut, power_cut)
        with pytest.raises(_PowerCut):
            street.custodian.end(grant_id, token)
    street.start()
    with pytest.raises(Refused) as refusal:
        lease(street, lease_request(street, active))
    assert refusal.value.codes == ["grant-ended"]

    assert street.custodian.end_due() == 1
    assert street.custodian_keys.find(grant_id) is None
    assert street.custodian.end_due() == 0


def test_the_custodians_clock_ends_what_nobody_ends(street: Street) -> None:
    active, signer = street.granted()
    street.clock.advance(timedelta(days=30))

    assert street.custodian.end_due() == 1

    assert street.custodian_keys.is_destroyed(active.agreement.grant_id)
    statement = street.custodian.end(
        active.agreement.grant_id, withdrawal_of(street, active, signer)
    )
    read = KeyDestruction.read(
        statement, custodian=street.custodian.party.did, grant_id=active.agreement.grant_id
    )
    assert (read.trigger, read.ended_at) == (Trigger.EXPIRED, active.agreement.terms.valid_until)


def test_a_grant_that_was_never_delivered_can_be_withdrawn(street: Street) -> None:
    package, signer = street.packed()
    withdrawal = withdraw(package.granted, signer=signer, now=street.clock(), random=street.random)

    ending = send_withdrawal(withdrawal, fetcher=street.fetcher)

    assert ending.key_destroyed_at == street.clock()
    with pytest.raises(Refused) as refusal:
        deliver(package, fetcher=street.fetcher)
    assert refusal.value.codes == ["grant-ended"]


def test_a_key_that_nobody_used_is_destroyed_after_a_day(street: Street) -> None:
    package, _ = street.packed()
    street.clock.advance(timedelta(hours=24, seconds=1))

    assert street.custodian.end_due() == 1

    assert street.custodian_keys.is_destroyed(package.grant_id)


def test_another_holder_cannot_take_or_end_a_reserved_grant(street: Street) -> None:
    package, _ = street.packed()
    thief = MemorySigner.generate()
    asked = KeyRequest(
        grant_id=package.grant_id, holder=did_jwk(thief.public), asked_at=street.clock()
    ).sign(thief, audience=CUSTODIAN)

    with pytest.raises(Refused) as refusal:
        street.custodian.issue_key(package.grant_id, asked)
    assert refusal.value.codes == ["signed-by-another"]
    agreement = replace(package.granted.agreement, holder=did_jwk(thief.public))
    token = sign_end(
        agreement, Trigger.WITHDRAWN, signer=thief, now=street.clock(), random=street.random
    )
    with pytest.raises(Refused) as refusal:
        street.custodian.end(package.grant_id, token)
    assert refusal.value.codes == ["signed-by-another"]


def test_a_registration_changed_after_the_first_is_refused(street: Street) -> None:
    package, signer = street.packed()
    street.custodian.register(package.registration)
    street.custodian.register(package.registration)
    first = Registration.read(package.registration, audience=CUSTODIAN)
    more = replace(first, max_reads=first.max_reads + 1)

    with pytest.raises(Refused) as refusal:
        street.custodian.register(more.sign(signer, audience=CUSTODIAN, now=street.clock()))

    assert refusal.value.codes == ["already-registered"]


@pytest.mark.parametrize("reads", [0, 100_001, 10**30])
def test_a_registration_names_a_limit_that_can_be_counted(street: Street, reads: int) -> None:
    package, signer = street.packed()
    first = Registration.read(package.registration, audience=CUSTODIAN)
    token = replace(first, max_reads=reads).sign(signer, audience=CUSTODIAN, now=street.clock())

    with pytest.raises(Malformed):
        street.custodian.register(token)


def test_a_share_that_does_not_open_is_refused_at_registration(street: Street) -> None:
    package, signer = street.packed()
    first = Registration.read(package.registration, audience=CUSTODIAN)
    spoilt = replace(first, share=bytes(80))

    with pytest.raises(Refused) as refusal:
        street.custodian.register(spoilt.sign(signer, audience=CUSTODIAN, now=street.clock()))

    assert refusal.value.codes == ["share-does-not-open"]
