"""Sign and verify a compact JWS of 677 bytes, against the bare call of `cryptography`.

The header names a key by `kid`; verifying reads the token's text. Ed25519 is
reported beside ES256, without a floor.
"""

import importlib
from collections.abc import Callable, Iterator
from typing import Any, Final

from counterfoil_credentials.encoding import JsonObject, b64url, compact_json
from counterfoil_credentials.jws import read_jws, sign_jws
from counterfoil_credentials.keys import Algorithm, Curve, MemorySigner, OpenPrivateKey
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.measure import Operation, Other, Sampler, cpu, if_installed

_SIZE: Final = 677
_TYP: Final = "statuslist+jwt"
_KEYS: Final[dict[Curve, OpenPrivateKey]] = {
    Curve.P256: ec.generate_private_key(ec.SECP256R1()),
    Curve.ED25519: Ed25519PrivateKey.generate(),
}
_SIGN: Final = {Curve.P256: (0.80, 0.88), Curve.ED25519: (None, None)}
_VERIFY: Final = {Curve.P256: (0.85, 0.93), Curve.ED25519: (None, None)}


def operations(*, quick: bool) -> Iterator[Operation]:  # noqa: ARG001  # one token is small either way
    """Give signing and verifying with ES256 and Ed25519."""
    for curve, key in _KEYS.items():
        signer = MemorySigner(key)
        header: JsonObject = {"kid": signer.public.thumbprint()}
        claims = _claims(signer, header)
        token = sign_jws(claims, typ=_TYP, signer=signer, header=header)
        raw_sign, raw_verify = _raw(key, token.rpartition(".")[0].encode())
        allowed = frozenset({signer.public.algorithm})
        yield Operation(
            name=f"{signer.public.algorithm} sign, {len(token)} bytes",
            ours=cpu(_signing(claims, signer, header)),
            others=[
                _floored("raw signature", raw_sign, _SIGN[curve]),
                Other(
                    name="jwcrypto, key object",
                    sampler=if_installed("jwcrypto", _jwcrypto_sign(claims, signer)),
                ),
            ],
        )
        yield Operation(
            name=f"{signer.public.algorithm} verify, {len(token)} bytes",
            ours=cpu(_verifying(token, signer, allowed)),
            others=[
                _floored("raw verification", raw_verify, _VERIFY[curve]),
                Other(
                    name="jwcrypto, key object",
                    sampler=if_installed("jwcrypto", _jwcrypto_verify(token, signer)),
                ),
            ],
        )


def _floored(
    name: str, call: Callable[[], object], bounds: tuple[float | None, float | None]
) -> Other:
    return Other(name=name, sampler=cpu(call), floor=bounds[0], goal=bounds[1])


def _claims(signer: MemorySigner, header: JsonObject) -> JsonObject:
    claims: JsonObject = {
        "iss": "https://auricle.example",
        "iat": 1_795_000_000,
        "exp": 1_826_536_000,
        "sub": "https://auricle.example/warranties/4711",
        "cnf": {"jwk": signer.public.jwk()},
        "item": {"gtin": "04012345678901", "warranty_months": 24},
        "note": "",
    }
    # One more base64 character for each three quarters of a byte, until the size is met.
    while len(sign_jws(claims, typ=_TYP, signer=signer, header=header)) < _SIZE:
        claims["note"] = f"{claims['note']}x"
    return claims


def _signing(claims: JsonObject, signer: MemorySigner, header: JsonObject) -> Callable[[], object]:
    return lambda: sign_jws(claims, typ=_TYP, signer=signer, header=header)


def _verifying(
    token: str, signer: MemorySigner, allowed: frozenset[Algorithm]
) -> Callable[[], object]:
    return lambda: read_jws(token, typ=_TYP, where="token").verify(signer.public, allowed)


def _raw(key: OpenPrivateKey, message: bytes) -> tuple[Callable[[], object], Callable[[], object]]:
    if isinstance(key, Ed25519PrivateKey):
        public, signature = key.public_key(), key.sign(message)
        return lambda: key.sign(message), lambda: public.verify(signature, message)
    scheme = ec.ECDSA(hashes.SHA256())
    point, der = key.public_key(), key.sign(message, scheme)
    return lambda: key.sign(message, scheme), lambda: point.verify(der, message, scheme)


def _jwcrypto_sign(claims: JsonObject, signer: MemorySigner) -> Callable[[], Sampler]:
    def make() -> Sampler:
        jwk, jws = (importlib.import_module(f"jwcrypto.{name}") for name in ("jwk", "jws"))
        key = jwk.JWK(**_private(signer))
        header = {"alg": _jwcrypto_name(signer), "typ": _TYP, "kid": signer.public.thumbprint()}

        def sign() -> str:
            token = jws.JWS(compact_json(claims))
            token.add_signature(key, None, compact_json({**header}).decode())
            return str(token.serialize(compact=True))

        return cpu(sign)

    return make


def _jwcrypto_verify(token: str, signer: MemorySigner) -> Callable[[], Sampler]:
    def make() -> Sampler:
        jwk, jws = (importlib.import_module(f"jwcrypto.{name}") for name in ("jwk", "jws"))
        key = jwk.JWK(**signer.public.jwk())

        def verify() -> object:
            read = jws.JWS()
            read.allowed_algs = [_jwcrypto_name(signer)]
            read.deserialize(token, key)
            return read.payload

        return cpu(verify)

    return make


def _jwcrypto_name(signer: MemorySigner) -> str:
    return signer.public.algorithm.value


def _private(signer: MemorySigner) -> dict[str, Any]:
    return {**signer.public.jwk(), "d": b64url(signer.private_bytes())}
