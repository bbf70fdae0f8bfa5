"""Logs as one JSON object a line, in which no claim value can stand.

    log_as_json()                                          # warnings, errors and requests
    say(logger, logging.WARNING, "audit log altered", where="audit_log[7]")

    {"at": "2026-11-02T12:00:00Z", "level": "warning", "logger": ..., "event": ..., ...}

An event is a fixed text of the code, its fields are ids, codes and numbers. What a
library would fill into its own message stays out: it may quote a request.
"""

import logging
import os
import time
import traceback
from functools import lru_cache
from typing import Final, TextIO

from counterfoil_credentials.encoding import Json, JsonObject, compact_json

REQUESTS: Final = "counterfoil.requests"
FIELDS: Final = "counterfoil_fields"
"""The attribute of a log record that holds what stands beside its event."""


def log_as_json(*, requests: bool = True, stream: TextIO | None = None) -> None:
    """Send this process's warnings and errors, and a line per request, to its standard error."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger(REQUESTS).setLevel(logging.INFO if requests else logging.WARNING)


def say(logger: logging.Logger, level: int, event: str, **fields: str | float | None) -> None:
    """Log a fixed `event` with fields that name no person and quote nobody."""
    logger.log(level, event, extra={FIELDS: fields})


class JsonFormatter(logging.Formatter):
    """Writes what happened and where in the code; an error's own text stays inside."""

    def format(self, record: logging.LogRecord) -> str:
        line: JsonObject = {
            "at": _spelled(int(record.created)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.msg if isinstance(record.msg, str) else type(record.msg).__name__,
        }
        fields: dict[str, Json] = getattr(record, FIELDS, {})
        line |= fields
        if record.exc_info and record.exc_info[0] is not None:
            # uvicorn appends the traceback, with its quotations, to nothing but `exc_info`.
            line["error"] = record.exc_info[0].__name__
            line["at_code"] = [
                f"{frame.name} ({os.path.basename(frame.filename)}:{frame.lineno})"  # noqa: PTH119
                for frame in traceback.extract_tb(record.exc_info[2])[-5:]
            ]
        return compact_json(line).decode()


@lru_cache(maxsize=2)
def _spelled(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))
