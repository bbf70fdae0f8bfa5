"""The counter: it asks, takes one answer, and shows one of three lights.

    counter = Counter(shop=shop, presets=[warranty], trust=trust, statuses=statuses, store=store)
    asked = counter.ask("warranty")                 # a link, or a QR code, for the wallet
    counter.receive(request_id, form)               # the wallet's answer
    counter.look(asked.session_id).light            # green, red or amber, with plain words

    counter.codes(asked.session_id)                 # without a network: the request as codes
    counter.scan(asked.session_id, code)            # and each code of the customer's answer

The store keeps the verdict. The facts shown, and the reasons word for word, are
held in memory for one look, sixty seconds at most, and are written nowhere.
"""

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from counterfoil_credentials.claims import path_text, values_at
from counterfoil_credentials.encoding import Json, JsonObject, b64url
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused, Unavailable
from counterfoil_credentials.jws import ES256_ONLY
from counterfoil_credentials.keys import Algorithm
from counterfoil_credentials.qr_frames import frames
from counterfoil_credentials.recall_selector import item_in
from counterfoil_credentials.requests import VpToken

from counterfoil_verifier.answering import Declined, read_answer
from counterfoil_verifier.flags import FlagFeed, judge_item
from counterfoil_verifier.handback import code_digest, new_code, return_address
from counterfoil_verifier.held import Held, open_held, shut_held
from counterfoil_verifier.identity import Unproved
from counterfoil_verifier.presets import Preset
from counterfoil_verifier.receipts import receipt_for
from counterfoil_verifier.remembered import Remembered
from counterfoil_verifier.requesting import (
    Answered,
    Expired,
    Handback,
    NotOpen,
    RequestId,
    Session,
    SessionId,
    Shop,
    Standing,
    Waiting,
    Way,
)
from counterfoil_verifier.results import keep_results
from counterfoil_verifier.scanning import Scans, fields_of
from counterfoil_verifier.shown import Till
from counterfoil_verifier.statuses import Statuses
from counterfoil_verifier.store import OneTimeNames, SessionStore, Summary
from counterfoil_verifier.trust import Trust
from counterfoil_verifier.verdict import Outcome, Verdict
from counterfoil_verifier.verifier import Accepted, CouldNotCheck, NotAccepted, Verifier
from counterfoil_verifier.words import SHOWN_UNASKED, Language, Words, as_of_words, words_for

FACTS_HELD_FOR: Final = timedelta(seconds=60)
VERDICTS_KEPT_FOR: Final = timedelta(days=30)
_ID_BYTES: Final = 32
_TIDY_STORE_EVERY: Final = timedelta(hours=1)


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


class Counter:
    """A shop's counter over its sessions; safe to use from several threads."""

    def __init__(
        self,
        *,
        shop: Shop,
        presets: Iterable[Preset],
        trust: Trust,
        statuses: Statuses,
        store: SessionStore,
        algorithms: frozenset[Algorithm] = ES256_ONLY,
        flags: FlagFeed | None = None,
        names: OneTimeNames | None = None,
        remembered: Remembered | None = None,
        random: Callable[[int], bytes] = secrets.token_bytes,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        stopwatch: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Serve `presets` for `shop`.

        With `flags`, what is said of an item overrides a yes; with `names`, what a holder
        shows unasked is taken, once; `remembered` says what that costs a customer.
        """
        self._shop = shop
        self._verifier_of: Callable[[Preset], Verifier] = lambda preset: Verifier(
            preset.policy(), trust, statuses, algorithms=algorithms, remembered=remembered
        )
        self._presets: dict[str, Preset] = {}
        self._verifiers: dict[str, Verifier] = {}
        self.serve(presets)
        self._store = store
        self._random = random
        self._clock = clock
        self._stopwatch = stopwatch
        self._flags = flags
        self._names = names
        self._held = _HeldInMemory()
        self._scans = Scans()
        self._tidied_at: datetime | None = None

    @property
    def shop(self) -> Shop:
        """Who asks here."""
        return self._shop

    @property
    def is_shared(self) -> bool:
        """Whether other processes take answers, and are looked at, for the same sessions."""
        return self._store.is_shared

    def serve(self, presets: Iterable[Preset]) -> None:
        """Ask these from now on; what is open is judged by what its preset is by then."""
        served = {preset.name: preset for preset in presets}
        verifiers = {name: self._verifier_of(preset) for name, preset in served.items()}
        # Who is at work with a preset that has gone still finds what decides about it.
        self._verifiers = {**self._verifiers, **verifiers}
        self._presets = served

    def ask(
        self,
        preset_name: str,
        language: Language = "en",
        *,
        way: Way | None = None,
        handback: Handback | None = None,
        till: str | None = None,
        transaction_data: Sequence[str] = (),
        facts_key: str | None = None,
    ) -> Asked:
        """Ask one question; the wallet has two minutes.

        `way` overrules how the shop's requests come to wallets. With `handback` a yes
        counts only once that has come back; `till` binds the result to one till;
        `transaction_data` is to be signed along, and is forgotten with the answer.
        With `facts_key` (`held.new_facts_key`) what was shown waits in the store, for
        whoever has its secret; without, in this process's memory.

        Raises `Refused` (`preset-unknown`).
        """
        preset = self._presets.get(preset_name)
        if preset is None:
            expected = f"one of {', '.join(sorted(self._presets))}"
            raise Refused(Reason("preset-unknown", expected, "another", "preset"))
        waiting = self._shop.ask(
            preset,
            language=language,
            random=self._random,
            now=self._clock(),
            handback=handback,
            till=till,
            transaction_data=transaction_data,
            facts_key=facts_key,
        )
        link = self._shop.link(waiting, preset, way)
        self._store.add(waiting)
        return Asked(
            session_id=waiting.session_id,
            link=link,
            expires_at=waiting.expires_at,
            purpose=preset.purpose,
            retention=preset.retention,
        )

    def codes(self, session_id: SessionId, *, till: str | None = None) -> tuple[str, ...]:
        """Give the request itself as QR codes, for a customer or a till without a network.

        Show them in turn, three to five a second. Raises `NotOpen`.
        """
        session = _of_till(self._store.by_session(session_id), till)
        waiting, preset = self._open(session)
        return tuple(frames(self._shop.link(waiting, preset, Way.VALUE)))

    def scan(
        self,
        session_id: SessionId,
        code: str,
        *,
        till: str | None = None,
        facts_secret: str | None = None,
    ) -> Look | Scanning:
        """Take one QR code of the customer's answer; the last one makes it the answer.

        A code that is not of an answer leaves the request open. Raises `NotOpen`, `NoAnswer`,
        `Malformed` and what `Assembler.add` raises; a refusal is in the look that it gives.
        """
        session = _of_till(self._store.by_session(session_id), till)
        if isinstance(session, Answered):
            self._store.count_later_answer(session_id)
        waiting, preset = self._open(session)
        scanned = self._scans.add(session_id, code)
        if not isinstance(scanned, str):
            return Scanning(*scanned)
        key = self._shop.response_key(waiting)
        answer = read_answer(fields_of(scanned), state=waiting.state, key=key)
        if isinstance(answer, Declined):
            self._settle(waiting, Held(reasons=(answer.reason,)), Outcome.REFUSED, self._clock())
            return self.look(session_id, till=till, facts_secret=facts_secret)
        return self._decide_and_look(waiting, preset, answer, facts_secret)

    def take_shown(
        self, preset_name: str, code: str, *, till: str | None = None
    ) -> Look | Scanning:
        """Take a code that a phone shows unasked; a verdict of its own, `holder-shown`.

        Raises `Refused` (`preset-unknown`) and what `Assembler.add` raises; a refusal of what
        is shown is in the look that it gives. `Misuse` for a counter without `names`.
        """
        preset = self._presets.get(preset_name)
        if preset is None:
            expected = f"one of {', '.join(sorted(self._presets))}"
            raise Refused(Reason("preset-unknown", expected, "another", "preset"))
        if self._names is None:
            raise Misuse("expected a counter with one-time names, found one without")
        scanned = self._scans.add(SessionId(f"shown at {till or ''}"), code)
        if not isinstance(scanned, str):
            return Scanning(*scanned)
        now, started = self._clock(), self._stopwatch()
        as_of: datetime | None
        try:
            accepted = self._verifiers[preset.name].verify_shown(
                scanned, preset, Till(till or "", self._names), now=now
            )
            self._require_unflagged(accepted, preset)
        except (Malformed, Refused, Unavailable) as error:
            as_of = error.status_as_of if isinstance(error, NotAccepted | CouldNotCheck) else None
            held, outcome = _without_a_yes(error)
        else:
            held = Held(facts=_facts(accepted.claims[preset.name], preset))
            outcome, as_of = Outcome.ACCEPTED, accepted.status_as_of
        verdict = Verdict(
            outcome=outcome,
            codes=tuple(dict.fromkeys(reason.code for reason in held.reasons)),
            checked_at=now,
            status_as_of=as_of,
            took_ms=self._ms_since(started),
            kind="holder-shown",
        )
        answered = Answered(
            session_id=SessionId(b64url(self._random(_ID_BYTES))),
            preset=preset.name,
            verdict=verdict,
            later_answers=0,
            till=till,
        )
        self._store.keep(answered)
        return Look(session=answered, held=held)

    def request_object(self, request_id: RequestId, *, wallet_nonce: str | None = None) -> str:
        """Give the signed request that a wallet fetches, as often as it asks for it.

        `wallet_nonce` is the one that it sent along, if it did. Raises `NotOpen`.
        """
        waiting, preset = self._open(self._store.by_request(request_id))
        if isinstance(self._shop.identity, Unproved):
            raise _not_open("request-unknown", "a request to fetch", "one in a link", "id")
        return self._shop.signed_request(waiting, preset, wallet_nonce=wallet_nonce)

    def receive(self, request_id: RequestId, form: Mapping[str, str]) -> Received:
        """Take a wallet's answer; return only if it was accepted, or says that nothing is shown.

        The first answer with this request's `state` is the answer, good or bad.
        Bytes that are no answer leave the request open.

        Raises `NotOpen` (`request-unknown`, `request-expired`, `already-answered`,
        `state-mismatch`), `NoAnswer` (not encrypted as it must be), `Malformed`, or what
        `Verifier.verify` raises.
        """
        session = self._store.by_request(request_id)
        if isinstance(session, Answered):
            self._store.count_later_answer(session.session_id)
        waiting, preset = self._open(session)
        answer = read_answer(form, state=waiting.state, key=self._shop.response_key(waiting))
        handback = waiting.handback
        code = None if handback is None else new_code(handback, self._random)
        receipt = None
        if isinstance(answer, Declined):
            self._settle(waiting, Held(reasons=(answer.reason,)), Outcome.REFUSED, self._clock())
            if handback is not Handback.RESPONSE_CODE:
                return Received(is_declined=True)
        else:
            receipt = self._decide(waiting, preset, answer, code)
        if handback is None or code is None:
            return Received(receipt=receipt)
        return Received(
            is_declined=isinstance(answer, Declined),
            receipt=receipt,
            redirect_uri=return_address(self._shop, handback, code),
            match_code=code if handback is Handback.MATCH_CODE else None,
        )

    def check(
        self,
        session_id: SessionId,
        presentation: str,
        *,
        till: str | None = None,
        facts_secret: str | None = None,
    ) -> Look:
        """Take a presentation that came another way (pasted, scanned) as the answer.

        It came from the customer's hand, so nothing has to come back from there.
        Raises `NotOpen`; a refusal is in the look that it gives.
        """
        session = _of_till(self._store.by_session(session_id), till)
        if isinstance(session, Answered):
            self._store.count_later_answer(session_id)
        waiting, preset = self._open(session)
        vp_token = {preset.name: (presentation,)}
        return self._decide_and_look(waiting, preset, vp_token, facts_secret)

    def look(
        self,
        session_id: SessionId,
        *,
        code: str | None = None,
        till: str | None = None,
        facts_secret: str | None = None,
    ) -> Look:
        """Give what the counter shows of a session; the first look takes what is held.

        `code` is what came back from the customer's device; `till` the one that asked;
        `facts_secret` that of the key with which it asked.
        Raises `NotOpen` (`request-unknown`), to another till too.
        """
        session = _of_till(self._store.by_session(session_id), till)
        if session is None:
            raise _not_open("request-unknown", "a session of this counter", "another", "id")
        now = self._clock()
        if isinstance(session, Waiting):
            return Look(session=session.at(now), held=None)
        if code is not None and session.standing(now) is Standing.AWAITED:
            self._store.hand_back(session_id, code_digest(session_id, code))
            return self.look(session_id, till=till, facts_secret=facts_secret)
        if (standing := session.standing(now)) is not Standing.FIRM:
            return Look(session=session, held=None, standing=standing)
        held = self._held.take(session_id, session.verdict, now)
        if held is None and facts_secret is not None:
            kept = self._store.take_held(session_id, since=now - FACTS_HELD_FOR)
            held = None if kept is None else open_held(kept, facts_secret)
        return Look(session=session, held=held)

    def take_results(self, data: bytes) -> int:
        """Keep what another till found out while it was offline; see `keep_results`."""
        return keep_results(self._store, data)

    def summary(self) -> Summary:
        """Count the sessions in the store: those with a verdict, and those that still wait."""
        return self._store.summary(self._clock())

    def tidy(self) -> None:
        """Drop held facts that nobody came for, and verdicts past their time."""
        now = self._clock()
        self._held.drop_old(now)
        self._store.drop_keys(now, held_since=now - FACTS_HELD_FOR)
        if self._tidied_at is None or now - self._tidied_at >= _TIDY_STORE_EVERY:
            self._tidied_at = now
            self._store.forget_before(now - VERDICTS_KEPT_FOR)
            if self._names is not None:
                self._names.forget_names(now)

    def _open(self, session: Waiting | Answered | None) -> tuple[Waiting, Preset]:
        match session:
            case Waiting() if session.preset in self._presets:
                if isinstance(session.at(self._clock()), Expired):
                    raise _not_open("request-expired", "an open request", "an expired one", "id")
                return session, self._presets[session.preset]
            case Answered():
                raise _not_open("already-answered", "an open request", "an answered one", "id")
            case _:
                raise _not_open("request-unknown", "an open request", "an unknown one", "id")

    def _decide_and_look(
        self, waiting: Waiting, preset: Preset, vp_token: VpToken, facts_secret: str | None
    ) -> Look:
        try:
            self._decide(waiting, preset, vp_token)
        except NotOpen:
            raise
        except (Malformed, Refused, Unavailable):
            # It is all in the verdict.
            pass
        return self.look(waiting.session_id, till=waiting.till, facts_secret=facts_secret)

    def _decide(
        self, waiting: Waiting, preset: Preset, vp_token: VpToken, code: str | None = None
    ) -> str | None:
        """Make what was shown the session's verdict, and give the receipt for it."""
        now, started = self._clock(), self._stopwatch()
        request = self._shop.request(waiting, preset)
        try:
            accepted = self._verifiers[preset.name].verify(vp_token, request, now=now)
            self._require_unflagged(accepted, preset)
        except (Malformed, Refused, Unavailable) as error:
            as_of = error.status_as_of if isinstance(error, NotAccepted | CouldNotCheck) else None
            held, outcome = _without_a_yes(error)
            took_ms = self._ms_since(started)
            self._settle(waiting, held, outcome, now, took_ms=took_ms, status_as_of=as_of)
            raise
        receipt = receipt_for(
            self._shop,
            request,
            [claims for several in accepted.shown.values() for claims in several],
            now=now,
            # What really happens, whatever the preset told: it is gone with the tidying then.
            kept_until=now + VERDICTS_KEPT_FOR + _TIDY_STORE_EVERY,
        )
        self._settle(
            waiting,
            Held(facts=_facts(accepted.claims[preset.name], preset), receipt=receipt),
            Outcome.ACCEPTED,
            now,
            took_ms=self._ms_since(started),
            status_as_of=accepted.status_as_of,
            code=code,
        )
        return receipt

    def _require_unflagged(self, accepted: Accepted, preset: Preset) -> None:
        """Return only if nothing is said of the item that was proved, and that is known."""
        if self._flags is None:
            return
        item = item_in(accepted.claims[preset.name])
        found = judge_item(item, self._flags, now=accepted.checked_at)
        if found.reasons:
            raise NotAccepted(*found.reasons, status_as_of=accepted.status_as_of)
        if found.unknown:
            raise CouldNotCheck(*found.unknown, status_as_of=accepted.status_as_of)

    def _settle(
        self,
        waiting: Waiting,
        held: Held,
        outcome: Outcome,
        checked_at: datetime,
        *,
        took_ms: int = 0,
        status_as_of: datetime | None = None,
        code: str | None = None,
    ) -> None:
        """Make this the session's verdict, unless another answer was first."""
        verdict = Verdict(
            outcome=outcome,
            codes=tuple(dict.fromkeys(reason.code for reason in held.reasons)),
            checked_at=checked_at,
            status_as_of=status_as_of,
            took_ms=took_ms,
        )
        # Held before the verdict can be seen: a look in between would find the
        # light without its facts, and no later look would get them.
        shut = None if waiting.facts_key is None else shut_held(held, waiting.facts_key)
        if shut is None:
            self._held.put(waiting.session_id, verdict, held, self._clock())
        is_first = False
        try:
            # Checked first, consumed last: of many copies that verify, one is the answer.
            is_first = self._store.answer(
                waiting.session_id,
                verdict,
                code_hash=None if code is None else code_digest(waiting.session_id, code),
                held=shut,
            )
        finally:
            if not is_first:
                self._held.take_back(waiting.session_id, verdict, held)
        if not is_first:
            self._store.count_later_answer(waiting.session_id)
            self._open(self._store.by_session(waiting.session_id))
            raise _not_open("request-expired", "an open request", "an expired one", "id")

    def _ms_since(self, started: float) -> int:
        return round((self._stopwatch() - started) * 1000)


def _without_a_yes(error: Malformed | Refused | Unavailable) -> tuple[Held, Outcome]:
    match error:
        case Malformed():
            reason = Reason("malformed", error.expected, error.found, error.where)
            return Held(reasons=(reason,)), Outcome.REFUSED
        case Refused(reasons=reasons):
            return Held(reasons=reasons), Outcome.REFUSED
        case CouldNotCheck(reasons=reasons):
            return Held(reasons=reasons), Outcome.UNAVAILABLE
        case Unavailable():
            reason = Reason("could-not-check", "an answer", error.what, "policy")
            return Held(reasons=(reason,)), Outcome.UNAVAILABLE


def _facts(claims: JsonObject, preset: Preset) -> dict[str, Json]:
    """Give only what was asked for, by path; the rest of the credential goes at once."""
    facts: dict[str, Json] = {}
    for path in preset.claims:
        values = values_at(claims, path)
        facts[path_text(path)] = values[0] if len(values) == 1 else values
    return facts


class _HeldInMemory:
    """Facts and reasons, each beside the verdict that it explains.

    Several answers may be on their way for one session, and one becomes its
    verdict: what the others showed is never taken for what that one showed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[tuple[SessionId, Verdict], tuple[Held, datetime]] = {}

    def put(self, session_id: SessionId, verdict: Verdict, held: Held, now: datetime) -> None:
        with self._lock:
            self._held.setdefault((session_id, verdict), (held, now + FACTS_HELD_FOR))

    def take(self, session_id: SessionId, verdict: Verdict, now: datetime) -> Held | None:
        with self._lock:
            held, until = self._held.pop((session_id, verdict), (None, now))
        return held if now < until else None

    def take_back(self, session_id: SessionId, verdict: Verdict, held: Held) -> None:
        with self._lock:
            if self._held.get((session_id, verdict), (None, None))[0] is held:
                del self._held[session_id, verdict]

    def drop_old(self, now: datetime) -> None:
        with self._lock:
            self._held = {name: entry for name, entry in self._held.items() if now < entry[1]}


def _of_till(session: Waiting | Answered | None, till: str | None) -> Waiting | Answered | None:
    """Give the session to the till that asked, and to no other."""
    return None if session is not None and session.till != till else session


def _not_open(code: str, expected: str, found: str, where: str) -> NotOpen:
    return NotOpen(Reason(code, expected, found, where))
