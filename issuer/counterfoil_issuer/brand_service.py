"""A brand's folder as a service: everything that runs in one process, put together.

    with open_brand(folder, url) as brand:
        brand.office, brand.desk                      # what commands use
        app = brand_app(brand)                        # what `serve` serves

Besides the issuer's own routes it answers /health/live, /health/ready and, for
auditors, /metrics; it delivers webhooks, does the jobs that wait, checks the audit
log every hour and keeps where it ended, and destroys what is over of the keys.
"""

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from counterfoil_credentials.fetch import Fetcher, GuardedFetcher
from counterfoil_credentials.key_file import load_or_create_signer
from counterfoil_service.access import Role
from counterfoil_service.audit_watch import CheckpointFile
from counterfoil_service.health import (
    Check,
    Health,
    clock_goes_on,
    database_answers,
    disk_has_room,
    key_signs,
)
from counterfoil_service.open_id_tokens import OpenIdTokens
from counterfoil_service.operations import Operations
from counterfoil_service.repeating import repeating
from counterfoil_service.sealing import Seal
from fastapi import FastAPI
from starlette.applications import Starlette

from counterfoil_issuer.app import create_app
from counterfoil_issuer.authorization_routes import AuthorizationDesk, authorization_router
from counterfoil_issuer.authorization_settings import read_authorization_settings
from counterfoil_issuer.back_office import BackOffice
from counterfoil_issuer.brand_folder import BrandFolder
from counterfoil_issuer.brands import brands_app
from counterfoil_issuer.issuer import Issuer, IssuerOptions, utc_now
from counterfoil_issuer.job_desk import JobDesk
from counterfoil_issuer.key_ring_file import FileKeys
from counterfoil_issuer.records import Clock
from counterfoil_issuer.settings import StaffProvider
from counterfoil_issuer.spec import AUTHORIZATION_CODE_GRANT
from counterfoil_issuer.sql_authorization import grants_of, note_in
from counterfoil_issuer.sql_owner import require_own
from counterfoil_issuer.sql_store import SqlStore
from counterfoil_issuer.staff import Staff, staff_of

AUDIT_KEY: Final = "audit-key.pem"
CHECKPOINTS: Final = "audit-checkpoints"
HOUR_S: Final = 3_600.0
MINUTE_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenBrand:
    """A brand whose database is open."""

    folder: BrandFolder
    issuer: Issuer
    store: SqlStore
    keys: FileKeys
    staff: Staff

    @property
    def office(self) -> BackOffice:
        """The verbs of its back office."""
        return self.staff.office

    @property
    def desk(self) -> JobDesk:
        """Where its batches are done."""
        return self.staff.desk


@contextmanager
def open_brand(
    folder: BrandFolder, url: str, *, database: str | None = None
) -> Generator[OpenBrand, None, None]:
    """Open the brand in `folder` as the issuer `url`; `database` overrules its settings.

    Raises `Misuse` and `Malformed` for what is wrong in the folder, `Misuse` for another
    issuer's database, and `Unavailable` when it cannot be had.
    """
    folder.require_made()
    settings = folder.settings()
    keys = folder.keys(utc_now)
    catalogue = folder.catalogue()
    secret = folder.secret()
    store = SqlStore(folder.database(database))
    try:
        require_own(store, secret, str(folder.path))
        issuer = Issuer(
            url=url,
            catalogue=catalogue,
            keys=keys,
            secret=secret,
            store=store,
            options=IssuerOptions(key_attesters=settings.key_attesters),
        )
        staff = staff_of(
            issuer,
            store,
            back_office_key=folder.back_office_key(),
            authorities=_providers(settings.staff),
            may_revoke=settings.may_revoke,
            loopback_origins_unsafely=settings.loopback_webhooks,
            checkpoints=_checkpoints(folder, issuer.clock),
        )
        yield OpenBrand(folder=folder, issuer=issuer, store=store, keys=keys, staff=staff)
    finally:
        store.close()


def brand_app(brand: OpenBrand) -> FastAPI:
    """Give the service of one brand."""
    issuer, staff = brand.issuer, brand.staff
    settings = brand.folder.settings()
    authorization = read_authorization_settings(
        brand.folder.path,
        url=issuer.url,
        develops=settings.allows_plain_http_on_loopback,
        fetcher=GuardedFetcher(),
    )
    unsafe = {origin: origin for origin in settings.loopback_webhooks}
    operations = _operations(brand, GuardedFetcher(loopback_routes_unsafely=unsafe))
    working = [*operations.working(), repeating(brand.keys.tidy, HOUR_S)]
    desk = None
    if authorization.login is not None:
        desk = AuthorizationDesk(
            issuer=issuer,
            clients=authorization.clients,
            login=authorization.login,
            grants_of=grants_of,
            seal=Seal(issuer.secret, "authorization"),
            note=note_in(staff.office.log, issuer.clock),
        )
        working.append(repeating(desk.tidy, MINUTE_S))
    app = create_app(
        issuer,
        clients=authorization.clients,
        grants={} if desk is None else {AUTHORIZATION_CODE_GRANT: desk.redeem},
        routers=[] if desk is None else [authorization_router(desk)],
        staff=staff,
        working=working,
    )
    prefix = urlsplit(issuer.url).path
    auditor = staff.access.require(Role.AUDITOR)
    operations.mount(app, guard=auditor, metrics_path=f"{prefix}/metrics")
    return app


def service_app(brands: Mapping[str, OpenBrand]) -> Starlette:
    """Give the service of one brand, or of several by the names in their paths."""
    apps = {name: brand_app(brand) for name, brand in brands.items()}
    named = len(apps) > 1
    health = Health(
        {
            f"{name}.{check}" if named else check: act
            for name, brand in brands.items()
            for check, act in _checks(brand).items()
        }
    )
    if not named:
        (app,) = apps.values()
        health.mount(app)
        return app
    shared = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    health.mount(shared)
    by_path = {urlsplit(brands[name].issuer.url).path: app for name, app in apps.items()}
    return brands_app({**by_path, "/health": shared})


def _checkpoints(folder: BrandFolder, clock: Clock) -> CheckpointFile:
    """Give where the ends of the brand's audit log are kept, under a key of their own."""
    signer = load_or_create_signer(folder.path / AUDIT_KEY)
    return CheckpointFile(folder.path / CHECKPOINTS, signer, clock=clock)


def _providers(staff: StaffProvider | None) -> list[OpenIdTokens]:
    if staff is None:
        return []
    return [
        OpenIdTokens(
            issuer=staff.issuer,
            audience=staff.audience,
            roles={word: Role(role) for word, role in staff.roles.items()},
            role_claim=staff.role_claim,
            fetcher=GuardedFetcher(),
            clock=utc_now,
        )
    ]


def _operations(brand: OpenBrand, fetcher: Fetcher) -> Operations:
    return Operations(
        database=brand.store.database,
        log=brand.office.log,
        webhooks=brand.staff.webhooks,
        idempotency=brand.staff.idempotency,
        fetcher=fetcher,
        clock=brand.issuer.clock,
        random=os.urandom,
        checkpoints=brand.staff.checkpoints,
    )


def _checks(brand: OpenBrand) -> dict[str, Check]:
    issuer = brand.issuer

    def signs() -> None:
        key_signs(issuer.keys.ring().signer(issuer.clock()))()

    def last_written() -> datetime | None:
        with brand.store.database.reading() as connection:
            return brand.office.log.last_at(connection)

    return {
        "database": database_answers(brand.store.database),
        "signing_key": signs,
        "clock": clock_goes_on(issuer.clock, last_written),
        "disk": disk_has_room(brand.folder.path),
    }
