"""Attacks of the design's table that the customer's side has to stop, by their numbers.

1 over-asking, 3 bait notice, 4 replay, 12 fake withdrawal, 13 lost phone, 14 coercion at
the counter, 17 receipts as new personal data, 21 minors, 22 points for consent. The others
stand in tests/consent, 8 in test_consent_custody.py.
"""

import json
from base64 import urlsafe_b64decode
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
from counterfoil_consent import Operation, Purpose, Trigger
from counterfoil_consent.events import sign_end
from counterfoil_consent.incentive import Incentive
from counterfoil_consent.terms import Terms, parse_transaction_data
from counterfoil_credentials.claims import values_at
from counterfoil_credentials.encoding import Json as JsonValue
from counterfoil_credentials.encoding import b64url, texts_at
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.fetch import Response
from counterfoil_credentials.keys import MemorySigner
from counterfoil_wallet import (
    AskedTerms,
    AskingPolicy,
    Concern,
    ConsentState,
    Matches,
    MemoryStore,
    Trust,
    Verifier,
    Wallet,
    read_standby_file,
)
from counterfoil_wallet.grant_states import InForce
from counterfoil_wallet.store import Kind

from tests.issuer.brand import AUDIO
from tests.wallet.conformance.emulated_verifier import EmulatedVerifier, Json, Variant
from tests.wallet.test_presenting_grants import asked_by
from tests.wallet.town import (
    CUSTODIAN,
    SERIAL,
    VALID_UNTIL,
    VELO,
    WARRANTY_TYPE,
    Town,
    Wire,
    always,
)


@pytest.fixture
def wire(town: Town) -> Wire:
    return Wire(town.network)


def stocked(town: Town, wire: Wire, store: MemoryStore | None = None) -> Wallet:
    """Give a wallet that holds the receipt and the warranty of one order."""
    wallet = town.wallet(MemoryStore() if store is None else store, wire)
    offer = town.offer()
    wallet.accept(offer.link, tx_code=offer.tx_code)
    wire.sent.clear()
    return wallet


@pytest.fixture
def wallet(town: Town, wire: Wire) -> Wallet:
    return stocked(town, wire)


def granted(town: Town, wallet: Wallet) -> InForce:
    return wallet.grant(wallet.asked_terms(town.receiver.request(town.wish()).link).choose())


def can_read(town: Town, grant: InForce) -> bool:
    try:
        with town.receiver.read(grant.grant_id, grant.terms.purpose):
            return True
    except Refused:
        return False


# 1.


def test_attack_01_over_asking_is_shown_and_nothing_of_it_is_granted_unnamed(
    town: Town, wire: Wire
) -> None:
    client_id = town.receiver.party.client_id
    store = MemoryStore()
    stocked(town, wire, store)
    known = Verifier(name="Velo", may_ask={WARRANTY_TYPE: [VALID_UNTIL.path]})
    trust = Trust(verifiers={client_id: known}, custodians={CUSTODIAN: town.custodian.party.did})
    wallet = Wallet(store, fetcher=wire, clock=town.clock, random=town.random, trust=trust)

    asked = wallet.asked_terms(town.receiver.request(town.wish()).link)

    (excess,) = asked.judgement.excess
    assert (excess.concern, excess.claims) == (Concern.BEYOND_REGISTRATION, (SERIAL,))
    with pytest.raises(Refused) as refusal:
        asked.choose()
    assert refusal.value.codes == ["beyond-registration"]
    assert [method for method, _, _ in wire.sent] == ["GET", "GET"]


def test_attack_01_optional_claims_are_off(town: Town, wallet: Wallet) -> None:
    assert granted(town, wallet).terms.claim_names == {SERIAL}


@pytest.mark.parametrize("purpose", ["dpv:SellDataToThirdParties", "dpv:SellDataToDataSubject"])
def test_attack_01_nobody_can_ask_to_sell_and_is_told_so(
    town: Town, wallet: Wallet, purpose: str
) -> None:
    asking = EmulatedVerifier(
        town.network, town.clock, Variant("decentralized_identifier", mode="direct_post")
    )
    asked = asked_by(town).to_claims()

    def bend(claims: Json) -> Json:
        (element,) = texts_at(asked, "transaction_data", "request")
        terms = json.loads(urlsafe_b64decode(f"{element}=="))
        sold = b64url(json.dumps({**terms, "purpose": purpose}).encode())
        return {**claims, "dcql_query": asked["dcql_query"], "transaction_data": [sold]}

    asking.bend = bend
    with pytest.raises(Malformed) as error:
        wallet.asked_terms(asking.link())

    assert error.value.where.endswith("purpose")
    assert asking.answers == [{"error": "invalid_transaction_data"}]


# 3.


def test_attack_03_a_bait_notice_is_never_shown(town: Town, wallet: Wallet, wire: Wire) -> None:
    opened = town.receiver.request(town.wish())
    honest = town.network
    assert wallet.asked_terms(opened.link).notice == town.wish().notice.text

    class Bait(Wire):
        """The notice's server shows another text than the one whose digest is signed."""

        def get(self, url: str, **named: Any) -> Response:  # noqa: ANN401  # passed on as it is
            answer = super().get(url, **named)
            is_notice = "/notices/" in url
            return Response(200, "text/plain", b"We only say hello.", {}) if is_notice else answer

    baited = town.wallet(MemoryStore(), Bait(honest))
    with pytest.raises(Refused) as refusal:
        baited.asked_terms(opened.link)
    assert refusal.value.codes == ["notice-mismatch"]


def test_attack_03_the_text_that_she_saw_is_kept_word_for_word(town: Town, wallet: Wallet) -> None:
    grant = granted(town, wallet)
    town.network.serve(VELO, always(Response(200, "text/plain", b"Other words.", {})))
    wallet.withdraw(grant.grant_id)

    pack = json.loads(wallet.consent.complaint(grant.grant_id))

    assert pack["notice"] == town.wish().notice.text


# 4.


def test_attack_04_a_withdrawn_grant_sent_again_is_refused_everywhere(
    town: Town, wire: Wire
) -> None:
    wallet = stocked(town, wire)
    grant = granted(town, wallet)
    sent = [(url, body) for method, url, body in wire.sent if method == "POST"]
    wallet.withdraw(grant.grant_id)

    for url, body in sent:
        kind = "application/x-www-form-urlencoded" if b"vp_token" in body else "application/jwt"
        answer = town.network.post(url, body, media_type=kind)
        assert answer.status in (400, 403, 409), url
    assert not can_read(town, grant)
    assert wallet.consent.one(grant.grant_id).state is ConsentState.ERASED


def test_attack_04_one_request_makes_one_grant(town: Town, wallet: Wallet) -> None:
    asked = wallet.asked_terms(town.receiver.request(town.wish()).link)
    first = wallet.grant(asked.choose())

    with pytest.raises(Refused) as refusal:
        wallet.grant(asked.choose())

    assert refusal.value.codes == ["request-already-answered"]
    assert can_read(town, first)


# 12.


def test_attack_12_nobody_but_the_holder_withdraws(town: Town, wallet: Wallet) -> None:
    grant = granted(town, wallet)
    (standby,) = read_standby_file(wallet.consent.stand_by())
    forged = [
        sign_end(
            grant.active.agreement,
            Trigger.WITHDRAWN,
            signer=signer,
            now=town.clock(),
            random=town.random,
        )
        for signer in (MemorySigner.generate(), town.audio_signer)
    ]

    # What a recovery contact or a second device holds can only suspend.
    for token in (*forged, standby.token):
        for party in (town.custodian, town.receiver):
            with pytest.raises(Refused) as refusal:
                party.end(grant.grant_id, token)
            assert refusal.value.codes == ["signed-by-another"]
    assert can_read(town, grant)


# 13.


def test_attack_13_a_lost_phone_reads_on_for_nobody(town: Town, wallet: Wallet) -> None:
    grant = granted(town, wallet)
    file = wallet.consent.stand_by()
    del wallet

    for standby in read_standby_file(file):
        standby.use(town.network)

    assert not can_read(town, grant)
    # And the time of the grant goes on: nobody has to find the phone again.
    town.clock.advance(timedelta(days=30))
    town.receiver.end_due()
    with pytest.raises(Refused) as refusal:
        town.receiver.accept_bundle(grant.grant_id, b"{}")
    assert refusal.value.codes


def test_attack_13_keys_are_of_one_grant_each(town: Town, wallet: Wallet) -> None:
    one, other = granted(town, wallet), granted(town, wallet)

    assert one.active.agreement.holder != other.active.agreement.holder


# 14.


@pytest.mark.parametrize("kind", ["terms", "presentation"])
def test_attack_14_hiding_is_what_a_wallet_with_nothing_does(
    town: Town, wire: Wire, kind: str
) -> None:
    links = {
        "terms": lambda: town.receiver.request(town.wish()).link,
        "presentation": lambda: town.counter.ask("warranty").link,
    }

    def hide(wallet: Wallet) -> tuple[object, ...]:
        wire.sent.clear()
        link = links[kind]()
        asked: AskedTerms | Matches
        asked = wallet.asked_terms(link) if kind == "terms" else wallet.matches(link)
        said = wallet.consent.hide(asked)
        # The calls in their order, and the answer byte for byte; ids of requests differ.
        calls = [(method, url.rsplit("/", 1)[0]) for method, url, _ in wire.sent]
        ((_, _, body),) = [one for one in wire.sent if one[0] == "POST"]
        answered = {
            name: ["…"] if name == "state" else value
            for name, value in parse_qs(body.decode()).items()
        }
        event = wallet.history()[-1]
        told = (event.act, event.outcome, event.detail, event.types, event.claims, event.party)
        return said, calls, answered, told, [one.state for one in wallet.consent.all()]

    assert hide(stocked(town, wire)) == hide(town.wallet(MemoryStore(), wire))


# 17.


def test_attack_17_no_paper_holds_a_value_and_no_two_parties_share_a_name_of_hers(
    town: Town, wire: Wire
) -> None:
    store = MemoryStore()
    wallet = stocked(town, wire, store)
    grants = [granted(town, wallet), granted(town, wallet)]
    for grant in grants:
        assert can_read(town, grant)
        wallet.consent.check()
        wallet.consent.suspend(grant.grant_id)
        wallet.withdraw(grant.grant_id)
    # Values that say something; the types' names are the issuer's and no secret.
    values = {
        str(value)
        for card in wallet.credentials()
        for value in leaves(card.claims)
        if len(str(value)) > 6 and not str(value).startswith(AUDIO)
    }
    (warranty,) = [card for card in wallet.credentials() if card.vct == WARRANTY_TYPE]
    assert {str(value) for value in values_at(warranty.claims, SERIAL.path)} <= values

    files = [
        *(wallet.consent.complaint(grant.grant_id) for grant in grants),
        *(record.body for kind in (Kind.PAPERS, Kind.EVENT) for record in store.find(kind)),
    ]
    for file in files:
        text = file.decode()
        opened = text + "".join(_decoded(part) for part in text.replace('"', ".").split("."))
        assert {value for value in values if value in opened} == set()
    holders = [grant.active.agreement.holder for grant in grants]
    assert holders[0] not in files[1].decode()
    assert holders[1] not in files[0].decode()


def leaves(value: JsonValue) -> list[JsonValue]:
    if isinstance(value, dict):
        return [leaf for one in value.values() for leaf in leaves(one)]
    if isinstance(value, list):
        return [leaf for one in value for leaf in leaves(one)]
    return [value]


def _decoded(part: str) -> str:
    try:
        return urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode("utf-8", "replace")
    except ValueError:
        return ""


# 21.


@pytest.mark.parametrize(
    ("purpose", "operations", "is_refused"),
    [
        (Purpose.DIRECT_MARKETING, (Operation.USE,), True),
        (Purpose.RECOMMENDATIONS, (Operation.USE,), True),
        (Purpose.PERSONALISED_BENEFITS, (Operation.USE,), True),
        (Purpose.USAGE_ANALYTICS, (Operation.USE,), True),
        (Purpose.REPAIR, (Operation.USE, Operation.PROFILING), True),
        (Purpose.REPAIR, (Operation.USE,), False),
        (Purpose.AGE_VERIFICATION, (Operation.USE,), False),
    ],
)
def test_attack_21_what_is_not_asked_of_minors_is_refused(
    town: Town,
    wallet: Wallet,
    purpose: Purpose,
    operations: tuple[Operation, ...],
    is_refused: bool,  # noqa: FBT001  # pytest names it
) -> None:
    adult_from = town.clock().date() + timedelta(days=365)
    wallet.consent.set_policy(AskingPolicy(adult_from=adult_from))
    wish = replace(town.wish(), purpose=purpose, operations=operations)
    asked = wallet.asked_terms(town.receiver.request(wish).link)

    if not is_refused:
        assert wallet.grant(asked.choose()).terms.purpose is purpose
        return
    with pytest.raises(Refused) as refusal:
        asked.choose()
    assert set(refusal.value.codes) == {"refused-by-policy"}
    assert wallet.grants() == []


# 22.

OFFER = Incentive(points=500, rule="https://velo.example/rules/consent")


def test_attack_22_what_is_offered_is_shown_and_stays_hers_after_a_withdrawal(
    town: Town, wallet: Wallet
) -> None:
    wish = replace(town.wish(), incentive=OFFER)
    asked = wallet.asked_terms(town.receiver.request(wish).link)
    assert asked.terms.incentive == OFFER

    # Fewer facts and a sooner end change nothing about it.
    sooner = town.clock() + timedelta(days=1)
    grant = wallet.grant(asked.choose(valid_until=sooner, max_reads=1))
    assert grant.terms.incentive == OFFER
    preview = wallet.consent.preview(grant.grant_id)
    assert preview.stays_hers == OFFER

    wallet.withdraw(grant.grant_id)
    after = wallet.consent.one(grant.grant_id)
    assert (after.state, after.incentive) == (ConsentState.ERASED, OFFER)


@pytest.mark.parametrize(
    "offer",
    [
        {**OFFER.to_json(), "claw_back": True},
        {**OFFER.to_json(), "forfeited_on_withdrawal": 500},
        {**OFFER.to_json(), "points": 0},
        {**OFFER.to_json(), "points": -1},
        {**OFFER.to_json(), "points": 1.5},
        {**OFFER.to_json(), "rule": "ask at the counter"},
        {"points": 500},
    ],
)
def test_attack_22_there_are_no_words_for_taking_points_back(
    town: Town, offer: dict[str, Any]
) -> None:
    terms = Terms.from_json(asked_terms_json(town))
    assert terms.incentive is None

    with pytest.raises(Malformed):
        Terms.from_json({**asked_terms_json(town), "incentive": offer})


def test_attack_22_a_grant_does_not_give_itself_points(town: Town) -> None:
    asked = Terms.from_json(asked_terms_json(town))
    richer = replace(asked, incentive=OFFER)

    assert {reason.code for reason in richer.widening_reasons(asked)} == {"terms-differ"}
    assert {reason.code for reason in asked.widening_reasons(richer)} == {"terms-differ"}


def test_attack_22_more_than_a_free_choice_bears_is_refused(town: Town, wallet: Wallet) -> None:
    for points, is_refused in ((10_000, False), (10_001, True)):
        offer = replace(OFFER, points=points)
        wish = replace(town.wish(), incentive=offer)
        asked = wallet.asked_terms(town.receiver.request(wish).link)
        assert (Concern.BRIBE in {one.concern for one in asked.judgement.excess}) is is_refused
        assert bool(asked.judgement.refused) is is_refused


def asked_terms_json(town: Town) -> dict[str, Any]:
    (element,) = texts_at(asked_by(town).to_claims(), "transaction_data", "request")
    terms, _ = parse_transaction_data(element)
    return dict(terms.to_json())
