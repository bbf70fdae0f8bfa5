"""The command: a folder that works at once, and the back office's work from another shell."""

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import pytest
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.offers import parse_offer
from counterfoil_issuer.brand_folder import BrandFolder
from counterfoil_issuer.brand_service import open_brand
from counterfoil_issuer.cli import main
from counterfoil_service.serving import bind

from tests.issuer.brand import Customer

COMMAND = "from counterfoil_credentials.cli import main; raise SystemExit(main())"
SECRETS = ("keys.json", "secret.key", "back-office.key")
HERE = "http://127.0.0.1:8001"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder that was served at port 8001 before."""
    folder = tmp_path / "issuer"
    assert main(["init", str(folder)]) == 0
    (folder / "address").write_text(f"{HERE}\n")
    return folder


def told(capsys: pytest.CaptureFixture[str], *command: object, status: int = 0) -> Any:  # noqa: ANN401  # JSON
    """Run a command with `--json` and give what it printed."""
    capsys.readouterr()
    assert main([*(str(word) for word in command), "--json"]) == status
    return json.loads(capsys.readouterr().out)


@contextmanager
def served(
    folder: Path, *options: str, stderr: TextIO | None = None
) -> Generator[dict[str, Any], None, None]:
    """Serve `folder` in a process of its own, and give what it says about itself."""
    program = [sys.executable, "-c", COMMAND, "issuer", "serve", str(folder), "--json", *options]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment
    ) as server:
        try:
            assert server.stdout is not None
            yield json.loads(server.stdout.readline())
        finally:
            server.send_signal(signal.SIGTERM)
    assert server.returncode == 0


def fetched(url: str, key: str | None = None) -> Any:  # noqa: ANN401  # JSON
    """GET a JSON document of our own server."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  # our own server
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  # our own server
        return json.load(answer)


def test_init_makes_a_folder_whose_secrets_are_its_owners_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "issuer"

    assert main(["init", str(folder)]) == 0
    said = capsys.readouterr().out
    for name in SECRETS:
        assert (folder / name).stat().st_mode & 0o777 == 0o600
        assert (folder / name).read_text().strip() not in said


def test_init_again_keeps_keys_and_changes(folder: Path) -> None:
    (folder / "catalogue.json").write_text("{}")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    main(["init", str(folder)])

    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_import_takes_the_sample_orders_once(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["import", str(folder), str(folder / "orders.csv")]

    assert main(command) == 0
    assert capsys.readouterr().out.endswith("2 imported, 0 unchanged, 0 errors\n")
    assert main(command) == 0
    assert capsys.readouterr().out == "0 imported, 2 unchanged, 0 errors\n"


def test_import_names_what_is_wrong_and_fails(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    orders = folder / "orders.csv"
    orders.write_text(orders.read_text().replace("AUR-BUDS", "AUR-BUDZ"))

    report = told(capsys, "import", folder, orders, status=1)
    assert (report["imported"], report["error_count"]) == (1, 1)
    assert main(["import", str(folder), str(orders)]) == 1
    assert 'row 4, Lineitem sku: expected an SKU of the catalogue, found "AUR-BUDZ"' in (
        capsys.readouterr().out
    )


def test_import_of_a_hopeless_file_tells_a_thousand_errors_and_how_many_more(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    orders = folder / "orders.csv"
    orders.write_text(orders.read_text().splitlines()[0] + "\n" + "x\n" * 1_234)
    capsys.readouterr()

    assert main(["import", str(folder), str(orders)]) == 1
    *errors, more, last = capsys.readouterr().out.splitlines()
    assert len(errors) == 1_000
    assert (more, last) == ("and 234 more", "0 imported, 0 unchanged, 1234 errors")


def test_a_batch_of_one_type_becomes_offers_in_a_file(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    batch, offers = tmp_path / "tiers.csv", tmp_path / "offers.csv"
    rows = ["programme,level,valid_until,since,member_number"]
    rows += [f"Auricle Circle,gold,2027-02-01,2026-02-01,AC-{i:06}" for i in range(3)]
    batch.write_text("\n".join([*rows, "Auricle Circle,gold"]) + "\n")

    report = told(capsys, "import", folder, batch, "--type", "tier", "--offers", offers, status=1)

    assert (report["imported"], report["error_count"], report["offers"]) == (3, 1, 3)
    assert [error["row"] for error in report["errors"]] == [5]
    written = list(csv.DictReader(offers.read_text().splitlines()))
    assert [row["row"] for row in written] == ["2", "3", "4"]
    assert {parse_offer(row["link"]).issuer for row in written} == {HERE}
    assert all(len(row["tx_code"]) == 6 for row in written)
    assert offers.stat().st_mode & 0o777 == 0o600


def test_an_offer_of_a_sample_is_a_link_and_a_code(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = told(capsys, "offer", folder, "warranty", "--sample")
    coded = told(capsys, "offer", folder, "warranty", "--sample", "--tx-code")

    for made in (plain, coded):
        assert parse_offer(made["offer"]).issuer == HERE
        assert parse_offer(made["offer"]).configuration_ids == ("warranty",)
    assert plain["tx_code"] is None
    assert (len(coded["tx_code"]), coded["tx_code"].isdigit()) == (6, True)


def test_so_many_offers_are_made_as_are_asked_for(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = told(capsys, "offer", folder, "ownership", "--sample", "--count", "3")["offers"]
    assert len({offer["offer"] for offer in made}) == 3


def test_an_offer_without_json_shows_a_code_for_a_camera(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["offer", str(folder), "tier", "--sample", "--tx-code"]) == 0
    *picture, link, code = capsys.readouterr().out.splitlines()

    assert len(picture) > 15
    assert len({len(line) for line in picture}) == 1
    assert link.startswith("openid-credential-offer://")
    assert code.startswith("transaction code: ")


def test_claims_from_a_file_are_checked_against_the_type(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    claims = tmp_path / "claims.json"
    sample = json.loads((folder / "types" / "tier.json").read_text())["sample"]
    claims.write_text(json.dumps(sample))
    assert told(capsys, "offer", folder, "tier", "--claims", claims)["offer"]

    claims.write_text(json.dumps({**sample, "level": 7}))
    assert main(["offer", str(folder), "tier", "--claims", str(claims)]) == 1
    assert "level" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "status", "names"),
    [
        (["offer", "passport", "--sample"], 1, "warranty"),
        (["offer", "passport", "--sample"], 1, "found 'passport' (TYPE)"),
        (["import", "catalogue.json", "--type", "passport"], 1, "none (catalogue.json)"),
        (["import", "pyproject.toml", "--type", "passport"], 1, "found 'passport' (--type)"),
        (["offer", "tier", "--claims", "missing.json"], 1, "a file, found none (missing.json)"),
        (["import", "missing.csv"], 1, "a file, found none (missing.csv)"),
        (["import", "."], 1, "a file, found a folder (.)"),
        (["offer", "tier", "--sample", "--count", "0"], 2, "--count"),
        (["offer", "tier", "--claims", "missing.json"], 1, "missing.json"),
        (["revoke", "nothing", "--reason", "fraud"], 1, "credential_id"),
        (["revoke", "-AAAAAAAAAAAAAAAAAAAAA", "--reason", "fraud"], 1, "credential_id"),
        (["issued", "--limit", "0"], 2, "--limit"),
        (["import", "missing.csv"], 1, "missing.csv"),
        (["rotate-keys", "--withdraw", "nobody"], 1, "kid"),
    ],
)
def test_every_error_names_what_is_wrong(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    status: int,
    names: str,
) -> None:
    name, *rest = command
    assert main([name, str(folder), *rest]) == status
    assert names in capsys.readouterr().err


@pytest.mark.parametrize("command", [["offer", "tier"], ["issued", "--state", "lost"], ["fly"]])
def test_a_command_that_is_none_ends_with_2(folder: Path, command: list[str]) -> None:
    name, *rest = command
    with pytest.raises(SystemExit) as ended:
        main([name, str(folder), *rest])
    assert ended.value.code == 2


@pytest.mark.parametrize("command", ["serve", "issued", "verify-log", "rotate-keys"])
def test_a_folder_that_was_never_made_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert main([command, str(tmp_path / "none")]) == 2
    assert "init" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_serve_refuses_another_host_for_a_development_set_up(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", str(folder), "--public-url", "https://audio.example"]) == 2
    assert "allow_plain_http_on_loopback_for_development_only" in capsys.readouterr().err


def test_keys_rotate_and_the_log_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (first,) = json.loads((folder / "keys.json").read_text())["signing"]
    after = told(capsys, "rotate-keys", folder, "--now")["signing"]
    assert after[0]["kid"] == first["jwk"]["kid"]
    assert after[0]["signs_until"] == after[1]["signs_from"]
    assert main(["rotate-keys", str(folder), "--withdraw", first["jwk"]["kid"]]) == 0

    assert told(capsys, "verify-log", folder)["entries"] == 2


def test_a_second_rotation_in_five_minutes_is_told_what_makes_it_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    waiting = told(capsys, "rotate-keys", folder)["signing"]
    assert main(["rotate-keys", str(folder)]) == 1
    assert "--now" in capsys.readouterr().err

    hastened = told(capsys, "rotate-keys", folder, "--now")["signing"]
    assert [one["kid"] for one in hastened] == [one["kid"] for one in waiting]
    assert hastened[1]["signs_from"] < waiting[1]["signs_from"]


def test_a_search_that_finds_nothing_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(capsys, "issued", folder)["credentials"] == []
    assert main(["issued", str(folder)]) == 0
    assert capsys.readouterr().out == "nothing issued\n"


@pytest.mark.loopback
def test_a_port_that_was_asked_for_and_is_taken_changes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "port").write_text("8001\n")
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with bind(None) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", str(folder), "--port", str(port)]) == 1

    assert f"expected a free port, found {port} in use" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


@pytest.mark.loopback
def test_a_port_of_the_last_time_that_is_taken_moves_on_and_says_so(folder: Path) -> None:
    with bind(None) as taken:
        port = taken.getsockname()[1]
        (folder / "port").write_text(f"{port}\n")
        with (folder / "errors").open("w") as errors, served(folder, stderr=errors) as said:
            moved = said["listens"].rpartition(":")[2]
            assert fetched(f"{said['listens']}/health/live")["status"] == "live"

    assert moved != str(port)
    assert (folder / "port").read_text().strip() == moved
    told = f"port {port} is in use; it listens on {moved} instead"
    assert told in (folder / "errors").read_text()


def test_a_touched_log_is_named_by_its_row(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        main(["offer", str(folder), "tier", "--sample"])
    assert told(capsys, "verify-log", folder)["whole"] is True
    with sqlite3.connect(folder / "issuer.sqlite3") as database:
        database.execute("UPDATE audit_log SET actor = 'nobody' WHERE sequence = 2")
    database.close()

    assert main(["verify-log", str(folder)]) == 1
    assert "audit_log[2]" in capsys.readouterr().err
    wrong = told(capsys, "verify-log", folder, status=1)["wrong"]
    assert wrong == {"code": "audit-row-altered", "where": "audit_log[2]"}


def test_a_log_that_was_emptied_is_named_by_its_first_row(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["offer", str(folder), "tier", "--sample"])
    assert told(capsys, "verify-log", folder)["entries"] == 1
    with sqlite3.connect(folder / "issuer.sqlite3") as database:
        database.execute("DELETE FROM audit_log")
        database.execute("DELETE FROM audit_marks")
    database.close()

    wrong = told(capsys, "verify-log", folder, status=1)["wrong"]
    assert wrong == {"code": "audit-row-missing", "where": "audit_log[1]"}


def test_what_was_issued_is_found_and_revoked(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["import", str(folder), str(folder / "orders.csv")])
    with open_brand(BrandFolder(folder), HERE) as brand:
        customer = Customer(brand.issuer, brand.issuer.clock, MemorySigner.generate())
        receipt, warranty = customer.accept(brand.issuer.offer("#1001").offers[0])

    found = told(capsys, "issued", folder, "--order", "#1001")["credentials"]
    assert [one["credential_id"] for one in found] == [
        warranty.notification_id,
        receipt.notification_id,
    ]
    assert told(capsys, "issued", folder, "--state", "revoked")["credentials"] == []
    name = warranty.notification_id
    revoked = told(capsys, "revoke", folder, name, "--reason", "fraud")
    assert (revoked["state"], revoked["type"]) == ("revoked", "warranty")
    (shown,) = told(capsys, "issued", folder, "--state", "revoked")["credentials"]
    assert shown["credential_id"] == name
    capsys.readouterr()
    assert main(["issued", str(folder), "--limit", "1"]) == 0
    line, more = capsys.readouterr().out.splitlines()
    assert line.startswith(name)
    assert more.startswith("more: --before ")


def test_an_import_that_was_killed_is_finished_by_the_same_command(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    batch = tmp_path / "tiers.csv"
    rows = ["programme,level,valid_until,since,member_number"]
    rows += [f"Auricle Circle,gold,2027-02-01,2026-02-01,AC-{i:06}" for i in range(4_000)]
    rows[1_000] = "Auricle Circle,,2027-02-01,2026-02-01,AC-000999"
    batch.write_text("\n".join(rows) + "\n")
    program = [sys.executable, "-c", COMMAND, "issuer", "import", str(folder), str(batch)]
    with subprocess.Popen([*program, "--type", "tier"], stdout=subprocess.DEVNULL) as child:
        deadline = time.monotonic() + 60
        while _rows_done(folder) < 300 and time.monotonic() < deadline:
            time.sleep(0.01)
        child.kill()
    done = _rows_done(folder)
    report = told(capsys, "import", folder, batch, "--type", "tier", status=1)

    assert 300 <= done <= 3_999
    assert (report["imported"], report["unchanged"]) in {(3_999, 0), (0, 3_999)}
    assert [(one["row"], one["column"]) for one in report["errors"]] == [(1_001, "level")]


def _rows_done(folder: Path) -> int:
    path = folder / "issuer.sqlite3"
    if not path.exists():
        return 0
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        found = database.execute("SELECT done FROM jobs").fetchone()
    except sqlite3.OperationalError:
        return 0
    finally:
        database.close()
    return int(found[0]) if found else 0


@pytest.mark.loopback
def test_an_empty_folder_is_a_working_issuer_within_five_seconds(tmp_path: Path) -> None:
    began = time.monotonic()
    main(["init", str(tmp_path)])
    with served(tmp_path) as said:
        metadata = fetched(f"{said['listens']}/.well-known/openid-credential-issuer")
        took = time.monotonic() - began

    assert metadata["credential_issuer"] == said["issuer"] == said["listens"]
    assert "warranty" in metadata["credential_configurations_supported"]
    # The promise is five seconds; a machine that runs all tests at once gets some more.
    assert took < 15


@pytest.mark.loopback
def test_what_is_done_in_another_shell_is_served_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["init", str(tmp_path)])
    with served(tmp_path) as said:
        offer = parse_offer(told(capsys, "offer", tmp_path, "warranty", "--sample")["offer"])
        told(capsys, "rotate-keys", tmp_path)
        keys = fetched(f"{said['issuer']}/.well-known/jwt-vc-issuer")["jwks"]["keys"]
        key = (tmp_path / "back-office.key").read_text().strip()
        summary = fetched(f"{said['issuer']}/back-office/summary", key)
        ready = fetched(f"{said['issuer']}/health/ready")
        first = said["listens"]
    with served(tmp_path) as said:
        second = said["listens"]
        assert fetched(f"{second}/health/live")["status"] == "live"

    assert offer.issuer == first
    assert len(keys) == 2
    assert summary["offers_open"] == 1
    assert ready["status"] == "ready"
    assert second == first, "credentials name the address, so a restart takes it again"


@pytest.mark.loopback
def test_two_brands_in_one_service_have_nothing_in_common(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["init", str(tmp_path), "--brand", "audio", "--brand", "chairs"])
    audio, chairs = (tmp_path / "brands" / name for name in ("audio", "chairs"))
    with served(tmp_path) as said:
        offer = parse_offer(told(capsys, "offer", audio, "tier", "--sample")["offer"])
        documents = [
            fetched(f"{said['listens']}/.well-known/jwt-vc-issuer/{name}")
            for name in ("audio", "chairs")
        ]
        key = (audio / "back-office.key").read_text().strip()
        counts = fetched(f"{said['listens']}/audio/back-office/summary", key)
        with pytest.raises(urllib.error.HTTPError) as refused:
            fetched(f"{said['listens']}/chairs/back-office/summary", key)
        refused.value.close()
        other = (chairs / "back-office.key").read_text().strip()
        others = fetched(f"{said['listens']}/chairs/back-office/summary", other)
        ready = fetched(f"{said['listens']}/health/ready")

    assert said["issuers"] == [f"{said['listens']}/{name}" for name in ("audio", "chairs")]
    assert offer.issuer == said["issuers"][0]
    kids = [{key["kid"] for key in document["jwks"]["keys"]} for document in documents]
    assert kids[0].isdisjoint(kids[1])
    assert refused.value.code == 401
    assert (counts["offers_open"], others["offers_open"]) == (1, 0)
    assert set(ready["checks"]) >= {"audio.database", "chairs.database"}
