"""The erasure at a receiver, after the stop: gather what each party says, sign what can be said.

    gather    ask every system, the custodian and each recipient that has not answered
    conclude  put what came into the row, and sign once every system has answered

Until then there is no receipt: the erasure is pending, and after the promised time
overdue. Afterwards each new paper makes a receipt that proves more, and a round in
which one was still missing is tried again, ever later.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Protocol

from counterfoil_credentials.answers import answer_of
from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import text_at
from counterfoil_credentials.errors import Malformed, Refused, Unavailable
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.keys import Signer
from counterfoil_credentials.spec import TOKEN_MEDIA_TYPE

from counterfoil_consent.access_log import AccessChain
from counterfoil_consent.accesses import Accesses, closed
from counterfoil_consent.artefacts import KeyDestruction
from counterfoil_consent.attestation import Attestation
from counterfoil_consent.client import CustodianClient
from counterfoil_consent.ending import Ending, wait_after
from counterfoil_consent.erased_system import ErasedSystem, Method, System, systems_at
from counterfoil_consent.erasure import WHERE, AccessLog, ErasureReceipt, RecipientAnswer
from counterfoil_consent.erasure_proof import verify_erasure_receipt
from counterfoil_consent.parties import RecipientParty
from counterfoil_consent.receiver_store import ReceivedGrant
from counterfoil_consent.recipient_receipt import RecipientReceipt
from counterfoil_consent.spec import ERASURE_TYP
from counterfoil_consent.states import Agreement, Erased, Granted, Level, Trigger
from counterfoil_consent.systems import RegisteredSystem, erase_in, require_distinct
from counterfoil_consent.wire import SKEW, Clock, GrantId, instant_at, read_artefact, whole_second

_MAX_ANSWER_BYTES: Final = 65_536
_OK: Final = 200
_OWN: Final = (
    ErasedSystem(system=System.LIVE_DATABASE, method=Method.DELETED),
    ErasedSystem(system=System.SEALING_KEY, method=Method.KEY_DESTROYED),
    ErasedSystem(system=System.BACKUPS, method=Method.KEY_DESTROYED),
)


class RecipientCalls(Protocol):
    """How a recipient is told of an end and gives its receipt."""

    def end(self, party: RecipientParty, grant_id: GrantId, event: str) -> str:
        """Send the end and give the recipient's receipt as it came.

        Raises `Unavailable`, `Refused` or `Malformed` when there is none yet.
        """
        ...


@dataclass(frozen=True, slots=True)
class FetchedReceipts:
    """Recipients over HTTPS: the event is posted, the receipt is the answer."""

    fetcher: Fetcher

    def end(self, party: RecipientParty, grant_id: GrantId, event: str) -> str:
        """Post the event to the endpoint that the terms name."""
        response = self.fetcher.post(
            party.end_url(grant_id),
            event.encode("ascii", "replace"),
            media_type=TOKEN_MEDIA_TYPE,
            max_bytes=_MAX_ANSWER_BYTES,
        )
        answer = answer_of(response, "recipient")
        if response.status != _OK:
            # 202 says that it was heard, not that it was done.
            raise Unavailable(f"expected status {_OK}, found {response.status}")
        return text_at(answer, "erasure_receipt", "recipient")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What one round brought. `destruction` is the custodian's token and the end it names."""

    systems: tuple[ErasedSystem, ...]
    destruction: str | None
    trigger: Trigger | None
    recipients: Mapping[Did, str]


class Eraser:
    """What erases for one receiver. It holds no rows."""

    def __init__(
        self,
        *,
        signer: Signer,
        custodian: CustodianClient,
        recipients: RecipientCalls,
        systems: Sequence[RegisteredSystem],
        accesses: Accesses | None,
        chain: AccessChain | None,
        attestors: Collection[Did],
        clock: Clock,
    ) -> None:
        """Erase in `systems`; without `accesses` no receipt can close the lease log."""
        require_distinct(systems)
        self._signer = signer
        self._custodian = custodian
        self._recipients = recipients
        self._systems = tuple(systems)
        self._accesses = accesses
        self._chain = chain
        self._attestors = frozenset(attestors)
        self._clock = clock

    def gather(self, grant: ReceivedGrant, ending: Ending, away: set[str]) -> Gathered:
        """Ask everybody whose answer is missing, but who is `away`; who is found to be is added.

        A recipient is named there by its DID, the custodian by its origin.
        """
        answered = [system.name for system in ending.systems if system.name is not None]
        statement = None if ending.destruction else self._statement(grant, ending, away)
        return Gathered(
            systems=erase_in(self._systems, grant.grant_id, answered),
            destruction=None if statement is None else statement[0],
            trigger=None if statement is None else statement[1],
            recipients=self._receipts(grant, ending, away),
        )

    def erase_again(self, grant_id: GrantId) -> bool:
        """Erase what a system holds of a grant that is erased; say whether there was any.

        Raises `Unavailable` when a system could not be looked into, or would not erase.
        """
        back = [system for system in self._systems if system.holds(grant_id)]
        if len(erase_in(back, grant_id, ())) < len(back):
            raise Unavailable("expected every system to erase again, found one that did not")
        return bool(back)

    def conclude(self, grant: ReceivedGrant, gathered: Gathered) -> ReceivedGrant | None:
        """Give the row with what was gathered, and with a receipt if one can be signed.

        None when there is nothing new to write.
        """
        before = grant.ending
        if isinstance(grant.state, Granted) or before is None:
            return None
        known = {system.name for system in before.systems}
        now = whole_second(self._clock())
        has_news = before.destruction is None and gathered.destruction is not None
        ending = replace(
            before,
            systems=(*before.systems, *(s for s in gathered.systems if s.name not in known)),
            recipients={**gathered.recipients, **before.recipients},
            destruction=before.destruction or gathered.destruction,
        )
        has_news = has_news or len(ending.recipients) > len(before.recipients)
        if not self._are_all_erased(ending):
            return replace(grant, ending=_later(ending, now))
        erased_at = before.erased_at or max(now, before.stopped_at)
        if not replace(grant, ending=ending).has_all_papers:
            ending = _later(ending, now)
        ending = replace(ending, erased_at=erased_at)
        if before.erasure_receipt is not None and not has_news:
            return replace(grant, ending=ending) if ending != before else None
        # Where two ended it at once, the custodian saw which was first.
        trigger = (gathered.trigger if has_news else None) or grant.state.trigger
        return self.sign(grant, ending, trigger)

    def sign(self, grant: ReceivedGrant, ending: Ending, trigger: Trigger) -> ReceivedGrant:
        """Give the row with a receipt over all that `ending` and the row hold now."""
        agreement = grant.state.agreement
        now = whole_second(self._clock())
        erased_at = ending.erased_at or now
        receipt = ErasureReceipt(
            agreement=agreement,
            trigger=trigger,
            requested_at=ending.requested_at,
            stopped_at=ending.stopped_at,
            erased_at=erased_at,
            systems=(*_OWN, *ending.systems),
            level=Level.E1,
            recipients=tuple(
                RecipientAnswer(did=party.did, receipt=ending.recipients.get(party.did))
                for party in agreement.terms.recipients
            ),
            retained=tuple(kept.item for kept in grant.kept),
            released=ending.released,
            access_log=self._closed_log(grant.grant_id),
            destruction=ending.destruction,
            attestation=ending.attestation,
            access_log_head=None if self._chain is None else self._chain.head(grant.grant_id),
        )
        # What we state of it is what whoever checks it will find.
        proved = self._verified(receipt.sign(self._signer, now), agreement, max(now, erased_at))
        token = replace(receipt, level=proved.level).sign(self._signer, now)
        return replace(grant, state=proved, ending=replace(ending, erasure_receipt=token))

    def require_attested(self, receipt: str, attestation: str, agreement: Agreement) -> None:
        """Return only if an attestation by a key trusted here fits a receipt of ours."""
        claims = read_artefact(
            receipt, typ=ERASURE_TYP, by=agreement.terms.receiver.did, where=WHERE
        )
        Attestation.read(
            attestation,
            attestors=self._attestors,
            agreement=agreement,
            systems=systems_at(claims, WHERE),
            erased_at=instant_at(claims, "erased_at", WHERE),
            now=self._clock(),
        )

    def _verified(self, token: str, agreement: Agreement, now: datetime) -> Erased:
        return verify_erasure_receipt(
            token, agreement=agreement, now=now, attestors=self._attestors
        )

    def _are_all_erased(self, ending: Ending) -> bool:
        answered = {system.name for system in ending.systems}
        return all(system.place.name in answered for system in self._systems)

    def _closed_log(self, grant_id: GrantId) -> AccessLog | None:
        if self._accesses is None:
            return None
        return closed(grant_id, self._accesses.of_grant(grant_id))

    def _statement(
        self, grant: ReceivedGrant, ending: Ending, away: set[str]
    ) -> tuple[str, Trigger] | None:
        if self._custodian.party.origin in away:
            return None
        try:
            token = self._custodian.end(grant.grant_id, ending.event)
            read = KeyDestruction.read(
                token, custodian=self._custodian.party.did, grant_id=grant.grant_id
            )
        except (Malformed, Refused):
            return None
        except Unavailable:
            away.add(self._custodian.party.origin)
            return None
        matches = read.grant_digest == grant.state.agreement.grant_digest
        # A statement from the future would spoil the receipt: it is good a little later.
        is_past = read.destroyed_at <= self._clock() + SKEW
        return (token, read.trigger) if matches and is_past else None

    def _receipts(self, grant: ReceivedGrant, ending: Ending, away: set[str]) -> dict[Did, str]:
        receipts: dict[Did, str] = {}
        granted = tuple(grant.terms.claim_names)
        for party in grant.terms.recipients:
            if party.did in ending.recipients or party.did in away:
                continue
            try:
                token = self._recipients.end(party, grant.grant_id, ending.event)
                RecipientReceipt.read(
                    token,
                    recipient=party.did,
                    grant_id=grant.grant_id,
                    granted=granted,
                    now=self._clock(),
                )
            except (Malformed, Refused):
                continue
            except Unavailable:
                away.add(party.did)
                continue
            receipts[party.did] = token
        return receipts


def _later(ending: Ending, now: datetime) -> Ending:
    tries = ending.tries + 1
    return replace(ending, tries=tries, next_try_at=now + wait_after(tries))
