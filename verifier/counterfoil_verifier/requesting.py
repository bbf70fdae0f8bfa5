"""One question at the counter, from asking to its one answer.

    Waiting ──answer──► Answered(verdict)        once, atomically, in the store
       └──two minutes──► Expired

Two random names keep two audiences apart: the wallet learns the request's id
from the QR code, the counter alone knows the session's id, so that nobody who
saw the code can read the result (OpenID4VP 1.0, section 14.3.3).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NewType, TypeAlias

from counterfoil_credentials.dcql import DcqlQuery
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.errors import Misuse, Refused
from counterfoil_credentials.keys import Signer
from counterfoil_credentials.request_links import request_link
from counterfoil_credentials.requests import PresentationRequest, client_id_of, sign_request

from counterfoil_verifier.presets import Preset
from counterfoil_verifier.verdict import Verdict
from counterfoil_verifier.words import Language

RequestId = NewType("RequestId", str)
SessionId = NewType("SessionId", str)

REQUEST_LIFE: Final = timedelta(minutes=2)
"""A code that is photographed and sent around is worthless soon."""

_ID_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Asked, and not answered yet. `nonce` and `state` are this request's alone."""

    session_id: SessionId
    request_id: RequestId
    preset: str
    language: Language
    nonce: str = field(repr=False)
    state: str = field(repr=False)
    asked_at: datetime
    expires_at: datetime

    def at(self, now: datetime) -> "Waiting | Expired":
        """Give what this is at `now`."""
        if now < self.expires_at:
            return self
        return Expired(session_id=self.session_id, preset=self.preset, expired_at=self.expires_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Answered once and for all. `later_answers` counts the ones that came after."""

    session_id: SessionId
    preset: str
    verdict: Verdict
    later_answers: int


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
    """Who asks: a name, a public origin (`https://shop.example`), and the key that signs."""

    name: str
    origin: str
    signer: Signer

    @property
    def client_id(self) -> str:
        """The full client id: the shop's DID with its prefix (OpenID4VP 1.0, section 5.9.3)."""
        return client_id_of(did_jwk(self.signer.public))

    def request(self, waiting: Waiting, preset: Preset) -> PresentationRequest:
        """Give the request of a session; the same one every time.

        Raises `Misuse` like `ask`.
        """
        return PresentationRequest(
            client_id=self.client_id,
            response_uri=f"{self.origin}/responses/{waiting.request_id}",
            nonce=waiting.nonce,
            state=waiting.state,
            query=_acceptable(preset.query()),
            issued_at=waiting.asked_at,
            expires_at=waiting.expires_at,
            client_name=self.name,
            purpose=preset.purpose.in_language(waiting.language),
            retention=preset.retention.in_language(waiting.language),
        )

    def signed_request(self, waiting: Waiting, preset: Preset) -> str:
        """Give the signed request object that a wallet fetches."""
        return sign_request(self.request(waiting, preset), self.signer)

    def link(self, waiting: Waiting) -> str:
        """Give the link that opens a wallet, as text or QR code."""
        return request_link(self.client_id, f"{self.origin}/requests/{waiting.request_id}")


def ask(
    preset: Preset, *, language: Language, random: Callable[[int], bytes], now: datetime
) -> Waiting:
    """Begin a session. Its times are whole seconds, as on the wire.

    The ids, the nonce and the state have 256 random bits each; 128 are the
    least (OpenID4VP 1.0, section 5.2).

    Raises `Misuse` for a query that names `trusted_authorities`: this verifier trusts
    issuers by name and verifies no certificate chains, so it could accept no answer.
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
    )


def _acceptable(query: DcqlQuery) -> DcqlQuery:
    for credential in query.credentials:
        if credential.trusted_authorities:
            expected = "a query that this verifier can see answered"
            raise Misuse(f"expected {expected}, found trusted_authorities ({credential.id})")
    return query
