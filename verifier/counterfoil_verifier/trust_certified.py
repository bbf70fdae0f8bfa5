"""Trust in issuers that send a certificate chain, by the anchor that it leads to.

    trust = CertificateTrust({warranty: CertifiedIssuers(anchors=root, urls={brand}, subjects=())})

It needs no network: the chain stands in the credential (`x5c`; SD-JWT VC, section 2.5).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from counterfoil_credentials.key_discovery import CertifiedIssuers, IssuerPolicy, find_certified_key
from counterfoil_credentials.keys import PublicKey

from counterfoil_verifier.trust import Ending, KeyAsked, by_time


class CertificateTrust:
    """Trust in the certified issuers of each type."""

    def __init__(self, issuers: Mapping[str, CertifiedIssuers]) -> None:
        """Trust for each type the issuers beside it."""
        self._policy = IssuerPolicy(by_certificate=dict(issuers))

    def key_for(self, asked: KeyAsked, *, now: datetime) -> PublicKey:
        """Give the certificate's key; see `certified_key` for the codes of a bad chain."""
        return find_certified_key(
            asked.header, asked.issuer, asked.vct, policy=self._policy, now=now
        ).key

    def ends(self, now: datetime) -> Sequence[Ending]:
        """Give when each anchor ends."""
        anchors = {
            certificate
            for issuers in self._policy.by_certificate.values()
            for certificate in issuers.anchors.certificates
        }
        return by_time(
            Ending(f"the anchor {one.subject.rfc4514_string()}", one.not_valid_after_utc)
            for one in anchors
        )
