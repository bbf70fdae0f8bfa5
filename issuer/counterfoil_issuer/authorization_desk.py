"""One brand's authorization, as its routes and its token endpoint know it."""

import hmac
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.errors import Unavailable

from counterfoil_issuer.authorizing import Issuable, redeem_authorization_code
from counterfoil_issuer.clients import ClientPolicy, Sender, fresh_nonces
from counterfoil_issuer.credential_type import CredentialType
from counterfoil_issuer.grants import Grants
from counterfoil_issuer.issuer import Issuer
from counterfoil_issuer.login import Login, LoginAttempt, Subject, attempt_of
from counterfoil_issuer.store import Held
from counterfoil_issuer.tokens import AccessToken
from counterfoil_issuer.visits import Sealing, Visit, to_cookie, visit_in

_COOKIE: Final = "counterfoil-visit"

Note: TypeAlias = Callable[[Held, str, str, str], None]
"""Writes into the audit log, in the same transaction: who did what to which thing."""


def no_note(held: Held, actor: str, action: str, subject: str) -> None:
    """Write nothing down: for an issuer without an audit log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationDesk:
    """One brand's authorization: its issuer, whom it lets in how, and how customers log in."""

    issuer: Issuer
    clients: ClientPolicy
    login: Login
    grants_of: Callable[[Held], Grants]
    seal: Sealing
    note: Note = no_note

    def actor(self, subject: Subject) -> str:
        """Give the customer's name in the audit log, which tells nobody without our key who it is.

        Customer ids and addresses are few enough to try them all on a plain hash.
        """
        message = b"customer\x00" + "".join(subject.names[:1]).encode()
        return f"customer:{b64url(hmac.digest(self.issuer.secret, message, 'sha256'))}"

    @property
    def url(self) -> str:
        """The issuer's identifier, below which everything is served."""
        return self.issuer.url

    @property
    def configurations(self) -> Mapping[str, CredentialType]:
        """The configurations by id, each of which is its scope too."""
        return self.issuer.catalogue.types

    def brand(self, language: str) -> str:
        """Give the brand's name."""
        return self.issuer.catalogue.assortment.brand.names[language]

    async def redeem(self, form: Mapping[str, str], sender: Sender) -> AccessToken:
        """Turn an authorization code into a token, for the token endpoint."""
        issuer = self.issuer
        return await redeem_authorization_code(
            issuer.store,
            self.grants_of,
            form,
            sender,
            issuer=issuer.url,
            lasts=issuer.options.token_lasts,
            now=issuer.clock(),
            random=issuer.random,
        )

    def tidy(self) -> None:
        """Forget who came and went; call it every minute or so."""
        # A busy database waits for the next round.
        with suppress(Unavailable), self.issuer.store.transaction() as held:
            self.grants_of(held).forget(self.issuer.clock())

    @property
    def is_https(self) -> bool:
        """Whether browsers may be told to send the cookie over TLS alone."""
        return urlsplit(self.url).scheme == "https"

    @property
    def cookie(self) -> str:
        """The cookie's name: this brand's own, of the brands that one host may serve.

        The prefix makes browsers refuse one that another host set.
        """
        name = f"{_COOKIE}-{sha256(self.url.encode()).hexdigest()[:8]}"
        return f"__Host-{name}" if self.is_https else name

    def cookie_of(self, visit: Visit) -> str:
        """Give the cookie's value for a browser on `visit`; see `visits.to_cookie`."""
        return to_cookie(visit, self.seal, self.issuer.random)

    def visit_in(self, cookie: str | None) -> Visit:
        """Give the visit that a browser with this cookie is on; see `visits.visit_in`."""
        return visit_in(cookie, self.seal, self.issuer.clock())

    def attempt(self, visit: Visit) -> LoginAttempt:
        """Give the login that belongs to a visit."""
        callback = f"{self.url}/login/callback"
        return attempt_of(
            self.issuer.secret, visit.secret, callback=callback, language=visit.language
        )

    def ticket(self, visit: Visit, wanted: Issuable) -> str:
        """Give the text that only this visit's page for exactly these credentials holds."""
        ids = "\x00".join(sorted(each.dataset_id for each in wanted.datasets))
        message = f"ticket\x00{visit.secret}\x00{ids}"
        return b64url(hmac.digest(self.issuer.secret, message.encode(), "sha256"))

    def nonces(self) -> dict[str, str]:
        """Give the headers with fresh nonces for a wallet's next request."""
        issuer = self.issuer
        return fresh_nonces(
            self.clients, key=issuer.secret, now=issuer.clock(), random=issuer.random
        )
