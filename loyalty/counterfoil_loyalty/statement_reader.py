"""What the brand that receives a statement makes of it: read, and held against its own chain.

    theirs = read_statement(token, signed_by=key)
    require_csv_of(theirs, csv_text)                       # the sheet says what was signed
    require_same(theirs, drawn_up_from_my_own_index)       # or the first difference, by its place

A signature says who stands by a statement, never that it is right: that is what the
receiver's own index says. Only the first difference is named, since what comes after it
mostly follows from it.
"""

import csv
import io
import re
from dataclasses import fields
from itertools import zip_longest
from typing import Final, NoReturn

from counterfoil_credentials.encoding import JsonObject, as_object, int_at, list_at, text_at
from counterfoil_credentials.errors import Malformed, Reason, Refused
from counterfoil_credentials.jws import read_jws
from counterfoil_credentials.keys import PublicKey

from counterfoil_loyalty.statements import KINDS, STATEMENT_TYP, Statement, StatementLine

DIFFERS: Final = "statement-differs"
MAX_BYTES: Final = 16 * 2**20
MAX_LINES: Final = 100_000

_WHERE: Final = "statement"
_VALUE: Final = re.compile(r"0|-?[1-9][0-9]{0,38}", re.ASCII)
_KINDS: Final = frozenset(
    {"exchanged", "paid", "drawn-from-collateral", "paid-elsewhere", "netted"}
)
_HEAD: Final = ("debtor", "creditor", "since", "until", "until_id", "opening")


def read_statement(token: str, *, signed_by: PublicKey) -> Statement:
    """Give the statement that the holder of `signed_by` stands by.

    Raises `Refused` (`signature-invalid`), and `Malformed` for one whose lines do not add up
    from its opening to its closing: that needs nobody's chain.
    """
    jws = read_jws(token, typ=STATEMENT_TYP, where=_WHERE, max_bytes=MAX_BYTES)
    return parse_statement(jws.verify(signed_by))


def parse_statement(obj: JsonObject) -> Statement:
    """Give the statement in `obj`, as `Statement.to_json` wrote it; `Malformed` for another."""
    known = {field.name for field in fields(Statement)}
    if obj.keys() != known:
        raise Malformed(f"{' '.join(sorted(known))}", "other members", _WHERE)
    listed = list_at(obj, "lines", _WHERE)
    if len(listed) > MAX_LINES:
        raise Malformed(f"at most {MAX_LINES} lines", f"{len(listed)}", f"{_WHERE}.lines")
    lines = [
        _line(as_object(value, f"{_WHERE}.lines[{place}]"), f"{_WHERE}.lines[{place}]")
        for place, value in enumerate(listed)
    ]
    statement = Statement(
        debtor=text_at(obj, "debtor", _WHERE),
        creditor=text_at(obj, "creditor", _WHERE),
        since=int_at(obj, "since", _WHERE),
        until=int_at(obj, "until", _WHERE),
        until_id=text_at(obj, "until_id", _WHERE),
        opening=_value_at(obj, "opening", _WHERE),
        closing=_value_at(obj, "closing", _WHERE),
        lines=tuple(lines),
    )
    owed = statement.opening
    for place, line in enumerate(statement.lines):
        owed += line.value
        if line.owed != owed:
            where = f"{_WHERE}.lines[{place}].owed"
            raise Malformed(f"what the lines add up to, {owed}", f"{line.owed}", where)
    if statement.closing != owed:
        found = f"{statement.closing}"
        raise Malformed(f"what the lines add up to, {owed}", found, f"{_WHERE}.closing")
    return statement


def require_same(theirs: Statement, ours: Statement) -> None:
    """Return only if `theirs` is what our own index draws up over the same blocks.

    Raises `Refused` (`statement-differs`) with the place of the first difference: who and
    which blocks, then line by line, then the sum. Expected is ours, found is theirs. A text
    that differs is not repeated: it is the other's word.
    """
    for name in _HEAD:
        _require_equal(getattr(ours, name), getattr(theirs, name), f"{_WHERE}.{name}")
    for place, (mine, yours) in enumerate(zip_longest(ours.lines, theirs.lines)):
        where = f"{_WHERE}.lines[{place}]"
        if mine is None:
            _differs("no line here", "one more line", where)
        if yours is None:
            _differs(f"a line of {mine.value}", "no line", where)
        for field in fields(StatementLine):
            expected, found = getattr(mine, field.name), getattr(yours, field.name)
            _require_equal(expected, found, f"{where}.{field.name}")
    _require_equal(ours.closing, theirs.closing, f"{_WHERE}.closing")


def require_csv_of(statement: Statement, text: str) -> None:
    """Return only if `text` is the statement as CSV, row by row, whatever ends its lines.

    A sheet goes by mail beside what was signed, and people read the sheet. Raises `Refused`
    (`statement-differs`) with the first row and column that are not so, `Malformed` for a
    text that is no CSV.
    """
    if len(text) > MAX_BYTES:
        raise Malformed(f"at most {MAX_BYTES} characters", "more", "csv")
    expected = [*csv.reader(io.StringIO(statement.to_csv()))]
    try:
        found = [*csv.reader(io.StringIO(text, newline=""), strict=True)]
    except csv.Error as error:
        raise Malformed("rows of CSV (RFC 4180)", "others", "csv") from error
    columns = expected[0]
    for place, (mine, yours) in enumerate(zip_longest(expected, found)):
        where = f"csv.rows[{place}]"
        if mine is None or yours is None:
            _differs("a row" if yours is None else "no row here", "none" if mine else "one", where)
        if len(mine) != len(yours):
            _differs(f"{len(mine)} columns", f"{len(yours)}", where)
        for column, one, other in zip(columns, mine, yours, strict=True):
            if one != other:
                _differs("what was signed", "another", f"{where}.{column}")


def _line(obj: JsonObject, where: str) -> StatementLine:
    if obj.keys() != {"at", "kind", "value", "owed", "reference", "block", "transaction"}:
        raise Malformed("the members of a line", "others", where)
    kind = text_at(obj, "kind", where)
    if kind not in KINDS:
        raise Malformed(" or ".join(KINDS), "another", f"{where}.kind")
    return StatementLine(
        at=int_at(obj, "at", where),
        kind=kind,
        value=_value_at(obj, "value", where),
        owed=_value_at(obj, "owed", where),
        reference=text_at(obj, "reference", where),
        block=int_at(obj, "block", where),
        transaction_id=text_at(obj, "transaction", where),
    )


def _value_at(obj: JsonObject, name: str, where: str) -> int:
    text = text_at(obj, name, where)
    if not _VALUE.fullmatch(text):
        raise Malformed("a whole number as text", "another", f"{where}.{name}")
    return int(text)


def _require_equal(expected: str | int, found: str | int, where: str) -> None:
    if expected != found:
        if isinstance(expected, int):
            _differs(f"{expected}", f"{found}", where)
        _differs("what our index has", "another", where)


def _differs(expected: str, found: str, where: str) -> NoReturn:
    raise Refused(Reason(DIFFERS, expected, found, where))
