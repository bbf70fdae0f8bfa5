"""Reads and an end, reads and a pause, at one custodian at once: in every order, or ten thousand.

Each call of the store and of the key folder is a scheduling point. The clock goes on
by a second with each turn, so that times say what came before what.
"""

import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import cast

import pytest
from counterfoil_consent import Custodian, MemoryKeyFolder, MemoryStore, Pause, Trigger
from counterfoil_consent.artefacts import KeyDestruction, Lease, LeaseRequest, Registration
from counterfoil_consent.events import sign_end_of, sign_pause
from counterfoil_consent.key_folder import FileKeyFolder, KeyFolder, KeyNote
from counterfoil_consent.sealing import OpeningKey, Role, seal_share
from counterfoil_consent.sql_custodian_store import SqlCustodianStore
from counterfoil_consent.states import Agreement
from counterfoil_consent.store import CustodianStore, Kept, Reserved
from counterfoil_consent.tombstone_journal import MemoryTombstoneJournal
from counterfoil_consent.wire import GrantId, digest_of, fresh_grant_id
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.keys import MemorySigner

from tests.conftest import NOON
from tests.consent.interleaving import Choose, Scheduler, Told, Watched, every_order
from tests.consent.street import BENEFITS, CUSTODIAN, Street

pytestmark = pytest.mark.once

INTERLEAVINGS = 10_000
FEW = 50
SEED = int(os.environ.get("COUNTERFOIL_SOAK_SEED", "0")) or int.from_bytes(os.urandom(4))
LEASE_LENGTH = timedelta(seconds=60)


class FirstLookAlone(Custodian):
    """Broken on purpose: looks for a pause once, and not again before it gives the lease."""

    def _require_running(self, grant_id: GrantId) -> None:
        if not self._keys.reads(grant_id):
            super()._require_running(grant_id)


class CountsInTwoSteps(MemoryStore):
    """Broken on purpose: looks whether a read is left, and counts it a moment later."""

    scheduler: Scheduler

    def count_read(
        self,
        grant_id: GrantId,
        request_id: str,
        now: datetime,
        counted: int,
    ) -> int | None:
        found = self.find(grant_id)
        self.scheduler.point()
        if not isinstance(found, Kept) or counted >= found.registration.max_reads:
            return None
        return found.reads + 1


@dataclass
class Booth:
    """One custodian with one grant in force, and what is about to be said to it."""

    store: CustodianStore
    keys: KeyFolder = field(default_factory=MemoryKeyFolder)
    kind: type[Custodian] = Custodian
    max_reads: int = 2
    scheduler: Scheduler = field(default_factory=Scheduler)
    random: Random = field(default_factory=lambda: Random(11))

    def __post_init__(self) -> None:
        self.signer = SIGNERS["custodian"]
        if isinstance(self.store, CountsInTwoSteps):
            self.store.scheduler = self.scheduler
        self.custodian = self.kind(
            origin=CUSTODIAN,
            signer=self.signer,
            store=cast("CustodianStore", Watched(self.store, self.scheduler)),
            keys=cast("KeyFolder", Watched(self.keys, self.scheduler)),
            journal=MemoryTombstoneJournal(),
            clock=self.clock,
            random=self.random.randbytes,
        )

    def clock(self) -> datetime:
        return NOON + timedelta(seconds=self.scheduler.turns)

    def grant(self) -> GrantId:
        """Put a new grant in force, as `issue_key`, `register` and `acknowledge` leave it."""
        grant_id = fresh_grant_id(os.urandom)
        holder, receiver = (did_jwk(SIGNERS[name].public) for name in ("holder", "receiver"))
        digest = digest_of(grant_id)
        note = KeyNote(holder=holder)
        self.store.reserve(
            Reserved(grant_id=grant_id, holder=holder, reserved_at=self.clock()), 10**6
        )
        key = self.keys.create(grant_id, self.random.randbytes, note)
        self.keys.annotate(grant_id, KeyNote(holder=holder, receiver=receiver, grant_digest=digest))
        self.store.keep(
            Registration(
                grant_id=grant_id,
                holder=holder,
                receiver=receiver,
                grant_digest=digest,
                purpose=BENEFITS,
                valid_until=NOON + timedelta(days=1),
                max_reads=self.max_reads,
                share=seal_share(bytes(32), key.public, grant_id, Role.CUSTODIAN),
            )
        )
        self.store.receipt(grant_id)
        return grant_id

    def lease(self, grant_id: GrantId, number: int) -> Callable[[], Lease]:
        asked = LeaseRequest(
            grant_id=grant_id,
            request_id=f"read {number}",
            purpose=BENEFITS,
            reader=READER.public,
            asked_at=self.clock(),
        )
        token = asked.sign(SIGNERS["receiver"], audience=CUSTODIAN)

        def ask() -> Lease:
            given = self.custodian.lease(grant_id, token)
            party = self.custodian.party
            return Lease.of_token(given, custodian=party.did, asked=asked, now=asked.asked_at)

        return ask

    def withdraw(self, grant_id: GrantId) -> Callable[[], KeyDestruction]:
        token = sign_end_of(
            grant_id,
            (CUSTODIAN,),
            Trigger.WITHDRAWN,
            signer=SIGNERS["holder"],
            now=self.clock(),
            random=self.random.randbytes,
        )

        def end() -> KeyDestruction:
            said = self.custodian.end(grant_id, token)
            return KeyDestruction.read(said, custodian=self.custodian.party.did, grant_id=grant_id)

        return end


SIGNERS = {name: MemorySigner.generate() for name in ("custodian", "holder", "receiver")}
READER = OpeningKey.generate(Random(5).randbytes)


def leases_of(told: Collection[Told]) -> list[Lease]:
    """Give the leases that were given; anything but a lease or a refusal is an error."""
    leases: list[Lease] = []
    for one in told:
        assert isinstance(one.answer, Lease) or isinstance(one.trouble, Refused), one.trouble
        if isinstance(one.answer, Lease):
            leases.append(one.answer)
    return leases


def reads_and_a_withdrawal(booth: Booth, choose: Choose, readers: int) -> str:
    """Run them in the order chosen, and check what must hold; give who won, for counting."""
    grant_id = booth.grant()
    tasks: dict[str, Callable[[], object]] = {
        f"reader {number}": booth.lease(grant_id, number) for number in range(readers)
    }
    tasks["holder"] = booth.withdraw(grant_id)

    told = booth.scheduler.run(tasks, choose)

    end = told.pop("holder")
    assert isinstance(end.answer, KeyDestruction), end.trouble
    leases = leases_of(told.values())
    assert len(leases) <= booth.max_reads
    assert len({lease.read for lease in leases}) == len(leases)
    # What the holder is told is what was given, and nothing was given later.
    assert end.answer.leases == len(leases)
    for lease in leases:
        assert lease.expires_at <= end.answer.destroyed_at + LEASE_LENGTH
    with pytest.raises(Refused) as refusal:
        booth.lease(grant_id, readers)()
    assert refusal.value.codes == ["grant-ended"]
    assert booth.keys.is_destroyed(grant_id)
    assert booth.keys.find(grant_id) is None
    return f"{len(leases)} of {readers}"


def reads_and_a_pause(booth: Booth, choose: Choose, agreement: Agreement, readers: int) -> str:
    """Do the same for a pause: once it is answered, no lease takes its last step."""
    grant_id = booth.grant()
    tasks: dict[str, Callable[[], object]] = {
        f"reader {number}": booth.lease(grant_id, number) for number in range(readers)
    }
    token = sign_pause(
        _named(agreement, grant_id),
        Pause(1, is_suspended=True),
        signer=SIGNERS["holder"],
        now=booth.clock(),
        random=booth.random.randbytes,
    )
    tasks["holder"] = lambda: booth.custodian.pause(grant_id, token)

    told = booth.scheduler.run(tasks, choose)

    pause = told.pop("holder")
    assert pause.answer == Pause(1, is_suspended=True), pause.trouble
    leases = leases_of(told.values())
    assert len(leases) <= booth.max_reads
    for one in told.values():
        assert isinstance(one.trouble, Refused) or one.last_turn < pause.done_at
    with pytest.raises(Refused) as refusal:
        booth.lease(grant_id, readers)()
    assert refusal.value.codes == ["grant-suspended"]
    return f"{len(leases)} of {readers}"


def _named(agreement: Agreement, grant_id: GrantId) -> Agreement:
    return replace(agreement, grant_id=grant_id)


@pytest.fixture
def agreement(street_in_memory: Street) -> Agreement:
    """Give terms that name the custodian; what else they say does not matter here."""
    return street_in_memory.granted()[0].agreement


@pytest.fixture(params=["memory", "sqlite"])
def kind(request: pytest.FixtureRequest) -> str:
    """Give either kind of store."""
    return str(request.param)


@pytest.fixture
def booths(kind: str, tmp_path: Path) -> Iterator[Callable[[int], Booth]]:
    """Give booths for so many reads."""
    if kind == "memory":
        yield lambda max_reads: Booth(MemoryStore(), max_reads=max_reads)
        return
    store = SqlCustodianStore(tmp_path / "db.sqlite3")
    keys = FileKeyFolder(tmp_path / "keys")
    yield lambda max_reads: Booth(store, keys, max_reads=max_reads)
    store.close()


@pytest.fixture
def numbers(kind: str, soak_count: Callable[[int], int]) -> Callable[[bool], range]:
    """Give which interleavings: always the same few, or many that nobody has tried."""
    # Every turn on a disk waits for the disk.
    share = 1 if kind == "memory" else 10

    def chosen(is_long: bool) -> range:  # noqa: FBT001  # a test's own parameter
        many = soak_count(INTERLEAVINGS // share)
        return range(SEED, SEED + many) if is_long else range(FEW)

    return chosen


def test_one_read_and_a_pause_in_every_order_there_is(agreement: Agreement) -> None:
    seen: set[str] = set()

    def run(choose: Choose) -> None:
        seen.add(reads_and_a_pause(Booth(MemoryStore()), choose, agreement, 1))

    assert every_order(run) > 100
    assert seen == {"0 of 1", "1 of 1"}


@pytest.mark.parametrize(
    "is_long", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["few", "many"]
)
@pytest.mark.parametrize("max_reads", [1, 2])
def test_reads_and_a_withdrawal_in_any_order(
    booths: Callable[[int], Booth],
    numbers: Callable[[bool], range],
    *,
    max_reads: int,
    is_long: bool,
) -> None:
    seen: set[str] = set()
    for number in numbers(is_long):
        choices = Random(number)
        try:
            seen.add(reads_and_a_withdrawal(booths(max_reads), choices.choice, 2))
        except AssertionError as trouble:
            trouble.add_note(f"interleaving {number}")
            raise

    assert seen == {f"{given} of 2" for given in range(max_reads + 1)}


@pytest.mark.parametrize(
    "is_long", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["few", "many"]
)
def test_reads_and_a_pause_in_any_order(
    booths: Callable[[int], Booth],
    numbers: Callable[[bool], range],
    agreement: Agreement,
    *,
    is_long: bool,
) -> None:
    seen: set[str] = set()
    for number in numbers(is_long):
        choices = Random(number)
        try:
            seen.add(reads_and_a_pause(booths(2), choices.choice, agreement, 2))
        except AssertionError as trouble:
            trouble.add_note(f"interleaving {number}")
            raise

    assert {"0 of 2", "2 of 2"} <= seen


def test_a_custodian_that_looks_for_a_pause_only_once_is_caught(agreement: Agreement) -> None:
    def run(choose: Choose) -> None:
        reads_and_a_pause(Booth(MemoryStore(), kind=FirstLookAlone), choose, agreement, 1)

    with pytest.raises(AssertionError):
        every_order(run)


@pytest.mark.parametrize("max_reads", [1, 2])
def test_a_store_that_counts_in_two_steps_is_caught(max_reads: int) -> None:
    def run() -> None:
        for number in range(FEW):
            booth = Booth(CountsInTwoSteps(), max_reads=max_reads)
            reads_and_a_withdrawal(booth, Random(number).choice, 2)

    with pytest.raises(AssertionError):
        run()
