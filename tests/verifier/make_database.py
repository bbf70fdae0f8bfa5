"""`python -m tests.verifier.make_database`: a database as this version's counter writes it.

Run it before a release that brings a new revision of the schema; the file in
databases/ is named for the revision, and is never made again.
"""

import random
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from counterfoil_credentials.encoding import b64url
from counterfoil_verifier import Language, Outcome, Verdict
from counterfoil_verifier.migrations import HEAD
from counterfoil_verifier.requesting import (
    REQUEST_LIFE,
    Answered,
    RequestId,
    SessionId,
    Waiting,
)
from counterfoil_verifier.sql_store import SqlNames, SqlSessionStore
from counterfoil_verifier.store import SessionStore

from tests.conftest import NOON

DATABASES = Path(__file__).parent / "databases"
_CODES = (
    (Outcome.ACCEPTED, ()),
    (Outcome.REFUSED, ("revoked",)),
    (Outcome.REFUSED, ("audience-mismatch", "nonce-mismatch", "warranty-ended")),
    (Outcome.UNAVAILABLE, ("status-too-old",)),
)


def make(path: Path) -> None:
    """Fill an empty database: something of everything, in each of its states."""
    store = SqlSessionStore(path)
    ask_and_answer(store)
    shown = Verdict(
        outcome=Outcome.ACCEPTED,
        kind="holder-shown",
        codes=(),
        checked_at=NOON,
        status_as_of=NOON - timedelta(hours=8),
        took_ms=3,
    )
    store.keep(
        Answered(session_id=SessionId("shown"), preset="warranty", verdict=shown, later_answers=0)
    )
    store.mark_sent([one.session_id for one in store.unsent(5)], at=NOON + timedelta(hours=1))
    SqlNames(store.database).take("till-1 nonce-1", ends_at=NOON + timedelta(minutes=2))
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA page_size = 1024")
        connection.execute("VACUUM")
    connection.close()


def session(random: Callable[[int], bytes], at: datetime, language: Language = "zh") -> Waiting:
    """Give a session as it begins at `at`."""
    return Waiting(
        session_id=SessionId(b64url(random(32))),
        request_id=RequestId(b64url(random(32))),
        preset="warranty",
        language=language,
        nonce=b64url(random(32)),
        state=b64url(random(32)),
        asked_at=at,
        expires_at=at + REQUEST_LIFE,
    )


def ask_and_answer(store: SessionStore) -> None:
    """Put sessions that wait, and some of each outcome, into an empty store."""
    chance = random.Random(6)

    def asked(minutes: int) -> Waiting:
        at = NOON + timedelta(minutes=minutes)
        waiting = session(chance.randbytes, at, "zh" if minutes % 2 else "en")
        store.add(waiting)
        return waiting

    for number in range(20):
        waiting = asked(number)
        outcome, codes = _CODES[number % 4]
        checked_at = waiting.asked_at + timedelta(seconds=9, microseconds=number)
        verdict = Verdict(
            outcome=outcome,
            codes=codes,
            checked_at=checked_at,
            status_as_of=None if number % 3 else checked_at - timedelta(hours=1),
            took_ms=number,
        )
        store.answer(waiting.session_id, verdict)
        for _ in range(number % 5):
            store.count_later_answer(waiting.session_id)
    for number in (30, 31, 32):
        asked(number)


if __name__ == "__main__":
    make(DATABASES / f"{HEAD}.sqlite3")
