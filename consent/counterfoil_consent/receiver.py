"""The receiver: asks, holds what was granted sealed, reads under lease, erases at the end.

    request ─► receive ─► accept_bundle ─► read, read, … ─► end ─► erasure_receipt

A brand, a shop or an insurer mounts this. What lies in its store opens only with
the custodian's share, which comes one read at a time and not at all after the end.
"""

import logging
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.dcql import CredentialQuery, DcqlQuery
from counterfoil_credentials.dids import Did, did_jwk
from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.errors import (
    CounterfoilError,
    Misuse,
    Refused,
    Unavailable,
)
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.key_binding import transaction_data_hash
from counterfoil_credentials.keys import Signer
from counterfoil_credentials.request_links import request_link
from counterfoil_credentials.requests import (
    PresentationRequest,
    VpToken,
    client_id_of,
    sign_request,
)

from counterfoil_consent.access_log import AccessChain, AccessEvents
from counterfoil_consent.accesses import Access, Accesses
from counterfoil_consent.anchor_tree import Tag
from counterfoil_consent.anchoring import Anchoring
from counterfoil_consent.artefacts import (
    Lease,
    LeaseRequest,
    Receipt,
    StopNotice,
    require_grant,
)
from counterfoil_consent.client import CustodianClient
from counterfoil_consent.completion import Completion
from counterfoil_consent.desk import Desk
from counterfoil_consent.ending import Ending
from counterfoil_consent.erasing import Eraser, FetchedReceipts, RecipientCalls
from counterfoil_consent.erasure import Released
from counterfoil_consent.events import EndEvent, Parties, Pause, read_end, read_pause, sign_end
from counterfoil_consent.facts import Facts, IssuerTrust, LeaseCount, StatusCheck, verify_facts
from counterfoil_consent.grant import check_grant, grant_digest_of
from counterfoil_consent.handover import HandedOver, Handover, seal_handover
from counterfoil_consent.incentive import Incentive
from counterfoil_consent.key_folder import KeyFolder
from counterfoil_consent.parties import (
    AuthorityParty,
    CustodianParty,
    ReceiverParty,
    RecipientParty,
)
from counterfoil_consent.receiver_store import (
    Cursor,
    Listing,
    OpenRequest,
    ReceivedGrant,
    ReceiverStore,
    Summary,
)
from counterfoil_consent.retention import Duty, open_kept, require_room, seal_kept
from counterfoil_consent.sealing import (
    OpeningKey,
    Role,
    SealedBundle,
    SealingKey,
    open_bundle,
    open_share,
)
from counterfoil_consent.set_inbox import Inbox
from counterfoil_consent.set_outbox import Letter
from counterfoil_consent.set_push import Pusher, hear, letter_to
from counterfoil_consent.spec import GRANT_QUERY_ID, GRANT_VCT
from counterfoil_consent.states import (
    Active,
    Erased,
    Granted,
    Level,
    Requested,
    Retained,
    Suspended,
    Trigger,
)
from counterfoil_consent.systems import RegisteredSystem
from counterfoil_consent.terms import (
    ClaimName,
    ClaimTerm,
    NoticeReference,
    Operation,
    Purpose,
    Terms,
)
from counterfoil_consent.usage import UsageRequest
from counterfoil_consent.wire import (
    SKEW,
    Clock,
    Digest,
    GrantId,
    Random,
    digest_of,
    fresh_grant_id,
    grant_id_of,
    refuse,
    whole_second,
)

REQUEST_LENGTH: Final = timedelta(minutes=15)
ERASE_WITHIN: Final = timedelta(days=1)
MAX_REQUEST_AGE: Final = timedelta(minutes=2)
REQUEST_KEPT: Final = timedelta(hours=1)
"""How long an expired request without an answer can still be looked up."""

_ENDED_AT_ONCE: Final = 100
_ASK_FOR: Final = timedelta(seconds=30)
_LOG: Final = logging.getLogger("counterfoil.consent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """The text that the customer reads before she grants, and its language (`en`, `zh`)."""

    text: str
    language: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a receiver wants to ask: the part of the terms that it decides anew each time.

    With recipients the operations include `Operation.SHARE`. A single use has one read.
    """

    purpose: Purpose
    claims: Sequence[ClaimTerm]
    notice: Notice
    valid_for: timedelta
    max_reads: int
    jurisdiction: str
    operations: Sequence[Operation] = (Operation.USE, Operation.STORE)
    recipients: Sequence[RecipientParty] = ()
    completion: Completion | None = None
    authority: AuthorityParty | None = None
    incentive: Incentive | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A request that waits for the customer. `link` is what her wallet opens."""

    request_id: GrantId
    link: str
    expires_at: datetime


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
        self._signer = signer
        self._custodian = CustodianClient(custodian, fetcher)
        self._store = store
        self._keys = keys
        self._trust = trust
        self._status = status
        self._clock = clock
        self._random = random
        self._accesses = accesses
        self._kept_keys = kept_keys
        self._anchoring = anchoring
        self._chain = None if access_events is None else AccessChain(access_events, signer=signer)
        self._eraser = Eraser(
            signer=signer,
            custodian=self._custodian,
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
        self._keys.begin(is_new=store.is_empty())
        self._destroy_left_over()
        self._stop_restored()

    def request(self, wish: Wish) -> Opened:
        """Sign a request for `wish` and give the link to it.

        Raises `Refused` with `retention-exceeded` when the data would be readable
        for longer than a claim may be kept.
        """
        now = self._clock()
        request_id = fresh_grant_id(self._random)
        # A key for this request alone: it is destroyed with the grant.
        key = OpeningKey.generate(self._random)
        # What we send must be what a strict wallet reads.
        terms = Terms.from_json(self._terms(wish, key.public).to_json())
        if reasons := terms.retention_reasons(now):
            raise Refused(*reasons)
        element = terms.to_transaction_data()
        request = PresentationRequest(
            client_id=self.party.client_id,
            response_uri=f"{self._origin}/consent/responses/{request_id}",
            nonce=b64url(self._random(24)),
            state=None,
            query=DcqlQuery((CredentialQuery(GRANT_QUERY_ID, (GRANT_VCT,), ()),)),
            issued_at=now,
            expires_at=whole_second(now + REQUEST_LENGTH),
            client_name=self.party.name,
            purpose=terms.purpose.value,
            transaction_data=(element,),
        )
        token = sign_request(request, self._signer)
        requested = Requested(
            terms=terms,
            request_digest=digest_of(token),
            terms_hash=transaction_data_hash(element),
            nonce=request.nonce,
            expires_at=request.expires_at,
        )
        self._store.add_request(
            OpenRequest(
                request_id=request_id,
                token=token,
                transaction_data=element,
                requested=requested,
                notice=wish.notice.text,
            )
        )
        # The row first: another process that starts destroys each key that no row needs.
        self._keys.create(request_id, lambda _: key.private_bytes())
        uri = f"{self._origin}/consent/requests/{request_id}"
        return Opened(
            request_id=request_id,
            link=request_link(self.party.client_id, uri),
            expires_at=request.expires_at,
        )

    def request_object(self, request_id: str) -> str:
        """Give the signed request object, while it waits or has been answered."""
        return self._request(request_id).token

    def notice(self, sha256: str) -> str:
        """Give the text of a notice by its digest."""
        text = self._store.find_notice(Digest(sha256))
        if text is None:
            raise refuse("notice-unknown", "a notice published here", "none", "sha-256")
        return text

    def answer_to(self, request_id: str) -> ReceivedGrant | None:
        """Give the grant that answered a request, or None while it waits."""
        answered_by = self._request(request_id).answered_by
        return None if answered_by is None else self._grant(answered_by)

    def receive(self, request_id: str, vp_token: VpToken) -> ReceivedGrant:
        """Check the grant that answers a request, and keep it. Sent again, nothing changes.

        Raises `Refused` with the codes of `check_grant`, `request-expired`, or
        `request-already-answered`.
        """
        request = self._request(request_id)
        if list(vp_token) != [GRANT_QUERY_ID] or len(vp_token[GRANT_QUERY_ID]) != 1:
            raise refuse("grant-missing", "the grant alone", "something else", "vp_token")
        presentation = vp_token[GRANT_QUERY_ID][0]
        now = self._clock()
        if self._keys.is_destroyed(request.request_id):
            raise _ended()
        if request.answered_by is None:
            granted = check_grant(presentation, request.requested, now=now)
            if now >= request.requested.expires_at:
                raise refuse("request-expired", "a live request", "an old one", "request")
            kept = self._store.answer(request.request_id, granted, presentation)
        else:
            kept = self._grant(request.answered_by)
        if kept is None or kept.state.agreement.grant_digest != grant_digest_of(presentation):
            raise refuse("request-already-answered", "the first answer", "another", "vp_token")
        if not isinstance(kept.state, Granted):
            raise _ended()
        return kept

    def refused(self, request_id: str) -> None:
        """Take a customer's no: the request is over, and its sealing key destroyed.

        One that was answered with a grant stays: a no that comes later, or that somebody
        else sends, ends nothing. `Refused` with `request-unknown`.
        """
        request = self._request(request_id)
        # The row first: a crash between leaves a key that the next start destroys.
        self._store.drop_request(request.request_id)
        if self._store.find_request(request.request_id) is None:
            self._keys.forbid(request.request_id)

    def accept_bundle(self, grant_id: str, bundle: bytes) -> str:
        """Keep the sealed bundle that the grant names, and give our signed receipt.

        Nothing is opened: the custodian waits for the receipt. Sent again, the
        same receipt is the answer.
        """
        grant = self._grant(grant_id)
        # A database from before the end does not know of it; the tombstone does.
        if self._keys.is_destroyed(grant.request_id):
            raise _ended()
        sealed = SealedBundle.from_bytes(bundle)
        if sealed.grant_id != grant.grant_id:
            raise refuse("grant-mismatch", "the grant in the path", "another", "bundle.grant_id")
        if digest_of(bundle) != grant.state.agreement.bundle_digest:
            raise refuse("bundle-mismatch", "the bundle that the grant names", "another", "bundle")
        match grant.state:
            case Active() | Suspended():
                return grant.state.receipt
            case Granted():
                receipt = Receipt(
                    grant_id=grant.grant_id,
                    grant_digest=grant.state.agreement.grant_digest,
                    bundle_digest=grant.state.agreement.bundle_digest,
                    received_at=self._clock(),
                    erase_within_s=int(ERASE_WITHIN.total_seconds()),
                ).sign(self._signer)
                active = replace(grant, state=grant.state.acknowledge(receipt))
                if self._store.advance(grant, active, bundle):
                    return receipt
                return self.accept_bundle(grant_id, bundle)
            case _:
                raise _ended()

    @contextmanager
    def read(
        self, grant_id: str, purpose: Purpose, *, role: str = "service"
    ) -> Generator[Facts, None, None]:
        """Open the facts for `purpose`, for the length of the block, under one lease.

        `role` says in the access event who reads: a desk or a service, never a person.

        Raises `Refused` (`grant-ended`, `grant-not-active`, `grant-suspended`,
        `operation-not-granted`, `purpose-differs`, the custodian's reasons, or those of
        `verify_facts`) or `Unavailable`: without the custodian, the issuer's keys and the
        status there is no read.
        """
        # What is known to be over needs nobody's word.
        self._require_readable(self._grant(grant_id), purpose)
        self.inbox.require_drained()
        grant = self._grant(grant_id)
        self._require_readable(grant, purpose)
        bundle = self._store.find_bundle(grant.grant_id)
        key = self._keys.find(grant.request_id)
        if bundle is None or self._keys.is_destroyed(grant.request_id):
            raise _ended()
        if key is None:
            # Not found is not destroyed: the key may come back with its disk.
            raise Unavailable("expected the sealing key, found neither key nor tombstone")
        reader = OpeningKey.generate(self._random)
        try:
            lease = self._lease(grant, purpose, reader)
        except Refused as refusal:
            if "grant-ended" in refusal.codes:
                # Whatever backup it came from: what nobody may read is not kept either.
                self._stop(grant.grant_id, *self._end_elsewhere(grant))
                self.finish(grant.grant_id)
            raise
        try:
            context = f"{lease.request_id} {purpose.value}"
            part = open_share(lease.share, reader, grant.grant_id, Role.READER, context)
            facts = verify_facts(
                open_bundle(SealedBundle.from_bytes(bundle), receiver_key=key, custodian_part=part),
                grant.state.agreement,
                trust=self._trust,
                status=self._status,
                lease=LeaseCount(lease.read, grant.terms.max_reads),
                is_over=lambda: self._clock() >= lease.expires_at,
                now=self._clock(),
            )
            try:
                self._write_down(grant, lease, role)
                # Once more: whoever was told "stopped" meanwhile sees nothing opened after it.
                self._require_readable(self._grant(grant_id), purpose)
                yield facts
            finally:
                facts.close()
        finally:
            # The lease is spent whatever came of it.
            if grant.terms.is_single_use:
                self.complete(grant.grant_id)

    def end(self, grant_id: str, token: str) -> str:
        """Stop and erase on a verified event, and give our signed stop notice.

        Terminal: sent again, or for another reason, the first notice is the
        answer. The custodian's statement is asked for at once; when it cannot be
        had, `end_due` asks again and the erasure receipt rises from E1 to E2.
        """
        notice = self.stop(grant_id, token)
        self.finish(grant_id)
        return notice

    def stop(self, grant_id: str, token: str) -> str:
        """Stop on a verified event, and give our signed stop notice.

        Nobody else is asked, so that nobody who hangs can hold the answer up. `finish`
        is next; without it `end_due` does the same.
        """
        grant = self._grant(grant_id)
        event = read_end(
            token,
            grant_id=grant.grant_id,
            parties=Parties.of(grant.state.agreement),
            audience=self.party.client_id,
            now=self._clock(),
        )
        return self._stop(grant.grant_id, event, token)

    def finish(self, grant_id: str) -> None:
        """Erase what a stopped grant left everywhere, and sign what can be said of it now."""
        try:
            self._finish(self._grant(grant_id).grant_id, set())
        except Unavailable as trouble:
            # Stopped is stopped, and may be said. The receipt follows with `end_due`.
            _LOG.warning("an erasure could not be finished now: %s", type(trouble).__name__)

    def complete(self, grant_id: str) -> str:
        """End a grant because its purpose is fulfilled; gives our signed stop notice.

        Raises `Refused` with `signed-by-another` where the terms leave that to somebody else.
        """
        return self._end_ourselves(grant_id, Trigger.COMPLETED)

    def terminate(self, grant_id: str) -> str:
        """End a grant because we want to read no more; gives our signed stop notice."""
        return self._end_ourselves(grant_id, Trigger.TERMINATED)

    def pause(self, grant_id: str, token: str) -> Pause:
        """Suspend or resume a grant by its holder's word; give the pause that holds now.

        An older word than the last changes nothing. `Refused` with `grant-ended` after
        the end, with `grant-not-active` before our receipt.
        """
        grant = self._grant(grant_id)
        pause = read_pause(
            token,
            grant_id=grant.grant_id,
            holder=grant.state.agreement.holder,
            audience=self.party.client_id,
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
                    raise _ended()

        found = self._advance(grant.grant_id, paused, self._letters(grant, token, pause))
        return Pause(found.paused, isinstance(found.state, Suspended))

    def keep(self, facts: Facts, duty: Duty) -> Retained:
        """Keep some of the facts just read under a law, sealed, beyond the end of the grant.

        Give what the receipt will say of it. Raises `Refused` with the codes of
        `Duty.item`, or `grant-ended`, and `Misuse` outside the facts' block, for a
        law under which something is kept already, and without a folder for the keys.
        """
        keys = self._require_kept_keys()
        grant = self._grant(facts.grant_id)
        item = duty.item(grant.state.agreement, self._clock())
        require_room(grant.kept, item.law)
        keys.begin(is_new=True)
        key_id = fresh_grant_id(self._random)
        key = keys.create(key_id, self._random)

        def kept(newest: ReceivedGrant) -> ReceivedGrant:
            if not isinstance(newest.state, Granted):
                raise _ended()
            require_room(newest.kept, item.law)
            return replace(newest, kept=(*newest.kept, subset))

        try:
            subset = seal_kept(facts, item, key_id=key_id, key=key)
            self._advance(grant.grant_id, kept)
        except CounterfoilError:
            keys.destroy(key_id)
            raise
        return item

    @contextmanager
    def read_kept(self, grant_id: str, law: str, purpose: Purpose) -> Generator[Facts, None, None]:
        """Open what is kept under `law`, for `dpv:LegalCompliance` alone and until its date.

        Raises `Refused` (`not-kept`, `purpose-differs`, `duty-over`) or `Unavailable`.
        """
        grant = self._grant(grant_id)
        found = [subset for subset in grant.kept if subset.item.law == law]
        keys = self._require_kept_keys()
        if not found or keys.is_destroyed(found[0].key_id):
            raise refuse("not-kept", "something kept under this law", "nothing", "law")
        key = keys.find(found[0].key_id)
        if key is None:
            raise Unavailable("expected the key of what is kept, found neither key nor tombstone")
        facts = open_kept(found[0], grant.grant_id, purpose, key=key, clock=self._clock)
        try:
            yield facts
        finally:
            facts.close()

    def hand_over(
        self, facts: Facts, to: Did, key: SealingKey, claims: Sequence[ClaimName]
    ) -> HandedOver:
        """Give what a recipient is sent: our signed word, and `claims` sealed to its `key`.

        Raises `Refused` with `recipient-not-named` for a recipient that the terms do
        not name, `grant-ended`, `grant-suspended`, and `Misuse` outside the facts' block.
        """
        grant = self._grant(facts.grant_id)
        self._require_readable(grant, grant.terms.purpose)
        if to not in {party.did for party in grant.terms.recipients}:
            raise refuse("recipient-not-named", "a recipient of the terms", "another", "recipient")
        handover = Handover.of(grant.state.agreement, to, tuple(claims))
        sealed = seal_handover(facts, handover, key)
        return HandedOver(token=handover.sign(self._signer, self._clock()), sealed=sealed)

    def attest(self, grant_id: str, token: str) -> Level:
        """Put a third party's attestation into the erasure receipt; give the level it has now.

        Raises `Refused` with the codes of `Attestation.read`, or `not-erased`.
        """
        receipt = self.erasure_receipt(grant_id)
        grant = self._grant(grant_id)
        self._eraser.require_attested(receipt, token, grant.state.agreement)

        def attested(newest: ReceivedGrant) -> ReceivedGrant | None:
            if not isinstance(newest.state, Erased) or newest.ending is None:
                return None
            ending = replace(newest.ending, attestation=token)
            return self._eraser.sign(newest, ending, newest.state.trigger)

        state = self._advance(grant.grant_id, attested).state
        return state.level if isinstance(state, Erased) else Level.E0

    def access_events(self, grant_id: str, token: str) -> list[str]:
        """Give the signed events of a grant's log to its holder alone (`UsageRequest`).

        `Refused` codes: `signed-by-another`, `audience-mismatch`, `grant-mismatch`,
        `usage-request-not-fresh`.
        """
        grant = self._grant(grant_id)
        holder = grant.state.agreement.holder
        asked = UsageRequest.read(token, audience=self.party.client_id, holder=holder)
        require_grant(asked.grant_id, grant.grant_id, "usage_request")
        now = self._clock()
        if not now - MAX_REQUEST_AGE <= asked.asked_at <= now + SKEW:
            expected, where = f"a request within {MAX_REQUEST_AGE}", "usage_request.iat"
            raise refuse("usage-request-not-fresh", expected, "another time", where)
        return [] if self._chain is None else self._chain.of_grant(grant.grant_id)

    def erasure_receipt(self, grant_id: str) -> str:
        """Give the signed erasure receipt of an ended grant."""
        ending = self._grant(grant_id).ending
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
        now = self._clock()
        grants = self._store.due(now, _ENDED_AT_ONCE)
        requests = self._store.unanswered(now - REQUEST_KEPT, _ENDED_AT_ONCE)
        # What is done here comes first: it waits for nobody.
        self._each(self._stop_expired, grants)
        self._each(self._drop_request, requests)
        self._publish_root()
        away: set[str] = set()
        until = now + _ASK_FOR

        def finish(grant_id: GrantId) -> None:
            if self._clock() < until:
                self._release(grant_id)
                self._finish(grant_id, away)

        return self._each(finish, grants)

    def erase_again(self) -> int:
        """Erase once more what a system holds of grants that are erased; give of how many.

        For after a system was restored from a backup. Raises `Unavailable` when a
        system could not be looked into: ask again.
        """
        came_back, after = 0, Cursor()
        while found := self._store.page(Listing.ERASED, after, _ENDED_AT_ONCE):
            came_back += sum(self._eraser.erase_again(grant.grant_id) for grant in found)
            after = Cursor.behind(found[-1])
        return came_back

    def desk(self) -> Desk:
        """Give the queries of those who work with the grants."""
        return Desk(
            controller=self.party.name,
            store=self._store,
            accesses=self._accesses,
            erase_within=ERASE_WITHIN,
            clock=self._clock,
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
        return self._store.summary()

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

    def _stop_expired(self, grant_id: GrantId) -> None:
        grant = self._grant(grant_id)
        if isinstance(grant.state, Granted) and self._clock() >= grant.terms.valid_until:
            # The custodian's clock says "expired" too; ours may be the only word it gets.
            token = self._signed_end(grant, Trigger.TERMINATED)
            event = EndEvent(
                grant_id=grant_id,
                event_id=f"expired-{grant_id}",
                trigger=Trigger.EXPIRED,
                ended_at=grant.terms.valid_until,
            )
            self._stop(grant_id, event, token)

    def _release(self, grant_id: GrantId) -> None:
        """Erase what was kept under a law until now, and sign a second receipt that says so."""
        now = whole_second(self._clock())
        over = {kept.key_id for kept in self._grant(grant_id).kept if kept.item.until <= now}
        if not over:
            return
        keys = self._require_kept_keys()
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
            return self._eraser.sign(left, ending, newest.state.trigger)

        self._advance(grant_id, released)
        self._store.scrub()

    def _require_kept_keys(self) -> KeyFolder:
        if self._kept_keys is None:
            raise Misuse("expected a key folder for what a law makes us keep, found none")
        return self._kept_keys

    def _drop_request(self, request_id: GrantId) -> None:
        self._keys.forbid(request_id)
        self._store.drop_request(request_id)

    def _destroy_left_over(self) -> None:
        """Destroy each sealing key that no request or grant in force needs."""
        for request_id in self._keys.names():
            try:
                request = self._store.find_request(request_id)
                if request is not None and request.answered_by is not None:
                    grant = self._store.find_grant(request.answered_by)
                    is_needed = grant is not None and isinstance(grant.state, Granted)
                else:
                    is_needed = request is not None
                if not is_needed or self._keys.is_destroyed(request_id):
                    self._keys.destroy(request_id)
            except CounterfoilError as trouble:
                _LOG.warning("a key could not be destroyed now: %s", type(trouble).__name__)

    def _stop_restored(self) -> None:
        """Stop each grant in force whose sealing key is destroyed: its row is from a backup.

        `end_due` does the rest, and the custodian's statement says who ended it.
        """
        for request_id in self._keys.tombstones():
            request = self._store.find_request(request_id)
            if request is None or request.answered_by is None:
                continue
            grant = self._grant(request.answered_by)
            if isinstance(grant.state, Granted):
                self._stop(grant.grant_id, *self._end_elsewhere(grant))

    def _end_elsewhere(self, grant: ReceivedGrant) -> tuple[EndEvent, str]:
        """Give our own event for an end whose event we do not have, and its token."""
        event = EndEvent(
            grant_id=grant.grant_id,
            event_id=f"restored-{grant.grant_id}",
            trigger=Trigger.TERMINATED,
            ended_at=whole_second(self._clock()),
        )
        return event, self._signed_end(grant, Trigger.TERMINATED)

    def _stop(self, grant_id: GrantId, event: EndEvent, token: str) -> str:
        """Mark the grant as ended and drop its ciphertext, in one transaction; then our key."""

        def stopped(grant: ReceivedGrant) -> ReceivedGrant | None:
            if not isinstance(grant.state, Granted):
                return None
            now = whole_second(self._clock())
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

        letters = self._letters(self._grant(grant_id), token)
        grant = self._advance(grant_id, stopped, letters)
        if grant.ending is None:
            raise _ended()
        try:
            self._keys.destroy(grant.request_id)
        except Unavailable as trouble:
            # Stopped is stopped, and may be said. `end_due` destroys it when the folder is back.
            _LOG.warning("a sealing key could not be destroyed now: %s", type(trouble).__name__)
        return grant.ending.stop_notice

    def _finish(self, grant_id: GrantId, away: set[str]) -> None:
        """Destroy our key, ask whoever has not answered, sign what can be said.

        Who is `away` is not asked; who is found to be is added.
        """
        grant = self._grant(grant_id)
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
        self._store.scrub()
        self._advance(grant_id, lambda newest: self._eraser.conclude(newest, gathered))

    def _advance(
        self,
        grant_id: GrantId,
        change: Callable[[ReceivedGrant], ReceivedGrant | None],
        letters: Sequence[Letter] = (),
    ) -> ReceivedGrant:
        """Apply `change` to the newest row, and put `letters`; ended rows hold no ciphertext."""
        while True:
            before = self._grant(grant_id)
            after = change(before)
            if after is None:
                return before
            is_live = isinstance(after.state, Granted)
            bundle = self._store.find_bundle(grant_id) if is_live else None
            if self._store.advance(before, after, bundle, letters):
                return self._grant(grant_id)

    def _write_down(self, grant: ReceivedGrant, lease: Lease, role: str) -> None:
        if self._chain is None:
            return
        agreement = grant.state.agreement
        token = self._chain.append(agreement, lease, role=role, now=self._clock())
        if self._anchoring is not None:
            self._anchoring.add(grant.grant_id, Tag.ACCESS_LOG, digest_of(token))

    def _letters(
        self, grant: ReceivedGrant, token: str, pause: Pause | None = None
    ) -> list[Letter]:
        """Give the event to whoever else holds something of the grant.

        A recipient's endpoint is for the end alone: a pause stops our reads, and it has none.
        """
        custodian = self._custodian.party.origin
        doors = {custodian: f"{custodian}/events"}
        if pause is None:
            recipients = grant.terms.recipients
            doors.update((party.did, party.end_url(grant.grant_id)) for party in recipients)
        return [letter_to(to, token, pause=pause, endpoint=at) for to, at in doors.items()]

    def _lease(self, grant: ReceivedGrant, purpose: Purpose, reader: OpeningKey) -> Lease:
        asked = LeaseRequest(
            grant_id=grant.grant_id,
            request_id=b64url(self._random(16)),
            purpose=purpose,
            reader=reader.public,
            asked_at=self._clock(),
        )
        party = self._custodian.party
        if self._accesses is not None:
            entry = Access(
                grant_id=grant.grant_id,
                request_id=asked.request_id,
                purpose=purpose,
                asked_at=asked.asked_at,
            )
            self._accesses.ask(entry)
        try:
            token = self._custodian.lease(
                grant.grant_id, asked.sign(self._signer, audience=party.origin)
            )
        except Unavailable:
            self.inbox.lose()
            raise
        lease = Lease.of_token(token, custodian=party.did, asked=asked, now=self._clock())
        if lease.read > grant.terms.max_reads:
            raise refuse("reads-used-up", "a read left", "none", "max_reads")
        if self._accesses is not None:
            self._accesses.answer(grant.grant_id, asked.request_id, lease.read)
        return lease

    def _require_readable(self, grant: ReceivedGrant, purpose: Purpose) -> None:
        match grant.state:
            case Active():
                pass
            case Suspended():
                raise refuse("grant-suspended", "a grant that runs", "one that is paused", "grant")
            case Granted():
                raise refuse("grant-not-active", "a grant with its bundle", "none yet", "grant")
            case _:
                raise _ended()
        if self._clock() >= grant.terms.valid_until:
            raise _ended()
        if not grant.terms.allows_reading:
            where = "processing_method"
            raise refuse("operation-not-granted", "an operation that reads", "others", where)
        if purpose is not grant.terms.purpose:
            raise refuse("purpose-differs", "the purpose granted", "another", "purpose")

    def _end_ourselves(self, grant_id: str, trigger: Trigger) -> str:
        return self.end(grant_id, self._signed_end(self._grant(grant_id), trigger))

    def _signed_end(self, grant: ReceivedGrant, trigger: Trigger) -> str:
        return sign_end(
            grant.state.agreement,
            trigger,
            signer=self._signer,
            now=self._clock(),
            random=self._random,
        )

    def _terms(self, wish: Wish, sealing_key: SealingKey) -> Terms:
        digest = digest_of(wish.notice.text)
        grants = f"{self._origin}/consent/grants/{{grant_id}}"
        return Terms(
            purpose=wish.purpose,
            claims=tuple(wish.claims),
            receiver=self.party,
            custodian=self._custodian.party,
            operations=tuple(wish.operations),
            recipients=tuple(wish.recipients),
            completion=wish.completion,
            authority=wish.authority,
            incentive=wish.incentive,
            jurisdiction=wish.jurisdiction,
            notice=NoticeReference(
                uri=f"{self._origin}/consent/notices/{digest}",
                language=wish.notice.language,
                sha256=digest,
            ),
            valid_until=whole_second(self._clock() + wish.valid_for),
            max_reads=wish.max_reads,
            withdrawal_endpoint=f"{grants}/end",
            erasure_endpoint=f"{grants}/erasure-receipt",
            delivery_endpoint=f"{grants}/bundle",
            sealing_key=sealing_key,
        )

    def _request(self, request_id: str) -> OpenRequest:
        found = self._store.find_request(grant_id_of(request_id, "request_id"))
        if found is None:
            raise refuse("request-unknown", "a request made here", "none", "request_id")
        return found

    def _grant(self, grant_id: str) -> ReceivedGrant:
        found = self._store.find_grant(grant_id_of(grant_id, "grant_id"))
        if found is None:
            raise refuse("grant-unknown", "a grant received here", "none", "grant_id")
        return found


def _ended() -> Refused:
    return refuse("grant-ended", "a grant in force", "one that has ended", "grant_id")
