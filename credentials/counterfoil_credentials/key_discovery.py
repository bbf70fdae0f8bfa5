"""Whose key signed a credential, and may they issue it: one answer (SD-JWT VC, section 2.5).

Policy says for each issuer how its key is found, and for which types. What the
credential brings along never chooses: an issuer that is known by its metadata is
not believed with a certificate instead (section 7.3), and to extend a known type
gives nobody the right to issue it (section 7.7).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from counterfoil_credentials.encoding import Json, optional_text_at
from counterfoil_credentials.errors import Misuse, Reason, Refused
from counterfoil_credentials.fetch import Fetcher
from counterfoil_credentials.issuer_keys import fetch_issuer_keys, issuer_key_named
from counterfoil_credentials.keys import PublicKey
from counterfoil_credentials.x509 import CertifiedKey, TrustAnchors, certified_key

_WHERE: Final = "credential"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifiedIssuers:
    """Issuers whose certificates lead to one of `anchors`.

    `issuers` are their names: `iss`, or the certificate's subject (RFC 4514) where a
    credential has no `iss`. None is for anchors that certify issuers of this type
    and nobody else; it is wrong for an authority of the web. `purposes` are those of
    `certified_key`: what else than nothing a certificate may be limited to.
    """

    anchors: TrustAnchors
    issuers: frozenset[str] | None
    purposes: Collection[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerPolicy:
    """Who may issue what, and how their keys are found.

    `by_metadata` names the types of each issuer that publishes its keys at its
    well-known address; `by_certificate` the issuers of each type that send a chain.
    """

    by_metadata: Mapping[str, Collection[str]] = field(default_factory=dict[str, frozenset[str]])
    by_certificate: Mapping[str, CertifiedIssuers] = field(
        default_factory=dict[str, CertifiedIssuers]
    )

    def __post_init__(self) -> None:
        for issuer, vcts in self.by_metadata.items():
            if isinstance(vcts, str):
                raise Misuse(f"expected a collection of types, found one text ({issuer})")


@dataclass(frozen=True, slots=True)
class IssuerKey:
    """The key that must have signed, and the issuer's name: `iss` or a subject."""

    issuer: str
    key: PublicKey


def find_issuer_key(
    header: Mapping[str, Json],
    issuer: str | None,
    vct: str,
    *,
    policy: IssuerPolicy,
    fetcher: Fetcher,
    now: datetime,
) -> IssuerKey:
    """Give the key with which the credential's issuer signs the type `vct`.

    `header` and `issuer` are the token's, of which nothing is proved yet; nothing is
    fetched for an issuer that the policy does not name.

    Raises `Refused`: `issuer-not-trusted`, `issuer-not-trusted-for-type`,
    `issuer-key-unknown` (no such `kid`), `issuer-mismatch` (the certificate is of
    another), and the codes of `certified_key`; `Unavailable` and `Malformed` when
    the keys cannot be had or read.
    """
    if issuer is not None and issuer in policy.by_metadata:
        if vct not in policy.by_metadata[issuer]:
            text = "a type that this issuer may issue"
            raise _refused("issuer-not-trusted-for-type", text, "another type", "vct")
        return IssuerKey(issuer, _published(header, issuer, fetcher))
    trusted = policy.by_certificate.get(vct)
    if trusted is None or "x5c" not in header:
        raise _refused("issuer-not-trusted", "an issuer that is trusted", "another", "iss")
    certified = certified_key(header, trusted.anchors, now=now, purposes=trusted.purposes)
    name = _certified_name(certified, issuer)
    if trusted.issuers is not None and name not in trusted.issuers:
        raise _refused("issuer-not-trusted", "an issuer that is trusted", "another", "iss")
    return IssuerKey(name, certified.key)


def _published(header: Mapping[str, Json], issuer: str, fetcher: Fetcher) -> PublicKey:
    key_id = optional_text_at(header, "kid", f"{_WHERE}.header")
    key = issuer_key_named(fetch_issuer_keys(fetcher, issuer), key_id)
    if key is None:
        found = "no key id" if key_id is None else "another key id"
        raise _refused("issuer-key-unknown", "one of the issuer's keys", found, "header.kid")
    return key


def _certified_name(certified: CertifiedKey, issuer: str | None) -> str:
    if issuer is not None:
        name = issuer if certified.names(issuer) else None
    else:
        name = certified.subject
    if name is None:
        text = "the issuer that the certificate names"
        raise _refused("issuer-mismatch", text, "another, or none", "iss")
    return name


def _refused(code: str, expected: str, found: str, where: str) -> Refused:
    return Refused(Reason(code, expected, found, f"{_WHERE}.{where}"))
