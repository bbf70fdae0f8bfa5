"""The phone shows first: a code for the counter, when neither side is online.

    CounterPreset ─► Wallet.showable ─► the customer's choice ─► Wallet.show ─► CounterCodes
                                                                  .code() ─► a new one every 30 s

Nobody asked, so nobody's nonce is answered: the presentation names the preset as its
audience and its own time, and a till that knows the preset takes it once, within its
window. An older photograph of the screen is worth nothing. Each showing takes a copy
that nobody has seen, because the till that will see it is not known.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.dcql import CredentialQuery
from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.errors import Misuse
from counterfoil_credentials.key_binding import bind
from counterfoil_credentials.keys import Signer

from counterfoil_wallet.card_keys import CardKeys
from counterfoil_wallet.disclosures import Disclosure, answers_to
from counterfoil_wallet.held import HeldCredential
from counterfoil_wallet.history import Act, Event, Outcome, fresh_event_id
from counterfoil_wallet.showing import copies_for, take_for
from counterfoil_wallet.store import Store
from counterfoil_wallet.wire import Clock, Random, refuse

ROTATES_AFTER: Final = timedelta(seconds=30)
SHOWN_FOR: Final = timedelta(minutes=5)
_NONCE_BYTES: Final = 16
_ANYBODY: Final = "holder-shown"


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterPreset:
    """What counters of this preset want to see: one credential. `preset_id` is the audience."""

    preset_id: str
    query: CredentialQuery
    name: str | None = None

    def __post_init__(self) -> None:
        """Insist on one credential and a named audience."""
        if not self.preset_id or self.query.multiple:
            raise Misuse("expected a preset with an id that wants one credential, found another")


@dataclass(frozen=True, slots=True)
class Code:
    """What the screen shows as a QR code: an SD-JWT with key binding, until `until`."""

    text: str = field(repr=False)
    until: datetime


class CounterCodes:
    """The codes of one showing. Safe from several threads."""

    def __init__(
        self,
        preset: CounterPreset,
        shown: Disclosure,
        store: Store,
        clock: Clock,
        random: Random,
        *,
        signer: Signer,
    ) -> None:
        """Show `shown`, which was taken for this showing alone."""
        self._preset = preset
        self._shown = shown
        self._store = store
        self._clock = clock
        self._random = random
        self._signer = signer
        self._lock = threading.Lock()
        self._code: Code | None = None
        self.ends_at = clock() + SHOWN_FOR

    def code(self) -> Code:
        """Give the code to show now; call again at its `until`.

        Raises `Refused` with `showing-over` after five minutes, so that a phone that was
        laid down shows nothing, and for a card that was removed since; `Misuse` once the
        wallet is locked.
        """
        with self._lock:
            card = self._store.card(self._shown.credential.credential_id)
            if card is None or card.trashed_at is not None:
                raise refuse("showing-over", "a card that is held", "a removed one", "counter code")
            now = self._clock()
            if now >= self.ends_at:
                raise refuse(
                    "showing-over", "a showing of five minutes", "an older", "counter code"
                )
            if self._code is None or not self._code.until - ROTATES_AFTER <= now < self._code.until:
                self._code = Code(self._bound(now), min(now + ROTATES_AFTER, self.ends_at))
            return self._code

    def _bound(self, now: datetime) -> str:
        return bind(
            self._shown.sd_jwt,
            signer=self._signer,
            audience=self._preset.preset_id,
            nonce=b64url(self._random(_NONCE_BYTES)),
            now=now,
        )


def showable(
    preset: CounterPreset, held: Iterable[HeldCredential], store: Store, *, now: datetime
) -> tuple[Disclosure, ...]:
    """Give what could be shown for `preset`: valid first, then newest. Nothing is shown."""
    chosen = copies_for(store, _ANYBODY, at=now)
    return answers_to(preset.query, held, now=now, chosen=chosen)


def show(
    preset: CounterPreset,
    disclosure: Disclosure,
    store: Store,
    clock: Clock,
    random: Random,
    *,
    keys: CardKeys,
    may_link: bool,
) -> CounterCodes:
    """Begin a showing: take a copy for it alone, and write it down.

    The history says `sent`, because nobody tells the wallet what the till made of it.
    """
    now = clock()
    event = Event(
        event_id=fresh_event_id(random),
        at=now,
        act=Act.SHOWN,
        party=preset.preset_id,
        party_name=preset.name,
        types=(disclosure.credential.vct,),
        claims=disclosure.names,
        outcome=Outcome.SENT,
    )
    with store.step():
        # A verifier of its own for each showing: no copy is met by two tills.
        once = f"{_ANYBODY} {event.event_id}"
        shown = take_for(store, disclosure, once, at=now, may_link=may_link)
        signer = keys.of(shown.copy)
        store.put(event.to_record())
    return CounterCodes(preset, shown, store, clock, random, signer=signer)
