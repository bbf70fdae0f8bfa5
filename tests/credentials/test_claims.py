"""Claim paths: every one of them can be read."""

import pytest
from counterfoil_credentials.claims import ClaimPath, path_text


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("lines", 0, "serial"), "lines[0].serial"),
        (("lines", None), "lines[*]"),
        (("org.iso.18013.5.1", "name"), "org.iso.18013.5.1.name"),
        (("",), '[""]'),
        (("a", "", 1), 'a[""][1]'),
    ],
    ids=str,
)
def test_a_path_reads_as_people_write_it_and_never_as_nothing(path: ClaimPath, text: str) -> None:
    assert path_text(path) == text
