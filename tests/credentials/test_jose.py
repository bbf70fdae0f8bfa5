"""Encrypted messages: one algorithm, one curve, two ciphers; everything else is refused unread."""

import json
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    b64url,
    compact_json,
    from_b64url,
    parse_object,
)
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_credentials.jose import (
    MAX_JWE_BYTES,
    ContentEncryption,
    DecryptionKey,
    decrypt_jwe,
    encrypt_jwe,
    encryption_key,
)
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

Vectors = Callable[[str], Path]
Object: TypeAlias = dict[str, Any]

SECRET = b'{"vp_token":{"a":["b"]}}'
KEY = DecryptionKey.from_private_bytes(bytes(31) + b"\7", "ac")
OTHER = DecryptionKey.from_private_bytes(bytes(31) + b"\x0b", "bd")


def sealed(
    encryption: ContentEncryption = ContentEncryption.A128GCM, apu: bytes = b"", apv: bytes = b""
) -> str:
    return encrypt_jwe(SECRET, key=KEY.public, encryption=encryption, apu=apu, apv=apv)


def opened(token: str, *keys: DecryptionKey) -> bytes:
    return decrypt_jwe(token, keys=keys or [KEY], where="response")


def header_of(token: str) -> JsonObject:
    return parse_object(from_b64url(token.partition(".")[0], "header"), "header")


def with_header(token: str, **changes: Json) -> str:
    """Give the token under another header, which the tag does not cover any more."""
    header = header_of(token) | changes
    left: JsonObject = {name: value for name, value in header.items() if value is not None}
    return ".".join([b64url(compact_json(left)), *token.split(".")[1:]])


def with_part(token: str, index: int, part: bytes | str) -> str:
    parts = token.split(".")
    parts[index] = part if isinstance(part, str) else b64url(part)
    return ".".join(parts)


def codes(token: str, *keys: DecryptionKey) -> list[str]:
    with pytest.raises(Refused) as refusal:
        opened(token, *keys)
    return refusal.value.codes


# There and back


@pytest.mark.parametrize("encryption", ContentEncryption)
def test_reads_what_was_written_to_its_key(encryption: ContentEncryption) -> None:
    token = sealed(encryption=encryption)

    assert opened(token) == SECRET
    assert header_of(token).keys() == {"alg", "enc", "kid", "epk"}
    assert (header_of(token)["enc"], header_of(token)["kid"]) == (encryption.value, "ac")


def test_writes_with_a_fresh_key_each_time() -> None:
    assert header_of(sealed())["epk"] != header_of(sealed())["epk"]


def test_finds_the_key_by_its_name_among_several() -> None:
    assert opened(sealed(), OTHER, KEY) == SECRET
    assert codes(sealed(), OTHER) == ["unknown-key"]


def test_tries_a_token_without_name_with_an_only_key() -> None:
    nameless = encryption_key({"keys": [KEY.jwk() | {"kid": "x"}]}, "jwks")
    token = encrypt_jwe(SECRET, key=type(nameless)(None, nameless.point))

    assert "kid" not in header_of(token)
    assert opened(token) == SECRET
    assert codes(token, KEY, OTHER) == ["unknown-key"]


def test_another_key_of_the_same_name_opens_nothing() -> None:
    impostor = DecryptionKey.from_private_bytes(OTHER.private_bytes(), "ac")

    assert codes(sealed(), impostor) == ["decryption-failed"]


def test_keeps_a_key_as_bytes_and_never_shows_it() -> None:
    again = DecryptionKey.from_private_bytes(KEY.private_bytes(), "ac")

    assert opened(sealed(), again) == SECRET
    assert repr(KEY) == "DecryptionKey(key_id='ac')"


@pytest.mark.parametrize("secret", [b"", bytes(32), b"\xff" * 32, bytes(31), bytes(33)])
def test_no_other_bytes_are_a_key(secret: bytes) -> None:
    with pytest.raises(Misuse):
        DecryptionKey.from_private_bytes(secret, "ac")


@pytest.mark.parametrize("key_id", ["", "x" * 201])
def test_a_key_has_a_short_name(key_id: str) -> None:
    with pytest.raises(Misuse):
        DecryptionKey.generate(key_id)


def test_no_other_curve_has_a_key() -> None:
    with pytest.raises(Misuse):
        DecryptionKey(ec.generate_private_key(ec.SECP384R1()), "ac")


def test_encrypts_no_nothing() -> None:
    with pytest.raises(Misuse):
        encrypt_jwe(b"", key=KEY.public)


def test_both_parties_names_go_into_the_key() -> None:
    token = sealed(apu=b"wallet", apv=b"shop")

    assert opened(token) == SECRET
    assert header_of(token)["apu"] == b64url(b"wallet")
    assert codes(with_header(token, apv=b64url(b"sh0p"))) == ["decryption-failed"]
    assert codes(with_header(token, apu=None)) == ["decryption-failed"]


def test_derives_the_key_of_rfc_7518_appendix_c() -> None:
    bob = DecryptionKey.from_private_bytes(
        from_b64url("VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw", "d"), "bob"
    )
    header = compact_json(
        {
            "alg": "ECDH-ES",
            "enc": "A128GCM",
            "apu": "QWxpY2U",
            "apv": "Qm9i",
            "epk": {
                "kty": "EC",
                "crv": "P-256",
                "x": "gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0",
                "y": "SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps",
            },
        }
    )
    derived, iv = from_b64url("VqqN6vgjbSBcIijNcacQGg", "key"), bytes(12)
    content = AESGCM(derived).encrypt(iv, SECRET, b64url(header).encode())
    token = ".".join([b64url(header), "", b64url(iv), b64url(content[:-16]), b64url(content[-16:])])

    assert opened(token, bob) == SECRET


# What is refused


@pytest.mark.parametrize("part", [2, 3, 4])
def test_one_changed_bit_opens_nothing(part: int) -> None:
    token = sealed()
    data = bytearray(from_b64url(token.split(".")[part], "part"))
    data[0] ^= 1

    assert codes(with_part(token, part, bytes(data))) == ["decryption-failed"]


def test_a_changed_header_opens_nothing() -> None:
    assert codes(with_header(sealed(), cty="x")) == ["decryption-failed"]
    ours = header_of(sealed())["epk"]
    assert codes(with_header(sealed(), epk=ours)) == ["decryption-failed"]
    assert codes(with_header(sealed(), enc="A256GCM")) == ["decryption-failed"]


@pytest.mark.parametrize(
    "algorithm",
    [
        "ECDH-ES+A128KW",
        "ECDH-ES+A256KW",
        "RSA-OAEP-256",
        "RSA1_5",
        "A128KW",
        "A256GCMKW",
        "PBES2-HS256+A128KW",
        "dir",
        "none",
        "ecdh-es",
        "",
    ],
)
def test_refuses_every_other_algorithm(algorithm: str) -> None:
    assert codes(with_header(sealed(), alg=algorithm)) == ["algorithm-not-allowed"]


@pytest.mark.parametrize("encryption", ["A192GCM", "A128CBC-HS256", "A256CBC-HS512", "none", ""])
def test_refuses_every_other_cipher(encryption: str) -> None:
    assert codes(with_header(sealed(), enc=encryption)) == ["algorithm-not-allowed"]


def test_refuses_a_cipher_that_the_reader_did_not_offer() -> None:
    token = sealed(encryption=ContentEncryption.A256GCM)

    with pytest.raises(Refused) as refusal:
        decrypt_jwe(
            token, keys=[KEY], where="x", encryptions=frozenset({ContentEncryption.A128GCM})
        )
    assert refusal.value.codes == ["algorithm-not-allowed"]


@pytest.mark.parametrize("compression", ["DEF", "none", None, 1])
def test_refuses_compression_before_it_inflates_anything(compression: Json) -> None:
    header = header_of(sealed()) | {"zip": compression}
    token = with_part(sealed(), 0, compact_json(header))
    bomb = with_part(token, 3, zlib.compress(bytes(10**7))[2:-4])

    assert codes(bomb) == ["compression-not-allowed"]


@pytest.mark.parametrize(
    "epk",
    [
        {},
        [],
        "x",
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        KEY.jwk(),
        KEY.public.point.jwk() | {"d": b64url(KEY.private_bytes())},
        KEY.public.point.jwk() | {"generate": "RSA", "size": 16384},
        {"generate": "RSA", "size": 16384, "x": "", "y": ""},
        KEY.public.point.jwk() | {"crv": "P-384"},
        KEY.public.point.jwk() | {"crv": "secp256k1"},
        KEY.public.point.jwk() | {"kty": "oct"},
        KEY.public.point.jwk() | {"x": 1},
        KEY.public.point.jwk() | {"y": b64url(bytes(32))},
        {"kty": "EC", "crv": "P-256", "x": b64url(bytes(32)), "y": b64url(bytes(32))},
        {"kty": "OKP", "crv": "X25519", "x": b64url(bytes(32))},
    ],
    ids=range(15),
)
def test_takes_nothing_but_a_bare_point_of_the_curve_from_the_sender(epk: Json) -> None:
    with pytest.raises(Malformed):
        opened(with_header(sealed(), epk=epk))


@pytest.mark.parametrize(
    "changes",
    [
        {"alg": None},
        {"alg": 1},
        {"enc": None},
        {"enc": ["A128GCM"]},
        {"epk": None},
        {"kid": 1},
        {"crit": []},
        {"jku": "https://a.example"},
        {"x5u": "https://a.example"},
        {"apu": 1},
        {"apv": "a="},
        {"apv": "é"},
        {"cty": "x" * 5000},
    ],
    ids=str,
)
def test_takes_no_other_kind_of_header(changes: dict[str, Json]) -> None:
    with pytest.raises(Malformed):
        opened(with_header(sealed(), **changes))


@pytest.mark.parametrize(
    ("index", "part"),
    [
        (0, ""),
        (0, b"[]"),
        (0, b'{"alg":"ECDH-ES","alg":"dir"}'),
        (0, b"\xff"),
        (0, b"[" * 2000),
        (1, b"wrapped"),
        (2, b""),
        (2, bytes(11)),
        (2, bytes(16)),
        (3, b""),
        (4, b""),
        (4, bytes(15)),
        (4, bytes(17)),
        (2, "!"),
        (3, "AB="),
        (4, "\ud800"),
        (3, "é"),
    ],
    ids=range(17),
)
def test_takes_no_part_of_another_shape(index: int, part: bytes | str) -> None:
    with pytest.raises(Malformed):
        opened(with_part(sealed(), index, part))


@pytest.mark.parametrize(
    "token", ["", ".", "....", "a.b.c", "." * 10_000, "{}", '{"protected":"e30"}', "\x00" * 9]
)
def test_takes_no_other_serialisation(token: str) -> None:
    with pytest.raises(Malformed):
        opened(token)


def test_reads_as_much_as_was_allowed() -> None:
    token = sealed()

    assert decrypt_jwe(token, keys=[KEY], where="x", max_bytes=len(token)) == SECRET
    with pytest.raises(Malformed):
        decrypt_jwe(token, keys=[KEY], where="x", max_bytes=len(token) - 1)
    with pytest.raises(Malformed):
        opened("x" * (MAX_JWE_BYTES + 1))


# Whose key


def test_chooses_the_first_key_that_it_can_use() -> None:
    jwks: Json = {
        "keys": [
            {},
            {"kty": "OKP", "crv": "X25519", "alg": "ECDH-ES", "use": "enc", "x": "AA"},
            {**OTHER.jwk(), "crv": "P-384"},
            {**OTHER.jwk(), "use": "sig"},
            {**OTHER.jwk(), "alg": "ECDH-ES+A128KW"},
            {name: value for name, value in OTHER.jwk().items() if name != "alg"},
            {**OTHER.jwk(), "x": b64url(bytes(32))},
            {**OTHER.jwk(), "d": b64url(bytes(32))},
            {**OTHER.jwk(), "kid": 1},
            {**OTHER.jwk(), "kid": "x" * 201},
            {name: value for name, value in KEY.jwk().items() if name != "use"},
            OTHER.jwk(),
        ]
    }

    assert encryption_key(jwks, "jwks") == KEY.public


@pytest.mark.parametrize("keys", [[], [{}], [KEY.jwk() | {"use": "sig"}]])
def test_refuses_a_set_without_usable_key(keys: list[Json]) -> None:
    with pytest.raises(Refused) as refusal:
        encryption_key({"keys": keys}, "jwks")
    assert refusal.value.codes == ["no-usable-key"]


@pytest.mark.parametrize(
    "jwks", [None, [], {}, {"keys": {}}, {"keys": [KEY.jwk()] * 101}], ids=range(5)
)
def test_calls_what_is_no_key_set_malformed(jwks: Json) -> None:
    with pytest.raises(Malformed):
        encryption_key(jwks, "jwks")


@pytest.mark.parametrize("keys", [[1], ["x"], [None], [[]]])
def test_passes_over_what_is_no_key(keys: list[Json]) -> None:
    assert encryption_key({"keys": [*keys, KEY.jwk()]}, "jwks") == KEY.public


# Published vectors


def test_reads_wycheproof_s_valid_tokens_of_ours_and_refuses_all_others(vectors: Vectors) -> None:
    published = json.loads((vectors("wycheproof") / "json_web_encryption_test.json").read_text())
    outcomes: Counter[str] = Counter()
    for group in published["testGroups"]:
        key = key_of(group["private"])
        for test in group["tests"]:
            name, token = f"tcId {test['tcId']}", test["jwe"]
            text = token if isinstance(token, str) else json.dumps(token)
            outcome = outcome_of(text, key)
            if isinstance(outcome, bytes):
                assert outcome == bytes.fromhex(test["pt"]), name
                outcome = "read"
            outcomes[f"{test['result']}: {outcome}"] += 1

    # Refused although valid: key wrapping, RSA, shared secrets, CBC and 192 bits are not ours.
    assert set(outcomes) == {
        "valid: read",
        "valid: algorithm-not-allowed",
        "invalid: algorithm-not-allowed",
        "invalid: malformed",
    }
    assert outcomes["valid: read"] == 2
    assert outcomes.total() == published["numberOfTests"]


def test_refuses_the_cookbook_s_tokens_which_are_all_of_other_algorithms(vectors: Vectors) -> None:
    folder = vectors("jose-cookbook")
    paths = [*sorted((folder / "jwe").iterdir()), folder / "curve25519" / "ecdh-es.json"]
    outcomes: dict[str, str | bytes] = {}
    for path in paths:
        found: Object = json.loads(path.read_text())
        for form, token in found["output"].items():
            text = token if isinstance(token, str) else json.dumps(token)
            outcomes[f"{path.stem} {form}"] = outcome_of(text, KEY)

    compact = {name: why for name, why in outcomes.items() if name.endswith(" compact")}
    assert len(compact) == 7
    # ECDH-ES itself is there once, on another curve (RFC 8037, appendix A.6).
    assert compact.pop("ecdh-es compact") == "malformed"
    assert set(compact.values()) == {"algorithm-not-allowed"}
    assert {outcomes[name] for name in outcomes if name not in compact} == {"malformed"}


def key_of(jwk: Object) -> DecryptionKey:
    """Give the vector's key where it is of our curve; others are refused before a key is used."""
    if jwk.get("crv") != "P-256":
        return KEY
    return DecryptionKey.from_private_bytes(from_b64url(jwk["d"], "d"), jwk["kid"])


def outcome_of(token: str, key: DecryptionKey) -> bytes | str:
    """Give what the token holds, or why it is not read."""
    try:
        return decrypt_jwe(token, keys=[key], where="jwe")
    except Refused as refusal:
        return ", ".join(refusal.codes)
    except Malformed:
        return "malformed"


def test_whoever_encrypts_nothing_does_not_load_jwcrypto() -> None:
    program = "import counterfoil_credentials.jose, sys; print(*sys.modules, sep='\\n')"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()

    assert not any(name.startswith("jwcrypto") for name in loaded)
