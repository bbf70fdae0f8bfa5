"""The command: a folder that works at once."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from counterfoil_issuer.cli import main


def test_init_makes_a_folder_whose_secrets_are_its_owners_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "issuer"

    assert main(["init", str(folder)]) == 0
    for name in ("signing-key.pem", "secret.key", "back-office.key"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600
        assert (folder / name).read_text() not in capsys.readouterr().out


def test_init_again_keeps_keys_and_changes(tmp_path: Path) -> None:
    main(["init", str(tmp_path)])
    (tmp_path / "catalogue.json").write_text("{}")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    main(["init", str(tmp_path)])

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_import_takes_the_sample_orders_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["init", str(tmp_path)])
    command = ["import", str(tmp_path), str(tmp_path / "orders.csv")]

    assert main(command) == 0
    assert capsys.readouterr().out.endswith("2 imported, 0 unchanged, 0 errors\n")
    assert main(command) == 0
    assert capsys.readouterr().out == "0 imported, 2 unchanged, 0 errors\n"


def test_import_names_what_is_wrong_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["init", str(tmp_path)])
    orders = tmp_path / "orders.csv"
    orders.write_text(orders.read_text().replace("AUR-BUDS", "AUR-BUDZ"))

    assert main(["import", str(tmp_path), str(orders)]) == 1
    assert 'row 4, Lineitem sku: expected an SKU of the catalogue, found "AUR-BUDZ"' in (
        capsys.readouterr().out
    )


def test_import_of_a_hopeless_file_tells_a_thousand_errors_and_how_many_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["init", str(tmp_path)])
    orders = tmp_path / "orders.csv"
    orders.write_text(orders.read_text().splitlines()[0] + "\n" + "x\n" * 1_234)
    capsys.readouterr()

    assert main(["import", str(tmp_path), str(orders)]) == 1
    *told, more, last = capsys.readouterr().out.splitlines()
    assert len(told) == 1_000
    assert (more, last) == ("and 234 more", "0 imported, 0 unchanged, 1234 errors")


def test_a_folder_that_was_never_made_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import", str(tmp_path / "none"), str(tmp_path)]) == 1
    assert "none" in capsys.readouterr().err


@pytest.mark.loopback
def test_serve_answers_where_it_says_it_listens(tmp_path: Path) -> None:
    main(["init", str(tmp_path)])
    command = "from counterfoil_credentials.cli import main; raise SystemExit(main())"
    program = [sys.executable, "-c", command, "issuer", "serve", str(tmp_path)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True, env=environment) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().split()[-1]
            url = f"{address}/.well-known/openid-credential-issuer"
            with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  # our own server
                metadata = json.load(answer)
        finally:
            server.send_signal(signal.SIGTERM)

    assert metadata["credential_issuer"] == address
    assert server.returncode == 0
