"""The JOSE working group's cookbook: what we sign and verify of it, and what we refuse.

RFC 7520 (JWK, JWS, nesting), RFC 7797 (payloads that are not encoded), RFC 8037 (Ed25519).
Encrypted tokens are the business of `jose.py`.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from counterfoil_credentials.encoding import b64url, from_b64url, parse_object
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.jws import read_jws
from counterfoil_credentials.keys import Algorithm, MemorySigner, PublicKey
from counterfoil_credentials.sdjwt_json import parse_json_sd_jwt

Vectors = Callable[[str], Path]
Object: TypeAlias = dict[str, Any]

OURS = frozenset(Algorithm)


def published(vectors: Vectors, name: str) -> Object:
    found: Object = json.loads((vectors("jose-cookbook") / name).read_text())
    return found


def signed(vectors: Vectors) -> list[str]:
    """Give the names of the files that hold signatures."""
    folder = vectors("jose-cookbook")
    names = [f"{part}/{path.name}" for part in PARTS for path in (folder / part).iterdir()]
    return ["6.nesting_signatures_and_encryption.json", *sorted(names), "curve25519/jws.json"]


PARTS = ("jws", "rfc7797")


def signatures(vectors: Vectors) -> Iterator[tuple[Object, str, Object]]:
    """Give each signature: its private key, its algorithm, and what was made on the way."""
    for name in signed(vectors):
        found = published(vectors, name)
        step: Object = found.get("sign", found)
        if "signing" in step:
            given = step["input"]
            yield from zip(
                listed(given["key"]), listed(given["alg"]), listed(step["signing"]), strict=True
            )


def listed(value: list[Any] | Object | str) -> list[Any]:
    """Give the values of a file with several signatures, or the one of another file."""
    return value if isinstance(value, list) else [value]


def test_makes_and_verifies_the_signatures_of_the_algorithms_that_are_ours(
    vectors: Vectors,
) -> None:
    tried: set[str] = set()
    for jwk, algorithm, signing in signatures(vectors):
        if algorithm not in OURS:
            continue
        tried.add(algorithm)
        signer = MemorySigner.from_jwk(jwk, "jwk")
        message, signature = signing["sig-input"].encode(), from_b64url(signing["sig"], "sig")

        signer.public.verify(signature, message)

        assert signer.public.accepts(algorithm)
        if algorithm in ("EdDSA", "Ed25519"):  # the same at each signing
            assert signer.sign(message) == signature
        with pytest.raises(Refused, match="signature"):
            signer.public.verify(signature, message + b"x")

    assert "EdDSA" in tried


def test_refuses_the_key_of_every_other_algorithm(vectors: Vectors) -> None:
    tried: set[str] = set()
    for jwk, algorithm, _ in signatures(vectors):
        if algorithm in OURS:
            continue
        tried.add(algorithm)

        with pytest.raises(Malformed):
            PublicKey.from_jwk(jwk, "jwk")
        with pytest.raises(Malformed):
            MemorySigner.from_jwk(jwk, "jwk")
        public = {member: value for member, value in jwk.items() if member in PUBLIC_MEMBERS}
        with pytest.raises(Malformed, match=r"jwk\.crv"):
            PublicKey.from_jwk(public, "jwk")

    assert {"HS256", "RS256", "PS256", "ES512"} <= tried


PUBLIC_MEMBERS = ("kty", "kid", "use", "alg", "crv", "x", "y", "n", "e")


def test_refuses_every_other_algorithm_before_any_cryptography(vectors: Vectors) -> None:
    key = MemorySigner.from_private_bytes(bytes(31) + b"\x01").public
    others = {algorithm for _, algorithm, _ in signatures(vectors)} - OURS
    assert others
    for algorithm in sorted(others):
        header = b64url(json.dumps({"alg": algorithm, "typ": "JWT"}).encode())
        token = read_jws(f"{header}.{b64url(b'{}')}.AA", typ="JWT", where="token")

        with pytest.raises(Refused) as refusal:
            token.verify(key, OURS)

        assert refusal.value.codes == ["algorithm-not-allowed"], algorithm


def test_refuses_the_nested_token_for_its_algorithm(vectors: Vectors) -> None:
    nesting = published(vectors, "6.nesting_signatures_and_encryption.json")["sign"]
    token = read_jws(nesting["output"]["compact"], typ="JWT", where="token")
    assert token.unverified_claims == json.loads(nesting["input"]["payload"])

    with pytest.raises(Refused) as refusal:
        token.verify(MemorySigner.generate().public, OURS)

    assert refusal.value.codes == ["algorithm-not-allowed"]


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("jws/4_1.rsa_v15_signature.json", "token.payload"),  # a text, not claims
        ("jws/4_3.ecdsa_signature.json", "token.payload"),
        ("curve25519/jws.json", "token.payload"),
        ("jws/4_5.signature_with_detached_content.json", "token.payload"),  # nothing
        ("rfc7797/hmac-sha2_b64_false.json", "token.crit"),
    ],
)
def test_refuses_a_token_that_signs_no_claims(vectors: Vectors, name: str, where: str) -> None:
    token = published(vectors, name)["output"]["compact"]

    with pytest.raises(Malformed) as error:
        read_jws(token, typ="JWT", where="token")

    assert error.value.where == where


def test_refuses_a_payload_that_is_not_encoded_and_holds_a_full_stop(vectors: Vectors) -> None:
    flat = published(vectors, "rfc7797/4.2.hmac-sha2_b64_false.json")["output"]["json_flat"]

    with pytest.raises(Malformed, match="three parts, found 4 parts"):
        read_jws(".".join(flat.values()), typ="JWT", where="token")


def test_refuses_a_header_that_nobody_protects(vectors: Vectors) -> None:
    flat = published(vectors, "jws/4_7.protecting_content_only.json")["output"]["json_flat"]

    with pytest.raises(Malformed, match=r"token\.header"):
        read_jws(f".{flat['payload']}.{flat['signature']}", typ="JWT", where="token")


def test_reads_none_of_the_json_serialisations_as_an_sd_jwt(vectors: Vectors) -> None:
    def read(form: Object) -> None:
        for sd_jwt in parse_json_sd_jwt(json.dumps(form)):
            read_jws(sd_jwt.issuer_jwt, typ="JWT", where="sd_jwt")

    tried = 0
    for name in signed(vectors):
        output = published(vectors, name).get("output", {})
        for form in (output[kind] for kind in ("json", "json_flat") if kind in output):
            tried += 1

            with pytest.raises((Malformed, Refused)):
                read(form)

    assert tried > 10


def test_takes_none_of_the_cookbooks_keys(vectors: Vectors) -> None:
    # P-521, RSA and symmetric ones: each is refused, and the curve is what is named.
    for path in sorted((vectors("jose-cookbook") / "jwk").iterdir()):
        jwk = parse_object(path.read_bytes(), "jwk")
        public = {member: value for member, value in jwk.items() if member in PUBLIC_MEMBERS}

        with pytest.raises(Malformed, match=r"jwk\.crv"):
            PublicKey.from_jwk(public, "jwk")
        if public != jwk:
            with pytest.raises(Malformed, match="a private or symmetric member"):
                PublicKey.from_jwk(jwk, "jwk")


def test_reads_the_key_of_rfc_8037_and_gives_its_thumbprint(vectors: Vectors) -> None:
    jwk = published(vectors, "curve25519/jws.json")["input"]["key"]
    signer = MemorySigner.from_jwk(jwk, "jwk")

    assert signer.public.jwk() == {member: jwk[member] for member in ("crv", "kty", "x")}
    assert signer.private_bytes() == from_b64url(jwk["d"], "d")
    # RFC 8037, appendix A.3.
    assert signer.public.thumbprint() == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    with pytest.raises(Malformed, match="another use"):
        PublicKey.from_jwk({**signer.public.jwk(), "use": "enc"}, "jwk")
