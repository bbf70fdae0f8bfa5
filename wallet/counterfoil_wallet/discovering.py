"""What an offer's issuer says about itself, asked at the issuer and not believed before.

OpenID4VCI 1.0, section 12.2, and RFC 8414. The offer only names the issuer; the
issuer's own metadata must name itself likewise, or the offer is refused.
"""

from dataclasses import dataclass
from typing import Final

from counterfoil_credentials.encoding import (
    JsonObject,
    int_at,
    object_at,
    optional_text_at,
    text_at,
    texts_at,
)
from counterfoil_credentials.errors import Malformed, Reason, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.issuer_keys import well_known
from counterfoil_credentials.keys import Algorithm
from counterfoil_credentials.offers import CredentialOffer
from counterfoil_credentials.spec import (
    JSON_MEDIA_TYPE,
    SD_JWT_VC_FORMAT,
    WELL_KNOWN_AUTHORIZATION_SERVER,
    WELL_KNOWN_CREDENTIAL_ISSUER,
)

from counterfoil_wallet import spec
from counterfoil_wallet.configurations import (
    Configuration,
    read_configuration,
    shown_name,
)
from counterfoil_wallet.encrypting import Encryption, encryption_in
from counterfoil_wallet.printable import shortened
from counterfoil_wallet.wire import (
    MAX_ANSWER_BYTES,
    bounded,
    https_url,
    json_answer,
    refuse,
)

_ISSUER: Final = "credential issuer metadata"
_SERVER: Final = "authorization server metadata"
_OURS: Final = f"a {SD_JWT_VC_FORMAT} with our keys"


_URLS: Final = (
    *("server", "token", "credential", "nonce", "notification", "deferred"),
    *("authorization", "pushed", "challenge"),
)
_FLAGS: Final = (
    *("names_itself", "takes_details", "takes_dpop"),
    *("takes_attestation", "takes_nothing_else", "anonymous"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where the steps of one acceptance go, and how each side wants them.

    `server` is the authorization server's own name. `names_itself`: it says in its answer
    who it is (RFC 9207). `takes_attestation`: of a wallet, and, where it `takes_nothing_else`,
    of every wallet. `anonymous`: a wallet with a code need not say who it is.
    """

    server: str
    token: str
    credential: str
    nonce: str | None = None
    notification: str | None = None
    deferred: str | None = None
    authorization: str | None = None
    pushed: str | None = None
    challenge: str | None = None
    names_itself: bool = False
    takes_details: bool = False
    takes_dpop: bool = False
    takes_attestation: bool = False
    takes_nothing_else: bool = False
    anonymous: bool = True
    encryption: Encryption | None = None

    def to_json(self) -> JsonObject:
        """Give the endpoints for storage."""
        named: dict[str, str | bool | None] = {
            name: getattr(self, name) for name in (*_URLS, *_FLAGS)
        }
        kept: JsonObject = {name: value for name, value in named.items() if value is not None}
        if self.encryption is not None:
            kept["encryption"] = self.encryption.to_json()
        return kept

    @staticmethod
    def from_json(obj: JsonObject, where: str) -> "Endpoints":
        """Read stored endpoints; an older wallet wrote fewer of them."""
        urls = {name: optional_text_at(obj, name, where) for name in _URLS[3:]}
        return Endpoints(
            server=optional_text_at(obj, "server", where) or "",
            token=text_at(obj, "token", where),
            credential=text_at(obj, "credential", where),
            **urls,
            names_itself=obj.get("names_itself") is True,
            takes_details=obj.get("takes_details") is True,
            takes_dpop=obj.get("takes_dpop") is True,
            takes_attestation=obj.get("takes_attestation") is True,
            takes_nothing_else=obj.get("takes_nothing_else") is True,
            anonymous=obj.get("anonymous") is not False,
            encryption=Encryption.from_json(object_at(obj, "encryption", where), where)
            if "encryption" in obj
            else None,
        )


@dataclass(frozen=True, slots=True)
class Discovered:
    """What can be had from an offer. `skipped` says what of it cannot be held here."""

    endpoints: Endpoints
    configurations: tuple[Configuration, ...]
    skipped: tuple[Reason, ...]
    batch_size: int = 1
    lists_servers: bool = False
    name: str | None = None


def discover(
    fetcher: Fetcher,
    offer: CredentialOffer,
    *,
    by_login: bool = False,
    attests_keys: bool = False,
) -> Discovered:
    """Give where and what `offer` leads to.

    `attests_keys` says that somebody vouches for this wallet's keys.

    Raises `Refused`: `issuer-mismatch` when the metadata names another issuer,
    `authorization-server-unknown` and `configuration-unknown` for one that is
    offered and that the issuer does not list,
    `nothing-we-hold` when no offered credential is an SD-JWT VC that binds an
    ES256 key, `url-not-https`, `encryption-not-ours`; `Unavailable`, `Malformed`.
    """
    https_url(offer.issuer, "credential_offer.credential_issuer")
    metadata = _fetch(fetcher, offer.issuer, WELL_KNOWN_CREDENTIAL_ISSUER, _ISSUER)
    _require_named(metadata, spec.CREDENTIAL_ISSUER, offer.issuer, _ISSUER)
    named = offer.authorization_server
    if by_login:
        named = None if offer.by_login is None else offer.by_login.authorization_server
    server = _authorization_server(metadata, offer.issuer, named)
    listed = object_at(metadata, spec.CONFIGURATIONS, _ISSUER)
    found: list[Configuration] = []
    skipped: list[Reason] = []
    server_metadata = _fetch(fetcher, server, WELL_KNOWN_AUTHORIZATION_SERVER, _SERVER)
    _require_named(server_metadata, spec.ISSUER, server, _SERVER)
    for configuration_id in offer.configuration_ids:
        bounded(configuration_id, "credential_offer.credential_configuration_ids")
        if configuration_id not in listed:
            raise refuse("configuration-unknown", "one the issuer lists", "another", _ISSUER)
        configuration = read_configuration(configuration_id, listed, attests_keys=attests_keys)
        if configuration is None:
            where = shortened(f"{_ISSUER}.{spec.CONFIGURATIONS}.{configuration_id}")
            skipped.append(Reason("not-held-here", _OURS, "another kind", where))
        else:
            found.append(configuration)
    if not found:
        raise refuse("nothing-we-hold", _OURS, "others", _ISSUER)
    return Discovered(
        _endpoints(metadata, server, server_metadata),
        tuple(found),
        tuple(skipped),
        batch_size=_batch_size(metadata),
        lists_servers=spec.AUTHORIZATION_SERVERS in metadata,
        name=shown_name(metadata),
    )


def fetch_encryption(fetcher: Fetcher, issuer: str) -> Encryption | None:
    """Give how `issuer` encrypts now: while a wallet waits, keys are changed."""
    metadata = _fetch(fetcher, issuer, WELL_KNOWN_CREDENTIAL_ISSUER, _ISSUER)
    _require_named(metadata, spec.CREDENTIAL_ISSUER, issuer, _ISSUER)
    return encryption_in(metadata)


def _endpoints(metadata: JsonObject, server: str, about: JsonObject) -> Endpoints:
    methods = _texts(about, spec.CLIENT_AUTHENTICATION)
    challenges = _texts(about, spec.CHALLENGE_METHODS)
    return Endpoints(
        server=server,
        token=_url(about, spec.TOKEN_ENDPOINT, _SERVER),
        credential=_url(metadata, spec.CREDENTIAL_ENDPOINT, _ISSUER),
        nonce=_optional_url(metadata, spec.NONCE_ENDPOINT),
        notification=_optional_url(metadata, spec.NOTIFICATION_ENDPOINT),
        deferred=_optional_url(metadata, spec.DEFERRED_ENDPOINT),
        # PKCE with S256, or no login at all (RFC 9700, section 2.1.1).
        authorization=_optional_url(about, spec.AUTHORIZATION_ENDPOINT, _SERVER)
        if spec.S256 in challenges
        else None,
        pushed=_optional_url(about, spec.PUSHED_ENDPOINT, _SERVER),
        challenge=_optional_url(about, spec.CHALLENGE_ENDPOINT, _SERVER),
        names_itself=about.get(spec.ISS_SUPPORTED) is True,
        takes_details=spec.CREDENTIAL_DETAILS_TYPE in _texts(about, spec.DETAILS_TYPES),
        takes_dpop=Algorithm.ES256 in _texts(about, spec.DPOP_ALGORITHMS),
        takes_attestation=spec.ATTESTED in methods,
        takes_nothing_else=spec.ATTESTED in methods and spec.UNAUTHENTICATED not in methods,
        # A server that does not say so mostly allows it: only a plain no is one.
        anonymous=about.get(spec.ANONYMOUS_ACCESS) is not False,
        encryption=encryption_in(metadata),
    )


def _fetch(fetcher: Fetcher, identifier: str, name: str, where: str) -> JsonObject:
    response = fetcher.get(
        well_known(identifier, name), accept=JSON_MEDIA_TYPE, max_bytes=MAX_ANSWER_BYTES
    )
    try:
        return json_answer(response, where)
    except Refused as cause:
        raise Unavailable(f"expected the {where}, found HTTP status {response.status}") from cause


def _require_named(metadata: JsonObject, name: str, expected: str, where: str) -> None:
    # Compared as text: two spellings of one URL are two issuers.
    if text_at(metadata, name, where) != expected:
        raise refuse("issuer-mismatch", "the issuer that was asked", "another", f"{where}.{name}")


def _authorization_server(metadata: JsonObject, issuer: str, named: str | None) -> str:
    where = f"{_ISSUER}.{spec.AUTHORIZATION_SERVERS}"
    servers: list[str] = []
    if spec.AUTHORIZATION_SERVERS in metadata:
        servers = texts_at(metadata, spec.AUTHORIZATION_SERVERS, _ISSUER)
        if not servers:
            raise Malformed("an authorization server", "an empty list", where)
    # Section 4.1.1: the offer chooses among the issuer's servers, and brings none of its own.
    if named is not None:
        if named not in servers:
            raise refuse("authorization-server-unknown", "one the issuer lists", "another", where)
        return https_url(named, where)
    return https_url(servers[0], where) if servers else issuer


def _batch_size(metadata: JsonObject) -> int:
    if spec.BATCH not in metadata:
        return 1
    where = f"{_ISSUER}.{spec.BATCH}"
    return max(1, int_at(object_at(metadata, spec.BATCH, _ISSUER), spec.BATCH_SIZE, where))


def _texts(metadata: JsonObject, name: str) -> list[str]:
    return texts_at(metadata, name, _SERVER) if name in metadata else []


def _url(metadata: JsonObject, name: str, where: str) -> str:
    return https_url(text_at(metadata, name, where), f"{where}.{name}")


def _optional_url(metadata: JsonObject, name: str, where: str = _ISSUER) -> str | None:
    return _url(metadata, name, where) if name in metadata else None
