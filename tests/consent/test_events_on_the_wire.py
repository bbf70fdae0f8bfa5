"""Push and poll between real services, over real sockets: also when one is away, or killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path

import pytest
from counterfoil_consent import (
    Active,
    FetchedNotices,
    Pause,
    Receiver,
    fetch_custodian,
    read_consent_request,
    sign_pause,
)
from counterfoil_consent.client import CustodianClient
from counterfoil_consent.holder import Asked
from counterfoil_consent.requesting import Opened
from counterfoil_consent.set_poll import PollProof, PollRequest
from counterfoil_consent.states import Granted, Suspended
from counterfoil_consent.wire import digest_of
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.encoding import compact_json, object_at, parse_object
from counterfoil_credentials.errors import Unavailable
from counterfoil_credentials.fetch import GuardedFetcher, Response
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.request_links import parse_request_link

from tests.conftest import Clock
from tests.consent.street import BENEFITS, CUSTODIAN, VELO, Street, TrustedIssuer
from tests.consent.test_ending import withdrawal_of
from tests.consent.wires import Line, WiredStreet, wait_for

pytestmark = [pytest.mark.loopback, pytest.mark.once]
COMMAND = [str(Path(sys.executable).parent / "counterfoil"), "consent"]
Random = Callable[[int], bytes]


@pytest.fixture
def wired(clock: Clock, random_bytes: Random, tmp_path: Path) -> Iterator[WiredStreet]:
    street = WiredStreet(clock, random_bytes, tmp_path / "street")
    yield street
    street.close()


def state_at_receiver(street: Street, active: Active) -> object:
    grant = street.receiver_store.find_grant(active.agreement.grant_id)
    assert grant is not None
    return grant.state


def has_ended(street: Street, active: Active) -> bool:
    return not isinstance(state_at_receiver(street, active), Granted)


def poll(
    street: Street, request: PollRequest, signer: MemorySigner | None = None
) -> tuple[Response, float]:
    """Poll as anybody could; give the answer and how long it took, in seconds."""
    signer = signer or street.receiver_signer
    body = compact_json(request.to_json())
    proof = PollProof(
        caller=did_jwk(signer.public),
        request_id=street.random(8).hex(),
        body=digest_of(body),
        asked_at=street.clock(),
    ).sign(signer, audience=CUSTODIAN)
    started = time.monotonic()
    answer = street.fetcher.post(
        f"{CUSTODIAN}/events/poll",
        body,
        media_type="application/json",
        headers={"Authorization": f"Bearer {proof}"},
    )
    return answer, time.monotonic() - started


def sets_in(answer: Response) -> list[str]:
    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-store"
    return list(object_at(parse_object(answer.body, "answer"), "sets", "answer"))


def test_an_end_is_pushed_within_moments(wired: WiredStreet) -> None:
    active, signer = wired.granted()
    wired.receiver.inbox.configure(wired.receiver.events_endpoint())

    wired.custodian.end(active.agreement.grant_id, withdrawal_of(wired, active, signer))

    wait_for(lambda: has_ended(wired, active), within_s=20)
    wait_for(lambda: wired.custodian_store.outbox.counts().waiting == 0, within_s=20)


def test_an_end_that_nobody_pushes_is_fetched_by_the_next_poll(wired: WiredStreet) -> None:
    active, signer = wired.granted()

    wired.custodian.end(active.agreement.grant_id, withdrawal_of(wired, active, signer))

    wait_for(lambda: has_ended(wired, active))
    wait_for(lambda: wired.custodian_store.outbox.counts().waiting == 0, within_s=20)


def test_pauses_and_the_end_arrive_in_their_order(wired: WiredStreet) -> None:
    active, signer = wired.granted()
    grant_id = active.agreement.grant_id
    wired.receiver.inbox.configure(wired.receiver.events_endpoint())
    for pause in (Pause(1, is_suspended=True), Pause(2, is_suspended=False)):
        token = sign_pause(
            active.agreement, pause, signer=signer, now=wired.clock(), random=wired.random
        )
        wired.custodian.pause(grant_id, token)
        wait_for(
            lambda is_suspended=pause.is_suspended: (  # type: ignore[misc]  # the loop's own value
                isinstance(state_at_receiver(wired, active), Suspended) is is_suspended
            )
        )
    wired.custodian.end(grant_id, withdrawal_of(wired, active, signer))

    wait_for(lambda: has_ended(wired, active))


def test_a_receiver_that_was_down_is_told_when_it_is_back(wired: WiredStreet) -> None:
    active, signer = wired.granted()
    wired.receiver.inbox.configure(wired.receiver.events_endpoint())
    wired.lines[VELO].cut()
    wired.custodian.end(active.agreement.grant_id, withdrawal_of(wired, active, signer))
    time.sleep(1)
    assert wired.custodian_store.outbox.counts().waiting == 1
    assert not has_ended(wired, active)

    wired.serve_receiver()
    wired.clock.advance(timedelta(minutes=1))

    wait_for(lambda: has_ended(wired, active))
    wait_for(lambda: wired.custodian_store.outbox.counts().waiting == 0)


def test_a_custodian_that_was_down_is_told_when_it_is_back(wired: WiredStreet) -> None:
    active, signer = wired.granted()
    wired.lines[CUSTODIAN].cut()
    wired.receiver.end(active.agreement.grant_id, withdrawal_of(wired, active, signer))
    assert has_ended(wired, active)
    assert not wired.custodian_keys.is_destroyed(active.agreement.grant_id)

    wired.serve_custodian()
    wired.clock.advance(timedelta(minutes=1))

    wait_for(lambda: wired.custodian_keys.is_destroyed(active.agreement.grant_id))
    wait_for(lambda: wired.receiver_store.outbox.counts().waiting == 0)


def test_a_poll_waits_a_while_for_an_event_unless_told_otherwise(wired: WiredStreet) -> None:
    other = MemorySigner.generate()
    answer, took_s = poll(wired, PollRequest(), other)
    assert (sets_in(answer), took_s > 0.9) == ([], True)

    # Longer than anybody here listens: what comes back did not wait.
    wired.serve_custodian(poll_wait_s=3_600)
    answer, _ = poll(wired, PollRequest(return_immediately=True), other)
    assert sets_in(answer) == []
    answer, _ = poll(wired, PollRequest(max_events=0), other)
    assert sets_in(answer) == []
    active, signer = wired.granted()
    wired.lines[VELO].cut()
    wired.custodian.end(active.agreement.grant_id, withdrawal_of(wired, active, signer))
    answer, _ = poll(wired, PollRequest())
    assert len(sets_in(answer)) == 1


def test_a_poll_that_waits_comes_back_with_what_happens_meanwhile(wired: WiredStreet) -> None:
    active, signer = wired.granted()
    wired.lines[VELO].cut()
    wired.serve_custodian(poll_wait_s=8)
    token = withdrawal_of(wired, active, signer)
    later = threading.Timer(1.0, wired.custodian.end, (active.agreement.grant_id, token))
    later.start()

    answer, took_s = poll(wired, PollRequest())

    later.join()
    assert (len(sets_in(answer)), took_s < 8) == (1, True)


@pytest.mark.parametrize(
    ("door", "path"),
    [(CUSTODIAN, "/events"), (CUSTODIAN, "/events/poll"), (VELO, "/consent/events")],
)
def test_a_body_beyond_the_bound_is_refused_before_it_is_read(
    wired: WiredStreet, door: str, path: str
) -> None:
    line = HTTPConnection("127.0.0.1", wired.lines[door].port, timeout=10)
    line.putrequest("POST", path)
    line.putheader("Content-Length", "1100000")
    line.endheaders()

    assert line.getresponse().status == 413
    line.close()


@pytest.mark.parametrize("door", [CUSTODIAN, VELO])
def test_a_sender_that_hangs_holds_nobody_else_up(wired: WiredStreet, door: str) -> None:
    active, signer = wired.granted()
    wired.receiver.inbox.configure(wired.receiver.events_endpoint())
    path = "/events" if door == CUSTODIAN else "/consent/events"
    hanging: list[HTTPConnection] = []
    for _ in range(60):
        line = HTTPConnection("127.0.0.1", wired.lines[door].port)
        line.putrequest("POST", path)
        line.putheader("Content-Length", "1000")
        line.endheaders()
        hanging.append(line)

    wired.custodian.end(active.agreement.grant_id, withdrawal_of(wired, active, signer))

    wait_for(lambda: has_ended(wired, active), within_s=30)
    for line in hanging:
        line.close()


def test_no_read_while_the_custodian_is_away_and_one_when_it_is_back(wired: WiredStreet) -> None:
    active, _ = wired.granted()
    wired.lines[CUSTODIAN].cut()
    with (
        pytest.raises(Unavailable),
        wired.receiver.read(active.agreement.grant_id, BENEFITS),
    ):
        pass

    wired.serve_custodian()
    with wired.receiver.read(active.agreement.grant_id, BENEFITS):
        pass


# A process of its own, killed.


class Process:
    """`counterfoil consent serve`, as an operator runs it."""

    def __init__(self, folder: Path, port: int) -> None:
        if not folder.exists():
            subprocess.run([*COMMAND, "init", str(folder)], check=True, capture_output=True)
        self.process = subprocess.Popen(
            [*COMMAND, "serve", str(folder), "--port", str(port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        if not self.process.stdout.readline():
            self.kill()
            pytest.fail("expected a custodian that listens, found none")

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


class RealTime:
    """The time, as the process that is killed sees it too."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return datetime.now(UTC)

    def advance(self, by: timedelta) -> datetime:
        raise AssertionError("expected nobody to move the time, found somebody")


class StreetWithAProcess(WiredStreet):
    """The street, with a custodian that is a process of its own, at its own address."""

    def __init__(self, random: Random, folder: Path) -> None:
        self.house = folder
        self.line = Line()
        self.process = Process(folder, self.line.port)
        super().__init__(RealTime(), random, None)

    def start(self) -> None:
        self.lines = {VELO: Line()}
        address = self.line.address
        routes = {VELO: self.lines[VELO].address, address: address}
        self.party = fetch_custodian(GuardedFetcher(loopback_routes_unsafely=routes), address)
        super().start()

    def routes(self) -> dict[str, str]:
        return {**super().routes(), self.party.origin: self.party.origin}

    def connect(self) -> None:
        self.serve_receiver()

    def asked(self, opened: Opened) -> Asked:
        link = parse_request_link(opened.link)
        return read_consent_request(
            self.fetcher.get(link.request_uri, accept="*/*").body.decode(),
            client_id=link.client_id,
            custodians={self.party.origin: self.party.did},
            notices=FetchedNotices(self.fetcher),
            now=self.clock(),
        )

    def make_receiver(self, origin: str, signer: MemorySigner) -> Receiver:
        return Receiver(
            origin=origin,
            name="Velo",
            signer=signer,
            custodian=self.party,
            store=self.receiver_store,
            keys=self.receiver_keys,
            fetcher=self.fetcher,
            trust=TrustedIssuer(self.issuer.public),
            status=self.statuses,
            clock=self.clock,
            random=self.random,
        )

    def kill_and_start_again(self) -> None:
        self.process.kill()
        self.process = Process(self.house, self.line.port)


@pytest.fixture
def with_process(random_bytes: Random, tmp_path: Path) -> Iterator[StreetWithAProcess]:
    street = StreetWithAProcess(random_bytes, tmp_path / "custodian")
    yield street
    street.close()
    street.process.kill()


def test_an_end_that_was_answered_before_kill_9_reaches_the_receiver_after_it(
    with_process: StreetWithAProcess,
) -> None:
    street = with_process
    active, signer = street.granted()
    street.lines[VELO].cut()
    client = CustodianClient(street.party, street.fetcher)
    client.end(active.agreement.grant_id, withdrawal_of(street, active, signer))

    street.kill_and_start_again()
    assert not has_ended(street, active)
    street.serve_receiver()

    wait_for(lambda: has_ended(street, active))


def test_an_end_and_its_letter_survive_kill_9_together_or_not_at_all(
    with_process: StreetWithAProcess,
) -> None:
    street = with_process
    grants = [street.granted() for _ in range(8)]
    street.lines[VELO].cut()
    client = CustodianClient(street.party, street.fetcher)
    answered: list[str] = []

    def end_all() -> None:
        for active, signer in grants:
            try:
                client.end(active.agreement.grant_id, withdrawal_of(street, active, signer))
            except Unavailable:
                return
            answered.append(active.agreement.grant_id)

    ending = threading.Thread(target=end_all)
    ending.start()
    wait_for(lambda: len(answered) >= 3)
    street.kill_and_start_again()
    ending.join()

    street.receiver.inbox.drain()
    for active, _ in grants:
        if not has_ended(street, active):
            assert active.agreement.grant_id not in answered
            # Nothing is over there either.
            with street.receiver.read(active.agreement.grant_id, BENEFITS):
                pass
    assert len(answered) >= 3
