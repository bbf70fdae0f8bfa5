"""Present: bind what was chosen to the request, write it down, send it once.

OpenID4VP 1.0, section 8.2 (`direct_post`). A presentation is never sent twice:
its nonce is good for one answer. Killed in between, the history says `sent`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from counterfoil_credentials.claims import path_text
from counterfoil_credentials.encoding import optional_text_at
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher, Response
from counterfoil_credentials.key_binding import bind
from counterfoil_credentials.requests import PresentationRequest, response_form
from counterfoil_credentials.spec import FORM_MEDIA_TYPE

from counterfoil_wallet import spec
from counterfoil_wallet.history import Act, Event, Outcome, fresh_event_id
from counterfoil_wallet.matching import Choice, Matches
from counterfoil_wallet.store import Store
from counterfoil_wallet.wire import (
    Clock,
    Random,
    body_of,
    peer_code,
    refusal_in,
    refuse,
    require_known,
)

_WHERE: Final = "response endpoint"
_MAX_REDIRECT: Final = 2_048


@dataclass(frozen=True, slots=True)
class Presented:
    """The verifier has the presentation. What it made of it, it says at its counter.

    `redirect_uri` is where the verifier would like the customer to go on. The
    app decides; the wallet never follows it.
    """

    presented_at: datetime
    redirect_uri: str | None = field(repr=False)


class Presenter:
    """Answers requests, and remembers that it did."""

    def __init__(self, store: Store, fetcher: Fetcher, clock: Clock, random: Random) -> None:
        self._store = store
        self._fetcher = fetcher
        self._clock = clock
        self._random = random

    def present(self, choice: Choice) -> Presented:
        """Send what was chosen, and nothing else.

        Raises `Refused` with `request-expired` before, or `peer-refused` after
        sending; `Unavailable` when no answer came: the verifier may have it.
        """
        request, now = choice.request, self._clock()
        if now >= request.expires_at:
            raise refuse("request-expired", "a live request", "an old one", "request.exp")
        vp_token = {
            disclosure.query_id: [
                str(
                    bind(
                        disclosure.sd_jwt,
                        signer=disclosure.credential.signer,
                        audience=request.client_id,
                        nonce=request.nonce,
                        now=now,
                    )
                )
            ]
            for disclosure in choice.disclosures
        }
        event = self._event(Act.SHOWN, choice, now)
        self._store.put(event.to_record())
        form = response_form(vp_token, request.state)
        try:
            response = _post(self._fetcher, request.response_uri, form)
        except Refused as refusal:
            self._store.put(event.ended(Outcome.REFUSED, peer_code(refusal)).to_record())
            raise
        self._store.put(event.ended(Outcome.DONE).to_record())
        return Presented(now, _redirect_in(response))

    def decline(self, matches: Matches) -> None:
        """Tell the verifier no, and nothing more: not even whether something would have fitted.

        The refusal stands whether or not the verifier hears it.
        """
        request, now = matches.request, self._clock()
        event = Event(
            event_id=fresh_event_id(self._random),
            at=now,
            act=Act.DECLINED,
            party=matches.asker.client_id,
            party_name=matches.asker.known_as,
            types=_types(request),
            claims=_names(request),
        )
        self._store.put(event.to_record())
        form = {spec.ERROR: spec.ACCESS_DENIED}
        if request.state is not None:
            form[spec.STATE] = request.state
        try:
            _post(self._fetcher, request.response_uri, form)
        except (Refused, Unavailable):
            self._store.put(event.ended(Outcome.SENT).to_record())

    def _event(self, act: Act, choice: Choice, now: datetime) -> Event:
        return Event(
            event_id=fresh_event_id(self._random),
            at=now,
            act=act,
            party=choice.asker.client_id,
            party_name=choice.asker.known_as,
            types=tuple(d.credential.vct for d in choice.disclosures),
            claims=tuple(dict.fromkeys(name for d in choice.disclosures for name in d.names)),
            outcome=Outcome.SENT,
        )


def _post(fetcher: Fetcher, url: str, form: Mapping[str, str]) -> Response:
    response = fetcher.post(url, urlencode(form).encode(), media_type=FORM_MEDIA_TYPE)
    require_known(response, _WHERE)
    # A redirect by the server would send the presentation elsewhere (section 14): it is a no.
    if not 200 <= response.status < 300:
        raise refusal_in(response, _WHERE)
    return response


def _redirect_in(response: Response) -> str | None:
    # The answer may be empty, or something that is not ours to understand.
    try:
        uri = optional_text_at(body_of(response, _WHERE), spec.REDIRECT_URI, _WHERE)
    except Malformed:
        return None
    return None if uri is None or len(uri) > _MAX_REDIRECT else uri


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
