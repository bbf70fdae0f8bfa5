"""What the issuer publishes about itself, for wallets and verifiers to read.

Every URL is built from the issuer's own identifier, never from a request. What the
service around the issuer has not switched on is not announced.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from counterfoil_credentials.encoding import Json, JsonObject, compact_json, numeric_date
from counterfoil_credentials.errors import Misuse
from counterfoil_credentials.jws import sign_jws
from counterfoil_credentials.keys import Algorithm, Signer
from counterfoil_credentials.spec import PRE_AUTHORIZED_GRANT, SD_JWT_VC_FORMAT
from counterfoil_credentials.type_metadata import Image, TypeDisplay
from pybase64 import b64encode_as_string

from counterfoil_issuer.catalogue import Catalogue, ClaimDescription, CredentialType
from counterfoil_issuer.products import Brand
from counterfoil_issuer.spec import (
    ATTESTATION_CLIENT_AUTH,
    AUTHORIZATION_CODE_GRANT,
    CODE,
    ISSUER_METADATA_TYP,
    OPENID_CREDENTIAL,
    S256,
)
from counterfoil_issuer.statuses import aggregation_url

LOCALES: Final[Mapping[str, str]] = {"en": "en", "zh": "zh"}
TYPES: Final = "types"
SIGNED_LASTS: Final = timedelta(days=1)


def _no_encryption() -> JsonObject:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What the service around an issuer takes, besides pre-authorized codes.

    `encryption` gives the members about encryption, with the key of the moment (see
    `credential_request.encryption_metadata`). `authorization_codes`: there is a login.
    `pushed_only`: a request comes pushed, or not at all. `anonymous`: a wallet need
    not say who it is; `attestation` are the algorithms of wallets that say it with
    an attestation, `challenges` whether there is a challenge for it.
    """

    batch_size: int = 1
    deferred: bool = True
    encryption: Callable[[], JsonObject] = _no_encryption
    authorization_codes: bool = False
    pushed_only: bool = False
    dpop: tuple[Algorithm, ...] = ()
    anonymous: bool = True
    attestation: tuple[Algorithm, ...] = ()
    challenges: bool = True


PLAIN: Final = Features()


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


def issuer_metadata(
    issuer: str,
    catalogue: Catalogue,
    features: Features = PLAIN,
    *,
    algorithms: Collection[Algorithm] = (Algorithm.ES256,),
) -> JsonObject:
    """Give the Credential Issuer Metadata (OpenID4VCI 1.0, section 12.2.4).

    `algorithms` are those of the keys that sign credentials.
    """
    kinds = catalogue.types.values()
    batch_size = min(features.batch_size, max((kind.batch_size for kind in kinds), default=1))
    metadata: JsonObject = {
        "credential_issuer": issuer,
        "authorization_servers": [issuer],
        "credential_endpoint": f"{issuer}/credential",
        "nonce_endpoint": f"{issuer}/nonce",
        "notification_endpoint": f"{issuer}/notification",
    }
    if features.deferred:
        metadata["deferred_credential_endpoint"] = f"{issuer}/deferred_credential"
    metadata |= features.encryption()
    if batch_size >= 2:  # "It MUST be 2 or greater."
        metadata["batch_credential_issuance"] = {"batch_size": batch_size}
    metadata["display"] = [*_brand_display(catalogue.assortment.brand)]
    metadata["credential_configurations_supported"] = {
        kind.name: _configuration(issuer, kind, algorithms) for kind in kinds
    }
    return metadata


def signed_issuer_metadata(metadata: JsonObject, *, signer: Signer, now: datetime) -> str:
    """Give the metadata as a signed JWT (section 12.2.3).

    The key is one that `jwt-vc-issuer` publishes, under its thumbprint as `kid`.
    """
    issuer = metadata["credential_issuer"]
    times: JsonObject = {"iat": numeric_date(now), "exp": numeric_date(now + SIGNED_LASTS)}
    return sign_jws(
        {**metadata, "iss": issuer, "sub": issuer, **times},
        typ=ISSUER_METADATA_TYP,
        signer=signer,
        header={"kid": signer.public.thumbprint()},
    )


def authorization_server_metadata(
    issuer: str, catalogue: Catalogue, features: Features = PLAIN
) -> JsonObject:
    """Give the metadata of the issuer's own authorization server (RFC 8414, section 2).

    RFC 9126, section 5; RFC 9207, section 3; RFC 9449, section 5.1; OpenID4VCI 1.0,
    section 12.3; Attestation-Based Client Authentication.
    """
    metadata: JsonObject = {
        "issuer": issuer,
        "token_endpoint": f"{issuer}/token",
        "response_types_supported": [],
        "grant_types_supported": [PRE_AUTHORIZED_GRANT],
        "token_endpoint_auth_methods_supported": _client_authentication(features),
        "pre-authorized_grant_anonymous_access_supported": features.anonymous,
        "scopes_supported": [kind.name for kind in catalogue.types.values()],
        "authorization_details_types_supported": [OPENID_CREDENTIAL],
        # Token Status List, section 9.1.
        "status_list_aggregation_endpoint": aggregation_url(issuer),
    }
    if features.authorization_codes:
        metadata |= {
            "authorization_endpoint": f"{issuer}/authorize",
            "pushed_authorization_request_endpoint": f"{issuer}/par",
            "require_pushed_authorization_requests": features.pushed_only,
            "response_types_supported": [CODE],
            "response_modes_supported": ["query"],
            "grant_types_supported": [AUTHORIZATION_CODE_GRANT, PRE_AUTHORIZED_GRANT],
            "code_challenge_methods_supported": [S256],
            "authorization_response_iss_parameter_supported": True,
        }
    if features.dpop:
        metadata["dpop_signing_alg_values_supported"] = [*features.dpop]
    if features.attestation:
        for name in ("client_attestation", "client_attestation_pop"):
            metadata[f"{name}_signing_alg_values_supported"] = [*features.attestation]
        if features.challenges:
            metadata["challenge_endpoint"] = f"{issuer}/challenge"
    return metadata


def type_metadata(issuer: str, kind: CredentialType) -> JsonObject:
    """Give the type metadata that `vct` leads to (SD-JWT VC, section 5.2).

    A claim's `term`, its name in a public vocabulary, is a member of our own.
    """
    return {
        "vct": kind.vct_of(issuer),
        "name": kind.names["en"],
        "description": kind.descriptions["en"],
        "display": [*kind.display],
        "claims": [_type_claim(claim) for claim in kind.claims],
    }


def type_at(issuer: str, catalogue: Catalogue, name: str) -> CredentialType | None:
    """Give the type whose `vct` is `{issuer}/types/{name}`, or None."""
    vct = f"{issuer}/{TYPES}/{name}"
    return next((kind for kind in catalogue.types.values() if kind.vct_of(issuer) == vct), None)


def type_integrity(issuer: str, kind: CredentialType) -> str | None:
    """Give the `vct#integrity` of a pinned type's credentials (SD-JWT VC, section 6).

    It is the hash of the document's compact JSON, which is how it must be served. None
    where the type is not pinned: its names may be mended while credentials are out.
    """
    if not kind.pinned:
        return None
    digest = sha256(compact_json(type_metadata(issuer, kind))).digest()
    return f"sha256-{b64encode_as_string(digest)}"


def _configuration(
    issuer: str, kind: CredentialType, algorithms: Collection[Algorithm]
) -> JsonObject:
    return {
        "format": SD_JWT_VC_FORMAT,
        "scope": kind.name,
        "vct": kind.vct_of(issuer),
        "cryptographic_binding_methods_supported": [*kind.binds],
        "credential_signing_alg_values_supported": [*sorted(algorithms)],
        "proof_types_supported": {name: _proof_type(kind, name) for name in kind.proofs},
        "credential_metadata": {
            "display": [_card(shown) for shown in kind.shown],
            "claims": [_claim(claim) for claim in kind.claims],
        },
    }


def _proof_type(kind: CredentialType, name: str) -> JsonObject:
    accepted = kind.proofs[name]
    described: JsonObject = {"proof_signing_alg_values_supported": [*sorted(accepted.algorithms)]}
    if accepted.attested is not None:
        levels = {
            "key_storage": accepted.attested.key_storage,
            "user_authentication": accepted.attested.user_authentication,
        }
        described["key_attestations_required"] = {
            name: [*values] for name, values in levels.items() if values
        }
    return described


def _client_authentication(features: Features) -> list[Json]:
    methods: list[Json] = ["none"] if features.anonymous or not features.attestation else []
    if features.attestation:
        methods.append(ATTESTATION_CLIENT_AUTH)
        if features.dpop:
            # One DPoP proof may stand for the attested key's own (draft 10, section 5.2).
            methods.append(f"{ATTESTATION_CLIENT_AUTH}_dpop")
    return methods


def _brand_display(brand: Brand) -> list[JsonObject]:
    logo: JsonObject = {}
    if brand.logo is not None:
        logo = {"logo": {"uri": brand.logo.url, "alt_text": brand.logo.alt_text}}
    return [{"name": n, "locale": LOCALES[language], **logo} for language, n in brand.names.items()]


def _card(shown: TypeDisplay) -> JsonObject:
    card: JsonObject = {"name": shown.name, "locale": shown.locale}
    if shown.description is not None:
        card["description"] = shown.description
    if shown.simple is not None:
        colours = {
            "background_color": shown.simple.background_colour,
            "text_color": shown.simple.text_colour,
        }
        pictures = {
            "logo": shown.simple.logo,
            "background_image": shown.simple.background_image,
        }
        card |= {name: colour for name, colour in colours.items() if colour is not None}
        card |= {name: _picture(image) for name, image in pictures.items() if image is not None}
    return card


def _picture(image: Image) -> JsonObject:
    alt_text: JsonObject = {} if image.alt_text is None else {"alt_text": image.alt_text}
    return {"uri": image.url, **alt_text}


def _claim(claim: ClaimDescription) -> JsonObject:
    return {
        "path": [*claim.path],
        "mandatory": claim.mandatory,
        "display": [{"name": name, "locale": locale} for locale, name in claim.names.items()],
    }


def _type_claim(claim: ClaimDescription) -> JsonObject:
    described: JsonObject = {
        "path": [*claim.path],
        "mandatory": claim.mandatory,
        "sd": "always" if claim.concealed else "never",
        "display": [*claim.display],
    }
    ours = {"svg_id": claim.svg_id, "term": claim.term}
    return described | {name: text for name, text in ours.items() if text is not None}
