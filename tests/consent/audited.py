"""The town, watched: reads are written down and anchored, and each party makes its dossier."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from counterfoil_consent import Active, FileKeyFolder, GrantPackage, deliver
from counterfoil_consent.access_log import AccessEvents, MemoryAccessEvents
from counterfoil_consent.anchoring import Anchoring, MemoryAnchor, MemorySalts
from counterfoil_consent.audit import audit
from counterfoil_consent.audit_evidence import AnchorFiles, Evidence, Finding, Scan, Status
from counterfoil_consent.dossier import (
    CustodianDossier,
    CustomerDossier,
    CustomerGrant,
    ReceiverDossier,
    SeenList,
)
from counterfoil_consent.dossier_export import (
    custodian_dossier,
    customer_dossier,
    receiver_dossier,
)
from counterfoil_consent.export import ConsentHistory, consent_record
from counterfoil_consent.figures import end_times_in, figures_of
from counterfoil_consent.holder import withdraw
from counterfoil_consent.papers import Paper
from counterfoil_consent.states import State
from counterfoil_consent.usage import UsageRequest
from counterfoil_consent.wire import GrantId
from counterfoil_credentials.encoding import JsonObject, compact_json
from counterfoil_credentials.keys import MemorySigner

from tests.conftest import Clock
from tests.consent.street import BENEFITS, CANARIES, CUSTODIAN, NOTICE
from tests.consent.town import Town

HOUR = timedelta(hours=1)


class AuditedTown(Town):
    """A town in which everybody keeps what an auditor will want."""

    def __init__(
        self, clock: Clock, random: Callable[[int], bytes], folder: Path | None = None
    ) -> None:
        self.anchor = MemoryAnchor()
        super().__init__(clock, random, folder)
        self.access_events = MemoryAccessEvents()
        self.roots = Anchoring(
            self.anchor, MemorySalts(), clock=clock, random=random, least_leaves=8
        )
        self.anchoring = self.roots
        self.start()
        self.signers: dict[GrantId, MemorySigner] = {}
        self.states: dict[GrantId, State] = {}
        self.papers: dict[GrantId, dict[Paper, str]] = {}
        self.copies: dict[GrantId, tuple[str, ...]] = {}
        self.records: dict[GrantId, JsonObject] = {}
        self.lists: list[SeenList] = []
        self.figures: str | None = None
        self.scan: Scan | None = None

    @property
    def log(self) -> AccessEvents:
        """The receiver's log of reads, as it is now."""
        assert self.access_events is not None
        return self.access_events

    def given(self, **changes: object) -> Active:
        """Give a grant in force, whose holder keeps her papers."""
        package: GrantPackage
        package, signer = self.packed(**changes)
        active = deliver(package, fetcher=self.fetcher)
        grant_id = package.grant_id
        self.signers[grant_id] = signer
        self.states[grant_id] = active
        self.papers[grant_id] = {Paper.RECEIPT: active.receipt, Paper.GRANT: package.presentation}
        self.copies[grant_id] = ()
        self.write_record(grant_id)
        return active

    def read(self, active: Active, times: int = 1) -> None:
        for _ in range(times):
            with self.receiver.read(active.agreement.grant_id, BENEFITS, role="fitting"):
                pass
            self.clock.advance(timedelta(minutes=2))

    def anchor_now(self) -> None:
        self.clock.advance(HOUR)
        assert self.roots.publish_due() is not None

    def withdrawal(self, active: Active) -> str:
        """Give what she signs."""
        grant_id = active.agreement.grant_id
        withdrawn = withdraw(
            active, signer=self.signers[grant_id], now=self.clock(), random=self.random
        )
        self.papers[grant_id][Paper.END] = withdrawn.token
        self.states[grant_id] = withdrawn.withdrawn
        return withdrawn.token

    def end_at_custodian(self, active: Active, token: str) -> None:
        grant_id = active.agreement.grant_id
        self.papers[grant_id][Paper.KEY_DESTRUCTION] = self.custodian.end(grant_id, token)

    def end(self, active: Active) -> None:
        """Withdraw at both, and take home what each signs."""
        grant_id = active.agreement.grant_id
        token = self.withdrawal(active)
        self.end_at_custodian(active, token)
        self.papers[grant_id][Paper.STOP_NOTICE] = self.receiver.end(grant_id, token)
        self.papers[grant_id][Paper.ERASURE_RECEIPT] = self.receiver.erasure_receipt(grant_id)
        self.write_record(grant_id)

    def write_record(self, grant_id: GrantId) -> None:
        self.records[grant_id] = consent_record(ConsentHistory.of(self.states[grant_id]))

    def ask_usage(self, active: Active) -> None:
        """Ask the custodian how often, and the receiver for its events."""
        agreement = active.agreement
        grant_id, signer = agreement.grant_id, self.signers[agreement.grant_id]
        asked = UsageRequest(grant_id=grant_id, holder=agreement.holder, asked_at=self.clock())
        token = asked.sign(signer, audience=CUSTODIAN)
        self.papers[grant_id][Paper.USAGE] = self.custodian.usage(grant_id, token)
        token = asked.sign(signer, audience=agreement.terms.receiver.client_id)
        self.copies[grant_id] = tuple(self.receiver.access_events(grant_id, token))

    def publish_figures(self, since_days: int = 30) -> None:
        """Publish what the receiver's own rows say of it."""
        now = self.clock()
        ends = [
            end_times_in(grant.agreement, grant.papers) for grant in self.receiver_dossier().grants
        ]
        figures = figures_of(
            [end for end in ends if end is not None],
            since=now - timedelta(days=since_days),
            until=now,
            now=now,
        )
        self.figures = figures.sign(self.receiver_signer, now=now)

    def receiver_dossier(self) -> ReceiverDossier:
        dossier = receiver_dossier(
            self.receiver_store,
            self.receiver_keys,
            did=self.receiver.party.did,
            now=self.clock(),
            events=self.access_events,
            leases=self.leases_of,
            tickets=None if self.anchoring is None else self.anchoring.tickets,
            lists=self.lists,
            figures=self.figures,
        )
        return ReceiverDossier.from_bytes(self.written(dossier.to_json()))

    def leases_of(self, grant_id: GrantId) -> dict[str, int | None]:
        return {entry.request_id: entry.read for entry in self.accesses.of_grant(grant_id)}

    def evidence(self) -> Evidence:
        """Give what all of them hand over, through the files in which they do."""
        keys = self.custodian_keys
        if isinstance(keys, FileKeyFolder):
            assert self.folder is not None
            keys = FileKeyFolder(self.folder / "custodian-keys")
        at_custodian = custodian_dossier(
            self.custodian_store, keys, did=self.custodian.party.did, now=self.clock()
        )
        hers = customer_dossier(
            [
                CustomerGrant(
                    agreement=state.agreement,
                    notice=NOTICE.text,
                    papers=self.papers[grant_id],
                    events=self.copies[grant_id],
                    record=self.records.get(grant_id),
                )
                for grant_id, state in self.states.items()
            ],
            now=self.clock(),
        )
        batches = [self.anchor.batch(number) for number in self.anchor.roots()]
        return Evidence(
            now=self.clock(),
            receiver=self.receiver_dossier(),
            custodian=CustodianDossier.from_bytes(self.written(at_custodian.to_json())),
            customer=CustomerDossier.from_bytes(self.written(hers.to_json())),
            anchor=AnchorFiles(
                roots=self.anchor.roots(),
                batches=tuple(batch for batch in batches if batch is not None),
            ),
            scan=self.scan,
        )

    def written(self, dossier: JsonObject) -> bytes:
        raw = compact_json(dossier)
        for canary in CANARIES:
            assert canary.encode() not in raw
        return raw

    def finding(self, number: int) -> Finding:
        """Give what one check finds now; no finding tells a value."""
        findings = audit(self.evidence())
        for finding in findings:
            assert not [c for c in CANARIES for line in finding.evidence if c in line]
        return findings[number - 1]

    def failed(self) -> list[int]:
        """Give the numbers of the checks that failed."""
        return [each.number for each in audit(self.evidence()) if each.status is Status.FAILED]
