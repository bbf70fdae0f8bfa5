"""How somebody wants to see the pages: language, theme, contrast, size of text.

Kept in one cookie for each face, since browsers share cookies among the ports of a machine.
Nothing in it is trusted: what is not one of the words below is as if it had not been chosen.
"""

from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias, cast

from fastapi import Request, Response

Language: TypeAlias = Literal["en", "zh"]
Theme: TypeAlias = Literal["auto", "light", "dark"]
Contrast: TypeAlias = Literal["auto", "more", "normal"]
TextSize: TypeAlias = Literal["100", "150", "200"]

LANGUAGES: Final[tuple[Language, ...]] = ("en", "zh")
THEMES: Final[tuple[Theme, ...]] = ("auto", "light", "dark")
CONTRASTS: Final[tuple[Contrast, ...]] = ("auto", "more", "normal")
TEXT_SIZES: Final[tuple[TextSize, ...]] = ("100", "150", "200")
_ALLOWED: Final = {
    "language": LANGUAGES,
    "theme": THEMES,
    "contrast": CONTRASTS,
    "text": TEXT_SIZES,
}
_KEPT_S: Final = 365 * 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What was chosen; `auto` follows the system."""

    language: Language = "en"
    theme: Theme = "auto"
    contrast: Contrast = "auto"
    text: TextSize = "100"

    def with_chosen(self, chosen: dict[str, str]) -> "Choices":
        """Give these choices with those of `chosen` that name a choice and one of its words."""
        valid = {name: value for name, value in chosen.items() if value in _ALLOWED.get(name, ())}
        # The values were compared with the very words that the types allow.
        return replace(self, **cast("dict[str, Any]", valid))

    def keep(self, response: Response, face: str) -> None:
        """Have the browser remember them for `face`."""
        response.set_cookie(
            _cookie(face),
            f"{self.language}.{self.theme}.{self.contrast}.{self.text}",
            max_age=_KEPT_S,
            httponly=True,
            samesite="strict",
        )


def choices_of(request: Request, face: str) -> Choices:
    """Give what the sender of `request` chose, or its browser's language before that."""
    kept = request.cookies.get(_cookie(face), "").split(".")
    first = Choices(language=_spoken(request.headers.get("accept-language", "")))
    return first.with_chosen(dict(zip(_ALLOWED, kept, strict=False)))


def _spoken(accepted: str) -> Language:
    # Browsers list what they speak in the order of preference.
    for one in accepted.lower().split(",")[:10]:
        if one.strip().startswith("zh"):
            return "zh"
        if one.strip().startswith("en"):
            return "en"
    return "en"


def _cookie(face: str) -> str:
    return f"counterfoil-{face}-choices"
