"""The guide keeps its word: how little an app needs, and what it has for it."""

from pathlib import Path
from typing import Any

import pytest
from counterfoil_consent import Level
from counterfoil_credentials.encoding import from_b64url, parse_object

from tests.readme_stages import two_facts
from tests.test_readme import blocks, run_examples

PAGE = "docs/consent.md"


def test_a_receiver_with_two_facts_is_added_in_under_thirty_lines() -> None:
    example = next(block for block in blocks(PAGE, "python") if "Wish(" in block)

    lines = [line for line in example.splitlines() if line.strip()]

    assert len(lines) < 30
    assert example.count("ClaimTerm(") == 2
    assert "timedelta(days=30)" in example
    assert example.count("purpose=Purpose.") == 1


def test_the_receiver_of_the_guide_reads_stops_and_proves_it_with_its_log_of_reads_closed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = dict(two_facts(tmp_path))
    run_examples(PAGE, names)

    # No recipient is named, so that there is nothing more to prove than the custodian does.
    assert names["proved"] is Level.E2
    token = names["receiver"].erasure_receipt(names["grant_id"])
    told = parse_object(from_b64url(token.split(".")[1], "receipt"), "receipt")
    assert {"access_log", "access_log_head"} <= told.keys()
    read, refused, receipt = capsys.readouterr().out.splitlines()
    assert read.endswith("in read 1 of 5")
    assert refused == "['grant-ended']"
    assert receipt.startswith("E2 eyJ")
    assert len(names["entries"]) == 1
