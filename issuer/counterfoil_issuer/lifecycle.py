"""What happens to credentials after they were issued: each change is one transaction.

    approve, deny                   what waits may be issued, or never
    revoke, suspend, reinstate      the status list says so from now on
    reissue                         lost: the old ones end, the same is offered anew
    transfer                        sold on: the old ones end, another holder is offered it
    return_units                    goods came back: their warranties end, the receipt shrinks

A new offer and the end of what it replaces are one step: there is no moment in
which both are in force, or in which neither can be had.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from counterfoil_credentials.claims import ClaimPath
from counterfoil_credentials.encoding import Json, JsonObject
from counterfoil_credentials.errors import Reason, Refused

from counterfoil_issuer.catalogue import RECEIPT, WARRANTY, Catalogue, StatusUse
from counterfoil_issuer.datasets import claims_of, ends_at, folded
from counterfoil_issuer.offering import Offering, OpenOffer, offer
from counterfoil_issuer.orders import Order, OrderLine, OrderNumber, Serial
from counterfoil_issuer.records import (
    Dataset,
    DatasetId,
    DatasetState,
    Issuance,
    IssuanceId,
    RevocationReason,
)
from counterfoil_issuer.store import Held


def known_issuance(held: Held, issuance_id: IssuanceId) -> Issuance:
    """Give the issuance, or raise `Refused` with `credential-unknown`."""
    known = held.issuance(issuance_id)
    if known is None:
        text = "an issued credential's id"
        raise Refused(Reason("credential-unknown", text, "another", "credential_id"))
    return known


def known_order(held: Held, number: OrderNumber) -> Order:
    """Give the order, or raise `Refused` with `order-unknown`."""
    order = held.order(number)
    if order is None:
        raise Refused(Reason("order-unknown", "an imported order", "another", "order"))
    return order


def revoke(
    held: Held,
    issuance_id: IssuanceId,
    reason: RevocationReason,
    catalogue: Catalogue,
    now: datetime,
) -> Issuance:
    """Revoke for good. Again is the same as once: the first time and reason stand.

    Raises `Refused` with `not-revocable` for a type without status: whoever holds one
    can go on showing it until it expires.
    """
    known = known_issuance(held, issuance_id)
    _require_status(known, catalogue, (StatusUse.REVOCABLE, StatusUse.SUSPENDABLE))
    held.revoke(issuance_id, now, reason)
    return known_issuance(held, issuance_id)


def approve(held: Held, dataset_id: DatasetId) -> None:
    """Let a dataset that waits be issued. Again is the same as once.

    Raises `Refused` with `dataset-unknown`, or `dataset-denied`.
    """
    known = _known_dataset(held, dataset_id)
    if known.state is DatasetState.DENIED:
        raise Refused(Reason("dataset-denied", "a dataset that waits", "a denied one", "dataset"))
    held.release_dataset(dataset_id)


def deny(held: Held, dataset_id: DatasetId) -> None:
    """Let a dataset that waits never be issued: its wallet is told so. Again is the same as once.

    Raises `Refused` with `dataset-unknown`, or `dataset-ready` for one that was approved.
    """
    known = _known_dataset(held, dataset_id)
    if known.state is DatasetState.READY:
        raise Refused(
            Reason("dataset-ready", "a dataset that waits", "one that may be issued", "dataset")
        )
    held.deny_dataset(dataset_id)


def suspend(held: Held, issuance_id: IssuanceId, catalogue: Catalogue, now: datetime) -> Issuance:
    """Suspend until reinstated. Again is the same as once.

    Raises `Refused` with `credential-ended` for what was revoked or dropped, and
    `not-suspendable` where the type does not provide for it.
    """
    known = known_issuance(held, issuance_id)
    _require_in_force(known)
    _require_status(known, catalogue, (StatusUse.SUSPENDABLE,))
    held.suspend(issuance_id, now)
    return known_issuance(held, issuance_id)


def reinstate(held: Held, issuance_id: IssuanceId) -> Issuance:
    """Take a suspension back. Again is the same as once.

    Raises `Refused` with `credential-ended` for what was revoked or dropped.
    """
    _require_in_force(known_issuance(held, issuance_id))
    held.reinstate(issuance_id)
    return known_issuance(held, issuance_id)


def reissue(
    held: Held,
    issuance_id: IssuanceId,
    offering: Offering,
    *,
    with_tx_code: bool,
    now: datetime,
) -> OpenOffer:
    """Offer the same again to a holder who lost it; what was lost is revoked in the same step.

    Raises `Refused` with `credential-ended` for what was revoked or dropped, and
    `claims-erased` when nobody knows any more what it said.
    """
    known = known_issuance(held, issuance_id)
    _require_in_force(known)
    dataset = _dataset(held, known.dataset_id)
    _make_room(held, known, RevocationReason.DEVICE_LOST, now)
    return offer(held, [dataset], offering, with_tx_code=with_tx_code, now=now)


def transfer(
    held: Held,
    issuance_id: IssuanceId,
    offering: Offering,
    catalogue: Catalogue,
    *,
    claims: JsonObject | None,
    subject: str | None,
    with_tx_code: bool,
    now: datetime,
) -> OpenOffer:
    """Offer it to another holder; the old binding is revoked in the same step.

    The new credential says `claims`. Without them it says what the old one showed
    to everybody: whatever its holder could withhold was his own affair. `subject`
    is the new holder's, as in `Dataset`. Raises as `reissue`, with `not-revocable` as
    `revoke` and `type-unknown`, and `Malformed` for claims that the type does not have.
    """
    known = known_issuance(held, issuance_id)
    _require_in_force(known)
    dataset = _dataset(held, known.dataset_id)
    _require_status(known, catalogue, (StatusUse.REVOCABLE, StatusUse.SUSPENDABLE))
    kind = catalogue.types.get(dataset.type_name)
    if kind is None:
        raise Refused(Reason("type-unknown", "a type of the catalogue", "another", "credential_id"))
    said = claims_of(held, dataset)
    if claims is None:
        claims = without(said, kind.concealed)
    kind.check_claims(claims)
    passed_on = replace(
        dataset,
        claims=claims,
        ends_at=ends_at(dataset, said, kind, now),
        order_number=None,
        subject=folded(subject),
    )
    held.change_dataset(passed_on)
    _make_room(held, known, RevocationReason.TRANSFERRED, now)
    return offer(held, [passed_on], offering, with_tx_code=with_tx_code, now=now)


def return_units(
    held: Held,
    number: OrderNumber,
    offering: Offering,
    *,
    line: int,
    serials: Sequence[Serial],
    quantity: int,
    with_tx_code: bool,
    now: datetime,
) -> OpenOffer | None:
    """Take back units of an order's line: the ones of `serials`, or `quantity` without any.

    `line` counts from one. Their warranties are revoked; a receipt that was issued
    is revoked, and one of what was kept is offered in its place: that offer is the
    answer. None when nothing was kept, or no receipt was issued yet.

    Raises `Refused` with `order-unknown`, `line-unknown`, or `units-unknown` for
    units that are not of the line or came back before.
    """
    order = known_order(held, number)
    if not 1 <= line <= len(order.lines):
        text = f"a line from 1 to {len(order.lines)}"
        raise Refused(Reason("line-unknown", text, "another", "line"))
    returned = _units(order.lines[line - 1], serials, quantity)
    held.return_units(number, line=line, serials=serials, count=returned, at=now)
    for serial in serials:
        _end(held, DatasetId(f"{WARRANTY.name}:{serial}"), now)
    receipt = held.dataset(DatasetId(f"{RECEIPT.name}:{number}"))
    current = None if receipt is None else held.current_issuance(receipt.dataset_id)
    if receipt is None:
        return None
    if not known_order(held, number).kept().lines:
        _end(held, receipt.dataset_id, now)
        return None
    if current is None or not current.in_force:
        return None
    _make_room(held, current, RevocationReason.GOODS_RETURNED, now)
    return offer(held, [receipt], offering, with_tx_code=with_tx_code, now=now)


def without(claims: JsonObject, paths: Sequence[ClaimPath]) -> JsonObject:
    """Give `claims` without what stands at `paths`; a parent that is left empty goes too."""
    kept = claims
    for path in paths:
        kept = _object(_without(kept, path))
    return kept


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _without(value: Json, path: ClaimPath) -> Json:
    """Give `value` without what stands at `path`, None when nothing is left."""
    if not path:
        return None
    name, rest = path[0], path[1:]
    if isinstance(value, dict) and isinstance(name, str) and name in value:
        left = _without(value[name], rest)
        others = {key: one for key, one in value.items() if key != name}
        return (others or None) if left is None else {**value, name: left}
    if isinstance(value, list) and name is None:
        members = [_without(one, rest) for one in value]
        return [one for one in members if one is not None] or None
    return value


def _units(line: OrderLine, serials: Sequence[Serial], quantity: int) -> int:
    there = set(line.serials) - line.returned_serials
    if line.serials:
        ok = 0 < len(set(serials)) == len(serials) == quantity and there.issuperset(serials)
    else:
        ok = not serials and 1 <= quantity <= line.quantity - line.returned
    if not ok:
        text = "units of the line that have not come back, each once"
        raise Refused(Reason("units-unknown", text, "others", "units"))
    return quantity


def _known_dataset(held: Held, dataset_id: DatasetId) -> Dataset:
    known = held.dataset(dataset_id)
    if known is None:
        raise Refused(Reason("dataset-unknown", "a recorded dataset's id", "another", "dataset"))
    return known


def _end(held: Held, dataset_id: DatasetId, now: datetime) -> None:
    """Revoke what was issued of a dataset, and let nothing be issued of it again."""
    current = held.current_issuance(dataset_id)
    if current is not None:
        held.revoke(current.issuance_id, now, RevocationReason.GOODS_RETURNED)
    held.replace_offers([dataset_id])
    held.deny_dataset(dataset_id)


def _make_room(held: Held, issuance: Issuance, why: RevocationReason, now: datetime) -> None:
    held.revoke(issuance.issuance_id, now, why)
    held.replace(issuance.issuance_id, now)


def _require_status(issuance: Issuance, catalogue: Catalogue, uses: Sequence[StatusUse]) -> None:
    kind = catalogue.types.get(issuance.type_name)
    # What a type said that is gone from the catalogue, its credentials still have.
    if kind is not None and kind.status not in uses:
        code = "not-revocable" if StatusUse.REVOCABLE in uses else "not-suspendable"
        expected = "a type whose status says " + " or ".join(uses)
        raise Refused(Reason(code, expected, f"one that says {kind.status}", "credential_id"))


def _require_in_force(issuance: Issuance) -> None:
    if not issuance.in_force:
        found = "one that was revoked" if issuance.revoked_at else "one that reached no wallet"
        raise Refused(Reason("credential-ended", "a credential in force", found, "credential_id"))


def _dataset(held: Held, dataset_id: DatasetId) -> Dataset:
    dataset = held.dataset(dataset_id)
    if dataset is None or (dataset.claims is None and dataset.order_number is None):
        text = "a credential whose claims are still known"
        raise Refused(
            Reason("claims-erased", text, "one whose claims were erased", "credential_id")
        )
    return dataset
