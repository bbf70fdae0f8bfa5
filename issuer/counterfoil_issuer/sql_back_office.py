"""The issuer's tables with those of its back office, and those that every service has."""

from typing import Final

from counterfoil_service import api_keys, audit, idempotency, outbox

from counterfoil_issuer import sql_approvals, sql_jobs
from counterfoil_issuer.tables import METADATA

__all__ = ["METADATA", "TABLES"]

TABLES: Final = (sql_approvals.PROPOSALS, sql_jobs.JOBS, sql_jobs.JOB_ERRORS)

for module in (api_keys, audit, idempotency, outbox):
    module.add_tables(METADATA)
