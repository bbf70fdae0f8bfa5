"""The history as one encrypted file, and back: the Transaction Log Object of EUDI TS10.

    seal_history(events, passphrase, …) ─► a compact JWE ─► read_history(file, passphrase)

Each event is an entry as other wallets read it (`counterfoil_consent.export_log`), and beside
that, in the member `counterfoil_event`, as this wallet keeps it. Both have names of claims and no
place for values.
"""

from collections.abc import Sequence
from typing import Final

from counterfoil_consent.export_log import (
    Transaction,
    TransactionType,
    read_log,
    seal_entries,
)
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    compact_json,
    object_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import Malformed

from counterfoil_wallet.history import Act, Event, Outcome
from counterfoil_wallet.store import Kind, Record
from counterfoil_wallet.wire import Random, refuse

_OWN: Final = "counterfoil_event"
_LONGEST_ID: Final = 300
_WHERE: Final = "log"
_KINDS: Final = {
    Act.SHOWN: TransactionType.PRESENTATION,
    Act.DECLINED: TransactionType.PRESENTATION,
    Act.GRANTED: TransactionType.PRESENTATION,
    Act.WITHDRAWN: TransactionType.DATA_DELETION_REQUEST,
}


def seal_history(events: Sequence[Event], passphrase: str, *, random: Random) -> str:
    """Give the file: a compact JWE that `passphrase` opens; `Misuse` for an empty one."""
    return seal_entries([_entry(event) for event in events], passphrase, random=random)


def read_history(file: str, passphrase: str) -> list[Event]:
    """Give the events of a file that `seal_history` made, with whatever passphrase it has.

    Raises what `read_log` raises, `Refused` with `history-foreign` for the log of another
    wallet, and `Malformed` for an entry that is none of ours.
    """
    entries = read_log(file, passphrase)
    own = [entry for entry in entries if _OWN in entry]
    if entries and not own:
        raise refuse("history-foreign", "a history of this wallet", "another wallet's", _WHERE)
    return [_event(entry) for entry in own]


def _entry(event: Event) -> JsonObject:
    kind = _KINDS.get(event.act, TransactionType.OTHER)
    entry = Transaction(
        transaction_id=event.event_id,
        kind=kind,
        at=event.at,
        description=event.act.value,
        trouble=_trouble(event),
    ).to_json()
    own = parse_object(event.to_record().body, _WHERE, max_bytes=len(event.to_record().body))
    return {**entry, **_about(event, kind), _OWN: own}


def _trouble(event: Event) -> str | None:
    match event.outcome:
        case Outcome.DONE:
            return "declined by the holder" if event.act is Act.DECLINED else None
        case Outcome.SENT:
            return "no answer is known"
        case Outcome.REFUSED:
            return event.detail or "refused by the other side"


def _about(event: Event, kind: TransactionType) -> JsonObject:
    """Give the member that TS10 has for a presentation or a request to erase."""
    party: JsonObject = {
        "interactingPartyIdentifier": {"type": "client_id", "identifier": event.party},
        "interactingPartyName": event.party_name or "",
    }
    # Which name belongs to which of several credentials, the history does not say.
    listed: list[Json] = [
        {"credentialIdentifier": vct, "claims": [*event.claims] if len(event.types) == 1 else []}
        for vct in event.types
    ]
    match kind:
        case TransactionType.PRESENTATION:
            presented: list[Json] = [] if event.act is Act.DECLINED else listed
            body: JsonObject = {
                **party,
                "interactingPartyType": "ServiceProvider",
                "isIntermediary": False,
                "listOfClaimsRequested": listed,
                "listOfClaimsPresented": presented,
            }
            if (trouble := _trouble(event)) is not None:
                body["reasonOfNoncompletion"] = trouble
            return {"presentation": body}
        case TransactionType.DATA_DELETION_REQUEST:
            return {"dataDeletionRequest": {**party, "listOfClaims": listed}}
        case _:
            return {}


def _event(entry: JsonObject) -> Event:
    event_id = text_at(entry, "transactionIdentifier", _WHERE)
    if not 0 < len(event_id) <= _LONGEST_ID or not event_id.isprintable():
        where = f"{_WHERE}.transactionIdentifier"
        raise Malformed(f"1 to {_LONGEST_ID} characters", "another text", where)
    own = object_at(entry, _OWN, _WHERE)
    event = Event.from_record(Record(Kind.EVENT, event_id, "", compact_json(own)))
    if event.is_forgotten:
        raise Malformed("an event with a party", "one without", f"{_WHERE}.{_OWN}")
    return event
