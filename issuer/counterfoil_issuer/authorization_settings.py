"""How a brand lets customers log in and wallets in: its `authorization.json`.

    {"login": {"issuer": "https://login.audio.example", "client_id": "counterfoil",
               "secret_file": "login.secret"},
     "wallets": {"https://wallet.example": ["https://wallet.example/callback"]},
     "attestation": "required", "attesters": {"keys": [...]},
     "pushed": "required", "dpop": "required", "dpop_nonce": "required"}

All but `login` may be left out. Without the file there is no login, but in a
development set-up, where sample customers log in with a sample wallet.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from counterfoil_credentials.encoding import (
    JsonObject,
    as_list,
    as_object,
    as_text,
    list_at,
    object_at,
    optional_text_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.keys import PublicKey

from counterfoil_issuer.clients import ClientPolicy, Demand
from counterfoil_issuer.dev_login import DevLogin
from counterfoil_issuer.login import Login
from counterfoil_issuer.oidc_login import OidcLogin

FILE_NAME: Final = "authorization.json"
SAMPLE_WALLETS: Final[Mapping[str, frozenset[str]]] = {
    "sample-wallet": frozenset({"http://127.0.0.1/callback", "http://localhost/callback"}),
}
_DEMANDS: Final = ("pushed", "attestation", "challenge", "dpop", "dpop_nonce")
_MEMBERS: Final = ("login", "wallets", "attesters", *_DEMANDS)
_LOGIN_MEMBERS: Final = ("issuer", "client_id", "secret_file", "scope")
_MAX_BYTES: Final = 262_144
_MAX_SECRET: Final = 4_096


@dataclass(frozen=True, slots=True)
class AuthorizationSettings:
    """How customers log in, if they do, and which wallets are let in how."""

    login: Login | None
    clients: ClientPolicy


def read_authorization_settings(
    folder: Path, *, url: str, develops: bool, fetcher: Fetcher
) -> AuthorizationSettings:
    """Give the settings in `folder` for the issuer at `url`.

    Raises `Malformed` for a member that is not known and a value of another kind, and
    `Misuse` for demands that nobody could meet.
    """
    path = folder / FILE_NAME
    if not path.exists():
        if not develops:
            return AuthorizationSettings(None, ClientPolicy())
        return AuthorizationSettings(DevLogin(url), ClientPolicy(redirect_uris=SAMPLE_WALLETS))
    document = parse_object(path.read_bytes(), FILE_NAME, max_bytes=_MAX_BYTES)
    _require_known(document, _MEMBERS, FILE_NAME)
    return AuthorizationSettings(_login(document, folder, fetcher), _clients(document))


def _login(document: JsonObject, folder: Path, fetcher: Fetcher) -> Login:
    where = f"{FILE_NAME}.login"
    described = object_at(document, "login", FILE_NAME)
    _require_known(described, _LOGIN_MEMBERS, where)
    login = OidcLogin(
        issuer=text_at(described, "issuer", where),
        client_id=text_at(described, "client_id", where),
        fetcher=fetcher,
        secret=_secret(described, folder, where),
    )
    scope = optional_text_at(described, "scope", where)
    if scope is None:
        return login
    if "openid" not in scope.split():
        raise Malformed("a scope with openid", "another", f"{where}.scope")
    return OidcLogin(login.issuer, login.client_id, fetcher, login.secret, scope)


def _secret(described: JsonObject, folder: Path, where: str) -> str | None:
    name = optional_text_at(described, "secret_file", where)
    if name is None:
        return None
    if Path(name).name != name:
        raise Malformed("a file's name in this folder", "another", f"{where}.secret_file")
    try:
        secret = (folder / name).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as cause:
        raise Malformed("a file that can be read", "none", f"{where}.secret_file") from cause
    if not 1 <= len(secret) <= _MAX_SECRET:
        raise Malformed("a secret", "nothing, or too much", f"{where}.secret_file")
    return secret


def _clients(document: JsonObject) -> ClientPolicy:
    demands = {name: _demand(document, name) for name in _DEMANDS if name in document}
    known = ClientPolicy()
    return ClientPolicy(
        redirect_uris=_wallets(document),
        attesters=_attesters(document),
        pushed=demands.get("pushed", known.pushed),
        attestation=demands.get("attestation", known.attestation),
        challenge=demands.get("challenge", known.challenge),
        dpop=demands.get("dpop", known.dpop),
        dpop_nonce=demands.get("dpop_nonce", known.dpop_nonce),
    )


def _demand(document: JsonObject, name: str) -> Demand:
    try:
        return Demand(text_at(document, name, FILE_NAME))
    except ValueError as cause:
        raise Malformed(" or ".join(Demand), "another word", f"{FILE_NAME}.{name}") from cause


def _wallets(document: JsonObject) -> dict[str, frozenset[str]]:
    if "wallets" not in document:
        return {}
    where = f"{FILE_NAME}.wallets"
    return {
        client_id: frozenset(as_text(each, where) for each in as_list(addresses, where))
        for client_id, addresses in object_at(document, "wallets", FILE_NAME).items()
    }


def _attesters(document: JsonObject) -> frozenset[PublicKey]:
    if "attesters" not in document:
        return frozenset()
    where = f"{FILE_NAME}.attesters"
    keys = list_at(object_at(document, "attesters", FILE_NAME), "keys", where)
    return frozenset(
        PublicKey.from_jwk(as_object(jwk, f"{where}.keys[{i}]"), f"{where}.keys[{i}]")
        for i, jwk in enumerate(keys)
    )


def _require_known(document: JsonObject, members: tuple[str, ...], where: str) -> None:
    if unknown := [name for name in document if name not in members]:
        raise Malformed(f"only {', '.join(members)}", unknown[0], where)
