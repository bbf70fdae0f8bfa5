"""Somebody else's system as a registered system: a signed call, and an answer that is required.

    ──► POST {"type": "consent.erase", "grant_id": …}      Standard Webhooks 1.0 headers
    ◄── 200  {"grant_id": …, "class": …, "method": …}      nothing is left there

Any other answer, a redirect, or none at all means: not yet. The call has the same id
each time, so that the other side may remember it.
"""

from collections.abc import Sequence
from typing import Final

from counterfoil_credentials.answers import answer_of
from counterfoil_credentials.encoding import JsonObject, canonical_json, text_at
from counterfoil_credentials.errors import Malformed, Unavailable
from counterfoil_credentials.fetch import Fetcher, Response
from counterfoil_credentials.spec import JSON_MEDIA_TYPE
from counterfoil_service.webhook_signatures import sign_webhook

from counterfoil_consent.erased_system import ErasedSystem, Method
from counterfoil_consent.systems import Place
from counterfoil_consent.wire import Clock, GrantId, require_members

ERASE: Final = "consent.erase"
HOLDS: Final = "consent.holds"
_OK: Final = 200
_MAX_ANSWER_BYTES: Final = 4_096
_WHERE: Final = "webhook_answer"


class Webhook:
    """`RegisteredSystem` behind an HTTPS endpoint that shares a secret with us."""

    def __init__(
        self,
        url: str,
        *,
        secrets: Sequence[str],
        place: Place,
        fetcher: Fetcher,
        clock: Clock,
    ) -> None:
        """Call `url` through the guarded fetcher; while a secret is replaced, give both."""
        self.place = place
        self._url = url
        self._secrets = tuple(secrets)
        self._fetcher = fetcher
        self._clock = clock

    def erase(self, grant_id: GrantId) -> ErasedSystem:
        """Ask for the erasure; give it once the other side has said that it is done."""
        answer = self._ask(ERASE, grant_id)
        require_members(answer, ("grant_id", "class", "method"), _WHERE)
        self._require_ours(answer, grant_id)
        if text_at(answer, "class", _WHERE) != self.place.system:
            raise Malformed("the system that was registered", "another", f"{_WHERE}.class")
        try:
            method = Method(text_at(answer, "method", _WHERE))
        except ValueError as cause:
            raise Malformed("a known method", "another", f"{_WHERE}.method") from cause
        return self.place.erased(method, self._clock())

    def holds(self, grant_id: GrantId) -> bool:
        """Ask whether anything is held."""
        answer = self._ask(HOLDS, grant_id)
        require_members(answer, ("grant_id", "holds"), _WHERE)
        self._require_ours(answer, grant_id)
        holds = answer["holds"]
        if not isinstance(holds, bool):
            raise Malformed("true or false", "another value", f"{_WHERE}.holds")
        return holds

    def _ask(self, kind: str, grant_id: GrantId) -> JsonObject:
        body = canonical_json({"type": kind, "grant_id": grant_id})
        headers = sign_webhook(f"{kind}-{grant_id}", body, secrets=self._secrets, at=self._clock())
        response: Response = self._fetcher.post(
            self._url,
            body,
            media_type=JSON_MEDIA_TYPE,
            headers=headers,
            max_bytes=_MAX_ANSWER_BYTES,
        )
        if response.status != _OK:
            # 202 says that it was heard, not that it was done.
            raise Unavailable(f"expected status {_OK}, found {response.status}")
        return answer_of(response, _WHERE)

    def _require_ours(self, answer: JsonObject, grant_id: GrantId) -> None:
        if text_at(answer, "grant_id", _WHERE) != grant_id:
            raise Malformed("the grant that was asked about", "another", f"{_WHERE}.grant_id")
