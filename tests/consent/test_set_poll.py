"""A receiver fetches its events and says what it took; nobody else learns of them."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from counterfoil_consent import Trigger
from counterfoil_consent.events import sign_end_of
from counterfoil_consent.parties import CustodianParty
from counterfoil_consent.set_inbox import Inbox
from counterfoil_consent.set_outbox import LetterState, MemorySetOutbox
from counterfoil_consent.set_poll import (
    MAX_EVENTS,
    MAX_SETS_BYTES,
    PollAnswer,
    PollDesk,
    PollProof,
    PollRequest,
    StreamRequest,
)
from counterfoil_consent.set_push import SetError, SetErrorCode, letter_to
from counterfoil_consent.spec import STREAM_TYP
from counterfoil_consent.wire import digest_of, fresh_grant_id, refuse, seconds, sign_artefact
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.encoding import JsonObject, compact_json, parse_object
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_credentials.fetch import Handler, MemoryFetcher, Response
from counterfoil_credentials.keys import MemorySigner

from tests.conftest import Clock

CUSTODIAN = "https://custodian.example"
DOOR = "https://shop.example/events"
NOW_PLEASE = PollRequest(return_immediately=True)
Random = Callable[[int], bytes]


class Counter:
    """The custodian's desk, and one receiver that comes to it."""

    def __init__(self, clock: Clock, random: Random) -> None:
        self.clock = clock
        self.random = random
        self.outbox = MemorySetOutbox()
        self.desk = PollDesk(self.outbox, audience=CUSTODIAN, clock=clock)
        self.custodian = MemorySigner.generate()
        self.receiver = MemorySigner.generate()
        self.did = did_jwk(self.receiver.public)
        self.heard: list[str] = []
        self.trouble: dict[str, Exception] = {}
        self.polls: list[PollRequest] = []
        self.headers: list[dict[str, str]] = []
        self.fetcher = MemoryFetcher()
        self.fetcher.serve(CUSTODIAN, self.serve)
        self.inbox = self.new_inbox()

    def new_inbox(self) -> Inbox:
        return Inbox(
            CustodianParty(origin=CUSTODIAN, did=did_jwk(self.custodian.public)),
            self.fetcher,
            signer=self.receiver,
            clock=self.clock,
            random=self.random,
            hear=self.hear,
        )

    def hear(self, token: str) -> None:
        self.heard.append(token)
        if token in self.trouble:
            raise self.trouble[token]

    def put(self, count: int, receiver: MemorySigner | None = None) -> list[str]:
        to = did_jwk((receiver or self.receiver).public)
        tokens = [self.token(to) for _ in range(count)]
        self.outbox.put([letter_to(to, token) for token in tokens])
        return tokens

    def token(self, *audience: str) -> str:
        return sign_end_of(
            fresh_grant_id(self.random),
            audience,
            Trigger.WITHDRAWN,
            signer=self.custodian,
            now=self.clock(),
            random=self.random,
        )

    def proof(self, body: bytes) -> PollProof:
        return PollProof(
            caller=self.did,
            request_id=self.random(8).hex(),
            body=digest_of(body),
            asked_at=self.clock(),
        )

    def poll(self, request: PollRequest, signer: MemorySigner | None = None) -> PollAnswer:
        body = compact_json(request.to_json())
        token = self.proof(body).sign(signer or self.receiver, audience=CUSTODIAN)
        return self.desk.look(self.desk.open(token, body))

    def refused_proof(self, token: str, body: bytes) -> list[str]:
        with pytest.raises(Refused) as refusal:
            self.desk.open(token, body)
        return refusal.value.codes

    def stream(self, endpoint: str | None, signer: MemorySigner | None = None) -> str:
        return StreamRequest(
            receiver=self.did,
            request_id=self.random(8).hex(),
            endpoint=endpoint,
            asked_at=self.clock(),
        ).sign(signer or self.receiver, audience=CUSTODIAN)

    def serve(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        if path == "/events/stream":
            self.desk.configure(body.decode())
            return Response(200, "application/json", b"{}")
        assert (method, path) == ("POST", "/events/poll")
        assert headers["content-type"] == "application/json"
        self.headers.append(dict(headers))
        scheme, _, proof = headers["Authorization".lower()].partition(" ")
        assert scheme == "Bearer"
        opened = self.desk.open(proof, body)
        self.polls.append(opened.request)
        answer = compact_json(self.desk.look(opened).to_json())
        return Response(200, "application/json", answer)


def always(answer: Response) -> Handler:
    """Give a network behind which there is one answer to everything."""

    def answers(_method: str, _path: str, _headers: Mapping[str, str], _body: bytes) -> Response:
        return answer

    return answers


@pytest.fixture
def counter(clock: Clock, random_bytes: Random) -> Counter:
    return Counter(clock, random_bytes)


def test_an_empty_body_asks_for_all_and_waits() -> None:
    assert PollRequest.from_json({}) == PollRequest(
        max_events=MAX_EVENTS, return_immediately=False, acknowledged=(), errors={}
    )


def test_reads_every_member_of_the_standard_and_passes_over_others() -> None:
    read = PollRequest.from_json(
        {
            "maxEvents": 7,
            "returnImmediately": True,
            "ack": ["one", "two"],
            "setErrs": {"three": {"err": "invalid_key", "description": "no", "more": 1}},
            "extension": {},
        }
    )

    assert read == PollRequest(
        max_events=7,
        return_immediately=True,
        acknowledged=("one", "two"),
        errors={"three": SetError("invalid_key", "no")},
    )
    assert PollRequest.from_json(read.to_json()) == read


@pytest.mark.parametrize(
    "body",
    [
        {"maxEvents": -1},
        {"maxEvents": "1"},
        {"maxEvents": True},
        {"maxEvents": 1.5},
        {"returnImmediately": "true"},
        {"returnImmediately": None},
        {"ack": "one"},
        {"ack": [1]},
        {"ack": ["x"] * 1_001},
        {"setErrs": []},
        {"setErrs": {"one": "invalid_key"}},
        {"setErrs": {"one": {"description": "no"}}},
        {"setErrs": {"one": {"err": ""}}},
        {"setErrs": {"one": {"err": "x" * 101}}},
    ],
    ids=str,
)
def test_refuses_a_body_that_is_none(body: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        PollRequest.from_json(body)


def test_gives_what_waits_in_its_order_until_it_is_acknowledged(counter: Counter) -> None:
    tokens = counter.put(3)

    first = counter.poll(NOW_PLEASE)
    again = counter.poll(NOW_PLEASE)
    assert [*first.sets.values()] == tokens
    assert first == again
    assert not first.more_available
    (one, two, _) = first.sets

    rest = counter.poll(replace(NOW_PLEASE, acknowledged=(two, one, "unknown")))
    assert [*rest.sets.values()] == tokens[2:]


def test_gives_as_many_as_were_asked_for_and_says_that_there_are_more(counter: Counter) -> None:
    tokens = counter.put(3)

    answer = counter.poll(replace(NOW_PLEASE, max_events=2))

    assert [*answer.sets.values()] == tokens[:2]
    assert answer.more_available


def test_a_poll_for_nothing_only_acknowledges(counter: Counter) -> None:
    tokens = counter.put(2)
    (one, _) = counter.poll(NOW_PLEASE).sets

    answer = counter.poll(replace(NOW_PLEASE, max_events=0, acknowledged=(one,)))

    assert (answer.sets, answer.more_available) == ({}, True)
    assert [*counter.poll(NOW_PLEASE).sets.values()] == tokens[1:]


def test_an_answer_stays_short_whatever_waits(counter: Counter) -> None:
    letters = [letter_to(counter.did, counter.token("x" * 40_000)) for _ in range(30)]
    counter.outbox.put(letters)

    answer = counter.poll(NOW_PLEASE)

    assert 1 < len(answer.sets) < 30
    assert sum(map(len, answer.sets.values())) <= MAX_SETS_BYTES
    assert answer.more_available


@pytest.mark.parametrize("code", [*SetErrorCode, "something_new"])
def test_an_event_that_the_receiver_refuses_is_kept_to_be_seen(counter: Counter, code: str) -> None:
    counter.put(2)
    (one, two) = counter.poll(NOW_PLEASE).sets

    rest = counter.poll(replace(NOW_PLEASE, errors={one: SetError(code, "no")}))

    assert list(rest.sets) == [two]
    (dead,) = counter.outbox.undelivered(10)
    assert (dead.event_id, dead.state, dead.failure) == (one, LetterState.REFUSED, f"{code}: no")


# Who asks.


def test_another_receiver_sees_and_acknowledges_its_own_alone(counter: Counter) -> None:
    other = MemorySigner.generate()
    mine, theirs = counter.put(1), counter.put(1, other)
    (one,) = counter.poll(NOW_PLEASE).sets

    answer = counter.poll(replace(NOW_PLEASE, acknowledged=(one,)), other)

    assert [*answer.sets.values()] == theirs
    assert [*counter.poll(NOW_PLEASE).sets.values()] == mine


def test_a_proof_is_good_once(counter: Counter) -> None:
    body = b"{}"
    token = counter.proof(body).sign(counter.receiver, audience=CUSTODIAN)
    counter.desk.open(token, body)

    assert counter.refused_proof(token, body) == ["poll-proof-replayed"]


def test_a_proof_is_good_for_its_body_alone(counter: Counter) -> None:
    counter.put(1)
    token = counter.proof(b"{}").sign(counter.receiver, audience=CUSTODIAN)

    assert counter.refused_proof(token, b'{"ack":["x"]}') == ["body-mismatch"]


def test_a_proof_is_good_at_one_custodian_alone(counter: Counter) -> None:
    token = counter.proof(b"{}").sign(counter.receiver, audience="https://other.example")

    assert counter.refused_proof(token, b"{}") == ["audience-mismatch"]


@pytest.mark.parametrize("seconds_off", [-361, 361, -3_600, 3_600])
def test_a_proof_is_good_for_six_minutes(counter: Counter, seconds_off: int) -> None:
    at = counter.clock() + timedelta(seconds=seconds_off)
    token = replace(counter.proof(b"{}"), asked_at=at).sign(counter.receiver, audience=CUSTODIAN)

    assert counter.refused_proof(token, b"{}") == ["poll-proof-not-fresh"]


def test_a_proof_cannot_be_used_again_while_it_would_still_be_fresh(counter: Counter) -> None:
    at = counter.clock() + timedelta(seconds=360)
    token = replace(counter.proof(b"{}"), asked_at=at).sign(counter.receiver, audience=CUSTODIAN)
    counter.desk.open(token, b"{}")

    counter.clock.advance(timedelta(seconds=720))
    assert counter.refused_proof(token, b"{}") == ["poll-proof-replayed"]
    counter.clock.advance(timedelta(seconds=1))
    assert counter.refused_proof(token, b"{}") == ["poll-proof-not-fresh"]


def test_a_forged_proof_is_worth_nothing(counter: Counter) -> None:
    token = counter.proof(b"{}").sign(counter.receiver, audience=CUSTODIAN)
    other = counter.proof(b"{}").sign(counter.receiver, audience=CUSTODIAN)
    forged = f"{token.rpartition('.')[0]}.{other.rpartition('.')[2]}"

    assert counter.refused_proof(forged, b"{}") == ["signature-invalid"]


def test_a_stream_request_is_no_proof_of_a_poll(counter: Counter) -> None:
    assert counter.refused_proof(counter.stream(None), b"{}") == ["token-type-mismatch"]


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"a":1,"a":2}', b"\xff"])
def test_a_body_that_is_no_object_uses_no_proof_up(counter: Counter, body: bytes) -> None:
    proof = counter.proof(body)

    with pytest.raises(Malformed):
        counter.desk.open(proof.sign(counter.receiver, audience=CUSTODIAN), body)

    good = replace(proof, body=digest_of(b"{}"))
    counter.desk.open(good.sign(counter.receiver, audience=CUSTODIAN), b"{}")


# Streams.


def test_a_receiver_says_where_its_events_are_pushed_and_that_it_polls_again(
    counter: Counter,
) -> None:
    counter.put(1)
    now = counter.clock()

    assert counter.desk.configure(counter.stream(DOOR)).endpoint == DOOR
    round_ = counter.outbox.take(now, now, "lease", steady_only=False)
    assert round_ is not None
    assert round_.letters[0].endpoint == DOOR
    counter.desk.configure(counter.stream(None))

    assert counter.outbox.take(now, now, "lease", steady_only=False) is None


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://shop.example/events",
        "https://127.0.0.1/events",
        "https://10.1.2.3/events",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/events",
        "https://localhost/events",
        "https://shop/events",
        "https://shop.internal/events",
        "http://127.0.0.1:8001/events",
        "https://shop.example/events#part",
        "https://user@shop.example/events",
        "https://0x7f.1/events",
        "file:///etc/passwd",
        "nonsense",
    ],
)
def test_refuses_an_endpoint_that_we_may_not_call(counter: Counter, endpoint: str) -> None:
    counter.put(1)
    with pytest.raises((Malformed, Refused)):
        counter.desk.configure(counter.stream(endpoint))

    now = counter.clock()
    assert counter.outbox.take(now, now, "lease", steady_only=False) is None


@pytest.mark.parametrize("host", ["shop.example2", "9.example", "8.8.8.8", "[2606:4700::1111]"])
def test_takes_an_endpoint_that_anybody_may_call(counter: Counter, host: str) -> None:
    url = f"https://{host}/events"

    assert counter.desk.configure(counter.stream(url)).endpoint == url


def test_a_developer_may_name_origins_on_his_own_machine(counter: Counter) -> None:
    desk = PollDesk(
        counter.outbox,
        audience=CUSTODIAN,
        clock=counter.clock,
        loopback_origins_unsafely={"http://127.0.0.1:8001"},
    )

    assert desk.configure(counter.stream("http://127.0.0.1:8001/events")).endpoint
    with pytest.raises(Refused) as refusal:
        desk.configure(counter.stream("http://127.0.0.1:8002/events"))
    assert refusal.value.codes == ["fetch-not-allowed"]


def test_a_stream_request_is_good_once_for_six_minutes_and_for_one_custodian(
    counter: Counter,
) -> None:
    token = counter.stream(DOOR)
    counter.desk.configure(token)
    with pytest.raises(Refused) as refusal:
        counter.desk.configure(token)
    assert refusal.value.codes == ["stream-request-replayed"]

    old = counter.stream(DOOR)
    counter.clock.advance(timedelta(seconds=361))
    with pytest.raises(Refused) as refusal:
        counter.desk.configure(old)
    assert refusal.value.codes == ["stream-request-not-fresh"]
    desk = PollDesk(counter.outbox, audience="https://other.example", clock=counter.clock)
    with pytest.raises(Refused) as refusal:
        desk.configure(counter.stream(DOOR))
    assert refusal.value.codes == ["audience-mismatch"]


@pytest.mark.parametrize(
    "delivery",
    [
        {"method": "urn:ietf:rfc:8935"},
        {"method": "urn:ietf:rfc:8936", "endpoint_url": DOOR},
        {"method": "urn:ietf:rfc:9999"},
        {},
        {"method": "urn:ietf:rfc:8935", "endpoint_url": DOOR, "authorization_header": "x"},
    ],
    ids=str,
)
def test_refuses_a_delivery_that_is_none(counter: Counter, delivery: dict[str, Any]) -> None:
    claims: JsonObject = {"aud": CUSTODIAN, "iat": seconds(counter.clock()), "jti": "one"}
    token = sign_artefact({**claims, "delivery": delivery}, typ=STREAM_TYP, signer=counter.receiver)

    with pytest.raises((Malformed, Refused)):
        counter.desk.configure(token)


# The receiver's inbox.


def test_the_inbox_hears_all_that_waits_in_order_and_thanks_for_it(counter: Counter) -> None:
    tokens = counter.put(250)

    assert counter.inbox.drain() == 250

    assert counter.heard == tokens
    assert counter.outbox.counts().waiting == 0
    assert [poll.max_events for poll in counter.polls] == [100, 100, 100, 0]
    assert all(poll.return_immediately for poll in counter.polls)


def test_the_inbox_is_drained_once_and_anew_after_trouble(counter: Counter) -> None:
    for _ in range(3):
        counter.inbox.require_drained()
    assert len(counter.polls) == 1

    counter.inbox.lose()
    counter.inbox.require_drained()
    assert len(counter.polls) == 2
    counter.new_inbox().require_drained()
    assert len(counter.polls) == 3


def test_a_round_in_the_background_holds_no_read_up(counter: Counter) -> None:
    counter.inbox.require_drained()
    asked, answered = threading.Event(), threading.Event()

    def slow(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        asked.set()
        assert answered.wait(30)
        return counter.serve(method, path, headers, body)

    counter.fetcher.serve(CUSTODIAN, slow)
    listening = threading.Thread(target=counter.inbox.drain)
    listening.start()
    assert asked.wait(30)

    counter.inbox.require_drained()

    answered.set()
    listening.join()


def test_the_inbox_is_not_drained_while_the_custodian_is_away(counter: Counter) -> None:
    counter.inbox.require_drained()
    counter.fetcher.disconnect(CUSTODIAN)
    with pytest.raises(Unavailable):
        counter.inbox.drain()

    with pytest.raises(Unavailable):
        counter.inbox.require_drained()


@pytest.mark.parametrize(
    "answer",
    [
        Response(401, "application/json", b'{"error":"invalid_token"}'),
        Response(404, "text/html", b"<html>"),
        Response(500, "", b""),
        Response(200, "application/json", b""),
        Response(200, "application/json", b"[]"),
        Response(200, "application/json", b'{"sets":[]}'),
        Response(200, "application/json", b'{"sets":{"one":1}}'),
        Response(200, "application/json", b'{"sets":{},"moreAvailable":1}'),
        Response(200, "application/json", b'{"sets":{},"moreAvailable":true}'),
        Response(302, "", b"", {"location": CUSTODIAN}),
    ],
    ids=lambda answer: f"{answer.status} {answer.body.decode()}",
)
def test_whatever_else_the_custodian_answers_nothing_is_drained(
    counter: Counter, answer: Response
) -> None:
    counter.fetcher.serve(CUSTODIAN, always(answer))

    with pytest.raises(Unavailable):
        counter.inbox.require_drained()


def test_an_event_that_is_not_to_be_taken_is_refused_and_holds_up_no_other(
    counter: Counter,
) -> None:
    bad, forged, good = counter.put(3)
    counter.trouble = {
        bad: Malformed("an event", "none", "event"),
        forged: refuse("signature-invalid", "a signature", "another", "event"),
    }

    counter.inbox.require_drained()

    assert counter.heard == [bad, forged, good]
    assert [dead.failure.split(":")[0] for dead in counter.outbox.undelivered(10)] == [
        "invalid_request",
        "invalid_key",
    ]
    # RFC 8936, section 2.6: whose language the descriptions are in.
    assert counter.headers[-1]["content-language"] == "en"
    assert counter.outbox.counts().waiting == 0


def test_an_event_that_could_not_be_taken_now_comes_again(counter: Counter) -> None:
    (token,) = counter.put(1)
    counter.trouble = {token: Unavailable("expected the database, found none")}
    with pytest.raises(Unavailable):
        counter.inbox.require_drained()
    assert counter.outbox.counts().waiting == 1

    counter.trouble = {}
    counter.inbox.require_drained()

    assert counter.heard == [token, token]


def test_a_custodian_that_never_ends_is_left(counter: Counter) -> None:
    token = counter.token(counter.did)
    body = compact_json({"sets": {"one": token}, "moreAvailable": True})
    counter.fetcher.serve(CUSTODIAN, always(Response(200, "application/json", body)))

    with pytest.raises(Unavailable):
        counter.inbox.require_drained()

    assert len(counter.heard) == 1_000


def test_thanks_that_are_lost_bring_the_last_events_once_more(counter: Counter) -> None:
    (token,) = counter.put(1)
    served = counter.serve

    def lossy(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        if parse_object(body, "body").get("maxEvents") == 0:
            raise Unavailable("expected an answer, found none")
        return served(method, path, headers, body)

    counter.fetcher.serve(CUSTODIAN, lossy)
    counter.inbox.require_drained()
    counter.fetcher.serve(CUSTODIAN, served)
    counter.inbox.drain()

    assert counter.heard == [token, token]
    assert counter.outbox.counts().waiting == 0


def test_the_inbox_asks_for_pushes(counter: Counter) -> None:
    counter.put(1)

    counter.inbox.configure(DOOR)

    now = counter.clock()
    assert counter.outbox.take(now, now, "lease", steady_only=False) is not None
