"""What a wallet asks for when it sends a customer to log in.

    client_id, redirect_uri = read_return_address(form, policy)    # errors stay here
    request = read_authorization_request(form, client_id, redirect_uri, scopes=..., ...)
    answer_url(request, issuer, {"code": code})                    # errors travel back

Until the address to return to is known to be the wallet's, an error is shown and not
sent anywhere (RFC 6749, section 4.1.2.1). Parameters that we do not know are ignored.

RFC 6749, section 4.1.1; RFC 7636; RFC 9207; OpenID4VCI 1.0, section 5.1.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    compact_json,
    optional_text_at,
    text_at,
    texts_at,
)

from counterfoil_issuer.clients import ClientPolicy, Demand, Sender, is_return_address
from counterfoil_issuer.redeeming import requested_configurations
from counterfoil_issuer.spec import (
    AUTHORIZATION_DETAILS,
    CLIENT_ID,
    CODE,
    CODE_CHALLENGE,
    CODE_CHALLENGE_METHOD,
    DPOP_JKT,
    ISS,
    ISSUER_STATE,
    REDIRECT_URI,
    RESPONSE_TYPE,
    S256,
    SCOPE,
    STATE,
    ErrorCode,
    refusal,
)

_LONGEST: Final = 2_048
# The request travels in a cookie (`visits.py`), and the customer's names need room beside it.
_MOST_BYTES: Final = 2_000
_MOST_SCOPES: Final = 50
# The unpadded base64url of 32 bytes: a challenge, a thumbprint.
_HASH: Final = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """A wallet's request, checked in itself.

    `configuration_ids` is empty when an offer alone says what is meant.
    `by_identifier`: `authorization_details` were used. `instance_jkt` is the
    thumbprint of the attested wallet that pushed the request.
    """

    client_id: str
    redirect_uri: str
    state: str | None = field(repr=False)
    code_challenge: str = field(repr=False)
    configuration_ids: tuple[str, ...]
    by_identifier: bool
    issuer_state: str | None = field(repr=False)
    dpop_jkt: str | None = field(repr=False)
    instance_jkt: str | None = field(default=None, repr=False)
    wallet_name: str | None = None

    def to_json(self) -> JsonObject:
        """Give the request as it travels, sealed."""
        full: JsonObject = {
            CLIENT_ID: self.client_id,
            REDIRECT_URI: self.redirect_uri,
            STATE: self.state,
            CODE_CHALLENGE: self.code_challenge,
            "configuration_ids": [*self.configuration_ids],
            ISSUER_STATE: self.issuer_state,
            DPOP_JKT: self.dpop_jkt,
            "instance_jkt": self.instance_jkt,
            "wallet_name": self.wallet_name,
        }
        kept: dict[str, Json] = {name: value for name, value in full.items() if value is not None}
        return {**kept, "by_identifier": self.by_identifier}

    @staticmethod
    def from_json(obj: JsonObject) -> "AuthorizationRequest":
        """Rebuild the request from what `to_json` gave."""
        where = "authorization_request"
        return AuthorizationRequest(
            client_id=text_at(obj, CLIENT_ID, where),
            redirect_uri=text_at(obj, REDIRECT_URI, where),
            state=optional_text_at(obj, STATE, where),
            code_challenge=text_at(obj, CODE_CHALLENGE, where),
            configuration_ids=tuple(texts_at(obj, "configuration_ids", where)),
            by_identifier=obj["by_identifier"] is True,
            issuer_state=optional_text_at(obj, ISSUER_STATE, where),
            dpop_jkt=optional_text_at(obj, DPOP_JKT, where),
            instance_jkt=optional_text_at(obj, "instance_jkt", where),
            wallet_name=optional_text_at(obj, "wallet_name", where),
        )


def read_return_address(
    form: Mapping[str, str], policy: ClientPolicy, sender: Sender | None = None
) -> tuple[str, str]:
    """Give the wallet's `client_id` and the address to return to.

    A registered wallet's address is one of its own, character for character; one
    that was attested when it pushed its request may name any that is safe to open.

    Raises `Refused` with `invalid_client` or `invalid_request`.
    """
    attested = sender is not None and sender.attested is not None
    client_id = (sender.client_id if sender is not None else None) or form.get(CLIENT_ID)
    if not client_id or len(client_id) > _LONGEST:
        expected, found = "a wallet's client_id", "none" if not client_id else "a longer text"
        raise refusal(ErrorCode.INVALID_REQUEST, expected, found, CLIENT_ID)
    registered = policy.redirect_uris.get(client_id)
    if registered is None and not attested:
        raise refusal(ErrorCode.INVALID_CLIENT, "a wallet known here", "another", CLIENT_ID)
    address = form.get(REDIRECT_URI)
    if not address:
        raise refusal(ErrorCode.INVALID_REQUEST, "an address to return to", "none", REDIRECT_URI)
    if registered is not None:
        if address not in registered:
            expected = "an address registered for this wallet, character for character"
            raise refusal(ErrorCode.INVALID_REQUEST, expected, "another", REDIRECT_URI)
    elif not is_return_address(address):
        expected = "an https address or one of an app, without fragment"
        raise refusal(ErrorCode.INVALID_REQUEST, expected, "another", REDIRECT_URI)
    return client_id, address


def read_authorization_request(
    form: Mapping[str, str],
    client_id: str,
    redirect_uri: str,
    *,
    issuer: str,
    scopes: Mapping[str, str],
    configurations: frozenset[str],
    sender: Sender | None = None,
) -> AuthorizationRequest:
    """Give the request. `scopes` leads from a scope to the configuration it stands for.

    Raises `Refused` with `unsupported_response_type`, `invalid_request`,
    `invalid_scope` or `invalid_authorization_details`.
    """
    for name, value in form.items():
        if len(value) > _LONGEST and name != AUTHORIZATION_DETAILS:
            expected = f"at most {_LONGEST} characters"
            raise refusal(ErrorCode.INVALID_REQUEST, expected, f"{len(value)}", name)
    response_type = form.get(RESPONSE_TYPE)
    if response_type != CODE:
        if not response_type:
            raise refusal(ErrorCode.INVALID_REQUEST, CODE, "none", RESPONSE_TYPE)
        raise refusal(ErrorCode.UNSUPPORTED_RESPONSE_TYPE, CODE, "another", RESPONSE_TYPE)
    if form.get("response_mode", "query") != "query":
        raise refusal(ErrorCode.INVALID_REQUEST, "query", "another", "response_mode")
    # Without a method a challenge would be `plain` (RFC 7636, section 4.3).
    if form.get(CODE_CHALLENGE_METHOD) != S256:
        found = "another" if CODE_CHALLENGE_METHOD in form else "none"
        raise refusal(ErrorCode.INVALID_REQUEST, S256, found, CODE_CHALLENGE_METHOD)
    challenge = _hash_in(form, CODE_CHALLENGE)
    if challenge is None:
        raise refusal(ErrorCode.INVALID_REQUEST, "a PKCE challenge", "none", CODE_CHALLENGE)
    asked = _configurations(form, issuer, scopes, configurations)
    issuer_state = form.get(ISSUER_STATE) or None
    if not asked and issuer_state is None:
        expected = "a scope or authorization_details of this issuer, or an offer's issuer_state"
        raise refusal(ErrorCode.INVALID_SCOPE, expected, "none", SCOPE)
    request = AuthorizationRequest(
        client_id=client_id,
        redirect_uri=redirect_uri,
        state=form.get(STATE),
        code_challenge=challenge,
        configuration_ids=asked,
        by_identifier=AUTHORIZATION_DETAILS in form,
        issuer_state=issuer_state,
        dpop_jkt=_dpop_key(form, sender),
        instance_jkt=None if sender is None else sender.instance_jkt,
        wallet_name=None
        if sender is None or sender.attested is None
        else sender.attested.wallet_name,
    )
    if (size := len(compact_json(request.to_json()))) > _MOST_BYTES:
        expected = f"at most {_MOST_BYTES} bytes in all parameters"
        raise refusal(ErrorCode.INVALID_REQUEST, expected, f"{size}", "authorization_request")
    return request


def answer_url(redirect_uri: str, state: str | None, issuer: str, answer: Mapping[str, str]) -> str:
    """Give the address that takes the browser back to the wallet with `answer`.

    Who answered stands in `iss` (RFC 9207, section 2): a wallet that asked several
    servers can tell them apart.
    """
    query = {**answer, **({} if state is None else {STATE: state}), ISS: issuer}
    return f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{urlencode(query)}"


def needs_pushing(policy: ClientPolicy) -> bool:
    """Say whether only pushed requests are taken (RFC 9126, section 5)."""
    return policy.pushed is Demand.REQUIRED or policy.attestation is Demand.REQUIRED


def _configurations(
    form: Mapping[str, str],
    issuer: str,
    scopes: Mapping[str, str],
    configurations: frozenset[str],
) -> tuple[str, ...]:
    asked: dict[str, None] = {}
    if AUTHORIZATION_DETAILS in form:
        for configuration in requested_configurations(form[AUTHORIZATION_DETAILS], issuer):
            if configuration not in configurations:
                raise refusal(
                    ErrorCode.INVALID_AUTHORIZATION_DETAILS,
                    "a credential configuration of this issuer",
                    "another",
                    AUTHORIZATION_DETAILS,
                )
            asked[configuration] = None
    words = form.get(SCOPE, "").split()
    if len(words) > _MOST_SCOPES:
        expected = f"at most {_MOST_SCOPES} scopes"
        raise refusal(ErrorCode.INVALID_SCOPE, expected, f"{len(words)}", SCOPE)
    # Unknown ones are ignored (OpenID4VCI 1.0, section 5.1.2).
    asked |= {scopes[word]: None for word in words if word in scopes}
    return tuple(asked)


def _dpop_key(form: Mapping[str, str], sender: Sender | None) -> str | None:
    """Give the key that the code is bound to (RFC 9449, sections 10 and 10.1)."""
    named = _hash_in(form, DPOP_JKT)
    proved = None if sender is None else sender.dpop_jkt
    if named is not None and proved is not None and named != proved:
        expected = "the key of the DPoP proof"
        raise refusal(ErrorCode.INVALID_DPOP_PROOF, expected, "another", DPOP_JKT)
    return named or proved


def _hash_in(form: Mapping[str, str], name: str) -> str | None:
    value = form.get(name)
    if value is not None and not _HASH.fullmatch(value):
        expected = "43 characters of base64url"
        raise refusal(ErrorCode.INVALID_REQUEST, expected, "another text", name)
    return value
