"""Wycheproof: what its authors call valid verifies, all else raises one of our errors.

Each case is judged by rule, not by number, so that cases added later are judged too.
A case that we cannot accept although it is valid is counted under its reason.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import pytest
from counterfoil_credentials.encoding import Json, b64url, from_b64url, parse_object, text_at
from counterfoil_credentials.errors import CounterfoilError, Malformed, Refused
from counterfoil_credentials.issuer_keys import parse_issuer_keys
from counterfoil_credentials.jws import read_jws
from counterfoil_credentials.keys import Algorithm, Curve, MemorySigner, PublicKey
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.sdjwt_json import parse_json_sd_jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import load_der_public_key

Vectors = Callable[[str], Path]
Object: TypeAlias = dict[str, Any]
Read = TypeVar("Read")

OURS = frozenset(Algorithm)
ORDER_OF_SECP256K1 = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@dataclass(frozen=True)
class Case:
    group: Object
    test: Object

    @property
    def valid(self) -> bool:
        return bool(self.test["result"] == "valid")

    def __str__(self) -> str:
        return f"tcId {self.test['tcId']} ({self.test['comment']})"


def cases(vectors: Vectors, name: str) -> Iterator[Case]:
    published = json.loads((vectors("wycheproof") / f"{name}_test.json").read_text())
    count = 0
    for group in published["testGroups"]:
        for test in group["tests"]:
            count += 1
            yield Case(group, test)
    assert count == published["numberOfTests"]


def explains(error: CounterfoilError) -> bool:
    return "expected " in str(error) and ", found " in str(error) and str(error).endswith(")")


# Signatures.


@pytest.mark.parametrize(
    "name",
    [
        "ecdsa_secp256r1_sha256_p1363",
        "ecdsa_secp384r1_sha384_p1363",
        "ecdsa_secp256k1_sha256_p1363",
        "ed25519",
    ],
)
def test_agrees_on_every_signature_in_the_form_of_jose(vectors: Vectors, name: str) -> None:
    for case in cases(vectors, name):
        key = key_of_group(case.group)
        if "publicKeyJwk" in case.group:  # the edge cases have none
            assert PublicKey.from_jwk(case.group["publicKeyJwk"], "jwk") == key, case

        verdict = verifies(
            key, bytes.fromhex(case.test["sig"]), bytes.fromhex(case.test["msg"]), case
        )

        assert verdict == case.valid, case


@pytest.mark.parametrize("name", ["ecdsa_secp256r1_sha256", "ecdsa_secp256k1_sha256_bitcoin"])
def test_refuses_every_signature_in_der(vectors: Vectors, name: str) -> None:
    for case in cases(vectors, name):
        signature = bytes.fromhex(case.test["sig"])

        with pytest.raises(Refused) as refusal:
            key_of_group(case.group).verify(signature, bytes.fromhex(case.test["msg"]))

        assert refusal.value.codes == ["signature-invalid"], case
        # RFC 7518, section 3.4: r and s side by side, so that the length is known.
        assert len(signature) == 64 or f"found {len(signature)} bytes" in str(refusal.value), case


@pytest.mark.parametrize("name", ["ecdsa_secp256r1_sha256", "ecdsa_secp256k1_sha256_bitcoin"])
def test_agrees_on_what_a_strict_der_signature_says(vectors: Vectors, name: str) -> None:
    tried = Counter[str]()
    for case in cases(vectors, name):
        signature = strict_der(bytes.fromhex(case.test["sig"]))
        if signature is None:
            assert not case.valid, case
            tried["has no other form"] += 1
            continue
        tried["judged"] += 1

        verdict = verifies(
            key_of_group(case.group), signature, bytes.fromhex(case.test["msg"]), case
        )

        if "bitcoin" in name and verdict and not case.valid:
            # Bitcoin takes the lower of the two values of s that verify. RFC 8812,
            # section 3.2, takes both: signers that know nothing of Bitcoin give either.
            assert int.from_bytes(signature[32:]) > ORDER_OF_SECP256K1 // 2, case
        else:
            assert verdict == case.valid, case

    assert tried["judged"] > 90
    assert tried["has no other form"] > 90


# Tokens and keys.


@pytest.mark.parametrize("name", ["json_web_signature", "json_web_crypto", "json_web_key"])
def test_agrees_on_every_token_whose_algorithm_is_ours(vectors: Vectors, name: str) -> None:
    outcomes = Counter[str]()
    for case in cases(vectors, name):
        if "jws" not in case.test:
            continue
        outcome = judge(case)
        outcomes[outcome] += 1

        if outcome == "accepted":
            assert case.valid, case
        else:
            assert outcome == "algorithm not ours" or not case.valid, f"{case}: {outcome}"

    assert outcomes["algorithm not ours"] > 0
    if name != "json_web_key":  # its only valid keys are symmetric
        assert outcomes["accepted"] > 0


@pytest.mark.parametrize("name", ["json_web_signature", "json_web_crypto", "json_web_key"])
def test_reads_no_token_that_carries_no_claims(vectors: Vectors, name: str) -> None:
    # Even the valid ones: they sign a text such as "foo", and none has the type asked for.
    for case in cases(vectors, name):
        if "jws" not in case.test:
            continue

        with pytest.raises((Malformed, Refused)) as error:
            read_jws(case.test["jws"], typ="JWT", where="token")

        assert explains(error.value), case


@pytest.mark.parametrize("name", ["json_web_signature", "json_web_crypto", "json_web_key"])
def test_refuses_the_algorithms_that_are_not_ours_before_any_cryptography(
    vectors: Vectors, name: str
) -> None:
    key = MemorySigner.from_private_bytes(bytes(31) + b"\x01").public
    tokens = [case for case in cases(vectors, name) if "jws" in case.test]
    headers = [found[0] for case in tokens if (found := read(parts, case.test["jws"], case))]
    strangers = {text_at(header, "alg", "header") for header in headers} - OURS
    assert "HS256" in strangers

    for algorithm in strangers:
        header = json.dumps({"alg": algorithm, "typ": "JWT"}).encode()
        # A signature of no algorithm's length: one that is looked at is refused as such.
        token = read_jws(f"{b64url(header)}.{b64url(b'{}')}.AA", typ="JWT", where="token")

        with pytest.raises(Refused) as refusal:
            token.verify(key, OURS)

        assert refusal.value.codes == ["algorithm-not-allowed"], algorithm


def test_takes_no_private_or_symmetric_key_to_verify_with(vectors: Vectors) -> None:
    names = ("json_web_signature", "json_web_crypto", "json_web_key", "json_web_encryption")
    for case in (case for name in names for case in cases(vectors, name)):
        private = case.group["private"]
        for jwk in private.get("keys", [private]):
            with pytest.raises(Malformed) as error:
                PublicKey.from_jwk(jwk, "jwk")

            assert explains(error.value), case


def test_takes_no_key_set_of_strangers_for_an_issuers(vectors: Vectors) -> None:
    for case in cases(vectors, "json_web_key"):
        for keys in (case.group["private"], case.group.get("public", {"keys": []})):
            document = {"issuer": "https://issuer.example", "jwks": keys}

            found = read(lambda d: parse_issuer_keys(d, "https://issuer.example"), document, case)

            assert not found, case


@pytest.mark.parametrize("name", ["ecdh_secp256r1_webcrypto", "x25519_jwk"])
def test_takes_only_points_on_its_curves_for_keys(vectors: Vectors, name: str) -> None:
    accepted = 0
    for case in cases(vectors, name):
        jwk = {n: v for n, v in case.test["public"].items() if n != "kid"}

        key = read(lambda jwk: PublicKey.from_jwk(jwk, "jwk"), jwk, case)

        if key is None:
            assert not case.valid or jwk["crv"] == "X25519", case
        else:
            # What is wrong for an agreement on one curve may be a good key on another.
            assert jwk["crv"] in set(Curve), case
            assert case.valid or jwk["crv"] != "P-256", case
            assert key.jwk() == jwk, case
            accepted += 1

    assert accepted > 0


def test_reads_no_encrypted_token_as_anything_else(vectors: Vectors) -> None:
    for case in cases(vectors, "json_web_encryption"):
        token = case.test["jwe"]
        assert read(lambda text: read_jws(text, typ="JWT", where="token"), token, case) is None
        assert read(SdJwt.parse, token, case) is None
        assert read(parse_json_sd_jwt, token, case) is None
        found = read(lambda text: parse_object(text, "token"), token, case)
        # One token is in the JSON serialisation: an object, and nothing more.
        assert (found is not None) == ("JsonSerialization" in case.test["flags"]), case


def judge(case: Case) -> str:
    """Take a token apart with the project's strict tools, and verify it if its key is ours."""
    found = read(parts, case.test["jws"], case)
    if found is None:
        # One header has a foreign character and is called valid; its key is symmetric.
        return "malformed" if "public" in case.group else "algorithm not ours"
    header, signing_input, signature = found
    algorithm = text_at(header, "alg", "header")
    if algorithm not in OURS:
        return "algorithm not ours"
    keys: Object = case.group.get("public") or case.group["private"]
    named: list[Object] = [
        jwk for jwk in keys.get("keys", [keys]) if jwk.get("kid") == header.get("kid")
    ]
    if len(named) != 1:
        return "no one key"
    key = read(lambda jwk: PublicKey.from_jwk(jwk, "jwk"), named[0], case)
    if key is None:
        return "key refused"
    if not key.accepts(algorithm):
        return "algorithm of another key"
    return "accepted" if verifies(key, signature, signing_input, case) else "signature"


def read(reader: Callable[[Any], Read], given: Any, case: Case) -> Read | None:  # noqa: ANN401
    """Give what `reader` makes of `given`, or None where it says why it refuses."""
    try:
        return reader(given)
    except (Malformed, Refused) as error:
        if not explains(error):
            raise AssertionError(case) from error
        return None


def parts(token: str) -> tuple[dict[str, Json], bytes, bytes]:
    found = token.split(".")
    if len(found) != 3:
        raise Malformed("three parts", f"{len(found)} parts", "token")
    header = parse_object(from_b64url(found[0], "header"), "header")
    from_b64url(found[1], "payload")
    return header, ".".join(found[:2]).encode("ascii"), from_b64url(found[2], "signature")


def verifies(key: PublicKey, signature: bytes, message: bytes, case: Case) -> bool:
    """Say whether `key` takes the signature; a refusal names the signature and says why."""
    try:
        key.verify(signature, message)
    except Refused as error:
        if error.codes != ["signature-invalid"] or not explains(error):
            raise AssertionError(case) from error
        return False
    return True


def key_of_group(group: Object) -> PublicKey:
    if group["publicKey"]["curve"] == "edwards25519":
        return PublicKey.from_point(
            Curve.ED25519, bytes.fromhex(group["publicKey"]["pk"]), "publicKey"
        )
    key = load_der_public_key(bytes.fromhex(group["publicKeyDer"]))
    assert isinstance(key, EllipticCurvePublicKey)
    return PublicKey.of(key)


def strict_der(signature: bytes) -> bytes | None:
    """Give r and s side by side when `signature` is the one DER encoding of them."""
    try:
        r, s = decode_dss_signature(signature)
        if encode_dss_signature(r, s) != signature:
            return None
        return r.to_bytes(32) + s.to_bytes(32)
    except (ValueError, OverflowError):
        return None
