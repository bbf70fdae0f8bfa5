"""The custodian: half of each key, one lease per read, and a clock of its own."""

import secrets
from contextlib import closing
from datetime import UTC, datetime

from counterfoil_consent.app import create_app
from counterfoil_consent.custodian import Custodian
from counterfoil_consent.key_folder import FileKeyFolder
from counterfoil_consent.sql_custodian_store import SqlCustodianStore
from counterfoil_consent.tombstone_journal import FileTombstoneJournal
from counterfoil_credentials.key_file import load_or_create_signer
from counterfoil_service.serving import AsgiApp

from counterfoil_demo.houses import ONE_TIME_KEYS
from counterfoil_demo.process import Place


def build(place: Place) -> AsgiApp:
    """Give the custodian's service in its place."""
    return create_app(
        Custodian(
            origin=place.house.origin,
            signer=load_or_create_signer(place.folder / "signing-key.pem"),
            store=place.closing.enter_context(
                closing(SqlCustodianStore(place.folder / "custodian.sqlite3"))
            ),
            # Kept apart from the database: a share whose key is gone stays closed,
            # whatever copy of the database turns up later.
            keys=FileKeyFolder(place.folder / ONE_TIME_KEYS),
            journal=FileTombstoneJournal(place.folder / "tombstones.journal"),
            clock=lambda: datetime.now(UTC),
            random=secrets.token_bytes,
        )
    )
