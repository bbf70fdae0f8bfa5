"""Trust in issuers that send a certificate chain, by the anchor that it leads to.

    trust = CertificateTrust({warranty: CertifiedIssuers(anchors=root, urls={brand}, subjects=())})
    CertifiedAlone(trust)     the same, and nothing that rests on anything else

It needs no network: the chain stands in the credential (`x5c`; SD-JWT VC, section 2.5).
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from counterfoil_credentials.dcql import Authority, AuthorityType
from counterfoil_credentials.errors import Reason, Refused
from counterfoil_credentials.key_discovery import (
    CertifiedIssuers,
    IssuerKey,
    IssuerPolicy,
    find_certified_key,
)
from counterfoil_credentials.keys import PublicKey

from counterfoil_verifier.trust import Ending, KeyAsked, Trust, by_time


class CertificateTrust:
    """Trust in the certified issuers of each type."""

    def __init__(self, issuers: Mapping[str, CertifiedIssuers]) -> None:
        """Trust for each type the issuers beside it."""
        self._policy = IssuerPolicy(by_certificate=dict(issuers))

    def key_for(self, asked: KeyAsked, *, now: datetime) -> PublicKey:
        """Give the certificate's key; see `certified_key` for the codes of a bad chain."""
        return self._found(asked, now).key

    def authorities_behind(self, asked: KeyAsked, *, now: datetime) -> frozenset[Authority]:
        """Give the authorities that the chain leads through, by their key identifiers."""
        found = self._found(asked, now).authorities
        return frozenset(Authority(AuthorityType.AKI, key_id) for key_id in found)

    def _found(self, asked: KeyAsked, now: datetime) -> IssuerKey:
        return find_certified_key(
            asked.header, asked.issuer, asked.vct, policy=self._policy, now=now
        )

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


class CertifiedAlone:
    """Trusts of `trust` what rests on certificates, as OpenID4VC HAIP 1.0 demands (section 6.1).

    A credential and its status list each bring a chain of their own.
    """

    def __init__(self, trust: Trust) -> None:
        self._trust = trust

    def key_for(self, asked: KeyAsked, *, now: datetime) -> PublicKey:
        """Give the key; `Refused` with `issuer-certificate-missing` or `issuer-not-certified`."""
        self.authorities_behind(asked, now=now)
        return self._trust.key_for(asked, now=now)

    def authorities_behind(self, asked: KeyAsked, *, now: datetime) -> Collection[Authority]:
        """Give those of the trust within; raises as `key_for` does."""
        if "x5c" not in asked.header or asked.is_chain_lent:
            expected, where = "a certificate chain of whoever signed", "header.x5c"
            raise Refused(Reason("issuer-certificate-missing", expected, "none", where))
        authorities = self._trust.authorities_behind(asked, now=now)
        if authorities is None:
            expected, found = "an issuer that is trusted by its certificate", "one by other means"
            raise Refused(Reason("issuer-not-certified", expected, found, "credential.iss"))
        return authorities

    def ends(self, now: datetime) -> Sequence[Ending]:
        """Give what of the trust within runs out."""
        return self._trust.ends(now)
