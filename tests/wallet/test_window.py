"""The shop window: every name is there, and loads no more than it needs."""

import ast
import pydoc
import re
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


def test_help_shows_every_verb_of_the_wallet_on_its_first_screen() -> None:
    screen = "\n".join(pydoc.plain(pydoc.render_doc(counterfoil_wallet)).splitlines()[:42])
    verbs = [name for name in vars(counterfoil_wallet.Wallet) if not name.startswith("_")]

    assert [name for name in verbs if not re.search(rf"\b{name}\b", screen)] == []
    assert max(map(len, screen.splitlines())) <= 100


def test_a_checker_sees_the_whole_public_face_typed(tmp_path: Path) -> None:
    names = counterfoil_wallet.__all__
    program = tmp_path / "app.py"
    lines = [f"from counterfoil_wallet import {', '.join(names)}"]
    lines += [f"reveal_type({name})" for name in names]
    for face in (counterfoil_wallet.Wallet, counterfoil_wallet.AsyncWallet):
        verbs = [name for name in vars(face) if not name.startswith("_")]
        lines += [f"reveal_type({face.__name__}.{name})" for name in verbs]
    program.write_text("\n".join(lines))

    ran = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", program],
        capture_output=True,
        text=True,
        check=False,
    )

    revealed = [line for line in ran.stdout.splitlines() if "Revealed type" in line]
    assert ran.returncode == 0, ran.stdout
    assert len(revealed) == len(lines) - 1
    assert [line for line in revealed if re.search(r"\bAny\b", line)] == []
