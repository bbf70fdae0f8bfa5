"""A SoftHSM with tokens of our own: one for all tests, because a process reads its set-up once."""

import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

PIN = "4321-brand"
_PINS = ("--so-pin", "12345678", "--pin", PIN)
MODULES = (
    Path("/usr/lib/softhsm/libsofthsm2.so"),
    Path("/usr/lib64/softhsm/libsofthsm2.so"),
    Path("/usr/local/lib/softhsm/libsofthsm2.so"),
)


@dataclass(frozen=True)
class Hsm:
    """Where the library is, and its tokens."""

    module: Path
    folder: Path


@contextmanager
def soft_hsm(folder: Path, *labels: str) -> Generator[Hsm]:
    """Give a SoftHSM with a token for each label; without one the test is skipped.

    Its library looks for tokens once, when it is loaded: all of them are made before.
    """
    module = next((path for path in MODULES if path.is_file()), None)
    if module is None or shutil.which("softhsm2-util") is None:
        pytest.skip("no SoftHSM 2: signing in a token was not tried")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(
        f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(folder / "softhsm2.conf"))
        for label in labels:
            subprocess.run(
                ["softhsm2-util", "--init-token", "--free", "--label", label, *_PINS],
                check=True,
                capture_output=True,
            )
        yield Hsm(module, folder / "tokens")
