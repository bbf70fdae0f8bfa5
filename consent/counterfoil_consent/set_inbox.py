"""A receiver's inbox: it hears what waits at the custodian before it reads anything.

    Inbox(custodian, …, hear=receiver.hear).require_drained()

A receiver that was away knows nothing of the ends that it missed. So it polls until
nothing is left, once after each start and after each time when it could not reach the
custodian; when it cannot, there is no read. Events that a sender pushes come to `hear`
by themselves, and one that comes both ways is heard twice and counts once.
"""

import threading
from collections.abc import Callable
from typing import Final

from counterfoil_credentials.answers import answer_of
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.encoding import b64url, compact_json
from counterfoil_credentials.errors import CounterfoilError, Malformed, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.keys import Signer
from counterfoil_credentials.spec import JSON_MEDIA_TYPE, TOKEN_MEDIA_TYPE

from counterfoil_consent.parties import CustodianParty
from counterfoil_consent.set_poll import PollAnswer, PollProof, PollRequest, StreamRequest
from counterfoil_consent.set_push import SetError
from counterfoil_consent.wire import Clock, Random, digest_of

_MAX_ANSWER_BYTES: Final = 1_048_576
_MAX_ROUNDS: Final = 1_000
_WHO: Final = "custodian"


class Inbox:
    """What the custodian has for one receiver. Threads may share it."""

    def __init__(
        self,
        custodian: CustodianParty,
        fetcher: Fetcher,
        *,
        signer: Signer,
        clock: Clock,
        random: Random,
        hear: Callable[[str], None],
    ) -> None:
        """Set up, undrained. `hear` takes a token, as `set_push.hear` says."""
        self._custodian = custodian
        self._fetcher = fetcher
        self._signer = signer
        self._clock = clock
        self._random = random
        self._hear = hear
        self._is_drained = False
        self._draining = threading.Lock()

    def require_drained(self) -> None:
        """Return only when everything was heard since the last start or trouble.

        Raises `Unavailable` when the custodian cannot be asked.
        """
        if not self._is_drained:
            with self._draining:
                if not self._is_drained:
                    self._drain()

    def drain(self) -> int:
        """Hear what waits now; give how many. `Unavailable` when it cannot be asked for."""
        with self._draining:
            return self._drain()

    def lose(self) -> None:
        """Say that the custodian could not be reached: what came meanwhile is not known."""
        self._is_drained = False

    def configure(self, endpoint: str | None) -> None:
        """Ask for pushes to `endpoint`, or for none (None): then polls alone bring events.

        Raises `Refused` with the custodian's reasons, or `Unavailable`.
        """
        asked = StreamRequest(
            receiver=did_jwk(self._signer.public),
            request_id=b64url(self._random(16)),
            endpoint=endpoint,
            asked_at=self._clock(),
        )
        token = asked.sign(self._signer, audience=self._custodian.origin)
        url = f"{self._custodian.origin}/events/stream"
        answer_of(self._fetcher.post(url, token.encode("ascii"), media_type=TOKEN_MEDIA_TYPE), _WHO)

    def _drain(self) -> int:
        try:
            heard = self._hear_to_the_end()
        except BaseException:
            self._is_drained = False
            raise
        self._is_drained = True
        return heard

    def _hear_to_the_end(self) -> int:
        heard = 0
        report = PollRequest(return_immediately=True)
        for _ in range(_MAX_ROUNDS):
            answer = self._poll(report)
            report = self._hear_all(answer)
            heard += len(answer.sets)
            if not answer.more_available:
                self._thank(report)
                return heard
            if not answer.sets:
                break
        raise Unavailable("expected an end of the custodian's events, found none")

    def _hear_all(self, answer: PollAnswer) -> PollRequest:
        taken: list[str] = []
        errors: dict[str, SetError] = {}
        for event_id, token in answer.sets.items():
            try:
                self._hear(token)
            except (Malformed, Refused) as error:
                errors[event_id] = SetError.of(error)
            else:
                taken.append(event_id)
        return PollRequest(return_immediately=True, acknowledged=tuple(taken), errors=errors)

    def _thank(self, report: PollRequest) -> None:
        """Acknowledge the last tokens. Without it they come once more, which does no harm."""
        if not report.acknowledged and not report.errors:
            return
        try:
            self._poll(
                PollRequest(
                    max_events=0,
                    return_immediately=True,
                    acknowledged=report.acknowledged,
                    errors=report.errors,
                )
            )
        except CounterfoilError:
            return

    def _poll(self, request: PollRequest) -> PollAnswer:
        body = compact_json(request.to_json())
        proof = PollProof(
            caller=did_jwk(self._signer.public),
            request_id=b64url(self._random(16)),
            body=digest_of(body),
            asked_at=self._clock(),
        ).sign(self._signer, audience=self._custodian.origin)
        headers = {"Authorization": f"Bearer {proof}"}
        if request.errors:
            # RFC 8936, section 2.6: the language of the descriptions.
            headers["Content-Language"] = "en"
        try:
            answer = self._fetcher.post(
                f"{self._custodian.origin}/events/poll",
                body,
                media_type=JSON_MEDIA_TYPE,
                headers=headers,
                max_bytes=_MAX_ANSWER_BYTES,
            )
            return PollAnswer.from_json(answer_of(answer, _WHO))
        except (Malformed, Refused) as cause:
            # Whatever the custodian means by it, we do not know what we missed.
            raise Unavailable(f"expected the custodian's events, found {cause}") from cause
