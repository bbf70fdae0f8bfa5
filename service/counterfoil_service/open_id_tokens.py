"""Access and ID tokens of a brand's own OpenID Connect provider, as callers with roles.

    staff = OpenIdTokens(
        issuer="https://login.brand.example",
        audience="counterfoil-back-office",
        roles={"warranty-desk": Role.SERVICE},          # the provider's word: ours
        role_claim=("realm_access", "roles"),
        fetcher=GuardedFetcher(),
        clock=clock,
    )
    access = Access([owner(key), staff])

The provider's keys come through the guarded fetcher, count for an hour and are asked
for again after half of it, or for a key id never heard of; at most twice a minute. A
token that is not one of this provider for this service names no caller. OpenID
Connect Core 1.0, section 3.1.3.7; RFC 9068, section 4; RFC 8725.
"""

import hashlib
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_object,
    b64url,
    from_b64url,
    int_at,
    numeric_date,
    optional_int_at,
    optional_text_at,
    parse_object,
    text_at,
)
from counterfoil_credentials.errors import Malformed, Misuse, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.id_tokens import SigningKey, signing_keys

from counterfoil_service.access import Caller, Role

KEYS_LAST: Final = timedelta(hours=1)
ASKED_AGAIN_AFTER: Final = timedelta(seconds=30)
_MAX_TOKEN: Final = 16_384
_MAX_ROLES: Final = 1_000
_WHERE: Final = "token"
# `at+jwt` is an access token (RFC 9068); most providers write JWT, or nothing, on
# both. A logout or event token has a type of its own and is no right to call.
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt"})
_OPAQUE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class OpenIdTokens:
    """An authority (see `access.Authority`) that knows one provider's tokens."""

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        roles: Mapping[str, Role],
        fetcher: Fetcher,
        clock: Callable[[], datetime],
        role_claim: tuple[str, ...] = ("roles",),
        jwks_url: str | None = None,
        leeway: timedelta = timedelta(seconds=30),
    ) -> None:
        """Take the provider. Without `jwks_url` its discovery document is asked for it."""
        if not issuer or not audience or not role_claim:
            raise Misuse("expected an issuer, an audience and a role claim, found an empty one")
        self._issuer = issuer
        self._audience = audience
        self._roles = dict(roles)
        self._role_claim = role_claim
        self._fetcher = fetcher
        self._clock = clock
        self._jwks_url = jwks_url
        self._leeway_s = int(leeway.total_seconds())
        self._lock = threading.Lock()
        self._keys: dict[str | None, SigningKey] = {}
        self._ask_again_at = self._fresh_until = datetime.min.replace(tzinfo=UTC) + KEYS_LAST

    def __call__(self, text: str) -> Caller | None:
        """Give the caller whom the token `text` names, or None.

        Raises `Unavailable` when the provider's keys cannot be had.
        """
        # A key that is no token is left to those who know keys.
        if text.count(".") != 2 or len(text) > _MAX_TOKEN:
            return None
        try:
            return self._caller(self._verified(text))
        except (Malformed, Refused):
            return None

    def _verified(self, text: str) -> JsonObject:
        head, payload, signature = text.split(".")
        header = parse_object(from_b64url(head, _WHERE), _WHERE, max_bytes=_MAX_TOKEN)
        algorithm = text_at(header, "alg", _WHERE)
        typ = optional_text_at(header, "typ", _WHERE)
        if "crit" in header or (typ is not None and typ.lower() not in _TYPES):
            raise Malformed("an access or ID token", "another", _WHERE)
        claims = parse_object(from_b64url(payload, _WHERE), _WHERE, max_bytes=_MAX_TOKEN)
        # Whose token it is, is read first: a stranger's makes us ask nobody for keys.
        if claims.get("iss") != self._issuer:
            raise Malformed("this provider's token", "another's", _WHERE)
        key = self._key(optional_text_at(header, "kid", _WHERE))
        if key is None or not key.accepts(algorithm):
            raise Malformed("a key of this provider", "another", _WHERE)
        key.verify(from_b64url(signature, _WHERE), f"{head}.{payload}".encode("ascii"))
        return claims

    def _caller(self, claims: JsonObject) -> Caller | None:
        now = numeric_date(self._clock())
        audiences = claims.get("aud")
        named = audiences if isinstance(audiences, list) else [audiences]
        if self._audience not in named:
            return None
        # Of a token for several, the one it was made for says so.
        if len(named) > 1 and claims.get("azp", self._audience) != self._audience:
            return None
        if int_at(claims, "exp", _WHERE) + self._leeway_s <= now:
            return None
        for name in ("nbf", "iat"):
            starts_at = optional_int_at(claims, name, _WHERE)
            if starts_at is not None and starts_at - self._leeway_s > now:
                return None
        found: Json = claims
        for name in self._role_claim:
            found = as_object(found, _WHERE).get(name)
        words = found.split() if isinstance(found, str) else found
        if not isinstance(words, list) or len(words) > _MAX_ROLES:
            return None
        roles = frozenset(
            self._roles[word] for word in words if isinstance(word, str) and word in self._roles
        )
        return Caller(self._name(text_at(claims, "sub", _WHERE)), roles)

    def _name(self, subject: str) -> str:
        # Some providers' subjects are e-mail addresses: those do not enter a log.
        if _OPAQUE.fullmatch(subject) is None:
            digest = hashlib.sha256(f"{self._issuer}\0{subject}".encode()).digest()
            subject = f"sha256-{b64url(digest)}"
        return f"oidc:{subject}"

    def _key(self, key_id: str | None) -> SigningKey | None:
        with self._lock:
            now = self._clock()
            is_due = now >= self._fresh_until - KEYS_LAST / 2 or key_id not in self._keys
            # Strangers cannot make us ask without end, answered or not.
            if is_due and now >= self._ask_again_at:
                self._ask_again_at = now + ASKED_AGAIN_AFTER
                self._ask(now)
            if now >= self._fresh_until:
                raise Unavailable("expected the keys of the login provider, found none")
            return self._keys.get(key_id)

    def _ask(self, now: datetime) -> None:
        with suppress(Unavailable, Malformed):
            if self._jwks_url is None:
                root = self._issuer.removesuffix("/")
                found = self._get(f"{root}/.well-known/openid-configuration")
                if found.get("issuer") != self._issuer:
                    raise Unavailable("expected the provider's configuration, found another's")
                self._jwks_url = text_at(found, "jwks_uri", "configuration")
            self._keys = dict(signing_keys(self._get(self._jwks_url)))
            self._fresh_until = now + KEYS_LAST

    def _get(self, url: str) -> JsonObject:
        try:
            answer = self._fetcher.get(url, accept="application/json, application/jwk-set+json")
        except Refused as cause:
            raise Unavailable("expected a provider that may be asked, found another") from cause
        if answer.status != 200:
            raise Unavailable(f"expected the provider's answer 200, found {answer.status}")
        return parse_object(answer.body, "provider")
