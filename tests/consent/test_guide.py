"""The guide keeps its word about how little an app needs. That its code runs: test_readme.py."""

from tests.test_readme import blocks


def test_a_receiver_with_two_facts_is_added_in_under_thirty_lines() -> None:
    example = next(block for block in blocks("docs/consent.md", "python") if "Wish(" in block)

    lines = [line for line in example.splitlines() if line.strip()]

    assert len(lines) < 30
    assert example.count("ClaimTerm(") == 2
    assert "timedelta(days=30)" in example
    assert example.count("purpose=Purpose.") == 1
