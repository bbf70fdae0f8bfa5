"""A brand: issues for its orders, asks for data under consent, awards points.

Auricle and Velorum run the same program over their own catalogue, database and
keys. What one of them does in the demo, the other could.
"""

import secrets
from contextlib import closing
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Final

from counterfoil_consent.app import receiver_routes
from counterfoil_consent.client import fetch_custodian
from counterfoil_consent.issuer_trust import FetchedIssuerKeys, ListedStatus
from counterfoil_consent.key_folder import FileKeyFolder
from counterfoil_consent.receiver import Receiver
from counterfoil_consent.sql_receiver_store import SqlReceiverStore
from counterfoil_credentials.key_file import load_or_create_signer
from counterfoil_credentials.token_status_list import FetchedStatusSource
from counterfoil_issuer.app import create_app
from counterfoil_issuer.catalogue import parse_catalogue
from counterfoil_issuer.issuer import Issuer, IssuerOptions
from counterfoil_issuer.sql_store import SqlStore
from counterfoil_issuer.staff import staff_of
from counterfoil_loyalty.accounts import PointsSigner
from counterfoil_loyalty.client import PointsClient
from counterfoil_service.serving import AsgiApp

from counterfoil_demo.app import points_desk
from counterfoil_demo.houses import AURICLE, CUSTODIAN, POINTS, SEALING_KEYS
from counterfoil_demo.process import Place
from counterfoil_demo.secret_file import load_or_create_secret

# A shop asks for the list each time, so that a return is seen at once. A brand
# with many shops would let them keep it for minutes.
_NO_KEEPING: Final = timedelta(0)
_TYPES: Final = ("receipt", "warranty")


def build(place: Place) -> AsgiApp:
    """Give the brand's service in its place."""
    store = place.closing.enter_context(closing(SqlStore(place.folder / "issuer.sqlite3")))
    issuer = _issuer(place, store)
    staff = staff_of(issuer, store, back_office_key=place.back_office_key)
    app = create_app(issuer, staff=staff)
    app.include_router(receiver_routes(_receiver(place), place.back_office_key))
    app.include_router(
        points_desk(
            place.house,
            issuer,
            PointsClient(place.fetcher, POINTS.origin),
            PointsSigner(load_or_create_secret(place.folder / "points.key")),
            refs_secret=load_or_create_secret(place.folder / "refs.key"),
            back_office_key=place.back_office_key,
        )
    )
    return app


def _issuer(place: Place, store: SqlStore) -> Issuer:
    catalogue = files("counterfoil_demo").joinpath("data", f"{place.house.name}.json")
    return Issuer(
        url=place.house.origin,
        catalogue=parse_catalogue(catalogue.read_bytes()),
        signer=load_or_create_signer(place.folder / "issuer-key.pem"),
        secret=load_or_create_secret(place.folder / "nonces.key"),
        store=store,
        options=IssuerOptions(status_list_ttl=_NO_KEEPING),
    )


def _receiver(place: Place) -> Receiver:
    trusted = {f"{AURICLE.origin}/types/{name}": (AURICLE.origin,) for name in _TYPES}
    keys = FetchedIssuerKeys(place.fetcher, trusted, lambda: datetime.now(UTC))
    return Receiver(
        origin=place.house.origin,
        name=place.house.name.capitalize(),
        signer=load_or_create_signer(place.folder / "receiver-key.pem"),
        custodian=fetch_custodian(place.fetcher, CUSTODIAN.origin),
        store=place.closing.enter_context(
            closing(SqlReceiverStore(place.folder / "consent.sqlite3"))
        ),
        keys=FileKeyFolder(place.folder / SEALING_KEYS),
        fetcher=place.fetcher,
        trust=keys,
        status=ListedStatus(FetchedStatusSource(place.fetcher), keys),
        clock=lambda: datetime.now(UTC),
        random=secrets.token_bytes,
    )
