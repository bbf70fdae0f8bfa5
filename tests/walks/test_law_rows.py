"""Row J5: what the law wants to know is answered by the services that run, in both laws' terms."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from counterfoil_consent import (
    AuthorityParty,
    Purpose,
    fetch_erasure_receipt,
    send_withdrawal,
    withdraw,
)
from counterfoil_consent.export import ConsentHistory, consent_receipt, consent_record
from counterfoil_consent.export_log import read_log, seal_log, transactions_of
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.encoding import list_at, object_at
from counterfoil_credentials.keys import MemorySigner

from tests.conftest import Clock
from tests.consent.street import CANARIES, KEY, Street

AUTHORITY = AuthorityParty(did=did_jwk(MemorySigner.generate().public), name="The authority")


@pytest.mark.parametrize(
    ("place", "profile", "rights"),
    [
        ("EU", "dpv-27560:record-eu-gdpr", ["eu-gdpr:A7-3", "eu-gdpr:A17", "eu-gdpr:A77"]),
        ("CN", "dpv-27560:record", []),
    ],
)
def test_row_J5_a_receiver_accounts_for_what_it_does_and_a_customer_has_it_in_hand(  # noqa: N802
    clock: Clock,
    random_bytes: Callable[[int], bytes],
    place: str,
    profile: str,
    rights: list[str],
) -> None:
    street = Street(clock, random_bytes, None)
    active, signer = street.granted(jurisdiction=place, authority=AUTHORITY)

    # Records of processing (GDPR 30), from what runs, and for staff alone.
    assert street.brand.get("/consent/desk/processing").status_code == 401
    bearer = {"Authorization": f"Bearer {KEY}"}
    told = street.brand.get("/consent/desk/processing", headers=bearer).json()
    assert place in str(told)
    assert Purpose.PERSONALISED_BENEFITS.value in str(told)

    # She holds what demonstrates her consent (GDPR 7(1), PIPL 14), in the terms of her law.
    history = ConsentHistory.of(active)
    record, receipt = consent_record(history), consent_receipt(history, active.receipt)
    assert record["dct:conformsTo"] == {"@id": profile}
    process = object_at(record, "dpv:hasProcess", "record")
    listed = [str(right) for right in list_at(process, "dpv:hasRight", "process")]
    assert len(listed) == 3
    assert all(name in right for name, right in zip(rights, listed, strict=False))
    assert AUTHORITY.did in str(process)

    # She takes it back (GDPR 7(3), 17; PIPL 15, 47), and nothing runs any more.
    clock.advance(timedelta(days=1))
    withdrawal = withdraw(active, signer=signer, now=clock(), random=random_bytes)
    send_withdrawal(withdrawal, fetcher=street.fetcher)
    proof = fetch_erasure_receipt(active.agreement, fetcher=street.fetcher, now=clock())
    assert street.receiver.desk().processing() == ()

    # And takes it along (GDPR 20, PIPL 45).
    log = transactions_of(ConsentHistory.of(proof.erased))
    file = seal_log(log, "a passphrase", random=random_bytes, iterations=1_000)
    kinds = [entry["transactionType"] for entry in read_log(file, "a passphrase")]
    assert kinds == ["Presentation", "DataDeletionRequest", "OtherTransaction"]
    everything = f"{told} {record} {receipt} {[each.to_json() for each in log]}"
    assert not [value for value in CANARIES if value in everything]
