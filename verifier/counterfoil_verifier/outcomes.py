"""How a verification ends: accepted with what was shown, refused, or an open question."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import TypeAlias

from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Reason, Refused, Unavailable
from counterfoil_credentials.records import record


@record(kw_only=True)
class Accepted:
    """What was shown, verified, under the ids of the credential queries that were answered.

    `shown` holds the claims of every presentation; more than one only where the
    query wants several. `status_as_of` is the time of the oldest status list that
    took part; None when the policy asked for none.
    """

    shown: Mapping[str, tuple[JsonObject, ...]] = field(repr=False)
    checked_at: datetime
    status_as_of: datetime | None

    @property
    def claims(self) -> Mapping[str, JsonObject]:
        """The claims of each query's first presentation: of its only one, mostly."""
        return {query_id: several[0] for query_id, several in self.shown.items()}


class NotAccepted(Refused):
    """Something speaks against the presentation.

    `status_as_of` is the time of the oldest status list that took part, such as the one
    that says "revoked"; None when none did. `unknown` is what could not be found out
    besides, and changes nothing.
    """

    def __init__(
        self, *reasons: Reason, status_as_of: datetime | None = None, unknown: Sequence[Reason] = ()
    ) -> None:
        super().__init__(*reasons)
        self.status_as_of = status_as_of
        self.unknown = tuple(unknown)


class CouldNotCheck(Unavailable):
    """Nothing speaks against the presentation, and something could not be found out.

    `reasons` say what, with codes such as `status-too-old`. `status_as_of` as in `NotAccepted`.
    """

    def __init__(self, *reasons: Reason, status_as_of: datetime | None = None) -> None:
        super().__init__("; ".join(str(reason) for reason in reasons))
        self.reasons = reasons
        self.status_as_of = status_as_of

    @property
    def codes(self) -> list[str]:
        """Give the reasons' codes."""
        return [reason.code for reason in self.reasons]


Decision: TypeAlias = Accepted | Refused | Unavailable
"""What becomes of one presentation among many."""
