"""The brand's side of the first walk: import orders, offer, issue, revoke.

    Issuer.offer ─► link ─► the wallet: Issuer.redeem ─► Issuer.nonce ─► Issuer.issue
                                                                     ─► Issuer.notify

This is the face of the folder. Each method is one step; the decision behind it
stands in the module named for its verb.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Misuse, Reason, Refused
from counterfoil_credentials.issuer_keys import issuer_keys_document
from counterfoil_credentials.keys import Signer

from counterfoil_issuer.catalogue import Catalogue
from counterfoil_issuer.importing import MAX_ERRORS, NAME, CellError, parse_orders
from counterfoil_issuer.issuing import CredentialDesk, IssuedCredential, issue, notify
from counterfoil_issuer.metadata import (
    authorization_server_metadata,
    issuer_metadata,
    require_issuer_url,
    type_metadata,
)
from counterfoil_issuer.nonces import NonceUse, make_nonce
from counterfoil_issuer.offering import Offered, offer_order
from counterfoil_issuer.orders import Order, OrderNumber
from counterfoil_issuer.records import (
    Clock,
    CredentialId,
    CredentialRecord,
    Random,
    RevocationReason,
    Summary,
)
from counterfoil_issuer.redeeming import MAX_ATTEMPTS, AccessToken, redeem_code
from counterfoil_issuer.statuses import StatusLists
from counterfoil_issuer.store import Store

MIN_SECRET_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerOptions:
    """How long things last. The defaults suit a brand that sends its offers by e-mail.

    An access token longer than five minutes would have to be sender-constrained
    (OpenID4VCI 1.0, section 13.10). `status_list_size` may be changed only while
    nothing has been issued.
    """

    offer_lasts: timedelta = timedelta(hours=24)
    token_lasts: timedelta = timedelta(minutes=5)
    nonce_lasts: timedelta = timedelta(minutes=5)
    proof_max_age: timedelta = timedelta(minutes=5)
    notification_lasts: timedelta = timedelta(hours=24)
    status_list_size: int = 131_072
    status_list_lasts: timedelta = timedelta(hours=1)
    status_list_ttl: timedelta = timedelta(minutes=5)


DEFAULT_OPTIONS: Final = IssuerOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What became of an orders file. An order that was there before is `unchanged`.

    `error_count` counts every error; `errors` are a thousand of them at most.
    """

    imported: tuple[OrderNumber, ...]
    unchanged: int
    errors: tuple[CellError, ...]
    error_count: int


def utc_now() -> datetime:
    """Give the time of this machine's clock."""
    return datetime.now(UTC)


class Issuer:
    """Issues a brand's credentials.

    `url` is the issuer's identifier: the `iss` of its credentials, and the start
    of every URL it publishes, wherever the service listens. `secret` (32 bytes or
    more, the same after a restart) keys nonces, transaction codes and serial
    numbers; it belongs beside the signing key, not in the database.
    """

    def __init__(
        self,
        *,
        url: str,
        catalogue: Catalogue,
        signer: Signer,
        secret: bytes,
        store: Store,
        options: IssuerOptions = DEFAULT_OPTIONS,
        clock: Clock = utc_now,
        random: Random = secrets.token_bytes,
    ) -> None:
        if len(secret) < MIN_SECRET_BYTES:
            raise Misuse(f"expected a secret of {MIN_SECRET_BYTES} bytes, found {len(secret)}")
        self.url = require_issuer_url(url)
        self.catalogue = catalogue
        self.options = options
        self._signer = signer
        self._secret = secret
        self._store = store
        self._clock = clock
        self._random = random
        self._statuses = StatusLists(
            issuer=url,
            signer=signer,
            size=options.status_list_size,
            lasts=options.status_list_lasts,
            ttl=options.status_list_ttl,
        )
        self._desk = CredentialDesk(
            issuer=url,
            catalogue=catalogue,
            signer=signer,
            key=secret,
            statuses=self._statuses,
            nonce_lasts=options.nonce_lasts,
            proof_max_age=options.proof_max_age,
        )

    # The brand's staff and systems.

    def import_orders(self, data: bytes) -> ImportReport:
        """Take in an orders file (see `importing.py`), each good order in its own transaction.

        The same file again changes nothing, whatever became of the catalogue
        since, so a broken run is repeated, and a corrected file adds what was
        left out. Raises `Malformed` when the bytes are no orders file.
        """
        parsed = parse_orders(data, self.catalogue.assortment, serial_key=self._secret)
        errors, error_count = list(parsed.errors), parsed.error_count
        imported: list[OrderNumber] = []
        unchanged = 0
        for row, order in parsed.orders:
            with self._store.transaction() as held:
                known = held.order(order.number)
                if known is None:
                    held.add_order(order, self._clock())
                    imported.append(order.number)
                elif known.as_filed() == order.as_filed():
                    unchanged += 1
                else:
                    expected, found = "the order as it was imported before", "other contents"
                    errors.append(CellError(row=row, column=NAME, expected=expected, found=found))
                    error_count += 1
        errors.sort(key=lambda error: error.row)
        return ImportReport(
            imported=tuple(imported),
            unchanged=unchanged,
            errors=tuple(errors[:MAX_ERRORS]),
            error_count=error_count,
        )

    def orders_of(self, email: str) -> list[Order]:
        """Give a buyer's orders, the latest payment first."""
        with self._store.reading() as held:
            return held.orders_of(email)

    def offer(self, order_number: str, *, with_tx_code: bool = True) -> Offered:
        """Offer the credentials of an order that no wallet has stored yet.

        Call it as often as needed: earlier offers of the same credentials stop
        working. Raises `Refused` with `order-unknown`.
        """
        with self._store.transaction() as held:
            order = held.order(OrderNumber(order_number))
            if order is None:
                raise Refused(Reason("order-unknown", "an imported order", "another", "order"))
            return offer_order(
                held,
                order,
                issuer=self.url,
                key=self._secret,
                with_tx_code=with_tx_code,
                lasts=self.options.offer_lasts,
                now=self._clock(),
                random=self._random,
            )

    def credentials_of(self, order_number: str) -> list[CredentialRecord]:
        """Give what was issued for an order, in the order of issue."""
        with self._store.reading() as held:
            return held.credentials_of(OrderNumber(order_number))

    def revoke(self, credential_id: str, reason: RevocationReason) -> CredentialRecord:
        """Revoke a credential for good; the published status list says so from now on.

        Again is the same as once: the first time and reason stand. Raises
        `Refused` with `credential-unknown`.
        """
        with self._store.transaction() as held:
            known = held.credential(CredentialId(credential_id))
            if known is None:
                text = "an issued credential's id"
                raise Refused(Reason("credential-unknown", text, "another", "credential_id"))
            held.revoke(known.credential_id, self._clock(), reason)
            return held.credential(known.credential_id) or known

    def summary(self) -> Summary:
        """Count what the issuer holds."""
        with self._store.reading() as held:
            return held.summary(self._clock(), max_attempts=MAX_ATTEMPTS)

    def tidy(self) -> None:
        """Forget what no wallet can ask for any more; call it now and then.

        A credential whose wallet never said that it has it keeps a copy for that
        wallet. Once its token is past every use, the copy and the holder's key
        go, and so do the token and the offer. What is offered again after that
        is issued anew.
        """
        with self._store.transaction() as held:
            held.forget_dead(self._clock() - self.options.notification_lasts)

    # The wallet.

    def redeem(self, form: Mapping[str, str]) -> AccessToken:
        """Give the access token for a token request (OpenID4VCI 1.0, section 6)."""
        return redeem_code(
            self._store,
            form,
            key=self._secret,
            lasts=self.options.token_lasts,
            now=self._clock(),
            random=self._random,
        )

    def nonce(self) -> str:
        """Give a fresh nonce for a proof (OpenID4VCI 1.0, section 7)."""
        return make_nonce(self._secret, NonceUse.PROOF, now=self._clock(), random=self._random)

    def issue(self, access_token: str | None, request: JsonObject) -> IssuedCredential:
        """Give the credential that `request` asks for (OpenID4VCI 1.0, section 8)."""
        return issue(
            self._store,
            self._desk,
            access_token,
            request,
            now=self._clock(),
            random=self._random,
        )

    def notify(self, access_token: str | None, request: JsonObject) -> None:
        """Take the wallet's notification (OpenID4VCI 1.0, section 11)."""
        notify(
            self._store,
            access_token,
            request,
            lasts=self.options.notification_lasts,
            now=self._clock(),
        )

    # Everybody.

    def status_list(self, number: int) -> str | None:
        """Give the signed status list of that number, or None when there is none."""
        return self._statuses.signed(self._store, number, now=self._clock())

    def status_lists(self) -> JsonObject:
        """Give the document that leads to all status lists (Token Status List, section 9)."""
        return self._statuses.aggregation(self._store)

    def metadata(self) -> JsonObject:
        """Give the Credential Issuer Metadata."""
        return issuer_metadata(self.url, self.catalogue)

    def authorization_server_metadata(self) -> JsonObject:
        """Give the metadata of the issuer's own authorization server."""
        return authorization_server_metadata(self.url)

    def keys_document(self) -> JsonObject:
        """Give the `jwt-vc-issuer` metadata: the keys that verify its credentials."""
        return issuer_keys_document(self.url, [self._signer.public])

    def type_metadata(self, name: str) -> JsonObject | None:
        """Give a credential type's metadata, or None when there is no such type."""
        kind = self.catalogue.types.get(name)
        return None if kind is None else type_metadata(self.url, kind)
