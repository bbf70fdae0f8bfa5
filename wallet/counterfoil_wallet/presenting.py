"""Present: bind what was chosen to the request, write it down, send it once.

OpenID4VP 1.0, section 8.2 (`direct_post`). A request is never answered twice: its
nonce is good for one presentation. The history remembers it: the event of showing
is named for client id and nonce, and written before anything is sent. Killed in
between, the history says `sent`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Final
from urllib.parse import urlencode

from counterfoil_credentials.claims import path_text
from counterfoil_credentials.encoding import b64url, compact_json, optional_text_at
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher, Response
from counterfoil_credentials.key_binding import bind
from counterfoil_credentials.requests import PresentationRequest, response_form
from counterfoil_credentials.spec import FORM_MEDIA_TYPE

from counterfoil_wallet import spec
from counterfoil_wallet.history import Act, Event, EventId, Outcome, fresh_event_id
from counterfoil_wallet.matching import Choice, Matches
from counterfoil_wallet.store import Kind, Store
from counterfoil_wallet.wire import (
    Clock,
    Random,
    body_of,
    peer_code,
    reasons_of,
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
    """Answers requests, and remembers that it did.

    Callers see to it that each `showing_id` is driven once at a time.
    """

    def __init__(self, store: Store, fetcher: Fetcher, clock: Clock, random: Random) -> None:
        self._store = store
        self._fetcher = fetcher
        self._clock = clock
        self._random = random

    def present(self, choice: Choice) -> Presented:
        """Send what was chosen, and nothing else, for the first time.

        Raises `Refused` with `request-expired` or `already-shown` before, or
        `peer-refused` after sending; `Unavailable` when no answer came: the
        verifier may have it, and only a new request can be answered.
        """
        request, now = choice.request, self._clock()
        if self._store.get(Kind.EVENT, showing_id(request)) is not None:
            raise refuse(
                "already-shown", "a request without an answer", "one answered", "request.nonce"
            )
        if now >= request.expires_at:
            raise refuse("request-expired", "a live request", "an old one", "request.exp")
        vp_token: dict[str, list[str]] = {}
        for disclosure in choice.disclosures:
            # Bound also where the query does without: a proof that nobody can replay.
            bound = bind(
                disclosure.sd_jwt,
                signer=disclosure.credential.signer,
                audience=request.client_id,
                nonce=request.nonce,
                now=now,
            )
            vp_token.setdefault(disclosure.query_id, []).append(bound)
        event = _showing(choice, now)
        self._store.put(event.to_record())
        form = response_form(vp_token, request.state)
        try:
            response = _post(self._fetcher, request.response_uri, form)
        except Refused as refusal:
            self._store.put(event.ended(Outcome.REFUSED, peer_code(refusal)).to_record())
            raise
        except Malformed as error:
            (reason,) = reasons_of(error)
            self._store.put(event.ended(Outcome.REFUSED, reason.code).to_record())
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
            outcome=Outcome.SENT,
        )
        self._store.put(event.to_record())
        form = {spec.ERROR: spec.ACCESS_DENIED}
        if request.state is not None:
            form[spec.STATE] = request.state
        try:
            _post(self._fetcher, request.response_uri, form)
        except (Refused, Malformed, Unavailable):
            return
        self._store.put(event.ended(Outcome.DONE).to_record())


def showing_id(request: PresentationRequest) -> EventId:
    """Give the id of the one event of answering `request`."""
    named = compact_json([request.client_id, request.nonce])
    return EventId(f"{Act.SHOWN}-{b64url(sha256(named).digest())}")


def _showing(choice: Choice, now: datetime) -> Event:
    return Event(
        event_id=showing_id(choice.request),
        at=now,
        act=Act.SHOWN,
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
