"""How a receiver stops: on whose word, what is destroyed at once, and who must be told.

    stop      a verified event ─► the row has ended, its ciphertext is dropped, our key destroyed
    finish    everything else that was left, everywhere, and what can be said of it (erasing.py)

What is stopped stays so; whatever is left undone, the next sweep does.
"""

import logging
from dataclasses import replace
from typing import Final

from counterfoil_credentials.errors import CounterfoilError, Unavailable
from counterfoil_credentials.keys import Signer

from counterfoil_consent.access_log import AccessChain
from counterfoil_consent.anchoring import Anchoring
from counterfoil_consent.artefacts import StopNotice
from counterfoil_consent.ending import Ending
from counterfoil_consent.erasing import Eraser
from counterfoil_consent.events import EndEvent, Parties, Pause, read_end, read_pause, sign_end
from counterfoil_consent.key_folder import KeyFolder
from counterfoil_consent.parties import CustodianParty, ReceiverParty
from counterfoil_consent.receiver_rows import ReceiverRows, ended_refusal
from counterfoil_consent.receiver_store import ReceivedGrant
from counterfoil_consent.set_outbox import Letter
from counterfoil_consent.set_push import letter_to
from counterfoil_consent.states import Active, Granted, Suspended, Trigger
from counterfoil_consent.wire import GrantId, Random, refuse, whole_second

_LOG: Final = logging.getLogger("counterfoil.consent")


class Stopper:
    """Ends and pauses of one receiver's grants."""

    def __init__(
        self,
        rows: ReceiverRows,
        keys: KeyFolder,
        *,
        party: ReceiverParty,
        signer: Signer,
        custodian: CustodianParty,
        eraser: Eraser,
        chain: AccessChain | None,
        anchoring: Anchoring | None,
        random: Random,
    ) -> None:
        self._rows = rows
        self._keys = keys
        self._party = party
        self._signer = signer
        self._custodian = custodian
        self._eraser = eraser
        self._chain = chain
        self._anchoring = anchoring
        self._random = random

    def end(self, grant_id: str, token: str) -> str:
        """Stop, and finish; see `Receiver.end`."""
        notice = self.stop(grant_id, token)
        self.finish(grant_id)
        return notice

    def stop(self, grant_id: str, token: str) -> str:
        """Stop on a verified event; see `Receiver.stop`."""
        grant = self._rows.grant(grant_id)
        event = read_end(
            token,
            grant_id=grant.grant_id,
            parties=Parties.of(grant.state.agreement),
            audience=self._party.client_id,
            now=self._rows.clock(),
        )
        return self._stop(grant.grant_id, event, token)

    def end_ourselves(self, grant_id: str, trigger: Trigger) -> str:
        """End a grant by our own word; see `Receiver.complete` and `Receiver.terminate`."""
        return self.end(grant_id, self._signed_end(self._rows.grant(grant_id), trigger))

    def pause(self, grant_id: str, token: str) -> Pause:
        """Suspend or resume; see `Receiver.pause`."""
        grant = self._rows.grant(grant_id)
        pause = read_pause(
            token,
            grant_id=grant.grant_id,
            holder=grant.state.agreement.holder,
            audience=self._party.client_id,
        )

        def paused(grant: ReceivedGrant) -> ReceivedGrant | None:
            if isinstance(grant.state, Granted) and pause.sequence <= grant.paused:
                return None
            match grant.state:
                case Active() if pause.is_suspended:
                    return replace(grant, state=grant.state.suspend(), paused=pause.sequence)
                case Suspended() if not pause.is_suspended:
                    return replace(grant, state=grant.state.resume(), paused=pause.sequence)
                case Active() | Suspended():
                    return replace(grant, paused=pause.sequence)
                case Granted():
                    raise refuse("grant-not-active", "a grant with its bundle", "none", "grant")
                case _:
                    raise ended_refusal()

        found = self._rows.advance(grant.grant_id, paused, self._letters(grant, token, pause))
        return Pause(found.paused, isinstance(found.state, Suspended))

    def stop_expired(self, grant_id: GrantId) -> None:
        """Stop a grant whose time is over."""
        grant = self._rows.grant(grant_id)
        if isinstance(grant.state, Granted) and self._rows.clock() >= grant.terms.valid_until:
            # The custodian's clock says "expired" too; ours may be the only word it gets.
            token = self._signed_end(grant, Trigger.TERMINATED)
            event = EndEvent(
                grant_id=grant_id,
                event_id=f"expired-{grant_id}",
                trigger=Trigger.EXPIRED,
                ended_at=grant.terms.valid_until,
            )
            self._stop(grant_id, event, token)

    def stop_restored(self) -> None:
        """Stop each grant in force whose sealing key is destroyed: its row is from a backup.

        `end_due` does the rest, and the custodian's statement says who ended it.
        """
        for request_id in self._keys.tombstones():
            request = self._rows.store.find_request(request_id)
            if request is None or request.answered_by is None:
                continue
            grant = self._rows.grant(request.answered_by)
            if isinstance(grant.state, Granted):
                self.stop_elsewhere(grant)

    def stop_elsewhere(self, grant: ReceivedGrant) -> None:
        """Stop a grant that ended without our hearing of it: with an event of our own."""
        event = EndEvent(
            grant_id=grant.grant_id,
            event_id=f"restored-{grant.grant_id}",
            trigger=Trigger.TERMINATED,
            ended_at=whole_second(self._rows.clock()),
        )
        self._stop(grant.grant_id, event, self._signed_end(grant, Trigger.TERMINATED))

    def finish(self, grant_id: str) -> None:
        """Finish what can be finished now; see `Receiver.finish`."""
        try:
            self.finish_among(self._rows.grant(grant_id).grant_id, set())
        except Unavailable as trouble:
            # Stopped is stopped, and may be said. The receipt follows with `end_due`.
            _LOG.warning("an erasure could not be finished now: %s", type(trouble).__name__)

    def finish_among(self, grant_id: GrantId, away: set[str]) -> None:
        """Destroy our key, ask whoever has not answered, sign what can be said.

        Who is `away` is not asked; who is found to be is added.
        """
        grant = self._rows.grant(grant_id)
        if isinstance(grant.state, Granted):
            return
        self._keys.destroy(grant.request_id)
        if self._chain is not None:
            self._chain.close(grant_id)
        if self._anchoring is not None:
            self._anchoring.forget(grant_id)
        if grant.ending is None or (grant.ending.erasure_receipt and grant.has_all_papers):
            return
        gathered = self._eraser.gather(grant, grant.ending, away)
        # The receipt says "deleted": also from the journal that the database writes first.
        self._rows.store.scrub()
        self._rows.advance(grant_id, lambda newest: self._eraser.conclude(newest, gathered))

    def destroy_left_over(self) -> None:
        """Destroy each sealing key that no request or grant in force needs."""
        for request_id in self._keys.names():
            try:
                request = self._rows.store.find_request(request_id)
                if request is not None and request.answered_by is not None:
                    grant = self._rows.store.find_grant(request.answered_by)
                    is_needed = grant is not None and isinstance(grant.state, Granted)
                else:
                    is_needed = request is not None
                if not is_needed or self._keys.is_destroyed(request_id):
                    self._keys.destroy(request_id)
            except CounterfoilError as trouble:
                _LOG.warning("a key could not be destroyed now: %s", type(trouble).__name__)

    def _stop(self, grant_id: GrantId, event: EndEvent, token: str) -> str:
        """Mark the grant as ended and drop its ciphertext, in one transaction; then our key."""

        def stopped(grant: ReceivedGrant) -> ReceivedGrant | None:
            if not isinstance(grant.state, Granted):
                return None
            now = whole_second(self._rows.clock())
            notice = StopNotice(
                grant_id=grant_id,
                event_id=event.event_id,
                trigger=event.trigger,
                stopped_at=now,
            ).sign(self._signer)
            ending = Ending(
                event_id=event.event_id,
                event=token,
                requested_at=event.ended_at,
                stopped_at=now,
                stop_notice=notice,
            )
            return replace(grant, state=grant.state.end(event.trigger, now), ending=ending)

        letters = self._letters(self._rows.grant(grant_id), token)
        grant = self._rows.advance(grant_id, stopped, letters)
        if grant.ending is None:
            raise ended_refusal()
        try:
            self._keys.destroy(grant.request_id)
        except Unavailable as trouble:
            # Stopped is stopped, and may be said. `end_due` destroys it when the folder is back.
            _LOG.warning("a sealing key could not be destroyed now: %s", type(trouble).__name__)
        return grant.ending.stop_notice

    def _signed_end(self, grant: ReceivedGrant, trigger: Trigger) -> str:
        return sign_end(
            grant.state.agreement,
            trigger,
            signer=self._signer,
            now=self._rows.clock(),
            random=self._random,
        )

    def _letters(
        self, grant: ReceivedGrant, token: str, pause: Pause | None = None
    ) -> list[Letter]:
        """Give the event to whoever else holds something of the grant.

        A recipient's endpoint is for the end alone: a pause stops our reads, and it has none.
        """
        custodian = self._custodian.origin
        doors = {custodian: f"{custodian}/events"}
        if pause is None:
            recipients = grant.terms.recipients
            doors.update((party.did, party.end_url(grant.grant_id)) for party in recipients)
        return [letter_to(to, token, pause=pause, endpoint=at) for to, at in doors.items()]
