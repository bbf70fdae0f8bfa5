"""The command `counterfoil`: its version, and what it says of a package that is missing."""

import subprocess
import sys
from importlib.metadata import version

import pytest
from counterfoil_credentials.cli import main

STOPPED = """
import sys
from counterfoil_credentials import cli
from counterfoil_verifier import cli as verifier
def stopped(arguments):
    raise KeyboardInterrupt
verifier.main = stopped
sys.exit(cli.main(["verifier", "presets", "shop"]))
"""
WITHOUT_COINCURVE = """
import sys
sys.modules["coincurve"] = None
from counterfoil_credentials.cli import main
sys.exit(main(["demo", "--lang", "en"]))
"""


def test_it_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"counterfoil {version('counterfoil')}\n"


@pytest.mark.loopback
def test_a_package_that_is_missed_late_is_told_with_the_extra_that_brings_it() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_COINCURVE],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 1
    assert "expected the package 'coincurve', found it missing" in ended.stderr
    assert "pip install 'counterfoil[demo]'" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.loopback
def test_ctrl_c_ends_each_command_in_one_line() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", STOPPED], capture_output=True, text=True, timeout=60, check=False
    )

    assert (ended.returncode, ended.stderr) == (130, "\ncounterfoil verifier: stopped\n")
