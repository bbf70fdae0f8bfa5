"""The street, grown: a receiver with other systems and a log, and a workshop that it hands to."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from counterfoil_consent import Active, ClaimName, Operation, Receiver
from counterfoil_consent.accesses import Accesses, MemoryAccesses
from counterfoil_consent.erased_system import System
from counterfoil_consent.key_folder import KeyFolder, MemoryKeyFolder
from counterfoil_consent.parties import RecipientParty
from counterfoil_consent.recipient import MemoryRecipientStore, Recipient
from counterfoil_consent.recipient_routes import recipient_routes
from counterfoil_consent.systems import MemorySystem, Place, RegisteredSystem
from counterfoil_consent.wire import GrantId
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.keys import MemorySigner
from counterfoil_service.errors import install_error_handlers
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.conftest import Clock
from tests.consent.street import BENEFITS, FRAME, Street, TrustedIssuer, handler_of

SHARING = (Operation.USE, Operation.STORE, Operation.SHARE)
WORKSHOPS = ("https://workshop.example", "https://painter.example")


@dataclass
class Workshop:
    """A recipient and its app."""

    origin: str
    signer: MemorySigner
    recipient: Recipient
    cache: MemorySystem

    @property
    def party(self) -> RecipientParty:
        return RecipientParty(
            did=self.recipient.did,
            name=self.origin.removeprefix("https://"),
            endpoint=f"{self.origin}/consent/grants/{{grant_id}}/end",
        )


class Town(Street):
    """A street whose receiver registers systems, logs reads, keeps under laws, and shares."""

    def __init__(
        self, clock: Clock, random: Callable[[int], bytes], folder: Path | None = None
    ) -> None:
        self.crm = MemorySystem(Place(name="crm", system=System.LIVE_DATABASE))
        self.systems: list[RegisteredSystem] = [self.crm]
        self.accesses: Accesses = MemoryAccesses()
        self.kept_keys: KeyFolder = MemoryKeyFolder()
        self.auditor = MemorySigner.generate()
        self.workshops: list[Workshop] = []
        super().__init__(clock, random, folder)
        self.workshops = [self.make_workshop(origin) for origin in WORKSHOPS]
        for workshop in self.workshops:
            self.open(workshop)

    def make_receiver(self, origin: str, signer: MemorySigner) -> Receiver:
        return Receiver(
            origin=origin,
            name="Velo",
            signer=signer,
            custodian=self.custodian.party,
            store=self.receiver_store,
            keys=self.receiver_keys,
            fetcher=self.fetcher,
            trust=TrustedIssuer(self.issuer.public),
            status=self.statuses,
            clock=self.clock,
            random=self.random,
            systems=self.systems,
            accesses=self.accesses,
            access_events=self.access_events,
            anchoring=self.anchoring,
            kept_keys=self.kept_keys,
            attestors=[did_jwk(self.auditor.public)],
        )

    def make_workshop(self, origin: str) -> Workshop:
        signer = MemorySigner.generate()
        cache = MemorySystem(Place(name="cache", system=System.CACHES))
        recipient = Recipient(
            signer=signer,
            receivers=[self.receiver.party.did],
            store=MemoryRecipientStore(),
            keys=MemoryKeyFolder(),
            clock=self.clock,
            random=self.random,
            systems=[cache],
        )
        return Workshop(origin, signer, recipient, cache)

    def open(self, workshop: Workshop) -> None:
        """Put a workshop on the network."""
        app = FastAPI()
        install_error_handlers(app)
        app.include_router(recipient_routes(workshop.recipient))
        client = TestClient(app, base_url=workshop.origin)
        self.fetcher.serve(workshop.origin, handler_of(client))

    def shared(self) -> tuple[Active, MemorySigner]:
        """Give a grant that names both workshops."""
        parties = tuple(workshop.party for workshop in self.workshops)
        return self.granted(recipients=parties, operations=SHARING)

    def hand_over(self, grant_id: GrantId, workshop: Workshop, *claims: ClaimName) -> None:
        """Read, and give what was read to a workshop."""
        key = workshop.recipient.key(grant_id)
        with self.receiver.read(grant_id, BENEFITS) as facts:
            handed = self.receiver.hand_over(facts, workshop.recipient.did, key, claims or (FRAME,))
        workshop.recipient.accept(handed.token, handed.sealed)
