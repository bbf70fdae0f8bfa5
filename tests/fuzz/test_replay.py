"""Every input that ever mattered, through its target again, each within its time."""

from pathlib import Path

import pytest

from tests.fuzz.alarm import within_its_time
from tests.fuzz.seeds import CORPUS, write
from tests.fuzz.targets import TARGETS

MOST_BYTES = 8_192 + 1_024


@pytest.mark.parametrize("name", TARGETS)
def test_no_input_of_the_corpus_crashes_its_parser_or_keeps_it_busy(name: str) -> None:
    for path in sorted((CORPUS / name).iterdir()):
        with within_its_time(path.name):
            try:
                TARGETS[name](path.read_bytes())
            except Exception as error:
                error.add_note(f"tests/fuzz/corpus/{name}/{path.name}")
                raise


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_of_a_parser_is_there_and_its_inputs_are_small(name: str) -> None:
    sizes = {path.name: path.stat().st_size for path in (CORPUS / name).iterdir()}

    assert len(sizes) > 20
    assert not {path: size for path, size in sizes.items() if size > MOST_BYTES}


def test_every_folder_of_the_corpus_is_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)


def test_every_seed_stands_in_the_corpus(tmp_path: Path) -> None:
    write(tmp_path)

    seeds = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    assert seeds <= {path.relative_to(CORPUS) for path in CORPUS.rglob("*")}
