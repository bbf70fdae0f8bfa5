"""Yesterday's backup put back under real processes: nothing that has ended comes back."""

import os
from collections.abc import Generator
from pathlib import Path
from shutil import copytree, ignore_patterns, rmtree

import pytest
from counterfoil_consent import Active, confirm_grant, deliver, send_withdrawal, withdraw
from counterfoil_consent.cli import main
from counterfoil_credentials.keys import MemorySigner

from tests.consent.dumps import dump, put_back
from tests.consent.kills import Read, Town, now

pytestmark = [pytest.mark.loopback, pytest.mark.once]


@pytest.fixture(params=["sqlite", "postgres"])
def town(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Town, None, None]:
    servers = request.getfixturevalue("servers") if request.param == "postgres" else None
    town = Town(tmp_path, servers)
    for service in town.services:
        service.start()
    yield town
    for service in town.services:
        service.kill()


def granted(town: Town) -> tuple[Active, MemorySigner, Read]:
    package, signer = town.pack()
    active = deliver(package, fetcher=town.fetcher)
    return active, signer, Read(active.agreement.grant_id)


def end(town: Town, active: Active, signer: MemorySigner) -> None:
    withdrawal = withdraw(active, signer=signer, now=now(), random=os.urandom)
    ending = send_withdrawal(withdrawal, fetcher=town.fetcher)
    assert ending.key_destroyed_at is not None
    assert ending.stopped_at is not None


def back_up(town: Town, target: Path) -> None:
    """Do what an operator does while the services run."""
    assert main(["backup", str(town.folder.path), str(target / "custodian")]) == 0
    if town.servers is None:
        # A stopped service is one file: this is how a plain copy is taken.
        town.services[1].kill()
        copytree(town.brand, target / "brand", ignore=ignore_patterns("sealing-keys"))
        town.services[1].start()
    else:
        for party, url in town.servers.items():
            dump(url, target / f"{party}.dump")


def restore(town: Town, source: Path) -> None:
    for service in town.services:
        service.kill()
    if town.servers is None:
        for name in ("custodian.sqlite3", "custodian.sqlite3-wal", "custodian.sqlite3-shm"):
            (town.folder.path / name).unlink(missing_ok=True)
        for file in (source / "custodian").iterdir():
            (town.folder.path / file.name).write_bytes(file.read_bytes())
        for file in town.brand.glob("consent.sqlite3*"):
            file.unlink()
        for file in (source / "brand").iterdir():
            (town.brand / file.name).write_bytes(file.read_bytes())
    else:
        for party, url in town.servers.items():
            put_back(url, source / f"{party}.dump")
    for service in town.services:
        service.start()


def test_what_ended_since_the_backup_has_ended_after_it_too(town: Town, tmp_path: Path) -> None:
    ended, ended_signer, read_of_ended = granted(town)
    live, _, read_of_live = granted(town)
    backup = tmp_path / "backup"
    backup.mkdir()
    back_up(town, backup)
    assert town.read(read_of_live) == []
    end(town, ended, ended_signer)

    restore(town, backup)

    assert town.read(read_of_ended) == ["grant-ended"]
    # The count goes on from where it was, not from where the backup was.
    assert town.read(read_of_live) == []
    assert read_of_live.numbers == [1, 2]
    assert live.agreement.grant_id != ended.agreement.grant_id


def test_without_journal_and_with_yesterdays_keys_nothing_is_lent_before_its_holder_confirms(
    town: Town, tmp_path: Path
) -> None:
    first, first_signer, _ = granted(town)
    end(town, first, first_signer)
    ended, ended_signer, read_of_ended = granted(town)
    live, signer, read_of_live = granted(town)
    backup = tmp_path / "backup"
    backup.mkdir()
    back_up(town, backup)
    # What nobody should do: the keys are copied too, on both sides.
    folders = [town.folder.path / "one-time-keys", town.brand / "sealing-keys"]
    for number, folder in enumerate(folders):
        copytree(folder, backup / f"keys-{number}")
    end(town, ended, ended_signer)

    for number, folder in enumerate(folders):
        rmtree(folder)
        copytree(backup / f"keys-{number}", folder)
    town.folder.journal().unlink()
    restore(town, backup)

    for read in (read_of_ended, read_of_live):
        assert town.read(read) == ["confirmation-missing"]
    confirm_grant(live, signer=signer, fetcher=town.fetcher, now=now())
    assert town.read(read_of_live) == []
    assert town.read(read_of_ended) == ["confirmation-missing"]
    assert read_of_ended.numbers == []
