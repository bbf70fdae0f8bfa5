"""One question at the counter, from asking to its one answer.

    Waiting ──answer──► Answered(verdict)        once, atomically, in the store
       └──two minutes──► Expired

Two random names keep two audiences apart: the wallet learns the request's id
from the QR code, the counter alone knows the session's id, so that nobody who
saw the code can read the result (OpenID4VP 1.0, section 14.3.3).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NewType, Protocol, TypeAlias

from counterfoil_credentials.client_ids import Prefix
from counterfoil_credentials.dcql import AuthorityType, DcqlQuery
from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.errors import Malformed, Misuse, Refused
from counterfoil_credentials.fetch_urls import parse_url
from counterfoil_credentials.jose import ContentEncryption, DecryptionKey
from counterfoil_credentials.keys import Signer
from counterfoil_credentials.request_links import (
    UriMethod,
    link_by_value,
    link_in_the_open,
    request_link,
)
from counterfoil_credentials.requests import PresentationRequest, ResponseEncryption

from counterfoil_verifier.identity import (
    OWN_KEY,
    Certified,
    Identity,
    Unproved,
    client_id,
    require_own,
    signed,
)
from counterfoil_verifier.presets import Preset
from counterfoil_verifier.transactions import transactions_of
from counterfoil_verifier.verdict import Verdict
from counterfoil_verifier.words import Language

RequestId = NewType("RequestId", str)
SessionId = NewType("SessionId", str)

REQUEST_LIFE: Final = timedelta(minutes=2)
"""A code that is photographed and sent around is worthless soon."""

BACK_WITHIN: Final = timedelta(minutes=2)
"""How long a yes waits for what comes back from the customer's device."""

MOST_WRONG_CODES: Final = 3
"""After so many wrong codes a yes counts no more: four digits are soon tried."""

_ID_BYTES: Final = 32
_SEAL_NONCE_BYTES: Final = 12
# HAIP 1.0, section 5: both, and a wallet that knows both takes the longer key.
_ENCRYPTIONS: Final = (ContentEncryption.A256GCM, ContentEncryption.A128GCM)


class Way(StrEnum):
    """How the request comes to the wallet: fetched, or in the link itself."""

    GET = "get"
    POST = "post"
    VALUE = "value"


class Handback(StrEnum):
    """What comes back from the customer's device before a yes counts.

    A code in the browser in which the question began, or a few digits that the customer
    tells at the counter. Whoever lured somebody else into answering has neither
    (OpenID4VP 1.0, section 14.2).
    """

    RESPONSE_CODE = "response-code"
    MATCH_CODE = "match-code"


class Standing(StrEnum):
    """Whether a verdict counts: `AWAITED` while its code has not come back."""

    FIRM = "firm"
    AWAITED = "awaited"
    LATE = "late"
    WRONG = "wrong"


class KeySeal(Protocol):
    """Shuts the key that an answer is encrypted to, so that a store cannot read it."""

    def shut(self, value: bytes, *, place: str, nonce: bytes) -> str:
        """Give the sealed text of `value`; `nonce` is 12 fresh bytes."""
        ...

    def open(self, sealed: str, *, place: str) -> bytes:
        """Give the value again; `Malformed` when it was sealed by another, or elsewhere."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Asked, and not answered yet. `nonce` and `state` are this request's alone.

    So is the key that the answer is encrypted to, which `response_key` holds sealed;
    None means that the answer comes as it is. `till` says where it was asked, and
    `facts_key` for whom what was shown is encrypted until it is looked at (`held.py`).
    """

    session_id: SessionId
    request_id: RequestId
    preset: str
    language: Language
    nonce: str = field(repr=False)
    state: str = field(repr=False)
    asked_at: datetime
    expires_at: datetime
    response_key: str | None = field(default=None, repr=False)
    facts_key: str | None = None
    transaction_data: tuple[str, ...] = field(default=(), repr=False)
    handback: Handback | None = None
    till: str | None = None

    def at(self, now: datetime) -> "Waiting | Expired":
        """Give what this is at `now`."""
        if now < self.expires_at:
            return self
        return Expired(session_id=self.session_id, preset=self.preset, expired_at=self.expires_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Answered once and for all. `later_answers` counts the ones that came after.

    `awaited` says what has not come back yet from the customer's device, and
    `wrong_codes` how often something else came.
    """

    session_id: SessionId
    preset: str
    verdict: Verdict
    later_answers: int
    till: str | None = None
    awaited: Handback | None = None
    wrong_codes: int = 0

    def standing(self, now: datetime) -> Standing:
        """Give whether the verdict counts at `now`."""
        if self.awaited is None:
            return Standing.FIRM
        if self.wrong_codes >= MOST_WRONG_CODES:
            return Standing.WRONG
        is_late = now - self.verdict.checked_at >= BACK_WITHIN
        return Standing.LATE if is_late else Standing.AWAITED


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """Nobody answered in time."""

    session_id: SessionId
    preset: str
    expired_at: datetime


Session: TypeAlias = Waiting | Answered | Expired


class NotOpen(Refused):
    """No open request goes by this name: it is unknown, expired or answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """Who asks: a name, a public origin (`https://shop.example`), and the key that signs.

    `identity` is how wallets know it, `way` how requests come to them. With a `seal`
    every answer is encrypted to a key of its own. `return_to` is the page of the shop's
    web site where a customer's browser goes on. A strict shop does as OpenID4VC HAIP 1.0
    demands, and refuses every setting that does not.
    """

    name: str
    origin: str
    signer: Signer
    identity: Identity = OWN_KEY
    way: Way = Way.GET
    seal: KeySeal | None = None
    return_to: str | None = None
    is_strict: bool = False

    def __post_init__(self) -> None:
        """Refuse what no wallet would answer, and what a strict shop may not do."""
        require_own(self.identity, self.signer.public, self.origin)
        if self.return_to is not None:
            _require_page(self.return_to)
        if not self.is_strict:
            return
        match self.identity:
            case Certified(prefix=Prefix.X509_HASH, is_self_signed=False):
                pass
            case _:
                raise Misuse("expected x509_hash with an authority's certificate (strict)")
        self._require_fetched(self.way)
        if self.seal is None:
            raise Misuse("expected a seal for encrypted answers, found none (strict)")
        # Section 5.1: who asks in a browser must be able to see the answer come back to it.
        if self.return_to is None:
            raise Misuse("expected a page to return to, found none (strict, return_to)")

    def _require_fetched(self, way: Way) -> None:
        if self.is_strict and way is Way.VALUE:
            raise Misuse("expected requests that wallets fetch, found them in the link (strict)")

    def ask(
        self,
        preset: Preset,
        *,
        language: Language,
        random: Callable[[int], bytes],
        now: datetime,
        handback: Handback | None = None,
        till: str | None = None,
        transaction_data: Sequence[str] = (),
        facts_key: str | None = None,
    ) -> Waiting:
        """Begin a session as the function `ask` does, with a key for its answer.

        Raises `Misuse` as well for a `response-code` without a page to return to, and for
        transactions that no wallet may sign.
        """
        if handback is Handback.RESPONSE_CODE and self.return_to is None:
            raise Misuse("expected a page to return to, found none (return_to)")
        waiting = ask(
            preset,
            language=language,
            random=random,
            now=now,
            handback=handback,
            till=till,
            transaction_data=transaction_data,
        )
        waiting = replace(waiting, facts_key=facts_key)
        transactions_of(self.request(waiting, preset))
        if self.seal is None:
            return waiting
        # On the wire the key has the request's name; it is made and gone with the session.
        secret = DecryptionKey.generate(waiting.request_id).private_bytes()
        nonce = random(_SEAL_NONCE_BYTES)
        sealed = self.seal.shut(secret, place=waiting.session_id, nonce=nonce)
        return replace(waiting, response_key=sealed)

    @property
    def client_id(self) -> str:
        """The full client id of every request (OpenID4VP 1.0, section 5.9.3).

        Raises `Misuse` under `redirect_uri`, where each request has its own.
        """
        if isinstance(self.identity, Unproved):
            raise Misuse("expected a shop with one client id, found one under redirect_uri")
        return client_id(self.identity, self.signer.public, "")

    def request(self, waiting: Waiting, preset: Preset) -> PresentationRequest:
        """Give the request of a session; the same one every time.

        Raises `Misuse` like `ask`.
        """
        response_uri = f"{self.origin}/responses/{waiting.request_id}"
        key = self.response_key(waiting)
        return PresentationRequest(
            client_id=client_id(self.identity, self.signer.public, response_uri),
            response_uri=response_uri,
            nonce=waiting.nonce,
            state=waiting.state,
            query=_acceptable(preset.query()),
            issued_at=waiting.asked_at,
            expires_at=waiting.expires_at,
            # The customer sees before which till she should be standing.
            client_name=self.name if waiting.till is None else f"{self.name}, {waiting.till}",
            purpose=preset.purpose.in_language(waiting.language),
            retention=preset.retention.in_language(waiting.language),
            encryption=None if key is None else ResponseEncryption(key.public, _ENCRYPTIONS),
            transaction_data=waiting.transaction_data,
        )

    def signed_request(
        self, waiting: Waiting, preset: Preset, *, wallet_nonce: str | None = None
    ) -> str:
        """Give the signed request object, with the nonce that a wallet sent for it, if any.

        Raises `Misuse` under `redirect_uri`.
        """
        return signed(self.identity, self.request(waiting, preset), self.signer, wallet_nonce)

    def link(self, waiting: Waiting, preset: Preset, way: Way | None = None) -> str:
        """Give the link that opens a wallet, as text or QR code.

        Raises `Misuse` where a strict shop's request would travel in the link.
        """
        way = way or self.way
        self._require_fetched(way)
        if way is Way.VALUE or isinstance(self.identity, Unproved):
            return self.whole_link(waiting, preset)
        url = f"{self.origin}/requests/{waiting.request_id}"
        return request_link(self.client_id, url, UriMethod(way.value))

    def whole_link(self, waiting: Waiting, preset: Preset) -> str:
        """Give the link that holds the request itself, for who has no network to fetch it by."""
        if isinstance(self.identity, Unproved):
            return link_in_the_open(self.request(waiting, preset))
        return link_by_value(self.client_id, self.signed_request(waiting, preset))

    def response_key(self, waiting: Waiting) -> DecryptionKey | None:
        """Give the key that the answer of a session is encrypted to, if it is."""
        if waiting.response_key is None:
            return None
        if self.seal is None:
            raise Misuse("expected the seal that shut a session's key, found none")
        secret = self.seal.open(waiting.response_key, place=waiting.session_id)
        return DecryptionKey.from_private_bytes(secret, waiting.request_id)


def _require_page(url: str) -> None:
    # The code is put at its end (section 8.2), and a fragment would not reach the shop.
    expected = "expected a web page without a fragment, found another (return_to)"
    try:
        parse_url(url)
    except Malformed as cause:
        raise Misuse(expected) from cause
    if "#" in url:
        raise Misuse(expected)


def ask(
    preset: Preset,
    *,
    language: Language,
    random: Callable[[int], bytes],
    now: datetime,
    handback: Handback | None = None,
    till: str | None = None,
    transaction_data: Sequence[str] = (),
) -> Waiting:
    """Begin a session. Its times are whole seconds, as on the wire.

    The ids, the nonce and the state have 256 random bits each; 128 are the
    least (OpenID4VP 1.0, section 5.2).

    Raises `Misuse` for a query that names authorities, and none by the identifier of its
    key: of the other types (section 6.1.1) this verifier could accept no answer.
    """
    _acceptable(preset.query())
    asked_at = now.replace(microsecond=0)
    return Waiting(
        session_id=SessionId(b64url(random(_ID_BYTES))),
        request_id=RequestId(b64url(random(_ID_BYTES))),
        preset=preset.name,
        language=language,
        nonce=b64url(random(_ID_BYTES)),
        state=b64url(random(_ID_BYTES)),
        asked_at=asked_at,
        expires_at=asked_at + REQUEST_LIFE,
        transaction_data=tuple(transaction_data),
        handback=handback,
        till=till,
    )


def _acceptable(query: DcqlQuery) -> DcqlQuery:
    for credential in query.credentials:
        types = {one.type for one in credential.trusted_authorities}
        if types and AuthorityType.AKI not in types:
            expected = "an authority by the identifier of its key (aki)"
            raise Misuse(f"expected {expected}, found others alone ({credential.id})")
    return query
