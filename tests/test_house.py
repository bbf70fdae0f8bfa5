"""The house as a whole: its folders, what no file may name, its two READMEs."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Spelled in parts, so that this file does not name what it looks for.
_HOSTS = re.compile(
    r"(?:pypi|pythonhosted|npmjs|npmmirror|yarnpkg)\.(?:org|com)|proxy\.golang", re.IGNORECASE
)
_PATHS = re.compile(r"(?<![\w./:-])/(?:work|root|home|Users|opt|tmp/lab)/")
_MOST_BYTES = 1_048_576
_HEADING = re.compile(r"^(#+) ", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def tracked() -> list[Path]:
    """Give the files that git keeps, or would keep after the next `git add`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    return [ROOT / name for name in sorted(set(listed.split("\0"))) if name]


def texts() -> Iterator[tuple[Path, str]]:
    for path in tracked():
        if path.is_file() and path.stat().st_size <= _MOST_BYTES:
            try:
                yield path, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


@pytest.fixture(autouse=True)
def _in_a_checkout() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("no git checkout: which files are the house's is not known")


def test_each_folder_says_what_it_is_for() -> None:
    folders = {path.relative_to(ROOT).parts[0] for path in tracked() if path.parent != ROOT}

    silent = [
        folder
        for folder in sorted(folders)
        if not folder.startswith(".") and not (ROOT / folder / "README.md").is_file()
    ]

    assert not silent


def test_no_file_names_a_registry_host() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path, text in texts()
        if path != Path(__file__)
        for match in _HOSTS.finditer(text)
    ]

    assert not found


def test_no_file_names_a_path_of_one_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {text[match.start() : match.end() + 20]!r}"
        for path, text in texts()
        if path != Path(__file__)
        for match in _PATHS.finditer(text)
    ]

    assert not found


def test_package_locks_hold_hashes_and_no_address() -> None:
    locks = [path for path in tracked() if path.name == "package-lock.json"]

    assert locks
    for lock in locks:
        packages = json.loads(lock.read_text(encoding="utf-8"))["packages"]
        assert not [name for name, entry in packages.items() if "resolved" in entry], lock
        assert not [
            name
            for name, entry in packages.items()
            if name and "integrity" not in entry and not entry.get("link")
        ], lock


@pytest.mark.parametrize("name", ["demo", "test", "check", "fuzz", "peers", "analysis"])
def test_each_requirement_is_pinned_with_hashes(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    requirements = text.replace("\\\n", "").splitlines()

    assert len(requirements) > 5
    for requirement in requirements:
        assert re.match(r"[a-z0-9.-]+==[\w.]+ ", requirement)
        assert "--hash=sha256:" in requirement


def test_the_commands_share_one_version_of_each_package() -> None:
    versions: dict[str, set[str]] = {}
    for path in (ROOT / "requirements").glob("*.txt"):
        if path.name == "analysis.txt":
            continue  # It shares no environment with any other.
        for name, version in re.findall(
            r"^([a-z0-9.-]+)==([\w.]+)", path.read_text(), re.MULTILINE
        ):
            versions.setdefault(name, set()).add(version)

    assert not {name: found for name, found in versions.items() if len(found) > 1}


def test_both_readmes_have_the_same_sections_and_the_same_code() -> None:
    english = (ROOT / "README.md").read_text(encoding="utf-8")
    chinese = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")

    assert _levels(english) == _levels(chinese)
    assert _programs(english) == _programs(chinese)


def test_each_shell_file_parses() -> None:
    scripts = [
        path
        for path, text in texts()
        if path.suffix == ".sh" or text.startswith(("#!/bin/sh", "#!/usr/bin/env bash"))
    ]

    assert len(scripts) >= 6
    for script in scripts:
        shell = "bash" if "bash" in script.read_text().splitlines()[0] else "sh"
        run = subprocess.run([shell, "-n", script], capture_output=True, text=True, check=False)
        assert (run.returncode, run.stderr) == (0, ""), script


def _levels(text: str) -> list[str]:
    return _HEADING.findall(_FENCE.sub("", text))


def _programs(text: str) -> list[str]:
    """Give a page's code blocks: their comments are translated, as are pictures."""
    blocks = [block for block in _FENCE.findall(text) if re.match(r"```(?:python|sh)\n", block)]
    return [re.sub(r" *# .*", "", block) for block in blocks]
