"""The guide `docs/verifier.md`, command by command, in an empty folder."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.reader import Reader, commands_of

pytestmark = [pytest.mark.loopback, pytest.mark.once]


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    reader.leaves()


def test_the_guide_leads_from_an_empty_folder_to_a_green_light(reader: Reader) -> None:
    blocks = commands_of("docs/verifier.md")
    assert len(blocks) >= 4

    for block in blocks:
        reader.types(block)

    result = json.loads((reader.folder / "result.json").read_text())
    assert result == {"verdict": "accepted", "reasons": []}
    # The shop learnt that she is a member, and neither her name nor her number.
    kept = b"".join(
        file.read_bytes() for file in (reader.folder / "shop").rglob("*") if file.is_file()
    )
    for planted in (b"Mira", b"AC-204418", b"mira@example.org"):
        assert planted not in kept
