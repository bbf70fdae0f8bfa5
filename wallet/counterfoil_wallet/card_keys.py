"""Whose hands the key of a copy is in: the wallet's file, or a key store beside it.

    CardKeys.fresh ─► CardKey ─► proof ─► copy ─► CardKeys.of ─► presentation

The file keeps the private key itself or, where `keeper` names a store, the reference that
this store finds the key by. A key in a store comes into no file, no backup and no export:
where the store is not, its card can be read and cannot be shown (`key-elsewhere`).
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from counterfoil_credentials.errors import CounterfoilError, Misuse
from counterfoil_credentials.keys import MemorySigner, PublicKey, Signer

from counterfoil_wallet.wire import Random, fresh_signer, refuse

if TYPE_CHECKING:
    from counterfoil_wallet.held import HeldCredential

MAX_REFERENCE_BYTES: Final = 128
MAX_NAME: Final = 64


class KeyStore(Protocol):
    """Makes P-256 keys, keeps them and signs with them: a secure element, a token, a service.

    Safe from several threads. What does not answer is `Unavailable`.
    """

    @property
    def name(self) -> str:
        """What tells this store from every other, for good; at most 64 characters."""
        ...

    def make(self) -> bytes:
        """Make a key and give the reference to find it by, at most 128 bytes."""
        ...

    def signer(self, reference: bytes) -> Signer:
        """Give what signs with the key; `Refused` or `Misuse` where there is none."""
        ...

    def destroy(self, reference: bytes) -> None:
        """Destroy the key; one that is gone is destroyed."""
        ...


class Kept(Protocol):
    """A key as the file keeps it: `key` is the private key, or `keeper`'s reference to it."""

    @property
    def key(self) -> bytes: ...
    @property
    def keeper(self) -> str: ...


@dataclass(frozen=True, slots=True)
class CardKey:
    """A key that a copy will be bound to, as the file keeps it; see `Kept`."""

    public: PublicKey
    key: bytes = field(repr=False)
    keeper: str = ""

    @staticmethod
    def own(signer: MemorySigner) -> "CardKey":
        """Give a key that is kept in the wallet's file."""
        return CardKey(signer.public, signer.private_bytes())


class CardKeys:
    """The keys of one wallet's cards. New ones are made in `store`, if there is one."""

    def __init__(self, random: Random, store: KeyStore | None) -> None:
        if store is not None and not 0 < len(store.name) <= MAX_NAME:
            raise Misuse(f"expected a key store with a name of at most {MAX_NAME} characters")
        self._random = random
        self._store = store

    def fresh(self) -> CardKey:
        """Make a key that no other copy has."""
        store = self._store
        if store is None:
            return CardKey.own(fresh_signer(self._random))
        reference = store.make()
        if not 0 < len(reference) <= MAX_REFERENCE_BYTES:
            raise Misuse(
                f"expected a reference of 1 to {MAX_REFERENCE_BYTES} bytes, found {len(reference)}"
            )
        return CardKey(store.signer(reference).public, reference, store.name)

    def of(self, kept: Kept) -> Signer:
        """Give what signs with a kept key.

        Raises `Refused` with `key-elsewhere` where its store is not here, and
        `Unavailable` where it does not answer.
        """
        if not kept.keeper:
            return MemorySigner.from_private_bytes(kept.key)
        if self._store is None or self._store.name != kept.keeper:
            expected = "the key store that keeps this card's key"
            found = "none" if self._store is None else "another"
            raise refuse("key-elsewhere", expected, found, "copy")
        return self._store.signer(kept.key)

    def here(self, cards: Iterable["HeldCredential"]) -> "list[HeldCredential]":
        """Give the cards that can be shown: the newest copy's key is the file's, or the store's."""
        keepers = {""} if self._store is None else {"", self._store.name}
        return [card for card in cards if card.copy.keeper in keepers]

    def destroy(self, keys: Iterable[Kept]) -> None:
        """Destroy the keys that are in the store, as far as it answers now."""
        store = self._store
        for each in keys:
            if store is not None and each.keeper == store.name:
                with suppress(CounterfoilError):
                    store.destroy(each.key)
