"""The customer's wallet, for apps to embed.

    with Wallet.create("wallet", passphrase) as wallet:
        wallet.accept(offer_link, tx_code="493536")
        asked = wallet.matches(request_link)
        print(asked.asker.standing, asked.purpose, asked.answers)
        wallet.present(asked.choose())

A wallet    create, open, key_of, in_memory, exists; lock; resume what a stop left under way
Scanned     read, or recognise(text) without a wallet
Offers      offered, accept; authorize, come_back for those with a login
Cards       credentials, find, search, about a product; statuses, check_statuses; reminders
Trash       remove, removed, take_back, empty_trash
Requests    matches, choose, present, or decline; understand for transactions
Counter     showable, show: codes that change, when neither side is online; hand_over: an
            answer as codes, to a request that came as codes; take_receipt
Consent     asked_terms, choose, grant; grants, withdraw; consent: who has what, how it was
            used, suspend, refuse, defer, complain
Safety      backup, restore, split_recovery_key, recovery; export, import_from
Damage      check, damaged, salvage
History     history, listen; access_report: who has seen what; export_receipt;
            forget_events; export_history, import_history
Also        identifier, secret; keep, kept; points, which the app plugs in

Nothing is sent before the app has seen what it would reveal. `AsyncWallet` has the same
verbs to await. Errors: `Malformed`, `Refused` with its reasons, `Unavailable`, `Misuse`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

# Not lazily: its module has the name too, and would be found in its place.
from counterfoil_wallet.printable import printable

if TYPE_CHECKING:
    from counterfoil_wallet.acceptance import (
        Acceptance,
        Authorizing,
        Collecting,
        Dropped,
        Finished,
        Notifying,
        Redeeming,
        Waiting,
    )
    from counterfoil_wallet.access_report import (
        Access,
    )
    from counterfoil_wallet.asked_terms import (
        AskedTerms,
        GrantChoice,
    )
    from counterfoil_wallet.async_wallet import (
        AsyncWallet,
    )
    from counterfoil_wallet.attesting import (
        Client,
        DevelopmentAttester,
        KeyAttester,
        WalletAttester,
    )
    from counterfoil_wallet.card_keys import (
        KeyStore,
    )
    from counterfoil_wallet.complaining import (
        verify_pack,
    )
    from counterfoil_wallet.consent_desk import (
        ConsentDesk,
        WithdrawalPreview,
    )
    from counterfoil_wallet.consent_reminders import (
        ConsentReminder,
        Notable,
    )
    from counterfoil_wallet.consent_view import (
        Consent,
        ConsentState,
    )
    from counterfoil_wallet.consent_words import (
        Language,
    )
    from counterfoil_wallet.counter_codes import (
        Code,
        CounterCodes,
        CounterPreset,
    )
    from counterfoil_wallet.dashboard import (
        FactHolder,
        FactView,
        PartyView,
    )
    from counterfoil_wallet.disclosures import (
        Disclosure,
        Joining,
        RevealedClaim,
    )
    from counterfoil_wallet.exporting import (
        Imported,
    )
    from counterfoil_wallet.grant_states import (
        Abandoned,
        Deciding,
        Delivering,
        Ending,
        HeldGrant,
        InForce,
        Proved,
    )
    from counterfoil_wallet.handing import (
        Handed,
    )
    from counterfoil_wallet.held import (
        Copy,
        CopyId,
        CredentialId,
        HeldCredential,
    )
    from counterfoil_wallet.history import (
        Act,
        Event,
        Outcome,
    )
    from counterfoil_wallet.identifiers import (
        Identifier,
    )
    from counterfoil_wallet.issuer_trust import (
        IssuerStanding,
        KnownIssuer,
        Offerer,
        offerer_of,
    )
    from counterfoil_wallet.matching import (
        Choice,
        Matches,
    )
    from counterfoil_wallet.memory_store import (
        MemoryStore,
    )
    from counterfoil_wallet.offered import (
        Offered,
    )
    from counterfoil_wallet.passphrase import (
        FileKey,
    )
    from counterfoil_wallet.pausing import (
        Standby,
        read_standby_file,
    )
    from counterfoil_wallet.policy import (
        AskingPolicy,
        Concern,
        Excess,
    )
    from counterfoil_wallet.presenting import (
        Declined,
        Presented,
    )
    from counterfoil_wallet.reading import (
        Stuck,
    )
    from counterfoil_wallet.recovery import (
        Recovery,
        RecoveryShare,
    )
    from counterfoil_wallet.refusing import (
        RefusalClass,
    )
    from counterfoil_wallet.reminders import (
        Reminder,
        reminders_of,
    )
    from counterfoil_wallet.routing import (
        Offer,
        Receipt,
        Recognised,
        Request,
        Transfer,
        recognise,
    )
    from counterfoil_wallet.salvaging import (
        Lost,
        Salvaged,
    )
    from counterfoil_wallet.statuses import (
        CardStatus,
        Status,
    )
    from counterfoil_wallet.store import (
        CopiesLeft,
        Kind,
        NoFreshCopy,
        Record,
        Showing,
        Store,
        Taken,
    )
    from counterfoil_wallet.transactions import (
        Transaction,
        TransactionType,
    )
    from counterfoil_wallet.trash import (
        Removed,
    )
    from counterfoil_wallet.trust import (
        Asker,
        Standing,
        Trust,
        Verifier,
    )
    from counterfoil_wallet.trust_list import (
        TrustList,
        read_trust_list,
    )
    from counterfoil_wallet.visit_receipts import (
        ReceiptStanding,
        Visit,
        VisitReceipt,
    )
    from counterfoil_wallet.wallet import (
        Accepted,
        Points,
        Resumed,
        Wallet,
    )

__all__ = [
    "Abandoned",
    "Acceptance",
    "Accepted",
    "Access",
    "Act",
    "AskedTerms",
    "Asker",
    "AskingPolicy",
    "AsyncWallet",
    "Authorizing",
    "CardStatus",
    "Choice",
    "Client",
    "Code",
    "Collecting",
    "Concern",
    "Consent",
    "ConsentDesk",
    "ConsentReminder",
    "ConsentState",
    "CopiesLeft",
    "Copy",
    "CopyId",
    "CounterCodes",
    "CounterPreset",
    "CredentialId",
    "Deciding",
    "Declined",
    "Delivering",
    "DevelopmentAttester",
    "Disclosure",
    "Dropped",
    "Ending",
    "Event",
    "Excess",
    "FactHolder",
    "FactView",
    "FileKey",
    "Finished",
    "GrantChoice",
    "Handed",
    "HeldCredential",
    "HeldGrant",
    "Identifier",
    "Imported",
    "InForce",
    "IssuerStanding",
    "Joining",
    "KeyAttester",
    "KeyStore",
    "Kind",
    "KnownIssuer",
    "Language",
    "Lost",
    "Matches",
    "MemoryStore",
    "NoFreshCopy",
    "Notable",
    "Notifying",
    "Offer",
    "Offered",
    "Offerer",
    "Outcome",
    "PartyView",
    "Points",
    "Presented",
    "Proved",
    "Receipt",
    "ReceiptStanding",
    "Recognised",
    "Record",
    "Recovery",
    "RecoveryShare",
    "Redeeming",
    "RefusalClass",
    "Reminder",
    "Removed",
    "Request",
    "Resumed",
    "RevealedClaim",
    "Salvaged",
    "Showing",
    "Standby",
    "Standing",
    "Status",
    "Store",
    "Stuck",
    "Taken",
    "Transaction",
    "TransactionType",
    "Transfer",
    "Trust",
    "TrustList",
    "Verifier",
    "Visit",
    "VisitReceipt",
    "Waiting",
    "Wallet",
    "WalletAttester",
    "WithdrawalPreview",
    "offerer_of",
    "printable",
    "read_standby_file",
    "read_trust_list",
    "recognise",
    "reminders_of",
    "verify_pack",
]

# Where each name lives; a test holds this, `__all__` and the imports above to each other.
_SHELVES = """\
acceptance: Acceptance Authorizing Collecting Dropped Finished Notifying Redeeming Waiting
access_report: Access
asked_terms: AskedTerms GrantChoice
async_wallet: AsyncWallet
attesting: Client DevelopmentAttester KeyAttester WalletAttester
card_keys: KeyStore
complaining: verify_pack
consent_desk: ConsentDesk WithdrawalPreview
consent_reminders: ConsentReminder Notable
consent_view: Consent ConsentState
consent_words: Language
counter_codes: Code CounterCodes CounterPreset
dashboard: FactHolder FactView PartyView
disclosures: Disclosure Joining RevealedClaim
exporting: Imported
grant_states: Abandoned Deciding Delivering Ending HeldGrant InForce Proved
handing: Handed
held: Copy CopyId CredentialId HeldCredential
history: Act Event Outcome
identifiers: Identifier
issuer_trust: IssuerStanding KnownIssuer Offerer offerer_of
matching: Choice Matches
memory_store: MemoryStore
offered: Offered
passphrase: FileKey
pausing: Standby read_standby_file
policy: AskingPolicy Concern Excess
presenting: Declined Presented
reading: Stuck
recovery: Recovery RecoveryShare
refusing: RefusalClass
reminders: Reminder reminders_of
routing: Offer Receipt Recognised Request Transfer recognise
salvaging: Lost Salvaged
statuses: CardStatus Status
store: CopiesLeft Kind NoFreshCopy Record Showing Store Taken
transactions: Transaction TransactionType
trash: Removed
trust: Asker Standing Trust Verifier
trust_list: TrustList read_trust_list
visit_receipts: ReceiptStanding Visit VisitReceipt
wallet: Accepted Points Resumed Wallet
"""
_HOMES = {
    name: shelf.partition(":")[0]
    for shelf in _SHELVES.splitlines()
    for name in shelf.partition(":")[2].split()
}


# Type checkers read the imports above: to them, a name that is not shown stays an error.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Load the module in which `name` lives, and keep what it is."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        """Name what the window shows, loaded or not."""
        return sorted({*globals(), *__all__})
