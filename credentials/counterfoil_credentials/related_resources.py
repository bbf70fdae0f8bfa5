"""Whether what a credential points to by its hash is what its issuer meant.

VC Data Model 2.0, section 5.3. A resource that nobody here retrieved is not judged: whoever
relies on it later must ask again, with its bytes.
"""

from collections.abc import Mapping
from hashlib import sha256, sha384, sha512
from typing import Final

from counterfoil_credentials.encoding import JsonObject, as_object, optional_text_at, text_at
from counterfoil_credentials.errors import Reason, Refused
from counterfoil_credentials.integrity import check_integrity
from counterfoil_credentials.multikey import from_multibase
from counterfoil_credentials.w3c_shapes import one_or_many

# Multihash: the code of the hash and its length, one byte each. Without them, 32 bytes are
# read as SHA-256, as the data model's own first digests are written.
_MULTIHASHES: Final = {b"\x12\x20": sha256, b"\x20\x30": sha384, b"\x13\x40": sha512}
_BARE: Final = 32


def related_reasons(
    credential: JsonObject, resources: Mapping[str, bytes], where: str = "credential"
) -> list[Reason]:
    """Give a reason for each of `resources`, by URL, that is not what `credential` says of it.

    The codes are `integrity-mismatch` and, for a digest of a kind that nobody here
    computes, `integrity-unknown`. Each of several digests must fit.

    Raises `Malformed` for an entry of another shape.
    """
    reasons: list[Reason] = []
    for i, item in enumerate(one_or_many(credential, "relatedResource", where)):
        place = f"{where}.relatedResource[{i}]"
        entry = as_object(item, place)
        data = resources.get(text_at(entry, "id", place))
        if data is None:
            continue
        for name, check in (("digestSRI", check_integrity), ("digestMultibase", _check_multibase)):
            digest, at = optional_text_at(entry, name, place), f"{place}.{name}"
            try:
                if digest is not None:
                    check(data, digest, at)
            except Refused as cause:
                reasons += cause.reasons
    return reasons


def _check_multibase(data: bytes, digest: str, where: str) -> None:
    said = from_multibase(digest, where)
    head, rest = (b"\x12\x20", said) if len(said) == _BARE else (said[:2], said[2:])
    hash_of = _MULTIHASHES.get(head)
    if hash_of is None:
        expected = "a multihash of the SHA-2 family"
        raise Refused(Reason("integrity-unknown", expected, "another kind", where))
    if hash_of(data).digest() != rest:
        expected = "the bytes that the hash means"
        raise Refused(Reason("integrity-mismatch", expected, "others", where))
