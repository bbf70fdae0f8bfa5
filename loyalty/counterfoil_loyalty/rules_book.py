"""What the points service keeps for rules: versions, what caps count, what points become.

`rules_desk.py` decides with it; the twin in SQL is `sql_rules_book.py`. A version that was
published is there for ever and never another; an award is counted once per ref.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from counterfoil_credentials.encoding import JsonObject
from counterfoil_credentials.errors import Reason, Refused

from counterfoil_loyalty.accounts import Account
from counterfoil_loyalty.relayer import KEY_CONFLICT
from counterfoil_loyalty.rules_bounds import Counted

Check = Callable[[Mapping[str, Counted]], None]
"""Raises `Refused` unless one more award is within the caps of these, by their refs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One version of a brand's rules as it was published, byte for byte.

    `rules` is the signed rules (`ProgrammeRules.sign`), `key` the JWK that checks them, and
    `signature` that of the brand's issuer over both: see `RulesNotice`.
    """

    version: int
    rules: str
    key: JsonObject = field(hash=False)
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What the points of one redemption were to become. `redemption_id` is 64 hex digits."""

    reference: str = field(repr=False)
    token: Account
    holder: Account
    redemption_id: str
    use: str


class RulesBook(Protocol):
    """Keeps what this module's docstring says; every method is one atomic step."""

    def publish(self, token: Account, published: Published) -> None:
        """Keep a version later than all; the very same again changes nothing.

        Raises `Refused`: `old-rules`, and `rules-overwritten` for a version that has others.
        """
        ...

    def latest(self, token: Account) -> Published | None:
        """Give the version in force."""
        ...

    def version(self, token: Account, version: int) -> Published | None:
        """Give one version, also one that is no more in force."""
        ...

    def count(
        self, token: Account, account: Account, ref: str, counted: Counted, check: Check
    ) -> None:
        """Count an award once `check` has returned for what is counted; none other comes between.

        A ref that is counted is not checked again. Raises `Refused` (`key-conflict`) for one
        that was counted for another account or amount.
        """
        ...

    def uncount(self, token: Account, ref: str) -> None:
        """Forget an award that came to nothing."""
        ...

    def note(self, spent: Spent) -> None:
        """Note what points are to become; of one reference the last note before they are spent."""
        ...

    def noted(self, reference: str) -> Spent | None:
        """Give what was noted."""
        ...


class MemoryRulesBook(RulesBook):
    """The twin in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._published: dict[Account, dict[int, Published]] = {}
        self._counted: dict[Account, dict[str, tuple[Account, Counted]]] = {}
        self._spent: dict[str, Spent] = {}

    def publish(self, token: Account, published: Published) -> None:
        with self._lock:
            versions = self._published.setdefault(token, {})
            latest = versions[max(versions)] if versions else None
            if require_next_version(versions.get(published.version), latest, published):
                versions[published.version] = published

    def latest(self, token: Account) -> Published | None:
        with self._lock:
            versions = self._published.get(token)
            return versions[max(versions)] if versions else None

    def version(self, token: Account, version: int) -> Published | None:
        with self._lock:
            return self._published.get(token, {}).get(version)

    def count(
        self, token: Account, account: Account, ref: str, counted: Counted, check: Check
    ) -> None:
        with self._lock:
            known = self._counted.setdefault(token, {})
            if ref in known:
                require_same_award((known[ref][0], known[ref][1].units), (account, counted.units))
                return
            check({name: it for name, (whose, it) in known.items() if whose == account})
            known[ref] = (account, counted)

    def uncount(self, token: Account, ref: str) -> None:
        with self._lock:
            self._counted.get(token, {}).pop(ref, None)

    def note(self, spent: Spent) -> None:
        with self._lock:
            self._spent[spent.reference] = spent

    def noted(self, reference: str) -> Spent | None:
        with self._lock:
            return self._spent.get(reference)


def require_next_version(
    same: Published | None, latest: Published | None, published: Published
) -> bool:
    """Tell whether `published` is to be kept: False for one that is here, byte for byte.

    `same` is what is kept under its version. Raises as `RulesBook.publish` does.
    """
    where = "rules.version"
    if same is not None:
        if same.rules == published.rules and same.key == published.key:
            return False
        expected = f"version {published.version} as it was published"
        raise Refused(Reason("rules-overwritten", expected, "others of that version", where))
    if latest is not None and published.version < latest.version:
        expected = f"a version after {latest.version}"
        raise Refused(Reason("old-rules", expected, f"version {published.version}", where))
    return True


def require_same_award(known: tuple[Account, int], asked: tuple[Account, int]) -> None:
    """Return only if a ref stands for the same award as before; else raise `Refused`."""
    if known != asked:
        raise Refused(Reason(KEY_CONFLICT, "what was first done with this key", "another", "key"))
