"""An issuer that is known by its DID: the document's keys, in their time and for their use."""

from collections.abc import Callable, Mapping
from datetime import datetime

import pytest
from counterfoil_credentials.did_documents import Relationship
from counterfoil_credentials.did_methods import resolver
from counterfoil_credentials.did_web import DatedKey, did_web, did_web_document
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.encoding import Json, JsonObject, compact_json
from counterfoil_credentials.errors import CounterfoilError, Malformed, Refused, Unavailable
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.keys import MemorySigner, PublicKey
from counterfoil_verifier.trust import KeyAsked
from counterfoil_verifier.trust_dids import DidTrust
from counterfoil_verifier.trust_kept import FRESH_FOR, MAX_AGE, RETRY_AFTER

from tests.conftest import Clock
from tests.verifier.scene import DAY, NOON, RECEIPT_TYPE, SECOND, WARRANTY_TYPE

DID = did_web("audio.example")
OLD, NEW, STOLEN = (MemorySigner.generate().public for _ in range(3))


class Host:
    """A web server with the brand's document."""

    def __init__(self) -> None:
        self.keys = [
            DatedKey(OLD, expires_at=NOON - DAY),
            DatedKey(NEW),
            DatedKey(STOLEN, revoked_at=NOON - DAY),
        ]
        self.relationships = [Relationship.ASSERTION]
        self.status = 200
        self.asked: list[str] = []
        self.fetcher = MemoryFetcher()
        self.connect()

    def connect(self) -> None:
        self.fetcher.serve("https://audio.example", self.answer)

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        self.asked.append(path)
        document = did_web_document(DID, self.keys, relationships=self.relationships)
        return Response(self.status, "application/json", compact_json(document))


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def trust(host: Host) -> DidTrust:
    return DidTrust(resolver(host.fetcher), {DID: [WARRANTY_TYPE]})


def asked(
    key: PublicKey | str | None,
    *,
    at: datetime | None = NOON,
    did: str | None = DID,
    vct: str = WARRANTY_TYPE,
) -> KeyAsked:
    named = f"{DID}#{key.thumbprint()}" if isinstance(key, PublicKey) else key
    header: JsonObject = {} if named is None else {"kid": named}
    return KeyAsked(did, vct, header, at)


def codes(ask: Callable[[], object]) -> list[str]:
    with pytest.raises(Refused) as refused:
        ask()
    return refused.value.codes


def test_the_document_names_the_keys_and_says_when_they_signed(trust: DidTrust) -> None:
    def of(key: PublicKey, at: datetime | None) -> PublicKey:
        return trust.key_for(asked(key, at=at), now=NOON)

    assert of(NEW, NOON) == NEW
    assert of(NEW, None) == NEW
    # What a retired key signed in its time stays good; what a stolen one did never was.
    assert of(OLD, NOON - DAY - SECOND) == OLD
    assert codes(lambda: of(OLD, NOON - DAY)) == ["key-expired"]
    assert codes(lambda: of(OLD, None)) == ["key-expired"]
    assert codes(lambda: of(STOLEN, NOON - 9 * DAY)) == ["key-revoked"]
    assert codes(lambda: of(MemorySigner.generate().public, NOON)) == ["issuer-key-unknown"]


@pytest.mark.parametrize("spelling", ["{did}#{key}", "#{key}", "{key}"])
def test_a_key_is_named_in_whole_or_by_its_fragment(trust: DidTrust, spelling: str) -> None:
    kid = spelling.format(did=DID, key=NEW.thumbprint())
    assert trust.key_for(asked(kid), now=NOON) == NEW


@pytest.mark.parametrize(
    ("kid", "error"),
    [
        (f"did:web:shoes.example#{NEW.thumbprint()}", ["key-of-another-did"]),
        (did_jwk(NEW) + "#0", ["key-of-another-did"]),
        (f"{DID}#{NEW.thumbprint()}x", ["issuer-key-unknown"]),
        (DID, ["issuer-key-unknown"]),
        (None, ["issuer-key-unknown"]),
        ("did:", Malformed),
        ("a key", Malformed),
    ],
)
def test_nothing_else_names_a_key(
    trust: DidTrust, kid: str | None, error: list[str] | type[CounterfoilError]
) -> None:
    if isinstance(error, list):
        assert codes(lambda: trust.key_for(asked(kid), now=NOON)) == error
    else:
        with pytest.raises(error):
            trust.key_for(asked(kid), now=NOON)


def test_without_a_key_id_the_only_key_that_asserts_is_meant(trust: DidTrust, host: Host) -> None:
    host.keys = [DatedKey(NEW)]
    assert trust.key_for(asked(None), now=NOON) == NEW


def test_a_key_for_another_use_issues_nothing(trust: DidTrust, host: Host) -> None:
    host.relationships = [Relationship.AUTHENTICATION]
    assert codes(lambda: trust.key_for(asked(NEW), now=NOON)) == ["key-relationship-missing"]


def test_nobody_is_asked_about_another_did_or_another_type(trust: DidTrust, host: Host) -> None:
    other = did_web("shoes.example")
    for question, code in (
        (asked(NEW, did=other), "issuer-not-trusted"),
        (asked(NEW, did=None), "issuer-not-trusted"),
        (asked(NEW, vct=RECEIPT_TYPE), "issuer-not-trusted-for-type"),
    ):
        assert codes(lambda question=question: trust.key_for(question, now=NOON)) == [code]  # type: ignore[misc]  # bound now
    assert host.asked == []


def test_a_did_without_network_is_its_own_document() -> None:
    did = did_jwk(NEW)
    trust = DidTrust(resolver(MemoryFetcher()), {did: [WARRANTY_TYPE]})

    assert trust.key_for(asked(f"{did}#0", did=did), now=NOON) == NEW
    assert trust.key_for(asked(None, did=did), now=NOON) == NEW
    assert codes(lambda: trust.key_for(asked(f"{did}#1", did=did), now=NOON)) == [
        "issuer-key-unknown"
    ]


def test_a_document_is_kept_and_serves_a_day_while_its_host_is_silent(
    trust: DidTrust, host: Host, clock: Clock
) -> None:
    trust.key_for(asked(NEW), now=clock())
    trust.key_for(asked(NEW), now=clock.advance(FRESH_FOR - SECOND))
    assert host.asked == ["/.well-known/did.json"]
    assert trust.ends(clock()) == []

    host.fetcher.disconnect("https://audio.example")
    trust.key_for(asked(NEW), now=clock.advance(SECOND))
    (ending,) = trust.ends(clock())
    assert ending.at == NOON + MAX_AGE
    assert DID in ending.what

    clock.advance(MAX_AGE - FRESH_FOR)
    with pytest.raises(Unavailable):
        trust.key_for(asked(NEW), now=clock())


@pytest.mark.parametrize("status", [404, 500])
def test_a_host_that_lost_the_document_leaves_the_question_open(
    trust: DidTrust, host: Host, clock: Clock, status: int
) -> None:
    host.status = status
    with pytest.raises(Unavailable):
        trust.key_for(asked(NEW), now=clock())

    host.status = 200
    clock.advance(RETRY_AFTER)
    assert trust.key_for(asked(NEW), now=clock()) == NEW


def test_a_did_that_was_ended_signs_nothing(trust: DidTrust, host: Host) -> None:
    host.status = 410
    assert codes(lambda: trust.key_for(asked(NEW), now=NOON)) == ["did-deactivated"]


def test_a_document_of_another_did_is_none(host: Host) -> None:
    def answer(_m: str, _p: str, _h: Mapping[str, str], _b: bytes) -> Response:
        document: dict[str, Json] = {**did_web_document(DID, [DatedKey(NEW)])}
        return Response(200, "application/json", compact_json({**document, "id": "did:web:x.y"}))

    host.fetcher.serve("https://audio.example", answer)
    trust = DidTrust(resolver(host.fetcher), {DID: [WARRANTY_TYPE]})
    with pytest.raises(Unavailable):
        trust.key_for(asked(NEW), now=NOON)
