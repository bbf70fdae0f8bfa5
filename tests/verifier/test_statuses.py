"""The brand's list: fresh, old, silent, lying."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from counterfoil_credentials.errors import Reason, Refused, Unavailable
from counterfoil_credentials.fetch import MemoryFetcher, Response
from counterfoil_credentials.jws import ES256_ONLY, Header, sign_jws
from counterfoil_credentials.keys import Algorithm, Curve, MemorySigner, PublicKey
from counterfoil_credentials.sdjwt_vc import StatusReference
from counterfoil_credentials.spec import STATUS_LIST_MEDIA_TYPE
from counterfoil_credentials.token_status_list import FetchedStatusSource, sign_status_list
from counterfoil_verifier import (
    CouldNotCheck,
    NotAccepted,
    PinnedTrust,
    StatusAt,
    Statuses,
    TrustedIssuer,
    Verifier,
    statuses,
)
from counterfoil_verifier.statuses import RETRY_AFTER

from tests.conftest import Clock
from tests.verifier.scene import (
    DAY,
    INDEX,
    ISSUER,
    LIST_URL,
    MINUTE,
    NOON,
    SECOND,
    WARRANTY_TYPE,
    Brand,
    Scene,
)


def verify(scene: Scene, index: int = INDEX) -> None:
    request = scene.request()
    credential = scene.warranty(status=StatusReference(LIST_URL, index))
    scene.verifier.verify(scene.present(credential, request), request, now=scene.clock())


def refusal(scene: Scene, index: int = INDEX) -> list[str]:
    with pytest.raises(Refused) as refused:
        verify(scene, index)
    return refused.value.codes


def open_question(scene: Scene) -> list[str]:
    with pytest.raises(CouldNotCheck) as unknown:
        verify(scene)
    return unknown.value.codes


def look_up(scene: Scene, max_age: timedelta = DAY) -> StatusAt:
    return scene.statuses.at(
        StatusReference(LIST_URL, INDEX),
        issuer=ISSUER,
        issuer_key=lambda _header, _at: scene.brand.signer.public,
        now=scene.clock(),
        max_age=max_age,
    )


@pytest.mark.parametrize(
    ("status", "code"), [(1, "revoked"), (2, "suspended"), (3, "status-unknown")]
)
def test_refuses_what_the_brand_lists_as_not_in_force(scene: Scene, status: int, code: str) -> None:
    scene.brand.listed[INDEX] = status

    assert refusal(scene) == [code]


def test_a_neighbours_revocation_is_not_ours(scene: Scene) -> None:
    scene.brand.listed[INDEX - 1] = scene.brand.listed[INDEX + 1] = 1

    verify(scene)


def test_refuses_an_index_past_the_end_of_the_list(scene: Scene) -> None:
    verify(scene, len(scene.brand.listed) - 1)

    assert refusal(scene, len(scene.brand.listed)) == ["status-index-out-of-range"]


def test_refuses_a_credential_that_names_no_list(scene: Scene) -> None:
    request = scene.request()
    presentation = scene.present(scene.warranty(status=None), request)

    with pytest.raises(Refused) as refused:
        scene.verifier.verify(presentation, request, now=scene.clock())

    assert refused.value.codes == ["status-missing"]


def test_a_list_up_to_the_allowed_age_serves_and_a_second_older_does_not(scene: Scene) -> None:
    scene.brand.listed_at = NOON - DAY
    verify(scene)
    scene.brand.listed_at = NOON - DAY - SECOND

    assert open_question(Scene_with(scene)) == ["status-too-old"]


def Scene_with(scene: Scene) -> Scene:  # noqa: N802  # reads as the sentence it stands in
    """Give the same scene without memory of lists."""
    scene.statuses = Statuses(scene.brand)
    return scene


def test_an_old_list_is_enough_for_revoked_and_not_for_suspended(scene: Scene) -> None:
    """Revocation is for ever; a suspension may have been lifted since."""
    scene.brand.listed_at = NOON - 30 * DAY
    scene.brand.listed[INDEX] = 1
    assert refusal(scene) == ["revoked"]

    scene.brand.listed[INDEX] = 2
    assert open_question(Scene_with(scene)) == ["status-too-old"]


def test_a_silent_brand_without_a_kept_list_leaves_the_question_open(scene: Scene) -> None:
    scene.brand.is_reachable = False

    assert open_question(scene) == ["status-unreachable"]


def test_the_kept_list_answers_while_the_brand_is_silent_and_says_its_age(
    scene: Scene, clock: Clock
) -> None:
    assert look_up(scene).listed_at == NOON
    scene.brand.is_reachable = False

    clock.advance(DAY)
    assert look_up(scene).listed_at == NOON
    verify(scene)

    clock.advance(SECOND)
    assert open_question(scene) == ["status-too-old"]


def test_a_silent_server_is_left_alone_for_a_moment(scene: Scene, clock: Clock) -> None:
    scene.brand.is_reachable = False
    for _ in range(3):
        with pytest.raises(Unavailable):
            look_up(scene)
    assert scene.brand.fetches == 1

    scene.brand.is_reachable = True
    clock.advance(RETRY_AFTER)
    assert look_up(scene).value == 0


@pytest.mark.parametrize(
    ("ttl_s", "fetches_after_59_s", "fetches_after_60_s"), [(60, 1, 2), (0, 2, 3)]
)
def test_the_lists_time_to_live_is_honoured(
    scene: Scene, clock: Clock, ttl_s: int, fetches_after_59_s: int, fetches_after_60_s: int
) -> None:
    scene.brand.list_ttl_s = ttl_s
    look_up(scene)

    clock.advance(59 * SECOND)
    look_up(scene)
    assert scene.brand.fetches == fetches_after_59_s

    clock.advance(SECOND)
    look_up(scene)
    assert scene.brand.fetches == fetches_after_60_s


def test_a_kept_list_older_than_the_policy_allows_is_fetched_before_its_time(
    scene: Scene, clock: Clock
) -> None:
    scene.brand.list_ttl_s = 86_400
    look_up(scene)
    clock.advance(2 * MINUTE)

    assert look_up(scene, max_age=MINUTE).listed_at == NOON + 2 * MINUTE


def test_a_revocation_counts_from_the_next_fetch_on(scene: Scene, clock: Clock) -> None:
    verify(scene)
    scene.brand.listed[INDEX] = 1

    verify(scene)
    clock.advance(MINUTE)
    assert refusal(scene) == ["revoked"]


def test_an_older_list_never_makes_a_revoked_credential_valid(scene: Scene, clock: Clock) -> None:
    scene.brand.listed[INDEX] = 1
    assert refusal(scene) == ["revoked"]

    clock.advance(MINUTE)
    scene.brand.listed[INDEX] = 0
    scene.brand.listed_at = NOON - SECOND
    assert refusal(scene) == ["revoked"]
    assert scene.statuses.older_lists == 1

    clock.advance(MINUTE)
    scene.brand.listed_at = NOON + SECOND
    verify(scene)
    assert scene.statuses.older_lists == 1


def test_another_list_of_the_same_second_never_makes_a_revoked_credential_valid(
    scene: Scene, clock: Clock
) -> None:
    scene.brand.listed_at = NOON
    scene.brand.listed[INDEX] = 1
    assert refusal(scene) == ["revoked"]

    clock.advance(MINUTE)
    scene.brand.listed[INDEX] = 0
    assert refusal(scene) == ["revoked"]
    assert scene.statuses.older_lists == 1

    clock.advance(MINUTE)
    scene.brand.listed_at = NOON + SECOND
    verify(scene)


def test_the_same_list_signed_again_in_its_second_brings_its_new_end(
    scene: Scene, clock: Clock
) -> None:
    scene.brand.listed_at = NOON
    scene.brand.list_expires_at = NOON + MINUTE
    verify(scene)

    clock.advance(MINUTE)
    scene.brand.list_expires_at = NOON + DAY
    verify(scene)
    assert scene.statuses.older_lists == 0


def test_an_older_list_is_no_news_and_refuses_no_honest_customer(
    scene: Scene, clock: Clock
) -> None:
    """An issuer of two servers hands out now the one's list, now the other's."""
    verify(scene)

    clock.advance(MINUTE)
    scene.brand.listed_at = NOON - SECOND
    verify(scene)
    assert look_up(scene).listed_at == NOON
    assert scene.brand.fetches == 2, "it was asked, and is asked again after its time to live"


def test_older_lists_alone_leave_the_question_open_once_the_kept_one_is_too_old(
    scene: Scene, clock: Clock
) -> None:
    verify(scene)
    scene.brand.listed_at = NOON - SECOND

    clock.advance(DAY)
    verify(scene)
    clock.advance(SECOND)
    assert open_question(scene) == ["status-too-old"]


def test_an_older_list_does_not_stand_in_for_a_newer_one_that_has_expired(
    scene: Scene, clock: Clock
) -> None:
    scene.brand.list_expires_at = NOON + MINUTE
    verify(scene)

    clock.advance(MINUTE)
    scene.brand.list_expires_at = None
    scene.brand.listed_at = NOON - SECOND
    assert open_question(scene) == ["status-unreachable"]


def test_a_time_to_live_without_end_ends_after_a_day(scene: Scene, clock: Clock) -> None:
    scene.brand.list_ttl_s = 10**14
    look_up(scene, 10 * DAY)

    clock.advance(DAY - SECOND)
    look_up(scene, 10 * DAY)
    assert scene.brand.fetches == 1
    clock.advance(SECOND)
    look_up(scene, 10 * DAY)
    assert scene.brand.fetches == 2


def test_one_issuers_list_says_nothing_about_another_issuers_credential(scene: Scene) -> None:
    """A kept list is no way around the question of who signed it."""
    bicycles, vct = MemorySigner.generate(), frozenset({WARRANTY_TYPE})
    scene.trust = PinnedTrust(
        [
            TrustedIssuer(issuer=ISSUER, vcts=vct, keys=(scene.brand.signer.public,)),
            TrustedIssuer(issuer="https://velo.example", vcts=vct, keys=(bicycles.public,)),
        ]
    )
    foreign = scene.warranty(issuer="https://velo.example", signer=bicycles)

    def shown() -> list[str]:
        request = scene.request()
        with pytest.raises(Refused) as refused:
            scene.verifier.verify(scene.present(foreign, request), request, now=scene.clock())
        return refused.value.codes

    assert shown() == ["status-list-issuer-key-unknown"]
    verify(scene)
    assert shown() == ["status-list-issuer-key-unknown"]


def test_a_list_whose_key_was_withdrawn_serves_no_more_when_it_is_due(
    scene: Scene, clock: Clock
) -> None:
    withdrawn = scene.brand.list_signer = MemorySigner.generate()
    keys = {key.thumbprint(): key for key in (scene.brand.signer.public, withdrawn.public)}

    def look() -> StatusAt:
        def named(header: Header, _listed_at: datetime | None) -> PublicKey:
            if header["kid"] not in keys:
                raise Refused(Reason("issuer-key-unknown", "a key", "another", "kid"))
            return keys[str(header["kid"])]

        return scene.statuses.at(
            StatusReference(LIST_URL, INDEX),
            issuer=ISSUER,
            issuer_key=named,
            now=scene.clock(),
            max_age=DAY,
        )

    look()
    del keys[withdrawn.public.thumbprint()]
    clock.advance(MINUTE)
    with pytest.raises(Refused) as refused:
        look()
    assert refused.value.codes == ["status-list-issuer-key-unknown"]

    scene.brand.is_reachable = False
    clock.advance(RETRY_AFTER)
    with pytest.raises(Unavailable):
        look()
    scene.brand.is_reachable = True
    scene.brand.list_signer = scene.brand.signer
    clock.advance(RETRY_AFTER)
    assert look().value == 0


def test_a_list_that_has_expired_says_nothing_but_revoked(scene: Scene, clock: Clock) -> None:
    scene.brand.list_expires_at = NOON + 10 * SECOND
    verify(scene)
    clock.advance(9 * SECOND)
    verify(scene)

    scene.brand.is_reachable = False
    clock.advance(SECOND)
    assert open_question(scene) == ["status-unreachable"]
    with pytest.raises(Unavailable, match="found one that has ended"):
        look_up(scene)


@pytest.mark.parametrize("seconds", [-1, 0, 1])
@pytest.mark.parametrize(("listed", "code"), [(0, None), (1, "revoked"), (2, "suspended")])
def test_a_list_that_is_had_after_its_end_says_nothing_but_revoked(
    scene: Scene, clock: Clock, seconds: int, listed: int, code: str | None
) -> None:
    scene.brand.listed[INDEX] = listed
    scene.brand.listed_at = NOON - MINUTE
    scene.brand.list_expires_at = NOON - SECOND * seconds

    if listed == 1:
        with pytest.raises(NotAccepted) as refused:
            verify(scene)
        assert refused.value.codes == ["revoked"]
        assert refused.value.status_as_of == NOON - MINUTE
    elif seconds >= 0:
        assert open_question(scene) == ["status-unreachable"]
        fetches = scene.brand.fetches
        assert open_question(scene) == ["status-unreachable"]
        assert scene.brand.fetches == fetches, "a server with old lists alone is left alone too"
        clock.advance(RETRY_AFTER)
        scene.brand.list_expires_at = scene.brand.listed_at = None
        assert look_up(scene).listed_at == clock()
    elif code is None:
        verify(scene)
    else:
        assert refusal(scene) == [code]


def test_a_list_that_ended_is_still_no_list_of_somebody_else(scene: Scene) -> None:
    scene.brand.listed[INDEX] = 1
    scene.brand.listed_at = NOON - MINUTE
    scene.brand.list_expires_at = NOON
    scene.brand.list_signer = MemorySigner.generate()

    assert refusal(scene) == ["status-list-issuer-key-unknown"]


@pytest.mark.parametrize("older_by", [-1, 0, 1])
@pytest.mark.parametrize("listed", [0, 1, 2])
def test_the_verdict_carries_the_lists_date_in_each_of_the_three_lights(
    scene: Scene, older_by: int, listed: int
) -> None:
    scene.brand.listed[INDEX] = listed
    scene.brand.listed_at = NOON - DAY - SECOND * older_by

    request = scene.request()
    answer = scene.present(scene.warranty(), request)
    try:
        as_of = scene.verifier.verify(answer, request, now=NOON).status_as_of
        light = "green"
    except NotAccepted as refused:
        light, as_of = "red", refused.status_as_of
    except CouldNotCheck as unknown:
        light, as_of = "amber", unknown.status_as_of

    in_time = {0: "green", 1: "red", 2: "red"}
    assert light == (in_time if older_by <= 0 else {0: "amber", 1: "red", 2: "amber"})[listed]
    assert as_of == scene.brand.listed_at


def test_refuses_a_list_for_another_address(scene: Scene) -> None:
    scene.brand.list_subject = LIST_URL + "0"

    assert refusal(scene) == ["status-list-mismatch"]


def test_refuses_a_list_signed_by_somebody_else(scene: Scene, clock: Clock) -> None:
    scene.brand.list_signer = MemorySigner.generate()
    assert refusal(scene) == ["status-list-issuer-key-unknown"]

    clock.advance(RETRY_AFTER)
    good = scene.brand.signer
    scene.brand.token = sign_jws(
        {"sub": LIST_URL},
        typ="statuslist+jwt",
        signer=MemorySigner.generate(),
        header={"kid": good.public.thumbprint()},
    )
    assert refusal(scene) == ["status-list-signature-invalid"]


def test_refuses_a_list_from_the_future(scene: Scene, clock: Clock) -> None:
    """It would be kept as the newest, against every honest list after it."""
    scene.brand.listed_at = NOON + 61 * SECOND
    assert refusal(scene) == ["status-list-from-the-future"]

    clock.advance(RETRY_AFTER)
    scene.brand.listed_at = clock() + 60 * SECOND
    verify(scene)


def test_refuses_another_token_in_the_lists_place(scene: Scene, clock: Clock) -> None:
    scene.brand.token = sign_jws({"sub": LIST_URL}, typ="JWT", signer=scene.brand.signer)
    assert refusal(scene) == ["status-list-token-type-mismatch"]

    clock.advance(RETRY_AFTER)
    scene.brand.token = "<html>"
    assert refusal(scene) == ["status-list-malformed"]


@pytest.mark.parametrize("curve", [Curve.P384, Curve.ED25519])
def test_a_brand_signs_under_the_algorithms_that_the_shop_names(scene: Scene, curve: Curve) -> None:
    scene.brand.signer = scene.brand.list_signer = MemorySigner.generate(curve)
    key = scene.brand.signer.public
    trusted = TrustedIssuer(issuer=ISSUER, vcts=frozenset({WARRANTY_TYPE}), keys=(key,))
    scene.trust = PinnedTrust([trusted])
    request = scene.request()
    shown = scene.present(scene.warranty(), request)

    def verify_under(credentials: frozenset[Algorithm], lists: frozenset[Algorithm]) -> list[str]:
        listed = Statuses(scene.brand, algorithms=lists)
        policy = scene.preset.policy()
        verifier = Verifier(policy, scene.trust, listed, algorithms=credentials)
        try:
            verifier.verify(shown, request, now=scene.clock())
        except Refused as refused:
            return refused.codes
        return []

    theirs = frozenset({key.algorithm})
    assert verify_under(theirs, theirs) == []
    assert verify_under(theirs, ES256_ONLY) == ["status-list-algorithm-not-allowed"]
    assert verify_under(ES256_ONLY, theirs) == ["algorithm-not-allowed"]
    scene.statuses = Statuses(scene.brand, algorithms=theirs)
    scene.counter = scene.open_counter(algorithms=theirs)
    asked = scene.counter.ask("warranty")
    scene.counter.receive(*scene.answer(asked))


def test_a_broken_list_is_left_alone_for_a_moment_and_stays_refused(
    scene: Scene, clock: Clock
) -> None:
    scene.brand.token = "<html>"
    for _ in range(3):
        assert refusal(scene) == ["status-list-malformed"]
    assert scene.brand.fetches == 1

    scene.brand.token = None
    clock.advance(RETRY_AFTER - SECOND)
    assert refusal(scene) == ["status-list-malformed"]
    clock.advance(SECOND)
    verify(scene)
    assert scene.brand.fetches == 2


class Slow:
    """A brand whose answer waits until everybody has asked."""

    def __init__(self, brand: Brand) -> None:
        self._brand = brand
        self.go = threading.Event()
        self.asked = threading.Event()

    def fetch(self, url: str) -> str:
        if not self.go.is_set():
            self.asked.set()
        assert self.go.wait(10)
        return self._brand.fetch(url)


@pytest.mark.parametrize("token", [None, "<html>"], ids=["good", "broken"])
def test_a_crowd_at_the_counter_makes_one_fetch(scene: Scene, token: str | None) -> None:
    slow = Slow(scene.brand)
    scene.statuses, scene.brand.token = Statuses(slow), token

    def look() -> str:
        try:
            return f"{look_up(scene).value}"
        except Refused as refused:
            return refused.codes[0]

    with ThreadPoolExecutor(16) as crowd:
        looks = [crowd.submit(look) for _ in range(16)]
        time.sleep(0.1)
        slow.go.set()
        answers = {one.result(10) for one in looks}

    assert answers == {"0" if token is None else "status-list-malformed"}
    assert scene.brand.fetches == 1


class Library:
    """Lists of a length under any address, signed in advance."""

    def __init__(self, signer: MemorySigner, entries: bytes) -> None:
        self._signer = signer
        self._entries = entries
        self.asked: list[str] = []

    def fetch(self, url: str) -> str:
        self.asked.append(url)
        return sign_status_list(
            self._entries,
            url=url,
            bits=8,
            signer=self._signer,
            issued_at=NOON,
            expires_at=None,
            ttl_s=86_400,
        )


@pytest.mark.parametrize(
    ("limit", "most", "size"), [("_MAX_LISTS", 3, 1), ("_MAX_BYTES", 3_000, 1_000)]
)
def test_what_was_asked_for_longest_ago_is_forgotten_first(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, limit: str, most: int, size: int
) -> None:
    monkeypatch.setattr(statuses, limit, most)
    library = Library(scene.brand.signer, bytes(size))
    known = Statuses(library)

    def look(name: str) -> int:
        library.asked.clear()
        known.at(
            StatusReference(name, 0),
            issuer=ISSUER,
            issuer_key=lambda _header, _at: scene.brand.signer.public,
            now=NOON,
            max_age=DAY,
        )
        return len(library.asked)

    assert [look(name) for name in "abc"] == [1, 1, 1]
    assert [look(name) for name in "ad"] == [0, 1]
    assert [look(name) for name in "acd"] == [0, 0, 0]
    assert look("b") == 1


def test_lists_that_fail_do_not_pile_up(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statuses, "_MAX_LISTS", 3)
    scene.brand.is_reachable = False
    known = Statuses(scene.brand)

    def look(name: str) -> None:
        with pytest.raises(Unavailable):
            known.at(
                StatusReference(name, 0),
                issuer=ISSUER,
                issuer_key=lambda _header, _at: scene.brand.signer.public,
                now=NOON,
                max_age=DAY,
            )

    for name in "abcd":
        look(name)
    look("d")
    assert scene.brand.fetches == 4
    look("a")
    assert scene.brand.fetches == 5


def test_a_clock_that_was_ahead_for_a_moment_does_not_keep_a_list_from_being_asked(
    scene: Scene, clock: Clock
) -> None:
    scene.brand.listed_at = NOON - MINUTE
    scene.brand.list_ttl_s = 60
    clock.advance(30 * DAY)
    look_up(scene, 60 * DAY)
    clock.advance(-30 * DAY)
    scene.brand.listed[INDEX], scene.brand.listed_at = 1, NOON

    assert refusal(scene) == ["revoked"]


@pytest.mark.parametrize("behind", [0, 60, 61])
def test_a_list_from_after_the_tills_own_time_says_nothing_but_revoked(
    scene: Scene, clock: Clock, behind: int
) -> None:
    """A till whose clock went back would call a list fresh for as long as it is behind."""
    verify(scene)
    scene.brand.is_reachable = False
    clock.advance(-behind * SECOND)

    if behind <= 60:
        verify(scene)
    else:
        assert open_question(scene) == ["status-list-from-the-future"]
        revoked = Scene_with(scene)
        revoked.brand.listed[INDEX], revoked.brand.is_reachable = 1, True
        clock.advance(behind * SECOND)
        assert refusal(revoked) == ["revoked"]
        clock.advance(-behind * SECOND)
        assert refusal(revoked) == ["revoked"]


def test_a_page_in_the_lists_place_is_the_servers_trouble_and_no_customers(
    scene: Scene, clock: Clock
) -> None:
    """A shop window "back soon" must not turn the light red for everybody."""
    fetcher = MemoryFetcher()
    page = Response(200, "text/html", b"<p>Back soon")
    answers = [page]

    def brand(*_: object) -> Response:
        return answers[0]

    fetcher.serve(ISSUER, brand)
    scene.statuses = Statuses(FetchedStatusSource(fetcher))
    assert open_question(scene) == ["status-unreachable"]

    clock.advance(RETRY_AFTER)
    answers[0] = Response(200, STATUS_LIST_MEDIA_TYPE, scene.brand.fetch(LIST_URL).encode())
    verify(scene)
    answers[0] = page
    clock.advance(MINUTE)
    verify(scene)


def test_nobody_waits_for_a_list_that_is_being_asked_for_while_the_kept_one_is_young_enough(
    scene: Scene, clock: Clock
) -> None:
    """A brand's server that hangs must not hold every thread of the shop's service."""
    slow = Slow(scene.brand)
    slow.go.set()
    scene.statuses = Statuses(slow)
    look_up(scene)
    slow.go.clear()
    clock.advance(MINUTE)
    with ThreadPoolExecutor(2) as crowd:
        asking = crowd.submit(look_up, scene)
        assert slow.asked.wait(10)

        assert crowd.submit(look_up, scene).result(10).listed_at == NOON

        assert not asking.done()
        # Too old for the policy, it is no answer: then there is nothing but to wait.
        waiting = crowd.submit(look_up, scene, 30 * SECOND)
        assert not waiting.done()
        slow.go.set()
        assert asking.result(10).listed_at == waiting.result(10).listed_at == clock()
