"""The program of every house: hold on to the lifeline first, then load and serve.

The modules behind a service take seconds to load. A parent that dies meanwhile
must take this process with it, so nothing heavy is imported before the thread
that waits for the lifeline's end.
"""

import os
import sys
import threading


def main() -> None:
    """Run the house that the supervisor names: module, name, folder, socket, lifeline."""
    module, name, data, listener, lifeline = sys.argv[1:]
    threading.Thread(target=_die_with, args=(int(lifeline),), name="lifeline", daemon=True).start()

    from importlib import import_module  # noqa: PLC0415  # see above
    from pathlib import Path  # noqa: PLC0415

    from counterfoil_demo.process import run  # noqa: PLC0415

    run(import_module(module).build, name, Path(data), int(listener))


def _die_with(lifeline: int) -> None:
    # Nobody writes: the pipe's end is the parent's.
    while os.read(lifeline, 1):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
