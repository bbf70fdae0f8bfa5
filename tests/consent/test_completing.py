"""A grant ends when what it was for is done, by the word of whom its terms name."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from counterfoil_consent import (
    Active,
    AuthorityParty,
    Completion,
    CompletionKind,
    Trigger,
    deliver,
    sign_end_of,
)
from counterfoil_consent.artefacts import KeyDestruction
from counterfoil_consent.events import audience_of
from counterfoil_consent.states import Erased
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_credentials.keys import MemorySigner

from tests.consent.street import BENEFITS, FRAME, FRAME_VALUE, KEY, Street
from tests.consent.test_leases import lease, lease_request

SINGLE_USE = Completion(kind=CompletionKind.SINGLE_USE)


def case_of(signer: MemorySigner) -> Completion:
    return Completion(kind=CompletionKind.CASE, by=did_jwk(signer.public))


def said(street: Street, active: Active, trigger: Trigger, signer: MemorySigner) -> str:
    agreement = active.agreement
    return sign_end_of(
        agreement.grant_id,
        audience_of(agreement),
        trigger,
        signer=signer,
        now=street.clock(),
        random=street.random,
    )


def refused(act: Callable[[], object]) -> list[str]:
    with pytest.raises(Refused) as refusal:
        act()
    return refusal.value.codes


def ended_by(street: Street, active: Active) -> tuple[Trigger, Trigger]:
    """Give what the custodian and the receiver say ended the grant."""
    grant_id = active.agreement.grant_id
    found = street.receiver_store.find_grant(grant_id)
    assert found is not None
    assert found.ending is not None
    assert found.ending.destruction is not None
    statement = KeyDestruction.read(
        found.ending.destruction, custodian=street.custodian.party.did, grant_id=grant_id
    )
    assert isinstance(found.state, Erased)
    return statement.trigger, found.state.trigger


def test_a_single_use_is_read_once_and_is_over(street: Street) -> None:
    active, _ = street.granted(completion=SINGLE_USE, max_reads=1)

    with street.receiver.read(active.agreement.grant_id, BENEFITS) as facts:
        assert facts.one(FRAME) == FRAME_VALUE

    assert ended_by(street, active) == (Trigger.COMPLETED, Trigger.COMPLETED)
    codes = refused(lambda: street.receiver.read(active.agreement.grant_id, BENEFITS).__enter__())
    assert codes == ["grant-ended"]


def test_a_single_use_that_fails_is_spent_too(street: Street) -> None:
    active, _ = street.granted(completion=SINGLE_USE, max_reads=1)
    street.statuses.revoked.update({0, 1})

    assert refused(
        lambda: street.receiver.read(active.agreement.grant_id, BENEFITS).__enter__()
    ) == ["credential-not-in-force"]

    assert ended_by(street, active) == (Trigger.COMPLETED, Trigger.COMPLETED)


def test_a_custodian_that_fell_between_lease_and_end_ends_a_single_use_afterwards(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    active, _ = street.granted(completion=SINGLE_USE, max_reads=1)

    def fail(*_: object) -> None:
        raise Unavailable("expected power, found none")

    with monkeypatch.context() as patch:
        patch.setattr(street.custodian_store, "end", fail)
        with pytest.raises(Unavailable):
            lease(street, lease_request(street, active))

    assert street.custodian.end_due() == 1
    assert refused(lambda: lease(street, lease_request(street, active))) == ["grant-ended"]


def test_a_single_use_has_one_read(street: Street) -> None:
    with pytest.raises(Malformed, match="single use"):
        street.ask(completion=SINGLE_USE, max_reads=2)


def test_the_named_party_completes_a_case_and_nobody_else_does(street: Street) -> None:
    workshop = MemorySigner.generate()
    active, holder = street.granted(completion=case_of(workshop))
    grant_id = active.agreement.grant_id
    for other in (MemorySigner.generate(), street.receiver_signer, holder):
        forged = said(street, active, Trigger.COMPLETED, other)
        for party in (street.custodian, street.receiver):
            codes = refused(lambda p=party, t=forged: p.end(grant_id, t))  # type: ignore[misc]  # bound at once
            assert codes == ["signed-by-another"]
    assert refused(lambda: street.receiver.complete(grant_id)) == ["signed-by-another"]

    street.receiver.end(grant_id, said(street, active, Trigger.COMPLETED, workshop))

    assert ended_by(street, active) == (Trigger.COMPLETED, Trigger.COMPLETED)


def test_who_completes_can_neither_withdraw_nor_terminate(street: Street) -> None:
    workshop = MemorySigner.generate()
    active, _ = street.granted(completion=case_of(workshop))
    for trigger in (Trigger.WITHDRAWN, Trigger.TERMINATED):
        token = said(street, active, trigger, workshop)
        for party in (street.custodian, street.receiver):
            codes = refused(lambda p=party, t=token: p.end(active.agreement.grant_id, t))  # type: ignore[misc]  # bound at once
            assert codes == ["signed-by-another"]


def test_a_completion_never_prolongs_a_grant(street: Street) -> None:
    workshop = MemorySigner.generate()
    active, _ = street.granted(completion=case_of(workshop))
    street.clock.advance(timedelta(days=31))

    street.custodian.end_due()
    street.receiver.end_due()

    assert ended_by(street, active) == (Trigger.EXPIRED, Trigger.EXPIRED)


def test_the_receiver_terminates_what_it_may_not_complete(street: Street) -> None:
    active, _ = street.granted(completion=case_of(MemorySigner.generate()))

    answer = street.brand.post(
        f"/consent/grants/{active.agreement.grant_id}/terminate",
        headers={"Authorization": f"Bearer {KEY}"},
    )

    assert answer.status_code == 200
    assert ended_by(street, active) == (Trigger.TERMINATED, Trigger.TERMINATED)


def test_the_named_authority_terminates_and_another_does_not(street: Street) -> None:
    office = MemorySigner.generate()
    active, _ = street.granted(
        authority=AuthorityParty(did=did_jwk(office.public), name="The data protection office")
    )
    grant_id = active.agreement.grant_id
    forged = said(street, active, Trigger.TERMINATED, MemorySigner.generate())
    assert refused(lambda: street.receiver.end(grant_id, forged)) == ["signed-by-another"]

    street.custodian.end(grant_id, said(street, active, Trigger.TERMINATED, office))
    street.receiver.end(grant_id, said(street, active, Trigger.TERMINATED, office))

    assert ended_by(street, active) == (Trigger.TERMINATED, Trigger.TERMINATED)


def test_the_named_party_still_ends_a_grant_that_a_restored_custodian_forgot(
    street_on_disk: Street,
) -> None:
    street = street_on_disk
    assert street.folder is not None
    backup = street.back_up("custodian", street.folder.parent / "before")
    workshop = MemorySigner.generate()
    active, _ = street.granted(completion=case_of(workshop))

    street.close()
    for file in (street.folder / "custodian").iterdir():
        file.unlink()
    for file in backup.iterdir():
        (street.folder / "custodian" / file.name).write_bytes(file.read_bytes())
    street.start()

    token = said(street, active, Trigger.COMPLETED, workshop)
    statement = street.custodian.end(active.agreement.grant_id, token)
    read = KeyDestruction.read(
        statement, custodian=street.custodian.party.did, grant_id=active.agreement.grant_id
    )
    assert read.trigger is Trigger.COMPLETED


def test_a_package_delivered_again_after_a_single_use_is_refused(street: Street) -> None:
    package, _ = street.packed(completion=SINGLE_USE, max_reads=1)
    active = deliver(package, fetcher=street.fetcher)
    with street.receiver.read(active.agreement.grant_id, BENEFITS):
        pass

    assert refused(lambda: deliver(package, fetcher=street.fetcher)) == ["grant-ended"]
