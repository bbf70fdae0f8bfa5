"""The points service: relayer, index and the embedded chain in one process."""

from counterfoil_loyalty.cli import open_app
from counterfoil_service.serving import AsgiApp

from counterfoil_demo.process import Place


def build(place: Place) -> AsgiApp:
    """Give the points service in its place; its operator is the demo's narrator."""
    return open_app(place.folder, place.closing, operator_key=place.back_office_key)
