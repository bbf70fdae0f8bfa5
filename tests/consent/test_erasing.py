"""After the end a receiver erases everywhere, says only what was done, and tries until it is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from counterfoil_consent import (
    Active,
    Erased,
    Level,
    Pause,
    Purpose,
    Withdrawn,
    fetch_erasure_receipt,
    sign_pause,
    verify_erasure_receipt,
    withdraw,
)
from counterfoil_consent.artefacts import KeyDestruction
from counterfoil_consent.attestation import Attestation, AttestationKind
from counterfoil_consent.erased_system import ErasedSystem, Method, System, systems_at
from counterfoil_consent.erasure_proof import require_nothing_forgotten
from counterfoil_consent.laws import LAWS, ClaimKind
from counterfoil_consent.receiver_store import ReceivedGrant
from counterfoil_consent.recipient_receipt import RecipientReceipt
from counterfoil_consent.retention import Duty
from counterfoil_consent.set_outbox import Letter
from counterfoil_consent.spec import ERASURE_TYP
from counterfoil_consent.states import Lack, Missing
from counterfoil_consent.wire import GrantId, digest_of
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.encoding import canonical_json, list_at
from counterfoil_credentials.errors import Misuse, Refused, Unavailable
from counterfoil_credentials.fetch import Handler, Response
from counterfoil_credentials.jws import read_jws, sign_jws
from counterfoil_credentials.keys import MemorySigner

from tests.conftest import Clock
from tests.consent.street import (
    BENEFITS,
    BIRTHDAY,
    CUSTODIAN,
    FRAME,
    FRAME_VALUE,
    PRODUCT,
    PRODUCT_VALUE,
)
from tests.consent.town import WORKSHOPS, Town


@pytest.fixture
def town(clock: Clock, random_bytes: Callable[[int], bytes]) -> Town:
    return Town(clock, random_bytes)


def end(town: Town, active: Active, signer: MemorySigner) -> None:
    token = withdraw(active, signer=signer, now=town.clock(), random=town.random).token
    assert town.receiver.end(active.agreement.grant_id, token)


def row(town: Town, active: Active) -> ReceivedGrant:
    found = town.receiver_store.find_grant(active.agreement.grant_id)
    assert found is not None
    return found


def proof(town: Town, active: Active) -> Erased:
    """Give what the holder finds, who fetches the receipt and checks it."""
    agreement = active.agreement
    return fetch_erasure_receipt(agreement, fetcher=town.fetcher, now=town.clock()).erased


def listed(town: Town, active: Active) -> list[ErasedSystem]:
    token = town.receiver.erasure_receipt(active.agreement.grant_id)
    return [*systems_at(read_jws(token, typ=ERASURE_TYP, where="x").unverified_claims, "x")]


def test_an_end_erases_in_each_system_and_the_receipt_lists_it(town: Town) -> None:
    active, signer = town.granted()
    town.crm.keep(active.agreement.grant_id, FRAME_VALUE)

    end(town, active, signer)

    assert not town.crm.holds(active.agreement.grant_id)
    crm = ErasedSystem(system=System.LIVE_DATABASE, method=Method.DELETED, name="crm")
    assert crm in listed(town, active)
    assert proof(town, active).level is Level.E2


def test_there_is_no_receipt_until_the_last_system_has_answered(town: Town) -> None:
    active, signer = town.granted()
    grant_id = active.agreement.grant_id
    town.crm.keep(grant_id, FRAME_VALUE)
    town.crm.is_away = True

    end(town, active, signer)

    for _ in range(3):
        with pytest.raises(Refused) as refusal:
            town.receiver.erasure_receipt(grant_id)
        assert refusal.value.codes == ["not-erased"]
        # Stopped, though: nothing opens any more.
        assert isinstance(row(town, active).state, Withdrawn)
        assert town.receiver_store.find_bundle(grant_id) is None
        town.clock.advance(timedelta(minutes=1))
        town.receiver.end_due()

    town.crm.is_away = False
    town.clock.advance(timedelta(hours=1))
    town.receiver.end_due()
    erased = proof(town, active)
    assert (erased.level, erased.erased_at) == (Level.E2, town.clock())
    assert not town.crm.holds(grant_id)


def test_a_system_that_is_away_is_asked_ever_more_rarely_and_never_given_up(town: Town) -> None:
    active, signer = town.granted()
    town.crm.is_away = True
    asked: list[int] = []
    erase = town.crm.erase

    def counted(grant_id: GrantId) -> ErasedSystem:
        asked.append(1)
        return erase(grant_id)

    town.crm.erase = counted  # type: ignore[method-assign]  # counts, and does the same
    end(town, active, signer)
    for _ in range(12 * 60):
        town.clock.advance(timedelta(seconds=5))
        town.receiver.end_due()
    in_the_first_hour = len(asked)
    for _ in range(24 * 40):
        town.clock.advance(timedelta(hours=1))
        town.receiver.end_due()

    assert 5 <= in_the_first_hour <= 15
    assert len(asked) - in_the_first_hour >= 24 * 40


def test_the_receipt_of_every_recipient_makes_level_three(town: Town) -> None:
    active, signer = town.shared()
    grant_id = active.agreement.grant_id
    workshop, painter = town.workshops
    town.hand_over(grant_id, workshop)
    workshop.cache.keep(grant_id, FRAME_VALUE)
    with workshop.recipient.read(grant_id, BENEFITS) as facts:
        assert facts.one(FRAME) == FRAME_VALUE

    end(town, active, signer)

    erased = proof(town, active)
    assert (erased.level, erased.lacks) == (Level.E3, ())
    state = row(town, active).state
    assert isinstance(state, Erased)
    assert state.level is Level.E3
    assert not workshop.cache.holds(grant_id)
    for party in (workshop, painter):
        with pytest.raises(Refused) as refusal, party.recipient.read(grant_id, BENEFITS):
            pass
        assert set(refusal.value.codes) <= {"grant-ended", "grant-unknown"}
        with pytest.raises(Refused) as refusal:
            party.recipient.key(grant_id)
        assert refusal.value.codes == ["grant-ended"]


def test_a_recipient_that_is_gone_is_named_and_caps_the_level_at_two(town: Town) -> None:
    active, signer = town.shared()
    town.hand_over(active.agreement.grant_id, town.workshops[1])
    town.fetcher.disconnect(WORKSHOPS[1])

    end(town, active, signer)

    erased = proof(town, active)
    assert (erased.level, erased.lacks) == (
        Level.E2,
        (Lack(Missing.RECIPIENT, "painter.example"),),
    )
    town.open(town.workshops[1])
    town.clock.advance(timedelta(hours=1))
    town.receiver.end_due()
    assert proof(town, active).level is Level.E3
    assert row(town, active).due_at is None


def test_a_recipient_whose_own_system_is_slow_answers_later(town: Town) -> None:
    active, signer = town.shared()
    grant_id = active.agreement.grant_id
    workshop = town.workshops[0]
    town.hand_over(grant_id, workshop)
    workshop.cache.keep(grant_id, FRAME_VALUE)
    workshop.cache.is_away = True

    end(town, active, signer)
    assert proof(town, active).lacks == (Lack(Missing.RECIPIENT, "workshop.example"),)

    workshop.cache.is_away = False
    assert workshop.recipient.end_due() == 1
    town.clock.advance(timedelta(hours=1))
    town.receiver.end_due()
    assert proof(town, active).level is Level.E3


def test_what_the_recipients_say_is_asked_for_while_the_custodian_is_away(town: Town) -> None:
    active, signer = town.shared()
    town.fetcher.disconnect(CUSTODIAN)

    end(town, active, signer)

    assert proof(town, active).level is Level.E1
    town.connect()
    town.receiver.end_due()
    assert proof(town, active).level is Level.E3


def test_a_lease_that_got_lost_is_explained_by_the_log(town: Town) -> None:
    active, signer = town.shared()
    grant_id = active.agreement.grant_id
    with town.receiver.read(grant_id, BENEFITS):
        pass
    lent = town.custodian.lease

    def lost(grant_id: str, token: str) -> str:
        lent(grant_id, token)
        raise Unavailable("expected a line, found it cut")

    town.custodian.lease = lost  # type: ignore[method-assign]  # the answer does not arrive
    with pytest.raises(Unavailable), town.receiver.read(grant_id, BENEFITS):
        pass
    town.custodian.lease = lent  # type: ignore[method-assign]  # the line is back

    end(town, active, signer)

    assert proof(town, active).level is Level.E3
    entries = town.accesses.of_grant(grant_id)
    assert [entry.read for entry in entries] == [1, None]


def test_a_read_that_the_log_does_not_know_keeps_the_level_at_two(town: Town) -> None:
    active, signer = town.shared()
    with town.receiver.read(active.agreement.grant_id, BENEFITS):
        pass
    # A log that lost a line, or one that never was written.
    town.accesses.of_grant = lambda _: []  # type: ignore[method-assign,assignment]

    end(town, active, signer)

    erased = proof(town, active)
    assert (erased.level, erased.lacks) == (Level.E2, (Lack(Missing.LEASE_LOG),))


def test_an_auditors_spot_check_lifts_the_receipt_to_level_four(town: Town) -> None:
    active, signer = town.shared()
    grant_id = active.agreement.grant_id
    end(town, active, signer)
    attestation = Attestation(
        grant_id=grant_id,
        grant_digest=active.agreement.grant_digest,
        kind=AttestationKind.SPOT_CHECK,
        systems=tuple(listed(town, active)),
        attested_at=town.clock(),
    )

    for forged in (town.receiver_signer, MemorySigner.generate()):
        with pytest.raises(Refused):
            town.receiver.attest(grant_id, attestation.sign(forged))
    assert town.receiver.attest(grant_id, attestation.sign(town.auditor)) is Level.E4

    receipt = town.receiver.erasure_receipt(grant_id)
    agreement, now = active.agreement, town.clock()
    trusting = verify_erasure_receipt(
        receipt, agreement=agreement, now=now, attestors=[did_jwk(town.auditor.public)]
    )
    assert trusting.level is Level.E4
    assert verify_erasure_receipt(receipt, agreement=agreement, now=now).level is Level.E3


def duty(town: Town, **changes: object) -> Duty:
    plain: dict[str, object] = {
        "law": "DE AO §147",
        "kind": ClaimKind.PURCHASE,
        "claims": (PRODUCT,),
        "event_at": town.clock(),
    }
    return Duty(**{**plain, **changes})  # type: ignore[arg-type]  # the tests name fields of Duty


def test_what_a_law_asks_for_outlives_the_end_and_is_erased_at_its_date(town: Town) -> None:
    active, signer = town.granted()
    grant_id = active.agreement.grant_id
    with town.receiver.read(grant_id, BENEFITS) as facts:
        item = town.receiver.keep(facts, duty(town))
    assert item.until == LAWS["DE AO §147"].latest_end(town.clock())

    end(town, active, signer)

    first = proof(town, active)
    assert first.retained == (item,)
    with town.receiver.read_kept(grant_id, item.law, Purpose.LEGAL_COMPLIANCE) as kept:
        assert kept.one(PRODUCT) == PRODUCT_VALUE
        assert kept.names == {PRODUCT}
    town.clock.advance(item.until - town.clock() - timedelta(seconds=1))
    town.receiver.end_due()
    assert proof(town, active).retained == (item,)

    town.clock.advance(timedelta(seconds=1))
    # The date counts, also where nobody has swept yet.
    with (
        pytest.raises(Refused) as refusal,
        town.receiver.read_kept(grant_id, item.law, Purpose.LEGAL_COMPLIANCE),
    ):
        pass
    assert refusal.value.codes == ["duty-over"]
    assert town.receiver.end_due() == 1

    second = proof(town, active)
    assert (second.retained, second.level) == ((), first.level)
    require_nothing_forgotten(first, second, town.clock())
    assert second.erased_at == first.erased_at
    assert row(town, active).kept == ()
    assert not town.kept_keys.names()
    with (
        pytest.raises(Refused) as refusal,
        town.receiver.read_kept(grant_id, item.law, Purpose.LEGAL_COMPLIANCE),
    ):
        pass
    assert refusal.value.codes == ["not-kept"]
    assert town.receiver.end_due() == 0


@pytest.mark.parametrize("purpose", [p for p in Purpose if p is not Purpose.LEGAL_COMPLIANCE])
def test_what_is_kept_under_a_law_serves_the_law_alone(town: Town, purpose: Purpose) -> None:
    active, _ = town.granted()
    grant_id = active.agreement.grant_id
    with town.receiver.read(grant_id, BENEFITS) as facts:
        town.receiver.keep(facts, duty(town))

    with (
        pytest.raises(Refused) as refusal,
        town.receiver.read_kept(grant_id, "DE AO §147", purpose),
    ):
        pass

    assert refusal.value.codes == ["purpose-differs"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"law": "x"}, "law-unknown"),
        ({"law": "CN E-Commerce Law Art. 31"}, "law-elsewhere"),
        ({"kind": ClaimKind.CONTACT}, "kind-not-kept"),
        ({"claims": (BIRTHDAY,)}, "claims-unknown"),
        ({"claims": ()}, "claims-unknown"),
    ],
)
def test_nothing_is_kept_that_no_law_asks_for(
    town: Town, changes: dict[str, object], code: str
) -> None:
    active, _ = town.granted()

    with (
        pytest.raises(Refused) as refusal,
        town.receiver.read(active.agreement.grant_id, BENEFITS) as facts,
    ):
        town.receiver.keep(facts, duty(town, **changes))

    assert refusal.value.codes == [code]
    assert row(town, active).kept == ()
    assert not town.kept_keys.names()


@pytest.mark.parametrize(("days", "code"), [(2, "event-to-come"), (-366 * 20, "duty-over")])
def test_a_duty_begins_with_what_has_happened_and_is_not_over(
    town: Town, days: int, code: str
) -> None:
    active, _ = town.granted()
    at = town.clock() + timedelta(days=days)

    with (
        pytest.raises(Refused) as refusal,
        town.receiver.read(active.agreement.grant_id, BENEFITS) as facts,
    ):
        town.receiver.keep(facts, duty(town, event_at=at))

    assert refusal.value.codes == [code]


def test_facts_are_kept_inside_their_block_and_once_for_each_law(town: Town) -> None:
    active, _ = town.granted()
    with town.receiver.read(active.agreement.grant_id, BENEFITS) as facts:
        town.receiver.keep(facts, duty(town))
        with pytest.raises(Misuse):
            town.receiver.keep(facts, duty(town))
    with pytest.raises(Misuse):
        town.receiver.keep(facts, duty(town, law="DE UStG §14b"))

    assert len(row(town, active).kept) == len(town.kept_keys.names()) == 1


def test_the_end_while_facts_are_open_wins_over_what_would_be_kept(town: Town) -> None:
    active, signer = town.granted()

    with town.receiver.read(active.agreement.grant_id, BENEFITS) as facts:
        end(town, active, signer)
        with pytest.raises(Refused) as refusal:
            town.receiver.keep(facts, duty(town))

    assert refusal.value.codes == ["grant-ended"]
    assert not town.kept_keys.names()


def test_a_duty_that_is_over_before_the_grant_is_dropped_in_silence(town: Town) -> None:
    active, signer = town.granted()
    end_of_duty = town.clock() + timedelta(days=3)
    sold_at = end_of_duty.replace(year=end_of_duty.year - 5)
    with town.receiver.read(active.agreement.grant_id, BENEFITS) as facts:
        town.receiver.keep(
            facts,
            duty(town, law="EU 2023/988 Art. 9", kind=ClaimKind.PRODUCT, event_at=sold_at),
        )
    town.clock.advance(timedelta(days=3))

    assert town.receiver.end_due() == 1

    assert row(town, active).kept == ()
    with town.receiver.read(active.agreement.grant_id, BENEFITS) as facts:
        assert facts.names
    end(town, active, signer)
    assert proof(town, active).retained == ()


def test_facts_are_handed_to_named_recipients_alone(town: Town) -> None:
    active, _ = town.shared()
    stranger = town.make_workshop("https://broker.example")
    key = stranger.recipient.key(active.agreement.grant_id)

    with town.receiver.read(active.agreement.grant_id, BENEFITS) as facts:
        with pytest.raises(Refused) as refusal:
            town.receiver.hand_over(facts, stranger.recipient.did, key, (FRAME,))
        assert refusal.value.codes == ["recipient-not-named"]
    with pytest.raises(Misuse):
        town.receiver.hand_over(facts, town.workshops[0].recipient.did, key, (FRAME,))
    alone, _ = town.granted()
    with town.receiver.read(alone.agreement.grant_id, BENEFITS) as facts:
        with pytest.raises(Refused) as refusal:
            town.receiver.hand_over(facts, town.workshops[0].recipient.did, key, (FRAME,))
        assert refusal.value.codes == ["recipient-not-named"]


def test_nothing_is_handed_on_of_a_grant_that_is_paused(town: Town) -> None:
    active, signer = town.shared()
    agreement, workshop = active.agreement, town.workshops[0]
    pause = Pause(1, is_suspended=True)
    token = sign_pause(agreement, pause, signer=signer, now=town.clock(), random=town.random)
    key = workshop.recipient.key(agreement.grant_id)

    with town.receiver.read(agreement.grant_id, BENEFITS) as facts:
        town.receiver.pause(agreement.grant_id, token)
        with pytest.raises(Refused) as refusal:
            town.receiver.hand_over(facts, workshop.recipient.did, key, (FRAME,))
    assert refusal.value.codes == ["grant-suspended"]


def test_what_comes_back_with_a_systems_backup_is_erased_again(town: Town) -> None:
    ended = [town.granted() for _ in range(3)]
    live, _ = town.granted()
    for active, signer in ended:
        end(town, active, signer)
    # Yesterday's backup of the customer database is put back.
    for active in (ended[0][0], ended[2][0], live):
        town.crm.keep(active.agreement.grant_id, FRAME_VALUE)

    town.crm.is_away = True
    with pytest.raises(Unavailable):
        town.receiver.erase_again()
    town.crm.is_away = False
    assert town.receiver.erase_again() == 2

    assert not any(town.crm.holds(active.agreement.grant_id) for active, _ in ended)
    assert town.crm.holds(live.agreement.grant_id)
    assert town.receiver.erase_again() == 0


def always(status: int, body: bytes) -> Handler:
    """Give a service that answers everything so."""

    def handle(method: str, path: str, headers: Mapping[str, str], sent: bytes) -> Response:
        return Response(status, "application/json", body)

    return handle


@pytest.mark.parametrize("trouble", ["future", "another grant"])
def test_a_statement_that_would_spoil_the_receipt_is_left_out_of_it(
    town: Town, trouble: str
) -> None:
    active, signer = town.granted()
    grant_id = active.agreement.grant_id
    token = withdraw(active, signer=signer, now=town.clock(), random=town.random).token
    honest = KeyDestruction.read(
        town.custodian.end(grant_id, token),
        custodian=town.custodian.party.did,
        grant_id=grant_id,
    )
    later = town.clock() + timedelta(seconds=61)
    changes = {"destroyed_at": later} if trouble == "future" else {"grant_digest": digest_of("x")}
    statement = replace(honest, **changes).sign(town.custodian_signer)
    answer = canonical_json({"statement": statement})
    town.fetcher.serve(CUSTODIAN, always(200, answer))

    assert town.receiver.end(grant_id, token)

    assert proof(town, active).level is Level.E1
    assert row(town, active).ending.destruction is None  # type: ignore[union-attr]  # it has ended


def test_a_recipient_that_has_heard_and_not_done_it_gives_no_receipt(town: Town) -> None:
    active, signer = town.shared()
    party = active.agreement.terms.recipients[1]
    done = RecipientReceipt(
        grant_id=active.agreement.grant_id,
        stopped_at=town.clock(),
        erased_at=town.clock(),
        claims=(),
        systems=(),
    ).sign(town.workshops[1].signer)
    body = canonical_json({"erasure_receipt": done})
    town.fetcher.serve(WORKSHOPS[1], always(202, body))

    end(town, active, signer)

    assert Lack(Missing.RECIPIENT, party.name) in proof(town, active).lacks


@pytest.mark.parametrize("cheat", ["gone", "left-out", "forged", "anothers", "none"])
def test_attack_18_onward_chain_breaks(town: Town, cheat: str) -> None:
    active, signer = town.shared()
    grant_id = active.agreement.grant_id
    workshop, painter = town.workshops
    for recipient in (workshop, painter):
        town.hand_over(grant_id, recipient)
    if cheat == "gone":
        town.fetcher.disconnect(WORKSHOPS[1])
    end(town, active, signer)
    token = town.receiver.erasure_receipt(grant_id)
    claims = read_jws(token, typ=ERASURE_TYP, where="x").unverified_claims
    first, second = list_at(claims, "recipients", "x")
    assert isinstance(first, dict)
    match cheat:
        case "left-out":
            claims["recipients"] = [first]
        case "forged":
            # The receiver signs for a recipient that never answered.
            own = RecipientReceipt(
                grant_id=grant_id,
                stopped_at=town.clock(),
                erased_at=town.clock(),
                claims=(FRAME,),
                systems=(ErasedSystem(system=System.CACHES, method=Method.DELETED),),
            ).sign(town.receiver_signer)
            claims["recipients"] = [first, {"did": painter.recipient.did, "receipt": own}]
        case "anothers":
            claims["recipients"] = [
                first,
                {"did": painter.recipient.did, "receipt": first["receipt"]},
            ]
        case _:
            assert second
    signed = sign_jws(claims, typ=ERASURE_TYP, signer=town.receiver_signer)

    erased = verify_erasure_receipt(signed, agreement=active.agreement, now=town.clock())

    if cheat == "none":
        assert (erased.level, erased.lacks) == (Level.E3, ())
    else:
        assert erased.level is Level.E2
        assert [lack.party for lack in erased.lacks] == ["painter.example"]


@pytest.mark.parametrize("cut", ["before", "after"])
def test_an_erasure_that_is_cut_short_is_finished_and_asked_for_once_more(
    town: Town, cut: str
) -> None:
    active, signer = town.shared()
    town.hand_over(active.agreement.grant_id, town.workshops[0])
    advance = town.receiver_store.advance
    left = [2]

    def falling(
        before: ReceivedGrant,
        after: ReceivedGrant,
        bundle: bytes | None,
        letters: Sequence[Letter] = (),
    ) -> bool:
        left[0] -= 1
        if left[0] == 0:
            # Everybody has erased and answered; the power goes as it is written down.
            if cut == "after":
                assert advance(before, after, bundle, letters)
            raise Unavailable("expected the disk to take part, found it gone")
        return advance(before, after, bundle, letters)

    town.receiver_store.advance = falling  # type: ignore[method-assign]  # the power goes once
    end(town, active, signer)
    town.receiver_store.advance = advance  # type: ignore[method-assign]  # and is back
    town.start()
    for workshop in town.workshops:
        town.open(workshop)

    town.receiver.end_due()

    erased = proof(town, active)
    assert (erased.level, erased.lacks) == (Level.E3, ())
    assert town.receiver.end_due() == 0
