"""Parts of a JSON document, chosen by JSON Pointers, each with the types and ids on its way.

    select(document, ["/issuer", "/credentialSubject/birthCountry"], "document")

RFC 6901; Data Integrity ECDSA Cryptosuites 1.0, sections 3.4.11 to 3.4.14
(`jsonPointerToPaths`, `createInitialSelection`, `selectPaths`, `selectJsonLd`).
"""

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import Malformed, Reason, Refused

MAX_POINTERS: Final = 256
MAX_POINTER: Final = 1_024
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")
_FALSE_ESCAPE: Final = re.compile(r"~(?![01])")


@dataclass(slots=True)
class _Chosen:
    """What is chosen of one value: all of it, or parts of some members."""

    whole: bool = False
    members: "dict[str, _Chosen]" = field(default_factory=dict[str, "_Chosen"])


def pointer_path(pointer: str, where: str) -> tuple[str, ...]:
    """Give the steps of a JSON Pointer (RFC 6901, section 4); `Malformed` for what is none."""
    if len(pointer) > MAX_POINTER or (pointer and not pointer.startswith("/")):
        raise Malformed("a JSON Pointer", "another text", where)
    if _FALSE_ESCAPE.search(pointer) is not None:
        raise Malformed("a JSON Pointer", "one with a false escape", where)
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])


def select(document: JsonObject, pointers: Sequence[str], where: str) -> JsonObject:
    """Give what `pointers` name, in its place, with `@context`; the empty one names all.

    Raises `Malformed` for more than 256 pointers and for what is none, `Refused` with
    `pointer-not-matched` for one that leads nowhere.
    """
    if len(pointers) > MAX_POINTERS:
        raise Malformed(f"at most {MAX_POINTERS} pointers", "more", where)
    root = _Chosen(members={"@context": _Chosen(whole=True)} if "@context" in document else {})
    for pointer in pointers:
        chosen = root
        for step in pointer_path(pointer, where):
            chosen = chosen.members.setdefault(step, _Chosen())
        chosen.whole = True
    return _part_of_object(document, root, where)


def _part(value: Json, chosen: _Chosen, where: str) -> Json:
    # What lies within a part that is chosen whole must be there all the same.
    if not chosen.members:
        return copy.deepcopy(value)
    if isinstance(value, dict):
        return _part_of_object(value, chosen, where)
    if isinstance(value, list):
        return _part_of_list(value, chosen, where)
    raise _unmatched(where)


def _part_of_object(value: JsonObject, chosen: _Chosen, where: str) -> JsonObject:
    if not chosen.members.keys() <= value.keys():
        raise _unmatched(where)
    # Whoever is shown a part is told what it is a part of.
    shown: JsonObject = (
        value
        if chosen.whole
        else {name: member for name, member in value.items() if name in {"id", "type"}}
    )
    parts = {step: _part(value[step], inner, where) for step, inner in chosen.members.items()}
    return {**copy.deepcopy(shown), **({} if chosen.whole else parts)}


def _part_of_list(value: list[Json], chosen: _Chosen, where: str) -> list[Json]:
    for step in chosen.members:
        if _INDEX.fullmatch(step) is None or int(step) >= len(value):
            raise _unmatched(where)
    indexes = sorted(int(step) for step in chosen.members)
    parts = [_part(value[index], chosen.members[str(index)], where) for index in indexes]
    return copy.deepcopy(value) if chosen.whole else parts


def _unmatched(where: str) -> Refused:
    return Refused(Reason("pointer-not-matched", "pointers into the document", "another", where))
