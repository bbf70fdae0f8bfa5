"""All that a wallet holds at one moment: out of a store, into a store, and as JSON lines.

    {"format": "counterfoil-wallet-contents", "version": 1, "at": …, "cards": 2, "records": 7}
    {"card": {…}, "copies": [{"sd_jwt", "key", …}, …], "shown": [{"copy", "verifier", "at"}, …]}
    {"record": "event", "key": …, "label": …, "body": …}

One line per card and per record, oldest first. What a store finds things by (facts, words)
follows from these and is made anew. Times are whole seconds since 1970, UTC.
"""

from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_object,
    b64url,
    compact_json,
    from_b64url,
    int_at,
    list_at,
    numeric_date,
    object_at,
    optional_text_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Misuse
from counterfoil_credentials.sdjwt_vc import StatusReference, time_at

from counterfoil_wallet.held import Copy, CopyId, CredentialId, HeldCredential
from counterfoil_wallet.store import Kind, Record, Showing, Store
from counterfoil_wallet.wire import refuse, required_time_at

FORMAT: Final = "counterfoil-wallet-contents"
VERSION: Final = 1
_WHERE: Final = "contents"
# A grant or an event may be of many megabytes (`history.py`), and an escape doubles a character.
_MAX_LINE_BYTES: Final = 80 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class WholeCard:
    """A card with all its copies, oldest first, and to whom they were shown."""

    card: HeldCredential
    copies: tuple[Copy, ...]
    showings: tuple[Showing, ...]

    def hold_in(self, store: Store) -> None:
        """Keep it in a store that does not know the card: copies in their order, then its face."""
        first, *rest = self.copies
        store.hold(replace(self.card, copy=first), rest)
        if self.card.copy != first:
            store.hold(self.card)
        for shown in self.showings:
            store.show(shown.copy_id, shown.verifier, at=shown.shown_at)


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything, at one moment."""

    cards: tuple[WholeCard, ...]
    records: tuple[Record, ...]

    @staticmethod
    def of(store: Store) -> "Contents":
        """Read all of a store; other threads wait, so that nothing is seen half done."""
        with store.step():
            cards = tuple(
                WholeCard(
                    card,
                    tuple(store.copies(card.credential_id)),
                    tuple(store.showings(card.credential_id)),
                )
                for card in store.cards(trashed=None)
            )
            records = tuple(record for kind in Kind for record in store.find(kind))
        return Contents(cards, records)

    def put_into(self, store: Store) -> None:
        """Keep all of it in an empty store, in one step."""
        with store.step():
            for card in self.cards:
                card.hold_in(store)
            store.put(*self.records)

    def to_lines(self, at: datetime) -> bytes:
        """Give it as JSON lines."""
        head: JsonObject = {
            "format": FORMAT,
            "version": VERSION,
            "at": numeric_date(at),
            "cards": len(self.cards),
            "records": len(self.records),
        }
        lines = (head, *map(_card_json, self.cards), *map(_record_json, self.records))
        return b"".join(compact_json(line) + b"\n" for line in lines)

    @staticmethod
    def from_lines(data: bytes) -> "Contents":
        """Read JSON lines strictly; `Refused` with `contents-too-new`, `Malformed`."""
        lines = _lines(data)
        head = next(lines)
        if text_at(head, "format", _WHERE) != FORMAT:
            raise Malformed(FORMAT, "another format", f"{_WHERE}.format")
        if int_at(head, "version", _WHERE) != VERSION:
            raise refuse("contents-too-new", f"version {VERSION}", "another", _WHERE)
        cards: list[WholeCard] = []
        records: list[Record] = []
        for line in lines:
            if "card" in line:
                cards.append(_card_at(line))
            else:
                records.append(_record_at(line))
        counted = (int_at(head, "cards", _WHERE), int_at(head, "records", _WHERE))
        if counted != (len(cards), len(records)):
            raise Malformed("as many lines as it counts", "more or fewer", _WHERE)
        _require_no_two_alike(card.card.credential_id for card in cards)
        _require_no_two_alike(copy.copy_id for card in cards for copy in card.copies)
        _require_no_two_alike((record.kind, record.key) for record in records)
        return Contents(tuple(cards), tuple(records))


def _lines(data: bytes) -> Generator[JsonObject, None, None]:
    start = 0
    while not start or start < len(data):
        end = data.find(b"\n", start)
        if end < 0:
            raise Malformed("a line end at the end", "none", _WHERE)
        yield parse_object(data[start:end], _WHERE, max_bytes=_MAX_LINE_BYTES)
        start = end + 1


def _require_no_two_alike(names: Iterable[object]) -> None:
    listed = list(names)
    if len(set(listed)) != len(listed):
        raise Malformed("each thing once", "one twice", _WHERE)


def _card_json(whole: WholeCard) -> JsonObject:
    card = whole.card
    described: JsonObject = {
        "id": card.credential_id,
        "issuer": card.issuer,
        "type": card.vct,
        "configuration_id": card.configuration_id,
        "accepted_at": numeric_date(card.accepted_at),
        "state": card.state,
        "face": card.copy.copy_id,
        **_time_json("expires_at", card.expires_at),
        **_time_json("trashed_at", card.trashed_at),
    }
    if card.status is not None:
        described["status"] = {"uri": card.status.url, "idx": card.status.index}
    copies: list[Json] = [
        {
            "id": copy.copy_id,
            "sd_jwt": copy.issued,
            "key": b64url(copy.key),
            "keeper": copy.keeper,
            **_time_json("expires_at", copy.expires_at),
        }
        for copy in whole.copies
    ]
    shown: list[Json] = [
        {"copy": each.copy_id, "verifier": each.verifier, "at": numeric_date(each.shown_at)}
        for each in whole.showings
    ]
    return {"card": described, "copies": copies, "shown": shown}


def _card_at(line: JsonObject) -> WholeCard:
    card, where = object_at(line, "card", _WHERE), f"{_WHERE}.card"
    copies = tuple(_copy_at(as_object(item, where)) for item in list_at(line, "copies", _WHERE))
    by_id = {copy.copy_id: copy for copy in copies}
    face = by_id.get(CopyId(text_at(card, "face", where)))
    showings = tuple(_showing_at(as_object(item, where)) for item in list_at(line, "shown", _WHERE))
    if face is None or not {shown.copy_id for shown in showings} <= set(by_id):
        raise Malformed("copies of the card", "another", where)
    status = None
    if "status" in card:
        listed = object_at(card, "status", where)
        status = StatusReference(text_at(listed, "uri", where), int_at(listed, "idx", where))
    held = HeldCredential(
        credential_id=CredentialId(text_at(card, "id", where)),
        issuer=text_at(card, "issuer", where),
        vct=text_at(card, "type", where),
        configuration_id=text_at(card, "configuration_id", where),
        accepted_at=required_time_at(card, "accepted_at", where),
        expires_at=time_at(card, "expires_at", where),
        status=status,
        copy=face,
        state=text_at(card, "state", where),
        trashed_at=time_at(card, "trashed_at", where),
    )
    return WholeCard(held, copies, showings)


def _copy_at(obj: JsonObject) -> Copy:
    where = f"{_WHERE}.copies"
    copy = Copy(
        copy_id=CopyId(text_at(obj, "id", where)),
        issued=text_at(obj, "sd_jwt", where),
        key=from_b64url(text_at(obj, "key", where), where),
        keeper=text_at(obj, "keeper", where),
        expires_at=time_at(obj, "expires_at", where),
    )
    if not copy.keeper and _key_id(copy) != copy.copy_id:
        raise Malformed("the key that the copy is named after", "another", where)
    return copy


def _key_id(copy: Copy) -> str | None:
    try:
        return copy.signer.public.thumbprint()
    except Misuse:  # no private key at all
        return None


def _showing_at(obj: JsonObject) -> Showing:
    where = f"{_WHERE}.shown"
    return Showing(
        CopyId(text_at(obj, "copy", where)),
        text_at(obj, "verifier", where),
        required_time_at(obj, "at", where),
    )


def _record_json(record: Record) -> JsonObject:
    named: JsonObject = {"record": record.kind.value, "key": record.key, "label": record.label}
    try:
        return {**named, "body": record.body.decode("utf-8")}
    except UnicodeDecodeError:
        return {**named, "bytes": b64url(record.body)}


def _record_at(line: JsonObject) -> Record:
    where = f"{_WHERE}.record"
    try:
        kind = Kind(text_at(line, "record", _WHERE))
    except ValueError as cause:
        raise Malformed("a kind of record that this version knows", "another", where) from cause
    text = optional_text_at(line, "body", where)
    body = from_b64url(text_at(line, "bytes", where), where) if text is None else text.encode()
    return Record(kind, text_at(line, "key", where), text_at(line, "label", where), body)


def _time_json(name: str, at: datetime | None) -> JsonObject:
    return {} if at is None else {name: numeric_date(at)}
