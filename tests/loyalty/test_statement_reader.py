"""A settlement statement as the brand that receives it reads it: forged ones are named."""

from dataclasses import replace
from typing import Any

import pytest
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.jws import sign_jws
from counterfoil_credentials.keys import MemorySigner
from counterfoil_loyalty.memory_ledger import MemoryLedger
from counterfoil_loyalty.statement_reader import (
    parse_statement,
    read_statement,
    require_csv_of,
    require_same,
)
from counterfoil_loyalty.statements import Statement

from tests.loyalty.programme import BICYCLE, NOW, Clock, Programme, programme_on, seeded
from tests.loyalty.test_statements import drawn_up, exchanged_and_paid


@pytest.fixture(scope="module")
def programme() -> Programme:
    """Give two brands in memory: a statement is the same from any ledger (test_statements)."""
    return programme_on(MemoryLedger(now=NOW, random=seeded("reader")), Clock()).open()


@pytest.fixture(scope="module")
def statement(programme: Programme) -> Statement:
    exchanged_and_paid(programme)
    return drawn_up(programme)


def with_line(statement: Statement, place: int, /, **changes: Any) -> Statement:  # noqa: ANN401  # by name
    """Give the statement with one line changed, and all sums after it made to fit."""
    lines = [*statement.lines]
    lines[place] = replace(lines[place], **changes)
    owed = statement.opening
    for index, line in enumerate(lines):
        owed += line.value
        lines[index] = replace(line, owed=owed)
    return replace(statement, lines=tuple(lines), closing=owed)


def place_of(refusal: pytest.ExceptionInfo[Refused]) -> str:
    assert refusal.value.codes == ["statement-differs"]
    return refusal.value.reasons[0].where


def test_row_F13_the_receiver_reads_a_signed_statement_and_finds_its_own_index_in_it(  # noqa: N802
    programme: Programme, statement: Statement
) -> None:
    signer = MemorySigner.generate()

    theirs = read_statement(statement.sign(signer), signed_by=signer.public)

    assert theirs == statement
    require_same(theirs, drawn_up(programme))
    require_csv_of(theirs, statement.to_csv())
    require_csv_of(theirs, statement.to_csv().replace("\r\n", "\n"))


@pytest.mark.parametrize(
    ("place", "changes", "where"),
    [
        (0, {"value": 15_001}, "statement.lines[0].value"),
        (1, {"value": 0}, "statement.lines[1].value"),
        (1, {"transaction_id": "0x00"}, "statement.lines[1].transaction_id"),
        (2, {"kind": "paid"}, "statement.lines[2].kind"),
        (2, {"reference": "00"}, "statement.lines[2].reference"),
        (2, {"at": 1}, "statement.lines[2].at"),
    ],
)
def test_a_statement_that_adds_up_and_is_signed_is_refused_where_it_first_differs(
    programme: Programme, statement: Statement, place: int, changes: dict[str, Any], where: str
) -> None:
    signer = MemorySigner.generate()
    forged = with_line(statement, place, **changes)
    theirs = read_statement(forged.sign(signer), signed_by=signer.public)

    with pytest.raises(Refused) as refusal:
        require_same(theirs, drawn_up(programme))

    assert place_of(refusal) == where


def test_a_line_left_out_and_a_line_too_many_have_a_place(
    programme: Programme, statement: Statement
) -> None:
    ours, lines = drawn_up(programme), statement.lines
    short = replace(statement, lines=lines[:-1], closing=lines[-2].owed)
    again = replace(lines[-1], owed=lines[-1].owed + lines[-1].value)
    long = replace(statement, lines=(*lines, again), closing=again.owed)

    for theirs, where in ((short, "statement.lines[2]"), (long, "statement.lines[3]")):
        with pytest.raises(Refused) as refusal:
            require_same(parse_statement(theirs.to_json()), ours)
        assert place_of(refusal) == where


@pytest.mark.parametrize(
    ("name", "value"),
    [("creditor", "https://other.example"), ("since", 1), ("until_id", "0xfork")],
)
def test_a_statement_over_other_blocks_or_of_others_is_refused_before_its_lines(
    programme: Programme, statement: Statement, name: str, value: str | int
) -> None:
    forged = with_line(replace(statement, **{name: value}), 0, value=1)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]  # by name

    with pytest.raises(Refused) as refusal:
        require_same(forged, drawn_up(programme))

    assert place_of(refusal) == f"statement.{name}"


def test_the_other_side_of_the_same_account_is_not_the_same_statement(
    programme: Programme, statement: Statement
) -> None:
    with pytest.raises(Refused) as refusal:
        require_same(drawn_up(programme, debtor=BICYCLE), statement)

    assert place_of(refusal) == "statement.debtor"


def test_a_statement_signed_by_another_or_as_something_else_is_refused(
    statement: Statement,
) -> None:
    signer, other = MemorySigner.generate(), MemorySigner.generate()

    with pytest.raises(Refused) as refusal:
        read_statement(statement.sign(other), signed_by=signer.public)
    assert refusal.value.codes == ["signature-invalid"]
    with pytest.raises((Refused, Malformed)):
        read_statement(
            sign_jws(statement.to_json(), typ="counterfoil-programme-rules+jwt", signer=signer),
            signed_by=signer.public,
        )
    assert read_statement(statement.sign(signer), signed_by=signer.public) == statement


@pytest.mark.parametrize(
    "change",
    [
        {"closing": "18501"},
        {"opening": "1"},
        {"closing": 18500},
        {"closing": "1e4"},
        {"lines": []},
        {"more": 1},
        {"lines": [{"at": 1}]},
    ],
)
def test_a_statement_that_does_not_add_up_is_malformed_without_any_chain(
    statement: Statement, change: JsonObject
) -> None:
    with pytest.raises(Malformed):
        parse_statement({**statement.to_json(), **change})


def test_a_sheet_that_says_other_than_what_was_signed_is_named_by_row_and_column(
    statement: Statement,
) -> None:
    sheet = statement.to_csv()
    rows = sheet.splitlines(keepends=True)

    for text, where in (
        (sheet.replace("7500", "7501"), "csv.rows[2].value_millionths"),
        ("".join(rows[:-1]), "csv.rows[3]"),
        (sheet + rows[-1], "csv.rows[4]"),
        (sheet.replace("paid-elsewhere", "paid-elsewhere,"), "csv.rows[3]"),
    ):
        with pytest.raises(Refused) as refusal:
            require_csv_of(statement, text)
        assert place_of(refusal) == where
