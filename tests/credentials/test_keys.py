"""Keys: parsed strictly, kept privately, used with one algorithm."""

import stat
import threading
from pathlib import Path

import pytest
from counterfoil_credentials import (
    MemorySigner,
    PublicKey,
    did_jwk,
    key_of_did_jwk,
    load_or_create_signer,
)
from counterfoil_credentials.encoding import JsonObject, b64url
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_credentials.keys import Algorithm, Curve
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

EVERY = {curve: MemorySigner.generate(curve) for curve in Curve}
SIGNER = MemorySigner.from_private_bytes(b"\x07" * 32)
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def test_thumbprint_is_that_of_rfc_7638_for_a_known_key() -> None:
    # The P-256 key of RFC 7517, appendix A.1; its thumbprint as jwcrypto 1.6.1 gives it.
    key = PublicKey.from_jwk(
        {
            "kty": "EC",
            "crv": "P-256",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
        },
        "jwk",
    )
    assert key.thumbprint() == "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s"


@pytest.mark.parametrize("curve", Curve)
def test_a_private_key_comes_back_from_its_bytes(curve: Curve) -> None:
    signer = EVERY[curve]
    again = MemorySigner.from_private_bytes(signer.private_bytes(), curve)

    assert again.public == signer.public
    signer.public.verify(again.sign(b"message"), b"message")
    with pytest.raises(Misuse):
        MemorySigner.from_private_bytes(signer.private_bytes()[1:], curve)


@pytest.mark.parametrize("curve", Curve)
def test_a_public_key_comes_back_from_its_jwk_and_from_its_point(curve: Curve) -> None:
    key = EVERY[curve].public

    assert PublicKey.from_jwk(key.jwk(), "jwk") == key
    assert PublicKey.from_point(curve, key.point, "point") == key
    with pytest.raises(Malformed):
        PublicKey.from_point(curve, key.point[:-1], "point")
    with pytest.raises(Malformed):
        PublicKey.from_jwk({**key.jwk(), "kty": "oct"}, "jwk")


@pytest.mark.parametrize("curve", Curve)
def test_a_signature_holds_for_one_key_and_one_message(curve: Curve) -> None:
    signature = EVERY[curve].sign(b"message")

    EVERY[curve].public.verify(signature, b"message")
    for key, message in (
        (MemorySigner.generate(curve).public, b"message"),
        *((EVERY[other].public, b"message") for other in Curve if other != curve),
        (EVERY[curve].public, b"massage"),
    ):
        with pytest.raises(Refused) as refusal:
            key.verify(signature, message)
        assert refusal.value.codes == ["signature-invalid"]


def test_ed25519_goes_by_two_names_and_is_written_by_the_newer() -> None:
    key = EVERY[Curve.ED25519].public

    assert key.algorithm == Algorithm.ED25519
    assert [name for name in Algorithm if key.accepts(name)] == ["Ed25519", "EdDSA"]
    assert not key.accepts("none")


@pytest.mark.parametrize("sign", [0, 0x80])
@pytest.mark.parametrize(
    "y", [b"\x00" * 32, b"\x01" + b"\x00" * 31, b"\xec" + b"\xff" * 30 + b"\x7f"]
)
def test_refuses_an_ed25519_key_under_which_one_signature_fits_all(y: bytes, sign: int) -> None:
    point = y[:31] + bytes([y[31] | sign])

    with pytest.raises(Malformed, match="small order"):
        PublicKey.from_point(Curve.ED25519, point, "point")


@pytest.mark.parametrize("y", [2, 2**255 - 19 + 3, 2**255 - 1])
def test_refuses_an_ed25519_key_that_is_no_point_or_spelled_otherwise(y: int) -> None:
    with pytest.raises(Malformed):
        PublicKey.from_point(Curve.ED25519, y.to_bytes(32, "little"), "point")


@pytest.mark.parametrize("curve", Curve)
def test_a_private_jwk_holds_both_halves_of_one_key(curve: Curve) -> None:
    signer = EVERY[curve]
    jwk: JsonObject = {**signer.public.jwk(), "d": b64url(signer.private_bytes())}

    assert MemorySigner.from_jwk({**jwk, "key_ops": ["sign"]}, "jwk").public == signer.public
    other = b64url(MemorySigner.generate(curve).private_bytes())
    for change in ({"d": other}, {"d": "AA"}, {"d": 1}, {"k": "AA"}):
        with pytest.raises(Malformed):
            MemorySigner.from_jwk({**jwk, **change}, "jwk")


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        b"\x00" * 64,
        b"\xff" * 64,
        b"\x00" * 32 + b"\x01" * 32,
        ORDER.to_bytes(32) + b"\x01" * 32,
        b"\x01" * 65,
    ],
    ids=["empty", "zero", "ones", "r-zero", "r-order", "long"],
)
def test_refuses_a_signature_out_of_range(signature: bytes) -> None:
    with pytest.raises(Refused) as refusal:
        SIGNER.public.verify(signature, b"message")
    assert refusal.value.codes == ["signature-invalid"]


@pytest.mark.parametrize("bit", [0, 7, 255, 256, 511])
def test_refuses_a_signature_one_bit_away(bit: int) -> None:
    signature = bytearray(SIGNER.sign(b"message"))
    signature[bit // 8] ^= 1 << bit % 8

    with pytest.raises(Refused):
        SIGNER.public.verify(bytes(signature), b"message")


@pytest.mark.parametrize(
    "change",
    [
        {"d": "AA"},
        {"k": "AA"},
        {"kty": "RSA"},
        {"crv": "P-384"},
        {"crv": "secp256k1"},
        {"alg": "HS256"},
        {"x": "AA"},
        {"x": b64url(b"\x01" * 32)},
        {"y": b64url(b"\xff" * 32)},
        {"x": 1},
        {"use": "enc"},
        {"key_ops": ["sign"]},
        {"alg": "ES384"},
        {"kty": "OKP"},
        {"crv": "P-521"},
        {"crv": None},
    ],
    ids=str,
)
def test_a_jwk_one_thing_away_is_malformed(change: JsonObject) -> None:
    with pytest.raises(Malformed):
        PublicKey.from_jwk({**SIGNER.public.jwk(), **change}, "jwk")


def test_a_did_is_its_key_and_no_other_method_passes_for_it() -> None:
    did = did_jwk(SIGNER.public)

    assert key_of_did_jwk(did, "did") == SIGNER.public
    assert key_of_did_jwk(f"{did}#0", "did") == SIGNER.public
    for other in (f"{did}#1", did.replace("did:jwk", "did:key"), f"{did}=", "did:jwk:", "x" * 3000):
        with pytest.raises(Malformed):
            key_of_did_jwk(other, "did")


def test_a_key_file_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "issuer.pem"
    found: list[PublicKey] = []
    racers = [
        threading.Thread(target=lambda: found.append(load_or_create_signer(path).public))
        for _ in range(4)
    ]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()

    assert len(found) == 4
    assert set(found) == {load_or_create_signer(path).public}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_key_file_is_named_and_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "issuer.pem"
    path.write_text("no key")
    path.chmod(0o600)

    with pytest.raises(Malformed, match=r"issuer\.pem"):
        load_or_create_signer(path)
    assert path.read_text() == "no key"


def test_an_encrypted_key_file_is_malformed(tmp_path: Path) -> None:
    path = tmp_path / "issuer.pem"
    key = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    )
    path.chmod(0o600)

    with pytest.raises(Malformed, match="an open PEM private key"):
        load_or_create_signer(path)


def test_a_key_file_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "issuer.pem"
    load_or_create_signer(path)
    path.chmod(0o640)

    with pytest.raises(Misuse, match="expected mode 0600, found 0640"):
        load_or_create_signer(path)


def test_no_private_key_is_shown() -> None:
    assert SIGNER.private_bytes().hex() not in repr(SIGNER)
    with pytest.raises(Misuse):
        MemorySigner.from_private_bytes(b"\x00" * 32)
