"""One brand's whole service over HTTP, and what stands around it: offers, customers, a maker."""

import zlib
from base64 import urlsafe_b64decode
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from counterfoil_credentials.keys import Algorithm, PublicKey
from counterfoil_issuer.app import create_app
from counterfoil_issuer.authorization_routes import AuthorizationDesk, authorization_router
from counterfoil_issuer.catalogue import Catalogue, parse_catalogue
from counterfoil_issuer.clients import ClientPolicy, Demand
from counterfoil_issuer.credential_type import AcceptedProof, KeyProtection
from counterfoil_issuer.dev_login import DevLogin
from counterfoil_issuer.issuer import Issuer, IssuerOptions
from counterfoil_issuer.spec import AUTHORIZATION_CODE_GRANT
from counterfoil_issuer.sql_authorization import grants_of
from counterfoil_issuer.sql_store import SqlStore
from counterfoil_service.sealing import Seal
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Client

from tests.issuer.brand import CATALOGUE, issuer_on, staffed
from tests.issuer.conformance.emulated_wallet import (
    CALLBACK,
    CLIENT_ID,
    EmulatedWallet,
    Json,
    Maker,
    verify,
    well_known,
)

BRAND = "http://127.0.0.1/audio"
TYPE = "warranty"
CUSTOMERS = ("sample-lin", "sample-ada", "sample-noor")


class Offer(NamedTuple):
    """What a customer is sent, on two ways."""

    link: str
    tx_code: str | None


@dataclass
class Stage:
    """The service, reached through `http`, and its brand's side."""

    http: Client
    app: FastAPI
    service: Issuer
    clock: Callable[[], datetime]
    maker: Maker
    attests: bool = False
    customers: list[str] = field(default_factory=lambda: list(CUSTOMERS))

    @property
    def issuer(self) -> str:
        """Give the issuer's identifier."""
        return self.service.url

    def offer(self, *, tx_code: bool = False) -> Offer:
        """Offer one more sample warranty."""
        dataset = self.service.add_dataset(TYPE, self.service.catalogue.types[TYPE].sample)
        made = self.service.offer_datasets([dataset], with_tx_code=tx_code)
        return Offer(made.link, made.tx_code)

    def customer(self) -> str:
        """Give a customer who may log in and fetch a warranty, another one each time."""
        name = self.customers.pop(0)
        claims = self.service.catalogue.types[TYPE].sample
        self.service.add_dataset(TYPE, claims, subject=name)
        return name

    def wallet(self, *, sender_constrained: bool = False) -> EmulatedWallet:
        """Give a freshly installed wallet."""
        return EmulatedWallet(
            self.http,
            self.issuer,
            clock=self.clock,
            maker=self.maker if self.attests else None,
            sender_constrained=sender_constrained,
        )

    def keys(self) -> list[Json]:
        """Give the issuer's published keys."""
        answer = self.http.get(well_known(self.issuer, "jwt-vc-issuer"))
        return list(answer.json()["jwks"]["keys"])

    def status(self, place: tuple[str, int]) -> int:
        """Give what the published list says of a place in it."""
        uri, index = place
        answer = self.http.get(uri, headers={"Accept": "application/statuslist+jwt"})
        header, claims = verify(answer.text, self.keys())
        assert header["typ"] == "statuslist+jwt"
        assert claims["sub"] == uri
        listed: Json = claims["status_list"]
        text: str = listed["lst"]
        entries = zlib.decompress(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        bits: int = listed["bits"]
        byte, entry = divmod(index, 8 // bits)
        return entries[byte] >> entry * bits & (1 << bits) - 1


@contextmanager
def stage(
    folder: Path,
    clock: Callable[[], datetime],
    random: Callable[[int], bytes],
    *,
    attested_wallets: bool = False,
    attested_keys: bool = False,
    back_office_key: str | None = None,
) -> Generator[Stage, None, None]:
    """Give a brand that serves, and demands what its policy says."""
    maker = Maker()
    attesters = frozenset({PublicKey.from_jwk(maker.jwk, "maker")})
    store = SqlStore(folder / "issuer.sqlite3")
    service = issuer_on(
        store,
        clock,
        random,
        url=BRAND,
        catalogue=_demanding(CATALOGUE) if attested_keys else None,
        options=IssuerOptions(status_list_size=1_024, key_attesters=attesters),
    )
    clients = ClientPolicy(
        redirect_uris={CLIENT_ID: frozenset({CALLBACK})},
        attestation=Demand.REQUIRED if attested_wallets else Demand.OFF,
        attesters=attesters,
    )
    desk = AuthorizationDesk(
        issuer=service,
        clients=clients,
        login=DevLogin(BRAND),
        grants_of=grants_of,
        seal=Seal(service.secret, "authorization"),
    )
    app = create_app(
        service,
        staff=None if back_office_key is None else staffed(service, back_office_key),
        clients=clients,
        grants={AUTHORIZATION_CODE_GRANT: desk.redeem},
        routers=[authorization_router(desk)],
    )
    with TestClient(app, base_url="http://127.0.0.1") as http:
        yield Stage(http, app, service, clock, maker, attests=attested_wallets)
    store.close()


def _demanding(data: bytes) -> Catalogue:
    """Give the catalogue with a warranty that takes only keys which somebody vouches for."""
    catalogue = parse_catalogue(data)
    demanded = AcceptedProof(frozenset({Algorithm.ES256}), KeyProtection(("iso_18045_high",)))
    proofs = {"jwt": demanded, "attestation": demanded}
    kind = replace(catalogue.types[TYPE], proofs=proofs)
    return replace(catalogue, types={**catalogue.types, TYPE: kind})
