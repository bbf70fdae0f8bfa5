"""Refuse, hide, put off, narrow: what a receiver hears, and what it does not."""

from dataclasses import replace
from datetime import date, timedelta
from urllib.parse import parse_qs

import pytest
from counterfoil_consent import ClaimName, ClaimTerm, Necessity, Purpose
from counterfoil_consent.parties import RecipientParty
from counterfoil_consent.spec import REFUSAL_CLASSES
from counterfoil_consent.terms import Operation
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.keys import MemorySigner
from counterfoil_wallet import (
    Act,
    AskedTerms,
    AskingPolicy,
    Concern,
    Declined,
    GrantChoice,
    MemoryStore,
    RefusalClass,
    Trust,
    Verifier,
    Wallet,
)

from tests.wallet.town import (
    CUSTODIAN,
    SERIAL,
    VALID_UNTIL,
    VELO,
    WARRANTY_TYPE,
    Killed,
    Town,
    Wire,
)

DAY = timedelta(days=1)


@pytest.fixture
def wire(town: Town) -> Wire:
    return Wire(town.network)


@pytest.fixture
def wallet(town: Town, wire: Wire) -> Wallet:
    """Give a wallet that holds the receipt and the warranty of one order."""
    wallet = town.wallet(MemoryStore(), wire)
    offer = town.offer()
    wallet.accept(offer.link, tx_code=offer.tx_code)
    wire.sent.clear()
    return wallet


def asked(town: Town, wallet: Wallet, **changes: object) -> AskedTerms:
    wish = replace(town.wish(), **changes)  # type: ignore[arg-type]  # the tests name fields of Wish
    return wallet.asked_terms(town.receiver.request(wish).link)


def answers(wire: Wire) -> list[dict[str, list[str]]]:
    return [parse_qs(body.decode()) for method, _, body in wire.sent if method == "POST"]


def codes(refusal: pytest.ExceptionInfo[Refused]) -> set[str]:
    return set(refusal.value.codes)


# Refuse.


@pytest.mark.parametrize("why", [None, *RefusalClass])
def test_the_receiver_hears_no_and_the_class_of_the_reason_alone(
    town: Town, wallet: Wallet, wire: Wire, why: RefusalClass | None
) -> None:
    opened = town.receiver.request(town.wish())

    said = wallet.consent.refuse(wallet.asked_terms(opened.link), why)

    (told,) = answers(wire)
    reason = {} if why is None else {"error_description": [why.value]}
    assert told == {"error": ["access_denied"], **reason}
    assert said == Declined(is_heard=True, redirect_uri=None)
    # The receiver has let go of the request and of the key that was made for it.
    with pytest.raises(Refused) as refusal:
        town.receiver.answer_to(opened.request_id)
    assert codes(refusal) == {"request-unknown"}
    assert wallet.history()[-1].act is Act.DECLINED


def test_the_classes_are_the_ones_that_receivers_know() -> None:
    assert {one.value for one in RefusalClass} == set(REFUSAL_CLASSES)


def test_to_each_request_there_is_one_answer(town: Town, wallet: Wallet) -> None:
    terms = asked(town, wallet)
    wallet.consent.refuse(terms)

    for answer in (
        lambda: wallet.consent.refuse(terms),
        lambda: wallet.grant(terms.choose()),
        lambda: wallet.consent.defer(terms),
    ):
        with pytest.raises(Refused) as refusal:
            answer()
        assert codes(refusal) == {"already-declined"}
    assert wallet.grants() == []


def test_a_no_that_nobody_heard_stands(town: Town, wallet: Wallet) -> None:
    terms = asked(town, wallet)
    town.network.disconnect(VELO)

    assert wallet.consent.refuse(terms) == Declined(is_heard=False, redirect_uri=None)
    town.connect()
    with pytest.raises(Refused) as refusal:
        wallet.grant(terms.choose())
    assert codes(refusal) == {"already-declined"}


def test_a_no_after_a_grant_ends_nothing(town: Town, wallet: Wallet, wire: Wire) -> None:
    opened = town.receiver.request(town.wish())
    terms = wallet.asked_terms(opened.link)
    grant = wallet.grant(terms.choose())

    wallet.consent.refuse(terms)

    with town.receiver.read(grant.grant_id, grant.terms.purpose) as facts:
        assert facts.names == {SERIAL}
    answered = town.receiver.answer_to(opened.request_id)
    assert answered is not None
    assert answered.grant_id == grant.grant_id


# Hide: attack 14 stands in test_consent_attacks.py.


def test_a_hidden_request_shows_what_an_empty_wallet_shows(town: Town, wallet: Wallet) -> None:
    opened = town.receiver.request(town.wish())
    empty = town.wallet(MemoryStore())

    assert wallet.asked_terms(opened.link).hidden() == empty.asked_terms(opened.link)
    with pytest.raises(Refused) as refusal:
        wallet.asked_terms(opened.link).hidden().choose()
    assert codes(refusal) == {"nothing-answers"}


# Put off.


def test_what_was_put_off_is_come_back_to_without_asking_anybody(
    town: Town, wallet: Wallet, wire: Wire
) -> None:
    terms = asked(town, wallet)
    waiting = wallet.consent.defer(terms)
    wire.sent.clear()
    town.clock.advance(timedelta(minutes=10))

    assert wallet.consent.waiting() == (waiting,)
    again = wallet.consent.come_back(waiting.waiting_id)

    assert wire.sent == []
    assert (again.asked, again.notice, again.asker) == (terms.asked, terms.notice, terms.asker)
    grant = wallet.grant(again.choose())
    assert grant.terms.claim_names == {SERIAL}
    assert wallet.consent.waiting() == ()


def test_what_was_put_off_lapses_with_its_request(town: Town, wallet: Wallet) -> None:
    waiting = wallet.consent.defer(asked(town, wallet))
    town.clock.advance(timedelta(minutes=15))

    assert wallet.consent.waiting() == ()
    with pytest.raises(Refused) as refusal:
        wallet.consent.come_back(waiting.waiting_id)
    assert codes(refusal) <= {"request-expired"}
    wallet.resume()
    with pytest.raises(Refused) as refusal:
        wallet.consent.come_back(waiting.waiting_id)
    assert codes(refusal) == {"request-unknown"}


def test_what_was_put_off_outlives_a_restart_and_is_refused_like_any_other(
    town: Town, wire: Wire
) -> None:
    store = MemoryStore()
    waiting = (first := town.wallet(store, wire)).consent.defer(asked(town, first))
    later = town.wallet(store, wire)

    (found,) = later.consent.waiting()
    later.consent.refuse(later.consent.come_back(found.waiting_id), RefusalClass.PURPOSE)

    assert found == waiting
    assert later.consent.waiting() == ()


# Narrow.


def carrier(name: str) -> RecipientParty:
    return RecipientParty(
        did=did_jwk(MemorySigner.generate().public),
        name=name,
        endpoint=f"https://{name}.example/ends/{{grant_id}}",
    )


def test_she_grants_fewer_claims_fewer_recipients_a_sooner_end_and_fewer_reads(
    town: Town, wallet: Wallet
) -> None:
    one, other = carrier("one"), carrier("other")
    terms = asked(
        town, wallet, recipients=(one, other), operations=(Operation.USE, Operation.SHARE)
    )
    sooner = town.clock() + 3 * DAY

    grant = wallet.grant(terms.choose(recipients=[one.did], valid_until=sooner, max_reads=2))

    assert grant.terms.claim_names == {SERIAL} < terms.terms.claim_names
    assert (grant.terms.recipients, grant.terms.max_reads) == ((one,), 2)
    assert (grant.terms.valid_until, terms.terms.recipients) == (sooner, (one, other))


def test_without_recipients_nothing_may_be_handed_on(town: Town, wallet: Wallet) -> None:
    terms = asked(
        town, wallet, recipients=(carrier("one"),), operations=(Operation.USE, Operation.SHARE)
    )

    grant = wallet.grant(terms.choose(recipients=[]))

    assert (grant.terms.recipients, grant.terms.operations) == ((), (Operation.USE,))


# The policy.


def concerns(terms: AskedTerms) -> set[Concern]:
    return {one.concern for one in terms.judgement.excess}


def test_a_plain_request_is_not_too_much(town: Town, wallet: Wallet) -> None:
    assert asked(town, wallet).judgement.excess == ()


def test_everything_on_a_card_is_too_much_until_she_names_it(town: Town, wallet: Wallet) -> None:
    (card,) = [one for one in wallet.credentials() if one.vct == WARRANTY_TYPE]
    frame = {"iss", "vct", "iat", "exp", "cnf", "status"}
    names = [ClaimName(WARRANTY_TYPE, (name,)) for name in sorted(card.claims.keys() - frame)]
    every = [ClaimTerm(name=name, necessity=Necessity.REQUIRED, retain_days=30) for name in names]

    terms = asked(town, wallet, claims=every)

    assert concerns(terms) == {Concern.WHOLE_CARD}
    with pytest.raises(Refused) as refusal:
        terms.choose()
    assert codes(refusal) == {"over-asking"}
    assert wallet.grant(terms.choose(names)).terms.claim_names == set(names)
    assert concerns(asked(town, wallet, claims=every[:-1])) == set()


@pytest.mark.parametrize(
    ("purpose", "days", "is_long"),
    [
        (Purpose.DIRECT_MARKETING, 93, True),
        (Purpose.DIRECT_MARKETING, 92, False),
        (Purpose.REPAIR, 200, False),
    ],
)
def test_longer_than_the_purpose_takes_is_too_much(
    town: Town, wallet: Wallet, *, purpose: Purpose, days: int, is_long: bool
) -> None:
    claims = [replace(claim, retain_days=300) for claim in town.wish().claims]

    terms = asked(town, wallet, purpose=purpose, valid_for=days * DAY, claims=claims)

    assert (Concern.LONG in concerns(terms)) is is_long


def test_a_profile_and_a_date_of_birth_are_shown_as_too_much(town: Town, wallet: Wallet) -> None:
    birthday = ClaimName(WARRANTY_TYPE, ("buyer", "birthdate"))
    claims = [
        *town.wish().claims,
        ClaimTerm(name=birthday, necessity=Necessity.OPTIONAL, retain_days=30),
    ]
    terms = asked(town, wallet, claims=claims, operations=(Operation.USE, Operation.PROFILING))

    assert concerns(terms) == {Concern.BIRTHDAY, Concern.PROFILE}
    assert terms.judgement.off == {birthday}


@pytest.mark.parametrize("days", [0, 1])
def test_what_is_not_asked_of_minors_is_refused_until_the_day(
    town: Town, wallet: Wallet, days: int
) -> None:
    today: date = town.clock().date()
    wallet.consent.set_policy(AskingPolicy(adult_from=today + days * DAY))

    terms = asked(town, wallet)

    assert (Concern.MINOR in concerns(terms)) is bool(days)
    if days:
        with pytest.raises(Refused) as refusal:
            terms.choose([VALID_UNTIL])
        assert codes(refusal) == {"refused-by-policy"}
    else:
        wallet.grant(terms.choose())


def test_the_policy_is_kept(town: Town, wire: Wire) -> None:
    store, day = MemoryStore(), date(2030, 1, 1)
    town.wallet(store, wire).consent.set_policy(AskingPolicy(adult_from=day))

    assert town.wallet(store, wire).consent.policy().adult_from == day


def test_a_claim_that_was_not_registered_is_too_much(town: Town, wire: Wire) -> None:
    client_id = town.receiver.party.client_id
    trust = Trust(
        verifiers={client_id: Verifier(name="Velo", may_ask={WARRANTY_TYPE: []})},
        custodians={CUSTODIAN: town.custodian.party.did},
    )
    wallet = Wallet(MemoryStore(), fetcher=wire, clock=town.clock, trust=trust)

    terms = asked(town, wallet)

    assert concerns(terms) == {Concern.BEYOND_REGISTRATION}
    assert terms.beyond == terms.terms.claim_names


@pytest.mark.parametrize("is_sent", [False, True])
def test_a_no_that_was_cut_short_is_a_no(town: Town, wire: Wire, *, is_sent: bool) -> None:
    store = MemoryStore()
    opened = town.receiver.request(town.wish())
    terms = town.wallet(store, wire).asked_terms(opened.link)
    cut = Wire(town.network, cut_at=1, cut_after_sending=is_sent)

    with pytest.raises(Killed):
        town.wallet(store, cut).consent.refuse(terms)

    later = town.wallet(store, wire)
    assert [event.act for event in later.history()] == [Act.DECLINED]
    with pytest.raises(Refused) as refusal:
        later.grant(_choice(town, terms))
    assert codes(refusal) == {"already-declined"}


def _choice(town: Town, terms: AskedTerms) -> GrantChoice:
    return GrantChoice(
        asker=terms.asker,
        asked=terms.asked,
        signed=terms.signed,
        at=town.clock(),
        claims=frozenset({SERIAL}),
        recipients=None,
        valid_until=None,
        max_reads=None,
        disclosures=(),
    )
