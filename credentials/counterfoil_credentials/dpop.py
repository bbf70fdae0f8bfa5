"""DPoP: an access token that works only together with its holder's key (RFC 9449).

    proof = make_dpop(signer, method="POST", url=token_endpoint, jti=fresh, now=now)
    checked = check_dpop(proof, method="POST", url=token_endpoint, now=now, max_age=age)
    checked.jkt                  # what the token is bound to; spend `checked.jti` once

The caller gives the URL under which clients know the service: behind a proxy it is
not the one that arrived. Two things are the caller's: that the request has exactly
one DPoP header, and that no `jti` and no nonce of ours is taken twice.
"""

import hmac
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from counterfoil_credentials.encoding import (
    JsonObject,
    b64url,
    int_at,
    numeric_date,
    object_at,
    optional_text_at,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Reason, Refused
from counterfoil_credentials.jws import ES256_ONLY, read_jws, sign_jws
from counterfoil_credentials.keys import Algorithm, PublicKey, Signer
from counterfoil_credentials.spec import DPOP_TYP

_WHERE: Final = "dpop"
_SKEW: Final = timedelta(seconds=60)
_MAX_BYTES: Final = 8_192
_LONGEST_JTI: Final = 256
_LONGEST_NONCE: Final = 512
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_URL: Final = re.compile(r"[!-~]+")
_ENCODED: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9._~-]")


@dataclass(frozen=True, slots=True)
class DpopProof:
    """A checked proof: whoever sent the request holds `key`.

    Until `ends_at` the proof would pass again, so that long its `jti` must be
    remembered. `nonce` is the server's, and nobody has looked at it yet.
    """

    key: PublicKey
    jti: str = field(repr=False)
    nonce: str | None = field(repr=False)
    ends_at: datetime

    @property
    def jkt(self) -> str:
        """The thumbprint that binds a token to this key (section 6)."""
        return self.key.thumbprint()


def make_dpop(
    signer: Signer,
    *,
    method: str,
    url: str,
    jti: str,
    now: datetime,
    access_token: str | None = None,
    nonce: str | None = None,
) -> str:
    """Give the proof for one request. `jti` is fresh: at least 96 random bits (section 4.2).

    `access_token` is the one that goes with the request, `nonce` the server's latest.
    """
    claims: JsonObject = {
        "jti": jti,
        "htm": method,
        "htu": url.partition("#")[0].partition("?")[0],
        "iat": numeric_date(now),
    }
    if access_token is not None:
        claims["ath"] = _token_hash(access_token)
    if nonce is not None:
        claims["nonce"] = nonce
    return sign_jws(claims, typ=DPOP_TYP, signer=signer, header={"jwk": signer.public.jwk()})


def check_dpop(
    token: str,
    *,
    method: str,
    url: str,
    now: datetime,
    max_age: timedelta,
    access_token: str | None = None,
    algorithms: frozenset[Algorithm] = ES256_ONLY,
) -> DpopProof:
    """Give the proven key and what the caller must still check (section 4.3).

    With `access_token` the proof must be made for it, and the caller compares the
    token's binding with `jkt`. `url` is the endpoint's public URL.

    Raises `Malformed` for no such token, or a private key in the header; `Refused`
    for `token-type-mismatch`, `algorithm-not-allowed`, `signature-invalid`,
    `method-mismatch`, `url-mismatch`, `access-token-mismatch`, `proof-too-old`,
    `proof-from-the-future`.
    """
    unverified = read_jws(token, typ=DPOP_TYP, where=_WHERE, max_bytes=_MAX_BYTES)
    key = PublicKey.from_jwk(object_at(unverified.header, "jwk", _WHERE), f"{_WHERE}.jwk")
    claims = unverified.verify(key, algorithms)
    jti, nonce = text_at(claims, "jti", _WHERE), optional_text_at(claims, "nonce", _WHERE)
    if not 1 <= len(jti) <= _LONGEST_JTI:
        raise Malformed(f"1 to {_LONGEST_JTI} characters", f"{len(jti)}", f"{_WHERE}.jti")
    if nonce is not None and len(nonce) > _LONGEST_NONCE:
        raise Malformed(f"at most {_LONGEST_NONCE} characters", f"{len(nonce)}", f"{_WHERE}.nonce")
    issued_at, seconds = int_at(claims, "iat", _WHERE), numeric_date(now)
    max_age_s, skew_s = int(max_age.total_seconds()), int(_SKEW.total_seconds())
    reasons: list[Reason] = []
    if text_at(claims, "htm", _WHERE) != method:
        reasons.append(_reason("method-mismatch", "this request's method", "htm"))
    if not _same_url(text_at(claims, "htu", _WHERE), url):
        reasons.append(_reason("url-mismatch", "this endpoint's public URL", "htu"))
    if access_token is not None and not hmac.compare_digest(
        text_at(claims, "ath", _WHERE).encode(), _token_hash(access_token).encode()
    ):
        reasons.append(_reason("access-token-mismatch", "this access token's hash", "ath"))
    if issued_at < seconds - max_age_s:
        reasons.append(_reason("proof-too-old", "a fresh proof", "iat", "an old one"))
    if issued_at > seconds + skew_s:
        reasons.append(
            _reason("proof-from-the-future", "a proof made by now", "iat", "a later one")
        )
    if reasons:
        raise Refused(*reasons)
    # Past its last second a proof is too old by itself.
    ends_at = datetime.fromtimestamp(issued_at + max_age_s + 1, UTC)
    return DpopProof(key, jti, nonce, ends_at)


def _token_hash(access_token: str) -> str:
    return b64url(sha256(access_token.encode()).digest())


def _same_url(claimed: str, url: str) -> bool:
    normal = _normal(claimed)
    return normal is not None and normal == _normal(url)


def _normal(url: str) -> tuple[str, str, int, str] | None:
    """Give scheme, host, port and path in their one spelling, or None for no web address.

    Query and fragment do not count. RFC 9449, section 4.3; RFC 3986, sections
    6.2.2 and 6.2.3.
    """
    if not _URL.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    scheme = parts.scheme.lower()
    if scheme not in _DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc:
        return None
    path = _without_dots(_ENCODED.sub(_decoded, parts.path))
    return scheme, parts.hostname.lower(), _DEFAULT_PORTS[scheme] if port is None else port, path


def _decoded(match: re.Match[str]) -> str:
    text = match[0].upper()
    character = chr(int(text[1:], 16))
    return character if _UNRESERVED.fullmatch(character) else text


def _without_dots(path: str) -> str:
    kept: list[str] = []
    segments = path.split("/")[1:]
    for i, segment in enumerate(segments, start=1):
        if segment == ".." and kept:
            kept.pop()
        if segment not in {".", ".."}:
            kept.append(segment)
        elif i == len(segments):
            kept.append("")
    return "/" + "/".join(kept)


def _reason(code: str, expected: str, name: str, found: str = "another") -> Reason:
    return Reason(code, expected, found, f"{_WHERE}.{name}")
