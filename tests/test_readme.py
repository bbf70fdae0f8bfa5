"""What the pages show is true: each example runs, each command exists."""

import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from contextlib import ExitStack
from itertools import takewhile
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.readme_stages import STAGES

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    {
        page.relative_to(ROOT).as_posix()
        for pattern in (
            "README*.md",
            "CONTRIBUTING.md",
            "SECURITY.md",
            "docs/**/*.md",
            "*/README*.md",
        )
        for page in ROOT.glob(pattern)
    }
)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_SCRIPT = re.compile(r"(?<![\w./-])(?:scripts|\.ci)/[\w./-]+")
_COMMAND = re.compile(r"(?<![\w./-])counterfoil ([a-z][a-z-]*)((?: [^\n|;&`]*)?)")
_WORD = re.compile(r"[a-z][a-z-]*")
_OPTION = re.compile(r"(?<=\s)--[a-z][a-z-]*")


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [body for name, body in _FENCE.findall(text) if name == language]


def code(page: str) -> str:
    """Give all that a page sets as code."""
    text = (ROOT / page).read_text(encoding="utf-8")
    fenced = [body for _, body in _FENCE.findall(text)]
    return "\n".join([*fenced, *_INLINE.findall(_FENCE.sub("", text))])


def run_examples(page: str, names: dict[str, object]) -> None:
    """Run a page's examples over `names`, which are theirs from then on."""
    names["__name__"] = page
    try:
        for example in blocks(page, "python"):
            # The blocks of a page continue each other, as they do for a reader.
            exec(compile(example, page, "exec"), names)  # noqa: S102
    finally:
        # What an app has open stays so as long as the app does: here that is now over.
        for made in names.values():
            match made:
                case Engine():
                    made.dispose()
                case ExitStack():
                    made.close()
                case _:
                    pass


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_each_example_of_a_page_runs(page: str, tmp_path: Path) -> None:
    stage = STAGES.get(page)
    run_examples(page, dict(stage(tmp_path)) if stage else {})


@pytest.mark.parametrize("page", PAGES)
def test_each_script_that_a_page_names_exists(page: str) -> None:
    named = {name.rstrip("./") for name in _SCRIPT.findall(code(page))}

    assert not [name for name in named if not (ROOT / name).exists()]


@pytest.mark.once
def test_each_command_that_a_page_shows_exists_with_its_options() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    commands = set(project["entry-points"]["counterfoil.commands"])
    shown: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    for page in PAGES:
        for name, rest in _COMMAND.findall(code(page)):
            # `counterfoil verifier serve --port 1`: the help of `serve` names `--port`.
            words = takewhile(_WORD.fullmatch, rest.split())
            shown[(name, *words)].update(_OPTION.findall(f" {rest}"))

    assert not {command for command, *_ in shown} - commands
    for command, options in shown.items():
        said = subprocess.run(
            [Path(sys.executable).parent / "counterfoil", *command, "--help"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert not {option for option in options if option not in said}, command
