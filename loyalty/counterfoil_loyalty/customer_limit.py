"""How much one customer may ask of the relayer, who pays for everybody.

    limit = CustomerLimit(most=30, per_s=3_600, clock=clock)
    limit.take(account)                # raises `Refused` when the account has had its share

An account begins with `most` requests and gets them back evenly, `most` in
`per_s` seconds. It is counted in whole seconds of the caller's clock and
forgotten when the process ends.
"""

from collections.abc import Callable
from threading import Lock

from counterfoil_credentials.errors import Misuse, Reason, Refused

from counterfoil_loyalty.accounts import Account

TOO_MANY = "too-many-requests"

_MOST_ACCOUNTS = 100_000


class CustomerLimit:
    """A bucket for each account. Safe for several threads."""

    def __init__(self, *, most: int, per_s: int, clock: Callable[[], int]) -> None:
        if most < 1 or per_s < 1:
            text = f"expected a limit of at least one request in a second, found {most} in {per_s}"
            raise Misuse(text)
        self._most = most
        self._per_s = per_s
        self._clock = clock
        self._lock = Lock()
        # Until when the account's past requests fill its bucket, in `most`ths of a second.
        self._full_until: dict[Account, int] = {}

    def take(self, account: Account) -> None:
        """Count one request; raises `Refused` when there is none left."""
        now = self._clock() * self._most
        with self._lock:
            begins = max(now, self._full_until.get(account, now))
            after = begins + self._per_s
            if after - now > self._most * self._per_s:
                expected = f"at most {self._most} requests of an account in {self._per_s} s"
                raise Refused(Reason(TOO_MANY, expected, "more", "account"))
            if len(self._full_until) >= _MOST_ACCOUNTS:
                self._forget(now)
            self._full_until[account] = after

    def _forget(self, now: int) -> None:
        # An empty bucket is the same as none. Were all of them in use, the fullest stay.
        in_use = {who: until for who, until in self._full_until.items() if until > now}
        fullest = sorted(in_use.items(), key=lambda it: it[1])[-_MOST_ACCOUNTS // 2 :]
        self._full_until = dict(fullest)
