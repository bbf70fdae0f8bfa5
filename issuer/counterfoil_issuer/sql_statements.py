"""The statements of `sql_store.py` that run for every wallet, each compiled once."""

from typing import Final

from counterfoil_service.statements import Statement
from sqlalchemy import bindparam, exists, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from counterfoil_issuer.records import OfferState
from counterfoil_issuer.tables import (
    CREDENTIALS,
    CURRENT,
    DATASETS,
    ISSUANCES,
    OFFER_DATASETS,
    OFFERS,
    ORDER_LINES,
    ORDERS,
    SPENT_NONCES,
    STATUS_LISTS,
    TOKEN_DATASETS,
    TOKENS,
    UNITS,
)

_OPEN: Final = (OFFERS.c.offer_id == bindparam("offer")) & (OFFERS.c.state == OfferState.OPEN.value)
_THIS: Final = ISSUANCES.c.issuance_id == bindparam("issuance")

ORDER: Final = Statement(select(ORDERS).where(ORDERS.c.number == bindparam("number")))
LINES: Final = Statement(
    select(ORDER_LINES)
    .where(ORDER_LINES.c.order_number == bindparam("number"))
    .order_by(ORDER_LINES.c.line)
)
UNITS_OF: Final = Statement(
    select(UNITS).where(UNITS.c.order_number == bindparam("number")).order_by(UNITS.c.unit)
)

DATASET: Final = Statement(select(DATASETS).where(DATASETS.c.dataset_id == bindparam("dataset")))

OFFERED: Final = Statement(
    select(DATASETS)
    .join(OFFER_DATASETS, OFFER_DATASETS.c.dataset_id == DATASETS.c.dataset_id)
    .where(OFFER_DATASETS.c.offer_id == bindparam("offer"))
    .order_by(OFFER_DATASETS.c.position)
)
OFFER_OF: Final = {
    column: Statement(select(OFFERS).where(OFFERS.c[column] == bindparam("value")))
    for column in ("offer_id", "code_hash", "issuer_state_hash", "reference_hash")
}
COUNT_ATTEMPT: Final = Statement(
    update(OFFERS)
    .where(_OPEN, OFFERS.c.attempts < bindparam("at_most"))
    .values(attempts=OFFERS.c.attempts + 1)
)
END_OFFER: Final = Statement(update(OFFERS).where(_OPEN).values(state=OfferState.ENDED.value))
REDEEM: Final = Statement(update(OFFERS).where(_OPEN).values(state=OfferState.REDEEMED.value))

SPEND_NONCE: Final = Statement(upsert(SPENT_NONCES).on_conflict_do_nothing())

# A token is for one dataset at least, so there is a row for every token.
SESSION: Final = Statement(
    select(
        *(column for column in TOKENS.c if column is not TOKENS.c.token_hash),
        *(column for column in DATASETS.c if column is not DATASETS.c.created_at),
    )
    .join(TOKEN_DATASETS, TOKEN_DATASETS.c.token_hash == TOKENS.c.token_hash)
    .join(DATASETS, DATASETS.c.dataset_id == TOKEN_DATASETS.c.dataset_id)
    .where(TOKENS.c.token_hash == bindparam("token"))
    .order_by(TOKEN_DATASETS.c.position)
)

ADD_ISSUANCE: Final = Statement(
    upsert(ISSUANCES).on_conflict_do_nothing(),
    columns=(
        "issuance_id",
        "dataset_id",
        "type_name",
        "order_number",
        "serial",
        "token_hash",
        "issued_at",
        "expires_at",
    ),
)
ADD_CREDENTIAL: Final = Statement(
    insert(CREDENTIALS),
    columns=(
        "issuance_id",
        "number",
        "list_number",
        "status_index",
        "status",
        "digest",
        "holder",
        "copy",
    ),
)
ISSUANCE: Final = Statement(select(ISSUANCES).where(_THIS))
CURRENT_ISSUANCE: Final = Statement(
    select(ISSUANCES).where(ISSUANCES.c.dataset_id == bindparam("dataset"), CURRENT)
)
ISSUANCES_OF: Final = Statement(
    select(ISSUANCES).where(
        ISSUANCES.c.dataset_id == bindparam("dataset"),
        or_(ISSUANCES.c.token_hash == bindparam("token"), CURRENT),
    )
)
CREDENTIALS_OF: Final = Statement(
    select(CREDENTIALS)
    .where(CREDENTIALS.c.issuance_id == bindparam("issuance"))
    .order_by(CREDENTIALS.c.number)
)
ACKNOWLEDGE: Final = Statement(
    update(ISSUANCES)
    .where(_THIS, ISSUANCES.c.acknowledged_at.is_(None), ISSUANCES.c.dropped_at.is_(None))
    .values(acknowledged_at=bindparam("at"))
)
FORGET_COPIES: Final = Statement(
    update(CREDENTIALS)
    .where(CREDENTIALS.c.issuance_id == bindparam("issuance"))
    .values(copy=None, holder=None)
)

LAST_LIST: Final = Statement(
    select(STATUS_LISTS).order_by(STATUS_LISTS.c.list_number.desc()).limit(1)
)
LIST: Final = Statement(
    select(STATUS_LISTS).where(STATUS_LISTS.c.list_number == bindparam("list_number"))
)
INDEX_TAKEN: Final = Statement(
    select(CREDENTIALS.c.status_index).where(
        CREDENTIALS.c.list_number == bindparam("list_number"),
        CREDENTIALS.c.status_index == bindparam("index"),
    )
)
TAKE_ENTRY: Final = Statement(
    update(STATUS_LISTS)
    .where(
        STATUS_LISTS.c.list_number == bindparam("number"),
        STATUS_LISTS.c.used < bindparam("up_to"),
        ~exists().where(
            CREDENTIALS.c.list_number == STATUS_LISTS.c.list_number,
            CREDENTIALS.c.status_index == bindparam("index"),
        ),
    )
    .values(used=STATUS_LISTS.c.used + 1)
)
ADD_LIST: Final = Statement(insert(STATUS_LISTS), columns=("list_number", "used", "changes"))
PUT_LISTING: Final = Statement(
    update(STATUS_LISTS)
    .where(STATUS_LISTS.c.list_number == bindparam("list"))
    .values(listed_changes=bindparam("changes_now"), listed_at=bindparam("at"))
)
CHANGED_ENTRIES: Final = Statement(
    select(CREDENTIALS.c.status_index, CREDENTIALS.c.status).where(
        CREDENTIALS.c.list_number == bindparam("list"),
        CREDENTIALS.c.change_number > bindparam("after"),
    )
)
PLACES: Final = Statement(
    select(CREDENTIALS.c.number, CREDENTIALS.c.list_number).where(
        CREDENTIALS.c.issuance_id == bindparam("issuance")
    )
)
COUNT_CHANGE: Final = Statement(
    update(STATUS_LISTS)
    .where(STATUS_LISTS.c.list_number == bindparam("list"))
    .values(changes=STATUS_LISTS.c.changes + 1)
)
SET_STATUS: Final = Statement(
    update(CREDENTIALS)
    .where(
        CREDENTIALS.c.issuance_id == bindparam("issuance"),
        CREDENTIALS.c.number == bindparam("place"),
    )
    .values(
        status=bindparam("status_now"),
        change_number=select(STATUS_LISTS.c.changes)
        .where(STATUS_LISTS.c.list_number == bindparam("list"))
        .scalar_subquery(),
    )
)
