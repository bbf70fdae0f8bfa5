"""What a brand's staff and systems do, each verb inside one transaction with its audit entry.

    office.act(sitting, Act.REVOKE, credential_id, reason)    status, log line and webhook, or none

`back_office_routes.py` and `cli.py` open the transaction and say who acts; nothing
here asks whether they may.
"""

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from counterfoil_credentials.claims import values_at
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Reason, Refused
from counterfoil_service.audit import AuditLog
from counterfoil_service.outbox import publish
from counterfoil_service.statements import Connection

from counterfoil_issuer import lifecycle
from counterfoil_issuer.approvals import (
    MAX_FROZEN,
    Act,
    Proposal,
    ProposalId,
    propose,
)
from counterfoil_issuer.catalogue import CredentialType
from counterfoil_issuer.datasets import new_dataset
from counterfoil_issuer.issuer import Issuer
from counterfoil_issuer.offering import Grant, Offered, OpenOffer, offer, offer_order
from counterfoil_issuer.orders import OrderNumber, Serial
from counterfoil_issuer.records import (
    DatasetId,
    Issuance,
    IssuanceId,
    OfferId,
    OfferState,
    Random,
    RevocationReason,
    dataset_ids,
)
from counterfoil_issuer.searching import Page, Search
from counterfoil_issuer.sql_approvals import (
    add_proposal,
    decide_proposal,
    find_proposal,
)
from counterfoil_issuer.sql_searching import find_issuances
from counterfoil_issuer.sql_store import SqlHeld

SERIAL: Final = ("item", "serial")
"""The claim that names the item: a type has one dataset for it."""

ORDER: Final = "order"
CREDENTIAL: Final = "credential"
OFFER: Final = "offer"
PROPOSAL: Final = "proposal"


@dataclass(frozen=True, slots=True)
class Sitting:
    """One transaction of the back office: on what, who acts, and when."""

    connection: Connection
    actor: str
    now: datetime

    @property
    def held(self) -> SqlHeld:
        """The issuer's state in this transaction."""
        return SqlHeld(self.connection)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be offered: a type with its claims (None for its sample), and for whom.

    Without `serial`, the item's serial number in the claims is taken.
    """

    type_name: str
    claims: JsonObject | None = field(default=None, repr=False)
    serial: str | None = None
    subject: str | None = field(default=None, repr=False)
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackOffice:
    """The verbs of one issuer's back office."""

    issuer: Issuer
    log: AuditLog
    random: Random = secrets.token_bytes

    # Offers.

    def offer(
        self,
        sitting: Sitting,
        wanted: Wanted,
        *,
        with_tx_code: bool,
        grants: Collection[Grant] = (Grant.PRE_AUTHORIZED,),
    ) -> OpenOffer:
        """Offer a credential of any type with the given claims, or with the type's sample.

        Raises `Refused` (`type-unknown`, `dataset-known`), and `Malformed` with the
        path of each claim that is not as the type's schema says.
        """
        kind = self.type_named(wanted.type_name)
        claims = kind.sample if wanted.claims is None else wanted.claims
        kind.check_claims(claims)
        dataset = new_dataset(
            self.issuer.catalogue,
            kind.name,
            claims,
            ends_at=wanted.ends_at,
            serial=wanted.serial or serial_in(claims),
            subject=wanted.subject,
            random=self.random,
        )
        if not sitting.held.add_dataset(dataset, sitting.now):
            expected = "an item that has no credential of this type"
            raise Refused(Reason("dataset-known", expected, "one that has", "serial"))
        made = offer(
            sitting.held,
            [dataset],
            self.issuer.offering,
            with_tx_code=with_tx_code,
            now=sitting.now,
            grants=grants,
        )
        self._note(sitting, "offer.made", OFFER, made.offer_id)
        return made

    def offer_dataset(
        self, sitting: Sitting, dataset_id: str, *, with_tx_code: bool
    ) -> OpenOffer | None:
        """Offer what is recorded already; None when it is taken (`Issuance.is_taken`).

        Raises `Refused` (`dataset-unknown`).
        """
        held = sitting.held
        dataset = held.dataset(DatasetId(dataset_id))
        if dataset is None:
            raise Refused(Reason("dataset-unknown", "a dataset's id", "another", "dataset_id"))
        current = held.current_issuance(dataset.dataset_id)
        if current is not None and current.is_taken:
            return None
        made = offer(
            held,
            [dataset],
            self.issuer.offering,
            with_tx_code=with_tx_code,
            now=sitting.now,
        )
        self._note(sitting, "offer.made", OFFER, made.offer_id)
        return made

    def offer_order(self, sitting: Sitting, number: str, *, with_tx_code: bool) -> Offered:
        """Offer what of an order no wallet has stored yet. Raises `Refused` (`order-unknown`)."""
        order = lifecycle.known_order(sitting.held, OrderNumber(number))
        offered = offer_order(
            sitting.held, order, self.issuer.offering, with_tx_code=with_tx_code, now=sitting.now
        )
        for made in offered.offers:
            self._note(sitting, "offer.made", OFFER, made.offer_id)
        return offered

    def withdraw_offer(self, sitting: Sitting, offer_id: str) -> None:
        """End an offer that nobody has claimed, with its token.

        Raises `Refused`: `offer-unknown`, or `offer-closed` when there is nothing to end.
        """
        known = sitting.held.offer(OfferId(offer_id))
        if known is None:
            raise Refused(Reason("offer-unknown", "an offer's id", "another", "offer_id"))
        if known.state not in (OfferState.OPEN, OfferState.REDEEMED):
            found = f"one that was {known.state}"
            raise Refused(Reason("offer-closed", "an offer in force", found, "offer_id"))
        sitting.held.replace_offers(dataset_ids(known.datasets))
        self._note(sitting, "offer.withdrawn", OFFER, known.offer_id)

    def decide_dataset(self, sitting: Sitting, dataset_id: str, *, allowed: bool) -> None:
        """Let what waits be issued, or let a dataset never be issued.

        Raises `Refused`: `dataset-unknown`, or `dataset-decided` when it does not wait.
        """
        held, one = sitting.held, DatasetId(dataset_id)
        if held.dataset(one) is None:
            raise Refused(Reason("dataset-unknown", "a dataset's id", "another", "dataset_id"))
        done = held.release_dataset(one) if allowed else held.deny_dataset(one)
        if not done:
            expected = "a dataset that waits" if allowed else "one that may be issued"
            raise Refused(Reason("dataset-decided", expected, "another", "dataset_id"))
        self.note(sitting, "dataset.released" if allowed else "dataset.denied", one)

    def type_named(self, name: str) -> CredentialType:
        """Give the type of the catalogue; raises `Refused` with `type-unknown`."""
        kind = self.issuer.catalogue.types.get(name)
        if kind is None:
            known = ", ".join(self.issuer.catalogue.types)
            raise Refused(Reason("type-unknown", f"one of {known}", "another", "type"))
        return kind

    # What was issued.

    def search(self, connection: Connection, search: Search, *, at_most: int) -> Page:
        """Give a page of what was issued, the latest first."""
        held = SqlHeld(connection)
        found = find_issuances(connection, search, at_most=at_most + 1)
        shown = [(place, held.issuance(one)) for place, one in found[:at_most]]
        return Page(
            tuple(issuance for _, issuance in shown if issuance is not None),
            shown[-1][0] if len(found) > at_most else None,
        )

    def credential(self, connection: Connection, credential_id: str) -> Issuance:
        """Give one issuance; raises `Refused` with `credential-unknown`."""
        return lifecycle.known_issuance(SqlHeld(connection), IssuanceId(credential_id))

    def act(
        self,
        sitting: Sitting,
        act: Act,
        credential_id: str,
        reason: RevocationReason | None = None,
    ) -> Issuance:
        """Revoke (with a reason), suspend or reinstate; the status list says so from now on.

        Raises `Refused`: `credential-unknown`, `credential-ended`, `reason-needed`.
        """
        held, one = sitting.held, IssuanceId(credential_id)
        match act:
            case Act.REVOKE:
                if reason is None:
                    raise Refused(Reason("reason-needed", "a reason", "none", "reason"))
                after = lifecycle.revoke(held, one, reason, self.issuer.catalogue, sitting.now)
            case Act.SUSPEND:
                after = lifecycle.suspend(held, one, self.issuer.catalogue, sitting.now)
            case Act.REINSTATE:
                after = lifecycle.reinstate(held, one)
        done = _DONE[act] if reason is None else f"{_DONE[act]}/{reason}"
        self._note(sitting, done, CREDENTIAL, after.issuance_id)
        self._tell(sitting, _DONE[act], after, reason)
        return after

    def reissue(self, sitting: Sitting, credential_id: str, *, with_tx_code: bool) -> OpenOffer:
        """Revoke what a holder lost and offer the same again; see `lifecycle.reissue`."""
        made = lifecycle.reissue(
            sitting.held,
            IssuanceId(credential_id),
            self.issuer.offering,
            with_tx_code=with_tx_code,
            now=sitting.now,
        )
        return self._replaced(sitting, "credential.reissued", credential_id, made)

    def transfer(
        self,
        sitting: Sitting,
        credential_id: str,
        *,
        claims: JsonObject | None,
        subject: str | None,
        with_tx_code: bool,
    ) -> OpenOffer:
        """Revoke the old holder's and offer it to another; see `lifecycle.transfer`."""
        if claims is not None:
            known = self.credential(sitting.connection, credential_id)
            self.type_named(known.type_name).check_claims(claims)
        made = lifecycle.transfer(
            sitting.held,
            IssuanceId(credential_id),
            self.issuer.offering,
            self.issuer.catalogue,
            claims=claims,
            subject=subject,
            with_tx_code=with_tx_code,
            now=sitting.now,
        )
        return self._replaced(sitting, "credential.transferred", credential_id, made)

    def return_units(
        self,
        sitting: Sitting,
        number: str,
        *,
        line: int,
        serials: Sequence[str],
        quantity: int,
        with_tx_code: bool,
    ) -> OpenOffer | None:
        """Take back units of an order's line; see `lifecycle.return_units`."""
        made = lifecycle.return_units(
            sitting.held,
            OrderNumber(number),
            self.issuer.offering,
            line=line,
            serials=[Serial(serial) for serial in serials],
            quantity=quantity,
            with_tx_code=with_tx_code,
            now=sitting.now,
        )
        self._note(sitting, "order.returned", ORDER, number)
        facts: JsonObject = {"order": number, "line": line, "quantity": quantity}
        self.tell(sitting, "order.returned", facts)
        return made

    # Many at once: one proposes, another approves.

    def propose(
        self,
        sitting: Sitting,
        act: Act,
        *,
        reason: RevocationReason | None,
        credentials: Sequence[str] = (),
        search: Search | None = None,
    ) -> Proposal:
        """Freeze the list of what is to be done, named one by one or as a search finds it now.

        Raises `Refused` as `approvals.propose`, and `credential-unknown`.
        """
        if search is not None:
            found = find_issuances(sitting.connection, search, at_most=MAX_FROZEN + 1)
            named = [one for _, one in found]
        else:
            named = [self.credential(sitting.connection, one).issuance_id for one in credentials]
        proposal = propose(
            act, named, reason=reason, by=sitting.actor, now=sitting.now, random=self.random
        )
        add_proposal(sitting.connection, proposal)
        self._note(sitting, f"proposal.made/{act}", PROPOSAL, proposal.proposal_id)
        return proposal

    def approve(self, sitting: Sitting, proposal_id: str) -> Proposal:
        """Approve what another person proposed; a job then does it to the frozen list.

        Raises `Refused`: `proposal-unknown`, `proposal-closed`, `second-person-needed`.
        """
        known = self.proposal(sitting.connection, proposal_id)
        approved = known.approved(by=sitting.actor, now=sitting.now)
        decide_proposal(sitting.connection, approved)
        self._note(sitting, f"proposal.approved/{known.act}", PROPOSAL, known.proposal_id)
        return approved

    def reject(self, sitting: Sitting, proposal_id: str) -> Proposal:
        """Close a proposal undone. Raises `Refused`: `proposal-unknown`, `proposal-closed`."""
        known = self.proposal(sitting.connection, proposal_id)
        rejected = known.rejected(by=sitting.actor, now=sitting.now)
        decide_proposal(sitting.connection, rejected)
        self._note(sitting, f"proposal.rejected/{known.act}", PROPOSAL, known.proposal_id)
        return rejected

    def proposal(self, connection: Connection, proposal_id: str) -> Proposal:
        """Give the proposal; raises `Refused` with `proposal-unknown`."""
        known = find_proposal(connection, ProposalId(proposal_id))
        if known is None:
            raise Refused(Reason("proposal-unknown", "a proposal's id", "another", "proposal_id"))
        return known

    def note(self, sitting: Sitting, action: str, subject: str) -> None:
        """Add a line to the audit log."""
        self.log.append(sitting.connection, sitting.actor, action, subject, sitting.now)

    def tell(self, sitting: Sitting, event: str, data: JsonObject) -> None:
        """Put an event where the brand's other systems get it; it holds no personal data."""
        publish(sitting.connection, event, data, at=sitting.now, random=self.random)

    def _replaced(
        self, sitting: Sitting, action: str, credential_id: str, made: OpenOffer
    ) -> OpenOffer:
        after = self.credential(sitting.connection, credential_id)
        self._note(sitting, action, CREDENTIAL, after.issuance_id)
        self._note(sitting, "offer.made", OFFER, made.offer_id)
        self._tell(sitting, action, after, after.revocation_reason)
        return made

    def _note(self, sitting: Sitting, action: str, kind: str, name: str) -> None:
        self.note(sitting, action, f"{kind}:{name}")

    def _tell(
        self, sitting: Sitting, event: str, issuance: Issuance, reason: RevocationReason | None
    ) -> None:
        data: JsonObject = {
            "credential_id": issuance.issuance_id,
            "type": issuance.type_name,
            "order": issuance.order_number,
            "serial": issuance.serial,
        }
        if reason is not None:
            data["reason"] = reason.value
        self.tell(sitting, event, data)


_DONE: Final = {
    Act.REVOKE: "credential.revoked",
    Act.SUSPEND: "credential.suspended",
    Act.REINSTATE: "credential.reinstated",
}


def serial_in(claims: JsonObject) -> str | None:
    """Give the serial number of the item that `claims` are about, if they name one."""
    found = values_at(claims, SERIAL)
    return found[0] if len(found) == 1 and isinstance(found[0], str) else None
