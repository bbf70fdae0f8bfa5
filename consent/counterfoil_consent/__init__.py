"""Consent that can be taken back: a grant as a credential, sealed data, and proof of its end.

    asked = read_consent_request(request_object, client_id=..., custodians=..., ...)
    decided = asked.decide(asked.terms.claim_names, holder=did_jwk(signer.public), random=...)
    package = grant(decided, signer=signer, present=wallet.present, custodian_key=..., ...)
    active = deliver(package, fetcher=fetcher)
    withdrawal = withdraw(active, signer=signer, now=..., random=...)

The receiver's side is `Receiver`, the custodian's `Custodian`; their HTTP faces
are in `counterfoil_consent.app`, their SQL stores in `counterfoil_consent.sql_custodian_store`
and `counterfoil_consent.sql_receiver_store`.
"""

from counterfoil_consent.client import fetch_custodian
from counterfoil_consent.completion import Completion, CompletionKind
from counterfoil_consent.confirmation import confirm_grant
from counterfoil_consent.custodian import Custodian
from counterfoil_consent.erasure_proof import verify_erasure_receipt
from counterfoil_consent.events import Pause, sign_end_of, sign_pause
from counterfoil_consent.facts import Facts, IssuerTrust, StatusCheck
from counterfoil_consent.holder import (
    Asked,
    Decided,
    Ending,
    FetchedNotices,
    GrantPackage,
    NoticeSource,
    Pausing,
    PresentationAsk,
    PresentationMaker,
    Proof,
    Withdrawal,
    asks_for_consent,
    deliver,
    fetch_custodian_key,
    fetch_erasure_receipt,
    grant,
    read_consent_request,
    send_pause,
    send_withdrawal,
    withdraw,
)
from counterfoil_consent.issuer_trust import FetchedIssuerKeys, ListedStatus
from counterfoil_consent.key_folder import FileKeyFolder, KeyFolder, MemoryKeyFolder
from counterfoil_consent.parties import AuthorityParty, CustodianParty, RecipientParty
from counterfoil_consent.receiver import Receiver
from counterfoil_consent.receiver_store import MemoryReceiverStore, ReceiverStore
from counterfoil_consent.requesting import Notice, Opened, Wish
from counterfoil_consent.states import (
    Active,
    Agreement,
    Completed,
    Erased,
    Expired,
    Granted,
    Level,
    Requested,
    Retained,
    State,
    Suspended,
    Terminated,
    Trigger,
    Withdrawn,
    state_from_json,
    state_to_json,
)
from counterfoil_consent.store import CustodianStore, MemoryStore
from counterfoil_consent.terms import (
    ClaimName,
    ClaimTerm,
    Necessity,
    Operation,
    Purpose,
    Terms,
)
from counterfoil_consent.wire import GrantId

__all__ = [
    "Active",
    "Agreement",
    "Asked",
    "AuthorityParty",
    "ClaimName",
    "ClaimTerm",
    "Completed",
    "Completion",
    "CompletionKind",
    "Custodian",
    "CustodianParty",
    "CustodianStore",
    "Decided",
    "Ending",
    "Erased",
    "Expired",
    "Facts",
    "FetchedIssuerKeys",
    "FetchedNotices",
    "FileKeyFolder",
    "GrantId",
    "GrantPackage",
    "Granted",
    "IssuerTrust",
    "KeyFolder",
    "Level",
    "ListedStatus",
    "MemoryKeyFolder",
    "MemoryReceiverStore",
    "MemoryStore",
    "Necessity",
    "Notice",
    "NoticeSource",
    "Opened",
    "Operation",
    "Pause",
    "Pausing",
    "PresentationAsk",
    "PresentationMaker",
    "Proof",
    "Purpose",
    "Receiver",
    "ReceiverStore",
    "RecipientParty",
    "Requested",
    "Retained",
    "State",
    "StatusCheck",
    "Suspended",
    "Terminated",
    "Terms",
    "Trigger",
    "Wish",
    "Withdrawal",
    "Withdrawn",
    "asks_for_consent",
    "confirm_grant",
    "deliver",
    "fetch_custodian",
    "fetch_custodian_key",
    "fetch_erasure_receipt",
    "grant",
    "read_consent_request",
    "send_pause",
    "send_withdrawal",
    "sign_end_of",
    "sign_pause",
    "state_from_json",
    "state_to_json",
    "verify_erasure_receipt",
    "withdraw",
]
