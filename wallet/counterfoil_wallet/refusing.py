"""Say no to a request for a grant: openly, or so that nobody can tell that there was a choice.

OpenID4VP 1.0, section 8.5. An open refusal names its class in `error_description` and
nothing else; a hidden one is, byte for byte, what a wallet answers that holds nothing of
what was asked. Either stands whether or not the receiver hears it.
"""

from enum import StrEnum
from typing import Final
from urllib.parse import urlencode

from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.requests import PresentationRequest
from counterfoil_credentials.spec import FORM_MEDIA_TYPE

from counterfoil_wallet import spec
from counterfoil_wallet.answers import answer_id
from counterfoil_wallet.asked_terms import AskedTerms
from counterfoil_wallet.asking import error_form
from counterfoil_wallet.history import Act, Event, Outcome
from counterfoil_wallet.presenting import Declined
from counterfoil_wallet.store import Kind, Store
from counterfoil_wallet.wire import Clock, refuse, require_known

_WHERE: Final = "response endpoint"


class RefusalClass(StrEnum):
    """Why she refuses, as much as a receiver learns: `REFUSAL_CLASSES`; none is needed."""

    PURPOSE = "purpose"
    CLAIMS = "claims"
    RECIPIENTS = "recipients"
    DURATION = "duration"
    OPERATIONS = "operations"


class Refuser:
    """Answers requests for grants with no. Callers see to it that each is driven once."""

    def __init__(self, store: Store, fetcher: Fetcher, clock: Clock) -> None:
        self._store = store
        self._fetcher = fetcher
        self._clock = clock

    def refuse(self, asked: AskedTerms, why: RefusalClass | None = None) -> Declined:
        """Tell the receiver no, and with `why` the class of the reason, never more.

        Raises `Refused` with `already-declined`: to each request one answer.
        """
        request = asked.signed.request
        require_unanswered(self._store, request)
        event = Event(
            event_id=answer_id(request),
            at=self._clock(),
            act=Act.DECLINED,
            party=asked.asker.client_id,
            party_name=asked.asker.known_as,
            types=tuple(sorted({name.vct for name in asked.terms.claim_names})),
            claims=tuple(sorted(str(name) for name in asked.terms.claim_names)),
            outcome=Outcome.SENT,
        )
        with self._store.step():
            self._store.put(event.to_record())
            self._store.forget(Kind.WAITING, asked.asked.requested.request_digest)
        form = dict(error_form(spec.ACCESS_DENIED, request.state))
        if why is not None:
            form[spec.ERROR_DESCRIPTION] = why.value
        try:
            body = urlencode(form).encode()
            response = self._fetcher.post(request.response_uri, body, media_type=FORM_MEDIA_TYPE)
            require_known(response, _WHERE)
        except (Refused, Malformed, Unavailable):
            return Declined(is_heard=False, redirect_uri=None)
        is_heard = 200 <= response.status < 300
        if is_heard:
            self._store.put(event.ended(Outcome.DONE).to_record())
        return Declined(is_heard=is_heard, redirect_uri=None)


def require_unanswered(store: Store, request: PresentationRequest) -> None:
    """Return only if she has not said no to the request before."""
    if store.get(Kind.EVENT, answer_id(request)) is not None:
        raise refuse("already-declined", "a request without an answer", "one declined", "request")
