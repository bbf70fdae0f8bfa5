"""A signer whose key is kept in a file that only its owner can read."""

import os
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from counterfoil_credentials.errors import Malformed, Misuse
from counterfoil_credentials.keys import MemorySigner


def load_or_create_signer(path: Path) -> MemorySigner:
    """Give the signer kept at `path`; make the file on first use.

    The file is PKCS#8 PEM with mode 0600. It appears whole or not at all, and
    when two processes race to make it, both end with the same key.

    Raises `Misuse` when others may read the file, `Malformed` when it holds
    anything but a P-256 key.
    """
    if not path.exists():
        _create(path)
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise Misuse(f"expected mode 0600, found {mode:04o} ({path.name})")
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (TypeError, ValueError) as cause:  # TypeError: the key is encrypted
        raise Malformed("an open PEM private key", "other bytes", path.name) from cause
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Malformed("a P-256 private key", "another kind of key", path.name)
    return MemorySigner(key)


def _create(path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    # mkstemp gives a fresh name, and a file that only its owner can read.
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    draft = Path(name)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    try:
        # A link fails when the name is taken: the first writer wins, the second reads.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
