"""Dossiers: what each party hands an auditor. Signed papers, digests, counts; no value, no key.

    receiver    its grants with their papers, its log of reads, which ciphertexts and keys lie there
    custodian   its rows, which keys and tombstones lie there
    customer    her grants with the papers that she kept, and the record that she exported

A dossier is one JSON file. It says what its party says: the auditor believes the
signatures in it, and compares the rest with what the others say.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeVar

from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_list,
    as_object,
    as_text,
    int_at,
    list_at,
    object_at,
    optional_text_at,
    parse_object,
    text_at,
    texts_at,
)
from counterfoil_credentials.errors import Malformed

from counterfoil_consent.anchoring import Ticket
from counterfoil_consent.artefacts import trigger_at
from counterfoil_consent.papers import Paper
from counterfoil_consent.states import Agreement, Trigger
from counterfoil_consent.wire import (
    Digest,
    GrantId,
    grant_id_of,
    instant_at,
    require_members,
    seconds,
    short_text_at,
)

MAX_DOSSIER_BYTES: Final = 256 * 1024 * 1024
MAX_LEASE_S: Final = 86_400
_WHERE: Final = "dossier"
_Grant = TypeVar("_Grant")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverGrant:
    """One grant at the receiver. `leases` maps each that it asked for to its number, or None.

    `ciphertext` is the digest of the bundle that lies there; `has_key` says whether the
    sealing key does. `events` are the signed access events, `tickets` prove them anchored.
    """

    agreement: Agreement
    state: str
    papers: Mapping[Paper, str] = field(repr=False)
    ciphertext: Digest | None
    has_key: bool
    events: tuple[str, ...] = field(default=(), repr=False)
    leases: Mapping[str, int | None] | None = None
    tickets: tuple[Ticket, ...] = ()

    def to_json(self) -> JsonObject:
        """Give the grant as the dossier lists it."""
        obj: JsonObject = {
            "agreement": self.agreement.to_json(),
            "state": self.state,
            "papers": {name.value: token for name, token in self.papers.items()},
            "has_key": self.has_key,
            "events": [*self.events],
            "tickets": [ticket.to_json() for ticket in self.tickets],
        }
        if self.ciphertext is not None:
            obj["ciphertext"] = self.ciphertext
        if self.leases is not None:
            obj["leases"] = dict(self.leases)
        return obj

    @staticmethod
    def from_json(obj: JsonObject, where: str) -> "ReceiverGrant":
        """Read one grant."""
        members = ("agreement", "state", "papers", "has_key", "events", "tickets")
        require_members(obj, members, where, optional=("ciphertext", "leases"))
        digest = optional_text_at(obj, "ciphertext", where)
        leases = object_at(obj, "leases", where) if "leases" in obj else None
        return ReceiverGrant(
            agreement=Agreement.from_json(object_at(obj, "agreement", where), where),
            state=short_text_at(obj, "state", where),
            papers=_papers(obj, where),
            ciphertext=None if digest is None else Digest(digest),
            has_key=_flag(obj, "has_key", where),
            events=tuple(texts_at(obj, "events", where)),
            leases=None
            if leases is None
            else {name: _number(leases, name, where) for name in leases},
            tickets=tuple(
                Ticket.from_json(as_object(ticket, where), where)
                for ticket in list_at(obj, "tickets", where)
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenList:
    """A status list that the receiver relied on, made at `listed_at`, first seen at `seen_at`."""

    url: str
    listed_at: datetime
    sha256: Digest
    seen_at: datetime

    def to_json(self) -> JsonObject:
        """Give the entry of the journal."""
        return {
            "url": self.url,
            "listed_at": seconds(self.listed_at),
            "sha-256": self.sha256,
            "seen_at": seconds(self.seen_at),
        }

    @staticmethod
    def from_json(obj: JsonObject, where: str) -> "SeenList":
        """Read an entry."""
        require_members(obj, ("url", "listed_at", "sha-256", "seen_at"), where)
        return SeenList(
            url=short_text_at(obj, "url", where),
            listed_at=instant_at(obj, "listed_at", where),
            sha256=Digest(text_at(obj, "sha-256", where)),
            seen_at=instant_at(obj, "seen_at", where),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverDossier:
    """What the receiver hands over. `notices` are the texts that it publishes, by digest.

    `figures` is what it published about itself (figures.py), signed.
    """

    made_at: datetime
    did: Did
    grants: tuple[ReceiverGrant, ...]
    notices: Mapping[Digest, str] = field(repr=False)
    lists: tuple[SeenList, ...] = ()
    figures: str | None = field(default=None, repr=False)

    def to_json(self) -> JsonObject:
        """Give the dossier."""
        obj: JsonObject = {
            "party": "receiver",
            "made_at": seconds(self.made_at),
            "did": self.did,
            "grants": [grant.to_json() for grant in self.grants],
            "notices": {str(digest): text for digest, text in self.notices.items()},
            "lists": [each.to_json() for each in self.lists],
        }
        if self.figures is not None:
            obj["figures"] = self.figures
        return obj

    @staticmethod
    def from_bytes(raw: bytes) -> "ReceiverDossier":
        """Read a dossier."""
        members = ("party", "made_at", "did", "grants", "notices", "lists")
        obj = _parsed(raw, "receiver", members, ("figures",))
        notices = object_at(obj, "notices", _WHERE)
        return ReceiverDossier(
            made_at=instant_at(obj, "made_at", _WHERE),
            did=Did(text_at(obj, "did", _WHERE)),
            grants=_once(
                [ReceiverGrant.from_json(*item) for item in _items(obj, "grants")],
                lambda grant: grant.agreement.grant_id,
            ),
            notices={Digest(name): text_at(notices, name, _WHERE) for name in notices},
            lists=tuple(SeenList.from_json(*item) for item in _items(obj, "lists")),
            figures=optional_text_at(obj, "figures", _WHERE),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodianGrant:
    """One row of the custodian, and what lies in its key folder under the same name."""

    grant_id: GrantId
    state: str
    reads: int
    has_key: bool
    is_destroyed: bool
    ended_at: datetime | None = None
    trigger: Trigger | None = None
    statement: str | None = field(default=None, repr=False)

    def to_json(self) -> JsonObject:
        """Give the row as the dossier lists it."""
        obj: JsonObject = {
            "grant_id": self.grant_id,
            "state": self.state,
            "reads": self.reads,
            "has_key": self.has_key,
            "is_destroyed": self.is_destroyed,
        }
        if self.ended_at is not None and self.trigger is not None:
            obj |= {"ended_at": seconds(self.ended_at), "trigger": self.trigger.value}
        if self.statement is not None:
            obj["statement"] = self.statement
        return obj

    @staticmethod
    def from_json(obj: JsonObject, where: str) -> "CustodianGrant":
        """Read one row."""
        members = ("grant_id", "state", "reads", "has_key", "is_destroyed")
        require_members(obj, members, where, optional=("ended_at", "trigger", "statement"))
        return CustodianGrant(
            grant_id=grant_id_of(text_at(obj, "grant_id", where), where),
            state=short_text_at(obj, "state", where),
            reads=int_at(obj, "reads", where),
            has_key=_flag(obj, "has_key", where),
            is_destroyed=_flag(obj, "is_destroyed", where),
            ended_at=instant_at(obj, "ended_at", where) if "ended_at" in obj else None,
            trigger=trigger_at(obj, where) if "trigger" in obj else None,
            statement=optional_text_at(obj, "statement", where),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodianDossier:
    """What the custodian hands over. A lease of it lasts `lease_s` seconds."""

    made_at: datetime
    did: Did
    lease_s: int
    grants: tuple[CustodianGrant, ...]

    def to_json(self) -> JsonObject:
        """Give the dossier."""
        return {
            "party": "custodian",
            "made_at": seconds(self.made_at),
            "did": self.did,
            "lease_s": self.lease_s,
            "grants": [grant.to_json() for grant in self.grants],
        }

    @staticmethod
    def from_bytes(raw: bytes) -> "CustodianDossier":
        """Read a dossier."""
        obj = _parsed(raw, "custodian", ("party", "made_at", "did", "lease_s", "grants"))
        lease_s = int_at(obj, "lease_s", _WHERE)
        if not 1 <= lease_s <= MAX_LEASE_S:
            raise Malformed(f"1 to {MAX_LEASE_S} seconds", "another", f"{_WHERE}.lease_s")
        return CustodianDossier(
            made_at=instant_at(obj, "made_at", _WHERE),
            did=Did(text_at(obj, "did", _WHERE)),
            lease_s=lease_s,
            grants=_once(
                [CustodianGrant.from_json(*item) for item in _items(obj, "grants")],
                lambda grant: grant.grant_id,
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerGrant:
    """One grant as the customer kept it: the notice that she saw, her papers, her copy of the log.

    `record` is her export in the profile of ISO/IEC TS 27560, if she handed it over.
    """

    agreement: Agreement
    notice: str = field(repr=False)
    papers: Mapping[Paper, str] = field(repr=False)
    events: tuple[str, ...] = field(default=(), repr=False)
    record: JsonObject | None = field(default=None, repr=False)

    def to_json(self) -> JsonObject:
        """Give the grant as the dossier lists it."""
        obj: JsonObject = {
            "agreement": self.agreement.to_json(),
            "notice": self.notice,
            "papers": {name.value: token for name, token in self.papers.items()},
            "events": [*self.events],
        }
        if self.record is not None:
            obj["record"] = self.record
        return obj

    @staticmethod
    def from_json(obj: JsonObject, where: str) -> "CustomerGrant":
        """Read one grant."""
        members = ("agreement", "notice", "papers", "events")
        require_members(obj, members, where, optional=("record",))
        return CustomerGrant(
            agreement=Agreement.from_json(object_at(obj, "agreement", where), where),
            notice=text_at(obj, "notice", where),
            papers=_papers(obj, where),
            events=tuple(texts_at(obj, "events", where)),
            record=object_at(obj, "record", where) if "record" in obj else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerDossier:
    """What a customer hands over: the grants that she chooses to show."""

    made_at: datetime
    grants: tuple[CustomerGrant, ...]

    def to_json(self) -> JsonObject:
        """Give the dossier."""
        return {
            "party": "customer",
            "made_at": seconds(self.made_at),
            "grants": [grant.to_json() for grant in self.grants],
        }

    @staticmethod
    def from_bytes(raw: bytes) -> "CustomerDossier":
        """Read a dossier."""
        obj = _parsed(raw, "customer", ("party", "made_at", "grants"))
        return CustomerDossier(
            made_at=instant_at(obj, "made_at", _WHERE),
            grants=_once(
                [CustomerGrant.from_json(*item) for item in _items(obj, "grants")],
                lambda grant: grant.agreement.grant_id,
            ),
        )


def _parsed(
    raw: bytes, party: str, members: Sequence[str], optional: Sequence[str] = ()
) -> JsonObject:
    obj = parse_object(raw, _WHERE, max_bytes=MAX_DOSSIER_BYTES)
    if text_at(obj, "party", _WHERE) != party:
        raise Malformed(f"the dossier of a {party}", "another", f"{_WHERE}.party")
    require_members(obj, members, _WHERE, optional=optional)
    return obj


def _items(obj: JsonObject, name: str) -> list[tuple[JsonObject, str]]:
    listed = as_list(obj[name], f"{_WHERE}.{name}")
    places = [f"{_WHERE}.{name}[{number}]" for number in range(len(listed))]
    return [(as_object(item, place), place) for item, place in zip(listed, places, strict=True)]


def _once(grants: list[_Grant], name: Callable[[_Grant], GrantId]) -> tuple[_Grant, ...]:
    # One that stands there twice would be judged by what it says the second time.
    if len({name(grant) for grant in grants}) != len(grants):
        raise Malformed("each grant once", "one twice", f"{_WHERE}.grants")
    return tuple(grants)


def _papers(obj: JsonObject, where: str) -> dict[Paper, str]:
    papers: dict[Paper, str] = {}
    for name, token in object_at(obj, "papers", where).items():
        try:
            papers[Paper(name)] = as_text(token, where)
        except ValueError as cause:
            raise Malformed("a known paper", "another", f"{where}.papers") from cause
    return papers


def _number(obj: Mapping[str, Json], name: str, where: str) -> int | None:
    return None if obj[name] is None else int_at(obj, name, where)


def _flag(obj: Mapping[str, Json], name: str, where: str) -> bool:
    value = obj[name]
    if not isinstance(value, bool):
        raise Malformed("true or false", "another value", f"{where}.{name}")
    return value
