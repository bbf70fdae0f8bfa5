"""Whom the command line trusts, from a file.

{"issuers": {"https://brand.example": "Brand"},
 "verifiers": {"decentralized_identifier:did:jwk:…": "Corner Shop"},
 "custodians": {"https://custodian.example": "did:jwk:…"}}
"""

from pathlib import Path
from typing import Final

from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import JsonObject, object_at, parse_object, text_at
from counterfoil_credentials.errors import Malformed, Unavailable

from counterfoil_wallet.issuer_trust import KnownIssuer
from counterfoil_wallet.trust import Trust, Verifier

_WHERE: Final = "trust"
_MEMBERS: Final = frozenset({"issuers", "verifiers", "custodians"})


def read_trust_file(path: Path) -> Trust:
    """Give whom the file at `path` names; `Malformed`, or `Unavailable` when it cannot be read."""
    try:
        obj = parse_object(path.read_bytes(), _WHERE)
    except OSError as cause:
        raise Unavailable("expected a file of whom to trust, found none to read") from cause
    if not obj.keys() <= _MEMBERS:
        raise Malformed(f"only {', '.join(sorted(_MEMBERS))}", "another member", _WHERE)
    return Trust(
        issuers={url: KnownIssuer(name=name) for url, name in _texts(obj, "issuers").items()},
        verifiers={
            client: Verifier(name=name) for client, name in _texts(obj, "verifiers").items()
        },
        custodians={origin: Did(did) for origin, did in _texts(obj, "custodians").items()},
    )


def _texts(obj: JsonObject, name: str) -> dict[str, str]:
    named = object_at(obj, name, _WHERE) if name in obj else {}
    return {key: text_at(named, key, f"{_WHERE}.{name}") for key in named}
