"""Several ways to trust, put together.

FirstTrust(pinned, listed)      each issuer by the first that knows it
AllTrust(fetched, certified)    only issuers that every one knows, with one key
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from counterfoil_credentials.dcql import Authority
from counterfoil_credentials.errors import Misuse, Reason, Refused
from counterfoil_credentials.keys import PublicKey

from counterfoil_verifier.trust import Ending, KeyAsked, Trust, by_time, not_trusted

_STRANGER = ["issuer-not-trusted"]


class FirstTrust:
    """Asks one after another; the first that knows the issuer decides, yes or no.

    So an issuer whose keys are pinned is not believed with a certificate instead
    (SD-JWT VC, section 7.3). One that cannot tell whether it knows the issuer leaves the
    question open: it might have said no.
    """

    def __init__(self, *trusts: Trust) -> None:
        self._trusts = trusts

    def key_for(self, asked: KeyAsked, *, now: datetime) -> PublicKey:
        return self._decided(asked, now)[1]

    def authorities_behind(self, asked: KeyAsked, *, now: datetime) -> Collection[Authority] | None:
        """Give those of the trust that decides."""
        return self._decided(asked, now)[0].authorities_behind(asked, now=now)

    def _decided(self, asked: KeyAsked, now: datetime) -> tuple[Trust, PublicKey]:
        for trust in self._trusts:
            try:
                return trust, trust.key_for(asked, now=now)
            except Refused as refused:
                if refused.codes != _STRANGER:
                    raise
        raise not_trusted()

    def ends(self, now: datetime) -> Sequence[Ending]:
        return _ends(self._trusts, now)


class AllTrust:
    """Trusts an issuer only if all do, and all give the same key."""

    def __init__(self, *trusts: Trust) -> None:
        if not trusts:
            raise Misuse("expected at least one trust, found none")
        self._trusts = trusts

    def key_for(self, asked: KeyAsked, *, now: datetime) -> PublicKey:
        first, *others = (trust.key_for(asked, now=now) for trust in self._trusts)
        if any(other != first for other in others):
            expected, where = "one key of the issuer, whoever is asked", "credential.kid"
            raise Refused(Reason("issuer-key-disputed", expected, "several", where))
        return first

    def authorities_behind(self, asked: KeyAsked, *, now: datetime) -> Collection[Authority] | None:
        """Give all that one of them proves; None where none rests on certificates."""
        proved = [trust.authorities_behind(asked, now=now) for trust in self._trusts]
        known = [several for several in proved if several is not None]
        return {one for several in known for one in several} if known else None

    def ends(self, now: datetime) -> Sequence[Ending]:
        return _ends(self._trusts, now)


def _ends(trusts: Sequence[Trust], now: datetime) -> list[Ending]:
    return by_time({ending for trust in trusts for ending in trust.ends(now)})
