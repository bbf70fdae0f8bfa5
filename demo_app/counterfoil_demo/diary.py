"""What the narrator must remember between two runs over the same folder.

Which order the walk is about, and the two requests that may be sent again but
never made anew. Each entry is on disk before what it describes is sent.
"""

import json
import os
from pathlib import Path
from typing import Final

from counterfoil_credentials.encoding import JsonObject, as_object, parse_object

_FILE: Final = "diary.json"


class Diary:
    """A small JSON file in the data folder, always whole."""

    def __init__(self, data: Path) -> None:
        """Open the diary of `data`; an absent one is empty."""
        self._path = data / _FILE
        self._entries: JsonObject = (
            parse_object(self._path.read_bytes(), _FILE) if self._path.exists() else {}
        )

    def entry(self, name: str) -> JsonObject | None:
        """Give what was written under `name`, or None."""
        found = self._entries.get(name)
        return None if found is None else as_object(found, f"{_FILE}.{name}")

    def write(self, name: str, entry: JsonObject) -> JsonObject:
        """Keep `entry` under `name`; it is on disk when this returns."""
        self._entries[name] = entry
        draft = self._path.with_name(f".{_FILE}")
        draft.unlink(missing_ok=True)
        # It names a customer: nobody else on this machine reads it.
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(self._entries, file, ensure_ascii=False, indent=2)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
        return entry
