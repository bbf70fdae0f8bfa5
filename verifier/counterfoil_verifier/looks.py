"""What a counter has to show: an open question, what a wallet hears, and the three lights."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from counterfoil_verifier.held import Held
from counterfoil_verifier.requesting import (
    Answered,
    Expired,
    Session,
    SessionId,
    Standing,
    Waiting,
)
from counterfoil_verifier.verdict import Outcome
from counterfoil_verifier.words import SHOWN_UNASKED, Words, as_of_words, words_for


class Light(StrEnum):
    """What the assistant sees first."""

    GREEN = "green"
    RED = "red"
    AMBER = "amber"


_LIGHTS: Final = {
    Outcome.ACCEPTED: Light.GREEN,
    Outcome.REFUSED: Light.RED,
    Outcome.UNAVAILABLE: Light.AMBER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An open question: the counter keeps `session_id`, the wallet gets `link`."""

    session_id: SessionId
    link: str
    expires_at: datetime
    purpose: Words
    retention: Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What the wallet is told that was accepted.

    Its browser goes on at `redirect_uri`; the customer tells `match_code` at the counter,
    and keeps `receipt`, the shop's signed word on what was shown. `is_declined` says that
    nothing was.
    """

    is_declined: bool = False
    redirect_uri: str | None = None
    match_code: str | None = field(default=None, repr=False)
    receipt: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the counter shows of a session. `held` is there once, for the first look.

    A yes whose code has not come back is none yet, and one whose code came back wrong
    too often, or not in time, is a no.
    """

    session: Session
    held: Held | None
    standing: Standing = Standing.FIRM

    @property
    def light(self) -> Light | None:
        """The light; None before there is an answer."""
        if not isinstance(self.session, Answered):
            return None
        match self.standing:
            case Standing.FIRM:
                return _LIGHTS[self.session.verdict.outcome]
            case Standing.AWAITED:
                return None
            case Standing.LATE | Standing.WRONG:
                return Light.RED

    @property
    def words(self) -> tuple[tuple[str, Words], ...]:
        """Each reason's code with its plain words."""
        codes: tuple[str, ...]
        match self.session:
            case Answered() if self.standing is Standing.WRONG:
                codes = ("code-wrong",)
            case Answered() if self.standing is Standing.LATE:
                codes = ("request-expired",)
            case Answered(verdict=verdict):
                codes = verdict.codes
            case Expired():
                codes = ("request-expired",)
            case Waiting():
                codes = ()
        return tuple((code, words_for(code)) for code in codes)

    @property
    def how(self) -> Words | None:
        """Say that nobody asked, where a holder showed it of her own accord."""
        session = self.session
        is_shown = isinstance(session, Answered) and session.verdict.kind == "holder-shown"
        return SHOWN_UNASKED if is_shown else None

    @property
    def as_of(self) -> Words | None:
        """As of when the light holds: the time of the oldest status list; None without one."""
        light = self.light
        if light is None or not isinstance(self.session, Answered):
            return None
        listed_at = self.session.verdict.status_as_of
        return None if listed_at is None else as_of_words(listed_at, is_yes=light is Light.GREEN)


@dataclass(frozen=True, slots=True)
class Scanning:
    """How many codes of the customer's answer have been read, and of how many."""

    read: int
    count: int
