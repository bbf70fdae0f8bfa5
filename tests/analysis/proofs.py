"""What `scripts/analyse` proves: each property of `loyalty/solidity/proofs`, by halmos.

    python -m tests.analysis.proofs WORK              # each property holds
    python -m tests.analysis.proofs WORK --mutants    # and fails on a contract that lost its rule

Names of properties may follow. WORK has `node_modules` with the compiler and OpenZeppelin.
Halmos tries all arguments and all states at once; a property that it could not decide in
time is not passed.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.analysis.mutants import MUTANTS, Mutant

LOYALTY: Final = Path(__file__).parents[2] / "loyalty"
CONTRACTS: Final = LOYALTY / "counterfoil_loyalty/contracts"
PROOFS: Final = LOYALTY / "solidity/proofs"
_AT_A_TIME: Final = 2
_ASKED: Final = (
    "--no-status",
    "--loop=4",
    # A signature is of any bytes, and whether it holds hangs on none of them.
    "--default-bytes-lengths=65",
    "--default-array-lengths=2",
    "--solver-timeout-assertion=60s",
)
AS_DEPLOYED: Final = "as deployed"
_HOLDS, _FAILS = 0, 1
_WORDS: Final = {
    _HOLDS: "holds",
    _FAILS: "FAILS",
    2: "not decided in time",
    3: "not decided: halmos met what it does not know",
    4: "says nothing: every path reverts",
}


@dataclass(frozen=True, slots=True)
class Property:
    """A function `check_…` of one contract of proofs."""

    proof: str
    name: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What halmos says of a property: its exit code and seconds."""

    property: Property
    code: int
    seconds: float
    where: str = AS_DEPLOYED

    def __str__(self) -> str:
        """Say it in one line."""
        word = _WORDS.get(self.code, f"halmos gave up ({self.code})")
        return f"{self.seconds:6.1f} s  {self.property.name}, {self.where}: {word}"


def properties() -> tuple[Property, ...]:
    """Give what the sources promise to prove."""
    return tuple(
        Property(path.stem, name)
        for path in sorted(PROOFS.glob("*Proof.sol"))
        for name in re.findall(r"function (check_\w+)\(", path.read_text("utf-8"))
    )


def built(work: Path, proofs: Sequence[str], mutant: Mutant | None = None) -> Path:
    """Compile contracts of proofs against the contracts, or against one that lost a rule.

    Raises `RuntimeError` when they do not compile.
    """
    place = work / (f"mutant-{MUTANTS.index(mutant)}" if mutant else "deployed")
    shutil.copytree(CONTRACTS, place / "contracts")
    (place / "proofs").mkdir()
    for source in ("Proof", *proofs):
        shutil.copy(PROOFS / f"{source}.sol", place / "proofs")
    if mutant is not None:
        path = place / f"contracts/{mutant.contract}.sol"
        path.write_text(mutant.applied(path.read_text("utf-8")), "utf-8")
    script = LOYALTY / "solidity/analyse.mjs"
    _run(["node", script, work / "node_modules", place, place / "contracts", place / "proofs"])
    return place


def judged(place: Path, wanted: Sequence[Property], where: str = AS_DEPLOYED) -> list[Verdict]:
    """Let halmos judge properties of one contract of proofs, which is built in `place`.

    Raises `RuntimeError` when it says nothing of one.
    """
    proof = wanted[0].proof
    answer = place / f"{proof}.json"
    names = "|".join(it.name for it in wanted)
    asked = [Path(sys.executable).with_name("halmos"), "--root", place, *_ASKED]
    if where != AS_DEPLOYED:
        asked.append("--early-exit")
    asked += ["--match-contract", f"^{proof}$", "--match-test", rf"^({names})\("]
    said = _run([*asked, "--json-output", answer], may_fail=True)
    if not answer.exists():
        raise RuntimeError(f"expected an answer of halmos on {names}, found {said[-2000:]}")
    results = json.loads(answer.read_text("utf-8"))["test_results"]
    found = {
        str(result["name"]).partition("(")[0]: result
        for listed in results.values()
        for result in listed
    }
    missing = [it.name for it in wanted if it.name not in found]
    if missing:
        raise RuntimeError(f"expected an answer of halmos on {missing}, found none")
    return [
        Verdict(it, _code(found[it.name]), float(found[it.name]["time"][0]), where) for it in wanted
    ]


def of(wanted: Property) -> list[Mutant]:
    """Give the mutants that a property must notice."""
    return [mutant for mutant in MUTANTS if mutant.property == wanted.name]


def _caught(work: Path, wanted: Property, mutant: Mutant) -> list[Verdict]:
    return judged(built(work, [wanted.proof], mutant), [wanted], f"with {mutant.name}")


def _code(result: Any) -> int:  # noqa: ANN401  # as halmos writes it
    """A loop that was cut short proves nothing."""
    code = int(result["exitcode"])
    return 2 if code == _HOLDS and result["num_bounded_loops"] else code


def _run(command: Sequence[object], *, may_fail: bool = False) -> str:
    done = subprocess.run(
        [str(part) for part in command], check=False, capture_output=True, text=True
    )
    if done.returncode and not may_fail:
        raise RuntimeError(f"expected {command[0]} to succeed, found {done.stderr[-2000:]}")
    return done.stdout + done.stderr


def prepare(work: Path) -> None:
    """Give halmos what it looks for: its solver, a home for its cache, and a `forge`.

    It calls `forge` to compile; everything is compiled when it does, so this one has nothing to do.
    """
    tools = work / "bin"
    tools.mkdir(exist_ok=True)
    forge = tools / "forge"
    forge.write_text("#!/bin/sh\nexit 0\n", "utf-8")
    forge.chmod(0o755)
    os.environ["HOME"] = str(work)
    os.environ["PATH"] = f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}"


def main(arguments: Sequence[str]) -> int:
    """Prove everything, or see everything fail; 1 when something is not as it must be."""
    work = Path(arguments[0]).resolve()
    prepare(work)
    known = properties()
    names = [name for name in arguments[1:] if name != "--mutants"]
    if names:
        known = tuple(it for it in known if it.name in names)
    proofs = sorted({it.proof for it in known})
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        if "--mutants" in arguments:
            expected = _FAILS
            jobs = [pool.submit(_caught, work, it, mutant) for it in known for mutant in of(it)]
        else:
            expected = _HOLDS
            place = built(work, proofs)
            wanted = ([it for it in known if it.proof == proof] for proof in proofs)
            jobs = [pool.submit(judged, place, these) for these in wanted]
        verdicts = [verdict for job in jobs for verdict in job.result()]
    for verdict in verdicts:
        sys.stdout.write(f"{verdict}\n")
    wrong = [verdict for verdict in verdicts if verdict.code != expected]
    sys.stdout.write(f"halmos: {len(verdicts) - len(wrong)} of {len(verdicts)} as expected\n")
    return 1 if wrong or not verdicts else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
