"""How a custodian's folder is set up, in its `custodian.json`.

Development:    {"allow_plain_http_on_loopback_for_development_only": true}

Anything else:  {"public_url": "https://custodian.example",
                 "database": "postgresql://custodian@db.internal/custodian",
                 "journal": "/mnt/other-disk/tombstones.journal"}

`database` and `journal` may be left out: then they are files in the folder. A relative
`journal` is one of the folder's. The file may hold a password: its owner alone reads it.
A development set-up may name origins on this machine to which events are pushed:
`"loopback_receivers_for_development_only": ["http://127.0.0.1:9000"]`.
"""

from dataclasses import dataclass
from typing import Final

from counterfoil_credentials.encoding import JsonObject, optional_text_at, parse_object
from counterfoil_credentials.errors import Malformed
from counterfoil_service.served_folder import loopback_origins

FILE_NAME: Final = "custodian.json"
DEVELOPMENT: Final = "allow_plain_http_on_loopback_for_development_only"
_RECEIVERS: Final = "loopback_receivers_for_development_only"
_MEMBERS: Final = (DEVELOPMENT, "public_url", "database", "journal", _RECEIVERS)
_MAX_BYTES: Final = 65_536
_SCHEMES: Final = ("postgresql://", "postgres://")


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodianSettings:
    """The settings."""

    public_url: str | None = None
    develops: bool = False
    database: str | None = None
    journal: str | None = None
    loopback_receivers: frozenset[str] = frozenset()

    def to_json(self) -> JsonObject:
        """Give the settings as the file holds them."""
        said: JsonObject = {DEVELOPMENT: True} if self.develops else {}
        for name in ("public_url", "database", "journal"):
            if (value := getattr(self, name)) is not None:
                said[name] = value
        if self.loopback_receivers:
            said[_RECEIVERS] = [*sorted(self.loopback_receivers)]
        return said


def parse_settings(data: bytes) -> CustodianSettings:
    """Give the settings in the file's bytes; raises `Malformed` naming the first wrong place."""
    document = parse_object(data, FILE_NAME, max_bytes=_MAX_BYTES)
    if unknown := sorted(document.keys() - {*_MEMBERS}):
        raise Malformed(f"members out of {', '.join(_MEMBERS)}", unknown[0], FILE_NAME)
    develops = document.get(DEVELOPMENT, False)
    if not isinstance(develops, bool):
        raise Malformed("true or false", "another value", f"{FILE_NAME}.{DEVELOPMENT}")
    database = optional_text_at(document, "database", FILE_NAME)
    if database is not None and not database.startswith(_SCHEMES):
        raise Malformed("a postgresql:// URL", "another text", f"{FILE_NAME}.database")
    return CustodianSettings(
        public_url=optional_text_at(document, "public_url", FILE_NAME),
        develops=develops,
        database=database,
        journal=optional_text_at(document, "journal", FILE_NAME),
        loopback_receivers=loopback_origins(
            document, _RECEIVERS, develops=develops, settings=FILE_NAME
        ),
    )
