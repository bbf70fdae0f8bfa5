"""The guide `docs/issuer.md`, command by command, in an empty folder."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.node import require_strangers
from tests.interop.reader import Reader, commands_of

pytestmark = [pytest.mark.loopback, pytest.mark.once]


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    require_strangers()
    reader = Reader(tmp_path)
    yield reader
    reader.leaves()


def test_the_guide_leads_from_an_empty_folder_to_a_credential_in_a_stranger_s_wallet(
    reader: Reader,
) -> None:
    blocks = commands_of("docs/issuer.md")
    assert len(blocks) >= 4

    for block in blocks:
        reader.types(block)

    wallet = json.loads((reader.folder / "wallet.json").read_text())
    warranty = wallet["credentials"]["warranty"]
    offer = json.loads((reader.folder / "offer.json").read_text())
    assert warranty["claims"]["vct"].endswith("/types/warranty")
    assert len(offer["tx_code"]) == 6
