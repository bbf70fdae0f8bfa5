"""Flip one of 100 million status entries (1 % set) and give the new compressed list.

The peer is what a list costs without segments: zlib over all of it. Flips touch
another entry each time, so no kept segment ever answers twice.
"""

import random
import zlib
from collections.abc import Iterator
from typing import Final

from counterfoil_credentials.status_entries import Effort, StatusEntries

from bench.measure import Operation, Other, cpu, fixed

_ENTRIES: Final = 100_000_000
_QUICK_ENTRIES: Final = 1_000_000
_FLOORS: Final = {
    Effort.SMALL: ("small", 40.0, 0.90),
    Effort.FAST: ("fast", 200.0, 1.03),
}


def operations(*, quick: bool) -> Iterator[Operation]:
    """Give flips of both efforts with their sizes."""
    length = _QUICK_ENTRIES if quick else _ENTRIES
    entries = StatusEntries.blank(length, bits=1)
    # Seeded, so that every run measures the same list.
    chance = random.Random(1)  # noqa: S311
    entries.set_all(chance.sample(range(length), length // 100), 1)
    raw = entries.raw
    whole = zlib.compress(raw, 6)
    for effort, (word, at_least, at_most) in _FLOORS.items():
        listed = StatusEntries(raw, bits=1, effort=effort)
        listed.zlib_stream()

        def flip(listed: StatusEntries = listed) -> bytes:
            index = chance.randrange(length)
            listed[index] = 1 - listed[index]
            return listed.zlib_stream()

        yield Operation(
            name=f"flip one of {length:,}, new stream, {word}",
            ours=cpu(flip),
            others=[
                Other(
                    name="zlib level 6 over the whole list",
                    sampler=cpu(lambda: zlib.compress(raw, 6), batch=1),
                    floor=at_least,
                )
            ],
            rounds=7,
        )
        yield Operation(
            name=f"size of that stream, {word}",
            ours=fixed(len(listed.zlib_stream())),
            others=[Other(name="zlib level 6", sampler=fixed(len(whole)), floor=at_most)],
            unit="B",
            at_most=True,
            rounds=1,
        )
