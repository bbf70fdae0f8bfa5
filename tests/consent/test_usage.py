"""How a grant was used, in the custodian's word, to its holder alone."""

from datetime import timedelta

import pytest
from counterfoil_consent import Active, Trigger, send_withdrawal, withdraw
from counterfoil_consent.usage import Custodial, Usage, UsageRequest, fetch_usage
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.keys import MemorySigner

from tests.consent.street import BENEFITS, CUSTODIAN, Street


def read(street: Street, active: Active) -> None:
    with street.receiver.read(active.agreement.grant_id, BENEFITS):
        pass


def usage(street: Street, active: Active, signer: MemorySigner) -> Usage:
    found, _ = fetch_usage(
        active.agreement, signer=signer, fetcher=street.fetcher, now=street.clock()
    )
    return found


def test_the_holder_learns_how_often_and_when_last(street: Street) -> None:
    active, signer = street.granted()
    unused = usage(street, active, signer)
    assert (unused.state, unused.reads, unused.last_read_at) == (Custodial.ACTIVE, 0, None)

    street.clock.advance(timedelta(days=2))
    read(street, active)
    street.clock.advance(timedelta(days=3))
    read(street, active)
    last = street.clock()
    street.clock.advance(timedelta(days=4))

    used = usage(street, active, signer)
    assert (used.reads, used.last_read_at, used.at) == (2, last, street.clock())


def test_the_count_outlives_a_restart(street_on_disk: Street) -> None:
    street = street_on_disk
    active, signer = street.granted()
    read(street, active)
    last = street.clock()

    street.start()

    used = usage(street, active, signer)
    assert (used.reads, used.last_read_at) == (1, last)


def test_the_holder_learns_that_it_has_ended_and_by_what(street: Street) -> None:
    withdrawn, signer = street.granted()
    read(street, withdrawn)
    send_withdrawal(
        withdraw(withdrawn, signer=signer, now=street.clock(), random=street.random),
        fetcher=street.fetcher,
    )
    found = usage(street, withdrawn, signer)
    assert (found.state, found.ended_by) == (Custodial.ENDED, Trigger.WITHDRAWN)
    assert (found.reads, found.ended_at) == (1, street.clock())

    expired, signer = street.granted()
    street.clock.advance(timedelta(days=30))
    found = usage(street, expired, signer)
    assert (found.ended_by, found.ended_at) == (
        Trigger.EXPIRED,
        expired.agreement.terms.valid_until,
    )


def test_nobody_else_learns_anything(street: Street) -> None:
    active, _ = street.granted()
    for stranger in (MemorySigner.generate(), street.receiver_signer):
        asked = UsageRequest(
            grant_id=active.agreement.grant_id,
            holder=did_jwk(stranger.public),
            asked_at=street.clock(),
        ).sign(stranger, audience=CUSTODIAN)

        with pytest.raises(Refused) as refusal:
            street.custodian.usage(active.agreement.grant_id, asked)

        assert refusal.value.codes == ["signed-by-another"]


@pytest.mark.parametrize(
    ("audience", "late", "codes"),
    [
        ("https://elsewhere.example", timedelta(0), ["audience-mismatch"]),
        (CUSTODIAN, timedelta(minutes=2, seconds=1), ["usage-request-not-fresh"]),
    ],
)
def test_refuses_a_request_to_another_and_an_old_one(
    street: Street, audience: str, late: timedelta, codes: list[str]
) -> None:
    active, signer = street.granted()
    grant_id = active.agreement.grant_id
    token = UsageRequest(
        grant_id=grant_id, holder=did_jwk(signer.public), asked_at=street.clock()
    ).sign(signer, audience=audience)
    street.clock.advance(late)

    with pytest.raises(Refused) as refusal:
        street.custodian.usage(grant_id, token)

    assert refusal.value.codes == codes


def test_refuses_the_request_for_another_grant(street: Street) -> None:
    one, signer = street.granted()
    other, _ = street.granted()
    token = UsageRequest(
        grant_id=one.agreement.grant_id, holder=did_jwk(signer.public), asked_at=street.clock()
    ).sign(signer, audience=CUSTODIAN)

    with pytest.raises(Refused) as refusal:
        street.custodian.usage(other.agreement.grant_id, token)

    assert refusal.value.codes == ["signed-by-another"]


def test_a_count_that_the_custodian_did_not_sign_is_refused(street: Street) -> None:
    active, signer = street.granted()
    _, token = fetch_usage(
        active.agreement, signer=signer, fetcher=street.fetcher, now=street.clock()
    )
    grant_id = active.agreement.grant_id
    forged = Usage.read(token, custodian=street.custodian.party.did, grant_id=grant_id).sign(
        street.receiver_signer
    )

    with pytest.raises(Refused) as refusal:
        Usage.read(forged, custodian=street.custodian.party.did, grant_id=grant_id)

    assert refusal.value.codes == ["signed-by-another"]


@pytest.mark.parametrize("changes", [{"reads": -1}, {"ended_by": Trigger.EXPIRED}])
def test_refuses_a_word_that_contradicts_itself(street: Street, changes: dict[str, object]) -> None:
    active, _ = street.granted()
    plain: dict[str, object] = {
        "grant_id": active.agreement.grant_id,
        "state": Custodial.ACTIVE,
        "reads": 0,
        "last_read_at": None,
        "at": street.clock(),
        "ended_at": street.clock(),
    }
    word = Usage(**{**plain, **changes})  # type: ignore[arg-type]  # the test names fields

    token = word.sign(street.custodian_signer)
    with pytest.raises(Malformed):
        Usage.read(token, custodian=street.custodian.party.did, grant_id=word.grant_id)
