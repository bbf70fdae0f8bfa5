"""The wallet as custodian of its own grants: whoever reads asks her own device for each lease.

    custodian = wallet.consent.custodian("https://mira.example", folder)
    app = counterfoil_consent.app.create_app(custodian)         served while the wallet is open

Then no third party holds a share: a receiver and a custodian that work together against
her would have to be she. What this costs:

- Nobody reads while the wallet is locked or away: reads fail closed, and that a time is
  over is said when it is opened again. To withdraw and to suspend reach the receiver
  whatever becomes of the wallet's own service.
- The receiver has to name this custodian, and its origin has to be reachable for it. An
  origin that is used for several receivers lets them find out that they deal with the
  same customer: give each its own, or a name that many share.
- The one-time keys and the journal are files in `folder`, beside the wallet's and never in
  its backup; the rows are in the wallet. A restored wallet has rows and no keys: it lends
  nothing, and its grants are to be withdrawn and granted anew.
- Whoever copied both the wallet's file with its passphrase and `folder` while a grant was
  in force has her share, and still needs the receiver's.
"""

from pathlib import Path
from typing import Final

from counterfoil_consent.custodian import Custodian
from counterfoil_consent.key_folder import FileKeyFolder, KeyFolder, MemoryKeyFolder
from counterfoil_consent.tombstone_journal import (
    FileTombstoneJournal,
    MemoryTombstoneJournal,
    TombstoneJournal,
)
from counterfoil_credentials.keys import MemorySigner

from counterfoil_wallet.custody_store import WalletCustodianStore
from counterfoil_wallet.store import Kind, Record, Store
from counterfoil_wallet.wire import Clock, Random, fresh_signer

_KEYS: Final = "keys"
_JOURNAL: Final = "tombstones.journal"
_SIGNER: Final = "custodian"


def custodian_in(
    store: Store, *, origin: str, folder: Path | None, clock: Clock, random: Random
) -> Custodian:
    """Give the custodian at `origin` whose rows are in `store`; raises what `Custodian` does.

    `folder` is for the one-time keys and the journal; None keeps them in memory, for a
    wallet that is in memory too.
    """
    keys: KeyFolder = MemoryKeyFolder()
    journal: TombstoneJournal = MemoryTombstoneJournal()
    if folder is not None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        keys, journal = FileKeyFolder(folder / _KEYS), FileTombstoneJournal(folder / _JOURNAL)
    return Custodian(
        origin=origin,
        signer=_signer(store, random),
        store=WalletCustodianStore(store),
        keys=keys,
        journal=journal,
        clock=clock,
        random=random,
    )


def _signer(store: Store, random: Random) -> MemorySigner:
    with store.step():
        record = store.get(Kind.SECRET, _SIGNER)
        if record is None:
            record = Record(Kind.SECRET, _SIGNER, "", fresh_signer(random).private_bytes())
            store.put(record)
    return MemorySigner.from_private_bytes(record.body)
