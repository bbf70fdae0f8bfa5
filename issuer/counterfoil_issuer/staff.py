"""Who may call the back office, and how each of its writes is done.

Each write happens once for an `Idempotency-Key`, in one transaction with its line in
the audit log. Who may do what is data: `MAY`, and the setting that says who may revoke.
"""

import secrets
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeAlias

from counterfoil_credentials.encoding import Json
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_service.access import Access, Authority, Caller, Role, owner
from counterfoil_service.api_keys import api_keys
from counterfoil_service.audit import AuditLog, Checkpoint
from counterfoil_service.audit_watch import CheckpointFile
from counterfoil_service.errors import error_response
from counterfoil_service.idempotency import Answer, Idempotency
from counterfoil_service.outbox import Webhooks
from fastapi import Header, Request, Response
from fastapi.routing import APIRoute

from counterfoil_issuer.back_office import BackOffice, Sitting
from counterfoil_issuer.issuer import Issuer
from counterfoil_issuer.job_desk import JobDesk
from counterfoil_issuer.schemas import ErrorAnswer, Told
from counterfoil_issuer.settings import DEFAULT_MAY_REVOKE
from counterfoil_issuer.sql_store import SqlHeld, SqlStore

CSV: Final = "text/csv"
JSON: Final = "application/json"
JSON_LINES: Final = "application/x-ndjson"
SHOWN: Final = 100

READ: Final = "read"
OFFERS: Final = "offer"
BUYERS: Final = "orders"
CARE: Final = "care"
REVOKE: Final = "revoke"
BULK: Final = "bulk"
AUDIT: Final = "audit"
MAY: Final[Mapping[str, frozenset[Role]]] = {
    READ: frozenset(Role),
    OFFERS: frozenset({Role.ISSUER}),
    BUYERS: frozenset({Role.ISSUER, Role.SERVICE}),
    # Suspend and reinstate, reissue, transfer, take back.
    CARE: frozenset({Role.SERVICE, Role.RECALL}),
    BULK: frozenset({Role.SERVICE, Role.RECALL}),
    AUDIT: frozenset({Role.AUDITOR}),
}
# What a brand's systems can act on by its code; every other refusal is 400.
_CONFLICTS: Final = frozenset(
    {
        "claims-erased",
        "credential-ended",
        "dataset-decided",
        "dataset-known",
        "key-name-taken",
        "offer-closed",
        "proposal-closed",
        "second-person-needed",
        "units-unknown",
        "idempotency-key-in-use",
    }
)
ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": ErrorAnswer, "description": text}
    for status, text in {
        400: "The request is not as it must be; the text says what to mend",
        401: "No key or token that is in force here",
        403: "The caller has not the role",
        404: "There is no such thing",
        409: "What is there does not allow it",
        413: "The body is too large",
        422: "The Idempotency-Key was first sent with another request",
        503: "The database cannot be had now; try again later",
    }.items()
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Staff:
    """Everything behind the back office's routes."""

    office: BackOffice
    desk: JobDesk
    store: SqlStore
    access: Access
    may: Mapping[str, frozenset[Role]]
    idempotency: Idempotency
    webhooks: Webhooks
    checkpoints: CheckpointFile | None = None

    @property
    def issuer(self) -> Issuer:
        """The issuer whose back office this is."""
        return self.office.issuer

    def check_log(self) -> Checkpoint:
        """Give the audit log's end, and keep it; raises `Refused` as `AuditLog.check` does.

        Earlier ends that were kept are found again in it, so a database that was put
        back to an older state is named.
        """
        kept = [] if self.checkpoints is None else self.checkpoints.read()
        with self.store.reading() as held:
            end = self.office.log.check(held.connection, kept)
        if self.checkpoints is not None:
            self.checkpoints.keep(end)
        return end


def staff_of(
    issuer: Issuer,
    store: SqlStore,
    *,
    back_office_key: str,
    authorities: Sequence[Authority] = (),
    may_revoke: Collection[str] = DEFAULT_MAY_REVOKE,
    loopback_origins_unsafely: AbstractSet[str] = frozenset(),
    checkpoints: CheckpointFile | None = None,
) -> Staff:
    """Give the back office of `issuer`, whose state is in `store`.

    Its owner has `back_office_key` and every role; the keys that he makes, and the
    callers whom `authorities` know, have theirs. `may_revoke` names roles; origins in
    `loopback_origins_unsafely` may be told of events on this machine. `checkpoints`
    keeps the audit log's earlier ends.
    """
    office = BackOffice(issuer=issuer, log=AuditLog(issuer.secret), random=issuer.random)
    may = {**MAY, REVOKE: frozenset(Role(role) for role in may_revoke)}
    return Staff(
        office=office,
        desk=JobDesk(office=office, store=store, clock=issuer.clock),
        store=store,
        access=Access(
            [owner(back_office_key), api_keys(store.database, issuer.clock), *authorities], may=may
        ),
        may=may,
        idempotency=Idempotency(
            issuer.secret, clock=issuer.clock, random=secrets.token_bytes, required=False
        ),
        webhooks=Webhooks(
            issuer.secret,
            clock=issuer.clock,
            random=secrets.token_bytes,
            loopback_origins_unsafely=loopback_origins_unsafely,
        ),
        checkpoints=checkpoints,
    )


class StaffRoute(APIRoute):
    """A route whose refusals tell what is unknown (404) from what is in the way (409)."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await handle(request)
            except Refused as refused:
                code = refused.codes[0]
                if code in _CONFLICTS:
                    status, error = 409, "conflict"
                elif code.endswith(("-unknown", "not-found")):
                    status, error = 404, "not_found"
                else:
                    raise
                return error_response(status, error, str(refused), reasons=refused.reasons)

        return handler


Effect: TypeAlias = Callable[[Sitting], Told]
IdempotencyKey: TypeAlias = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=202,
        description="A text of your own for this write: sent again, it happens once",
    ),
]


async def write(
    staff: Staff, request: Request, caller: Caller, effect: Effect, *, status: int = 200
) -> Response:
    """Do `effect` once for the request's key, and answer with what it gives."""
    keyed = await staff.idempotency.read(request, caller.name)
    now = staff.issuer.clock()

    def work(held: SqlHeld) -> Answer:
        def act(_: object) -> Answer:
            done = effect(Sitting(held.connection, caller.name, now))
            content: Json = done.model_dump(mode="json", by_alias=True)
            return Answer(status, content)

        return staff.idempotency.once(held.connection, keyed, act)

    answer = await staff.store.write(work)
    return answer.response()


def file_body(*media_types: str) -> dict[str, Any]:
    """Give what the OpenAPI document says of a body that is a file."""
    content = {media_type: {"schema": {"type": "string"}} for media_type in media_types}
    return {"requestBody": {"required": True, "content": content}}


async def file_bytes(request: Request) -> bytes:
    """Give the body as it came."""
    return await request.body()


def require_media_type(request: Request, *expected: str) -> None:
    """Return only for a body of one of the `expected` kinds; raises `Malformed`."""
    found = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if found not in expected:
        raise Malformed(" or ".join(expected), "another media type", "Content-Type")
