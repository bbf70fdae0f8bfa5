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
from counterfoil_credentials.x509 import TrustAnchors, certified_key, is_issuer_url

_WHERE: Final = "credential"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifiedIssuers:
    """Issuers whose certificates lead to one of `anchors`.

    `urls` are those that may stand in `iss`, and `subjects` those of the certificates
    (RFC 4514) of credentials without `iss`: a name of one kind is none of the other.
    None is for anchors that certify issuers of this type and nobody else; it is wrong
    for an authority of the web. `purposes` are the extended key usages to which a
    certificate may be limited (see `certified_key`).
    """

    anchors: TrustAnchors
    urls: Collection[str] | None
    subjects: Collection[str] | None
    purposes: Collection[str] = ()

    def __post_init__(self) -> None:
        # The letters of one text would be looked up in it.
        if any(isinstance(one, str) for one in (self.urls, self.subjects, self.purposes)):
            raise Misuse("expected collections of texts, found one text (CertifiedIssuers)")
        if not all(map(is_issuer_url, self.urls or ())):
            raise Misuse("expected https URLs in their one spelling, found others (urls)")


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerPolicy:
    """Who may issue what, and how their keys are found.

    `by_metadata` names the types of each issuer that publishes its keys at its
    well-known address; `by_certificate` the issuers of each type that send a chain.
    An issuer is an https URL in its one spelling (see `is_issuer_url`); one that is
    known by its metadata may end in a slash.
    """

    by_metadata: Mapping[str, Collection[str]] = field(default_factory=dict[str, frozenset[str]])
    by_certificate: Mapping[str, CertifiedIssuers] = field(
        default_factory=dict[str, CertifiedIssuers]
    )

    def __post_init__(self) -> None:
        for issuer, vcts in self.by_metadata.items():
            if isinstance(vcts, str):
                raise Misuse(f"expected a collection of types, found one text ({issuer})")
            if not is_issuer_url(issuer.removesuffix("/")):
                raise Misuse(f"expected an https URL in its one spelling, found {issuer}")


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerKey:
    """The key that must have signed, and whose it is.

    Where the credential has an `iss`, that is `url`, and `subject` is None. Otherwise
    `subject` is the certificate's, and `url` is None. `authorities` are the key
    identifiers of whom its chain was found to lead through; none without a chain.
    """

    key: PublicKey
    url: str | None = None
    subject: str | None = None
    authorities: frozenset[str] = frozenset()


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
    `issuer-key-unknown` (no such `kid` for the `alg`), `issuer-mismatch` (the certificate is of
    another), `issuer-url-not-normal` (one URL has many spellings), and the codes of
    `certified_key`; `Unavailable` and `Malformed` when the keys cannot be had or read.
    """
    if issuer is not None and issuer in policy.by_metadata:
        if vct not in policy.by_metadata[issuer]:
            text = "a type that this issuer may issue"
            raise _refused("issuer-not-trusted-for-type", text, "another type", "vct")
        return IssuerKey(key=_published(header, issuer, fetcher), url=issuer)
    return find_certified_key(header, issuer, vct, policy=policy, now=now)


def find_certified_key(
    header: Mapping[str, Json], issuer: str | None, vct: str, *, policy: IssuerPolicy, now: datetime
) -> IssuerKey:
    """Give the key of the certificate with which the issuer signs; it needs no network.

    Raises as `find_issuer_key` does for an issuer that is not known by its metadata.
    """
    trusted = policy.by_certificate.get(vct)
    if trusted is None or "x5c" not in header:
        raise _not_trusted()
    if issuer is not None:
        _require_no_other_spelling(issuer, policy)
    certified = certified_key(header, trusted.anchors, now=now, purposes=trusted.purposes)
    if issuer is None:
        if certified.subject is None:
            raise _mismatch()
        _require_listed(certified.subject, trusted.subjects)
        return IssuerKey(
            key=certified.key, subject=certified.subject, authorities=certified.authorities
        )
    if not certified.names(issuer):
        raise _mismatch()
    _require_listed(issuer, trusted.urls)
    return IssuerKey(key=certified.key, url=issuer, authorities=certified.authorities)


def _require_no_other_spelling(issuer: str, policy: IssuerPolicy) -> None:
    # Whoever is known by metadata would be believed with a certificate under another.
    if not is_issuer_url(issuer):
        text = "an https URL in its one spelling"
        raise _refused("issuer-url-not-normal", text, "another text", "iss")
    if f"{issuer}/" in policy.by_metadata:
        raise _not_trusted()


def _require_listed(name: str, names: Collection[str] | None) -> None:
    if names is not None and name not in names:
        raise _not_trusted()


def _published(header: Mapping[str, Json], issuer: str, fetcher: Fetcher) -> PublicKey:
    key_id = optional_text_at(header, "kid", f"{_WHERE}.header")
    algorithm = optional_text_at(header, "alg", f"{_WHERE}.header")
    key = issuer_key_named(fetch_issuer_keys(fetcher, issuer, algorithm=algorithm), key_id)
    if key is None:
        text = "one of the issuer's keys for this algorithm"
        found = "no key id" if key_id is None else "another key id"
        raise _refused("issuer-key-unknown", text, found, "header.kid")
    return key


def _not_trusted() -> Refused:
    return _refused("issuer-not-trusted", "an issuer that is trusted", "another", "iss")


def _mismatch() -> Refused:
    text = "the issuer that the certificate names"
    return _refused("issuer-mismatch", text, "another, or none", "iss")


def _refused(code: str, expected: str, found: str, where: str) -> Refused:
    return Refused(Reason(code, expected, found, f"{_WHERE}.{where}"))
