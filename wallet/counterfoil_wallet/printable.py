"""Make a stranger's text safe to show, and to keep.

A name that moves the cursor, turns the writing direction or fills the line up
to the next one could paint a screen that says something else (a "consent
screen" of the verifier's own). What people read passes through `printable`.
"""

from typing import Final

_IN_ITS_PLACE: Final = "\N{REPLACEMENT CHARACTER}"
# Letters by category, and blank: a row of them is a row of spaces (Unicode, `Default_Ignorable`).
_BLANK: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_LONGEST: Final = 200


def printable(text: str) -> str:
    """Give `text` on one line, as it will look: nothing in it moves, hides or turns anything.

    Control, format (bidirectional ones among them), private and unassigned
    characters become U+FFFD; each run of white space becomes one space.
    """
    spaced = " ".join(text.split())
    return "".join(character if _shows(character) else _IN_ITS_PLACE for character in spaced)


def shortened(text: str, longest: int = _LONGEST) -> str:
    """Give `text` with at most `longest` characters; an ellipsis stands for the rest."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _shows(character: str) -> bool:
    # Python calls a character printable unless its category is one of `Other` or
    # `Separator`; of the latter the plain space alone is left here.
    return character.isprintable() and character not in _BLANK
