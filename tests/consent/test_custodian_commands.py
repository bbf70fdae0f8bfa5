"""`counterfoil consent …`: a custodian as a customer body runs it, in a process of its own."""

import json
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from counterfoil_consent.cli import main
from counterfoil_consent.custodian_folder import CustodianFolder
from counterfoil_consent.custodian_settings import parse_settings
from counterfoil_consent.set_outbox import Letter
from counterfoil_consent.sql_custodian_store import SqlCustodianStore
from counterfoil_consent.tombstone_journal import FileTombstoneJournal
from counterfoil_consent.wire import GrantId
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.errors import Malformed, Misuse

pytestmark = pytest.mark.once

COMMAND = [str(Path(sys.executable).parent / "counterfoil"), "consent"]
NAME = "A" * 22


class Served:
    """A folder that a process of its own serves."""

    def __init__(self, folder: Path, *options: str) -> None:
        # A file: a pipe that nobody reads stops who writes.
        self._trouble = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed with the process
        self.process = subprocess.Popen(
            [*COMMAND, "serve", str(folder), *options],
            stdout=subprocess.PIPE,
            stderr=self._trouble,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self._end()
        self.address = line.split()[-1]
        # It listens before it answers, and hears signals only then.
        assert self.get("/health/live")[0] == 200

    def get(self, path: str, key: str | None = None) -> tuple[int, str]:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        request = urllib.request.Request(f"{self.address}{path}", headers=headers)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  # our own service
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def ends(self) -> str:
        """Stop it as an operator does; give what it wrote meanwhile."""
        self.process.send_signal(signal.SIGTERM)
        trouble = self._end()
        assert self.process.returncode == 0, trouble
        return trouble

    def kill(self) -> None:
        """End it as the power does."""
        self.process.kill()
        self._end()

    def _end(self) -> str:
        self.process.communicate(timeout=60)
        if self._trouble.closed:
            return ""
        with self._trouble:
            self._trouble.seek(0)
            return self._trouble.read()


@contextmanager
def served(folder: Path, *options: str) -> Generator[Served, None, None]:
    service = Served(folder, *options)
    try:
        yield service
    finally:
        if service.process.poll() is None:
            service.kill()


def made(folder: Path, where: Path | str | None = None) -> CustodianFolder:
    options = ["--database", where] if isinstance(where, str) else []
    assert main(["init", str(folder), *options]) == 0
    return CustodianFolder(folder)


def test_a_new_folder_has_settings_and_keys_that_its_owner_alone_reads(tmp_path: Path) -> None:
    folder = made(tmp_path / "custodian")

    assert sorted(path.name for path in folder.path.iterdir()) == [
        "custodian.json",
        "metrics.key",
        "signing-key.pem",
    ]
    assert {path.stat().st_mode & 0o777 for path in folder.path.iterdir()} == {0o600}
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert folder.settings().develops
    did = did_jwk(folder.signer().public)
    assert main(["init", str(folder.path)]) == 2
    assert did_jwk(folder.signer().public) == did


def test_a_folder_for_earnest_has_an_https_origin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where, journal = "postgresql://custodian@db.internal/custodian", str(tmp_path / "other" / "j")
    options = ["--public-url", "https://custodian.example", "--database", where]
    assert main(["init", str(tmp_path / "c"), *options, "--journal", journal]) == 0
    folder = CustodianFolder(tmp_path / "c")

    assert folder.url(None, "http://127.0.0.1:1") == "https://custodian.example"
    assert (folder.database(), folder.journal()) == (where, Path(journal))
    with pytest.raises(Misuse, match="expected an https URL"):
        folder.url("http://custodian.example")
    assert main(["init", str(tmp_path / "d"), "--database", "mysql://db/custodian"]) == 1
    assert "expected a postgresql:// URL" in capsys.readouterr().err
    assert not (tmp_path / "d" / "custodian.json").exists()


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b"[]", "custodian.json"),
        (b'{"unheard_of": 1}', "custodian.json"),
        (b'{"database": 1}', "custodian.json.database"),
        (b'{"database": "sqlite:///x"}', "custodian.json.database"),
        (b'{"allow_plain_http_on_loopback_for_development_only": 1}', "custodian.json.allow"),
        (b'{"public_url": null}', "custodian.json.public_url"),
        (
            b'{"loopback_receivers_for_development_only": ["http://127.0.0.1:1"]}',
            "custodian.json.loopback_receivers",
        ),
    ],
)
def test_settings_that_are_none_are_named(data: bytes, where: str) -> None:
    with pytest.raises(Malformed) as malformed:
        parse_settings(data)

    assert malformed.value.where.startswith(where)


def test_a_folder_that_init_did_not_make_is_not_served(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (["serve", str(tmp_path / "none")], ["backup", str(tmp_path), "target"]):
        assert main(command) == 2
        assert "`counterfoil consent init`" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


@pytest.mark.loopback
def test_a_folder_of_the_version_before_there_were_settings_is_served(tmp_path: Path) -> None:
    folder = CustodianFolder(tmp_path)
    did = did_jwk(folder.signer().public)

    with served(tmp_path) as service:
        named = json.loads(service.get("/custodian")[1])

    assert (named["did"], named["origin"]) == (did, service.address)
    assert folder.settings().develops


@pytest.mark.loopback
def test_a_custodian_keeps_its_identity_and_its_port(tmp_path: Path, where: Path | str) -> None:
    folder = made(tmp_path / "custodian", where)
    found: list[Any] = []
    for _ in range(2):
        with served(folder.path) as service:
            found.append(json.loads(service.get("/custodian")[1]))
            assert found[-1]["origin"] == service.address == folder.address()
            assert service.get("/health/ready")[0] == 200
            service.ends()

    assert found[0] == found[1]
    assert (folder.path / "one-time-keys").stat().st_mode & 0o777 == 0o700
    assert (folder.path / "custodian.sqlite3").exists() == isinstance(where, Path)
    # The journal of the database is folded in when the service ends.
    assert not (folder.path / "custodian.sqlite3-wal").exists()


@pytest.mark.loopback
def test_a_port_that_was_asked_for_is_had_or_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made(tmp_path / "custodian")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        capsys.readouterr()

        assert main(["serve", str(folder.path), "--port", str(port)]) == 1
        assert f"expected a free port, found {port} in use (port)" in capsys.readouterr().err

        # The port of the last time is only a habit.
        folder.record_port(port)
        with served(folder.path) as service:
            assert not service.address.endswith(f":{port}")
            assert f"port {port} is in use; it listens on" in service.ends()


@pytest.mark.loopback
def test_metrics_and_logs_name_no_grant(tmp_path: Path) -> None:
    folder = made(tmp_path / "custodian")
    with served(folder.path) as service:
        assert service.get(f"/grants/{NAME}/leases")[0] == 405
        assert service.get(f"/nowhere/{NAME}")[0] == 404
        request = urllib.request.Request(  # noqa: S310  # our own service
            f"{service.address}/grants/{NAME}/leases", data=b"a.b.c", method="POST"
        )
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=30)  # noqa: S310
        assert refused.value.code == 400
        refused.value.close()
        assert service.get("/metrics")[0] == 401
        status, metrics = service.get("/metrics", folder.metrics_key())
        log = service.ends()

    assert status == 200
    assert "counterfoil_grants_kept 0.0" in metrics
    assert "counterfoil_grants_unconfirmed 0.0" in metrics
    assert "counterfoil_events_dead 0.0" in metrics
    assert 'route="/grants/{grant_id}/leases"' in metrics
    assert '"route":"/grants/{grant_id}/leases","status":400' in log.replace(" ", "")
    for text in (metrics, log):
        assert NAME not in text


@pytest.mark.loopback
@pytest.mark.parametrize("gone", ["one-time-keys", "tombstones.journal"])
def test_a_custodian_whose_folder_went_away_is_not_ready(tmp_path: Path, gone: str) -> None:
    folder = made(tmp_path / "custodian")
    with served(folder.path) as service:
        assert service.get("/health/ready")[0] == 200
        (folder.path / gone).rename(tmp_path / "unmounted")
        status, answer = 200, ""
        for _ in range(100):
            # What was found well is said for two seconds.
            status, answer = service.get("/health/ready")
            if status == 503:
                break
            subprocess.run(["/bin/sleep", "0.1"], check=True)

    assert status == 503
    failed = [name for name, said in json.loads(answer)["checks"].items() if said != "ok"]
    assert failed == [{"one-time-keys": "one_time_keys"}.get(gone, "journal")]


@pytest.mark.loopback
def test_a_backup_holds_what_a_restart_needs_and_neither_keys_nor_journal(
    tmp_path: Path, where: Path | str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, target = made(tmp_path / "custodian", where), tmp_path / "backup"
    with served(folder.path):
        capsys.readouterr()
        assert main(["backup", str(folder.path), str(target)]) == 0
        said = capsys.readouterr().out

    expected = ["custodian.json", "signing-key.pem"]
    if isinstance(where, Path):
        expected.insert(1, "custodian.sqlite3")
        SqlCustodianStore(target / "custodian.sqlite3").close()
    else:
        assert "pg_dump" in said
    assert sorted(path.name for path in target.iterdir() if "wal" not in path.name) == expected
    assert {path.stat().st_mode & 0o777 for path in target.iterdir()} == {0o600}
    # A backup is never written over another.
    assert main(["backup", str(folder.path), str(target)]) == 1


@pytest.mark.loopback
def test_a_custodian_whose_journal_was_lost_begins_another(tmp_path: Path) -> None:
    folder = made(tmp_path / "custodian")
    with served(folder.path) as service:
        before = json.loads(service.get("/custodian")[1])["journal"]
        service.ends()
    assert FileTombstoneJournal(folder.journal()).name() == before
    folder.journal().unlink()

    with served(folder.path) as service:
        after = json.loads(service.get("/custodian")[1])["journal"]
        assert (
            "counterfoil_grants_unconfirmed 0.0" in service.get("/metrics", folder.metrics_key())[1]
        )
    assert FileTombstoneJournal(folder.journal()).name() == after != before


def test_the_command_tells_whom_it_could_not_tell_and_sends_it_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made(tmp_path / "custodian")
    now = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
    with closing(SqlCustodianStore(folder.database())) as store:
        outbox = store.outbox
        letter = Letter(
            destination="did:example:shop",
            event_id="event-1",
            grant_id=GrantId(NAME),
            token="a.b.c",
        )
        outbox.put([letter])
        outbox.set_endpoint("did:example:shop", "https://shop.example/events")
        round_ = outbox.take(now, now, "lease", steady_only=False)
        assert round_ is not None
        outbox.give_up(round_, "status 503", now, now)

    assert main(["events", str(folder.path)]) == 0
    said = capsys.readouterr().out
    assert "dead 2026-11-02T12:00:00Z event-1\n  to did:example:shop\n  status 503\n" in said
    assert said.endswith("0 wait, 1 are dead, 0 were refused\n")
    assert main(["events", str(folder.path), "--again", "did:example:shop"]) == 0
    assert capsys.readouterr().out == "1 wait, 0 are dead, 0 were refused\n"
