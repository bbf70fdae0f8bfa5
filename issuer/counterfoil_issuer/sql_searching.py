"""The search over issued credentials, as SQL: one statement for each set of filters."""

from datetime import UTC, datetime
from functools import cache
from typing import Final

from counterfoil_service.statements import Connection, Row, Statement, Value
from sqlalchemy import ColumnElement, and_, bindparam, func, select

from counterfoil_issuer.records import IssuanceId
from counterfoil_issuer.searching import IssuanceState, Search
from counterfoil_issuer.tables import ISSUANCES

_COLUMNS: Final = ISSUANCES.c
_NOT_REVOKED: Final = _COLUMNS.revoked_at.is_(None)
_IN_FORCE: Final = and_(_NOT_REVOKED, _COLUMNS.dropped_at.is_(None))
_NOT_SUSPENDED: Final = _COLUMNS.suspended_at.is_(None)

# As `searching.state_of` says it.
_STATES: Final[dict[IssuanceState, ColumnElement[bool]]] = {
    IssuanceState.REVOKED: _COLUMNS.revoked_at.is_not(None),
    IssuanceState.DROPPED: and_(_NOT_REVOKED, _COLUMNS.dropped_at.is_not(None)),
    IssuanceState.SUSPENDED: and_(_IN_FORCE, _COLUMNS.suspended_at.is_not(None)),
    IssuanceState.SENT: and_(_IN_FORCE, _NOT_SUSPENDED, _COLUMNS.acknowledged_at.is_(None)),
    IssuanceState.STORED: and_(_IN_FORCE, _NOT_SUSPENDED, _COLUMNS.acknowledged_at.is_not(None)),
}
_FILTERS: Final[dict[str, ColumnElement[bool]]] = {
    "order": _COLUMNS.order_number == bindparam("order"),
    "type_name": _COLUMNS.type_name == bindparam("type_name"),
    "serial": _COLUMNS.serial == bindparam("serial"),
    "issued_from": _COLUMNS.issued_at >= bindparam("issued_from"),
    "issued_until": _COLUMNS.issued_at < bindparam("issued_until"),
    "before": _COLUMNS.position < bindparam("before"),
}
_LATEST_END: Final = Statement(
    select(func.max(_COLUMNS.expires_at)).where(_COLUMNS.issued_at < bindparam("moment"))
)


def find_issuances(
    connection: Connection, search: Search, *, at_most: int
) -> list[tuple[int, IssuanceId]]:
    """Give the places and ids of what `search` finds, the latest first."""
    values: dict[str, Value] = {
        "order": search.order,
        "type_name": search.type_name,
        "serial": search.serial,
        "issued_from": None if search.issued_from is None else int(search.issued_from.timestamp()),
        "issued_until": None
        if search.issued_until is None
        else int(search.issued_until.timestamp()),
        "before": search.before,
    }
    given = {name: value for name, value in values.items() if value is not None}
    statement = _statement(frozenset(given), search.state)
    rows: list[Row] = connection.rows(statement, at_most=at_most, **given)
    return [(row.position, IssuanceId(row.issuance_id)) for row in rows]


def latest_end(connection: Connection, issued_before: datetime) -> datetime | None:
    """Give when the last of what was issued before then ends; None when nothing was."""
    ends: int | None = connection.value(_LATEST_END, moment=int(issued_before.timestamp()))
    return None if ends is None else datetime.fromtimestamp(ends, UTC)


@cache
def _statement(filters: frozenset[str], state: IssuanceState | None) -> Statement:
    conditions = [_FILTERS[name] for name in sorted(filters)]
    if state is not None:
        conditions.append(_STATES[state])
    return Statement(
        select(_COLUMNS.position, _COLUMNS.issuance_id)
        .where(*conditions)
        .order_by(_COLUMNS.position.desc())
        .limit(bindparam("at_most"))
    )
