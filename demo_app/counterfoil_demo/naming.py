"""How claims and credentials are called when people read them: the issuer's own display names."""

from collections.abc import Iterable, Mapping
from typing import Final

from counterfoil_credentials.claims import ClaimPath, path_text
from counterfoil_issuer.catalogue import STANDARD_TYPES

from counterfoil_demo.words import Language

_CLAIMS: Final[Mapping[str, Mapping[str, str]]] = {
    path_text(claim.path): claim.names for kind in STANDARD_TYPES.values() for claim in kind.claims
}

STANDARD_NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    name: kind.names for name, kind in STANDARD_TYPES.items()
}
"""How the standard types are called, by their short names and the language."""


def claim_names(paths: Iterable[ClaimPath | str], language: Language) -> str:
    """Give the display names of claims; a claim without one is called by its path."""
    texts = [path if isinstance(path, str) else path_text(path) for path in paths]
    separator = "、" if language == "zh" else ", "
    return separator.join(
        _CLAIMS[text][language] if text in _CLAIMS else text for text in dict.fromkeys(texts)
    )


def credential_names(kinds: Iterable[str], language: Language) -> str:
    """Give how many there are of each kind: `1 × Purchase receipt, 2 × Warranty`."""
    counted = list(kinds)
    separator = "、" if language == "zh" else ", "
    return separator.join(
        f"{counted.count(kind)} × {STANDARD_TYPES[kind].names[language]}"
        for kind in dict.fromkeys(counted)
    )
