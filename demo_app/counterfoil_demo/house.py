"""The program of every house: hold on to the lifeline first, then load and serve.

The modules behind a service take seconds to load. A parent that dies meanwhile
must take this process with it, so nothing heavy is imported before the thread
that waits for the lifeline's end.
"""

import os
import sys

from counterfoil_service.lifeline import end_with


def main() -> None:
    """Run the house that the supervisor names: module, name, folder, socket, lifeline."""
    module, name, data, listener, lifeline = sys.argv[1:]
    end_with(os.fdopen(int(lifeline), "rb", buffering=0))

    from importlib import import_module  # noqa: PLC0415  # after the lifeline
    from pathlib import Path  # noqa: PLC0415  # after the lifeline

    from counterfoil_demo.process import run  # noqa: PLC0415  # after the lifeline

    run(import_module(module).build, name, Path(data), int(listener))


if __name__ == "__main__":
    main()
