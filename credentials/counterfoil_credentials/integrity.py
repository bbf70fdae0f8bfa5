"""`#integrity`: the hash that says which bytes a reference means (SD-JWT VC, section 6).

The value is a text of Subresource Integrity, `sha256-<base64>`, or several of
them with spaces between. It is checked over the bytes as they were fetched.
"""

import binascii
import hashlib
import re
from typing import Final

from counterfoil_credentials.errors import Malformed, Reason, Refused

MAX_INTEGRITY: Final = 2_048
_STRONGEST_FIRST: Final = ("sha512", "sha384", "sha256")
# `integrity-metadata` of SRI, section 3.5: the options after `?` mean nothing yet.
_EXPRESSION: Final = re.compile(
    r"(?P<algorithm>[a-z0-9]+)-(?P<digest>[A-Za-z0-9+/]+={0,2})(?:\?[!-~]*)?"
)


def parse_integrity(text: str, where: str) -> str:
    """Give `text` if it is integrity metadata; a hash of a kind we do not know is allowed.

    Raises `Malformed`.
    """
    if len(text) > MAX_INTEGRITY:
        raise Malformed(f"at most {MAX_INTEGRITY} characters", f"{len(text)}", where)
    expressions = _split(text)
    if not expressions or not all(map(_EXPRESSION.fullmatch, expressions)):
        raise Malformed("integrity metadata (sha256-…)", "another text", where)
    return text


def check_integrity(data: bytes, integrity: str, where: str) -> None:
    """Return only if `data` is what `integrity` means.

    Of several hashes those of the strongest kind count, and one must match.

    Raises `Refused` (`integrity-mismatch`, or `integrity-unknown` when there is no
    hash of a kind we know), `Malformed` for another text.
    """
    digests: dict[str, list[str]] = {}
    for expression in _split(parse_integrity(integrity, where)):
        found = _EXPRESSION.fullmatch(expression)
        if found is not None:
            digests.setdefault(found["algorithm"], []).append(found["digest"])
    strongest = next((name for name in _STRONGEST_FIRST if name in digests), None)
    if strongest is None:
        raise Refused(
            Reason("integrity-unknown", "a hash of the SHA-2 family", "other kinds", where)
        )
    actual = hashlib.new(strongest, data).digest()
    if not any(actual == _decoded(text) for text in digests[strongest]):
        raise Refused(
            Reason("integrity-mismatch", "the bytes that the hash means", "others", where)
        )


def _split(text: str) -> list[str]:
    # ABNF's white space only: `str.split` would take other characters for spaces.
    return [part for part in re.split(r"[ \t]+", text) if part]


def _decoded(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        return b""  # no hash is empty, so it matches nothing
