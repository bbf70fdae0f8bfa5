"""Who did what to which thing, and when: a log that cannot be changed unnoticed.

    log = AuditLog(secret)                            # 32 bytes or more, outside the database

    def work(connection: Connection) -> None:         # the act and its entry: one transaction
        revoke(connection, credential_id)
        log.append(connection, "ops-key", "credential.revoked/lost", credential_id, now)

    with db.reading() as connection:
        log.check(connection)                         # names the first wrong row, or passes

Each row carries an HMAC over itself and the row before it, and the log's head one
over the last. What that stops, and what it does not:

    a row edited, inserted, moved or removed in between     the chain (check names the row)
    the tail cut off                                        the head, whose HMAC is its own
    a chain written anew by whoever can write the database  the key (a plain hash would not)
    an older copy of the whole database put back, a log     a checkpoint kept elsewhere:
    emptied, or a chain written anew with the stolen key    signed, a line of text (`sign`)

A checkpoint says how long the log was and how it ended; everything up to it is
fixed for whoever keeps it, a file on another machine or an auditor's mailbox.
`trim` removes entries past their time and leaves a start mark, so that the rest
still checks. No entry holds personal data: actors are names of keys and opaque
ids of staff, subjects are ids.
"""

import hmac
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple, NoReturn

from counterfoil_credentials.encoding import (
    JsonObject,
    b64url,
    compact_json,
    int_at,
    numeric_date,
    text_at,
)
from counterfoil_credentials.errors import Misuse, Reason, Refused, Unavailable
from counterfoil_credentials.jws import read_jws, sign_jws
from counterfoil_credentials.keys import PublicKey, Signer
from sqlalchemy import (
    BigInteger,
    Column,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from counterfoil_service.sealing import derived
from counterfoil_service.statements import Connection, Statement

CHECKPOINT_TYPE: Final = "counterfoil-audit-checkpoint+jwt"
MAX_ENTRIES: Final = 1_000
"""How many entries one call gives or trims."""
_NAME: Final = re.compile(r"[A-Za-z0-9._:/#+~=-]{1,200}")
_BEGINNING: Final = "the log begins"

METADATA: Final = MetaData()
# `at` is whole seconds since 1970.
LOG: Final = Table(
    "audit_log",
    METADATA,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("actor", String, nullable=False),
    Column("action", String, nullable=False),
    Column("subject", String, nullable=False, index=True),
    Column("chain", String, nullable=False),
)
# Two rows: "start", the last entry that was trimmed, and "head", the last there is.
# Beside them a service may keep marks of its own, under other names.
MARKS: Final = Table(
    "audit_marks",
    METADATA,
    Column("name", String, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("chain", String, nullable=False),
    Column("mac", String, nullable=False),
)

_MARK: Final = Statement(
    select(MARKS.c.sequence, MARKS.c.chain, MARKS.c.mac).where(MARKS.c.name == bindparam("mark"))
)
_ADD_MARK: Final = Statement(insert(MARKS))
_MOVE_MARK: Final = Statement(
    update(MARKS)
    .where(MARKS.c.name == bindparam("mark"))
    .values(sequence=bindparam("to"), chain=bindparam("ends"), mac=bindparam("seal"))
)
_ADD: Final = Statement(insert(LOG))
_PAGE: Final = (
    select(LOG.c.sequence, LOG.c.at, LOG.c.actor, LOG.c.action, LOG.c.subject, LOG.c.chain)
    .where(LOG.c.sequence > bindparam("last"))
    .order_by(LOG.c.sequence)
    .limit(bindparam("most"))
)
_AFTER: Final = Statement(_PAGE)
_AFTER_ABOUT: Final = Statement(_PAGE.where(LOG.c.subject == bindparam("about")))
_FIRST_SINCE: Final = Statement(
    select(func.min(LOG.c.sequence)).where(LOG.c.at >= bindparam("since"))
)
_LAST_AT: Final = Statement(select(LOG.c.at).order_by(LOG.c.sequence.desc()).limit(1))
_DROP: Final = Statement(delete(LOG).where(LOG.c.sequence <= bindparam("upto")))


def add_tables(metadata: MetaData) -> None:
    """Add this module's tables to a service's own."""
    LOG.to_metadata(metadata)
    MARKS.to_metadata(metadata)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log. `sequence` counts from one."""

    sequence: int
    at: datetime
    actor: str
    action: str
    subject: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The log as it was: `sequence` entries, of which the last had this chain value."""

    sequence: int
    chain: str

    def sign(self, signer: Signer, at: datetime) -> str:
        """Give the checkpoint as one line of text to keep elsewhere (a compact JWS)."""
        claims: JsonObject = {
            "sequence": self.sequence,
            "chain": self.chain,
            "iat": numeric_date(at),
        }
        return sign_jws(claims, typ=CHECKPOINT_TYPE, signer=signer)

    @classmethod
    def read(cls, text: str, key: PublicKey) -> "Checkpoint":
        """Give a checkpoint that `key` signed; `Malformed` or `Refused` for any other text."""
        token = read_jws(text.strip(), typ=CHECKPOINT_TYPE, where="checkpoint")
        claims = token.verify(key, frozenset({key.algorithm}))
        where = "checkpoint"
        return cls(int_at(claims, "sequence", where), text_at(claims, "chain", where))


class _End(NamedTuple):
    """Where a stretch of the chain ends."""

    sequence: int
    chain: str


class AuditLog:
    """The log under one key."""

    def __init__(self, secret: bytes, *, read_at_once: int = 5_000) -> None:
        """Take the key: `secret` has at least 32 bytes and never enters the database."""
        self._read_at_once = read_at_once
        self._key = derived(secret, "audit log")
        self._beginning = _End(0, self._mac(_BEGINNING))

    def append(
        self, connection: Connection, actor: str, action: str, subject: str, at: datetime
    ) -> int:
        """Add an entry within the transaction of what it tells; give its number.

        Raises `Misuse` for a name that is no plain id, and `Unavailable` when the
        log's head was altered: nothing more is written over a log that is wrong.
        """
        for name, text in (("actor", actor), ("action", action), ("subject", subject)):
            if _NAME.fullmatch(text) is None:
                raise Misuse(f"expected an id of at most 200 plain characters (audit.{name})")
        sequence, chain = self._mark(connection, "head") or self._beginning
        row = (sequence + 1, numeric_date(at), actor, action, subject)
        chained = self._chained(chain, row)
        connection.change(
            _ADD,
            sequence=row[0],
            at=row[1],
            actor=actor,
            action=action,
            subject=subject,
            chain=chained,
        )
        self._set_mark(connection, "head", _End(row[0], chained), exists=sequence > 0)
        return row[0]

    def check(self, connection: Connection, checkpoints: Sequence[Checkpoint] = ()) -> Checkpoint:
        """Give the log's end after every row was found to follow from the one before it.

        Memory is bounded however long the log is. `checkpoints` are earlier ends
        that were kept elsewhere. Raises `Refused` that names the first wrong row:
        `audit-row-altered` (also moved), `audit-row-missing`, `audit-row-added`,
        `audit-mark-altered`, or `audit-checkpoint-missed`.
        """
        start = self._checked_mark(connection, "start") or self._beginning
        known: dict[int, set[str]] = {}
        for each in checkpoints:
            known.setdefault(each.sequence, set()).add(each.chain)
        end = start
        _require_known(known, end)
        while True:
            for reached in self._walk(connection, end):
                _require_known(known, reached)
                end = reached
            # The head is read after the rows: entries that came meanwhile are walked too.
            head = self._checked_mark(connection, "head") or self._beginning
            if head.sequence <= end.sequence:
                break
            if not connection.rows(_AFTER, last=end.sequence, most=1):
                _wrong("audit-row-missing", "this row", "none", end.sequence + 1)
        if head.sequence < end.sequence:
            _wrong("audit-row-added", "no row after the head", "one", head.sequence + 1)
        if head.chain != end.chain:
            _wrong("audit-mark-altered", "the head of this log", "another", end.sequence)
        if any(sequence > end.sequence for sequence in known):
            _wrong("audit-row-missing", "this row", "none", end.sequence + 1)
        return Checkpoint(end.sequence, end.chain)

    def entries(
        self,
        connection: Connection,
        *,
        after: int = 0,
        subject: str | None = None,
        limit: int = 100,
    ) -> list[Entry]:
        """Give entries in their order, unchecked; at most a thousand, after the one given."""
        most = min(limit, MAX_ENTRIES)
        if subject is None:
            rows = connection.rows(_AFTER, last=after, most=most)
        else:
            rows = connection.rows(_AFTER_ABOUT, last=after, most=most, about=subject)
        return [Entry(row[0], datetime.fromtimestamp(row[1], UTC), *row[2:5]) for row in rows]

    def last_at(self, connection: Connection) -> datetime | None:
        """Give when the last entry was written."""
        at = connection.value(_LAST_AT)
        return None if at is None else datetime.fromtimestamp(at, UTC)

    def trim(self, connection: Connection, before: datetime) -> int:
        """Remove entries older than `before`, at most a thousand; give how many.

        They are checked on their way out, and stay when one is wrong (`Refused`).
        Say so in the log, and keep a checkpoint elsewhere first.
        """
        start = self._checked_mark(connection, "start")
        since = connection.value(_FIRST_SINCE, since=numeric_date(before))
        head = self._checked_mark(connection, "head")
        if head is None:
            return 0
        first = (start or self._beginning).sequence
        # The last entry stays: the head is over it.
        upto = min((since or head.sequence) - 1, head.sequence - 1, first + MAX_ENTRIES)
        if upto <= first:
            return 0
        end = start or self._beginning
        for reached in self._walk(connection, end):
            end = reached
            if end.sequence == upto:
                break
        if end.sequence != upto:
            _wrong("audit-row-missing", "this row", "none", end.sequence + 1)
        self._set_mark(connection, "start", end, exists=start is not None)
        connection.change(_DROP, upto=upto)
        return upto - first

    def _walk(self, connection: Connection, end: _End) -> Iterator[_End]:
        """Give the end of the chain after each row that follows `end`."""
        while True:
            rows = connection.rows(_AFTER, last=end.sequence, most=self._read_at_once)
            for sequence, at, actor, action, subject, chain in rows:
                if sequence != end.sequence + 1:
                    _wrong("audit-row-missing", "this row", "none", end.sequence + 1)
                try:
                    expected = self._chained(end.chain, (sequence, at, actor, action, subject))
                except (Misuse, TypeError) as cause:  # SQLite keeps any value in any column
                    found = "a cell of bytes, or another that we never write"
                    raise _finding(
                        "audit-row-altered", "the row that was written", found, sequence
                    ) from cause
                if not _same(expected, chain):
                    found = "another, or one from elsewhere"
                    _wrong("audit-row-altered", "the row that was written", found, sequence)
                end = _End(sequence, chain)
                yield end
            if len(rows) < self._read_at_once:
                return

    def _mark(self, connection: Connection, name: str) -> _End | None:
        try:
            return self._checked_mark(connection, name)
        except Refused as cause:
            raise Unavailable("expected the audit log as it was left, found it altered") from cause

    def _checked_mark(self, connection: Connection, name: str) -> _End | None:
        row = connection.row(_MARK, mark=name)
        if row is None:
            return None
        sequence, chain, mac = row
        altered = Refused(
            Reason("audit-mark-altered", "the mark of this log", "another", f"audit_marks[{name}]")
        )
        try:
            expected = self._mark_mac(name, sequence, chain)
        except (Misuse, TypeError) as cause:
            raise altered from cause
        if not _same(expected, mac):
            raise altered
        return _End(sequence, chain)

    def _set_mark(self, connection: Connection, name: str, end: _End, *, exists: bool) -> None:
        mac = self._mark_mac(name, end.sequence, end.chain)
        if exists:
            connection.change(_MOVE_MARK, mark=name, to=end.sequence, ends=end.chain, seal=mac)
        else:
            connection.change(_ADD_MARK, name=name, sequence=end.sequence, chain=end.chain, mac=mac)

    def _chained(self, chain: str, row: tuple[int, int, str, str, str]) -> str:
        return self._mac("row", chain, *row)

    def _mark_mac(self, name: str, sequence: int, chain: str) -> str:
        return self._mac("mark", name, sequence, chain)

    def _mac(self, *parts: int | str) -> str:
        # The spelling of a list has one reading, and its first member says of what kind it is.
        return b64url(hmac.digest(self._key, compact_json(list(parts)), "sha256"))


def _require_known(known: dict[int, set[str]], end: _End) -> None:
    if known.get(end.sequence, {end.chain}) != {end.chain}:
        expected = "the row that the checkpoint saw"
        _wrong("audit-checkpoint-missed", expected, "another", end.sequence)


def _same(expected: str, found: object) -> bool:
    # Whatever stands in a cell has some text; one of half a surrogate pair has no UTF-8.
    return hmac.compare_digest(expected.encode(), str(found).encode("utf-8", "replace"))


def _wrong(code: str, expected: str, found: str, sequence: int) -> NoReturn:
    raise _finding(code, expected, found, sequence)


def _finding(code: str, expected: str, found: str, sequence: int) -> Refused:
    return Refused(Reason(code, expected, found, f"audit_log[{sequence}]"))
