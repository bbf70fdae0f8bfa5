"""The messages that pages and templates use, and the catalogues that must have each of them.

    python -m counterfoil_demo.pages.catalogue    # adds what is new, drops what nobody says

A new message stands in the catalogue without a translation, and a test says so.
"""

from io import BytesIO
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

_ROOT: Final = Path(__file__).parents[1]
_FOLDER: Final = Path(__file__).parent / "catalogues"
_METHODS: Final = [
    ("pages/templates/**.html", "jinja2"),
    *((f"{folder}/**.py", "python") for folder in ("pages", "phone", "counter", "desk")),
]
_KEYWORDS: Final[dict[str, tuple[int, ...] | None]] = {
    "_": None,
    "gettext": None,
    "say": None,
    "marked": None,
    "ngettext": (1, 2),
}
_OPTIONS: Final = {"pages/templates/**.html": {"trimmed": "true", "silent": "false"}}


def used() -> Catalog:
    """Give every message that the program uses, with the files where it does."""
    catalogue = Catalog()
    for file, _, message, comments, context in extract_from_dir(
        _ROOT, _METHODS, _OPTIONS, keywords=_KEYWORDS
    ):
        catalogue.add(message, None, [(file, 0)], auto_comments=comments, context=context)
    return catalogue


def name_of(message: Message) -> str:
    """Give a message's English text, of two forms the singular."""
    return message.id if isinstance(message.id, str) else message.id[0]


def kept(language: str) -> Catalog:
    """Give the catalogue of a language."""
    with path_of(language).open("rb") as file:
        return read_po(file, locale="zh_Hans_CN")


def path_of(language: str) -> Path:
    """Give where the catalogue of a language is."""
    return _FOLDER / f"{language}.po"


def languages() -> list[str]:
    """Give the languages that have a catalogue: all but English, which is in the program."""
    return [path.stem for path in sorted(_FOLDER.glob("*.po"))]


def refresh(language: str) -> None:
    """Write a language's catalogue anew: what is used, with the translations that it has."""
    fresh, before = used(), kept(language)
    fresh.locale = before.locale
    for message in fresh:
        known = before.get(message.id) if message.id else None
        if known is not None:
            message.string = known.string
    written = BytesIO()
    write_po(written, fresh, width=100, sort_output=True, omit_header=True, no_location=True)
    header = '{}"Content-Type: text/plain; charset=utf-8\\n"\n"Plural-Forms: {}\\n"\n\n'
    said = header.format('msgid ""\nmsgstr ""\n', fresh.plural_forms)
    path_of(language).write_text(said + written.getvalue().decode().lstrip(), encoding="utf-8")


if __name__ == "__main__":
    for one in languages():
        refresh(one)
