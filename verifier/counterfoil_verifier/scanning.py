"""The customer's answer, read off her screen: code by code, until it is whole.

Each open question collects its own, so that two customers' codes never meet. A camera and
a hand scanner that plays a keyboard come here alike: with the text of one code.
"""

import threading
from collections.abc import Mapping
from urllib.parse import parse_qsl

from counterfoil_credentials.errors import Malformed, Refused
from counterfoil_credentials.qr_frames import Assembler

from counterfoil_verifier.requesting import SessionId

_MAX_OPEN = 200
_MAX_FIELDS = 20


class Scans:
    """What has been read for each question. It holds 200 at most; the oldest goes first."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._lock = threading.Lock()
        self._open: dict[SessionId, Assembler] = {}

    def add(self, session_id: SessionId, code: str) -> str | tuple[int, int]:
        """Take one code; give the whole answer, or how many of how many codes are read.

        A scanner's line end is not part of a code. Raises what `Assembler.add` raises.
        After a frame of another message that one is collected: the customer began anew.
        """
        with self._lock:
            assembler = self._open.setdefault(session_id, Assembler())
            while len(self._open) > _MAX_OPEN:
                del self._open[next(iter(self._open))]
            try:
                message = assembler.add(code.strip())
            except Refused as refused:
                if refused.codes != ["frame-of-another-message"]:
                    raise
                assembler = self._open[session_id] = Assembler()
                message = assembler.add(code.strip())
            if message is None:
                return assembler.progress
            del self._open[session_id]
            return message


def fields_of(answer: str) -> Mapping[str, str]:
    """Give the form that the codes hold: what `direct_post` would send. `Malformed` else."""
    try:
        fields = parse_qsl(
            answer,
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError:
        raise Malformed("an answer to a request", "another text", "scanned codes") from None
    form = dict(fields)
    if len(form) != len(fields):
        raise Malformed("each field once", "one twice", "scanned codes")
    return form
