"""From one version of the wallet's file to the next, and back, with nothing lost.

A migration runs in one transaction. What is kept is counted before and after; where
the counts differ, nothing has changed. Killed in the middle, the file is at the old
version or at the new one.
"""

# ruff: noqa: S608  # the statements are put together from parts of our own, never from values

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple, cast

from counterfoil_credentials.encoding import (
    JsonObject,
    b64url,
    compact_json,
    from_b64url,
    int_at,
    object_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import CounterfoilError, Malformed, Misuse
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.sdjwt import MAX_SD_JWT_BYTES, SdJwt
from counterfoil_credentials.sdjwt_vc import read_credential, time_at

from counterfoil_wallet.held import Copy, CopyId, CredentialId, HeldCredential
from counterfoil_wallet.history import Act, Event
from counterfoil_wallet.printable import shortened
from counterfoil_wallet.schema import ADDED_IN_2, DROPPED_BEFORE_2, VERSION
from counterfoil_wallet.store import Kind, Record
from counterfoil_wallet.tables import RECORD, Connection, Tables, record_in

_WHERE: Final = "held_credential"
_MAX_BODY_BYTES: Final = MAX_SD_JWT_BYTES + 65_536


@dataclass(frozen=True, slots=True)
class Migration:
    """The way to `version` from the one before, and back."""

    version: int
    up: Callable[[Connection], None]
    down: Callable[[Connection], None]


def version_of(connection: Connection) -> int:
    """Give the version of the file's tables."""
    return cast("int", connection.pragma("user_version"))


def migrate(connection: Connection, to: int = VERSION) -> None:
    """Bring the tables to version `to`.

    Raises `Malformed` for a file of a version that this program does not know, and
    where the counts differ; `Misuse` for a version `to` that there never was.
    """
    if not 1 <= to <= VERSION:
        raise Misuse(f"expected a version from 1 to {VERSION}, found {to}")
    now = version_of(connection)
    if not 1 <= now <= VERSION:
        raise Malformed(f"version 1 to {VERSION} of the wallet's file", f"{now}", "wallet.db")
    steps: Sequence[Callable[[Connection], None]] = (
        [migration.up for migration in MIGRATIONS if now < migration.version <= to]
        if now < to
        else [migration.down for migration in reversed(MIGRATIONS) if to < migration.version <= now]
    )
    if not steps:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        before = count(connection)
        for step in steps:
            step(connection)
        connection.pragma("user_version", str(to))
        _require_equal(before, count(connection))
        connection.execute("COMMIT")
    except BaseException:
        # A full disk undoes the whole transaction by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def count(connection: Connection) -> Counter[str]:
    """Count what is kept, kind by kind, at whatever version; each copy is one credential."""
    counted: Counter[str] = Counter()
    for kind, number in connection.execute(
        "SELECT kind, count(*) FROM records GROUP BY kind"
    ).fetchall():
        counted[str(kind)] += cast("int", number)
    if version_of(connection) >= 2:
        ((copies,),) = connection.execute("SELECT count(*) FROM copies").fetchall()
        counted[Kind.CREDENTIAL.value] += cast("int", copies)
    return +counted


def _require_equal(before: Counter[str], after: Counter[str]) -> None:
    if after != before:
        raise Malformed(f"{dict(before)} after the migration", f"{dict(after)}", "wallet.db")


def _to_2(connection: Connection) -> None:
    connection.execute(ADDED_IN_2)
    connection.pragma("user_version", "2")
    cards_of_records(Tables(connection), connection)


def cards_of_records(tables: Tables, connection: Connection) -> None:
    """Make cards of the credentials that version 1 kept as records in `connection`.

    Version 1 did not keep which one of a type it showed: what may have been shown
    counts as shown. Of one that was a card before, that is what came after it in the file.
    """
    acts = _acts(connection)
    places: dict[str, int] = dict(
        connection.execute(
            "SELECT key, position FROM records WHERE kind = ?", (Kind.CREDENTIAL,)
        ).fetchall()
    )
    faces: list[HeldCredential] = []
    for record in tables.find(Kind.CREDENTIAL):
        try:
            card = _card_in(record)
            more = parse_object(record.body, _WHERE, max_bytes=_MAX_BODY_BYTES).get("card")
        except (CounterfoilError, ValueError):
            # It stays a record, which nobody can read and `Wallet.damaged` names.
            continue
        tables.hold(card)
        since, kept = (
            (places[record.key], _showings_in(more)) if isinstance(more, dict) else (0, {})
        )
        known = {
            act.verifier: act.at
            for act in acts.get(shortened(card.vct), ())
            if act.position > since
        }
        for verifier, at in {**known, **kept}.items():
            tables.show(card.copy.copy_id, verifier, at=at)
        tables.forget(Kind.CREDENTIAL, record.key)
        if isinstance(more, dict) and more.get("face") is True:
            faces.append(card)
    for card in faces:
        # Held once more, a copy becomes the one that its card is read from.
        tables.hold(card)


def _from_2(connection: Connection) -> None:
    tables = Tables(connection)
    for card in tables.cards(trashed=None):
        shown = tables.showings(card.credential_id)
        for copy in tables.copies(card.credential_id):
            body: JsonObject = {
                "sd_jwt": copy.issued,
                "key": b64url(copy.key),
                "configuration_id": card.configuration_id,
                "accepted_at": int(card.accepted_at.timestamp()),
                # What version 1 does not read, so that the way back finds it again.
                "card": {
                    "id": card.credential_id,
                    "issuer": card.issuer,
                    "face": copy.copy_id == card.copy.copy_id,
                    "keeper": copy.keeper,
                    "state": card.state,
                    "shown": {
                        showing.verifier: int(showing.shown_at.timestamp())
                        for showing in shown
                        if showing.copy_id == copy.copy_id
                    },
                    **(
                        {}
                        if card.trashed_at is None
                        else {"trashed_at": int(card.trashed_at.timestamp())}
                    ),
                },
            }
            tables.put(Record(Kind.CREDENTIAL, copy.copy_id, card.vct, compact_json(body)))
    connection.execute(DROPPED_BEFORE_2)


def _card_in(record: Record) -> HeldCredential:
    """Read a credential as version 1 kept it: one record each, with its key."""
    body = parse_object(record.body, _WHERE, max_bytes=_MAX_BODY_BYTES)
    sd_jwt = SdJwt.parse(text_at(body, "sd_jwt", _WHERE), _WHERE)
    parsed = read_credential(sd_jwt)
    claims = parsed.revealed.claims
    more = object_at(body, "card", _WHERE) if "card" in body else None
    keeper = "" if more is None else text_at(more, "keeper", _WHERE)
    key = from_b64url(text_at(body, "key", _WHERE), f"{_WHERE}.key")
    if not keeper:
        MemorySigner.from_private_bytes(key)
    copy = Copy(
        copy_id=CopyId(record.key),
        issued=str(sd_jwt),
        key=key,
        keeper=keeper,
        expires_at=time_at(claims, "exp", _WHERE),
    )
    return HeldCredential(
        credential_id=CredentialId(record.key if more is None else text_at(more, "id", _WHERE)),
        issuer=parsed.unverified_issuer if more is None else text_at(more, "issuer", _WHERE),
        vct=parsed.unverified_vct,
        configuration_id=text_at(body, "configuration_id", _WHERE),
        accepted_at=datetime.fromtimestamp(int_at(body, "accepted_at", _WHERE), UTC),
        expires_at=copy.expires_at,
        status=copy.status,
        copy=copy,
        state="" if more is None else text_at(more, "state", _WHERE),
        trashed_at=None if more is None else time_at(more, "trashed_at", _WHERE),
    )


class _Shown(NamedTuple):
    position: int
    verifier: str
    at: datetime


def _acts(connection: Connection) -> dict[str, list[_Shown]]:
    """Give, by type, who was shown a credential of it and when, as the history says.

    A grant shows the credentials that it is about. The history keeps types shortened.
    """
    acts: dict[str, list[_Shown]] = {}
    for position, *row in connection.execute(
        f"SELECT position, {RECORD} FROM records WHERE kind = ? AND label IN (?, ?)"
        " ORDER BY position",
        (Kind.EVENT, Act.SHOWN, Act.GRANTED),
    ).fetchall():
        try:
            event = Event.from_record(record_in(tuple(row)))
        except CounterfoilError:
            continue
        for vct in event.types:
            acts.setdefault(vct, []).append(_Shown(position, event.party, event.at))
    return acts


def _showings_in(more: JsonObject) -> dict[str, datetime]:
    shown = object_at(more, "shown", _WHERE)
    return {
        verifier: datetime.fromtimestamp(int_at(shown, verifier, _WHERE), UTC) for verifier in shown
    }


MIGRATIONS: Final = (Migration(2, _to_2, _from_2),)
