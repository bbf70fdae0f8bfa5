"""BBS signatures: the draft's fixtures, and what a proof shows, hides and cannot be bent to."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from counterfoil_credentials import bbs_signatures
from counterfoil_credentials.bbs_signatures import (
    MAX_MESSAGES,
    SecretKey,
    check_proof,
    check_signature,
    prove,
    sign,
)
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from py_arkworks_bls12381 import G1Point, Scalar

pytestmark = pytest.mark.once
Vectors = Callable[[str], Path]
Fixture = dict[str, Any]

ORDER = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
SECRET = SecretKey.from_material(bytes(range(32)))
HEADER = b"under warranty"
MESSAGES = [b"name", b"serial", b"", b"until 2028", b"until 2028"]


@pytest.fixture
def fixtures(vectors: Vectors) -> Callable[[str], Fixture]:
    folder = vectors("bbs-signature") / "bls12-381-sha-256"

    def read(name: str) -> Fixture:
        found: Fixture = json.loads((folder / name).read_text())
        return found

    return read


def octets(texts: list[str]) -> list[bytes]:
    return [bytes.fromhex(text) for text in texts]


def is_good(check: Callable[[], None]) -> bool:
    try:
        check()
    except (Refused, Malformed):
        return False
    return True


class TestTheFixtures:
    def test_a_key_is_derived_as_published(self, fixtures: Callable[[str], Fixture]) -> None:
        given = fixtures("keypair.json")
        key = SecretKey.from_material(*octets([given["keyMaterial"], given["keyInfo"]]))

        assert key.data.hex() == given["keyPair"]["secretKey"]
        assert key.public.hex() == given["keyPair"]["publicKey"]

    def test_generators_and_scalars_are_the_published_ones(
        self, fixtures: Callable[[str], Fixture], vectors: Vectors
    ) -> None:
        generators = fixtures("generators.json")
        found = bbs_signatures.GENERATORS.first(11)
        texts = [bytes(point.to_compressed_bytes()).hex() for point in found]
        assert texts == [generators["Q1"], *generators["MsgGenerators"]]
        assert bytes(bbs_signatures.P1.to_compressed_bytes()).hex() == generators["P1"]

        mapped = fixtures("MapMessageToScalarAsHash.json")
        messages: list[str] = json.loads((vectors("bbs-signature") / "messages.json").read_text())
        assert [case["message"] for case in mapped["cases"]] == messages
        for case in mapped["cases"]:
            scalar = bbs_signatures.to_scalar(bytes.fromhex(case["message"]))
            assert bytes(scalar.to_be_bytes()).hex() == case["scalar"]
        hashed = fixtures("h2s.json")
        scalar = bbs_signatures.hash_to_scalar(*octets([hashed["message"], hashed["dst"]]))
        assert bytes(scalar.to_be_bytes()).hex() == hashed["scalar"]

    @pytest.mark.parametrize("number", range(1, 11, 2))
    def test_signatures_are_good_or_not_as_published(
        self, fixtures: Callable[[str], Fixture], number: int
    ) -> None:
        given = fixtures(f"signature/signature{number:03}.json")
        pair, header = given["signerKeyPair"], bytes.fromhex(given["header"])
        signature, messages = bytes.fromhex(given["signature"]), octets(given["messages"])
        secret = SecretKey.of(bytes.fromhex(pair["secretKey"]))
        public = bytes.fromhex(pair["publicKey"])
        valid: bool = given["result"]["valid"]

        good = is_good(lambda: check_signature(public, signature, header, messages))

        assert good is valid
        if valid:
            assert sign(secret, header, messages) == signature

    @pytest.mark.parametrize("number", range(1, 16, 2))
    def test_proofs_are_good_or_not_as_published(
        self,
        fixtures: Callable[[str], Fixture],
        number: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        given = fixtures(f"proof/proof{number:03}.json")
        public, proof, header, signature, nonce = octets(
            [
                given[name]
                for name in (
                    "signerPublicKey",
                    "proof",
                    "header",
                    "signature",
                    "presentationHeader",
                )
            ]
        )
        messages = octets(given["messages"])
        places: list[int] = given["disclosedIndexes"]
        shown = {i: messages[i] for i in places if i < len(messages)}

        good = is_good(lambda: check_proof(public, proof, header, shown, presentation_header=nonce))

        assert good is given["result"]["valid"]
        if not good:
            return
        drawn: Fixture = given["trace"]["random_scalars"]
        names = ("r1", "r2", "e_tilde", "r1_tilde", "r3_tilde")
        scalars = [
            Scalar.from_be_bytes(each)
            for each in octets([*(drawn[name] for name in names), *drawn["m_tilde_scalars"]])
        ]

        def known(count: int) -> list[Scalar]:
            return scalars[:count]

        monkeypatch.setattr(bbs_signatures, "_random_scalars", known)
        made = prove(public, signature, header, messages, shown=places, presentation_header=nonce)
        assert made == proof


@pytest.fixture(scope="module")
def signature() -> bytes:
    return sign(SECRET, HEADER, MESSAGES)


@pytest.fixture(scope="module")
def proof(signature: bytes) -> bytes:
    return prove(SECRET.public, signature, HEADER, MESSAGES, shown=[1, 3], presentation_header=b"n")


def shown_at(*places: int) -> dict[int, bytes]:
    return {place: MESSAGES[place] for place in places}


class TestShowing:
    @pytest.mark.parametrize("places", [[], [0], [2, 4], [0, 1, 2, 3, 4]])
    def test_any_part_may_be_shown(self, signature: bytes, places: list[int]) -> None:
        proof = prove(
            SECRET.public, signature, HEADER, MESSAGES, shown=places, presentation_header=b"n"
        )

        check_proof(SECRET.public, proof, HEADER, shown_at(*places), presentation_header=b"n")

    def test_two_proofs_of_one_signature_share_no_part(self, signature: bytes) -> None:
        first, second = (
            prove(SECRET.public, signature, HEADER, MESSAGES, shown=[0]) for _ in range(2)
        )

        def parts(proof: bytes) -> set[bytes]:
            points = {proof[i : i + 48] for i in range(0, 144, 48)}
            return points | {proof[i : i + 32] for i in range(144, len(proof), 32)}

        assert not parts(first) & parts(second)
        assert signature[:48] not in parts(first)

    def test_nothing_may_be_signed_but_a_header(self) -> None:
        signature = sign(SECRET, HEADER, [])

        check_signature(SECRET.public, signature, HEADER, [])
        proof = prove(SECRET.public, signature, HEADER, [], shown=[])
        check_proof(SECRET.public, proof, HEADER, {})


class TestAttempts:
    @pytest.mark.parametrize(
        ("header", "shown", "nonce"),
        [
            (b"other", shown_at(1, 3), b"n"),
            (HEADER, shown_at(1, 3), b"m"),
            (HEADER, {1: b"another", 3: MESSAGES[3]}, b"n"),
            (HEADER, {1: MESSAGES[1], 4: MESSAGES[4]}, b"n"),
            (HEADER, shown_at(1), b"n"),
            (HEADER, shown_at(1, 2, 3), b"n"),
            (HEADER, {}, b"n"),
        ],
    )
    def test_what_was_not_proved_is_refused(
        self, proof: bytes, header: bytes, shown: dict[int, bytes], nonce: bytes
    ) -> None:
        with pytest.raises(Refused) as refused:
            check_proof(SECRET.public, proof, header, shown, presentation_header=nonce)

        assert refused.value.codes == ["signature-invalid"]

    def test_another_key_s_proof_is_refused(self, proof: bytes) -> None:
        other = SecretKey.from_material(bytes(32))

        with pytest.raises(Refused):
            check_proof(other.public, proof, HEADER, shown_at(1, 3), presentation_header=b"n")

    def test_a_point_put_to_another_scale_is_refused(self, proof: bytes) -> None:
        # The challenge binds each point: without it, both sides of the pairing could be scaled.
        two = Scalar(2)
        scaled = b"".join(
            bytes((G1Point.from_compressed_bytes(proof[i : i + 48]) * two).to_compressed_bytes())
            for i in (0, 48)
        )

        with pytest.raises(Refused):
            check_proof(
                SECRET.public,
                scaled + proof[96:],
                HEADER,
                shown_at(1, 3),
                presentation_header=b"n",
            )

    def test_whoever_has_no_signature_proves_nothing(
        self, signature: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Everything fits together but the pairing: only the signer's own point satisfies that.
        invented = bytes((G1Point() * Scalar(7)).to_compressed_bytes()) + signature[48:]

        def agreed(*_: object) -> None: ...

        monkeypatch.setattr(bbs_signatures, "check_signature", agreed)
        forged = prove(SECRET.public, invented, HEADER, MESSAGES, shown=[1, 3])

        with pytest.raises(Refused):
            check_proof(SECRET.public, forged, HEADER, shown_at(1, 3))

    @pytest.mark.parametrize("at", [0, 48, 96])
    def test_the_point_at_infinity_is_malformed(self, proof: bytes, at: int) -> None:
        infinity = b"\xc0" + bytes(47)

        with pytest.raises(Malformed):
            check_proof(
                SECRET.public, proof[:at] + infinity + proof[at + 48 :], HEADER, shown_at(1, 3)
            )
        with pytest.raises(Malformed):
            check_signature(SECRET.public, infinity + proof[-32:], HEADER, MESSAGES)

    @pytest.mark.parametrize("count", [0, 3, MAX_MESSAGES + 5])
    def test_scalars_are_counted(self, proof: bytes, count: int) -> None:
        with pytest.raises(Malformed):
            check_proof(SECRET.public, proof[:144] + proof[-32:] * count, HEADER, {})

    @pytest.mark.parametrize("place", [-1, 5, 2**64])
    def test_places_beyond_the_messages_are_malformed(self, proof: bytes, place: int) -> None:
        with pytest.raises(Malformed):
            check_proof(SECRET.public, proof, HEADER, {1: b"", place: b""})

    def test_each_bit_counts(self, proof: bytes) -> None:
        for place in range(0, len(proof), 29):
            bent = bytearray(proof)
            bent[place] ^= 1
            assert not is_good(
                lambda bent=bytes(bent): check_proof(  # type: ignore[misc]
                    SECRET.public, bent, HEADER, shown_at(1, 3), presentation_header=b"n"
                )
            )

    @pytest.mark.parametrize(
        "data",
        [b"", bytes(271), bytes(272), b"\xc0" + bytes(271), b"\xff" * 272, bytes(10**6)],
        ids=["nothing", "short", "zeroes", "infinity", "ones", "long"],
    )
    def test_other_bytes_are_no_proof(self, data: bytes) -> None:
        with pytest.raises(Malformed):
            check_proof(SECRET.public, data, HEADER, {})

    @pytest.mark.parametrize("scalar", [0, ORDER, ORDER + 1, 2**256 - 1])
    def test_a_scalar_has_one_spelling_and_is_not_zero(self, proof: bytes, scalar: int) -> None:
        bent = proof[:-32] + scalar.to_bytes(32)

        with pytest.raises(Malformed):
            check_proof(SECRET.public, bent, HEADER, shown_at(1, 3))

    @pytest.mark.parametrize(
        "public",
        [b"", bytes(96), b"\xc0" + bytes(95), b"\xff" * 96, SECRET.public + b"\0"],
        ids=["nothing", "zeroes", "infinity", "ones", "longer"],
    )
    def test_other_bytes_are_no_key(self, public: bytes, proof: bytes) -> None:
        with pytest.raises(Malformed):
            check_proof(public, proof, HEADER, shown_at(1, 3))

    def test_a_bad_signature_proves_nothing(self, signature: bytes) -> None:
        with pytest.raises(Refused):
            prove(SECRET.public, signature, HEADER, [*MESSAGES[:4], b"another"], shown=[0])

    @pytest.mark.parametrize("shown", [[1, 0], [0, 0], [5], [-1]])
    def test_places_are_the_prover_s_to_get_right(self, signature: bytes, shown: list[int]) -> None:
        with pytest.raises(Misuse):
            prove(SECRET.public, signature, HEADER, MESSAGES, shown=shown)

    def test_messages_are_counted(self) -> None:
        with pytest.raises(Malformed, match=f"at most {MAX_MESSAGES}"):
            sign(SECRET, HEADER, [b""] * (MAX_MESSAGES + 1))

    @pytest.mark.parametrize("data", [b"", bytes(32), ORDER.to_bytes(32), b"\xff" * 32])
    def test_what_is_no_secret_is_misuse(self, data: bytes) -> None:
        with pytest.raises(Misuse):
            SecretKey.of(data)
        with pytest.raises(Misuse):
            SecretKey.from_material(bytes(31))

    def test_a_secret_is_not_shown(self) -> None:
        assert SECRET.data.hex() not in repr(SECRET)
