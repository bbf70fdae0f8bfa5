"""What changed in a shop's folder is taken over while it serves, whole or not at all.

    reloading = Reloading(folder, counter, trust, preloaded, clock=clock)
    reloading.run()                 # looks at the files, and reads them when one is another

Presets, whom the shop trusts and what it took along are taken over. Who the shop is, where
it answers and what it keeps is read once, when it starts: `needs_restart` tells of those.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

from counterfoil_verifier.counter import Counter
from counterfoil_verifier.preload import Preload
from counterfoil_verifier.preloaded import PreloadedFetcher
from counterfoil_verifier.shop_file import FILE_NAME, ShopFile
from counterfoil_verifier.shop_folder import PRELOAD, PRESET_FOLDER, ShopFolder
from counterfoil_verifier.shop_trust import TrustSettings, trust_of
from counterfoil_verifier.trust import Trust
from counterfoil_verifier.trust_several import FirstTrust

_Mark: TypeAlias = tuple[str, int, int, int]


class CurrentTrust(FirstTrust):
    """The trust of now, which may be another a moment later."""

    def turn_to(self, trust: Trust) -> None:
        """Decide by `trust` from now on."""
        self._trusts = (trust,)


class Reloading:
    """Takes over what changed in the folder since the last look."""

    def __init__(
        self,
        folder: ShopFolder,
        counter: Counter,
        trust: CurrentTrust,
        preloaded: PreloadedFetcher,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        """Begin with what was read to open the shop; `preloaded` is what trust asks."""
        self._folder = folder
        self._counter = counter
        self._trust = trust
        self._preloaded = preloaded
        self._clock = clock
        self._began = self._settings = folder.settings()
        self._seen = self._marks(self._settings)
        self._anchors: frozenset[_Mark] = _marked(self._anchor_files(self._settings.trusted))

    @property
    def needs_restart(self) -> bool:
        """Whether a setting is another that is read when the shop starts, and only then."""
        return replace(self._settings, trusted=self._began.trusted) != self._began

    def run(self) -> None:
        """Take over what is new. Raises for what is wrong in the folder; all stays as it was."""
        settings = self._settings
        if self._marks(settings) == self._seen:
            return
        settings = self._folder.settings()
        # Marked before it is read: what is written meanwhile is read again.
        seen, anchors = self._marks(settings), _marked(self._anchor_files(settings.trusted))
        now = self._clock()
        presets, preload = self._folder.askable(), self._folder.preload(now)
        if settings.trusted != self._settings.trusted or anchors != self._anchors:
            # Made anew it has forgotten the keys that it fetched, so only when it must be.
            self._trust.turn_to(trust_of(settings.trusted, self._preloaded, self._folder.path))
        self._preloaded.load(preload or Preload(now, {}))
        self._counter.serve(presets)
        self._settings, self._seen, self._anchors = settings, seen, anchors

    def _marks(self, settings: ShopFile) -> frozenset[_Mark]:
        path = self._folder.path
        files = [path / FILE_NAME, path / PRELOAD, *(path / PRESET_FOLDER).glob("*.json")]
        # Authorities that presets name stand in files like those of anchors.
        certificates = path.glob("*.pem")
        return _marked([*files, *certificates, *self._anchor_files(settings.trusted)])

    def _anchor_files(self, trusted: TrustSettings) -> list[Path]:
        return [self._folder.path / name for name in trusted.anchors.values()]


def _marked(files: Sequence[Path]) -> frozenset[_Mark]:
    """Give what tells a file from the one that takes its place, or from none."""
    marks: set[_Mark] = set()
    for file in files:
        try:
            found = file.stat()
        except FileNotFoundError:
            continue
        marks.add((str(file), found.st_mtime_ns, found.st_size, found.st_ino))
    return frozenset(marks)
