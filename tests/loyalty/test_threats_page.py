"""The page about threats names tests, and they are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_test_that_the_threat_model_names_is_there() -> None:
    page = (ROOT / "docs/points-threats.md").read_text("utf-8")
    named = re.findall(r"`(test_\w+)(?:: (test_\w+))?`", page)
    assert len(named) > 30
    module = ""
    for first, second in named:
        is_module = (ROOT / f"tests/loyalty/{first}.py").exists()
        # A test on its own is one of the module that was named before it.
        module, test = (first, second) if is_module else (module, first)
        text = (ROOT / f"tests/loyalty/{module}.py").read_text("utf-8")
        assert not test or f"def {test}(" in text, f"{module}: {test}"
