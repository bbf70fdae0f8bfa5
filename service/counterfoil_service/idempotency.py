"""A write that is sent twice happens once: the Idempotency-Key header.

    idempotency = Idempotency(secret, clock=clock, random=os.urandom)

    @app.post("/back-office/offers")
    async def offer(request: Request, caller: Annotated[Caller, Depends(...)]) -> Response:
        keyed = await idempotency.read(request, caller.name)

        def effect(connection: Connection) -> Answer:
            ...                                      # the write, and its audit entry
            return Answer(201, {"offer": ...})

        answer = await db.write(lambda connection: idempotency.once(connection, keyed, effect))
        return answer.response()

Effect and stored answer are one transaction: after `kill -9` there are both or
neither. The same key with the same request gives the stored answer again, with
another request it is refused (422). What the effect raises is stored nowhere:
nothing happened, so it may be tried again.

A transaction is never seen half done, so whoever sends a key twice at once waits
for the first and gets its answer. Work of several transactions says beforehand
that it is under way (`claim`, and `finish` in the last one), and a second request
is answered 409 meanwhile. A claim whose owner died lapses.

An answer may hold secrets (an offer's code). It is sealed under a key derived
from the service's secret and the caller's key; the table holds neither, and of
the request only a MAC: who copies the database reads nothing, nor can try out
what the request said. IETF draft httpapi-idempotency-key-header, section 2.
"""

import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    b64url,
    compact_json,
    int_at,
    numeric_date,
    object_at,
    parse_object,
)
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused
from fastapi import Request
from fastapi.responses import JSONResponse
from sqlalchemy import (
    BigInteger,
    Column,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    insert,
    select,
    update,
)

from counterfoil_service.sealing import NONCE_BYTES, Seal, derived
from counterfoil_service.statements import Connection, Statement

HEADER: Final = "Idempotency-Key"
LASTS: Final = timedelta(days=1)
LEASE: Final = timedelta(minutes=1)
MAX_ANSWER_BYTES: Final = 262_144
_FORGOTTEN_AT_ONCE: Final = 1_000
# A structured field's string without escapes, or the bare text that many clients send.
_KEY: Final = re.compile(r'"([ !#-\[\]-~]{1,200})"|([A-Za-z0-9_.:/+=~-]{1,200})')

METADATA: Final = MetaData()
# Times are whole seconds since 1970. `answer` is null while a claim is under way.
KEPT: Final = Table(
    "idempotency",
    METADATA,
    Column("request_id", String, primary_key=True),
    Column("fingerprint", String, nullable=False),
    Column("answer", String),
    Column("claim", String),
    Column("claim_ends_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
)

_IS_IT: Final = KEPT.c.request_id == bindparam("kept_id")
_IS_HELD: Final = _IS_IT & (KEPT.c.claim == bindparam("held"))
_FIND: Final = Statement(
    select(KEPT.c.fingerprint, KEPT.c.answer, KEPT.c.claim_ends_at, KEPT.c.expires_at).where(_IS_IT)
)
_KEEP: Final = Statement(insert(KEPT))
_DROP: Final = Statement(delete(KEPT).where(_IS_IT))
_FINISH: Final = Statement(
    update(KEPT).where(_IS_HELD).values(answer=bindparam("sealed"), claim=None)
)
_RELEASE: Final = Statement(delete(KEPT).where(_IS_HELD))
_EXPIRED: Final = (
    select(KEPT.c.request_id)
    .where(KEPT.c.expires_at <= bindparam("moment"))
    .limit(_FORGOTTEN_AT_ONCE)
)
_FORGET: Final = Statement(delete(KEPT).where(KEPT.c.request_id.in_(_EXPIRED.scalar_subquery())))


def add_tables(metadata: MetaData) -> None:
    """Add this module's table to a service's own."""
    KEPT.to_metadata(metadata)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a write answers: kept for a while, and given again to whoever repeats the request."""

    status: int
    content: Json = field(repr=False)
    headers: tuple[tuple[str, str], ...] = ()
    replayed: bool = False

    def response(self) -> JSONResponse:
        """Give it as HTTP; an answer that was kept says `Idempotency-Replayed: true`."""
        replayed = {"Idempotency-Replayed": "true"} if self.replayed else {}
        headers = {"Cache-Control": "no-store", **dict(self.headers), **replayed}
        return JSONResponse(self.content, self.status, headers=headers)


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """One request under one caller's key: where its answer is kept, and what opens it."""

    request_id: str
    fingerprint: str
    seal: Seal = field(repr=False)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to do the work of one request; it lapses."""

    token: str = field(repr=False)


class Idempotency:
    """Keeps answers for `lasts`. `secret` has 32 bytes or more and lives outside the database."""

    def __init__(
        self,
        secret: bytes,
        *,
        clock: Callable[[], datetime],
        random: Callable[[int], bytes],
        lasts: timedelta = LASTS,
        required: bool = True,
    ) -> None:
        """Say for how long, and whether a write without a key is refused (else it is done)."""
        self._secret = secret
        self._clock = clock
        self._random = random
        self._lasts = lasts
        self._required = required

    async def read(self, request: Request, caller: str) -> KeyedRequest:
        """Give the keyed request; `Malformed` for a key that is missing, double or misspelled."""
        return self.request(
            caller=caller,
            keys=request.headers.getlist(HEADER),
            method=request.method,
            target=f"{request.url.path}?{request.url.query}",
            body=await request.body(),
        )

    def request(
        self, *, caller: str, keys: list[str], method: str, target: str, body: bytes
    ) -> KeyedRequest:
        """Give the keyed request. `keys` are the header's values, of which there must be one.

        A key belongs to its caller: two callers with one key are two requests.
        """
        key = self._key(keys)
        mark = derived(self._secret, "fingerprint", caller, key)
        said = b"\0".join((method.encode(), target.encode(), body))
        return KeyedRequest(
            request_id=b64url(derived(self._secret, "request", caller, key)),
            fingerprint=b64url(hmac.digest(mark, said, "sha256")),
            seal=Seal(self._secret, "answer", caller, key),
        )

    def once(
        self,
        connection: Connection,
        request: KeyedRequest,
        effect: Callable[[Connection], Answer],
    ) -> Answer:
        """Give the kept answer, or do `effect` and keep its answer, all within this transaction.

        Raises `Refused`: `idempotency-key-reused` or `idempotency-key-in-use`.
        """
        kept = self._kept(connection, request)
        if kept is not None:
            return kept
        answer = effect(connection)
        self._keep(connection, request, answer=self._shut(request, answer))
        return answer

    def claim(
        self, connection: Connection, request: KeyedRequest, lease: timedelta = LEASE
    ) -> Answer | Claim:
        """Give the kept answer, or the claim to do the work until `lease` ends.

        The claim's transaction must be committed before the work begins. Raises
        `Refused`: `idempotency-key-reused` or `idempotency-key-in-use`.
        """
        kept = self._kept(connection, request)
        if kept is not None:
            return kept
        token = b64url(self._random(16))
        self._keep(connection, request, claim=token, claim_ends_at=self._now() + _seconds(lease))
        return Claim(token)

    def finish(
        self, connection: Connection, request: KeyedRequest, claim: Claim, answer: Answer
    ) -> None:
        """Keep the answer, in the transaction that makes the effect true.

        Raises `Refused` (`idempotency-key-in-use`) when the claim lapsed and went
        to another: let it undo the transaction.
        """
        sealed = self._shut(request, answer)
        if not connection.change(
            _FINISH, kept_id=request.request_id, held=claim.token, sealed=sealed
        ):
            raise _in_use()

    def release(self, connection: Connection, request: KeyedRequest, claim: Claim) -> None:
        """Give a claim back after work that failed, so that it can be tried again at once."""
        connection.change(_RELEASE, kept_id=request.request_id, held=claim.token)

    def forget(self, connection: Connection) -> int:
        """Delete answers past their time, at most a thousand; give how many."""
        return connection.change(_FORGET, moment=self._now())

    def _kept(self, connection: Connection, request: KeyedRequest) -> Answer | None:
        row = connection.row(_FIND, kept_id=request.request_id)
        if row is None:
            return None
        fingerprint, sealed, claim_ends_at, expires_at = row
        now = self._now()
        if expires_at > now:
            if not hmac.compare_digest(fingerprint, request.fingerprint):
                raise _reused()
            if sealed is not None:
                return self._open(request, sealed)
            if claim_ends_at > now:
                raise _in_use()
        connection.change(_DROP, kept_id=request.request_id)
        return None

    def _keep(
        self,
        connection: Connection,
        request: KeyedRequest,
        *,
        answer: str | None = None,
        claim: str | None = None,
        claim_ends_at: int = 0,
    ) -> None:
        connection.change(
            _KEEP,
            request_id=request.request_id,
            fingerprint=request.fingerprint,
            answer=answer,
            claim=claim,
            claim_ends_at=claim_ends_at,
            expires_at=self._now() + _seconds(self._lasts),
        )

    def _shut(self, request: KeyedRequest, answer: Answer) -> str:
        headers: JsonObject = dict(answer.headers)
        data = compact_json(
            {"status": answer.status, "content": answer.content, "headers": headers}
        )
        if len(data) > MAX_ANSWER_BYTES:
            raise Misuse(f"expected an answer of at most {MAX_ANSWER_BYTES} bytes, found more")
        nonce = self._random(NONCE_BYTES)
        return request.seal.shut(data, place=request.request_id, nonce=nonce)

    def _open(self, request: KeyedRequest, sealed: str) -> Answer:
        data = request.seal.open(sealed, place=request.request_id)
        kept = parse_object(data, "idempotency.answer", max_bytes=MAX_ANSWER_BYTES)
        headers = object_at(kept, "headers", "idempotency.answer")
        return replace(
            Answer(int_at(kept, "status", "idempotency.answer"), kept["content"]),
            headers=tuple((name, str(value)) for name, value in headers.items()),
            replayed=True,
        )

    def _key(self, keys: list[str]) -> str:
        if not keys and not self._required:
            return b64url(self._random(32))
        if len(keys) != 1:
            found = f"{len(keys)} of them" if keys else "none"
            raise Malformed("one key for this write, such as a random UUID", found, HEADER)
        match = _KEY.fullmatch(keys[0])
        if match is None:
            raise Malformed("a quoted text of at most 200 characters", "another", HEADER)
        return match[1] or match[2]

    def _now(self) -> int:
        return numeric_date(self._clock())


def _seconds(lasting: timedelta) -> int:
    return int(lasting.total_seconds())


def _reused() -> Refused:
    expected = "the request that this key was first sent with, or a new key"
    return Refused(Reason("idempotency-key-reused", expected, "another request", HEADER))


def _in_use() -> Refused:
    expected = "a request that is sent again after its answer"
    return Refused(Reason("idempotency-key-in-use", expected, "one still under way", HEADER))
