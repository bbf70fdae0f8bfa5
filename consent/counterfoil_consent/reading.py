"""How a receiver reads: one lease from the custodian, one block in which the facts are open.

    with reader.read(grant_id, purpose) as facts: …

A read is asked of the rows three times: before anybody else is, after what the custodian
had to say was heard, and when all is opened and nothing given yet.
"""

from collections.abc import Generator
from contextlib import contextmanager

from counterfoil_credentials.encoding import b64url
from counterfoil_credentials.errors import Refused, Unavailable
from counterfoil_credentials.keys import Signer

from counterfoil_consent.access_log import AccessChain
from counterfoil_consent.accesses import Access, Accesses
from counterfoil_consent.anchor_tree import Tag
from counterfoil_consent.anchoring import Anchoring
from counterfoil_consent.artefacts import Lease, LeaseRequest
from counterfoil_consent.client import CustodianClient
from counterfoil_consent.facts import Facts, IssuerTrust, LeaseCount, StatusCheck, verify_facts
from counterfoil_consent.key_folder import KeyFolder
from counterfoil_consent.receiver_rows import ReceiverRows, ended_refusal
from counterfoil_consent.receiver_store import ReceivedGrant
from counterfoil_consent.sealing import OpeningKey, Role, SealedBundle, open_bundle, open_share
from counterfoil_consent.set_inbox import Inbox
from counterfoil_consent.states import Trigger
from counterfoil_consent.stopping import Stopper
from counterfoil_consent.terms import Purpose
from counterfoil_consent.wire import Random, digest_of, refuse


class Reader:
    """Reads of one receiver."""

    def __init__(
        self,
        rows: ReceiverRows,
        keys: KeyFolder,
        *,
        signer: Signer,
        custodian: CustodianClient,
        inbox: Inbox,
        stopper: Stopper,
        trust: IssuerTrust,
        status: StatusCheck,
        random: Random,
        accesses: Accesses | None,
        chain: AccessChain | None,
        anchoring: Anchoring | None,
    ) -> None:
        self._rows = rows
        self._keys = keys
        self._signer = signer
        self._custodian = custodian
        self._inbox = inbox
        self._stopper = stopper
        self._trust = trust
        self._status = status
        self._random = random
        self._accesses = accesses
        self._chain = chain
        self._anchoring = anchoring

    @contextmanager
    def read(self, grant_id: str, purpose: Purpose, *, role: str) -> Generator[Facts, None, None]:
        """Open the facts for the block; see `Receiver.read`."""
        # What is known to be over needs nobody's word.
        self._rows.require_readable(self._rows.grant(grant_id), purpose)
        self._inbox.require_drained()
        grant = self._rows.grant(grant_id)
        self._rows.require_readable(grant, purpose)
        bundle = self._rows.store.find_bundle(grant.grant_id)
        key = self._keys.find(grant.request_id)
        if bundle is None or self._keys.is_destroyed(grant.request_id):
            raise ended_refusal()
        if key is None:
            # Not found is not destroyed: the key may come back with its disk.
            raise Unavailable("expected the sealing key, found neither key nor tombstone")
        reader = OpeningKey.generate(self._random)
        try:
            lease = self._lease(grant, purpose, reader)
        except Refused as refusal:
            if "grant-ended" in refusal.codes:
                # Whatever backup it came from: what nobody may read is not kept either.
                self._stopper.stop_elsewhere(grant)
                self._stopper.finish(grant.grant_id)
            raise
        try:
            context = f"{lease.request_id} {purpose.value}"
            part = open_share(lease.share, reader, grant.grant_id, Role.READER, context)
            facts = verify_facts(
                open_bundle(SealedBundle.from_bytes(bundle), receiver_key=key, custodian_part=part),
                grant.state.agreement,
                trust=self._trust,
                status=self._status,
                lease=LeaseCount(lease.read, grant.terms.max_reads),
                is_over=lambda: self._rows.clock() >= lease.expires_at,
                now=self._rows.clock(),
            )
            try:
                self._write_down(grant, lease, role)
                # Once more: whoever was told "stopped" meanwhile sees nothing opened after it.
                self._rows.require_readable(self._rows.grant(grant_id), purpose)
                yield facts
            finally:
                facts.close()
        finally:
            # The lease is spent whatever came of it.
            if grant.terms.is_single_use:
                self._stopper.end_ourselves(grant.grant_id, Trigger.COMPLETED)

    def _lease(self, grant: ReceivedGrant, purpose: Purpose, reader: OpeningKey) -> Lease:
        asked = LeaseRequest(
            grant_id=grant.grant_id,
            request_id=b64url(self._random(16)),
            purpose=purpose,
            reader=reader.public,
            asked_at=self._rows.clock(),
        )
        party = self._custodian.party
        if self._accesses is not None:
            entry = Access(
                grant_id=grant.grant_id,
                request_id=asked.request_id,
                purpose=purpose,
                asked_at=asked.asked_at,
            )
            self._accesses.ask(entry)
        try:
            token = self._custodian.lease(
                grant.grant_id, asked.sign(self._signer, audience=party.origin)
            )
        except Unavailable:
            self._inbox.lose()
            raise
        lease = Lease.of_token(token, custodian=party.did, asked=asked, now=self._rows.clock())
        if lease.read > grant.terms.max_reads:
            raise refuse("reads-used-up", "a read left", "none", "max_reads")
        if self._accesses is not None:
            self._accesses.answer(grant.grant_id, asked.request_id, lease.read)
        return lease

    def _write_down(self, grant: ReceivedGrant, lease: Lease, role: str) -> None:
        if self._chain is None:
            return
        agreement = grant.state.agreement
        token = self._chain.append(agreement, lease, role=role, now=self._rows.clock())
        if self._anchoring is not None:
            self._anchoring.add(grant.grant_id, Tag.ACCESS_LOG, digest_of(token))
