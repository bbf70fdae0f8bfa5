"""Integrity: the bytes that a reference means, by the strongest hash that it gives."""

import pytest
from counterfoil_credentials.errors import CounterfoilError, Malformed, Refused
from counterfoil_credentials.integrity import check_integrity, parse_integrity
from hypothesis import given
from hypothesis import strategies as st

from tests.credentials.type_documents import SHA256, SHA384, SHA512, WRONG


class TestIntegrity:
    @pytest.mark.parametrize(
        "text",
        [
            SHA256,
            SHA384,
            SHA512,
            f"{SHA256}?ct=application/json",
            f" \t{SHA256}  {WRONG['sha256']} ",
            f"{WRONG['sha256']} {SHA256}",
            f"{WRONG['sha256']} {SHA512}",
            f"{SHA512} {WRONG['sha384']}",
            f"md5-AAAA {SHA384} sha3-AAAA",
        ],
    )
    def test_one_hash_of_the_strongest_kind_must_match(self, text: str) -> None:
        check_integrity(b"data", text, "type")

    @pytest.mark.parametrize(
        "text",
        [
            WRONG["sha256"],
            f"{SHA256} {WRONG['sha384']}",
            f"{WRONG['sha512']} {SHA256} {SHA384}",
            f"{SHA256[:-1]}",
            f"sha256-{SHA512[7:]}",
            f"sha384-{SHA256[7:]}",
        ],
    )
    def test_a_weaker_hash_helps_no_wrong_one(self, text: str) -> None:
        with pytest.raises(Refused) as refusal:
            check_integrity(b"data", text, "type")
        assert refusal.value.codes == ["integrity-mismatch"]

    def test_other_bytes_do_not_match(self) -> None:
        with pytest.raises(Refused) as refusal:
            check_integrity(b"datA", SHA256, "type")
        assert refusal.value.codes == ["integrity-mismatch"]

    @pytest.mark.parametrize("text", ["md5-AAAA", "sha1-AAAA sha3-AAAA"])
    def test_hashes_that_nobody_here_knows_prove_nothing(self, text: str) -> None:
        with pytest.raises(Refused) as refusal:
            check_integrity(b"data", text, "type")
        assert refusal.value.codes == ["integrity-unknown"]

    @pytest.mark.parametrize(
        "text",
        [
            "",
            " ",
            "sha256",
            "sha256-",
            SHA256[7:],
            f"{SHA256},{SHA512}",
            f"{SHA256}\n",
            "é-AAAA",
            "sha256-AAAA====",
            "SHA256-AAAA",
            f"{SHA256}\xa0{SHA512}",
            "a-AAAA " * 400,
        ],
    )
    def test_another_text_is_malformed(self, text: str) -> None:
        with pytest.raises(Malformed):
            parse_integrity(text, "type")
        with pytest.raises(Malformed):
            check_integrity(b"data", text, "type")

    @given(st.text(), st.binary())
    def test_any_text_raises_only_our_errors(self, text: str, data: bytes) -> None:
        with pytest.raises(CounterfoilError):
            check_integrity(data, text, "type")
