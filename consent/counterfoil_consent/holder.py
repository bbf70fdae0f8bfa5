"""The customer's side: what a wallet calls, in this order.

    read_consent_request   request object ─► Asked       what is asked; show it
    asked.decide           her choice     ─► Decided     store it: the grant id stands from here
    fetch_custodian_key    Decided        ─► SealingKey  network; may be repeated
    grant                  Decided        ─► GrantPackage    store it before anything is sent
    deliver                GrantPackage   ─► Active      network; may be repeated
    withdraw               Granted|Active ─► Withdrawal  store it
    send_withdrawal        Withdrawal     ─► Ending      network; may be repeated
    fetch_erasure_receipt  Agreement      ─► Proof       network; may be repeated

Each value goes to JSON and back and holds no key and no claim value, so a wallet
that was killed resumes where it stood, with the same grant id, and nothing is
doubled: every delivery is idempotent at the other end. The wallet keeps the
pairwise signer itself, a fresh one for each grant.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeAlias

from counterfoil_credentials.answers import answer_of
from counterfoil_credentials.claims import ClaimPath
from counterfoil_credentials.dcql import CredentialQuery, DcqlQuery
from counterfoil_credentials.dids import Did, did_jwk
from counterfoil_credentials.encoding import (
    JsonObject,
    b64url,
    from_b64url,
    object_at,
    optional_text_at,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Misuse, Reason, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.key_binding import transaction_data_hash
from counterfoil_credentials.keys import Signer
from counterfoil_credentials.requests import PresentationRequest, read_request, response_form
from counterfoil_credentials.sdjwt import SdJwt, disclose
from counterfoil_credentials.spec import JSON_MEDIA_TYPE, TOKEN_MEDIA_TYPE

from counterfoil_consent.artefacts import (
    CustodianKey,
    KeyDestruction,
    KeyRequest,
    Receipt,
    Registration,
    StopNotice,
)
from counterfoil_consent.client import CustodianClient, post, post_form
from counterfoil_consent.erasure_proof import verify_erasure_receipt
from counterfoil_consent.events import Pause, sign_end
from counterfoil_consent.grant import sign_grant
from counterfoil_consent.parties import origin_of
from counterfoil_consent.sealing import SealingKey, seal
from counterfoil_consent.spec import GRANT_VCT
from counterfoil_consent.states import (
    Active,
    Agreement,
    Erased,
    Granted,
    Requested,
    Trigger,
    Withdrawn,
    state_from_json,
    state_to_json,
)
from counterfoil_consent.terms import (
    ClaimName,
    Terms,
    parse_transaction_data,
)
from counterfoil_consent.wire import (
    SKEW,
    Digest,
    GrantId,
    Random,
    digest_of,
    fresh_grant_id,
    grant_id_of,
    instant_at,
    refuse,
    seconds,
)

MAX_VALIDITY: Final = timedelta(days=366)
MAX_NOTICE_BYTES: Final = 262_144
_WHERE: Final = "request"


class NoticeSource(Protocol):
    """Where the text of a notice comes from."""

    def fetch(self, url: str) -> bytes:
        """Give the text's bytes; raise `Unavailable` when it cannot be had."""
        ...


@dataclass(frozen=True, slots=True)
class FetchedNotices:
    """Fetches notices over the network."""

    fetcher: Fetcher

    def fetch(self, url: str) -> bytes:
        """Give the bytes at `url`."""
        response = self.fetcher.get(url, accept="text/plain", max_bytes=MAX_NOTICE_BYTES)
        if response.status != 200:
            raise Unavailable(f"expected the notice, found HTTP status {response.status}")
        return response.body


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentationAsk:
    """What the wallet is to present from one held credential, for the sealed bundle."""

    vct: str
    paths: tuple[ClaimPath, ...]
    audience: str
    nonce: str
    transaction_data_hashes: tuple[str, ...]


PresentationMaker: TypeAlias = Callable[[PresentationAsk], str]
"""Gives the SD-JWT with key binding that discloses the asked paths alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A receiver's request that a wallet may show: every part of it fits."""

    requested: Requested
    query_id: str
    response_uri: str
    state: str | None
    transaction_data: str = field(repr=False)
    notice: str = field(repr=False)

    @property
    def terms(self) -> Terms:
        """The terms asked for."""
        return self.requested.terms

    def decide(
        self,
        claims: Collection[ClaimName],
        *,
        holder: Did,
        random: Random,
        valid_until: datetime | None = None,
        max_reads: int | None = None,
        recipients: Collection[Did] | None = None,
    ) -> "Decided":
        """Choose what to grant: these claims, and a sooner end or fewer reads if she likes.

        Optional claims are off unless named, recipients all in unless some are named.
        Raises `Refused` with `required-claim-missing` when the receiver could not do with
        the rest.
        """
        terms = self.terms.narrow(
            claims, valid_until=valid_until, max_reads=max_reads, recipients=recipients
        )
        if missing := terms.missing_reasons(self.terms):
            raise Refused(*missing)
        return Decided(asked=self, terms=terms, grant_id=fresh_grant_id(random), holder=holder)

    def to_json(self) -> JsonObject:
        """Give the value for storage."""
        return {
            "transaction_data": self.transaction_data,
            "request_digest": self.requested.request_digest,
            "nonce": self.requested.nonce,
            "expires_at": seconds(self.requested.expires_at),
            "query_id": self.query_id,
            "response_uri": self.response_uri,
            "notice": self.notice,
            **({} if self.state is None else {"state": self.state}),
        }

    @staticmethod
    def from_json(obj: JsonObject) -> "Asked":
        """Read a stored value."""
        where = "stored_asked"
        element = text_at(obj, "transaction_data", where)
        terms, _ = parse_transaction_data(element, where)
        return Asked(
            requested=Requested(
                terms=terms,
                request_digest=Digest(text_at(obj, "request_digest", where)),
                terms_hash=transaction_data_hash(element),
                nonce=text_at(obj, "nonce", where),
                expires_at=instant_at(obj, "expires_at", where),
            ),
            query_id=text_at(obj, "query_id", where),
            response_uri=text_at(obj, "response_uri", where),
            state=optional_text_at(obj, "state", where),
            transaction_data=element,
            notice=text_at(obj, "notice", where),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """Her choice, under the grant id that it keeps from now on."""

    asked: Asked
    terms: Terms
    grant_id: GrantId
    holder: Did

    def to_json(self) -> JsonObject:
        """Give the value for storage."""
        return {
            "asked": self.asked.to_json(),
            "terms": self.terms.to_json(),
            "grant_id": self.grant_id,
            "holder": self.holder,
        }

    @staticmethod
    def from_json(obj: JsonObject) -> "Decided":
        """Read a stored value."""
        where = "stored_decision"
        return Decided(
            asked=Asked.from_json(object_at(obj, "asked", where)),
            terms=Terms.from_json(object_at(obj, "terms", where)),
            grant_id=grant_id_of(text_at(obj, "grant_id", where), where),
            holder=Did(text_at(obj, "holder", where)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantPackage:
    """All that goes out for one grant, signed and sealed. No key and no claim value is in it."""

    granted: Granted
    query_id: str
    response_uri: str
    state: str | None
    presentation: str = field(repr=False)
    bundle: bytes = field(repr=False)
    registration: str = field(repr=False)

    @property
    def grant_id(self) -> GrantId:
        """The grant's id."""
        return self.granted.agreement.grant_id

    def to_json(self) -> JsonObject:
        """Give the value for storage."""
        return {
            "granted": state_to_json(self.granted),
            "query_id": self.query_id,
            "response_uri": self.response_uri,
            "presentation": self.presentation,
            "bundle": b64url(self.bundle),
            "registration": self.registration,
            **({} if self.state is None else {"state": self.state}),
        }

    @staticmethod
    def from_json(obj: JsonObject) -> "GrantPackage":
        """Read a stored value."""
        where = "stored_package"
        granted = state_from_json(object_at(obj, "granted", where), where)
        if not isinstance(granted, Granted):
            raise Malformed("a granted state", "another", where)
        return GrantPackage(
            granted=granted,
            query_id=text_at(obj, "query_id", where),
            response_uri=text_at(obj, "response_uri", where),
            state=optional_text_at(obj, "state", where),
            presentation=text_at(obj, "presentation", where),
            bundle=from_b64url(text_at(obj, "bundle", where), where),
            registration=text_at(obj, "registration", where),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """A signed withdrawal: the grant is over for the wallet, whoever has heard of it yet."""

    withdrawn: Withdrawn
    token: str = field(repr=False)

    def to_json(self) -> JsonObject:
        """Give the value for storage."""
        return {"withdrawn": state_to_json(self.withdrawn), "token": self.token}

    @staticmethod
    def from_json(obj: JsonObject) -> "Withdrawal":
        """Read a stored value."""
        where = "stored_withdrawal"
        withdrawn = state_from_json(object_at(obj, "withdrawn", where), where)
        if not isinstance(withdrawn, Withdrawn):
            raise Malformed("a withdrawn state", "another", where)
        return Withdrawal(withdrawn=withdrawn, token=text_at(obj, "token", where))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Who has answered the withdrawal so far. None means: not yet, send it again.

    `stop_notice` and `destruction` are the signed papers that say so.
    """

    stopped_at: datetime | None
    key_destroyed_at: datetime | None
    stop_notice: str | None = field(default=None, repr=False)
    destruction: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pausing:
    """The pause that holds at each party now. None: it has not answered, send again.

    A `sequence` above the one that was sent means that a later word was there before.
    """

    custodian: Pause | None
    receiver: Pause | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The verified erasure, and the receipt that proves it to anybody."""

    erased: Erased
    receipt: str = field(repr=False)


def asks_for_consent(request: PresentationRequest) -> bool:
    """Say whether a verified request asks for a grant, so that `read_consent_request` is next."""
    return any(GRANT_VCT in query.vct_values for query in request.query.credentials)


def read_consent_request(
    request_object: str,
    *,
    client_id: str,
    custodians: Mapping[str, Did],
    notices: NoticeSource,
    now: datetime,
) -> Asked:
    """Give what is asked, or refuse what does not fit.

    `client_id` is the one in the link; `custodians` maps the origins that this
    wallet trusts to their DIDs. Checked, beside `read_request`: the grant alone
    is asked for; the one transaction_data element is ours, complete and without
    a member that we do not know; receiver, name and endpoints are the signer's
    own; the end is in the future, not too far, and no later than the claims may be
    kept; the notice is the text whose
    digest the terms name.

    Raises `Malformed` (OpenID4VP error `invalid_transaction_data` when `where`
    begins with `transaction_data`), `Refused`, or `Unavailable` for the notice.
    """
    request = read_request(request_object, client_id=client_id, now=now)
    return asked_in(request, request_object, custodians=custodians, notices=notices, now=now)


def asked_in(
    request: PresentationRequest,
    request_object: str,
    *,
    custodians: Mapping[str, Did],
    notices: NoticeSource,
    now: datetime,
) -> Asked:
    """Give what is asked in `request`, which was read from `request_object` and is proved.

    For a wallet that has read it already, to find out what it asks. Raises as
    `read_consent_request` does.
    """
    # A grant answers in the open, for it holds a sealed bundle: nobody is promised otherwise.
    if request.encryption is not None:
        expected, where = "the response mode direct_post", f"{_WHERE}.response_mode"
        raise refuse("not-a-consent-request", expected, "an encrypted one", where)
    queries = request.query.credentials
    grant_alone = DcqlQuery((CredentialQuery(queries[0].id, (GRANT_VCT,), ()),))
    if request.query != grant_alone:
        raise refuse("not-a-consent-request", "a query for the grant alone", "another", _WHERE)
    if len(request.transaction_data) != 1:
        where = "transaction_data"
        raise Malformed("one element", f"{len(request.transaction_data)}", where)
    element = request.transaction_data[0]
    terms, credential_ids = parse_transaction_data(element)
    if credential_ids != [queries[0].id]:
        where = "transaction_data.credential_ids"
        raise Malformed("the grant's query id", "others", where)
    reasons = _unfit(terms, request, custodians, now)
    if reasons:
        raise Refused(*reasons)
    text = notices.fetch(terms.notice.uri)
    if digest_of(text) != terms.notice.sha256:
        raise refuse("notice-mismatch", "the notice that the terms name", "another text", "notice")
    try:
        notice = text.decode("utf-8")
    except UnicodeDecodeError as cause:
        raise Malformed("UTF-8 text", "other bytes", "notice") from cause
    return Asked(
        requested=Requested(
            terms=terms,
            request_digest=digest_of(request_object),
            terms_hash=transaction_data_hash(element),
            nonce=request.nonce,
            expires_at=request.expires_at,
        ),
        query_id=queries[0].id,
        response_uri=request.response_uri,
        state=request.state,
        transaction_data=element,
        notice=notice,
    )


def fetch_custodian_key(
    decided: Decided, *, signer: Signer, fetcher: Fetcher, now: datetime
) -> SealingKey:
    """Give the custodian's one-time key for this grant; asked again, the same key."""
    _require_own(decided, signer)
    custodian = decided.terms.custodian
    asked = KeyRequest(grant_id=decided.grant_id, holder=decided.holder, asked_at=now)
    answer = CustodianClient(custodian, fetcher).key(
        decided.grant_id, asked.sign(signer, audience=custodian.origin)
    )
    read = CustodianKey.read(answer, custodian=custodian.did, grant_id=decided.grant_id)
    return read.key


def grant(
    decided: Decided,
    *,
    signer: Signer,
    present: PresentationMaker,
    custodian_key: SealingKey,
    now: datetime,
    random: Random,
) -> GrantPackage:
    """Seal the presentations and sign grant and registration. Nothing is sent.

    `present` is called once for each credential type. Raises `Misuse` when it
    discloses more than was granted.
    """
    _require_own(decided, signer)
    requested, terms = decided.asked.requested, decided.terms
    presentations: dict[str, str] = {}
    for vct in sorted({claim.name.vct for claim in terms.claims}):
        ask = PresentationAsk(
            vct=vct,
            paths=tuple(claim.name.path for claim in terms.claims if claim.name.vct == vct),
            audience=terms.receiver.client_id,
            nonce=requested.nonce,
            transaction_data_hashes=(requested.terms_hash,),
        )
        presentations[vct] = _just(present(ask), ask)
    sealed = seal(
        presentations,
        grant_id=decided.grant_id,
        receiver_key=terms.sealing_key,
        custodian_key=custodian_key,
        random=random,
    )
    presentation, granted = sign_grant(
        requested, terms, sealed.bundle, signer=signer, now=now, random=random
    )
    registration = Registration(
        grant_id=decided.grant_id,
        holder=decided.holder,
        receiver=terms.receiver.did,
        grant_digest=granted.agreement.grant_digest,
        purpose=terms.purpose,
        valid_until=terms.valid_until,
        max_reads=terms.max_reads,
        share=sealed.custodian_share,
        completer=None if terms.completion is None else terms.completion.by,
        authority=None if terms.authority is None else terms.authority.did,
        is_single_use=terms.is_single_use,
    )
    return GrantPackage(
        granted=granted,
        query_id=decided.asked.query_id,
        response_uri=decided.asked.response_uri,
        state=decided.asked.state,
        presentation=presentation,
        bundle=sealed.bundle.to_bytes(),
        registration=registration.sign(signer, audience=terms.custodian.origin, now=now),
    )


def deliver(package: GrantPackage, *, fetcher: Fetcher) -> Active:
    """Send everything where it belongs and give the grant in force.

    Custodian first, then grant and bundle to the receiver, then the receiver's
    receipt to the custodian: only then can anything be read. Raises `Refused`
    with the other side's reasons or `Unavailable`; calling again resumes.
    """
    agreement = package.granted.agreement
    terms = agreement.terms
    custodian = CustodianClient(terms.custodian, fetcher)
    custodian.register(package.registration)
    form = response_form({package.query_id: [package.presentation]}, package.state)
    post_form(fetcher, package.response_uri, form, who="receiver")
    answer = post(
        fetcher,
        terms.delivery_url(agreement.grant_id),
        package.bundle,
        media_type=JSON_MEDIA_TYPE,
        who="receiver",
    )
    receipt = text_at(answer, "receipt", "receiver")
    read = Receipt.read(
        receipt,
        receiver=terms.receiver.did,
        grant_id=agreement.grant_id,
        grant_digest=agreement.grant_digest,
    )
    if read.bundle_digest != agreement.bundle_digest:
        raise refuse("bundle-mismatch", "a receipt for this bundle", "another", "receipt")
    custodian.acknowledge(agreement.grant_id, receipt)
    return package.granted.acknowledge(receipt)


def withdraw(given: Granted, *, signer: Signer, now: datetime, random: Random) -> Withdrawal:
    """Withdraw a grant, delivered or not. From here on it is over for the wallet."""
    if did_jwk(signer.public) != given.agreement.holder:
        raise Misuse("expected the grant's own signer, found another")
    token = sign_end(given.agreement, Trigger.WITHDRAWN, signer=signer, now=now, random=random)
    return Withdrawal(withdrawn=given.withdraw(now.replace(microsecond=0)), token=token)


def send_pause(agreement: Agreement, token: str, *, fetcher: Fetcher) -> Pausing:
    """Tell the custodian and the receiver of a pause or resumption (`sign_pause`).

    Each whether or not the other answers. From the custodian's answer on nothing is
    read, whatever the receiver does. A party that does not answer is None: send again.
    """
    terms = agreement.terms
    held: list[Pause | None] = []
    for url, who in (
        (f"{terms.custodian.origin}/grants/{agreement.grant_id}/pause", "custodian"),
        (terms.pause_url(agreement.grant_id), "receiver"),
    ):
        try:
            answer = post(fetcher, url, token.encode("ascii"), media_type=TOKEN_MEDIA_TYPE, who=who)
            held.append(Pause.from_json(answer, who))
        except (Malformed, Refused, Unavailable):
            held.append(None)
    return Pausing(custodian=held[0], receiver=held[1])


def send_withdrawal(withdrawal: Withdrawal, *, fetcher: Fetcher) -> Ending:
    """Tell the custodian and the receiver, each whether or not the other answers.

    The custodian comes first: when it has answered, no read is possible any more,
    whatever the receiver does. A party that refuses, or cannot be reached, is
    None in the answer: send again later.
    """
    agreement = withdrawal.withdrawn.agreement
    terms = agreement.terms
    key_destroyed_at = stopped_at = None
    notice = statement = None
    try:
        statement = CustodianClient(terms.custodian, fetcher).end(
            agreement.grant_id, withdrawal.token
        )
        key_destroyed_at = KeyDestruction.read(
            statement, custodian=terms.custodian.did, grant_id=agreement.grant_id
        ).destroyed_at
    except (Malformed, Refused, Unavailable):
        key_destroyed_at = statement = None
    try:
        answer = post(
            fetcher,
            terms.withdrawal_url(agreement.grant_id),
            withdrawal.token.encode("ascii"),
            media_type=TOKEN_MEDIA_TYPE,
            who="receiver",
        )
        notice = text_at(answer, "stop_notice", "receiver")
        stopped_at = StopNotice.read(
            notice, receiver=terms.receiver.did, grant_id=agreement.grant_id
        ).stopped_at
    except (Malformed, Refused, Unavailable):
        stopped_at = notice = None
    return Ending(
        stopped_at=stopped_at,
        key_destroyed_at=key_destroyed_at,
        stop_notice=notice,
        destruction=statement,
    )


def fetch_erasure_receipt(
    agreement: Agreement, *, fetcher: Fetcher, now: datetime, attestors: Collection[Did] = ()
) -> Proof:
    """Give the verified erasure of an ended grant, at the level that its evidence reaches.

    `attestors` are whose attestation is believed here. Raises `Refused` with `not-erased`
    (from the receiver) while the grant is in force.
    """
    url = agreement.terms.erasure_url(agreement.grant_id)
    response = fetcher.get(url, accept=JSON_MEDIA_TYPE, max_bytes=MAX_NOTICE_BYTES)
    receipt = text_at(answer_of(response, "receiver"), "erasure_receipt", "receiver")
    erased = verify_erasure_receipt(receipt, agreement=agreement, now=now, attestors=attestors)
    return Proof(erased=erased, receipt=receipt)


def _unfit(
    terms: Terms, request: PresentationRequest, custodians: Mapping[str, Did], now: datetime
) -> list[Reason]:
    where = "terms"
    reasons: list[Reason] = []
    receiver, origin = terms.receiver, origin_of(request.response_uri, "request.response_uri")
    if (receiver.client_id, receiver.name) != (request.client_id, request.client_name):
        reasons.append(
            Reason("receiver-mismatch", "who signed the request", "another", f"{where}.receiver")
        )
    for name, url in (
        ("withdrawal_method", terms.withdrawal_endpoint),
        ("withdrawal_method", terms.erasure_endpoint),
        ("delivery_endpoint", terms.delivery_endpoint),
    ):
        if origin_of(url, f"{where}.{name}") != origin:
            reasons.append(
                Reason("endpoint-mismatch", "the receiver's own", "another", f"{where}.{name}")
            )
    if custodians.get(terms.custodian.origin) != terms.custodian.did:
        reasons.append(
            Reason("custodian-not-trusted", "a known custodian", "another", f"{where}.custodian")
        )
    if now >= terms.valid_until:
        reasons.append(
            Reason("end-passed", "an end to come", "one gone by", f"{where}.valid_until")
        )
    if terms.valid_until > now + MAX_VALIDITY:
        most = f"an end within {MAX_VALIDITY.days} days"
        reasons.append(Reason("end-too-far", most, "a later one", f"{where}.valid_until"))
    # The receiver's clock may be a little ahead of ours.
    return reasons + terms.retention_reasons(now + SKEW)


def _require_own(decided: Decided, signer: Signer) -> None:
    if did_jwk(signer.public) != decided.holder:
        raise Misuse("expected the signer that the decision names, found another")


def _just(presentation: str, ask: PresentationAsk) -> str:
    shown = SdJwt.parse(presentation, "presentation")
    unbound = SdJwt(shown.issuer_jwt, shown.disclosures)
    if disclose(unbound, ask.paths) != unbound:
        raise Misuse("expected a presentation of the granted claims, found more disclosed")
    if shown.key_binding is None:
        raise Misuse("expected a presentation with key binding, found none")
    return presentation
