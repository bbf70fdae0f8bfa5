"""A shop's own settings, from the file `shop.json` in its folder.

Development:    {"name": "Corner Shop",
                 "allow_plain_http_on_loopback_for_development_only": true,
                 "trusts": {"http://127.0.0.1:8001": {"warranty": ["http://127.0.0.1:8001/…"]}}}

Anything else:  {"name": "Corner Shop",
                 "public_url": "https://till.corner.example",
                 "database": "postgresql://till@db.internal/corner",
                 "trusts": {"https://audio.example": {"warranty": ["https://audio.example/…"]},
                            "did:web:chairs.example": {"member": ["https://chairs.example/…"]}},
                 "client_id": "x509_san_dns", "certificates": "certificates.pem",
                 "request": "post", "encrypted_answers": true, "strict": false,
                 "return_to": "https://corner.example/done"}

`trusts` says, for each issuer and each preset, with which types that issuer may
answer it; `shop_trust.py` tells of `keys`, `anchors` and `trust_lists`. `client_id` is
the prefix under which wallets know the shop (`redirect_uri`,
`x509_san_dns`, `x509_hash`, or `decentralized_identifier`, which is the default), and
`request` how a request comes to them (`get`, `post`, or `value`: in the link).
`loopback_routes_unsafely` maps an https origin to one of this machine, for a
developer; it is absent elsewhere. So is `loopback_webhooks_for_development_only`:
origins on this machine that a development set-up may tell of verdicts.
`shop_upkeep.py` tells of what is done besides answering: `flags`, `results_to`,
`preload_every_s` and `remember_signatures`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

from counterfoil_credentials.client_ids import Prefix
from counterfoil_credentials.encoding import (
    JsonObject,
    object_at,
    optional_text_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import Malformed
from counterfoil_service.served_folder import LOOPBACK, loopback_origins, public_url

from counterfoil_verifier.members import require_only
from counterfoil_verifier.requesting import Way
from counterfoil_verifier.shop_trust import (
    TrustSettings,
    Types,
    file_name_at,
    is_subject,
    parse_trust,
)
from counterfoil_verifier.shop_upkeep import MEMBERS, NO_UPKEEP, UpkeepSettings, parse_upkeep

T = TypeVar("T")

FILE_NAME: Final = "shop.json"
DEVELOPMENT: Final = "allow_plain_http_on_loopback_for_development_only"
MAX_BYTES: Final = 262_144
_FORMER_PUBLIC_URL: Final = "origin"
_WEBHOOKS: Final = "loopback_webhooks_for_development_only"
_MEMBERS: Final = frozenset(
    {
        "name",
        "public_url",
        _FORMER_PUBLIC_URL,
        DEVELOPMENT,
        "database",
        "trusts",
        "keys",
        "anchors",
        "trust_lists",
        "client_id",
        "certificates",
        "did",
        "request",
        "encrypted_answers",
        "strict",
        "return_to",
        "loopback_routes_unsafely",
        _WEBHOOKS,
        *MEMBERS,
    }
)
_PREFIXES: Final = {
    prefix.value: prefix
    for prefix in (
        Prefix.REDIRECT_URI,
        Prefix.X509_SAN_DNS,
        Prefix.X509_HASH,
        Prefix.DECENTRALIZED_IDENTIFIER,
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopFile:
    """The settings. `trusted` says whom the shop believes.

    `certificates` names a file of the folder, for the two prefixes of X.509; `did` a
    `did:web` whose document the shop publishes, in the place of the key's own DID.
    """

    name: str
    trusted: TrustSettings
    public_url: str | None = None
    develops: bool = False
    database: str | None = None
    client_id: Prefix = Prefix.DECENTRALIZED_IDENTIFIER
    certificates: str | None = None
    did: str | None = None
    way: Way = Way.GET
    encrypts_answers: bool = False
    is_strict: bool = False
    return_to: str | None = None
    loopback_routes_unsafely: Mapping[str, str]
    loopback_webhooks: frozenset[str] = frozenset()
    upkeep: UpkeepSettings = NO_UPKEEP

    @property
    def trusts(self) -> Mapping[str, Types]:
        """The types by preset of each issuer that the shop names itself."""
        return self.trusted.trusts

    def routes(self) -> dict[str, str]:
        """Give where on this machine an origin is: those named, and whom a developer asks."""
        here = {
            origin_of(url): origin_of(url)
            for url in (*self.trusts, *self.upkeep.urls())
            if self.develops and is_on_loopback(url)
        }
        return {**here, **self.loopback_routes_unsafely}

    def url(self, given: str | None = None, listens: str | None = None) -> str:
        """Give the shop's origin: given, set, or where it listens; raises `Misuse`."""
        return public_url(
            given=given,
            configured=self.public_url,
            listens=listens,
            development=DEVELOPMENT if self.develops else None,
            settings=FILE_NAME,
            program="counterfoil verifier",
        ).removesuffix("/")


def is_on_loopback(url: str) -> bool:
    """Say whether `url` is one of this machine, in plain HTTP."""
    try:
        parts = urlsplit(url)
        return parts.scheme == "http" and parts.hostname in LOOPBACK
    except ValueError:
        return False


def read_shop_file(directory: Path) -> ShopFile:
    """Give the settings in `directory`; raises `Malformed` naming the first wrong place."""
    path = directory / FILE_NAME
    if not path.is_file():
        raise Malformed(f"a file {FILE_NAME}", "none", directory.name)
    return parse_shop_file(path.read_bytes())


def parse_shop_file(data: bytes) -> ShopFile:
    """Give the settings in the file's bytes; see `read_shop_file`."""
    document = parse_object(data, FILE_NAME, max_bytes=MAX_BYTES)
    require_only(document, sorted(_MEMBERS), FILE_NAME)
    develops = _flag(document, DEVELOPMENT)
    trusted = parse_trust(document, FILE_NAME)
    for issuer in trusted.trusts:
        if not (issuer in trusted.anchors and is_subject(issuer)):
            require_issuer(issuer, develops=develops)
    is_strict = _flag(document, "strict")
    if is_strict:
        _require_certified(trusted)
    routes: JsonObject = {}
    if "loopback_routes_unsafely" in document:
        routes = object_at(document, "loopback_routes_unsafely", FILE_NAME)
    return ShopFile(
        name=text_at(document, "name", FILE_NAME),
        public_url=optional_text_at(document, "public_url", FILE_NAME)
        or optional_text_at(document, _FORMER_PUBLIC_URL, FILE_NAME),
        develops=develops,
        database=optional_text_at(document, "database", FILE_NAME),
        trusted=trusted,
        client_id=_one_of(document, "client_id", _PREFIXES, Prefix.DECENTRALIZED_IDENTIFIER),
        certificates=(
            file_name_at(document, "certificates", FILE_NAME)
            if "certificates" in document
            else None
        ),
        did=optional_text_at(document, "did", FILE_NAME),
        way=_one_of(document, "request", {way.value: way for way in Way}, Way.GET),
        encrypts_answers=_flag(document, "encrypted_answers"),
        is_strict=is_strict,
        return_to=optional_text_at(document, "return_to", FILE_NAME),
        loopback_routes_unsafely={
            name: text_at(routes, name, f"{FILE_NAME}.loopback_routes_unsafely") for name in routes
        },
        loopback_webhooks=loopback_origins(
            document, _WEBHOOKS, develops=develops, settings=FILE_NAME
        ),
        upkeep=parse_upkeep(
            document,
            FILE_NAME,
            may_ask=lambda url: url.startswith("https://") or (develops and is_on_loopback(url)),
        ),
    )


def require_issuer(issuer: str, *, develops: bool) -> None:
    """Return only if such an issuer may be trusted here; raises `Malformed`."""
    if issuer.startswith(("https://", "did:")) or (develops and is_on_loopback(issuer)):
        return
    expected = f"https URLs and DIDs (and, with {DEVELOPMENT}, loopback URLs)"
    raise Malformed(expected, "another", f"{FILE_NAME}.trusts")


def _require_certified(trusted: TrustSettings) -> None:
    # OpenID4VC HAIP 1.0, section 6.1.1: by certificates and in no other way.
    if trusted.lists or trusted.trusts.keys() - trusted.anchors.keys():
        expected, found = "anchors for each issuer (strict)", "one known in another way"
        raise Malformed(expected, found, f"{FILE_NAME}.trusts")


def _flag(document: JsonObject, name: str) -> bool:
    value = document.get(name, False)
    if not isinstance(value, bool):
        raise Malformed("true or false", "another value", f"{FILE_NAME}.{name}")
    return value


def _one_of(document: JsonObject, name: str, known: Mapping[str, T], default: T) -> T:
    text = optional_text_at(document, name, FILE_NAME)
    if text is None:
        return default
    if text not in known:
        raise Malformed(f"one of {', '.join(known)}", "another", f"{FILE_NAME}.{name}")
    return known[text]


def origin_of(url: str) -> str:
    """Give the origin of an http or https URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
