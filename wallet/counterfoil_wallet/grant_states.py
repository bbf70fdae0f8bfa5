"""The states of a grant as the wallet keeps them. Each allows only the next step.

    Deciding ─► Delivering ─► InForce ─► Ending ─► Proved
        └─► Abandoned  └──────────────────┘

`Deciding` and `Delivering` hold what makes the same request again; `InForce` may be
paused; `Ending` is over for the customer, whoever has heard of it yet; `Proved` holds
the receipt.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, TypeAlias, assert_never

from counterfoil_consent.events import Pause
from counterfoil_consent.holder import Decided, GrantPackage, Withdrawal
from counterfoil_consent.holder import Ending as Answers
from counterfoil_consent.states import Active, Erased, Level, state_from_json, state_to_json
from counterfoil_consent.terms import Terms
from counterfoil_consent.wire import GrantId
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
from counterfoil_credentials.errors import Malformed, Reason
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.sdjwt_vc import time_at

from counterfoil_wallet.held import CredentialId
from counterfoil_wallet.store import Kind, Record
from counterfoil_wallet.wire import reasons_at, reasons_json, required_time_at

_WHERE: Final = "grant"
_MAX_BODY_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Deciding:
    """She has decided. Nothing has been sealed or sent; `credentials` are named by type."""

    decided: Decided
    signer: MemorySigner = field(repr=False, compare=False)
    credentials: Mapping[str, CredentialId]

    @property
    def grant_id(self) -> GrantId:
        """The grant's id, from here on."""
        return self.decided.grant_id

    @property
    def terms(self) -> Terms:
        """The terms that she chose."""
        return self.decided.terms

    def abandon(self, reasons: tuple[Reason, ...]) -> "Abandoned":
        """Give up before anything was sealed."""
        return Abandoned(self.grant_id, self.terms, reasons)


@dataclass(frozen=True, slots=True)
class Delivering:
    """Sealed and signed. Some of it may have arrived."""

    package: GrantPackage
    signer: MemorySigner = field(repr=False, compare=False)

    @property
    def grant_id(self) -> GrantId:
        """The grant's id."""
        return self.package.grant_id

    @property
    def terms(self) -> Terms:
        """The terms granted."""
        return self.package.granted.agreement.terms


@dataclass(frozen=True, slots=True)
class LastPause:
    """Her last word on pausing, signed in `token`, and which of the two parties has heard it."""

    pause: Pause
    token: str = field(repr=False)
    at: datetime
    custodian_heard: bool = False
    receiver_heard: bool = False

    @property
    def is_heard(self) -> bool:
        """Whether both parties have answered."""
        return self.custodian_heard and self.receiver_heard


@dataclass(frozen=True, slots=True)
class InForce:
    """The receiver acknowledged it and may read, within the terms, unless it is paused.

    `standby` is the sequence of the suspension that a second device holds; 0 for none.
    """

    active: Active
    signer: MemorySigner = field(repr=False, compare=False)
    pause: LastPause | None = None
    standby: int = 0

    @property
    def is_suspended(self) -> bool:
        """Whether her last word was to suspend, whoever has heard it yet."""
        return self.pause is not None and self.pause.pause.is_suspended

    @property
    def grant_id(self) -> GrantId:
        """The grant's id."""
        return self.active.agreement.grant_id

    @property
    def terms(self) -> Terms:
        """The terms granted."""
        return self.active.agreement.terms


@dataclass(frozen=True, slots=True)
class Ending:
    """Withdrawn. `stopped_at` is the receiver's word, `key_destroyed_at` the custodian's.

    None means that this party has not answered yet. `reasons` say why a receipt
    that came does not prove the erasure.
    """

    withdrawal: Withdrawal
    stopped_at: datetime | None = None
    key_destroyed_at: datetime | None = None
    reasons: tuple[Reason, ...] = ()

    @property
    def grant_id(self) -> GrantId:
        """The grant's id."""
        return self.withdrawal.withdrawn.agreement.grant_id

    @property
    def terms(self) -> Terms:
        """The terms that held."""
        return self.withdrawal.withdrawn.agreement.terms

    @property
    def is_heard(self) -> bool:
        """Whether both parties have answered."""
        return self.stopped_at is not None and self.key_destroyed_at is not None

    def hear(self, answers: Answers) -> "Ending":
        """Note who has answered now; an answer is not forgotten."""
        return replace(
            self,
            stopped_at=self.stopped_at or answers.stopped_at,
            key_destroyed_at=self.key_destroyed_at or answers.key_destroyed_at,
        )

    def doubt(self, reasons: tuple[Reason, ...]) -> "Ending":
        """Note why the receipt proves nothing."""
        return replace(self, reasons=reasons)


@dataclass(frozen=True, slots=True)
class Proved:
    """Erased, and proved so by `receipt`, which anybody can verify."""

    erased: Erased
    receipt: str = field(repr=False)

    @property
    def grant_id(self) -> GrantId:
        """The grant's id."""
        return self.erased.agreement.grant_id

    @property
    def terms(self) -> Terms:
        """The terms that held."""
        return self.erased.agreement.terms

    @property
    def level(self) -> Level:
        """How well it is proved, as computed when the receipt was verified."""
        return self.erased.level


@dataclass(frozen=True, slots=True)
class Abandoned:
    """Nothing came of it, and no data left."""

    grant_id: GrantId
    terms: Terms
    reasons: tuple[Reason, ...]


HeldGrant: TypeAlias = Deciding | Delivering | InForce | Ending | Proved | Abandoned

UNDER_WAY: Final = ("deciding", "delivering", "inforce", "ending")


def to_record(state: HeldGrant) -> Record:
    """Give the record to store; `Malformed` when it would be too long to read again."""
    name = type(state).__name__.lower()
    body = compact_json(_to_json(state))
    if len(body) > _MAX_BODY_BYTES:
        raise Malformed(f"at most {_MAX_BODY_BYTES} bytes", f"{len(body)}", _WHERE)
    return Record(Kind.GRANT, state.grant_id, name, body)


def from_record(record: Record) -> HeldGrant:
    """Read a stored state."""
    obj = parse_object(record.body, _WHERE, max_bytes=_MAX_BODY_BYTES)
    match record.label:
        case "deciding":
            named = object_at(obj, "credentials", _WHERE)
            return Deciding(
                Decided.from_json(object_at(obj, "decided", _WHERE)),
                _signer(obj),
                {vct: CredentialId(text_at(named, vct, _WHERE)) for vct in named},
            )
        case "delivering":
            package = GrantPackage.from_json(object_at(obj, "package", _WHERE))
            return Delivering(package, _signer(obj))
        case "inforce":
            active = state_from_json(object_at(obj, "active", _WHERE))
            if not isinstance(active, Active):
                raise Malformed("a grant in force", "another state", _WHERE)
            pause = _pause(object_at(obj, "pause", _WHERE)) if "pause" in obj else None
            standby = int_at(obj, "standby", _WHERE) if "standby" in obj else 0
            return InForce(active, _signer(obj), pause, standby)
        case "ending":
            return Ending(
                Withdrawal.from_json(object_at(obj, "withdrawal", _WHERE)),
                time_at(obj, "stopped_at", _WHERE),
                time_at(obj, "key_destroyed_at", _WHERE),
                reasons_at(obj, "reasons", _WHERE),
            )
        case "proved":
            erased = state_from_json(object_at(obj, "erased", _WHERE))
            if not isinstance(erased, Erased):
                raise Malformed("an erased grant", "another state", _WHERE)
            return Proved(erased, text_at(obj, "receipt", _WHERE))
        case "abandoned":
            terms = Terms.from_json(object_at(obj, "terms", _WHERE))
            return Abandoned(GrantId(record.key), terms, reasons_at(obj, "reasons", _WHERE))
        case _:
            raise Malformed("a state of a grant", "another text", _WHERE)


def _to_json(state: HeldGrant) -> JsonObject:
    match state:
        case Deciding():
            return {
                "decided": state.decided.to_json(),
                "key": _key(state.signer),
                "credentials": {**state.credentials},
            }
        case Delivering():
            return {"package": state.package.to_json(), "key": _key(state.signer)}
        case InForce():
            body: JsonObject = {"active": state_to_json(state.active), "key": _key(state.signer)}
            if state.pause is not None:
                body["pause"] = _pause_json(state.pause)
            return {**body, "standby": state.standby} if state.standby else body
        case Ending():
            times = {"stopped_at": state.stopped_at, "key_destroyed_at": state.key_destroyed_at}
            return {
                "withdrawal": state.withdrawal.to_json(),
                "reasons": reasons_json(state.reasons),
                **{name: int(at.timestamp()) for name, at in times.items() if at is not None},
            }
        case Proved():
            return {"erased": state_to_json(state.erased), "receipt": state.receipt}
        case Abandoned():
            return {"terms": state.terms.to_json(), "reasons": reasons_json(state.reasons)}
        case _:
            assert_never(state)


def _pause_json(last: LastPause) -> JsonObject:
    return {
        "sequence": last.pause.sequence,
        "is_suspended": last.pause.is_suspended,
        "token": last.token,
        "at": int(last.at.timestamp()),
        "custodian_heard": last.custodian_heard,
        "receiver_heard": last.receiver_heard,
    }


def _pause(obj: JsonObject) -> LastPause:
    where = f"{_WHERE}.pause"
    return LastPause(
        Pause(int_at(obj, "sequence", where), obj.get("is_suspended") is True),
        text_at(obj, "token", where),
        required_time_at(obj, "at", where),
        custodian_heard=obj.get("custodian_heard") is True,
        receiver_heard=obj.get("receiver_heard") is True,
    )


def _key(signer: MemorySigner) -> str:
    return b64url(signer.private_bytes())


def _signer(obj: JsonObject) -> MemorySigner:
    return MemorySigner.from_private_bytes(from_b64url(text_at(obj, "key", _WHERE), _WHERE))
