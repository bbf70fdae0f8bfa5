"""What the customer sees of her grants, with the real receiver and custodian behind it."""

import json
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from counterfoil_consent import Purpose, Trigger
from counterfoil_consent.access_log import AccessChain
from counterfoil_consent.artefacts import Receipt
from counterfoil_consent.attestation import Attestation, AttestationKind
from counterfoil_consent.completion import Completion, CompletionKind
from counterfoil_consent.erased_system import systems_at
from counterfoil_consent.laws import ClaimKind
from counterfoil_consent.parties import AuthorityParty, RecipientParty
from counterfoil_consent.retention import Duty
from counterfoil_consent.spec import ERASURE_TYP
from counterfoil_consent.states import Erased, Lack, Level, Missing, Retained
from counterfoil_consent.terms import Operation
from counterfoil_consent.usage import UsageRequest
from counterfoil_consent.wire import GrantId, sign_artefact
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.encoding import compact_json
from counterfoil_credentials.errors import Refused, Unavailable
from counterfoil_credentials.fetch import Response
from counterfoil_credentials.jws import read_jws
from counterfoil_credentials.keys import MemorySigner, Signer
from counterfoil_wallet import MemoryStore, Trust, Verifier, Wallet
from counterfoil_wallet.consent_reminders import Notable
from counterfoil_wallet.consent_view import Consent, ConsentState, consent_of
from counterfoil_wallet.consent_words import (
    Language,
    concern_text,
    end_text,
    lack_text,
    notable_text,
    operation_text,
    purpose_text,
    state_text,
)
from counterfoil_wallet.dashboard import held_by
from counterfoil_wallet.grant_states import InForce, Proved
from counterfoil_wallet.policy import Concern

from tests.wallet.town import CUSTODIAN, SERIAL, VALID_UNTIL, VELO, Town, always

DAY = timedelta(days=1)


@pytest.fixture
def wallet(town: Town) -> Wallet:
    """Give a wallet that holds the receipt and the warranty of one order."""
    wallet = town.wallet(MemoryStore())
    offer = town.offer()
    wallet.accept(offer.link, tx_code=offer.tx_code)
    return wallet


def granted(town: Town, wallet: Wallet, **changes: object) -> InForce:
    wish = replace(town.wish(), **changes)  # type: ignore[arg-type]  # the tests name fields of Wish
    asked = wallet.asked_terms(town.receiver.request(wish).link)
    return wallet.grant(asked.choose(), screen="offer page")


def read(town: Town, grant: InForce) -> None:
    with town.receiver.read(grant.grant_id, grant.terms.purpose):
        pass


def the_one(wallet: Wallet) -> Consent:
    (one,) = wallet.consent.all()
    return one


def test_a_grant_shows_what_it_is_for_and_why_it_is_there(town: Town, wallet: Wallet) -> None:
    asked_at = town.clock()
    granted(town, wallet)
    town.clock.advance(5 * DAY)

    one = the_one(wallet)

    assert (one.state, one.dpv_state) == (ConsentState.ACTIVE, "dpv:ConsentGiven")
    assert (one.receiver, one.known_as, one.name) == ("Velo", None, "Velo")
    assert (one.claims, one.purpose) == ((SERIAL,), Purpose.PERSONALISED_BENEFITS)
    assert (one.asked_at, one.granted_at, one.screen) == (asked_at, asked_at, "offer page")
    assert (one.days_left, one.ends_soon, one.end) == (25, False, None)


def test_the_receiver_s_known_name_is_shown(town: Town) -> None:
    store = MemoryStore()
    wallet = town.wallet(store)
    offer = town.offer()
    wallet.accept(offer.link, tx_code=offer.tx_code)
    granted(town, wallet)
    # The same file, opened by an app that knows the shop.
    knowing = Wallet(
        store,
        fetcher=town.network,
        clock=town.clock,
        trust=Trust(verifiers={town.receiver.party.client_id: Verifier(name="Velo of Berlin")}),
    )

    assert the_one(knowing).name == "Velo of Berlin"


def test_last_used_and_how_often_come_from_the_custodian(town: Town, wallet: Wallet) -> None:
    grant = granted(town, wallet)
    assert the_one(wallet).usage is None

    town.clock.advance(DAY)
    read(town, grant)
    last = town.clock()
    town.clock.advance(DAY)
    (one,) = wallet.consent.check()

    assert one.usage is not None
    assert (one.usage.reads, one.usage.last_read_at, one.usage.at) == (1, last, town.clock())
    assert one.max_reads == 5


def test_the_receiver_s_own_log_says_who_read_what(town: Town, wallet: Wallet) -> None:
    grant = granted(town, wallet)
    with town.receiver.read(grant.grant_id, grant.terms.purpose, role="fitting desk"):
        pass
    at = town.clock()
    town.clock.advance(DAY)

    (one,) = wallet.consent.check()

    assert one.accesses is not None
    (event,) = one.accesses
    assert (event.role, event.claims, event.at) == ("fitting desk", (SERIAL,), at)
    assert one.unaccounted_reads == 0
    assert wallet.consent.reminders() == ()


def not_written(*_: object, **__: object) -> str:
    """Write no event of a read."""
    return "not written"


def test_reads_that_the_receiver_did_not_write_down_are_counted_by_the_custodian(
    town: Town, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant = granted(town, wallet)
    read(town, grant)
    with monkeypatch.context() as hiding:
        hiding.setattr(AccessChain, "append", not_written)
        read(town, grant)
        read(town, grant)

    (one,) = wallet.consent.check()

    assert one.usage is not None
    assert one.accesses is not None
    assert (one.usage.reads, len(one.accesses), one.unaccounted_reads) == (3, 1, 2)


@pytest.mark.parametrize("shown", [[], ["swapped"]])
def test_a_log_that_leaves_out_what_it_showed_before_is_told(
    town: Town, wallet: Wallet, shown: list[str]
) -> None:
    grant, other = granted(town, wallet), granted(town, wallet)
    read(town, grant)
    read(town, grant)
    read(town, other)
    (before, _) = wallet.consent.check()
    url = grant.terms.accesses_url(grant.grant_id)
    honest = town.network.post(
        url,
        UsageRequest(
            grant_id=grant.grant_id,
            holder=grant.active.agreement.holder,
            asked_at=town.clock(),
        )
        .sign(grant.signer, audience=town.receiver.party.client_id)
        .encode(),
        media_type="application/jwt",
    )
    events = json.loads(honest.body)["access_events"]
    # One event less from the end, which the chain alone cannot tell.
    shorter = json.dumps({"access_events": events[:1] if shown else []}).encode()
    answer = replace(honest, body=shorter)
    town.network.serve(VELO, always(answer))

    wallet.consent.check()

    seen = wallet.consent.one(grant.grant_id)
    assert seen.accesses == before.accesses
    assert seen.log_differs_since == town.clock()
    assert Notable.LOG_CHANGED in [
        one.notable for one in wallet.consent.reminders() if one.grant_id == grant.grant_id
    ]


def test_a_proof_becomes_better_when_the_custodian_answers(town: Town, wallet: Wallet) -> None:
    granted(town, wallet)
    town.network.disconnect(CUSTODIAN)
    town.clock.advance(30 * DAY)
    town.receiver.end_due()
    (one,) = wallet.consent.check()
    assert (one.state, one.level) == (ConsentState.ERASED, Level.E1)

    town.connect()
    town.clock.advance(DAY)
    town.receiver.end_due()
    (one,) = wallet.consent.check()

    assert one.level is Level.E2
    assert wallet.consent.check() == (one,)


def test_without_the_custodian_what_was_known_stands(town: Town, wallet: Wallet) -> None:
    read(town, granted(town, wallet))
    wallet.consent.check()
    town.network.disconnect(CUSTODIAN)

    (one,) = wallet.consent.check()

    assert one.usage is not None
    assert one.usage.reads == 1


def test_who_has_a_fact_lists_grants_until_the_erasure_is_proved(
    town: Town, wallet: Wallet
) -> None:
    grant = granted(town, wallet)
    (holder,) = wallet.consent.who_has("serial")
    assert (holder.name, [one.grant_id for one in holder.consents]) == ("Velo", [grant.grant_id])
    assert wallet.consent.who_has("item.serial") == wallet.consent.who_has("serial")
    assert wallet.consent.who_has("rial") == ()
    assert wallet.consent.who_has("valid_until") == ()

    town.network.disconnect(VELO)
    wallet.withdraw(grant.grant_id)
    assert len(wallet.consent.who_has("serial")) == 1

    town.connect()
    wallet.resume()
    assert wallet.consent.who_has("serial") == ()


def test_who_has_a_fact_lists_whom_it_was_shown_too(town: Town, wallet: Wallet) -> None:
    matches = wallet.matches(town.counter.ask("warranty").link)
    choice = matches.choose()
    wallet.present(choice)
    fact = choice.disclosures[0].names[0]

    (holder,) = wallet.consent.who_has(fact)

    assert holder.party == matches.asker.client_id
    assert (holder.consents, holder.shown_at) == ((), (town.clock(),))


def test_each_fact_stands_with_everybody_who_has_it(town: Town, wallet: Wallet) -> None:
    assert wallet.consent.by_fact() == ()
    grant = granted(town, wallet, **carriers(town, "Carrier"))
    choice = wallet.matches(town.counter.ask("warranty").link).choose()
    wallet.present(choice)

    facts = {view.fact: view.holders for view in wallet.consent.by_fact()}

    assert facts.keys() == {"item.serial", *choice.disclosures[0].names}
    assert all(facts[fact] == wallet.consent.who_has(fact) for fact in facts)
    assert {"Velo", "Carrier"} <= {holder.name for holder in facts["item.serial"]}

    wallet.withdraw(grant.grant_id)
    facts = {view.fact: view.holders for view in wallet.consent.by_fact()}
    assert "Velo" not in {holder.name for holder in facts["item.serial"]}


def test_one_grant_is_asked_about_alone(town: Town, wallet: Wallet) -> None:
    first, second = granted(town, wallet), granted(town, wallet, max_reads=1)
    read(town, first)

    one = wallet.consent.ask(first.grant_id)

    assert one == wallet.consent.one(first.grant_id)
    assert one.usage is not None
    assert one.usage.reads == 1
    assert wallet.consent.one(second.grant_id).usage is None
    with pytest.raises(Refused) as refusal:
        wallet.consent.ask(GrantId("A" * 43))
    assert refusal.value.codes == ["grant-unknown"]


def test_grants_of_one_party_stand_together(town: Town, wallet: Wallet) -> None:
    first, second = granted(town, wallet), granted(town, wallet, max_reads=1)

    (party,) = wallet.consent.by_party()

    assert [one.grant_id for one in party.consents] == [second.grant_id, first.grant_id]
    assert party.facts == {SERIAL}


def test_a_grant_without_a_receipt_is_unacknowledged_after_five_minutes(
    town: Town, wallet: Wallet
) -> None:
    asked = wallet.asked_terms(town.receiver.request(town.wish()).link)
    town.network.disconnect(VELO)
    with pytest.raises(Unavailable):
        wallet.grant(asked.choose())
    assert the_one(wallet).state is ConsentState.WAITING

    town.clock.advance(timedelta(minutes=5))
    assert the_one(wallet).state is ConsentState.WAITING
    town.clock.advance(timedelta(seconds=1))
    assert the_one(wallet).state is ConsentState.UNACKNOWLEDGED
    assert [one.notable for one in wallet.consent.reminders()] == [Notable.RECEIPT_MISSING]

    town.connect()
    wallet.resume()
    assert the_one(wallet).state is ConsentState.ACTIVE
    assert wallet.consent.reminders() == ()


def test_an_erasure_that_is_owed_counts_down_and_becomes_overdue(
    town: Town, wallet: Wallet
) -> None:
    grant = granted(town, wallet)
    town.network.disconnect(VELO)
    wallet.withdraw(grant.grant_id)

    pending = the_one(wallet)
    assert (pending.state, pending.dpv_state) == (
        ConsentState.ERASURE_PENDING,
        "dpv:ConsentWithdrawn",
    )
    # The receipt promised a day.
    assert pending.erasure_left == DAY
    assert not pending.may_complain
    town.clock.advance(DAY - timedelta(seconds=1))
    assert the_one(wallet).erasure_left == timedelta(seconds=1)

    town.clock.advance(timedelta(seconds=1))
    overdue = the_one(wallet)
    assert (overdue.state, overdue.erasure_left, overdue.may_complain) == (
        ConsentState.OVERDUE,
        None,
        True,
    )
    assert [one.notable for one in wallet.consent.reminders()] == [Notable.ERASURE_OVERDUE]

    town.connect()
    wallet.resume()
    erased = the_one(wallet)
    assert (erased.state, erased.level) == (ConsentState.ERASED, Level.E2)
    assert erased.receipt is not None


def test_a_receiver_that_promises_itself_a_year_is_held_to_the_laws_month(
    town: Town, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Receipt.sign

    def generous(receipt: Receipt, signer: Signer) -> str:
        return honest(replace(receipt, erase_within_s=365 * 86_400), signer)

    monkeypatch.setattr(Receipt, "sign", generous)
    grant = granted(town, wallet)
    town.network.disconnect(VELO)

    wallet.withdraw(grant.grant_id)

    assert the_one(wallet).erasure_left == 30 * DAY


@pytest.mark.parametrize(
    ("end", "dpv"),
    [
        (Trigger.COMPLETED, "dpv:ConsentExpired"),
        (Trigger.TERMINATED, "dpv:ConsentRevoked"),
        (Trigger.EXPIRED, "dpv:ConsentExpired"),
    ],
)
def test_an_end_by_somebody_else_is_found_out_and_its_proof_fetched(
    town: Town, wallet: Wallet, end: Trigger, dpv: str
) -> None:
    grant = granted(town, wallet)
    if end is Trigger.COMPLETED:
        town.receiver.complete(grant.grant_id)
    elif end is Trigger.TERMINATED:
        town.receiver.terminate(grant.grant_id)
    else:
        town.clock.advance(30 * DAY)
        town.receiver.end_due()

    (one,) = wallet.consent.check()

    assert one.end is not None
    assert (one.state, one.end.trigger, one.dpv_state) == (ConsentState.ERASED, end, dpv)
    assert one.level is Level.E2


def test_an_end_that_the_receiver_does_not_prove_is_pending(town: Town, wallet: Wallet) -> None:
    grant = granted(town, wallet)
    town.receiver.complete(grant.grant_id)
    town.network.disconnect(VELO)

    (one,) = wallet.consent.check()

    assert one.end is not None
    assert (one.state, one.end.trigger) == (ConsentState.ERASURE_PENDING, Trigger.COMPLETED)


def test_a_single_use_has_ended_after_its_read(town: Town, wallet: Wallet) -> None:
    single = Completion(kind=CompletionKind.SINGLE_USE)
    read(town, granted(town, wallet, completion=single, max_reads=1))

    (one,) = wallet.consent.check()

    assert one.end is not None
    assert one.end.trigger is Trigger.COMPLETED


def test_what_a_law_makes_them_keep_is_shown_with_its_end(town: Town, wallet: Wallet) -> None:
    grant = granted(town, wallet)
    now = town.clock()
    law, until = "DE AO §147", now + 400 * DAY
    kept = Retained(claims=(SERIAL,), kind=ClaimKind.PURCHASE, law=law, until=until)
    erased = Erased(grant.active.agreement, Trigger.WITHDRAWN, now, Level.E2, (kept,))

    one = consent_of(Proved(erased, "its receipt"), None, known_as=None, now=now)
    assert (one.state, one.retained) == (ConsentState.ERASED_IN_PART, (kept,))

    # The date alone proves nothing: a second receipt is owed, by the law within a month.
    late = kept.until + 30 * DAY
    for at, state in (
        (late - timedelta(seconds=1), ConsentState.ERASED_IN_PART),
        (late, ConsentState.OVERDUE),
    ):
        seen = consent_of(Proved(erased, "its receipt"), None, known_as=None, now=at)
        assert (seen.state, seen.may_complain) == (state, state is ConsentState.OVERDUE)
        assert held_by(seen) == {SERIAL}


def keep(town: Town, grant: InForce) -> datetime:
    """Let the receiver keep the serial under a law; give the law's date."""
    duty = Duty(law="DE AO §147", kind=ClaimKind.PURCHASE, claims=(SERIAL,), event_at=town.clock())
    with town.receiver.read(grant.grant_id, grant.terms.purpose) as facts:
        return town.receiver.keep(facts, duty).until


def test_what_a_law_kept_is_gone_when_a_second_receipt_says_so_and_not_before(
    town: Town, wallet: Wallet
) -> None:
    grant = granted(town, wallet)
    until = keep(town, grant)
    wallet.withdraw(grant.grant_id)
    assert the_one(wallet).state is ConsentState.ERASED_IN_PART
    town.clock.advance(until - town.clock())
    (one,) = wallet.consent.check()
    assert (one.state, one.may_complain) == (ConsentState.ERASED_IN_PART, False)
    town.clock.advance(DAY)
    assert the_one(wallet).state is ConsentState.OVERDUE
    assert [told.notable for told in wallet.consent.reminders()] == [Notable.ERASURE_OVERDUE]

    town.receiver.end_due()
    (one,) = wallet.consent.check()

    assert (one.state, one.retained) == (ConsentState.ERASED, ())


def test_a_second_receipt_that_keeps_other_things_than_the_first_is_not_taken(
    town: Town, wallet: Wallet
) -> None:
    grant = granted(town, wallet)
    until = keep(town, grant)
    town.network.disconnect(CUSTODIAN)
    town.clock.advance(30 * DAY)
    town.receiver.end_due()
    (before,) = wallet.consent.check()
    assert before.level is Level.E1
    honest = read_jws(before.receipt or "", typ=ERASURE_TYP, where="receipt").unverified_claims
    (item,) = before.retained
    longer = replace(item, until=item.until + 365 * DAY)
    for at, retained in ((until - DAY, []), (until, [longer.to_json()])):
        town.clock.advance(at - town.clock())
        token = sign_artefact(
            {**honest, "retained": [*retained]}, typ=ERASURE_TYP, signer=town.receiver_signer
        )
        answer = compact_json({"erasure_receipt": token})
        town.network.serve(VELO, always(Response(200, "application/json", answer, {})))

        (one,) = wallet.consent.check()

        assert (one.state, one.retained) == (ConsentState.ERASED_IN_PART, before.retained)
        assert one.receipt == before.receipt


@pytest.mark.parametrize("trusted", ["the auditor", "somebody else"])
def test_an_attestation_counts_for_a_wallet_that_trusts_who_made_it(
    town: Town, trusted: str
) -> None:
    is_trusted = trusted == "the auditor"
    auditor = did_jwk(town.auditor.public)
    trust = Trust(
        custodians={CUSTODIAN: town.custodian.party.did},
        attestors=[auditor] if is_trusted else [did_jwk(MemorySigner.generate().public)],
    )
    wallet = Wallet(
        MemoryStore(), fetcher=town.network, clock=town.clock, random=town.random, trust=trust
    )
    offer = town.offer()
    wallet.accept(offer.link, tx_code=offer.tx_code)
    grant = granted(town, wallet)
    wallet.withdraw(grant.grant_id)
    receipt = town.receiver.erasure_receipt(grant.grant_id)
    claims = read_jws(receipt, typ=ERASURE_TYP, where="receipt").unverified_claims
    attestation = Attestation(
        grant_id=grant.grant_id,
        grant_digest=grant.active.agreement.grant_digest,
        kind=AttestationKind.SPOT_CHECK,
        systems=systems_at(claims, "receipt"),
        attested_at=town.clock(),
    ).sign(town.auditor)
    town.receiver.attest(grant.grant_id, attestation)
    assert the_one(wallet).level is Level.E2

    (one,) = wallet.consent.check()

    assert one.level is (Level.E4 if is_trusted else Level.E2)
    assert one.lacks == (() if is_trusted else (Lack(Missing.ATTESTATION),))


def carriers(town: Town, *names: str) -> dict[str, object]:
    """Give what a wish changes to name recipients, of which nobody answers."""
    parties = tuple(
        RecipientParty(
            did=did_jwk(MemorySigner.generate().public),
            name=name,
            endpoint=f"https://{name.lower()}.example/ends/{{grant_id}}",
        )
        for name in names
    )
    return {"recipients": parties, "operations": (Operation.USE, Operation.SHARE)}


def test_a_recipient_that_has_not_answered_may_still_have_the_fact(
    town: Town, wallet: Wallet
) -> None:
    grant = granted(town, wallet, **carriers(town, "Carrier"))
    velo, carrier = wallet.consent.who_has("serial")
    assert (velo.name, len(velo.consents), velo.handed_on) == ("Velo", 1, ())
    assert (carrier.name, carrier.consents) == ("Carrier", ())
    assert [one.grant_id for one in carrier.handed_on] == [grant.grant_id]

    wallet.withdraw(grant.grant_id)

    one = the_one(wallet)
    assert (one.state, one.level) == (ConsentState.ERASED, Level.E2)
    assert Lack(Missing.RECIPIENT, "Carrier") in one.lacks
    (left,) = wallet.consent.who_has("serial")
    assert left.name == "Carrier"
    assert wallet.consent.who_has("valid_until") == ()


def test_an_end_says_who_answered_it_and_when(town: Town, wallet: Wallet) -> None:
    grant = granted(town, wallet)
    assert the_one(wallet).end is None
    town.network.disconnect(VELO)
    withdrawn_at = town.clock()
    wallet.withdraw(grant.grant_id)

    end = the_one(wallet).end
    assert end is not None
    assert (end.stopped_at, end.key_destroyed_at, end.erased_at) == (None, withdrawn_at, None)

    town.connect()
    town.clock.advance(DAY)
    wallet.resume()

    end = the_one(wallet).end
    assert end is not None
    assert (end.at, end.key_destroyed_at) == (withdrawn_at, withdrawn_at)
    assert end.stopped_at == end.erased_at == withdrawn_at + DAY


def test_an_erased_grant_shows_when_it_ended_and_not_when_it_was_erased(
    town: Town, wallet: Wallet
) -> None:
    grant = granted(town, wallet)
    town.network.disconnect(VELO)
    ended_at = town.clock()
    wallet.withdraw(grant.grant_id)
    town.clock.advance(3 * DAY)
    town.connect()
    wallet.resume()

    one = the_one(wallet)

    assert one.state is ConsentState.ERASED
    assert one.end is not None
    assert (one.end.trigger, one.end.at) == (Trigger.WITHDRAWN, ended_at)


def statuses(wallet: Wallet) -> list[tuple[str, str]]:
    """Give each status of the exported record, with its day."""
    (record,) = wallet.consent.records()
    found = json.loads(json.dumps(record))["dpv:hasConsentStatus"]
    kinds = [one["@type"] if isinstance(one["@type"], str) else one["@type"][0] for one in found]
    days = [one["dpv:isIndicatedAtTime"]["@value"][:10] for one in found]
    return [*zip(kinds, days, strict=True)]


def test_the_record_tells_pauses_and_the_end_also_of_an_erased_grant(
    town: Town, wallet: Wallet
) -> None:
    grant = granted(town, wallet)
    days = [f"{town.clock() + number * DAY:%Y-%m-%d}" for number in range(4)]
    town.clock.advance(DAY)
    wallet.consent.suspend(grant.grant_id)
    town.clock.advance(DAY)
    wallet.consent.resume(grant.grant_id)
    town.clock.advance(DAY)
    told = [
        ("dpv:ConsentGiven", days[0]),
        ("dpv:ConsentUnknown", days[1]),
        ("dpv:ConsentGiven", days[2]),
    ]
    assert statuses(wallet) == told

    town.network.disconnect(VELO)
    wallet.withdraw(grant.grant_id)
    assert statuses(wallet) == [*told, ("dpv:ConsentWithdrawn", days[3])]
    town.connect()
    town.clock.advance(DAY)
    wallet.resume()

    assert the_one(wallet).state is ConsentState.ERASED
    assert statuses(wallet) == [*told, ("dpv:ConsentWithdrawn", days[3])]


def test_the_record_of_a_grant_that_somebody_else_ended_says_so_without_a_receipt(
    town: Town, wallet: Wallet
) -> None:
    grant = granted(town, wallet)
    town.receiver.complete(grant.grant_id)
    town.network.disconnect(VELO)
    assert [status for status, _ in statuses(wallet)] == ["dpv:ConsentGiven"]

    wallet.consent.check()

    assert statuses(wallet)[-1] == ("dpv:ConsentExpired", f"{town.clock():%Y-%m-%d}")


def test_the_record_of_a_grant_whose_time_is_over_is_not_of_one_in_force(
    town: Town, wallet: Wallet
) -> None:
    granted(town, wallet)
    until = the_one(wallet).valid_until
    town.clock.advance(31 * DAY)

    assert statuses(wallet)[-1] == ("dpv:ConsentExpired", f"{until:%Y-%m-%d}")


def test_a_grant_that_ends_within_a_week_ends_soon(town: Town, wallet: Wallet) -> None:
    granted(town, wallet)
    town.clock.advance(23 * DAY - timedelta(seconds=1))
    assert not the_one(wallet).ends_soon

    town.clock.advance(timedelta(seconds=1))

    assert the_one(wallet).ends_soon
    assert [one.notable for one in wallet.consent.reminders()] == [Notable.ENDING_SOON]


def long(town: Town, wallet: Wallet) -> InForce:
    claims = [replace(claim, retain_days=200) for claim in town.wish().claims]
    return granted(town, wallet, valid_for=200 * DAY, claims=claims)


def test_a_grant_that_nobody_used_for_sixty_days_is_told(town: Town, wallet: Wallet) -> None:
    grant = long(town, wallet)
    town.clock.advance(10 * DAY)
    read(town, grant)
    town.clock.advance(60 * DAY - timedelta(seconds=1))
    wallet.consent.check()
    assert wallet.consent.reminders() == ()

    town.clock.advance(timedelta(seconds=1))
    wallet.consent.check()

    (told,) = wallet.consent.reminders()
    assert (told.notable, told.grant_id) == (Notable.UNUSED, grant.grant_id)


def test_what_the_custodian_said_long_ago_does_not_prove_disuse(town: Town, wallet: Wallet) -> None:
    long(town, wallet)
    wallet.consent.check()
    town.clock.advance(90 * DAY)

    assert wallet.consent.reminders() == ()


def test_a_notice_that_was_changed_is_told_until_it_is_as_before(
    town: Town, wallet: Wallet
) -> None:
    grant = granted(town, wallet)
    url = grant.terms.notice.uri
    text = town.network.get(url, accept="text/plain")
    town.network.serve(VELO, always(Response(200, "text/plain", b"Other words.", {})))

    (one,) = wallet.consent.check()
    assert one.notice_differs_since == town.clock()
    assert [told.notable for told in wallet.consent.reminders()] == [Notable.NOTICE_CHANGED]

    town.network.serve(VELO, always(text))
    (one,) = wallet.consent.check()
    assert one.notice_differs_since is None


def test_a_new_recipient_that_is_asked_for_is_told(town: Town, wallet: Wallet) -> None:
    carrier = RecipientParty(
        did=did_jwk(MemorySigner.generate().public),
        name="Carrier",
        endpoint="https://carrier.example/ends/{grant_id}",
    )
    grant = granted(town, wallet)
    wish = replace(town.wish(), recipients=(carrier,), operations=(Operation.USE, Operation.SHARE))
    wallet.consent.defer(wallet.asked_terms(town.receiver.request(wish).link))

    (told,) = wallet.consent.reminders()

    assert (told.notable, told.grant_id) == (Notable.NEW_RECIPIENT, grant.grant_id)
    assert told.recipients == (carrier,)


def test_the_authority_that_the_terms_name_is_shown(town: Town, wallet: Wallet) -> None:
    authority = AuthorityParty(did=did_jwk(MemorySigner.generate().public), name="Data Office")
    granted(town, wallet, authority=authority)

    assert the_one(wallet).authority == authority


def test_a_grant_that_was_refused_by_the_other_side_is_shown_as_none(
    town: Town, wallet: Wallet
) -> None:
    opened = town.receiver.request(town.wish())
    asked = wallet.asked_terms(opened.link)
    wallet.grant(asked.choose())
    with pytest.raises(Refused):
        wallet.grant(asked.choose())

    first, second = wallet.consent.all()

    assert first.state is ConsentState.ACTIVE
    assert second.state in (ConsentState.ERASURE_PENDING, ConsentState.NOT_GRANTED)
    assert second.usage is None


@pytest.mark.parametrize("language", Language)
def test_everything_is_said_in_each_language(language: Language) -> None:
    said = [
        *(purpose_text(one, language) for one in Purpose),
        *(operation_text(one, language) for one in Operation),
        *(state_text(one, language) for one in ConsentState),
        *(end_text(one, language) for one in Trigger),
        *(lack_text(one, language) for one in Missing),
        *(notable_text(one, language) for one in Notable),
        *(concern_text(one, language) for one in Concern),
    ]

    assert all(said)
    assert len(set(said)) == len(said)
    is_chinese = [any("\u4e00" <= letter <= "\u9fff" for letter in text) for text in said]
    assert set(is_chinese) == {language is Language.CHINESE}


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("zh-Hans-CN", Language.CHINESE),
        ("zh_TW", Language.CHINESE),
        ("ZH", Language.CHINESE),
        ("en-GB", Language.ENGLISH),
        ("zha", Language.ENGLISH),
        ("", Language.ENGLISH),
    ],
)
def test_the_language_is_that_of_the_tag_or_english(tag: str, language: Language) -> None:
    assert Language.of(tag) is language


def test_optional_claims_are_not_shown_as_granted(town: Town, wallet: Wallet) -> None:
    granted(town, wallet)

    assert VALID_UNTIL not in the_one(wallet).claims
