"""What everybody has earned by a brand's root: the list behind it, kept for who asks for a proof.

    lists.keep(token, EarnList(epoch=7, totals={account: units}))
    lists.latest(token)

A root on the chain says nothing without its list. Totals are those since the beginning,
so that only the newest list is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Final, Protocol

from counterfoil_loyalty.accounts import Account

MAX_LISTED: Final = 15_000
"""Accounts in one list. A brand with more serves proofs itself: a claim needs no list here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarnList:
    """Base units earned since the beginning, by account, as the root of `epoch` has them."""

    epoch: int
    totals: Mapping[Account, int]


class EarnLists(Protocol):
    """Where lists are kept; `sql_earn_lists.py` keeps them on disk."""

    def keep(self, token: Account, listed: EarnList) -> None:
        """Keep a brand's list; one of an earlier epoch, or the same again, changes nothing."""
        ...

    def latest(self, token: Account) -> EarnList | None: ...


class MemoryEarnLists(EarnLists):
    """Lists until the process ends. Safe for several threads."""

    def __init__(self) -> None:
        self._lists: dict[Account, EarnList] = {}
        self._lock = Lock()

    def keep(self, token: Account, listed: EarnList) -> None:
        with self._lock:
            known = self._lists.get(token)
            if known is None or listed.epoch > known.epoch:
                self._lists[token] = listed

    def latest(self, token: Account) -> EarnList | None:
        return self._lists.get(token)
