"""The receiver: asks, holds what was granted sealed, reads under lease, erases at the end.

    request ─► receive ─► accept_bundle ─► read, read, … ─► end ─► erasure_receipt

A brand, a shop or an insurer mounts this. What lies in its store opens only with
the custodian's share, which comes one read at a time and not at all after the end.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.dcql import CredentialQuery, DcqlQuery
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.errors import Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.key_binding import transaction_data_hash
from counterfoil_credentials.keys import Signer
from counterfoil_credentials.requests import (
    PresentationRequest,
    VpToken,
    client_id_of,
    request_link,
    sign_request,
)

from counterfoil_consent.artefacts import (
    KeyDestruction,
    Lease,
    LeaseRequest,
    Receipt,
    StopNotice,
)
from counterfoil_consent.client import CustodianClient
from counterfoil_consent.erasure import ErasedSystem, ErasureReceipt
from counterfoil_consent.events import EndEvent, read_end, sign_end
from counterfoil_consent.facts import Facts, IssuerTrust, LeaseCount, StatusCheck, verify_facts
from counterfoil_consent.grant import check_grant, grant_digest_of
from counterfoil_consent.key_folder import KeyFolder
from counterfoil_consent.receiver_store import Ending, OpenRequest, ReceivedGrant, ReceiverStore
from counterfoil_consent.sealing import (
    OpeningKey,
    Role,
    SealedBundle,
    open_bundle,
    open_share,
)
from counterfoil_consent.spec import GRANT_QUERY_ID, GRANT_VCT
from counterfoil_consent.states import Active, Erased, Granted, Requested, Trigger
from counterfoil_consent.terms import (
    ClaimTerm,
    CustodianParty,
    NoticeReference,
    Operation,
    Purpose,
    ReceiverParty,
    Terms,
)
from counterfoil_consent.wire import (
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
_ENDED_AT_ONCE: Final = 100
_SYSTEMS: Final = (
    ErasedSystem(system="live-database", method="deleted"),
    ErasedSystem(system="sealing-key", method="key-destroyed"),
    ErasedSystem(system="backups", method="key-destroyed"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """The text that the customer reads before she grants, and its language (`en`, `zh`)."""

    text: str
    language: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a receiver wants to ask: the part of the terms that it decides anew each time."""

    purpose: Purpose
    claims: Sequence[ClaimTerm]
    notice: Notice
    valid_for: timedelta
    max_reads: int
    jurisdiction: str
    operations: Sequence[Operation] = (Operation.USE, Operation.STORE)


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
    ) -> None:
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

    def request(self, wish: Wish) -> Opened:
        """Sign a request for `wish` and give the link to it."""
        now = self._clock()
        request_id = fresh_grant_id(self._random)
        terms = self._terms(wish, request_id)
        # What we send must be what a strict wallet reads.
        terms = Terms.from_json(terms.to_json())
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
        if request.answered_by is None:
            granted = check_grant(presentation, request.requested, now=now)
            if now >= request.requested.expires_at:
                raise refuse("request-expired", "a live request", "an old one", "request")
            kept = self._store.answer(request.request_id, granted)
        else:
            kept = self._grant(request.answered_by)
        if kept is None or kept.state.agreement.grant_digest != grant_digest_of(presentation):
            raise refuse("request-already-answered", "the first answer", "another", "vp_token")
        if not isinstance(kept.state, Granted):
            raise _ended()
        return kept

    def accept_bundle(self, grant_id: str, bundle: bytes) -> str:
        """Keep the sealed bundle that the grant names, and give our signed receipt.

        Nothing is opened: the custodian waits for the receipt. Sent again, the
        same receipt is the answer.
        """
        grant = self._grant(grant_id)
        sealed = SealedBundle.from_bytes(bundle)
        if sealed.grant_id != grant.grant_id:
            raise refuse("grant-mismatch", "the grant in the path", "another", "bundle.grant_id")
        if digest_of(bundle) != grant.state.agreement.bundle_digest:
            raise refuse("bundle-mismatch", "the bundle that the grant names", "another", "bundle")
        match grant.state:
            case Active():
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
    def read(self, grant_id: str, purpose: Purpose) -> Generator[Facts, None, None]:
        """Open the facts for `purpose`, for the length of the block, under one lease.

        Raises `Refused` (`grant-ended`, `grant-not-active`, `purpose-differs`, the
        custodian's reasons, or those of `verify_facts`) or `Unavailable`: without
        the custodian, the issuer's keys and the status there is no read.
        """
        grant = self._grant(grant_id)
        self._require_readable(grant, purpose)
        bundle = self._store.find_bundle(grant.grant_id)
        key = self._keys.find(grant.request_id)
        if bundle is None or key is None:
            raise _ended()
        reader = OpeningKey.generate(self._random)
        lease = self._lease(grant, purpose, reader)
        context = f"{lease.request_id} {purpose.value}"
        part = open_share(lease.share, reader, grant.grant_id, Role.READER, context)
        facts = verify_facts(
            open_bundle(SealedBundle.from_bytes(bundle), receiver_key=key, custodian_part=part),
            grant.state.agreement,
            trust=self._trust,
            status=self._status,
            lease=LeaseCount(lease.read, grant.terms.max_reads),
            now=self._clock(),
        )
        try:
            yield facts
        finally:
            facts.close()

    def end(self, grant_id: str, token: str) -> str:
        """Stop and erase on a verified event, and give our signed stop notice.

        Terminal: sent again, or for another reason, the first notice is the
        answer. The custodian's statement is asked for at once; when it cannot be
        had, `end_due` asks again and the erasure receipt rises from E1 to E2.
        """
        grant = self._grant(grant_id)
        event = read_end(
            token,
            grant_id=grant.grant_id,
            holder=grant.state.agreement.holder,
            receiver=self.party.did,
            audience=self.party.client_id,
            now=self._clock(),
        )
        return self._conclude(grant.grant_id, event, token)

    def complete(self, grant_id: str) -> str:
        """End a grant because its purpose is fulfilled; gives our signed stop notice."""
        return self.end(grant_id, self._completion(self._grant(grant_id)))

    def erasure_receipt(self, grant_id: str) -> str:
        """Give the signed erasure receipt of an ended grant."""
        ending = self._grant(grant_id).ending
        if ending is None or ending.erasure_receipt is None:
            raise refuse("not-erased", "a grant that has ended", "one in force", "grant_id")
        return ending.erasure_receipt

    def end_due(self) -> int:
        """End what is past its time, and fetch statements still missing; give how many.

        Called at start and every few seconds.
        """
        due = self._store.due(self._clock(), _ENDED_AT_ONCE)
        for grant_id in due:
            grant = self._grant(grant_id)
            if isinstance(grant.state, Granted):
                token = self._completion(grant)
                event = EndEvent(
                    grant_id=grant_id,
                    event_id=f"expired-{grant_id}",
                    trigger=Trigger.EXPIRED,
                    ended_at=grant.terms.valid_until,
                )
                self._conclude(grant_id, event, token)
            else:
                self._finish(grant_id)
        return len(due)

    def _conclude(self, grant_id: GrantId, event: EndEvent, token: str) -> str:
        notice = self._stop(grant_id, event, token)
        self._finish(grant_id)
        return notice

    def _stop(self, grant_id: GrantId, event: EndEvent, token: str) -> str:
        """Mark the grant as ended and drop its ciphertext, in one transaction."""

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
            match event.trigger:
                case Trigger.WITHDRAWN:
                    return replace(grant, state=grant.state.withdraw(now), ending=ending)
                case Trigger.COMPLETED:
                    return replace(grant, state=grant.state.complete(now), ending=ending)
                case Trigger.EXPIRED:
                    return replace(grant, state=grant.state.expire(), ending=ending)

        grant = self._advance(grant_id, stopped)
        if grant.ending is None:
            raise _ended()
        return grant.ending.stop_notice

    def _finish(self, grant_id: GrantId) -> None:
        """Destroy our key, ask for the custodian's statement, sign what can be said."""
        grant = self._grant(grant_id)
        self._keys.destroy(grant.request_id)
        if grant.ending is None or grant.ending.destruction is not None:
            return
        statement = self._statement(grant, grant.ending)

        def erased(grant: ReceivedGrant) -> ReceivedGrant | None:
            before = grant.ending
            if isinstance(grant.state, Granted) or before is None:
                return None
            if before.destruction is not None:
                return None
            if before.erasure_receipt is not None and statement is None:
                return None
            now = whole_second(self._clock())
            receipt = ErasureReceipt(
                agreement=grant.state.agreement,
                trigger=grant.state.trigger,
                requested_at=before.requested_at,
                stopped_at=before.stopped_at,
                erased_at=before.erased_at or now,
                systems=_SYSTEMS,
                destruction=statement,
            )
            ending = replace(
                before,
                erased_at=before.erased_at or now,
                destruction=statement,
                erasure_receipt=receipt.sign(self._signer),
            )
            state = Erased(
                grant.state.agreement, grant.state.trigger, receipt.erased_at, receipt.level
            )
            return replace(grant, state=state, ending=ending)

        self._advance(grant_id, erased)

    def _statement(self, grant: ReceivedGrant, ending: Ending) -> str | None:
        try:
            statement = self._custodian.end(grant.grant_id, ending.event)
            read = KeyDestruction.read(
                statement, custodian=self._custodian.party.did, grant_id=grant.grant_id
            )
        except (Unavailable, Refused):
            return None
        matches = read.grant_digest == grant.state.agreement.grant_digest
        return statement if matches else None

    def _advance(
        self, grant_id: GrantId, change: Callable[[ReceivedGrant], ReceivedGrant | None]
    ) -> ReceivedGrant:
        """Apply `change` to the newest row; ended rows hold no ciphertext."""
        while True:
            before = self._grant(grant_id)
            after = change(before)
            if after is None:
                return before
            if self._store.advance(before, after, None):
                return self._grant(grant_id)

    def _lease(self, grant: ReceivedGrant, purpose: Purpose, reader: OpeningKey) -> Lease:
        asked = LeaseRequest(
            grant_id=grant.grant_id,
            request_id=b64url(self._random(16)),
            purpose=purpose,
            reader=reader.public,
            asked_at=self._clock(),
        )
        party = self._custodian.party
        token = self._custodian.lease(
            grant.grant_id, asked.sign(self._signer, audience=party.origin)
        )
        return Lease.of_token(token, custodian=party.did, asked=asked, now=self._clock())

    def _require_readable(self, grant: ReceivedGrant, purpose: Purpose) -> None:
        match grant.state:
            case Active():
                pass
            case Granted():
                raise refuse("grant-not-active", "a grant with its bundle", "none yet", "grant")
            case _:
                raise _ended()
        if self._clock() >= grant.terms.valid_until:
            raise _ended()
        if purpose is not grant.terms.purpose:
            raise refuse("purpose-differs", "the purpose granted", "another", "purpose")

    def _completion(self, grant: ReceivedGrant) -> str:
        return sign_end(
            grant.state.agreement,
            Trigger.COMPLETED,
            signer=self._signer,
            now=self._clock(),
            random=self._random,
        )

    def _terms(self, wish: Wish, request_id: GrantId) -> Terms:
        digest = digest_of(wish.notice.text)
        grants = f"{self._origin}/consent/grants/{{grant_id}}"
        return Terms(
            purpose=wish.purpose,
            claims=tuple(wish.claims),
            receiver=self.party,
            custodian=self._custodian.party,
            operations=tuple(wish.operations),
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
            # A key for this request alone: it is destroyed with the grant.
            sealing_key=self._keys.create(request_id, self._random).public,
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
