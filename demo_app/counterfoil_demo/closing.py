"""Step f: what happened, how long it took, and who holds which data now."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from counterfoil_credentials.claims import ClaimPath, values_at
from counterfoil_credentials.encoding import JsonObject, int_at, object_at, text_at
from counterfoil_loyalty.accounts import NOBODY

from counterfoil_demo.holdings import facts_found
from counterfoil_demo.houses import (
    AURICLE,
    BY_ORIGIN,
    CUSTODIAN,
    ONE_TIME_KEYS,
    POINTS,
    SEALING_KEYS,
    SHOP,
    VELORUM,
)
from counterfoil_demo.naming import credential_names
from counterfoil_demo.report import Step, must
from counterfoil_demo.scene import Scene
from counterfoil_demo.walk_credentials import Purchase
from counterfoil_demo.words import sentence

_TELLING: Final = 4
# Only who sold the goods may still know who bought them.
_MAY_HOLD: Final[Mapping[str, frozenset[str]]] = {
    "wallet": frozenset(),
    AURICLE.name: frozenset({"name", "email", "order", "serial", "product", "time"}),
    VELORUM.name: frozenset(),
    SHOP.name: frozenset(),
    CUSTODIAN.name: frozenset(),
    POINTS.name: frozenset(),
}


def take_stock(scene: Scene, step: Step, purchase: Purchase) -> None:
    """Print both tables; raise when a house holds what it must not."""
    language = step.report.language
    report = step.report
    report.table(
        (sentence("head-what", language), sentence("head-when", language)),
        [
            (f"{done.letter}  {sentence(f'step-{done.letter}', language)}", f"{done.seconds:.1f} s")
            for done in report.steps
            if done is not step
        ],
    )
    facts = _facts(scene, purchase)
    holds = _holds(scene)
    report.line(sentence("looking", language))
    found_in: JsonObject = {}
    for party, allowed in _MAY_HOLD.items():
        found = facts_found(scene.data / party, facts)
        found_in[party] = [*found]
        none = "found-encrypted" if party == "wallet" else "found-none"
        told = ", ".join(sentence(f"fact-{name}", language) for name in found)
        held = sentence(f"holds-{party}", language, **holds[party])
        report.card(
            sentence(f"party-{party}", language),
            (
                (sentence("head-holds", language), held),
                (sentence("head-found", language), told or sentence(none, language)),
            ),
        )
        must(
            set(found) <= allowed, f"{party} without your data", f"{', '.join(found)} in its files"
        )
    step.note("data_found_in_files", found_in)
    # The search must be able to find: the brand that sold the goods has their buyer on file.
    must("name" in str(found_in[AURICLE.name]), "the buyer in the seller's files", "nothing")


def _facts(scene: Scene, purchase: Purchase) -> dict[str, list[str]]:
    receipt = next(c for c in scene.wallet.credentials() if c.configuration_id == "receipt").claims
    return {
        "name": [purchase.buyer],
        "email": [purchase.email],
        # A short text stands in many files by chance.
        "order": [purchase.order] if len(purchase.order) >= _TELLING else [],
        "serial": [*purchase.serials],
        "product": _texts(receipt, ("lines", None, "name")),
        "time": _texts(receipt, ("paid_at",)),
    }


def _texts(claims: JsonObject, path: ClaimPath) -> list[str]:
    return [value for value in values_at(claims, path) if isinstance(value, str)]


def _holds(scene: Scene) -> dict[str, dict[str, object]]:
    issuer = scene.auricle.get("/back-office/summary")
    kinds = [c.configuration_id for c in scene.wallet.credentials()]
    events, balances = [], {}
    if scene.has_points():
        events, balances = scene.points.events(), scene.points.balances(scene.accounts)
    moves = [event for event in events if event["name"] == "Transfer"]
    return {
        "wallet": {
            "credentials": credential_names(kinds, scene.report.language),
            "points": " + ".join(
                f"{points} {BY_ORIGIN[brand].name.capitalize()}"
                for brand, points in balances.items()
            )
            or "0",
        },
        AURICLE.name: {
            "orders": int_at(issuer, "orders", "summary"),
            "indices": int_at(issuer, "status_indices_used", "summary"),
            "copies": int_at(object_at(issuer, "personal_data", "s"), "credentials.copy", "s"),
        },
        VELORUM.name: {"keys": _keys_in(scene.data / VELORUM.name / SEALING_KEYS)},
        SHOP.name: {"verdicts": int_at(scene.shop.get("/counter/summary"), "verdicts", "summary")},
        CUSTODIAN.name: {"keys": _keys_in(scene.data / CUSTODIAN.name / ONE_TIME_KEYS)},
        POINTS.name: {
            "accounts": len({party for event in moves for party in _parties(event)} - {NOBODY}),
            "events": len(moves),
        },
    }


def _keys_in(folder: Path) -> int:
    return len([*folder.glob("*.key")])


def _parties(move: JsonObject) -> tuple[str, str]:
    values = object_at(move, "values", "event")
    return text_at(values, "from", "event"), text_at(values, "to", "event")
