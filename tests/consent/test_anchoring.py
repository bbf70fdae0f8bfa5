"""Roots say that time has passed: not who, not how much, not what, and no list goes back."""

import random as seeded
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest
from counterfoil_consent.anchor_tree import (
    Batch,
    Tag,
    inclusion_of,
    leaf_of,
    padded,
    root_of,
)
from counterfoil_consent.anchoring import (
    Anchor,
    Anchoring,
    MemoryAnchor,
    MemorySalts,
    Salts,
    Ticket,
    anchored_in,
    list_rollbacks,
)
from counterfoil_consent.file_anchor import FileAnchor, FileSalts, read_batch, read_roots
from counterfoil_consent.wire import Digest, GrantId, digest_of
from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.errors import Malformed, Misuse, Refused

from tests.conftest import Clock
from tests.consent.audited import AuditedTown

HOUR = timedelta(hours=1)
GRANT = GrantId("A" * 22)
OTHER = GrantId("B" * 21 + "A")
HEAD = digest_of("the head of a log")
LIST = "https://audio.example/status-lists/1"
Random = Callable[[int], bytes]


@pytest.fixture(params=["memory", "file"])
def ports(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Anchor, Salts]:
    """Give both ports, in memory and in files: each test that asks runs on both."""
    if request.param == "memory":
        return MemoryAnchor(), MemorySalts()
    return FileAnchor(tmp_path / "anchor"), FileSalts(tmp_path / "salts")


@pytest.fixture
def anchoring(ports: tuple[Anchor, Salts], clock: Clock, random_bytes: Random) -> Anchoring:
    """Give anchoring in small trees."""
    return Anchoring(*ports, clock=clock, random=random_bytes, least_leaves=8)


def published(anchoring: Anchoring, clock: Clock) -> Batch:
    clock.advance(HOUR)
    batch = anchoring.publish_due()
    assert batch is not None
    return batch


def test_a_ticket_proves_its_artefact_under_a_published_root(
    anchoring: Anchoring, ports: tuple[Anchor, Salts], clock: Clock
) -> None:
    ticket = anchoring.add(GRANT, Tag.ACCESS_LOG, HEAD)
    batch = published(anchoring, clock)

    assert anchoring.number_of(ticket) == batch.number
    assert ports[0].roots() == {batch.number: batch.root}
    path = inclusion_of(ticket.leaf, batch.leaves)
    assert path.root(ticket.leaf) == batch.root
    assert len(path.path) == 3


def test_another_digest_is_not_proved_by_the_same_salt(anchoring: Anchoring, clock: Clock) -> None:
    ticket = anchoring.add(GRANT, Tag.ACCESS_LOG, HEAD)
    published(anchoring, clock)
    for other in (
        Ticket(tag=ticket.tag, digest=digest_of("x"), number=ticket.number, salt=ticket.salt),
        Ticket(tag=Tag.GRANT, digest=HEAD, number=ticket.number, salt=ticket.salt),
        Ticket(tag=ticket.tag, digest=HEAD, number=ticket.number + 1, salt=ticket.salt),
    ):
        with pytest.raises(Refused) as refusal:
            anchoring.number_of(other)
        assert refusal.value.codes == ["not-anchored"]


def test_a_batch_that_was_changed_after_its_root_proves_nothing(
    anchoring: Anchoring, clock: Clock
) -> None:
    ticket = anchoring.add(GRANT, Tag.ACCESS_LOG, HEAD)
    batch = published(anchoring, clock)
    late = anchoring.add(GRANT, Tag.ACCESS_LOG, digest_of("written later"))
    slipped = Batch(number=batch.number, leaves=tuple(sorted([*batch.leaves[1:], late.leaf])))
    early = Ticket(tag=late.tag, digest=late.digest, number=batch.number, salt=late.salt)

    assert anchored_in(ticket, [batch], {batch.number: batch.root}) == batch.number
    with pytest.raises(Refused) as refusal:
        anchored_in(early, [slipped], {batch.number: batch.root})
    assert refusal.value.codes == ["not-anchored"]


def test_every_interval_has_its_root_and_only_one_whatever_happened(
    anchoring: Anchoring, ports: tuple[Anchor, Salts], clock: Clock
) -> None:
    numbers: list[int] = []
    for hour in range(6):
        for _ in range(hour % 3):
            anchoring.add(GRANT, Tag.ACCESS_LOG, HEAD)
        numbers.append(published(anchoring, clock).number)
        # The sweep comes by more often than once an interval.
        for _ in range(3):
            clock.advance(timedelta(minutes=5))
            assert anchoring.publish_due() is None
        clock.advance(-timedelta(minutes=15))

    assert numbers == list(range(numbers[0], numbers[0] + 6))
    assert list(ports[0].roots()) == numbers
    batches = [ports[0].batch(number) for number in numbers]
    assert {len(batch.leaves) for batch in batches if batch is not None} == {8}


def test_the_salts_go_with_the_grant_and_with_no_other(anchoring: Anchoring, clock: Clock) -> None:
    anchoring.add(GRANT, Tag.ACCESS_LOG, HEAD)
    kept = anchoring.add(OTHER, Tag.ACCESS_LOG, HEAD)
    published(anchoring, clock)

    anchoring.forget(GRANT)
    anchoring.forget(GRANT)

    assert anchoring.tickets(GRANT) == []
    assert anchoring.tickets(OTHER) == [kept]
    with pytest.raises(Refused) as refusal:
        anchoring.add(GRANT, Tag.ACCESS_LOG, HEAD)
    assert refusal.value.codes == ["grant-ended"]


def test_the_file_of_destroyed_salts_is_overwritten_and_gone(
    tmp_path: Path, clock: Clock, random_bytes: Random
) -> None:
    salts = FileSalts(tmp_path / "salts")
    anchoring = Anchoring(MemoryAnchor(), salts, clock=clock, random=random_bytes)
    ticket = anchoring.add(GRANT, Tag.ACCESS_LOG, HEAD)
    (path,) = (tmp_path / "salts").iterdir()
    assert b64url(ticket.salt).encode() in path.read_bytes()
    descriptor = path.open("rb")

    anchoring.forget(GRANT)

    with descriptor:
        # Whoever had the file open finds noise in it.
        assert b64url(ticket.salt).encode() not in descriptor.read()
    assert [each.name for each in (tmp_path / "salts").iterdir()] == [f"{GRANT}.ended"]
    assert FileSalts(tmp_path / "salts").find(GRANT) == []


def test_what_waits_survives_a_crash_before_and_after_its_batch_was_written(
    tmp_path: Path, clock: Clock, random_bytes: Random
) -> None:
    folder = tmp_path / "anchor"
    salts = MemorySalts()

    def started() -> Anchoring:
        anchor = FileAnchor(folder)
        return Anchoring(anchor, salts, clock=clock, random=random_bytes, least_leaves=8)

    ticket = started().add(GRANT, Tag.ACCESS_LOG, HEAD)
    waiting = (folder / "waiting.jsonl").read_bytes()
    first = published(started(), clock)
    assert started().number_of(ticket) == first.number

    # Killed after the batch was written and before its root was: the same batch is rooted.
    (folder / "roots.jsonl").unlink()
    (folder / "waiting.jsonl").write_bytes(waiting)
    assert started().publish_due() == first
    assert read_roots(folder / "roots.jsonl")[0] == {first.number: first.root}
    assert started().number_of(ticket) == first.number

    # Killed after the root and before the leaf was taken off the list: it stands twice, harmless.
    (folder / "waiting.jsonl").write_bytes(waiting)
    second = published(started(), clock)
    assert ticket.leaf in second.leaves
    assert started().number_of(ticket) == first.number


def test_a_line_that_was_torn_by_a_crash_is_written_anew(
    tmp_path: Path, clock: Clock, random_bytes: Random
) -> None:
    folder = tmp_path / "anchor"
    anchoring = Anchoring(FileAnchor(folder), MemorySalts(), clock=clock, random=random_bytes)
    published(anchoring, clock)
    whole = (folder / "roots.jsonl").read_bytes()
    (folder / "roots.jsonl").write_bytes(whole + b'{"number":9')

    again = Anchoring(FileAnchor(folder), MemorySalts(), clock=clock, random=random_bytes)
    second = published(again, clock)

    roots, _ = read_roots(folder / "roots.jsonl")
    assert len(roots) == 2
    assert roots[second.number] == second.root


def test_roots_that_were_changed_cut_or_left_out_are_found(
    tmp_path: Path, clock: Clock, random_bytes: Random
) -> None:
    folder = tmp_path / "anchor"
    anchoring = Anchoring(FileAnchor(folder), MemorySalts(), clock=clock, random=random_bytes)
    for _ in range(3):
        published(anchoring, clock)
    path = folder / "roots.jsonl"
    one, two, three, _ = path.read_bytes().split(b"\n")

    for lines in ([one, three], [two, three], [one, two.replace(b"1024", b"1023"), three]):
        path.write_bytes(b"\n".join([*lines, b""]))
        with pytest.raises(Refused) as refusal:
            FileAnchor(folder)
        assert refusal.value.codes == ["roots-broken"]


def test_a_batch_file_of_a_stranger_is_read_with_care(
    tmp_path: Path, anchoring: Anchoring, clock: Clock
) -> None:
    anchoring.add_status_list("a signed list", url=LIST, listed_at=clock())
    batch = published(anchoring, clock)
    path = tmp_path / "batch.json"
    path.write_bytes(batch.to_bytes())
    assert read_batch(path) == batch

    raw = batch.to_bytes()
    strangers = [
        raw[:-1],
        raw.replace(b64url(batch.leaves[0]).encode(), b"short"),
        Batch(number=1, leaves=batch.leaves[:7]).to_bytes(),
        Batch(number=1, leaves=padded([], bytes, least=8), lists=batch.lists).to_bytes(),
    ]
    for stranger in strangers:
        with pytest.raises(Malformed):
            Batch.from_bytes(stranger)


def test_a_list_that_went_back_is_found_and_one_that_stood_still_is_not(
    anchoring: Anchoring, clock: Clock
) -> None:
    start = clock()
    batches: list[Batch] = []
    for age in (0, 0, 1, 2):
        anchoring.add_status_list("list", url=LIST, listed_at=start + age * HOUR)
        batches.append(published(anchoring, clock))
    assert list_rollbacks(batches) == []

    # The issuer's server came back from yesterday's backup.
    anchoring.add_status_list("list", url=LIST, listed_at=start + HOUR)
    batches.append(published(anchoring, clock))
    assert list_rollbacks(batches) == [(LIST, batches[-1].number)]
    assert list_rollbacks(batches[::-1]) == [(LIST, batches[-1].number)]


def test_leaves_and_nodes_can_not_be_taken_for_each_other() -> None:
    leaf = leaf_of(Tag.GRANT, HEAD, bytes(32))
    raw = b"\x00\x05grant" + sha256(b"the head of a log").digest() + bytes(32)
    assert leaf == sha256(raw).digest()
    assert root_of([leaf, leaf]) == sha256(b"\x01" + leaf + leaf).digest()
    assert root_of([leaf]) == leaf


@pytest.mark.parametrize("least", [0, 3, 6, 2**18])
def test_a_tree_is_a_power_of_two(least: int, random_bytes: Random) -> None:
    if least == 0:
        assert len(padded([bytes(32)] * 5, random_bytes, least=least)) == 8
        return
    with pytest.raises(Misuse):
        padded([], random_bytes, least=least)


def test_where_a_leaf_stands_says_nothing_about_when_it_came(
    anchoring: Anchoring, clock: Clock
) -> None:
    mine = {anchoring.add(GRANT, Tag.ACCESS_LOG, digest_of(str(n))).leaf for n in range(5)}

    batch = published(anchoring, clock)

    assert mine < set(batch.leaves)
    assert list(batch.leaves) == sorted(batch.leaves)


def test_the_salts_of_a_receivers_log_die_with_its_grant(
    clock: Clock, random_bytes: Random
) -> None:
    town = AuditedTown(clock, random_bytes)
    ended, other = town.given(), town.given()
    for active in (ended, other):
        town.read(active, 2)
    grant_id = ended.agreement.grant_id
    assert len(town.roots.tickets(grant_id)) == 2

    town.end(ended)

    assert town.roots.tickets(grant_id) == []
    with pytest.raises(Refused) as refusal:
        town.roots.add(grant_id, Tag.ACCESS_LOG, HEAD)
    assert refusal.value.codes == ["grant-ended"]
    assert len(town.roots.tickets(other.agreement.grant_id)) == 2


# Attack 16: guessable commitments.


def serial_guessed(batch: Batch, salt_guess: bytes) -> list[int]:
    """Try every serial number that the maker ever printed, with what the attacker knows."""
    serials = ((number, digest_of(f"SN-{number:05}")) for number in range(12_000, 13_000))
    leaves = set(batch.leaves)
    return [
        number
        for number, digest in serials
        if leaf_of(Tag.GRANT, digest, salt_guess) in leaves or _sha(digest) in leaves
    ]


def _sha(digest: Digest) -> bytes:
    return sha256(digest.encode()).digest()


def test_attack_16_no_serial_number_can_be_guessed_from_its_leaf(
    anchoring: Anchoring, clock: Clock, random_bytes: Random
) -> None:
    anchoring.add(GRANT, Tag.GRANT, digest_of("SN-12345"))
    batch = published(anchoring, clock)
    for guess in (bytes(32), random_bytes(32), sha256(GRANT.encode()).digest()):
        assert serial_guessed(batch, guess) == []


def test_the_same_guesser_finds_the_serial_number_behind_a_salt_that_is_known(
    ports: tuple[Anchor, Salts], clock: Clock, random_bytes: Random
) -> None:
    def no_salt(length: int) -> bytes:
        return bytes(length)

    unsalted = Anchoring(*ports, clock=clock, random=no_salt, least_leaves=8)
    unsalted.add(GRANT, Tag.GRANT, digest_of("SN-12345"))
    assert serial_guessed(published(unsalted, clock), bytes(32)) == [12_345]


def test_attack_16_after_the_end_the_holder_of_the_artefact_alone_finds_no_leaf(
    anchoring: Anchoring, ports: tuple[Anchor, Salts], clock: Clock
) -> None:
    ticket = anchoring.add(GRANT, Tag.GRANT, digest_of("SN-12345"))
    batch = published(anchoring, clock)
    anchoring.forget(GRANT)
    assert ports[1].find(GRANT) == []
    assert serial_guessed(batch, bytes(32)) == []
    # The leaf still stands there: it was the salt that made it a statement.
    assert ticket.leaf in batch.leaves


# Attack 15: what roots, counts and timings tell an observer about one customer.


class Observer:
    """Sees all that is public, hour by hour, and guesses in which of two hours she acted.

    It learns from trials whose truth it is told, and uses the best of its features.
    """

    def __init__(self) -> None:
        self.seen: list[tuple[list[float], bool]] = []

    @staticmethod
    def features(first: Batch, second: Batch, delays: tuple[float, float]) -> list[float]:
        def number(data: bytes) -> float:
            return int.from_bytes(data[:6], "big") / 2**48

        def gap(batch: Batch) -> float:
            values = sorted(number(leaf) for leaf in batch.leaves)
            return max((b - a for a, b in pairwise(values)), default=1.0)

        return [
            len(first.leaves) - len(second.leaves),
            len(first.to_bytes()) - len(second.to_bytes()),
            first.number - second.number,
            delays[0] - delays[1],
            number(first.root) - number(second.root),
            number(first.leaves[0]) - number(second.leaves[0]),
            gap(first) - gap(second),
            len(set(first.leaves) & set(second.leaves)),
        ]

    def learn(self, features: list[float], *, truth: bool) -> None:
        self.seen.append((features, truth))

    def rule(self) -> Callable[[list[float]], bool]:
        """Give the threshold on one feature, or its opposite, that was right most often."""
        best, chosen = -1, (0, 0.0, True)
        for place in range(len(self.seen[0][0])):
            values = sorted({features[place] for features, _ in self.seen})
            for limit in values[:: max(1, len(values) // 50)]:
                right = sum((features[place] > limit) is truth for features, truth in self.seen)
                for is_up, score in ((True, right), (False, len(self.seen) - right)):
                    if score > best:
                        best, chosen = score, (place, limit, is_up)
        place, limit, is_up = chosen
        return lambda features: (features[place] > limit) is is_up


def share_guessed(*, least_leaves: int, publishes_at_once: bool, trials: int = 2_000) -> float:
    """Give how often the observer is right, over trials that it did not learn from."""
    dice = seeded.Random("attack 15")
    clock = Clock(datetime(2026, 11, 2, tzinfo=UTC))
    anchoring = Anchoring(
        MemoryAnchor(), MemorySalts(), clock=clock, random=dice.randbytes, least_leaves=least_leaves
    )
    observer, hits, tried = Observer(), 0, 0
    rule: Callable[[list[float]], bool] | None = None
    for trial in range(trials):
        acted_first = dice.random() < 0.5
        batches: list[Batch] = []
        delays: list[float] = []
        for hour in range(2):
            # Others act too: a few on most hours.
            others = [dice.randrange(3_600) for _ in range(dice.randrange(3))]
            hers = [dice.randrange(3_600) for _ in range(4)]
            moments = [*others, *(hers if acted_first is (hour == 0) else [])]
            for _ in moments:
                anchoring.add(GRANT, Tag.ACCESS_LOG, HEAD)
            clock.advance(HOUR)
            # A service that published when something happened would tell when.
            delays.append(float(max(moments, default=0)) if publishes_at_once else 0.0)
            batch = anchoring.publish_due()
            assert batch is not None
            batches.append(batch)
        features = observer.features(batches[0], batches[1], (delays[0], delays[1]))
        if trial < trials // 2:
            observer.learn(features, truth=acted_first)
            continue
        rule = rule or observer.rule()
        tried += 1
        hits += rule(features) is acted_first
    return hits / tried


def test_attack_15_who_sees_roots_counts_and_timings_guesses_like_a_coin() -> None:
    # 1,000 guesses: a coin is within 0.05 of one half but once in six hundred; the dice are seeded.
    assert abs(share_guessed(least_leaves=16, publishes_at_once=False) - 0.5) < 0.05


def test_the_same_observer_wins_where_trees_are_not_filled_up() -> None:
    assert share_guessed(least_leaves=1, publishes_at_once=False) > 0.7


def test_the_same_observer_wins_where_roots_come_when_something_happened() -> None:
    assert share_guessed(least_leaves=16, publishes_at_once=True) > 0.7
