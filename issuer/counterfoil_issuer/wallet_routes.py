"""What wallets ask: tokens, nonces, credentials, also late ones, and notifications.

    app.add_middleware(HotRoutes, paths=wallet_paths(WalletDesk(issuer=issuer)), below={})

Each handler reads the request, lets the issuer decide, and writes the answer. A
token is taken from the Authorization header alone, with the proof of its key when it
has one. OpenID4VCI 1.0, sections 6 to 11; RFC 6750; RFC 9449, sections 5 and 7.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from counterfoil_credentials.dpop import DpopProof
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.jose import DecryptionKey
from counterfoil_credentials.spec import DPOP_NONCE_HEADER, TOKEN_MEDIA_TYPE

from counterfoil_issuer.clients import (
    ClientPolicy,
    Demand,
    Sender,
    fresh_nonces,
    identify,
    read_dpop,
    spent_dpop,
)
from counterfoil_issuer.credential_request import (
    OPTIONAL,
    Secrecy,
    read_credential_request,
    read_deferred_request,
)
from counterfoil_issuer.credential_response import credentials_answer, waiting_answer, written
from counterfoil_issuer.deferred import Deferred
from counterfoil_issuer.exchange import (
    Answer,
    Incoming,
    empty_answer,
    json_answer,
    secret_answer,
)
from counterfoil_issuer.forms import read_form
from counterfoil_issuer.hot_routes import Handler, Methods, refusal_answer
from counterfoil_issuer.issuer import Issuer
from counterfoil_issuer.issuing import Issued
from counterfoil_issuer.spec import (
    ACCESS_TOKEN,
    AUTHORIZATION_DETAILS,
    BEARER,
    C_NONCE,
    CLIENT_ID,
    DPOP,
    EXPIRES_IN,
    GRANT_TYPE,
    TOKEN_TYPE,
    ErrorCode,
    refusal,
)
from counterfoil_issuer.tokens import AccessToken, Presented

_TOKEN: Final = "/token"
_CREDENTIAL: Final = "/credential"
_DEFERRED: Final = "/deferred_credential"
_NOTIFICATION: Final = "/notification"
_NONCE_WANTED: Final = frozenset(
    {
        ErrorCode.INVALID_DPOP_PROOF,
        ErrorCode.USE_DPOP_NONCE,
        ErrorCode.USE_ATTESTATION_CHALLENGE,
        ErrorCode.INVALID_CLIENT,
        ErrorCode.INVALID_CLIENT_ATTESTATION,
        ErrorCode.USE_FRESH_ATTESTATION,
    }
)
_CHALLENGED: Final = frozenset(
    {
        ErrorCode.INVALID_TOKEN,
        ErrorCode.INSUFFICIENT_SCOPE,
        ErrorCode.INVALID_DPOP_PROOF,
        ErrorCode.USE_DPOP_NONCE,
    }
)


Redeem: TypeAlias = Callable[[Mapping[str, str], Sender], Awaitable[AccessToken]]
"""Turns a token request, from a sender who was checked, into a token: one grant type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletDesk:
    """What the wallet's endpoints need: the issuer, and whom it lets in how.

    `grants` are the grant types besides the pre-authorized code, by their names.
    """

    issuer: Issuer
    clients: ClientPolicy = field(default_factory=ClientPolicy)
    secrecy: Secrecy = OPTIONAL
    grants: Mapping[str, Redeem] = field(default_factory=dict[str, Redeem])

    def nonces(self) -> dict[str, str]:
        """Give the headers with fresh nonces for the next request."""
        issuer = self.issuer
        return fresh_nonces(
            self.clients, key=issuer.secret, now=issuer.clock(), random=issuer.random
        )


def wallet_paths(desk: WalletDesk) -> dict[str, Methods]:
    """Give the handlers of the wallet's endpoints by path."""
    prefix = urlsplit(desk.issuer.url).path
    protected: dict[str, Handler] = {
        _CREDENTIAL: partial(_credential, desk),
        _DEFERRED: partial(_deferred, desk),
        _NOTIFICATION: partial(_notification, desk),
    }
    posts: dict[str, Handler] = {
        _TOKEN: partial(_token, desk),
        "/nonce": partial(_nonce, desk),
        **{path: partial(_challenging, desk, handler) for path, handler in protected.items()},
    }
    return {f"{prefix}{path}": {"POST": handler} for path, handler in posts.items()}


async def _token(desk: WalletDesk, incoming: Incoming) -> Answer:
    issuer = desk.issuer
    try:
        form = read_form(incoming.media_type, await incoming.body())
        sender = identify(
            incoming.headers,
            form.get(CLIENT_ID),
            url=issuer.url + _TOKEN,
            policy=desk.clients,
            issuer=issuer.url,
            key=issuer.secret,
            now=issuer.clock(),
        )
        redeem = desk.grants.get(form.get(GRANT_TYPE, ""), partial(_redeem, issuer))
        token = await redeem(form, sender)
    except Refused as refused:
        answer = refusal_answer(refused)
        return answer.with_headers(desk.nonces()) if _asks_again(refused) else answer
    answer = json_answer(_token_answer(token))
    return answer if sender.dpop_jkt is None else answer.with_headers(desk.nonces())


async def _redeem(issuer: Issuer, form: Mapping[str, str], sender: Sender) -> AccessToken:
    return await issuer.redeem(
        form, client_id=sender.client_id, dpop_jkt=sender.dpop_jkt, once=sender.once
    )


def _token_answer(token: AccessToken) -> JsonObject:
    said: JsonObject = {
        ACCESS_TOKEN: token.value,
        TOKEN_TYPE: token.token_type,
        EXPIRES_IN: token.expires_in_s,
    }
    if token.authorization_details is not None:
        said[AUTHORIZATION_DETAILS] = token.authorization_details
    return said


async def _nonce(desk: WalletDesk, incoming: Incoming) -> Answer:
    await incoming.body()
    answer = json_answer({C_NONCE: desk.issuer.nonce()})
    if desk.clients.dpop is Demand.OFF:
        return answer
    # Section 7.2: the wallet needs one for the proof that goes with its token.
    return answer.with_headers({DPOP_NONCE_HEADER: desk.nonces()[DPOP_NONCE_HEADER]})


async def _credential(desk: WalletDesk, incoming: Incoming) -> Answer:
    # First: a proof is checked by the clock, and a slow body must not outlive that.
    body = await incoming.body()
    presented = _presented(desk, incoming, _CREDENTIAL)
    media_type = incoming.media_type
    asked = read_credential_request(
        body,
        media_type,
        keys=_decryption_keys(desk, media_type),
        secrecy=desk.secrecy,
    )
    given = await desk.issuer.issue(presented, asked.content)
    answer, media_type = written(_given(given), asked.reply)
    return secret_answer(answer, media_type, _status(given))


async def _deferred(desk: WalletDesk, incoming: Incoming) -> Answer:
    body = await incoming.body()
    presented = _presented(desk, incoming, _DEFERRED)
    media_type = incoming.media_type
    asked = read_deferred_request(
        body,
        media_type,
        keys=_decryption_keys(desk, media_type),
        secrecy=desk.secrecy,
    )
    given = await desk.issuer.deferred(presented, asked.content)
    answer, media_type = written(_given(given), asked.reply)
    return secret_answer(answer, media_type, _status(given))


async def _notification(desk: WalletDesk, incoming: Incoming) -> Answer:
    body = await incoming.body()
    presented = _presented(desk, incoming, _NOTIFICATION)
    try:
        said = incoming.json(body, "notification_request")
    except Malformed as error:
        code = ErrorCode.INVALID_NOTIFICATION_REQUEST
        raise refusal(code, error.expected, error.found, error.where) from error
    await desk.issuer.notify(presented, said)
    return empty_answer()


async def _challenging(desk: WalletDesk, handler: Handler, incoming: Incoming) -> Answer:
    """Let `handler` answer; tell a wallet without a good token how to bring one."""
    try:
        return await handler(incoming)
    except Refused as refused:
        code = refused.reasons[0].code
        if code not in _CHALLENGED:
            raise
        about_proof = code in (ErrorCode.INVALID_DPOP_PROOF, ErrorCode.USE_DPOP_NONCE)
        answer = refusal_answer(refused, status=401 if about_proof else None)
        challenge = _challenge(desk, incoming, code)
        nonces = desk.nonces() if about_proof else {}
        return answer.with_headers({"WWW-Authenticate": challenge, **nonces})


def _challenge(desk: WalletDesk, incoming: Incoming, code: str) -> str:
    """Give the challenge of RFC 6750, section 3, or of RFC 9449, section 7.1."""
    scheme = incoming.header(b"authorization").partition(" ")[0].lower()
    if scheme == DPOP.lower() or desk.clients.dpop is Demand.REQUIRED:
        algorithms = " ".join(sorted(desk.clients.algorithms))
        return f'{DPOP} error="{code}", algs="{algorithms}"'
    return f'{BEARER} error="{code}"'


def _presented(desk: WalletDesk, incoming: Incoming, path: str) -> Presented:
    """Give the token of the Authorization header, with the proof of its key.

    A token in the URL is refused: logs keep URLs. RFC 6750, section 2; RFC 9449, section 7.1.
    """
    if incoming.query and ACCESS_TOKEN in incoming.query.decode("latin-1"):
        raise refusal(
            ErrorCode.INVALID_REQUEST,
            "the access token in the Authorization header",
            "one in the URL, where logs keep it",
            ACCESS_TOKEN,
        )
    scheme, _, token = incoming.header(b"authorization").partition(" ")
    token = token.strip()
    match scheme.lower():
        case "bearer":
            return Presented(token)
        case "dpop":
            proof = _proof(desk, incoming, path, token)
            return Presented(token, proof.jkt, once=(spent_dpop(proof),))
        case _:
            return Presented(None)


def _proof(desk: WalletDesk, incoming: Incoming, path: str, token: str) -> DpopProof:
    issuer = desk.issuer
    proof = read_dpop(
        incoming.headers,
        method="POST",
        url=issuer.url + path,
        policy=desk.clients,
        key=issuer.secret,
        now=issuer.clock(),
        access_token=token,
    )
    if proof is None:
        raise refusal(ErrorCode.INVALID_DPOP_PROOF, "a DPoP proof", "none", "dpop")
    return proof


def _decryption_keys(desk: WalletDesk, media_type: str) -> Sequence[DecryptionKey]:
    if media_type != TOKEN_MEDIA_TYPE:
        return ()
    return desk.issuer.keys.ring().decryption_keys(desk.issuer.clock())


def _given(given: Issued | Deferred) -> JsonObject:
    if isinstance(given, Deferred):
        return waiting_answer(given.transaction_id, given.interval_s)
    return credentials_answer(given.credentials, given.notification_id)


def _status(given: Issued | Deferred) -> int:
    return 202 if isinstance(given, Deferred) else 200


def _asks_again(refused: Refused) -> bool:
    """Say whether a wallet needs a nonce to mend its request."""
    return refused.reasons[0].code in _NONCE_WANTED
