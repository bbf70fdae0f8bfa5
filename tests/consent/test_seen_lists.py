"""Which status lists a receiver relied on is written down, each once, before it is used."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from counterfoil_consent.anchoring import Anchoring, MemoryAnchor, MemorySalts
from counterfoil_consent.seen_lists import (
    FileListJournal,
    JournalledLists,
    ListJournal,
    MemoryListJournal,
)
from counterfoil_consent.wire import digest_of
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.token_status_list import VALID, pack, sign_status_list

from tests.conftest import Clock

URL = "https://audio.example/status-lists/1"


@dataclass
class Server:
    """An issuer's server: `token` is what it answers with."""

    token: str = ""

    def fetch(self, url: str) -> str:
        return self.token


@pytest.fixture(params=["memory", "file"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> ListJournal:
    return (
        MemoryListJournal()
        if request.param == "memory"
        else FileListJournal(tmp_path / "lists.jsonl")
    )


def listed(clock: Clock, signer: MemorySigner) -> str:
    return sign_status_list(
        pack([VALID]),
        url=URL,
        bits=2,
        signer=signer,
        issued_at=clock(),
        expires_at=None,
        ttl_s=None,
    )


def test_each_list_is_written_down_once_also_over_a_restart(
    journal: ListJournal, clock: Clock
) -> None:
    server, signer = Server(), MemorySigner.generate()
    source = JournalledLists(server, journal, clock)
    tokens: list[str] = []
    for _ in range(2):
        server.token = listed(clock, signer)
        tokens.append(server.token)
        assert source.fetch(URL) == source.fetch(URL) == server.token
        clock.advance(timedelta(hours=1))
    again = JournalledLists(server, journal, clock)
    assert again.fetch(URL) == tokens[-1]

    assert [seen.sha256 for seen in journal.all()] == [digest_of(token) for token in tokens]
    assert [seen.seen_at for seen in journal.all()] == [seen.listed_at for seen in journal.all()]


def test_what_is_no_list_is_neither_given_nor_written_down(
    journal: ListJournal, clock: Clock
) -> None:
    token = listed(clock, MemorySigner.generate())
    head, _, rest = token.partition(".")
    source = JournalledLists(Server(f"{'A' * len(head)}.{rest}"), journal, clock)

    with pytest.raises(Malformed):
        source.fetch(URL)

    assert journal.all() == []


def test_a_line_that_was_torn_by_a_crash_is_not_there(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "lists.jsonl"
    server = Server(listed(clock, MemorySigner.generate()))
    JournalledLists(server, FileListJournal(path), clock).fetch(URL)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"url":"https://au')

    journal = FileListJournal(path)
    assert len(journal.all()) == 1
    clock.advance(timedelta(hours=1))
    server.token = listed(clock, MemorySigner.generate())
    JournalledLists(server, journal, clock).fetch(URL)

    assert [seen.listed_at for seen in FileListJournal(path).all()][1] == clock()


def test_a_list_is_anchored_before_it_is_relied_on(clock: Clock) -> None:
    anchor = MemoryAnchor()
    anchoring = Anchoring(anchor, MemorySalts(), clock=clock, random=bytes, least_leaves=1)
    server = Server(listed(clock, MemorySigner.generate()))

    JournalledLists(server, MemoryListJournal(), clock, anchoring=anchoring).fetch(URL)

    _, lists = anchor.waiting()
    assert [(each.url, each.sha256) for each in lists] == [(URL, digest_of(server.token))]
