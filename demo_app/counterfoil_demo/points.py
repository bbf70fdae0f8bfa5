"""The points service: relayer, index and, unless it is said otherwise, a chain in one process.

`counterfoil demo --chain` says it; the folder remembers, and the next run goes on so.
"""

from pathlib import Path
from typing import Final

from counterfoil_loyalty.cli import open_app
from counterfoil_service.serving import AsgiApp

from counterfoil_demo.houses import POINTS
from counterfoil_demo.process import Place

_CHAIN: Final = "chain.setting"


def build(place: Place) -> AsgiApp:
    """Give the points service in its place; its operator is the demo's narrator."""
    setting = place.folder / _CHAIN
    chain = setting.read_text("utf-8") if setting.exists() else "embedded"
    return open_app(place.folder, place.closing, operator_key=place.back_office_key, chain=chain)


def set_chain(data: Path, chain: str) -> None:
    """Keep the setting for the runs over `data`; a node's address may hold a secret."""
    folder = data / POINTS.name
    folder.mkdir(mode=0o700, exist_ok=True)
    setting = folder / _CHAIN
    setting.touch(mode=0o600)
    setting.write_text(chain, "utf-8")
