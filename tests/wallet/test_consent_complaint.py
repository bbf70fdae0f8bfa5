"""Before a withdrawal what it does, after it what is owed, and the pack for the authority."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from counterfoil_consent import GrantId
from counterfoil_consent.export_log import read_log
from counterfoil_consent.laws import LAWS, ClaimKind
from counterfoil_consent.papers import Paper
from counterfoil_consent.parties import AuthorityParty
from counterfoil_consent.retention import Duty
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.errors import CounterfoilError, Malformed, Refused, Unavailable
from counterfoil_credentials.keys import MemorySigner
from counterfoil_wallet import AskedTerms, ConsentState, Language, MemoryStore, Wallet, verify_pack
from counterfoil_wallet.grant_states import InForce
from counterfoil_wallet.store import Kind, Record

from tests.conftest import NOON
from tests.wallet.town import CUSTODIAN, SERIAL, VELO, Town

LATER = NOON + timedelta(days=2)
OFFICE = AuthorityParty(did=did_jwk(MemorySigner.generate().public), name="Data Office")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def wallet(town: Town, store: MemoryStore) -> Wallet:
    wallet = town.wallet(store)
    offer = town.offer()
    wallet.accept(offer.link, tx_code=offer.tx_code)
    return wallet


@pytest.fixture
def grant(town: Town, wallet: Wallet) -> InForce:
    wish = replace(town.wish(), authority=OFFICE)
    asked = wallet.asked_terms(town.receiver.request(wish).link)
    return wallet.grant(asked.choose())


@pytest.fixture
def overdue(town: Town, wallet: Wallet, grant: InForce) -> GrantId:
    """Give a grant of which everything was done but the proof of erasure."""
    with town.receiver.read(grant.grant_id, grant.terms.purpose):
        pass
    wallet.consent.suspend(grant.grant_id)
    wallet.consent.resume(grant.grant_id)
    wallet.consent.check()
    town.network.disconnect(VELO)
    wallet.withdraw(grant.grant_id)
    town.clock.advance(timedelta(days=1))
    assert wallet.consent.one(grant.grant_id).state is ConsentState.OVERDUE
    return grant.grant_id


def test_a_withdrawal_is_previewed_and_nothing_is_sent(
    town: Town, wallet: Wallet, grant: InForce
) -> None:
    preview = wallet.consent.preview(grant.grant_id)

    assert (preview.receiver, preview.erased) == ("Velo", (SERIAL,))
    assert preview.may_keep
    assert {law.name for law in preview.may_keep} == {
        law.name for law in LAWS.values() if law.holds_in("EU")
    }
    assert not any(law.place == "CN" for law in preview.may_keep)
    assert wallet.consent.one(grant.grant_id).state is ConsentState.ACTIVE
    with town.receiver.read(grant.grant_id, grant.terms.purpose):
        pass


def test_the_pack_holds_every_paper_and_each_verifies_alone(
    wallet: Wallet, overdue: GrantId
) -> None:
    raw = wallet.consent.complaint(overdue)

    agreement, papers = verify_pack(raw, now=LATER)
    assert agreement.grant_id == overdue
    assert set(papers) == set(Paper) - {Paper.STOP_NOTICE, Paper.ERASURE_RECEIPT}
    pack = json.loads(raw)
    assert pack["missing"] == ["stop_notice", "erasure_receipt"]
    assert pack["authority"] == OFFICE.to_json()
    assert [paper["number"] for paper in pack["papers"]] == [1, 2, 4, 5, 7, 7, 9, 6]
    assert "We fit your next bicycle" in pack["notice"]


@pytest.mark.parametrize(
    ("language", "said"),
    [(Language.ENGLISH, "The proof that my data was erased"), (Language.CHINESE, "删除证明")],
)
def test_the_pack_says_what_is_wrong_in_her_language(
    wallet: Wallet, overdue: GrantId, language: Language, said: str
) -> None:
    pack = json.loads(wallet.consent.complaint(overdue, language))

    assert said in pack["text"]
    assert "Velo" in pack["text"]
    assert "item.serial" in pack["text"]


def test_after_the_proof_the_pack_holds_it_too(
    town: Town, wallet: Wallet, overdue: GrantId
) -> None:
    town.connect()
    wallet.resume()

    raw = wallet.consent.complaint(overdue)
    _, papers = verify_pack(raw, now=LATER)

    assert set(papers) == set(Paper)
    text = json.loads(raw)["text"]
    assert "has not come" not in text
    assert "It proves level E2." in text
    assert "receipt" in text


def test_before_the_proof_is_due_the_pack_does_not_say_that_it_is_overdue(
    town: Town, wallet: Wallet, grant: InForce
) -> None:
    town.network.disconnect(VELO)
    wallet.withdraw(grant.grant_id)

    said = [json.loads(wallet.consent.complaint(grant.grant_id, each))["text"] for each in Language]

    assert "is due by" in said[0]
    assert "was due by" not in said[0]
    assert "至今" not in said[1]


def test_what_a_law_kept_and_nobody_released_is_complained_of(
    town: Town, wallet: Wallet, grant: InForce
) -> None:
    duty = Duty(law="DE AO §147", kind=ClaimKind.PURCHASE, claims=(SERIAL,), event_at=town.clock())
    with town.receiver.read(grant.grant_id, grant.terms.purpose) as facts:
        until = town.receiver.keep(facts, duty).until
    wallet.withdraw(grant.grant_id)
    town.clock.advance(until - town.clock() + timedelta(days=1))
    assert wallet.consent.one(grant.grant_id).may_complain

    text = json.loads(wallet.consent.complaint(grant.grant_id))["text"]

    assert "A law let them keep some of it" in text
    assert f"{until + timedelta(days=1):%Y-%m-%d}" in text


def test_a_changed_paper_is_found(wallet: Wallet, overdue: GrantId) -> None:
    pack = json.loads(wallet.consent.complaint(overdue))
    for number, paper in enumerate(pack["papers"]):
        head, body, *signature = paper["token"].split(".")
        bent = {**pack, "papers": [dict(one) for one in pack["papers"]]}
        flipped = ("B" if body[10] == "A" else "A").join((body[:10], body[11:]))
        bent["papers"][number]["token"] = ".".join((head, flipped, *signature))

        with pytest.raises(CounterfoilError):
            verify_pack(json.dumps(bent).encode(), now=LATER)


def test_the_papers_of_two_grants_are_not_exchanged(
    town: Town, wallet: Wallet, overdue: GrantId
) -> None:
    town.connect()
    other = wallet.grant(wallet.asked_terms(town.receiver.request(town.wish()).link).choose())
    wallet.withdraw(other.grant_id)
    ours = json.loads(wallet.consent.complaint(overdue))
    theirs = json.loads(wallet.consent.complaint(other.grant_id))

    for paper in theirs["papers"]:
        with pytest.raises(CounterfoilError):
            verify_pack(json.dumps({**ours, "papers": [paper]}).encode(), now=LATER)


def test_a_pack_proves_what_was_agreed_by_the_signed_grant_alone(
    wallet: Wallet, overdue: GrantId
) -> None:
    pack = json.loads(wallet.consent.complaint(overdue))
    wider = json.loads(json.dumps(pack))
    wider["agreement"]["terms"]["max_reads"] = 50
    without = {**pack, "papers": [one for one in pack["papers"] if one["name"] != "grant"]}
    assert wider["agreement"]["terms"].keys() == pack["agreement"]["terms"].keys()

    for bent, code in ((wider, "grant-mismatch"), (without, "papers-missing")):
        with pytest.raises(Refused) as refusal:
            verify_pack(json.dumps(bent).encode(), now=LATER)
        assert refusal.value.codes == [code]


@pytest.mark.parametrize("raw", [b"{}", b'{"format":"counterfoil-complaint","version":2}'])
def test_another_file_is_no_pack(raw: bytes) -> None:
    with pytest.raises(Malformed):
        verify_pack(raw, now=LATER)


def test_nothing_is_owed_for_a_grant_in_force(wallet: Wallet, grant: InForce) -> None:
    with pytest.raises(Refused) as refusal:
        wallet.consent.complaint(grant.grant_id)

    assert refusal.value.codes == ["not-ended"]


def test_a_grant_of_an_older_wallet_is_withdrawn_and_has_no_papers(
    wallet: Wallet, store: MemoryStore, grant: InForce
) -> None:
    store.forget(Kind.PAPERS, grant.grant_id)

    assert wallet.consent.suspend(grant.grant_id).state is ConsentState.SUSPENDED
    wallet.withdraw(grant.grant_id)

    assert wallet.consent.one(grant.grant_id).state is ConsentState.ERASED
    with pytest.raises(Refused) as refusal:
        wallet.consent.complaint(grant.grant_id)
    assert refusal.value.codes == ["papers-missing"]


def test_damaged_papers_stop_no_withdrawal_and_hide_no_grant(
    wallet: Wallet, store: MemoryStore, grant: InForce
) -> None:
    store.put(Record(Kind.PAPERS, grant.grant_id, "", b"{"))

    assert wallet.consent.one(grant.grant_id).state is ConsentState.ACTIVE
    assert [(stuck.kind, stuck.key) for stuck in wallet.damaged()] == [
        (Kind.PAPERS, grant.grant_id)
    ]
    wallet.withdraw(grant.grant_id)
    assert wallet.consent.one(grant.grant_id).state is ConsentState.ERASED


def test_every_grant_is_a_record_whatever_became_of_it(
    town: Town, wallet: Wallet, grant: InForce
) -> None:
    def asked() -> AskedTerms:
        return wallet.asked_terms(town.receiver.request(town.wish()).link)

    wallet.consent.suspend(grant.grant_id)
    wallet.withdraw(wallet.grant(asked().choose()).grant_id)
    on_its_way, refused = asked(), asked()
    town.network.disconnect(VELO)
    with pytest.raises(Unavailable):
        wallet.grant(on_its_way.choose())
    town.network.disconnect(CUSTODIAN)
    with pytest.raises(Unavailable):
        wallet.grant(refused.choose())
    wallet.withdraw(wallet.grants()[-1].grant_id)
    states = [type(one).__name__ for one in wallet.grants()]
    assert states == ["InForce", "Proved", "Delivering", "Abandoned"]

    records = wallet.consent.records()

    assert [record["dct:identifier"] for record in records] == [
        one.grant_id for one in wallet.grants()
    ]
    assert "dpv:ConsentUnknown" in json.dumps(records[0])
    log = read_log(wallet.consent.export_log("a passphrase"), "a passphrase")
    assert len(log) >= 4
