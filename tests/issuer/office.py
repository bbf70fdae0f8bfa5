"""A back office around the audio brand, without HTTP."""

from collections.abc import Callable
from datetime import datetime

from counterfoil_issuer.back_office import BackOffice, Sitting
from counterfoil_issuer.issuer import Issuer
from counterfoil_issuer.job_desk import JobDesk
from counterfoil_issuer.sql_store import SqlHeld, SqlStore
from counterfoil_service.audit import AuditLog

from tests.issuer.brand import SECRET


def office_of(issuer: Issuer) -> BackOffice:
    """Give the back office of `issuer`."""
    return BackOffice(issuer=issuer, log=AuditLog(SECRET), random=issuer.random)


def desk_of(issuer: Issuer, store: SqlStore) -> JobDesk:
    """Give the job desk of `issuer`."""
    return JobDesk(office=office_of(issuer), store=store, clock=issuer.clock)


def sitting(held: SqlHeld, clock: Callable[[], datetime], actor: str = "mei") -> Sitting:
    """Give a sitting of `actor`."""
    return Sitting(held.connection, actor, clock())
