"""Flip one of 100 million status entries (1 % set) and give the new compressed list.

The baseline is what a list costs without segments: zlib over all of it. Flips touch
another entry each time, so no kept segment ever answers twice. `small` and `fast` are
the two efforts of `StatusEntries`.

Memory is measured in fresh processes that draw the entries to set a thousand at a
time, so that nobody's list of a million numbers is counted: once by tracemalloc (what
Python and zlib ask for), and, on Linux, once by the growth of the peak resident size
(VmHWM; `ru_maxrss` will not do, because a child starts at its parent's).
"""

import random
import subprocess
import sys
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import Final

from counterfoil_credentials.keys import MemorySigner
from counterfoil_credentials.status_entries import Effort, StatusEntries
from counterfoil_credentials.token_status_list import (
    inflate,
    read_status_list,
    sign_status_entries,
    status_at,
)
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from bench.measure import Operation, Other, cpu, fixed

_ENTRIES: Final = 100_000_000
_QUICK_ENTRIES: Final = 1_000_000
_ROUNDS: Final = 9
_NOW: Final = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
_URL: Final = "https://audio.example/status-lists/1"
_FLOORS: Final = {Effort.SMALL: (40.0, 0.90), Effort.FAST: (200.0, 1.03)}


def operations(*, quick: bool) -> Iterator[Operation]:
    """Give flips with their sizes, what follows them, what a reader pays, and memory."""
    length = _QUICK_ENTRIES if quick else _ENTRIES
    chance = random.Random(1)  # noqa: S311  # seeded: every run measures the same list
    listed = StatusEntries.blank(length, bits=1)
    listed.set_all(chance.sample(range(length), length // 100), 1)
    for effort in (Effort.SMALL, Effort.FAST):
        listed = StatusEntries(listed.raw, bits=1, effort=effort)
        yield from _flips(listed, effort, chance)
    yield _signing(listed)
    yield from _reading(listed, chance)
    yield from _memory(length)


def _flips(listed: StatusEntries, effort: Effort, chance: random.Random) -> Iterator[Operation]:
    word = effort.name.lower()
    at_least, at_most = _FLOORS[effort]
    raw = listed.raw
    size, whole = len(listed.zlib_stream()), len(zlib.compress(raw, 6))

    def flip() -> bytes:
        index = chance.randrange(len(listed))
        listed[index] = 1 - listed[index]
        return listed.zlib_stream()

    yield Operation(
        name=f"flip one of {len(listed):,}, new stream, {word}",
        ours=cpu(flip),
        others=[
            Other(
                name="zlib level 6, whole list",
                sampler=cpu(lambda: zlib.compress(raw, 6), batch=1),
                floor=at_least,
            )
        ],
        rounds=_ROUNDS,
    )
    yield Operation(
        name=f"size of the stream, {word}",
        ours=fixed(size),
        others=[Other(name="zlib level 6, whole list", sampler=fixed(whole), floor=at_most)],
        unit="B",
        at_most=True,
        rounds=1,
    )


def _signing(listed: StatusEntries) -> Operation:
    signer = MemorySigner.generate()
    signed = _sign(listed, signer).rpartition(".")[0].encode()
    key = ec.generate_private_key(ec.SECP256R1())
    ecdsa = ec.ECDSA(hashes.SHA256())
    return Operation(
        name="encode and sign a stream that is there",
        ours=cpu(lambda: _sign(listed, signer)),
        others=[
            Other(name="raw ES256 of as many bytes", sampler=cpu(lambda: key.sign(signed, ecdsa)))
        ],
        rounds=_ROUNDS,
    )


def _sign(listed: StatusEntries, signer: MemorySigner) -> str:
    return sign_status_entries(
        listed, url=_URL, signer=signer, issued_at=_NOW, expires_at=None, ttl_s=None
    )


def _reading(listed: StatusEntries, chance: random.Random) -> Iterator[Operation]:
    signer = MemorySigner.generate()
    raw, stream, token = listed.raw, listed.zlib_stream(), _sign(listed, signer)
    bare = cpu(lambda: zlib.decompress(stream))
    yield Operation(
        name="decode the stream",
        ours=cpu(lambda: inflate(stream)),
        others=[Other(name="bare inflate", sampler=bare, goal=1.1)],
        at_most=True,
        rounds=_ROUNDS,
    )
    yield Operation(
        name="read the signed list, all checks",
        ours=cpu(lambda: read_status_list(token, url=_URL, issuer_key=signer.public, now=_NOW)),
        others=[Other(name="bare inflate", sampler=bare)],
        at_most=True,
        rounds=_ROUNDS,
    )
    key = ec.generate_private_key(ec.SECP256R1())
    ecdsa = ec.ECDSA(hashes.SHA256())
    public, signature = key.public_key(), key.sign(b"", ecdsa)
    indices = cycle([chance.randrange(len(listed)) for _ in range(10_000)])
    yield Operation(
        name="look one entry up",
        ours=cpu(lambda: status_at(raw, next(indices), bits=1)),
        others=[
            Other(
                name="one raw ES256 verification",
                sampler=cpu(lambda: public.verify(signature, b"", ecdsa)),
                goal=0.03,
            )
        ],
        at_most=True,
        rounds=_ROUNDS,
    )


_BUILD: Final = """
import random
from counterfoil_credentials.status_entries import StatusEntries
chance = random.Random(1)
{before}
entries = StatusEntries.blank({length}, bits=1)
for _ in range({length} // 100_000):
    entries.set_all([chance.randrange({length}) for _ in range(1000)], 1)
entries.zlib_stream()
print({peak})
"""
_TRACED: Final = ("import tracemalloc; tracemalloc.start()", "tracemalloc.get_traced_memory()[1]")
_RESIDENT: Final = (
    """
from pathlib import Path
def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
began = peak()""",
    "peak() - began",
)


def _memory(length: int) -> Iterator[Operation]:
    measures: dict[str, tuple[str, str]] = {"tracemalloc": _TRACED}
    if Path("/proc/self/status").exists():
        measures["resident"] = _RESIDENT
    for name, (before, peak) in measures.items():
        program = _BUILD.format(length=length, before=before, peak=peak)
        run = subprocess.run(  # noqa: S603  # our own program, above
            [sys.executable, "-c", program], check=True, capture_output=True, text=True
        )
        yield Operation(
            name=f"peak memory to build it, {name}",
            ours=fixed(int(run.stdout)),
            others=[Other(name="its raw bytes", sampler=fixed(length // 8), floor=3.0)],
            unit="B",
            at_most=True,
            rounds=1,
        )
