"""What the issuer publishes about itself, for wallets and verifiers to read.

Every URL is built from the issuer's own identifier, never from a request.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Misuse
from counterfoil_credentials.keys import Algorithm
from counterfoil_credentials.spec import PRE_AUTHORIZED_GRANT, SD_JWT_VC_FORMAT

from counterfoil_issuer.catalogue import Catalogue, ClaimDescription, CredentialType
from counterfoil_issuer.issuing import vct_of
from counterfoil_issuer.statuses import aggregation_url

LOCALES: Final[Mapping[str, str]] = {"en": "en", "zh": "zh"}


def require_issuer_url(url: str) -> str:
    """Give `url` if it can be an issuer's identifier (OpenID4VCI 1.0, section 12.2.1).

    HTTPS, or HTTP on loopback for development; no query, fragment or final slash.
    """
    parts = urlsplit(url)
    loopback = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")
    if not (parts.scheme == "https" or loopback) or not parts.hostname:
        text = "expected an https URL, or http on loopback, as the issuer's identifier"
        raise Misuse(text)
    if parts.query or parts.fragment or parts.username or url.endswith(("/", "?", "#")):
        text = "expected an issuer's identifier without user, query, fragment and final slash"
        raise Misuse(text)
    return url


def issuer_metadata(issuer: str, catalogue: Catalogue) -> JsonObject:
    """Give the Credential Issuer Metadata (OpenID4VCI 1.0, section 12.2.4)."""
    return {
        "credential_issuer": issuer,
        "credential_endpoint": f"{issuer}/credential",
        "nonce_endpoint": f"{issuer}/nonce",
        "notification_endpoint": f"{issuer}/notification",
        "display": [*_named(catalogue.assortment.brand.names)],
        "credential_configurations_supported": {
            kind.name: _configuration(issuer, kind) for kind in catalogue.types.values()
        },
    }


def authorization_server_metadata(issuer: str) -> JsonObject:
    """Give the metadata of the issuer's own authorization server (RFC 8414, section 2).

    It knows one grant, so no `authorization_endpoint` and no response types.
    """
    return {
        "issuer": issuer,
        "token_endpoint": f"{issuer}/token",
        "grant_types_supported": [PRE_AUTHORIZED_GRANT],
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": ["none"],
        "pre-authorized_grant_anonymous_access_supported": True,
        # Token Status List, section 9.1.
        "status_list_aggregation_endpoint": aggregation_url(issuer),
    }


def type_metadata(issuer: str, kind: CredentialType) -> JsonObject:
    """Give the type metadata that `vct` leads to (SD-JWT VC, section 5.2)."""
    return {
        "vct": vct_of(issuer, kind.name),
        "name": kind.names["en"],
        "description": kind.descriptions["en"],
        "display": [
            {**shown, "description": kind.descriptions[language]}
            for language, shown in zip(kind.names, _named(kind.names), strict=True)
        ],
        "claims": [
            {
                "path": [*claim.path],
                "sd": "always" if claim.concealed else "never",
                "display": [
                    {"locale": LOCALES[language], "label": name}
                    for language, name in claim.names.items()
                ],
            }
            for claim in kind.claims
        ],
    }


def _configuration(issuer: str, kind: CredentialType) -> JsonObject:
    return {
        "format": SD_JWT_VC_FORMAT,
        "vct": vct_of(issuer, kind.name),
        "cryptographic_binding_methods_supported": ["jwk"],
        "credential_signing_alg_values_supported": [Algorithm.ES256.value],
        "proof_types_supported": {
            "jwt": {"proof_signing_alg_values_supported": [Algorithm.ES256.value]}
        },
        "credential_metadata": {
            "display": [
                {**shown, "description": kind.descriptions[language]}
                for language, shown in zip(kind.names, _named(kind.names), strict=True)
            ],
            "claims": [_claim(claim) for claim in kind.claims],
        },
    }


def _claim(claim: ClaimDescription) -> JsonObject:
    return {
        "path": [*claim.path],
        "display": [*_named(claim.names)],
    }


def _named(names: Mapping[str, str]) -> list[JsonObject]:
    return [{"name": name, "locale": LOCALES[language]} for language, name in names.items()]
