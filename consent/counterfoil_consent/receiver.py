"""The receiver: asks, holds what was granted sealed, reads under lease, erases at the end.

    request ─► receive ─► accept_bundle ─► read, read, … ─► end ─► erasure_receipt

A brand, a shop or an insurer mounts this. What lies in its store opens only with
the custodian's share, which comes one read at a time and not at all after the end.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from typing import Final

from counterfoil_credentials.dids import Did, did_jwk
from counterfoil_credentials.errors import CounterfoilError, Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.keys import Signer
from counterfoil_credentials.requests import VpToken, client_id_of

from counterfoil_consent.access_log import AccessChain, AccessEvents
from counterfoil_consent.accesses import Accesses
from counterfoil_consent.anchoring import Anchoring
from counterfoil_consent.artefacts import require_grant
from counterfoil_consent.client import CustodianClient
from counterfoil_consent.desk import Desk
from counterfoil_consent.erasing import Eraser, FetchedReceipts, RecipientCalls
from counterfoil_consent.events import Pause
from counterfoil_consent.facts import Facts, IssuerTrust, StatusCheck
from counterfoil_consent.handover import HandedOver
from counterfoil_consent.keeping import Keeper
from counterfoil_consent.key_folder import KeyFolder
from counterfoil_consent.parties import CustodianParty, ReceiverParty
from counterfoil_consent.reading import Reader
from counterfoil_consent.receiver_rows import ReceiverRows
from counterfoil_consent.receiver_store import (
    Cursor,
    Listing,
    ReceivedGrant,
    ReceiverStore,
    Summary,
)
from counterfoil_consent.receiving import ERASE_WITHIN, Intake
from counterfoil_consent.requesting import Opened, Requests, Wish
from counterfoil_consent.retention import Duty
from counterfoil_consent.sealing import SealingKey
from counterfoil_consent.set_inbox import Inbox
from counterfoil_consent.set_push import Pusher, hear
from counterfoil_consent.states import Erased, Level, Retained, Trigger
from counterfoil_consent.stopping import Stopper
from counterfoil_consent.systems import RegisteredSystem
from counterfoil_consent.terms import ClaimName, Purpose
from counterfoil_consent.usage import UsageRequest
from counterfoil_consent.wire import SKEW, Clock, GrantId, Random, refuse

MAX_REQUEST_AGE: Final = timedelta(minutes=2)
REQUEST_KEPT: Final = timedelta(hours=1)
"""How long an expired request without an answer can still be looked up."""

_ENDED_AT_ONCE: Final = 100
_ASK_FOR: Final = timedelta(seconds=30)
_LOG: Final = logging.getLogger("counterfoil.consent")


class Receiver:
    """One receiver: its public origin and name, its keys, its rows, and its custodian."""

    def __init__(
        self,
        *,
        origin: str,
        name: str,
        signer: Signer,
        custodian: CustodianParty,
        store: ReceiverStore,
        keys: KeyFolder,
        fetcher: Fetcher,
        trust: IssuerTrust,
        status: StatusCheck,
        clock: Clock,
        random: Random,
        systems: Sequence[RegisteredSystem] = (),
        recipients: RecipientCalls | None = None,
        accesses: Accesses | None = None,
        access_events: AccessEvents | None = None,
        anchoring: Anchoring | None = None,
        kept_keys: KeyFolder | None = None,
        attestors: Collection[Did] = (),
    ) -> None:
        """Start over what is stored.

        `systems` erase at an end too; `recipients` are told over HTTPS unless said
        otherwise. Without `accesses` no read is logged and no receipt reaches E3;
        without `kept_keys`, a folder beside `keys` and like it, nothing can be kept
        under a law. `attestors` are whose word makes E4 here. With `access_events` each
        opening of facts is written down before it happens, for the customer and for an
        auditor; `anchoring` puts the heads of that log where they cannot be changed.

        Raises `Unavailable` when there are rows and the key folder is not the one
        that was in use: without it nobody may say which keys are destroyed.
        """
        self.party = ReceiverParty(client_id=client_id_of(did_jwk(signer.public)), name=name)
        self._origin = origin
        self._rows = rows = ReceiverRows(store, clock)
        self._accesses = accesses
        self._anchoring = anchoring
        self._chain = None if access_events is None else AccessChain(access_events, signer=signer)
        asked = CustodianClient(custodian, fetcher)
        self._eraser = Eraser(
            signer=signer,
            custodian=asked,
            recipients=recipients or FetchedReceipts(fetcher),
            systems=systems,
            accesses=accesses,
            chain=self._chain,
            attestors=attestors,
            clock=clock,
        )
        self.inbox = Inbox(
            custodian, fetcher, signer=signer, clock=clock, random=random, hear=self.hear
        )
        self.outbox = store.outbox
        self.pusher = Pusher(self.outbox, fetcher, clock=clock, random=random)
        self._requests = Requests(
            rows,
            keys,
            party=self.party,
            origin=origin,
            signer=signer,
            custodian=custodian,
            random=random,
        )
        self._intake = Intake(rows, keys, signer=signer)
        self._stopper = Stopper(
            rows,
            keys,
            party=self.party,
            signer=signer,
            custodian=custodian,
            eraser=self._eraser,
            chain=self._chain,
            anchoring=anchoring,
            random=random,
        )
        self._reader = Reader(
            rows,
            keys,
            signer=signer,
            custodian=asked,
            inbox=self.inbox,
            stopper=self._stopper,
            trust=trust,
            status=status,
            random=random,
            accesses=accesses,
            chain=self._chain,
            anchoring=anchoring,
        )
        self._keeper = Keeper(rows, kept_keys, signer=signer, random=random)
        keys.begin(is_new=store.is_empty())
        self._stopper.destroy_left_over()
        self._stopper.stop_restored()

    def request(self, wish: Wish) -> Opened:
        """Sign a request for `wish` and give the link to it.

        Raises `Refused` with `retention-exceeded` when the data would be readable
        for longer than a claim may be kept.
        """
        return self._requests.open(wish)

    def request_object(self, request_id: str) -> str:
        """Give the signed request object, while it waits or has been answered."""
        return self._rows.request(request_id).token

    def notice(self, sha256: str) -> str:
        """Give the text of a notice by its digest."""
        return self._requests.notice(sha256)

    def answer_to(self, request_id: str) -> ReceivedGrant | None:
        """Give the grant that answered a request, or None while it waits."""
        answered_by = self._rows.request(request_id).answered_by
        return None if answered_by is None else self._rows.grant(answered_by)

    def receive(self, request_id: str, vp_token: VpToken) -> ReceivedGrant:
        """Check the grant that answers a request, and keep it. Sent again, nothing changes.

        Raises `Refused` with the codes of `check_grant`, `request-expired`, or
        `request-already-answered`.
        """
        return self._intake.receive(request_id, vp_token)

    def refused(self, request_id: str) -> None:
        """Take a customer's no: the request is over, and its sealing key destroyed.

        One that was answered with a grant stays: a no that comes later, or that somebody
        else sends, ends nothing. `Refused` with `request-unknown`.
        """
        self._requests.refused(request_id)

    def accept_bundle(self, grant_id: str, bundle: bytes) -> str:
        """Keep the sealed bundle that the grant names, and give our signed receipt.

        Nothing is opened: the custodian waits for the receipt. Sent again, the
        same receipt is the answer.
        """
        return self._intake.accept_bundle(grant_id, bundle)

    def read(
        self, grant_id: str, purpose: Purpose, *, role: str = "service"
    ) -> AbstractContextManager[Facts]:
        """Open the facts for `purpose`, for the length of the block, under one lease.

        `role` says in the access event who reads: a desk or a service, never a person.

        Raises `Refused` (`grant-ended`, `grant-not-active`, `grant-suspended`,
        `operation-not-granted`, `purpose-differs`, the custodian's reasons, or those of
        `verify_facts`) or `Unavailable`: without the custodian, the issuer's keys and the
        status there is no read.
        """
        return self._reader.read(grant_id, purpose, role=role)

    def end(self, grant_id: str, token: str) -> str:
        """Stop and erase on a verified event, and give our signed stop notice.

        Terminal: sent again, or for another reason, the first notice is the
        answer. The custodian's statement is asked for at once; when it cannot be
        had, `end_due` asks again and the erasure receipt rises from E1 to E2.
        """
        return self._stopper.end(grant_id, token)

    def stop(self, grant_id: str, token: str) -> str:
        """Stop on a verified event, and give our signed stop notice.

        Nobody else is asked, so that nobody who hangs can hold the answer up. `finish`
        is next; without it `end_due` does the same.
        """
        return self._stopper.stop(grant_id, token)

    def finish(self, grant_id: str) -> None:
        """Erase what a stopped grant left everywhere, and sign what can be said of it now."""
        self._stopper.finish(grant_id)

    def complete(self, grant_id: str) -> str:
        """End a grant because its purpose is fulfilled; gives our signed stop notice.

        Raises `Refused` with `signed-by-another` where the terms leave that to somebody else.
        """
        return self._stopper.end_ourselves(grant_id, Trigger.COMPLETED)

    def terminate(self, grant_id: str) -> str:
        """End a grant because we want to read no more; gives our signed stop notice."""
        return self._stopper.end_ourselves(grant_id, Trigger.TERMINATED)

    def pause(self, grant_id: str, token: str) -> Pause:
        """Suspend or resume a grant by its holder's word; give the pause that holds now.

        An older word than the last changes nothing. `Refused` with `grant-ended` after
        the end, with `grant-not-active` before our receipt.
        """
        return self._stopper.pause(grant_id, token)

    def keep(self, facts: Facts, duty: Duty) -> Retained:
        """Keep some of the facts just read under a law, sealed, beyond the end of the grant.

        Give what the receipt will say of it. Raises `Refused` with the codes of
        `Duty.item`, or `grant-ended`, and `Misuse` outside the facts' block, for a
        law under which something is kept already, and without a folder for the keys.
        """
        return self._keeper.keep(facts, duty)

    def read_kept(self, grant_id: str, law: str, purpose: Purpose) -> AbstractContextManager[Facts]:
        """Open what is kept under `law`, for `dpv:LegalCompliance` alone and until its date.

        Raises `Refused` (`not-kept`, `purpose-differs`, `duty-over`) or `Unavailable`.
        """
        return self._keeper.read_kept(grant_id, law, purpose)

    def hand_over(
        self, facts: Facts, to: Did, key: SealingKey, claims: Sequence[ClaimName]
    ) -> HandedOver:
        """Give what a recipient is sent: our signed word, and `claims` sealed to its `key`.

        Raises `Refused` with `recipient-not-named` for a recipient that the terms do
        not name, `grant-ended`, `grant-suspended`, and `Misuse` outside the facts' block.
        """
        return self._keeper.hand_over(facts, to, key, claims)

    def attest(self, grant_id: str, token: str) -> Level:
        """Put a third party's attestation into the erasure receipt; give the level it has now.

        Raises `Refused` with the codes of `Attestation.read`, or `not-erased`.
        """
        receipt = self.erasure_receipt(grant_id)
        grant = self._rows.grant(grant_id)
        self._eraser.require_attested(receipt, token, grant.state.agreement)

        def attested(newest: ReceivedGrant) -> ReceivedGrant | None:
            if not isinstance(newest.state, Erased) or newest.ending is None:
                return None
            ending = replace(newest.ending, attestation=token)
            return self._eraser.sign(newest, ending, newest.state.trigger)

        state = self._rows.advance(grant.grant_id, attested).state
        return state.level if isinstance(state, Erased) else Level.E0

    def access_events(self, grant_id: str, token: str) -> list[str]:
        """Give the signed events of a grant's log to its holder alone (`UsageRequest`).

        `Refused` codes: `signed-by-another`, `audience-mismatch`, `grant-mismatch`,
        `usage-request-not-fresh`.
        """
        grant = self._rows.grant(grant_id)
        holder = grant.state.agreement.holder
        asked = UsageRequest.read(token, audience=self.party.client_id, holder=holder)
        require_grant(asked.grant_id, grant.grant_id, "usage_request")
        now = self._rows.clock()
        if not now - MAX_REQUEST_AGE <= asked.asked_at <= now + SKEW:
            expected, where = f"a request within {MAX_REQUEST_AGE}", "usage_request.iat"
            raise refuse("usage-request-not-fresh", expected, "another time", where)
        return [] if self._chain is None else self._chain.of_grant(grant.grant_id)

    def erasure_receipt(self, grant_id: str) -> str:
        """Give the signed erasure receipt of an ended grant."""
        ending = self._rows.grant(grant_id).ending
        if ending is None or ending.erasure_receipt is None:
            raise refuse("not-erased", "a grant that has ended", "one in force", "grant_id")
        return ending.erasure_receipt

    def end_due(self) -> int:
        """End what is past its time, and fetch statements still missing; give how many.

        Also drops requests that nobody answered, with their sealing keys. Called at
        start and every few seconds. What cannot be ended now is logged and tried
        again the next time; it stops nothing else. Whoever is away is asked once a
        time, and for half a minute at most, so that the next sweep is in time.
        """
        now = self._rows.clock()
        grants = self._rows.store.due(now, _ENDED_AT_ONCE)
        requests = self._rows.store.unanswered(now - REQUEST_KEPT, _ENDED_AT_ONCE)
        # What is done here comes first: it waits for nobody.
        self._each(self._stopper.stop_expired, grants)
        self._each(self._requests.drop, requests)
        self._publish_root()
        away: set[str] = set()
        until = now + _ASK_FOR

        def finish(grant_id: GrantId) -> None:
            if self._rows.clock() < until:
                self._keeper.release(grant_id, self._eraser)
                self._stopper.finish_among(grant_id, away)

        return self._each(finish, grants)

    def erase_again(self) -> int:
        """Erase once more what a system holds of grants that are erased; give of how many.

        For after a system was restored from a backup. Raises `Unavailable` when a
        system could not be looked into: ask again.
        """
        came_back, after = 0, Cursor()
        while found := self._rows.store.page(Listing.ERASED, after, _ENDED_AT_ONCE):
            came_back += sum(self._eraser.erase_again(grant.grant_id) for grant in found)
            after = Cursor.behind(found[-1])
        return came_back

    def desk(self) -> Desk:
        """Give the queries of those who work with the grants."""
        return Desk(
            controller=self.party.name,
            store=self._rows.store,
            accesses=self._accesses,
            erase_within=ERASE_WITHIN,
            clock=self._rows.clock,
        )

    def hear(self, token: str) -> None:
        """Take an event that somebody passes on; see `set_push.hear`."""
        hear(token, audience=self.party.client_id, end=self.stop, pause=self.pause)

    def listen(self) -> None:
        """Hear what waits at the custodian. Called every few seconds.

        While it cannot be asked, no read begins.
        """
        try:
            self.inbox.drain()
        except Unavailable as trouble:
            _LOG.warning("the custodian's events could not be heard: %s", trouble)

    def events_endpoint(self) -> str:
        """Give where the custodian may push events, for `inbox.configure`."""
        return f"{self._origin}/consent/events"

    def summary(self) -> Summary:
        """Give how many grants are in force here, and how many have ended."""
        return self._rows.store.summary()

    def _publish_root(self) -> None:
        if self._anchoring is None:
            return
        try:
            self._anchoring.publish_due()
        except CounterfoilError as trouble:
            _LOG.warning("a root could not be published now: %s", type(trouble).__name__)

    def _each(self, end: Callable[[GrantId], None], names: Sequence[GrantId]) -> int:
        ended = 0
        for name in names:
            try:
                end(name)
            except Exception as trouble:  # noqa: BLE001  # whatever it is, the others must end
                _LOG.warning("a grant could not be ended now: %s", type(trouble).__name__)
            else:
                ended += 1
        return ended
