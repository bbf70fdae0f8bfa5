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
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.errors import Misuse, Reason, Refused, Unavailable
from counterfoil_credentials.jws import ES256_ONLY
from counterfoil_credentials.keys import Algorithm
from counterfoil_credentials.qr_frames import frames
from counterfoil_credentials.requests import VpToken

from counterfoil_verifier.answering import Declined, read_answer
from counterfoil_verifier.deciding import Decisions
from counterfoil_verifier.flags import FlagFeed, policy_at
from counterfoil_verifier.form_fields import fields_of
from counterfoil_verifier.handback import code_digest, new_code, return_address
from counterfoil_verifier.held import open_held
from counterfoil_verifier.held_in_memory import FACTS_HELD_FOR, HeldInMemory
from counterfoil_verifier.identity import Unproved
from counterfoil_verifier.looks import Asked, Look, Received, Scanning
from counterfoil_verifier.presets import Preset
from counterfoil_verifier.remembered import Remembered
from counterfoil_verifier.requesting import (
    Answered,
    Expired,
    Handback,
    NotOpen,
    RequestId,
    SessionId,
    Shop,
    Standing,
    Waiting,
    Way,
)
from counterfoil_verifier.results import keep_results
from counterfoil_verifier.scanning import Scans
from counterfoil_verifier.shown import Till
from counterfoil_verifier.signed_results import sign_result
from counterfoil_verifier.statuses import Statuses
from counterfoil_verifier.store import OneTimeNames, SessionStore, Summary
from counterfoil_verifier.trust import Trust
from counterfoil_verifier.trust_certified import CertifiedAlone
from counterfoil_verifier.verdict import TIDY_VERDICTS_EVERY, VERDICTS_KEPT_FOR
from counterfoil_verifier.verifier import Verifier
from counterfoil_verifier.words import Language

MOST_COUNTED: Final = 100
"""So many answers to one question are counted; more say nothing new."""

_ID_BYTES: Final = 32


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
        believed = CertifiedAlone(trust) if shop.is_strict else trust
        self._verifier_of: Callable[[Preset], Verifier] = lambda preset: Verifier(
            policy_at(preset, flags),
            believed,
            statuses,
            algorithms=algorithms,
            remembered=remembered,
        )
        self._presets: dict[str, Preset] = {}
        self._verifiers: dict[str, Verifier] = {}
        self.serve(presets)
        self._store = store
        self._random = random
        self._clock = clock
        self._names = names
        self._held = HeldInMemory()
        self._decisions = Decisions(shop, store, self._held, clock=clock, stopwatch=stopwatch)
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

        Raises `Refused` (`preset-unknown`), and `Misuse` for a voucher with `handback`.
        """
        preset = self._presets.get(preset_name)
        if preset is None:
            expected = f"one of {', '.join(sorted(self._presets))}"
            raise Refused(Reason("preset-unknown", expected, "another", "preset"))
        if preset.taken_once and handback is not None:
            # A yes that waits for a code may never count; the voucher would be spent for it.
            raise Misuse("expected a voucher to be taken at once, found one that hands back")
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
        return tuple(frames(self._shop.whole_link(waiting, preset)))

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
        # A camera that looks on for a moment brings no later answer.
        waiting, preset = self._open(_of_till(self._store.by_session(session_id), till))
        scanned = self._scans.add(session_id, code, self._clock())
        if not isinstance(scanned, str):
            return Scanning(*scanned)
        key = self._shop.response_key(waiting)
        answer = read_answer(fields_of(scanned, "codes"), state=waiting.state, key=key)
        if isinstance(answer, Declined):
            self._decisions.decline(waiting, answer.reason)
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
        name = SessionId(f"shown at {till or ''}")
        scanned = self._scans.add(name, code, self._clock())
        if not isinstance(scanned, str):
            return Scanning(*scanned)
        return self._decisions.decide_shown(
            SessionId(b64url(self._random(_ID_BYTES))),
            preset,
            self._verifiers[preset.name],
            scanned,
            Till(till or "", self._names),
        )

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
        waiting, preset = self._to_answer(self._store.by_request(request_id))
        answer = read_answer(form, state=waiting.state, key=self._shop.response_key(waiting))
        handback = waiting.handback
        code = None if handback is None else new_code(handback, self._random)
        receipt = None
        if isinstance(answer, Declined):
            self._decisions.decline(waiting, answer.reason)
            if handback is not Handback.RESPONSE_CODE:
                return Received(is_declined=True)
        else:
            verifier = self._verifiers[preset.name]
            receipt = self._decisions.decide(waiting, preset, verifier, answer, code)
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
        waiting, preset = self._to_answer(session)
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

    def listen(self, heard: Callable[[SessionId], None]) -> None:
        """Call `heard` when a session has changed, if that can be known; see `SessionStore`."""
        self._store.listen(heard)

    def take_results(self, data: bytes) -> int:
        """Keep what another till found out while it was offline; see `keep_results`."""
        return keep_results(self._store, data)

    def signed_result(self, session_id: SessionId, *, till: str | None = None) -> str:
        """Give the shop's signed word on a verdict that counts; see `sign_result`.

        What is held for a look stays where it is.
        """
        session = _of_till(self._store.by_session(session_id), till)
        return sign_result(self._shop, session, self._clock())

    def summary(self) -> Summary:
        """Count the sessions in the store: those with a verdict, and those that still wait."""
        return self._store.summary(self._clock())

    def tidy(self) -> None:
        """Drop held facts that nobody came for, and verdicts past their time."""
        now = self._clock()
        self._held.drop_old(now)
        self._scans.drop_old(now)
        self._store.drop_keys(now, held_since=now - FACTS_HELD_FOR)
        if self._tidied_at is None or abs(now - self._tidied_at) >= TIDY_VERDICTS_EVERY:
            self._tidied_at = now
            self._store.forget_before(now - VERDICTS_KEPT_FOR)
            if self._names is not None:
                self._names.forget_names(now)

    def _to_answer(self, session: Waiting | Answered | None) -> tuple[Waiting, Preset]:
        """Give the open question that an answer came to; one that came too late is counted."""
        # Whoever saw the code may send any number: each costs a reading, and few a writing.
        if isinstance(session, Answered) and session.later_answers < MOST_COUNTED:
            self._store.count_later_answer(session.session_id)
        return self._open(session)

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
            self._decisions.decide(waiting, preset, self._verifiers[preset.name], vp_token)
        except NotOpen:
            raise
        except (Refused, Unavailable):
            # It is all in the verdict.
            pass
        return self.look(waiting.session_id, till=waiting.till, facts_secret=facts_secret)


def _of_till(session: Waiting | Answered | None, till: str | None) -> Waiting | Answered | None:
    """Give the session to the till that asked, and to no other."""
    return None if session is not None and session.till != till else session


def _not_open(code: str, expected: str, found: str, where: str) -> NotOpen:
    return NotOpen(Reason(code, expected, found, where))
