"""Where the wallet keeps what it must not forget: a port.

The store knows cards, copies and records, not protocols. Each verb is one durable
step, and so are several inside one `step()`: after it returns, `kill -9` changes
nothing; before it returns, nothing has changed.

    with store.step():
        store.hold(card, copies)
        store.put(event, state)
"""

from collections.abc import Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from counterfoil_credentials.claims import ClaimPath
from counterfoil_credentials.encoding import Json
from counterfoil_credentials.errors import Misuse

from counterfoil_wallet.held import Copy, CopyId, CredentialId, HeldCredential


class Kind(StrEnum):
    """What a record is about.

    Credentials are cards, not records: a record of theirs is one that came from an
    older wallet and cannot be read.
    """

    CREDENTIAL = "credential"
    ACCEPTANCE = "acceptance"
    GRANT = "grant"
    EVENT = "event"
    SECRET = "secret"
    RECOVERY = "recovery"
    PAPERS = "papers"
    WAITING = "waiting"
    SETTING = "setting"
    CUSTODY = "custody"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Record:
    """One thing kept. `label` is what it can be found by: a type, or a state."""

    kind: Kind
    key: str
    label: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Taken:
    """The copy to show. What the verifier it is for can join, it knows already, unless `links`.

    `shown_before`: to this very verifier. `links`: this copy was shown to another
    one, and the two can find out that they met the same customer.
    """

    copy: Copy
    shown_before: bool
    links: bool = False


@dataclass(frozen=True, slots=True)
class NoFreshCopy:
    """Every copy that is left was shown to another verifier; `shown` says how many those are."""

    shown: int


@dataclass(frozen=True, slots=True)
class CopiesLeft:
    """How many copies of a card are unexpired, and how many of these nobody has seen."""

    fresh: int
    unexpired: int


@dataclass(frozen=True, slots=True)
class Showing:
    """A copy was shown to the verifier of this client id."""

    copy_id: CopyId
    verifier: str
    shown_at: datetime


class Store(Protocol):
    """Everything in the order in which it first came. Safe from several threads."""

    def step(self) -> AbstractContextManager[None]:
        """Make all calls inside one step: all are kept, or, when an error leaves it, none.

        Steps may be nested. Other threads wait, so nothing slow belongs inside.
        """
        ...

    # Records.

    def get(self, kind: Kind, key: str) -> Record | None:
        """Give the record, or None."""
        ...

    def find(self, kind: Kind, labels: Collection[str] | None = None) -> list[Record]:
        """Give the records of a kind, oldest first; with `labels`, only those so labelled."""
        ...

    def put(self, *records: Record) -> None:
        """Keep all of them or none. A record that was there is replaced and keeps its place."""
        ...

    def forget(self, kind: Kind, *keys: str) -> None:
        """Remove these records; one that is not there is no error."""
        ...

    # Cards.

    def hold(self, card: HeldCredential, copies: Collection[Copy] = ()) -> None:
        """Keep a card with its copy and `copies`.

        A card that is there keeps its place, `accepted_at`, `state` and trash, gains
        the copies and is from now on read from `card.copy`. A copy that is there
        stays as it is, so holding twice is holding once. `Misuse` when `card.copy` is
        held by another card.
        """
        ...

    def card(self, credential_id: CredentialId) -> HeldCredential | None:
        """Give the card, in the trash or not, or None."""
        ...

    def cards(
        self, types: Collection[str] | None = None, *, trashed: bool | None = False
    ) -> list[HeldCredential]:
        """Give the cards, oldest first: of these types, outside the trash, in it, or (None) all."""
        ...

    def cards_with(self, path: ClaimPath, value: Json) -> list[HeldCredential]:
        """Give the cards with exactly this value at `path`, oldest first, without the trash.

        `None` in `path` stands for any element of a list. `Misuse` for what no card is
        found by: a whole list or object, and what frames a credential (`iss`, `vct`, `exp`).
        """
        ...

    def search(self, text: str, *, limit: int = 50) -> list[HeldCredential]:
        """Give the cards in which every word of `text` occurs or begins one, newest first.

        English and Chinese, of each claim the first 2,000 characters, without the trash. A
        text without a word finds nothing.
        """
        ...

    def mark(self, credential_id: CredentialId, state: str) -> None:
        """Keep what was found out about a card's status; see `HeldCredential.state`."""
        ...

    def trash(self, credential_id: CredentialId, at: datetime | None) -> None:
        """Put a card into the trash, or with None take it out."""
        ...

    def discard(self, credential_id: CredentialId) -> None:
        """Remove a card for good, with its copies, keys, showings, facts and words."""
        ...

    # Copies.

    def card_of(self, copies: Collection[CopyId]) -> HeldCredential | None:
        """Give the card, in the trash or not, that holds one of these copies, or None."""
        ...

    def copies(self, credential_id: CredentialId) -> list[Copy]:
        """Give the copies of a card, oldest first."""
        ...

    def copies_left(self, credential_id: CredentialId, *, at: datetime) -> CopiesLeft:
        """Count the copies that can still be shown."""
        ...

    def drop_expired(self, credential_id: CredentialId, *, at: datetime) -> None:
        """Forget the copies that ended by `at` and that nobody was shown.

        Not the one that the card is read from, nor what somebody saw: more copies are compared
        with that.
        """
        ...

    def reach(self, keeper: str) -> None:
        """Take and count copies too whose keys the store `keeper` keeps, until this is closed.

        Others have their keys elsewhere: a card of such copies alone is not shown, and
        taking one of them is `Refused` with `key-elsewhere`.
        """
        ...

    def peek_copy(
        self, credential_id: CredentialId, verifier: str, *, at: datetime
    ) -> Taken | NoFreshCopy:
        """Give what `take_copy` would give, and take nothing."""
        ...

    def take_copy(
        self,
        credential_id: CredentialId,
        verifier: str,
        *,
        at: datetime,
        reuse_that_links: bool = False,
    ) -> Taken | NoFreshCopy:
        """Give the copy for this verifier (its whole client id), and keep that it is shown to it.

        The copy that was shown to it before; else a fresh one; else, and only with
        `reuse_that_links`, the one that the fewest others have seen. Expired copies
        count only where no other is left. `Refused` with `credential-unknown` for a
        card that is not held, or is in the trash.
        """
        ...

    def showings(self, credential_id: CredentialId) -> list[Showing]:
        """Give which verifier was shown which copy of a card."""
        ...

    def show(self, copy_id: CopyId, verifier: str, *, at: datetime) -> None:
        """Keep that a copy was shown: for what is brought in from elsewhere."""
        ...

    def check(self) -> None:
        """Read everything once; `Malformed` names the first damaged page and what it is of.

        `Malformed` too when a card has no copy of its own to be read from.
        """
        ...

    def close(self) -> None:
        """Let go of the file and the key. Closing twice is closing once."""
        ...


def locked() -> Misuse:
    """Give the error of a caller who uses a wallet after locking it."""
    return Misuse("expected an open wallet, found a locked one")
