"""Fourteen checks: each is well after an honest run, and finds the run that went wrong."""

import bz2
import gzip
import json
import lzma
import sqlite3
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copy, copytree, rmtree

import pytest
from counterfoil_consent import ListedStatus, MemoryReceiverStore
from counterfoil_consent.access_log import (
    AccessEvent,
    MemoryAccessEvents,
    head_of,
    read_chain,
)
from counterfoil_consent.accesses import Access, MemoryAccesses
from counterfoil_consent.artefacts import Lease, Receipt
from counterfoil_consent.audit import CHECKS, audit, exit_status
from counterfoil_consent.audit_evidence import Evidence, Notes, Scan, Status
from counterfoil_consent.audit_scan import planted_values_are_nowhere, spellings
from counterfoil_consent.dossier import CustodianDossier, ReceiverDossier
from counterfoil_consent.issuer_trust import FetchedIssuerKeys
from counterfoil_consent.laws import ClaimKind
from counterfoil_consent.papers import Paper
from counterfoil_consent.reading import Reader
from counterfoil_consent.receiver_rows import ReceiverRows
from counterfoil_consent.receiver_store import ReceivedGrant
from counterfoil_consent.retention import Duty
from counterfoil_consent.sealing import OpeningKey, Role, open_share, seal_share
from counterfoil_consent.seen_lists import FileListJournal, JournalledLists
from counterfoil_consent.set_outbox import Letter
from counterfoil_consent.spec import ERASURE_TYP
from counterfoil_consent.terms import Purpose
from counterfoil_consent.wire import GrantId, sign_artefact
from counterfoil_credentials.encoding import Json, JsonObject, compact_json, list_at
from counterfoil_credentials.errors import Malformed, Unavailable
from counterfoil_credentials.fetch import Response
from counterfoil_credentials.issuer_keys import issuer_keys_document
from counterfoil_credentials.jws import read_jws
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.token_status_list import (
    VALID,
    FetchedStatusSource,
    pack,
    sign_status_list,
)

from tests.conftest import Clock
from tests.consent.audited import HOUR, AuditedTown
from tests.consent.street import (
    AUDIO,
    BENEFITS,
    BIRTHDAY,
    CANARIES,
    CUSTODIAN,
    FRAME,
    RIDER,
    WARRANTY,
)
from tests.consent.town import SHARING, WORKSHOPS

DAY = timedelta(days=1)
LAW = "DE UStG §14b"
LIST = f"{AUDIO}/status-lists/1"


@pytest.fixture
def town(clock: Clock, random_bytes: Callable[[int], bytes]) -> AuditedTown:
    """Give the parties in memory."""
    return AuditedTown(clock, random_bytes)


@pytest.fixture
def town_on_disk(
    clock: Clock, random_bytes: Callable[[int], bytes], tmp_path: Path
) -> Iterator[AuditedTown]:
    """Give the parties with files."""
    town = AuditedTown(clock, random_bytes, tmp_path / "town")
    yield town
    town.close()


def ok(town: AuditedTown, number: int) -> bool:
    finding = town.finding(number)
    assert finding.status is Status.OK, finding
    return True


def wrong(town: AuditedTown, number: int, text: str) -> bool:
    finding = town.finding(number)
    assert finding.status is Status.FAILED, finding
    assert [line for line in finding.evidence if text in line], finding
    return True


def unknown(town: AuditedTown, number: int, text: str) -> bool:
    finding = town.finding(number)
    assert finding.status is Status.UNKNOWN, finding
    assert [line for line in finding.evidence if text in line], finding
    return True


def serve_list(town: AuditedTown, listed_at: datetime) -> None:
    """Let the issuer's server answer with the list as it was then."""
    token = sign_status_list(
        pack([VALID, VALID]),
        url=LIST,
        bits=2,
        signer=town.issuer,
        issued_at=listed_at,
        expires_at=None,
        ttl_s=None,
    )
    keys = compact_json(issuer_keys_document(AUDIO, [town.issuer.public]))

    def answer(method: str, path: str, headers: object, body: bytes) -> Response:
        if path.startswith("/.well-known/jwt-vc-issuer"):
            return Response(200, "application/json", keys)
        return Response(200, "application/statuslist+jwt", token.encode())

    town.fetcher.serve(AUDIO, answer)
    town.roots.add_status_list(token, url=LIST, listed_at=listed_at)


def rely_on_lists(town: AuditedTown, folder: Path) -> FileListJournal:
    """Let the receiver look at the issuer's lists, with a journal."""
    journal = FileListJournal(folder / "lists.jsonl")
    trust = FetchedIssuerKeys(town.fetcher, {RIDER: [AUDIO], WARRANTY: [AUDIO]}, town.clock)
    source = JournalledLists(FetchedStatusSource(town.fetcher), journal, town.clock)
    town.statuses = ListedStatus(source, trust)  # type: ignore[assignment]  # the real one
    town.start()
    return journal


def test_an_honest_year_is_well_in_every_respect(town_on_disk: AuditedTown, tmp_path: Path) -> None:
    town = town_on_disk
    journal = rely_on_lists(town, tmp_path)
    serve_list(town, town.clock())
    kept, ended = town.given(), town.given()
    town.read(kept, 2)
    town.read(ended)
    town.ask_usage(kept)
    town.anchor_now()
    town.end(ended)
    town.clock.advance(DAY)
    town.publish_figures()
    assert town.folder is not None
    town.lists = journal.all()
    town.scan = Scan(values=CANARIES, places=(town.folder,))

    findings = audit(town.evidence())

    assert [(f.number, f.status) for f in findings] == [(n, Status.OK) for n in range(1, 15)]
    assert exit_status(findings) == 0


def test_who_hands_nothing_over_is_never_well() -> None:
    findings = audit(Evidence(now=datetime.fromisoformat("2026-11-02T12:00:00+00:00")))

    assert {finding.status for finding in findings} == {Status.UNKNOWN}
    assert len(findings) == len(CHECKS) == 14
    assert exit_status(findings) == 2
    assert exit_status(()) == 2


@pytest.mark.parametrize("missing", ["receiver", "custodian", "customer"])
def test_what_one_party_holds_back_makes_some_check_unknown(
    town: AuditedTown, missing: str
) -> None:
    active = town.given()
    town.read(active)
    town.ask_usage(active)
    evidence = replace(town.evidence(), **{missing: None})  # type: ignore[arg-type]  # its fields

    findings = audit(evidence)

    assert Status.FAILED not in {finding.status for finding in findings}
    assert findings[2].status is Status.UNKNOWN
    assert exit_status(findings) == 2


# 1: every ciphertext has a live grant.


class HoardingStore(MemoryReceiverStore):
    """A store that keeps every bundle that it ever had."""

    def advance(
        self,
        before: ReceivedGrant,
        after: ReceivedGrant,
        bundle: bytes | None,
        letters: Sequence[Letter] = (),
    ) -> bool:
        kept = self.find_bundle(before.grant_id)
        return super().advance(before, after, bundle or kept, letters)


def test_check_1_finds_a_bundle_that_was_kept_after_the_end(town: AuditedTown) -> None:
    town.receiver_store = HoardingStore()
    town.receiver_keys = type(town.receiver_keys)()
    town.start()
    active = town.given()
    assert ok(town, 1)

    town.end(active)

    assert wrong(town, 1, "its ciphertext is still there")


def test_check_1_finds_a_receiver_that_never_heard_of_the_end(town: AuditedTown) -> None:
    active = town.given()
    town.end_at_custodian(active, town.withdrawal(active))
    # It has a day for it, as it promised.
    assert ok(town, 1)

    town.clock.advance(DAY + timedelta(seconds=1))

    assert wrong(town, 1, "its ciphertext is still there")


# 2: every read has a lease, and the purpose of the grant.


def hoard_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a changed receiver open the share of one lease again and again."""
    honest = vars(Reader)["_lease"]
    kept: dict[GrantId, tuple[Lease, bytes]] = {}

    def hoarding(self: Reader, grant: ReceivedGrant, purpose: Purpose, reader: OpeningKey) -> Lease:
        if grant.grant_id not in kept:
            lease: Lease = honest(self, grant, purpose, reader)
            context = f"{lease.request_id} {purpose.value}"
            part = open_share(lease.share, reader, grant.grant_id, Role.READER, context)
            kept[grant.grant_id] = lease, part
        lease, part = kept[grant.grant_id]
        context = f"{lease.request_id} {purpose.value}"
        share = seal_share(part, reader.public, grant.grant_id, Role.READER, context)
        return replace(lease, share=share, expires_at=lease.expires_at + HOUR)

    monkeypatch.setattr(Reader, "_lease", hoarding)


def test_check_2_finds_reads_under_a_lease_that_was_kept(
    town: AuditedTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = town.given()
    town.read(honest, 2)
    assert ok(town, 2)

    hoard_leases(monkeypatch)
    town.read(town.given(), 3)

    assert wrong(town, 2, "one lease served several reads")


def anything_goes(rows: ReceiverRows, grant: ReceivedGrant, purpose: Purpose) -> None:
    """Require nothing of a read."""


def test_check_2_finds_a_read_for_another_purpose(
    town: AuditedTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    active = town.given()
    honest = vars(Reader)["_lease"]

    def laundering(
        self: Reader, grant: ReceivedGrant, purpose: Purpose, reader: OpeningKey
    ) -> Lease:
        lease: Lease = honest(self, grant, purpose, reader)
        # The log of its advertising system is the truth about what it read for.
        return replace(lease, purpose=Purpose.DIRECT_MARKETING)

    monkeypatch.setattr(Reader, "_lease", laundering)
    monkeypatch.setattr(ReceiverRows, "require_readable", anything_goes)
    town.read(active)

    assert wrong(town, 2, "was for dpv:DirectMarketing")


def test_check_2_finds_a_read_whose_lease_the_log_does_not_answer(town: AuditedTown) -> None:
    active = town.given()
    town.read(active)
    evidence = town.evidence()
    assert evidence.receiver is not None
    (grant,) = evidence.receiver.grants
    assert grant.leases
    for leases in ({}, dict.fromkeys(grant.leases), dict.fromkeys(grant.leases, 7)):
        strange = replace(evidence.receiver, grants=(replace(grant, leases=leases),))
        changed = replace(evidence, receiver=strange)
        assert said(changed, 2, "under a lease never answered") is Status.FAILED


def test_check_2_finds_a_read_of_more_than_was_granted(town: AuditedTown) -> None:
    active = town.given()
    town.read(active)
    assert ok(town, 2)
    evidence = town.evidence()
    assert evidence.receiver is not None
    (grant,) = evidence.receiver.grants
    grant_id = active.agreement.grant_id
    (event,) = read_chain(grant.events, receiver=town.receiver.party.did, grant_id=grant_id)
    more = replace(event, claims=(*event.claims, BIRTHDAY)).sign(town.receiver_signer)

    strange = replace(evidence.receiver, grants=(replace(grant, events=(more,)),))

    changed = replace(evidence, receiver=strange)
    assert said(changed, 2, "opened claims that were not granted") is Status.FAILED


# 3: all count the same leases.


def test_check_3_finds_reads_that_were_not_written_down(town: AuditedTown) -> None:
    active = town.given()
    town.read(active)
    town.ask_usage(active)
    assert ok(town, 3)

    # Somebody starts the service without its logs, reads, and starts it again with them.
    events, accesses = town.access_events, town.accesses
    town.access_events, town.accesses = MemoryAccessEvents(), type(accesses)()
    town.start()
    town.read(active)
    town.access_events, town.accesses = events, accesses
    town.start()

    assert wrong(town, 3, "the custodian gave 2 leases, the receiver's log has 1 reads")


def test_check_3_explains_a_lease_that_was_lost_on_its_way(town: AuditedTown) -> None:
    active = town.given()
    town.read(active)
    custodian = town.custodian

    def losing(method: str, path: str, headers: object, body: bytes) -> Response:
        custodian.lease(active.agreement.grant_id, body.decode())
        raise Unavailable("expected an answer, found a broken line")

    town.fetcher.serve(CUSTODIAN, losing)
    with pytest.raises(Unavailable):
        town.read(active)
    town.connect()
    town.ask_usage(active)

    assert ok(town, 3)


def test_check_3_finds_two_parties_who_both_forgot_a_read(
    town_on_disk: AuditedTown, tmp_path: Path
) -> None:
    town = town_on_disk
    active = town.given()
    town.read(active)
    image, events = an_image_of(town, tmp_path), town.log
    leases = town.leases_of(active.agreement.grant_id)
    (first,) = events.of_grant(active.agreement.grant_id)
    town.read(active)
    town.clock.advance(timedelta(minutes=1))
    town.ask_usage(active)
    assert ok(town, 3)

    # Custodian and receiver agree on one read. The customer holds the custodian's word on two.
    restore_everything(town, image)
    town.access_events = MemoryAccessEvents()
    assert town.log.append(active.agreement.grant_id, 1, first)
    town.accesses = Forgetful(leases)
    town.copies[active.agreement.grant_id] = ()

    assert wrong(town, 3, "the customer was told 2")


class Forgetful(MemoryAccesses):
    """A log of leases that is as long as it was."""

    def __init__(self, leases: dict[str, int | None]) -> None:
        super().__init__()
        self.leases = leases

    def of_grant(self, grant_id: GrantId) -> list[Access]:
        return [
            Access(
                grant_id=grant_id,
                request_id=name,
                purpose=BENEFITS,
                asked_at=datetime.fromisoformat("2026-11-02T12:00:00+00:00"),
                read=read,
            )
            for name, read in self.leases.items()
        ]


def an_image_of(town: AuditedTown, folder: Path) -> Path:
    """Copy the custodian's whole machine, one-time keys and all: what nobody may do."""
    assert town.folder is not None
    town.close()
    copytree(town.folder, folder / "image")
    town.start()
    return folder / "image"


# 4: no read after the end.


def restore_everything(town: AuditedTown, image: Path) -> None:
    assert town.folder is not None
    town.close()
    for name in ("custodian", "custodian-keys"):
        rmtree(town.folder / name)
        copytree(image / name, town.folder / name)
    copy(image / "tombstones.journal", town.folder / "tombstones.journal")
    town.start()


def test_checks_4_and_9_find_a_custodian_whose_whole_machine_came_back(
    town_on_disk: AuditedTown, tmp_path: Path
) -> None:
    town = town_on_disk
    active = town.given()
    town.read(active)
    image = an_image_of(town, tmp_path)
    town.end_at_custodian(active, town.withdrawal(active))
    assert ok(town, 4)
    assert ok(town, 9)

    town.clock.advance(HOUR)
    restore_everything(town, image)
    town.read(active)

    assert wrong(town, 4, "read 2 at")
    assert wrong(town, 9, "and in force at the custodian")


# 5: papers are signed by who may.


def test_check_5_finds_papers_of_a_receiver_that_lost_its_key(town: AuditedTown) -> None:
    active = town.given()
    town.read(active)
    assert ok(town, 5)

    # The key file is gone, and the service makes a new one at its next start.
    town.receiver_signer = MemorySigner.generate()
    town.start()
    town.clock.advance(30 * DAY)
    town.receiver.end_due()

    assert wrong(town, 5, "stop_notice of the receiver: signed-by-another")
    assert active.agreement.terms.receiver.did != town.receiver.party.did


# 6: every recipient has answered.


def test_check_6_finds_a_recipient_that_is_gone(town: AuditedTown) -> None:
    parties = tuple(workshop.party for workshop in town.workshops)
    sharing = {"recipients": parties, "operations": SHARING}
    answered = town.given(**sharing)
    town.end(answered)
    assert ok(town, 6)

    town.fetcher.disconnect(WORKSHOPS[1])
    town.end(town.given(**sharing))

    assert wrong(town, 6, "no receipt of the recipient painter.example")


def test_check_6_waits_for_a_receipt_that_is_not_due_yet(town: AuditedTown) -> None:
    active = town.given()
    town.end_at_custodian(active, town.withdrawal(active))
    assert unknown(town, 6, "not due yet")

    town.clock.advance(DAY + timedelta(seconds=1))

    assert wrong(town, 6, "no erasure receipt in time")


# 7: what is kept has a law and an end.


def test_check_7_finds_what_is_kept_beyond_its_law(town: AuditedTown) -> None:
    active = town.given(jurisdiction="DE")
    duty = Duty(
        law=LAW,
        kind=ClaimKind.PURCHASE,
        claims=(FRAME,),
        event_at=town.clock(),
    )
    with town.receiver.read(active.agreement.grant_id, BENEFITS) as facts:
        item = town.receiver.keep(facts, duty)
    town.end(active)
    assert ok(town, 7)

    # The years go by, and nobody runs the sweep.
    town.clock.now = item.until + 2 * DAY
    assert wrong(town, 7, "kept under")

    town.receiver.end_due()
    assert ok(town, 7)


# 8: the notice is the text agreed to.


def test_check_8_finds_a_notice_that_was_corrected_afterwards(
    town_on_disk: AuditedTown,
) -> None:
    town = town_on_disk
    town.given()
    assert ok(town, 8)

    assert town.folder is not None
    with sqlite3.connect(town.folder / "receiver" / "db.sqlite3") as database:
        changed = database.execute(
            "UPDATE consent_requests SET body = replace(body, 'We fit', 'We and our partners fit')"
        )
        assert changed.rowcount == 1
    database.close()

    assert wrong(town, 8, "another text stands where the notice was")


# 9: no tombstone has a key again.


def test_check_9_finds_a_key_that_was_copied_and_put_back(
    town_on_disk: AuditedTown, tmp_path: Path
) -> None:
    town = town_on_disk
    active = town.given()
    assert town.folder is not None
    key = town.folder / "custodian-keys" / f"{active.agreement.grant_id}.key"
    copy(key, tmp_path / "copy.key")
    town.end(active)
    assert ok(town, 9)

    copy(tmp_path / "copy.key", key)

    assert wrong(town, 9, "a tombstone with a key at the custodian")


# 10: logs are whole and anchored.


def test_check_10_finds_a_log_that_was_written_anew(town: AuditedTown) -> None:
    active = town.given()
    town.read(active, 3)
    town.anchor_now()
    assert ok(town, 10)

    # Whoever has the receiver's key leaves out the second read and signs the rest again.
    agreement = active.agreement
    grant_id, receiver = agreement.grant_id, agreement.terms.receiver.did
    anew = MemoryAccessEvents()
    for token in town.log.of_grant(grant_id):
        event = AccessEvent.read_token(token, receiver=receiver, grant_id=grant_id)
        if event.number == 2:
            continue
        before = anew.of_grant(grant_id)
        number = len(before) + 1
        kept = replace(event, number=number, previous=head_of(grant_id, before))
        assert anew.append(grant_id, number, kept.sign(town.receiver_signer))
    town.access_events = anew

    assert wrong(town, 10, "a head was anchored that this log never had")


def test_check_10_compares_the_customers_copy_and_the_receipts_head(town: AuditedTown) -> None:
    active = town.given()
    town.read(active, 2)
    town.ask_usage(active)
    town.end(active)
    assert ok(town, 10)

    # The log comes back from a backup of before the second read.
    grant_id = active.agreement.grant_id
    first, _ = town.log.of_grant(grant_id)
    town.access_events = MemoryAccessEvents()
    assert town.log.append(grant_id, 1, first)
    assert wrong(town, 10, "the customer holds events that are not in the log")

    town.copies[grant_id] = ()
    assert wrong(town, 10, "not the one whose head the receipt states")


def test_check_10_says_what_waits_and_what_was_never_anchored(town: AuditedTown) -> None:
    active = town.given()
    town.read(active)
    assert unknown(town, 10, "waits for the batch")

    # Switched off, as it is by default.
    town.anchoring = None
    town.start()
    town.read(town.given())
    findings = audit(replace(town.evidence(), anchor=None))
    assert findings[9].status is Status.UNKNOWN
    assert [line for line in findings[9].evidence if "head not anchored" in line]


# 11: no status list went back.


def test_check_11_finds_an_issuer_that_came_back_from_its_backup(
    town: AuditedTown, tmp_path: Path
) -> None:
    journal = rely_on_lists(town, tmp_path)
    old = town.clock()
    serve_list(town, old)
    active = town.given()
    town.read(active)
    town.anchor_now()
    serve_list(town, town.clock())
    town.read(active)
    town.anchor_now()
    town.lists = journal.all()
    assert len(town.lists) == 2
    assert ok(town, 11)

    # Yesterday's list revokes what was revoked yesterday, and nothing that was revoked since.
    serve_list(town, old)
    town.read(active)
    town.anchor_now()
    town.lists = journal.all()

    assert wrong(town, 11, "the receiver relied on an older list than before")
    assert wrong(town, 11, "is older than one before")


# 12: published figures are true.


def test_check_12_finds_an_end_that_was_left_out_of_the_figures(town: AuditedTown) -> None:
    prompt = town.given()
    town.end(prompt)
    town.clock.advance(timedelta(seconds=1))
    town.publish_figures()
    assert ok(town, 12)

    # This customer's withdrawal meets a receiver that does not answer, for two days.
    town.withdrawal(town.given())
    town.clock.advance(2 * DAY)
    town.publish_figures()

    assert wrong(town, 12, "published 0 of 1 overdue, 0 s; the papers say 1 of 2 overdue")


def test_check_12_counts_a_stop_that_came_late(town: AuditedTown) -> None:
    for wait_s in (3, 40, 5):
        active = town.given()
        token = town.withdrawal(active)
        town.clock.advance(timedelta(seconds=wait_s))
        grant_id = active.agreement.grant_id
        town.receiver.end(grant_id, token)
    town.clock.advance(timedelta(seconds=1))
    town.publish_figures()

    assert ok(town, 12)
    assert "0 of 3 overdue, 5 s" in town.finding(12).evidence[0]


# 13: planted values are nowhere.


def test_check_13_finds_a_fact_that_a_program_wrote_into_its_log(
    town_on_disk: AuditedTown,
) -> None:
    town = town_on_disk
    active = town.given()
    town.read(active)
    assert town.folder is not None
    town.scan = Scan(values=CANARIES, places=(town.folder,))
    assert ok(town, 13)

    with town.receiver.read(active.agreement.grant_id, BENEFITS) as facts:
        line = f"INFO fitting a frame of {facts.one(FRAME)}\n"
        (town.folder / "receiver" / "app.log").write_text(line)

    assert wrong(town, 13, "app.log: holds planted value 1")


@pytest.mark.parametrize("value", ["canary-frame-57cm", "canary-尺寸-57"])
def test_a_planted_value_is_found_however_it_is_written(tmp_path: Path, value: str) -> None:
    raw = value.encode()
    written = [
        raw,
        json.dumps({"size": value}).encode(),
        value.encode("utf-16"),
        raw.hex().encode(),
        *(b64encode(b"x" * shift + raw + b"tail") for shift in range(3)),
        urlsafe_b64encode(b"ab" + raw),
        gzip.compress(b"before " + raw),
        b"." * (1024 * 1024 - 5) + raw,
    ]
    for number, content in enumerate(written):
        path = tmp_path / f"file-{number}"
        path.write_bytes(content)
        notes = Notes()
        scan = Scan(values=("another value", value), places=(path,))
        planted_values_are_nowhere(
            Evidence(now=datetime.fromisoformat("2026-11-02T12:00:00+00:00"), scan=scan), notes
        )
        assert notes.status is Status.FAILED, number
        assert notes.lines()[0] == f"wrong: file-{number}: holds planted value 2"
    assert raw in spellings(value)


def scanned(*places: Path) -> Notes:
    notes = Notes()
    now = datetime.fromisoformat("2026-11-02T12:00:00+00:00")
    scan = Scan(values=("a planted value",), places=places)
    planted_values_are_nowhere(Evidence(now=now, scan=scan), notes)
    return notes


@pytest.mark.parametrize("lost", [1, 4, 20])
def test_a_torn_archive_is_read_as_far_as_it_goes_and_the_rest_is_not_known(
    tmp_path: Path, lost: int
) -> None:
    noise = bytes(number * 7 % 251 for number in range(100_000))
    whole = gzip.compress(b"a planted value" + noise)
    (tmp_path / "torn").write_bytes(whole[:-lost])
    assert "wrong: torn: holds planted value 1" in scanned(tmp_path).lines()

    (tmp_path / "torn").write_bytes(gzip.compress(noise)[:-lost])
    assert scanned(tmp_path).status is Status.UNKNOWN


def test_an_archive_whose_inside_is_broken_is_not_known(tmp_path: Path) -> None:
    broken = bytearray(gzip.compress(bytes(5_000)))
    broken[12:20] = b"\xff" * 8
    (tmp_path / "broken").write_bytes(bytes(broken))

    assert scanned(tmp_path).status is Status.UNKNOWN


@pytest.mark.parametrize(
    "pack",
    [bz2.compress, lzma.compress, b"PGDMP".__add__],
    ids=["bzip2", "xz", "pg_dump"],
)
def test_what_is_packed_in_a_way_that_the_scan_does_not_open_is_not_known(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    (tmp_path / "plain").write_bytes(b"nothing here")
    assert scanned(tmp_path).status is Status.OK

    (tmp_path / "packed").write_bytes(pack(b"a planted value"))

    assert scanned(tmp_path).status is not Status.OK


def test_a_link_is_not_followed_and_not_passed_over_in_silence(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("a planted value")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "plain").write_bytes(b"nothing here")
    assert scanned(folder).status is Status.OK

    (folder / "link").symlink_to(tmp_path / "elsewhere")

    assert scanned(folder).status is Status.UNKNOWN


# 14: the record is as the profile wants it.


def test_check_14_finds_a_record_that_was_exported_before_the_end(town: AuditedTown) -> None:
    active = town.given()
    assert ok(town, 14)
    grant_id = active.agreement.grant_id
    before = town.records[grant_id]

    town.end(active)
    assert ok(town, 14)
    town.records[grant_id] = before

    assert wrong(town, 14, "the record says another status")


def test_check_14_finds_a_record_of_another_grant_and_one_with_holes(town: AuditedTown) -> None:
    one, other = town.given(), town.given()
    mine, theirs = one.agreement.grant_id, other.agreement.grant_id
    town.records[mine] = town.records[theirs]
    assert wrong(town, 14, "the record says another grant, digest")

    town.write_record(mine)
    process = town.records[mine]["dpv:hasProcess"]
    assert isinstance(process, dict)
    del process["dpv:hasRight"]
    assert wrong(town, 14, "the record lacks dpv:hasRight")


# Dossiers are strangers' files.


def test_a_party_that_states_other_terms_than_were_signed_is_found(town: AuditedTown) -> None:
    active = town.given(valid_for=10 * DAY)
    assert ok(town, 5)
    evidence = town.evidence()
    assert evidence.receiver is not None
    longer = replace(active.agreement.terms, valid_until=datetime.max.replace(tzinfo=UTC))
    agreement = replace(active.agreement, terms=longer)
    (grant,) = evidence.receiver.grants

    dossier = replace(evidence.receiver, grants=(replace(grant, agreement=agreement),))
    finding = audit(replace(evidence, receiver=dossier))[4]

    assert finding.status is Status.FAILED
    assert "the receiver holds to other terms than the customer" in finding.evidence[0]

    # Both may say so: what the holder signed says something else.
    assert evidence.customer is not None
    (hers,) = evidence.customer.grants
    both = replace(
        evidence,
        receiver=dossier,
        customer=replace(evidence.customer, grants=(replace(hers, agreement=agreement),)),
    )
    assert audit(both)[4].status is Status.FAILED
    assert "grant of the receiver: grant-mismatch" in audit(both)[4].evidence[0]
    assert "grant of the customer: grant-mismatch" in audit(both)[4].evidence[1]


def without(evidence: Evidence, *papers: Paper) -> Evidence:
    """Give what is handed over when nobody shows these papers."""
    assert evidence.receiver is not None
    assert evidence.customer is not None
    theirs = [
        replace(grant, papers={p: t for p, t in grant.papers.items() if p not in papers})
        for grant in evidence.receiver.grants
    ]
    hers = [
        replace(grant, papers={p: t for p, t in grant.papers.items() if p not in papers})
        for grant in evidence.customer.grants
    ]
    return replace(
        evidence,
        receiver=replace(evidence.receiver, grants=tuple(theirs)),
        customer=replace(evidence.customer, grants=tuple(hers)),
    )


def said(evidence: Evidence, number: int, text: str) -> Status:
    """Give what a check found, of which one line has to say `text`."""
    finding = audit(evidence)[number - 1]
    assert [line for line in finding.evidence if text in line], finding
    return finding.status


def test_terms_that_nobody_shows_signed_are_not_known(town: AuditedTown) -> None:
    town.given()
    assert ok(town, 5)

    status = said(without(town.evidence(), Paper.GRANT), 5, "nobody shows the grant")

    assert status is Status.UNKNOWN


def test_the_receiver_alone_can_show_what_was_granted_to_it(town: AuditedTown) -> None:
    active = town.given()
    town.end(active)

    evidence = replace(town.evidence(), customer=None)

    assert said(evidence, 5, "grant of the receiver") is Status.OK
    assert said(evidence, 5, "request of the receiver") is Status.OK


@pytest.mark.parametrize(
    "paper", [Paper.END, Paper.STOP_NOTICE, Paper.ERASURE_RECEIPT], ids=lambda paper: paper.value
)
def test_a_receiver_that_shows_no_paper_of_an_end_is_not_well(
    town: AuditedTown, paper: Paper
) -> None:
    town.given()
    town.end(town.given())
    assert ok(town, 5)

    status = said(without(town.evidence(), paper), 5, f"erased, and shows no {paper.value}")

    assert status is Status.UNKNOWN


def test_an_end_of_which_every_paper_is_held_back_is_no_grant_in_force(town: AuditedTown) -> None:
    town.given()
    town.end(town.given())
    assert ok(town, 6)
    ends = (Paper.END, Paper.STOP_NOTICE, Paper.KEY_DESTRUCTION, Paper.ERASURE_RECEIPT)

    bare = without(town.evidence(), *ends)
    assert said(bare, 6, "not due yet") is Status.UNKNOWN
    assert said(bare, 7, "no receipt says what is kept") is Status.UNKNOWN
    town.clock.advance(DAY + timedelta(seconds=1))

    bare = without(town.evidence(), *ends)
    assert said(bare, 6, "no erasure receipt in time") is Status.FAILED
    # Without the custodian the receiver's own state says as much.
    assert said(replace(bare, custodian=None), 6, "no erasure receipt in time") is Status.FAILED


def test_a_term_that_is_over_is_an_end_also_when_nobody_says_so(town: AuditedTown) -> None:
    active = town.given()
    assert ok(town, 6)

    town.clock.now = active.agreement.terms.valid_until + DAY + timedelta(seconds=1)

    assert wrong(town, 6, "no erasure receipt in time")


def test_a_later_receipt_that_forgets_what_the_earlier_kept_is_found(town: AuditedTown) -> None:
    active = town.given(jurisdiction="DE")
    duty = Duty(law=LAW, kind=ClaimKind.PURCHASE, claims=(FRAME,), event_at=town.clock())
    with town.receiver.read(active.agreement.grant_id, BENEFITS) as facts:
        town.receiver.keep(facts, duty)
    town.end(active)
    evidence = town.evidence()
    assert evidence.receiver is not None
    (grant,) = evidence.receiver.grants
    first = grant.papers[Paper.ERASURE_RECEIPT]
    honest = read_jws(first, typ=ERASURE_TYP, where="receipt").unverified_claims
    iat = honest["iat"]
    assert isinstance(iat, int)
    second = sign_artefact(
        {**honest, "iat": iat + 1, "retained": []}, typ=ERASURE_TYP, signer=town.receiver_signer
    )
    papers = {**grant.papers, Paper.ERASURE_RECEIPT: second}
    dossier = replace(evidence.receiver, grants=(replace(grant, papers=papers),))

    changed = replace(evidence, receiver=dossier)

    assert said(changed, 7, "retained-forgotten") is Status.FAILED
    assert said(evidence, 7, "1 kept") is Status.OK


def test_a_custodian_that_leaves_a_grant_out_makes_its_keys_unknown(town: AuditedTown) -> None:
    town.end(town.given())
    town.given()
    evidence = town.evidence()
    assert evidence.custodian is not None
    assert ok(town, 9)

    hidden = replace(evidence.custodian, grants=evidence.custodian.grants[:1])
    changed = replace(evidence, custodian=hidden)

    assert audit(changed)[8].status is not Status.OK
    assert said(replace(evidence, custodian=replace(hidden, grants=())), 9, "does not list")


def test_no_reads_are_not_known_without_the_custodians_count(town: AuditedTown) -> None:
    town.given()
    assert ok(town, 2)

    evidence = replace(town.evidence(), custodian=None)

    assert said(evidence, 2, "0 reads, and no custodian to ask") is Status.UNKNOWN


def test_no_dossier_of_a_stranger_stops_the_other_checks(town: AuditedTown) -> None:
    active = town.given()
    town.read(active)
    town.end(active)
    evidence = town.evidence()
    assert evidence.receiver is not None
    (grant,) = evidence.receiver.grants
    receipt = Receipt(
        grant_id=active.agreement.grant_id,
        grant_digest=active.agreement.grant_digest,
        bundle_digest=active.agreement.bundle_digest,
        received_at=active.agreement.granted_at,
        erase_within_s=10**17,
    ).sign(town.receiver_signer)
    for token in (receipt, "no token", "a.b.c", ""):
        papers = dict.fromkeys(Paper, token)
        strange = replace(grant, papers=papers, events=(token,), leases={"": None})
        dossier = replace(evidence.receiver, grants=(strange,), figures=token)
        findings = audit(replace(evidence, receiver=dossier, custodian=None))
        assert len(findings) == 14
        assert findings[4].status is Status.FAILED


def test_a_dossier_that_is_not_one_is_malformed(town: AuditedTown) -> None:
    town.given()
    evidence = town.evidence()
    assert evidence.receiver is not None
    assert evidence.custodian is not None
    whole = evidence.receiver.to_json()
    listed = list_at(whole, "grants", "dossier")
    twice: list[Json] = [*listed, *listed]
    hollow: list[Json] = [dict[str, Json]()]
    strangers: list[JsonObject] = [
        {**whole, "grants": twice},
        {**whole, "grants": hollow},
        {**whole, "party": "customer"},
        {**whole, "more": 1},
        {name: whole[name] for name in whole if name != "did"},
    ]
    for stranger in strangers:
        with pytest.raises(Malformed):
            ReceiverDossier.from_bytes(compact_json(stranger))
    for lease_s in (0, 10**15):
        with pytest.raises(Malformed):
            CustodianDossier.from_bytes(
                compact_json(evidence.custodian.to_json() | {"lease_s": lease_s})
            )
