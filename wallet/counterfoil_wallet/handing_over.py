"""A customer's dossier: her grants as an auditor reads them, papers word for word.

It has what a complaint pack has, of every grant, beside the record that she exports.
No claim value and no key is in it; it says with whom she deals, so she chooses whom
she shows it to. What reads it is `counterfoil consent audit`.
"""

from collections.abc import Iterable
from datetime import datetime

from counterfoil_consent.dossier import CustomerDossier, CustomerGrant
from counterfoil_consent.dossier_export import customer_dossier
from counterfoil_consent.export import ConsentHistory, consent_record

from counterfoil_wallet.papers import Papers


def dossier_of(
    kept: Iterable[tuple[ConsentHistory, Papers | None]], *, at: datetime
) -> CustomerDossier:
    """Give the dossier; a grant that was never signed, or of an older wallet, is left out."""
    return customer_dossier(
        [
            CustomerGrant(
                agreement=history.agreement,
                notice=papers.notice,
                papers=papers.tokens,
                events=papers.accesses,
                record=consent_record(history),
            )
            for history, papers in kept
            if history.agreement is not None and papers is not None
        ],
        now=at,
    )
