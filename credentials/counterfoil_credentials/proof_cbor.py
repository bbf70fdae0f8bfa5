"""The CBOR inside a proof's value: a few byte strings, numbers, lists and maps, and nothing else.

RFC 8949; Data Integrity ECDSA Cryptosuites 1.0, sections 3.5.2 to 3.5.8: no tag may be
used on any part. This is the one module that imports cbor2; it needs `[ld]`.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Final, NoReturn, TypeAlias, TypeGuard, cast

from counterfoil_credentials.cryptosuites import ProofValue
from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.errors import Malformed, Misuse

try:
    import cbor2
except ImportError as cause:  # pragma: no cover
    raise Misuse('expected cbor2, found none: pip install "counterfoil[ld]"') from cause

MAX_BYTES: Final = 1_000_000
# A list of five things, of which some are lists or maps.
_LEVELS: Final = 2

Cbor: TypeAlias = "bytes | str | int | list[Cbor] | dict[int, bytes] | dict[int, int]"
_Decoder: TypeAlias = Callable[[object, bool], object]


class _NoTags(Mapping[int, _Decoder]):
    """What decodes each tag: nothing does."""

    def __getitem__(self, _tag: int) -> _Decoder:
        return _refuse_tag

    def __contains__(self, _tag: object) -> bool:
        return True

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __len__(self) -> int:
        return 1


def _refuse_tag(_decoder: object, _immutable: bool) -> NoReturn:  # noqa: FBT001
    raise ValueError("a tag")


def packed(header: bytes, components: list[Cbor]) -> str:
    """Give `components` behind `header`, in multibase base64url."""
    return f"u{b64url(header + cbor2.dumps(components))}"


def unpacked(header: bytes, data: bytes, where: str) -> list[object]:
    """Give the components behind `header`, in their one shortest spelling; of any kinds yet.

    Raises `Malformed` for another header, for a tag, a second spelling, a key that stands
    twice, and more than 1,000,000 bytes.
    """
    if len(data) > MAX_BYTES:
        raise Malformed(f"at most {MAX_BYTES} bytes", f"{len(data)}", where)
    if not data.startswith(header):
        raise Malformed(f"a proof that begins with {header.hex()}", "another", where)
    body = data[len(header) :]
    try:
        components: object = cbor2.loads(
            body,
            max_depth=_LEVELS,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            semantic_decoders=_NoTags(),
        )
        again = cbor2.dumps(components)
    except (cbor2.CBORError, RecursionError, ValueError) as cause:
        raise Malformed("CBOR of a proof", "other bytes", where) from cause
    # What decodes to the same, and was written otherwise, is another proof to whoever compares.
    if not isinstance(components, list) or again != body:
        raise Malformed("a list in the shortest CBOR", "another value", where)
    return cast("list[object]", components)


def unpacked_base64url(header: bytes, value: ProofValue) -> list[object]:
    """Give the components of a proof's value, which stands in base64url; raises as `unpacked`."""
    if value.base != "u":
        raise Malformed("base64url with its prefix u", "another base", value.where)
    return unpacked(header, value.data, value.where)


def is_texts(value: object) -> TypeGuard[list[str]]:
    """Say whether a component is a list of texts."""
    items = listed(value)
    return items is not None and all(isinstance(each, str) for each in items)


def is_ascending(value: object) -> TypeGuard[list[int]]:
    """Say whether a component is a list of places, each once and in order."""
    items = listed(value)
    if items is None or not all(type(each) is int for each in items):
        return False
    numbers = [-1, *cast("list[int]", items)]
    return all(a < b for a, b in pairwise(numbers))


def listed(value: object) -> list[object] | None:
    """Give a component as a list, if it is one."""
    return cast("list[object]", value) if isinstance(value, list) else None
