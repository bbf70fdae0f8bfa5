"""The page of answers, the proofs and their mutants speak of the same things.

`scripts/analyse` runs the analysers themselves; here is what can be seen without them.
"""

import json
import re
from pathlib import Path

import pytest

from tests.analysis.findings import PAGE, answered, found, main
from tests.analysis.mutants import MUTANTS, Mutant
from tests.analysis.proofs import CONTRACTS, of, properties

pytestmark = pytest.mark.once


def test_the_page_names_each_property_and_no_other() -> None:
    named = re.findall(r"^\| `(check_\w+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)

    assert sorted(named) == sorted(it.name for it in properties())


def test_each_property_has_a_contract_that_must_fail_it() -> None:
    assert not [it.name for it in properties() if not of(it)]
    assert {mutant.property for mutant in MUTANTS} <= {it.name for it in properties()}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: str(mutant.name))
def test_a_mutant_changes_its_contract(mutant: Mutant) -> None:
    source = (CONTRACTS / f"{mutant.contract}.sol").read_text("utf-8")

    assert mutant.applied(source) != source


def test_a_mutant_of_a_line_that_is_gone_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 'gone' once in Clearing, found 0"):
        Mutant("check", "name", "Clearing", "gone", "").applied("here")


def _report(*descriptions: str) -> dict[str, object]:
    contract = {"type": "contract", "name": "PeerSwap"}
    element = {
        "type": "function",
        "name": "fill",
        "type_specific_fields": {"parent": contract},
    }
    listed = [
        {"check": "timestamp", "description": it, "elements": [element]} for it in descriptions
    ]
    return {"success": True, "error": None, "results": {"detectors": listed}}


def test_a_finding_is_known_by_the_code_it_quotes_and_not_by_its_line() -> None:
    (one,) = found(_report("fill() (PeerSwap.sol#74-96) compares (PeerSwap.sol#80)"))

    assert found(_report("fill() (PeerSwap.sol#7-9) compares (PeerSwap.sol#8)")) == {one}
    assert found(_report("fill() (PeerSwap.sol#74-96) divides (PeerSwap.sol#80)")) != {one}
    assert answered(f"{one} no harm |\n") == {one}


def test_a_new_finding_and_an_answer_to_nothing_are_both_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "findings.json"
    report.write_text(json.dumps(_report("fill() does what nobody answered")), "utf-8")

    assert main([str(report)]) == 1

    said = capsys.readouterr().out
    assert "not answered: | `" in said
    assert "answers nothing: | `" in said


def test_a_report_that_failed_is_no_report() -> None:
    with pytest.raises(ValueError, match="expected a report of slither"):
        found({"success": False, "error": "no compiler", "results": {}})
