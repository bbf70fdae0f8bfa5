"""Multikey: one text for one key, and no other text for it."""

import time

import pytest
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_credentials.keys import Curve, MemorySigner
from counterfoil_credentials.multikey import MAX_BASE58, Multikey, from_multibase, multibase
from hypothesis import assume, given
from hypothesis import strategies as st

KEYS = {
    curve: MemorySigner.from_private_bytes(b"\x07" * size, curve).public
    for curve, size in zip(Curve, (32, 48, 32, 32), strict=True)
}
# How each text begins says which kind of key it is (the did:key method, test vectors).
BEGINNINGS = {Curve.P256: "zDn", Curve.P384: "z82", Curve.SECP256K1: "zQ3s", Curve.ED25519: "z6Mk"}
CODES = {
    Curve.P256: b"\x80\x24",
    Curve.P384: b"\x81\x24",
    Curve.SECP256K1: b"\xe7\x01",
    Curve.ED25519: b"\xed\x01",
}


@pytest.mark.parametrize("curve", Curve)
def test_a_key_comes_back_from_its_multikey(curve: Curve) -> None:
    text = str(Multikey.of(KEYS[curve]))

    assert text.startswith(BEGINNINGS[curve])
    assert from_multibase(text, "key") == CODES[curve] + KEYS[curve].point
    assert Multikey.parse(text, "key").public_key("key") == KEYS[curve]


@pytest.mark.parametrize("curve", Curve)
def test_a_multikey_one_thing_away_is_malformed(curve: Curve) -> None:
    code, point = CODES[curve], KEYS[curve].point
    uncompressed = b"\x04" + KEYS[curve].x + (KEYS[curve].y or bytes(31))
    neighbours = {
        "one byte short": code + point[:-1],
        "one byte long": code + point + b"\0",
        "not compressed": code + uncompressed,
        "a varint with a superfluous byte": code[:1] + bytes([code[1] | 0x80, 0]) + point,
        "no code": b"",
        "an endless code": b"\xff" * 40,
        "a private key": b"\x86\x26" + point[:32],
    }
    for name, data in neighbours.items():
        with pytest.raises(Malformed):
            Multikey.parse(multibase(data), name).public_key(name)


def test_a_point_off_the_curve_is_malformed() -> None:
    for curve in (Curve.P256, Curve.P384, Curve.SECP256K1):
        point = KEYS[curve].point
        off = [
            CODES[curve] + bytes([prefix]) + bytes([x]) * (len(point) - 1)
            for prefix, x in ((2, 0xFF), (5, 7), (4, 7), (0, 7))
        ]
        for data in off:
            with pytest.raises(Malformed):
                Multikey.parse(multibase(data), "key").public_key("key")
    with pytest.raises(Malformed, match="small order"):
        Multikey.parse(multibase(b"\xed\x01" + bytes(32)), "key").public_key("key")


@pytest.mark.parametrize(
    ("code", "size"), [(0xEC, 32), (0x1202, 67), (0x1205, 270), (0xEB, 96), (0x99, 7)]
)
def test_a_key_of_another_kind_is_read_and_refused_for_verifying(code: int, size: int) -> None:
    text = str(Multikey(code, bytes(size)))
    multikey = Multikey.parse(text, "key")

    assert (multikey.code, len(multikey.data)) == (code, size)
    with pytest.raises(Refused) as refused:
        multikey.public_key("key")
    assert refused.value.codes == ["key-type-unsupported"]


def test_base64url_is_multibase_but_no_multikey() -> None:
    key = KEYS[Curve.P256]
    data = CODES[Curve.P256] + key.point

    assert from_multibase(multibase(data, "u"), "key") == data
    with pytest.raises(Malformed, match="base58btc with its prefix z"):
        Multikey.parse(multibase(data, "u"), "key")


@pytest.mark.parametrize(
    "text", ["", "z0", "zO", "zI", "zl", "z ", "zé", "z\udc80", "m00", "u=", "Z1"]
)
def test_text_in_no_base_that_we_speak_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        from_multibase(text, "text")


def test_base58_is_bounded_before_it_costs_anything() -> None:
    assert len(from_multibase("z" + "z" * MAX_BASE58, "text")) == 750
    started = time.perf_counter()
    with pytest.raises(Malformed, match="at most 1024 characters"):
        from_multibase("z" * 10_000_000, "text")
    assert time.perf_counter() - started < 1


def test_base58_of_our_own_is_bounded_and_base64url_is_not() -> None:
    for byte in (b"\0", b"\xff"):
        assert multibase(byte * MAX_BASE58).startswith("z")
        with pytest.raises(Misuse, match="at most 1024 bytes"):
            multibase(byte * (MAX_BASE58 + 1))
        assert from_multibase(multibase(byte * 2_000, "u"), "text") == byte * 2_000


def test_whatever_is_read_can_be_written() -> None:
    for text in ("z" + "1" * MAX_BASE58, "z" + "z" * MAX_BASE58):
        assert multibase(from_multibase(text, "text")) == text


@given(st.binary(max_size=300))
def test_every_text_of_bytes_leads_back_to_them(data: bytes) -> None:
    assert from_multibase(multibase(data), "text") == data
    assert from_multibase(multibase(data, "u"), "text") == data


@pytest.mark.parametrize(
    ("code", "spelling"), [(0, b"\0"), (0x7F, b"\x7f"), (0x80, b"\x80\x01"), (0x3FFF, b"\xff\x7f")]
)
def test_a_multicodec_has_one_spelling(code: int, spelling: bytes) -> None:
    text = str(Multikey(code, b"key"))

    assert from_multibase(text, "key") == spelling + b"key"
    assert Multikey.parse(text, "key") == (code, b"key")


@given(st.integers(min_value=0, max_value=2**63 - 1), st.binary(max_size=40))
def test_every_multicodec_comes_back(code: int, data: bytes) -> None:
    assume(not 0x1300 <= code <= 0x1310)  # Among these are the private keys.

    assert Multikey.parse(str(Multikey(code, data)), "key") == (code, data)


@given(st.text(alphabet=st.characters(), max_size=80).map(lambda text: "z" + text))
def test_any_text_gives_a_multikey_or_our_error(text: str) -> None:
    try:
        multikey = Multikey.parse(text, "key")
    except Malformed:
        return
    assert str(multikey) == text
