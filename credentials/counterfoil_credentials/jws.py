"""Compact JWS (RFC 7515) with the header rules of RFC 8725.

`typ` is always demanded, the algorithm comes from the caller's list before any
cryptography, and headers that point elsewhere for a key are refused.
"""

from collections.abc import Callable, Mapping
from dataclasses import field
from functools import lru_cache
from types import MappingProxyType
from typing import Final, TypeAlias

from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    b64url,
    compact_json,
    from_b64url,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused
from counterfoil_credentials.keys import Algorithm, PublicKey, Signer
from counterfoil_credentials.records import record

MAX_TOKEN_BYTES: Final = 65_536
ES256_ONLY: Final = frozenset({Algorithm.ES256})
Header: TypeAlias = Mapping[str, Json]
SignatureCheck: TypeAlias = Callable[[PublicKey, bytes, bytes], None]
"""Returns only if the key's signature (second) over the message (third) is good."""
_OURS: Final = frozenset({"alg", "typ", "crit", "jku", "x5u"})
_REMOTE_KEYS: Final = ("jku", "x5u")
# The header of one issuer's tokens is the same text again and again: it is read
# and written once. Longer ones carry a key or a chain, and mostly come once.
_LONGEST_REMEMBERED: Final = 176


@record()
class UnverifiedJws:
    """A parsed token whose signature nobody has checked yet."""

    header: Header
    unverified_claims: JsonObject = field(repr=False)
    where: str
    _signing_input: bytes = field(repr=False)
    _signature: bytes = field(repr=False)

    def verify(
        self,
        key: PublicKey,
        algorithms: frozenset[Algorithm] = ES256_ONLY,
        check: SignatureCheck | None = None,
    ) -> JsonObject:
        """Give the claims, now verified with `key` under one of `algorithms`.

        `check` may remember what it found good before.

        Raises `Refused`: `algorithm-not-allowed` or `signature-invalid`.
        """
        algorithm = text_at(self.header, "alg", self.where)
        if algorithm not in algorithms or not key.accepts(algorithm):
            raise Refused(
                Reason(
                    "algorithm-not-allowed",
                    " or ".join(sorted(algorithms)),
                    "another algorithm",
                    f"{self.where}.alg",
                )
            )
        try:
            (check or PublicKey.verify)(key, self._signature, self._signing_input)
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
    header: Header | None = None,
) -> str:
    """Give the compact JWS of `claims`. `header` adds members such as `kid` or `jwk`.

    Raises `Misuse` when `header` would decide what the signer and `typ` decide.
    """
    return sign_payload(compact_json(claims), typ=typ, signer=signer, header=header)


def sign_payload(payload: bytes, *, typ: str, signer: Signer, header: Header | None = None) -> str:
    """Give the compact JWS of claims that are written as JSON already; see `sign_jws`."""
    algorithm = signer.public.algorithm
    if header:
        head = _encoded_header(algorithm, typ, header)
    else:
        head = _remembered_encoding(algorithm, typ, ())
    signing_input = f"{head}.{b64url(payload)}"
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
    signing_input, _, signature_text = token.rpartition(".")
    header_text, dot, payload = signing_input.partition(".")
    if not dot or "." in payload:
        found = f"{token.count('.') + 1} parts"
        raise Malformed("a compact JWS of three parts", found, where)
    header = _read_header(header_text, where)
    place = f"{where}.payload"
    claims = parse_object(from_b64url(payload, place), place, max_bytes=max_bytes)
    signature = from_b64url(signature_text, where)
    found_typ = header.get("typ")
    if found_typ != typ:
        raise Refused(
            Reason(
                "token-type-mismatch",
                f'type "{typ}"',
                "another type" if isinstance(found_typ, str) else "none",
                f"{where}.typ",
            )
        )
    return UnverifiedJws(header, claims, where, signing_input.encode("ascii"), signature)


def _read_header(text: str, where: str) -> Header:
    if len(text) > _LONGEST_REMEMBERED:
        return _checked_header(text, where)
    header = _remembered_header(text, where)
    # One that holds a key or a list is read anew: whoever gets it could change it.
    return header if header is not None else _checked_header(text, where)


def _checked_header(text: str, where: str) -> Header:
    header = parse_object(from_b64url(text, f"{where}.header"), f"{where}.header")
    text_at(header, "alg", where)
    if "crit" in header:
        raise Malformed("no critical extension", "one", f"{where}.crit")
    for name in _REMOTE_KEYS:
        if name in header:
            raise Malformed("no header that fetches a key", name, where)
    return MappingProxyType(header)


@lru_cache(maxsize=512)
def _remembered_header(text: str, where: str) -> Header | None:
    header = _checked_header(text, where)
    return None if any(isinstance(value, dict | list) for value in header.values()) else header


def _encoded_header(algorithm: Algorithm, typ: str, header: Header) -> str:
    members = tuple(header.items())
    for _, value in members:
        if not isinstance(value, str):
            return _encoding(algorithm, typ, members)
    return _remembered_encoding(algorithm, typ, members)


def _encoding(algorithm: Algorithm, typ: str, members: tuple[tuple[str, Json], ...]) -> str:
    if not _OURS.isdisjoint(name for name, _ in members):
        raise Misuse(f"expected a header without {', '.join(sorted(_OURS))}, found one of them")
    return b64url(compact_json({"alg": algorithm.value, "typ": typ, **dict(members)}))


_remembered_encoding = lru_cache(maxsize=512)(_encoding)
