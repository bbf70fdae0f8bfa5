"""What a counter can ask with one tap, as data: purpose, claims, and what is kept.

    warranty = WARRANTY.accepting(["https://audio.example/types/warranty"])

A preset asks for what its decision needs. A warranty needs the product, its
serial number and the last day; a name and a price decide nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from counterfoil_credentials.claims import ClaimPath
from counterfoil_credentials.dcql import ClaimQuery, CredentialQuery, DcqlQuery
from counterfoil_credentials.errors import Misuse

from counterfoil_verifier.policy import (
    AllOf,
    BoundToHolder,
    DateNotPassed,
    DisclosesAtMost,
    NotRevoked,
    OfType,
    Policy,
)
from counterfoil_verifier.words import Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One question that a counter asks.

    `name` is also the id of its credential query. `ends` is the claim that holds
    the last day, and the code of the refusal once that day is over (in UTC, as
    the brand counted it). A status list may be up to `status_max_age` old.
    `vcts` are the types that answer it.
    """

    name: str
    title: Words
    purpose: Words
    retention: Words
    claims: tuple[ClaimPath, ...]
    ends: tuple[ClaimPath, str] | None
    status_max_age: timedelta
    vcts: tuple[str, ...] = ()

    def accepting(self, vcts: Iterable[str]) -> "Preset":
        """Give the preset that is answered by credentials of the types `vcts`."""
        return replace(self, vcts=tuple(vcts))

    def query(self) -> DcqlQuery:
        """Give what the wallet is asked for (OpenID4VP 1.0, section 6)."""
        if not self.vcts:
            raise Misuse(f"expected types that answer the preset, found none ({self.name})")
        claims = tuple(ClaimQuery(path) for path in self.claims)
        return DcqlQuery((CredentialQuery(self.name, self.vcts, claims),))

    def policy(self) -> Policy:
        """Give what an answer must fulfil, beyond answering the request."""
        checks: list[Policy] = [
            OfType(self.vcts),
            BoundToHolder(),
            DisclosesAtMost(self.claims),
            NotRevoked(max_age=self.status_max_age),
        ]
        if self.ends is not None:
            path, code = self.ends
            checks.append(DateNotPassed(path=path, code=code))
        return AllOf(*checks)


WARRANTY: Final = Preset(
    name="warranty",
    title=Words("Warranty?", "在保修期内吗？"),
    purpose=Words(
        "To see whether this item is still under warranty.", "核对该商品是否仍在保修期内。"
    ),
    retention=Words(
        "The shop keeps the result and its time for 30 days. What you show is not stored.",
        "商店仅保留结果和时间，为期 30 天；您出示的内容不会被存储。",
    ),
    claims=(("item", "name"), ("item", "serial"), ("valid_until",)),
    ends=(("valid_until",), "warranty-ended"),
    status_max_age=timedelta(days=1),
)

PRESETS: Final[Mapping[str, Preset]] = {WARRANTY.name: WARRANTY}
