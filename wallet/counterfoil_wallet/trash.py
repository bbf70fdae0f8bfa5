"""The trash: what was removed can be taken back for thirty days, and is then gone with its keys.

Grants have none: to withdraw is final. A card in the trash is shown to nobody.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from counterfoil_wallet import acceptance_records
from counterfoil_wallet.acceptance import RENEWABLE, Finished, Renewal
from counterfoil_wallet.card_keys import CardKeys
from counterfoil_wallet.held import CredentialId, HeldCredential
from counterfoil_wallet.history import Act, Event, fresh_event_id
from counterfoil_wallet.reading import readable
from counterfoil_wallet.store import Kind, Store
from counterfoil_wallet.wire import Clock, Random, refuse

KEPT_FOR: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Removed:
    """A card in the trash. From `gone_at` on it cannot be taken back."""

    credential: HeldCredential
    gone_at: datetime


class Trash:
    """The trash of one store."""

    def __init__(self, store: Store, clock: Clock, random: Random, keys: CardKeys) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._keys = keys

    def all(self) -> list[Removed]:
        """Give what can be taken back, first removed first."""
        removed = [
            Removed(card, card.trashed_at + KEPT_FOR)
            for card in self._store.cards(trashed=True)
            if card.trashed_at is not None
        ]
        now = self._clock()
        return sorted((one for one in removed if one.gone_at > now), key=lambda one: one.gone_at)

    def remove(self, credential_id: CredentialId) -> Removed:
        """Put a card into the trash. One that is there stays, with its time."""
        with self._store.step():
            card = self._known(credential_id)
            at = card.trashed_at
            if at is None:
                at = self._clock().replace(microsecond=0)
                self._store.trash(credential_id, at)
                self._store.put(self._event(Act.REMOVED, card).to_record())
        return Removed(card, at + KEPT_FOR)

    def take_back(self, credential_id: CredentialId) -> HeldCredential:
        """Take a card out of the trash; one that is not in it is given as it is."""
        with self._store.step():
            card = self._known(credential_id)
            if card.trashed_at is None:
                return card
            self._store.trash(credential_id, None)
            self._store.put(self._event(Act.TAKEN_BACK, card).to_record())
            return self._known(credential_id)

    def empty(self, *, at_once: bool = False) -> int:
        """Destroy what has been in the trash for thirty days, or all of it; give how many.

        The way to more copies goes with the last card that it was for.
        """
        now = self._clock()
        with self._store.step():
            over = [
                card.credential_id
                for card in self._store.cards(trashed=True)
                if at_once or _is_gone(card, now)
            ]
            copies = [copy for each in over for copy in self._store.copies(each)]
            for credential_id in over:
                self._store.discard(credential_id)
            renewable = self._store.find(Kind.ACCEPTANCE, [RENEWABLE])
            for finished in readable(renewable, acceptance_records.from_record):
                if isinstance(finished, Finished) and self._is_for_nothing(finished.renewal):
                    self._store.put(acceptance_records.to_record(replace(finished, renewal=None)))
        # First what this wallet knows of them: a store that does not answer stops nothing.
        self._keys.destroy(copies)
        return len(over)

    def _is_for_nothing(self, renewal: Renewal | None) -> bool:
        return renewal is not None and all(
            self._store.card(each.card) is None for each in renewal.cards
        )

    def _known(self, credential_id: CredentialId) -> HeldCredential:
        card = self._store.card(credential_id)
        if card is None or _is_gone(card, self._clock()):
            raise refuse("credential-unknown", "a card that is held", "none", "credential_id")
        return card

    def _event(self, act: Act, card: HeldCredential) -> Event:
        return Event(
            event_id=fresh_event_id(self._random),
            at=self._clock(),
            act=act,
            party=card.issuer,
            types=(card.vct,),
        )


def _is_gone(card: HeldCredential, now: datetime) -> bool:
    return card.trashed_at is not None and card.trashed_at + KEPT_FOR <= now
