"""The customer's answer, read off her screen: code by code, until it is whole.

Each open question collects its own, so that two customers' codes never meet. A camera and
a hand scanner that plays a keyboard come here alike: with the text of one code. What is
read of an answer that does not go on is gone after a minute, as facts are.
"""

import threading
from datetime import datetime
from typing import Final

from counterfoil_credentials.errors import Refused
from counterfoil_credentials.qr_frames import Assembler

from counterfoil_verifier.held_in_memory import is_young
from counterfoil_verifier.requesting import SessionId

_MAX_OPEN: Final = 200
_OF_ANOTHER: Final = frozenset({"frame-of-another-message", "frame-differs"})


class Scans:
    """What has been read for each question.

    It holds 200 at most; the one that was scanned for longest ago goes first.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self._lock = threading.Lock()
        self._open: dict[SessionId, tuple[Assembler, datetime]] = {}

    def add(self, session_id: SessionId, code: str, now: datetime) -> str | tuple[int, int]:
        """Take one code; give the whole answer, or how many of how many codes are read.

        A scanner's line end is not part of a code. After a frame of another message, or one
        that contradicts what was read, that one is collected: the customer began anew, or
        it was not hers. Raises what `Assembler.add` raises.
        """
        code = code.strip()
        with self._lock:
            assembler, read_at = self._open.pop(session_id, (Assembler(), now))
            if not is_young(read_at, now):
                assembler = Assembler()
            try:
                message = assembler.add(code)
            except Refused as refused:
                if _OF_ANOTHER.isdisjoint(refused.codes):
                    raise
                assembler = Assembler()
                message = assembler.add(code)
            finally:
                # Put at the end: the first is the one that goes.
                self._open[session_id] = assembler, now
                if len(self._open) > _MAX_OPEN:
                    del self._open[next(iter(self._open))]
            if message is None:
                return assembler.progress
            del self._open[session_id]
            return message

    def drop_old(self, now: datetime) -> None:
        """Forget what was read of answers that did not go on."""
        with self._lock:
            self._open = {name: each for name, each in self._open.items() if is_young(each[1], now)}
