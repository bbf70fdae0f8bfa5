"""How the walk speaks: to a person line by line, or to a script one JSON line per step."""

import json
import re
import shutil
import sys
import time
import unicodedata
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TextIO

from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import CounterfoilError

from counterfoil_demo.words import Language, sentence

_RULE: Final = "─"
_NARROWEST: Final = 40
# A Latin word with the spaces behind it, or one wide sign with what closes after it.
_PIECES: Final = re.compile(r"[\u2e80-\uffef][，。、；：！？）”]*\s*|[^\s\u2e80-\uffef]+\s*|\s+")


class NotAsItMustBe(Exception):
    """A step came out otherwise than promised: the demo's exit status is 1."""


class OrdersBroken(NotAsItMustBe):
    """The orders file has cells to mend; `errors` says which."""

    def __init__(self, name: str, errors: list[str]) -> None:
        super().__init__(f"expected an orders file without errors, found {len(errors)} ({name})")
        self.name = name
        self.errors = errors


def must(holds: bool, expected: str, found: object) -> None:  # noqa: FBT001  # reads as a sentence
    """Raise `NotAsItMustBe` unless `holds`."""
    if not holds:
        raise NotAsItMustBe(f"expected {expected}, found {found}")


@dataclass(slots=True)
class Step:
    """One step while it goes: every line said, every fact for scripts."""

    letter: str
    report: "Report"
    facts: JsonObject = field(default_factory=dict[str, Json])
    seconds: float = 0.0

    def say(self, key: str, **facts: object) -> None:
        """Tell a person what just happened."""
        self.report.line(sentence(key, self.report.language, **facts))

    def note(self, name: str, value: Json) -> None:
        """Keep a fact for the step's JSON line."""
        self.facts[name] = value


class Report:
    """Everything the demo prints. Nothing else in it writes to standard output."""

    def __init__(self, language: Language, *, as_json: bool, out: TextIO | None = None) -> None:
        """Speak `language` to people, or JSON lines to a script."""
        self.language: Language = language
        self.steps: list[Step] = []
        self._as_json = as_json
        self._out = out or sys.stdout
        self._started = time.monotonic()

    @contextmanager
    def step(self, letter: str) -> Generator[Step]:
        """Run one step: its title first, its lines as they come, its time at the end.

        An error of ours is told as the step's outcome and raised again as
        `NotAsItMustBe`.
        """
        step = Step(letter, self)
        self.steps.append(step)
        self._print(f"\n{letter}  {sentence(f'step-{letter}', self.language)}")
        began = time.monotonic()
        try:
            yield step
        except (CounterfoilError, NotAsItMustBe) as error:
            step.seconds = time.monotonic() - began
            self._json(step, ok=False, error=str(error))
            told = sentence("not-well", self.language, step=letter, error=error)
            self.line(told, mark="✗")
            if isinstance(error, NotAsItMustBe):
                raise
            raise NotAsItMustBe(told) from error
        step.seconds = time.monotonic() - began
        self._json(step, ok=True, error=None)

    def say(self, key: str, **facts: object) -> None:
        """Print a line outside the steps."""
        self._print(sentence(key, self.language, **facts))

    def line(self, text: str, mark: str = "·") -> None:
        """Print one line of the running step."""
        width = shutil.get_terminal_size().columns if self._out.isatty() else None
        first, *more = wrapped(text, None if width is None else max(width - 5, _NARROWEST))
        self._print(f"   {mark} {first}")
        for rest in more:
            self._print(f"     {rest}")

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table whose columns line up, Chinese included."""
        widths = [max(columns_of(row[i]) for row in (head, *rows)) for i in range(len(head))]
        self._print("")
        for row in (head, [_RULE * width for width in widths], *rows):
            padded = [
                cell + " " * (width - columns_of(cell))
                for cell, width in zip(row, widths, strict=True)
            ]
            self._print("   " + "   ".join(padded).rstrip())

    def card(self, title: str, lines: Sequence[tuple[str, str]]) -> None:
        """Print a title and, below it, named lines whose texts line up."""
        width = max(columns_of(name) for name, _ in lines)
        self._print(f"\n   {title}")
        for name, text in lines:
            self._print(f"      {name}{' ' * (width - columns_of(name))}   {text}")

    @property
    def elapsed_s(self) -> float:
        """Give the seconds since the report began."""
        return time.monotonic() - self._started

    def _json(self, step: Step, *, ok: bool, error: str | None) -> None:
        if not self._as_json:
            return
        told: JsonObject = {"step": step.letter, "ok": ok, "seconds": round(step.seconds, 3)}
        if error is not None:
            told["error"] = error
        # A step's facts come after these names, and cannot displace them.
        self._out.write(json.dumps({**told, **step.facts, **told}, ensure_ascii=False) + "\n")
        self._out.flush()

    def _print(self, text: str) -> None:
        if not self._as_json:
            self._out.write(text + "\n")
            self._out.flush()


def wrapped(text: str, width: int | None) -> list[str]:
    """Give `text` in lines of `width` columns, broken at spaces or between Chinese signs."""
    lines = [""]
    for piece in _PIECES.findall(text):
        needed = columns_of(lines[-1]) + columns_of(piece.rstrip())
        if width is not None and lines[-1] and needed > width:
            lines[-1] = lines[-1].rstrip()
            lines.append("")
        lines[-1] += piece
    return lines


def columns_of(text: str) -> int:
    """Give how many columns a terminal needs for `text`; a Chinese sign takes two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
