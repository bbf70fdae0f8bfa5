"""Who offers: an issuer that the app pinned, one on a trust list, or plainly not verified.

To be reached under a URL proves that URL and no name. Everything else is somebody's
word: the app's own, or that of a list which the app decided to trust, for the types
that it names and no others.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from counterfoil_wallet.printable import printable


class IssuerStanding(StrEnum):
    """How well it is proved who offers."""

    PINNED = "an issuer that this app knows"
    LISTED = "an issuer on a trust list"
    NOT_VERIFIED = "a web address, not a verified name"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownIssuer:
    """An issuer that somebody vouches for: the app, or the trust list named `vouched_by`.

    `types` are those that it may issue; None is for all of them. From `ends_at` on nobody
    vouches for it any more.
    """

    name: str
    types: Collection[str] | None = None
    vouched_by: str | None = None
    ends_at: datetime | None = None

    def may_issue(self, types: Collection[str]) -> bool:
        """Say whether it is known for all of `types`."""
        return self.types is None or all(vct in self.types for vct in types)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offerer:
    """Who offers. `url` is proved by having been reached; `known_as` is None if not verified."""

    url: str
    standing: IssuerStanding
    known_as: str | None = None
    vouched_by: str | None = None


def offerer_of(
    url: str, types: Collection[str], *, known: Mapping[str, KnownIssuer], now: datetime
) -> Offerer:
    """Give who offers credentials of `types` at `url`.

    URLs are compared as texts: another spelling is another issuer.
    """
    issuer = known.get(url)
    if issuer is None or has_ended(issuer.ends_at, now) or not issuer.may_issue(types):
        return Offerer(url=url, standing=IssuerStanding.NOT_VERIFIED)
    return Offerer(
        url=url,
        standing=IssuerStanding.PINNED if issuer.vouched_by is None else IssuerStanding.LISTED,
        known_as=printable(issuer.name),
        vouched_by=None if issuer.vouched_by is None else printable(issuer.vouched_by),
    )


def has_ended(ends_at: datetime | None, now: datetime) -> bool:
    """Say whether a word for somebody is over; None never ends."""
    return ends_at is not None and now >= ends_at
