"""Claim paths: how a request names a claim (OpenID4VP 1.0, section 7).

A text selects a member, a whole number an element, and None every element.
"""

from typing import Final, TypeAlias

from counterfoil_credentials.encoding import Json, as_list
from counterfoil_credentials.errors import Malformed

ClaimPath: TypeAlias = tuple[str | int | None, ...]

MAX_PATH_LENGTH: Final = 16
# Our own bound: a hundred claims of each of nine hundred lines take less.
MOST_STEPS: Final = 200_000


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
    """Give a path as people read it: `lines[0].serial`, `lines[*].serial`, `[""]`."""
    text = ""
    for step in path:
        if not isinstance(step, str):
            text += "[*]" if step is None else f"[{step}]"
        elif not step:
            text += '[""]'
        else:
            text += f".{step}" if text else step
    return text


class Steps:
    """How far the paths of one question may walk, all together.

    Many paths through a long list are work that neither who asks nor who holds the
    list pays for alone: the product of two lengths that are each within bounds.
    """

    def __init__(self, where: str) -> None:
        """Begin with `MOST_STEPS`; `where` is told when they do not suffice."""
        self._left = MOST_STEPS
        self._where = where

    def take(self, count: int) -> None:
        """Take `count` of what is left, or raise `Malformed`."""
        self._left -= count
        if self._left < 0:
            raise Malformed(f"at most {MOST_STEPS} steps over the claims", "more", self._where)


def values_at(claims: Json, path: ClaimPath, steps: Steps | None = None) -> list[Json]:
    """Give every value that `path` selects in `claims`; none is an empty list.

    A step meets a value of the wrong kind (a text step and no object, a number or
    null and no list): nothing is selected at all (section 7.1.1). Each value that is
    selected on the way takes one of `steps`.
    """
    selected = [claims]
    for step in path:
        if isinstance(step, str):
            objects = [value for value in selected if isinstance(value, dict)]
            is_whole = len(objects) == len(selected)
            selected = [value[step] for value in objects if step in value]
        else:
            lists = [value for value in selected if isinstance(value, list)]
            is_whole = len(lists) == len(selected)
            if step is not None:
                lists = [value[step : step + 1] for value in lists]
            selected = [element for value in lists for element in value]
        if not is_whole:
            return []
        if steps is not None:
            steps.take(len(selected))
    return selected


def covers(pattern: ClaimPath, path: ClaimPath) -> bool:
    """Say whether `path` lies on the way to, at, or below what `pattern` selects."""
    return all(
        wanted == found or (wanted is None and isinstance(found, int))
        for wanted, found in zip(pattern, path, strict=False)
    )
