"""The brand's side of the first walk: import orders, offer, issue, revoke.

    Issuer.offer ─► link ─► the wallet: Issuer.redeem ─► Issuer.nonce ─► Issuer.issue
                                                                     ─► Issuer.notify

This is the face of the folder. Each method is one step; the decision behind it
stands in the module named for its verb. What wallets call often is `async`: it waits
for the disk together with what others have asked meanwhile.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Misuse, Reason, Refused
from counterfoil_credentials.issuer_keys import issuer_keys_document
from counterfoil_credentials.keys import PublicKey, Signer

from counterfoil_issuer import lifecycle
from counterfoil_issuer.catalogue import Catalogue, CredentialType
from counterfoil_issuer.datasets import datasets_of, new_dataset, require_orders_fit
from counterfoil_issuer.deferred import Deferrals, Deferred
from counterfoil_issuer.importing import MAX_ERRORS, NAME, CellError, parse_orders
from counterfoil_issuer.issuing import (
    CredentialDesk,
    Issued,
    issue,
    issue_deferred,
    requested_dataset,
)
from counterfoil_issuer.key_ring import Keys, keys_of
from counterfoil_issuer.metadata import require_issuer_url, type_at, type_metadata
from counterfoil_issuer.nonces import NonceUse, check_nonce, make_nonce
from counterfoil_issuer.notifying import notify
from counterfoil_issuer.offering import (
    Grant,
    Offered,
    Offering,
    OpenOffer,
    offer,
    offer_object,
    offer_order,
)
from counterfoil_issuer.orders import Order, OrderNumber, Serial
from counterfoil_issuer.proofs import ProofPolicies, Proofs, read_proofs, require_holder
from counterfoil_issuer.records import (
    Clock,
    Dataset,
    DatasetId,
    DatasetState,
    Issuance,
    IssuanceId,
    Random,
    RevocationReason,
    Summary,
    secret_hash,
)
from counterfoil_issuer.redeeming import redeem_code
from counterfoil_issuer.spec import CREDENTIAL_CONFIGURATION_ID, ErrorCode, refusal
from counterfoil_issuer.statuses import StatusLists
from counterfoil_issuer.store import Held, Store
from counterfoil_issuer.tokens import AccessToken, Once, Presented, session_of, spend_once

MIN_SECRET_BYTES: Final = 32
# A proof that was good when its request came is spent when that has been answered:
# what was spent is remembered for longer than an answer may take.
_SPENT_LASTS: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerOptions:
    """How long things last. The defaults suit a brand that sends its offers by e-mail.

    An access token longer than five minutes would have to be sender-constrained
    (OpenID4VCI 1.0, section 13.10). `status_list_size` may be changed only while
    nothing has been issued. `deferred_lasts` is how long a wallet may wait for what
    is not ready, `deferred_interval` how often it should ask. `key_attesters` are
    believed when they vouch for how a wallet keeps its keys.

    A status list says as of when it holds (`iat`), and each shop decides how old that
    may be. `status_list_lasts` (`exp`) is the bound for those that decide nothing: a week,
    so that a till without a network for a day or two is stopped by its own rule and not by
    the list. It is no delay: who has a network asks again after `status_list_ttl`.
    """

    offer_lasts: timedelta = timedelta(hours=24)
    token_lasts: timedelta = timedelta(minutes=5)
    nonce_lasts: timedelta = timedelta(minutes=5)
    proof_max_age: timedelta = timedelta(minutes=5)
    notification_lasts: timedelta = timedelta(hours=24)
    deferred_lasts: timedelta = timedelta(days=30)
    deferred_interval: timedelta = timedelta(minutes=1)
    batch_size: int = 10
    key_attesters: frozenset[PublicKey] = frozenset()
    status_list_size: int = 131_072
    status_list_lasts: timedelta = timedelta(days=7)
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
    more, the same after a restart) keys nonces, offers, transaction codes and
    serial numbers; it belongs beside the signing key, not in the database. `keys`
    rotate; `signer` is for an issuer whose one key does not.

    Whoever changes several things at once opens `store.transaction()` and calls the
    modules' functions with it: `lifecycle.revoke(held, ...)`.
    """

    def __init__(
        self,
        *,
        url: str,
        catalogue: Catalogue,
        signer: Signer | None = None,
        keys: Keys | None = None,
        secret: bytes,
        store: Store,
        options: IssuerOptions = DEFAULT_OPTIONS,
        clock: Clock = utc_now,
        random: Random = os.urandom,
    ) -> None:
        if len(secret) < MIN_SECRET_BYTES:
            raise Misuse(f"expected a secret of {MIN_SECRET_BYTES} bytes, found {len(secret)}")
        self.url = require_issuer_url(url)
        require_orders_fit(catalogue)
        self.catalogue = catalogue
        self.options = options
        self.store = store
        if signer is not None:
            keys = keys_of(signer)
        if keys is None:
            raise Misuse("expected a signer, or the source of a key ring, found neither")
        self.keys = keys
        self.secret = secret
        self.clock = clock
        self.random = random
        self.offering = Offering(issuer=url, key=secret, lasts=options.offer_lasts, random=random)
        self._proof_policies = ProofPolicies(
            catalogue.types,
            attesters=options.key_attesters,
            batch_size=options.batch_size,
            max_age=options.proof_max_age,
        )
        self._statuses = StatusLists(
            issuer=url,
            keys=keys,
            size=options.status_list_size,
            lasts=options.status_list_lasts,
            ttl=options.status_list_ttl,
        )
        self.desk = CredentialDesk(
            issuer=url,
            catalogue=catalogue,
            keys=keys,
            statuses=self._statuses,
            batch_size=options.batch_size,
            deferrals=Deferrals(secret, options.deferred_lasts, options.deferred_interval),
        )

    # The brand's staff and systems: what there is to issue.

    def import_orders(self, data: bytes) -> ImportReport:
        """Take in an orders file (see `importing.py`), each good order in its own transaction.

        The same file again changes nothing, whatever became of the catalogue
        since, so a broken run is repeated, and a corrected file adds what was
        left out. Raises `Malformed` when the bytes are no orders file.
        """
        parsed = parse_orders(data, self.catalogue.assortment, serial_key=self.secret)
        errors, error_count = list(parsed.errors), parsed.error_count
        imported: list[OrderNumber] = []
        unchanged = 0
        for row, order in parsed.orders:
            with self.store.transaction() as held:
                known = held.order(order.number)
                if known is None:
                    self.add_order(held, order)
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

    def add_order(self, held: Held, order: Order) -> None:
        """Record a new order and the datasets that follow from it."""
        now = self.clock()
        held.add_order(order, now)
        for group in datasets_of(order):
            for dataset in group:
                kind = self.catalogue.types.get(dataset.type_name)
                if kind is not None:
                    state = DatasetState.WAITING if kind.deferred else DatasetState.READY
                    held.add_dataset(replace(dataset, state=state), now)

    def orders_of(self, email: str) -> list[Order]:
        """Give a buyer's orders, the latest payment first."""
        with self.store.reading() as held:
            return held.orders_of(email)

    def add_dataset(
        self,
        type_name: str,
        claims: JsonObject,
        *,
        ends_at: datetime | None = None,
        serial: str | None = None,
        subject: str | None = None,
    ) -> Dataset:
        """Record what a credential of any type will say; see `Dataset`.

        Raises `Refused` with `type-unknown`, or `dataset-known` when there is one
        of this type and serial.
        """
        dataset = new_dataset(
            self.catalogue,
            type_name,
            claims,
            ends_at=ends_at,
            serial=serial,
            subject=subject,
            random=self.random,
        )
        with self.store.transaction() as held:
            if not held.add_dataset(dataset, self.clock()):
                text = "an item that has no credential of this type"
                raise Refused(Reason("dataset-known", text, "one that has", "serial"))
        return dataset

    def approve(self, dataset_id: str) -> None:
        """Let what waits be issued; see `lifecycle.approve`."""
        with self.store.transaction() as held:
            lifecycle.approve(held, DatasetId(dataset_id))

    def deny(self, dataset_id: str) -> None:
        """Let what waits never be issued; see `lifecycle.deny`."""
        with self.store.transaction() as held:
            lifecycle.deny(held, DatasetId(dataset_id))

    # Offers.

    def offer(self, order_number: str, *, with_tx_code: bool = True) -> Offered:
        """Offer the credentials of an order that no wallet has stored yet.

        Call it as often as needed: earlier offers of the same credentials stop
        working. Raises `Refused` with `order-unknown`.
        """
        with self.store.transaction() as held:
            order = lifecycle.known_order(held, OrderNumber(order_number))
            return offer_order(
                held, order, self.offering, with_tx_code=with_tx_code, now=self.clock()
            )

    def offer_datasets(
        self,
        datasets: Sequence[Dataset],
        *,
        with_tx_code: bool = True,
        grants: Collection[Grant] = (Grant.PRE_AUTHORIZED,),
    ) -> OpenOffer:
        """Offer recorded datasets together; earlier offers of any of them stop working."""
        with self.store.transaction() as held:
            return offer(
                held,
                datasets,
                self.offering,
                with_tx_code=with_tx_code,
                now=self.clock(),
                grants=grants,
            )

    # What was issued.

    def credentials_of(self, order_number: str) -> list[Issuance]:
        """Give what was issued for an order, in the order of issue."""
        with self.store.reading() as held:
            return held.issuances_of_order(OrderNumber(order_number))

    def revoke(self, credential_id: str, reason: RevocationReason) -> Issuance:
        """Revoke credentials for good; the published status list says so from now on.

        Again is the same as once: the first time and reason stand. Raises
        `Refused` with `credential-unknown`.
        """
        with self.store.transaction() as held:
            return lifecycle.revoke(
                held, IssuanceId(credential_id), reason, self.catalogue, self.clock()
            )

    def suspend(self, credential_id: str) -> Issuance:
        """Suspend credentials until reinstated; see `lifecycle.suspend`."""
        with self.store.transaction() as held:
            return lifecycle.suspend(held, IssuanceId(credential_id), self.catalogue, self.clock())

    def reinstate(self, credential_id: str) -> Issuance:
        """Take a suspension back; see `lifecycle.reinstate`."""
        with self.store.transaction() as held:
            return lifecycle.reinstate(held, IssuanceId(credential_id))

    def reissue(self, credential_id: str, *, with_tx_code: bool = True) -> OpenOffer:
        """Revoke what a holder lost and offer the same again; see `lifecycle.reissue`."""
        with self.store.transaction() as held:
            return lifecycle.reissue(
                held,
                IssuanceId(credential_id),
                self.offering,
                with_tx_code=with_tx_code,
                now=self.clock(),
            )

    def transfer(
        self,
        credential_id: str,
        *,
        claims: JsonObject | None = None,
        subject: str | None = None,
        with_tx_code: bool = True,
    ) -> OpenOffer:
        """Revoke the old holder's and offer it to another; see `lifecycle.transfer`."""
        with self.store.transaction() as held:
            return lifecycle.transfer(
                held,
                IssuanceId(credential_id),
                self.offering,
                self.catalogue,
                claims=claims,
                subject=subject,
                with_tx_code=with_tx_code,
                now=self.clock(),
            )

    def return_units(
        self,
        order_number: str,
        *,
        line: int,
        serials: Sequence[str] = (),
        quantity: int = 1,
        with_tx_code: bool = True,
    ) -> OpenOffer | None:
        """Take back units of an order's line; see `lifecycle.return_units`."""
        with self.store.transaction() as held:
            return lifecycle.return_units(
                held,
                OrderNumber(order_number),
                self.offering,
                line=line,
                serials=[Serial(serial) for serial in serials],
                quantity=quantity,
                with_tx_code=with_tx_code,
                now=self.clock(),
            )

    def summary(self) -> Summary:
        """Count what the issuer holds."""
        with self.store.reading() as held:
            return held.summary(self.clock())

    def tidy(self) -> None:
        """Forget what no wallet can ask for any more; call it now and then.

        A credential whose wallet never said that it has it keeps a copy for that
        wallet. Once its token is past every use, the copy and the holder's key
        go, and so do the token and the offer. What is offered again after that
        is issued anew.
        """
        now = self.clock()
        with self.store.transaction() as held:
            held.forget_dead(now - self.options.notification_lasts, now - _SPENT_LASTS)

    # The wallet.

    def offered(self, reference: str) -> JsonObject | None:
        """Give the offer that a `credential_offer_uri` leads to, None when it is not open."""
        with self.store.reading() as held:
            return offer_object(held, reference, self.offering, self.clock())

    async def redeem(
        self,
        form: Mapping[str, str],
        *,
        client_id: str | None = None,
        dpop_jkt: str | None = None,
        once: Once = (),
    ) -> AccessToken:
        """Give the access token for a token request (OpenID4VCI 1.0, section 6).

        `client_id` and `dpop_jkt` are what the caller has checked of the client and
        its DPoP proof; `once` is spent with the code.
        """
        return await redeem_code(
            self.store,
            form,
            issuer=self.url,
            key=self.secret,
            client_id=client_id,
            dpop_jkt=dpop_jkt,
            once=once,
            lasts=self.options.token_lasts,
            now=self.clock(),
            random=self.random,
        )

    def nonce(self) -> str:
        """Give a fresh nonce for a proof (OpenID4VCI 1.0, section 7)."""
        return make_nonce(self.secret, NonceUse.PROOF, now=self.clock(), random=self.random)

    async def issue(self, presented: Presented, request: JsonObject) -> Issued | Deferred:
        """Give the credentials that `request` asks for (OpenID4VCI 1.0, section 8)."""
        now = self.clock()
        # One transaction is enough for a good request: it reads the token and issues. What
        # is wrong with the proofs is said only to a wallet whose token is good.
        kind = self.catalogue.types.get(str(request.get(CREDENTIAL_CONFIGURATION_ID)))
        try:
            proofs = self._proofs_of(request, kind or self._asked(presented, request, now), now)
            nonce_ends_at = check_nonce(
                proofs.nonce, self.secret, NonceUse.PROOF, now=now, lasts=self.options.nonce_lasts
            )
        except Refused:
            self._asked(presented, request, now)
            raise
        nonce_hash = secret_hash(proofs.nonce)

        def work(held: Held) -> Issued | Deferred:
            session = session_of(held, presented, now)
            dataset = requested_dataset(session, request, self.catalogue)
            require_holder(proofs, session.token.client_id)
            if not held.spend_nonce(nonce_hash, nonce_ends_at):
                raise refusal(
                    ErrorCode.INVALID_NONCE, "a nonce not used before", "a used one", "proof.nonce"
                )
            spend_once(held, presented.once)
            return issue(
                held, self.desk, session, dataset, proofs.keys, now=now, random=self.random
            )

        return await self.store.write(work)

    def _asked(self, presented: Presented, request: JsonObject, now: datetime) -> CredentialType:
        """Give the type of what a good token is asked for, or raise what is wrong with it."""
        with self.store.reading() as held:
            session = session_of(held, presented, now)
        return self.catalogue.types[requested_dataset(session, request, self.catalogue).type_name]

    def _proofs_of(self, request: JsonObject, kind: CredentialType, now: datetime) -> Proofs:
        policy = self._proof_policies.of(request, kind)
        return read_proofs(request, issuer=self.url, policy=policy, now=now)

    async def deferred(self, presented: Presented, request: JsonObject) -> Issued | Deferred:
        """Give the credentials of a request that waited (OpenID4VCI 1.0, section 9)."""
        now = self.clock()
        grace = self.options.deferred_lasts

        def work(held: Held) -> Issued | Deferred:
            session = session_of(held, presented, now, grace=grace)
            spend_once(held, presented.once)
            return issue_deferred(held, self.desk, session, request, now=now, random=self.random)

        return await self.store.write(work)

    async def notify(self, presented: Presented, request: JsonObject) -> None:
        """Take the wallet's notification (OpenID4VCI 1.0, section 11)."""
        now = self.clock()

        def work(held: Held) -> None:
            notify(
                held,
                presented,
                request,
                lasts=self.options.notification_lasts,
                token_may_be_over=self.options.deferred_lasts,
                now=now,
            )
            # Last: whoever has no good token has written nothing when he is refused.
            spend_once(held, presented.once)

        await self.store.write(work)

    # Everybody.

    def kept_status_list(self, number: int) -> str | None:
        """Give the signed status list if that takes no look at the database."""
        return self._statuses.kept(self.store, number, now=self.clock())

    def status_list(self, number: int) -> str | None:
        """Give the signed status list of that number, or None when there is none."""
        return self._statuses.signed(self.store, number, now=self.clock())

    def status_lists(self) -> JsonObject:
        """Give the document that leads to all status lists (Token Status List, section 9)."""
        return self._statuses.aggregation(self.store)

    def keys_document(self) -> JsonObject:
        """Give the `jwt-vc-issuer` metadata: the keys that verify its credentials."""
        return issuer_keys_document(self.url, self.keys.ring().published)

    def type_metadata(self, name: str) -> JsonObject | None:
        """Give the metadata of the type at `/types/{name}`, or None when there is none."""
        kind = type_at(self.url, self.catalogue, name)
        return None if kind is None else type_metadata(self.url, kind)
