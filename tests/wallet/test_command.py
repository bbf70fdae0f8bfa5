"""The wallet's command without a terminal."""

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
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "wallet").exists()
