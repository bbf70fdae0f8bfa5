"""Requests to one issuer and its authorization server, each proved as the acceptance began.

    sender.to_server(url, form, server=endpoints, identity=identity)     token, pushed request
    sender.to_issuer(url, body, ..., token=token, identity=identity)     credential and the rest

A DPoP proof is made for every request, a wallet attestation goes to the authorization server
alone. A server that wants its own nonce says so in its answer, and the request is sent once
more with it; likewise for a challenge. A nonce is kept for the origin that gave it, as RFC 9449
has it, and for the key that it was given to: sent with another, it would join two acceptances.

RFC 9449, sections 4, 5, 7, 8 and 9; OAuth 2.0 Attestation-Based Client Authentication,
sections 5 to 7; OpenID4VCI 1.0, appendix E.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

from counterfoil_credentials.client_attestation import make_client_attestation_pop
from counterfoil_credentials.dpop import make_dpop
from counterfoil_credentials.encoding import (
    JsonObject,
    b64url,
    from_b64url,
    optional_text_at,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Misuse
from counterfoil_credentials.fetch import Fetcher, Response
from counterfoil_credentials.fetch_urls import origin_of, parse_url
from counterfoil_credentials.keys import MemorySigner, PublicKey
from counterfoil_credentials.spec import (
    ATTESTATION_CHALLENGE_HEADER,
    CLIENT_ATTESTATION_HEADER,
    CLIENT_ATTESTATION_POP_HEADER,
    DPOP_HEADER,
    DPOP_NONCE_HEADER,
    FORM_MEDIA_TYPE,
    JSON_MEDIA_TYPE,
    TOKEN_MEDIA_TYPE,
)

from counterfoil_wallet import spec
from counterfoil_wallet.attesting import Client
from counterfoil_wallet.discovering import Endpoints
from counterfoil_wallet.wire import (
    MAX_ANSWER_BYTES,
    Clock,
    Random,
    body_of,
    bounded,
    fresh_signer,
    own_answer,
    refuse,
)

_CHALLENGE: Final = "challenge endpoint"
_JTI_BYTES: Final = 16
_LONGEST_NONCE: Final = 512
_MOST_NONCES: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who the wallet is in one acceptance, and with which keys; no other acceptance has them.

    `dpop` is the key that the token is bound to, `instance` the one that the wallet's
    maker vouches for. Each is None where the server does not ask for it.
    """

    client_id: str | None = None
    dpop: MemorySigner | None = field(default=None, repr=False, compare=False)
    instance: MemorySigner | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> JsonObject:
        """Give it for storage."""
        keys = {"dpop": self.dpop, "instance": self.instance}
        members: JsonObject = {
            name: b64url(key.private_bytes()) for name, key in keys.items() if key is not None
        }
        return members if self.client_id is None else {**members, "client_id": self.client_id}

    @staticmethod
    def from_json(obj: JsonObject, where: str) -> "Identity":
        """Read a stored one."""
        return Identity(
            client_id=optional_text_at(obj, "client_id", where),
            dpop=_signer_at(obj, "dpop", where),
            instance=_signer_at(obj, "instance", where),
        )


@dataclass(frozen=True, slots=True)
class Token:
    """An access token. `kind` is `Bearer`, or `DPoP` for one that our key must go with.

    With `refresh` another may be had later, without the customer.
    """

    value: str = field(repr=False)
    kind: str = spec.BEARER
    refresh: str | None = field(default=None, repr=False)


class Sender:
    """Sends as this wallet. Safe from several threads; remembers nonces, and nothing else."""

    def __init__(self, fetcher: Fetcher, clock: Clock, random: Random, client: Client) -> None:
        self.fetcher = fetcher
        self.client = client
        self._clock = clock
        self._random = random
        self._nonces: dict[tuple[PublicKey, str], str] = {}

    def identity(self, endpoints: Endpoints, *, must_name_itself: bool) -> Identity:
        """Make the keys of one acceptance, as far as its server takes them.

        Raises `Refused` with `wallet-attestation-needed` where nobody vouches for this
        wallet and somebody must, and with `client-id-needed`.
        """
        name = self.client.client_id
        attests = endpoints.takes_attestation and self.client.wallet_attester is not None
        if endpoints.takes_nothing_else and not attests:
            expected = "a wallet that its maker vouches for"
            raise refuse("wallet-attestation-needed", expected, "another", endpoints.server)
        if (attests or must_name_itself) and name is None:
            raise refuse("client-id-needed", "a wallet with a client id", "none", endpoints.server)
        return Identity(
            client_id=name if must_name_itself or attests else None,
            dpop=fresh_signer(self._random) if endpoints.takes_dpop else None,
            instance=fresh_signer(self._random) if attests else None,
        )

    def to_server(
        self, url: str, form: Mapping[str, str], *, endpoints: Endpoints, identity: Identity
    ) -> Response:
        """Post a form to the authorization server; `client_id` goes with it."""
        named = {} if identity.client_id is None else {spec.CLIENT_ID: identity.client_id}
        body = urlencode({**form, **named}).encode()
        challenge = None
        if identity.instance is not None and endpoints.challenge is not None:
            challenge = self._fetch_challenge(endpoints.challenge, identity)

        def send() -> Response:
            headers = {
                **self._attested(identity, endpoints, challenge),
                **self._dpop(url, identity, None),
            }
            response = self.fetcher.post(url, body, media_type=FORM_MEDIA_TYPE, headers=headers)
            self._remember(url, identity, response)
            return response

        response = send()
        if _wants_nonce(response) and identity.dpop is not None:
            response = send()
        if identity.instance is not None and _error(response) == spec.USE_CHALLENGE:
            given = response.headers.get(ATTESTATION_CHALLENGE_HEADER.lower())
            if given is not None and _is_nonce(given):
                challenge = given
                response = send()
        return response

    def to_issuer(
        self,
        url: str,
        body: bytes,
        *,
        media_type: str,
        token: Token,
        identity: Identity,
        max_bytes: int = MAX_ANSWER_BYTES,
    ) -> Response:
        """Post to a protected endpoint with the token, and the proof that goes with it."""

        def send() -> Response:
            headers = {"Authorization": f"{token.kind} {token.value}"}
            if token.kind == spec.DPOP:
                headers |= self._dpop(url, identity, token)
            response = self.fetcher.post(
                url,
                body,
                media_type=media_type,
                headers=headers,
                accept=f"{JSON_MEDIA_TYPE}, {TOKEN_MEDIA_TYPE}",
                max_bytes=max_bytes,
            )
            self._remember(url, identity, response)
            return response

        response = send()
        if token.kind == spec.DPOP and _wants_nonce(response):
            response = send()
        return response

    def plain(self, url: str, identity: Identity) -> Response:
        """Post nothing, as nobody: how a nonce is asked for, to be used by `identity` alone."""
        response = self.fetcher.post(url, b"", media_type=FORM_MEDIA_TYPE)
        self._remember(url, identity, response)
        return response

    def _dpop(self, url: str, identity: Identity, token: Token | None) -> dict[str, str]:
        if identity.dpop is None:
            return {}
        proof = make_dpop(
            identity.dpop,
            method="POST",
            url=url,
            jti=b64url(self._random(_JTI_BYTES)),
            now=self._clock(),
            access_token=None if token is None else token.value,
            nonce=self._nonces.get((identity.dpop.public, _origin(url))),
        )
        return {DPOP_HEADER: proof}

    def _attested(
        self, identity: Identity, endpoints: Endpoints, challenge: str | None
    ) -> dict[str, str]:
        if identity.instance is None:
            return {}
        attester, client_id = self.client.wallet_attester, identity.client_id
        if attester is None or client_id is None:
            raise Misuse("expected the client that began this acceptance, found one that is not")
        pop = make_client_attestation_pop(
            identity.instance,
            client_id=client_id,
            audience=endpoints.server,
            jti=b64url(self._random(_JTI_BYTES)),
            now=self._clock(),
            challenge=challenge,
        )
        attestation = attester.attest_wallet(identity.instance.public, client_id=client_id)
        return {CLIENT_ATTESTATION_HEADER: attestation, CLIENT_ATTESTATION_POP_HEADER: pop}

    def _fetch_challenge(self, url: str, identity: Identity) -> str:
        answer = own_answer(self.plain(url, identity), _CHALLENGE)
        return bounded(text_at(answer, spec.CHALLENGE, _CHALLENGE), _CHALLENGE, _LONGEST_NONCE)

    def _remember(self, url: str, identity: Identity, response: Response) -> None:
        nonce = response.headers.get(DPOP_NONCE_HEADER.lower())
        if identity.dpop is not None and nonce is not None and _is_nonce(nonce):
            if len(self._nonces) >= _MOST_NONCES:
                self._nonces.clear()
            self._nonces[identity.dpop.public, _origin(url)] = nonce


def _origin(url: str) -> str:
    return origin_of(parse_url(url))


def _is_nonce(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_NONCE and text.isascii() and text.isprintable()


def _wants_nonce(response: Response) -> bool:
    """Say whether the server asks for its nonce and gives one (RFC 9449, sections 8 and 9)."""
    if DPOP_NONCE_HEADER.lower() not in response.headers:
        return False
    told = response.headers.get("www-authenticate", "")
    return _error(response) == spec.USE_DPOP_NONCE or (
        response.status == 401 and f'"{spec.USE_DPOP_NONCE}"' in told
    )


def _error(response: Response) -> str | None:
    if response.status not in (400, 401):
        return None
    try:
        return optional_text_at(body_of(response, "answer"), spec.ERROR, "answer")
    except Malformed:
        return None


def _signer_at(obj: JsonObject, name: str, where: str) -> MemorySigner | None:
    text = optional_text_at(obj, name, where)
    if text is None:
        return None
    return MemorySigner.from_private_bytes(from_b64url(text, f"{where}.{name}"))
