"""Who may say what, with which key, and for how long we believe old keys."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime

import pytest
from counterfoil_credentials.errors import Misuse, Refused, Unavailable
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.issuer_keys import issuer_keys_document
from counterfoil_credentials.keys import MemorySigner
from counterfoil_verifier import FetchedTrust, PinnedTrust, TrustedIssuer
from counterfoil_verifier.trust import FRESH_FOR, MAX_AGE, RETRY_AFTER

from tests.conftest import Clock
from tests.verifier.scene import ISSUER, NOON, RECEIPT_TYPE, SECOND, WARRANTY_TYPE


class Metadata:
    """A brand's `jwt-vc-issuer` document, served in memory."""

    def __init__(self) -> None:
        self.signers = [MemorySigner.generate()]
        self.paths: list[str] = []
        self.body: bytes | None = None
        self.fetcher = MemoryFetcher()
        self.connect()

    def connect(self) -> None:
        self.fetcher.serve(ISSUER, self.answer)

    def disconnect(self) -> None:
        self.fetcher.disconnect(ISSUER)

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        self.paths.append(path)
        document = issuer_keys_document(ISSUER, [signer.public for signer in self.signers])
        return Response(200, "application/json", self.body or json.dumps(document).encode())


@pytest.fixture
def metadata() -> Metadata:
    return Metadata()


@pytest.fixture
def trust(metadata: Metadata) -> FetchedTrust:
    return FetchedTrust(metadata.fetcher, {ISSUER: [WARRANTY_TYPE]})


def codes(ask: Callable[[], object]) -> list[str]:
    with pytest.raises(Refused) as refused:
        ask()
    return refused.value.codes


def test_pinned_keys_are_found_by_their_thumbprint() -> None:
    old, new = MemorySigner.generate(), MemorySigner.generate()
    pinned = PinnedTrust(
        [
            TrustedIssuer(
                issuer=ISSUER,
                vcts=frozenset({WARRANTY_TYPE}),
                keys=(old.public, new.public),
            )
        ]
    )

    assert pinned.key(ISSUER, WARRANTY_TYPE, new.public.thumbprint(), now=NOON) == new.public
    assert codes(lambda: pinned.key(ISSUER, WARRANTY_TYPE, None, now=NOON)) == [
        "issuer-key-unknown"
    ]
    assert codes(lambda: pinned.key(ISSUER, RECEIPT_TYPE, None, now=NOON)) == [
        "issuer-not-trusted-for-type"
    ]
    assert codes(lambda: pinned.key(ISSUER + "/", WARRANTY_TYPE, None, now=NOON)) == [
        "issuer-not-trusted"
    ]


def test_trust_in_nobody_trusts_nobody() -> None:
    assert codes(lambda: PinnedTrust([]).key(ISSUER, WARRANTY_TYPE, None, now=NOON)) == [
        "issuer-not-trusted"
    ]


def test_keys_are_fetched_once_and_kept(
    trust: FetchedTrust, metadata: Metadata, clock: Clock
) -> None:
    kid = metadata.signers[0].public.thumbprint()

    assert trust.key(ISSUER, WARRANTY_TYPE, kid, now=clock()) == metadata.signers[0].public
    trust.key(ISSUER, WARRANTY_TYPE, kid, now=clock.advance(FRESH_FOR - SECOND))
    assert metadata.paths == ["/.well-known/jwt-vc-issuer"]

    trust.key(ISSUER, WARRANTY_TYPE, kid, now=clock.advance(SECOND))
    assert len(metadata.paths) == 2


def test_nothing_is_fetched_for_a_stranger_or_for_another_type(
    trust: FetchedTrust, metadata: Metadata, now: datetime
) -> None:
    metadata.fetcher.serve("https://stranger.example", metadata.answer)

    assert codes(lambda: trust.key("https://stranger.example", WARRANTY_TYPE, "k", now=now)) == [
        "issuer-not-trusted"
    ]
    assert codes(lambda: trust.key(ISSUER, RECEIPT_TYPE, "k", now=now)) == [
        "issuer-not-trusted-for-type"
    ]
    assert metadata.paths == []


def test_a_new_key_is_found_and_unknown_ones_do_not_make_us_ask_again_and_again(
    trust: FetchedTrust, metadata: Metadata, clock: Clock
) -> None:
    trust.key(ISSUER, WARRANTY_TYPE, metadata.signers[0].public.thumbprint(), now=clock())
    metadata.signers.append(MemorySigner.generate())
    new = metadata.signers[1].public

    clock.advance(RETRY_AFTER)
    assert trust.key(ISSUER, WARRANTY_TYPE, new.thumbprint(), now=clock()) == new
    for _ in range(5):
        assert codes(lambda: trust.key(ISSUER, WARRANTY_TYPE, "nobody's", now=clock())) == [
            "issuer-key-unknown"
        ]
    assert len(metadata.paths) == 2


def test_a_withdrawn_key_serves_no_more_once_the_document_was_read_again(
    trust: FetchedTrust, metadata: Metadata, clock: Clock
) -> None:
    old = metadata.signers[0].public.thumbprint()
    trust.key(ISSUER, WARRANTY_TYPE, old, now=clock())
    metadata.signers = [MemorySigner.generate()]

    clock.advance(FRESH_FOR)
    assert codes(lambda: trust.key(ISSUER, WARRANTY_TYPE, old, now=clock())) == [
        "issuer-key-unknown"
    ]


def test_kept_keys_serve_a_day_while_the_issuer_is_silent(
    trust: FetchedTrust, metadata: Metadata, clock: Clock
) -> None:
    kid = metadata.signers[0].public.thumbprint()
    trust.key(ISSUER, WARRANTY_TYPE, kid, now=clock())
    metadata.disconnect()

    trust.key(ISSUER, WARRANTY_TYPE, kid, now=clock.advance(MAX_AGE - RETRY_AFTER))
    clock.advance(RETRY_AFTER)
    with pytest.raises(Unavailable):
        trust.key(ISSUER, WARRANTY_TYPE, kid, now=clock())

    metadata.connect()
    clock.advance(RETRY_AFTER)
    trust.key(ISSUER, WARRANTY_TYPE, kid, now=clock())


def test_kept_keys_end_after_a_day_although_the_issuer_was_asked_a_moment_before(
    trust: FetchedTrust, metadata: Metadata, clock: Clock
) -> None:
    kid = metadata.signers[0].public.thumbprint()
    trust.key(ISSUER, WARRANTY_TYPE, kid, now=clock())
    metadata.disconnect()

    trust.key(ISSUER, WARRANTY_TYPE, kid, now=clock.advance(MAX_AGE - SECOND))
    clock.advance(SECOND)
    with pytest.raises(Unavailable):
        trust.key(ISSUER, WARRANTY_TYPE, kid, now=clock())


def test_a_new_key_of_a_silent_issuer_leaves_the_question_open(
    trust: FetchedTrust, metadata: Metadata, clock: Clock
) -> None:
    """The customer whose brand has changed its key must not be called a cheat."""
    old = metadata.signers[0].public.thumbprint()
    trust.key(ISSUER, WARRANTY_TYPE, old, now=clock())
    metadata.signers.append(MemorySigner.generate())
    new = metadata.signers[1].public
    metadata.disconnect()

    clock.advance(RETRY_AFTER)
    for _ in range(2):
        with pytest.raises(Unavailable):
            trust.key(ISSUER, WARRANTY_TYPE, new.thumbprint(), now=clock())
    trust.key(ISSUER, WARRANTY_TYPE, old, now=clock())

    metadata.connect()
    clock.advance(RETRY_AFTER)
    assert trust.key(ISSUER, WARRANTY_TYPE, new.thumbprint(), now=clock()) == new
    assert codes(lambda: trust.key(ISSUER, WARRANTY_TYPE, "nobody's", now=clock())) == [
        "issuer-key-unknown"
    ]


def test_an_issuer_that_was_never_reached_is_left_alone_for_a_moment(
    trust: FetchedTrust, metadata: Metadata, clock: Clock
) -> None:
    kid, body = metadata.signers[0].public.thumbprint(), metadata.body
    metadata.body = b"<html>"
    for _ in range(5):
        with pytest.raises(Unavailable):
            trust.key(ISSUER, WARRANTY_TYPE, kid, now=clock())
    assert len(metadata.paths) == 1

    metadata.body = body
    clock.advance(RETRY_AFTER)
    trust.key(ISSUER, WARRANTY_TYPE, kid, now=clock())


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"issuer": "https://other.example"}'])
def test_a_broken_document_leaves_the_question_open(
    trust: FetchedTrust, metadata: Metadata, now: datetime, body: bytes
) -> None:
    metadata.body = body

    with pytest.raises(Unavailable):
        trust.key(ISSUER, WARRANTY_TYPE, "k", now=now)


def test_one_text_is_not_a_collection_of_types() -> None:
    with pytest.raises(Misuse):
        FetchedTrust(MemoryFetcher(), {ISSUER: WARRANTY_TYPE})
