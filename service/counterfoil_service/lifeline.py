"""The thread that ends a process when its parent is gone, light enough to start before all else."""

import os
import threading
from typing import BinaryIO


def end_with(lifeline: BinaryIO) -> None:
    """End this process at once when `lifeline`, the read end of a parent's pipe, ends.

    Nobody writes to that pipe: its end means that the parent is gone, however it went.
    """
    threading.Thread(target=_wait, args=(lifeline,), name="lifeline", daemon=True).start()


def _wait(lifeline: BinaryIO) -> None:
    while lifeline.read(1):
        pass
    os._exit(0)
