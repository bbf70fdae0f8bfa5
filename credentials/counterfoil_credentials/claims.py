"""Claim paths: how a request names a claim (OpenID4VP 1.0, section 7).

A text selects a member, a whole number an element, and None every element.
"""

from typing import TypeAlias

from counterfoil_credentials.encoding import Json, as_list
from counterfoil_credentials.errors import Malformed

ClaimPath: TypeAlias = tuple[str | int | None, ...]

MAX_PATH_LENGTH = 16


def parse_path(value: Json, where: str) -> ClaimPath:
    """Give the claim path in a JSON array of texts, whole numbers from zero, and nulls."""
    path: list[str | int | None] = []
    for i, step in enumerate(as_list(value, where)):
        if isinstance(step, bool) or not isinstance(step, str | int | None):
            raise Malformed("a text, a whole number or null", "another kind", f"{where}[{i}]")
        if isinstance(step, int) and step < 0:
            raise Malformed("a whole number from zero", "a negative one", f"{where}[{i}]")
        path.append(step)
    if not 1 <= len(path) <= MAX_PATH_LENGTH:
        raise Malformed(f"1 to {MAX_PATH_LENGTH} steps", f"{len(path)}", where)
    return tuple(path)


def path_text(path: ClaimPath) -> str:
    """Give a path as people read it: `lines[0].serial`, `lines[*].serial`."""
    text = ""
    for step in path:
        if isinstance(step, str):
            text += f".{step}" if text else step
        else:
            text += "[*]" if step is None else f"[{step}]"
    return text


def values_at(claims: Json, path: ClaimPath) -> list[Json]:
    """Give every value that `path` selects in `claims`; none is an empty list.

    A step meets a value of the wrong kind (a text step and no object, a number or
    null and no list): nothing is selected at all (section 7.1.1).
    """
    selected = [claims]
    for step in path:
        following: list[Json] = []
        for value in selected:
            match value, step:
                case dict(), str():
                    following.extend([value[step]] if step in value else [])
                case list(), int():
                    following.extend([value[step]] if step < len(value) else [])
                case list(), None:
                    following.extend(value)
                case _:
                    return []
        selected = following
    return selected


def covers(pattern: ClaimPath, path: ClaimPath) -> bool:
    """Say whether `path` lies on the way to, at, or below what `pattern` selects."""
    return all(
        wanted == found or (wanted is None and isinstance(found, int))
        for wanted, found in zip(pattern, path, strict=False)
    )
