"""Present: bind what was chosen to the request, write it down, send it once.

OpenID4VP 1.0, sections 8.2 (`direct_post`) and 8.3.1 (`direct_post.jwt`). A request is
never answered twice, by a yes or a no: its nonce is good for one answer. The history remembers
it: the event of answering is named for client id and nonce, and written before anything is
sent, in one step with the copies that are taken for this verifier. Killed in between, the
history says `sent`. Nobody but the verifier hears of it: no issuer is called.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from counterfoil_credentials.claims import path_text
from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    compact_json,
    optional_text_at,
)
from counterfoil_credentials.errors import Malformed, Misuse, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher, Response
from counterfoil_credentials.jose import ContentEncryption, encrypt_jwe
from counterfoil_credentials.key_binding import bind
from counterfoil_credentials.requests import PresentationRequest, response_form
from counterfoil_credentials.spec import FORM_MEDIA_TYPE

from counterfoil_wallet import spec
from counterfoil_wallet.answers import answer_id, answer_named
from counterfoil_wallet.asking import error_form
from counterfoil_wallet.card_keys import CardKeys
from counterfoil_wallet.disclosures import Disclosure
from counterfoil_wallet.history import Act, Event, EventId, Outcome
from counterfoil_wallet.matching import Choice, Matches
from counterfoil_wallet.showing import take_for
from counterfoil_wallet.store import Kind, Store
from counterfoil_wallet.visit_receipts import (
    ShownCard,
    Visit,
    VisitReceipt,
    check_receipt,
    unverified_visit,
)
from counterfoil_wallet.wire import (
    Clock,
    body_of,
    https_url,
    peer_code,
    reasons_of,
    refusal_in,
    refuse,
    require_known,
)

_WHERE: Final = "response endpoint"
_MAX_REDIRECT: Final = 2_048
_MATCH_CODE: Final = re.compile(r"[0-9]{4,8}")


@dataclass(frozen=True, slots=True)
class Presented:
    """The verifier has the presentation. What it made of it, it says at its counter.

    `redirect_uri` is where the customer is to go on, in the browser in which she began
    (section 8.2): it holds a fresh code, so that only who is sent there sees the result.
    The app opens it; the wallet never follows it. It is an https URL.

    `match_code` are digits that she tells at the counter where she stands, and nobody else:
    who shows her a copy of the shop's code somewhere else gains nothing by it (section 14.2).
    `receipt` is what the shop gave for what it was shown, None for none; the history has it.
    """

    presented_at: datetime
    redirect_uri: str | None = field(repr=False)
    match_code: str | None = field(default=None, repr=False)
    receipt: VisitReceipt | None = None


@dataclass(frozen=True, slots=True)
class Declined:
    """The customer said no. `redirect_uri` as in `Presented`, when the verifier heard it."""

    is_heard: bool
    redirect_uri: str | None = field(repr=False)


class Presenter:
    """Answers requests, and remembers that it did.

    Callers see to it that each `answer_id` is driven once at a time.
    """

    def __init__(self, store: Store, fetcher: Fetcher, clock: Clock, keys: CardKeys) -> None:
        self._store = store
        self._fetcher = fetcher
        self._clock = clock
        self._keys = keys

    def present(self, choice: Choice) -> Presented:
        """Send what was chosen, and nothing else, for the first time.

        Raises `Refused` with `request-expired`, `already-shown` or `already-declined`
        before, or `peer-refused` after sending; `Unavailable` when no answer came: the
        verifier may have it, and only a new request can be answered.
        """
        event, form = self._answered(choice)
        request = choice.request
        try:
            response = _post(self._fetcher, request.response_uri, form)
        except Refused as refusal:
            self._store.put(event.ended(Outcome.REFUSED, peer_code(refusal)).to_record())
            raise
        except Malformed as error:
            (reason,) = reasons_of(error)
            self._store.put(event.ended(Outcome.REFUSED, reason.code).to_record())
            raise
        said = _said_in(response)
        receipt = self._receipt_in(said, event, request)
        self._store.put(replace(event.ended(Outcome.DONE), receipt=receipt).to_record())
        return Presented(event.at, _redirect_in(said), _match_code_in(said), receipt)

    def take_receipt(self, token: str) -> Event:
        """Keep a receipt that came another way than in the answer, and give its visit.

        Raises `Malformed`; `Refused` with `receipt-of-no-visit`, `receipt-kept-before` for
        another than the one that is kept, or what makes it worthless (`check_receipt`). What
        is signed and says something else than was shown is kept: it is the shop's own word.
        """
        client_id, nonce = unverified_visit(token)
        record = self._store.get(Kind.EVENT, receipt_id(token))
        if record is None or record.label != Act.SHOWN:
            expected = "one for something that this wallet showed"
            raise refuse("receipt-of-no-visit", expected, "another", "receipt")
        event = Event.from_record(record)
        if event.is_forgotten:
            raise refuse("receipt-of-no-visit", "one that is in the history", "another", "receipt")
        kept = event.receipt
        if kept is not None and kept.token is not None:
            if kept.token != token:
                expected = "the receipt that is kept"
                raise refuse("receipt-kept-before", expected, "another", "receipt")
            return event
        receipt = check_receipt(
            token, event.visit or Visit(), client_id=client_id, nonce=nonce, now=self._clock()
        )
        if receipt.token is None:
            raise Refused(*receipt.reasons)
        # Nobody signs for what did not arrive.
        outcome = Outcome.DONE if event.outcome is Outcome.SENT else event.outcome
        event = replace(event, outcome=outcome, receipt=receipt)
        self._store.put(event.to_record())
        return event

    def answer(self, choice: Choice) -> Mapping[str, str]:
        """Give the form with what was chosen, for another way than the network, once.

        The history says `sent`, because nobody tells the wallet what became of it. Raises
        what `present` raises before sending.
        """
        _, form = self._answered(choice)
        return form

    def _answered(self, choice: Choice) -> tuple[Event, Mapping[str, str]]:
        """Take the copies, write it down, and give the event with the form of the answer."""
        request, now = choice.request, self._clock()
        self._require_unanswered(request)
        if now >= request.expires_at:
            raise refuse("request-expired", "a live request", "an old one", "request.exp")
        event = _showing(choice, now)
        with self._store.step():
            taken = [
                take_for(self._store, one, request.client_id, at=now, may_link=choice.may_link)
                for one in choice.disclosures
            ]
            # Where a key store does not answer, nothing is taken and nothing said.
            signers = [self._keys.of(one.copy) for one in taken]
            self._store.put(event.to_record())
        vp_token: dict[str, list[str]] = {}
        for chosen, disclosure, signer in zip(choice.disclosures, taken, signers, strict=True):
            # Bound also where the query does without: a proof that nobody can replay.
            bound = bind(
                disclosure.sd_jwt,
                signer=signer,
                audience=request.client_id,
                nonce=request.nonce,
                now=now,
                transaction_data_hashes=[one.digest for one in choice.signs_for(chosen)],
            )
            vp_token.setdefault(disclosure.query_id, []).append(bound)
        return event, _answer_form(request, vp_token)

    def decline(self, matches: Matches) -> Declined:
        """Tell the verifier no, and nothing more: not even whether something would have fitted.

        The refusal stands whether or not the verifier hears it (section 8.5,
        `access_denied`). Raises `Refused` with `already-shown` or `already-declined`.
        """
        request, now = matches.request, self._clock()
        self._require_unanswered(request)
        event = Event(
            event_id=answer_id(request),
            at=now,
            act=Act.DECLINED,
            party=matches.asker.client_id,
            party_name=matches.asker.known_as,
            types=_types(request),
            claims=_names(request),
            outcome=Outcome.SENT,
        )
        self._store.put(event.to_record())
        form = _form(request, error_form(spec.ACCESS_DENIED, request.state))
        try:
            response = _post(self._fetcher, request.response_uri, form)
        except (Refused, Malformed, Unavailable):
            return Declined(is_heard=False, redirect_uri=None)
        self._store.put(event.ended(Outcome.DONE).to_record())
        return Declined(is_heard=True, redirect_uri=_redirect_in(_said_in(response)))

    def _receipt_in(
        self, said: JsonObject, event: Event, request: PresentationRequest
    ) -> VisitReceipt | None:
        if event.visit is None or said.get(spec.RECEIPT) is None:
            return None
        return check_receipt(
            said[spec.RECEIPT],
            event.visit,
            client_id=request.client_id,
            nonce=request.nonce,
            now=self._clock(),
        )

    def _require_unanswered(self, request: PresentationRequest) -> None:
        record = self._store.get(Kind.EVENT, answer_id(request))
        if record is None:
            return
        was = "declined" if record.label == Act.DECLINED else "shown"
        expected, found = "a request without an answer", f"one answered before: {was}"
        raise refuse(f"already-{was}", expected, found, "request.nonce")


def receipt_id(token: str) -> EventId:
    """Give the id of the one event that a receipt says that it is for; raises its `Malformed`."""
    return answer_named(*unverified_visit(token))


def _showing(choice: Choice, now: datetime) -> Event:
    return Event(
        event_id=answer_id(choice.request),
        at=now,
        act=Act.SHOWN,
        party=choice.asker.client_id,
        party_name=choice.asker.known_as,
        types=tuple(d.credential.vct for d in choice.disclosures),
        claims=tuple(dict.fromkeys(name for d in choice.disclosures for name in d.names)),
        outcome=Outcome.SENT,
        visit=Visit(
            signed_by=choice.asker.key,
            purpose=choice.request.purpose,
            shown=tuple(shown_card(disclosure) for disclosure in choice.disclosures),
        ),
    )


def shown_card(disclosure: Disclosure) -> ShownCard:
    """Give the names of what a receipt for this is to name, and no other."""
    # Where everything inside is withheld, nothing is seen.
    paths = [one.path for one in disclosure.claims if not isinstance(one.value, dict | list)]
    return ShownCard.of(disclosure.credential.vct, paths)


def _post(fetcher: Fetcher, url: str, form: Mapping[str, str]) -> Response:
    response = fetcher.post(url, urlencode(form).encode(), media_type=FORM_MEDIA_TYPE)
    require_known(response, _WHERE)
    # A redirect by the server would send the presentation elsewhere (section 14): it is a no.
    if not 200 <= response.status < 300:
        raise refusal_in(response, _WHERE)
    return response


def _answer_form(
    request: PresentationRequest, vp_token: Mapping[str, Sequence[str]]
) -> dict[str, str]:
    if request.encryption is None:
        return response_form(vp_token, request.state)
    token: JsonObject = {name: [*presentations] for name, presentations in vp_token.items()}
    return _encrypted(request, {"vp_token": token})


def _form(request: PresentationRequest, parameters: Mapping[str, str]) -> Mapping[str, str]:
    return parameters if request.encryption is None else _encrypted(request, {**parameters})


def _encrypted(request: PresentationRequest, parameters: JsonObject) -> dict[str, str]:
    """Give the one parameter that holds the others (section 8.3): unsigned, encrypted."""
    encryption = request.encryption
    if encryption is None:
        raise Misuse("expected a request that says how to encrypt, found another")
    if request.state is not None:
        parameters = {**parameters, spec.STATE: request.state}
    # HAIP 1.0, section 5: whoever knows both ciphers takes the longer key.
    is_long = ContentEncryption.A256GCM in encryption.encryptions
    cipher = ContentEncryption.A256GCM if is_long else encryption.encryptions[0]
    jwe = encrypt_jwe(compact_json(parameters), key=encryption.key, encryption=cipher)
    return {spec.RESPONSE: jwe}


def _said_in(response: Response) -> JsonObject:
    # The answer may be empty, or something that is not ours to understand.
    try:
        return body_of(response, _WHERE)
    except Malformed:
        return {}


def _match_code_in(said: JsonObject) -> str | None:
    code: Json = said.get(spec.MATCH_CODE)
    # It is shown large, in the wallet's own frame: digits, and no message of anybody's.
    return code if isinstance(code, str) and _MATCH_CODE.fullmatch(code) else None


def _redirect_in(said: JsonObject) -> str | None:
    # An app opens what it is given here: not a script, not a file.
    try:
        uri = optional_text_at(said, spec.REDIRECT_URI, _WHERE)
        if uri is None:
            return None
        https_url(uri.partition("#")[0], _WHERE)
    except (Malformed, Refused):
        return None
    return uri if len(uri) <= _MAX_REDIRECT else None


def _types(request: PresentationRequest) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(vct for query in request.query.credentials for vct in query.vct_values)
    )


def _names(request: PresentationRequest) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(
            path_text(claim.path) for query in request.query.credentials for claim in query.claims
        )
    )
