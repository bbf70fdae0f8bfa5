"""Secrets in files that only their owner can read: a signer's key, or any bytes.

PEM brings half of the `cryptography` package with it, so it is loaded by the
first key file and not by the import.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from counterfoil_credentials.errors import Malformed, Misuse
from counterfoil_credentials.keys import MemorySigner


def load_or_create_signer(path: Path) -> MemorySigner:
    """Give the signer kept at `path`; make the file on first use.

    The file is PKCS#8 PEM; see `load_or_create_private`.

    Raises `Misuse` when others may read the file or there can be none at `path`,
    `Malformed` when it holds anything but a key of one of our curves.
    """
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    pem = load_or_create_private(path, _fresh_pem)
    try:
        key = load_pem_private_key(pem, password=None)
    # TypeError: the key is encrypted. UnsupportedAlgorithm: of a kind that nobody here speaks.
    except (TypeError, ValueError, UnsupportedAlgorithm) as cause:
        raise Malformed("an open PEM private key", "other bytes", path.name) from cause
    if isinstance(key, ec.EllipticCurvePrivateKey | Ed25519PrivateKey):
        with contextlib.suppress(Misuse):
            return MemorySigner(key)
    raise Malformed("a private key of a curve that we speak", "another", path.name)


def load_or_create_private(path: Path, make: Callable[[], bytes]) -> bytes:
    """Give the bytes of the file at `path`, which `make` gives when there is none.

    The file has mode 0600. It appears whole or not at all, and when two processes
    race to make it, both end with the same bytes.

    Raises `Misuse` when others may read the file, or there can be none at `path`: it
    is a folder, is in none, or is not ours to read.
    """
    try:
        if not path.exists():
            _create(path, make())
        mode = path.stat().st_mode & 0o777
        if mode & 0o077:
            raise Misuse(f"expected mode 0600, found {mode:04o} ({path.name})")
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError) as cause:
        found = cause.strerror or "none"
        raise Misuse(f"expected a file of ours, found: {found} ({path.name})") from cause


def replace_private(path: Path, data: bytes) -> None:
    """Put `data` into the file at `path`, with mode 0600, whole or not at all.

    Whoever reads meanwhile finds the old bytes or the new ones, also after `kill -9`.
    """
    with _draft(path, data) as draft:
        draft.replace(path)
    # The name is on disk only when the folder is.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _fresh_pem() -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _create(path: Path, data: bytes) -> None:
    with _draft(path, data) as draft, contextlib.suppress(FileExistsError):
        # A link fails when the name is taken: the first writer wins, the second reads.
        os.link(draft, path)


@contextlib.contextmanager
def _draft(path: Path, data: bytes) -> Generator[Path, None, None]:
    # mkstemp gives a fresh name, and a file that only its owner can read.
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)
