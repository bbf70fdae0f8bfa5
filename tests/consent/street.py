"""A customer with two credentials, a bicycle brand that asks, and a custodian: all by HTTP.

Every exchange passes the real apps, through the in-memory fetcher.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from shutil import copytree, rmtree
from typing import Protocol

from counterfoil_consent import (
    Active,
    ClaimName,
    ClaimTerm,
    Custodian,
    Decided,
    FetchedNotices,
    FileKeyFolder,
    GrantPackage,
    IssuerTrust,
    KeyFolder,
    MemoryKeyFolder,
    MemoryReceiverStore,
    MemoryStore,
    Necessity,
    Notice,
    PresentationAsk,
    PresentationMaker,
    Purpose,
    Receiver,
    ReceiverStore,
    Wish,
    deliver,
    fetch_custodian_key,
    grant,
    read_consent_request,
)
from counterfoil_consent.access_log import AccessEvents
from counterfoil_consent.anchoring import Anchoring
from counterfoil_consent.app import create_app, receiver_routes
from counterfoil_consent.holder import Asked
from counterfoil_consent.requesting import Opened
from counterfoil_consent.sql_custodian_store import SqlCustodianStore
from counterfoil_consent.sql_receiver_store import SqlReceiverStore
from counterfoil_consent.store import CustodianStore
from counterfoil_consent.tombstone_journal import (
    FileTombstoneJournal,
    MemoryTombstoneJournal,
    TombstoneJournal,
)
from counterfoil_credentials.claims import ClaimPath
from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Reason, Refused
from counterfoil_credentials.fetch import Handler, MemoryFetcher, Response
from counterfoil_credentials.key_binding import bind
from counterfoil_credentials.keys import MemorySigner, PublicKey
from counterfoil_credentials.request_links import parse_request_link
from counterfoil_credentials.sdjwt import disclose
from counterfoil_credentials.sdjwt_vc import StatusReference, VerifiedCredential, issue_credential
from counterfoil_service.errors import install_error_handlers
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.consent.dumps import dump, put_back

CUSTODIAN = "https://custodian.example"
VELO = "https://velo.example"
AUDIO = "https://audio.example"
RIDER = f"{AUDIO}/types/rider"
WARRANTY = f"{AUDIO}/types/warranty"
FRAME = ClaimName(RIDER, ("frame_size",))
BIRTHDAY = ClaimName(RIDER, ("birthday",))
PRODUCT = ClaimName(WARRANTY, ("product", "name"))
BENEFITS = Purpose.PERSONALISED_BENEFITS
# Planted: these texts must appear in no file, log or message but inside a read.
FRAME_VALUE = "canary-frame-57cm"
BIRTHDAY_VALUE = "canary-1987-04-12"
PRODUCT_VALUE = "canary-Auricle-One"
CANARIES = (FRAME_VALUE, BIRTHDAY_VALUE, PRODUCT_VALUE)
KEY = "the bicycle brand's back office key"
NOTICE = Notice(text="We fit your next bicycle to you. 我们为您调整下一辆车。", language="en")

Random = Callable[[int], bytes]


class MovingClock(Protocol):
    """A clock that moves when it is told to."""

    now: datetime

    def __call__(self) -> datetime: ...

    def advance(self, by: timedelta) -> datetime: ...


class Statuses:
    """The issuer's word about its credentials, as the receiver's status port."""

    def __init__(self) -> None:
        self.revoked: set[int] = set()

    def require_valid(self, credential: VerifiedCredential, *, now: datetime) -> None:
        assert credential.status is not None
        if credential.status.index in self.revoked:
            raise Refused(Reason("credential-not-in-force", "in force", "revoked", "status"))


@dataclass
class TrustedIssuer:
    """The receiver's issuer port: believes one issuer."""

    key: PublicKey

    def key_of(self, *, issuer: str, vct: str, key_id: str | None) -> PublicKey:
        if issuer != AUDIO:
            raise Refused(Reason("issuer-not-trusted", "the audio brand", "another", "iss"))
        return self.key


class Customer:
    """A wallet reduced to what consent asks of it: two credentials and a presentation maker."""

    def __init__(self, issuer: MemorySigner, now: datetime, random: Random) -> None:
        self.signer = MemorySigner.generate()
        # Tests of careless and cheating wallets put their own maker here.
        self.present: PresentationMaker = self.present_honestly
        claims: dict[str, JsonObject] = {
            RIDER: {"frame_size": FRAME_VALUE, "birthday": BIRTHDAY_VALUE},
            WARRANTY: {"product": {"name": PRODUCT_VALUE}},
        }
        self.now = now
        self.held = {
            vct: issue_credential(
                subject,
                vct=vct,
                issuer=AUDIO,
                signer=issuer,
                holder=self.signer.public,
                issued_at=now,
                expires_at=now + timedelta(days=365),
                status=StatusReference(f"{AUDIO}/status-lists/1", index),
                concealed=[(name,) for name in subject],
                random=random,
            )
            for index, (vct, subject) in enumerate(claims.items())
        }

    def present_honestly(self, ask: PresentationAsk) -> str:
        return self.present_paths(ask, ask.paths)

    def present_paths(self, ask: PresentationAsk, paths: Collection[ClaimPath]) -> str:
        shown = disclose(self.held[ask.vct], paths)
        return bind(
            shown,
            signer=self.signer,
            audience=ask.audience,
            nonce=ask.nonce,
            now=self.now,
            transaction_data_hashes=ask.transaction_data_hashes,
        )


class Street:
    """The three parties and the network between them."""

    def __init__(
        self,
        clock: MovingClock,
        random: Random,
        folder: Path | None,
        lease_s: int = 60,
        servers: Mapping[str, str] | None = None,
    ) -> None:
        """Without a folder all is in memory; `servers` are PostgreSQL URLs, by party."""
        self.clock = clock
        self.random = random
        self.folder = folder
        self.servers = servers
        self.fetcher = MemoryFetcher()
        self.issuer = MemorySigner.generate()
        self.custodian_signer = MemorySigner.generate()
        self.receiver_signer = MemorySigner.generate()
        self.trust: IssuerTrust = TrustedIssuer(self.issuer.public)
        self.statuses = Statuses()
        self.customer = Customer(self.issuer, clock(), random)
        self._lease_s = lease_s
        self.custodian_store: CustodianStore = MemoryStore()
        self.receiver_store: ReceiverStore = MemoryReceiverStore()
        self.custodian_keys: KeyFolder = MemoryKeyFolder()
        self.receiver_keys: KeyFolder = MemoryKeyFolder()
        self.journal: TombstoneJournal = MemoryTombstoneJournal()
        # Off unless a test sets them and starts again.
        self.access_events: AccessEvents | None = None
        self.anchoring: Anchoring | None = None
        self.start()

    def start(self) -> None:
        """Start, or restart, both services over what they have stored."""
        self.close()
        if self.folder is not None:
            self.custodian_store = SqlCustodianStore(self.place("custodian"))
            self.receiver_store = SqlReceiverStore(self.place("receiver"))
            self.custodian_keys = FileKeyFolder(self.folder / "custodian-keys")
            self.receiver_keys = FileKeyFolder(self.folder / "receiver-keys")
            self.journal = FileTombstoneJournal(self.folder / "tombstones.journal")
        self.custodian = Custodian(
            origin=CUSTODIAN,
            signer=self.custodian_signer,
            store=self.custodian_store,
            keys=self.custodian_keys,
            journal=self.journal,
            clock=self.clock,
            random=self.random,
            lease_length=timedelta(seconds=self._lease_s),
        )
        self.receiver = self.make_receiver(VELO, self.receiver_signer)
        self.connect()

    def make_receiver(self, origin: str, signer: MemorySigner) -> Receiver:
        return Receiver(
            origin=origin,
            name="Velo",
            signer=signer,
            custodian=self.custodian.party,
            store=self.receiver_store,
            keys=self.receiver_keys,
            fetcher=self.fetcher,
            trust=self.trust,
            status=self.statuses,
            clock=self.clock,
            random=self.random,
            access_events=self.access_events,
            anchoring=self.anchoring,
        )

    def connect(self) -> None:
        """Put both services on the network."""
        brand = FastAPI()
        install_error_handlers(brand)
        brand.include_router(receiver_routes(self.receiver, KEY, finished_within_s=60))
        self.brand = TestClient(brand, base_url=VELO)
        custodian = TestClient(create_app(self.custodian), base_url=CUSTODIAN)
        self.fetcher.serve(CUSTODIAN, handler_of(custodian))
        self.fetcher.serve(VELO, handler_of(self.brand))

    def close(self) -> None:
        for store in (self.custodian_store, self.receiver_store):
            if isinstance(store, SqlCustodianStore | SqlReceiverStore):
                store.close()

    def place(self, what: str) -> Path | str:
        """Give where one party's rows are."""
        assert self.folder is not None
        return self.servers[what] if self.servers else self.folder / what / "db.sqlite3"

    def back_up(self, what: str, where: Path) -> Path:
        """Copy one party's database, as a backup does."""
        assert self.folder is not None
        self.close()
        if self.servers:
            dump(self.servers[what], where)
        else:
            copytree(self.folder / what, where)
        self.start()
        return where

    def restore(self, what: str, backup: Path) -> None:
        """Put one party's database back as it was, and start again over it."""
        assert self.folder is not None
        self.close()
        if self.servers:
            put_back(self.servers[what], backup)
        else:
            rmtree(self.folder / what)
            copytree(backup, self.folder / what)
        self.start()

    def ask(self, **changes: object) -> Opened:
        return self.receiver.request(wish(**changes))

    def asked(self, opened: Opened) -> Asked:
        """Read the request as the wallet does."""
        link = parse_request_link(opened.link)
        response = self.fetcher.get(link.request_uri, accept="*/*")
        assert response.status == 200
        return read_consent_request(
            response.body.decode(),
            client_id=link.client_id,
            custodians={CUSTODIAN: self.custodian.party.did},
            notices=FetchedNotices(self.fetcher),
            now=self.clock(),
        )

    def decide(self, opened: Opened, signer: MemorySigner) -> Decided:
        asked = self.asked(opened)
        return asked.decide(
            asked.terms.claim_names, holder=did_jwk(signer.public), random=self.random
        )

    def package(self, decided: Decided, signer: MemorySigner) -> GrantPackage:
        self.customer.now = self.clock()
        key = fetch_custodian_key(decided, signer=signer, fetcher=self.fetcher, now=self.clock())
        return grant(
            decided,
            signer=signer,
            present=self.customer.present,
            custodian_key=key,
            now=self.clock(),
            random=self.random,
        )

    def packed(self, **changes: object) -> tuple[GrantPackage, MemorySigner]:
        """Give a package that is ready to be delivered."""
        signer = MemorySigner.generate()
        return self.package(self.decide(self.ask(**changes), signer), signer), signer

    def granted(self, **changes: object) -> tuple[Active, MemorySigner]:
        """Give a grant in force, and its pairwise signer."""
        package, signer = self.packed(**changes)
        return deliver(package, fetcher=self.fetcher), signer


def wish(**changes: object) -> Wish:
    """Give what the brand asks: two facts for thirty days."""
    plain: dict[str, object] = {
        "purpose": BENEFITS,
        "claims": (
            ClaimTerm(name=FRAME, necessity=Necessity.REQUIRED, retain_days=30),
            ClaimTerm(name=PRODUCT, necessity=Necessity.OPTIONAL, retain_days=30),
        ),
        "notice": NOTICE,
        "valid_for": timedelta(days=30),
        "max_reads": 5,
        "jurisdiction": "EU",
    }
    return Wish(**{**plain, **changes})  # type: ignore[arg-type]  # the tests name fields of Wish


def handler_of(client: TestClient) -> Handler:
    """Give the in-memory network's way to an app."""

    def handle(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        answer = client.request(method, path, headers=dict(headers), content=body)
        media_type = answer.headers.get("content-type", "").split(";")[0]
        return Response(answer.status_code, media_type, answer.content, dict(answer.headers))

    return handle
