"""The wallet's command without a terminal, and with a reader that has read enough."""

import os
import subprocess
import sys
from pathlib import Path


def test_without_a_terminal_the_variable_of_the_passphrase_is_named(tmp_path: Path) -> None:
    program = "import sys; from counterfoil_wallet.cli import main; sys.exit(main(sys.argv[1:]))"
    environment = {k: v for k, v in os.environ.items() if k != "COUNTERFOIL_PASSPHRASE"}
    ended = subprocess.run(
        [sys.executable, "-c", program, "create", str(tmp_path / "wallet")],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        start_new_session=True,
    )

    assert ended.returncode == 2
    assert "COUNTERFOIL_PASSPHRASE" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1  # no traceback, and no warning of getpass
    assert not (tmp_path / "wallet").exists()


def test_a_reader_that_has_read_enough_is_no_error() -> None:
    program = "import sys; from counterfoil_wallet.cli import main; sys.exit(main(sys.argv[1:]))"
    reads, writes = os.pipe()
    os.close(reads)
    ended = subprocess.run(
        [sys.executable, "-c", program, "scan", "https://id.example/01/09506000134352/21/12345"],
        stdout=writes,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writes)

    assert (ended.returncode, ended.stderr) == (0, "")
