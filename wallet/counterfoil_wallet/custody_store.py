"""The rows of a custodian that is the wallet itself: records in the wallet's own file.

The same port as the service's (`counterfoil_consent.store`); each verb is one step of the
wallet's store. A row holds the share as it was sealed: it opens with its one-time key
alone, which lies outside this file (`custody.py`).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from counterfoil_consent.artefacts import Registration, trigger_at
from counterfoil_consent.parties import did_at
from counterfoil_consent.sealing import share_of
from counterfoil_consent.set_outbox import Letter, MemorySetOutbox, SetOutbox
from counterfoil_consent.states import Trigger
from counterfoil_consent.store import Custody, Ended, Kept, Reserved, is_due
from counterfoil_consent.terms import Purpose
from counterfoil_consent.tombstone_journal import Mark
from counterfoil_consent.wire import Digest, GrantId, instant_at, seconds, whole_second
from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import (
    JsonObject,
    b64url,
    compact_json,
    from_b64url,
    int_at,
    object_at,
    optional_text_at,
    parse_object,
    text_at,
    texts_at,
)
from counterfoil_credentials.errors import Malformed

from counterfoil_wallet.store import Kind, Record, Store

_ROWS: Final = ("reserved", "kept", "ended")
_MARK: Final = "journal"
_WHERE: Final = "custody"
_MAX_BODY_BYTES: Final = 4 * 1024 * 1024


class WalletCustodianStore:
    """`CustodianStore` over a wallet's store.

    Its outbox is in memory: of each end and pause of hers the wallet itself tells the
    receiver, and goes on telling it after a restart.
    """

    def __init__(self, store: Store) -> None:
        """Use an open store, which others may use too."""
        self._store = store
        self.outbox: SetOutbox = MemorySetOutbox()

    def is_empty(self) -> bool:
        return not self._store.find(Kind.CUSTODY, _ROWS)

    def reserve(self, reserved: Reserved, limit: int) -> Custody | None:
        with self._store.step():
            known = self.find(reserved.grant_id)
            if known is not None:
                return known
            if len(self._store.find(Kind.CUSTODY, ("reserved",))) >= limit:
                return None
            self._put(reserved)
            return reserved

    def keep(self, registration: Registration) -> Custody | None:
        def kept(row: Custody) -> Custody:
            if isinstance(row, Reserved) and row.holder == registration.holder:
                return Kept(registration=registration, is_receipted=False, reads=0)
            return row

        return self._change(registration.grant_id, kept)

    def grant_ids(self, after: GrantId | None, limit: int) -> list[GrantId]:
        names = [GrantId(record.key) for record in self._store.find(Kind.CUSTODY, _ROWS)]
        start = 0 if after is None or after not in names else names.index(after) + 1
        return names[start : start + limit]

    def find(self, grant_id: GrantId) -> Custody | None:
        record = self._store.get(Kind.CUSTODY, grant_id)
        return None if record is None else _row(record)

    def receipt(self, grant_id: GrantId) -> None:
        self._change_kept(grant_id, lambda kept: replace(kept, is_receipted=True))

    def count_read(
        self, grant_id: GrantId, request_id: str, now: datetime, counted: int
    ) -> int | None:
        with self._store.step():
            record = self._store.get(Kind.CUSTODY, grant_id)
            row = None if record is None else _row(record)
            if record is None or not isinstance(row, Kept):
                return None
            answered = texts_at(_body(record), "answered", _WHERE)
            rules, reads = row.registration, max(row.reads, counted)
            if not (row.is_receipted and row.is_confirmed) or request_id in answered:
                return None
            if reads >= rules.max_reads or now >= rules.valid_until:
                return None
            read = replace(row, reads=reads + 1, last_read_at=whole_second(now))
            self._put(read, (*answered, request_id))
            return reads + 1

    def end(
        self,
        grant_id: GrantId,
        trigger: Trigger,
        at: datetime,
        letters: Sequence[Letter] = (),
    ) -> Custody | None:
        with self._store.step():
            is_news = isinstance(self.find(grant_id), Kept | Reserved)
            ended = self._change(grant_id, lambda row: _ended(row, trigger, at))
        if is_news:
            self.outbox.put(letters)
        return ended

    def state_destruction(self, grant_id: GrantId, statement: str) -> Custody | None:
        def stated(row: Custody) -> Custody:
            if isinstance(row, Ended) and row.statement is None:
                return replace(row, statement=statement)
            return row

        return self._change(grant_id, stated)

    def due(self, now: datetime, reserved_before: datetime, limit: int) -> list[GrantId]:
        rows = [_row(record) for record in self._store.find(Kind.CUSTODY, _ROWS)]
        due: list[Custody] = [row for row in rows if isinstance(row, Kept) and is_due(row, now)]
        due += [row for row in rows if isinstance(row, Ended) and row.statement is None]
        due += [
            row for row in rows if isinstance(row, Reserved) and row.reserved_at < reserved_before
        ]
        return [row.grant_id for row in due[:limit]]

    def journal_mark(self) -> Mark | None:
        record = self._store.get(Kind.CUSTODY, _MARK)
        if record is None:
            return None
        body = _body(record)
        return Mark(int_at(body, "lines", _WHERE), Digest(text_at(body, "chain", _WHERE)))

    def set_journal_mark(self, mark: Mark) -> None:
        body = compact_json({"lines": mark.lines, "chain": mark.chain})
        self._store.put(Record(Kind.CUSTODY, _MARK, "mark", body))

    def require_confirmations(self) -> int:
        with self._store.step():
            kept = self._store.find(Kind.CUSTODY, ("kept",))
            for record in kept:
                self._change_kept(GrantId(record.key), _unconfirmed)
            return len(kept)

    def confirm(self, grant_id: GrantId) -> None:
        self._change_kept(grant_id, lambda kept: replace(kept, is_confirmed=True))

    def _change_kept(self, grant_id: GrantId, change: Callable[[Kept], Kept]) -> None:
        self._change(grant_id, lambda row: change(row) if isinstance(row, Kept) else row)

    def _change(self, grant_id: GrantId, change: Callable[[Custody], Custody]) -> Custody | None:
        with self._store.step():
            record = self._store.get(Kind.CUSTODY, grant_id)
            if record is None:
                return None
            before = _row(record)
            after = change(before)
            if after != before:
                body = _body(record)
                self._put(after, texts_at(body, "answered", _WHERE) if "answered" in body else ())
            return after

    def _put(self, row: Custody, answered: tuple[str, ...] | list[str] = ()) -> None:
        label, body = _record_of(row)
        if isinstance(row, Kept):
            body["answered"] = [*answered]
        self._store.put(Record(Kind.CUSTODY, row.grant_id, label, compact_json(body)))


def _unconfirmed(kept: Kept) -> Kept:
    return replace(kept, is_confirmed=False)


def _ended(row: Custody, trigger: Trigger, at: datetime) -> Custody:
    if isinstance(row, Ended):
        return row
    rules = row.registration if isinstance(row, Kept) else None
    return Ended(
        grant_id=row.grant_id,
        holder=row.holder,
        receiver=None if rules is None else rules.receiver,
        grant_digest=None if rules is None else rules.grant_digest,
        trigger=trigger,
        ended_at=at,
        reads=row.reads if isinstance(row, Kept) else 0,
        statement=None,
        last_read_at=row.last_read_at if isinstance(row, Kept) else None,
    )


def _record_of(row: Custody) -> tuple[str, JsonObject]:
    match row:
        case Reserved():
            return "reserved", {"holder": row.holder, "reserved_at": seconds(row.reserved_at)}
        case Kept():
            return "kept", {
                "registration": _registration_json(row.registration),
                "is_receipted": row.is_receipted,
                "is_confirmed": row.is_confirmed,
                "reads": row.reads,
                **_moment("last_read_at", row.last_read_at),
            }
        case Ended():
            texts = {
                "receiver": row.receiver,
                "grant_digest": row.grant_digest,
                "statement": row.statement,
            }
            return "ended", {
                "holder": row.holder,
                "trigger": row.trigger.value,
                "ended_at": seconds(row.ended_at),
                "reads": row.reads,
                **_moment("last_read_at", row.last_read_at),
                **{name: text for name, text in texts.items() if text is not None},
            }


def _row(record: Record) -> Custody:
    body, grant_id = _body(record), GrantId(record.key)
    match record.label:
        case "reserved":
            return Reserved(
                grant_id=grant_id,
                holder=did_at(body, "holder", _WHERE),
                reserved_at=instant_at(body, "reserved_at", _WHERE),
            )
        case "kept":
            return Kept(
                registration=_registration(object_at(body, "registration", _WHERE), grant_id),
                is_receipted=body.get("is_receipted") is True,
                is_confirmed=body.get("is_confirmed") is True,
                reads=int_at(body, "reads", _WHERE),
                last_read_at=_moment_at(body, "last_read_at"),
            )
        case "ended":
            digest = optional_text_at(body, "grant_digest", _WHERE)
            return Ended(
                grant_id=grant_id,
                holder=did_at(body, "holder", _WHERE),
                receiver=_did(body, "receiver"),
                grant_digest=None if digest is None else Digest(digest),
                trigger=trigger_at(body, _WHERE),
                ended_at=instant_at(body, "ended_at", _WHERE),
                reads=int_at(body, "reads", _WHERE),
                statement=optional_text_at(body, "statement", _WHERE),
                last_read_at=_moment_at(body, "last_read_at"),
            )
        case _:
            raise Malformed("a row of a custodian", "another", _WHERE)


def _registration_json(rules: Registration) -> JsonObject:
    others = {"completer": rules.completer, "authority": rules.authority}
    return {
        "holder": rules.holder,
        "receiver": rules.receiver,
        "grant_digest": rules.grant_digest,
        "purpose": rules.purpose.value,
        "valid_until": seconds(rules.valid_until),
        "max_reads": rules.max_reads,
        "share": b64url(rules.share),
        "is_single_use": rules.is_single_use,
        **{name: did for name, did in others.items() if did is not None},
    }


def _registration(body: JsonObject, grant_id: GrantId) -> Registration:
    try:
        purpose = Purpose(text_at(body, "purpose", _WHERE))
    except ValueError as cause:
        raise Malformed("a known purpose", "another", f"{_WHERE}.purpose") from cause
    return Registration(
        grant_id=grant_id,
        holder=did_at(body, "holder", _WHERE),
        receiver=did_at(body, "receiver", _WHERE),
        grant_digest=Digest(text_at(body, "grant_digest", _WHERE)),
        purpose=purpose,
        valid_until=instant_at(body, "valid_until", _WHERE),
        max_reads=int_at(body, "max_reads", _WHERE),
        share=share_of(from_b64url(text_at(body, "share", _WHERE), _WHERE), f"{_WHERE}.share"),
        completer=_did(body, "completer"),
        authority=_did(body, "authority"),
        is_single_use=body.get("is_single_use") is True,
    )


def _body(record: Record) -> JsonObject:
    return parse_object(record.body, _WHERE, max_bytes=_MAX_BODY_BYTES)


def _did(body: JsonObject, name: str) -> Did | None:
    return did_at(body, name, _WHERE) if name in body else None


def _moment(name: str, at: datetime | None) -> JsonObject:
    return {} if at is None else {name: seconds(at)}


def _moment_at(body: JsonObject, name: str) -> datetime | None:
    return instant_at(body, name, _WHERE) if name in body else None
