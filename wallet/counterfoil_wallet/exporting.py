"""Everything in open formats, in a folder; and from there, or from a backup, into a wallet.

    credentials/….sd-jwt   each copy as issued (RFC 9901)
    credentials.json       what each card says, which files are its copies, to whom they were shown
    consents/….jsonld      each grant as a consent record (ISO/IEC TS 27560, DPV)
    history.json           what was accepted, shown, declined, granted and withdrawn
    receipts/….json        each shop's signed receipt for what it was shown, and the key to check it
    access-report.json     who has seen what, and until when each says that it keeps it
    keys.jwe               the copies' private keys, a JWK set (RFC 7517), encrypted
    wallet.jwe             all of it once more, encrypted: the format of a backup

The open files are for the customer and for other software. A wallet takes `wallet.jwe`,
which nobody can change without the passphrase.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

from counterfoil_consent.export import consent_record
from counterfoil_credentials.encoding import Json, JsonObject, b64url, compact_json
from counterfoil_credentials.errors import CounterfoilError, Reason, Refused
from counterfoil_credentials.keys import MemorySigner

from counterfoil_wallet import grant_states
from counterfoil_wallet.access_report import access_report
from counterfoil_wallet.backup import read_backup, recovery_of
from counterfoil_wallet.consent_history import consent_history
from counterfoil_wallet.contents import Contents, WholeCard
from counterfoil_wallet.envelope import seal
from counterfoil_wallet.held import Copy
from counterfoil_wallet.history import Event, EventId
from counterfoil_wallet.papers import Papers
from counterfoil_wallet.passphrase import Cost
from counterfoil_wallet.reading import readable, told_by
from counterfoil_wallet.store import Kind, Record, Store
from counterfoil_wallet.whole_files import telling, write_whole, write_whole_folder
from counterfoil_wallet.wire import Random

WALLET_FILE: Final = "wallet.jwe"
KEYS_FILE: Final = "keys.jwe"
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_README: Final = (__doc__ or "").encode()


@dataclass(frozen=True, slots=True)
class Imported:
    """How many cards and records came in, were here already, or differ from what stayed here."""

    added: int
    known: int
    differing: int


def write_export(
    store: Store,
    folder: Path,
    passphrase: str,
    *,
    at: datetime,
    random: Random,
    cost: Cost | None = None,
) -> None:
    """Write all that `store` holds into the new folder `folder`, whole or not at all.

    Killed in between, what it had written is in a hidden folder beside it, until the
    next export to the same place removes that.
    Raises `Refused` with `path-taken` when something is there, `Misuse` for an empty
    passphrase, `Unavailable` when the disk does not take it.
    """
    with telling(folder):
        if folder.exists():
            raise Refused(Reason("path-taken", "no file or folder yet", "one", folder.name))
    contents, recovery = Contents.of(store), recovery_of(store)
    public = None if recovery is None else recovery.public
    files = dict(_open_files(contents, at))
    for name, secret in (
        (KEYS_FILE, compact_json(_key_set(contents))),
        (WALLET_FILE, contents.to_lines(at)),
    ):
        files[name] = seal(secret, passphrase=passphrase, recovery=public, random=random, cost=cost)
    write_whole_folder(folder, files)


def write_receipt(store: Store, event_id: EventId, path: Path) -> None:
    """Write the receipt of one event into the file `path`, whole or not at all."""
    record = store.get(Kind.EVENT, event_id)
    receipt = None if record is None else _receipt(Event.from_record(record))
    if receipt is None:
        raise Refused(Reason("receipt-unknown", "a visit with a receipt", "another", "id"))
    with telling(path):
        if path.exists():
            raise Refused(Reason("path-taken", "no file or folder yet", "one", path.name))
    write_whole(path, _json(receipt))


def read_export(path: Path, passphrase: str, shares: Sequence[str] = ()) -> Contents:
    """Give what an export's folder holds, or a backup file; see `read_backup`."""
    with telling(path):
        is_folder = path.is_dir()
    return read_backup(path / WALLET_FILE if is_folder else path, passphrase, shares)


def bring_in(contents: Contents, store: Store) -> Imported:
    """Add to `store` what it does not hold yet, in one step. What it holds stays as it is.

    A card that is here gains the copies that are not, and the memory of who was shown
    them. A record that differs is one of the same walk at another moment: a grant that
    was withdrawn here is not in force again because an older export says so.
    """
    added = known = 0
    with store.step():
        for whole in contents.cards:
            # A salvaged card may have another id; its copies say which one it is.
            here = store.card(whole.card.credential_id) or store.card_of(
                [copy.copy_id for copy in whole.copies]
            )
            if here is None:
                whole.hold_in(store)
                added += 1
                continue
            known += 1
            store.hold(here, whole.copies)
            for shown in whole.showings:
                store.show(shown.copy_id, shown.verifier, at=shown.shown_at)
        brought = _bring_in_records(contents.records, store)
    return Imported(added + brought.added, known + brought.known, brought.differing)


def bring_in_events(events: Iterable[Event], store: Store) -> Imported:
    """Add to `store` the events that it does not hold yet, in one step."""
    with store.step():
        return _bring_in_records((event.to_record() for event in events), store)


def _bring_in_records(records: Iterable[Record], store: Store) -> Imported:
    added = known = differing = 0
    for record in records:
        found = store.get(record.kind, record.key)
        if found is None:
            store.put(record)
            added += 1
        elif found == record:
            known += 1
        else:
            differing += 1
    return Imported(added, known, differing)


def _open_files(contents: Contents, at: datetime) -> Iterator[tuple[str, bytes]]:
    yield "README.txt", _README
    for whole in contents.cards:
        for copy in whole.copies:
            yield _file_of(copy), copy.issued.encode()
    yield "credentials.json", _json([_described(whole) for whole in contents.cards])
    events = [record for record in contents.records if record.kind is Kind.EVENT]
    history = told_by(events)
    grants = [record for record in contents.records if record.kind is Kind.GRANT]
    signed = [record for record in contents.records if record.kind is Kind.PAPERS]
    papers = {one.grant_id: one for one in readable(signed, Papers.from_record)}
    for grant in readable(grants, grant_states.from_record):
        told = consent_history(grant, history, papers.get(grant.grant_id), now=at)
        yield f"consents/{_safe(grant.grant_id)}.jsonld", _json(consent_record(told))
    yield "history.json", _json([_event(event) for event in history])
    for event in history:
        if (receipt := _receipt(event)) is not None:
            yield f"receipts/{_safe(event.event_id)}.json", _json(receipt)
    yield "access-report.json", _json([one.to_json() for one in access_report(history)])


def _described(whole: WholeCard) -> Json:
    card = whole.card
    try:
        claims: Json = card.claims
    except CounterfoilError:  # a damaged one; its copies are there as they are
        claims = None
    return {
        "id": card.credential_id,
        "type": card.vct,
        "issuer": card.issuer,
        "configuration_id": card.configuration_id,
        "accepted_at": card.accepted_at.isoformat(),
        "expires_at": None if card.expires_at is None else card.expires_at.isoformat(),
        "trashed_at": None if card.trashed_at is None else card.trashed_at.isoformat(),
        "state": card.state,
        "claims": claims,
        "copies": [_file_of(copy) for copy in whole.copies],
        "shown": [
            {"copy": each.copy_id, "verifier": each.verifier, "at": each.shown_at.isoformat()}
            for each in whole.showings
        ],
    }


def _event(event: Event) -> Json:
    return {
        "id": event.event_id,
        "at": event.at.isoformat(),
        "act": event.act.value,
        "party": event.party,
        "party_name": event.party_name,
        "types": [*event.types],
        "claims": [*event.claims],
        "outcome": event.outcome.value,
        "detail": event.detail,
        "purpose": None if event.visit is None else event.visit.purpose,
    }


def _receipt(event: Event) -> JsonObject | None:
    """Give an event's receipt with all that it is checked with: whoever has it needs no wallet."""
    receipt, visit = event.receipt, event.visit
    if receipt is None or receipt.token is None or visit is None or visit.signed_by is None:
        return None
    return {
        "receipt": receipt.token,
        "client_id": event.party,
        "signed_by": visit.signed_by.jwk(),
        "shown_at": event.at.isoformat(),
        "shown": [{"type": card.vct, "claims": [*sorted(card.names)]} for card in visit.shown],
        "differs": [reason.code for reason in receipt.reasons],
    }


def _key_set(contents: Contents) -> JsonObject:
    """Give the private keys that are in the wallet's file; `kid` is the copy's id."""
    copies = (copy for whole in contents.cards for copy in whole.copies if not copy.keeper)
    return {
        "keys": [
            {
                **MemorySigner.from_private_bytes(copy.key).public.jwk(),
                "d": b64url(copy.key),
                "kid": copy.copy_id,
            }
            for copy in copies
        ]
    }


def _file_of(copy: Copy) -> str:
    return f"credentials/{_safe(copy.copy_id)}.sd-jwt"


def _safe(name: str) -> str:
    # An id may have come in from a file that somebody else wrote.
    return name if _FILE_NAME.fullmatch(name) else sha256(name.encode()).hexdigest()


def _json(value: Json) -> bytes:
    return compact_json(value) + b"\n"
