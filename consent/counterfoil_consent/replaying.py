"""A custodian that starts: what its journal says has ended, has ended, whatever came back.

A database that is older than the journal takes in what it has forgotten. Without the
journal that it knows, nobody can say what ended since: no grant is lent from before its
holder confirms it (`confirmation.py`).
"""

import logging
from typing import Final

from counterfoil_credentials.dids import Did
from counterfoil_credentials.encoding import b64url

from counterfoil_consent.artefacts import KeyDestruction
from counterfoil_consent.key_folder import KeyFolder
from counterfoil_consent.store import CustodianStore
from counterfoil_consent.tombstone_journal import Tombstone, TombstoneJournal
from counterfoil_consent.wire import Random

_NAME_BYTES: Final = 16
_LOG: Final = logging.getLogger("counterfoil.consent")


def replay(
    journal: TombstoneJournal,
    store: CustodianStore,
    keys: KeyFolder,
    *,
    custodian: Did,
    random: Random,
) -> None:
    """Bring `store` and `keys` up to the journal, which is begun where it is not there.

    Raises `Unavailable` for a journal that cannot be read, or is not whole.
    """
    name, mark = journal.name(), store.journal_mark()
    is_known = mark is None or journal.holds(mark)
    for tombstone in journal.since(mark if is_known else None):
        _bury(tombstone, store, keys, custodian)
    if name is None or not is_known:
        if mark is not None:
            # First the rows: a crash before the journal is begun finds it missing again.
            asked = store.require_confirmations()
            _LOG.warning("the journal is not the one that was in use: %d grants to confirm", asked)
        journal.begin(b64url(random(_NAME_BYTES)))
    if mark is None:
        # A custodian from before there was a journal has its tombstones beside its keys.
        buried = {tombstone.grant_id for tombstone in journal.since(None)}
        for grant_id in keys.tombstones():
            statement = keys.inscription(grant_id)
            if statement is not None and grant_id not in buried:
                journal.append(Tombstone(grant_id, statement))
    store.set_journal_mark(journal.end_mark())


def _bury(tombstone: Tombstone, store: CustodianStore, keys: KeyFolder, custodian: Did) -> None:
    said = KeyDestruction.read(
        tombstone.statement, custodian=custodian, grant_id=tombstone.grant_id
    )
    store.end(tombstone.grant_id, said.trigger, said.ended_at)
    keys.forbid(tombstone.grant_id)
    keys.inscribe(tombstone.grant_id, tombstone.statement)
    store.state_destruction(tombstone.grant_id, tombstone.statement)
