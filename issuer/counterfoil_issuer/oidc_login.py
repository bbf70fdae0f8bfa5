"""Log in at the brand's own OpenID Connect provider, whichever it is.

    login = OidcLogin(
        issuer="https://login.audio.example", client_id="counterfoil", secret=...,
        fetcher=GuardedFetcher(),
    )

The provider is found by its issuer URL; the answer is a code that only this service can
use (client secret where there is one, PKCE always), and the ID token is for this login
alone (nonce). E-mail counts only where the provider has verified it.

OpenID Connect Core 1.0, section 3.1; Discovery 1.0, section 4; RFC 7636; RFC 9207.
"""

import threading
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final
from urllib.parse import quote_plus, urlencode

from counterfoil_credentials.encoding import (
    JsonObject,
    b64url,
    optional_text_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.id_tokens import check_id_token
from counterfoil_credentials.spec import FORM_MEDIA_TYPE, JSON_MEDIA_TYPE

from counterfoil_issuer.login import LoginAttempt, Subject, login_failed, subject_named
from counterfoil_issuer.spec import CODE, CODE_CHALLENGE, ISS, STATE

_WHERE: Final = "provider"
_JWKS_MEDIA_TYPES: Final = f"application/jwk-set+json, {JSON_MEDIA_TYPE}"
_LONGEST: Final = 4_096
_CONFIGURATION_LASTS: Final = timedelta(minutes=10)
_RETRIED_AFTER: Final = timedelta(seconds=5)


@dataclass(slots=True, eq=False)
class OidcLogin:
    """`Login` at the provider whose issuer URL is `issuer`.

    `secret` is None for a client that the provider knows as public. The provider must
    know the service's callback as the client's redirection URI.
    """

    issuer: str
    client_id: str
    fetcher: Fetcher = field(repr=False)
    secret: str | None = field(default=None, repr=False)
    scope: str = "openid email profile"
    _known: JsonObject | None = field(default=None, init=False, repr=False)
    _fresh: tuple[datetime, datetime] | None = field(default=None, init=False, repr=False)
    _asking: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def begin(self, attempt: LoginAttempt, *, now: datetime) -> str:
        """Give the URL of the provider's login page. See `Login.begin`."""
        endpoint = text_at(self._configuration(now), "authorization_endpoint", _WHERE)
        query = {
            "response_type": CODE,
            "client_id": self.client_id,
            "redirect_uri": attempt.callback,
            "scope": self.scope,
            STATE: attempt.state,
            "nonce": attempt.nonce,
            CODE_CHALLENGE: b64url(sha256(attempt.code_verifier.encode()).digest()),
            "code_challenge_method": "S256",
            "ui_locales": attempt.language,
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    def finish(self, attempt: LoginAttempt, query: Mapping[str, str], *, now: datetime) -> Subject:
        """Give the customer whom the provider names. See `Login.finish`."""
        if "error" in query:
            raise login_failed("a login", "a refusal by the provider", "error")
        # Another provider's answer is not taken to this one (RFC 9207, section 2.4).
        if query.get(ISS, self.issuer) != self.issuer:
            raise login_failed("this provider's answer", "another's", ISS)
        code = query.get(CODE)
        if not code or len(code) > _LONGEST:
            raise login_failed("a code", "none" if not code else "a longer text", CODE)
        configuration = self._configuration(now)
        answered_by = configuration.get("authorization_response_iss_parameter_supported")
        if answered_by is True and ISS not in query:
            raise login_failed("the provider's name in its answer", "none", ISS)
        token = self._exchange(configuration, code, attempt)
        jwks = self._get(text_at(configuration, "jwks_uri", _WHERE), _JWKS_MEDIA_TYPES)
        try:
            claims = check_id_token(
                token,
                jwks,
                issuer=self.issuer,
                client_id=self.client_id,
                nonce=attempt.nonce,
                now=now,
            )
        except (Malformed, Refused) as cause:
            raise login_failed("an ID token for this login", "another", "id_token") from cause
        return _subject(claims)

    def _configuration(self, now: datetime) -> JsonObject:
        """Give what the provider says of itself, asked for now and then.

        Whoever opens the authorization endpoint comes here: strangers must not make us
        ask without end, nor wait for a provider that did not answer a moment ago. One
        asks, and nobody waits for that one: the others use what was known before, or hear
        that nothing is. What was known serves on while the provider does not answer.
        """
        if not self._is_fresh(now) and self._asking.acquire(blocking=False):
            try:
                # Whoever asked in between has just let go.
                if not self._is_fresh(now):
                    self._fresh = now, now + _RETRIED_AFTER
                    self._known = self._ask()
                    self._fresh = now, now + _CONFIGURATION_LASTS
            except (Malformed, Unavailable):
                if self._known is None:
                    raise
            finally:
                self._asking.release()
        if self._known is None:
            raise Unavailable("expected a login provider that answers, found none just now")
        return self._known

    def _is_fresh(self, now: datetime) -> bool:
        since, until = self._fresh or (now, now)
        return since <= now < until

    def _ask(self) -> JsonObject:
        # Appended, unlike the names of RFC 8414 (Discovery 1.0, section 4.1).
        root = self.issuer.removesuffix("/")
        found = self._get(f"{root}/.well-known/openid-configuration", JSON_MEDIA_TYPE)
        if found.get("issuer") != self.issuer:
            raise Unavailable("expected the login provider's configuration, found another's")
        return found

    def _exchange(self, configuration: JsonObject, code: str, attempt: LoginAttempt) -> str:
        form = {
            "grant_type": "authorization_code",
            CODE: code,
            "redirect_uri": attempt.callback,
            "client_id": self.client_id,
            "code_verifier": attempt.code_verifier,
        }
        headers: dict[str, str] = {}
        if self.secret is not None:
            methods = configuration.get("token_endpoint_auth_methods_supported")
            if isinstance(methods, list) and "client_secret_basic" not in methods:
                form["client_secret"] = self.secret
            else:
                # Encoded as a form before Basic (RFC 6749, section 2.3.1).
                pair = f"{quote_plus(self.client_id)}:{quote_plus(self.secret)}"
                headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        answer = self.fetcher.post(
            text_at(configuration, "token_endpoint", _WHERE),
            urlencode(form).encode(),
            media_type=FORM_MEDIA_TYPE,
            headers=headers,
        )
        if 400 <= answer.status < 500:
            raise login_failed("a code of the provider", "one that it refuses", CODE)
        if answer.status != 200:
            raise Unavailable(f"expected the login provider's answer 200, found {answer.status}")
        return text_at(parse_object(answer.body, _WHERE), "id_token", _WHERE)

    def _get(self, url: str, accept: str) -> JsonObject:
        try:
            answer = self.fetcher.get(url, accept=accept)
        except Refused as cause:
            raise Unavailable("expected a login provider that may be asked") from cause
        if answer.status != 200:
            raise Unavailable(f"expected the login provider's answer 200, found {answer.status}")
        return parse_object(answer.body, _WHERE)


def _subject(claims: JsonObject) -> Subject:
    customer_id = text_at(claims, "sub", "id_token")
    email = optional_text_at(claims, "email", "id_token")
    # Some providers write the text "true"; that is not what the standard means.
    verified = email if claims.get("email_verified") is True else None
    name = claims.get("name")
    label = name if isinstance(name, str) and name else email or customer_id
    return subject_named(customer_id, verified_email=verified, label=label)
