"""A check of how long ago something happened, by a moment in the credential."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from counterfoil_credentials.claims import ClaimPath, path_text, values_at
from counterfoil_credentials.errors import Reason

from counterfoil_verifier.policy import Judgement, Presented

_SKEW: Final = timedelta(seconds=60)
_MOMENT: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)", re.ASCII
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HappenedWithin:
    """Accepts while no more than `period` has gone by since the moment in the claim at `path`.

    The claim is a moment as RFC 3339 writes it, `2026-03-01T11:34:56Z`, and not one to
    come, but for the minute by which two clocks may differ. `code` names the refusal, such
    as `return-period-over`.
    """

    path: ClaimPath
    period: timedelta
    code: str

    def judge(self, presented: Presented) -> Judgement:
        where = path_text(self.path)
        values = values_at(presented.credential.claims, self.path)
        if len(values) != 1:
            return _no("date-missing", "one moment", f"{len(values)}", where)
        at = _moment(values[0])
        if at is None:
            expected = "a moment such as 2026-03-01T11:34:56Z"
            return _no("date-malformed", expected, "something else", where)
        if at > presented.now + _SKEW:
            return _no("date-malformed", "a moment that has been", "one to come", where)
        if presented.now - at > self.period:
            return _no(self.code, f"a moment within {self.period}", "one before that", where)
        return Judgement()


def _moment(value: object) -> datetime | None:
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def _no(code: str, expected: str, found: str, where: str) -> Judgement:
    return Judgement((Reason(code, expected, found, where),))
