"""Two processes over one custodian's folder, and over one receiver's: they count and end as one."""

import os
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from counterfoil_consent import Agreement, FileKeyFolder, deliver, send_withdrawal, withdraw
from counterfoil_consent.artefacts import Lease, LeaseRequest
from counterfoil_consent.client import CustodianClient
from counterfoil_consent.sealing import OpeningKey
from counterfoil_consent.sql_receiver_store import SqlReceiverStore
from counterfoil_consent.tombstone_journal import FileTombstoneJournal
from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.errors import Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.key_file import load_or_create_signer
from counterfoil_credentials.keys import MemorySigner

from tests.consent.kills import READS, Town, free_port, now
from tests.consent.running import RECEIVER_KEY, Process, routes
from tests.consent.street import BENEFITS, VELO, Street

pytestmark = pytest.mark.once

_SERVE = "import sys; from counterfoil_consent.cli import main; sys.exit(main(sys.argv[1:]))"
_GRANTS = 4


def _another(town: Town) -> tuple[Process, Fetcher]:
    """Give a second process over the custodian's folder, and the way to it."""
    port = free_port()
    command = [sys.executable, "-c", _SERVE, "serve", str(town.folder.path), "--port", str(port)]
    process = Process(command, port, town.brand / "second.log")
    return process, routes(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{town.brand_port}")


def _lease(agreement: Agreement, signer: MemorySigner, fetcher: Fetcher) -> int | str:
    """Ask for one lease; give its number, or the code of the refusal."""
    party = agreement.terms.custodian
    asked = LeaseRequest(
        grant_id=agreement.grant_id,
        request_id=b64url(os.urandom(16)),
        purpose=BENEFITS,
        reader=OpeningKey.generate(os.urandom).public,
        asked_at=now(),
    )
    token = asked.sign(signer, audience=party.origin)
    try:
        answer = CustodianClient(party, fetcher).lease(agreement.grant_id, token)
    except Refused as refusal:
        return refusal.codes[0]
    return Lease.of_token(answer, custodian=party.did, asked=asked, now=now()).read


@pytest.mark.loopback
@pytest.mark.once
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_two_custodian_processes_count_and_end_as_one(
    request: pytest.FixtureRequest, tmp_path: Path, database: str
) -> None:
    town = Town(tmp_path, request.getfixturevalue("servers") if database == "postgres" else None)
    second, there = _another(town)
    ways = (town.fetcher, there) * READS
    try:
        for service in (*town.services, second):
            service.start()
        receiver = load_or_create_signer(town.brand / RECEIVER_KEY)
        packages = [town.pack() for _ in range(_GRANTS)]
        given = [
            (deliver(package, fetcher=way), signer)
            for way, (package, signer) in zip(ways, packages, strict=False)
        ]
        for active, signer in given:
            agreement = active.agreement
            with ThreadPoolExecutor(4) as pool:
                asked = [pool.submit(_lease, agreement, receiver, way) for way in ways[: READS + 4]]
                found = Counter(one.result() for one in asked)
            assert found == Counter([*range(1, READS + 1), *["reads-used-up"] * 4])

            withdrawal = withdraw(active, signer=signer, now=now(), random=os.urandom)
            with ThreadPoolExecutor(4) as pool:
                ends = [pool.submit(send_withdrawal, withdrawal, fetcher=way) for way in ways[:4]]
                said = {end.result().destruction for end in ends}
            assert len(said) == 1
            assert None not in said
        # What one said has ended, the other knows when that one is gone.
        town.services[0].kill()
        for active, _ in given:
            assert _lease(active.agreement, receiver, there) == "grant-ended"
    finally:
        for service in (*town.services, second):
            service.kill()


def test_a_custodian_confirms_by_the_journal_that_another_process_began(
    street_on_disk: Street,
) -> None:
    street = street_on_disk
    assert street.folder is not None
    path = street.folder / "tombstones.journal"

    FileTombstoneJournal(path).begin("begun-by-another")
    assert street.custodian.journal_name == "begun-by-another"

    path.unlink()
    with pytest.raises(Unavailable):
        _ = street.custodian.journal_name


def test_a_receiver_that_starts_destroys_no_key_of_a_request_that_another_just_makes(
    street_on_disk: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    street = street_on_disk
    assert street.folder is not None
    here = street.receiver_store.add_request

    def starting_meanwhile(*given: object) -> None:
        # At every step of the request another process of the same receiver starts.
        _started(street)
        here(*given)  # type: ignore[arg-type]  # what add_request was given
        _started(street)

    monkeypatch.setattr(street.receiver_store, "add_request", starting_meanwhile)
    opened = street.ask()
    signer = MemorySigner.generate()
    active = deliver(street.package(street.decide(opened, signer), signer), fetcher=street.fetcher)

    with street.receiver.read(active.agreement.grant_id, BENEFITS) as facts:
        assert facts.names


def _started(street: Street) -> None:
    assert street.folder is not None
    store, keys = street.receiver_store, street.receiver_keys
    other = SqlReceiverStore(street.place("receiver"))
    street.receiver_store = other
    street.receiver_keys = FileKeyFolder(street.folder / "receiver-keys")
    street.make_receiver(VELO, street.receiver_signer)
    other.close()
    street.receiver_store, street.receiver_keys = store, keys
