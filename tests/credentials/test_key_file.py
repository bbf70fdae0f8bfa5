"""Key files that hold something else, or stand where there can be none."""

import base64
from pathlib import Path

import pytest
from counterfoil_credentials.errors import Malformed, Misuse
from counterfoil_credentials.key_file import load_or_create_private, load_or_create_signer
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

P256 = ec.derive_private_key(7, ec.SECP256R1())
OID_OF_EC = bytes.fromhex("06072a8648ce3d0201")
OID_OF_P256 = bytes.fromhex("06082a8648ce3d030107")

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | x25519.X25519PrivateKey


def der(key: PrivateKey = P256) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def pem(data: bytes) -> bytes:
    return b"-----BEGIN PRIVATE KEY-----\n%b\n-----END PRIVATE KEY-----\n" % (
        base64.b64encode(data)
    )


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(der().replace(OID_OF_P256, OID_OF_P256[:-1] + b"\x7f"), id="unknown curve"),
        pytest.param(der().replace(OID_OF_EC, OID_OF_EC[:-1] + b"\x7f"), id="unknown kind"),
        pytest.param(der(ec.derive_private_key(7, ec.SECP521R1())), id="another curve"),
        pytest.param(der(ec.derive_private_key(7, ec.BrainpoolP256R1())), id="a third curve"),
        pytest.param(der(rsa.generate_private_key(65_537, 2048)), id="RSA"),
        pytest.param(der(x25519.X25519PrivateKey.generate()), id="X25519"),
        pytest.param(der()[:-1], id="too short"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_a_file_with_another_key_is_malformed(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "issuer.pem"
    path.write_bytes(pem(data))
    path.chmod(0o600)

    with pytest.raises(Malformed, match=r"issuer\.pem"):
        load_or_create_signer(path)

    path.write_bytes(pem(der()))
    assert load_or_create_signer(path).private_bytes() == (7).to_bytes(32)


@pytest.mark.parametrize("place", ["folder", "none/issuer.pem", "file/issuer.pem", "dangling"])
def test_a_path_where_no_file_can_be_is_our_callers_mistake(tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir(mode=0o700)
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "dangling").symlink_to(tmp_path / "none" / "issuer.pem")
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(Misuse):
        load_or_create_signer(tmp_path / place)
    with pytest.raises(Misuse):
        load_or_create_private(tmp_path / place, lambda: b"secret")

    assert sorted(tmp_path.rglob("*")) == before
