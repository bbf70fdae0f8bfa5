"""From what was shown to the one verdict of a session, and what its first look may take.

    decisions = Decisions(shop, store, held, clock=clock, stopwatch=stopwatch)
    receipt = decisions.decide(waiting, preset, verifier, vp_token)    # or raises, and it is red

The store says which of several answers became the verdict; nothing of the others stays.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from counterfoil_credentials.claims import path_text, values_at
from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import Malformed, Reason, Refused, Unavailable
from counterfoil_credentials.requests import PresentationRequest, VpToken
from counterfoil_credentials.voucher import TakenVoucher

from counterfoil_verifier.handback import code_digest
from counterfoil_verifier.held import Held, shut_held
from counterfoil_verifier.held_in_memory import HeldInMemory
from counterfoil_verifier.looks import Look
from counterfoil_verifier.outcomes import CouldNotCheck, NotAccepted
from counterfoil_verifier.presets import Preset
from counterfoil_verifier.receipts import receipt_for
from counterfoil_verifier.requesting import Answered, NotOpen, SessionId, Shop, Waiting
from counterfoil_verifier.shown import Till
from counterfoil_verifier.store import NameTaken, OneTimeName, SessionStore
from counterfoil_verifier.verdict import (
    TIDY_VERDICTS_EVERY,
    VERDICTS_KEPT_FOR,
    Kind,
    Outcome,
    Verdict,
)
from counterfoil_verifier.verifier import Verifier
from counterfoil_verifier.voucher_desk import SPENT, one_use_of

_OPEN: Final = "an open request"


class Decisions:
    """Makes verdicts, and puts each where the store and the first look find it."""

    def __init__(
        self,
        shop: Shop,
        store: SessionStore,
        held: HeldInMemory,
        *,
        clock: Callable[[], datetime],
        stopwatch: Callable[[], float],
    ) -> None:
        """Decide for `shop`."""
        self._shop = shop
        self._store = store
        self._held = held
        self._clock = clock
        self._stopwatch = stopwatch

    def decide(
        self,
        waiting: Waiting,
        preset: Preset,
        verifier: Verifier,
        vp_token: VpToken,
        code: str | None = None,
    ) -> str | None:
        """Make what was shown the session's verdict, and give the receipt for it.

        A preset that is `taken_once` takes the voucher in the same step, or not at all.
        With `code` a yes waits until that has come back. Raises what `Verifier.verify`
        raises, after it has become the verdict, and `Refused` in the place of `Malformed`;
        `NotOpen` when another answer was first.
        """
        now, started = self._clock(), self._stopwatch()
        request = self._shop.request(waiting, preset)
        try:
            accepted = verifier.verify(vp_token, request, now=now)
            use = one_use_of(accepted.claims[preset.name]) if preset.taken_once else None
        except (Malformed, Refused, Unavailable) as error:
            held, outcome, as_of = _without_a_yes(error)
            self._settle(waiting, held, self._verdict(outcome, held, as_of, now, started))
            if isinstance(error, Malformed):
                # It was the answer all the same: `Malformed` is what leaves the question open.
                raise NotAccepted(*held.reasons, status_as_of=None) from error
            raise
        receipt = receipt_for(
            self._shop,
            request,
            [claims for several in accepted.shown.values() for claims in several],
            now=now,
            # What really happens, whatever the preset told: it is gone with the tidying then.
            kept_until=now + VERDICTS_KEPT_FOR + TIDY_VERDICTS_EVERY,
        )
        taken = None if use is None else _taken(vp_token, preset, request, now)
        facts = _facts(accepted.claims[preset.name], preset)
        held = Held(facts=facts, receipt=receipt, taken=taken)
        as_of = accepted.status_as_of
        verdict = self._verdict(Outcome.ACCEPTED, held, as_of, now, started)
        try:
            self._settle(waiting, held, verdict, code=code, spends=use)
        except NameTaken:
            held = Held(reasons=(SPENT,))
            self._settle(waiting, held, self._verdict(Outcome.REFUSED, held, as_of, now, started))
            raise NotAccepted(SPENT, status_as_of=as_of) from None
        return receipt

    def decide_shown(
        self,
        session_id: SessionId,
        preset: Preset,
        verifier: Verifier,
        presentation: str,
        till: Till,
    ) -> Look:
        """Give the look at what a holder shows unasked: a session of its own, answered."""
        now, started = self._clock(), self._stopwatch()
        try:
            accepted = verifier.verify_shown(presentation, preset, till, now=now)
        except (Malformed, Refused, Unavailable) as error:
            held, outcome, as_of = _without_a_yes(error)
        else:
            held = Held(facts=_facts(accepted.claims[preset.name], preset))
            outcome, as_of = Outcome.ACCEPTED, accepted.status_as_of
        answered = Answered(
            session_id=session_id,
            preset=preset.name,
            verdict=self._verdict(outcome, held, as_of, now, started, kind="holder-shown"),
            later_answers=0,
            till=till.name or None,
        )
        self._store.keep(answered)
        return Look(session=answered, held=held)

    def decline(self, waiting: Waiting, reason: Reason) -> None:
        """Make the wallet's no the session's verdict; `NotOpen` when another was first."""
        held, now = Held(reasons=(reason,)), self._clock()
        verdict = self._verdict(Outcome.REFUSED, held, None, now, self._stopwatch())
        self._settle(waiting, held, verdict)

    def _verdict(
        self,
        outcome: Outcome,
        held: Held,
        status_as_of: datetime | None,
        checked_at: datetime,
        started: float,
        *,
        kind: Kind = "asked",
    ) -> Verdict:
        return Verdict(
            outcome=outcome,
            codes=tuple(dict.fromkeys(reason.code for reason in held.reasons)),
            checked_at=checked_at,
            status_as_of=status_as_of,
            took_ms=round((self._stopwatch() - started) * 1000),
            kind=kind,
        )

    def _settle(
        self,
        waiting: Waiting,
        held: Held,
        verdict: Verdict,
        *,
        code: str | None = None,
        spends: OneTimeName | None = None,
    ) -> None:
        """Make this the session's verdict, unless another answer was first.

        Raises `NameTaken`, and the session waits on, when `spends` was taken before.
        """
        session_id = waiting.session_id
        # Held before the verdict can be seen: a look in between would find the
        # light without its facts, and no later look would get them.
        shut = None if waiting.facts_key is None else shut_held(held, waiting.facts_key)
        if shut is None:
            self._held.put(session_id, verdict, held, self._clock())
        is_first = False
        try:
            # Checked first, consumed last: of many copies that verify, one is the answer.
            is_first = self._store.answer(
                session_id,
                verdict,
                code_hash=None if code is None else code_digest(session_id, code),
                held=shut,
                spends=spends,
            )
        finally:
            if not is_first:
                self._held.take_back(session_id, verdict, held)
        if not is_first:
            self._store.count_later_answer(session_id)
            if isinstance(self._store.by_session(session_id), Answered):
                raise NotOpen(Reason("already-answered", _OPEN, "an answered one", "id"))
            raise NotOpen(Reason("request-expired", _OPEN, "an expired one", "id"))


def _without_a_yes(
    error: Malformed | Refused | Unavailable,
) -> tuple[Held, Outcome, datetime | None]:
    """Give what to hold, the outcome, and the age of the status list that took part."""
    match error:
        case Malformed():
            reason = Reason("malformed", error.expected, error.found, error.where)
            return Held(reasons=(reason,)), Outcome.REFUSED, None
        case NotAccepted(reasons=reasons, status_as_of=status_as_of):
            return Held(reasons=reasons), Outcome.REFUSED, status_as_of
        case Refused(reasons=reasons):
            return Held(reasons=reasons), Outcome.REFUSED, None
        case CouldNotCheck(reasons=reasons, status_as_of=status_as_of):
            return Held(reasons=reasons), Outcome.UNAVAILABLE, status_as_of
        case Unavailable():
            reason = Reason("could-not-check", "an answer", error.what, "policy")
            return Held(reasons=(reason,)), Outcome.UNAVAILABLE, None


def _taken(
    vp_token: VpToken, preset: Preset, request: PresentationRequest, now: datetime
) -> JsonObject:
    """Give what the shop hands in to the brand: it proves who gave the voucher, and where."""
    (presentation,) = vp_token[preset.name]
    return TakenVoucher(
        presentation=presentation,
        shop=request.client_id,
        nonce=request.nonce,
        taken_at=now.replace(microsecond=0),
    ).to_json()


def _facts(claims: JsonObject, preset: Preset) -> dict[str, Json]:
    """Give only what was asked for, by path; the rest of the credential goes at once."""
    facts: dict[str, Json] = {}
    for path in preset.claims:
        values = values_at(claims, path)
        facts[path_text(path)] = values[0] if len(values) == 1 else values
    return facts
