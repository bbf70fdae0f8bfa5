"""The points service: relayer, index and the embedded chain in one process."""

from contextlib import ExitStack

from counterfoil_loyalty.cli import open_app
from counterfoil_service.serving import AsgiApp

from counterfoil_demo.process import Place, run


def main() -> None:
    """Serve the points until the demo ends."""
    with ExitStack() as stack:

        def build(place: Place) -> AsgiApp:
            return open_app(place.folder, stack, operator_key=place.back_office_key)

        run(build)


if __name__ == "__main__":
    main()
