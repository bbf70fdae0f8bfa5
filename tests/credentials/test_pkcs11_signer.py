"""Signers in a PKCS#11 token, tried against SoftHSM 2."""

import shutil
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from counterfoil_credentials.errors import CounterfoilError, Misuse, Refused, Unavailable
from counterfoil_credentials.jws import read_jws, sign_jws
from counterfoil_credentials.keys import Algorithm, Curve, Signer

pkcs11 = pytest.importorskip("pkcs11", reason="no python-pkcs11: the extra hsm is not installed")

from counterfoil_credentials.pkcs11_signer import Pkcs11Signer, Pkcs11Token  # noqa: E402  # needs it
from pkcs11 import Attribute, KeyType, Mechanism, Session  # noqa: E402
from pkcs11.util import ec  # noqa: E402

from tests.hsm import PIN, Hsm  # noqa: E402

MESSAGE = b"a warranty"
NAMES = {
    Curve.P256: "secp256r1",
    Curve.P384: "secp384r1",
    Curve.SECP256K1: "secp256k1",
    Curve.ED25519: "1.3.101.112",
}


def open_token(hsm: Hsm, label: str = "brand", pin: str = PIN) -> Pkcs11Token:
    return Pkcs11Token(hsm.module, label=label, pin=pin)


@pytest.fixture(scope="module")
def hsm(the_hsm: Hsm) -> Hsm:
    library = pkcs11.lib(str(the_hsm.module))
    with library.get_token(token_label="brand").open(rw=True, user_pin=PIN) as session:
        fill(session)
    return the_hsm


def fill(session: Session) -> None:
    """Make a pair of each curve, named by it, and pairs that cannot serve."""
    for curve in Curve:
        pair(session, curve, curve.value, curve.value.encode())
    pair(session, Curve.P256, "two of a kind", b"first")
    pair(session, Curve.P256, "two of a kind", b"second")
    halves = [pair(session, Curve.P256, f"mixed {i}", bytes([i])) for i in (1, 2)]
    halves[0][0][Attribute.LABEL] = "mixed"
    halves[1][1][Attribute.LABEL] = "mixed"
    lonely = pair(session, Curve.P256, "lonely", b"lonely")
    lonely[0].destroy()
    pair(session, Curve.P256, "silent", b"silent", {Attribute.SIGN: False})
    session.generate_keypair(KeyType.RSA, 2048, store=True, label="rsa")
    parameters = session.create_domain_parameters(
        KeyType.EC,
        {Attribute.EC_PARAMS: ec.encode_named_curve_parameters("secp521r1")},
        local=True,
    )
    parameters.generate_keypair(store=True, label="p521")


def pair(
    session: Session, curve: Curve, label: str, key_id: bytes, private: dict[Any, Any] | None = None
) -> tuple[Any, Any]:
    edwards = curve is Curve.ED25519
    parameters = session.create_domain_parameters(
        KeyType.EC_EDWARDS if edwards else KeyType.EC,
        {Attribute.EC_PARAMS: ec.encode_named_curve_parameters(NAMES[curve])},
        local=True,
    )
    made: tuple[Any, Any] = parameters.generate_keypair(
        mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN if edwards else Mechanism.EC_KEY_PAIR_GEN,
        store=True,
        label=label,
        id=key_id,
        private_template=private or {},
    )
    return made


@pytest.fixture
def token(hsm: Hsm) -> Iterator[Pkcs11Token]:
    with open_token(hsm) as opened:
        yield opened


@pytest.mark.parametrize("curve", Curve)
def test_signs_what_our_public_key_verifies(token: Pkcs11Token, curve: Curve) -> None:
    signer: Signer = token.signer(label=curve.value)

    signer.public.verify(signer.sign(MESSAGE), MESSAGE)

    assert signer.public.curve is curve
    with pytest.raises(Refused):
        signer.public.verify(signer.sign(MESSAGE), MESSAGE + b".")


@pytest.mark.parametrize("curve", Curve)
def test_signs_tokens(token: Pkcs11Token, curve: Curve) -> None:
    signer = token.signer(label=curve.value)

    jws = read_jws(sign_jws({"a": 1}, typ="x", signer=signer), typ="x", where="jws")

    assert jws.verify(signer.public, frozenset(Algorithm)) == {"a": 1}


def test_finds_a_key_by_its_label_or_its_id(token: Pkcs11Token) -> None:
    by_label = token.signer(label="P-256").public
    assert token.signer(key_id=b"P-256").public == by_label
    assert token.signer(label="P-256", key_id=b"P-256").public == by_label
    assert token.signer(label="P-384").public != by_label
    assert token.signer(key_id=b"first").public != token.signer(key_id=b"second").public


@pytest.mark.parametrize(
    ("label", "key_id", "found"),
    [
        ("two of a kind", None, "found 2 private and 2 public"),
        ("nobody's", None, "found 0 private and 0 public"),
        ("P-256", b"P-384", "found 0 private and 0 public"),
        ("lonely", None, "found 0 private and 1 public|found 1 private and 0 public"),
        ("mixed", None, "two halves"),
        ("silent", None, "a key that signs"),
        ("rsa", None, "elliptic curve"),
        ("p521", None, "P-256 or P-384"),
        ("", None, "printable label or an id"),
        (None, None, "printable label or an id"),
        ("\ud800", None, "printable label or an id"),
    ],
)
def test_takes_nothing_but_one_pair_that_signs(
    token: Pkcs11Token, label: str | None, key_id: bytes | None, found: str
) -> None:
    with pytest.raises(Misuse, match=found):
        token.signer(label=label, key_id=key_id)


@pytest.mark.parametrize("pin", ["4321-brand ", "4321-bran", "", "x" * 300, "4321\x00"])
def test_refuses_a_wrong_pin_and_says_none(hsm: Hsm, pin: str) -> None:
    with pytest.raises(Refused) as refusal:
        open_token(hsm, pin=pin)

    told = "".join(traceback.format_exception(refusal.value))
    assert refusal.value.codes == ["pin-incorrect"]
    assert "4321" not in told


def test_says_nothing_of_a_pin_that_is_no_text(hsm: Hsm) -> None:
    pin = PIN + "\udcff"
    with pytest.raises(Misuse) as misuse:
        open_token(hsm, pin=pin)
    assert "dcff" not in "".join(traceback.format_exception(misuse.value))


def test_shows_neither_pin_nor_key(token: Pkcs11Token) -> None:
    signer = token.signer(label="P-256")

    assert PIN not in repr(token)
    assert repr(signer) == f"Pkcs11Signer({signer.public.thumbprint()})"


def test_calls_a_token_or_a_library_that_is_not_there_unavailable(hsm: Hsm, tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        open_token(hsm, "another")
    with pytest.raises(Unavailable):
        Pkcs11Token(tmp_path / "none.so", label="brand", pin=PIN)


def test_two_tokens_of_one_label_are_one_too_many(hsm: Hsm) -> None:
    with pytest.raises(Misuse, match="one token"):
        open_token(hsm, "twin")


def test_a_process_logs_in_once(hsm: Hsm, token: Pkcs11Token) -> None:
    with pytest.raises(Misuse, match="logged in"):
        open_token(hsm)

    token.signer(label="P-256").sign(MESSAGE)


def test_signs_no_more_after_the_log_out(hsm: Hsm) -> None:
    with open_token(hsm) as token:
        signer = token.signer(label="P-256")

    with pytest.raises(Unavailable):
        signer.sign(MESSAGE)
    with pytest.raises(Unavailable):
        token.signer(label="P-256")
    token.close()
    with open_token(hsm) as again:
        assert again.signer(label="P-256").public == signer.public


def test_says_that_a_token_is_gone(hsm: Hsm, token: Pkcs11Token, tmp_path: Path) -> None:
    signer = token.signer(label="P-256")
    for folder in hsm.folder.iterdir():
        shutil.move(folder, tmp_path)

    try:
        with pytest.raises(Unavailable):
            signer.sign(MESSAGE)
        with pytest.raises(CounterfoilError):
            token.signer(label="P-256")
        token.close()
        with pytest.raises(Unavailable):
            open_token(hsm)
    finally:
        for folder in tmp_path.iterdir():
            shutil.move(folder, hsm.folder)
        # SoftHSM does not look again by itself.
        pkcs11.lib(str(hsm.module)).reinitialize()


# SoftHSM neither locks a PIN nor is it pulled out of its slot.
@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        ("PinLocked", "pin-locked"),
        ("PinExpired", "pin-expired"),
        ("PinLenRange", "pin-incorrect"),
        ("TokenNotPresent", "TokenNotPresent"),
        ("DeviceRemoved", "DeviceRemoved"),
        ("DeviceError", "DeviceError"),
    ],
)
def test_tells_apart_what_a_token_may_report(
    monkeypatch: pytest.MonkeyPatch, trouble: str, expected: str
) -> None:
    def lib(_: str) -> None:
        raise getattr(pkcs11.exceptions, trouble)

    monkeypatch.setattr(pkcs11, "lib", lib)

    with pytest.raises((Refused, Unavailable)) as reported:
        Pkcs11Token(Path("x.so"), label="brand", pin=PIN)
    found = reported.value
    assert found.codes == [expected] if isinstance(found, Refused) else expected in str(found)


def test_many_threads_sign_in_turn(token: Pkcs11Token) -> None:
    signers = [token.signer(label=curve.value) for curve in (Curve.P256, Curve.ED25519)]
    signed: list[tuple[Pkcs11Signer, bytes, bytes]] = []

    def work(number: int) -> None:
        for signer in signers:
            for i in range(5):
                message = bytes([number, i])
                signed.append((signer, message, signer.sign(message)))

    threads = [threading.Thread(target=work, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(signed) == 60
    for signer, message, signature in signed:
        signer.public.verify(signature, message)
