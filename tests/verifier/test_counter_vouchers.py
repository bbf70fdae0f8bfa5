"""A counter's service takes vouchers: each once, with its verdict, whatever ends the process."""

import json
import os
import signal
import threading
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.voucher import TakenVoucher, Voucher, parse_taken_voucher
from counterfoil_loyalty.vouchers import GivenTwiceBy, reckon
from counterfoil_verifier import Asked, Light, Look, MemoryStore, RequestId, SessionStore
from counterfoil_verifier.app import create_app
from counterfoil_verifier.counter import Counter
from counterfoil_verifier.presets import PRESETS, parse_preset, preset_files
from counterfoil_verifier.requesting import Handback
from counterfoil_verifier.sql_store import SqlSessionStore
from counterfoil_verifier.trust import PinnedTrust, TrustedIssuer
from fastapi.testclient import TestClient

from tests.conftest import Clock
from tests.verifier.scene import ISSUER, NOON, Scene, answer_form

VOUCHER_TYPE = f"{ISSUER}/types/voucher"
PRESET = PRESETS["voucher"].accepting([VOUCHER_TYPE])
KEY = "the counter's key"
DAY = timedelta(days=1)
AT_ONCE = 8


class Desk:
    """A shop's counter that takes the vouchers of one brand, and their holder."""

    def __init__(self, clock: Clock, random: Callable[[int], bytes], store: SessionStore) -> None:
        self.clock, self.store = clock, store
        self.scene = Scene(clock, random, store)
        self.brand = self.scene.brand.signer
        self.scene.trust = PinnedTrust(
            [
                TrustedIssuer(
                    issuer=ISSUER, vcts=frozenset({VOUCHER_TYPE}), keys=(self.brand.public,)
                )
            ]
        )
        self.counter = self.reopened(store)

    def reopened(self, store: SessionStore) -> Counter:
        """Give the counter as after a restart."""
        self.counter = self.scene.open_counter(store=store, presets=[PRESET])
        self.scene.counter = self.counter
        return self.counter

    def voucher(self, reference: str = "7Q4M9KX2PA5T3WBD", **changes: object) -> SdJwt:
        voucher = Voucher(reference=reference, use="discount", good_for="EUR 10 off")
        arguments = {
            "claims": voucher.to_claims(),
            "vct": VOUCHER_TYPE,
            "concealed": (),
            "expires_at": NOON + 90 * DAY,
            **changes,
        }
        return self.scene.warranty(**arguments)

    def answer(
        self, asked: Asked, voucher: SdJwt, **changes: object
    ) -> tuple[RequestId, Mapping[str, str]]:
        request_id, request = self.scene.fetch_request(asked)
        (shown,) = self.scene.present(voucher, request, paths=(), **changes).values()
        return request_id, answer_form({"voucher": shown}, request)

    def give(self, voucher: SdJwt, **changes: object) -> Look:
        """Ask, show and look, as customer and till do."""
        asked = self.counter.ask("voucher")
        with suppress(Refused):  # It is in the look.
            self.counter.receive(*self.answer(asked, voucher, **changes))
        return self.counter.look(asked.session_id)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[SessionStore, None, None]:
    if request.param == "memory":
        yield MemoryStore()
        return
    where: Path | str = tmp_path / "counter.sqlite3"
    if request.param == "postgres":
        where = str(request.getfixturevalue("postgres_url"))
    with closing(SqlSessionStore(where)) as store:
        yield store


@pytest.fixture
def desk(clock: Clock, random_bytes: Callable[[int], bytes], store: SessionStore) -> Desk:
    return Desk(clock, random_bytes, store)


def codes(look: Look) -> list[str]:
    return [code for code, _ in look.words]


def taken(look: Look) -> TakenVoucher:
    assert look.held is not None
    assert look.held.taken is not None
    return parse_taken_voucher(look.held.taken)


def test_row_F8_a_counters_service_takes_a_voucher_once_and_says_so_the_second_time(  # noqa: N802
    desk: Desk,
) -> None:
    voucher = desk.voucher()

    first, second = desk.give(voucher), desk.give(voucher)

    assert (first.light, codes(first)) == (Light.GREEN, [])
    assert first.held is not None
    assert first.held.facts["voucher.good_for"] == "EUR 10 off"
    assert (second.light, codes(second)) == (Light.RED, ["voucher-spent"])
    assert second.held is not None
    assert second.held.taken is None
    assert desk.give(desk.voucher("ANOTHER-VOUCHER1")).light is Light.GREEN


def test_row_F8_two_counters_that_cannot_ask_each_other_hand_in_who_gave_it_twice(  # noqa: N802
    clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    corner = Desk(clock, random_bytes, MemoryStore())
    voucher = corner.voucher()
    here = taken(corner.give(voucher))
    clock.advance(timedelta(hours=1))
    corner.reopened(MemoryStore())
    there = taken(corner.give(voucher))

    (twice,) = reckon([there, here], brand=ISSUER, brand_key=corner.brand.public).twice

    assert twice.by is GivenTwiceBy.HOLDER
    assert twice.taken == (here, there)


def test_one_voucher_in_many_answers_at_once_is_taken_for_one(desk: Desk) -> None:
    voucher = desk.voucher()
    asked = [desk.counter.ask("voucher") for _ in range(AT_ONCE)]
    # Each question is answered twice, so that copies of one answer race as well.
    answers = [desk.answer(one, voucher) for one in asked for _ in range(2)]
    start = threading.Barrier(len(answers))

    def receive(answer: tuple[RequestId, Mapping[str, str]]) -> None:
        start.wait()
        with suppress(Refused):  # Counted by its light below.
            desk.counter.receive(*answer)

    with ThreadPoolExecutor(len(answers)) as threads:
        list(threads.map(receive, answers))

    looks = [desk.counter.look(one.session_id) for one in asked]
    assert sorted(str(look.light) for look in looks) == ["green"] + ["red"] * (AT_ONCE - 1)
    assert {code for look in looks for code in codes(look)} == {"voucher-spent"}


def test_a_refusal_spends_no_voucher(desk: Desk) -> None:
    voucher = desk.voucher()

    assert desk.give(voucher, signer=MemorySigner.generate()).light is Light.RED
    assert desk.give(voucher, nonce="another").light is Light.RED

    assert desk.give(voucher).light is Light.GREEN


def test_what_is_no_voucher_or_has_no_end_is_not_taken(desk: Desk) -> None:
    for bad in (
        desk.voucher(expires_at=None),
        desk.voucher(
            claims={"voucher": {"reference": "x", "use": "discount", "good_for": "EUR 10 off"}}
        ),
    ):
        look = desk.give(bad)
        assert (look.light, codes(look)) == (Light.RED, ["malformed"])


def test_a_voucher_that_the_store_could_not_take_is_not_spent(desk: Desk) -> None:
    voucher = desk.voucher()
    asked = desk.counter.ask("voucher")
    answer = desk.answer(asked, voucher)
    desk.clock.advance(timedelta(minutes=3))

    with pytest.raises(Refused) as refusal:
        desk.counter.receive(*answer)

    assert refusal.value.codes == ["request-expired"]
    assert desk.give(voucher).light is Light.GREEN


def test_a_voucher_is_not_asked_for_with_a_yes_that_waits(desk: Desk) -> None:
    with pytest.raises(Misuse):
        desk.counter.ask("voucher", handback=Handback.MATCH_CODE)


def test_a_preset_cannot_take_what_is_shown_unasked() -> None:
    document = json.loads(preset_files()["voucher.json"])

    for changes in ({"holder_shown": {"within_s": 60}}, {"taken_once": "yes"}):
        with pytest.raises(Malformed):
            parse_preset(json.dumps({**document, **changes}).encode(), "ours.json")
    assert PRESET.taken_once
    assert not PRESETS["warranty"].taken_once
    assert replace(PRESET, taken_once=False).policy() is not None


@pytest.mark.parametrize("moment", ["before the commit", "after it"])
def test_a_voucher_and_its_verdict_survive_kill_9_together_or_not_at_all(
    clock: Clock, random_bytes: Callable[[int], bytes], tmp_path: Path, moment: str
) -> None:
    path = tmp_path / "counter.sqlite3"
    with closing(SqlSessionStore(path)) as store:
        desk = Desk(clock, random_bytes, store)
        voucher = desk.voucher()
        asked = desk.counter.ask("voucher")
        answer = desk.answer(asked, voucher)
    if (child := os.fork()) == 0:
        try:
            doomed = SqlSessionStore(path)
            if moment == "before the commit":
                # Both rows are written by then, and not committed.
                doomed._tell = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign] # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
            desk.reopened(doomed).receive(*answer)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL

    with closing(SqlSessionStore(path)) as store:
        desk.reopened(store)
        if moment == "before the commit":
            assert desk.counter.look(asked.session_id).light is None
            desk.counter.receive(*answer)
        assert desk.counter.look(asked.session_id).light is Light.GREEN
        assert codes(desk.give(voucher)) == ["voucher-spent"]


def test_over_http_the_first_look_has_what_is_handed_in_and_no_later_one(
    clock: Clock, random_bytes: Callable[[int], bytes]
) -> None:
    desk = Desk(clock, random_bytes, MemoryStore())
    http = TestClient(create_app(desk.counter, counter_key=KEY))
    allowed = {"Authorization": f"Bearer {KEY}"}

    def looks(voucher: SdJwt) -> list[dict[str, Any]]:
        asked = http.post("/counter/requests", json={"preset": "voucher"}, headers=allowed).json()
        request_id, form = desk.answer(
            Asked(
                session_id=asked["id"],
                link=asked["link"],
                expires_at=NOON,
                purpose=PRESET.purpose,
                retention=PRESET.retention,
            ),
            voucher,
        )
        http.post(f"/responses/{request_id}", data=dict(form))
        url = f"/counter/requests/{asked['id']}"
        return [http.get(url, headers=allowed).json() for _ in range(2)]

    voucher = desk.voucher()
    first, later = looks(voucher)
    again, _ = looks(voucher)

    assert first["light"] == later["light"] == "green"
    good = parse_taken_voucher(first["voucher"])
    assert reckon([good], brand=ISSUER, brand_key=desk.brand.public).good == (good,)
    assert later["voucher"] is None
    assert (again["light"], again["voucher"]) == ("red", None)
    assert [it["code"] for it in again["reasons"]] == ["voucher-spent"]
    assert http.get(f"/counter/requests/{first['id']}").status_code == 401
