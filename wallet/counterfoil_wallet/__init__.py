"""The customer's wallet, for apps to embed.

    with Wallet.create("wallet", passphrase) as wallet:
        wallet.accept(offer_link, tx_code="493536")
        asked = wallet.matches(request_link)
        print(asked.asker.standing, asked.purpose, asked.answers)
        wallet.present(asked.choose())

Nothing is sent before the app has seen what it would reveal. What was under way
when a program stopped goes on with `Wallet.resume`.
"""

from counterfoil_wallet.acceptance import (
    Acceptance,
    Collecting,
    Dropped,
    Finished,
    Notifying,
    Redeeming,
)
from counterfoil_wallet.consents import AskedTerms, GrantChoice
from counterfoil_wallet.grant_states import (
    Abandoned,
    Deciding,
    Delivering,
    Ending,
    HeldGrant,
    InForce,
    Proved,
)
from counterfoil_wallet.held import CredentialId, HeldCredential
from counterfoil_wallet.history import Act, Event, Outcome
from counterfoil_wallet.matching import Choice, Disclosure, Matches, RevealedClaim
from counterfoil_wallet.presenting import Presented
from counterfoil_wallet.printable import printable
from counterfoil_wallet.reading import Stuck
from counterfoil_wallet.store import Kind, MemoryStore, Record, Store
from counterfoil_wallet.trust import Asker, Standing, Trust
from counterfoil_wallet.wallet import Accepted, Points, Resumed, Wallet

__all__ = [
    "Abandoned",
    "Acceptance",
    "Accepted",
    "Act",
    "AskedTerms",
    "Asker",
    "Choice",
    "Collecting",
    "CredentialId",
    "Deciding",
    "Delivering",
    "Disclosure",
    "Dropped",
    "Ending",
    "Event",
    "Finished",
    "GrantChoice",
    "HeldCredential",
    "HeldGrant",
    "InForce",
    "Kind",
    "Matches",
    "MemoryStore",
    "Notifying",
    "Outcome",
    "Points",
    "Presented",
    "Proved",
    "Record",
    "Redeeming",
    "Resumed",
    "RevealedClaim",
    "Standing",
    "Store",
    "Stuck",
    "Trust",
    "Wallet",
    "printable",
]
