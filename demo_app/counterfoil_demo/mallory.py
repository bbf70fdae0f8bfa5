"""The one who listens on the wire: keeps answers, sends them again, changes them, lures wallets.

The attacks of step c are real: the bytes are the wallet's own, and they go
through the counter's public door.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from urllib.parse import parse_qsl, urlencode

from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.encoding import b64url, from_b64url
from counterfoil_credentials.errors import Misuse
from counterfoil_credentials.fetch import MAX_BYTES, Fetcher, MemoryFetcher, Response
from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.request_links import parse_request_link, request_link
from counterfoil_credentials.requests import (
    client_id_of,
    parse_response_form,
    read_request,
    response_form,
    sign_request,
)
from counterfoil_credentials.sdjwt import SdJwt
from counterfoil_credentials.spec import FORM_MEDIA_TYPE, JSON_MEDIA_TYPE, REQUEST_MEDIA_TYPE

ORIGIN: Final = "https://harbour.example"
_NAME: Final = "Harbour Repairs"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it went over the wire: where to, and its form fields."""

    response_uri: str
    form: Mapping[str, str]

    def retargeted(self, response_uri: str, state: str | None) -> "Answer":
        """Give the same presentations as an answer to another request."""
        fields = {"vp_token": self.form["vp_token"]}
        return Answer(response_uri, fields if state is None else {**fields, "state": state})

    def tampered(self) -> "Answer":
        """Give the answer with one letter of a disclosed claim changed."""
        shown = {
            query: [_tampered(presentation) for presentation in presentations]
            for query, presentations in parse_response_form(self.form).items()
        }
        return Answer(self.response_uri, {**self.form, **response_form(shown, None)})


class WireTap:
    """A fetcher that passes everything on, keeps each `direct_post`, and answers for Harbour."""

    def __init__(self, wire: Fetcher) -> None:
        """Listen on `wire`."""
        self._wire = wire
        self._harbour = MemoryFetcher()
        self.answers: list[Answer] = []
        self._is_holding = False

    def get(
        self,
        url: str,
        *,
        accept: str,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> Response:
        """GET, from Harbour itself or from the wire."""
        via = self._harbour if url.startswith(f"{ORIGIN}/") else self._wire
        return via.get(url, accept=accept, headers=headers, max_bytes=max_bytes)

    def post(
        self,
        url: str,
        body: bytes,
        *,
        media_type: str,
        headers: Mapping[str, str] | None = None,
        accept: str = JSON_MEDIA_TYPE,
        max_bytes: int = MAX_BYTES,
    ) -> Response:
        """POST, keeping what looks like an answer."""
        if media_type == FORM_MEDIA_TYPE and b"vp_token=" in body:
            self.answers.append(Answer(url, dict(parse_qsl(body.decode("ascii")))))
            if self._is_holding:
                return Response(200, JSON_MEDIA_TYPE, b"{}")
        return self._wire.post(
            url, body, media_type=media_type, headers=headers, accept=accept, max_bytes=max_bytes
        )

    @contextmanager
    def holding(self) -> Generator[list[Answer]]:
        """Keep answers from arriving while the block runs; gives those that were kept."""
        seen_before = len(self.answers)
        held: list[Answer] = []
        self._is_holding = True
        try:
            yield held
        finally:
            self._is_holding = False
            held.extend(self.answers[seen_before:])

    def send(self, answer: Answer) -> Response:
        """Send an answer through the counter's public door."""
        body = urlencode(answer.form).encode("ascii")
        return self._wire.post(answer.response_uri, body, media_type=FORM_MEDIA_TYPE)

    def lure(self, link: str, now: datetime) -> str:
        """Give Harbour's own link that relays the question behind another shop's `link`.

        Nonce, state and the place of the answer are the other shop's: a wallet
        that answers Harbour hands Harbour something to pass off as its own.
        """
        asked = parse_request_link(link)
        fetched = self._wire.get(asked.request_uri, accept=REQUEST_MEDIA_TYPE)
        request = read_request(fetched.body.decode("ascii"), client_id=asked.client_id, now=now)
        signer = MemorySigner.generate()
        client_id = client_id_of(did_jwk(signer.public))
        relayed = replace(request, client_id=client_id, client_name=_NAME)
        body = sign_request(relayed, signer).encode("ascii")
        self._harbour.serve(ORIGIN, lambda _m, _p, _h, _b: Response(200, REQUEST_MEDIA_TYPE, body))
        return request_link(client_id, f"{ORIGIN}/requests/1")


def request_behind(wire: Fetcher, link: str, now: datetime) -> tuple[str, str | None]:
    """Give where an answer to `link` goes and its state: anybody who sees the QR can read both."""
    asked = parse_request_link(link)
    fetched = wire.get(asked.request_uri, accept=REQUEST_MEDIA_TYPE)
    request = read_request(fetched.body.decode("ascii"), client_id=asked.client_id, now=now)
    return request.response_uri, request.state


def _tampered(presentation: str) -> str:
    sd_jwt = SdJwt.parse(presentation)
    head, payload, signature = sd_jwt.issuer_jwt.split(".")
    text = from_b64url(payload, "payload")
    # The end of a warranty, a century later: same length, one digit.
    changed = text.replace(b'"valid_until":"20', b'"valid_until":"21', 1)
    if changed == text:
        raise Misuse("expected an end date to tamper with, found none")
    return str(replace(sd_jwt, issuer_jwt=f"{head}.{b64url(changed)}.{signature}"))
