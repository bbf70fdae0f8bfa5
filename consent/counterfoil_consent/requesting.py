"""How a receiver asks: it says what it wants, signs a request for it, and waits for the answer.

open ─► the wallet fetches token and notice ─► answered (receiving.py), refused, or dropped
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.dcql import CredentialQuery, DcqlQuery
from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.errors import Refused
from counterfoil_credentials.key_binding import transaction_data_hash
from counterfoil_credentials.keys import Signer
from counterfoil_credentials.request_links import request_link
from counterfoil_credentials.requests import PresentationRequest, sign_request

from counterfoil_consent.completion import Completion
from counterfoil_consent.incentive import Incentive
from counterfoil_consent.key_folder import KeyFolder
from counterfoil_consent.parties import (
    AuthorityParty,
    CustodianParty,
    ReceiverParty,
    RecipientParty,
)
from counterfoil_consent.receiver_rows import ReceiverRows
from counterfoil_consent.receiver_store import OpenRequest
from counterfoil_consent.sealing import OpeningKey, SealingKey
from counterfoil_consent.spec import GRANT_QUERY_ID, GRANT_VCT
from counterfoil_consent.states import Requested
from counterfoil_consent.terms import ClaimTerm, NoticeReference, Operation, Purpose, Terms
from counterfoil_consent.wire import (
    Digest,
    GrantId,
    Random,
    digest_of,
    fresh_grant_id,
    refuse,
    whole_second,
)

REQUEST_LENGTH: Final = timedelta(minutes=15)


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


class Requests:
    """The requests of one receiver, each with a sealing key of its own."""

    def __init__(
        self,
        rows: ReceiverRows,
        keys: KeyFolder,
        *,
        party: ReceiverParty,
        origin: str,
        signer: Signer,
        custodian: CustodianParty,
        random: Random,
    ) -> None:
        self._rows = rows
        self._keys = keys
        self._party = party
        self._origin = origin
        self._signer = signer
        self._custodian = custodian
        self._random = random

    def open(self, wish: Wish) -> Opened:
        """Sign a request; see `Receiver.request`."""
        now = self._rows.clock()
        request_id = fresh_grant_id(self._random)
        # A key for this request alone: it is destroyed with the grant.
        key = OpeningKey.generate(self._random)
        # What we send must be what a strict wallet reads.
        terms = Terms.from_json(self._terms(wish, key.public).to_json())
        if reasons := terms.retention_reasons(now):
            raise Refused(*reasons)
        element = terms.to_transaction_data()
        request = PresentationRequest(
            client_id=self._party.client_id,
            response_uri=f"{self._origin}/consent/responses/{request_id}",
            nonce=b64url(self._random(24)),
            state=None,
            query=DcqlQuery((CredentialQuery(GRANT_QUERY_ID, (GRANT_VCT,), ()),)),
            issued_at=now,
            expires_at=whole_second(now + REQUEST_LENGTH),
            client_name=self._party.name,
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
        self._rows.store.add_request(
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
            link=request_link(self._party.client_id, uri),
            expires_at=request.expires_at,
        )

    def notice(self, sha256: str) -> str:
        """Give the text of a notice by its digest."""
        text = self._rows.store.find_notice(Digest(sha256))
        if text is None:
            raise refuse("notice-unknown", "a notice published here", "none", "sha-256")
        return text

    def refused(self, request_id: str) -> None:
        """Take a customer's no; see `Receiver.refused`."""
        request = self._rows.request(request_id)
        # The row first: a crash between leaves a key that the next start destroys.
        self._rows.store.drop_request(request.request_id)
        if self._rows.store.find_request(request.request_id) is None:
            self._keys.forbid(request.request_id)

    def drop(self, request_id: GrantId) -> None:
        """Forget a request that nobody answered, and destroy its sealing key."""
        self._keys.forbid(request_id)
        self._rows.store.drop_request(request_id)

    def _terms(self, wish: Wish, sealing_key: SealingKey) -> Terms:
        digest = digest_of(wish.notice.text)
        grants = f"{self._origin}/consent/grants/{{grant_id}}"
        return Terms(
            purpose=wish.purpose,
            claims=tuple(wish.claims),
            receiver=self._party,
            custodian=self._custodian,
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
            valid_until=whole_second(self._rows.clock() + wish.valid_for),
            max_reads=wish.max_reads,
            withdrawal_endpoint=f"{grants}/end",
            erasure_endpoint=f"{grants}/erasure-receipt",
            delivery_endpoint=f"{grants}/bundle",
            sealing_key=sealing_key,
        )
