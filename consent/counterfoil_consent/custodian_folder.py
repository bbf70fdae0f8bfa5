"""A custodian's folder: everything that one custodian needs, by name.

custodian.json         settings; `init` writes them
custodian.sqlite3      digests, counts, sealed shares, unless the settings name a server
signing-key.pem        who the custodian is        }
metrics.key            opens /metrics              }  readable by
one-time-keys/         what shares are sealed to   }  their owner alone
tombstones.journal     what has ended              }
address                where `serve` answers, for the next start

A backup holds the first three and neither keys nor journal: a share whose key is gone
must stay closed, and what has ended must stay ended, whatever comes back.
"""

import os
import secrets
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from counterfoil_credentials.encoding import canonical_json
from counterfoil_credentials.errors import Misuse
from counterfoil_credentials.key_file import load_or_create_signer, replace_private
from counterfoil_credentials.keys import MemorySigner
from counterfoil_service.served_folder import ServedFolder, public_url

from counterfoil_consent.custodian import Custodian
from counterfoil_consent.custodian_settings import (
    DEVELOPMENT,
    FILE_NAME,
    CustodianSettings,
    parse_settings,
)
from counterfoil_consent.key_folder import FileKeyFolder
from counterfoil_consent.sql_custodian_store import SqlCustodianStore
from counterfoil_consent.sqlite_file import back_up
from counterfoil_consent.tombstone_journal import FileTombstoneJournal

DATABASE: Final = "custodian.sqlite3"
SIGNING_KEY: Final = "signing-key.pem"
METRICS_KEY: Final = "metrics.key"
KEY_FOLDER: Final = "one-time-keys"
JOURNAL: Final = "tombstones.journal"


@dataclass(frozen=True, slots=True)
class OpenCustodian:
    """A custodian whose database is open."""

    custodian: Custodian
    store: SqlCustodianStore
    keys: FileKeyFolder


@dataclass(frozen=True, slots=True)
class CustodianFolder(ServedFolder):
    """The folder at `path`."""

    def make(self, settings: CustodianSettings) -> None:
        """Set the folder up; one that is there is `Misuse`."""
        if (self.path / FILE_NAME).exists():
            raise Misuse(f"expected a new folder, found one with a {FILE_NAME}: change it there")
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        data = canonical_json(settings.to_json())
        parse_settings(data)
        self.signer()
        self.metrics_key()
        replace_private(self.path / FILE_NAME, data + b"\n")

    def require_made(self, url: str | None = None) -> None:
        """Return only if `init` was here, or the version before there were settings.

        Such a folder gets its settings now: with `url`, or for development. Raises `Misuse`.
        """
        if (self.path / FILE_NAME).is_file():
            return
        if not (self.path / SIGNING_KEY).is_file():
            expected = f"a folder that `counterfoil consent init` has made, with a {FILE_NAME}"
            raise Misuse(f"expected {expected}, found none ({self.path})")
        is_public = url is not None and url.startswith("https://")
        self.make(CustodianSettings(public_url=url if is_public else None, develops=not is_public))

    def settings(self) -> CustodianSettings:
        """Give the settings."""
        return parse_settings((self.path / FILE_NAME).read_bytes())

    def signer(self) -> MemorySigner:
        """Give the key that says who the custodian is."""
        return load_or_create_signer(self.path / SIGNING_KEY)

    def metrics_key(self) -> str:
        """Give the bearer key that opens the metrics."""
        return self.key(METRICS_KEY).decode()

    def database(self) -> Path | str:
        """Give the server's URL or the path of the SQLite file."""
        return self.settings().database or self.path / DATABASE

    def journal(self) -> Path:
        """Give the path of the journal."""
        return self.path / (self.settings().journal or JOURNAL)

    def url(self, given: str | None = None, listens: str | None = None) -> str:
        """Give the custodian's origin: given, set, or where it listens; raises `Misuse`."""
        settings = self.settings()
        return public_url(
            given=given,
            configured=settings.public_url,
            listens=listens or self.address(),
            development=DEVELOPMENT if settings.develops else None,
            settings=FILE_NAME,
            program="counterfoil consent",
        ).removesuffix("/")

    @contextmanager
    def open(
        self, url: str, *, clock: Callable[[], datetime] | None = None
    ) -> Generator[OpenCustodian, None, None]:
        """Open the custodian at the origin `url`.

        Raises `Unavailable` without the database, the key folder that was in use, or the
        disk of its journal, and `Misuse` for a database that is too new for this version.
        """
        store = SqlCustodianStore(self.database())
        try:
            keys = FileKeyFolder(self.path / KEY_FOLDER)
            custodian = Custodian(
                origin=url,
                signer=self.signer(),
                store=store,
                keys=keys,
                journal=FileTombstoneJournal(self.journal()),
                clock=clock or _now,
                random=secrets.token_bytes,
            )
            yield OpenCustodian(custodian, store, keys)
        finally:
            store.close()

    def back_up(self, target: Path) -> bool:
        """Copy settings, signing key and the SQLite file into the new folder `target`.

        Says whether the database is in it: a server's is dumped with the server's own
        program. Raises `Unavailable` when there is nothing to copy.
        """
        self.require_made()
        database = self.database()
        copied = {name: (self.path / name).read_bytes() for name in (FILE_NAME, SIGNING_KEY)}
        if isinstance(database, Path) and not database.is_file():
            raise Misuse(f"expected a database to back up, found none ({database.name})")
        target.mkdir(mode=0o700, parents=True)
        if isinstance(database, Path):
            back_up(database, target / DATABASE)
        for name, data in copied.items():
            descriptor = os.open(target / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        return isinstance(database, Path)


def _now() -> datetime:
    return datetime.now(UTC)
