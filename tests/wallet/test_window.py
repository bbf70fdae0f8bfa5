"""The shop window: every name is there, and loads no more than it needs."""

import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import counterfoil_wallet
import pytest


def test_the_imports_for_checkers_the_list_and_the_shelves_name_the_same_things() -> None:
    tree = ast.parse(Path(counterfoil_wallet.__file__).read_text(encoding="utf-8"))
    shown = {
        alias.name: (node.module or "").rpartition(".")[2]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and "counterfoil_wallet." in (node.module or "")
        for alias in node.names
    }

    homes: dict[str, str] = vars(counterfoil_wallet)["_HOMES"]
    assert {**homes, "printable": "printable"} == shown
    assert sorted(counterfoil_wallet.__all__) == sorted(shown)


@pytest.mark.parametrize("name", counterfoil_wallet.__all__)
def test_each_name_can_be_had_and_is_no_module(name: str) -> None:
    assert not isinstance(getattr(counterfoil_wallet, name), ModuleType)
    assert name in dir(counterfoil_wallet)


def test_only_a_name_that_is_loaded_at_once_is_also_a_module_s() -> None:
    modules = {path.stem for path in Path(counterfoil_wallet.__file__).parent.glob("*.py")}

    assert modules & set(counterfoil_wallet.__all__) == {"printable"}


def test_a_name_that_is_not_shown_is_missing_as_usual() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        getattr(counterfoil_wallet, "nothing")  # noqa: B009  # a checker would refuse the dot


def test_the_import_alone_loads_next_to_nothing() -> None:
    program = (
        "import sys, counterfoil_wallet\n"
        "print(*(name for name in sys.modules if name.startswith('counterfoil_')))"
    )

    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert set(run.stdout.split()) == {"counterfoil_wallet", "counterfoil_wallet.printable"}
