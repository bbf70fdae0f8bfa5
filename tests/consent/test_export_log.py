"""The customer's log opens under its passphrase, here and in others' JOSE, and holds no value."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Final, LiteralString, cast

import pytest
from counterfoil_consent import Active, Level
from counterfoil_consent.export import ConsentEvent, ConsentHistory, ConsentStatus
from counterfoil_consent.export_log import (
    ITERATIONS,
    Transaction,
    TransactionType,
    read_log,
    seal_log,
    transactions_of,
)
from counterfoil_credentials.encoding import JsonObject, b64url, from_b64url
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from hypothesis import given
from hypothesis import strategies as st
from jwcrypto.jwe import JWE  # type: ignore[import-untyped]  # it ships no types
from jwcrypto.jwk import JWK  # type: ignore[import-untyped]  # it ships no types

from tests.consent.street import CANARIES, PRODUCT, WARRANTY, Street

Random = Callable[[int], bytes]
PASSPHRASE = "correct horse battery stäple"
# Others' libraries refuse many more; ours takes what is usual today.
FEW = 8_192
PBES2: Final[list[LiteralString]] = ["PBES2-HS256+A128KW", "A128GCM"]


@pytest.fixture
def active(street_in_memory: Street) -> Active:
    grant, _ = street_in_memory.granted()
    return grant


@pytest.fixture
def transactions(street_in_memory: Street, active: Active) -> list[Transaction]:
    at = street_in_memory.clock.advance(timedelta(days=1))
    by = active.agreement.holder
    pause = ConsentEvent(status=ConsentStatus.PAUSED, at=at, by=by)
    return transactions_of(ConsentHistory.of(active.withdraw(at).erase(at, Level.E2), [pause]))


def key_of(passphrase: str) -> JWK:
    return JWK(kty="oct", k=b64url(passphrase.encode()))


def test_a_log_comes_back_as_it_was(transactions: list[Transaction], random_bytes: Random) -> None:
    file = seal_log(transactions, PASSPHRASE, random=random_bytes)

    assert read_log(file, PASSPHRASE) == [each.to_json() for each in transactions]
    header = json.loads(from_b64url(file.partition(".")[0], "header"))
    assert (header["alg"], header["enc"], header["p2c"]) == (*PBES2, ITERATIONS)


def test_each_thing_that_happened_is_an_entry(
    transactions: list[Transaction], active: Active
) -> None:
    spelled = [each.to_json() for each in transactions]

    assert [entry["transactionType"] for entry in spelled] == [
        "Presentation",
        "OtherTransaction",
        "DataDeletionRequest",
        "OtherTransaction",
    ]
    assert len({str(entry["transactionIdentifier"]) for entry in spelled}) == len(spelled)
    given = cast("JsonObject", spelled[0]["presentation"])
    assert given["interactingPartyName"] == active.agreement.terms.receiver.name
    assert {"credentialIdentifier": WARRANTY, "claims": [str(PRODUCT)]} in cast(
        "list[JsonObject]", given["listOfClaimsPresented"]
    )


def test_no_claim_value_is_in_a_log(transactions: list[Transaction]) -> None:
    text = str([each.to_json() for each in transactions])

    assert not [value for value in CANARIES if value in text]


def test_a_refusal_stands_in_the_log_as_not_completed(
    street_in_memory: Street, active: Active
) -> None:
    event = ConsentEvent(
        status=ConsentStatus.REFUSED, at=street_in_memory.clock(), by=active.agreement.holder
    )
    history = ConsentHistory(
        grant_id=active.agreement.grant_id, terms=active.agreement.terms, events=(event,)
    )

    (entry,) = transactions_of(history)

    spelled = entry.to_json()
    body = cast("JsonObject", spelled["presentation"])
    assert spelled["transactionResult"] == "NotCompleted"
    assert body["reasonOfNoncompletion"]
    assert body["listOfClaimsPresented"] == []
    assert body["listOfClaimsRequested"]


def test_a_stranger_opens_our_log(transactions: list[Transaction], random_bytes: Random) -> None:
    file = seal_log(transactions, PASSPHRASE, random=random_bytes, iterations=FEW)

    jwe = JWE(algs=PBES2)
    jwe.deserialize(file, key_of(PASSPHRASE))

    assert json.loads(jwe.payload) == [each.to_json() for each in transactions]


@pytest.mark.parametrize("is_named", [False, True])
def test_we_open_a_strangers_log(transactions: list[Transaction], *, is_named: bool) -> None:
    entries = [each.to_json() for each in transactions]
    log = {"TransactionLog": entries} if is_named else entries
    header = json.dumps({"alg": PBES2[0], "enc": PBES2[1], "p2c": FEW})
    jwe = JWE(json.dumps(log).encode(), header, algs=PBES2)
    jwe.add_recipient(key_of(PASSPHRASE))

    assert read_log(jwe.serialize(compact=True), PASSPHRASE) == entries


def test_the_same_passphrase_typed_in_another_form_opens_it(
    transactions: list[Transaction], random_bytes: Random
) -> None:
    file = seal_log(transactions, "st\u00e4ple", random=random_bytes, iterations=FEW)

    assert read_log(file, "sta\u0308ple")


def test_another_passphrase_is_refused(
    transactions: list[Transaction], random_bytes: Random
) -> None:
    file = seal_log(transactions, PASSPHRASE, random=random_bytes, iterations=FEW)

    with pytest.raises(Refused) as refusal:
        read_log(file, PASSPHRASE + " ")

    assert refusal.value.codes == ["passphrase-wrong"]


@pytest.mark.parametrize("part", range(5))
def test_a_log_in_which_one_bit_was_changed_does_not_open(
    transactions: list[Transaction], random_bytes: Random, part: int
) -> None:
    parts = seal_log(transactions, PASSPHRASE, random=random_bytes, iterations=FEW).split(".")
    raw = bytearray(from_b64url(parts[part], "part"))
    raw[-3] ^= 1
    parts[part] = b64url(bytes(raw))

    with pytest.raises((Refused, Malformed)):
        read_log(".".join(parts), PASSPHRASE)


@pytest.mark.parametrize(
    "change",
    [
        {"p2c": 2_000_001},
        {"p2c": 999},
        {"p2s": b64url(b"short")},
        {"alg": "PBES2-HS512+A256KW"},
        {"alg": "dir"},
        {"enc": "A256GCM"},
        {"zip": "DEF"},
        {"crit": ["exp"]},
    ],
    ids=str,
)
def test_a_header_that_asks_for_more_than_the_standard_is_refused_before_any_work(
    transactions: list[Transaction], random_bytes: Random, change: JsonObject
) -> None:
    head, _, rest = seal_log(
        transactions, PASSPHRASE, random=random_bytes, iterations=FEW
    ).partition(".")
    header = json.loads(from_b64url(head, "header"))
    file = f"{b64url(json.dumps({**header, **change}).encode())}.{rest}"

    with pytest.raises((Refused, Malformed)) as refusal:
        read_log(file, PASSPHRASE)

    assert "passphrase-wrong" not in str(refusal.value)


@pytest.mark.parametrize("text", ["", "a.b", "....", "a.b.c.d.e", "ä.b.c.d.e"])
def test_what_is_no_log_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        read_log(text, PASSPHRASE)


@given(text=st.text() | st.binary(max_size=400).map(lambda raw: f"{b64url(raw)}...."))
def test_whatever_the_file_is_it_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises((Malformed, Refused)):
        read_log(text, PASSPHRASE)


def test_a_log_without_a_passphrase_or_with_too_little_work_is_not_made(
    random_bytes: Random,
) -> None:
    with pytest.raises(Misuse):
        seal_log([], "", random=random_bytes)
    with pytest.raises(Misuse):
        seal_log([], PASSPHRASE, random=random_bytes, iterations=999)


def test_a_report_to_an_authority_names_it(street_in_memory: Street) -> None:
    report = Transaction(
        transaction_id="1",
        kind=TransactionType.DPA_REPORT,
        at=street_in_memory.clock(),
        authority="The authority",
    )

    assert report.to_json()["dpaReport"] == {"dpaName": "The authority"}
