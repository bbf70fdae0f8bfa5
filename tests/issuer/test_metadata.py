"""What the issuer publishes: complete, honest about what is switched on, and read by others."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from counterfoil_credentials.encoding import JsonObject, compact_json, object_at, text_at
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.integrity import check_integrity
from counterfoil_credentials.jose import DecryptionKey, encryption_key
from counterfoil_credentials.jws import read_jws
from counterfoil_credentials.keys import Algorithm, Curve, MemorySigner
from counterfoil_credentials.spec import PRE_AUTHORIZED_GRANT
from counterfoil_credentials.type_metadata import Concealment, parse_type_metadata
from counterfoil_issuer.app import create_app
from counterfoil_issuer.catalogue import STANDARD_TYPES, Catalogue, parse_catalogue
from counterfoil_issuer.credential_request import encryption_metadata
from counterfoil_issuer.credential_type import AcceptedProof, CredentialType, KeyProtection
from counterfoil_issuer.metadata import (
    SIGNED_LASTS,
    Features,
    authorization_server_metadata,
    issuer_metadata,
    signed_issuer_metadata,
    type_at,
    type_integrity,
    type_metadata,
)
from counterfoil_issuer.store import Store
from fastapi.testclient import TestClient

from tests.conftest import Clock
from tests.issuer.brand import AUDIO, CATALOGUE, issuer_on

ALL = Features(
    batch_size=10,
    encryption=lambda: encryption_metadata(DecryptionKey.generate("2026-11")),
    authorization_codes=True,
    pushed_only=True,
    dpop=(Algorithm.ES256,),
    anonymous=False,
    attestation=(Algorithm.ES256,),
)
TIER = STANDARD_TYPES["tier"]


@pytest.fixture
def catalogue() -> Catalogue:
    return parse_catalogue(CATALOGUE)


def of(catalogue: Catalogue, *kinds: CredentialType) -> Catalogue:
    return replace(catalogue, types={kind.name: kind for kind in kinds})


def test_the_whole_of_the_metadata_is_there_when_all_is_switched_on(catalogue: Catalogue) -> None:
    metadata = issuer_metadata(AUDIO, catalogue, ALL)

    assert metadata.keys() == {
        "credential_issuer",
        "authorization_servers",
        "credential_endpoint",
        "nonce_endpoint",
        "deferred_credential_endpoint",
        "notification_endpoint",
        "credential_request_encryption",
        "credential_response_encryption",
        "batch_credential_issuance",
        "display",
        "credential_configurations_supported",
    }
    assert metadata["authorization_servers"] == [metadata["credential_issuer"]] == [AUDIO]
    assert metadata["batch_credential_issuance"] == {"batch_size": 10}
    wanted = object_at(metadata, "credential_request_encryption", "metadata")
    assert encryption_key(wanted["jwks"], "jwks").key_id == "2026-11"
    assert wanted["encryption_required"] is False


def test_what_is_switched_off_is_not_announced(catalogue: Catalogue) -> None:
    metadata = issuer_metadata(AUDIO, catalogue, Features(deferred=False))
    server = authorization_server_metadata(AUDIO, catalogue, Features())

    assert not metadata.keys() & {
        "deferred_credential_endpoint",
        "credential_request_encryption",
        "credential_response_encryption",
        "batch_credential_issuance",
    }
    assert not server.keys() & {
        "authorization_endpoint",
        "pushed_authorization_request_endpoint",
        "dpop_signing_alg_values_supported",
        "challenge_endpoint",
    }
    assert server["grant_types_supported"] == [PRE_AUTHORIZED_GRANT]
    assert server["token_endpoint_auth_methods_supported"] == ["none"]
    assert server["pre-authorized_grant_anonymous_access_supported"] is True


def test_a_batch_is_as_large_as_some_type_allows_and_two_at_least(catalogue: Catalogue) -> None:
    def announced(most: int, *sizes: int) -> object:
        kinds = [replace(TIER, name=f"t{n}", batch_size=n) for n in sizes]
        features = Features(batch_size=most)
        return issuer_metadata(AUDIO, of(catalogue, *kinds), features).get(
            "batch_credential_issuance"
        )

    assert announced(10, 1, 3) == {"batch_size": 3}
    assert announced(2, 1, 3) == {"batch_size": 2}
    assert announced(10, 1) is None
    assert announced(1, 3) is None


@pytest.mark.parametrize("kind", STANDARD_TYPES.values(), ids=STANDARD_TYPES)
def test_a_configuration_says_how_to_ask_and_what_comes(
    catalogue: Catalogue, kind: CredentialType
) -> None:
    metadata = issuer_metadata(AUDIO, catalogue)
    listed = object_at(metadata, "credential_configurations_supported", "metadata")
    found = object_at(listed, kind.name, "metadata")
    shown = object_at(found, "credential_metadata", "metadata")

    assert (found["format"], found["scope"]) == ("dc+sd-jwt", kind.name)
    assert found["vct"] == f"{AUDIO}/types/{kind.name}"
    assert found["cryptographic_binding_methods_supported"] == ["jwk"]
    assert found["credential_signing_alg_values_supported"] == ["ES256"]
    assert found["proof_types_supported"] == {
        "jwt": {"proof_signing_alg_values_supported": ["ES256"]}
    }
    claims = shown["claims"]
    assert isinstance(claims, list)
    assert [claim for claim in claims if isinstance(claim, dict)] == [
        {
            "path": [*claim.path],
            "mandatory": claim.mandatory,
            "display": [
                {"name": claim.names["en"], "locale": "en"},
                {"name": claim.names["zh"], "locale": "zh"},
            ],
        }
        for claim in kind.claims
    ]
    for card in shown["display"] if isinstance(shown["display"], list) else []:
        assert isinstance(card, dict)
        assert card.keys() == {
            "name",
            "locale",
            "description",
            "background_color",
            "text_color",
        }


def test_a_policy_of_attested_keys_is_announced_with_its_levels(catalogue: Catalogue) -> None:
    es256 = frozenset({Algorithm.ES256})
    strict = AcceptedProof(es256, KeyProtection(key_storage=("iso_18045_high",)))
    kind = replace(
        TIER, proofs={"jwt": strict, "attestation": AcceptedProof(es256, KeyProtection())}
    )
    metadata = issuer_metadata(AUDIO, of(catalogue, kind))
    listed = object_at(metadata, "credential_configurations_supported", "metadata")

    assert object_at(listed, "tier", "metadata")["proof_types_supported"] == {
        "jwt": {
            "proof_signing_alg_values_supported": ["ES256"],
            "key_attestations_required": {"key_storage": ["iso_18045_high"]},
        },
        "attestation": {
            "proof_signing_alg_values_supported": ["ES256"],
            "key_attestations_required": {},
        },
    }


def test_the_signed_metadata_says_the_same_and_who_says_it_when(
    catalogue: Catalogue, clock: Clock
) -> None:
    signer = MemorySigner.generate()
    metadata = issuer_metadata(AUDIO, catalogue, ALL)
    token = signed_issuer_metadata(metadata, signer=signer, now=clock())
    read = read_jws(token, typ="openidvci-issuer-metadata+jwt", where="metadata")
    claims = read.verify(signer.public)

    assert read.header == {
        "alg": "ES256",
        "typ": "openidvci-issuer-metadata+jwt",
        "kid": signer.public.thumbprint(),
    }
    now_s = int(clock().timestamp())
    assert claims == metadata | {
        "iss": AUDIO,
        "sub": AUDIO,
        "iat": now_s,
        "exp": now_s + int(SIGNED_LASTS / timedelta(seconds=1)),
    }
    with pytest.raises(Refused):
        read.verify(MemorySigner.generate().public)


def test_the_authorization_server_says_all_that_it_demands(catalogue: Catalogue) -> None:
    server = authorization_server_metadata(AUDIO, catalogue, ALL)

    assert server == {
        "issuer": AUDIO,
        "authorization_endpoint": f"{AUDIO}/authorize",
        "token_endpoint": f"{AUDIO}/token",
        "pushed_authorization_request_endpoint": f"{AUDIO}/par",
        "require_pushed_authorization_requests": True,
        "challenge_endpoint": f"{AUDIO}/challenge",
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", PRE_AUTHORIZED_GRANT],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "dpop_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": [
            "attest_jwt_client_auth",
            "attest_jwt_client_auth_dpop",
        ],
        "client_attestation_signing_alg_values_supported": ["ES256"],
        "client_attestation_pop_signing_alg_values_supported": ["ES256"],
        "pre-authorized_grant_anonymous_access_supported": False,
        "scopes_supported": [*STANDARD_TYPES],
        "authorization_details_types_supported": ["openid_credential"],
        "status_list_aggregation_endpoint": f"{AUDIO}/status-lists",
    }


def test_without_a_challenge_there_is_no_address_for_one(catalogue: Catalogue) -> None:
    server = authorization_server_metadata(AUDIO, catalogue, replace(ALL, challenges=False))
    both = authorization_server_metadata(AUDIO, catalogue, replace(ALL, anonymous=True, dpop=()))

    assert "challenge_endpoint" not in server
    assert both["token_endpoint_auth_methods_supported"] == ["none", "attest_jwt_client_auth"]


@pytest.mark.parametrize("kind", STANDARD_TYPES.values(), ids=STANDARD_TYPES)
def test_our_own_reader_reads_what_each_type_says(kind: CredentialType) -> None:
    document = type_metadata(AUDIO, kind)
    read = parse_type_metadata(compact_json(document))

    assert read.vct == f"{AUDIO}/types/{kind.name}"
    assert [shown.locale for shown in read.display or ()] == ["en", "zh"]
    assert all(shown.simple and shown.simple.background_colour for shown in read.display or ())
    for found, claim in zip(read.claims, kind.claims, strict=True):
        assert found.path == claim.path
        assert found.mandatory is claim.mandatory
        assert (found.concealment is Concealment.ALWAYS) is claim.concealed
        assert {label.locale: label.label for label in found.display or ()} == claim.names


def test_only_a_pinned_type_binds_its_credentials_to_its_document() -> None:
    pinned = replace(TIER, pinned=True)
    served = compact_json(type_metadata(AUDIO, pinned))
    integrity = type_integrity(AUDIO, pinned)

    assert type_integrity(AUDIO, TIER) is None
    assert integrity is not None
    check_integrity(served, integrity, "vct#integrity")
    with pytest.raises(Refused):
        check_integrity(served.replace(b"gold", b"Gold") + b" ", integrity, "vct#integrity")
    assert type_integrity("https://other.example", pinned) != integrity


def test_a_type_is_served_where_its_vct_leads(catalogue: Catalogue) -> None:
    second = replace(TIER, vct="{issuer}/types/tier-2027")
    elsewhere = replace(TIER, name="other", vct="https://vocabulary.example/tier")
    kinds = of(catalogue, second, elsewhere)

    assert type_at(AUDIO, kinds, "tier-2027") is second
    assert type_at(AUDIO, kinds, "tier") is None
    assert type_at(AUDIO, kinds, "other") is None
    assert text_at(type_metadata(AUDIO, elsewhere), "vct", "type") == elsewhere.vct


def test_the_brand_shows_its_name_in_both_languages_and_its_logo() -> None:
    brand: JsonObject = json.loads(CATALOGUE)
    about = object_at(brand, "brand", "catalogue")
    logo: JsonObject = {"uri": "https://audio.example/logo.svg", "alt_text": "An ear"}
    shown = parse_catalogue(json.dumps({**brand, "brand": {**about, "logo": logo}}).encode())

    assert issuer_metadata(AUDIO, shown)["display"] == [
        {"name": "Auricle", "locale": "en", "logo": logo},
        {"name": "聆耳", "locale": "zh", "logo": logo},
    ]


@pytest.mark.parametrize("curve", [Curve.P256, Curve.P384])
def test_the_algorithm_that_is_announced_is_the_one_that_signs(
    store: Store, clock: Clock, random_bytes: Callable[[int], bytes], curve: Curve
) -> None:
    signer = MemorySigner.generate(curve)
    issuer = issuer_on(store, clock, random_bytes, signer=signer)
    path = "/.well-known/openid-credential-issuer"
    with TestClient(create_app(issuer), base_url=AUDIO) as client:
        said: JsonObject = client.get(path).json()
        signed = client.get(path, headers={"Accept": "application/jwt"}).text

    token = read_jws(signed, typ="openidvci-issuer-metadata+jwt", where="metadata")
    algorithm = signer.public.algorithm
    for metadata in (said, token.verify(signer.public, frozenset({algorithm}))):
        described = object_at(metadata, "credential_configurations_supported", "metadata")
        for name in described:
            configuration = object_at(described, name, "metadata")
            assert configuration["credential_signing_alg_values_supported"] == [algorithm]
