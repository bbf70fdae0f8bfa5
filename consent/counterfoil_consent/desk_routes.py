"""HTTP face of the desk: routes for staff, each page with the address of the next.

GET /desk/grants/{listing}   live, pending, unproved, keeping
GET /desk/waiting            requests without an answer
GET /desk/reads              the log of reads, newest first
GET /desk/processing         the records of processing (GDPR, article 30)
"""

from typing import Annotated, Final

from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import Malformed
from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from counterfoil_consent.accesses import Access
from counterfoil_consent.desk import MOST_A_PAGE, Desk, GrantLine, Page, Processing, RequestLine
from counterfoil_consent.receiver_store import Cursor, Listing
from counterfoil_consent.wire import grant_id_of, seconds

_NO_STORE: Final = {"Cache-Control": "no-store"}
Limit = Annotated[int, Query(ge=1, le=MOST_A_PAGE)]


def desk_routes(desk: Desk) -> APIRouter:
    """Give the routes; whoever mounts them lets staff alone in."""
    routes = APIRouter(prefix="/desk")

    @routes.get("/grants/{listing}")
    def grants(listing: Listing, after: str | None = None, limit: Limit = 50) -> JSONResponse:
        return _page(desk.grants(listing, _cursor(after), limit))

    @routes.get("/waiting")
    def waiting(after: str | None = None, limit: Limit = 50) -> JSONResponse:
        return _page(desk.waiting(_cursor(after), limit))

    @routes.get("/reads")
    def reads(before: int | None = None, limit: Limit = 50) -> JSONResponse:
        page = desk.reads(before, limit)
        lines: list[Json] = [_access(entry) for entry in page.entries]
        return _answer({"lines": lines, "next": page.following})

    @routes.get("/processing")
    def processing() -> JSONResponse:
        lines: list[Json] = [_processing(record) for record in desk.processing()]
        return _answer({"controller": desk.controller, "lines": lines})

    return routes


def _page(page: Page) -> JSONResponse:
    lines: list[Json] = [
        _grant(line) if isinstance(line, GrantLine) else _request(line) for line in page.lines
    ]
    cursor = page.following
    following = None if cursor is None else f"{cursor.at_s}.{cursor.name}"
    return _answer({"lines": lines, "next": following})


def _grant(line: GrantLine) -> JsonObject:
    retained: list[Json] = [item.to_json() for item in line.retained]
    lacks: list[Json] = [lack.to_json() for lack in line.lacks]
    return {
        "grant_id": line.grant_id,
        "stage": line.stage.value,
        "purpose": line.purpose.value,
        "claims": [name.to_json() for name in line.claims],
        "recipients": [*line.recipients],
        "granted_at": seconds(line.granted_at),
        "ends_at": seconds(line.ends_at),
        "ends_soon": line.ends_soon,
        "max_reads": line.max_reads,
        "reads": line.reads,
        "trigger": None if line.trigger is None else line.trigger.value,
        "promised_by": None if line.promised_by is None else seconds(line.promised_by),
        "erased_at": None if line.erased_at is None else seconds(line.erased_at),
        "level": None if line.level is None else line.level.name,
        "lacks": lacks,
        "retained": retained,
        "tries": line.tries,
    }


def _request(line: RequestLine) -> JsonObject:
    return {
        "request_id": line.request_id,
        "purpose": line.purpose.value,
        "claims": [name.to_json() for name in line.claims],
        "expires_at": seconds(line.expires_at),
    }


def _access(entry: Access) -> JsonObject:
    return {
        "grant_id": entry.grant_id,
        "purpose": entry.purpose.value,
        "asked_at": seconds(entry.asked_at),
        "read": entry.read,
    }


def _processing(record: Processing) -> JsonObject:
    return {
        "purpose": record.purpose.value,
        "claims": [name.to_json() for name in record.claims],
        "recipients": [*record.recipients],
        "jurisdiction": record.jurisdiction,
        "grants": record.grants,
        "longest_until": seconds(record.longest_until),
    }


def _cursor(text: str | None) -> Cursor | None:
    if text is None:
        return None
    at_s, _, name = text.partition(".")
    if not at_s.isdecimal() or len(at_s) > 15:  # further than any year
        raise Malformed("the cursor of a page", "another text", "after")
    return Cursor(int(at_s), grant_id_of(name, "after"))


def _answer(body: JsonObject) -> JSONResponse:
    return JSONResponse(body, headers=_NO_STORE)
