"""HTTP bodies of the counter's own side. They do not travel further in."""

from datetime import datetime
from typing import Literal, assert_never

from pydantic import BaseModel, ConfigDict, Field

from counterfoil_verifier.counter import Asked, Light, Look
from counterfoil_verifier.requesting import Answered, Expired, Waiting
from counterfoil_verifier.store import Summary
from counterfoil_verifier.words import Language, Words

State = Literal["waiting", "accepted", "refused", "unavailable", "expired"]


class AskBody(BaseModel):
    """POST /counter/requests."""

    model_config = ConfigDict(extra="forbid")

    preset: str = Field(max_length=64)
    language: Language = "en"


class CheckBody(BaseModel):
    """POST /counter/check."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(max_length=128)
    presentation: str = Field(max_length=262_144)


class WordsBody(BaseModel):
    """One text in both languages."""

    en: str
    zh: str

    @staticmethod
    def of(words: Words) -> "WordsBody":
        return WordsBody(en=words.en, zh=words.zh)


class AskedBody(BaseModel):
    """An open question. `id` is for the counter alone; `link` is for the wallet."""

    id: str
    link: str
    expires_at: datetime
    purpose: WordsBody
    retention: WordsBody

    @staticmethod
    def of(asked: Asked) -> "AskedBody":
        return AskedBody(
            id=asked.session_id,
            link=asked.link,
            expires_at=asked.expires_at,
            purpose=WordsBody.of(asked.purpose),
            retention=WordsBody.of(asked.retention),
        )


class ReasonBody(BaseModel):
    """Why not. The mismatch in full (`expected` and on) is there in the first look only."""

    code: str
    en: str
    zh: str
    expected: str | None = None
    found: str | None = None
    where: str | None = None


class LookBody(BaseModel):
    """What the counter shows. `facts` are there in the first look only."""

    id: str
    preset: str
    state: State
    light: Light | None = None
    reasons: list[ReasonBody]
    facts: dict[str, object] | None = None
    checked_at: datetime | None = None
    status_as_of: datetime | None = None
    took_ms: int | None = None
    later_answers: int = 0

    @staticmethod
    def of(look: Look) -> "LookBody":
        session = look.session
        body = LookBody(
            id=session.session_id,
            preset=session.preset,
            state=_state(session),
            light=look.light,
            reasons=_reasons(look),
        )
        if isinstance(session, Answered):
            body.checked_at = session.verdict.checked_at
            body.status_as_of = session.verdict.status_as_of
            body.took_ms = session.verdict.took_ms
            body.later_answers = session.later_answers
            if look.held is not None and look.light is Light.GREEN:
                body.facts = dict(look.held.facts)
        return body


class SummaryBody(BaseModel):
    """GET /counter/summary: counts for whoever runs the counter, none of them personal."""

    verdicts: int
    waiting: int

    @staticmethod
    def of(summary: Summary) -> "SummaryBody":
        return SummaryBody(verdicts=summary.verdicts, waiting=summary.waiting)


def _state(session: Waiting | Answered | Expired) -> State:
    match session:
        case Waiting():
            return "waiting"
        case Answered():
            return session.verdict.outcome.value
        case Expired():
            return "expired"
        case _:
            assert_never(session)


def _reasons(look: Look) -> list[ReasonBody]:
    words = dict(look.words)
    if look.held is None or not look.held.reasons:
        return [ReasonBody(code=code, en=text.en, zh=text.zh) for code, text in words.items()]
    return [
        ReasonBody(
            code=reason.code,
            en=words[reason.code].en,
            zh=words[reason.code].zh,
            expected=reason.expected,
            found=reason.found,
            where=reason.where,
        )
        for reason in look.held.reasons
    ]
