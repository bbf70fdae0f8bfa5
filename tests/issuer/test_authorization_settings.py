"""What a brand's `authorization.json` may say."""

import json
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Malformed, Misuse
from counterfoil_credentials.fetch import MemoryFetcher
from counterfoil_credentials.keys import MemorySigner
from counterfoil_issuer.authorization_settings import (
    FILE_NAME,
    SAMPLE_WALLETS,
    AuthorizationSettings,
    read_authorization_settings,
)
from counterfoil_issuer.clients import ClientPolicy, Demand
from counterfoil_issuer.dev_login import DevLogin
from counterfoil_issuer.oidc_login import OidcLogin

ATTESTER = MemorySigner.from_private_bytes(b"\x01" * 32)
LOGIN = {"issuer": "https://login.example", "client_id": "counterfoil"}
WALLET = "https://wallet.example"


def read(folder: Path, document: object = None, *, develops: bool = False) -> AuthorizationSettings:
    if document is not None:
        (folder / FILE_NAME).write_text(json.dumps(document), encoding="utf-8")
    return read_authorization_settings(
        folder, url="http://127.0.0.1:4711", develops=develops, fetcher=MemoryFetcher()
    )


def test_a_brand_names_its_login_its_wallets_and_its_demands(tmp_path: Path) -> None:
    (tmp_path / "login.secret").write_text("s3cret\n", encoding="utf-8")
    settings = read(
        tmp_path,
        {
            "login": {**LOGIN, "secret_file": "login.secret", "scope": "openid email"},
            "wallets": {WALLET: [f"{WALLET}/a", f"{WALLET}/b"]},
            "attestation": "required",
            "attesters": {"keys": [ATTESTER.public.jwk()]},
            "pushed": "required",
            "challenge": "optional",
            "dpop": "required",
            "dpop_nonce": "required",
        },
    )

    assert isinstance(settings.login, OidcLogin)
    assert settings.login.issuer == "https://login.example"
    assert (settings.login.secret, settings.login.scope) == ("s3cret", "openid email")
    assert "s3cret" not in repr(settings)
    assert settings.clients == ClientPolicy(
        redirect_uris={WALLET: frozenset({f"{WALLET}/a", f"{WALLET}/b"})},
        attestation=Demand.REQUIRED,
        attesters=frozenset({ATTESTER.public}),
        pushed=Demand.REQUIRED,
        challenge=Demand.OPTIONAL,
        dpop=Demand.REQUIRED,
        dpop_nonce=Demand.REQUIRED,
    )


def test_a_login_alone_is_enough(tmp_path: Path) -> None:
    settings = read(tmp_path, {"login": LOGIN})

    assert isinstance(settings.login, OidcLogin)
    assert settings.login.secret is None
    assert settings.clients == ClientPolicy(redirect_uris={})


def test_without_the_file_only_a_development_set_up_has_a_login(tmp_path: Path) -> None:
    assert read(tmp_path) == AuthorizationSettings(None, ClientPolicy())

    developing = read(tmp_path, develops=True)
    assert isinstance(developing.login, DevLogin)
    assert developing.clients.redirect_uris == SAMPLE_WALLETS


def test_a_development_set_up_with_the_file_has_the_brands_login(tmp_path: Path) -> None:
    assert isinstance(read(tmp_path, {"login": LOGIN}, develops=True).login, OidcLogin)


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        {"login": {}},
        {"login": {"issuer": "https://login.example"}},
        {"login": LOGIN, "logins": []},
        {"login": {**LOGIN, "secret": "in the open"}},
        {"login": {**LOGIN, "secret_file": "missing"}},
        {"login": {**LOGIN, "secret_file": "../login.secret"}},
        {"login": {**LOGIN, "secret_file": "empty"}},
        {"login": {**LOGIN, "scope": "email"}},
        {"login": LOGIN, "dpop": "REQUIRED"},
        {"login": LOGIN, "dpop": True},
        {"login": LOGIN, "wallets": [WALLET]},
        {"login": LOGIN, "wallets": {WALLET: f"{WALLET}/a"}},
        {"login": LOGIN, "wallets": {WALLET: [1]}},
        {"login": LOGIN, "attesters": [ATTESTER.public.jwk()]},
        {"login": LOGIN, "attesters": {"keys": [{"kty": "oct", "k": "AQ"}]}},
    ],
)
def test_anything_else_is_malformed(tmp_path: Path, document: object) -> None:
    (tmp_path / "empty").write_text("\n", encoding="utf-8")

    with pytest.raises(Malformed, match=FILE_NAME):
        read(tmp_path, document)


@pytest.mark.parametrize("demand", ["optional", "required"])
def test_attestations_that_nobody_could_give_are_misuse(tmp_path: Path, demand: str) -> None:
    with pytest.raises(Misuse, match="attesters"):
        read(tmp_path, {"login": LOGIN, "attestation": demand})
