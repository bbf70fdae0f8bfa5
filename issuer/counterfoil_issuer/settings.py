"""How a brand's folder is set up, in its `issuer.json`.

Development:    {"allow_plain_http_on_loopback_for_development_only": true}

Anything else:  {"public_url": "https://credentials.audio.example",
                 "database": "postgresql://issuer@db.internal/audio",
                 "may_revoke": ["service", "recall"],
                 "staff": {"issuer": "https://login.audio.example", "audience": "back-office",
                           "roles": {"warranty-desk": "service"},
                           "role_claim": ["realm_access", "roles"]},
                 "key_attesters": {"keys": [{"kty": "EC", ...}]}}

All but one of the first two may be left out. `staff` names the brand's own provider,
whose tokens open the back office; `roles` says what its words for roles mean here.
`key_attesters` are believed when they vouch for how a wallet keeps its keys. A
development set-up may name origins on this machine that can be told of events:
`"loopback_webhooks_for_development_only": ["http://127.0.0.1:9000"]`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from counterfoil_credentials.encoding import (
    JsonObject,
    as_object,
    compact_json,
    list_at,
    object_at,
    optional_text_at,
    parse_object,
    text_at,
    texts_at,
)
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.keys import PublicKey
from counterfoil_service.served_folder import loopback_origins, public_url

FILE_NAME: Final = "issuer.json"
DEVELOPMENT: Final = "allow_plain_http_on_loopback_for_development_only"
PUBLIC_URL: Final = "public_url"
DATABASE: Final = "database"
MAY_REVOKE: Final = "may_revoke"
STAFF: Final = "staff"
KEY_ATTESTERS: Final = "key_attesters"
LOOPBACK_WEBHOOKS: Final = "loopback_webhooks_for_development_only"
_MEMBERS: Final = (
    DEVELOPMENT,
    PUBLIC_URL,
    DATABASE,
    MAY_REVOKE,
    STAFF,
    KEY_ATTESTERS,
    LOOPBACK_WEBHOOKS,
)
_STAFF_MEMBERS: Final = ("issuer", "audience", "roles", "role_claim")
_MAX_BYTES: Final = 65_536
ROLES: Final = ("issuer", "service", "recall", "auditor")
DEFAULT_MAY_REVOKE: Final = ("service", "recall")


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffProvider:
    """The OpenID Connect provider of a brand's staff, and what its roles are called here."""

    issuer: str
    audience: str
    roles: Mapping[str, str]
    role_claim: tuple[str, ...] = ("roles",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A folder's settings.

    `allows_plain_http_on_loopback`: a development set-up, which no other host may
    be given. `database` is a PostgreSQL URL; None for the folder's SQLite file.
    `may_revoke` names the roles that may revoke. `loopback_webhooks` are origins on
    this machine, which a development set-up alone may tell of events.
    """

    allows_plain_http_on_loopback: bool = False
    public_url: str | None = None
    database: str | None = None
    may_revoke: frozenset[str] = frozenset(DEFAULT_MAY_REVOKE)
    staff: StaffProvider | None = None
    key_attesters: frozenset[PublicKey] = frozenset()
    loopback_webhooks: frozenset[str] = frozenset()


DEVELOPMENT_FILE: Final = compact_json({DEVELOPMENT: True}) + b"\n"
"""What `init` writes."""


def read_settings(folder: Path) -> Settings:
    """Give the settings in `folder`; a folder without the file is a development set-up.

    Raises `Malformed` for a member that is not known, and for a value of another kind.
    """
    path = folder / FILE_NAME
    if not path.exists():
        # An earlier version's `init` wrote none, and served loopback alone.
        return Settings(allows_plain_http_on_loopback=True)
    return parse_settings(path.read_bytes())


def parse_settings(data: bytes) -> Settings:
    """Give the settings in `data`; see `read_settings`."""
    document = parse_object(data, FILE_NAME, max_bytes=_MAX_BYTES)
    if unknown := [name for name in document if name not in _MEMBERS]:
        raise Malformed(f"only {', '.join(_MEMBERS)}", f"{unknown[0]}", FILE_NAME)
    develops = document.get(DEVELOPMENT, False)
    if not isinstance(develops, bool):
        raise Malformed("true or false", "another value", f"{FILE_NAME}.{DEVELOPMENT}")
    roles = (
        texts_at(document, MAY_REVOKE, FILE_NAME) if MAY_REVOKE in document else DEFAULT_MAY_REVOKE
    )
    if not roles or set(roles) - set(ROLES):
        expected = "some of " + ", ".join(ROLES)
        raise Malformed(expected, "another", f"{FILE_NAME}.{MAY_REVOKE}")
    return Settings(
        allows_plain_http_on_loopback=develops,
        public_url=optional_text_at(document, PUBLIC_URL, FILE_NAME),
        database=optional_text_at(document, DATABASE, FILE_NAME),
        may_revoke=frozenset(roles),
        staff=_staff(object_at(document, STAFF, FILE_NAME)) if STAFF in document else None,
        key_attesters=_key_attesters(document),
        loopback_webhooks=loopback_origins(
            document, LOOPBACK_WEBHOOKS, develops=develops, settings=FILE_NAME
        ),
    )


def _staff(described: JsonObject) -> StaffProvider:
    where = f"{FILE_NAME}.{STAFF}"
    if unknown := [name for name in described if name not in _STAFF_MEMBERS]:
        raise Malformed(f"only {', '.join(_STAFF_MEMBERS)}", unknown[0], where)
    issuer = text_at(described, "issuer", where)
    if urlsplit(issuer).scheme != "https":
        raise Malformed("an https URL", "another", f"{where}.issuer")
    roles = object_at(described, "roles", where)
    known = {word: str(role) for word, role in roles.items() if role in ROLES}
    if not known or len(known) < len(roles):
        expected = "a word of the provider for some of " + ", ".join(ROLES)
        raise Malformed(expected, "another", f"{where}.roles")
    claim = texts_at(described, "role_claim", where) if "role_claim" in described else ["roles"]
    if not claim:
        raise Malformed("the path of a claim", "an empty list", f"{where}.role_claim")
    audience = text_at(described, "audience", where)
    if not audience:
        raise Malformed("an audience", "an empty text", f"{where}.audience")
    return StaffProvider(issuer=issuer, audience=audience, roles=known, role_claim=tuple(claim))


def _key_attesters(document: JsonObject) -> frozenset[PublicKey]:
    if KEY_ATTESTERS not in document:
        return frozenset()
    where = f"{FILE_NAME}.{KEY_ATTESTERS}"
    keys = list_at(object_at(document, KEY_ATTESTERS, FILE_NAME), "keys", where)
    return frozenset(PublicKey.from_jwk(as_object(jwk, where), where) for jwk in keys)


def identifier(settings: Settings, *, given: str | None, listens: str | None) -> str:
    """Give the issuer's identifier: `given`, else the setting's, else where it listens.

    Raises `Misuse` when a development set-up is given another host than this
    machine, and when any other has no https URL.
    """
    return public_url(
        given=given,
        configured=settings.public_url,
        listens=listens,
        development=DEVELOPMENT if settings.allows_plain_http_on_loopback else None,
        settings=FILE_NAME,
        program="counterfoil issuer",
    )
