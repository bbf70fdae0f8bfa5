"""The shop window: every name is there, and loads no more than it needs."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import counterfoil_credentials
import pytest


def test_the_imports_for_checkers_the_list_and_the_shelves_name_the_same_things() -> None:
    tree = ast.parse(Path(counterfoil_credentials.__file__).read_text(encoding="utf-8"))
    shown = {
        alias.name: (node.module or "").rpartition(".")[2]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and "counterfoil_credentials." in (node.module or "")
        for alias in node.names
    }

    homes: dict[str, str] = vars(counterfoil_credentials)["_HOMES"]
    assert homes == shown
    assert counterfoil_credentials.__all__ == sorted(
        homes, key=lambda name: (not name.isupper(), name[0].islower(), name)
    )


@pytest.mark.parametrize("name", counterfoil_credentials.__all__)
def test_each_name_is_what_its_module_calls_so(name: str) -> None:
    value = getattr(counterfoil_credentials, name)

    home = getattr(value, "__module__", None)
    if home is not None and home.startswith("counterfoil_credentials"):
        assert getattr(importlib.import_module(home), name) is value
    assert name in dir(counterfoil_credentials)


def test_no_module_of_the_package_takes_a_name_from_the_window() -> None:
    modules = {path.stem for path in Path(counterfoil_credentials.__file__).parent.glob("*.py")}

    assert not modules & set(counterfoil_credentials.__all__)


def test_a_name_that_is_not_shown_is_missing_as_usual() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        getattr(counterfoil_credentials, "nothing")  # noqa: B009  # a checker would refuse the dot


def test_the_import_alone_loads_none_of_its_modules() -> None:
    program = (
        "import sys, counterfoil_credentials\n"
        "print(*(name for name in sys.modules if name.startswith('counterfoil_credentials.')))"
    )

    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert run.stdout.split() == []
