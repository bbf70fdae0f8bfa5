"""A trust list as a wallet uses it: `counterfoil_credentials.trust_list` says what it is.

The app says whose key signs the list, and where it is kept. Names on it are made safe
to show. Whom it names is known until the list ends.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from counterfoil_credentials import trust_list
from counterfoil_credentials.errors import Malformed
from counterfoil_credentials.keys import PublicKey

from counterfoil_wallet.issuer_trust import KnownIssuer
from counterfoil_wallet.printable import printable
from counterfoil_wallet.trust import Trust, Verifier

_WHERE: Final = "trust_list"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustList:
    """A verified list. From `ends_at` on nobody on it is known by it: read a newer one."""

    name: str
    listed_at: datetime
    ends_at: datetime
    issuers: Mapping[str, KnownIssuer]
    verifiers: Mapping[str, Verifier]

    def extend(self, trust: Trust) -> Trust:
        """Give `trust` with everybody on the list. Whom the app pinned stays as it was pinned."""
        return replace(
            trust,
            issuers={**self.issuers, **trust.issuers},
            verifiers={**self.verifiers, **trust.verifiers},
        )


def read_trust_list(
    token: str, *, signed_by: PublicKey, now: datetime, seen_at: datetime | None = None
) -> TrustList:
    """Give the list in `token`; arguments and errors are those of the function it wraps."""
    listed = trust_list.read_trust_list(token, signed_by=signed_by, now=now, seen_at=seen_at)
    name = _shown(listed.name)
    return TrustList(
        name=name,
        listed_at=listed.listed_at,
        ends_at=listed.ends_at,
        issuers={
            url: KnownIssuer(
                name=_shown(one.name), types=one.types, vouched_by=name, ends_at=listed.ends_at
            )
            for url, one in listed.issuers.items()
        },
        verifiers={
            client_id: Verifier(
                name=_shown(one.name),
                may_ask=one.may_ask,
                purpose=None if one.purpose is None else printable(one.purpose),
                ends_at=listed.ends_at,
            )
            for client_id, one in listed.verifiers.items()
        },
    )


def _shown(text: str) -> str:
    name = printable(text)
    if not name:
        raise Malformed("a name", "an empty one", f"{_WHERE}.name")
    return name
