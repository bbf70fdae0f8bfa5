"""What an offer's issuer says about itself, asked at the issuer and not believed before.

OpenID4VCI 1.0, section 12.2, and RFC 8414. The offer only names the issuer; the
issuer's own metadata must name itself likewise, or the offer is refused.
"""

from dataclasses import dataclass
from typing import Final

from counterfoil_credentials.encoding import (
    JsonObject,
    as_object,
    list_at,
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
from counterfoil_wallet.printable import shortened
from counterfoil_wallet.wire import (
    MAX_ANSWER_BYTES,
    MAX_URL,
    bounded,
    https_url,
    json_answer,
    refuse,
)

_ISSUER: Final = "credential issuer metadata"
_SERVER: Final = "authorization server metadata"
_OURS: Final = f"a {SD_JWT_VC_FORMAT} with our keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where the steps of one acceptance go."""

    token: str
    credential: str
    nonce: str | None
    notification: str | None

    def to_json(self) -> JsonObject:
        """Give the endpoints for storage."""
        optional = {"nonce": self.nonce, "notification": self.notification}
        return {
            "token": self.token,
            "credential": self.credential,
            **{name: url for name, url in optional.items() if url is not None},
        }

    @staticmethod
    def from_json(obj: JsonObject, where: str) -> "Endpoints":
        """Read stored endpoints."""
        return Endpoints(
            token=text_at(obj, "token", where),
            credential=text_at(obj, "credential", where),
            nonce=optional_text_at(obj, "nonce", where),
            notification=optional_text_at(obj, "notification", where),
        )


@dataclass(frozen=True, slots=True)
class Configuration:
    """A kind of credential that the issuer makes and this wallet can hold."""

    configuration_id: str
    vct: str


@dataclass(frozen=True, slots=True)
class Discovered:
    """What can be had from an offer. `skipped` says what of it cannot be held here."""

    endpoints: Endpoints
    configurations: tuple[Configuration, ...]
    skipped: tuple[Reason, ...]


def discover(fetcher: Fetcher, offer: CredentialOffer) -> Discovered:
    """Give where and what `offer` leads to.

    Raises `Refused`: `issuer-mismatch` when the metadata names another issuer,
    `authorization-server-unknown` and `configuration-unknown` for one that is
    offered and that the issuer does not list,
    `nothing-we-hold` when no offered credential is an SD-JWT VC that binds an
    ES256 key, `url-not-https`; `Unavailable`, `Malformed`.
    """
    https_url(offer.issuer, "credential_offer.credential_issuer")
    metadata = _fetch(fetcher, offer.issuer, WELL_KNOWN_CREDENTIAL_ISSUER, _ISSUER)
    _require_named(metadata, spec.CREDENTIAL_ISSUER, offer.issuer, _ISSUER)
    server = _authorization_server(metadata, offer)
    server_metadata = _fetch(fetcher, server, WELL_KNOWN_AUTHORIZATION_SERVER, _SERVER)
    _require_named(server_metadata, spec.ISSUER, server, _SERVER)
    listed = object_at(metadata, spec.CONFIGURATIONS, _ISSUER)
    found: list[Configuration] = []
    skipped: list[Reason] = []
    for configuration_id in offer.configuration_ids:
        bounded(configuration_id, "credential_offer.credential_configuration_ids")
        if configuration_id not in listed:
            raise refuse("configuration-unknown", "one the issuer lists", "another", _ISSUER)
        configuration = _configuration(configuration_id, listed)
        if configuration is None:
            where = shortened(f"{_ISSUER}.{spec.CONFIGURATIONS}.{configuration_id}")
            skipped.append(Reason("not-held-here", _OURS, "another kind", where))
        else:
            found.append(configuration)
    if not found:
        raise refuse("nothing-we-hold", _OURS, "others", _ISSUER)
    endpoints = Endpoints(
        token=_url(server_metadata, spec.TOKEN_ENDPOINT, _SERVER),
        credential=_url(metadata, spec.CREDENTIAL_ENDPOINT, _ISSUER),
        nonce=_optional_url(metadata, spec.NONCE_ENDPOINT),
        notification=_optional_url(metadata, spec.NOTIFICATION_ENDPOINT),
    )
    return Discovered(endpoints, tuple(found), tuple(skipped))


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


def _authorization_server(metadata: JsonObject, offer: CredentialOffer) -> str:
    where = f"{_ISSUER}.{spec.AUTHORIZATION_SERVERS}"
    servers: list[str] = []
    if spec.AUTHORIZATION_SERVERS in metadata:
        servers = texts_at(metadata, spec.AUTHORIZATION_SERVERS, _ISSUER)
        if not servers:
            raise Malformed("an authorization server", "an empty list", where)
    # Section 4.1.1: the offer chooses among the issuer's servers, and brings none of its own.
    if offer.authorization_server is not None:
        if offer.authorization_server not in servers:
            raise refuse("authorization-server-unknown", "one the issuer lists", "another", where)
        return https_url(offer.authorization_server, where)
    return https_url(servers[0], where) if servers else offer.issuer


def _configuration(configuration_id: str, listed: JsonObject) -> Configuration | None:
    where = f"{_ISSUER}.{spec.CONFIGURATIONS}"
    obj = as_object(listed[configuration_id], where)
    if obj.get("format") != SD_JWT_VC_FORMAT or not _takes_our_proof(obj, where):
        return None
    return Configuration(configuration_id, bounded(text_at(obj, "vct", where), where, MAX_URL))


def _takes_our_proof(configuration: JsonObject, where: str) -> bool:
    if spec.PROOF_TYPES not in configuration:
        return True
    types = object_at(configuration, spec.PROOF_TYPES, where)
    if spec.JWT_PROOF not in types:
        return False
    algorithms = object_at(types, spec.JWT_PROOF, where)
    return Algorithm.ES256 in list_at(algorithms, spec.PROOF_ALGORITHMS, where)


def _url(metadata: JsonObject, name: str, where: str) -> str:
    return https_url(text_at(metadata, name, where), f"{where}.{name}")


def _optional_url(metadata: JsonObject, name: str) -> str | None:
    return _url(metadata, name, _ISSUER) if name in metadata else None
