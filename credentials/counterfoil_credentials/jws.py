"""Compact JWS (RFC 7515) with the header rules of RFC 8725.

`typ` is always demanded, the algorithm comes from the caller's list before any
cryptography, and headers that point elsewhere for a key are refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    b64url,
    compact_json,
    from_b64url,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Reason, Refused
from counterfoil_credentials.keys import Algorithm, PublicKey, Signer

MAX_TOKEN_BYTES: Final = 65_536
ES256_ONLY: Final = frozenset({Algorithm.ES256})
_REMOTE_KEYS: Final = ("jku", "x5u")


@dataclass(frozen=True, slots=True)
class UnverifiedJws:
    """A parsed token whose signature nobody has checked yet."""

    header: JsonObject
    unverified_claims: JsonObject = field(repr=False)
    where: str
    _signing_input: bytes = field(repr=False)
    _signature: bytes = field(repr=False)

    def verify(self, key: PublicKey, algorithms: frozenset[Algorithm] = ES256_ONLY) -> JsonObject:
        """Give the claims, now verified with `key` under one of `algorithms`.

        Raises `Refused`: `algorithm-not-allowed` or `signature-invalid`.
        """
        algorithm = self.header["alg"]
        if algorithm not in algorithms or algorithm != key.algorithm:
            raise Refused(
                Reason(
                    "algorithm-not-allowed",
                    " or ".join(sorted(algorithms)),
                    "another algorithm",
                    f"{self.where}.alg",
                )
            )
        try:
            key.verify(self._signature, self._signing_input)
        except Refused as cause:
            raise Refused(
                *(
                    Reason(r.code, r.expected, r.found, f"{self.where}.{r.where}")
                    for r in cause.reasons
                )
            ) from cause
        return self.unverified_claims


def sign_jws(
    claims: JsonObject,
    *,
    typ: str,
    signer: Signer,
    header: Mapping[str, Json] | None = None,
) -> str:
    """Give the compact JWS of `claims`. `header` adds members such as `kid` or `jwk`."""
    head: JsonObject = {"alg": signer.public.algorithm.value, "typ": typ, **(header or {})}
    signing_input = f"{b64url(compact_json(head))}.{b64url(compact_json(claims))}"
    return f"{signing_input}.{b64url(signer.sign(signing_input.encode('ascii')))}"


def read_jws(
    token: str, *, typ: str, where: str, max_bytes: int = MAX_TOKEN_BYTES
) -> UnverifiedJws:
    """Parse a compact JWS whose `typ` header is exactly `typ`.

    Raises `Malformed` for anything that is no such token, and `Refused` with the
    code `token-type-mismatch` for a well-formed token of another type (RFC 8725,
    section 3.11).
    """
    if len(token) > max_bytes:
        raise Malformed(f"at most {max_bytes} bytes", f"{len(token)} bytes", where)
    parts = token.split(".")
    if len(parts) != 3:
        raise Malformed("a compact JWS of three parts", f"{len(parts)} parts", where)
    header = parse_object(from_b64url(parts[0], f"{where}.header"), f"{where}.header")
    claims = parse_object(
        from_b64url(parts[1], f"{where}.payload"), f"{where}.payload", max_bytes=max_bytes
    )
    signature = from_b64url(parts[2], f"{where}.signature")
    text_at(header, "alg", where)
    if "crit" in header:
        raise Malformed("no critical extension", "one", f"{where}.crit")
    for name in _REMOTE_KEYS:
        if name in header:
            raise Malformed("no header that fetches a key", name, where)
    if header.get("typ") != typ:
        found = header.get("typ")
        raise Refused(
            Reason(
                "token-type-mismatch",
                f'type "{typ}"',
                "another type" if isinstance(found, str) else "none",
                f"{where}.typ",
            )
        )
    return UnverifiedJws(header, claims, where, f"{parts[0]}.{parts[1]}".encode("ascii"), signature)
