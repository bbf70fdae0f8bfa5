"""Who may say what, with which key, and for how long we believe old keys."""

import json
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
from counterfoil_credentials.encoding import Json
from counterfoil_credentials.errors import Misuse, Refused, Unavailable
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.issuer_keys import issuer_keys_document
from counterfoil_credentials.keys import MemorySigner, PublicKey
from counterfoil_verifier import FetchedTrust, PinnedTrust, TrustedIssuer
from counterfoil_verifier.trust import Ending, KeyAsked, PinnedKey
from counterfoil_verifier.trust_kept import FRESH_FOR, MAX_AGE, RETRY_AFTER

from tests.conftest import Clock
from tests.verifier.scene import DAY, ISSUER, NOON, RECEIPT_TYPE, SECOND, WARRANTY_TYPE


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


def asked(issuer: str | None, vct: str, key_id: str | None, at: datetime | None = None) -> KeyAsked:
    header: dict[str, Json] = {} if key_id is None else {"kid": key_id}
    return KeyAsked(issuer, vct, header, at)


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

    assert (
        pinned.key_for(asked(ISSUER, WARRANTY_TYPE, new.public.thumbprint()), now=NOON)
        == new.public
    )
    assert codes(lambda: pinned.key_for(asked(ISSUER, WARRANTY_TYPE, None), now=NOON)) == [
        "issuer-key-unknown"
    ]
    assert codes(lambda: pinned.key_for(asked(ISSUER, RECEIPT_TYPE, None), now=NOON)) == [
        "issuer-not-trusted-for-type"
    ]
    assert codes(lambda: pinned.key_for(asked(ISSUER + "/", WARRANTY_TYPE, None), now=NOON)) == [
        "issuer-not-trusted"
    ]


def test_a_pinned_key_signs_in_its_time_which_is_judged_at_issuance() -> None:
    """A warranty outlives the key that signed it; what a retired key signs today is refused."""
    old, new = MemorySigner.generate().public, MemorySigner.generate().public
    keys = (PinnedKey(old, not_after=NOON), PinnedKey(new, not_before=NOON))
    pinned = PinnedTrust([TrustedIssuer(issuer=ISSUER, vcts=frozenset({WARRANTY_TYPE}), keys=keys)])

    def key_of(key: PublicKey, issued_at: datetime | None) -> PublicKey:
        question = asked(ISSUER, WARRANTY_TYPE, key.thumbprint(), issued_at)
        return pinned.key_for(question, now=NOON + 1000 * DAY)

    assert key_of(old, NOON - SECOND) == old
    assert key_of(new, NOON) == new
    assert codes(lambda: key_of(old, NOON)) == ["key-expired"]
    assert codes(lambda: key_of(new, NOON - SECOND)) == ["key-not-yet-in-force"]
    # Without a time of issue it is as if it were issued now.
    assert key_of(new, None) == new
    assert codes(lambda: key_of(old, None)) == ["key-expired"]


def test_pinned_trust_says_when_an_issuers_last_key_ends() -> None:
    def trusted(issuer: str, *ends: datetime | None) -> TrustedIssuer:
        keys = tuple(PinnedKey(MemorySigner.generate().public, not_after=at) for at in ends)
        return TrustedIssuer(issuer=issuer, vcts=frozenset({WARRANTY_TYPE}), keys=keys)

    trust = PinnedTrust(
        [
            trusted("https://late.example", NOON, NOON + 9 * DAY),
            trusted("https://soon.example", NOON + DAY),
            trusted("https://for-ever.example", NOON, None),
            trusted("https://none.example"),
        ]
    )

    assert trust.ends(NOON) == [
        Ending("the last key of https://soon.example", NOON + DAY),
        Ending("the last key of https://late.example", NOON + 9 * DAY),
    ]


def test_kept_keys_end_a_day_after_a_silent_issuer_last_answered(
    trust: FetchedTrust, metadata: Metadata, clock: Clock
) -> None:
    question = asked(ISSUER, WARRANTY_TYPE, metadata.signers[0].public.thumbprint())
    trust.key_for(question, now=clock())
    assert trust.ends(clock()) == []

    metadata.disconnect()
    trust.key_for(question, now=clock.advance(FRESH_FOR))

    (ending,) = trust.ends(clock())
    assert ending.at == clock() - FRESH_FOR + MAX_AGE
    assert ISSUER in ending.what


def test_trust_in_nobody_trusts_nobody() -> None:
    assert codes(lambda: PinnedTrust([]).key_for(asked(ISSUER, WARRANTY_TYPE, None), now=NOON)) == [
        "issuer-not-trusted"
    ]


def test_keys_are_fetched_once_and_kept(
    trust: FetchedTrust, metadata: Metadata, clock: Clock
) -> None:
    kid = metadata.signers[0].public.thumbprint()

    assert (
        trust.key_for(asked(ISSUER, WARRANTY_TYPE, kid), now=clock()) == metadata.signers[0].public
    )
    trust.key_for(asked(ISSUER, WARRANTY_TYPE, kid), now=clock.advance(FRESH_FOR - SECOND))
    assert metadata.paths == ["/.well-known/jwt-vc-issuer"]

    trust.key_for(asked(ISSUER, WARRANTY_TYPE, kid), now=clock.advance(SECOND))
    assert len(metadata.paths) == 2


def test_nothing_is_fetched_for_a_stranger_or_for_another_type(
    trust: FetchedTrust, metadata: Metadata, now: datetime
) -> None:
    metadata.fetcher.serve("https://stranger.example", metadata.answer)

    assert codes(
        lambda: trust.key_for(asked("https://stranger.example", WARRANTY_TYPE, "k"), now=now)
    ) == ["issuer-not-trusted"]
    assert codes(lambda: trust.key_for(asked(ISSUER, RECEIPT_TYPE, "k"), now=now)) == [
        "issuer-not-trusted-for-type"
    ]
    assert metadata.paths == []


def test_a_new_key_is_found_and_unknown_ones_do_not_make_us_ask_again_and_again(
    trust: FetchedTrust, metadata: Metadata, clock: Clock
) -> None:
    trust.key_for(
        asked(ISSUER, WARRANTY_TYPE, metadata.signers[0].public.thumbprint()), now=clock()
    )
    metadata.signers.append(MemorySigner.generate())
    new = metadata.signers[1].public

    clock.advance(RETRY_AFTER)
    assert trust.key_for(asked(ISSUER, WARRANTY_TYPE, new.thumbprint()), now=clock()) == new
    for _ in range(5):
        assert codes(
            lambda: trust.key_for(asked(ISSUER, WARRANTY_TYPE, "nobody's"), now=clock())
        ) == ["issuer-key-unknown"]
    assert len(metadata.paths) == 2


def test_a_withdrawn_key_serves_no_more_once_the_document_was_read_again(
    trust: FetchedTrust, metadata: Metadata, clock: Clock
) -> None:
    old = metadata.signers[0].public.thumbprint()
    trust.key_for(asked(ISSUER, WARRANTY_TYPE, old), now=clock())
    metadata.signers = [MemorySigner.generate()]

    clock.advance(FRESH_FOR)
    assert codes(lambda: trust.key_for(asked(ISSUER, WARRANTY_TYPE, old), now=clock())) == [
        "issuer-key-unknown"
    ]


def test_kept_keys_serve_a_day_while_the_issuer_is_silent(
    trust: FetchedTrust, metadata: Metadata, clock: Clock
) -> None:
    kid = metadata.signers[0].public.thumbprint()
    trust.key_for(asked(ISSUER, WARRANTY_TYPE, kid), now=clock())
    metadata.disconnect()

    trust.key_for(asked(ISSUER, WARRANTY_TYPE, kid), now=clock.advance(MAX_AGE - RETRY_AFTER))
    clock.advance(RETRY_AFTER)
    with pytest.raises(Unavailable):
        trust.key_for(asked(ISSUER, WARRANTY_TYPE, kid), now=clock())

    metadata.connect()
    clock.advance(RETRY_AFTER)
    trust.key_for(asked(ISSUER, WARRANTY_TYPE, kid), now=clock())


def test_kept_keys_end_after_a_day_although_the_issuer_was_asked_a_moment_before(
    trust: FetchedTrust, metadata: Metadata, clock: Clock
) -> None:
    kid = metadata.signers[0].public.thumbprint()
    trust.key_for(asked(ISSUER, WARRANTY_TYPE, kid), now=clock())
    metadata.disconnect()

    trust.key_for(asked(ISSUER, WARRANTY_TYPE, kid), now=clock.advance(MAX_AGE - SECOND))
    clock.advance(SECOND)
    with pytest.raises(Unavailable):
        trust.key_for(asked(ISSUER, WARRANTY_TYPE, kid), now=clock())


def test_a_new_key_of_a_silent_issuer_leaves_the_question_open(
    trust: FetchedTrust, metadata: Metadata, clock: Clock
) -> None:
    """The customer whose brand has changed its key must not be called a cheat."""
    old = metadata.signers[0].public.thumbprint()
    trust.key_for(asked(ISSUER, WARRANTY_TYPE, old), now=clock())
    metadata.signers.append(MemorySigner.generate())
    new = metadata.signers[1].public
    metadata.disconnect()

    clock.advance(RETRY_AFTER)
    for _ in range(2):
        with pytest.raises(Unavailable):
            trust.key_for(asked(ISSUER, WARRANTY_TYPE, new.thumbprint()), now=clock())
    trust.key_for(asked(ISSUER, WARRANTY_TYPE, old), now=clock())

    metadata.connect()
    clock.advance(RETRY_AFTER)
    assert trust.key_for(asked(ISSUER, WARRANTY_TYPE, new.thumbprint()), now=clock()) == new
    assert codes(lambda: trust.key_for(asked(ISSUER, WARRANTY_TYPE, "nobody's"), now=clock())) == [
        "issuer-key-unknown"
    ]


def test_an_issuer_that_was_never_reached_is_left_alone_for_a_moment(
    trust: FetchedTrust, metadata: Metadata, clock: Clock
) -> None:
    kid, body = metadata.signers[0].public.thumbprint(), metadata.body
    metadata.body = b"<html>"
    for _ in range(5):
        with pytest.raises(Unavailable):
            trust.key_for(asked(ISSUER, WARRANTY_TYPE, kid), now=clock())
    assert len(metadata.paths) == 1

    metadata.body = body
    clock.advance(RETRY_AFTER)
    trust.key_for(asked(ISSUER, WARRANTY_TYPE, kid), now=clock())


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"issuer": "https://other.example"}'])
def test_a_broken_document_leaves_the_question_open(
    trust: FetchedTrust, metadata: Metadata, now: datetime, body: bytes
) -> None:
    metadata.body = body

    with pytest.raises(Unavailable):
        trust.key_for(asked(ISSUER, WARRANTY_TYPE, "k"), now=now)


def test_one_text_is_not_a_collection_of_types() -> None:
    """Part of a text is in it: the issuer would be trusted for every shorter type."""
    one: Any = WARRANTY_TYPE

    with pytest.raises(Misuse):
        FetchedTrust(MemoryFetcher(), {ISSUER: one})
    with pytest.raises(Misuse):
        PinnedTrust([TrustedIssuer(issuer=ISSUER, vcts=one, keys=())])


def test_a_clock_that_was_ahead_for_a_moment_does_not_keep_a_withdrawn_key_for_years(
    trust: FetchedTrust, metadata: Metadata, clock: Clock
) -> None:
    withdrawn = metadata.signers[0].public.thumbprint()
    trust.key_for(asked(ISSUER, WARRANTY_TYPE, withdrawn), now=clock() + 1000 * DAY)
    metadata.signers = [MemorySigner.generate()]
    new = metadata.signers[0].public

    assert codes(lambda: trust.key_for(asked(ISSUER, WARRANTY_TYPE, withdrawn), now=clock())) == [
        "issuer-key-unknown"
    ]
    assert trust.key_for(asked(ISSUER, WARRANTY_TYPE, new.thumbprint()), now=clock()) == new


def test_keys_of_a_time_to_come_serve_nobody_while_the_issuer_is_silent(
    trust: FetchedTrust, metadata: Metadata, clock: Clock
) -> None:
    kid = metadata.signers[0].public.thumbprint()
    trust.key_for(asked(ISSUER, WARRANTY_TYPE, kid), now=clock() + MAX_AGE)
    metadata.disconnect()

    with pytest.raises(Unavailable):
        trust.key_for(asked(ISSUER, WARRANTY_TYPE, kid), now=clock())
    trust.key_for(asked(ISSUER, WARRANTY_TYPE, kid), now=clock.advance(SECOND))


class Hanging:
    """A way out whose answer waits."""

    def __init__(self, inner: MemoryFetcher) -> None:
        self._inner = inner
        self.go, self.asked, self.times = threading.Event(), threading.Event(), 0

    def get(self, url: str, *, accept: str, **_: object) -> Response:
        self.times += 1
        self.asked.set()
        assert self.go.wait(10)
        return self._inner.get(url, accept=accept)

    def post(self, *_: object, **__: object) -> Response:
        raise AssertionError


def test_nobody_waits_for_keys_that_are_being_asked_for_while_the_kept_ones_serve(
    metadata: Metadata, clock: Clock
) -> None:
    """An issuer that hangs must not hold every thread of the shop's service."""
    hanging = Hanging(metadata.fetcher)
    trust = FetchedTrust(hanging, {ISSUER: [WARRANTY_TYPE]})
    old = metadata.signers[0].public
    known = asked(ISSUER, WARRANTY_TYPE, old.thumbprint())
    with ThreadPoolExecutor(4) as crowd:
        # For the first answer all wait, and one asks.
        first = [crowd.submit(trust.key_for, known, now=clock()) for _ in range(4)]
        assert hanging.asked.wait(10)
        hanging.go.set()
        assert {one.result(10) for one in first} == {old}
        assert hanging.times == 1

        hanging.go.clear()
        hanging.asked.clear()
        clock.advance(FRESH_FOR)
        asking = crowd.submit(trust.key_for, known, now=clock())
        assert hanging.asked.wait(10)
        assert crowd.submit(trust.key_for, known, now=clock()).result(10) == old
        assert not asking.done()

        # What is not among the kept ones may be in what comes: that is worth the wait.
        metadata.signers.append(MemorySigner.generate())
        new = metadata.signers[1].public
        newer = asked(ISSUER, WARRANTY_TYPE, new.thumbprint())
        waiting = crowd.submit(trust.key_for, newer, now=clock())
        hanging.go.set()
        assert (asking.result(10), waiting.result(10)) == (old, new)
        assert hanging.times == 2
