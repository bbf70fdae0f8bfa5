"""The guide keeps its word: how little an app needs to exchange points, and what it says."""

from pathlib import Path
from typing import Any

import pytest
from counterfoil_loyalty import Points, Source

from tests.loyalty.programme import AUDIO, BICYCLE
from tests.readme_stages import points_app
from tests.test_readme import blocks, run_examples

PAGE = "docs/points.md"


def test_points_are_exchanged_in_under_ten_lines_without_gas_an_address_or_a_block() -> None:
    example = next(block for block in blocks(PAGE, "python") if ".exchange(" in block)

    assert len([line for line in example.splitlines() if line.strip()]) < 10
    assert "import" in example  # with all that they need
    said = "".join(blocks(PAGE, "python")).lower()
    assert not [word for word in ("gas", "address", "block", "0x", "nonce") if word in said]


def test_the_app_of_the_guide_has_exchanged_redeemed_and_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = dict(points_app(tmp_path))
    run_examples(PAGE, names)
    said = capsys.readouterr().out.splitlines()

    assert said[0] == "10.00 became 15.00"
    assert said[1].startswith("2.00 for at least 3.00, 3/2, until ")
    assert said[2] == "kept back: 1.00"
    assert said[3] == "0 done, 0 refused, 0 wait"
    assert [it for it in said if "fresh" in it] == [
        "Auricle Points 88.00 fresh",
        "Velo Miles 18.00 fresh",
    ]
    assert [it.source for it in names["page"]] == [
        *[Source.EXCHANGED] * 4,
        Source.EARNED,
    ]
    assert names["older"] == []
    assert "Give 0.50 Auricle Points to Bao W." in said
    held = {brand: it.points for brand, it in names["points"].balances().items()}
    assert held == {AUDIO: Points(AUDIO, 87_50), BICYCLE: Points(BICYCLE, 17_00)}
    assert names["points"].history()[0].contact == "Bao"
