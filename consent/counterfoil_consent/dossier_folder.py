"""Dossiers and figures from the folders that a custodian and a receiver run over."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from counterfoil_credentials.dids import did_jwk
from counterfoil_credentials.errors import Misuse
from counterfoil_credentials.key_file import load_or_create_signer, replace_private

from counterfoil_consent import receiver_folder
from counterfoil_consent.custodian_folder import KEY_FOLDER, CustodianFolder
from counterfoil_consent.dossier import CustodianDossier, ReceiverDossier
from counterfoil_consent.dossier_export import custodian_dossier, receiver_dossier
from counterfoil_consent.figures import Figures, end_times_in, figures_of
from counterfoil_consent.file_anchor import FileSalts
from counterfoil_consent.key_folder import FileKeyFolder
from counterfoil_consent.seen_lists import FileListJournal
from counterfoil_consent.sql_access_log import SqlAccessEvents
from counterfoil_consent.sql_accesses import SqlAccesses
from counterfoil_consent.sql_custodian_store import SqlCustodianStore
from counterfoil_consent.sql_receiver_store import SqlReceiverStore
from counterfoil_consent.wire import GrantId, whole_second

FIGURES: Final = "figures.jwt"


def dossier_of(
    folder: Path, *, now: datetime, database: str | None = None
) -> ReceiverDossier | CustodianDossier:
    """Give the dossier of whoever runs over `folder`; `database` is a receiver's server.

    Raises `Misuse` for a folder of neither. Nothing is made that is not there.
    """
    if (folder / receiver_folder.SIGNING_KEY).is_file():
        return receiver_dossier_of(folder, now=now, database=database)
    if not (folder / KEY_FOLDER).is_dir():
        raise Misuse("expected the folder of a receiver or of a custodian, found neither")
    custodian = CustodianFolder(folder)
    custodian.require_made()
    store = SqlCustodianStore(custodian.database())
    try:
        return custodian_dossier(
            store,
            FileKeyFolder(folder / KEY_FOLDER),
            did=did_jwk(custodian.signer().public),
            now=now,
        )
    finally:
        store.close()


def receiver_dossier_of(
    folder: Path, *, now: datetime, database: str | None = None
) -> ReceiverDossier:
    """Give the dossier of the receiver of `folder` (`receiver_folder.py`)."""
    store = SqlReceiverStore(_database(folder, database))
    events = SqlAccessEvents(folder / receiver_folder.ACCESS_EVENTS)
    try:
        accesses = SqlAccesses(store.database)

        def leases(grant_id: GrantId) -> dict[str, int | None]:
            return {entry.request_id: entry.read for entry in accesses.of_grant(grant_id)}

        salts = folder / receiver_folder.SALTS
        figures = folder / FIGURES
        return receiver_dossier(
            store,
            FileKeyFolder(folder / receiver_folder.SEALING_KEYS),
            did=did_jwk(load_or_create_signer(folder / receiver_folder.SIGNING_KEY).public),
            now=now,
            events=events,
            leases=leases,
            tickets=FileSalts(salts).find if salts.is_dir() else None,
            lists=FileListJournal(folder / receiver_folder.STATUS_LISTS).all(),
            figures=figures.read_text("ascii").strip() if figures.is_file() else None,
        )
    finally:
        events.close()
        store.close()


def publish_figures(
    folder: Path, *, days: int, now: datetime, database: str | None = None
) -> Figures:
    """Sign what the receiver's papers say of the last `days` days into `figures.jwt`."""
    dossier = receiver_dossier_of(folder, now=now, database=database)
    ends = [end_times_in(grant.agreement, grant.papers) for grant in dossier.grants]
    until = whole_second(now)
    figures = figures_of(
        [end for end in ends if end is not None],
        since=until - timedelta(days=days),
        until=until,
        now=until,
    )
    signer = load_or_create_signer(folder / receiver_folder.SIGNING_KEY)
    replace_private(folder / FIGURES, figures.sign(signer, now=until).encode() + b"\n")
    return figures


def _database(folder: Path, database: str | None) -> Path | str:
    path = folder / receiver_folder.DATABASE
    if database is None and not path.is_file():
        raise Misuse(f"expected {receiver_folder.DATABASE}, or the server's URL, found neither")
    return path if database is None else database
