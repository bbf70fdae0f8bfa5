"""Batches for any type: each good row as claims, each bad cell by its row and its column."""

import json

import pytest
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Malformed
from counterfoil_issuer.batch_rows import (
    MAX_BATCH_ROWS,
    MAX_FILE_BYTES,
    Row,
    RowError,
    columns_of,
    parse_rows,
    path_of,
)
from counterfoil_issuer.catalogue import RECEIPT, STANDARD_TYPES, WARRANTY

TIER = STANDARD_TYPES["tier"]
MEMBERSHIP = STANDARD_TYPES["membership"]
HEADER = "item.name,item.gtin,item.serial,valid_from,valid_until,transferable,scope[0],scope[1]"
GOOD = "Auricle One,4006381333931,A1-1,2026-03-01,2028-03-01,true,parts,labour"


def csv(*rows: str, header: str = HEADER) -> bytes:
    return "\r\n".join([header, *rows, ""]).encode()


def claims_of(serial: str) -> JsonObject:
    return {
        "item": {"name": "Auricle One", "gtin": "4006381333931", "serial": serial},
        "valid_from": "2026-03-01",
        "valid_until": "2028-03-01",
        "transferable": True,
        "scope": ["parts", "labour"],
    }


def error(row: int, column: str, expected: str, found: str) -> RowError:
    return RowError(row=row, column=column, expected=expected, found=found)


def test_a_row_becomes_claims_as_the_schema_types_them() -> None:
    rows = list(parse_rows(csv(GOOD, GOOD.replace("A1-1", "A1-2")), WARRANTY))

    assert rows == [
        Row(number=2, claims=claims_of("A1-1"), subject=None),
        Row(number=3, claims=claims_of("A1-2"), subject=None),
    ]


def test_an_empty_cell_is_no_claim_and_an_empty_line_no_row() -> None:
    (row,) = parse_rows(csv("", GOOD.replace("true,parts,labour", ",,"), ""), WARRANTY)

    assert isinstance(row, Row)
    assert row.number == 3
    assert row.claims.keys() == {"item", "valid_from", "valid_until"}


@pytest.mark.parametrize(
    ("before", "after", "column", "expected", "found"),
    [
        ("333931", "333932", "item.gtin", "a GTIN with its check digit", "another text"),
        ("A1-1", "", "item.serial", "a value", "an empty cell"),
        ("2028-03-01", "2028-02-30", "valid_until", "a date like 2026-03-01", "another text"),
        ("true", "yes", "transferable", "true or false", "another text"),
        (",labour", ",parts", "scope[0]", "each element once", "one twice"),
        ("parts,labour", ",parts", "scope[0]", "", "an empty cell"),
        ("parts", "wheels", "scope[0]", "one of parts, labour", "another value"),
        ("Auricle One", "x" * 201, "item.name", "at most 200 characters", "201"),
        (",labour", "", "(row)", "8 cells", "7"),
        (",labour", ",labour,", "(row)", "8 cells", "9"),
    ],
)
def test_a_bad_cell_is_told_by_row_and_column_and_takes_no_other_row_with_it(
    before: str, after: str, column: str, expected: str, found: str
) -> None:
    bad = GOOD.replace(before, after, 1)

    first, second, *errors, third = parse_rows(csv(GOOD, GOOD, bad, GOOD), WARRANTY)

    assert isinstance(first, Row)
    assert isinstance(second, Row)
    assert isinstance(third, Row)
    assert third.number == 5
    (one, *_) = errors
    assert isinstance(one, RowError)
    assert (one.row, one.column, one.found) == (4, column, found)
    assert one.expected.startswith(expected)


def test_every_bad_cell_of_a_row_is_told_and_none_is_repeated() -> None:
    secret = "Mira Sample"
    bad = f"{'n' * 201},{secret},A1-1,{secret},{secret},{secret},{secret},labour"

    errors = list(parse_rows(csv(bad), WARRANTY))

    assert {e.column for e in errors if isinstance(e, RowError)} == {
        "item.name",
        "item.gtin",
        "valid_from",
        "valid_until",
        "transferable",
        "scope[0]",
    }
    assert secret not in repr(errors)


def test_a_row_without_any_cell_of_an_object_names_the_first_of_its_columns() -> None:
    (one,) = parse_rows(csv(",,,2026-03-01,2028-03-01,,,"), WARRANTY)

    assert one == error(2, "item.name", "a value", "an empty cell")


def test_lines_of_a_list_stand_side_by_side_and_a_hole_is_told() -> None:
    header = "currency,order,paid_at,tax,total," + ",".join(
        f"lines[{i}].{name}"
        for i in (0, 1)
        for name in ("name", "gtin", "quantity", "price", "tax")
    )
    one, two = "Pads,4012345000016,1,20.00,3.19", ",,,,"
    start = "EUR,#1,2026-03-01T11:34:56Z,3.19,20.00"

    single, *hole = parse_rows(
        csv(f"{start},{one},{two}", f"{start},{two},{one}", header=header), RECEIPT
    )

    assert isinstance(single, Row)
    assert single.claims["lines"] == [
        {"name": "Pads", "gtin": "4012345000016", "quantity": 1, "price": "20.00", "tax": "3.19"}
    ]
    assert {e.column for e in hole if isinstance(e, RowError)} == {
        f"lines[0].{name}" for name in ("name", "gtin", "quantity", "price", "tax")
    }


def test_a_whole_number_is_no_other_text() -> None:
    line = ",".join(f"lines[0].{name}" for name in ("name", "gtin", "quantity", "price", "tax"))
    header = f"currency,order,paid_at,tax,total,{line}"
    row = "EUR,#1,2026-03-01T11:34:56Z,3.19,20.00,Pads,4012345000016,{},20.00,3.19"

    assert isinstance(next(parse_rows(csv(row.format("2"), header=header), RECEIPT)), Row)
    for text in ("2.0", "two", "１", "0x2", "1e1", "9" * 16):
        (bad,) = parse_rows(csv(row.format(text), header=header), RECEIPT)
        assert bad == error(2, "lines[0].quantity", "a whole number", "another text")
    (zero,) = parse_rows(csv(row.format("0"), header=header), RECEIPT)
    assert zero == error(2, "lines[0].quantity", "a number of at least 1", "a smaller one")


def test_who_may_fetch_a_credential_stands_beside_its_claims() -> None:
    header = "programme,level,valid_until,@subject"
    rows = csv("Circle,gold,2027-02-01,Mira@example.org", header=header)
    (row,) = parse_rows(rows, TIER)
    (same,) = parse_rows(
        json.dumps([{**TIER.sample, "@subject": "Mira@example.org"}]).encode(), TIER
    )
    (long,) = parse_rows(csv(f"Circle,gold,2027-02-01,{'m' * 255}", header=header), TIER)

    assert isinstance(row, Row)
    assert isinstance(same, Row)
    assert row.subject == same.subject == "Mira@example.org"
    assert "@subject" not in row.claims | same.claims
    assert isinstance(long, RowError)
    assert long.column == "@subject"


def test_a_foreign_file_says_which_column_goes_where() -> None:
    columns = {"Club": "programme", "Status": "level", "Until": "valid_until", "Mail": "@subject"}
    data = csv("x,gold,Circle,a@b.example,2027-02-01", header="Id,Status,Club,Mail,Until")

    assert list(parse_rows(data, TIER, columns=columns)) == [
        Row(
            number=2,
            claims={"programme": "Circle", "level": "gold", "valid_until": "2027-02-01"},
            subject="a@b.example",
        )
    ]
    foreign = [{"club": {"name": "Circle"}, "rank": "gold", "until": "2027-02-01", "x": 1}]
    paths = {"club.name": "programme", "rank": "level", "until": "valid_until"}
    (row,) = parse_rows(json.dumps(foreign).encode(), TIER, columns=paths)
    assert isinstance(row, Row)
    assert row.claims == {"programme": "Circle", "level": "gold", "valid_until": "2027-02-01"}


@pytest.mark.parametrize("name", STANDARD_TYPES)
def test_json_is_a_list_or_an_object_on_each_line(name: str) -> None:
    kind = STANDARD_TYPES[name]
    listed = json.dumps([kind.sample, kind.sample]).encode()
    lines = b"\n".join([json.dumps(kind.sample).encode()] * 2)

    for data in (listed, lines):
        rows = list(parse_rows(data, kind))
        assert rows == [Row(number=n, claims=kind.sample, subject=None) for n in (1, 2)]


def test_a_bad_object_of_json_takes_no_other_with_it() -> None:
    good = TIER.sample
    rows: list[object] = [good, {**good, "level": "tin", "pet": "cat"}, 7, good]
    found = list(parse_rows(json.dumps(rows).encode(), TIER))
    lines = b"\n".join([json.dumps(good).encode(), b'{"level": ', json.dumps(good).encode()])
    broken = list(parse_rows(lines, TIER))

    assert [row.number for row in found if isinstance(row, Row)] == [1, 4]
    assert sorted((e.row, e.column) for e in found if isinstance(e, RowError)) == [
        (2, "level"),
        (2, "pet"),
        (3, "(row)"),
    ]
    assert broken[1] == error(2, "(row)", "an object", "a broken line")
    assert [row.number for row in broken if isinstance(row, Row)] == [1, 3]


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b"", "batch file, row 1"),
        (b"\xff", "batch file, line 1"),
        (csv(GOOD, header=HEADER.replace("item.gtin", "gtin")), "batch file, row 1, column 2"),
        (csv(GOOD, header=HEADER.replace("item.gtin", "item")), "batch file, row 1, column 2"),
        (csv(GOOD, header=HEADER.replace("scope[1]", "scope[x]")), "batch file, row 1, column 8"),
        (csv(GOOD, header=HEADER.replace("scope[1]", "scope[0]")), "batch file, row 1"),
        (csv(GOOD, header=HEADER.replace("valid_until", "region")), "batch file, row 1"),
        (csv('"'), None),
        (b'"', "batch file, row 1"),
        (b'["' + b"x" * MAX_FILE_BYTES + b'"]', "batch file"),
        (b"[1, 2", "batch file"),
        (json.dumps([{}] * (MAX_BATCH_ROWS + 1)).encode(), "batch file"),
        (csv(*["x"] * (MAX_BATCH_ROWS + 1)), "batch file"),
        (b"{}\n" * (MAX_BATCH_ROWS + 1), "batch file"),
    ],
)
def test_what_is_no_batch_is_refused_before_any_row(data: bytes, where: str | None) -> None:
    if where is None:
        (broken,) = parse_rows(data, WARRANTY)
        assert isinstance(broken, RowError)
        assert broken.column == "(row)"
        return
    with pytest.raises(Malformed) as refusal:
        parse_rows(data, WARRANTY)

    assert refusal.value.where == where


def test_a_mapping_to_no_claim_is_refused_and_so_is_a_column_that_is_not_there() -> None:
    for columns in ({"A": "nothing"}, {"B": "level"}, {"A": "level", "B": "level"}):
        with pytest.raises(Malformed):
            parse_rows(csv("x", header="A"), TIER, columns=columns)


def test_a_broken_quote_ends_the_batch_at_its_row() -> None:
    first, last = parse_rows(csv(GOOD, f'"{GOOD}', GOOD), WARRANTY)

    assert isinstance(first, Row)
    assert last == error(3, "(row)", "comma-separated values", "broken quotes")


@pytest.mark.parametrize("name", STANDARD_TYPES)
def test_each_value_of_a_type_has_a_column_whose_name_is_its_path(name: str) -> None:
    kind = STANDARD_TYPES[name]
    for column, leaf in zip(columns_of(kind), kind.schema.leaves, strict=True):
        path = path_of(column)
        assert path is not None
        assert [step if isinstance(step, str) else None for step in path] == [*leaf]


@pytest.mark.parametrize("text", ["", ".a", "a.", "a..b", "a[", "a[-1]", "a[1234]", "a]", "a[0]b"])
def test_what_is_no_path_is_no_column(text: str) -> None:
    assert path_of(text) is None


def test_ten_thousand_rows_give_their_bad_ones_by_row_and_column() -> None:
    planted = {2 + 270 * n: n % 3 for n in range(37)}
    kinds = [("333931", "333932"), ("2028-03-01", "soon"), ("true", "maybe")]
    columns = ["item.gtin", "valid_until", "transferable"]
    rows = [GOOD.replace("A1-1", f"A1-{n}") for n in range(MAX_BATCH_ROWS)]
    for number, kind in planted.items():
        rows[number - 2] = rows[number - 2].replace(*kinds[kind])

    found = list(parse_rows(csv(*rows), WARRANTY))

    errors = [(e.row, e.column) for e in found if isinstance(e, RowError)]
    assert errors == [(number, columns[kind]) for number, kind in planted.items()]
    assert len(found) == MAX_BATCH_ROWS


def test_a_membership_says_what_its_member_gave() -> None:
    header = "programme,member_number,given_name,family_name,member_since,age_over_18"
    (row,) = parse_rows(csv("Circle,7,Mira,Sample,2024-02-01,FALSE", header=header), MEMBERSHIP)

    assert isinstance(row, Row)
    assert row.claims["age_over_18"] is False
    assert row.claims["member_number"] == "7"
