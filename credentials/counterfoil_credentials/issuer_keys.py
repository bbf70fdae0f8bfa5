"""Which keys an issuer signs with: its `jwt-vc-issuer` metadata.

SD-JWT VC, section 4. The well-known name is inserted between host and path.
"""

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from counterfoil_credentials.encoding import (
    JsonObject,
    as_object,
    list_at,
    object_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.keys import Algorithm, PublicKey
from counterfoil_credentials.spec import JSON_MEDIA_TYPE, WELL_KNOWN_JWT_VC_ISSUER

_WHERE: Final = "jwt-vc-issuer"
_MAX_BYTES: Final = 65_536
_MAX_KEYS: Final = 100


def well_known(issuer: str, name: str) -> str:
    """Give the well-known URL of `issuer`: `name` inserted before the issuer's path.

    RFC 8414, section 3; OpenID4VCI 1.0, section 12.2.2; SD-JWT VC, section 4.1.
    """
    try:
        parts = urlsplit(issuer)
    except ValueError as cause:
        raise Malformed("an issuer URL", "another text", "issuer") from cause
    if not parts.scheme or not parts.netloc or parts.query or parts.fragment:
        raise Malformed("an issuer URL without query or fragment", "another text", "issuer")
    path = parts.path.removesuffix("/")
    return f"{parts.scheme}://{parts.netloc}/.well-known/{name}{path}"


def issuer_keys_document(issuer: str, keys: Sequence[PublicKey]) -> JsonObject:
    """Give the body of the metadata: each key under its thumbprint as `kid`."""
    return {
        "issuer": issuer,
        "jwks": {
            "keys": [
                {**key.jwk(), "kid": key.thumbprint(), "use": "sig", "alg": key.algorithm.value}
                for key in keys
            ]
        },
    }


def parse_issuer_keys(document: JsonObject, issuer: str) -> dict[str, PublicKey]:
    """Give the keys of `issuer` by `kid` (a key without one stands under its thumbprint).

    Raises `Malformed` when the document names another issuer.
    """
    if text_at(document, "issuer", _WHERE) != issuer:
        raise Malformed("the issuer that was asked", "another issuer", f"{_WHERE}.issuer")
    listed = list_at(object_at(document, "jwks", _WHERE), "keys", f"{_WHERE}.jwks")
    if len(listed) > _MAX_KEYS:
        raise Malformed(f"at most {_MAX_KEYS} keys", f"{len(listed)}", f"{_WHERE}.jwks")
    keys: dict[str, PublicKey] = {}
    for i, value in enumerate(listed):
        where = f"{_WHERE}.jwks.keys[{i}]"
        jwk = as_object(value, where)
        if not _signs(jwk):
            continue
        key = PublicKey.from_jwk(jwk, where)
        key_id = text_at(jwk, "kid", where) if "kid" in jwk else key.thumbprint()
        if keys.setdefault(key_id, key) != key:
            raise Malformed("each kid once", "one for two keys", where)
    return keys


def issuer_key_named(keys: Mapping[str, PublicKey], key_id: str | None) -> PublicKey | None:
    """Give the key that a token names by `kid`; without a name, the issuer's only one."""
    if key_id is None:
        return next(iter(keys.values())) if len(keys) == 1 else None
    return keys.get(key_id)


def _signs(jwk: JsonObject) -> bool:
    # Keys for encryption, and of kinds that we do not speak, may stand beside ours.
    return (
        (jwk.get("kty"), jwk.get("crv")) == ("EC", "P-256")
        and jwk.get("use", "sig") == "sig"
        and jwk.get("alg", Algorithm.ES256) == Algorithm.ES256
    )


def fetch_issuer_keys(fetcher: Fetcher, issuer: str) -> dict[str, PublicKey]:
    """Fetch the keys of `issuer` by `kid`.

    Raises `Unavailable` when they could not be had, `Malformed` when the answer
    is no such document.
    """
    url = well_known(issuer, WELL_KNOWN_JWT_VC_ISSUER)
    response = fetcher.get(url, accept=JSON_MEDIA_TYPE, max_bytes=_MAX_BYTES)
    if response.status != 200:
        raise Unavailable(f"expected the issuer's keys, found HTTP status {response.status}")
    return parse_issuer_keys(parse_object(response.body, _WHERE), issuer)
