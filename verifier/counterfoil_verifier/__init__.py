"""The shop: asks for a proof, and decides about the answer.

    trust = PinnedTrust([TrustedIssuer(issuer=brand, vcts=frozenset([vct]), keys=(brand_key,))])
    policy = AllOf(BoundToHolder(), NotRevoked(max_age=timedelta(days=1)))
    verifier = Verifier(policy, trust, Statuses(status_source))
    accepted = verifier.verify(vp_token, request, now=datetime.now(UTC))  # or raises Refused
    serial = values_at(accepted.claims["warranty"], ("item", "serial"))

`Counter` puts a shop's sessions and its three lights around that; the HTTP
service is `counterfoil_verifier.app`. What is not listed here may change tomorrow.
"""

from counterfoil_verifier.counter import Counter
from counterfoil_verifier.held import Held
from counterfoil_verifier.looks import Asked, Light, Look
from counterfoil_verifier.policy import (
    AllOf,
    AnyOf,
    BoundToHolder,
    DateNotPassed,
    DisclosesAtMost,
    InForceAt,
    IssuedBy,
    Judgement,
    NotRevoked,
    OfType,
    Policy,
    Presented,
)
from counterfoil_verifier.presets import PRESETS, WARRANTY, Preset
from counterfoil_verifier.remembered import Remembered
from counterfoil_verifier.requesting import (
    Answered,
    Expired,
    NotOpen,
    RequestId,
    SessionId,
    Shop,
    Waiting,
)
from counterfoil_verifier.shown import Till
from counterfoil_verifier.statuses import StatusAt, Statuses
from counterfoil_verifier.store import MemoryStore, SessionStore, Summary
from counterfoil_verifier.transactions import transaction_data
from counterfoil_verifier.trust import (
    Ending,
    FetchedTrust,
    KeyAsked,
    PinnedKey,
    PinnedTrust,
    Trust,
    TrustedIssuer,
)
from counterfoil_verifier.trust_certified import CertificateTrust, CertifiedAlone
from counterfoil_verifier.trust_dids import DidTrust
from counterfoil_verifier.trust_listed import ListedTrust, fetched_list
from counterfoil_verifier.trust_several import AllTrust, FirstTrust
from counterfoil_verifier.verdict import Outcome, Verdict
from counterfoil_verifier.verifier import Accepted, CouldNotCheck, NotAccepted, Verifier
from counterfoil_verifier.verifier_pool import VerifierPool
from counterfoil_verifier.words import Language, Words, words_for

__all__ = [
    "PRESETS",
    "WARRANTY",
    "Accepted",
    "AllOf",
    "AllTrust",
    "Answered",
    "AnyOf",
    "Asked",
    "BoundToHolder",
    "CertificateTrust",
    "CertifiedAlone",
    "CouldNotCheck",
    "Counter",
    "DateNotPassed",
    "DidTrust",
    "DisclosesAtMost",
    "Ending",
    "Expired",
    "FetchedTrust",
    "FirstTrust",
    "Held",
    "InForceAt",
    "IssuedBy",
    "Judgement",
    "KeyAsked",
    "Language",
    "Light",
    "ListedTrust",
    "Look",
    "MemoryStore",
    "NotAccepted",
    "NotOpen",
    "NotRevoked",
    "OfType",
    "Outcome",
    "PinnedKey",
    "PinnedTrust",
    "Policy",
    "Presented",
    "Preset",
    "Remembered",
    "RequestId",
    "SessionId",
    "SessionStore",
    "Shop",
    "StatusAt",
    "Statuses",
    "Summary",
    "Till",
    "Trust",
    "TrustedIssuer",
    "Verdict",
    "Verifier",
    "VerifierPool",
    "Waiting",
    "Words",
    "fetched_list",
    "transaction_data",
    "words_for",
]
