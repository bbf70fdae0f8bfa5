"""A brand's folder: everything that one issuer needs, by name.

issuer.json          settings; `init` writes a development set-up
catalogue.json       the brand and its products
types/*.json         what it issues
orders.csv           a sample of what it takes in
issuer.sqlite3       its database, unless the settings name another
keys.json            signing keys and request keys        }  readable by
secret.key           keys nonces, codes, serial numbers   }  their owner
back-office.key      opens the back office                }  alone
audit-key.pem        signs where the audit log ended
audit-checkpoints    those ends: copy them to another machine
address              where `serve` answers, for other commands and the next start
"""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

from counterfoil_credentials.errors import Misuse
from counterfoil_service.served_folder import ServedFolder

from counterfoil_issuer.catalogue import Catalogue, load_catalogue, sample_files
from counterfoil_issuer.key_ring_file import FileKeys
from counterfoil_issuer.records import Clock
from counterfoil_issuer.settings import (
    DEVELOPMENT_FILE,
    FILE_NAME,
    Settings,
    identifier,
    read_settings,
)

CATALOGUE: Final = "catalogue.json"
ORDERS: Final = "orders.csv"
DATABASE: Final = "issuer.sqlite3"
KEYS: Final = "keys.json"
FORMER_KEY: Final = "signing-key.pem"
SECRET: Final = "secret.key"
BACK_OFFICE_KEY: Final = "back-office.key"


@dataclass(frozen=True, slots=True)
class BrandFolder(ServedFolder):
    """The folder at `path`."""

    def make(self, clock: Clock) -> None:
        """Set the folder up for development; what is there already stays as it is."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_new = not (self.path / CATALOGUE).exists()
        samples = {FILE_NAME: DEVELOPMENT_FILE, **(sample_files() if is_new else {})}
        samples[ORDERS] = (files("counterfoil_issuer") / "sample_orders.csv").read_bytes()
        for name, data in samples.items():
            place = self.path / name
            place.parent.mkdir(exist_ok=True)
            if not place.exists():
                place.write_bytes(data)
        self.keys(clock)
        self.secret()
        self.back_office_key()

    def require_made(self) -> None:
        """Return only if `init` was here; raises `Misuse`."""
        if not (self.path / CATALOGUE).is_file():
            expected = f"a folder that `counterfoil issuer init` has made, with a {CATALOGUE}"
            raise Misuse(f"expected {expected}, found none ({self.path})")

    def settings(self) -> Settings:
        """Give the settings."""
        return read_settings(self.path)

    def catalogue(self) -> Catalogue:
        """Give what the brand issues."""
        return load_catalogue(self.path)

    def keys(self, clock: Clock) -> FileKeys:
        """Give the key ring; the key file of an earlier version is taken over."""
        return FileKeys(self.path / KEYS, clock=clock, former=self.path / FORMER_KEY)

    def secret(self) -> bytes:
        """Give the secret that keys nonces, codes and serial numbers."""
        return self.key(SECRET)

    def back_office_key(self) -> str:
        """Give the bearer key that opens the whole back office."""
        return self.key(BACK_OFFICE_KEY).decode()

    def database(self, given: str | None = None) -> str | Path:
        """Give the PostgreSQL URL that was given or is set, or the path of the SQLite file."""
        return given or self.settings().database or self.path / DATABASE

    def identifier(self, given: str | None = None, listens: str | None = None) -> str:
        """Give the issuer's identifier: given, set, or where it listens, or did the last time."""
        return identifier(self.settings(), given=given, listens=listens or self.address())
