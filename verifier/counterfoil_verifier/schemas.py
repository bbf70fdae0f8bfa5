"""HTTP bodies of the counter's own side. They do not travel further in."""

import json
from datetime import datetime
from typing import Annotated, Final, Literal, TypeAlias, assert_never

from counterfoil_credentials.encoding import parse_object
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from counterfoil_verifier.looks import Asked, Light, Look, Received, Scanning
from counterfoil_verifier.requesting import (
    Answered,
    Expired,
    Handback,
    Standing,
    Waiting,
    Way,
)
from counterfoil_verifier.store import Summary
from counterfoil_verifier.transactions import transaction_data
from counterfoil_verifier.verdict import Kind
from counterfoil_verifier.words import Language, Words

MAX_MEMBERS: Final = 8_192
MAX_CODE: Final = 8_192
State = Literal["waiting", "awaited", "accepted", "refused", "unavailable", "expired"]
TillName: TypeAlias = Annotated[str, Field(min_length=1, max_length=64)]


class WalletErrorBody(BaseModel):
    """What a wallet hears when it went wrong (RFC 6749, section 5.2)."""

    error: str
    error_description: str


class MismatchBody(BaseModel):
    """One reason why a request of the shop's own was refused."""

    code: str
    expected: str
    found: str
    where: str


class ErrorBody(WalletErrorBody):
    """The same toward the counter, with the reasons."""

    reasons: list[MismatchBody] = []


class ReceivedBody(BaseModel):
    """POST /responses/{id}: where the wallet sends its browser, and what the customer tells.

    `receipt` is the shop's signed word on what was shown, for the customer to keep.
    """

    redirect_uri: str | None = None
    match_code: str | None = None
    receipt: str | None = None

    @staticmethod
    def of(received: Received) -> "ReceivedBody":
        return ReceivedBody(
            redirect_uri=received.redirect_uri,
            match_code=received.match_code,
            receipt=received.receipt,
        )


class TransactionBody(BaseModel):
    """Something to sign along (OpenID4VP 1.0, section 8.4)."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(min_length=1, max_length=200)
    members: dict[str, JsonValue] = Field(default={}, max_length=20)

    def element(self, preset: str) -> str:
        """Give it as it stands in the request, for the credential of `preset`."""
        members = parse_object(json.dumps(self.members).encode(), "members", max_bytes=MAX_MEMBERS)
        return transaction_data(self.type, [preset], members)


class AskBody(BaseModel):
    """POST /counter/requests."""

    model_config = ConfigDict(extra="forbid")

    preset: str = Field(max_length=64)
    language: Language = "en"
    way: Way | None = Field(None, description="How the request comes to the wallet")
    handback: Handback | None = Field(
        None, description="What must come back from the customer's device before a yes counts"
    )
    till: TillName | None = Field(None, description="The only till that may read the result")
    transactions: list[TransactionBody] = Field(
        default=[], max_length=10, description="What the holder's key signs along"
    )


class CheckBody(BaseModel):
    """POST /counter/check."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(max_length=128)
    presentation: str = Field(max_length=262_144)
    till: TillName | None = None


class WordsBody(BaseModel):
    """One text in both languages."""

    en: str
    zh: str

    @staticmethod
    def of(words: Words) -> "WordsBody":
        return WordsBody(en=words.en, zh=words.zh)


class AskedBody(BaseModel):
    """An open question. `id` is for the counter alone; `link` is for the wallet.

    What follows a dot in `id` opens what was shown, and is kept nowhere but at the till.
    """

    id: str
    link: str
    expires_at: datetime
    purpose: WordsBody
    retention: WordsBody

    @staticmethod
    def of(asked: Asked, name: str) -> "AskedBody":
        return AskedBody(
            id=name,
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
    """What the counter shows. `facts`, `receipt` and `voucher` are in the first look only.

    `voucher` is what was taken, as the shop hands it in to the brand: keep it until then.

    `as_of` says as of when the light holds, `how` that no question was asked, if none was.
    """

    id: str
    preset: str
    state: State
    light: Light | None = None
    reasons: list[ReasonBody]
    facts: dict[str, object] | None = None
    checked_at: datetime | None = None
    status_as_of: datetime | None = None
    as_of: WordsBody | None = None
    kind: Kind | None = None
    how: WordsBody | None = None
    receipt: str | None = None
    voucher: dict[str, object] | None = None
    took_ms: int | None = None
    later_answers: int = 0
    till: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state not in ("waiting", "awaited")

    @staticmethod
    def of(look: Look, name: str | None = None) -> "LookBody":
        session = look.session
        body = LookBody(
            id=name or session.session_id,
            preset=session.preset,
            state=_state(look),
            light=look.light,
            reasons=_reasons(look),
        )
        if isinstance(session, Answered):
            body.checked_at = session.verdict.checked_at
            body.status_as_of = session.verdict.status_as_of
            body.as_of = None if look.as_of is None else WordsBody.of(look.as_of)
            body.kind = session.verdict.kind
            body.how = None if look.how is None else WordsBody.of(look.how)
            body.took_ms = session.verdict.took_ms
            body.later_answers = session.later_answers
            body.till = session.till
            if look.held is not None and look.light is Light.GREEN:
                body.facts = dict(look.held.facts)
                body.receipt = look.held.receipt
                if look.held.taken is not None:
                    body.voucher = dict(look.held.taken)
        return body


class CodesBody(BaseModel):
    """GET /counter/requests/{id}/codes: texts of QR codes, to be shown in turn."""

    codes: list[str]


class CodeBody(BaseModel):
    """POST /counter/requests/{id}/codes: the text of one QR code that was read."""

    model_config = ConfigDict(extra="forbid")

    code: str = Field(max_length=MAX_CODE)
    till: TillName | None = None


class ScannedBody(BaseModel):
    """How many codes of the answer have been read, and of how many; `look` after the last."""

    read: int | None = None
    count: int | None = None
    look: LookBody | None = None

    @staticmethod
    def of(scanned: Look | Scanning, name: str | None = None) -> "ScannedBody":
        if isinstance(scanned, Scanning):
            return ScannedBody(read=scanned.read, count=scanned.count)
        return ScannedBody(look=LookBody.of(scanned, name))


class SummaryBody(BaseModel):
    """GET /counter/summary: counts for whoever runs the counter, none of them personal."""

    verdicts: int
    waiting: int

    @staticmethod
    def of(summary: Summary) -> "SummaryBody":
        return SummaryBody(verdicts=summary.verdicts, waiting=summary.waiting)


def _state(look: Look) -> State:
    session = look.session
    match session:
        case Waiting():
            return "waiting"
        case Answered():
            match look.standing:
                case Standing.FIRM:
                    return session.verdict.outcome.value
                case Standing.AWAITED:
                    return "awaited"
                case Standing.LATE:
                    return "expired"
                case Standing.WRONG:
                    return "refused"
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
