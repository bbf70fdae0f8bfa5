"""Read a batch for any credential type: a row of CSV, or an object of JSON, for each credential.

    item.name,item.gtin,item.serial,valid_from,valid_until,scope[0],@subject
    Auricle One,4006381333931,A1-7QK2MX,2026-03-01,2028-03-01,parts,mira@example.org

A column is named by the path of its claim, and its cells are read as the type's
schema says: texts, whole numbers, true or false. An empty cell is no claim. JSON is
a list of claims objects, or such an object on each line. `@subject` names who may
fetch the credential by logging in.

Every bad cell is an error of its own, and a row with one takes no other with it.
Nothing of a cell is repeated: it may hold a name.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from counterfoil_credentials.claims import ClaimPath, path_text, values_at
from counterfoil_credentials.encoding import Json, JsonObject, kind_of, parse_json
from counterfoil_credentials.errors import Malformed

from counterfoil_issuer.closed_schema import ClaimFault, MalformedClaims
from counterfoil_issuer.credential_type import CredentialType

MAX_FILE_BYTES: Final = 10 * 1024 * 1024
WHOLE_ROW: Final = "(row)"
MAX_BATCH_ROWS: Final = 10_000
MAX_BATCH_COLUMNS: Final = 1_000
MAX_ROW_ERRORS: Final = 20
MAX_ROW_BYTES: Final = 262_144
SUBJECT: Final = "@subject"
_FILE: Final = "batch file"
_STEP: Final = re.compile(r"\.?([^.\[\]]{1,100})|\[([0-9]{1,3})\]")
_WHOLE: Final = re.compile(r"-?[0-9]{1,15}\Z")
_TRUTH: Final = {"true": True, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class RowError:
    """One thing wrong in the file. `row` counts as a spreadsheet does: the header is row 1.

    `found` repeats a cell only when it is made of what its column holds; a row
    may be shifted, and bring a name or an address into any column.
    """

    row: int
    column: str
    expected: str
    found: str

    def __str__(self) -> str:
        """Give the sentence that a person reads."""
        return f"row {self.row}, {self.column}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A good row. `number` counts as a spreadsheet does: a CSV header is row 1.

    `claims` are what the credential will say; `subject` is who may fetch it by logging in.
    """

    number: int
    claims: JsonObject = field(repr=False)
    subject: str | None = field(repr=False)


def parse_rows(
    data: bytes, kind: CredentialType, *, columns: Mapping[str, str] | None = None
) -> Iterator[Row | RowError]:
    """Give each row of a batch of `kind`, or what is wrong with it, in the file's order.

    `columns` says which claim each column (or path, in JSON) of a foreign file goes
    to; what it does not name is passed over. A bad row gives up to twenty errors.

    Raises `Malformed` at once, before any row, when it is no such file at all: too
    large, not UTF-8, no list, a column that is missing, unknown or there twice.
    """
    if len(data) > MAX_FILE_BYTES:
        raise Malformed(f"at most {MAX_FILE_BYTES} bytes", f"{len(data)} bytes", _FILE)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        line = data.count(b"\n", 0, cause.start) + 1
        where = f"{_FILE}, line {line}"
        raise Malformed("UTF-8 text", "a byte of another encoding", where) from None
    targets = {
        column: None if target == SUBJECT else _target(target, kind, f"columns, {target}")
        for column, target in (columns or {}).items()
    }
    match text.lstrip()[:1]:
        case "[":
            return _json_rows(_listed(data), kind, targets)
        case "{":
            return _json_rows(_lines(text), kind, targets)
        case _:
            return _csv_rows(text, kind, targets)


def columns_of(kind: CredentialType) -> tuple[str, ...]:
    """Give the columns of a batch of `kind`: each value's path, a list's first element for all."""
    return tuple(
        path_text(tuple(0 if step is None else step for step in leaf))
        for leaf in kind.schema.leaves
    )


def path_of(column: str) -> ClaimPath | None:
    """Give the path in a column's name (`lines[0].serial`), or None when it has none."""
    path: list[str | int] = []
    end = 0
    while end < len(column):
        step = _STEP.match(column, end)
        # A point stands between names only.
        if step is None or (step[1] is not None and (step[0][0] == ".") is not bool(path)):
            return None
        path.append(step[1] if step[1] is not None else int(step[2]))
        end = step.end()
    return tuple(path) or None


def _target(column: str, kind: CredentialType, where: str) -> ClaimPath:
    path = path_of(column)
    place = kind.schema.at(path) if path is not None else None
    if path is None or place is None or place.kind in ("object", "array"):
        expected = f"the path of a claim of {kind.name}, such as {columns_of(kind)[0]}"
        raise Malformed(expected, "another text", where)
    return path


# CSV.


def _csv_rows(
    text: str, kind: CredentialType, targets: Mapping[str, ClaimPath | None]
) -> Iterator[Row | RowError]:
    _require_few(text)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names = [cell.strip() for cell in next(reader, list[str]())]
    except csv.Error:
        raise Malformed("comma-separated values", "broken quotes", f"{_FILE}, row 1") from None
    header = _header(names, kind, targets)
    return _read_csv(reader, len(names), _Cells(header, kind))


def _require_few(text: str) -> None:
    rows = 0
    try:
        for cells in csv.reader(io.StringIO(text, newline=""), strict=True):
            rows += bool(cells)
            if rows > MAX_BATCH_ROWS + 1:
                raise Malformed(f"at most {MAX_BATCH_ROWS} rows", "more", _FILE)
    except csv.Error:
        return  # it is told with its row


def _header(
    names: list[str], kind: CredentialType, targets: Mapping[str, ClaimPath | None]
) -> dict[int, ClaimPath | None]:
    """Give the path of each column that counts; None is the subject's."""
    where = f"{_FILE}, row 1"
    if not any(names):
        raise Malformed("a header row", "none", where)
    if len(names) > MAX_BATCH_COLUMNS:
        raise Malformed(f"at most {MAX_BATCH_COLUMNS} columns", f"{len(names)}", where)
    if targets:
        missing = [column for column in targets if column not in names]
        if missing:
            raise Malformed("the columns that were named", f"none named {missing[0]}", where)
        header = {names.index(column): path for column, path in targets.items()}
        repeated = any(names.count(column) > 1 for column in targets)
    else:
        header = {
            i: None if name == SUBJECT else _target(name, kind, f"{where}, column {i + 1}")
            for i, name in enumerate(names)
        }
        repeated = len(set(names)) < len(names)
    if repeated or len(set(header.values())) < len(header):
        raise Malformed("each column once", "one more than once", where)
    for leaf in kind.schema.leaves:
        place = kind.schema.at(leaf)
        if (
            place is not None
            and place.mandatory
            and None not in leaf
            and (leaf not in header.values())
        ):
            raise Malformed(f"a column for {path_text(leaf)}", "none", where)
    return header


def _read_csv(reader: Iterator[list[str]], width: int, cells: "_Cells") -> Iterator[Row | RowError]:
    number = 1
    while True:
        number += 1
        try:
            found = next(reader, None)
        except csv.Error:
            # What follows cannot be told apart any more.
            expected = "comma-separated values"
            yield RowError(row=number, column=WHOLE_ROW, expected=expected, found="broken quotes")
            return
        if found is None:
            return
        if found and len(found) != width:
            expected = f"{width} cells"
            yield RowError(row=number, column=WHOLE_ROW, expected=expected, found=f"{len(found)}")
        elif found:
            yield from cells.row(number, found)


class _Cells:
    """Turns cells into claims, by the columns of one file."""

    def __init__(self, header: Mapping[int, ClaimPath | None], kind: CredentialType) -> None:
        self._kind = kind
        self._claims = [(i, path, _kind_at(kind, path)) for i, path in header.items() if path]
        self._subject = next((i for i, path in header.items() if path is None), None)
        # A hole in a list becomes an empty element, and is told as one.
        self._claims.sort(key=lambda column: [step for step in column[1] if isinstance(step, int)])

    def row(self, number: int, cells: list[str]) -> Iterator[Row | RowError]:
        claims: JsonObject = {}
        faults: list[ClaimFault] = []
        for i, path, kind in self._claims:
            text = cells[i].strip()
            if text:
                value = _value(text, kind)
                if value is None:
                    expected = "a whole number" if kind == "integer" else "true or false"
                    faults.append(ClaimFault(path, expected, "another text"))
                else:
                    _put(claims, path, value)
        subject = cells[self._subject].strip() if self._subject is not None else ""
        told = {fault.path for fault in faults}
        # A cell that was no value left its claim out, which is no second error.
        faults += [fault for fault in _faults(self._kind, claims) if fault.path not in told]
        faults = [
            replace(fault, found="an empty cell") if fault.found in ("nothing", "null") else fault
            for fault in faults
        ]
        yield from _outcome(number, claims, subject, faults, self._column_of)

    def _column_of(self, path: ClaimPath) -> str:
        # A missing object is told at the first of its columns.
        below = [own for _, own, _ in self._claims if own[: len(path)] == path]
        return path_text(below[0] if below else path) or WHOLE_ROW


def _kind_at(kind: CredentialType, path: ClaimPath) -> str:
    place = kind.schema.at(path)
    return "string" if place is None else place.kind


def _value(text: str, kind: str) -> str | int | bool | None:
    match kind:
        case "integer":
            return int(text) if _WHOLE.match(text) else None
        case "boolean":
            return _TRUTH.get(text.lower())
        case _:
            return text


def _put(here: JsonObject | list[Json], path: ClaimPath, value: Json) -> None:
    """Put `value` at `path`; a list is filled up with empty elements of the kind that is put."""
    step, rest = path[0], path[1:]
    below: Json = value
    if rest:
        below = {} if isinstance(rest[0], str) else []
    if isinstance(here, dict):
        below = here.setdefault(str(step), below)
    elif isinstance(step, int):
        here += [{} if isinstance(below, dict) else None for _ in range(step + 1 - len(here))]
        if here[step] is None:
            here[step] = below
        below = here[step]
    if rest and isinstance(below, dict | list):
        _put(below, rest, value)


# JSON.


def _listed(data: bytes) -> Iterator[Json]:
    rows = parse_json(data, _FILE, max_bytes=MAX_FILE_BYTES)
    if not isinstance(rows, list):
        raise Malformed("a list of objects", kind_of(rows), _FILE)
    if len(rows) > MAX_BATCH_ROWS:
        raise Malformed(f"at most {MAX_BATCH_ROWS} rows", f"{len(rows)}", _FILE)
    return iter(rows)


def _lines(text: str) -> Iterator[Json]:
    if text.count("\n") > MAX_BATCH_ROWS:
        raise Malformed(f"at most {MAX_BATCH_ROWS} lines", "more", _FILE)
    return (_line(line) for line in text.splitlines() if line.strip())


def _line(line: str) -> Json:
    try:
        return parse_json(line, _FILE, max_bytes=MAX_ROW_BYTES)
    except Malformed:
        return None  # told as a row that is no object


def _json_rows(
    rows: Iterator[Json], kind: CredentialType, targets: Mapping[str, ClaimPath | None]
) -> Iterator[Row | RowError]:
    sources = {column: path_of(column) for column in targets}
    for column, source in sources.items():
        if source is None:
            raise Malformed("a path such as buyer.name", "another text", f"columns, {column}")
    return _read_json(rows, kind, targets, sources)


def _read_json(
    rows: Iterator[Json],
    kind: CredentialType,
    targets: Mapping[str, ClaimPath | None],
    sources: Mapping[str, ClaimPath | None],
) -> Iterator[Row | RowError]:
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            found = "a broken line" if row is None else kind_of(row)
            yield RowError(row=number, column=WHOLE_ROW, expected="an object", found=found)
            continue
        claims: JsonObject = {}
        subject = row.get(SUBJECT, "")
        if not targets:
            claims = {name: value for name, value in row.items() if name != SUBJECT}
        for column, target in targets.items():
            for value in values_at(row, sources[column] or ()):
                if target is None:
                    subject = value
                elif value is not None:
                    _put(claims, target, value)
        faults = _faults(kind, claims)
        yield from _outcome(number, claims, subject, faults, path_text)


# Both.


def _faults(kind: CredentialType, claims: JsonObject) -> list[ClaimFault]:
    try:
        kind.check_claims(claims)
    except MalformedClaims as error:
        return [*error.faults]
    return []


def _outcome(
    number: int,
    claims: JsonObject,
    subject: Json,
    faults: list[ClaimFault],
    column_of: Callable[[ClaimPath], str],
) -> Iterator[Row | RowError]:
    # One error for each cell: a value of another kind breaks every other rule as well.
    first = {column_of(fault.path): fault for fault in reversed(faults)}
    errors = [
        RowError(row=number, column=column, expected=fault.expected, found=fault.found)
        for column, fault in reversed(first.items())
    ]
    if not isinstance(subject, str) or len(subject) > 254 or not subject.isprintable():
        expected = "a customer id or an e-mail address of at most 254 characters"
        errors.append(RowError(row=number, column=SUBJECT, expected=expected, found="another"))
    if errors:
        yield from errors[:MAX_ROW_ERRORS]
    else:
        yield Row(number=number, claims=claims, subject=str(subject) or None)
