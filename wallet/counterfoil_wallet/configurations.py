"""The kinds of credentials that an issuer makes, read from its metadata.

OpenID4VCI 1.0, section 12.2.4 and appendices A.3 and F.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from counterfoil_credentials.encoding import (
    Json,
    JsonObject,
    as_object,
    list_at,
    object_at,
    optional_text_at,
    text_at,
    texts_at,
)
from counterfoil_credentials.keys import Algorithm
from counterfoil_credentials.spec import SD_JWT_VC_FORMAT

from counterfoil_wallet import spec
from counterfoil_wallet.printable import printable, shortened
from counterfoil_wallet.wire import MAX_URL, bounded

_ISSUER: Final = "credential issuer metadata"
_MAX_LEVELS: Final = 20
_MAX_LEVEL: Final = 128


class Proving(StrEnum):
    """How a type of credential wants its keys proved (appendix F)."""

    SIGNED = "signed"
    SIGNED_AND_ATTESTED = "signed and attested"
    ATTESTED = "attested"


@dataclass(frozen=True, slots=True)
class Configuration:
    """A kind of credential that the issuer makes and this wallet can hold.

    `levels` are what the issuer asks of whoever keeps its keys, `name` is what the issuer
    calls it, safe to show.
    """

    configuration_id: str
    vct: str
    scope: str | None = None
    proving: Proving = Proving.SIGNED
    levels: tuple[str, ...] = ()
    name: str | None = None


def read_configuration(
    configuration_id: str, listed: JsonObject, *, attests_keys: bool
) -> Configuration | None:
    """Give the configuration of that id, or None for one that cannot be held here."""
    where = f"{_ISSUER}.{spec.CONFIGURATIONS}"
    obj = as_object(listed[configuration_id], where)
    if obj.get("format") != SD_JWT_VC_FORMAT:
        return None
    accepted = _proving(obj, where)
    ways = [way for way in accepted if attests_keys or way is Proving.SIGNED]
    if not ways:
        return None
    scope = optional_text_at(obj, spec.SCOPE, where)
    return Configuration(
        configuration_id,
        bounded(text_at(obj, "vct", where), where, MAX_URL),
        None if scope is None else bounded(scope, where),
        ways[0],
        accepted[ways[0]],
        shown_name(obj.get("credential_metadata")),
    )


def _proving(configuration: JsonObject, where: str) -> dict[Proving, tuple[str, ...]]:
    """Give the ways in which our keys may be proved, the plainest first, each with its levels."""
    if spec.PROOF_TYPES not in configuration:
        return {Proving.SIGNED: ()}
    types = object_at(configuration, spec.PROOF_TYPES, where)
    ways: dict[Proving, tuple[str, ...]] = {}
    for name, plain, attested in (
        (spec.JWT_PROOF, Proving.SIGNED, Proving.SIGNED_AND_ATTESTED),
        (spec.ATTESTATION_PROOF, Proving.ATTESTED, Proving.ATTESTED),
    ):
        if name not in types:
            continue
        proof = object_at(types, name, where)
        if Algorithm.ES256 in list_at(proof, spec.PROOF_ALGORITHMS, where):
            required = spec.KEY_ATTESTATIONS_REQUIRED in proof
            ways[attested if required else plain] = _levels(proof, where) if required else ()
    return ways


def _levels(proof: JsonObject, where: str) -> tuple[str, ...]:
    required = object_at(proof, spec.KEY_ATTESTATIONS_REQUIRED, where)
    named = [text for name in required for text in texts_at(required, name, where)]
    return tuple(bounded(text, where, _MAX_LEVEL) for text in dict.fromkeys(named[:_MAX_LEVELS]))


def shown_name(about: Json) -> str | None:
    """Give the first name of a `display`, made safe to show; nothing else depends on it."""
    listed = about.get("display") if isinstance(about, dict) else None
    first = listed[0] if isinstance(listed, list) and listed else None
    name = first.get("name") if isinstance(first, dict) else None
    return shortened(printable(name)) if isinstance(name, str) and name else None
