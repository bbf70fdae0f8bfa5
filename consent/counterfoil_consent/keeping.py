"""What becomes of facts beyond their block: kept under a law, or handed to a recipient.

Both happen inside the block that opened them, under terms or a law that name it.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from counterfoil_credentials.dids import Did
from counterfoil_credentials.errors import CounterfoilError, Misuse, Unavailable
from counterfoil_credentials.keys import Signer

from counterfoil_consent.erasing import Eraser
from counterfoil_consent.erasure import Released
from counterfoil_consent.facts import Facts
from counterfoil_consent.handover import HandedOver, Handover, seal_handover
from counterfoil_consent.key_folder import KeyFolder
from counterfoil_consent.receiver_rows import ReceiverRows, ended_refusal
from counterfoil_consent.receiver_store import ReceivedGrant
from counterfoil_consent.retention import Duty, open_kept, require_room, seal_kept
from counterfoil_consent.sealing import SealingKey
from counterfoil_consent.states import Erased, Granted, Retained
from counterfoil_consent.terms import ClaimName, Purpose
from counterfoil_consent.wire import GrantId, Random, fresh_grant_id, refuse, whole_second


class Keeper:
    """Facts of one receiver that outlive their read. Without `keys` nothing can be kept."""

    def __init__(
        self, rows: ReceiverRows, keys: KeyFolder | None, *, signer: Signer, random: Random
    ) -> None:
        self._rows = rows
        self._keys = keys
        self._signer = signer
        self._random = random

    def keep(self, facts: Facts, duty: Duty) -> Retained:
        """Keep facts under a law; see `Receiver.keep`."""
        keys = self._require_keys()
        grant = self._rows.grant(facts.grant_id)
        item = duty.item(grant.state.agreement, self._rows.clock())
        require_room(grant.kept, item.law)
        keys.begin(is_new=True)
        key_id = fresh_grant_id(self._random)
        key = keys.create(key_id, self._random)

        def kept(newest: ReceivedGrant) -> ReceivedGrant:
            if not isinstance(newest.state, Granted):
                raise ended_refusal()
            require_room(newest.kept, item.law)
            return replace(newest, kept=(*newest.kept, subset))

        try:
            subset = seal_kept(facts, item, key_id=key_id, key=key)
            self._rows.advance(grant.grant_id, kept)
        except CounterfoilError:
            keys.destroy(key_id)
            raise
        return item

    @contextmanager
    def read_kept(self, grant_id: str, law: str, purpose: Purpose) -> Generator[Facts, None, None]:
        """Open what is kept under a law; see `Receiver.read_kept`."""
        grant = self._rows.grant(grant_id)
        found = [subset for subset in grant.kept if subset.item.law == law]
        keys = self._require_keys()
        if not found or keys.is_destroyed(found[0].key_id):
            raise refuse("not-kept", "something kept under this law", "nothing", "law")
        key = keys.find(found[0].key_id)
        if key is None:
            raise Unavailable("expected the key of what is kept, found neither key nor tombstone")
        facts = open_kept(found[0], grant.grant_id, purpose, key=key, clock=self._rows.clock)
        try:
            yield facts
        finally:
            facts.close()

    def hand_over(
        self, facts: Facts, to: Did, key: SealingKey, claims: Sequence[ClaimName]
    ) -> HandedOver:
        """Seal facts to a recipient; see `Receiver.hand_over`."""
        grant = self._rows.grant(facts.grant_id)
        self._rows.require_readable(grant, grant.terms.purpose)
        if to not in {party.did for party in grant.terms.recipients}:
            raise refuse("recipient-not-named", "a recipient of the terms", "another", "recipient")
        handover = Handover.of(grant.state.agreement, to, tuple(claims))
        sealed = seal_handover(facts, handover, key)
        return HandedOver(token=handover.sign(self._signer, self._rows.clock()), sealed=sealed)

    def release(self, grant_id: GrantId, eraser: Eraser) -> None:
        """Erase what was kept under a law until now, and sign a second receipt that says so."""
        now = whole_second(self._rows.clock())
        over = {kept.key_id for kept in self._rows.grant(grant_id).kept if kept.item.until <= now}
        if not over:
            return
        keys = self._require_keys()
        for key_id in over:
            keys.destroy(key_id)

        def released(newest: ReceivedGrant) -> ReceivedGrant | None:
            gone = [kept.item for kept in newest.kept if kept.key_id in over]
            left = replace(newest, kept=tuple(k for k in newest.kept if k.key_id not in over))
            ending = newest.ending
            if not gone:
                return None
            if ending is None or not isinstance(newest.state, Erased):
                return left
            said = tuple(Released(item=item, erased_at=now) for item in gone)
            ending = replace(ending, released=(*ending.released, *said))
            return eraser.sign(left, ending, newest.state.trigger)

        self._rows.advance(grant_id, released)
        self._rows.store.scrub()

    def _require_keys(self) -> KeyFolder:
        if self._keys is None:
            raise Misuse("expected a key folder for what a law makes us keep, found none")
        return self._keys
