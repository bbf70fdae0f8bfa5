"""The envelope of a backup: two ways in, no third, and any library of JOSE can take them."""

import json
from collections.abc import Callable

import pytest
from counterfoil_credentials.encoding import b64url, from_b64url
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_wallet import envelope
from counterfoil_wallet.envelope import Envelope, recovery_public, seal
from counterfoil_wallet.passphrase import KeyRecipe
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap
from jwcrypto.jwe import JWE  # type: ignore[import-untyped]  # it ships no types
from jwcrypto.jwk import JWK  # type: ignore[import-untyped]  # it ships no types

from tests.wallet.conftest import CHEAP, PASSPHRASE

CONTENT = b'{"what": "the wallet holds"}\n' * 40
SECRET = bytes(range(1, 33))
Random = Callable[[int], bytes]


@pytest.fixture
def sealed(random_bytes: Random) -> bytes:
    return seal(
        CONTENT,
        passphrase=PASSPHRASE,
        recovery=recovery_public(SECRET),
        random=random_bytes,
        cost=CHEAP,
    )


def test_the_passphrase_opens_it(sealed: bytes) -> None:
    assert Envelope.parse(sealed).open(PASSPHRASE) == CONTENT


def test_the_recovery_key_opens_it(sealed: bytes) -> None:
    assert Envelope.parse(sealed).recover(SECRET) == CONTENT


def test_nothing_of_the_content_can_be_seen(sealed: bytes) -> None:
    parts = [from_b64url(part, "part") for part in sealed.decode().strip().split(".")]

    assert not any(b"wallet holds" in part for part in (sealed, *parts))


def test_another_passphrase_is_refused_by_name_and_not_repeated(sealed: bytes) -> None:
    with pytest.raises(Refused) as refusal:
        Envelope.parse(sealed).open("Correct horse battery staple")

    assert refusal.value.codes == ["passphrase-wrong"]
    assert "horse" not in str(refusal.value)


def test_each_guess_costs_argon2id(sealed: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    derived: list[int] = []

    def counted(**parameters: int | bytes) -> object:
        derived.append(int(parameters["memory_cost"]))
        return Argon2id(**parameters)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr("counterfoil_wallet.passphrase.Argon2id", counted)
    for guess in ("one", "two", "three"):
        with pytest.raises(Refused):
            Envelope.parse(sealed).open(guess)

    assert derived == [CHEAP.memory_kib] * 3


def test_the_same_passphrase_typed_on_another_keyboard_opens(random_bytes: Random) -> None:
    sealed = seal(CONTENT, passphrase="caf\u00e9", recovery=None, random=random_bytes, cost=CHEAP)

    assert Envelope.parse(sealed).open("cafe\u0301") == CONTENT


def test_an_empty_passphrase_seals_nothing(random_bytes: Random) -> None:
    with pytest.raises(Misuse):
        seal(CONTENT, passphrase="", recovery=None, random=random_bytes, cost=CHEAP)


def test_another_recovery_key_is_refused(sealed: bytes) -> None:
    with pytest.raises(Refused) as refusal:
        Envelope.parse(sealed).recover(bytes(range(2, 34)))

    assert refusal.value.codes == ["shares-of-another-key"]


def test_a_backup_of_before_the_split_says_so(random_bytes: Random) -> None:
    sealed = seal(CONTENT, passphrase=PASSPHRASE, recovery=None, random=random_bytes, cost=CHEAP)

    with pytest.raises(Refused) as refusal:
        Envelope.parse(sealed).recover(SECRET)

    assert refusal.value.codes == ["no-recovery"]


def test_a_library_of_jose_reads_it_given_the_key(sealed: bytes) -> None:
    token = sealed.decode().strip()
    way = json.loads(from_b64url(token.split(".")[0], "head"))["passphrase"]
    wrapping = KeyRecipe.from_json(way, "way").key(PASSPHRASE).raw
    key = aes_key_unwrap(bytes(wrapping), from_b64url(way["wrapped"], "wrapped"))
    jwe = JWE(algs=["dir", "A256GCM"])

    jwe.deserialize(token, JWK(kty="oct", k=b64url(key)))

    assert jwe.payload == CONTENT


def test_what_a_library_of_jose_wrote_to_the_recovery_key_is_read(sealed: bytes) -> None:
    # RFC 7518, section 4.6: agreement and wrapping as another implementation does them.
    agreed = JWE(
        b"anything",
        json.dumps({"alg": "ECDH-ES+A256KW", "enc": "A256GCM"}),
        algs=["ECDH-ES+A256KW", "A256GCM"],
    )
    agreed.add_recipient(JWK(**recovery_public(SECRET).jwk()))
    head, wrapped, *_ = agreed.serialize(compact=True).split(".")
    header = json.loads(from_b64url(sealed.decode().split(".")[0], "head"))
    epk = json.loads(from_b64url(head, "head"))["epk"]
    header["recovery"] = {**header["recovery"], "epk": epk, "wrapped": wrapped}
    written = JWE(CONTENT, json.dumps(header), algs=["dir", "A256GCM"])
    written.add_recipient(JWK(kty="oct", k=b64url(agreed.cek)))

    read = Envelope.parse(written.serialize(compact=True).encode())

    assert read.recover(SECRET) == CONTENT


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.5, 0.9, 0.999])
def test_a_backup_that_was_cut_short_is_told(sealed: bytes, share: float) -> None:
    with pytest.raises(Malformed):
        Envelope.parse(sealed[: int(len(sealed) * share)]).open(PASSPHRASE)


def test_a_change_anywhere_is_told(sealed: bytes) -> None:
    for offset in range(0, len(sealed) - 1, 7):
        changed = bytearray(sealed)
        changed[offset] ^= 1
        with pytest.raises((Malformed, Refused)) as told:
            Envelope.parse(bytes(changed)).open(PASSPHRASE)
        if isinstance(told.value, Refused):
            assert set(told.value.codes) <= {"passphrase-wrong", "backup-too-new"}


def with_header(sealed: bytes, **changes: object) -> bytes:
    """Give the backup with another header, as somebody would write it who holds no key."""
    head, rest = sealed.decode().split(".", 1)
    header = {**json.loads(from_b64url(head, "head")), **changes}
    return f"{b64url(json.dumps(header).encode())}.{rest}".encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"typ": "another"},
        {"enc": "none"},
        {"alg": "none"},
        {"version": "1"},
        {"passphrase": None},
        {"passphrase": {}},
    ],
)
def test_a_foreign_header_is_told(sealed: bytes, changes: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        Envelope.parse(with_header(sealed, **changes)).open(PASSPHRASE)


def test_a_later_version_is_told(sealed: bytes) -> None:
    with pytest.raises(Refused) as refusal:
        Envelope.parse(with_header(sealed, version=2))

    assert refusal.value.codes == ["backup-too-new"]


@pytest.mark.parametrize(
    "members",
    [
        {"memory_kib": 2**31},
        {"iterations": 10**9},
        {"memory_kib": 2**20, "iterations": 13},
        {"lanes": 64},
        {"salt": ""},
    ],
)
def test_a_header_cannot_ask_for_the_whole_machine(
    sealed: bytes, members: dict[str, object]
) -> None:
    header = json.loads(from_b64url(sealed.decode().split(".")[0], "head"))
    way = {**header["passphrase"], **members}

    with pytest.raises(Malformed):
        Envelope.parse(with_header(sealed, passphrase=way)).open(PASSPHRASE)


@pytest.mark.parametrize(
    "epk",
    [
        {"kty": "EC", "crv": "P-256", "x": b64url(bytes(32)), "y": b64url(bytes(32))},
        {"kty": "OKP", "crv": "Ed25519", "x": b64url(b"\1" * 32)},
        {},
    ],
)
def test_a_point_that_is_on_no_curve_of_ours_is_told(sealed: bytes, epk: dict[str, object]) -> None:
    header = json.loads(from_b64url(sealed.decode().split(".")[0], "head"))
    way = {**header["recovery"], "epk": epk}

    with pytest.raises(Malformed):
        Envelope.parse(with_header(sealed, recovery=way)).recover(SECRET)


@pytest.mark.parametrize(
    "foreign",
    [b"", b"\x89PNG\r\n\x1a\n", b"....", b"a.b.c.d.e", b"{}", b"\xff" * 100, b"eyJ9." * 10_000],
)
def test_another_kind_of_file_is_told(foreign: bytes) -> None:
    with pytest.raises(Malformed):
        Envelope.parse(foreign)


def test_what_is_too_long_is_neither_read_nor_written(
    sealed: bytes, random_bytes: Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envelope, "MAX_SEALED_BYTES", len(sealed) - 1)

    with pytest.raises(Malformed, match="at most"):
        Envelope.parse(sealed)
    with pytest.raises(Refused) as refusal:
        seal(CONTENT * 2, passphrase="p", recovery=None, random=random_bytes, cost=CHEAP)
    assert refusal.value.codes == ["backup-too-large"]
