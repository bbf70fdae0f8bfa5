"""Each party makes its own dossier, from what it has stored."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.dids import Did

from counterfoil_consent.access_log import AccessEvents
from counterfoil_consent.anchoring import Ticket
from counterfoil_consent.custodian import LEASE_LENGTH
from counterfoil_consent.dossier import (
    CustodianDossier,
    CustodianGrant,
    CustomerDossier,
    CustomerGrant,
    ReceiverDossier,
    ReceiverGrant,
    SeenList,
)
from counterfoil_consent.key_folder import KeyFolder
from counterfoil_consent.papers import Paper
from counterfoil_consent.receiver_store import OpenRequest, ReceivedGrant, ReceiverStore
from counterfoil_consent.states import Active, Suspended, name_of
from counterfoil_consent.store import CustodianStore, Ended, Kept
from counterfoil_consent.wire import Digest, GrantId, digest_of

_PAGE: Final = 500
LeasesOf = Callable[[GrantId], dict[str, int | None]]
TicketsOf = Callable[[GrantId], list[Ticket]]


def receiver_dossier(
    store: ReceiverStore,
    keys: KeyFolder,
    *,
    did: Did,
    now: datetime,
    events: AccessEvents | None = None,
    leases: LeasesOf | None = None,
    tickets: TicketsOf | None = None,
    lists: Sequence[SeenList] = (),
    figures: str | None = None,
) -> ReceiverDossier:
    """Give the receiver's dossier over all of its grants.

    `leases` gives the leases that were asked for under a grant, with their numbers,
    `tickets` what proves its log anchored.
    """
    here = set(keys.names())
    grants: list[ReceiverGrant] = []
    notices: dict[Digest, str] = {}
    for grant_id in _all(store.grant_ids):
        grant = store.find_grant(grant_id)
        if grant is None:
            continue
        bundle = store.find_bundle(grant_id)
        sha256 = grant.terms.notice.sha256
        text = store.find_notice(sha256)
        if text is not None:
            notices[sha256] = text
        grants.append(
            ReceiverGrant(
                agreement=grant.state.agreement,
                state=name_of(grant.state),
                papers=_papers_of(grant, store.find_request(grant.request_id)),
                ciphertext=None if bundle is None else digest_of(bundle),
                has_key=grant.request_id in here,
                events=() if events is None else tuple(events.of_grant(grant_id)),
                leases=None if leases is None else leases(grant_id),
                tickets=() if tickets is None else tuple(tickets(grant_id)),
            )
        )
    return ReceiverDossier(
        made_at=now,
        did=did,
        grants=tuple(grants),
        notices=notices,
        lists=tuple(lists),
        figures=figures,
    )


def custodian_dossier(
    store: CustodianStore,
    keys: KeyFolder,
    *,
    did: Did,
    now: datetime,
    lease_length: timedelta = LEASE_LENGTH,
) -> CustodianDossier:
    """Give the custodian's dossier: its rows, beside what lies in its key folder."""
    here = set(keys.names())
    grants: list[CustodianGrant] = []
    # A key whose row is gone lies there all the same.
    for grant_id in sorted({*_all(store.grant_ids), *here}):
        row = store.find(grant_id)
        ended = row if isinstance(row, Ended) else None
        counted = row.reads if isinstance(row, Kept | Ended) else 0
        grants.append(
            CustodianGrant(
                grant_id=grant_id,
                state="forgotten" if row is None else type(row).__name__.lower(),
                reads=max(counted, keys.reads(grant_id)),
                has_key=grant_id in here,
                is_destroyed=keys.is_destroyed(grant_id),
                ended_at=None if ended is None else ended.ended_at,
                trigger=None if ended is None else ended.trigger,
                statement=None if ended is None else ended.statement,
            )
        )
    return CustodianDossier(
        made_at=now,
        did=did,
        lease_s=int(lease_length.total_seconds()),
        grants=tuple(grants),
    )


def customer_dossier(grants: Iterable[CustomerGrant], *, now: datetime) -> CustomerDossier:
    """Give a customer's dossier over the grants that she chooses to show."""
    return CustomerDossier(made_at=now, grants=tuple(grants))


def _papers_of(grant: ReceivedGrant, request: OpenRequest | None) -> dict[Paper, str]:
    papers: dict[Paper, str] = {}
    if request is not None:
        papers[Paper.REQUEST] = request.token
    if grant.presentation is not None:
        papers[Paper.GRANT] = grant.presentation
    if isinstance(grant.state, Active | Suspended):
        papers[Paper.RECEIPT] = grant.state.receipt
    if grant.ending is None:
        return papers
    papers[Paper.END] = grant.ending.event
    papers[Paper.STOP_NOTICE] = grant.ending.stop_notice
    if grant.ending.destruction is not None:
        papers[Paper.KEY_DESTRUCTION] = grant.ending.destruction
    if grant.ending.erasure_receipt is not None:
        papers[Paper.ERASURE_RECEIPT] = grant.ending.erasure_receipt
    return papers


def _all(page: Callable[[GrantId | None, int], list[GrantId]]) -> Iterable[GrantId]:
    after: GrantId | None = None
    while found := page(after, _PAGE):
        yield from found
        after = found[-1]
