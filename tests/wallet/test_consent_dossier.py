"""What a wallet hands an auditor: signed papers of every grant, and no value."""

from dataclasses import replace
from datetime import timedelta

import pytest
from counterfoil_consent.audit import audit
from counterfoil_consent.audit_evidence import Evidence, Status
from counterfoil_consent.audit_scan import spellings
from counterfoil_consent.dossier import CustomerDossier
from counterfoil_consent.papers import Paper
from counterfoil_credentials.encoding import compact_json
from counterfoil_wallet import MemoryStore, Wallet
from counterfoil_wallet.grant_states import InForce

from tests.wallet.town import SERIAL, VELO, Town


@pytest.fixture
def wallet(town: Town) -> Wallet:
    wallet = town.wallet(MemoryStore())
    offer = town.offer()
    wallet.accept(offer.link, tx_code=offer.tx_code)
    return wallet


@pytest.fixture
def grant(town: Town, wallet: Wallet) -> InForce:
    grant = wallet.grant(wallet.asked_terms(town.receiver.request(town.wish()).link).choose())
    with town.receiver.read(grant.grant_id, grant.terms.purpose):
        pass
    wallet.consent.suspend(grant.grant_id)
    wallet.consent.resume(grant.grant_id)
    wallet.consent.check()
    return grant


def handed_over(wallet: Wallet) -> CustomerDossier:
    """Give the dossier as the auditor reads it."""
    return CustomerDossier.from_bytes(compact_json(wallet.consent.dossier().to_json()))


def statuses(town: Town, dossier: CustomerDossier) -> dict[int, Status]:
    found = audit(Evidence(now=town.clock(), customer=dossier))
    return {each.number: each.status for each in found}


def test_the_wallets_papers_are_good_before_and_after_the_end(
    town: Town, wallet: Wallet, grant: InForce
) -> None:
    (shown,) = handed_over(wallet).grants
    assert set(shown.papers) == {
        *(Paper.REQUEST, Paper.GRANT, Paper.RECEIPT, Paper.USAGE, Paper.PAUSE),
    }
    assert len(shown.events) == 1
    found = statuses(town, handed_over(wallet))
    assert found[5] is found[14] is Status.OK
    # Of the others nothing is known without the receiver's and the custodian's word.
    assert Status.FAILED not in found.values()

    wallet.withdraw(grant.grant_id)

    (shown,) = handed_over(wallet).grants
    assert set(shown.papers) == set(Paper)
    found = statuses(town, handed_over(wallet))
    assert found[5] is found[6] is found[7] is found[14] is Status.OK
    assert Status.FAILED not in found.values()


@pytest.mark.parametrize("by", ["the receiver", "the clock"])
def test_the_record_of_a_grant_that_somebody_else_ended_is_good_before_its_receipt(
    town: Town, wallet: Wallet, grant: InForce, by: str
) -> None:
    if by == "the receiver":
        town.receiver.complete(grant.grant_id)
    else:
        town.clock.advance(timedelta(days=31))
    town.network.disconnect(VELO)
    wallet.consent.check()

    (shown,) = handed_over(wallet).grants

    assert not {Paper.END, Paper.ERASURE_RECEIPT} & shown.papers.keys()
    assert "dpv:ConsentExpired" in str(shown.record)
    assert statuses(town, handed_over(wallet))[14] is Status.OK


def test_a_request_or_a_grant_of_another_is_found_among_the_papers(
    town: Town, wallet: Wallet, grant: InForce
) -> None:
    wallet.grant(wallet.asked_terms(town.receiver.request(town.wish()).link).choose())
    first, second = handed_over(wallet).grants
    for paper in (Paper.REQUEST, Paper.GRANT, Paper.RECEIPT):
        mixed = replace(first, papers={**first.papers, paper: second.papers[paper]})
        assert statuses(town, CustomerDossier(made_at=town.clock(), grants=(mixed,)))[5] is (
            Status.FAILED
        )


def test_no_value_is_in_a_dossier_in_any_spelling(
    town: Town, wallet: Wallet, grant: InForce
) -> None:
    with town.receiver.read(grant.grant_id, grant.terms.purpose) as facts:
        serial = str(facts.one(SERIAL))
    raw = compact_json(wallet.consent.dossier().to_json())

    assert len(serial) > 6
    assert not [spelling for spelling in spellings(serial) if spelling in raw]
