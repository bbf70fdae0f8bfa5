"""Security Event Tokens by poll (RFC 8936): the custodian's desk for its receivers.

    POST /events/stream    a signed wish: push to this endpoint, or leave all to polls
    POST /events/poll      {ack, setErrs, maxEvents, returnImmediately} ─► {sets, moreAvailable}

Who polls proves itself by a signed paper (`Authorization: Bearer …`), made for this
custodian and this body, fresh, good once. Every receiver may poll, also one that is
pushed to: after it was away it drains its queue first (set_inbox.py).
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_object,
    object_at,
    optional_int_at,
    parse_object,
    text_at,
    texts_at,
)
from counterfoil_credentials.errors import Malformed, Unavailable
from counterfoil_credentials.fetch_urls import (
    is_public,
    not_allowed,
    origin_of,
    parse_url,
    require_public_name,
)
from counterfoil_credentials.keys import Signer

from counterfoil_consent.set_outbox import SetOutbox
from counterfoil_consent.set_push import SetError
from counterfoil_consent.spec import POLL_METHOD, POLL_TYP, PUSH_METHOD, STREAM_TYP
from counterfoil_consent.wire import (
    BETWEEN_SERVICES,
    LONGEST_ID,
    SKEW,
    Clock,
    Digest,
    digest_of,
    instant_at,
    read_artefact,
    refuse,
    require_members,
    seconds,
    short_text_at,
    sign_artefact,
)

MAX_EVENTS: Final = 100
"""How many tokens one answer holds, whatever is asked for."""
MAX_SETS_BYTES: Final = 524_288
"""How long the tokens of one answer are together; a single one may be longer."""
_MAX_NAMED: Final = 1_000
_WHERE: Final = "poll"


@dataclass(frozen=True, slots=True, kw_only=True)
class PollRequest:
    """What a receiver asks for and reports (RFC 8936, section 2.2).

    `max_events` of 0 asks for nothing: it only acknowledges.
    """

    max_events: int = MAX_EVENTS
    return_immediately: bool = False
    acknowledged: tuple[str, ...] = ()
    errors: Mapping[str, SetError] = field(default_factory=dict[str, SetError])

    def to_json(self) -> JsonObject:
        """Give the request's body."""
        obj: JsonObject = {
            "maxEvents": self.max_events,
            "returnImmediately": self.return_immediately,
        }
        if self.acknowledged:
            obj["ack"] = [*self.acknowledged]
        if self.errors:
            obj["setErrs"] = {name: error.to_json() for name, error in self.errors.items()}
        return obj

    @staticmethod
    def from_json(obj: JsonObject) -> "PollRequest":
        """Read a body; members that we do not know are passed over (section 2.2)."""
        wanted = optional_int_at(obj, "maxEvents", _WHERE)
        if wanted is not None and wanted < 0:
            raise Malformed("0 or more", "less", f"{_WHERE}.maxEvents")
        acknowledged = texts_at(obj, "ack", _WHERE) if "ack" in obj else []
        errors = object_at(obj, "setErrs", _WHERE) if "setErrs" in obj else {}
        if len(acknowledged) + len(errors) > _MAX_NAMED:
            raise Malformed(f"at most {_MAX_NAMED} tokens named", "more", _WHERE)
        where = f"{_WHERE}.setErrs"
        return PollRequest(
            max_events=MAX_EVENTS if wanted is None else min(wanted, MAX_EVENTS),
            return_immediately=_bool_at(obj, "returnImmediately"),
            acknowledged=tuple(acknowledged),
            errors={
                name: SetError.from_json(as_object(error, where), where)
                for name, error in errors.items()
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PollAnswer:
    """Tokens by their `jti`, in their order (RFC 8936, section 2.3)."""

    sets: Mapping[str, str] = field(repr=False)
    more_available: bool

    def to_json(self) -> JsonObject:
        """Give the answer's body."""
        return {"sets": dict[str, Json](self.sets), "moreAvailable": self.more_available}

    @staticmethod
    def from_json(obj: JsonObject) -> "PollAnswer":
        """Read a body."""
        sets = object_at(obj, "sets", _WHERE)
        return PollAnswer(
            sets={name: text_at(sets, name, f"{_WHERE}.sets") for name in sets},
            more_available=_bool_at(obj, "moreAvailable"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PollProof:
    """Who polls, for which body. A proof is good once, for six minutes."""

    caller: Did
    request_id: str
    body: Digest
    asked_at: datetime

    def sign(self, signer: Signer, *, audience: str) -> str:
        """Sign with the receiver's key."""
        claims: JsonObject = {
            "aud": audience,
            "iat": seconds(self.asked_at),
            "jti": self.request_id,
            "body": self.body,
        }
        return sign_artefact(claims, typ=POLL_TYP, signer=signer)

    @staticmethod
    def read(token: str, *, audience: str, body: bytes) -> "PollProof":
        """Read what the key that it names signed for this body."""
        where = "poll_proof"
        claims = read_artefact(token, typ=POLL_TYP, by=None, where=where)
        require_members(claims, ("iss", "aud", "iat", "jti", "body"), where)
        _require_audience(claims, audience, where)
        digest = text_at(claims, "body", where)
        if digest != digest_of(body):
            raise refuse("body-mismatch", "a proof for this body", "another", f"{where}.body")
        return PollProof(
            caller=Did(text_at(claims, "iss", where)),
            request_id=short_text_at(claims, "jti", where, most=LONGEST_ID),
            body=Digest(digest),
            asked_at=instant_at(claims, "iat", where),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRequest:
    """A receiver's wish: its events are pushed to `endpoint`, or wait for its polls (None)."""

    receiver: Did
    request_id: str
    endpoint: str | None
    asked_at: datetime

    def sign(self, signer: Signer, *, audience: str) -> str:
        """Sign with the receiver's key. The member's names are those of OpenID SSF 1.0."""
        delivery: JsonObject = {"method": POLL_METHOD}
        if self.endpoint is not None:
            delivery = {"method": PUSH_METHOD, "endpoint_url": self.endpoint}
        claims: JsonObject = {
            "aud": audience,
            "iat": seconds(self.asked_at),
            "jti": self.request_id,
            "delivery": delivery,
        }
        return sign_artefact(claims, typ=STREAM_TYP, signer=signer)

    @staticmethod
    def read(token: str, *, audience: str) -> "StreamRequest":
        """Read what the key that it names signed."""
        where = "stream_request"
        claims = read_artefact(token, typ=STREAM_TYP, by=None, where=where)
        require_members(claims, ("iss", "aud", "iat", "jti", "delivery"), where)
        _require_audience(claims, audience, where)
        delivery, place = object_at(claims, "delivery", where), f"{where}.delivery"
        method = text_at(delivery, "method", place)
        is_push = method == PUSH_METHOD
        if not is_push and method != POLL_METHOD:
            raise refuse("delivery-unknown", "push or poll", "another", f"{place}.method")
        require_members(delivery, ("method", "endpoint_url") if is_push else ("method",), place)
        return StreamRequest(
            receiver=Did(text_at(claims, "iss", where)),
            request_id=short_text_at(claims, "jti", where, most=LONGEST_ID),
            endpoint=short_text_at(delivery, "endpoint_url", place) if is_push else None,
            asked_at=instant_at(claims, "iat", where),
        )


@dataclass(frozen=True, slots=True)
class Poll:
    """A poll whose caller is proved and whose reports are written down."""

    caller: Did
    request: PollRequest


class PollDesk:
    """Where receivers say how they want their events, and fetch them."""

    def __init__(
        self,
        outbox: SetOutbox,
        *,
        audience: str,
        clock: Clock,
        loopback_origins_unsafely: AbstractSet[str] = frozenset(),
    ) -> None:
        """Set up; origins named here may be plain HTTP on this machine, for development."""
        self._outbox = outbox
        self._audience = audience
        self._clock = clock
        self._unsafe = frozenset(origin_of(parse_url(one)) for one in loopback_origins_unsafely)

    def configure(self, token: str) -> StreamRequest:
        """Take a receiver's wish. `Refused` for an endpoint that we may not call."""
        asked = StreamRequest.read(token, audience=self._audience)
        if asked.endpoint is not None:
            self._require_endpoint(asked.endpoint)
        self._require_new(asked.receiver, asked.request_id, asked.asked_at, "stream_request")
        if not self._outbox.set_endpoint(asked.receiver, asked.endpoint):
            raise Unavailable("expected room for one more stream, found none")
        return asked

    def open(self, proof: str, body: bytes) -> Poll:
        """Prove the caller and write down what it acknowledges and refuses.

        `Refused` codes: `signature-invalid`, `audience-mismatch`, `body-mismatch`,
        `poll-proof-not-fresh`, `poll-proof-replayed`.
        """
        proved = PollProof.read(proof, audience=self._audience, body=body)
        request = PollRequest.from_json(parse_object(body, _WHERE))
        self._require_new(proved.caller, proved.request_id, proved.asked_at, "poll_proof")
        if request.acknowledged or request.errors:
            refused = {name: f"{e.code}: {e.description}" for name, e in request.errors.items()}
            now = self._clock()
            self._outbox.acknowledge(proved.caller, request.acknowledged, refused, now)
        return Poll(proved.caller, request)

    def look(self, poll: Poll) -> PollAnswer:
        """Give what waits for the caller now."""
        wanted = poll.request.max_events
        found = self._outbox.waiting(poll.caller, wanted + 1)
        sets: dict[str, str] = {}
        total = 0
        for letter in found[:wanted]:
            total += len(letter.token)
            if sets and total > MAX_SETS_BYTES:
                break
            sets[letter.event_id] = letter.token
        return PollAnswer(sets=sets, more_available=len(found) > len(sets))

    def _require_new(self, caller: Did, request_id: str, at: datetime, where: str) -> None:
        now, code = self._clock(), where.replace("_", "-")
        if not now - BETWEEN_SERVICES <= at <= now + BETWEEN_SERVICES:
            expected = f"one of the last {BETWEEN_SERVICES}"
            raise refuse(f"{code}-not-fresh", expected, "another time", f"{where}.iat")
        # Remembered a little longer than it is good for.
        if not self._outbox.take_once(caller, request_id, now, at + BETWEEN_SERVICES + SKEW):
            raise refuse(f"{code}-replayed", "a new one", "one seen before", f"{where}.jti")

    def _require_endpoint(self, url: str) -> None:
        parts = parse_url(url)
        if parts.fragment:
            raise Malformed("a URL without fragment", "one with it", "endpoint_url")
        if origin_of(parts) in self._unsafe:
            return
        if parts.scheme != "https":
            raise not_allowed("an https URL", f"{parts.scheme}:")
        host = parts.hostname or ""
        require_public_name(host)
        # What a name leads to is checked by the fetcher, at each delivery.
        if _is_address(host) and not is_public(host):
            raise not_allowed("a public address", "a private, local or reserved one")


def _is_address(host: str) -> bool:
    # A plain host whose last label is a number is an address, and so is one with a colon.
    return ":" in host or host.rpartition(".")[2].isdigit()


def _bool_at(obj: JsonObject, name: str) -> bool:
    found = obj.get(name, False)
    if not isinstance(found, bool):
        raise Malformed("true or false", "another value", f"{_WHERE}.{name}")
    return found


def _require_audience(claims: JsonObject, audience: str, where: str) -> None:
    if text_at(claims, "aud", where) != audience:
        raise refuse("audience-mismatch", audience, "another", f"{where}.aud")
