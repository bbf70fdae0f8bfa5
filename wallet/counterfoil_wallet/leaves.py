"""Every claim of a credential by itself: what a screen lists, and what a bound counts."""

from collections.abc import Iterator

from counterfoil_credentials.claims import ClaimPath
from counterfoil_credentials.encoding import Json


def leaves(value: Json, path: ClaimPath = ()) -> Iterator[tuple[ClaimPath, Json]]:
    """Give path and value of everything in `value` that holds nothing further."""
    match value:
        case dict() if value:
            for name, member in value.items():
                yield from leaves(member, (*path, name))
        case list() if value:
            for i, element in enumerate(value):
                yield from leaves(element, (*path, i))
        case _:
            yield path, value
