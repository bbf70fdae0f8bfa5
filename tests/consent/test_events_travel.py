"""An end or a pause that one party heard of reaches every other, and counts once there."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from counterfoil_consent import Active, Operation, Pause, RecipientParty, Trigger, sign_pause
from counterfoil_consent.events import sign_end, sign_end_of
from counterfoil_consent.set_outbox import LetterState
from counterfoil_consent.states import Granted, Suspended
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.encoding import parse_object, text_at
from counterfoil_credentials.errors import Refused, Unavailable
from counterfoil_credentials.fetch import Response
from counterfoil_credentials.jws import read_jws
from counterfoil_credentials.keys import MemorySigner

from tests.consent.street import BENEFITS, CUSTODIAN, KEY, VELO, Street, wish
from tests.consent.test_ending import withdrawal_of

SET = "application/secevent+jwt"
SHARING = (Operation.USE, Operation.STORE, Operation.SHARE)
FIVE_MINUTES = timedelta(minutes=5)


def read(street: Street, active: Active) -> None:
    with street.receiver.read(active.agreement.grant_id, BENEFITS):
        pass


def refused_read(street: Street, active: Active) -> list[str]:
    with pytest.raises(Refused) as refusal:
        read(street, active)
    return refusal.value.codes


def word(street: Street, active: Active, signer: MemorySigner, pause: Pause) -> str:
    return sign_pause(
        active.agreement, pause, signer=signer, now=street.clock(), random=street.random
    )


def suspended(sequence: int) -> Pause:
    return Pause(sequence, is_suspended=True)


def resumed(sequence: int) -> Pause:
    return Pause(sequence, is_suspended=False)


def has_ended_at_receiver(street: Street, active: Active) -> bool:
    grant = street.receiver_store.find_grant(active.agreement.grant_id)
    assert grant is not None
    return not isinstance(grant.state, Granted)


def is_paused_at_receiver(street: Street, active: Active) -> bool:
    grant = street.receiver_store.find_grant(active.agreement.grant_id)
    assert grant is not None
    return isinstance(grant.state, Suspended)


def ciphertext(street: Street, active: Active) -> bytes | None:
    return street.receiver_store.find_bundle(active.agreement.grant_id)


def waiting(street: Street) -> tuple[int, int]:
    """Give how many letters wait: at the custodian, and at the receiver."""
    ours, theirs = street.custodian_store.outbox, street.receiver_store.outbox
    return ours.counts().waiting, theirs.counts().waiting


def push_all(street: Street) -> None:
    street.custodian.pusher(street.fetcher).push_all()
    street.receiver.pusher.push_all()


# From the custodian to the receiver.


def test_an_end_at_the_custodian_is_fetched_by_the_receiver(street: Street) -> None:
    active, signer = street.granted()
    street.custodian.end(active.agreement.grant_id, withdrawal_of(street, active, signer))
    assert waiting(street) == (1, 0)

    street.receiver.listen()

    assert has_ended_at_receiver(street, active)
    assert ciphertext(street, active) is None
    assert waiting(street)[0] == 0


def test_an_end_at_the_custodian_is_pushed_to_a_receiver_that_asked_for_it(
    street: Street,
) -> None:
    active, signer = street.granted()
    street.receiver.inbox.configure(street.receiver.events_endpoint())
    street.custodian.end(active.agreement.grant_id, withdrawal_of(street, active, signer))

    push_all(street)

    assert has_ended_at_receiver(street, active)
    assert waiting(street) == (0, 0)


@pytest.mark.parametrize("way", ["push", "poll"])
def test_a_pause_at_the_custodian_reaches_the_receiver_either_way(street: Street, way: str) -> None:
    active, signer = street.granted()
    if way == "push":
        street.receiver.inbox.configure(street.receiver.events_endpoint())

    for pause in (suspended(1), resumed(2), suspended(3)):
        street.custodian.pause(active.agreement.grant_id, word(street, active, signer, pause))
        if way == "push":
            push_all(street)
        else:
            street.receiver.listen()
        assert is_paused_at_receiver(street, active) is pause.is_suspended


def test_of_many_pauses_the_one_that_holds_is_told(street: Street) -> None:
    active, signer = street.granted()
    for pause in (suspended(1), resumed(2), suspended(9), resumed(8)):
        street.custodian.pause(active.agreement.grant_id, word(street, active, signer, pause))
    assert waiting(street)[0] == 1

    street.receiver.listen()

    assert is_paused_at_receiver(street, active)


def test_a_pause_that_was_sent_twice_is_told_even_if_the_first_time_was_cut_short(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    active, signer = street.granted()
    token = word(street, active, signer, suspended(1))

    def power_cut(*_: object) -> None:
        raise Unavailable("expected power, found none")

    with monkeypatch.context() as patch:
        patch.setattr(street.custodian_keys, "add_pause", power_cut)
        with pytest.raises(Unavailable):
            street.custodian.pause(active.agreement.grant_id, token)
    street.custodian.pause(active.agreement.grant_id, token)

    assert waiting(street)[0] == 1
    street.receiver.listen()
    assert is_paused_at_receiver(street, active)


def test_an_end_of_a_grant_that_never_came_is_taken_and_forgotten(street: Street) -> None:
    package, signer = street.packed()
    street.custodian.register(package.registration)
    active = package.granted.acknowledge("")
    street.custodian.end(package.grant_id, withdrawal_of(street, active, signer))

    street.receiver.listen()

    assert street.receiver_store.find_grant(package.grant_id) is None
    assert street.custodian_store.outbox.counts().refused == 0
    assert waiting(street)[0] == 0


def test_an_end_that_a_restored_custodian_has_forgotten_is_told_all_the_same(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    active, signer = street.granted()
    with monkeypatch.context() as patch:
        patch.setattr(street.custodian_store, "find", nothing)
        street.custodian.end(active.agreement.grant_id, withdrawal_of(street, active, signer))

    street.receiver.listen()

    assert has_ended_at_receiver(street, active)


# From the receiver to the custodian and to each recipient.


def test_an_end_at_the_receiver_reaches_a_custodian_that_was_away(street: Street) -> None:
    active, signer = street.granted()
    street.fetcher.disconnect(CUSTODIAN)
    street.receiver.end(active.agreement.grant_id, withdrawal_of(street, active, signer))
    push_all(street)
    assert not street.custodian_keys.is_destroyed(active.agreement.grant_id)
    assert waiting(street)[1] == 1

    street.connect()
    street.clock.advance(timedelta(seconds=5))
    push_all(street)

    assert street.custodian_keys.is_destroyed(active.agreement.grant_id)
    assert waiting(street)[1] == 0


def test_a_pause_at_the_receiver_reaches_the_custodian(street: Street) -> None:
    active, signer = street.granted()
    street.receiver.pause(active.agreement.grant_id, word(street, active, signer, suspended(1)))

    push_all(street)

    assert street.custodian_keys.pause(active.agreement.grant_id) == suspended(1)
    # It told us in turn, which changed nothing here.
    street.receiver.listen()
    assert waiting(street) == (0, 0)


class Recipient:
    """A workshop that gets facts from the brand, and events."""

    def __init__(self, street: Street, name: str) -> None:
        self.party = RecipientParty(
            did=did_jwk(MemorySigner.generate().public),
            name=name,
            endpoint=f"https://{name}.example/consent/{{grant_id}}/end",
        )
        self.events: list[str] = []
        self.paths: list[str] = []
        self.status = 202
        street.fetcher.serve(f"https://{name}.example", self)

    def __call__(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        if headers["content-type"] != SET or self.status != 202:
            return Response(503, "", b"")
        claims = read_jws(body.decode(), typ="secevent+jwt", where="event").unverified_claims
        audience, events = claims["aud"], claims["events"]
        assert isinstance(audience, list)
        assert isinstance(events, dict)
        assert self.party.did in audience
        self.events += [name.split(":")[-2] for name in events]
        self.paths.append(path)
        return Response(202, "", b"")


def test_every_recipient_hears_of_the_end_whoever_else_is_away(street: Street) -> None:
    workshop, carrier = Recipient(street, "workshop"), Recipient(street, "carrier")
    active, signer = street.granted(recipients=(workshop.party, carrier.party), operations=SHARING)
    grant_id = active.agreement.grant_id
    carrier.status = 503
    # A pause is no business of theirs.
    street.receiver.pause(grant_id, word(street, active, signer, suspended(1)))
    street.receiver.end(grant_id, withdrawal_of(street, active, signer))
    push_all(street)

    assert workshop.events == ["withdrawn"]
    assert workshop.paths == [f"/consent/{grant_id}/end"]
    assert carrier.events == []
    carrier.status = 202
    street.clock.advance(timedelta(minutes=1))
    push_all(street)

    assert (workshop.events, carrier.events) == (["withdrawn"], ["withdrawn"])
    assert waiting(street)[1] == 0


@pytest.mark.parametrize("how", ["complete", "terminate", "expire"])
def test_the_others_hear_of_an_end_that_the_receiver_or_its_clock_made(
    street: Street, how: str
) -> None:
    workshop = Recipient(street, "workshop")
    active, _ = street.granted(recipients=(workshop.party,), operations=SHARING)
    grant_id = active.agreement.grant_id
    if how == "complete":
        street.receiver.complete(grant_id)
    elif how == "terminate":
        street.receiver.terminate(grant_id)
    else:
        street.clock.advance(timedelta(days=30))
        street.receiver.end_due()

    push_all(street)

    assert workshop.events == ["completed" if how == "complete" else "terminated"]
    assert street.custodian_keys.is_destroyed(grant_id)


def test_the_desk_sees_what_could_not_be_told_and_sends_it_again(street: Street) -> None:
    workshop = Recipient(street, "workshop")
    workshop.status = 503
    active, signer = street.granted(recipients=(workshop.party,), operations=SHARING)
    street.receiver.end(active.agreement.grant_id, withdrawal_of(street, active, signer))
    for _ in range(17):
        push_all(street)
        street.clock.advance(timedelta(hours=6))
    staff = {"Authorization": f"Bearer {KEY}"}

    assert street.brand.get("/consent/desk/events").status_code == 401
    said = street.brand.get("/consent/desk/events", headers=staff).json()
    assert (said["waiting"], said["dead"], said["refused"]) == (0, 1, 0)
    (line,) = said["lines"]
    assert (line["destination"], line["state"], line["failure"]) == (
        workshop.party.did,
        "dead",
        "status 503",
    )
    assert line["grant_id"] == active.agreement.grant_id
    workshop.status = 202
    again = {"destination": workshop.party.did}
    assert street.brand.post("/consent/desk/events/again", json=again).status_code == 401
    street.brand.post("/consent/desk/events/again", json=again, headers=staff)
    push_all(street)

    assert workshop.events == ["withdrawn"]
    assert street.receiver_store.outbox.undelivered(10) == []


# Twice, late, forged, out of order.


def test_an_end_that_comes_every_way_at_once_counts_once(street: Street) -> None:
    active, signer = street.granted()
    grant_id, token = active.agreement.grant_id, withdrawal_of(street, active, signer)
    street.receiver.inbox.configure(street.receiver.events_endpoint())

    statement = street.custodian.end(grant_id, token)
    notice = street.receiver.end(grant_id, token)
    street.receiver.hear(token)
    street.custodian.hear(token)
    street.receiver.listen()
    push_all(street)

    assert street.receiver.end(grant_id, token) == notice
    assert street.custodian.end(grant_id, token) == statement
    assert waiting(street) == (0, 0)
    grant = street.receiver_store.find_grant(grant_id)
    assert grant is not None
    street.receiver.hear(token)
    assert street.receiver_store.find_grant(grant_id) == grant


@pytest.mark.parametrize("party", ["custodian", "receiver"])
def test_an_old_resumption_that_comes_late_resumes_nothing(street: Street, party: str) -> None:
    active, signer = street.granted()
    late = word(street, active, signer, resumed(2))
    hear = street.custodian.hear if party == "custodian" else street.receiver.hear
    hear(word(street, active, signer, suspended(1)))
    hear(word(street, active, signer, suspended(3)))

    for _ in range(2):
        hear(late)

    assert refused_read(street, active) == ["grant-suspended"]


@pytest.mark.parametrize("party", ["custodian", "receiver"])
def test_a_resumption_after_the_end_brings_nothing_back(street: Street, party: str) -> None:
    active, signer = street.granted()
    hear = street.custodian.hear if party == "custodian" else street.receiver.hear
    hear(withdrawal_of(street, active, signer))

    hear(word(street, active, signer, resumed(7)))

    assert refused_read(street, active) == ["grant-ended"]


@pytest.mark.parametrize("minutes", [-5, 5])
def test_a_clock_that_is_wrong_by_five_minutes_keeps_no_grant_alive(
    street: Street, minutes: int
) -> None:
    active, signer = street.granted()
    now = street.clock()
    token = sign_end(
        active.agreement,
        Trigger.WITHDRAWN,
        signer=signer,
        now=now + timedelta(minutes=minutes),
        random=street.random,
    )

    street.custodian.end(active.agreement.grant_id, token)
    street.receiver.listen()

    assert refused_read(street, active) == ["grant-ended"]
    grant = street.receiver_store.find_grant(active.agreement.grant_id)
    assert grant is not None
    assert grant.ending is not None
    assert grant.ending.requested_at <= now
    assert grant.ending.stopped_at == now


@pytest.mark.parametrize("minutes", [-7, 7])
def test_a_receiver_whose_clock_is_wrong_by_more_than_five_minutes_reads_nothing(
    street: Street, minutes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    active, _ = street.granted()
    wrong = street.clock() + timedelta(minutes=minutes)
    monkeypatch.setattr(street.receiver.inbox, "_clock", lambda: wrong)

    with pytest.raises(Unavailable, match="another time"):
        read(street, active)


# Over the routes, as they are on the wire.


def forged_events(
    street: Street, active: Active, signer: MemorySigner
) -> dict[str, tuple[str, str]]:
    """Give tokens that no party may take, each with its code (RFC 8935, section 2.4)."""
    stranger = MemorySigner.generate()
    good = withdrawal_of(street, active, signer)
    other = withdrawal_of(street, active, signer)
    grant_id = active.agreement.grant_id

    def sign(who: MemorySigner, trigger: Trigger, *audience: str) -> str:
        return sign_end_of(
            grant_id, audience, trigger, signer=who, now=street.clock(), random=street.random
        )

    both = (street.receiver.party.client_id, CUSTODIAN)
    return {
        "a stranger withdraws": (sign(stranger, Trigger.WITHDRAWN, *both), "invalid_issuer"),
        "the holder completes": (sign(signer, Trigger.COMPLETED, *both), "invalid_issuer"),
        "a stranger pauses": (word(street, active, stranger, suspended(1)), "invalid_issuer"),
        "for somebody else": (
            sign(signer, Trigger.WITHDRAWN, "https://other.example"),
            "invalid_audience",
        ),
        "another's signature": (
            f"{good.rpartition('.')[0]}.{other.rpartition('.')[2]}",
            "invalid_key",
        ),
        "no event": ("a.b.c", "invalid_request"),
        "nothing": ("", "invalid_request"),
    }


@pytest.mark.parametrize("door", [f"{CUSTODIAN}/events", f"{VELO}/consent/events"])
def test_a_forged_event_is_refused_by_its_code_and_changes_nothing(
    street: Street, door: str
) -> None:
    active, signer = street.granted()
    for what, (token, code) in forged_events(street, active, signer).items():
        answer = street.fetcher.post(door, token.encode(), media_type=SET)

        assert answer.status == 400, what
        assert answer.media_type == "application/json"
        assert answer.headers["content-language"] == "en"
        told = parse_object(answer.body, "answer")
        assert sorted(told) == ["description", "err"]
        assert told["err"] == code, what

    read(street, active)
    assert waiting(street) == (0, 0)


@pytest.mark.parametrize("door", [f"{CUSTODIAN}/events", f"{VELO}/consent/events"])
def test_an_event_is_taken_with_202_and_nothing_more(street: Street, door: str) -> None:
    active, signer = street.granted()
    token = withdrawal_of(street, active, signer).encode()

    for _ in range(2):
        answer = street.fetcher.post(door, token, media_type=SET)
        assert (answer.status, answer.body) == (202, b"")

    assert refused_read(street, active) == ["grant-ended"]


@pytest.mark.parametrize("door", [f"{CUSTODIAN}/events", f"{VELO}/consent/events"])
@pytest.mark.parametrize("media_type", ["application/jwt", "text/plain", ""])
def test_what_is_not_sent_as_an_event_is_an_invalid_request(
    street: Street, door: str, media_type: str
) -> None:
    active, signer = street.granted()
    token = withdrawal_of(street, active, signer).encode()

    answer = street.fetcher.post(door, token, media_type=media_type)

    assert answer.status == 400
    assert text_at(parse_object(answer.body, "answer"), "err", "answer") == "invalid_request"
    read(street, active)


def test_a_poll_without_a_proof_is_told_to_bring_one(street: Street) -> None:
    url = f"{CUSTODIAN}/events/poll"
    for headers in ({}, {"Authorization": "Basic eA=="}, {"Authorization": "Bearer"}):
        answer = street.fetcher.post(url, b"{}", media_type="application/json", headers=headers)

        assert answer.status == 401
        assert answer.headers["www-authenticate"] == "Bearer"


def test_a_poll_that_is_none_is_a_bad_request(street: Street) -> None:
    url = f"{CUSTODIAN}/events/poll"
    headers = {"Authorization": "Bearer nonsense"}

    answer = street.fetcher.post(url, b"{}", media_type="application/json", headers=headers)

    assert answer.status == 400


# After the receiver, or the custodian, was away.


def test_a_receiver_that_starts_hears_everything_before_its_first_read(street: Street) -> None:
    active, signer = street.granted()
    other, _ = street.granted()
    read(street, active)
    street.fetcher.disconnect(VELO)
    street.custodian.end(active.agreement.grant_id, withdrawal_of(street, active, signer))
    street.start()
    assert not has_ended_at_receiver(street, active)

    # Any read will do, also one of another grant.
    read(street, other)

    assert has_ended_at_receiver(street, active)
    assert refused_read(street, active) == ["grant-ended"]


def test_a_receiver_that_cannot_hear_reads_nothing_and_asks_for_no_lease(
    street: Street,
) -> None:
    active, _ = street.granted()
    street.start()
    street.fetcher.disconnect(CUSTODIAN)

    with pytest.raises(Unavailable):
        read(street, active)

    street.connect()
    read(street, active)
    assert has_reads(street, active) == 1


def has_reads(street: Street, active: Active) -> int:
    return street.custodian_keys.reads(active.agreement.grant_id)


def test_a_receiver_that_missed_its_custodian_hears_everything_before_it_reads_again(
    street: Street,
) -> None:
    active, signer = street.granted()
    other, _ = street.granted()
    read(street, active)
    street.fetcher.disconnect(CUSTODIAN)
    with pytest.raises(Unavailable):
        read(street, active)
    street.custodian.end(active.agreement.grant_id, withdrawal_of(street, active, signer))

    street.connect()
    read(street, other)

    assert has_ended_at_receiver(street, active)


def test_a_round_of_listening_that_fails_stops_the_reads_until_one_succeeds(
    street: Street,
) -> None:
    active, signer = street.granted()
    read(street, active)
    street.fetcher.disconnect(CUSTODIAN)
    street.receiver.listen()
    street.custodian.pause(active.agreement.grant_id, word(street, active, signer, suspended(1)))
    street.connect()

    assert refused_read(street, active) == ["grant-suspended"]
    assert is_paused_at_receiver(street, active)


def test_a_grant_that_is_known_to_be_over_needs_no_custodian_to_say_so(street: Street) -> None:
    active, signer = street.granted()
    street.receiver.end(active.agreement.grant_id, withdrawal_of(street, active, signer))
    street.start()
    street.fetcher.disconnect(CUSTODIAN)

    assert refused_read(street, active) == ["grant-ended"]


def test_with_the_custodian_away_a_withdrawal_still_stops_the_receiver(street: Street) -> None:
    active, signer = street.granted()
    street.fetcher.disconnect(CUSTODIAN)

    street.receiver.end(active.agreement.grant_id, withdrawal_of(street, active, signer))

    assert has_ended_at_receiver(street, active)
    assert ciphertext(street, active) is None


def test_a_dead_letter_is_still_there_for_the_receiver_that_comes_back_after_a_month(
    street: Street,
) -> None:
    active, signer = street.granted(valid_for=timedelta(days=90), claims=long_kept())
    street.receiver.inbox.configure(street.receiver.events_endpoint())
    street.fetcher.disconnect(VELO)
    street.custodian.end(active.agreement.grant_id, withdrawal_of(street, active, signer))
    for _ in range(20):
        push_all(street)
        street.clock.advance(timedelta(days=2))
    (dead,) = street.custodian_store.outbox.undelivered(10)
    assert (dead.grant_id, dead.state) == (active.agreement.grant_id, LetterState.DEAD)

    street.receiver.listen()

    assert has_ended_at_receiver(street, active)
    assert street.custodian_store.outbox.undelivered(10) == []


def long_kept() -> object:
    return tuple(replace(claim, retain_days=100) for claim in wish().claims)


# A letter and what it tells are one.


def nothing(*_: object) -> None:
    """What a database answers that has forgotten."""


def crash(*_: object, **__: object) -> None:
    raise RuntimeError("power cut")


@pytest.mark.parametrize("party", ["custodian", "receiver"])
def test_an_end_whose_letter_cannot_be_written_has_not_happened(
    street_stored: Street, monkeypatch: pytest.MonkeyPatch, party: str
) -> None:
    street = street_stored
    active, signer = street.granted()
    grant_id, token = active.agreement.grant_id, withdrawal_of(street, active, signer)
    end: Callable[[str, str], str] = (
        street.custodian.end if party == "custodian" else street.receiver.end
    )

    with monkeypatch.context() as patch:
        patch.setattr(f"counterfoil_consent.sql_{party}_store.put_letters", crash)
        with pytest.raises(RuntimeError):
            end(grant_id, token)
    read(street, active)

    end(grant_id, token)
    street.start()
    street.receiver.listen()
    push_all(street)
    assert has_ended_at_receiver(street, active)
    assert street.custodian_keys.is_destroyed(grant_id)


def test_nothing_is_told_of_an_end_that_was_one_before(street: Street) -> None:
    active, signer = street.granted()
    grant_id = active.agreement.grant_id
    for _ in range(3):
        token = withdrawal_of(street, active, signer)
        street.custodian.end(grant_id, token)
        street.receiver.end(grant_id, token)

    assert waiting(street) == (1, 1)
