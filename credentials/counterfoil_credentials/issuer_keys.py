"""Which keys an issuer signs with: its `jwt-vc-issuer` metadata.

SD-JWT VC, section 4. The well-known name is inserted between host and path. The
fetcher sees to HTTPS, redirects, addresses and time.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar
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
from counterfoil_credentials.keys import Curve, PublicKey
from counterfoil_credentials.spec import JSON_MEDIA_TYPE, WELL_KNOWN_JWT_VC_ISSUER

_Key = TypeVar("_Key")
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


def parse_issuer_keys(
    document: JsonObject, issuer: str, *, algorithm: str | None = None
) -> dict[str, PublicKey]:
    """Give the keys in the metadata of `issuer` by `kid`; see `parse_signing_keys`.

    Raises `Malformed` when the document names another issuer, or has not the keys
    themselves but says where they are.
    """
    if _keys_url(document, issuer) is not None:
        raise Malformed("keys", "the address of keys", f"{_WHERE}.jwks_uri")
    where = f"{_WHERE}.jwks"
    return parse_signing_keys(object_at(document, "jwks", _WHERE), where, algorithm=algorithm)


def parse_signing_keys(
    jwks: JsonObject, where: str, *, algorithm: str | None = None
) -> dict[str, PublicKey]:
    """Give the keys of a JWK Set that verify credentials, by `kid`.

    A key without `kid` stands under its thumbprint. Keys for other uses, of kinds
    that we do not speak, and broken ones are passed over (RFC 7517, section 5).

    Keys of different kinds may share a `kid` (section 4.5): `algorithm`, the token's
    `alg`, tells which of them is meant, and without it such a `kid` means none.

    Raises `Malformed` when two of the keys have one `kid` and one kind.
    """
    listed = list_at(jwks, "keys", where)
    if len(listed) > _MAX_KEYS:
        raise Malformed(f"at most {_MAX_KEYS} keys", f"{len(listed)}", where)
    found: dict[tuple[str, Curve], PublicKey] = {}
    for i, value in enumerate(listed):
        place = f"{where}.keys[{i}]"
        try:
            jwk = as_object(value, place)
            key = PublicKey.from_jwk(jwk, place)
            key_id = text_at(jwk, "kid", place) if "kid" in jwk else key.thumbprint()
        except Malformed:
            continue
        if (key_id, key.curve) in found:
            raise Malformed("each kid once", "one twice", place)
        found[key_id, key.curve] = key
    fitting = [
        (key_id, key)
        for (key_id, _), key in found.items()
        if algorithm is None or key.accepts(algorithm)
    ]
    times = Counter(key_id for key_id, _ in fitting)
    return {key_id: key for key_id, key in fitting if times[key_id] == 1}


def issuer_key_named(keys: Mapping[str, _Key], key_id: str | None) -> _Key | None:
    """Give the key that a token names by `kid`; without a name, the issuer's only one."""
    if key_id is None:
        return next(iter(keys.values())) if len(keys) == 1 else None
    return keys.get(key_id)


def fetch_issuer_keys(
    fetcher: Fetcher, issuer: str, *, algorithm: str | None = None
) -> dict[str, PublicKey]:
    """Fetch the keys of `issuer` by `kid`, from its metadata or from where that points.

    `algorithm` is that of `parse_signing_keys`.

    Raises `Unavailable` when they could not be had, `Malformed` when the answer
    is no such document.
    """
    url = well_known(issuer, WELL_KNOWN_JWT_VC_ISSUER)
    document = _fetch(fetcher, url, JSON_MEDIA_TYPE, _WHERE)
    keys_url = _keys_url(document, issuer)
    if keys_url is None:
        return parse_issuer_keys(document, issuer, algorithm=algorithm)
    where = f"{_WHERE}.jwks_uri"
    jwks = _fetch(fetcher, keys_url, _JWKS_MEDIA_TYPES, where)
    return parse_signing_keys(jwks, where, algorithm=algorithm)


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
