"""On whom this wallet relies. What the app does not name is plainly not verified."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from counterfoil_credentials.dids import Did

from counterfoil_wallet.printable import printable


class Standing(StrEnum):
    """How well it is proved who asks."""

    KEY_ONLY = "a key, not a verified name"
    KNOWN = "a key that this wallet knows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks: the key's own name is proved; `claimed_name` is only what it says of itself.

    `claimed_name` is made safe to show, as `printable` says; None when nothing is
    left of it. `known_as` is the name under which the app knows this key, or None.
    """

    client_id: str
    claimed_name: str | None
    known_as: str | None

    @property
    def standing(self) -> Standing:
        """How the name was proved."""
        return Standing.KEY_ONLY if self.known_as is None else Standing.KNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """`verifiers`: full client id to name. `custodians`: public origin to DID."""

    verifiers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    custodians: Mapping[str, Did] = field(default_factory=lambda: MappingProxyType({}))

    def asker(self, client_id: str, claimed_name: str | None) -> Asker:
        """Give who asks, as far as this wallet knows."""
        return Asker(
            client_id=client_id,
            claimed_name=printable(claimed_name or "") or None,
            known_as=self.verifiers.get(client_id),
        )
