"""Security Event Tokens by push (RFC 8935): who sends, and what a receiver answers.

    Pusher(outbox, fetcher, ...).push_once()    POST application/secevent+jwt ─► 202
    hear(token, ...)                            the receiving side of push and poll alike

Each destination gets its letters in their order, each at least once. One that does
not answer is tried again after 5 s, 10 s, 20 s, … at most 6 hours; one that refuses a
letter gets the next. Half of the threads go to those alone whose last attempt went
well, so that no number of dead or slow destinations holds these up.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from counterfoil_credentials.encoding import (
    JsonObject,
    b64url,
    object_at,
    parse_object,
    text_at,
    texts_at,
)
from counterfoil_credentials.errors import CounterfoilError, Malformed, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher, Response

from counterfoil_consent.events import Pause, is_pause
from counterfoil_consent.set_outbox import Letter, Round, SetOutbox
from counterfoil_consent.spec import EVENT_TYP, SET_MEDIA_TYPE
from counterfoil_consent.wire import Clock, GrantId, Random, grant_id_of, read_artefact, refuse

LEASE: Final = timedelta(seconds=60)
"""How long one letter may take; the guarded fetcher gives up long before."""

_WHERE: Final = "event"
_MAX_ANSWER_BYTES: Final = 65_536
_MAX_DESCRIPTION: Final = 200
_LONGEST_WAIT_S: Final = 21_600
# There is nothing here that the event could end or pause. A grant without its bundle is
# never read; if it becomes one that can be, the custodian knows of the pause.
_HARMLESS: Final = frozenset({"grant-unknown", "grant-ended", "grant-not-active"})
_LOG: Final = logging.getLogger("counterfoil.consent")


class SetErrorCode(StrEnum):
    """Why a token is not taken (RFC 8935, section 2.4; RFC 8936, section 2.6)."""

    INVALID_REQUEST = "invalid_request"
    INVALID_KEY = "invalid_key"
    INVALID_ISSUER = "invalid_issuer"
    INVALID_AUDIENCE = "invalid_audience"
    AUTHENTICATION_FAILED = "authentication_failed"
    ACCESS_DENIED = "access_denied"


_CODES: Final = {
    "signature-invalid": SetErrorCode.INVALID_KEY,
    "algorithm-not-allowed": SetErrorCode.INVALID_KEY,
    "signed-by-another": SetErrorCode.INVALID_ISSUER,
    "audience-mismatch": SetErrorCode.INVALID_AUDIENCE,
}


@dataclass(frozen=True, slots=True)
class SetError:
    """A refusal as it travels: `err` and `description`. `code` may be one that we do not know."""

    code: str
    description: str

    @staticmethod
    def of(error: Malformed | Refused) -> "SetError":
        """Give what the sender of a token is told."""
        code = SetErrorCode.INVALID_REQUEST
        if isinstance(error, Refused):
            code = _CODES.get(error.codes[0], code)
        return SetError(code, str(error))

    def to_json(self) -> JsonObject:
        """Give the error object."""
        return {"err": self.code, "description": self.description}

    @staticmethod
    def from_json(obj: JsonObject, where: str) -> "SetError":
        """Read what a stranger wrote: its description is cut, and shown on one line."""
        code = text_at(obj, "err", where)
        said = obj.get("description")
        shown = said[:_MAX_DESCRIPTION] if isinstance(said, str) else ""
        if not 1 <= len(code) <= 100 or not code.isprintable():
            raise Malformed("a short error code", "another text", f"{where}.err")
        return SetError(code, "".join(letter for letter in shown if letter.isprintable()))


def hear(
    token: str,
    *,
    audience: str,
    end: Callable[[GrantId, str], object],
    pause: Callable[[GrantId, str], object],
) -> None:
    """Give a token to `end` or `pause`, whichever its event is for.

    Returns when the token has done all that it can, also when that is nothing: its
    grant has ended, or never came here. Heard twice, it changes nothing more.
    Raises `Malformed` and `Refused` for a token that is not to be taken (`SetError.of`
    tells its sender why), `Unavailable` when it should come again.
    """
    claims = read_artefact(token, typ=EVENT_TYP, by=None, where=_WHERE)
    if audience not in texts_at(claims, "aud", _WHERE):
        raise refuse("audience-mismatch", "this party", "others", f"{_WHERE}.aud")
    grant_id = _grant_id(claims)
    try:
        (pause if is_pause(claims) else end)(grant_id, token)
    except Refused as refusal:
        if not _HARMLESS.issuperset(refusal.codes):
            raise


def letter_to(
    destination: str, token: str, *, pause: Pause | None = None, endpoint: str | None = None
) -> Letter:
    """Give the letter that carries a verified event to one destination."""
    claims = read_artefact(token, typ=EVENT_TYP, by=None, where=_WHERE)
    return Letter(
        destination=destination,
        event_id=text_at(claims, "jti", _WHERE),
        grant_id=_grant_id(claims),
        token=token,
        endpoint=endpoint,
        # Of two pauses with one sequence the one that suspends holds.
        rank=0 if pause is None else 2 * pause.sequence + pause.is_suspended,
    )


@dataclass(frozen=True, slots=True)
class Backoff:
    """When to try again: twice as long each time, up to `longest_s`; `attempts` in all.

    Between half and the whole of that is waited, so that destinations that went down
    together do not come back together.
    """

    first_s: int = 5
    longest_s: int = _LONGEST_WAIT_S
    attempts: int = 17

    def delay(self, attempt: int, chance: float) -> timedelta:
        """Give how long to wait after the `attempt`-th failure; `chance` is from 0 to 1."""
        whole = min(self.first_s << min(attempt - 1, 40), self.longest_s)
        return timedelta(seconds=max(1, round(whole * (0.5 + chance / 2))))


class Pusher:
    """Delivers what one outbox holds. Any number of them, and of threads, may work at once."""

    def __init__(
        self,
        outbox: SetOutbox,
        fetcher: Fetcher,
        *,
        clock: Clock,
        random: Random,
        backoff: Backoff | None = None,
    ) -> None:
        self._outbox = outbox
        self._fetcher = fetcher
        self._clock = clock
        self._random = random
        self._backoff = backoff or Backoff()

    def push_all(self, *, steady_only: bool = False) -> None:
        """Deliver until nothing is due. A database that is away is asked again later."""
        try:
            while self.push_once(steady_only=steady_only):
                pass
        except CounterfoilError as trouble:
            _LOG.warning("a round of events ended early: %s", type(trouble).__name__)

    def push_once(self, *, steady_only: bool = False) -> bool:
        """Deliver one destination's next letters; say whether there was one that is due."""
        now = self._clock()
        token = b64url(self._random(12))
        round_ = self._outbox.take(now, now + LEASE, token, steady_only=steady_only)
        if round_ is None:
            return False
        for letter in round_.letters:
            if not self._deliver(round_, letter):
                return True
        self._outbox.release(round_)
        return True

    def _deliver(self, round_: Round, letter: Letter) -> bool:
        """Send one letter and write down what came of it; say whether to go on with the next."""
        try:
            answer = self._post(letter)
        except Unavailable:
            return self._fail(round_, "no answer", timedelta())
        except (Malformed, Refused):
            # The address itself may not be asked: nobody there will ever answer.
            return self._fail(round_, "an address that may not be asked", timedelta())
        now = self._clock()
        # 202 says the standard; a recipient may answer with its erasure receipt at once.
        if 200 <= answer.status < 300:
            return self._outbox.delivered(round_, letter.event_id, now, now + LEASE)
        error = _error_in(answer)
        if error is None:
            return self._fail(round_, f"status {answer.status}", _asked_to_wait(answer))
        failure = f"{error.code}: {error.description}" if error.description else error.code
        # Who says no is there: the next letter may be welcome.
        return self._outbox.delivered(round_, letter.event_id, now, now + LEASE, refusal=failure)

    def _post(self, letter: Letter) -> Response:
        # Whoever answers at length, slowly, or with a redirection has not answered.
        return self._fetcher.post(
            letter.endpoint or "",
            letter.token.encode("ascii"),
            media_type=SET_MEDIA_TYPE,
            max_bytes=_MAX_ANSWER_BYTES,
        )

    def _fail(self, round_: Round, failure: str, asked: timedelta) -> bool:
        chance = int.from_bytes(self._random(2)) / 65_535
        attempt = round_.attempts + 1
        now = self._clock()
        until = now + max(self._backoff.delay(attempt, chance), asked)
        if attempt >= self._backoff.attempts:
            self._outbox.give_up(round_, failure, now, until)
        else:
            self._outbox.put_off(round_, until)
        return False


def _grant_id(claims: JsonObject) -> GrantId:
    where = f"{_WHERE}.sub_id"
    return grant_id_of(text_at(object_at(claims, "sub_id", _WHERE), "id", where), f"{where}.id")


def _error_in(answer: Response) -> SetError | None:
    """Give the error object of a 400; anything else may be another server's word."""
    if answer.status != 400:
        return None
    try:
        told = parse_object(answer.body, "answer", max_bytes=_MAX_ANSWER_BYTES, max_depth=4)
        return SetError.from_json(told, "answer")
    except Malformed:
        return None


def _asked_to_wait(answer: Response) -> timedelta:
    asked = answer.headers.get("retry-after", "")
    is_number = asked.isascii() and asked.isdigit() and len(asked) < 8
    return timedelta(seconds=min(int(asked), _LONGEST_WAIT_S) if is_number else 0)
