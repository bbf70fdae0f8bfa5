"""Which keys an issuer signs with: its `jwt-vc-issuer` metadata.

SD-JWT VC, section 4. The well-known name is inserted between host and path. The
fetcher sees to HTTPS, redirects, addresses and time.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from counterfoil_credentials.encoding import (
    JsonObject,
    as_object,
    list_at,
    object_at,
    optional_text_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.keys import PublicKey
from counterfoil_credentials.spec import JSON_MEDIA_TYPE, WELL_KNOWN_JWT_VC_ISSUER

_WHERE: Final = "jwt-vc-issuer"
_MAX_BYTES: Final = 65_536
_JWKS_MEDIA_TYPES: Final = f"application/jwk-set+json, {JSON_MEDIA_TYPE}"  # RFC 7517, section 8.5
_MAX_KEYS: Final = 100
_ISSUER: Final = re.compile(r"[!-~]+")


def well_known(issuer: str, name: str) -> str:
    """Give the well-known URL of `issuer`: `name` inserted before the issuer's path.

    RFC 8414, section 3; OpenID4VCI 1.0, section 12.2.2; SD-JWT VC, section 4.1.
    """
    try:
        parts = urlsplit(issuer)
    except ValueError:  # It quotes the URL.
        raise Malformed("an issuer URL", "another text", "issuer") from None
    # `urlsplit` drops control characters, and an empty query or fragment.
    is_bare = _ISSUER.fullmatch(issuer) and not {"?", "#"} & {*issuer}
    if not parts.scheme or not parts.netloc or not is_bare:
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
    """Give the keys in the metadata of `issuer` by `kid`; see `parse_signing_keys`.

    Raises `Malformed` when the document names another issuer, or has not the keys
    themselves but says where they are.
    """
    if _keys_url(document, issuer) is not None:
        raise Malformed("keys", "the address of keys", f"{_WHERE}.jwks_uri")
    return parse_signing_keys(object_at(document, "jwks", _WHERE), f"{_WHERE}.jwks")


def parse_signing_keys(jwks: JsonObject, where: str) -> dict[str, PublicKey]:
    """Give the keys of a JWK Set that verify credentials, by `kid`.

    A key without `kid` stands under its thumbprint. Keys for other uses, of kinds
    that we do not speak, and broken ones are passed over (RFC 7517, section 5).

    Raises `Malformed` when two of the keys have one `kid`.
    """
    listed = list_at(jwks, "keys", where)
    if len(listed) > _MAX_KEYS:
        raise Malformed(f"at most {_MAX_KEYS} keys", f"{len(listed)}", where)
    keys: dict[str, PublicKey] = {}
    for i, value in enumerate(listed):
        place = f"{where}.keys[{i}]"
        jwk = as_object(value, place)
        try:
            key = PublicKey.from_jwk(jwk, place)
        except Malformed:
            continue
        key_id = text_at(jwk, "kid", place) if "kid" in jwk else key.thumbprint()
        if key_id in keys:
            raise Malformed("each kid once", "one twice", place)
        keys[key_id] = key
    return keys


def issuer_key_named(keys: Mapping[str, PublicKey], key_id: str | None) -> PublicKey | None:
    """Give the key that a token names by `kid`; without a name, the issuer's only one."""
    if key_id is None:
        return next(iter(keys.values())) if len(keys) == 1 else None
    return keys.get(key_id)


def fetch_issuer_keys(fetcher: Fetcher, issuer: str) -> dict[str, PublicKey]:
    """Fetch the keys of `issuer` by `kid`, from its metadata or from where that points.

    Raises `Unavailable` when they could not be had, `Malformed` when the answer
    is no such document.
    """
    url = well_known(issuer, WELL_KNOWN_JWT_VC_ISSUER)
    document = _fetch(fetcher, url, JSON_MEDIA_TYPE, _WHERE)
    keys_url = _keys_url(document, issuer)
    if keys_url is None:
        return parse_issuer_keys(document, issuer)
    where = f"{_WHERE}.jwks_uri"
    return parse_signing_keys(_fetch(fetcher, keys_url, _JWKS_MEDIA_TYPES, where), where)


def _keys_url(document: JsonObject, issuer: str) -> str | None:
    if text_at(document, "issuer", _WHERE) != issuer:
        raise Malformed("the issuer that was asked", "another issuer", f"{_WHERE}.issuer")
    if ("jwks" in document) == ("jwks_uri" in document):
        found = "both" if "jwks" in document else "neither"
        raise Malformed("either jwks or jwks_uri", found, _WHERE)
    return optional_text_at(document, "jwks_uri", _WHERE)


def _fetch(fetcher: Fetcher, url: str, accept: str, where: str) -> JsonObject:
    response = fetcher.get(url, accept=accept, max_bytes=_MAX_BYTES)
    if response.status != 200:
        raise Unavailable(f"expected the issuer's keys, found HTTP status {response.status}")
    return parse_object(response.body, where)
