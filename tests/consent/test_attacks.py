"""The attacks that a grant must stand, each tried from end to end at the real parties.

One test a row of the design's table, named for its number and its name. Where the place
is better, it is elsewhere:

    1   over-asking                       tests/wallet/test_consent_attacks.py
    6   10,000 interleavings of the race  test_interleavings.py
    8   collusion with the custodian      tests/wallet/test_consent_custody.py
    13  a lost phone                      tests/wallet/test_consent_attacks.py
    14  coercion at a counter             tests/wallet/test_consent_attacks.py
    15  chain correlation                 test_anchoring.py
    16  guessable commitments             test_anchoring.py
    18  onward chain breaks               test_erasing.py
    21  minors                            tests/wallet/test_consent_attacks.py
    22  points bribery                    tests/wallet/test_consent_attacks.py

3, 4, 12 and 17 are tried there too, on the wallet's side.
"""

import json
import logging
import pickle
import random as seeded
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from shutil import copytree, rmtree

import pytest
from counterfoil_consent import (
    Active,
    Completion,
    CompletionKind,
    FetchedIssuerKeys,
    GrantPackage,
    ListedStatus,
    Pause,
    Purpose,
    Trigger,
    deliver,
    fetch_custodian_key,
    fetch_erasure_receipt,
    send_withdrawal,
    sign_end_of,
    sign_pause,
    withdraw,
)
from counterfoil_consent.access_log import AccessChain, MemoryAccessEvents, read_chain
from counterfoil_consent.anchor_tree import Batch
from counterfoil_consent.anchoring import Anchoring, MemoryAnchor, MemorySalts, list_rollbacks
from counterfoil_consent.app import create_app
from counterfoil_consent.artefacts import KeyDestruction, Lease
from counterfoil_consent.client import post, post_form
from counterfoil_consent.custodian import Custodian
from counterfoil_consent.events import audience_of
from counterfoil_consent.sealing import OpeningKey, Role, open_share
from counterfoil_consent.wire import GrantId, digest_of
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.encoding import Json, JsonObject, b64url, from_b64url, parse_object
from counterfoil_credentials.errors import Misuse, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher, Response
from counterfoil_credentials.jws import read_jws
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.requests import response_form
from counterfoil_credentials.token_status_list import INVALID, VALID, FetchedStatusSource
from fastapi.testclient import TestClient

from tests.conftest import Clock
from tests.consent.street import (
    AUDIO,
    BENEFITS,
    CANARIES,
    CUSTODIAN,
    FRAME,
    FRAME_VALUE,
    KEY,
    RIDER,
    VELO,
    WARRANTY,
    MovingClock,
    Street,
    handler_of,
)
from tests.consent.test_leases import lease_request
from tests.consent.test_reading import audio
from tests.consent.test_theft import every_byte

FIVE_MINUTES = timedelta(minutes=5)


@pytest.fixture
def street(street_in_memory: Street) -> Street:
    """Give the parties on one kind of store: where it matters, the test asks for files."""
    return street_in_memory


def refused(act: Callable[[], object]) -> list[str]:
    with pytest.raises(Refused) as refusal:
        act()
    return refusal.value.codes


def read(street: Street, grant_id: GrantId) -> Json:
    with street.receiver.read(grant_id, BENEFITS) as facts:
        return facts.one(FRAME)


def can_read(street: Street, grant_id: GrantId) -> bool:
    try:
        return read(street, grant_id) == FRAME_VALUE
    except (Refused, Unavailable):
        return False


def end_of_it(street: Street, active: Active, signer: MemorySigner) -> None:
    withdrawal = withdraw(active, signer=signer, now=street.clock(), random=street.random)
    ending = send_withdrawal(withdrawal, fetcher=street.fetcher)
    assert ending.stopped_at is not None
    assert ending.key_destroyed_at is not None


def told(street: Street, active: Active, trigger: Trigger, signer: MemorySigner) -> str:
    return sign_end_of(
        active.agreement.grant_id,
        audience_of(active.agreement),
        trigger,
        signer=signer,
        now=street.clock(),
        random=street.random,
    )


def leaves(value: Json) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    else:
        yield str(value)


def tap(street: Street) -> list[tuple[str, str]]:
    """Listen at the custodian's door: gives the list that fills with path and body."""
    heard: list[tuple[str, str]] = []
    real = handler_of(TestClient(create_app(street.custodian), base_url=CUSTODIAN))

    def listen(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        heard.append((path, body.decode()))
        return real(method, path, headers, body)

    street.fetcher.serve(CUSTODIAN, listen)
    return heard


def test_attack_02_purpose_laundering(street: Street) -> None:
    active, _ = street.granted()
    grant_id = active.agreement.grant_id
    other, _ = street.granted()

    # The brand's own people ask for what was granted, to do something else with it.
    answer = street.brand.post(
        f"/consent/grants/{grant_id}/read",
        json={"purpose": Purpose.DIRECT_MARKETING.value},
        headers={"Authorization": f"Bearer {KEY}"},
    )
    assert answer.status_code == 400
    assert "purpose-differs" in answer.text
    # A brand that has taken that check out of its library meets the custodian's.
    asked = replace(lease_request(street, active), purpose=Purpose.DIRECT_MARKETING)
    token = asked.sign(street.receiver_signer, audience=CUSTODIAN)
    assert refused(lambda: street.custodian.lease(grant_id, token)) == ["purpose-differs"]
    # A lease that was lent for one purpose opens for no other, and each grant has its own key.
    reader = OpeningKey.generate(street.random)
    honest = replace(lease_request(street, active), reader=reader.public)
    lent = Lease.of_token(
        street.custodian.lease(grant_id, honest.sign(street.receiver_signer, audience=CUSTODIAN)),
        custodian=street.custodian.party.did,
        asked=honest,
        now=street.clock(),
    )
    context = f"{honest.request_id} {Purpose.DIRECT_MARKETING.value}"
    codes = refused(lambda: open_share(lent.share, reader, grant_id, Role.READER, context))
    assert codes == ["share-does-not-open"]
    keys = {one.agreement.terms.sealing_key for one in (active, other)}
    assert len(keys) == 2
    # None of it cost the honest purpose more than the one lease.
    assert lent.read == 1
    with street.receiver.read(grant_id, BENEFITS) as facts:
        assert facts.lease.read == 2


def test_attack_03_bait_notice(street: Street) -> None:
    opened = street.ask()
    assert "next bicycle" in street.asked(opened).notice
    real = handler_of(street.brand)

    def bait(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        answer = real(method, path, headers, body)
        if "/notices/" in path:
            return replace(answer, body=answer.body + b" And we sell it on.")
        return answer

    street.fetcher.serve(VELO, bait)

    assert refused(lambda: street.asked(opened)) == ["notice-mismatch"]


def test_attack_04_replay_of_a_withdrawn_grant(street: Street) -> None:
    package, signer = street.packed()
    active = deliver(package, fetcher=street.fetcher)
    lent = lease_request(street, active).sign(street.receiver_signer, audience=CUSTODIAN)
    street.custodian.lease(package.grant_id, lent)
    end_of_it(street, active, signer)
    other = street.ask()

    # Every paper again, at whom it was for; then the grant as the answer to another request.
    assert refused(lambda: deliver(package, fetcher=street.fetcher)) == ["grant-ended"]
    assert refused(lambda: _respond(street, package, package.response_uri)) == ["grant-ended"]
    url = active.agreement.terms.delivery_url(package.grant_id)
    codes = refused(
        lambda: post(
            street.fetcher, url, package.bundle, media_type="application/json", who="receiver"
        )
    )
    assert codes == ["grant-ended"]
    for act in (
        lambda: street.custodian.register(package.registration),
        lambda: street.custodian.acknowledge(package.grant_id, active.receipt),
        lambda: street.custodian.lease(package.grant_id, lent),
    ):
        assert refused(act) == ["grant-ended"]
    elsewhere = f"{VELO}/consent/responses/{other.request_id}"
    assert "nonce-mismatch" in refused(lambda: _respond(street, package, elsewhere))
    assert not can_read(street, package.grant_id)


def _respond(street: Street, package: GrantPackage, url: str) -> None:
    form = response_form({package.query_id: [package.presentation]}, package.state)
    post_form(street.fetcher, url, form, who="receiver")


def test_attack_05_roll_back_of_a_restored_database(street_on_disk: Street, tmp_path: Path) -> None:
    street = street_on_disk
    assert street.folder is not None
    active, signer = street.granted()
    paused, pauser = street.granted()
    backups = {
        party: street.back_up(party, tmp_path / party) for party in ("custodian", "receiver")
    }
    end_of_it(street, active, signer)
    street.custodian.pause(
        paused.agreement.grant_id,
        sign_pause(
            paused.agreement,
            Pause(1, is_suspended=True),
            signer=pauser,
            now=street.clock(),
            random=street.random,
        ),
    )

    for party in (*backups, *reversed(backups)):
        street.close()
        rmtree(street.folder / party)
        copytree(backups[party], street.folder / party)
        street.start()
        for grant_id in (active.agreement.grant_id, paused.agreement.grant_id):
            assert not can_read(street, grant_id)


def test_attack_05_roll_back_of_a_status_list(clock: Clock) -> None:
    anchor = MemoryAnchor()
    anchoring = Anchoring(
        anchor, MemorySalts(), clock=clock, random=seeded.Random(5).randbytes, least_leaves=8
    )
    url = f"{AUDIO}/status-lists/1"
    listed = clock()
    batches: list[Batch] = []
    for age_h in (0, -1, 5):
        at = listed - timedelta(hours=age_h)
        anchoring.add_status_list(f"the list of {age_h}", url=url, listed_at=at)
        clock.advance(timedelta(hours=1))
        batch = anchoring.publish_due()
        assert batch is not None
        batches.append(batch)

    assert list_rollbacks(batches[:2]) == []
    assert list_rollbacks(batches) == [(url, batches[2].number)]


def test_attack_06_read_withdraw_race(street: Street) -> None:
    active, signer = street.granted(max_reads=40)
    grant_id = active.agreement.grant_id
    withdrawal = withdraw(active, signer=signer, now=street.clock(), random=street.random)

    with ThreadPoolExecutor(9) as pool:
        reads = [pool.submit(can_read, street, grant_id) for _ in range(20)]
        ending = pool.submit(send_withdrawal, withdrawal, fetcher=street.fetcher)
        late = [pool.submit(can_read, street, grant_id) for _ in range(20)]

    assert ending.result().key_destroyed_at is not None
    given = sum(one.result() for one in (*reads, *late))
    statement = KeyDestruction.read(
        street.custodian.end(grant_id, withdrawal.token),
        custodian=street.custodian.party.did,
        grant_id=grant_id,
    )
    assert given <= statement.leases <= 40
    assert not can_read(street, grant_id)


def test_attack_07_a_verifier_that_caches_plaintext(
    street_on_disk: Street, caplog: pytest.LogCaptureFixture
) -> None:
    street = street_on_disk
    assert street.folder is not None
    caplog.set_level(logging.DEBUG)
    active, signer = street.granted()
    grant_id = active.agreement.grant_id

    with street.receiver.read(grant_id, BENEFITS) as facts:
        assert facts.one(FRAME) == FRAME_VALUE
        for keep in (pickle.dumps, json.dumps, vars):
            with pytest.raises((Misuse, TypeError)):
                keep(facts)
        kept = facts
        shown = f"{facts} {facts!r}"
    with pytest.raises(Misuse):
        kept.one(FRAME)
    during = every_byte(street.folder)
    end_of_it(street, active, signer)

    for canary in CANARIES:
        raw = canary.encode()
        for form in (raw, b64url(raw).encode(), raw.hex().encode()):
            assert form not in during
            assert form not in every_byte(street.folder)
        assert canary not in caplog.text + shown


def test_attack_09_a_custodian_that_is_made_unreachable(street: Street) -> None:
    active, signer = street.granted()
    grant_id = active.agreement.grant_id
    street.fetcher.disconnect(CUSTODIAN)

    with pytest.raises(Unavailable):
        read(street, grant_id)
    # It stops no withdrawal: the receiver stops on its own, and proves what it can.
    withdrawal = withdraw(active, signer=signer, now=street.clock(), random=street.random)
    ending = send_withdrawal(withdrawal, fetcher=street.fetcher)
    assert (ending.stopped_at, ending.key_destroyed_at) == (street.clock(), None)
    street.connect()
    assert not can_read(street, grant_id)
    street.receiver.end_due()
    proof = fetch_erasure_receipt(active.agreement, fetcher=street.fetcher, now=street.clock())
    assert proof.erased.level >= 2


def test_attack_10_a_custodian_that_learns_who_reads_what(
    street_on_disk: Street, caplog: pytest.LogCaptureFixture
) -> None:
    street = street_on_disk
    assert street.folder is not None
    caplog.set_level(logging.DEBUG)
    heard = tap(street)
    granted = [street.granted() for _ in range(2)]
    for active, signer in granted:
        read(street, active.agreement.grant_id)
        end_of_it(street, active, signer)

    logged = [one.getMessage() for one in caplog.records if one.name.startswith("counterfoil")]
    # Of each paper all that it says, and all that the custodian has kept.
    said = [set(leaves(_claims(body))) for _, body in heard]
    kept = every_byte(street.folder / "custodian") + every_byte(street.folder / "custodian-keys")
    for word in (*CANARIES, "frame_size", "product", RIDER, WARRANTY, "Velo", VELO, AUDIO):
        assert not [texts for texts in said if any(word in text for text in texts)]
        assert word.encode() not in kept
        assert not [one for one in logged if word in one]
    # What it knows of the two grants of one customer does not join them.
    of_each = [
        {
            text
            for (path, _), texts in zip(heard, said, strict=True)
            if active.agreement.grant_id in path or active.agreement.grant_id in texts
            for text in texts
        }
        for active, _ in granted
    ]
    receiver = street.receiver.party.did
    public = {CUSTODIAN, receiver, street.receiver.party.client_id, BENEFITS.value}
    both = {text for text in of_each[0] & of_each[1] if len(text) >= 16}
    assert both <= public | {"https://schemas.openid.net/secevent"}, both - public


def _claims(paper: str) -> JsonObject:
    """Give what a paper says, of whatever type it is."""
    if paper.startswith("{"):
        return parse_object(paper.encode(), "x")
    typ = str(json.loads(from_b64url(paper.split(".", 1)[0], "x"))["typ"])
    return read_jws(paper, typ=typ, where="x").unverified_claims


def test_attack_11_a_fake_completion_event(street: Street) -> None:
    insurer, stranger = MemorySigner.generate(), MemorySigner.generate()
    case = Completion(kind=CompletionKind.CASE, by=did_jwk(insurer.public))
    active, holder = street.granted(completion=case)
    other, _ = street.granted(completion=case)
    grant_id = active.agreement.grant_id
    ends_at = active.agreement.terms.valid_until

    forged = [
        (told(street, active, Trigger.COMPLETED, signer), "signed-by-another")
        for signer in (stranger, holder, street.receiver_signer, street.custodian_signer)
    ] + [(told(street, other, Trigger.COMPLETED, insurer), "grant-mismatch")]
    for token, code in forged:
        for party in (street.custodian, street.receiver):
            assert refused(lambda p=party, t=token: p.end(grant_id, t)) == [code]  # type: ignore[misc]  # bound at once
    assert refused(lambda: street.receiver.complete(grant_id)) == ["signed-by-another"]
    assert can_read(street, grant_id)

    # The true one ends it, and one that never comes prolongs nothing.
    street.custodian.end(grant_id, told(street, active, Trigger.COMPLETED, insurer))
    assert not can_read(street, grant_id)
    assert can_read(street, other.agreement.grant_id)
    street.clock.advance(ends_at - street.clock())
    assert not can_read(street, other.agreement.grant_id)


def test_attack_12_a_fake_withdrawal(street: Street) -> None:
    active, signer = street.granted()
    other, other_signer = street.granted()
    grant_id = active.agreement.grant_id

    for forger in (
        MemorySigner.generate(),
        street.receiver_signer,
        street.custodian_signer,
        other_signer,
    ):
        token = told(street, active, Trigger.WITHDRAWN, forger)
        for party in (street.custodian, street.receiver):
            codes = refused(lambda p=party, t=token: p.end(grant_id, t))  # type: ignore[misc]  # bound at once
            assert codes == ["signed-by-another"]
    own = told(street, other, Trigger.WITHDRAWN, other_signer)
    for party in (street.custodian, street.receiver):
        assert refused(lambda p=party: p.end(grant_id, own)) == ["signed-by-another"]  # type: ignore[misc]  # bound at once

    # Hers with another date, and with another grant's name, is nobody's.
    head, claims, signature = told(street, active, Trigger.WITHDRAWN, signer).split(".")
    changed = b64url(json.dumps(_claims(f"{head}.{claims}.{signature}") | {"iat": 1}).encode())
    codes = refused(lambda: street.custodian.end(grant_id, f"{head}.{changed}.{signature}"))
    assert codes == ["signature-invalid"]
    assert can_read(street, grant_id)


def test_attack_17_receipts_that_are_personal_data(street: Street) -> None:
    papers: list[set[str]] = []
    for _ in range(2):
        active, signer = street.granted()
        grant_id = active.agreement.grant_id
        read(street, grant_id)
        token = withdraw(active, signer=signer, now=street.clock(), random=street.random).token
        statement = street.custodian.end(grant_id, token)
        notice = street.receiver.end(grant_id, token)
        receipt = street.receiver.erasure_receipt(grant_id)
        texts: set[str] = set()
        for paper in (active.receipt, token, statement, notice, receipt):
            found = set(leaves(_claims(paper)))
            for text in [*found]:
                if text.count(".") == 2 and text.startswith("ey"):
                    found |= set(leaves(_claims(text)))
            texts |= found
        papers.append(texts)

    for texts in papers:
        assert not [text for text in texts for canary in CANARIES if canary in text]
        assert did_jwk(street.customer.signer.public) not in texts
    # Two receipts of one customer have nothing in common but the parties' public names.
    public = {
        street.receiver.party.did,
        street.receiver.party.client_id,
        street.custodian.party.did,
        CUSTODIAN,
    }
    both = {text for text in papers[0] & papers[1] if len(text) >= 16 and text not in public}
    assert both <= {RIDER, WARRANTY}, both


@pytest.mark.parametrize("minutes", [-5, 5])
@pytest.mark.parametrize("party", ["custodian", "receiver"])
def test_attack_19_a_service_whose_clock_is_wrong(street: Street, party: str, minutes: int) -> None:
    active, _ = street.granted(valid_for=timedelta(minutes=10), max_reads=100)
    grant_id = active.agreement.grant_id
    ends_at = active.agreement.terms.valid_until
    set_clock(street, party, timedelta(minutes=minutes))

    while street.clock() < ends_at + timedelta(minutes=11):
        assert not can_read(street, grant_id) or street.clock() < ends_at
        street.custodian.end_due()
        street.clock.advance(timedelta(seconds=59))


def set_clock(street: Street, party: str, by: timedelta) -> None:
    """Let one of the two services go on with a clock that is wrong."""
    right = street.clock
    wrong = _Wrong(right, by)
    street.clock = wrong if party == "custodian" else right
    street.custodian = Custodian(
        origin=CUSTODIAN,
        signer=street.custodian_signer,
        store=street.custodian_store,
        keys=street.custodian_keys,
        journal=street.journal,
        clock=street.clock,
        random=street.random,
    )
    street.clock = wrong if party == "receiver" else right
    street.receiver = street.make_receiver(VELO, street.receiver_signer)
    street.clock = right
    street.connect()


class _Wrong(Clock):
    """A clock that is always wrong by as much."""

    def __init__(self, right: MovingClock, by: timedelta) -> None:
        self.right = right
        self.by = by

    def __call__(self) -> datetime:
        return self.right() + self.by


@pytest.mark.parametrize("minutes", [-5, 5])
def test_attack_19_a_phone_whose_clock_is_wrong(street: Street, minutes: int) -> None:
    active, signer = street.granted()
    pending = street.ask()
    right = street.clock
    street.clock = _Wrong(right, timedelta(minutes=minutes))

    # It grants nothing by mistake: not for longer, and not at another time.
    key = MemorySigner.generate()
    codes = refused(lambda: street.package(street.decide(pending, key), key))
    assert codes == ["request-from-the-future" if minutes < 0 else "key-request-not-fresh"]
    # It ends what it gave all the same, and not later than now.
    withdrawal = withdraw(active, signer=signer, now=street.clock(), random=street.random)
    street.clock = right
    ending = send_withdrawal(withdrawal, fetcher=street.fetcher)
    assert (ending.stopped_at, ending.key_destroyed_at) == (right(), right())
    assert not can_read(street, active.agreement.grant_id)


def test_attack_20_erasure_as_cover_up(street: Street) -> None:
    """What is erased is what was said, never that something was: heads outlive it."""
    events = MemoryAccessEvents()
    chain = AccessChain(events, signer=street.receiver_signer)
    active, signer = street.granted()
    agreement = active.agreement
    for number in (1, 2):
        asked = lease_request(street, active)
        lent = Lease.of_token(
            street.custodian.lease(
                agreement.grant_id, asked.sign(street.receiver_signer, audience=CUSTODIAN)
            ),
            custodian=street.custodian.party.did,
            asked=asked,
            now=street.clock(),
        )
        assert lent.read == number
        chain.append(agreement, lent, role="warranty-desk", now=street.clock())
    hers = [*chain.of_grant(agreement.grant_id)]
    head = chain.head(agreement.grant_id)

    # The brand would like nobody to know that it looked, and asks itself to erase.
    end_of_it(street, active, signer)
    assert chain.close(agreement.grant_id) == head

    # Two parties and two signatures say how often, and her copy proves what the head stands for.
    receipt = street.receiver.erasure_receipt(agreement.grant_id)
    statement = KeyDestruction.read(
        str(_claims(receipt)["destruction"]),
        custodian=street.custodian.party.did,
        grant_id=agreement.grant_id,
    )
    assert statement.leases == len(hers) == 2
    told_by_brand = read_chain(
        hers, receiver=agreement.terms.receiver.did, grant_id=agreement.grant_id
    )
    assert [event.number for event in told_by_brand] == [1, 2]
    assert digest_of(hers[-1]) == head
    # A log that was written anew, kinder or shorter, has another head.
    assert digest_of(hers[0]) != head
    assert refused(
        lambda: read_chain(
            hers[1:], receiver=agreement.terms.receiver.did, grant_id=agreement.grant_id
        )
    ) == ["access-log-broken"]


def test_attack_23_key_re_creation_after_erasure(street_on_disk: Street) -> None:
    street = street_on_disk
    active, signer = street.granted()
    grant_id = active.agreement.grant_id
    received = street.receiver_store.find_grant(grant_id)
    assert received is not None
    end_of_it(street, active, signer)

    for is_restarted in (False, True):
        if is_restarted:
            street.start()
        for keys, name in (
            (street.custodian_keys, grant_id),
            (street.receiver_keys, received.request_id),
        ):
            assert refused(lambda k=keys, n=name: k.create(n, street.random)) == ["grant-ended"]  # type: ignore[misc]  # bound at once
            assert keys.find(name) is None
            assert keys.is_destroyed(name)
        for asks in (signer, MemorySigner.generate()):
            decided = _again(street, grant_id, asks)
            assert refused(decided) == ["grant-ended"]


def _again(street: Street, grant_id: GrantId, signer: MemorySigner) -> Callable[[], object]:
    """Ask the custodian for the key of an id that is over."""
    decided = replace(street.decide(street.ask(), signer), grant_id=grant_id)
    return lambda: fetch_custodian_key(
        decided, signer=signer, fetcher=street.fetcher, now=street.clock()
    )


def test_attack_24_phone_home_by_the_status_list(street: Street) -> None:
    gets: list[str] = []
    audio(street, VALID, street.clock(), ttl_s=600)
    real = street.fetcher

    class Listening:
        def get(self, url: str, **named: object) -> Response:
            gets.append(url)
            return real.get(url, **named)  # type: ignore[arg-type]  # as it came

    network: Fetcher = Listening()  # type: ignore[assignment]  # lists and keys are got, not posted
    source = FetchedStatusSource(network)
    keys = FetchedIssuerKeys(network, {RIDER: [AUDIO], WARRANTY: [AUDIO]}, street.clock)
    street.statuses = ListedStatus(source, keys)  # type: ignore[assignment]  # the real port
    street.trust = keys
    street.receiver = street.make_receiver(VELO, street.receiver_signer)
    street.connect()
    actives = [street.granted()[0] for _ in range(3)]

    for active in actives:
        assert can_read(street, active.agreement.grant_id)
        street.clock.advance(timedelta(minutes=3))

    # The list comes whole and serves while its issuer says: from one address for everybody,
    # with neither index nor grant asked for, and without telling when anybody reads.
    assert gets == [f"{AUDIO}/.well-known/jwt-vc-issuer", f"{AUDIO}/status-lists/1"]
    street.clock.advance(timedelta(minutes=1))
    audio(street, INVALID, street.clock(), ttl_s=600)
    assert not can_read(street, actives[0].agreement.grant_id)
    assert gets[2:] == [f"{AUDIO}/status-lists/1"]
