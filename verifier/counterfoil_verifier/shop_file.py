"""A shop's own settings, from the file `shop.json` in its folder.

    {"name": "Corner Shop",
     "origin": "https://till.corner.example",
     "trusts": {"https://audio.example": {"warranty": ["https://audio.example/types/warranty"]}},
     "loopback_routes_unsafely": {"https://audio.example": "http://127.0.0.1:4711"}}

`trusts` says, for each issuer and each preset, with which types that issuer may
answer it. Without `origin` the shop is known by its loopback address;
`loopback_routes_unsafely` is for a developer's machine and is absent elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from counterfoil_credentials.encoding import (
    JsonObject,
    object_at,
    optional_text_at,
    parse_object,
    text_at,
    texts_at,
)
from counterfoil_credentials.errors import Malformed

from counterfoil_verifier.presets import PRESETS, Preset

FILE_NAME: Final = "shop.json"
_MEMBERS: Final = frozenset({"name", "origin", "trusts", "loopback_routes_unsafely"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopFile:
    """The settings. `trusts` is the types by preset by issuer."""

    name: str
    origin: str | None
    trusts: Mapping[str, Mapping[str, tuple[str, ...]]]
    loopback_routes_unsafely: Mapping[str, str]

    def vcts_by_issuer(self) -> dict[str, frozenset[str]]:
        """Give what each issuer may issue."""
        return {
            issuer: frozenset(vct for vcts in by_preset.values() for vct in vcts)
            for issuer, by_preset in self.trusts.items()
        }

    def presets(self) -> list[Preset]:
        """Give the presets that some trusted issuer can answer."""
        found: list[Preset] = []
        for name, preset in PRESETS.items():
            vcts = [vct for by_preset in self.trusts.values() for vct in by_preset.get(name, ())]
            if vcts:
                found.append(preset.accepting(dict.fromkeys(vcts)))
        return found


def read_shop_file(directory: Path) -> ShopFile:
    """Give the settings in `directory`; raises `Malformed` naming the first wrong place."""
    path = directory / FILE_NAME
    if not path.is_file():
        raise Malformed(f"a file {FILE_NAME}", "none", directory.name)
    return parse_shop_file(path.read_bytes())


def parse_shop_file(data: bytes) -> ShopFile:
    """Give the settings in the file's bytes; see `read_shop_file`."""
    document = parse_object(data, FILE_NAME)
    if unknown := document.keys() - _MEMBERS:
        raise Malformed(f"only {', '.join(sorted(_MEMBERS))}", f"{len(unknown)} others", FILE_NAME)
    trusts = object_at(document, "trusts", FILE_NAME)
    routes = document.get("loopback_routes_unsafely", {})
    where = f"{FILE_NAME}.loopback_routes_unsafely"
    if not isinstance(routes, dict):
        raise Malformed("an object", "another kind", where)
    return ShopFile(
        name=text_at(document, "name", FILE_NAME),
        origin=optional_text_at(document, "origin", FILE_NAME),
        trusts={
            issuer: _by_preset(object_at(trusts, issuer, f"{FILE_NAME}.trusts"), issuer)
            for issuer in trusts
        },
        loopback_routes_unsafely={name: text_at(routes, name, where) for name in routes},
    )


def _by_preset(obj: JsonObject, issuer: str) -> dict[str, tuple[str, ...]]:
    where = f"{FILE_NAME}.trusts.{issuer}"
    for name in obj:
        if name not in PRESETS:
            raise Malformed(f"one of {', '.join(sorted(PRESETS))}", "another preset", where)
    return {name: tuple(texts_at(obj, name, where)) for name in obj}
