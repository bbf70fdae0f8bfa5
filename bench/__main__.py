"""`python -m bench [NAME …] [--json] [--quick]`: measure promises and judge their floors.

Without a name it lists the names. A bench whose packages are missing is named as not
run. It ends with 1 when a floor is missed. `--quick` takes two rounds over small inputs
and judges nothing: it shows that a bench runs.
"""

import argparse
import importlib
import json
import pkgutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final, Protocol, cast

from bench.measure import QUICK_ROUNDS, Operation, Result, measure

_FRAMEWORK: Final = frozenset({"__main__", "loopback", "measure"})
_HEADER: Final = ("operation", "ours", "against", "theirs", "ratio", "floor", "goal", "")
_SI: Final = ((1, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n"))
_BINARY: Final = ((1 << 20, "Mi"), (1 << 10, "Ki"))


class Bench(Protocol):
    """What a module in this folder offers; its docstring's first line says what it promises."""

    __doc__: str | None

    def operations(self, *, quick: bool) -> Iterable[Operation]:
        """Give the operations one by one, so that a large input lives while it is needed."""
        ...


def names() -> list[str]:
    """Name the benches: the modules of this folder that are not the framework."""
    found = (module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]))
    return sorted(name for name in found if name not in _FRAMEWORK)


def load(name: str) -> Bench:
    """Give the bench called `name`."""
    return cast("Bench", importlib.import_module(f"bench.{name}"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benches that are named; give 1 when a floor is missed, 0 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", metavar="NAME", nargs="*", help="without one, list them")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--quick", action="store_true", help="two rounds, small inputs, no verdict")
    asked = parser.parse_args(arguments)
    known = names()
    if unknown := [name for name in asked.names if name not in known]:
        parser.error(f"expected a bench of {', '.join(known)}, found {', '.join(unknown)}")
    if not asked.names:
        for name in known:
            _say(f"{name:16} {_promise(name)}")
        return 0
    held = True
    for name in asked.names:
        try:
            held = _run(name, as_json=asked.json, quick=asked.quick) and held
        except ModuleNotFoundError as missing:
            # A bench may miss a package when it comes to it, after its first operations.
            sys.stderr.write(f"{name}: {_not_run(missing)}\n")
    return 0 if held else 1


def _run(name: str, *, as_json: bool, quick: bool) -> bool:
    bench, held = load(name), True
    if not as_json:
        _say(f"{name}: medians, in turns in one process\n{_row(_HEADER)}")
    for operation in bench.operations(quick=quick):
        for measured in measure(operation, rounds=QUICK_ROUNDS if quick else None):
            result = replace(measured, floor=None, goal=None) if quick else measured
            held = held and result.holds is not False
            _say(_as_json(name, result) if as_json else _row(_cells(result)))
    return held


def _promise(name: str) -> str:
    try:
        return (load(name).__doc__ or "").partition("\n")[0]
    except ModuleNotFoundError as missing:
        return _not_run(missing)


def _not_run(missing: ModuleNotFoundError) -> str:
    if (missing.name or "").startswith(("bench", "counterfoil_")):
        raise missing  # ours is a mistake, not a package to install
    return f"not run: expected the package {missing.name!r}, found it missing"


def _as_json(name: str, result: Result) -> str:
    return json.dumps(
        {"bench": name, **asdict(result), "holds": result.holds, "reached": result.reached}
    )


def _cells(result: Result) -> tuple[str, ...]:
    theirs = "" if result.theirs is None else _figure(result.theirs, result.unit)
    return (
        result.operation,
        _figure(result.ours, result.unit),
        result.other or "",
        "not installed" if result.missing else theirs,
        _ratio(result.ratio),
        _bound(result.floor, at_most=result.at_most),
        _bound(result.goal, at_most=result.at_most),
        _verdict(result),
    )


def _verdict(result: Result) -> str:
    if result.holds is False:
        return "MISSED"
    if result.reached is not None:
        return "goal reached" if result.reached else "short of the goal"
    return "holds" if result.holds else ""


def _ratio(ratio: float | None) -> str:
    if ratio is None:
        return ""
    return (
        f"{ratio:,.0f}x" if ratio >= 100 else f"{ratio:.2f}x" if ratio >= 0.1 else f"{ratio:.2g}x"
    )


def _bound(bound: float | None, *, at_most: bool) -> str:
    return "" if bound is None else f"{'<=' if at_most else '>='} {_ratio(bound)}"


def _figure(value: float, unit: str) -> str:
    scale, prefix = next(
        (pair for pair in (_BINARY if unit == "B" else _SI) if value >= pair[0]), (1, "")
    )
    return f"{value / scale:,.3g} {prefix}{unit}"


def _row(cells: Sequence[str]) -> str:
    widths = (46, 12, 34, 14, 9, 10, 10, 0)
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
