"""Kill a custodian or a brand's app under load, serve it again, and compare with what was heard."""

import os
import random
import socket
import sys
import threading
import time
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from json import dumps, loads
from pathlib import Path
from typing import Any, NamedTuple, cast

from counterfoil_consent import (
    Active,
    Agreement,
    FetchedNotices,
    GrantPackage,
    Level,
    deliver,
    fetch_custodian,
    fetch_custodian_key,
    fetch_erasure_receipt,
    grant,
    read_consent_request,
    send_withdrawal,
    withdraw,
)
from counterfoil_consent.custodian_folder import CustodianFolder
from counterfoil_consent.custodian_settings import CustodianSettings
from counterfoil_consent.holder import Ending, Withdrawal
from counterfoil_consent.tombstone_journal import FileTombstoneJournal
from counterfoil_consent.wire import GrantId
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.errors import CounterfoilError, Refused
from counterfoil_credentials.key_file import load_or_create_signer
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.request_links import parse_request_link

from tests.consent.running import ISSUER_KEY, Process, routes
from tests.consent.street import BENEFITS, CUSTODIAN, FRAME_VALUE, KEY, NOTICE, RIDER, Customer

READS = 8
READERS = 3
ERASED_WITHIN_S = 60
_WISH = {
    "purpose": BENEFITS.value,
    "claims": [{"vct": RIDER, "path": ["frame_size"], "retain_days": 30}],
    "notice": {"text": NOTICE.text, "language": "en"},
    "valid_for_s": 24 * 3600,
    "max_reads": READS,
    "jurisdiction": "EU",
}


class Survived(NamedTuple):
    """What was counted."""

    kills: int
    cut_off: int
    """Reads that were under way at a kill."""
    ends_heard: int
    """Ends that somebody was told of before the kill, and that stayed ends."""


@dataclass
class Read:
    """A grant that is read: the numbers of the leases that were heard, and reads without answer."""

    grant_id: GrantId
    numbers: list[int] = field(default_factory=list[int])
    cut_off: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Town:
    """Both services, and the customer with her wallet between them."""

    def __init__(self, folder: Path, servers: Mapping[str, str] | None) -> None:
        self.servers = servers
        self.brand = brand = folder / "brand"
        brand.mkdir(parents=True)
        self.brand_port = free_port()
        custodian_port = free_port()
        self.folder = CustodianFolder(folder / "custodian")
        self.folder.make(
            CustodianSettings(
                public_url=CUSTODIAN, database=None if servers is None else servers["custodian"]
            )
        )
        address = f"http://127.0.0.1:{custodian_port}"
        where = brand / "consent.sqlite3" if servers is None else servers["receiver"]
        cli = "import sys; from counterfoil_consent.cli import main; sys.exit(main(sys.argv[1:]))"
        serve = ["serve", str(self.folder.path), "--port", str(custodian_port)]
        app = [str(brand), str(self.brand_port), address, str(where)]
        self.services = [
            Process([sys.executable, "-c", cli, *serve], custodian_port, folder / "custodian.log"),
            Process(
                [sys.executable, "-m", "tests.consent.running", *app],
                self.brand_port,
                folder / "brand.log",
            ),
        ]
        self.fetcher = routes(address, f"http://127.0.0.1:{self.brand_port}")
        issuer = load_or_create_signer(brand / ISSUER_KEY)
        self.customer = Customer(issuer, now(), os.urandom)

    def pack(self) -> tuple[GrantPackage, MemorySigner]:
        """Let the brand ask and the customer grant; nothing is delivered."""
        status, opened = self.staff("/consent/requests", _WISH)
        assert status == 200, opened
        link = parse_request_link(opened["link"])
        request = self.fetcher.get(link.request_uri, accept="*/*").body.decode()
        asked = read_consent_request(
            request,
            client_id=link.client_id,
            custodians={CUSTODIAN: fetch_custodian(self.fetcher, CUSTODIAN).did},
            notices=FetchedNotices(self.fetcher),
            now=now(),
        )
        signer = MemorySigner.generate()
        decided = asked.decide(
            asked.terms.claim_names, holder=did_jwk(signer.public), random=os.urandom
        )
        self.customer.now = now()
        key = fetch_custodian_key(decided, signer=signer, fetcher=self.fetcher, now=now())
        package = grant(
            decided,
            signer=signer,
            present=self.customer.present,
            custodian_key=key,
            now=now(),
            random=os.urandom,
        )
        return package, signer

    def read(self, read: Read) -> list[str]:
        """Read once; give the codes of a refusal, and none when it was read or cut off."""
        status, said = 0, cast("Any", None)
        try:
            path = f"/consent/grants/{read.grant_id}/read"
            status, said = self.staff(path, {"purpose": BENEFITS.value})
        except (OSError, HTTPException):
            # The kill cut it off.
            status = 0
        with read.lock:
            if status == 200:
                assert said["facts"][0]["values"] == [FRAME_VALUE]
                read.numbers.append(said["lease"]["read"])
            elif status == 400:
                return [reason["code"] for reason in said["reasons"]]
            else:
                assert status in {0, 503}, said
                read.cut_off += 1
        return []

    def staff(self, path: str, body: object) -> tuple[int, Any]:
        """Ask the brand's app as the brand's own systems do."""
        with closing(HTTPConnection("127.0.0.1", self.brand_port, timeout=30)) as line:
            headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
            line.request("POST", path, dumps(body), headers)
            answer = line.getresponse()
            return answer.status, loads(answer.read())


def kill_under_load(
    folder: Path, servers: Mapping[str, str] | None, *, kills: int, seed: int
) -> Survived:
    """Serve both, and kill one of them so often, while grants are read, ended and begun."""
    chance = random.Random(seed)
    town = Town(folder, servers)
    cut_off = ends_heard = 0
    try:
        for service in town.services:
            service.start()
        for left in range(kills, 0, -1):
            told = f"{left} kills before the end of seed {seed}"
            reads, (ended, end_signer) = _granted(town, READERS - 1), town.pack()
            withdrawal = _withdrawal(deliver(ended, fetcher=town.fetcher), end_signer)
            package, _ = town.pack()
            with _load(town, reads, withdrawal, package, chance) as heard:
                time.sleep(chance.uniform(0.02, 0.4))
                victim = chance.choice(town.services)
                victim.kill()
            victim.start()
            _require_reads(town, reads, told)
            ends_heard += _require_end(town, withdrawal, heard[0], told)
            _require_begun(town, package, told)
            cut_off += sum(read.cut_off for read in reads)
    finally:
        for service in town.services:
            service.kill()
    return Survived(kills, cut_off, ends_heard)


def _granted(town: Town, count: int) -> list[Read]:
    packages = [town.pack()[0] for _ in range(count)]
    return [Read(deliver(package, fetcher=town.fetcher).agreement.grant_id) for package in packages]


def _withdrawal(active: Active, signer: MemorySigner) -> Withdrawal:
    return withdraw(active, signer=signer, now=now(), random=os.urandom)


@contextmanager
def _load(
    town: Town,
    reads: list[Read],
    withdrawal: Withdrawal,
    package: GrantPackage,
    chance: random.Random,
) -> Generator[list[Ending], None, None]:
    """Read, withdraw and deliver at once until the kill; give what was heard of the end."""
    heard: list[Ending] = []
    over = threading.Event()
    later = chance.uniform(0, 0.3)

    def keep_reading(number: int) -> None:
        while not over.is_set():
            for read in reads[number % 2 :] + reads[: number % 2]:
                codes = town.read(read)
                assert set(codes) <= {"reads-used-up"}, codes
            # A few at a time, so that the kill meets some.
            over.wait(0.03)

    def end() -> None:
        over.wait(later)
        heard.append(send_withdrawal(withdrawal, fetcher=town.fetcher))

    def begin() -> None:
        over.wait(later)
        try:
            deliver(package, fetcher=town.fetcher)
        except CounterfoilError:
            # Cut off: it is delivered again.
            return

    with ThreadPoolExecutor(READERS + 2) as pool:
        runs = [pool.submit(keep_reading, number) for number in range(READERS)]
        runs += [pool.submit(end), pool.submit(begin)]
        yield heard
        over.set()
        for done in runs:
            done.result()


def _require_reads(town: Town, reads: list[Read], told: str) -> None:
    """No read beyond the limit, none with another's number, and no share is lost."""
    for read in reads:
        for _ in range(READS + 5):
            if codes := town.read(read):
                assert codes == ["reads-used-up"], told
                break
        else:
            raise AssertionError(f"more reads than agreed: {told}")
        assert len({*read.numbers}) == len(read.numbers), f"two reads, one lease: {told}"
        assert {*read.numbers} <= {*range(1, READS + 1)}, f"a read beyond the limit: {told}"
        assert len(read.numbers) + read.cut_off >= READS, f"a read was lost: {told}"


def _require_end(town: Town, withdrawal: Withdrawal, heard: Ending, told: str) -> bool:
    """What somebody was told has ended, has ended; what nobody was told ends now."""
    agreement = withdrawal.withdrawn.agreement
    read = Read(agreement.grant_id)
    is_heard = heard.key_destroyed_at is not None or heard.stopped_at is not None
    if is_heard:
        assert town.read(read) == ["grant-ended"], told
    again = send_withdrawal(withdrawal, fetcher=town.fetcher)
    assert again.key_destroyed_at is not None, told
    assert again.stopped_at is not None, told
    assert heard.destruction in (None, again.destruction), f"another statement: {told}"
    assert heard.stop_notice in (None, again.stop_notice), f"another notice: {told}"
    assert town.read(read) == ["grant-ended"], told
    assert _proved(town, agreement) >= Level.E2, told
    buried = FileTombstoneJournal(town.folder.journal()).since(None)
    assert agreement.grant_id in {tombstone.grant_id for tombstone in buried}, told
    assert not list((town.folder.path / "one-time-keys").glob(f"{agreement.grant_id}.key")), told
    return is_heard


def _proved(town: Town, agreement: Agreement) -> Level:
    """Give the level of the receipt: the brand stops at once, and erases within its next sweeps."""
    ends, level = time.monotonic() + ERASED_WITHIN_S, Level.E0
    while level < Level.E2 and time.monotonic() < ends:
        try:
            proof = fetch_erasure_receipt(agreement, fetcher=town.fetcher, now=now())
            level = proof.erased.level
        except Refused as refusal:
            if refusal.codes != ["not-erased"]:
                raise
        time.sleep(0.05)
    return level


def _require_begun(town: Town, package: GrantPackage, told: str) -> None:
    """A grant whose delivery was cut off is delivered by sending it again."""
    read = Read(deliver(package, fetcher=town.fetcher).agreement.grant_id)
    assert town.read(read) == [], told
    assert read.numbers == [1], told


def free_port() -> int:
    """Give a port that nobody has now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def now() -> datetime:
    """Give the time."""
    return datetime.now(UTC)
